//! Distributions of times.

use crate::Ns;

/// A histogram of times from 1 ns to about an hour, three significant digits, mergeable.
#[derive(Clone, Debug)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

/// Longer times are counted as this one: the histogram's memory is bounded.
const LONGEST: u64 = 1 << 42;

impl Histogram {
    /// An empty histogram.
    #[must_use]
    #[allow(clippy::expect_used)] // The bounds are constants that the constructor accepts.
    pub fn new() -> Self {
        Self(hdrhistogram::Histogram::new_with_bounds(1, LONGEST, 3).expect("constant bounds"))
    }

    /// Counts `time` once.
    pub fn record(&mut self, time: Ns) {
        self.0.saturating_record(time.0.min(LONGEST));
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time below which a fraction `q` (0.0–1.0) of the recorded ones lie.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Ns {
        Ns(self.0.value_at_quantile(q))
    }

    /// The longest recorded time.
    #[must_use]
    pub fn max(&self) -> Ns {
        Ns(self.0.max())
    }

    /// The mean of the recorded times, in ns.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// Adds what `other` recorded.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds: nothing can be out of range.
        let _ = self.0.add(&other.0);
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_follow_what_was_recorded() {
        let mut histogram = Histogram::new();
        for ns in 1..=1_000 {
            histogram.record(Ns(ns));
        }
        histogram.record(Ns::MAX);
        assert_eq!(histogram.count(), 1_001);
        let median = histogram.quantile(0.5).0;
        assert!((495..=505).contains(&median), "{median}");
        assert!(histogram.max().0 >= LONGEST - LONGEST / 1_000);
    }
}
