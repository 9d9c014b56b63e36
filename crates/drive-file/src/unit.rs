//! Numbers with units: read exactly, without floating point, and written back the same.

/// What a number counts. All values are whole numbers of the base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things, without a unit: `64`.
    Count,
    /// Bytes: `"16 GiB"`, `"512 B"`, `"1.5 MB"`.
    Bytes,
    /// Nanoseconds: `"40 us"`, `"1.5 ms"`.
    Nanoseconds,
    /// Picoseconds, for the price of one instruction: `"0.4 ns"`.
    Picoseconds,
    /// Bytes per second: `"3.2 GB/s"`.
    BytesPerSecond,
    /// Hundredths of a percent: `"12.5 %"` is 1,250.
    Percent,
    /// Hundredths of a time: `"2 x"` is 200.
    Factor,
}

/// Names of a unit with their value in the base unit, ascending. Where two are equally good to
/// write a value, the later one is taken.
type Scale = &'static [(&'static str, u64)];

const BYTES: Scale = &[
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("PB", 1_000_000_000_000_000),
    ("PiB", 1 << 50),
];
const RATES: Scale = &[
    ("B/s", 1),
    ("kB/s", 1_000),
    ("KiB/s", 1 << 10),
    ("MB/s", 1_000_000),
    ("MiB/s", 1 << 20),
    ("GB/s", 1_000_000_000),
    ("GiB/s", 1 << 30),
    ("TB/s", 1_000_000_000_000),
];
const NANOSECONDS: Scale = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
];
const PICOSECONDS: Scale = &[
    ("ps", 1),
    ("ns", 1_000),
    ("us", 1_000_000),
    ("ms", 1_000_000_000),
    ("s", 1_000_000_000_000),
];
const PERCENT: Scale = &[("%", 100)];
const FACTOR: Scale = &[("x", 100)];

/// More digits than any value in range has.
const MAX_DIGITS: usize = 20;

impl Unit {
    const fn scale(self) -> Scale {
        match self {
            Self::Count => &[("", 1)],
            Self::Bytes => BYTES,
            Self::Nanoseconds => NANOSECONDS,
            Self::Picoseconds => PICOSECONDS,
            Self::BytesPerSecond => RATES,
            Self::Percent => PERCENT,
            Self::Factor => FACTOR,
        }
    }

