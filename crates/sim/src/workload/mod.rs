//! Synthetic workloads: jobs as fio describes them, in TOML or in fio's own job files.
//!
//! A job either keeps `iodepth` requests in the drive and gives a new one when one is done (a
//! closed loop), or gives them at a rate whatever the drive does (`rate_iops`: an open loop). All
//! that is random follows from the seed.
//!
//! Not here: data patterns, verification, bandwidth rates, block size splits, dependencies between
//! jobs other than `startdelay`.

mod jobs;
mod parse;
mod random;
mod settings;

pub use jobs::{JobError, Workload};
pub use parse::parse;
pub use settings::{Distribution, Job, Process, Rw};

/// A workload can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct WorkloadError {
    /// The file, as the caller named it.
    pub file: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}
