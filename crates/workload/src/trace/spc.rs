//! Traces of the Storage Performance Council (SPC Trace File Format Specification 1.0.1), as the
//! UMass Trace Repository has them.

use super::fields::{Blocks, Fault, Fields, sectors};
use super::{Lines, Record};
use crate::request::Op;

/// Lines of `ASU,LBA,Size,Opcode,Timestamp`: sectors of 512 bytes, bytes, and seconds. There may be
/// more fields, which mean nothing here.
pub(super) struct Spc(pub(super) Blocks);

impl Lines for Spc {
    fn record<'l>(&mut self, line: &'l str, _number: u64) -> Result<Option<Record<'l>>, Fault> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::between_commas(line);
        let asu = fields.need("ASU")?;
        asu.number()?;
        let lba = fields.need("LBA")?;
        let offset = sectors(&lba)?;
        let size = fields.need("Size")?;
        let bytes = size.number()?;
        let op = fields.need("Opcode")?;
        let op = match op.text {
            "R" | "r" => Op::Read,
            "W" | "w" => Op::Write,
            _ => return Err(op.none_of("R, W")),
        };
        let at = fields.need("Timestamp")?.seconds()?;
        let (slba, nlb) = self.0.of(op, (&lba, offset), (&size, bytes))?;
        Ok(Some(Record {
            at,
            op,
            slba,
            nlb,
            device: asu.text,
        }))
    }
}
