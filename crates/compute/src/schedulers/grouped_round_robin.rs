//! Round robin over groups, and in each.

use super::turns::Turns;
use crate::{Entry, Scheduler};
use ersatz_engine::Ns;

/// Groups take turns; a turn is a time slice of the group's first job, which then waits behind the
/// others of its group.
#[derive(Debug, Default)]
pub(crate) struct GroupedRoundRobin(Turns);

impl Scheduler for GroupedRoundRobin {
    fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        self.0.pop()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
