//! The cache of translation pages.

use super::config::Geometry;
use ersatz_engine::{Ns, Timeline};
use ersatz_nand::PageTimes;

/// Bytes of a mapping entry.
const ENTRY: u64 = 8;

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Translation page + 1; 0 when the slot is empty.
    page: u32,
    used: bool,
    dirty: bool,
}

/// Which translation pages are in memory. A miss reads one from flash, and first writes a changed
/// one back; every translation page has its home LUN.
#[derive(Debug)]
pub struct MappingCache {
    entries: u32,
    slots: Vec<Slot>,
    /// Slot + 1 by translation page; 0 where it is not cached.
    index: Vec<u32>,
    hand: u32,
}

impl MappingCache {
    /// An empty cache of `capacity` translation pages.
    pub fn new(capacity: u32, geometry: &Geometry) -> Self {
        let entries = (geometry.cache_page_bytes / ENTRY).clamp(1, u64::from(u32::MAX)) as u32;
        let pages = geometry.logical_pages.div_ceil(entries);
        // More slots than there are translation pages are never reached by the hand before all
        // pages are cached, and then nothing misses any more.
        let slots = capacity.min(pages) as usize;
        Self {
            entries,
            slots: vec![
                Slot {
                    page: 0,
                    used: false,
                    dirty: false
                };
                slots
            ],
            index: vec![0; pages as usize],
            hand: 0,
        }
    }

    /// When the translation of logical page `lpn` is in memory.
    pub fn access(
        &mut self,
        now: Ns,
        lpn: u32,
        write: bool,
        geometry: &Geometry,
        luns: &mut [Timeline],
        times: &PageTimes,
    ) -> Ns {
        let page = lpn / self.entries;
        if let Some(slot) = self.index[page as usize].checked_sub(1) {
            let slot = &mut self.slots[slot as usize];
            slot.used = true;
            slot.dirty |= write;
            return now;
        }
        let victim = self.victim();
        let old = std::mem::replace(
            &mut self.slots[victim as usize],
            Slot {
                page: page + 1,
                used: true,
                dirty: write,
            },
        );
        self.index[page as usize] = victim + 1;
        let mut ready = now;
        if let Some(old_page) = old.page.checked_sub(1) {
            self.index[old_page as usize] = 0;
            if old.dirty {
                ready = luns[home(old_page, geometry)]
                    .book(now, times.program(0))
                    .end;
            }
        }
        luns[home(page, geometry)].book(ready, times.read(0)).end
    }

    /// The first slot from the hand that is empty or not used since the hand last passed.
    fn victim(&mut self) -> u32 {
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.slots.len() as u32;
            let slot = &mut self.slots[at as usize];
            if slot.page == 0 || !slot.used {
                return at;
            }
            slot.used = false;
        }
    }
}

/// The LUN of a translation page. Homes are counted channel by channel, LUN timelines the other way.
fn home(page: u32, geometry: &Geometry) -> usize {
    let home = page % geometry.luns;
    let (channel, lun) = (
        home / geometry.luns_per_channel,
        home % geometry.luns_per_channel,
    );
    (lun * geometry.channels + channel) as usize
}
