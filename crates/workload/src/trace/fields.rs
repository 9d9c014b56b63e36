//! A line in its parts, each with its place.

use crate::request::Op;
use ersatz_engine::Ns;

/// Longest line in bytes. Whatever is longer is bad, and is not held in memory.
pub const MAX_LINE: usize = 1 << 16;

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte of the line, from 0.
    pub(super) at: usize,
    /// What is wrong there.
    pub(super) message: String,
}

impl Fault {
    /// `message` about the byte `at`.
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// The text that is shown of a part that is wrong: escaped, and not more than one needs.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 32;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A part of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'l> {
    /// What it is, for refusals.
    pub(super) name: &'static str,
    /// Its text without spaces around it.
    pub(super) text: &'l str,
    /// Its byte of the line.
    pub(super) at: usize,
}

impl Field<'_> {
    /// Refuses the part by its name.
    pub(super) fn refuse(&self, message: impl core::fmt::Display) -> Fault {
        Fault::new(self.at, format!("{}: {message}", self.name))
    }

    /// Refuses the part because its text is none of `allowed`.
    pub(super) fn none_of(&self, allowed: &str) -> Fault {
        let text = quote(self.text);
        self.refuse(format_args!("{text} is none of them; allowed: {allowed}"))
    }

    /// A whole number.
    pub(super) fn number(&self) -> Result<u64, Fault> {
        self.digits(self.text)
    }

    fn digits(&self, digits: &str) -> Result<u64, Fault> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let text = quote(self.text);
            return Err(self.refuse(format_args!("{text} is not a whole number")));
        }
        digits
            .bytes()
            .try_fold(0u64, |value, digit| {
                value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
            .ok_or_else(|| self.refuse(format_args!("{} is too large", quote(self.text))))
    }

    /// Decimal seconds; what is finer than a nanosecond is cut off.
    pub(super) fn seconds(&self) -> Result<Ns, Fault> {
        let (whole, fraction) = self.text.split_once('.').unwrap_or((self.text, "0"));
        let plain =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            let text = quote(self.text);
            return Err(self.refuse(format_args!("{text} is not a decimal number of seconds")));
        }
        let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(9);
        let below = digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        let time = self.digits(whole)?.checked_mul(1_000_000_000);
        let time = time.and_then(|time| time.checked_add(below));
        time.map(Ns)
            .ok_or_else(|| self.refuse(format_args!("{} is too large", quote(self.text))))
    }

    /// A number of `unit` nanoseconds.
    pub(super) fn time(&self, unit: u64) -> Result<Ns, Fault> {
        let time = self.number()?.checked_mul(unit);
        time.map(Ns)
            .ok_or_else(|| self.refuse(format_args!("{} is too large", quote(self.text))))
    }
}

/// Goes through the parts of a line.
pub(super) struct Fields<'l> {
    line: &'l str,
    at: usize,
    separator: Option<char>,
}

impl<'l> Fields<'l> {
    /// Parts between commas.
    pub(super) fn between_commas(line: &'l str) -> Self {
        Self {
            line,
            at: 0,
            separator: Some(','),
        }
    }

    /// Parts between spaces, any number of them.
    pub(super) fn between_spaces(line: &'l str) -> Self {
        Self {
            line,
            at: 0,
            separator: None,
        }
    }

    /// The next part, or `None` at the end of the line.
    pub(super) fn next(&mut self, name: &'static str) -> Option<Field<'l>> {
        let rest = self.line.get(self.at..)?;
        let (raw, step) = match self.separator {
            Some(separator) => {
                let len = rest.find(separator).unwrap_or(rest.len());
                (&rest[..len], len + 1)
            }
            None => {
                let words = rest.trim_start();
                let len = words.find(char::is_whitespace).unwrap_or(words.len());
                if len == 0 {
                    return None;
                }
                let end = rest.len() - words.len() + len;
                (&rest[..end], end)
            }
        };
        let at = self.at + (raw.len() - raw.trim_start().len());
        self.at += step;
        Some(Field {
            name,
            text: raw.trim(),
            at,
        })
    }

    /// The next part, which must be there.
    pub(super) fn need(&mut self, name: &'static str) -> Result<Field<'l>, Fault> {
        let end = self.line.len();
        self.next(name)
            .ok_or_else(|| Fault::new(end, format!("{name} is missing")))
    }
}

/// Counts bytes in logical blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks(u64);

impl Blocks {
    /// Blocks of `block` bytes.
    pub(super) fn new(block: u32) -> Self {
        Self(u64::from(block.max(1)))
    }

    /// First block and number of those that `len` bytes at `offset` touch; of a deallocation, those
    /// that it covers, for the others have data that nobody gave up. That may be none.
    pub(super) fn of(
        self,
        op: Op,
        offset: (&Field<'_>, u64),
        len: (&Field<'_>, u64),
    ) -> Result<(u64, u32), Fault> {
        let ((offset_field, offset), (len_field, len)) = (offset, len);
        if len == 0 {
            return Err(len_field.refuse("a request has at least one byte"));
        }
        let end = offset.checked_add(len);
        let end = end.ok_or_else(|| offset_field.refuse("the request ends beyond 2^64 bytes"))?;
        let (slba, end) = match op {
            Op::Trim => (offset.div_ceil(self.0), end / self.0),
            _ => (offset / self.0, end.div_ceil(self.0)),
        };
        match end.saturating_sub(slba) {
            0 => Ok((slba, 0)),
            blocks => Ok((slba, check_blocks(op, blocks, len_field)?)),
        }
    }
}

/// As many blocks as a command of this kind can have.
pub(super) fn check_blocks(op: Op, blocks: u64, field: &Field<'_>) -> Result<u32, Fault> {
    if blocks == 0 {
        return Err(field.refuse("a request has at least one block"));
    }
    let most = op.max_blocks();
    u32::try_from(blocks)
        .ok()
        .filter(|&blocks| u64::from(blocks) <= most)
        .ok_or_else(|| {
            let op = op.name();
            field.refuse(format_args!(
                "{blocks} blocks are more than a {op} can have; allowed: 1 to {most}"
            ))
        })
}

/// Bytes of a sector, in which Linux and SPC count.
pub(super) const SECTOR: u64 = 512;

/// Bytes of the sectors that a field counts.
pub(super) fn sectors(field: &Field<'_>) -> Result<u64, Fault> {
    field
        .number()?
        .checked_mul(SECTOR)
        .ok_or_else(|| field.refuse(format_args!("{} is too large", quote(field.text))))
}
