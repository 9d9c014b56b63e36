//! Time, events, randomness and latency statistics: what every model in Ersatz is made of.
//!
//! The drive is a state machine that never reads a clock, never sleeps and never blocks. All it
//! knows of time is the [`Ns`] it is called with; all it wants later is an entry in a [`Heap`].
//! Whoever advances `now` decides the mode: [`RealClock`] (a guest is attached) or the heap itself
//! (simulation).
//!
//! What this crate does not do: it knows nothing of NVMe, NAND or sockets.
//!
//! Read next: `ersatz-ftl` for what the models book on [`Timeline`]s, `ersatz-nvme` for who pops
//! the heap.

mod clock;
mod heap;
mod histogram;
mod ns;
mod rng;
mod timeline;

pub use clock::{Clock, RealClock, VirtualClock};
pub use heap::Heap;
pub use histogram::Histogram;
pub use ns::Ns;
pub use rng::Rng;
pub use timeline::{Booking, Timeline};
