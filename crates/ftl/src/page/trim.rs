//! Deallocation, of whole pages and of parts of them.

use super::model::{At, PageFtl, Part};
use super::watch::Watch;
use crate::media::Extent;

/// So many partly deallocated pages are remembered; of others, the parts stay as they are.
const REMEMBERED: usize = 1 << 18;

impl<W: Watch> PageFtl<W> {
    pub(super) fn trim_extent(&mut self, extent: Extent) {
        let page_bytes = self.config.geometry.page_bytes;
        for part in self.parts(extent) {
            if part.from == 0 && part.to == page_bytes {
                self.deallocate(part.lpn);
            } else {
                self.trim_part(part);
            }
        }
    }

    fn deallocate(&mut self, lpn: u32) {
        let flash = match self.at(lpn) {
            At::Nowhere => return,
            At::Flash(page) => Some(page),
            At::Buffer(slot) => {
                let flash = self.buffer.slot(slot).flash.take();
                self.buffer.kill(slot);
                flash
            }
        };
        if let Some(page) = flash {
            self.invalidate(page);
        }
        self.set(lpn, At::Nowhere);
        self.trimmed.remove(&lpn);
    }

    /// Remembers a part until nothing of its page is left.
    fn trim_part(&mut self, part: Part) {
        let page_bytes = self.config.geometry.page_bytes;
        let bits = self.cover.written(part.from, part.to, page_bytes);
        let at = self.at(part.lpn);
        let known = self.trimmed.get(&part.lpn).copied();
        if bits == 0 || at == At::Nowhere || known.is_none() && self.trimmed.len() == REMEMBERED {
            return;
        }
        let all = known.unwrap_or(0) | bits;
        if all == self.cover.full {
            self.deallocate(part.lpn);
            return;
        }
        self.trimmed.insert(part.lpn, all);
        if let At::Buffer(slot) = at {
            let full = self.cover.full;
            let it = self.buffer.slot(slot);
            it.covered |= bits;
            if it.covered == full
                && !it.programming
                && let Some(old) = it.flash.take()
            {
                self.invalidate(old);
            }
        }
    }

    /// The part is written. Gives what of its page stays deallocated.
    #[inline]
    pub(super) fn untrim(&mut self, part: Part) -> u128 {
        if self.trimmed.is_empty() {
            return 0;
        }
        let Some(bits) = self.trimmed.get_mut(&part.lpn) else {
            return 0;
        };
        *bits &= !self.cover.touched(part.from, part.to);
        let left = *bits;
        if left == 0 {
            self.trimmed.remove(&part.lpn);
        }
        left
    }

    /// Whether nothing of the part is left.
    #[inline]
    pub(super) fn is_trimmed(&self, part: Part) -> bool {
        !self.trimmed.is_empty()
            && (self.trimmed.get(&part.lpn))
                .is_some_and(|bits| self.cover.touched(part.from, part.to) & !bits == 0)
    }
}
