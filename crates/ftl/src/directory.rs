//! Which translation pages are in the controller's memory.

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Translation page + 1; 0 when the slot is empty.
    page: u32,
    used: bool,
    dirty: bool,
}

/// What an access has to do before the translation is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Hit,
    /// Write the changed page back that makes room, if there is one, then read.
    Miss {
        /// The translation page to write back.
        write_back: Option<u32>,
    },
}

/// A cache of translation pages with the second-chance (CLOCK) policy.
#[derive(Debug)]
pub struct Directory {
    slots: Vec<Slot>,
    /// Slot + 1 by translation page; 0 where it is not cached.
    index: Vec<u32>,
    hand: u32,
}

impl Directory {
    /// An empty cache of `capacity` of `pages` translation pages.
    pub fn new(capacity: u32, pages: u32) -> Self {
        // With more slots than there are pages nothing would ever miss twice.
        let slots = capacity.clamp(1, pages.max(1)) as usize;
        Self {
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

    /// Makes translation page `page` cached.
    pub fn access(&mut self, page: u32, write: bool) -> Access {
        if let Some(slot) = self.index[page as usize].checked_sub(1) {
            let slot = &mut self.slots[slot as usize];
            slot.used = true;
            slot.dirty |= write;
            return Access::Hit;
        }
        let victim = self.victim();
        let new = Slot {
            page: page + 1,
            used: true,
            dirty: write,
        };
        let old = std::mem::replace(&mut self.slots[victim as usize], new);
        self.index[page as usize] = victim + 1;
        let old_page = old.page.checked_sub(1);
        if let Some(old_page) = old_page {
            self.index[old_page as usize] = 0;
        }
        Access::Miss {
            write_back: old_page.filter(|_| old.dirty),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_pages_are_written_back() {
        let mut directory = Directory::new(2, 10);
        let miss = |write_back| Access::Miss { write_back };
        assert_eq!(directory.access(0, false), miss(None));
        assert_eq!(directory.access(1, false), miss(None));
        assert_eq!(directory.access(0, true), Access::Hit);
        // Both are used: the hand clears both marks and takes the first.
        assert_eq!(directory.access(2, false), miss(Some(0)));
        assert_eq!(directory.access(3, false), miss(None));
        assert_eq!(directory.access(2, false), Access::Hit);
    }
}
