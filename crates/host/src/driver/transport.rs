//! One end of the cable: how a driver reaches a controller.

use crate::Error;
use ersatz_memory::{Mapping, OutOfBounds, Plain};
use std::any::Any;
use std::sync::Arc;

/// How a driver reaches a controller: its registers, its doorbells, and memory that both see.
///
/// All methods take `&self`, so that queue pairs can be used from several threads at once; an
/// implementation that needs to change something has a lock. None may panic.
pub trait Transport: Send + Sync {
    /// Reads 4 bytes of BAR0.
    ///
    /// # Errors
    /// When the controller can't be reached.
    fn read32(&self, offset: u64) -> Result<u32, Error>;

    /// Reads 8 bytes of BAR0.
    ///
    /// # Errors
    /// When the controller can't be reached.
    fn read64(&self, offset: u64) -> Result<u64, Error>;

    /// Writes 4 bytes of BAR0, doorbells included. All that was stored in shared memory before is
    /// seen by the controller when it sees this.
    ///
    /// # Errors
    /// When the controller can't be reached.
    fn write32(&self, offset: u64, value: u32) -> Result<(), Error>;

    /// Writes 8 bytes of BAR0.
    ///
    /// # Errors
    /// When the controller can't be reached.
    fn write64(&self, offset: u64, value: u64) -> Result<(), Error>;

    /// The doorbells as plain memory, from [`DOORBELLS`](nvme_spec::register::DOORBELLS) on: what
    /// is stored there reaches the controller without a call. Doorbells that the mapping does not
    /// cover, or all if there is none, are rung with [`write32`](Self::write32). The answer is
    /// always the same.
    fn doorbells(&self) -> Option<Arc<Mapping>> {
        None
    }

    /// Zeroed memory that the controller can reach until the buffer and its clones are dropped: at
    /// least `len` bytes, contiguous in I/O virtual addresses, starting on a page (of 4096 bytes,
    /// and of the controller's minimum if that is more).
    ///
    /// # Errors
    /// When there is no memory, or the controller's side refuses to map it.
    fn allocate(&self, len: u64) -> Result<DmaBuffer, Error>;

    /// Called again and again by who waits for the controller, once in each turn that found
    /// nothing. An in-process drive runs here; a socket makes sure that its peer is still there
    /// and serves its messages. It must be cheap enough to be called in a spinning loop: whatever
    /// costs a system call is to be done once in many calls.
    ///
    /// # Errors
    /// When the controller will never answer again.
    fn poll(&self) -> Result<(), Error>;
}

/// Contiguous bytes at an I/O virtual address: what a data pointer describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// I/O virtual address of the first byte.
    pub iova: u64,
    /// Bytes.
    pub len: u64,
}

/// Memory that host and controller share. Clones and slices show the same bytes.
///
/// The controller may change it at any time: read once, and use the copy.
#[derive(Clone, Debug)]
pub struct DmaBuffer {
    memory: Arc<Mapping>,
    start: u64,
    iova: u64,
    len: u64,
    lease: Option<Arc<dyn Any + Send + Sync>>,
}

impl DmaBuffer {
    /// `len` bytes of `memory` from `start` on, which the controller sees at `iova`.
    ///
    /// # Errors
    /// When they are not inside of `memory`.
    pub fn new(memory: Arc<Mapping>, start: u64, iova: u64, len: u64) -> Result<Self, OutOfBounds> {
        check(start, len, memory.len())?;
        Ok(Self {
            memory,
            start,
            iova,
            len,
            lease: None,
        })
    }

    /// The same buffer, which keeps `lease` alive: dropping that with the last clone is how a
    /// transport learns that the memory is free.
    #[must_use]
    pub fn with_lease(mut self, lease: Arc<dyn Any + Send + Sync>) -> Self {
        self.lease = Some(lease);
        self
    }

    /// I/O virtual address of the first byte.
    #[must_use]
    pub fn iova(&self) -> u64 {
        self.iova
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole buffer, for a data pointer.
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment {
            iova: self.iova,
            len: self.len,
        }
    }

