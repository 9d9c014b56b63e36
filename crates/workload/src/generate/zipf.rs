//! Zipf-distributed ranks by rejection-inversion.
//!
//! W. Hörmann, G. Derflinger: Rejection-inversion to generate variates from monotone discrete
//! distributions, ACM TOMACS 6(3), 1996. No table and constant time for every count and exponent;
//! less than a tenth of the tries is rejected.

use ersatz_engine::Rng;
use libm::{exp, expm1, log, log1p};

/// Draws ranks from `0..count`, rank `k` with a probability proportional to `(k + 1)^-theta`.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    count: f64,
    theta: f64,
    /// The area below the curve from 1/2, shifted, up to 3/2 without the first bar.
    area_first: f64,
    /// The same up to the count and a half.
    area_all: f64,
    /// Where a candidate is this close below its bar's middle, no look at the area is needed.
    surely: f64,
}

impl Zipf {
    /// `count` ranks, at least one, with the exponent `theta` > 0.
    pub(crate) fn new(count: u64, theta: f64) -> Self {
        let mut zipf = Self {
            count: count.max(1) as f64,
            theta,
            area_first: 0.0,
            area_all: 0.0,
            surely: 0.0,
        };
        zipf.area_first = zipf.area(1.5) - 1.0;
        zipf.area_all = zipf.area(zipf.count + 0.5);
        zipf.surely = 2.0 - zipf.inverse(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    /// A rank.
    pub(crate) fn draw(&self, rng: &mut Rng) -> u64 {
        loop {
            let area = self.area_all + rng.unit() * (self.area_first - self.area_all);
            let x = self.inverse(area);
            // Rounding must not lead out of range.
            let k = (x + 0.5).floor().clamp(1.0, self.count);
            if k - x <= self.surely || area >= self.area(k + 0.5) - self.height(k) {
                return k as u64 - 1;
            }
        }
    }

    /// `x^-theta`.
    fn height(&self, x: f64) -> f64 {
        exp(-self.theta * log(x))
    }

    /// Integral of the height: `(x^(1 - theta) - 1) / (1 - theta)`, and `log x` where theta is 1.
    fn area(&self, x: f64) -> f64 {
        let log_x = log(x);
        expm1_over((1.0 - self.theta) * log_x) * log_x
    }

    /// Where the area has this value.
    fn inverse(&self, area: f64) -> f64 {
        // Below -1 only by rounding: the logarithm ends there.
        let t = (area * (1.0 - self.theta)).max(-1.0);
        exp(log1p_over(t) * area)
    }
}

/// `(exp x - 1) / x`, also where x is (almost) 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        expm1(x) / x
    } else {
        1.0 + x / 2.0
    }
}

/// `log(1 + x) / x`, also where x is (almost) 0.
fn log1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        log1p(x) / x
    } else {
        1.0 - x / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_those_of_theory() {
        const DRAWS: u32 = 400_000;
        for (count, theta) in [
            (1, 1.2),
            (2, 0.5),
            (10, 1.0),
            (100, 0.99),
            (1_000, 1.2),
            (50, 3.0),
        ] {
            let zipf = Zipf::new(count, theta);
            let mut rng = Rng::new(11);
            let mut seen = vec![0u32; count as usize];
            for _ in 0..DRAWS {
                seen[zipf.draw(&mut rng) as usize] += 1;
            }
            let weight = |rank: usize| (rank as f64 + 1.0).powf(-theta);
            let sum: f64 = (0..seen.len()).map(weight).sum();
            for (rank, &seen) in seen.iter().enumerate() {
                let expected = f64::from(DRAWS) * weight(rank) / sum;
                // Five standard deviations: a correct generator fails once in two million ranks.
                let tolerance = 5.0 * expected.sqrt() + 1.0;
                let off = (f64::from(seen) - expected).abs();
                assert!(
                    off <= tolerance,
                    "{count} {theta} {rank}: {seen} of {expected}"
                );
            }
        }
    }

    #[test]
    fn ranks_stay_in_range_for_huge_counts_and_odd_exponents() {
        let mut rng = Rng::new(5);
        for count in [1, 2, 1 << 40, (1 << 52) - 1] {
            for theta in [1e-6, 0.999_999_999, 1.0, 1.000_000_001, 10.0] {
                let zipf = Zipf::new(count, theta);
                assert!(
                    (0..1_000).all(|_| zipf.draw(&mut rng) < count),
                    "{count} {theta}"
                );
            }
        }
    }
}
