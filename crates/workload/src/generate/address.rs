//! Where requests go.

use super::permutation::Permutation;
use super::zipf::Zipf;
use crate::job::{Distribution, Zone};
use ersatz_engine::Rng;
use libm::{log, pow};

/// Hundredths of a percent in the whole.
const WHOLE: u64 = 10_000;

/// Chooses the first block of each request within a region. Random requests begin at multiples of
/// the smallest size: the region's slots.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    /// Logical blocks of the region, at least those of the largest request.
    blocks: u64,
    /// Logical blocks of a slot.
    slot: u64,
    picker: Picker,
}

#[derive(Clone, Debug)]
enum Picker {
    /// Each operation goes through the region by itself, from its own block on.
    Sequential {
        next: [u64; 3],
    },
    Uniform,
    /// Each slot once, and then again in another order.
    Each {
        order: Permutation,
        done: u64,
    },
    Zipf {
        zipf: Zipf,
        places: Permutation,
    },
    Pareto {
        power: f64,
        places: Permutation,
    },
    Zoned(Vec<Part>),
}

/// A zone in slots.
#[derive(Clone, Debug)]
struct Part {
    /// Hundredths of a percent of the requests that go here or into a zone before.
    upto: u64,
    first: u64,
    slots: u64,
}

impl Addresses {
    /// Goes through the region in order.
    pub(crate) fn sequential(blocks: u64) -> Self {
        Self {
            blocks,
            slot: 1,
            picker: Picker::Sequential { next: [0; 3] },
        }
    }

    /// Goes where `distribution` says; popular places are spread over the region by `places`, which
    /// the clones of a job have in common. `None` when a zone has no slot.
    pub(crate) fn random(
        blocks: u64,
        slot: u32,
        distribution: &Distribution,
        each_once: bool,
        places: &mut Rng,
    ) -> Option<Self> {
        let slot = u64::from(slot.max(1));
        let slots = (blocks / slot).max(1);
        let picker = match distribution {
            Distribution::Uniform if each_once => Picker::Each {
                order: Permutation::new(slots, places),
                done: 0,
            },
            Distribution::Uniform => Picker::Uniform,
            Distribution::Zipf { theta } => Picker::Zipf {
                zipf: Zipf::new(slots, *theta),
                places: Permutation::new(slots, places),
            },
            Distribution::Pareto { h } => Picker::Pareto {
                power: log(*h) / log(1.0 - h),
                places: Permutation::new(slots, places),
            },
            Distribution::Zoned(zones) => Picker::Zoned(parts(zones, slots)?),
        };
        Some(Self {
            blocks,
            slot,
            picker,
        })
    }

    /// The first block, from the start of the region, of a request of `nlb` blocks; `op` is the
    /// number of its operation.
    pub(crate) fn next(&mut self, op: usize, nlb: u32, rng: &mut Rng) -> u64 {
        let nlb = u64::from(nlb);
        let slots = (self.blocks / self.slot).max(1);
        let slot = match &mut self.picker {
            Picker::Sequential { next } => {
                let next = &mut next[op.min(2)];
                if *next + nlb > self.blocks {
                    *next = 0;
                }
                let at = *next;
                *next += nlb;
                return at;
            }
            Picker::Uniform => rng.below(slots),
            Picker::Each { order, done } => {
                if *done == slots {
                    *order = Permutation::new(slots, rng);
                    *done = 0;
                }
                *done += 1;
                order.of(*done - 1)
            }
            Picker::Zipf { zipf, places } => places.of(zipf.draw(rng)),
            Picker::Pareto { power, places } => {
                let rank = (slots as f64 * pow(rng.unit(), *power)) as u64;
                places.of(rank.min(slots - 1))
            }
            Picker::Zoned(parts) => {
                let at = rng.below(WHOLE);
                let found = parts.partition_point(|part| part.upto <= at);
                let part = &parts[found.min(parts.len() - 1)];
                part.first + rng.below(part.slots)
            }
        };
        // A large request in one of the last slots moves back until it fits.
        let last = self.blocks.saturating_sub(nlb) / self.slot;
        slot.min(last) * self.slot
    }
}

