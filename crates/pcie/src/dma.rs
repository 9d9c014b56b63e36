//! Which host memory the drive can reach.

use ersatz_memory::Mapping;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Maps that a host may have at once, as announced to vfio-user clients.
pub const MAX_MAPS: usize = 65_535;

/// A range of I/O virtual addresses.
#[derive(Clone, Debug)]
pub struct DmaEntry {
    /// First address.
    pub iova: u64,
    /// Bytes.
    pub size: u64,
    /// The drive may read it.
    pub readable: bool,
    /// The drive may write it.
    pub writable: bool,
    /// The memory itself; without it, the range is reached by messages only.
    pub memory: Option<Arc<Mapping>>,
}

impl DmaEntry {
    fn end(&self) -> u64 {
        self.iova + self.size
    }
}

/// A map or an unmap was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DmaMapError {
    /// No bytes, or beyond the end of the address space.
    #[error("an empty range, or one that wraps around")]
    Range,
    /// The range overlaps one that is mapped.
    #[error("the range overlaps a mapped one")]
    Overlap,
    /// Too many maps.
    #[error("more than {MAX_MAPS} ranges")]
    Full,
    /// Nothing is mapped there, or the range would cut a mapped one in two.
    #[error("no such range is mapped")]
    Absent,
}

/// Part of an access that lies in one entry.
pub(crate) enum Reach<'a> {
    /// In memory, at this offset.
    Memory(&'a Mapping, u64),
    /// By messages.
    Message,
}

/// All ranges that a host has mapped; they don't overlap.
#[derive(Debug, Default)]
pub struct DmaMap {
    entries: BTreeMap<u64, DmaEntry>,
    /// The entry that was used last: most accesses in a row go to the same one.
    last: Option<DmaEntry>,
}

impl DmaMap {
    /// A map of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many ranges are mapped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a range.
    ///
    /// # Errors
    /// See [`DmaMapError`].
    pub fn map(&mut self, entry: DmaEntry) -> Result<(), DmaMapError> {
        let end = entry
            .iova
            .checked_add(entry.size)
            .filter(|_| entry.size > 0);
        let end = end.ok_or(DmaMapError::Range)?;
        let before = self.entries.range(..end).next_back();
        if before.is_some_and(|(_, other)| other.end() > entry.iova) {
            return Err(DmaMapError::Overlap);
        }
        if self.entries.len() >= MAX_MAPS {
            return Err(DmaMapError::Full);
        }
        self.entries.insert(entry.iova, entry);
        Ok(())
    }

    /// Removes all ranges inside of `iova..iova + size`.
    ///
    /// # Errors
    /// When there is none, or one lies across a border.
    pub fn unmap(&mut self, iova: u64, size: u64) -> Result<(), DmaMapError> {
        let end = iova
            .checked_add(size)
            .filter(|_| size > 0)
            .ok_or(DmaMapError::Range)?;
        let below = self.entries.range(..iova).next_back();
        if below.is_some_and(|(_, entry)| entry.end() > iova) {
            return Err(DmaMapError::Absent);
        }
        let inside: Vec<u64> = self
            .entries
            .range(iova..end)
            .map(|(&start, _)| start)
            .collect();
        let crosses = inside
            .last()
            .is_some_and(|last| self.entries[last].end() > end);
        if inside.is_empty() || crosses {
            return Err(DmaMapError::Absent);
        }
        for start in inside {
            self.entries.remove(&start);
        }
        self.last = None;
        Ok(())
    }

