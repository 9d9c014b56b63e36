//! A client that passes a descriptor can shrink the file afterwards. Touching the lost pages then
//! raises SIGBUS, which by default ends the process: one hostile client would take the drive from
//! all others. While a mapping is registered here, it is replaced by zeros as a whole instead:
//! pages that are replaced one by one would use up the mappings that a process may have.

use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// Ranges that can be registered at once: about as many mappings as a process may have
/// (vm.max_map_count, unless the administrator raised it).
const SLOTS: usize = 1 << 16;

/// First byte and length of each registered range; a length of 0 marks a free slot. Atomics,
/// because the signal handler reads them and can take no lock.
static RANGES: [(AtomicUsize, AtomicUsize); SLOTS] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; SLOTS];
/// Where to look for a free slot first.
static NEXT: Mutex<usize> = Mutex::new(0);
static INSTALL: Once = Once::new();

/// Keeps a range guarded until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration(usize);

/// Guards `len` bytes at `start`, which must be a mapping as a whole, until the result is dropped.
/// `None` when too many are guarded already.
pub(crate) fn register(start: NonNull<u8>, len: usize) -> Option<Registration> {
    INSTALL.call_once(install);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut slots = (*next..SLOTS).chain(0..*next);
    let slot = slots.find(|&slot| RANGES[slot].1.load(Ordering::Relaxed) == 0)?;
    *next = (slot + 1) % SLOTS;
    RANGES[slot]
        .0
        .store(start.as_ptr() as usize, Ordering::Release);
    RANGES[slot].1.store(len, Ordering::Release);
    Some(Registration(slot))
}

impl Drop for Registration {
    fn drop(&mut self) {
        RANGES[self.0].1.store(0, Ordering::Release);
    }
}

/// The registered range around `address`.
fn find(address: usize) -> Option<(usize, usize)> {
    RANGES.iter().find_map(|(start, len)| {
        let before = len.load(Ordering::Acquire);
        let start = start.load(Ordering::Acquire);
        // Not the beginning of one range and the length of another.
        let one = len.load(Ordering::Acquire) == before;
        (one && address.wrapping_sub(start) < before).then_some((start, before))
    })
}

fn install() {
    // SAFETY: zero bytes are a valid sigaction; `handle` is a handler of the SA_SIGINFO kind and
    // touches only atomics and system calls.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
    }
}

extern "C" fn handle(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo_t.
    let address = unsafe { (*info).si_addr() } as usize;
    if let Some((start, len)) = find(address) {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // The range may be larger than the memory that there is: a client chose its size.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the range is what a live `Mapping` owns, and has lost its file.
        let fixed = unsafe { libc::mmap(start as *mut c_void, len, protection, flags, -1, 0) };
        if fixed != libc::MAP_FAILED {
            return;
        }
    }
    // Not ours: the default action ends the process when the access is tried again.
    // SAFETY: resetting a signal to its default is always allowed.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}
