//! Memory that several parties touch at the same time: guest memory, device memory, the drive's
//! own store, doorbell pages.
//!
//! A [`Mapping`] owns one mapped range. Nobody ever gets a Rust reference into it, because another
//! process may change the bytes under our feet: everything is copied out or in, checked against
//! the bounds, and then used as a copy.
//!
//! What this crate does not do: it knows no guest addresses (see `ersatz-pcie`'s DMA map) and no
//! programs (see `ersatz-runtime`'s window).
//!
//! All `unsafe` that maps memory is in `mapping`, all that catches a vanished file in `fault`.

#[allow(unsafe_code)] // Catches SIGBUS on files that shrink under a mapping.
mod fault;
#[allow(unsafe_code)] // Maps memory and copies through raw pointers.
mod mapping;

pub use mapping::{Access, MapError, Mapping, OutOfBounds, Plain};
