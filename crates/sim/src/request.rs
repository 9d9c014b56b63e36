//! A request on its way through the drive.

use ersatz_engine::Ns;
use ersatz_report::Sample;
use ersatz_workload::Request;
use nvme_spec::Status;

/// A request that the drive has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Number of the request in its run, from 0, in the order in which they were issued.
    pub index: u64,
    /// When the drive was given it: at its arrival, or later when it had to wait for a place in a
    /// queue.
    pub issued: Ns,
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
