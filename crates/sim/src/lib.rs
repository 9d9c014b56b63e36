//! Workloads and traces through the drive in virtual time.
//!
//! A [`Simulation`] is a host without a clock: it gives commands to the very drive that `ersatz
//! serve` serves, and jumps to the next time at which something happens. A
//! [`Source`](ersatz_workload::Source) says what may come when: a trace, which keeps its own times
//! however late the drive is, or jobs, which may wait for the drive. Whoever wants to know of each
//! request, or of each piece of work of the flash, is an [`Observer`]; the sums are a
//! [`Summary`](ersatz_report::Summary).
//!
//! What this crate does not do: it reads no traces and makes up no requests, which is
//! `ersatz-workload`'s; it moves no data (commands have buffers, but nobody fills or reads them); and
//! it knows no flash: that is in `ersatz-ftl`, behind the controller. Programs are not simulated yet.
//!
//! The same drive file, source and seed give the same summary, byte by byte.
//!
//! Read next: `simulation.rs` for the loop, `host.rs` for queues without memory.

mod host;
mod observer;
mod request;
mod simulation;

pub use observer::Observer;
pub use request::{Completion, Submission};
pub use simulation::{Options, Simulation, SimulationError, namespace};
