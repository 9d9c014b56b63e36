//! Programs that run on another machine: on the processor that a drive would have, for example,
//! whose time then counts.
//!
//! The drive's side is [`Remote`], a [`Runtime`](ersatz_runtime::Runtime): its programs send a job's
//! ranges to a runner, and put what the program changed back into device memory. The other side is
//! [`Runner`]. Both know a [`Key`], and each proves it to the other; what they say afterwards is
//! neither encrypted nor signed, so a runner belongs on a network that one trusts.
//!
//! A runner's program sees copies of the ranges: what others write to device memory while it runs is
//! not seen, and is lost where the program wrote to the same 4 KiB. It has no drive to read blocks from.
//! Its lines of output come with the job's end.
//!
//! Read next: `wire` (what is said), `client` (when it is said again), `server`.

mod client;
mod handshake;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use client::{Remote, RemoteConfig};
pub use handshake::Key;
pub use server::{Limits, Runner};
pub use wire::WireError;
