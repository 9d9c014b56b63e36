//! Which line garbage collection takes next.

use crate::lines::Lines;
use ersatz_engine::Ns;

/// A victim policy by FEMU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VictimPolicy {
    /// Fewest valid pages.
    #[default]
    Greedy,
    /// Greatest age × invalid ÷ valid.
    CostBenefit,
    /// Closed first.
    Fifo,
    /// Fewest valid pages of four samples, whose places in the heap follow from the time.
    DChoice,
    /// Any.
    Random,
}

impl VictimPolicy {
    /// The policy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "greedy" => Self::Greedy,
            "cost-benefit" => Self::CostBenefit,
            "fifo" => Self::Fifo,
            "d-choice" => Self::DChoice,
            "random" => Self::Random,
            _ => return None,
        })
    }

    /// The policy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::CostBenefit => "cost-benefit",
            Self::Fifo => "fifo",
            Self::DChoice => "d-choice",
            Self::Random => "random",
        }
    }
}

/// Takes lines out of the heap by a policy.
#[derive(Debug)]
pub struct Victims {
    policy: VictimPolicy,
    random: GlibcRandom,
}

impl Victims {
    /// Victims by `policy`.
    pub fn new(policy: VictimPolicy) -> Self {
        Self {
            policy,
            random: GlibcRandom::new(),
        }
    }

    /// Whether an attempt has an effect even when no victim is worth it: a random number is drawn
    /// and the heap changes.
    pub fn draws_first(&self) -> bool {
        self.policy == VictimPolicy::Random
    }

    /// Takes the victim out of the heap, unless `worth` refuses it: then it stays (`Random` takes
    /// it out and puts it back, which moves it).
    pub fn take(
        &mut self,
        lines: &mut Lines,
        now: Ns,
        worth: impl Fn(&Lines, u32) -> bool,
    ) -> Option<u32> {
        let victims = lines.victims();
        let first = *victims.first()?;
        let victim = match self.policy {
            VictimPolicy::Greedy => first,
            VictimPolicy::CostBenefit => cost_benefit(lines, now)?,
            VictimPolicy::Fifo => victims
                .iter()
                .copied()
                .min_by_key(|line| lines.get(*line).closed_at)?,
            VictimPolicy::DChoice => d_choice(lines, now)?,
            VictimPolicy::Random => {
                let victim = victims[self.random.next() as usize % victims.len()];
                lines.remove(victim);
                if worth(lines, victim) {
                    return Some(victim);
                }
                lines.insert(victim);
                return None;
            }
        };
        if !worth(lines, victim) {
            return None;
        }
        if self.policy == VictimPolicy::Greedy {
            return lines.pop();
        }
        lines.remove(victim);
        Some(victim)
    }
}

/// A line without valid pages beats every other one, and the last of them wins; else the first
/// line with the greatest benefit.
fn cost_benefit(lines: &Lines, now: Ns) -> Option<u32> {
    let benefit = |line: u32| {
        let age = now.since(lines.get(line).closed_at);
        u128::from(age.0) * u128::from(lines.invalid(line))
    };
    lines.victims().iter().copied().reduce(|best, line| {
        let (valid, best_valid) = (lines.get(line).valid, lines.get(best).valid);
        let better = valid == 0
            || best_valid != 0
                && benefit(line).saturating_mul(u128::from(best_valid))
                    > benefit(best).saturating_mul(u128::from(valid));
        if better { line } else { best }
    })
}

fn d_choice(lines: &Lines, now: Ns) -> Option<u32> {
    const SAMPLES: u32 = 4;
    const STRIDE: u32 = 2_654_435_761;
    let victims = lines.victims();
    let sample = |n: u32| {
        let at = now.0.wrapping_add(u64::from(n.wrapping_mul(STRIDE)));
        victims[(at % victims.len() as u64) as usize]
    };
    (0..SAMPLES)
        .map(sample)
        .min_by_key(|line| lines.get(*line).valid)
}

/// The GNU C library's `rand()` as it is when nobody has called `srand()`: an additive feedback
/// generator over 31 words, seeded by a multiplicative one.
#[derive(Debug)]
struct GlibcRandom {
    words: [u32; 31],
    next: usize,
}

impl GlibcRandom {
    const LAG: usize = 28;
    const DISCARDED: usize = 310;

    fn new() -> Self {
        let mut words = [1; 31];
        for i in 1..words.len() {
            // The seed is 1, so all words lie in 1..2^31-1 and no sign has to be minded.
            words[i] = (u64::from(words[i - 1]) * 16_807 % 2_147_483_647) as u32;
        }
        let mut random = Self { words, next: 3 };
        (0..Self::DISCARDED).for_each(|_| {
            random.next();
        });
        random
    }

    fn next(&mut self) -> u32 {
        let lagged = self.words[(self.next + Self::LAG) % self.words.len()];
        let word = &mut self.words[self.next];
        *word = word.wrapping_add(lagged);
        self.next = (self.next + 1) % self.words.len();
        self.words[(self.next + self.words.len() - 1) % self.words.len()] >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_c_library() {
        let mut random = GlibcRandom::new();
        let first: Vec<u32> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [1_804_289_383, 846_930_886, 1_681_692_777]);
    }

    /// Lines of 8 pages, closed one after the other at 100, 101, …
    fn lines(valid: &[u32]) -> Lines {
        let mut lines = Lines::new(valid.len() as u32, 8);
        for (line, valid) in (0..).zip(valid) {
            lines.open();
            (0..*valid).for_each(|_| lines.add_valid(line));
            lines.close(line, Ns(100 + u64::from(line)));
        }
        lines
    }

    fn take(policy: VictimPolicy, valid: &[u32], now: u64) -> Option<u32> {
        Victims::new(policy).take(&mut lines(valid), Ns(now), |_, _| true)
    }

    #[test]
    fn each_policy_takes_what_it_says() {
        assert_eq!(take(VictimPolicy::Greedy, &[5, 2, 7], 200), Some(1));
        assert_eq!(take(VictimPolicy::Fifo, &[5, 2, 7], 200), Some(0));
        // At 102 line 0 is 2 old and line 1 is 1 old: 2·3·2 against 1·6·5.
        assert_eq!(take(VictimPolicy::CostBenefit, &[5, 2, 7], 102), Some(1));
        assert_eq!(take(VictimPolicy::CostBenefit, &[5, 4, 7], 102), Some(0));
        assert_eq!(take(VictimPolicy::CostBenefit, &[0, 1, 0], 102), Some(2));
        assert_eq!(take(VictimPolicy::DChoice, &[5, 2, 7], 200), Some(1));
        assert_eq!(take(VictimPolicy::Greedy, &[], 200), None);
    }

    #[test]
    fn a_victim_that_is_not_worth_it_stays() {
        for policy in [
            VictimPolicy::Greedy,
            VictimPolicy::Fifo,
            VictimPolicy::Random,
        ] {
            let mut lines = lines(&[5, 2, 7]);
            assert_eq!(
                Victims::new(policy).take(&mut lines, Ns(200), |_, _| false),
                None
            );
            assert_eq!(lines.victims().len(), 3);
        }
    }
}
