//! How wear, age and reads make a page harder to read.

use ersatz_engine::Ns;

/// Error correction in steps: a page whose bits have drifted is read again with shifted thresholds.
/// How many steps it takes grows linearly with erases, age and reads of its block; each 0 means that
/// this cause has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reliability {
    /// Time of decoding a page, in every read.
    pub decode: Ns,
    /// Array time of one more step; 0: as long as the page's read.
    pub retry: Ns,
    /// Erases of the block that cost one step.
    pub erases_per_step: u32,
    /// Time since the block was filled that costs one step.
    pub age_per_step: Ns,
    /// Reads of the block since its erase that cost one step.
    pub reads_per_step: u32,
    /// The most steps; a page that would need more can't be read.
    pub steps: u32,
    /// Erases that the block is rated for: 100 % of its endurance. 0: unknown.
    pub rated_erases: u32,
    /// Of a million erases, how many fail and cost a spare block.
    pub erase_faults_ppm: u32,
    /// Of a million programs of a block that was erased as often as it is rated for, how many fail;
    /// of others, more or fewer in proportion to their erases. Without a rating: of all.
    pub program_faults_ppm: u32,
}

impl Default for Reliability {
    /// Flash that never errs.
    fn default() -> Self {
        Self {
            decode: Ns::ZERO,
            retry: Ns::ZERO,
            erases_per_step: 0,
            age_per_step: Ns::ZERO,
            reads_per_step: 0,
            steps: 0,
            rated_erases: 0,
            erase_faults_ppm: 0,
            program_faults_ppm: 0,
        }
    }
}

impl Reliability {
    /// Of a million programs of a block, how many fail.
    #[must_use]
    pub fn program_faults(&self, erases: u32) -> u64 {
        let worn = u64::from(self.program_faults_ppm) * u64::from(erases);
        worn.checked_div(self.rated_erases.into())
            .unwrap_or(self.program_faults_ppm.into())
    }

    /// Steps that a read needs after the first attempt, or `None` when no step helps.
    #[inline]
    #[must_use]
    pub fn retries(&self, erases: u32, age: Ns, reads: u32) -> Option<u32> {
        let steps = u64::from(erases.checked_div(self.erases_per_step).unwrap_or(0))
            + age.0.checked_div(self.age_per_step.0).unwrap_or(0)
            + u64::from(reads.checked_div(self.reads_per_step).unwrap_or(0));
        u32::try_from(steps)
            .ok()
            .filter(|steps| *steps <= self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_fail_in_proportion_to_wear() {
        let mut reliability = Reliability {
            program_faults_ppm: 50,
            rated_erases: 1000,
            ..Reliability::default()
        };
        let faults = |it: Reliability| [0, 500, 4000].map(|erases| it.program_faults(erases));
        assert_eq!(faults(reliability), [0, 25, 200]);
        reliability.rated_erases = 0;
        assert_eq!(faults(reliability), [50; 3]);
    }

    #[test]
    fn every_cause_adds_its_steps_until_none_helps() {
        let reliability = Reliability {
            erases_per_step: 1000,
            age_per_step: Ns::from_secs(10),
            reads_per_step: 500,
            steps: 4,
            ..Reliability::default()
        };
        assert_eq!(reliability.retries(999, Ns::from_secs(9), 499), Some(0));
        assert_eq!(reliability.retries(1000, Ns::from_secs(20), 500), Some(4));
        assert_eq!(reliability.retries(2000, Ns::from_secs(20), 500), None);
        assert_eq!(
            Reliability::default().retries(u32::MAX, Ns::MAX, u32::MAX),
            Some(0)
        );
    }
}
