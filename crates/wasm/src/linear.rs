//! Linear memory: address space that is reserved once, and made usable from its start on.

use core::ffi::c_void;
use core::ptr;
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use wasmtime::{AsContext, LinearMemory, Memory, MemoryCreator, MemoryType};

/// Makes linear memories for wasmtime.
pub struct Creator;

// SAFETY: what `new_memory` returns starts on a page, is usable for `byte_size` bytes, and has the
// rest of the reservation and the guard behind it without any access.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let capacity = reserved.or(maximum).unwrap_or(minimum).max(minimum);
        Reserved::new(capacity, guard, minimum)
            .map(|memory| Box::new(memory) as Box<dyn LinearMemory>)
            .map_err(|errno| format!("no address space: {errno}"))
    }
}

/// A reservation with a usable beginning. Dropping it unmaps all of it, also what was mapped over
/// the usable part.
struct Reserved {
    start: *mut c_void,
    /// Bytes that may become usable.
    capacity: usize,
    /// Bytes in all.
    mapped: usize,
    usable: usize,
}

// SAFETY: the range is owned; who accesses it through the pointer is bound by wasmtime's rules.
unsafe impl Send for Reserved {}
// SAFETY: as above.
unsafe impl Sync for Reserved {}

impl Reserved {
    fn new(capacity: usize, guard: usize, usable: usize) -> Result<Self, Errno> {
        let mapped = capacity.checked_add(guard).ok_or(Errno::NOMEM)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the kernel chooses an address range that nothing else uses.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), mapped, ProtFlags::empty(), flags)? };
        let mut memory = Self {
            start,
            capacity,
            mapped,
            usable: 0,
        };
        memory.grow(usable)?;
        Ok(memory)
    }

    fn grow(&mut self, usable: usize) -> Result<(), Errno> {
        let more = usable.checked_sub(self.usable).ok_or(Errno::INVAL)?;
        if usable > self.capacity {
            return Err(Errno::NOMEM);
        }
        if more > 0 {
            let access = MprotectFlags::READ | MprotectFlags::WRITE;
            // SAFETY: within the reservation, and nothing but the guard so far.
            unsafe { mprotect(self.start.byte_add(self.usable), more, access)? };
        }
        self.usable = usable;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: mapped by us; wasmtime drops a memory when no code can reach it any more.
        let _ = unsafe { munmap(self.start, self.mapped) };
    }
}

// SAFETY: page-aligned, and guarded as wasmtime asked for, see `Creator`.
unsafe impl LinearMemory for Reserved {
    fn byte_size(&self) -> usize {
        self.usable
    }

    fn byte_capacity(&self) -> usize {
        self.capacity
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        Ok(self.grow(new_size)?)
    }

    fn as_ptr(&self) -> *mut u8 {
        self.start.cast()
    }
}

/// Reads bytes of a linear memory; `None` outside of it. Copied, never borrowed: another party may
/// change the bytes of a range at any time.
pub fn read(store: impl AsContext, memory: Memory, at: u64, out: &mut [u8]) -> Option<()> {
    let from = find(store, memory, at, out.len())?;
    // SAFETY: `find` checked that the bytes are usable; `out` is ours alone.
    unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
    Some(())
}

/// Writes bytes of a linear memory; `None` outside of it.
pub fn write(store: impl AsContext, memory: Memory, at: u64, bytes: &[u8]) -> Option<()> {
    let to = find(store, memory, at, bytes.len())?;
    // SAFETY: `find` checked that the bytes are usable; a Rust slice is never in linear memory.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    Some(())
}

/// The host's address of `len` bytes of a linear memory, if they are all usable.
pub fn find(store: impl AsContext, memory: Memory, at: u64, len: usize) -> Option<*mut u8> {
    let end = usize::try_from(at).ok()?.checked_add(len)?;
    if end > memory.data_size(&store) {
        return None;
    }
    // SAFETY: `at` is within the memory, which has its start there.
    Some(unsafe { memory.data_ptr(&store).add(at as usize) })
}
