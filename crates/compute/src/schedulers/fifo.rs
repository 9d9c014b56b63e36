//! First come, first served.

use crate::{Entry, Scheduler};
use ersatz_engine::Ns;
use std::collections::VecDeque;

/// Each job, in the order of arrival, keeps its unit to its end.
#[derive(Debug, Default)]
pub(crate) struct Fifo(VecDeque<Entry>);

impl Scheduler for Fifo {
    fn push(&mut self, entry: Entry) {
        self.0.push_back(entry);
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        self.0.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_sliced(&self) -> bool {
        false
    }
}
