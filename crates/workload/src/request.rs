//! One command.

use core::fmt;
use ersatz_engine::Ns;
use serde::Serialize;

/// A kind of request. Serialized, it is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Dataset Management, deallocating one range.
    Trim,
    /// Flush.
    Flush,
}

impl Op {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of reports.
    pub const ALL: [Self; Self::COUNT] = [Self::Read, Self::Write, Self::Trim, Self::Flush];

    /// As reports name it: `read`, `write`, `trim` or `flush`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Trim => "trim",
            Self::Flush => "flush",
        }
    }

    /// Most blocks that one command of this kind can have: NLB is a 16-bit 0's-based value in Read
    /// and Write, and a 32-bit length in a range of Dataset Management (NVM Command Set
    /// Specification).
    #[must_use]
    pub const fn max_blocks(self) -> u64 {
        match self {
            Self::Read | Self::Write => 65_536,
            Self::Trim => u32::MAX as u64,
            Self::Flush => 0,
        }
    }

    /// Whether its bytes go over the link.
    #[must_use]
    pub const fn moves_data(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it arrives: its latency counts from here, even when it is issued later because the
    /// queue of its job was full.
    pub at: Ns,
    /// What it does.
    pub op: Op,
    /// First logical block; 0 for a flush.
    pub slba: u64,
    /// Logical blocks: 1 to [`Op::max_blocks`]; 0 for a flush, and for a deallocation that covers
    /// no block as a whole.
    pub nlb: u32,
    /// Whose it is: 0 in a trace, and the number of the job in a [`Workload`](crate::Workload).
    pub job: u32,
}
