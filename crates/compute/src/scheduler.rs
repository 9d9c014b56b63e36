//! The seam between a class of units and what decides who gets them.

use crate::schedulers::{
    DeadlineFirst, FairShare, Fifo, GroupedFifo, GroupedRoundRobin, Priority, RoundRobin,
};
use ersatz_engine::Ns;
use std::fmt;

/// Names a job. Numbers grow with the order of arrival and are never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

/// Names a job group; 0 is the group of all jobs that name none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub u8);

/// A job that waits for a unit, as schedulers see it. What it costs is not theirs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which job.
    pub number: Number,
    /// Its group.
    pub group: GroupId,
    /// 1 to 9; 9 is the most urgent.
    pub priority: u8,
    /// When it shall be done.
    pub deadline: Ns,
    /// Since when it waits: since its arrival, or since its last time slice ended.
    pub since: Ns,
}

/// Decides which of the waiting jobs gets a unit that is free.
///
/// Calls come in the order of virtual time. The answer may depend on earlier calls and on nothing
/// else. An implementation must give out each entry exactly once, some entry whenever one waits,
/// and none for ever later than the others: no job starves.
pub trait Scheduler: fmt::Debug + Send {
    /// A job begins to wait, at `entry.since`.
    fn push(&mut self, entry: Entry);

    /// Takes the job that gets a unit at `now`; `None` only when nobody waits.
    fn pop(&mut self, now: Ns) -> Option<Entry>;

    /// Whether nobody waits.
    fn is_empty(&self) -> bool;

    /// Whether a job gives its unit back after a time slice; else it keeps it to its end.
    fn is_sliced(&self) -> bool {
        true
    }

    /// Whether `new`, which finds no unit free, shall have the unit of `running` at once.
    fn preempts(&self, new: &Entry, running: &Entry) -> bool {
        let _ = (new, running);
        false
    }

    /// Whether [`Scheduler::preempts`] is ever true: then no job's end is certain before it is there.
    fn is_preemptive(&self) -> bool {
        false
    }

    /// `entry` will occupy a unit for `time` now.
    fn charge(&mut self, entry: &Entry, time: Ns) {
        let _ = (entry, time);
    }
}

/// The schedulers that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// First come, first served, each job to its end.
    #[default]
    Fifo,
    /// Time slices in turn.
    RoundRobin,
    /// Groups in turn, each job to its end.
    GroupedFifo,
    /// Groups in turn, and the jobs of each in turn, by time slices.
    GroupedRoundRobin,
    /// The highest priority first, which grows with waiting.
    Priority,
    /// Earliest deadline first.
    DeadlineFirst,
    /// Time of the units in proportion to the groups' priorities.
    FairShare,
}

/// What schedulers can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a job has to wait to count as one priority higher; at least 1 ns.
    pub ageing: Ns,
}

impl Policy {
    /// All, with the first as the default.
    pub const ALL: [Self; 7] = [
        Self::Fifo,
        Self::RoundRobin,
        Self::GroupedFifo,
        Self::GroupedRoundRobin,
        Self::Priority,
        Self::DeadlineFirst,
        Self::FairShare,
    ];

    /// As drive files and reports have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::RoundRobin => "round-robin",
            Self::GroupedFifo => "grouped-fifo",
            Self::GroupedRoundRobin => "grouped-round-robin",
            Self::Priority => "priority",
            Self::DeadlineFirst => "deadline",
            Self::FairShare => "fair-share",
        }
    }

    /// The scheduler, for the units of one class.
    #[must_use]
    pub fn scheduler(self, settings: &Settings) -> Box<dyn Scheduler> {
        match self {
            Self::Fifo => Box::new(Fifo::default()),
            Self::RoundRobin => Box::new(RoundRobin::default()),
            Self::GroupedFifo => Box::new(GroupedFifo::default()),
            Self::GroupedRoundRobin => Box::new(GroupedRoundRobin::default()),
            Self::Priority => Box::new(Priority::new(settings.ageing)),
            Self::DeadlineFirst => Box::new(DeadlineFirst::default()),
            Self::FairShare => Box::new(FairShare::default()),
        }
    }
}
