//! One mapped range of memory.

use crate::fault;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, SeekFrom};
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An access reaches outside of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset:#x} reach outside of {size:#x} mapped bytes")]
pub struct OutOfBounds {
    /// First byte of the access.
    pub offset: u64,
    /// Bytes of the access.
    pub len: u64,
    /// Bytes that are mapped.
    pub size: u64,
}

/// Memory could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// A mapping of no bytes, or of more than the address space has.
    #[error("a mapping of {0} bytes is not possible")]
    Size(u64),
    /// The file is shorter than the range that shall be mapped: touching the rest would be fatal.
    #[error("the file has {file} bytes, the range ends at {end}")]
    Short {
        /// Size of the file in bytes.
        file: u64,
        /// End of the range in bytes.
        end: u64,
    },
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] rustix::io::Errno),
}

/// What a mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only: a write is refused as out of bounds.
    Read,
    /// Reads and writes.
    ReadWrite,
}

/// A type that any bytes are a valid value of, so that it can be read from shared memory.
///
/// # Safety
/// Every bit pattern must be valid, and the type must have no padding.
pub unsafe trait Plain: Copy {}

// SAFETY: integers have no padding and no invalid values.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}

/// A value at any address. Read and written as a volatile: another party may have changed the bytes
/// since the last access, so no access may be left out or answered from an earlier one.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<T>(T);

/// Mapped memory, shared with whoever else has its descriptor. Dropping it unmaps.
///
/// Copies are not atomic: who reads while another party writes gets old and new bytes mixed. That
/// is what real memory does, and why callers read once, check, and use their copy.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Bytes that the kernel has mapped: whole huge pages, where the file consists of such.
    mapped: usize,
    access: Access,
    file: Option<(OwnedFd, u64)>,
    guard: Option<fault::Registration>,
}

