//! All compute units of a namespace.

use crate::group::{GroupError, Groups};
use crate::pool::{JobStatistics, Pool, Sharing};
use crate::scheduler::{Entry, GroupId, Number, Policy, Settings};
use ersatz_engine::Ns;
use std::collections::BTreeMap;

/// Units that are alike. A class has a scheduler of its own; its jobs wait for no other's units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassConfig {
    /// What reports call it.
    pub name: String,
    /// Units, at least 1.
    pub units: u16,
}

/// What the units are, and how they are shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeConfig {
    /// The classes, at least one.
    pub classes: Vec<ClassConfig>,
    /// Who is next.
    pub policy: Policy,
    /// Longest time that a job keeps a unit while others wait, with schedulers that slice time; at
    /// least 1 ns.
    pub time_slice: Ns,
    /// What it takes a unit to begin with a job that it did not have just before.
    pub context_switch: Ns,
    /// How long a job has to wait to count as one priority higher.
    pub ageing: Ns,
}

impl ComputeConfig {
    /// So many units of one class, first come, first served, without a cost of switching.
    #[must_use]
    pub fn fifo(units: u16) -> Self {
        Self {
            classes: vec![ClassConfig {
                name: "unit".into(),
                units,
            }],
            policy: Policy::Fifo,
            time_slice: Ns::MAX,
            context_switch: Ns::ZERO,
            ageing: Ns::MAX,
        }
    }
}

/// What is known of a job when it arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Index of the class that it runs on.
    pub class: usize,
    /// Its group.
    pub group: GroupId,
    /// Bytes that it works on, which its group's bandwidth counts.
    pub bytes: u64,
}

/// A job whose end is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done<J> {
    /// Which.
    pub number: Number,
    /// What it arrived with.
    pub load: J,
    /// Its group.
    pub group: GroupId,
    /// When it arrived.
    pub arrival: Ns,
    /// When it ends; this may be later than now.
    pub at: Ns,
    /// Whether that is after its deadline.
    pub missed: bool,
    /// What became of it.
    pub statistics: JobStatistics,
}

/// Compute units, the jobs on them, and the jobs' groups. Each job carries a `J` for its owner.
///
/// Time only goes forward: no call may name an earlier time than one before it.
#[derive(Debug)]
pub struct Compute<J> {
    pools: Vec<Pool>,
    groups: Groups,
    jobs: BTreeMap<Number, Present<J>>,
    next: u64,
}

#[derive(Debug)]
struct Present<J> {
    job: Job,
    arrival: Ns,
    /// To be missed.
    deadline: Option<Ns>,
    load: J,
}

impl<J> Compute<J> {
    /// The units of `config`, idle.
    #[must_use]
    pub fn new(config: &ComputeConfig) -> Self {
        let sharing = Sharing {
            slice: config.time_slice,
            switch: config.context_switch,
        };
        let settings = Settings {
            ageing: config.ageing,
        };
        let pool = |class: &ClassConfig| {
            let scheduler = config.policy.scheduler(&settings);
            Pool::new(class.units.into(), scheduler, sharing)
        };
        Self {
            pools: config.classes.iter().map(pool).collect(),
            groups: Groups::default(),
            jobs: BTreeMap::new(),
            next: 0,
        }
    }

    /// The job groups.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The job groups, to create, set and delete them.
    pub fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    /// A job arrives. A class that is not there is taken for the last.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn arrive(&mut self, now: Ns, job: Job, load: J) -> Result<Number, GroupError> {
        let class = job.class.min(self.pools.len().saturating_sub(1));
        let job = Job { class, ..job };
        let entrance = self.groups.enter(now, job.group, job.bytes)?;
        let number = Number(self.next);
        self.next += 1;
        let entry = Entry {
            number,
            group: job.group,
            priority: entrance.priority,
            deadline: entrance.deadline,
            since: entrance.passes_at,
        };
        if let Some(pool) = self.pools.get_mut(class) {
            pool.arrive(entry, entrance.passes_at - now);
        }
        let present = Present {
            job,
            arrival: now,
            deadline: entrance.has_deadline.then_some(entrance.deadline),
            load,
        };
        self.jobs.insert(number, present);
        Ok(number)
    }

    /// What a job arrived with, if its end is not certain.
    pub fn get_mut(&mut self, number: Number) -> Option<&mut J> {
        self.jobs.get_mut(&number).map(|present| &mut present.load)
    }

    /// What a job costs has become known; what it arrived with comes back, if it is not done.
    pub fn known(&mut self, number: Number, cost: Ns) -> Option<&mut J> {
        let present = self.jobs.get_mut(&number)?;
        self.pools.get_mut(present.job.class)?.known(number, cost);
        Some(&mut present.load)
    }

    /// Takes a job out that nobody wants any more; one that is [done](Done), but later than `now`,
    /// as well. It takes no time from `now` on.
    pub fn abandon(&mut self, number: Number, now: Ns) -> Option<J> {
        for pool in &mut self.pools {
            pool.abandon(number, now);
        }
        let present = self.jobs.remove(&number)?;
        self.groups.leave(present.job.group, None);
        Some(present.load)
    }

    /// Nobody waits any more for what the groups' bandwidths hold back beyond `now`.
    pub fn release(&mut self, now: Ns) {
        self.groups.cut(now);
    }

    /// Lets all happen that is certain and not after `now`.
    pub fn advance(&mut self, now: Ns) {
        for pool in &mut self.pools {
            pool.advance(now);
        }
    }

    /// Takes a job whose end has become certain.
    pub fn take_done(&mut self) -> Option<Done<J>> {
        let (end, present) = loop {
            let end = self.pools.iter_mut().find_map(Pool::take_told)?;
            // Else it was abandoned since.
            if let Some(present) = self.jobs.remove(&end.number) {
                break (end, present);
            }
        };
        let missed = present.deadline.is_some_and(|deadline| end.at > deadline);
        self.groups
            .leave(present.job.group, Some((&end.statistics, missed)));
        Some(Done {
            number: end.number,
            load: present.load,
            group: present.job.group,
            arrival: present.arrival,
            at: end.at,
            missed,
            statistics: end.statistics,
        })
    }

    /// When [`Compute::advance`] has something to do again, unless a cost has to become known
    /// before.
    #[must_use]
    pub fn next_due(&self) -> Option<Ns> {
        self.pools.iter().filter_map(Pool::next_due).min()
    }

    /// Since when a job runs whose cost is not known: what is decided after that waits for it.
    #[must_use]
    pub fn unknown_since(&self) -> Option<Ns> {
        self.pools.iter().filter_map(Pool::unknown_since).min()
    }

    /// The jobs whose end is not certain.
    pub fn present(&self) -> impl ExactSizeIterator<Item = (Number, &J)> {
        self.jobs
            .iter()
            .map(|(&number, present)| (number, &present.load))
    }

    /// How long each unit of a class has been occupied, up to the last time slice that is over.
    pub fn busy(&self, class: usize) -> impl Iterator<Item = Ns> {
        self.pools.get(class).into_iter().flat_map(Pool::busy)
    }
}

#[cfg(test)]
mod tests;
