//! Registers that one party writes and others read at the same time.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// A range of 32-bit registers. Clones show the same registers.
#[derive(Clone, Debug)]
pub struct Words(Arc<[AtomicU32]>);

impl Words {
    /// `bytes` bytes of zeros; a multiple of 4.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self((0..bytes / 4).map(|_| AtomicU32::new(0)).collect())
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() * 4
    }

    /// Whether there are no registers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The register at byte `offset`; 0 where there is none.
    #[must_use]
    pub fn get(&self, offset: usize) -> u32 {
        self.0
            .get(offset / 4)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// The two registers at byte `offset`, low half first.
    #[must_use]
    pub fn get64(&self, offset: usize) -> u64 {
        u64::from(self.get(offset)) | u64::from(self.get(offset + 4)) << 32
    }

    /// Sets the register at byte `offset`; nothing happens where there is none.
    pub fn set(&self, offset: usize, value: u32) {
        if let Some(word) = self.0.get(offset / 4) {
            word.store(value, Ordering::Release);
        }
    }

    /// Sets the two registers at byte `offset`, low half first.
    pub fn set64(&self, offset: usize, value: u64) {
        self.set(offset, value as u32);
        self.set(offset + 4, (value >> 32) as u32);
    }

    /// Copies bytes out, whatever the alignment. Bytes where there is no register are 0.
    pub fn read(&self, offset: u64, buf: &mut [u8]) {
        let Ok(start) = usize::try_from(offset) else {
            return buf.fill(0);
        };
        let mut done = 0;
        while done < buf.len() {
            let at = start.saturating_add(done);
            let word = self.get(at).to_le_bytes();
            let part = &word[at % 4..];
            let n = part.len().min(buf.len() - done);
            buf[done..done + n].copy_from_slice(&part[..n]);
            done += n;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_at_any_offset_and_length() {
        let words = Words::new(16);
        words.set64(4, 0x8877_6655_4433_2211);
        let mut buf = [0xFF; 7];
        words.read(3, &mut buf);
        assert_eq!(buf, [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
        words.read(14, &mut buf);
        assert_eq!(buf, [0; 7]);
        words.read(u64::MAX, &mut buf);
        assert_eq!(buf, [0; 7]);
    }
}
