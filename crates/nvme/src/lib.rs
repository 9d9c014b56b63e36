//! The NVMe controller, its queues and command sets.
//!
//! A [`Subsystem`] holds what all controllers of a drive share: namespaces, media, link. A
//! [`Controller`] has queues and registers; its [`Controller::poll`] is the whole way from doorbell
//! to completion. [`Front`] is how a host reaches a controller over PCIe. What commands mean is up
//! to a [`set::CommandSet`]; those that there are, are in [`sets`].
//!
//! What this crate does not do: it reads no clock, opens no socket, and computes no flash times
//! (see `ersatz-ftl`). Not implemented: metadata and protection information,
//! namespace management, firmware update, Sanitize, reservations, weighted
//! arbitration, controller memory buffers.
//!
//! Read next: `controller.rs`, then `set.rs` for the seam to the command sets.

mod admin;
mod buffer;
mod controller;
mod error;
mod error_log;
mod events;
mod features;
mod front;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod link;
mod queue;
mod registers;
pub mod set;
pub mod sets;
mod statistics;
mod subsystem;
mod ticket;
mod unreadable;

pub use buffer::{Buffer, Segment};
pub use controller::{Controller, ControllerConfig, FirmwareConfig};
pub use error::NvmeError;
pub use front::Front;
pub use link::{Link, LinkConfig};
pub use statistics::{Activity, HostCounters, Lateness, Traffic};
pub use subsystem::{Association, DriveIdentity, Namespace, Subsystem};
pub use ticket::Ticket;

/// PCI vendor ID. No vendor has this one, so that no driver has quirks for it.
pub const PCI_VENDOR: u16 = 0x1234;
/// PCI device ID.
pub const PCI_DEVICE: u16 = 0xE5A7;
