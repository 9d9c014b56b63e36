//! Flash translation layers: when logical work finishes.
//!
//! Data never passes here. Bytes live in the drive's store, addressed by logical block; a
//! [`Media`] computes only *when* a read, a write or a trim of logical space is done, by booking
//! timelines of dies, channels and buffers.
//!
//! What this crate does not do: it never reads a clock, never sleeps, and knows nothing of NVMe.
//!
//! Read next: [`Media`] (the contract), then [`Fixed`] (the simplest one that books dies), then
//! [`femu`] (FEMU's drive, exactly) and [`page`] (the default drive, which does what FEMU's does
//! not).

mod directory;
pub mod femu;
mod fixed;
mod lines;
mod media;
mod null;
pub mod page;
mod victim;

pub use ersatz_nand::{Resource, Span, Work};
pub use fixed::{Fixed, FixedConfig};
pub use media::{
    Counters, Extent, Fault, Media, MediaError, MediaEvent, MediaHeap, Operation, Outcome,
    Placement,
};
pub use null::Null;
pub use victim::VictimPolicy;
