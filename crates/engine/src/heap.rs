//! What shall happen later.

use crate::Ns;
use core::cmp::Ordering;
use std::collections::BinaryHeap;

struct Entry<E> {
    at: Ns,
    sequence: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (Ns, u64) {
        (self.at, self.sequence)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    /// Reversed: `BinaryHeap` gives its greatest entry, we want the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

/// Events by the time at which they are due. Events of the same time come out in the order in
/// which they were pushed, so that a run is repeatable.
pub struct Heap<E> {
    entries: BinaryHeap<Entry<E>>,
    sequence: u64,
}

impl<E> Heap<E> {
    /// An empty heap.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: BinaryHeap::new(),
            sequence: 0,
        }
    }

    /// Makes `event` due at `at`.
    pub fn push(&mut self, at: Ns, event: E) {
        self.entries.push(Entry {
            at,
            sequence: self.sequence,
            event,
        });
        self.sequence += 1;
    }

    /// Takes the earliest event that is due at `now`, with the time at which it was due.
    pub fn pop_due(&mut self, now: Ns) -> Option<(Ns, E)> {
        if self.entries.peek()?.at > now {
            return None;
        }
        self.entries.pop().map(|entry| (entry.at, entry.event))
    }

    /// Takes all events that `wanted` picks, in the order in which they would have come out. The
    /// others keep their times and their order.
    pub fn extract(&mut self, mut wanted: impl FnMut(&E) -> bool) -> Vec<(Ns, E)> {
        let (mut taken, mut kept) = (Vec::new(), Vec::new());
        for entry in std::mem::take(&mut self.entries).into_vec() {
            if wanted(&entry.event) {
                taken.push(entry);
            } else {
                kept.push(entry);
            }
        }
        self.entries = kept.into();
        taken.sort_unstable_by_key(Entry::key);
        taken
            .into_iter()
            .map(|entry| (entry.at, entry.event))
            .collect()
    }

    /// When the next event is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Ns> {
        self.entries.peek().map(|entry| entry.at)
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<E> Default for Heap<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_by_time_and_ties_by_the_order_of_pushing() {
        let mut heap = Heap::new();
        heap.push(Ns(20), 'c');
        heap.push(Ns(10), 'a');
        heap.push(Ns(10), 'b');
        assert_eq!(heap.next_due(), Some(Ns(10)));
        assert_eq!(heap.pop_due(Ns(9)), None);
        assert_eq!(heap.pop_due(Ns(30)), Some((Ns(10), 'a')));
        assert_eq!(heap.pop_due(Ns(30)), Some((Ns(10), 'b')));
        assert_eq!(heap.pop_due(Ns(30)), Some((Ns(20), 'c')));
        assert!(heap.is_empty());
    }

    #[test]
    fn extracted_events_are_gone_and_the_others_keep_their_order() {
        let mut heap = Heap::new();
        for (i, at) in [3, 1, 2, 1, 3].into_iter().enumerate() {
            heap.push(Ns(at), i);
        }
        assert_eq!(heap.extract(|i| i % 2 == 1), [(Ns(1), 1), (Ns(1), 3)]);
        let rest: Vec<_> = core::iter::from_fn(|| heap.pop_due(Ns(9))).collect();
        assert_eq!(rest, [(Ns(2), 2), (Ns(3), 0), (Ns(3), 4)]);
    }
}
