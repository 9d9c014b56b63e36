//! Earliest deadline first.

use crate::{Entry, Number, Scheduler};
use ersatz_engine::Ns;
use std::collections::BTreeMap;

/// Whoever's deadline is next; among equals, whoever came first. A job with an earlier deadline
/// takes the unit of the job with the latest one as soon as it arrives.
///
/// On one unit this meets all deadlines that any order of the jobs meets (Liu and Layland 1973,
/// Dertouzos 1974), apart from what switching costs; on several units there is no such rule.
#[derive(Debug, Default)]
pub(crate) struct DeadlineFirst(BTreeMap<(Ns, Number), Entry>);

impl Scheduler for DeadlineFirst {
    fn push(&mut self, entry: Entry) {
        self.0.insert((entry.deadline, entry.number), entry);
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        self.0.pop_first().map(|(_, entry)| entry)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A time slice would end in the same job's favour again.
    fn is_sliced(&self) -> bool {
        false
    }

    fn preempts(&self, new: &Entry, running: &Entry) -> bool {
        new.deadline < running.deadline
    }

    fn is_preemptive(&self) -> bool {
        true
    }
}
