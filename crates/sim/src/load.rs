//! What a drive is given to do.

use crate::trace::TraceError;
use ersatz_engine::Ns;
use nvme_spec::Status;

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

    /// Most blocks that one command of this kind can have.
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
    /// When it arrives at the drive's host.
    pub at: Ns,
    /// What it does.
    pub op: Op,
    /// First logical block.
    pub slba: u64,
    /// Logical blocks: 1 to [`Op::max_blocks`]; 0 for a flush.
    pub nlb: u32,
    /// Whose it is: a number of the load's own, which its completion has too.
    pub job: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Number of the request, from 0, in the order of arrival.
    pub index: u64,
    /// The request.
    pub request: Request,
    /// When its completion was due.
    pub due: Ns,
    /// What the drive said.
    pub status: Status,
}

impl Completion {
    /// Time from arrival to completion.
    #[must_use]
    pub fn latency(&self) -> Ns {
        self.due.since(self.request.at)
    }
}

/// Why a load can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The trace can't be read or understood.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// Says what comes when.
///
/// Times never decrease from request to request. A load may wait for completions: then
/// [`peek`](Load::peek) has nothing until [`finished`](Load::finished) was called.
pub trait Load {
    /// When the next request arrives; `None` when none is known.
    ///
    /// # Errors
    /// When the load can't be read.
    fn peek(&mut self) -> Result<Option<Ns>, LoadError>;

    /// Takes the request that was peeked at.
    fn take(&mut self) -> Option<Request>;

    /// A request is done.
    fn finished(&mut self, _completion: &Completion) {}
}
