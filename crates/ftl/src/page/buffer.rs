//! The write buffer: which pages wait to be programmed, and which are being.

use ersatz_engine::Ns;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// One page in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// The logical page; `None` when the data was overwritten or deallocated.
    pub lpn: Option<u32>,
    /// Which parts of the page are here; see [`Cover`].
    pub covered: u128,
    /// The valid physical page of this logical page: older data while the slot waits, this data
    /// while it is being programmed.
    pub flash: Option<u32>,
    /// Whether the program has begun.
    pub programming: bool,
    /// The stream it was written with.
    pub stream: u16,
}

/// Turns byte ranges of a page into bits of a `u128`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cover {
    /// Bytes of a bit.
    unit: u32,
    /// The bits of a whole page.
    pub full: u128,
}

impl Cover {
    /// Bits of 512 bytes, or of a 128th of a page of more than 64 KiB.
    pub fn new(page_bytes: u32) -> Self {
        let unit = page_bytes.div_ceil(128).max(512);
        Self {
            unit,
            full: Self::ones(page_bytes.div_ceil(unit)),
        }
    }

    fn ones(count: u32) -> u128 {
        1u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
    }

    /// The bits that lie wholly in `from..to`.
    pub fn written(&self, from: u32, to: u32, page_bytes: u32) -> u128 {
        let last = if to == page_bytes {
            to.div_ceil(self.unit)
        } else {
            to / self.unit
        };
        Self::ones(last) & !Self::ones(from.div_ceil(self.unit))
    }

    /// The bits that `from..to` touches.
    pub fn touched(&self, from: u32, to: u32) -> u128 {
        Self::ones(to.div_ceil(self.unit)) & !Self::ones(from / self.unit)
    }
}

/// The slots of the buffer.
#[derive(Debug)]
pub(super) struct Buffer {
    pub slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots that wait, by stream, oldest first; some may be dead.
    waiting: Vec<VecDeque<u32>>,
    /// Slots that wait and are not dead, by stream.
    live: Vec<u32>,
    /// Slots whose programs have begun, by their end.
    programming: BinaryHeap<Reverse<(Ns, u32)>>,
    /// When the last program that began will be done.
    pub last_end: Ns,
}

impl Buffer {
    pub fn new(capacity: u32, streams: u16) -> Self {
        let empty = Slot {
            lpn: None,
            covered: 0,
            flash: None,
            programming: false,
            stream: 0,
        };
        Self {
            slots: vec![empty; capacity as usize],
            free: (0..capacity).rev().collect(),
            waiting: vec![VecDeque::new(); streams.into()],
            live: vec![0; streams.into()],
            programming: BinaryHeap::new(),
            last_end: Ns::ZERO,
        }
    }

    pub fn slot(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[slot as usize]
    }

    /// A free slot for `lpn`, which waits from now on.
    pub fn reserve(&mut self, lpn: u32, stream: u16, flash: Option<u32>) -> Option<u32> {
        let slot = self.free.pop()?;
        *self.slot(slot) = Slot {
            lpn: Some(lpn),
            covered: 0,
            flash,
            programming: false,
            stream,
        };
        self.waiting[usize::from(stream)].push_back(slot);
        self.live[usize::from(stream)] += 1;
        Some(slot)
    }

    /// The slot's data is not wanted any more; it is free once its turn comes.
    pub fn kill(&mut self, slot: u32) {
        let it = self.slot(slot);
        it.lpn = None;
        if !it.programming {
            let stream = usize::from(it.stream);
            self.live[stream] -= 1;
        }
    }

    /// How many slots of the stream wait.
    pub fn waiting(&self, stream: u16) -> u32 {
        self.live[usize::from(stream)]
    }

    /// How many slots wait.
    pub fn waiting_total(&self) -> u32 {
        self.live.iter().sum()
    }

    /// Takes up to `count` waiting slots of the stream, oldest first, and frees dead ones.
    pub fn take(&mut self, stream: u16, count: u32, into: &mut Vec<u32>) {
        into.clear();
        while into.len() < count as usize {
            let Some(slot) = self.waiting[usize::from(stream)].pop_front() else {
                break;
            };
            if self.slots[slot as usize].lpn.is_some() {
                self.live[usize::from(stream)] -= 1;
                into.push(slot);
            } else {
                self.free.push(slot);
            }
        }
    }

    /// The slot's program, into the physical page that it names, will be done at `end`.
    pub fn program(&mut self, slot: u32, end: Ns) {
        self.slot(slot).programming = true;
        self.programming.push(Reverse((end, slot)));
        self.last_end = self.last_end.max(end);
    }

    /// When the next program ends.
    pub fn next_end(&self) -> Option<Ns> {
        self.programming.peek().map(|Reverse((end, _))| *end)
    }

    /// Frees a slot whose program is done by `now`, and gives its logical and physical page unless
    /// it is dead.
    #[inline]
    pub fn release(&mut self, now: Ns) -> Option<Option<(u32, u32)>> {
        if self.next_end()? > now {
            return None;
        }
        let Reverse((_, slot)) = self.programming.pop()?;
        self.free.push(slot);
        let Slot { lpn, flash, .. } = *self.slot(slot);
        Some(lpn.zip(flash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cover_rounds_writes_in_and_reads_out() {
        let cover = Cover::new(4096);
        assert_eq!(cover.full, 0xff);
        assert_eq!(cover.written(0, 4096, 4096), 0xff);
        assert_eq!(cover.written(512, 1536, 4096), 0b110);
        assert_eq!(cover.written(100, 1100, 4096), 0b10);
        assert_eq!(cover.touched(100, 1100), 0b111);
        assert_eq!(Cover::new(128 << 10).full, u128::MAX);
        // The last bit of a page whose size is no multiple of 512 is covered by a whole write.
        assert_eq!(
            Cover::new(4100).written(0, 4100, 4100),
            Cover::new(4100).full
        );
    }
}
