//! One finished request.

use core::fmt;
use ersatz_engine::Ns;
use nvme_spec::Status;
use serde::Serialize;

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Deallocate.
    Trim,
    /// Flush.
    Flush,
}

impl Op {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;
    /// All of them, in order.
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::Read, Self::Write, Self::Trim, Self::Flush];

    /// `read`, `write`, `trim` or `flush`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Trim => "trim",
            Self::Flush => "flush",
        }
    }

    /// Whether its bytes go over the link.
    pub(crate) const fn moves_data(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its number in the order of the workload, from 0.
    pub index: u64,
    /// What it asked for.
    pub op: Op,
    /// When it came.
    pub arrival: Ns,
    /// How long it took.
    pub latency: Ns,
    /// Bytes that it read, wrote or deallocated; 0 for a flush.
    pub bytes: u64,
    /// How it ended: the 15 bits of [`Status::into_bits`].
    pub status: u16,
}

impl Sample {
    /// When it was done.
    #[must_use]
    pub fn completion(&self) -> Ns {
        self.arrival + self.latency
    }

    /// Whether it did what it was asked for.
    #[must_use]
    pub fn is_success(&self) -> bool {
        Status::from_bits(self.status).is_success()
    }
}
