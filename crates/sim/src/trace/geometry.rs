//! Bytes and sectors of a trace, as logical blocks of the drive.

use super::fields::{Fault, Field};
use crate::load::max_blocks;
use ersatz_engine::Ns;
use ersatz_report::Op;

/// The namespace that a trace goes to.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    /// Bytes of a logical block; a power of two.
    pub block: u32,
}

impl Geometry {
    /// The blocks that bytes lie in: from `offset` units of `unit` bytes on, `size` bytes. Partly
    /// covered blocks count, except for deallocations, which leave them alone.
    pub fn blocks(
        self,
        op: Op,
        offset: &Field<'_>,
        unit: u64,
        size: &Field<'_>,
    ) -> Result<(u64, u32), Fault> {
        let start = offset.number()?.checked_mul(unit);
        let start = start.ok_or_else(|| offset.wrong("is too large"))?;
        self.extent(op, start, size.number()?, size)
    }

    /// As [`blocks`](Self::blocks), of sectors of 512 bytes.
    pub fn sectors(
        self,
        op: Op,
        sector: &Field<'_>,
        count: &Field<'_>,
    ) -> Result<(u64, u32), Fault> {
        let bytes = |field: &Field<'_>| {
            let bytes = field.number()?.checked_mul(512);
            bytes.ok_or_else(|| field.wrong("is too large"))
        };
        self.extent(op, bytes(sector)?, bytes(count)?, count)
    }

    fn extent(self, op: Op, start: u64, len: u64, size: &Field<'_>) -> Result<(u64, u32), Fault> {
        let block = u64::from(self.block.max(1));
        let end = start
            .checked_add(len)
            .ok_or_else(|| size.wrong("is too large"))?;
        let (first, last) = match op {
            Op::Trim => (start.div_ceil(block), end / block),
            _ => (start / block, end.div_ceil(block)),
        };
        if len == 0 {
            return Err(size.refuse("a request has at least one byte"));
        }
        let (nlb, most) = (last.saturating_sub(first), max_blocks(op));
        if nlb > most {
            let message = format!("{nlb} blocks are more than a command can have ({most})");
            return Err(size.refuse(message));
        }
        // A deallocation within one block covers none: a range of no blocks does nothing.
        Ok((first, nlb as u32))
    }
}

/// Seconds with up to nine decimals; more of them are cut off.
pub fn seconds(field: &Field<'_>) -> Result<Ns, Fault> {
    let wrong = || field.wrong("is no time in seconds");
    let (whole, fraction) = field.text.split_once('.').unwrap_or((field.text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(wrong());
    }
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    let whole = whole
        .parse::<u64>()
        .ok()
        .and_then(|whole| whole.checked_mul(1_000_000_000));
    whole
        .and_then(|whole| whole.checked_add(nanos))
        .map(Ns)
        .ok_or_else(wrong)
}
