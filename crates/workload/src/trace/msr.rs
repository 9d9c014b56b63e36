//! Traces of Microsoft Research Cambridge, as SNIA's IOTTA repository has them.

use super::fields::{Blocks, Fault, Fields};
use super::{Lines, Record};
use crate::request::Op;
use ersatz_engine::Ns;

/// Nanoseconds of a tick of Windows' file time.
const TICK: u64 = 100;

/// Lines of `Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime`: ticks since 1601, and
/// bytes. Times are relative to the first request of the file.
pub(super) struct Msr {
    blocks: Blocks,
    /// Ticks of the first request.
    first: Option<u64>,
}

impl Msr {
    pub(super) fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            first: None,
        }
    }
}

impl Lines for Msr {
    fn record<'l>(&mut self, line: &'l str, number: u64) -> Result<Option<Record<'l>>, Fault> {
        let is_heading = number == 1 && line.starts_with("Timestamp");
        if is_heading || line.trim().is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::between_commas(line);
        let time = fields.need("Timestamp")?;
        let ticks = time.number()?;
        fields.need("Hostname")?;
        let device = fields.need("DiskNumber")?.text;
        let op = fields.need("Type")?;
        let op = match op.text {
            text if text.eq_ignore_ascii_case("Read") => Op::Read,
            text if text.eq_ignore_ascii_case("Write") => Op::Write,
            _ => return Err(op.none_of("Read, Write")),
        };
        let offset = fields.need("Offset")?;
        let size = fields.need("Size")?;
        // The response time is that of another drive: nobody needs it here.
        let (offset_bytes, bytes) = (offset.number()?, size.number()?);
        let (slba, nlb) = self
            .blocks
            .of(op, (&offset, offset_bytes), (&size, bytes))?;
        let since = ticks.saturating_sub(*self.first.get_or_insert(ticks));
        let at = since.checked_mul(TICK).map(Ns);
        let at = at.ok_or_else(|| time.refuse("too long after the first request"))?;
        Ok(Some(Record {
            at,
            op,
            slba,
            nlb,
            device,
        }))
    }
}
