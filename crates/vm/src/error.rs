//! What can go wrong, in words that say what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why the guest's parts could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Neither `$ERSATZ_CACHE`, `$XDG_CACHE_HOME` nor `$HOME` is set.
    #[error("no folder for the cache: set ERSATZ_CACHE")]
    NoCacheDir,
    /// The packages, and `ersatz` inside the guest, are x86-64 programs.
    #[error("a guest needs an x86-64 Linux machine, and this one is {arch}")]
    Machine {
        /// This machine's architecture.
        arch: &'static str,
    },
    /// A tool of the distribution is missing.
    #[error(
        "`{program}` was not found: QEMU, the guest's kernel and its tools come from Debian's \
         packages. On Debian, install `apt` and `dpkg`; elsewhere, run Ersatz in a Debian \
         container or virtual machine"
    )]
    NoApt {
        /// What was looked for on the PATH.
        program: &'static str,
    },
    /// The machine's package sources name no Debian archive.
    #[error(
        "this machine ({distribution}) has no Debian archive among its package sources, and QEMU, \
         the guest's kernel and its tools come from Debian's packages. On Debian, add a mirror in \
         {folder}; on another distribution, run Ersatz in a Debian container or virtual machine"
    )]
    NotDebian {
        /// Name of the distribution, from os-release.
        distribution: String,
        /// Where apt keeps its sources.
        folder: String,
    },
    /// The mirror could not be reached.
    #[error("the package mirror {mirror} can't be reached:\n{output}")]
    Network {
        /// The mirror's address.
        mirror: String,
        /// What apt said.
        output: String,
    },
    /// The machine's keys don't cover the archive.
    #[error(
        "the package mirror {mirror} could not be verified; install or upgrade the package \
         `debian-archive-keyring`:\n{output}"
    )]
    Keyring {
        /// The mirror's address.
        mirror: String,
        /// What apt said.
        output: String,
    },
    /// The cache's file system is full.
    #[error(
        "no space left on the file system of {}: preparing a guest takes 600 MB, of which 300 MB \
         stay",
        path.display()
    )]
    NoSpace {
        /// The cache or a folder in it.
        path: PathBuf,
    },
    /// apt or dpkg refused for another reason.
    #[error("{what} failed:\n{output}")]
    Package {
        /// What was tried.
        what: String,
        /// What the program said.
        output: String,
    },
    /// The packages are not what they used to be.
    #[error("the packages hold no {what}")]
    Missing {
        /// The file or library that was looked for.
        what: String,
    },
    /// Reading or writing a file, or starting a program, failed.
    #[error("can't use {}", path.display())]
    Io {
        /// The file or program.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl PrepareError {
    /// For `map_err`: names the path, and tells a full disk from other failures.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { path, source },
        }
    }
}

/// Why a guest did not run its task to the end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A shell was asked for, and standard input or output is not a terminal.
    #[error("an interactive guest needs a terminal; give a command, or a script")]
    NotATerminal,
    /// A path of the guest is not absolute, or holds a `..`.
    #[error("{path:?} is not an absolute path inside the guest")]
    GuestPath {
        /// The path as given.
        path: String,
    },
    /// The libraries of the `ersatz` binary can't be found.
    #[error("can't put {} into the guest: {reason}", path.display())]
    Binary {
        /// The binary on the host.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading, writing, or talking to QEMU failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The cause.
        source: io::Error,
    },
    /// QEMU ended before the task did: a bad argument, a device that can't be attached, or a
    /// guest that panicked.
    #[error("QEMU ended before the task did ({status})\n{stderr}{log}")]
    Ended {
        /// QEMU's own exit status.
        status: std::process::ExitStatus,
        /// QEMU's messages.
        stderr: String,
        /// The end of the guest's kernel log.
        log: String,
    },
    /// The user ended an interactive guest with [`Guest::ESCAPE`](crate::Guest::ESCAPE).
    #[error("the guest was switched off")]
    Escaped,
    /// The task did not end in time; the guest was killed.
    #[error("the guest did not finish within {after:?}; the end of its kernel log:\n{log}")]
    TimedOut {
        /// [`Guest::timeout`](crate::Guest::timeout).
        after: Duration,
        /// The end of the guest's kernel log.
        log: String,
    },
    /// The task ended, but the guest did not power off (a device that hangs in shutdown?).
    #[error(
        "the task ended with status {status}, but the guest did not power off; the end of its \
         kernel log:\n{log}"
    )]
    PowerOff {
        /// The task's exit status.
        status: i32,
        /// The end of the guest's kernel log.
        log: String,
    },
    /// The caller's [`Output`](crate::Output) failed; the guest was killed.
    #[error("can't pass on the guest's output")]
    Output(#[source] io::Error),
}

impl RunError {
    /// For `map_err`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}
