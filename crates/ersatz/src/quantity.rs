//! Numbers that people write and read.

/// Units of sizes. As on the command lines of other tools, `4K` is short for `4KiB`.
const SIZES: [(&str, &str, u32); 4] = [
    ("KiB", "K", 10),
    ("MiB", "M", 20),
    ("GiB", "G", 30),
    ("TiB", "T", 40),
];

/// Reads a number: decimal or `0x` and hexadecimal, with `_` between digits, and perhaps with a
/// unit such as `KiB` or `MiB`.
pub fn number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (digits, shift) = match split_unit(text) {
        Some((digits, unit)) => (digits, shift(unit).ok_or_else(|| wrong(text))?),
        None => (text, 0),
    };
    let (digits, radix) = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let digits = digits.replace('_', "");
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(wrong(text));
    }
    let value = u64::from_str_radix(&digits, radix).ok();
    let value = value.and_then(|value| value.checked_mul(1 << shift));
    value.ok_or_else(|| format!("{text:?} is more than 64 bits hold"))
}

/// A number of 16 bits, such as a program slot.
pub fn number16(text: &str) -> Result<u16, String> {
    narrow(text)
}

/// A number of 32 bits, such as an NSID.
pub fn number32(text: &str) -> Result<u32, String> {
    narrow(text)
}

fn narrow<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let value = number(text)?;
    T::try_from(value).map_err(|_| format!("{value} is more than {} bits hold", 8 * size_of::<T>()))
}

/// The digits and the unit behind them, if there is one. In hexadecimal, letters are digits.
fn split_unit(text: &str) -> Option<(&str, &str)> {
    let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let from = if is_hexadecimal { 2 } else { 0 };
    let is_digit = |c: char| c == '_' || c.is_digit(if is_hexadecimal { 16 } else { 10 });
    let at = from + text.get(from..)?.find(|c| !is_digit(c))?;
    Some((&text[..at], text[at..].trim_start()))
}

fn shift(unit: &str) -> Option<u32> {
    if unit == "B" {
        return Some(0);
    }
    let found = SIZES
        .iter()
        .find(|(name, short, _)| unit == *name || unit == *short);
    found.map(|&(_, _, shift)| shift)
}

fn wrong(text: &str) -> String {
    format!("{text:?} is not a number such as 4096, 0x1000, 4KiB or 1MiB")
}

/// Bytes in the unit that suits them: `512 B`, `2.0 KiB`, `256 MiB`.
pub fn bytes(bytes: u64) -> String {
    let scale = SIZES
        .iter()
        .rev()
        .find(|&&(_, _, shift)| bytes >= 1 << shift);
    match scale {
        None => format!("{bytes} B"),
        Some(&(name, _, shift)) if bytes.is_multiple_of(1 << shift) => {
            format!("{} {name}", bytes >> shift)
        }
        Some(&(name, _, shift)) => format!("{:.1} {name}", bytes as f64 / (1u64 << shift) as f64),
    }
}

/// A time in the unit that suits it: `86 ns`, `40.0 us`, `83.9 ms`, `1.52 s`.
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.2} s", ns as f64 / 1e9),
    }
}

/// A count with its thousands apart: `2 684 354`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (text, value) in [
            ("0", 0),
            ("4096", 4096),
            ("1_000", 1000),
            ("0x1000", 4096),
            ("0xB", 11),
            ("4KiB", 4096),
            ("4K", 4096),
            (" 1 MiB", 1 << 20),
            ("0x10KiB", 16 << 10),
            ("512B", 512),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "x", "-1", "+1", "1.5", "0x", "4kib", "4XB", "KiB", "0xG", "1 2", "_",
        ] {
            let error = number(text).expect_err(text);
            assert!(error.contains("is not a number"), "{error}");
        }
        for text in ["18446744073709551616", "16777216TiB"] {
            assert!(number(text).expect_err(text).contains("64 bits"));
        }
        assert!(
            number16("65536")
                .expect_err("too large")
                .contains("16 bits")
        );
        assert_eq!(number32("0xFFFFFFFF"), Ok(u32::MAX));
    }

    #[test]
    fn quantities_are_short() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(256 << 20), "256 MiB");
        assert_eq!(time(86), "86 ns");
        assert_eq!(time(83_900_000), "83.9 ms");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(count(12), "12");
    }
}
