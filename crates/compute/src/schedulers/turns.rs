//! Groups that take turns.

use crate::{Entry, GroupId};
use std::collections::{BTreeMap, VecDeque};

/// Waiting jobs by group. Each group with one waiting has one turn, then the others have theirs: a
/// group with many jobs gets no more than one with few.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: BTreeMap<GroupId, VecDeque<Entry>>,
    /// The groups of `waiting`, the next first.
    order: VecDeque<GroupId>,
}

impl Turns {
    pub(super) fn push(&mut self, entry: Entry) {
        let group = self.waiting.entry(entry.group).or_default();
        if group.is_empty() {
            self.order.push_back(entry.group);
        }
        group.push_back(entry);
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let turn = self.order.pop_front()?;
        let group = self.waiting.get_mut(&turn)?;
        let entry = group.pop_front();
        if group.is_empty() {
            self.waiting.remove(&turn);
        } else {
            self.order.push_back(turn);
        }
        entry
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
