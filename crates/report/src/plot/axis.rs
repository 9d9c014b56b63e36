//! Scales and where their ticks are.

use crate::text::prefixed;

/// What maps values to a length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From zero to a value above it.
    Linear(f64),
    /// From one value above zero to a larger one.
    Log(f64, f64),
}

impl Scale {
    /// From zero to `most`, or a little more, so that a tick is near the end; to 1 for zero.
    pub fn linear(most: f64) -> Self {
        Self::Linear(if most > 0.0 { most * 1.08 } else { 1.0 })
    }

    /// Where `value` is, from 0 to 1; values outside are at the ends.
    pub fn place(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear(most) => value / most,
            Self::Log(least, most) => (value.max(least) / least).ln() / (most / least).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values: about `count` of them on a linear scale; on a logarithmic one the powers of
    /// ten, with twice and five times them on a short one.
    pub fn ticks(self, count: f64) -> Vec<f64> {
        match self {
            Self::Linear(most) => {
                let step = round_step(most / count);
                let last = (most / step * (1.0 + 1e-9)) as u32;
                (0..=last).map(|i| f64::from(i) * step).collect()
            }
            Self::Log(least, most) => {
                let steps: &[f64] = if most / least < 300.0 {
                    &[1.0, 2.0, 5.0]
                } else {
                    &[1.0]
                };
                // Nanoseconds of 64 bits and fractions of as many requests are all in between.
                let powers = (-20..20)
                    .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
                let (from, to) = (least * (1.0 - 1e-9), most * (1.0 + 1e-9));
                powers.filter(|&tick| tick >= from && tick <= to).collect()
            }
        }
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let found = steps
        .into_iter()
        .find(|&round| round >= step * (1.0 - 1e-9));
    found.unwrap_or(10.0 * power)
}

/// Words for a tick without needless digits: `0`, `0.5`, `250 k`, `1.2 M`.
pub fn tick(value: f64) -> String {
    let text = prefixed(value);
    let (number, prefix) = match text.rsplit_once(' ') {
        Some((number, prefix)) if prefix.parse::<u32>().is_err() => (number, prefix),
        _ => (text.as_str(), ""),
    };
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number} {prefix}").trim_end().to_owned()
}

/// Words for a fraction: `100 %`, `0.01 %`.
pub fn fraction(value: f64) -> String {
    let percent = value * 100.0;
    let digits = (-percent.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{percent:.digits$} %")
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// Nanoseconds.
    pub ns: f64,
}

impl Unit {
    /// The largest that is not above `ns`.
    pub fn of(ns: f64) -> Self {
        let (name, ns) = match ns * (1.0 + 1e-9) {
            1e9.. => ("s", 1e9),
            1e6.. => ("ms", 1e6),
            1e3.. => ("µs", 1e3),
            _ => ("ns", 1.0),
        };
        Self { name, ns }
    }
}

/// Words for a time: `20 µs`.
pub fn time(ns: f64) -> String {
    let unit = Unit::of(ns);
    format!("{} {}", tick(ns / unit.ns), unit.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(Scale::linear(0.0).ticks(4.0), [0.0, 0.5, 1.0]);
        assert_eq!(Scale::Linear(108.0).ticks(4.0), [0.0, 50.0, 100.0]);
        assert_eq!(Scale::Linear(5.0).place(2.5), 0.5);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        let words: Vec<String> = Scale::Log(1e3, 1e9)
            .ticks(4.0)
            .into_iter()
            .map(time)
            .collect();
        assert_eq!(
            words,
            ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
        );
        let words: Vec<String> = Scale::Log(9e3, 1e5)
            .ticks(4.0)
            .into_iter()
            .map(time)
            .collect();
        assert_eq!(words, ["10 µs", "20 µs", "50 µs", "100 µs"]);
        assert!((Scale::Log(1e-4, 1.0).place(1e-2) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::Log(10.0, 100.0).place(0.0), 0.0);
    }

    #[test]
    fn words_have_no_needless_digits() {
        assert_eq!(
            [0.0, 0.5, 1_200.0, 250e3, 2e6].map(tick),
            ["0", "0.5", "1.2 k", "250 k", "2 M"]
        );
        assert_eq!(
            [1.0, 0.1, 0.01, 0.001, 1e-6].map(fraction),
            ["100 %", "10 %", "1 %", "0.1 %", "0.0001 %"]
        );
    }
}
