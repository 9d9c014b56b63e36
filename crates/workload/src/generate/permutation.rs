//! Every number once, in an order that looks random, without a table.

use ersatz_engine::Rng;

const ROUNDS: usize = 4;

/// A bijection of `0..count`, drawn by lot: a Feistel network over the next power of four, applied
/// again while its result is out of range (cycle walking, on average less than four times).
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    count: u64,
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// A permutation of `count` numbers, at most 2^62.
    pub(crate) fn new(count: u64, rng: &mut Rng) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self {
            count,
            half: bits.div_ceil(2).clamp(1, 31),
            keys: core::array::from_fn(|_| rng.next_u64()),
        }
    }

    /// Where `index`, which is less than the count, is sent.
    pub(crate) fn of(&self, index: u64) -> u64 {
        let mut at = index;
        loop {
            at = self.once(at);
            // A bijection leads back to where it began, so this ends.
            if at < self.count || self.count == 0 {
                return at;
            }
        }
    }

    fn once(&self, at: u64) -> u64 {
        let mask = (1 << self.half) - 1;
        let (mut left, mut right) = (at >> self.half, at & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right ^ key) & mask));
        }
        left << self.half | right
    }
}

/// The finaliser of splitmix64: each bit of the result depends on all of `x`.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_exactly_once() {
        for count in [1, 2, 3, 4, 5, 63, 64, 65, 1_000] {
            let permutation = Permutation::new(count, &mut Rng::new(count));
            let mut seen: Vec<_> = (0..count).map(|index| permutation.of(index)).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn the_order_is_another_one_with_another_seed() {
        let order = |seed| {
            let permutation = Permutation::new(1_000, &mut Rng::new(seed));
            (0..1_000)
                .map(|index| permutation.of(index))
                .collect::<Vec<_>>()
        };
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), (0..1_000).collect::<Vec<_>>());
    }
}
