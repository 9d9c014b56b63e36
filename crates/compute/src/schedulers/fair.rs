//! Fair share.

use crate::{Entry, GroupId, Scheduler};
use ersatz_engine::Ns;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What one nanosecond counts for a group of weight 1: divisible by all weights, so that shares
/// are exact.
const SCALE: u128 = 2520;

/// A time slice for the group that has had the least of the units' time so far, in proportion to
/// its priority; its jobs take turns. A group that had nothing to do is not paid for it later: it
/// begins again where the others are.
#[derive(Debug, Default)]
pub(crate) struct FairShare {
    /// What each group has had.
    groups: BTreeMap<GroupId, Share>,
    /// The groups that wait, by what they have had.
    order: BTreeSet<(u128, GroupId)>,
    /// What the last group that was served had had: nobody who waits has had less.
    floor: u128,
}

#[derive(Debug, Default)]
struct Share {
    had: u128,
    waiting: VecDeque<Entry>,
}

impl Scheduler for FairShare {
    fn push(&mut self, entry: Entry) {
        let share = self.groups.entry(entry.group).or_default();
        if share.waiting.is_empty() {
            share.had = share.had.max(self.floor);
            self.order.insert((share.had, entry.group));
        }
        share.waiting.push_back(entry);
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        let (had, group) = self.order.pop_first()?;
        self.floor = self.floor.max(had);
        let share = self.groups.get_mut(&group)?;
        let entry = share.waiting.pop_front();
        if !share.waiting.is_empty() {
            self.order.insert((had, group));
        }
        entry
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn charge(&mut self, entry: &Entry, time: Ns) {
        let weight = u128::from(entry.priority.clamp(1, 9));
        let Some(share) = self.groups.get_mut(&entry.group) else {
            return;
        };
        let waits = self.order.remove(&(share.had, entry.group));
        share.had = share
            .had
            .saturating_add(u128::from(time.0) * SCALE / weight);
        if waits {
            self.order.insert((share.had, entry.group));
        }
    }
}
