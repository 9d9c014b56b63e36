//! When programs run: compute units, the schedulers that share them out, and job groups with their
//! quality of service. All in virtual time.
//!
//! A job arrives at a point of the drive's time, and occupies units of its [class](ClassConfig) for
//! as long as it costs. What it costs may become known late, because it first has to run for real,
//! on a machine of any speed. So that nothing follows from that speed, a class decides nothing that
//! an unknown cost could change: its times depend on arrivals and costs alone, and are the same in
//! whatever order the costs become known. `pool` says how.
//!
//! What this crate does not do: it runs no programs, moves no data and knows nothing of NVMe.
//!
//! Read next: [`Compute`] (the whole), [`Scheduler`] (the seam; one file for each in `schedulers`),
//! `pool` (the units of a class), `lookahead` (what is certain while a cost is unknown), [`CostModel`]
//! (what a job costs).

mod compute;
mod cost;
mod group;
mod lookahead;
mod pool;
mod scheduler;
mod schedulers;

pub use compute::{ClassConfig, Compute, ComputeConfig, Done, Job};
pub use cost::{CostModel, Picoseconds, Speed, Usage};
pub use group::{GroupError, GroupStatistics, Groups, MAX_GROUPS, Qos};
pub use pool::JobStatistics;
pub use scheduler::{Entry, GroupId, Number, Policy, Scheduler, Settings};
