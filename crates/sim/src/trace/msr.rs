//! MSR Cambridge: `Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime`, times in 100 ns
//! since 1601, offset and size in bytes (Narayanan et al., "Write Off-Loading", FAST 2008).

use super::fields::{Fault, Fields};
use super::{Format, Geometry};
use crate::load::Request;
use ersatz_engine::Ns;
use ersatz_report::Op;

/// Lines of the MSR Cambridge block traces; the first request arrives at 0.
pub struct Msr {
    geometry: Geometry,
    begin: Option<u64>,
}

impl Msr {
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            begin: None,
        }
    }
}

impl Format for Msr {
    fn request(&mut self, line: &str, number: u64) -> Result<Option<Request>, Fault> {
        let is_heading = number == 1 && line.starts_with("Timestamp");
        if line.is_empty() || is_heading {
            return Ok(None);
        }
        let mut fields = Fields::between(line, b',');
        let time = fields.need("Timestamp")?;
        let ticks = time.number()?;
        fields.need("Hostname")?;
        fields.need("DiskNumber")?;
        let kind = fields.need("Type")?;
        let op = match kind.text {
            "Read" => Op::Read,
            "Write" => Op::Write,
            _ => return Err(kind.wrong("is no type; allowed: Read or Write")),
        };
        let offset = fields.need("Offset")?;
        let size = fields.need("Size")?;
        let (slba, nlb) = self.geometry.blocks(op, &offset, 1, &size)?;
        let begin = *self.begin.get_or_insert(ticks);
        let since = ticks
            .checked_sub(begin)
            .and_then(|ticks| ticks.checked_mul(100));
        let at = since.ok_or_else(|| time.wrong("is before the first request"))?;
        Ok(Some(Request {
            at: Ns(at),
            op,
            slba,
            nlb,
            job: 0,
        }))
    }
}
