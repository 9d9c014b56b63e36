//! Job groups and what became of jobs: Ersatz's own commands and log page, see
//! [`nvme_spec::vendor`].

use super::log::LogReader;
use super::{ADMIN_TIMEOUT, Csd};
use crate::error::Doing;
use crate::{Error, Transfer};
use nvme_spec::vendor::{
    ClassEntry, GroupEntry, JobEntry, JobGroupCdw10, JobGroupSelect, JobStatistics,
};
use nvme_spec::{AdminOpcode, Csi, Sqe};

/// Most jobs of a log page that are believed.
const MOST_JOBS: u32 = 1 << 16;

/// The quality of service of a job group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// 1 to 9, of which 9 is the most urgent.
    pub priority: u8,
    /// KB/s (1000 bytes per second) of memory ranges that its jobs may take; 0 for any.
    pub bandwidth: u32,
    /// µs after a job's arrival by which it is to be done; 0 for none.
    pub deadline: u32,
}

/// What became of the jobs of a compute namespace.
#[derive(Clone, Debug)]
pub struct JobLog {
    /// Counts over all.
    pub header: JobStatistics,
    /// The classes of compute units.
    pub classes: Vec<ClassEntry>,
    /// The job groups, group 0 first.
    pub groups: Vec<GroupEntry>,
    /// The jobs whose end was decided last, the latest first.
    pub jobs: Vec<JobEntry>,
}

impl Csd {
    /// Creates a job group and returns its identifier.
    ///
    /// # Errors
    /// When the drive refuses, or is no Ersatz.
    pub fn create_group(&mut self, nsid: u32, quality: Quality) -> Result<u8, Error> {
        let created = self.manage_group(nsid, JobGroupSelect::Create, 0, Some(quality));
        let created = created.doing(|| "create a job group".to_owned())?;
        Ok(created as u8)
    }

    /// Changes a job group, for the jobs that arrive from now on.
    ///
    /// # Errors
    /// When the drive refuses, as for a group that is not there.
    pub fn set_group(&mut self, nsid: u32, group: u8, quality: Quality) -> Result<(), Error> {
        self.manage_group(nsid, JobGroupSelect::Set, group, Some(quality))
            .doing(|| format!("set job group {group}"))?;
        Ok(())
    }

    /// Deletes a job group.
    ///
    /// # Errors
    /// When the drive refuses, as for a group that has jobs.
    pub fn delete_group(&mut self, nsid: u32, group: u8) -> Result<(), Error> {
        self.manage_group(nsid, JobGroupSelect::Delete, group, None)
            .doing(|| format!("delete job group {group}"))?;
        Ok(())
    }

    fn manage_group(
        &mut self,
        nsid: u32,
        sel: JobGroupSelect,
        group: u8,
        quality: Option<Quality>,
    ) -> Result<u64, Error> {
        self.compute_namespace(nsid)?;
        let cdw10 = JobGroupCdw10::new()
            .with_sel(sel)
            .with_gid(group)
            .with_priority(quality.map_or(0, |quality| quality.priority));
        let sqe = Sqe {
            cdw10: cdw10.into(),
            cdw11: quality.map_or(0, |quality| quality.bandwidth),
            cdw12: quality.map_or(0, |quality| quality.deadline),
            ..Sqe::new(AdminOpcode::JobGroupManagement, nsid)
        };
        self.device.admin(&sqe, Transfer::None, ADMIN_TIMEOUT)
    }

    /// What became of jobs and groups.
    ///
    /// # Errors
    /// When the drive refuses, or says it in another way than this version knows.
    pub fn job_log(&mut self, nsid: u32) -> Result<JobLog, Error> {
        self.compute_namespace(nsid)?;
        let mut log = LogReader::new(&mut *self.device, JobStatistics::LID, nsid, Csi::Cp);
        let header: JobStatistics = log.read()?;
        if header.version != JobStatistics::VERSION {
            let version = header.version;
            return Err(Error::protocol(format!(
                "job statistics of version {version}"
            )));
        }
        if header.jobs > MOST_JOBS {
            let jobs = header.jobs;
            return Err(Error::protocol(format!("job statistics with {jobs} jobs")));
        }
        let classes = (0..header.classes).map(|_| log.read());
        let classes = classes.collect::<Result<_, _>>()?;
        let groups = (0..header.groups).map(|_| log.read());
        let groups = groups.collect::<Result<_, _>>()?;
        let jobs = (0..header.jobs).map(|_| log.read());
        let jobs = jobs.collect::<Result<_, _>>()?;
        Ok(JobLog {
            header,
            classes,
            groups,
            jobs,
        })
    }
}