// SAFETY: the range stays mapped as long as the value lives, and every access to it is a copy
// through raw pointers or an atomic, from which no reference escapes.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `len` zero bytes in a memfd of their own, so that the memory can be passed to others. Pages
    /// come into being when they are first written.
    ///
    /// # Errors
    /// When `len` is zero or the kernel has no memory for it.
    pub fn anonymous(name: &str, len: u64) -> Result<Self, MapError> {
        let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, len)?;
        // Nobody who gets the descriptor can pull the memory away from under us, nor seal it
        // against those who get it later.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals)?;
        Self::file(fd, 0, len, Access::ReadWrite)
    }

    /// Maps `len` bytes of `file` from `offset` on, shared. It is a file that nobody shrinks: who
    /// touches pages that it has lost, or that its file system has no room for, ends.
    ///
    /// # Errors
    /// When the file is shorter than that, the offset is not a multiple of the page size, or the
    /// kernel refuses.
    pub fn file(file: OwnedFd, offset: u64, len: u64, access: Access) -> Result<Self, MapError> {
        let mut mapping = Self::map(file.as_fd(), offset, len, access)?;
        mapping.file = Some((file, offset));
        Ok(mapping)
    }

    /// As [`Mapping::file`], of a file that another party may do anything with: once pages of it
    /// are gone, all of the mapping is zeros of our own. The descriptor is not kept, since such a
    /// party may pass more of them than a process may have.
    ///
    /// # Errors
    /// As [`Mapping::file`].
    pub fn foreign(
        file: BorrowedFd<'_>,
        offset: u64,
        len: u64,
        access: Access,
    ) -> Result<Self, MapError> {
        let mut mapping = Self::map(file, offset, len, access)?;
        let guard = fault::register(mapping.start, mapping.mapped);
        mapping.guard = Some(guard.ok_or(rustix::io::Errno::NOMEM)?);
        Ok(mapping)
    }

    fn map(file: BorrowedFd<'_>, offset: u64, len: u64, access: Access) -> Result<Self, MapError> {
        let size = usize::try_from(len)
            .ok()
            .filter(|&len| len > 0 && len <= isize::MAX as usize);
        let size = size.ok_or(MapError::Size(len))?;
        let end = offset.checked_add(len).ok_or(MapError::Size(len))?;
        let stat = rustix::fs::fstat(file)?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
        if regular && length < end {
            return Err(MapError::Short { file: length, end });
        }
        let mapped = size
            .checked_next_multiple_of(page(file)?)
            .ok_or(MapError::Size(len))?;
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: the kernel chooses an address range that nothing else uses.
        let start = unsafe {
            rustix::mm::mmap(
                ptr::null_mut(),
                mapped,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )?
        };
        let start = NonNull::new(start.cast::<u8>()).ok_or(MapError::Size(len))?;
        Ok(Self {
            start,
            len: size,
            mapped,
            access,
            file: None,
            guard: None,
        })
    }

    /// Bytes mapped.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len as u64
    }

    /// Never: an empty mapping can't be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Whether writes are allowed.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.access == Access::ReadWrite
    }

    /// The descriptor behind the mapping, if it was kept, and the offset in it at which the mapping
    /// starts.
    #[must_use]
    pub fn descriptor(&self) -> Option<(BorrowedFd<'_>, u64)> {
        self.file.as_ref().map(|(fd, offset)| (fd.as_fd(), *offset))
    }

    /// Where the first byte is. For generated code, which checks its own bounds.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    #[inline]
    fn at(&self, offset: u64, len: usize) -> Result<*mut u8, OutOfBounds> {
        let size = self.len as u64;
        if offset > size || len as u64 > size - offset {
            return Err(OutOfBounds {
                offset,
                len: len as u64,
                size,
            });
        }
        // SAFETY: offset <= len, which the mapping covers.
        Ok(unsafe { self.start.as_ptr().add(offset as usize) })
    }

    #[inline]
    fn writable(&self, offset: u64, len: usize) -> Result<*mut u8, OutOfBounds> {
        if self.access == Access::Read {
            return Err(OutOfBounds {
                offset,
                len: len as u64,
                size: 0,
            });
        }
        self.at(offset, len)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// When the range is not inside of the mapping; nothing is copied then.
    #[inline]
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(offset, buf.len())?;
        // What was known of the bytes holds no longer: see `Unaligned`.
        compiler_fence(Ordering::SeqCst);
        // SAFETY: `from` has buf.len() mapped bytes; `buf` is ours alone, so they can't overlap.
        unsafe { ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len()) };
        Ok(())
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// When the range is not inside of the mapping, or it may only be read; nothing is copied then.
    #[inline]
    pub fn write(&self, offset: u64, buf: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.writable(offset, buf.len())?;
        // SAFETY: `to` has buf.len() mapped bytes; a Rust slice never lies inside of a mapping.
        unsafe { ptr::copy_nonoverlapping(buf.as_ptr(), to, buf.len()) };
        Ok(())
    }

    /// Copies `len` bytes to another mapping, or to another place in this one (then as if through
    /// a buffer: the ranges may overlap).
    ///
    /// # Errors
    /// When a range is not inside of its mapping; nothing is copied then.
    #[inline]
    pub fn copy_to(
        &self,
        offset: u64,
        to: &Self,
        to_offset: u64,
        len: usize,
    ) -> Result<(), OutOfBounds> {
        let from = self.at(offset, len)?;
        let to = to.writable(to_offset, len)?;
        // SAFETY: both ranges are mapped for `len` bytes; `copy` allows them to overlap, also
        // where two mappings show the same file.
        unsafe { ptr::copy(from, to, len) };
        Ok(())
    }

    /// Sets bytes to `value`.
    ///
    /// # Errors
    /// When the range is not inside of the mapping.
    pub fn fill(&self, offset: u64, len: u64, value: u8) -> Result<(), OutOfBounds> {
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        let to = self.writable(offset, size)?;
        // SAFETY: `to` has `size` mapped bytes.
        unsafe { ptr::write_bytes(to, value, size) };
        Ok(())
    }

    /// Sets bytes to zero and, where whole pages are concerned, gives their memory back. Pages that
    /// were never written stay without memory.
    ///
    /// # Errors
    /// When the range is not inside of the mapping.
    pub fn clear(&self, offset: u64, len: u64) -> Result<(), OutOfBounds> {
        /// Below this, writing zeros is quicker than asking the kernel.
        const PUNCH_FROM: u64 = 64 << 10;
        self.writable(offset, usize::try_from(len).unwrap_or(usize::MAX))?;
        if let Some((fd, start)) = &self.file {
            let begin = start + offset;
            if is_hole(fd, begin, begin + len) {
                return Ok(());
            }
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if len >= PUNCH_FROM && rustix::fs::fallocate(fd, flags, begin, len).is_ok() {
                return Ok(());
            }
        }
        self.fill(offset, len, 0)
    }

    /// Whether the bytes at `offset` are those of `other`.
    ///
    /// # Errors
    /// When the range is not inside of the mapping.
    pub fn equals(&self, offset: u64, other: &[u8]) -> Result<bool, OutOfBounds> {
        self.at(offset, other.len())?;
        let mut copy = [0; 4096];
        for (i, part) in other.chunks(copy.len()).enumerate() {
            let copy = &mut copy[..part.len()];
            self.read(offset + (i * 4096) as u64, copy)?;
            if copy != part {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads one value, aligned or not.
    ///
    /// # Errors
    /// When it is not inside of the mapping.
    #[inline]
    pub fn load<T: Plain>(&self, offset: u64) -> Result<T, OutOfBounds> {
        let from = self.at(offset, size_of::<T>())?;
        // SAFETY: the bytes are mapped, any bytes are a `T`, and `Unaligned` has no alignment.
        Ok(unsafe { ptr::read_volatile(from.cast::<Unaligned<T>>()) }.0)
    }

    /// Writes one value, aligned or not.
    ///
    /// # Errors
    /// When it is not inside of the mapping.
    #[inline]
    pub fn store<T: Plain>(&self, offset: u64, value: T) -> Result<(), OutOfBounds> {
        let to = self.writable(offset, size_of::<T>())?;
        // SAFETY: the bytes are mapped, and `Unaligned` has no alignment.
        unsafe { ptr::write_volatile(to.cast::<Unaligned<T>>(), Unaligned(value)) };
        Ok(())
    }

    /// Reads a doorbell or an index that another party writes: all that it wrote before is seen
    /// after (acquire). `offset` must be a multiple of 4.
    ///
    /// # Errors
    /// When the word is not inside of the mapping or not aligned.
    #[inline]
    pub fn load_acquire(&self, offset: u64) -> Result<u32, OutOfBounds> {
        Ok(self
            .atomic(self.at(offset, 4)?, offset)?
            .load(Ordering::Acquire))
    }

    /// Writes a word that another party polls: it sees all that we wrote before (release).
    /// `offset` must be a multiple of 4.
    ///
    /// # Errors
    /// When the word is not inside of the mapping or not aligned.
    #[inline]
    pub fn store_release(&self, offset: u64, value: u32) -> Result<(), OutOfBounds> {
        self.atomic(self.writable(offset, 4)?, offset)?
            .store(value, Ordering::Release);
        Ok(())
    }

    /// Replaces a word by what `with` makes of it, in one step that no other party's atomic access
    /// comes in between of, and returns what was there before. `with` may be called several times.
    /// `offset` must be a multiple of 4.
    ///
    /// # Errors
    /// When the word is not inside of the mapping, not aligned, or may only be read.
    #[inline]
    pub fn update_u32(
        &self,
        offset: u64,
        mut with: impl FnMut(u32) -> u32,
    ) -> Result<u32, OutOfBounds> {
        let word = self.atomic(self.writable(offset, 4)?, offset)?;
        let order = Ordering::SeqCst;
        let (Ok(old) | Err(old)) = word.fetch_update(order, order, |old| Some(with(old)));
        Ok(old)
    }

    /// As [`update_u32`](Self::update_u32), for 8 bytes at a multiple of 8.
    ///
    /// # Errors
    /// When the word is not inside of the mapping, not aligned, or may only be read.
    #[inline]
    pub fn update_u64(
        &self,
        offset: u64,
        mut with: impl FnMut(u64) -> u64,
    ) -> Result<u64, OutOfBounds> {
        let at = self.writable(offset, 8)?;
        self.aligned(offset, 8)?;
        // SAFETY: as in `atomic`, with the alignment of 8 bytes just checked.
        let word = unsafe { AtomicU64::from_ptr(at.cast::<u64>()) };
        let order = Ordering::SeqCst;
        let (Ok(old) | Err(old)) = word.fetch_update(order, order, |old| Some(with(old)));
        Ok(old)
    }

    #[inline]
    fn aligned(&self, offset: u64, len: u64) -> Result<(), OutOfBounds> {
        if !offset.is_multiple_of(len) {
            return Err(OutOfBounds {
                offset,
                len,
                size: self.len as u64,
            });
        }
        Ok(())
    }

    #[inline]
    fn atomic(&self, at: *mut u8, offset: u64) -> Result<&AtomicU32, OutOfBounds> {
        self.aligned(offset, 4)?;
        // SAFETY: mapped (the caller got `at` from a bounds check), aligned because mappings start
        // on a page, and only ever accessed as an atomic or by a copy that tolerates a race.
        Ok(unsafe { AtomicU32::from_ptr(at.cast::<u32>()) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.guard = None;
        let start = self.start.as_ptr().cast::<c_void>();
        // SAFETY: the range was mapped by us and no reference into it exists.
        let result = unsafe { rustix::mm::munmap(start, self.mapped) };
        debug_assert!(result.is_ok());
    }
}

/// Whether nothing was ever written from `begin` to `end` of a file, or it was given back: it reads as
/// zeros. `false` where the file system doesn't tell.
fn is_hole(file: &OwnedFd, begin: u64, end: u64) -> bool {
    match rustix::fs::seek(file, SeekFrom::Data(begin)) {
        Ok(data) => data >= end,
        Err(error) => error == rustix::io::Errno::NXIO,
    }
}

/// Bytes of the pages that `file` consists of: a mapping of huge pages can be given back in whole
/// ones only.
fn page(file: BorrowedFd<'_>) -> Result<usize, MapError> {
    /// Of every other file; mappings are made of pages of at least this size everywhere.
    const PAGE: usize = 4096;
    /// HUGETLBFS_MAGIC of linux/magic.h.
    const HUGE: i64 = 0x9584_58F6;
    let system = rustix::fs::fstatfs(file)?;
    Ok(match system.f_type as i64 {
        HUGE => usize::try_from(system.f_bsize).unwrap_or(PAGE).max(PAGE),
        _ => PAGE,
    })
}

#[cfg(test)]
mod tests;
