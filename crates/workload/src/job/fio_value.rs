//! Values as fio writes them (its manual, "Parameter types").

use super::Extent;
use super::text::{self, Value};
use crate::trace::quote;
use ersatz_engine::Ns;

/// Most sizes in a range of them.
const MAX_SIZES: u64 = 1_024;

const BYTES: &str = "has no known unit; allowed: k, m, g, t, p (powers of 1,024)";

/// A number and what follows it.
fn number(text: &str) -> Value<(u64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let number = digits
        .parse()
        .map_err(|_| format!("{} does not begin with a whole number", quote(text)))?;
    Ok((number, unit.trim().to_ascii_lowercase()))
}

/// A number without a unit.
pub(super) fn plain(text: &str) -> Value<u64> {
    match number(text)? {
        (number, unit) if unit.is_empty() => Ok(number),
        _ => Err(format!("{} is not a whole number", quote(text))),
    }
}

/// A number of at least one that fits 32 bits.
pub(super) fn small(text: &str) -> Value<u32> {
    match u32::try_from(bytes(text)?) {
        Ok(1..=1_000_000_000) => Ok(bytes(text)? as u32),
        _ => Err(format!("{} is out of range", quote(text))),
    }
}

/// Bytes, or another number that may be written with k and m. As long as `kb_base` is not set, fio
/// takes `k` for 1,024 and, against the standard, `ki` for 1,000; the latter is refused because it
/// is hardly ever meant.
pub(super) fn bytes(text: &str) -> Value<u64> {
    let (number, unit) = number(text)?;
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" => 1,
        "m" | "mb" => 2,
        "g" | "gb" => 3,
        "t" | "tb" => 4,
        "p" | "pb" => 5,
        "ki" | "kib" | "mi" | "mib" | "gi" | "gib" | "ti" | "tib" | "pi" | "pib" => {
            let text = quote(text);
            return Err(format!(
                "{text} is in powers of 1,000 for fio; write k, m or g, which are powers of 1,024"
            ));
        }
        _ => return Err(format!("{} {BYTES}", quote(text))),
    };
    number
        .checked_mul(1 << (10 * power))
        .ok_or_else(|| format!("{} is too large", quote(text)))
}

/// Bytes, at least one.
pub(super) fn some_bytes(text: &str) -> Value<u64> {
    match bytes(text)? {
        0 => Err(format!("{} is too small", quote(text))),
        bytes => Ok(bytes),
    }
}

/// Bytes, or percent of the namespace.
pub(super) fn extent(text: &str) -> Value<Extent> {
    let Some(percent) = text.trim().strip_suffix('%') else {
        return bytes(text).map(Extent::Bytes);
    };
    match plain(percent)? {
        percent @ 0..=100 => Ok(Extent::Percent(percent * 100)),
        _ => Err(format!("{} is more than all of it", quote(text))),
    }
}

/// A time; `unit` is the nanoseconds of a number without one.
pub(super) fn time(text: &str, unit: u64) -> Value<Ns> {
    const SECOND: u64 = 1_000_000_000;
    let (number, suffix) = number(text)?;
    let unit = match suffix.as_str() {
        "" => unit,
        "ns" | "nsec" => 1,
        "us" | "usec" => 1_000,
        "ms" | "msec" => 1_000_000,
        "s" | "sec" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3_600 * SECOND,
        "d" => 86_400 * SECOND,
        _ => {
            let text = quote(text);
            return Err(format!(
                "{text} has no known unit; allowed: us, ms, s, m, h, d"
            ));
        }
    };
    let time = number.checked_mul(unit).map(Ns);
    time.ok_or_else(|| format!("{} is too large", quote(text)))
}

/// A switch: on when nothing is written.
pub(super) fn switch(text: &str) -> Value<bool> {
    match text.trim() {
        "" | "1" => Ok(true),
        "0" => Ok(false),
        text => Err(format!("{} is neither 0 nor 1", quote(text))),
    }
}

/// One value for all operations: fio has lists of them for reads, writes and trims.
pub(super) fn one(text: &str) -> Value<&str> {
    if text.contains(',') {
        let text = quote(text);
        return Err(format!(
            "{text} differs for reads and writes; here a job has one value, write two jobs"
        ));
    }
    Ok(text)
}

/// One size.
pub(super) fn size(text: &str) -> Value<Vec<(u64, u32)>> {
    Ok(vec![(some_bytes(one(text)?)?, 1)])
}

/// Sizes with percentages.
pub(super) fn size_split(text: &str) -> Value<Vec<(u64, u32)>> {
    text::sizes(one(text)?, some_bytes)
}

/// `low-high`: all multiples of the low one, each as often as the others.
pub(super) fn size_range(text: &str) -> Value<Vec<(u64, u32)>> {
    let ends = one(text)?.split_once('-');
    let (low, high) = ends.ok_or_else(|| format!("{} is no range", quote(text)))?;
    let (low, high) = (some_bytes(low)?, some_bytes(high)?);
    if high < low || high / low > MAX_SIZES {
        let text = quote(text);
        return Err(format!(
            "{text} has not from 1 to {MAX_SIZES} multiples of the first size"
        ));
    }
    Ok((1..=high / low).map(|times| (low * times, 1)).collect())
}
