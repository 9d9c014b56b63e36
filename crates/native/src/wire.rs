//! What the drive and a child say to each other, over a socket that keeps messages apart.
//!
//! Once: [`Hello`], or words about why the library can't be used. Then for each job, from the drive
//! [`Job`], each [`Range`] with the descriptor of its memory (none if the range is empty), and the
//! command's data in parts of up to [`PART`] bytes; and from the child [`Reply`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most bytes of data in a message: a socket's buffer has room for several.
pub const PART: usize = 32 << 10;
/// Most bytes of words about why a library can't be used.
pub const WORDS: usize = 1024;
/// What [`Hello`] starts with: words are text, and never do.
pub const READY: u64 = 0xE25A_7200_0000_0001;

/// The library is loaded and the sandbox closed.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hello {
    /// [`READY`].
    pub ready: u64,
    /// Bytes of address space in use, the library included.
    pub used: u64,
    /// Nanoseconds of processor time until now.
    pub total: u64,
}

/// A job begins.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Job {
    /// Comes back in the reply, so that an old one is not taken for it.
    pub number: u64,
    /// CPARAM1 and CPARAM2.
    pub parameters: [u64; 2],
    /// Memory ranges.
    pub ranges: u64,
    /// Bytes of data.
    pub data: u64,
}

/// A memory range of the job.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Range {
    /// First byte in the file that the descriptor stands for.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Whether the program may write there; 0 if not.
    pub writable: u64,
}

/// A job is done.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Reply {
    /// Of the job.
    pub number: u64,
    /// 0 when the program returned; else the system's number for why its memory can't be mapped.
    pub errno: u64,
    /// What it returned.
    pub value: u64,
    /// Nanoseconds of processor time that it took.
    pub cpu: u64,
    /// Nanoseconds of processor time that the process has taken so far.
    pub total: u64,
}
