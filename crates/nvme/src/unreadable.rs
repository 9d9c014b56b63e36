//! Blocks that can't be read until they are written: what Write Uncorrectable leaves.

use std::collections::BTreeMap;

/// Blocks that a page of the map stands for.
const PAGE: u64 = 4096;
/// Bits of a word.
const WORD: u64 = 64;
/// Pages at most: 2 MiB of map, however much a host marks.
const MAX_PAGES: usize = 4096;

type Page = [u64; (PAGE / WORD) as usize];

/// No more blocks can be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many areas of unreadable blocks")]
pub(crate) struct Full;

/// A set of blocks: a map of bits of which only the pages exist that have one set. Only marking
/// makes it larger, and only up to a limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unreadable {
    pages: BTreeMap<u64, Page>,
}

impl Unreadable {
    /// The first block of the set among `count` blocks from `start` on.
    pub(crate) fn first_in(&self, start: u64, count: u64) -> Option<u64> {
        if self.pages.is_empty() {
            return None;
        }
        let end = start.saturating_add(count);
        self.pages
            .range(start / PAGE..end.div_ceil(PAGE))
            .find_map(|(&page, words)| {
                let masked = masks(page, start, end).zip(words);
                masked.enumerate().find_map(|(i, (mask, word))| {
                    let hit = word & mask;
                    let block = page * PAGE + i as u64 * WORD + u64::from(hit.trailing_zeros());
                    (hit != 0).then_some(block)
                })
            })
    }

    /// Adds `count` blocks from `start` on.
    ///
    /// # Errors
    /// When that would take too much memory; then none is added.
    pub(crate) fn mark(&mut self, start: u64, count: u64) -> Result<(), Full> {
        let end = start.saturating_add(count);
        let pages = start / PAGE..end.div_ceil(PAGE);
        let new = pages.clone().filter(|page| !self.pages.contains_key(page));
        if self.pages.len() + new.take(MAX_PAGES + 1).count() > MAX_PAGES {
            return Err(Full);
        }
        for page in pages {
            let words = self
                .pages
                .entry(page)
                .or_insert([0; (PAGE / WORD) as usize]);
            for (word, mask) in words.iter_mut().zip(masks(page, start, end)) {
                *word |= mask;
            }
        }
        Ok(())
    }

    /// Takes `count` blocks from `start` on out.
    pub(crate) fn clear(&mut self, start: u64, count: u64) {
        let end = start.saturating_add(count);
        let mut empty = Vec::new();
        for (&page, words) in self.pages.range_mut(start / PAGE..end.div_ceil(PAGE)) {
            for (word, mask) in words.iter_mut().zip(masks(page, start, end)) {
                *word &= !mask;
            }
            if words.iter().all(|&word| word == 0) {
                empty.push(page);
            }
        }
        for page in empty {
            self.pages.remove(&page);
        }
    }

    /// Whether there is no block in the set.
    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }
}

/// For each word of a page, the bits of it that stand for blocks from `start` up to `end`.
fn masks(page: u64, start: u64, end: u64) -> impl Iterator<Item = u64> {
    (0..PAGE / WORD).map(move |i| {
        let first = page * PAGE + i * WORD;
        let (from, to) = (start.max(first), end.min(first + WORD));
        if from >= to {
            return 0;
        }
        u64::MAX >> (WORD - (to - from)) << (from - first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_found_until_it_is_cleared() {
        let mut set = Unreadable::default();
        assert_eq!(set.first_in(0, u64::MAX), None);
        set.mark(4090, 10).expect("room");
        set.mark(100_000, 1).expect("room");
        assert_eq!(set.first_in(0, 4090), None);
        assert_eq!(set.first_in(0, 4091), Some(4090));
        assert_eq!(set.first_in(4095, 100), Some(4095));
        assert_eq!(set.first_in(4096, 100), Some(4096));
        assert_eq!(set.first_in(4100, 95_900), None);
        set.clear(4092, 6);
        let marked: Vec<_> = (4080..4110)
            .filter(|&b| set.first_in(b, 1).is_some())
            .collect();
        assert_eq!(marked, [4090, 4091, 4098, 4099]);
        set.clear(0, 50_000);
        assert_eq!(set.first_in(0, u64::MAX), Some(100_000));
        set.clear(100_000, 1);
        assert!(set.is_empty());
    }

    #[test]
    fn the_map_has_an_end_and_what_does_not_fit_changes_nothing() {
        let mut set = Unreadable::default();
        for page in 0..MAX_PAGES as u64 - 1 {
            set.mark(page * PAGE, 1).expect("room");
        }
        let last = MAX_PAGES as u64 * PAGE;
        assert_eq!(set.mark(last, PAGE + 1), Err(Full));
        assert_eq!(set.first_in(last, PAGE * 2), None);
        set.mark(last, PAGE).expect("room for one more");
        set.mark(7, 3).expect("the page is there");
        // Whatever is written into the middle of marked blocks, the map does not grow.
        (0..PAGE / 2).for_each(|i| set.clear(last + i * 2, 1));
        assert_eq!(set.pages.len(), MAX_PAGES);
    }
}
