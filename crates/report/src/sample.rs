//! One finished request.

use ersatz_engine::Ns;
use ersatz_workload::Op;
use nvme_spec::Status;

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
