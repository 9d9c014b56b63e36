//! Latencies, counted.

use ersatz_engine::Ns;

/// Significant bits that tell buckets apart: each is at most 1/1024 of its values wide.
const BITS: u32 = 10;

/// A bucket. What it keeps of the values beside their number makes quantiles exact where one value
/// recurs, which is what modelled latencies do.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    count: u64,
    /// Sum of the values' distances from the bucket's least one.
    excess: u64,
}

/// How often which latency occurred, within 0.1 %: buckets that are one nanosecond wide up to 2 us
/// and then double their width with each power of two. At most 56 320 of them are ever kept.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    buckets: Vec<Bucket>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Distribution {
    /// Counts `latency` once.
    pub fn record(&mut self, latency: Ns) {
        let value = latency.0;
        let at = bucket_of(value);
        if at >= self.buckets.len() {
            self.buckets.resize(at + 1, Bucket::default());
        }
        let bucket = &mut self.buckets[at];
        bucket.count += 1;
        bucket.excess = bucket.excess.saturating_add(value - least_of(at));
        self.min = if self.count == 0 {
            value
        } else {
            self.min.min(value)
        };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += u128::from(value);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), Bucket::default());
        }
        for (to, from) in self.buckets.iter_mut().zip(&other.buckets) {
            to.count += from.count;
            to.excess = to.excess.saturating_add(from.excess);
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The shortest; zero if there is none.
    pub fn min(&self) -> Ns {
        Ns(self.min)
    }

    /// The longest; zero if there is none.
    pub fn max(&self) -> Ns {
        Ns(self.max)
    }

    /// The exact mean in ns; zero if there is none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        self.sum as f64 / self.count as f64
    }

    /// The least latency that `per_myriad` of 10 000 latencies don't exceed; zero if there is none.
    pub fn quantile(&self, per_myriad: u32) -> Ns {
        let rank = (u128::from(self.count) * u128::from(per_myriad)).div_ceil(10_000);
        let found = self
            .cumulative()
            .find(|&(_, count)| u128::from(count) >= rank.max(1));
        found.map_or(Ns::ZERO, |(latency, _)| latency)
    }

    /// Each latency that occurred, in order, and how many were not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Ns, u64)> {
        let used = self.buckets.iter().enumerate().filter(|(_, b)| b.count > 0);
        used.scan(0, |below, (at, bucket)| {
            *below += bucket.count;
            let value = least_of(at) + bucket.excess / bucket.count;
            Some((Ns(value.clamp(self.min, self.max)), *below))
        })
    }
}

fn bucket_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(BITS + 1);
    ((u64::from(shift) << BITS) + (value >> shift)) as usize
}

fn least_of(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    ((bucket - (shift << BITS)) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_contiguous_up_to_the_last_value() {
        assert_eq!(bucket_of(u64::MAX), 56_319);
        for bucket in 0..56_320 {
            let least = least_of(bucket);
            assert_eq!(bucket_of(least), bucket);
            if least > 0 {
                assert_eq!(bucket_of(least - 1), bucket - 1);
            }
        }
    }

    #[test]
    fn latencies_that_recur_are_exact() {
        let mut latencies = Distribution::default();
        for i in 0..1_000 {
            latencies.record(Ns(if i < 990 { 40_001 } else { 2_000_003 }));
        }
        assert_eq!(latencies.quantile(5_000), Ns(40_001));
        assert_eq!(latencies.quantile(9_900), Ns(40_001));
        assert_eq!(latencies.quantile(9_901), Ns(2_000_003));
        assert_eq!(latencies.quantile(9_990), Ns(2_000_003));
    }

    #[test]
    fn nothing_has_zero_latency() {
        let none = Distribution::default();
        assert_eq!((none.min(), none.max()), (Ns::ZERO, Ns::ZERO));
        assert_eq!((none.mean(), none.quantile(5_000)), (0.0, Ns::ZERO));
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_sorted_data(
            mut values in prop::collection::vec(0u64..10_000_000_000, 1..400),
            split in 0usize..400,
        ) {
            let (mut all, mut rest) = (Distribution::default(), Distribution::default());
            for (i, &value) in values.iter().enumerate() {
                if i < split { &mut all } else { &mut rest }.record(Ns(value));
            }
            all.merge(&rest);
            values.sort_unstable();
            prop_assert_eq!(all.min().0, values[0]);
            prop_assert_eq!(all.max().0, values[values.len() - 1]);
            let mean = values.iter().sum::<u64>() as f64 / values.len() as f64;
            prop_assert!((all.mean() - mean).abs() <= mean * 1e-12);
            for per_myriad in [1u32, 5_000, 9_000, 9_900, 9_990, 9_999, 10_000] {
                let rank = (values.len() * per_myriad as usize).div_ceil(10_000);
                let (expected, got) = (values[rank - 1], all.quantile(per_myriad).0);
                prop_assert!(got.abs_diff(expected) <= expected / 1_000, "{got} for {expected}");
            }
        }
    }
}
