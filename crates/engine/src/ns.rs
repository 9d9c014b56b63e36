//! The unit of time.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A point in a drive's time, or a span of it, in nanoseconds.
///
/// Zero is the moment in which the drive came to be. Arithmetic saturates: a guest can put any
/// 64-bit time into a command, and a deadline must not wrap into the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ns(pub u64);

impl Ns {
    /// The beginning of time, and the empty span.
    pub const ZERO: Self = Self(0);
    /// The end of time: later than everything that will happen.
    pub const MAX: Self = Self(u64::MAX);

    /// A span of `us` microseconds.
    #[must_use]
    pub const fn from_us(us: u64) -> Self {
        Self(us.saturating_mul(1_000))
    }

    /// A span of `ms` milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// A span of `s` seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000_000))
    }

    /// The span since `earlier`; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// This span as seconds, for people.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Ns {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Ns {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Ns {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.since(other)
    }
}

impl fmt::Display for Ns {
    /// Three significant digits in the unit that suits: `850 ns`, `40.0 us`, `1.25 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.0 {
            0..1_000 => return f.pad(&format!("{} ns", self.0)),
            1_000..1_000_000 => (self.0 as f64 / 1e3, "us"),
            1_000_000..1_000_000_000 => (self.0 as f64 / 1e6, "ms"),
            _ => (self.0 as f64 / 1e9, "s"),
        };
        let digits = if value < 10.0 {
            2
        } else if value < 100.0 {
            1
        } else {
            0
        };
        f.pad(&format!("{value:.digits$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Ns::MAX + Ns(1), Ns::MAX);
        assert_eq!(Ns(1) - Ns(2), Ns::ZERO);
    }

    #[test]
    fn display_picks_the_unit_that_suits() {
        assert_eq!(Ns(850).to_string(), "850 ns");
        assert_eq!(Ns(40_000).to_string(), "40.0 us");
        assert_eq!(Ns(1_250_000_000).to_string(), "1.25 s");
    }
}
