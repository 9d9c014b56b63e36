//! Programs that run on the drive.
//!
//! A [`Runtime`] turns an image into a [`Program`]; a program runs over a [`Window`], the memory
//! ranges of its job and nothing else, until it returns, faults, or its budget is used up.
//!
//! What this crate does not do: it decides neither when a program runs (the compute namespace's
//! scheduler does) nor what its instructions cost.

mod program;
mod window;

pub use program::{Args, Fault, Fuel, LoadError, Program, Report, Runtime};
pub use window::{Segment, Window};
