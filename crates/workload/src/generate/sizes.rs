//! How large requests are.

use ersatz_engine::Rng;

/// Draws sizes by their weights.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Logical blocks, and the sum of the weights up to here.
    upto: Vec<(u32, u64)>,
}

impl Sizes {
    /// Sizes in logical blocks, each with its weight. One weight at least is not zero.
    pub(crate) fn new(weighted: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut sum = 0;
        let upto = weighted.into_iter().map(|(blocks, weight)| {
            sum += u64::from(weight);
            (blocks, sum)
        });
        Self {
            upto: upto.collect(),
        }
    }

    /// A size in logical blocks.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u32 {
        let &[.., (largest, sum)] = self.upto.as_slice() else {
            return 1;
        };
        if self.upto.len() == 1 {
            return largest;
        }
        let at = rng.below(sum);
        let found = self.upto.partition_point(|&(_, upto)| upto <= at);
        self.upto.get(found).map_or(largest, |&(blocks, _)| blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_as_often_as_their_weights_say() {
        let sizes = Sizes::new([(1, 60), (4, 0), (8, 40)]);
        let mut rng = Rng::new(1);
        let drawn: Vec<_> = (0..10_000).map(|_| sizes.draw(&mut rng)).collect();
        let count = |size| drawn.iter().filter(|&&it| it == size).count();
        assert_eq!(count(4), 0);
        assert!(count(1).abs_diff(6_000) < 250, "{}", count(1));
        assert_eq!(count(1) + count(8), 10_000);
    }
}
