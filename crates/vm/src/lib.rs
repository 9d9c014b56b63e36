//! A stock Linux guest in a stock QEMU, with vfio-user devices attached.
//!
//! [`Environment::prepare`] finds what a guest needs, or fetches it from the distribution's
//! packages into a cache: QEMU ≥ 10.1, a kernel, and an initramfs with nvme-cli, e2fsprogs and
//! fio. [`Guest::run`] boots it, runs a command (or a shell on the user's terminal) and gives the
//! command's output byte for byte, and its exit status. [`packages::fetch`] gets any other
//! Debian package into the same cache.
//!
//! Not here: the drive. A guest takes the path of a socket behind which somebody serves one. Nor
//! other machines than x86-64, other distributions' packages, networks, or guests that outlive
//! the call.
//!
//! Where to read next: `environment` (what is prepared, in which order), `apt` (packages without
//! touching the machine), `initramfs` and `init.sh` (what the guest is made of), `guest` (QEMU's
//! command line), `supervise` (the loop around a running guest).
#![forbid(unsafe_code)]

mod apt;
mod cache;
mod channel;
mod cpio;
mod environment;
mod error;
mod guest;
mod initramfs;
mod kernel;
mod kvm;
mod libraries;
mod output;
pub mod packages;
mod progress;
mod qemu;
mod sources;
mod supervise;
mod terminal;

pub use cache::default_dir;
pub use environment::Environment;
pub use error::{PrepareError, RunError};
pub use guest::{Accelerator, ExitStatus, Guest, GuestFile, MemoryBackend, Task};
pub use output::{Captured, Inherit, Output};
pub use progress::Progress;
pub use qemu::Version;
