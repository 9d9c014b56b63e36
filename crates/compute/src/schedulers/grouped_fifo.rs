//! First come, first served in each group.

use super::turns::Turns;
use crate::{Entry, Scheduler};
use ersatz_engine::Ns;

/// Groups take turns; a turn is the group's first job, to its end.
#[derive(Debug, Default)]
pub(crate) struct GroupedFifo(Turns);

impl Scheduler for GroupedFifo {
    fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        self.0.pop()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_sliced(&self) -> bool {
        false
    }
}
