//! Programs that the drive brings along: accelerators behind the seam of [`ersatz_runtime`].
//!
//! [`all`] is the table of them. Each entry is a [`Program`](ersatz_runtime::Program), says what its
//! ranges, parameters and options mean, and has a [`CostModel`](ersatz_compute::CostModel). They work
//! on the job's memory through buffers of bounded size, because another party may change it at
//! any time: what was checked is what is used.
//!
//! What this crate does not do: it puts nothing into slots, books no time, and runs no code of a
//! guest's. A rate is a round figure of no particular product.
//!
//! Where to read next: `table` for what an entry is, `job` for how a program gets at its memory,
//! then any of `programs`: one small file each. `docs/builtins.md` is the reference for users.

#![forbid(unsafe_code)]

#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod job;
mod number;
mod options;
mod programs;
mod table;
#[cfg(test)]
mod testing;

pub use table::{Builtin, all};
