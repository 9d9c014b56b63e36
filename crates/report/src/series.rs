//! Sums over time, in as many buckets as a picture has room for.

use ersatz_engine::Ns;

/// The most buckets.
const LIMIT: usize = 512;

/// Buckets begin about a microsecond wide: 2^10 ns.
const NARROWEST: u32 = 10;

/// `N` sums for each stretch of time. The stretches begin short and double whenever time outgrows
/// [`LIMIT`] of them, so that memory is bounded and the sums don't depend on the order of calls.
#[derive(Clone, Debug)]
pub struct Series<const N: usize> {
    shift: u32,
    buckets: Vec<[u64; N]>,
}

impl<const N: usize> Default for Series<N> {
    fn default() -> Self {
        Self {
            shift: NARROWEST,
            buckets: Vec::new(),
        }
    }
}

impl<const N: usize> Series<N> {
    /// The width of a bucket.
    pub fn width(&self) -> Ns {
        Ns(1 << self.shift)
    }

    /// All buckets up to the last one that something was added to.
    pub fn buckets(&self) -> &[[u64; N]] {
        &self.buckets
    }

    /// Adds `amount` to sum `which` of the bucket of `at`.
    pub fn add(&mut self, at: Ns, which: usize, amount: u64) {
        let bucket = self.bucket(at);
        self.buckets[bucket][which] = self.buckets[bucket][which].saturating_add(amount);
    }

    /// Adds each nanosecond from `begin` to `end` to sum `which` of its bucket.
    pub fn spread(&mut self, begin: Ns, end: Ns, which: usize) {
        if begin >= end {
            return;
        }
        let last = self.bucket(Ns(end.0 - 1));
        let first = (begin.0 >> self.shift) as usize;
        let width = self.width().0;
        for (at, bucket) in self.buckets[first..=last].iter_mut().enumerate() {
            let from = (first + at) as u64 * width;
            let until = end.0.min(from.saturating_add(width));
            bucket[which] = bucket[which].saturating_add(until - begin.0.max(from));
        }
    }

    /// Doubles the width until it is at least `width` and there are at most `count` (at least 1)
    /// buckets.
    pub fn coarsen(&mut self, width: Ns, count: usize) {
        while self.width() < width || self.buckets.len() > count {
            self.halve();
        }
    }

    /// The bucket of `at`, which is there afterwards.
    fn bucket(&mut self, at: Ns) -> usize {
        while at.0 >> self.shift >= LIMIT as u64 {
            self.halve();
        }
        let bucket = (at.0 >> self.shift) as usize;
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, [0; N]);
        }
        bucket
    }

    fn halve(&mut self) {
        self.shift += 1;
        let half = self.buckets.len().div_ceil(2);
        for to in 0..half {
            let right = self.buckets.get(2 * to + 1).copied().unwrap_or([0; N]);
            let mut sums = self.buckets[2 * to];
            for (sum, more) in sums.iter_mut().zip(right) {
                *sum = sum.saturating_add(more);
            }
            self.buckets[to] = sums;
        }
        self.buckets.truncate(half);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_time_has_a_bucket() {
        let mut series = Series::<1>::default();
        series.add(Ns(3), 0, 1);
        series.add(Ns::MAX, 0, 5);
        series.spread(Ns(0), Ns::MAX, 0);
        assert!(series.buckets().len() <= LIMIT);
        assert!(series.buckets()[LIMIT - 1][0] > 5);
    }

    #[test]
    fn work_is_spread_over_the_buckets_that_it_touches() {
        let mut series = Series::<1>::default();
        series.spread(Ns(1_000), Ns(2_100), 0);
        series.spread(Ns(7), Ns(7), 0);
        assert_eq!(series.buckets(), [[24], [1_024], [52]]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_order_does_not_matter(
            spans in prop::collection::vec((0u64..1 << 40, 0u64..1 << 30), 1..50)
        ) {
            let (mut forth, mut back) = (Series::<2>::default(), Series::<2>::default());
            for &(begin, length) in &spans {
                forth.spread(Ns(begin), Ns(begin + length), 1);
                forth.add(Ns(begin), 0, 1);
            }
            for &(begin, length) in spans.iter().rev() {
                back.spread(Ns(begin), Ns(begin + length), 1);
                back.add(Ns(begin), 0, 1);
            }
            prop_assert_eq!(forth.buckets(), back.buckets());
            forth.coarsen(Ns(1 << 33), 7);
            prop_assert!(forth.buckets().len() <= 7 && forth.width() >= Ns(1 << 33));
            let sum = |i: usize| forth.buckets().iter().map(|bucket| bucket[i]).sum::<u64>();
            prop_assert_eq!(sum(0), spans.len() as u64);
            prop_assert_eq!(sum(1), spans.iter().map(|span| span.1).sum::<u64>());
        }
    }
}