/// The zones in slots; `None` when a zone that is asked for has none.
fn parts(zones: &[Zone], slots: u64) -> Option<Vec<Part>> {
    let (mut upto, mut size) = (0, 0);
    let at = |size: u64| (u128::from(slots) * u128::from(size) / u128::from(WHOLE)) as u64;
    let parts = zones.iter().map(|zone| {
        let first = at(size);
        upto += u64::from(zone.access);
        size += u64::from(zone.size);
        let slots = at(size) - first;
        (slots > 0 || zone.access == 0).then_some(Part { upto, first, slots })
    });
    let parts: Vec<_> = parts.collect::<Option<_>>()?;
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_engine::Rng;
    use proptest::prelude::*;

    fn random(blocks: u64, slot: u32, distribution: &Distribution, each: bool) -> Addresses {
        Addresses::random(blocks, slot, distribution, each, &mut Rng::new(3)).unwrap()
    }

    #[test]
    fn a_sequence_wraps_and_each_operation_has_its_own() {
        let (mut addresses, mut rng) = (Addresses::sequential(10), Rng::new(0));
        let reads: Vec<_> = (0..4).map(|_| addresses.next(0, 4, &mut rng)).collect();
        assert_eq!(reads, [0, 4, 0, 4]);
        assert_eq!(addresses.next(1, 4, &mut rng), 0);
    }

    #[test]
    fn a_random_map_comes_to_each_slot_once_per_pass() {
        let mut addresses = random(8 * 100, 8, &Distribution::Uniform, true);
        let mut rng = Rng::new(0);
        let mut pass = || {
            let pass: Vec<_> = (0..100).map(|_| addresses.next(0, 8, &mut rng)).collect();
            let mut sorted = pass.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq((0..100).map(|slot| slot * 8)));
            pass
        };
        assert_ne!(pass(), pass());
    }

    #[test]
    fn pareto_sends_most_requests_to_few_places() {
        // By definition of h: the share 1 - h of all requests goes to the share h of the slots.
        for h in [0.1, 0.2, 0.4] {
            let mut addresses = random(1_000, 1, &Distribution::Pareto { h }, false);
            let mut rng = Rng::new(4);
            let mut seen = vec![0u32; 1_000];
            for _ in 0..200_000 {
                seen[addresses.next(0, 1, &mut rng) as usize] += 1;
            }
            seen.sort_unstable_by(|a, b| b.cmp(a));
            let top: u32 = seen[..(1_000.0 * h) as usize].iter().sum();
            let share = f64::from(top) / 200_000.0;
            assert!((share - (1.0 - h)).abs() < 0.02, "{h}: {share}");
        }
    }

    #[test]
    fn zones_get_their_share() {
        let zones = [(5_000, 500), (3_000, 1_500), (2_000, 8_000)];
        let zones = zones.map(|(access, size)| Zone { access, size }).to_vec();
        let mut addresses = random(10_000, 1, &Distribution::Zoned(zones), false);
        let mut rng = Rng::new(6);
        let mut seen = [0u32; 3];
        for _ in 0..100_000 {
            match addresses.next(0, 1, &mut rng) {
                0..500 => seen[0] += 1,
                500..2_000 => seen[1] += 1,
                _ => seen[2] += 1,
            }
        }
        for (seen, expected) in seen.into_iter().zip([50_000, 30_000, 20_000]) {
            assert!(seen.abs_diff(expected) < 1_000, "{seen} of {expected}");
        }
    }

    #[test]
    fn a_zone_without_a_slot_is_none() {
        let zones = [(5_000, 1), (5_000, 9_999)];
        let zones = zones.map(|(access, size)| Zone { access, size }).to_vec();
        let zoned = Distribution::Zoned(zones);
        assert!(Addresses::random(100, 1, &zoned, false, &mut Rng::new(0)).is_none());
    }

    proptest! {
        #[test]
        fn requests_stay_in_the_region(
            blocks in 1u64..1 << 50,
            sizes in proptest::collection::vec(1u32..65_536, 1..4),
            kind in 0..6,
            seed: u64,
        ) {
            let slot = sizes.iter().copied().min().unwrap_or(1);
            let blocks = blocks.max(65_536);
            let zones = vec![Zone { access: 9_000, size: 5_000 }, Zone { access: 1_000, size: 5_000 }];
            let distribution = match kind {
                0 | 1 => Distribution::Uniform,
                2 => Distribution::Zipf { theta: 1.1 },
                3 => Distribution::Pareto { h: 0.2 },
                _ => Distribution::Zoned(zones),
            };
            let mut rng = Rng::new(seed);
            let addresses = match kind {
                5 => Some(Addresses::sequential(blocks)),
                _ => Addresses::random(blocks, slot, &distribution, kind == 1, &mut rng),
            };
            if let Some(mut addresses) = addresses {
                for _ in 0..50 {
                    for nlb in &sizes {
                        let at = addresses.next(0, *nlb, &mut rng);
                        prop_assert!(at + u64::from(*nlb) <= blocks);
                    }
                }
            }
        }
    }
}
