//! When the requests of an open loop come.

use crate::job::{Arrivals, Rate};
use ersatz_engine::{Ns, Rng};
use libm::log;

const SECOND: u128 = 1_000_000_000;
const PS_PER_NS: u128 = 1_000;

/// Tells the arrivals of a job, one after the other. The first is where the job starts.
#[derive(Clone, Debug)]
pub(crate) struct Clockwork {
    rate: Rate,
    arrivals: Arrivals,
    start: Ns,
    /// Requests or bytes so far, whichever the rate counts.
    amount: u128,
    /// Picoseconds so far, where gaps are drawn by lot.
    elapsed: u128,
    next: Ns,
}

impl Clockwork {
    /// From `start` on.
    pub(crate) fn new(rate: Rate, arrivals: Arrivals, start: Ns) -> Self {
        Self {
            rate,
            arrivals,
            start,
            amount: 0,
            elapsed: 0,
            next: start,
        }
    }

    /// When the next request arrives.
    pub(crate) fn next(&self) -> Ns {
        self.next
    }

    /// A request of `bytes` has arrived.
    pub(crate) fn advance(&mut self, bytes: u64, rng: &mut Rng) {
        let (amount, per_second) = match self.rate {
            Rate::Requests(rate) => (1, u128::from(rate)),
            Rate::Bytes(rate) => (u128::from(bytes), u128::from(rate)),
        };
        let per_second = per_second.max(1);
        let since = match self.arrivals {
            // From the start each time, so that nothing is lost to rounding.
            Arrivals::Fixed => {
                self.amount += amount;
                self.amount * SECOND / per_second
            }
            Arrivals::Poisson => {
                let mean = (amount * SECOND * PS_PER_NS / per_second) as f64;
                self.elapsed += (-log(1.0 - rng.unit()) * mean) as u128;
                self.elapsed / PS_PER_NS
            }
        };
        self.next = self.start + Ns(u64::try_from(since).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: Rate, arrivals: Arrivals, count: usize) -> Vec<u64> {
        let mut clockwork = Clockwork::new(rate, arrivals, Ns(5));
        let mut rng = Rng::new(9);
        (0..count)
            .map(|_| {
                let at = clockwork.next();
                clockwork.advance(4_096, &mut rng);
                at.0
            })
            .collect()
    }

    #[test]
    fn fixed_arrivals_do_not_drift() {
        let times = times(Rate::Requests(3), Arrivals::Fixed, 3_001);
        assert_eq!(times[..4], [5, 333_333_338, 666_666_671, 1_000_000_005]);
        assert_eq!(times[3_000], 1_000_000_000_005);
    }

    #[test]
    fn a_rate_in_bytes_spaces_requests_by_their_size() {
        let times = times(Rate::Bytes(4_096_000), Arrivals::Fixed, 3);
        assert_eq!(times, [5, 1_000_005, 2_000_005]);
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_spread_of_an_exponential() {
        let times = times(Rate::Requests(1_000_000), Arrivals::Poisson, 100_001);
        let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64);
        let mean = gaps.clone().sum::<f64>() / 100_000.0;
        let square = gaps.map(|gap| gap * gap).sum::<f64>() / 100_000.0;
        assert!((mean / 1_000.0 - 1.0).abs() < 0.02, "{mean}");
        assert!(
            (square / (2.0 * mean * mean) - 1.0).abs() < 0.05,
            "{square}"
        );
    }
}
