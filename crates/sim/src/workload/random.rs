//! Where random requests go.

use super::Distribution;
use ersatz_engine::Rng;

/// Draws block numbers from `0..count`.
#[derive(Clone, Debug)]
pub struct Places {
    count: u64,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    Uniform,
    Zipf(Zipf),
    /// The exponent that a uniform number is raised to.
    Pareto(f64),
    /// Requests up to this share, go to blocks from .. to.
    Zoned(Vec<(f64, u64, u64)>),
}

impl Places {
    /// Draws from `count` blocks, at least one.
    pub fn new(distribution: &Distribution, count: u64) -> Self {
        let how = match distribution {
            Distribution::Uniform => How::Uniform,
            Distribution::Zipf(theta) => How::Zipf(Zipf::new(*theta, count)),
            Distribution::Pareto(h) => How::Pareto(h.ln() / (1.0 - h).ln()),
            Distribution::Zoned(zones) => {
                let (mut requests, mut blocks) = (0.0, 0.0);
                let place = |percent: f64| ((percent / 100.0 * count as f64) as u64).min(count);
                let mut zoned = Vec::new();
                for (access, size) in zones {
                    let from = place(blocks);
                    (requests, blocks) = (requests + access, blocks + size);
                    zoned.push((requests / 100.0, from, place(blocks)));
                }
                How::Zoned(zoned)
            }
        };
        Self { count, how }
    }

    /// The next one.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        match &self.how {
            How::Uniform => rng.below(self.count),
            How::Zipf(zipf) => scatter(zipf.draw(rng) - 1, self.count),
            How::Pareto(power) => {
                let rank = (self.count - 1) as f64 * rng.unit().powf(*power);
                scatter(rank as u64, self.count)
            }
            How::Zoned(zones) => {
                let at = rng.unit();
                let zone = zones
                    .iter()
                    .find(|(until, ..)| at < *until)
                    .or(zones.last());
                let (from, to) = zone.map_or((0, self.count), |(_, from, to)| (*from, *to));
                (from + rng.below(to - from)).min(self.count - 1)
            }
        }
    }
}

/// Popular blocks are not neighbours: a hash (SplitMix64's finaliser) of the rank says where.
fn scatter(rank: u64, count: u64) -> u64 {
    let mixed = (rank ^ (rank >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) % count
}

/// Zipf's law over `1..=count` by rejection-inversion (Hörmann and Derflinger, 1996): no table,
/// and the same cost for any number of blocks.
#[derive(Clone, Debug)]
struct Zipf {
    theta: f64,
    count: f64,
    /// The integral of the law up to 1.5, less the law at 1, and up to the end.
    first: f64,
    last: f64,
    /// Numbers so close above their integer are taken without a closer look.
    close: f64,
}

impl Zipf {
    fn new(theta: f64, count: u64) -> Self {
        let mut zipf = Self {
            theta,
            count: count as f64,
            first: 0.0,
            last: 0.0,
            close: 0.0,
        };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.count + 0.5);
        zipf.close = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.law(2.0));
        zipf
    }

    fn law(&self, x: f64) -> f64 {
        (-self.theta * x.ln()).exp()
    }

    fn integral(&self, x: f64) -> f64 {
        let (log, power) = (x.ln(), 1.0 - self.theta);
        if (power * log).abs() < 1e-8 {
            return log;
        }
        (power * log).exp_m1() / power
    }

    fn inverse(&self, y: f64) -> f64 {
        let power = 1.0 - self.theta;
        let t = (y * power).max(-1.0);
        if t.abs() < 1e-8 {
            return y.exp();
        }
        (t.ln_1p() / power).exp()
    }

    fn draw(&self, rng: &mut Rng) -> u64 {
        loop {
            let y = self.last + rng.unit() * (self.first - self.last);
            let x = self.inverse(y);
            let k = x.round().clamp(1.0, self.count);
            if k - x <= self.close || y >= self.integral(k + 0.5) - self.law(k) {
                return k as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 200_000;

    #[test]
    fn zipf_follows_its_law() {
        for theta in [0.5, 0.99, 1.0, 1.2, 2.0] {
            let (zipf, mut rng) = (Zipf::new(theta, 1_000), Rng::new(1));
            let mut seen = vec![0u64; 1_001];
            (0..DRAWS).for_each(|_| seen[zipf.draw(&mut rng) as usize] += 1);
            let norm: f64 = (1..=1_000).map(|k| f64::from(k).powf(-theta)).sum();
            for k in [1usize, 2, 10] {
                let expected = DRAWS as f64 * (k as f64).powf(-theta) / norm;
                // Five standard deviations of a count.
                let off = (seen[k] as f64 - expected).abs();
                assert!(
                    off < 5.0 * expected.sqrt() + 1.0,
                    "{theta} {k}: {} {expected}",
                    seen[k]
                );
            }
        }
    }

    #[test]
    fn zones_get_their_shares() {
        let zones = Distribution::Zoned(vec![(80.0, 10.0), (15.0, 30.0), (5.0, 60.0)]);
        let (places, mut rng) = (Places::new(&zones, 1_000), Rng::new(2));
        let mut seen = [0u64; 3];
        for _ in 0..DRAWS {
            match places.draw(&mut rng) {
                0..100 => seen[0] += 1,
                100..400 => seen[1] += 1,
                _ => seen[2] += 1,
            }
        }
        for (seen, share) in seen.into_iter().zip([0.8, 0.15, 0.05]) {
            assert!((seen as f64 / DRAWS as f64 - share).abs() < 0.01);
        }
    }

    #[test]
    fn every_distribution_stays_inside_of_any_number_of_blocks() {
        let mut rng = Rng::new(3);
        for distribution in [
            Distribution::Uniform,
            Distribution::Zipf(0.0),
            Distribution::Zipf(1.0),
            Distribution::Zipf(100.0),
            Distribution::Pareto(0.2),
            Distribution::Zoned(vec![(100.0, 0.0), (0.0, 100.0)]),
        ] {
            for count in [1, 2, 3, 1_000_003, u64::MAX >> 12] {
                let places = Places::new(&distribution, count);
                assert!((0..100).all(|_| places.draw(&mut rng) < count));
            }
        }
    }
}
