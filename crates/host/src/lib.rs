//! The other side of the cable: what a host does with a drive.
//!
//! - [`csd`]: the library for programs. [`Csd`] opens a computational storage drive, brings data
//!   into its memory, loads programs and executes them.
//! - [`driver`]: a user-space NVMe driver over a [`Transport`](driver::Transport): a vfio-user
//!   socket, or whatever a test puts there. Completions are polled; nothing is allocated for a
//!   command.
//! - [`passthrough`]: the same commands through Linux's own driver, by ioctl on device nodes.
//! - [`file`](mod@file): where the blocks of a file lie, so that a drive can copy it by itself.
//! - [`command`]: submission queue entries that every host sends.
//!
//! [`Device`] is the seam: `csd` is written on it, `driver` and `passthrough` implement it.
//!
//! Not here: allocating device memory among several processes, asynchronous calls, io_uring,
//! interrupts, NVMe over Fabrics, and a command line (that is the `ersatz` binary's).
//!
//! A drive is not trusted: what it says is checked, copied once, and never a reason to panic.
//!
//! ```no_run
//! use ersatz_host::Csd;
//! use ersatz_host::csd::{Job, LbaRange, MemoryAt, Ranges};
//! use nvme_spec::cp::ProgramType;
//! use nvme_spec::slm::MemoryRange;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut csd = Csd::open("/dev/nvme0")?;
//! let (flash, memory, compute) = (csd.nvm()[0], csd.memory()[0], csd.compute()[0]);
//!
//! let input = LbaRange { nsid: flash.nsid, slba: 0, blocks: 256 };
//! let bytes = csd.copy_blocks(MemoryAt { nsid: memory.nsid, byte: 0 }, &[input])?;
//!
//! let pind = csd.free_slot(compute.nsid)?;
//! csd.load(compute.nsid, pind, ProgramType::EBPF, None, &std::fs::read("count.o")?)?;
//! csd.activate(compute.nsid, pind)?;
//! let found = csd.execute(compute.nsid, &Job {
//!     pind,
//!     ranges: Ranges::Inline(&[MemoryRange::new(memory.nsid, 0, u32::try_from(bytes)?)]),
//!     ..Job::default()
//! })?;
//! println!("{found} found");
//! # Ok(())
//! # }
//! ```
//!
//! Read next: `csd/mod.rs` for a drive as a whole, `driver/mod.rs` for how a controller is brought
//! up, then `driver/queue.rs` for the path of a command.

pub mod command;
pub mod csd;
mod device;
pub mod driver;
mod error;
pub mod file;
#[allow(unsafe_code)] // Calls ioctls with structures of ours.
mod ioctl;
pub mod passthrough;

pub use csd::Csd;
pub use device::{Device, Transfer};
pub use error::Error;
pub use passthrough::Passthrough;
