//! Job groups: Job Group Management, and the log page on groups and jobs.

use super::{Cp, CpConfig};
use crate::error::NvmeError;
use crate::set::{Cx, Step};
use ersatz_compute::{GroupError, GroupId, Qos};
use ersatz_engine::Ns;
use nvme_spec::Status;
use nvme_spec::identify::ascii;
use nvme_spec::vendor::{ClassEntry, GroupEntry, JobGroupCdw10, JobGroupSelect, JobStatistics};
use zerocopy::{FromZeros, IntoBytes};

/// The job group has jobs that are not done: SCT 1h, C2h, vendor specific.
pub const JOB_GROUP_IN_USE: Status = Status::new(1, 0xC2);

/// Bytes of a KB, in which bandwidths are counted.
const KB: u64 = 1000;

impl Cp {
    pub(super) fn manage_group(&mut self, cx: &Cx<'_>) -> Result<Step, NvmeError> {
        let cdw10 = JobGroupCdw10::from_bits(cx.sqe.cdw10);
        let group = GroupId(cdw10.gid());
        let groups = self.jobs.groups_mut();
        match cdw10.sel() {
            JobGroupSelect::Create => {
                if group != GroupId(0) {
                    return Err(NvmeError::field("GID, but the drive chooses it"));
                }
                let created = groups.create(qos(cx)?).map_err(refusal)?;
                Ok(Step::done(created.0.into()))
            }
            JobGroupSelect::Set => {
                groups.set(group, qos(cx)?).map_err(refusal)?;
                Ok(Step::done(0))
            }
            JobGroupSelect::Delete => {
                if cdw10.priority() != 0 || cx.sqe.cdw11 != 0 || cx.sqe.cdw12 != 0 {
                    return Err(NvmeError::field("a quality of service to delete"));
                }
                if self.jobs.run_group(cx.now, group) {
                    return Err(refusal(GroupError::InUse(group)));
                }
                self.jobs.groups_mut().delete(group).map_err(refusal)?;
                Ok(Step::done(0))
            }
            _ => Err(NvmeError::field("SEL is reserved")),
        }
    }

    /// Log page C1h.
    pub(super) fn job_statistics(&self) -> Vec<u8> {
        let CpConfig { units, .. } = &self.config;
        let compute = self.jobs.compute();
        let (jobs, done) = self.jobs.listed();
        let groups = compute.groups().iter();
        let mut header = JobStatistics::new_zeroed();
        header.version = JobStatistics::VERSION;
        // At most as many as their identifiers have values, or as there is room for.
        header.classes = units.classes.len() as u16;
        header.groups = groups.len() as u16;
        header.jobs = jobs.len() as u32;
        header.in_flight = self.jobs.in_flight() as u32;
        header.done = done;
        header.prints_suppressed = self.jobs.prints().suppressed();
        let mut page = header.as_bytes().to_vec();
        for (index, class) in units.classes.iter().enumerate() {
            let mut entry = ClassEntry::new_zeroed();
            entry.name = ascii(&class.name);
            entry.units = class.units.into();
            entry.busy_ns = compute.busy(index).fold(Ns::ZERO, |sum, busy| sum + busy).0;
            page.extend_from_slice(entry.as_bytes());
        }
        for (id, qos, of) in groups {
            let mut entry = GroupEntry::new_zeroed();
            entry.gid = id.0;
            entry.priority = qos.priority;
            // As they came from a command, in these units.
            entry.bandwidth = (qos.bandwidth.unwrap_or(0) / KB) as u32;
            entry.deadline = (qos.deadline.map_or(0, |deadline| deadline.0) / 1000) as u32;
            entry.done = of.done;
            entry.missed = of.missed;
            entry.bytes = of.bytes;
            entry.held_ns = of.held.0;
            entry.queued_ns = of.queued.0;
            entry.running_ns = of.running.0;
            entry.switches = of.switches;
            page.extend_from_slice(entry.as_bytes());
        }
        jobs.for_each(|entry| page.extend_from_slice(entry.as_bytes()));
        page
    }
}

/// The quality of service that a command asks for.
fn qos(cx: &Cx<'_>) -> Result<Qos, NvmeError> {
    let priority = JobGroupCdw10::from_bits(cx.sqe.cdw10).priority();
    if !(1..=9).contains(&priority) {
        return Err(NvmeError::field(format!("a priority of {priority}")));
    }
    let (bandwidth, deadline) = (cx.sqe.cdw11, cx.sqe.cdw12);
    Ok(Qos {
        priority,
        bandwidth: (bandwidth > 0).then(|| u64::from(bandwidth) * KB),
        deadline: (deadline > 0).then(|| Ns::from_us(deadline.into())),
    })
}

fn refusal(error: GroupError) -> NvmeError {
    let reason = error.to_string();
    match error {
        GroupError::Full => NvmeError::transient(Status::INSUFFICIENT_PROGRAM_RESOURCES, reason),
        GroupError::InUse(_) => NvmeError::transient(JOB_GROUP_IN_USE, reason),
        GroupError::Unknown(_) | GroupError::Permanent => NvmeError::field(reason),
    }
}
