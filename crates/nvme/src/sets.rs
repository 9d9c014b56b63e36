//! The command sets: what the commands of a namespace mean.
//!
//! [`Nvm`] has logical blocks, [`Slm`] byte-addressable device memory, [`Cp`] programs that work
//! on that memory. Each is a [`CommandSet`](crate::set::CommandSet) and knows of the others only
//! what the seam shows.
//!
//! All three model time the same way: data of a command crosses the link first, then media, memory
//! or compute units are booked, at the moment of the data's arrival and never ahead of it. Lists of
//! descriptors (ranges to deallocate, sources to copy) are a few bytes and cross for free, as
//! the command itself does.

pub mod cp;
mod nvm;
mod slm;

#[cfg(test)]
mod testing;

pub use cp::{Cp, CpConfig, Executor};
pub(crate) use nvm::COPY_FORMATS;
pub use nvm::{Nvm, NvmConfig, NvmConfigError};
pub use slm::{Slm, SlmConfig};
