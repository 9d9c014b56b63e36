//! The vfio-user protocol: a PCI device in one process, the virtual machine monitor that uses it in
//! another, and a Unix socket between them. The protocol is defined by QEMU's
//! `docs/interop/vfio-user.rst`; section names in these docs refer to it.
//!
//! What is here:
//! - [`wire`]: every message's layout, encoded and decoded without touching a socket.
//! - [`Session`]: the server's end of one connection. It *pulls*: [`Session::next_request`] hands
//!   out one checked, typed [`Request`] at a time, and the device answers with [`Session::reply`].
//!   Nothing blocks, so one thread can serve a device's doorbells and its socket. The only wait is
//!   in [`Session::dma_read`] and [`Session::dma_write`], for memory that the client did not share;
//!   it has a deadline, and requests that arrive meanwhile are served or kept in order.
//! - [`Listener`]: the socket's path in the file system, and the clients that come to it.
//! - [`Client`]: the other end, blocking with a timeout.
//!
//! What is not here: PCI itself (configuration space, MSI-X), mapping memory, and a device.
//! Migration (`DEVICE_FEATURE`, `MIG_DATA_READ`, `MIG_DATA_WRITE`), `DEVICE_GET_REGION_IO_FDS` and
//! twin sockets are answered as unsupported.
//!
//! Both ends distrust one another: each message is read once, checked, and copied before use; every
//! buffer has a bound; descriptors that nobody asked for are closed.
//!
//! Read next: [`Session`] for the server's life, then `request.rs` for what is checked.
#![forbid(unsafe_code)]

mod channel;
mod client;
mod info;
mod listener;
mod request;
mod session;
mod version;
pub mod wire;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;

pub use channel::LinkError;
pub use client::{Client, ClientError, DmaHandler, IrqSet, MappableArea, Region};
pub use info::{DeviceInfo, IrqInfo, RegionFile, RegionInfo, SparseArea};
pub use listener::Listener;
pub use request::{
    DmaFile, DmaMap, DmaUnmap, IrqAction, IrqData, Request, RequestKind, SetIrqs, Token,
};
pub use rustix::io::Errno;
pub use session::{DmaError, Meanwhile, Reply, Session};
pub use version::{Capabilities, Version};

/// Numbers that a PCI device gives its regions and interrupt types (`<linux/vfio.h>`).
pub mod pci {
    /// The first base address register; BAR n is region n, for n up to 5.
    pub const BAR0_REGION: u32 = 0;
    /// The expansion ROM.
    pub const ROM_REGION: u32 = 6;
    /// Configuration space.
    pub const CONFIG_REGION: u32 = 7;
    /// Legacy VGA memory.
    pub const VGA_REGION: u32 = 8;
    /// How many regions a PCI device has, absent ones included.
    pub const NUM_REGIONS: u32 = 9;

    /// The interrupt pin.
    pub const INTX_IRQ: u32 = 0;
    /// Message-signalled interrupts.
    pub const MSI_IRQ: u32 = 1;
    /// MSI-X.
    pub const MSIX_IRQ: u32 = 2;
    /// Error notification.
    pub const ERR_IRQ: u32 = 3;
    /// The device's request to be released.
    pub const REQ_IRQ: u32 = 4;
    /// How many interrupt types a PCI device has, absent ones included.
    pub const NUM_IRQS: u32 = 5;
}

/// The largest `count` of one data transfer that either end proposes, in bytes.
pub const MAX_DATA_XFER_SIZE: u32 = 1 << 20;

/// The most descriptors that one message may carry.
pub const MAX_MSG_FDS: usize = 16;
