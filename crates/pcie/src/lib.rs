//! A PCI function and its host: both directions of the cable.
//!
//! A drive is a [`Function`]: a host reads and writes its regions and resets it. What a drive may
//! ask of its host is [`Host`]: reach its memory and raise interrupts. [`vfio`] plugs the two into
//! a vfio-user client; [`LocalHost`] is a host in the same process, for tests and simulation.
//!
//! What this crate does not do: it knows nothing of NVMe; the registers behind BAR0 are the
//! function's.
//!
//! Read next: [`ConfigSpace`] for what the host sees of PCI, [`DmaMap`] for how guest memory is
//! found, [`vfio`] for the wire.

mod config;
mod dma;
mod function;
mod host;
mod local;
pub mod vfio;
mod words;

pub use config::{ConfigEffect, ConfigSpace, Identity, MsiX};
pub use dma::{DmaEntry, DmaMap, DmaMapError};
pub use function::{Bar0, Function, Region, Reset};
pub use host::{DmaFault, Host};
pub use local::LocalHost;
pub use words::Words;