    /// A part of the buffer that shares its memory.
    ///
    /// # Errors
    /// When the part is not inside of the buffer.
    pub fn slice(&self, offset: u64, len: u64) -> Result<Self, OutOfBounds> {
        check(offset, len, self.len)?;
        Ok(Self {
            start: self.start + offset,
            iova: self.iova + offset,
            len,
            ..self.clone()
        })
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// When the range is not inside of the buffer; nothing is copied then. So for all others.
    #[inline]
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        check(offset, buf.len() as u64, self.len)?;
        self.memory.read(self.start + offset, buf)
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn write(&self, offset: u64, buf: &[u8]) -> Result<(), OutOfBounds> {
        check(offset, buf.len() as u64, self.len)?;
        self.memory.write(self.start + offset, buf)
    }

    /// Sets bytes to `value`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn fill(&self, offset: u64, len: u64, value: u8) -> Result<(), OutOfBounds> {
        check(offset, len, self.len)?;
        self.memory.fill(self.start + offset, len, value)
    }

    /// Reads one value.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn load<T: Plain>(&self, offset: u64) -> Result<T, OutOfBounds> {
        check(offset, size_of::<T>() as u64, self.len)?;
        self.memory.load(self.start + offset)
    }

    /// Writes one value.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[inline]
    pub fn store<T: Plain>(&self, offset: u64, value: T) -> Result<(), OutOfBounds> {
        check(offset, size_of::<T>() as u64, self.len)?;
        self.memory.store(self.start + offset, value)
    }

    /// Reads a word that the controller writes last: what it wrote before is seen after.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the word is not aligned.
    #[inline]
    pub fn load_acquire(&self, offset: u64) -> Result<u32, OutOfBounds> {
        check(offset, 4, self.len)?;
        self.memory.load_acquire(self.start + offset)
    }

    /// Writes a word that the controller polls: it sees all that we wrote before.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the word is not aligned.
    #[inline]
    pub fn store_release(&self, offset: u64, value: u32) -> Result<(), OutOfBounds> {
        check(offset, 4, self.len)?;
        self.memory.store_release(self.start + offset, value)
    }
}

#[inline]
fn check(offset: u64, len: u64, size: u64) -> Result<(), OutOfBounds> {
    match size.checked_sub(offset) {
        Some(rest) if len <= rest => Ok(()),
        _ => Err(OutOfBounds { offset, len, size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer() -> DmaBuffer {
        let memory = Arc::new(Mapping::anonymous("test", 8192).expect("map"));
        DmaBuffer::new(memory, 4096, 0x10_0000, 4096).expect("inside")
    }

    #[test]
    fn a_slice_shows_the_same_bytes_at_its_own_address() {
        let buffer = buffer();
        let slice = buffer.slice(100, 8).expect("inside");
        assert_eq!(
            slice.segment(),
            Segment {
                iova: 0x10_0064,
                len: 8
            }
        );
        slice.store(0, 7u32).expect("inside");
        assert_eq!(buffer.load::<u32>(100), Ok(7));
    }

    #[test]
    fn a_slice_does_not_reach_what_is_around_it() {
        let slice = buffer().slice(100, 8).expect("inside");
        assert!(slice.write(4, &[0; 5]).is_err());
        assert!(slice.slice(4, u64::MAX).is_err());
        assert!(slice.slice(9, 0).is_err());
        assert!(slice.load::<u64>(1).is_err());
        assert!(buffer().read(4096, &mut [0]).is_err());
    }

    #[test]
    fn memory_is_given_back_with_the_last_clone() {
        let lease = Arc::new(());
        let buffer = buffer().with_lease(lease.clone());
        let slice = buffer.slice(0, 4).expect("inside");
        drop(buffer);
        assert_eq!(Arc::strong_count(&lease), 2);
        drop(slice);
        assert_eq!(Arc::strong_count(&lease), 1);
    }
}
