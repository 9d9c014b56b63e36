//! What the drive looks like inside, in FEMU's terms.

use super::model::{Femu, WritePointer};
use ersatz_engine::{Ns, Timeline};

/// Where everything is, for comparisons with FEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Line, page, LUN of its channel, and channel that the next relocated page (and host page,
    /// without logs) goes to.
    pub write_pointer: [u32; 4],
    /// Free lines, the next one first.
    pub free: Vec<u32>,
    /// Line, valid and invalid pages, in the order of the victim heap.
    pub victims: Vec<[u32; 3]>,
    /// Until when each LUN is busy, channel by channel.
    pub luns: Vec<Ns>,
    /// Mapped logical pages.
    pub mapped: u64,
    /// FNV-1a 64 over logical page, channel, LUN, block and page as little-endian 32-bit numbers,
    /// of every mapped logical page in order.
    pub map_hash: u64,
}

impl Femu {
    /// Where everything is. Takes time in the order of the drive's size.
    #[must_use]
    pub fn state(&self) -> State {
        let channels = self.geometry.channels;
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut mapped = 0;
        for (lpn, page) in (0u32..).zip(&self.physical) {
            let Some(page) = page.checked_sub(1) else {
                continue;
            };
            mapped += 1;
            let at = self.place(page);
            for word in [lpn, at.lun % channels, at.lun / channels, at.line, at.page] {
                for byte in word.to_le_bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        let WritePointer {
            line, page, lun, ..
        } = self.data;
        let victim = |line: &u32| {
            [
                *line,
                self.lines.get(*line).valid,
                self.lines.invalid(*line),
            ]
        };
        State {
            write_pointer: [line, page, lun / channels, lun % channels],
            free: self.lines.free().iter().copied().collect(),
            victims: self.lines.victims().iter().map(victim).collect(),
            luns: self.luns.by_channel().map(Timeline::free_at).collect(),
            mapped,
            map_hash: hash,
        }
    }
}