    /// The units that may be written: `ns, us, ms, s`.
    #[must_use]
    pub fn names(self) -> String {
        let names: Vec<_> = self.scale().iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// The value of `text`, a decimal number and a unit, in the base unit. Digits may be grouped
    /// by `_`, and the space before the unit may be left out.
    ///
    /// # Errors
    /// What is wrong with it, for people: no number, no unit or an unknown one, a value that is
    /// not a whole number of the base unit, or too large a value.
    pub fn parse(self, text: &str) -> Result<u64, String> {
        let text = text.trim();
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_');
        let (number, unit) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
        let unit = unit.trim_start();
        let (digits, decimals) = decimal(number)
            .ok_or_else(|| format!("{} does not begin with a plain decimal number", quote(text)))?;
        let value = self
            .value_of(unit)
            .map_err(|reason| format!("{} {reason}", quote(text)))?;
        let whole = u128::from(value).checked_mul(digits).map(|scaled| {
            let parts = 10_u128.pow(decimals);
            (scaled / parts, scaled % parts)
        });
        match whole {
            Some((whole, 0)) => u64::try_from(whole).ok(),
            Some(_) => {
                let (base, _) = self.scale()[0];
                let finer = match self {
                    Self::Percent => "hundredth of a percent",
                    Self::Factor => "hundredth",
                    _ => base,
                };
                return Err(format!("{} is finer than 1 {finer}", quote(text)));
            }
            None => None,
        }
        .ok_or_else(|| format!("{} is too large", quote(text)))
    }

    fn value_of(self, unit: &str) -> Result<u64, String> {
        if let Some((_, value)) = self.scale().iter().find(|(name, _)| *name == unit) {
            return Ok(*value);
        }
        if unit.is_empty() {
            return Err(format!("has no unit ({})", self.names()));
        }
        let alike = |name: &str| name.eq_ignore_ascii_case(unit);
        Err(
            match self.scale().iter().rev().find(|(name, _)| alike(name)) {
                Some((name, _)) => format!("has an unknown unit; did you mean {name}?"),
                None => format!("has an unknown unit ({})", self.names()),
            },
        )
    }

    /// `value` as [`parse`](Self::parse) reads it, in the unit that makes it shortest.
    #[must_use]
    pub fn format(self, value: u64) -> String {
        if self == Self::Count {
            return value.to_string();
        }
        let (base, _) = self.scale()[0];
        // `rev` because the first of equals is taken, and the larger unit is the better one.
        let scale = self.scale().iter().rev();
        scale
            .filter(|(name, one)| value >= *one || *name == base)
            .filter_map(|(name, one)| Some(format!("{} {name}", in_thousandths(value, *one)?)))
            .min_by_key(String::len)
            .unwrap_or_default()
    }
}

/// The digits of a plain decimal number as one number, and how many of them follow the point.
fn decimal(number: &str) -> Option<(u128, u32)> {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    if !whole.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = || whole.chars().chain(fraction.chars()).filter(|&c| c != '_');
    if digits().count() > MAX_DIGITS {
        return None;
    }
    let value = digits().try_fold(0, |value: u128, digit| {
        Some(value * 10 + u128::from(digit.to_digit(10)?))
    })?;
    let decimals = fraction.chars().filter(|&c| c != '_').count();
    Some((value, u32::try_from(decimals).ok()?))
}

/// `value / scale` with up to three decimals, when that is exact.
fn in_thousandths(value: u64, scale: u64) -> Option<String> {
    let thousandths = u128::from(value) * 1_000;
    let scale = u128::from(scale);
    if !thousandths.is_multiple_of(scale) {
        return None;
    }
    let thousandths = thousandths / scale;
    let (whole, fraction) = (thousandths / 1_000, thousandths % 1_000);
    let number = format!("{whole}.{fraction:03}");
    Some(
        number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
    )
}

/// Text of the file as it is shown in a refusal: quoted, escaped, and not more of it than one
/// needs to recognise it.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 48;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_and_its_unit_become_base_units() {
        for (unit, text, value) in [
            (Unit::Bytes, "16 GiB", 16 << 30),
            (Unit::Bytes, "4KiB", 4096),
            (Unit::Bytes, " 512 B ", 512),
            (Unit::Bytes, "1.5 GB", 1_500_000_000),
            (Unit::Bytes, "1_048_576 B", 1 << 20),
            (Unit::Nanoseconds, "40 us", 40_000),
            (Unit::Nanoseconds, "1.5 ms", 1_500_000),
            (Unit::Nanoseconds, "2 s", 2_000_000_000),
            (Unit::Picoseconds, "0.4 ns", 400),
            (Unit::Picoseconds, "250 ps", 250),
            (Unit::BytesPerSecond, "3.2 GB/s", 3_200_000_000),
            (Unit::BytesPerSecond, "1 MiB/s", 1 << 20),
            (Unit::Percent, "25 %", 2_500),
            (Unit::Percent, "0.07%", 7),
        ] {
            assert_eq!(unit.parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_with_a_known_unit_is_refused_with_the_reason() {
        for (unit, text, reason) in [
            (
                Unit::Bytes,
                "4096",
                "\"4096\" has no unit (B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB)",
            ),
            (
                Unit::Bytes,
                "16 gib",
                "\"16 gib\" has an unknown unit; did you mean GiB?",
            ),
            (
                Unit::Bytes,
                "16 KB",
                "\"16 KB\" has an unknown unit; did you mean kB?",
            ),
            (
                Unit::Nanoseconds,
                "3 h",
                "\"3 h\" has an unknown unit (ns, us, ms, s)",
            ),
            (Unit::Nanoseconds, "0.4 ns", "\"0.4 ns\" is finer than 1 ns"),
            (
                Unit::Percent,
                "0.001 %",
                "\"0.001 %\" is finer than 1 hundredth of a percent",
            ),
            (
                Unit::Bytes,
                "-1 B",
                "\"-1 B\" does not begin with a plain decimal number",
            ),
            (
                Unit::Bytes,
                "1e9 B",
                "\"1e9 B\" has an unknown unit (B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB)",
            ),
            (
                Unit::Bytes,
                "1. B",
                "\"1. B\" does not begin with a plain decimal number",
            ),
            (
                Unit::Bytes,
                ".5 B",
                "\".5 B\" does not begin with a plain decimal number",
            ),
            (
                Unit::Bytes,
                "_1 B",
                "\"_1 B\" does not begin with a plain decimal number",
            ),
            (
                Unit::Bytes,
                "1.2.3 B",
                "\"1.2.3 B\" does not begin with a plain decimal number",
            ),
            (
                Unit::Bytes,
                "",
                "\"\" does not begin with a plain decimal number",
            ),
            (Unit::Bytes, "16384 PiB", "\"16384 PiB\" is too large"),
            (
                Unit::Bytes,
                "99999999999999999999 PiB",
                "\"99999999999999999999 PiB\" is too large",
            ),
        ] {
            assert_eq!(unit.parse(text), Err(reason.to_owned()));
        }
    }

    #[test]
    fn a_value_is_written_in_the_shortest_unit() {
        for (unit, value, text) in [
            (Unit::Count, 64, "64"),
            (Unit::Bytes, 0, "0 B"),
            (Unit::Bytes, 512, "512 B"),
            (Unit::Bytes, 4096, "4 KiB"),
            (Unit::Bytes, 1_000_000_000, "1 GB"),
            (Unit::Bytes, 3 << 29, "1.5 GiB"),
            (Unit::Nanoseconds, 0, "0 ns"),
            (Unit::Nanoseconds, 1_500_000, "1.5 ms"),
            (Unit::Picoseconds, 400, "400 ps"),
            (Unit::BytesPerSecond, 3_200_000_000, "3.2 GB/s"),
            (Unit::Percent, 7, "0.07 %"),
            (Unit::Percent, 0, "0 %"),
            (Unit::Percent, 1_250, "12.5 %"),
        ] {
            assert_eq!(unit.format(value), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u64) {
            for unit in [
                Unit::Bytes,
                Unit::Nanoseconds,
                Unit::Picoseconds,
                Unit::BytesPerSecond,
                Unit::Percent,
            ] {
                prop_assert_eq!(unit.parse(&unit.format(value)), Ok(value));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Unit::Bytes.parse(&text);
        }
    }
}
