//! SPC: `ASU,LBA,Size,Opcode,Timestamp`, LBA in blocks of 512 bytes, size in bytes, times in seconds
//! (Storage Performance Council, "SPC Trace File Format Specification", revision 1.0.1).

use super::fields::{Fault, Fields};
use super::{Format, Geometry, seconds};
use crate::load::Request;
use ersatz_report::Op;

/// Lines of SPC traces. All units (ASU) go to the one namespace.
pub struct Spc {
    geometry: Geometry,
}

impl Spc {
    pub fn new(geometry: Geometry) -> Self {
        Self { geometry }
    }
}

impl Format for Spc {
    fn request(&mut self, line: &str, _number: u64) -> Result<Option<Request>, Fault> {
        if line.is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::between(line, b',');
        fields.need("ASU")?;
        let lba = fields.need("LBA")?;
        let size = fields.need("Size")?;
        let opcode = fields.need("Opcode")?;
        let op = match opcode.text {
            "R" | "r" => Op::Read,
            "W" | "w" => Op::Write,
            _ => return Err(opcode.wrong("is no opcode; allowed: R or W")),
        };
        let at = seconds(&fields.need("Timestamp")?)?;
        let (slba, nlb) = self.geometry.blocks(op, &lba, 512, &size)?;
        Ok(Some(Request {
            at,
            op,
            slba,
            nlb,
            job: 0,
        }))
    }
}
