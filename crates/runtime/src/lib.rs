//! Programs that run on the drive.
//!
//! A [`Runtime`] turns an image into a [`Program`]; a program runs over a [`Window`], the memory
//! ranges of its job and nothing else, until it returns, faults, or its budget is used up.
//!
//! [`Ebpf`] takes objects that an ordinary clang makes. What such a program is given, and what it may
//! do, is in [`abi`] and in `examples/programs/ersatz.h`. [`TimeOnly`] takes anything and does
//! nothing. Other crates have more runtimes.
//!
//! What this crate does not do: it decides neither when a program runs (the compute namespace's
//! scheduler does) nor what its instructions cost.
//!
//! All `unsafe` is in `ebpf::jit`, where generated code is called and calls back.
//!
//! Where to read next: `program` for the seam, `services` for what a program may ask of the drive, `ebpf` for how an object becomes a run.

pub mod abi;
mod ebpf;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod program;
mod services;
mod time_only;
mod window;

pub use ebpf::{Ebpf, Engine, Limits};
pub use program::{Args, Fault, Fuel, LoadError, Program, Report, Runtime};
pub use services::{BlockRead, NoServices, ReadError, Services};
pub use time_only::TimeOnly;
pub use window::{Segment, Window};
