//! A memory range of a job in the child's address space.

use crate::wire::Range;
use core::ffi::c_void;
use core::ptr;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use std::os::fd::OwnedFd;

/// A range that is mapped as long as this lives.
pub struct Mapped {
    /// Null for an empty range.
    start: *mut c_void,
    /// Whole pages.
    mapped: usize,
    /// Where in them the range begins.
    skip: usize,
    len: u64,
}

impl Mapped {
    /// Maps the pages of `file` that `range` is in.
    ///
    /// # Errors
    /// When the kernel refuses, or there is no file.
    pub fn new(file: Option<OwnedFd>, range: &Range) -> Result<Self, Errno> {
        let len = usize::try_from(range.len).map_err(|_| Errno::NOMEM)?;
        if len == 0 {
            let start = ptr::null_mut();
            let (mapped, skip, len) = (0, 0, 0);
            return Ok(Self {
                start,
                mapped,
                skip,
                len,
            });
        }
        let file = file.ok_or(Errno::BADF)?;
        let skip = (range.offset % page_size() as u64) as usize;
        let mapped = len.checked_add(skip).ok_or(Errno::NOMEM)?;
        let protection = match range.writable {
            0 => ProtFlags::READ,
            _ => ProtFlags::READ | ProtFlags::WRITE,
        };
        let offset = range.offset - skip as u64;
        // SAFETY: the kernel chooses an address range that nothing else uses.
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                mapped,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )?
        };
        Ok(Self {
            start,
            mapped,
            skip,
            len: range.len,
        })
    }

    /// Address and bytes, for the program.
    pub fn place(&self) -> (u64, u64) {
        (self.start as u64 + self.skip as u64, self.len)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: mapped by us; the program that got the address has returned.
            let _ = unsafe { munmap(self.start, self.mapped) };
        }
    }
}
