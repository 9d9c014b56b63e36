//! Priority with ageing.

use crate::{Entry, Scheduler};
use ersatz_engine::Ns;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The highest priority first, among equals whoever waits longest. Each `ageing` of waiting counts
/// as one priority more, so that a job of the lowest priority gives way to those of the highest that
/// come to wait within eight of them, and to no later one.
///
/// As all priorities grow alike, who is before whom never changes while both wait: a job's rank is
/// the moment at which it would have had to arrive with priority 0.
#[derive(Debug)]
pub(crate) struct Priority {
    ageing: Ns,
    /// By rank, then by the order in which they came to wait.
    waiting: BinaryHeap<Reverse<Ranked>>,
    pushed: u64,
}

#[derive(Debug)]
struct Ranked {
    rank: (i128, u64),
    entry: Entry,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl Priority {
    pub(crate) fn new(ageing: Ns) -> Self {
        Self {
            ageing: ageing.max(Ns(1)),
            waiting: BinaryHeap::new(),
            pushed: 0,
        }
    }
}

impl Scheduler for Priority {
    fn push(&mut self, entry: Entry) {
        let head_start = i128::from(self.ageing.0) * i128::from(entry.priority);
        let rank = (i128::from(entry.since.0) - head_start, self.pushed);
        self.pushed += 1;
        self.waiting.push(Reverse(Ranked { rank, entry }));
    }

    fn pop(&mut self, _now: Ns) -> Option<Entry> {
        self.waiting.pop().map(|Reverse(ranked)| ranked.entry)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
