//! Our own format: `time_ns,op,slba,nlb`.

use super::fields::{Fault, Fields, check_blocks};
use super::{Lines, Record};
use crate::request::Op;
use ersatz_engine::Ns;

/// What the first line may be.
pub(super) const HEADING: &str = "time_ns,op,slba,nlb";

/// Lines of `time_ns,op,slba,nlb`. The heading, blank lines and lines that begin with `#` are none.
pub(super) struct Csv;

impl Lines for Csv {
    fn record<'l>(&mut self, line: &'l str, number: u64) -> Result<Option<Record<'l>>, Fault> {
        let is_heading = number == 1 && line.trim_end() == HEADING;
        if is_heading || line.trim().is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let mut fields = Fields::between_commas(line);
        let at = Ns(fields.need("time_ns")?.number()?);
        let op = fields.need("op")?;
        let op = match op.text {
            "R" => Op::Read,
            "W" => Op::Write,
            "T" => Op::Trim,
            "F" => Op::Flush,
            _ => return Err(op.none_of("R, W, T, F")),
        };
        let slba = fields.need("slba")?.number()?;
        let nlb = fields.need("nlb")?;
        let blocks = nlb.number()?;
        if let Some(more) = fields.next("") {
            return Err(Fault::new(
                more.at,
                "there is more than time_ns,op,slba,nlb",
            ));
        }
        let (slba, nlb) = match op {
            Op::Flush => (0, 0),
            _ => (slba, check_blocks(op, blocks, &nlb)?),
        };
        Ok(Some(Record {
            at,
            op,
            slba,
            nlb,
            device: "",
        }))
    }

    fn in_order(&self) -> bool {
        true
    }
}
