//! Native programs: shared libraries that the drive's operator lists, each run in a process of its
//! own.
//!
//! [`Native`] is a [`Runtime`](ersatz_runtime::Runtime) whose images are names in the operator's
//! list: a guest says which program, never which file. Per job, the memory ranges' descriptors go
//! over a socket to the child process, which maps them, so that nothing is copied, and calls the
//! library's function with the structure of [`ersatz_runtime::abi`]:
//! `u64 entry(const struct ersatz_args *)`.
//!
//! The child is the drive's own binary, started anew with a hidden subcommand that calls
//! [`run_child`]. It has no descriptors but its socket, no environment, limits of the kernel, and
//! after the library is loaded a filter for system calls (`child::sandbox`). Whatever goes wrong
//! there is a failed job; the next job gets a new child. The library is trusted this far:
//! its constructors run before the filter is there; it can reach the rest of the pages that a
//! range's first and last bytes are in; and what it keeps in variables stays there for later jobs.
//!
//! What this crate does not do: it neither counts instructions nor keeps to a budget of them
//! ([`Limits`] sets bounds on time instead), and offers programs no services of the drive.
//!
//! Where to read next: `native` for what the drive sees, `process` for one child from outside,
//! `child` for it from inside, `wire` for what is said between them. `docs/native.md` is the
//! reference for users.

mod child;
mod native;
mod process;
mod spawner;
mod wire;

pub use child::run_child;
pub use native::{Launcher, Library, Limits, Native, SetupError};
