//! Workloads and traces through the drive in virtual time.
//!
//! A [`Simulation`] is a host without a clock: it gives commands to the very drive that `ersatz
//! serve` serves, and jumps to the next time at which something happens. A [`Load`] says what
//! comes when: a [`trace`](trace::Trace), which keeps its own times however late the drive is, or
//! [`workload`] jobs, which may wait for the drive. Whoever wants to know of each request, or of each
//! piece of work of the flash, is an [`Observer`]; the sums are a
//! [`Summary`](ersatz_report::Summary).
//!
//! What this crate does not do: it moves no data (commands have buffers, but nobody fills or reads
//! them), and it knows no flash: that is in `ersatz-ftl`, behind the controller. Programs are not
//! simulated yet.
//!
//! The same drive file, load and seed give the same summary, byte by byte.
//!
//! Read next: `simulation.rs` for the loop, `host.rs` for queues without memory, `trace/mod.rs` for
//! a format of traces.

mod host;
mod load;
mod observer;
mod simulation;
pub mod trace;
pub mod workload;

pub use ersatz_report::Op;
pub use load::{Completion, Load, LoadError, Request, Submission};
pub use observer::Observer;
pub use simulation::{Options, Simulation, SimulationError};
