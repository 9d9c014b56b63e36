//! What others may ask of a controller.

use super::Controller;
use crate::statistics::Lateness;
use ersatz_engine::Ns;

impl Controller {
    /// When [`poll`](Self::poll) has something to do again, if no doorbell rings before.
    #[must_use]
    pub fn next_due(&self) -> Option<Ns> {
        self.heap.next_due()
    }

    /// Bytes of a memory page, as the host set it.
    pub(crate) fn page(&self) -> u64 {
        self.page
    }

    /// Whether the host has created I/O queues.
    pub(crate) fn has_io_queues(&self) -> bool {
        self.sqs.iter().skip(1).any(Option::is_some) || self.cqs.iter().skip(1).any(Option::is_some)
    }

    /// Commands that were taken and have not been completed, asynchronous event requests aside.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.activity.in_flight()
    }

    /// Whether commands are under way that a namespace has begun and not ended.
    pub(crate) fn works_on(&self, nsid: u32) -> bool {
        self.flights.values().any(|flight| flight.sqe.nsid == nsid)
    }

    /// Commands completed so far.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.completed
    }

    /// How late completions were posted, because this host is no faster.
    #[must_use]
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// How long at least one command was in the drive, by the model.
    #[must_use]
    pub fn busy(&self, now: Ns) -> Ns {
        self.activity.busy(now)
    }
}