    /// Removes all ranges.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.last = None;
    }

    /// Finds the entry around `iova` and how many of `len` bytes lie in it.
    pub(crate) fn reach(&mut self, iova: u64, len: u64, write: bool) -> Option<(Reach<'_>, u64)> {
        let hit = |entry: &DmaEntry| entry.iova <= iova && iova < entry.end();
        if !self.last.as_ref().is_some_and(hit) {
            let range = (Bound::Unbounded, Bound::Included(iova));
            let entry = self
                .entries
                .range(range)
                .next_back()
                .map(|(_, entry)| entry);
            self.last = Some(entry.filter(|entry| hit(entry))?.clone());
        }
        let entry = self.last.as_ref()?;
        if !(if write {
            entry.writable
        } else {
            entry.readable
        }) {
            return None;
        }
        let offset = iova - entry.iova;
        let reach = match &entry.memory {
            Some(memory) => Reach::Memory(memory, offset),
            None => Reach::Message,
        };
        Some((reach, len.min(entry.size - offset)))
    }

    /// Writes a completion queue entry, its last four bytes after the rest, where it lies in one
    /// entry that has memory; `false` where it does not.
    pub(crate) fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> bool {
        let Some((Reach::Memory(memory, offset), 16)) = self.reach(iova, 16, true) else {
            return false;
        };
        let (body, phase) = entry.split_at(12);
        let phase = phase
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u32::from(byte));
        memory.write(offset, body).is_ok() && memory.store_release(offset + 12, phase).is_ok()
    }

    /// Calls `step(reach, iova, bytes done, bytes)` for each part of an access that lies in one
    /// entry. `None` when a part is not mapped or a step fails.
    pub(crate) fn walk(
        &mut self,
        iova: u64,
        len: usize,
        write: bool,
        mut step: impl FnMut(Reach<'_>, u64, usize, usize) -> Option<()>,
    ) -> Option<()> {
        let mut done = 0;
        while done < len {
            let at = iova.checked_add(done as u64)?;
            let (reach, part) = self.reach(at, (len - done) as u64, write)?;
            step(reach, at, done, part as usize)?;
            done += part as usize;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(iova: u64, size: u64) -> DmaEntry {
        DmaEntry {
            iova,
            size,
            readable: true,
            writable: true,
            memory: None,
        }
    }

    #[test]
    fn overlapping_and_wrapping_maps_are_refused() {
        let mut map = DmaMap::new();
        map.map(entry(0x1000, 0x1000)).expect("free");
        for (iova, size) in [(0x1000, 0x1000), (0x1FFF, 1), (0, 0x1001), (0, 0x10000)] {
            assert_eq!(map.map(entry(iova, size)), Err(DmaMapError::Overlap));
        }
        assert_eq!(map.map(entry(u64::MAX, 2)), Err(DmaMapError::Range));
        assert_eq!(map.map(entry(0, 0)), Err(DmaMapError::Range));
        map.map(entry(0x2000, 0x1000)).expect("adjacent");
        map.map(entry(0, 0x1000)).expect("adjacent");
    }

    #[test]
    fn unmap_takes_whole_ranges_only() {
        let mut map = DmaMap::new();
        map.map(entry(0x1000, 0x1000)).expect("free");
        map.map(entry(0x2000, 0x1000)).expect("free");
        assert_eq!(map.unmap(0x1000, 0x800), Err(DmaMapError::Absent));
        assert_eq!(map.unmap(0x1800, 0x1800), Err(DmaMapError::Absent));
        assert_eq!(map.unmap(0x4000, 0x1000), Err(DmaMapError::Absent));
        map.unmap(0x1000, 0x2000).expect("both");
        assert!(map.is_empty());
        assert!(map.reach(0x1000, 1, false).is_none());
    }

    #[test]
    fn an_access_across_two_ranges_is_split_and_one_across_a_hole_fails() {
        let memory = Arc::new(Mapping::anonymous("test", 0x1000).expect("map"));
        let mut map = DmaMap::new();
        map.map(DmaEntry {
            memory: Some(memory),
            ..entry(0x1000, 0x1000)
        })
        .expect("free");
        map.map(entry(0x2000, 0x1000)).expect("free");
        let (mut copies, mut messages) = (Vec::new(), Vec::new());
        let walked = map.walk(0x1F00, 0x200, true, |reach, iova, done, len| {
            match reach {
                Reach::Memory(_, offset) => copies.push((offset, done, len)),
                Reach::Message => messages.push((iova, done, len)),
            }
            Some(())
        });
        assert_eq!(walked, Some(()));
        assert_eq!(
            (copies, messages),
            (vec![(0xF00, 0, 0x100)], vec![(0x2000, 0x100, 0x100)])
        );
        assert!(
            map.walk(0x2F00, 0x200, true, |_, _, _, _| Some(()))
                .is_none()
        );
    }
}
