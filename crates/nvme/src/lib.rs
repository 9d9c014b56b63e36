//! The NVMe controller, its queues and command sets.

mod buffer;
mod error;
mod link;
pub mod set;
pub mod sets;
mod statistics;
mod subsystem;
mod ticket;

pub use buffer::{Buffer, Segment};
pub use error::NvmeError;
pub use link::{Link, LinkConfig};
pub use statistics::{Activity, HostCounters, Lateness, Traffic};
pub use subsystem::{DriveIdentity, Namespace, Subsystem};
pub use ticket::Ticket;
