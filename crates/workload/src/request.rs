//! One command.

use ersatz_engine::Ns;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Trim, Self::Flush];

    /// As reports name it.
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
    /// Logical blocks: 1 to [`Op::max_blocks`]; 0 for a flush.
    pub nlb: u32,
    /// Whose it is: 0 in a trace, and the number of the job in a [`Workload`](crate::Workload).
    pub job: u32,
}
