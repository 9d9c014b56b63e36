//! What a drive is given to do.

use crate::trace::TraceError;
use ersatz_engine::Ns;
use ersatz_report::{Op, Sample};
use nvme_spec::Status;

/// Most blocks that one command of this kind can have.
pub(crate) const fn max_blocks(op: Op) -> u64 {
    match op {
        Op::Read | Op::Write => 65_536,
        Op::Trim => u32::MAX as u64,
        Op::Flush => 0,
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
    /// Logical blocks: 1 to 65,536, or 2³² − 1 of a deallocation; 0 of a flush. A deallocation
    /// within one block covers none.
    pub nlb: u32,
    /// Whose it is: a number of the load's own, which its completion has too.
    pub job: u32,
}

/// A request that the drive has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Number of the request in its run, from 0, in the order of arrival.
    pub index: u64,
    /// The submission queue that it is in.
    pub queue: u16,
    /// The request.
    pub request: Request,
    /// Bytes that it reads, writes or deallocates.
    pub bytes: u64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The request.
    pub submission: Submission,
    /// When its completion was due.
    pub due: Ns,
    /// What the drive said.
    pub status: Status,
}

impl Completion {
    /// Time from arrival to completion.
    #[must_use]
    pub fn latency(&self) -> Ns {
        self.due.since(self.submission.request.at)
    }

    /// As reports count it.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let Submission {
            index,
            request,
            bytes,
            ..
        } = self.submission;
        Sample {
            index,
            op: request.op,
            arrival: request.at,
            latency: self.latency(),
            bytes,
            status: self.status.into_bits(),
        }
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
