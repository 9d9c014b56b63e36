//! Round robin.

use crate::{Entry, Scheduler};
use ersatz_engine::Ns;
use std::collections::VecDeque;

/// Each job gets a time slice, then waits behind all others.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin(VecDeque<Entry>);

impl Scheduler for RoundRobin {
    fn push(&mut self, entry: Entry) {
        self.0.push_back(entry);
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        self.0.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
