//! The read cache: logical pages in the controller's memory.

use std::collections::BTreeSet;

/// What a full read cache drops, by FEMU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// The first entry from a moving hand that was not used since the hand last passed.
    #[default]
    Clock,
    /// Any.
    Random,
    /// The one that was not used for longest.
    Lru,
    /// Entries that were never used again before those that were; among equals as `Lru`.
    Arc,
}

impl Eviction {
    /// The eviction policy of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "clock" => Self::Clock,
            "random" => Self::Random,
            "lru" => Self::Lru,
            "arc" => Self::Arc,
            _ => return None,
        })
    }

    /// The policy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Lru => "lru",
            Self::Arc => "arc",
        }
    }
}

/// No slot, no page.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    page: u32,
    used: bool,
    /// Neighbours in the queue of its `used` flag.
    older: u32,
    newer: u32,
}

/// Slots in the order of their last use: which is FEMU's order of ticks, kept as a list so that the
/// oldest one needs no search.
#[derive(Clone, Copy, Debug)]
struct Queue {
    oldest: u32,
    newest: u32,
}

/// Which logical pages are cached. Holds no data.
#[derive(Debug)]
pub struct ReadCache {
    capacity: u32,
    eviction: Eviction,
    /// Slots that were used at least once; grows up to `capacity`.
    slots: Vec<Slot>,
    /// Slot + 1 by logical page; 0 where the page is not cached.
    index: Vec<u32>,
    /// Emptied slots, for the policies that fill the lowest one first.
    empty: BTreeSet<u32>,
    queues: [Queue; 2],
    hand: u32,
    random: u64,
}

impl ReadCache {
    /// An empty cache of `capacity` of `pages` logical pages.
    pub fn new(capacity: u32, pages: u32, eviction: Eviction) -> Self {
        Self {
            capacity,
            eviction,
            slots: Vec::new(),
            index: vec![0; pages as usize],
            empty: BTreeSet::new(),
            queues: [Queue {
                oldest: NONE,
                newest: NONE,
            }; 2],
            hand: 0,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Whether the page is cached; counts as a use.
    pub fn hit(&mut self, page: u32) -> bool {
        let Some(slot) = self.index[page as usize].checked_sub(1) else {
            return false;
        };
        self.unlink(slot);
        self.slots[slot as usize].used |= self.eviction != Eviction::Lru;
        self.link(slot);
        true
    }

    /// Caches a page that is not cached.
    pub fn insert(&mut self, page: u32) {
        let slot = self.slot_to_fill();
        self.drop_content(slot);
        self.empty.remove(&slot);
        let it = &mut self.slots[slot as usize];
        it.page = page;
        it.used = self.eviction == Eviction::Clock;
        self.index[page as usize] = slot + 1;
        self.link(slot);
    }

    /// Forgets a page, if it is cached.
    pub fn remove(&mut self, page: u32) {
        if let Some(slot) = self.index[page as usize].checked_sub(1) {
            self.drop_content(slot);
            self.empty.insert(slot);
        }
    }

    fn slot_to_fill(&mut self) -> u32 {
        if self.slots.len() < self.capacity as usize {
            self.slots.push(Slot {
                page: NONE,
                used: false,
                older: NONE,
                newer: NONE,
            });
            return self.slots.len() as u32 - 1;
        }
        match self.eviction {
            Eviction::Clock => loop {
                let slot = self.hand;
                self.hand = (self.hand + 1) % self.capacity;
                let it = &mut self.slots[slot as usize];
                if it.page == NONE || !it.used {
                    return slot;
                }
                // The hand's mark must not move the slot in its queue: `Clock` keeps none.
                it.used = false;
            },
            Eviction::Random => {
                self.random = self
                    .random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((self.random >> 33) % u64::from(self.capacity)) as u32
            }
            Eviction::Lru | Eviction::Arc => {
                let [unused, used] = self.queues.map(|queue| queue.oldest);
                let oldest = if unused == NONE { used } else { unused };
                self.empty.first().copied().unwrap_or(oldest)
            }
        }
    }

    fn drop_content(&mut self, slot: u32) {
        let page = self.slots[slot as usize].page;
        if page != NONE {
            self.unlink(slot);
            self.index[page as usize] = 0;
            self.slots[slot as usize].page = NONE;
        }
    }

    fn queued(&self) -> bool {
        matches!(self.eviction, Eviction::Lru | Eviction::Arc)
    }

    fn link(&mut self, slot: u32) {
        if !self.queued() {
            return;
        }
        let queue = usize::from(self.slots[slot as usize].used);
        let newest = self.queues[queue].newest;
        self.slots[slot as usize].older = newest;
        self.slots[slot as usize].newer = NONE;
        match self.slots.get_mut(newest as usize) {
            Some(newest) => newest.newer = slot,
            None => self.queues[queue].oldest = slot,
        }
        self.queues[queue].newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        if !self.queued() {
            return;
        }
        let Slot {
            used, older, newer, ..
        } = self.slots[slot as usize];
        let queue = usize::from(used);
        match self.slots.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.queues[queue].oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.queues[queue].newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(eviction: Eviction) -> ReadCache {
        let mut cache = ReadCache::new(3, 10, eviction);
        (0..3).for_each(|page| cache.insert(page));
        cache
    }

    fn cached(cache: &ReadCache) -> Vec<u32> {
        (0..10)
            .filter(|page| cache.index[*page as usize] != 0)
            .collect()
    }

    #[test]
    fn lru_drops_what_was_not_used_for_longest() {
        let mut cache = full(Eviction::Lru);
        assert!(cache.hit(0));
        cache.insert(3);
        assert_eq!(cached(&cache), [0, 2, 3]);
        assert!(!cache.hit(1));
    }

    #[test]
    fn arc_drops_what_was_used_once_before_what_was_used_again() {
        let mut cache = full(Eviction::Arc);
        cache.hit(0);
        cache.hit(1);
        cache.insert(3);
        cache.insert(4);
        assert_eq!(cached(&cache), [0, 1, 4]);
        cache.hit(4);
        cache.insert(5);
        assert_eq!(cached(&cache), [1, 4, 5]);
    }

    #[test]
    fn clock_gives_every_entry_a_second_chance() {
        let mut cache = full(Eviction::Clock);
        // All marks are set: one round clears them and the hand is back where it was.
        cache.insert(3);
        assert_eq!(cached(&cache), [1, 2, 3]);
        cache.hit(1);
        cache.insert(4);
        assert_eq!(cached(&cache), [1, 3, 4]);
    }

    #[test]
    fn lru_and_arc_fill_the_lowest_emptied_slot_first() {
        for eviction in [Eviction::Lru, Eviction::Arc] {
            let mut cache = full(eviction);
            cache.remove(2);
            cache.remove(1);
            cache.insert(3);
            assert_eq!(cache.index[3], 2);
            cache.insert(4);
            assert_eq!(cache.index[4], 3);
            assert_eq!(cached(&cache), [0, 3, 4]);
        }
    }

    #[test]
    fn a_slot_never_used_comes_before_one_that_was_emptied() {
        let mut cache = ReadCache::new(2, 10, Eviction::Lru);
        cache.insert(0);
        cache.remove(0);
        cache.insert(1);
        assert_eq!(cache.index[1], 2);
    }
}
