//! A client that passes a descriptor can shrink the file afterwards. Touching the lost pages then
//! raises SIGBUS, which by default ends the process: one hostile client would take the drive from
//! all others. While a mapping is registered here, a lost page is replaced by zeros instead.

use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// Ranges that can be registered at once. Those beyond go unguarded: a client that maps more than
/// this from files that it can shrink is warned about by nobody but can only harm its own drive.
const SLOTS: usize = 4096;

/// First byte and length of each registered range; a length of 0 marks a free slot. Atomics,
/// because the signal handler reads them and can take no lock.
static RANGES: [(AtomicUsize, AtomicUsize); SLOTS] =
    [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; SLOTS];
static REGISTER: Mutex<()> = Mutex::new(());
static INSTALL: Once = Once::new();

/// Keeps a range guarded until it is dropped.
#[derive(Debug)]
pub(crate) struct Registration(Option<usize>);

/// Guards `len` bytes at `start` until the result is dropped.
pub(crate) fn register(start: NonNull<u8>, len: usize) -> Registration {
    INSTALL.call_once(install);
    let _lock = REGISTER.lock().unwrap_or_else(PoisonError::into_inner);
    let free = RANGES
        .iter()
        .position(|(_, len)| len.load(Ordering::Relaxed) == 0);
    if let Some(slot) = free {
        RANGES[slot]
            .0
            .store(start.as_ptr() as usize, Ordering::Relaxed);
        RANGES[slot].1.store(len, Ordering::Release);
    }
    Registration(free)
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            RANGES[slot].1.store(0, Ordering::Release);
        }
    }
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
    /// Mappings are made of pages of at least this size on every machine that we run on.
    const PAGE: usize = 4096;
    // SAFETY: the kernel passes a valid siginfo_t.
    let address = unsafe { (*info).si_addr() } as usize;
    let guarded = RANGES.iter().any(|(start, len)| {
        let len = len.load(Ordering::Acquire);
        len != 0 && address.wrapping_sub(start.load(Ordering::Relaxed)) < len
    });
    if guarded {
        let page = (address & !(PAGE - 1)) as *mut c_void;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the page lies in a range that a live `Mapping` owns, and has lost its file.
        let fixed = unsafe { libc::mmap(page, PAGE, protection, flags, -1, 0) };
        if fixed != libc::MAP_FAILED {
            return;
        }
    }
    // Not ours: the default action ends the process when the access is tried again.
    // SAFETY: resetting a signal to its default is always allowed.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}
