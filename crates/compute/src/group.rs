//! Job groups: quality of service, and what became of it.

use crate::cost::scaled;
use crate::pool::JobStatistics;
use crate::scheduler::GroupId;
use ersatz_engine::Ns;
use std::collections::BTreeMap;

/// Groups that there can be at a time, the one of jobs without a group included.
pub const MAX_GROUPS: usize = 256;

/// Before when a job of a group without deadline shall be done, so that it is not put off for ever.
const IMPLIED_DEADLINE: Ns = Ns::from_secs(1);

/// Quality of service of a group's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    /// 1 to 9; 9 is the most urgent, and has nine times the share of 1.
    pub priority: u8,
    /// Bytes per second that the group's jobs may work on, at least 1; `None` for any.
    pub bandwidth: Option<u64>,
    /// How long after its arrival a job shall be done.
    pub deadline: Option<Ns>,
}

impl Default for Qos {
    fn default() -> Self {
        Self {
            priority: 5,
            bandwidth: None,
            deadline: None,
        }
    }
}

/// What became of a group's jobs, since the group was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupStatistics {
    /// Jobs that are done.
    pub done: u64,
    /// Of these, those that were done after their deadline.
    pub missed: u64,
    /// Bytes that the jobs that arrived work on.
    pub bytes: u64,
    /// Sums over the jobs that are done.
    pub held: Ns,
    /// Time in which they waited for units.
    pub queued: Ns,
    /// Time in which they occupied units.
    pub running: Ns,
    /// Switches to them.
    pub switches: u64,
}

/// A group can't be what it is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is no such group.
    #[error("there is no job group {}", .0.0)]
    Unknown(GroupId),
    /// There are [`MAX_GROUPS`].
    #[error("there are {MAX_GROUPS} job groups already")]
    Full,
    /// It has jobs that are not done.
    #[error("job group {} has jobs", .0.0)]
    InUse(GroupId),
    /// Group 0 stays.
    #[error("job group 0 is that of the jobs without a group")]
    Permanent,
}

/// The job groups of a drive.
#[derive(Debug)]
pub struct Groups(BTreeMap<GroupId, Group>);

#[derive(Debug, Default)]
struct Group {
    qos: Qos,
    /// Jobs that are not done.
    present: usize,
    /// When the bandwidth lets the next job pass.
    passes_at: Ns,
    statistics: GroupStatistics,
}

/// How a job enters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrance {
    /// When it may begin to wait for a unit.
    pub(crate) passes_at: Ns,
    pub(crate) priority: u8,
    /// For schedulers.
    pub(crate) deadline: Ns,
    /// Whether there is one to miss.
    pub(crate) has_deadline: bool,
}

impl Default for Groups {
    fn default() -> Self {
        Self(BTreeMap::from([(GroupId(0), Group::default())]))
    }
}

impl Groups {
    /// A new group, with the lowest identifier that is free.
    ///
    /// # Errors
    /// When there are too many.
    pub fn create(&mut self, qos: Qos) -> Result<GroupId, GroupError> {
        let free = (1..=u8::MAX)
            .map(GroupId)
            .find(|id| !self.0.contains_key(id));
        let id = free.ok_or(GroupError::Full)?;
        let group = Group {
            qos,
            ..Group::default()
        };
        self.0.insert(id, group);
        Ok(id)
    }

    /// Changes what jobs of the group that arrive from now on get.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn set(&mut self, id: GroupId, qos: Qos) -> Result<(), GroupError> {
        self.0.get_mut(&id).ok_or(GroupError::Unknown(id))?.qos = qos;
        Ok(())
    }

    /// Deletes a group without jobs.
    ///
    /// # Errors
    /// When it has jobs, is group 0, or is not there.
    pub fn delete(&mut self, id: GroupId) -> Result<(), GroupError> {
        let group = self.0.get(&id).ok_or(GroupError::Unknown(id))?;
        if id == GroupId(0) {
            return Err(GroupError::Permanent);
        }
        if group.present > 0 {
            return Err(GroupError::InUse(id));
        }
        self.0.remove(&id);
        Ok(())
    }

    /// Whether there is such a group.
    #[must_use]
    pub fn contains(&self, id: GroupId) -> bool {
        self.0.contains_key(&id)
    }

    /// All groups, by identifier.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (GroupId, &Qos, &GroupStatistics)> {
        self.0
            .iter()
            .map(|(&id, group)| (id, &group.qos, &group.statistics))
    }

    /// A job that works on `bytes` arrives. With a bandwidth, jobs pass one after the other, each as
    /// many bytes behind the last as that one has.
    pub(crate) fn enter(
        &mut self,
        now: Ns,
        id: GroupId,
        bytes: u64,
    ) -> Result<Entrance, GroupError> {
        let group = self.0.get_mut(&id).ok_or(GroupError::Unknown(id))?;
        let mut passes_at = now;
        if let Some(bandwidth) = group.qos.bandwidth {
            passes_at = now.max(group.passes_at);
            group.passes_at = passes_at + scaled(bytes, 1_000_000_000, bandwidth.max(1));
        }
        group.present += 1;
        group.statistics.bytes = group.statistics.bytes.saturating_add(bytes);
        Ok(Entrance {
            passes_at,
            priority: group.qos.priority.clamp(1, 9),
            deadline: now + group.qos.deadline.unwrap_or(IMPLIED_DEADLINE),
            has_deadline: group.qos.deadline.is_some(),
        })
    }

    /// A job is done; `None`: it was abandoned.
    pub(crate) fn leave(&mut self, id: GroupId, done: Option<(&JobStatistics, bool)>) {
        let Some(group) = self.0.get_mut(&id) else {
            return;
        };
        group.present = group.present.saturating_sub(1);
        let Some((job, missed)) = done else { return };
        let sums = &mut group.statistics;
        sums.done += 1;
        sums.missed += u64::from(missed);
        sums.held += job.held;
        sums.queued += job.queued;
        sums.running += job.running;
        sums.switches += u64::from(job.switches);
    }

    /// Nobody waits any more for what bandwidths hold back beyond `now`.
    pub(crate) fn cut(&mut self, now: Ns) {
        for group in self.0.values_mut() {
            group.passes_at = group.passes_at.min(now);
        }
    }
}
