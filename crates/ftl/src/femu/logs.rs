//! The two log-block schemes, as accounts of what was written since the last merge. Data is found
//! through the page table in both; they only decide when units are merged.
//!
//! A unit is as many consecutive logical pages as a block has.

/// Log blocks, and blocks of the shared pool.
const LOGS: u32 = 16;
/// Units that `fast` remembers as dirty.
const DIRTY_UNITS: usize = 4096;
/// Dirty units that `fast` merges at once.
const MERGED_AT_ONCE: usize = 2;

/// What a write request has to pay for before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reclaim {
    /// The unit was rewritten in order: its log becomes its data block. Erases the unit's block.
    Switch(u32),
    /// Every page of the unit moves to new blocks.
    Merge(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Log {
    unit: u32,
    used: u32,
    in_order: u32,
}

/// One log block per unit (BAST).
#[derive(Debug)]
pub struct Hybrid {
    pages: u32,
    logs: [Option<Log>; LOGS as usize],
}

impl Hybrid {
    /// No logs, for blocks of `pages` pages.
    pub fn new(pages: u32) -> Self {
        Self {
            pages,
            logs: [None; LOGS as usize],
        }
    }

    fn log(&mut self, unit: u32) -> Option<&mut Log> {
        self.logs.iter_mut().flatten().find(|log| log.unit == unit)
    }

    /// Logical page `lpn` was written. With all logs in use, a unit that has none is not counted.
    pub fn wrote(&mut self, lpn: u32) {
        let (unit, offset) = (lpn / self.pages, lpn % self.pages);
        if self.log(unit).is_none()
            && let Some(free) = self.logs.iter_mut().find(|log| log.is_none())
        {
            *free = Some(Log {
                unit,
                used: 0,
                in_order: 0,
            });
        }
        if let Some(log) = self.log(unit) {
            log.in_order += u32::from(log.used == offset);
            log.used += 1;
        }
    }

    /// The mapped logical page `lpn` was deallocated.
    pub fn trimmed(&mut self, lpn: u32) {
        let unit = lpn / self.pages;
        if let Some(log) = self.log(unit) {
            log.used = log.used.saturating_sub(1);
        }
    }

    /// Frees the fullest log, if one is full or none is left.
    pub fn reclaim(&mut self) -> Option<Reclaim> {
        let all_in_use = self.logs.iter().all(Option::is_some);
        let mut fullest: Option<(usize, Log)> = None;
        for (at, log) in self.logs.iter().enumerate() {
            if let Some(log) = log
                && fullest.is_none_or(|(_, best)| log.used > best.used)
            {
                fullest = Some((at, *log));
            }
        }
        let (at, log) = fullest.filter(|(_, log)| all_in_use || log.used >= self.pages)?;
        self.logs[at] = None;
        Some(if log.in_order >= self.pages {
            Reclaim::Switch(log.unit)
        } else {
            Reclaim::Merge(log.unit)
        })
    }
}

/// One log block for a sequential run, and a pool that all other units share (FAST).
#[derive(Debug)]
pub struct Fast {
    pages: u32,
    /// The unit that is rewritten in order, and how far.
    sequential: Option<(u32, u32)>,
    /// Units with pages in the pool; the last one is merged first.
    dirty: Vec<u32>,
    is_dirty: Vec<bool>,
    /// Pages of the pool that are used.
    pool: u64,
}

impl Fast {
    /// Nothing logged, for blocks of `pages` pages and a logical space of `logical_pages`.
    pub fn new(pages: u32, logical_pages: u32) -> Self {
        let units = logical_pages.div_ceil(pages) as usize;
        Self {
            pages,
            sequential: None,
            dirty: Vec::new(),
            is_dirty: vec![false; units],
            pool: 0,
        }
    }

    /// Logical page `lpn` was written.
    pub fn wrote(&mut self, lpn: u32) {
        let (unit, offset) = (lpn / self.pages, lpn % self.pages);
        match &mut self.sequential {
            Some((sequential, used)) if *sequential == unit && *used == offset => *used += 1,
            None if offset == 0 => self.sequential = Some((unit, 1)),
            _ => {
                let known = &mut self.is_dirty[unit as usize];
                if !*known && self.dirty.len() < DIRTY_UNITS {
                    *known = true;
                    self.dirty.push(unit);
                }
                self.pool += 1;
            }
        }
    }

    fn sequential_is_full(&self) -> bool {
        self.sequential.is_some_and(|(_, used)| used >= self.pages)
    }

    /// Whether something has to be merged.
    pub fn needs_reclaim(&self) -> bool {
        self.pool >= u64::from(LOGS) * u64::from(self.pages)
            || self.sequential_is_full()
            || self.dirty.len() >= DIRTY_UNITS - 1
    }

    /// What to do, in order; each merge has to be reported to [`merged`](Self::merged).
    pub fn reclaim(&mut self) -> impl Iterator<Item = Reclaim> + use<> {
        let switch = self.sequential.take_if(|(_, used)| *used >= self.pages);
        let keep = self.dirty.len().saturating_sub(MERGED_AT_ONCE);
        let merges = self.dirty.split_off(keep);
        for unit in &merges {
            self.is_dirty[*unit as usize] = false;
        }
        switch
            .map(|(unit, _)| Reclaim::Switch(unit))
            .into_iter()
            .chain(merges.into_iter().rev().map(Reclaim::Merge))
    }

    /// A merge moved so many pages.
    pub fn merged(&mut self, moved: u32) {
        self.pool = self.pool.saturating_sub(u64::from(moved));
    }

    /// All that [`reclaim`](Self::reclaim) gave was done.
    pub fn reclaimed(&mut self) {
        if self.dirty.is_empty() {
            self.pool = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_rewritten_in_order_is_switched_and_any_other_merged() {
        let mut hybrid = Hybrid::new(4);
        (0..3).for_each(|lpn| hybrid.wrote(lpn));
        assert_eq!(hybrid.reclaim(), None);
        hybrid.wrote(3);
        assert_eq!(hybrid.reclaim(), Some(Reclaim::Switch(0)));
        [5, 4, 6, 7].into_iter().for_each(|lpn| hybrid.wrote(lpn));
        assert_eq!(hybrid.reclaim(), Some(Reclaim::Merge(1)));
        assert_eq!(hybrid.reclaim(), None);
    }

    #[test]
    fn with_all_logs_in_use_the_fullest_goes_and_the_lowest_of_equals() {
        let mut hybrid = Hybrid::new(4);
        (0..LOGS).for_each(|unit| hybrid.wrote(unit * 4));
        hybrid.wrote(3 * 4);
        hybrid.wrote(7 * 4);
        assert_eq!(hybrid.reclaim(), Some(Reclaim::Merge(3)));
        hybrid.wrote(90 * 4);
        hybrid.trimmed(7 * 4);
        assert_eq!(hybrid.reclaim(), Some(Reclaim::Merge(0)));
    }

    #[test]
    fn fast_merges_the_two_units_that_became_dirty_last() {
        let mut fast = Fast::new(4, 400);
        [5, 9, 13].into_iter().for_each(|lpn| fast.wrote(lpn));
        assert!(!fast.needs_reclaim());
        (0..4).for_each(|lpn| fast.wrote(lpn));
        assert!(fast.needs_reclaim());
        let work: Vec<_> = fast.reclaim().collect();
        assert_eq!(
            work,
            [Reclaim::Switch(0), Reclaim::Merge(3), Reclaim::Merge(2)]
        );
        assert!(!fast.needs_reclaim());
    }

    #[test]
    fn an_interrupted_run_keeps_the_sequential_log() {
        let mut fast = Fast::new(4, 400);
        fast.wrote(0);
        fast.wrote(4);
        assert_eq!((fast.sequential, fast.pool), (Some((0, 1)), 1));
    }
}
