//! How much machine code there may be.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Address space that programs share for their code. Each gets a part of its own (see
/// `jit::native`) for as long as it is loaded; when there is none left, programs are interpreted.
#[derive(Debug)]
pub struct Room {
    limit: usize,
    used: AtomicUsize,
}

/// What all drives of this process share: enough for some thousands of programs, whose two or
/// three mappings each are well below the 65530 that Linux allows a process.
pub static PROCESS: Room = Room::new(4 << 30);

impl Room {
    /// Room for `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    /// Takes `bytes`, until the value that comes back is dropped. `None` if so many aren't left.
    #[must_use]
    pub fn reserve(&'static self, bytes: usize) -> Option<Reserved> {
        let more = |used: usize| used.checked_add(bytes).filter(|&used| used <= self.limit);
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Reserved { room: self, bytes })
    }
}

/// A part of a [`Room`].
#[derive(Debug)]
pub struct Reserved {
    room: &'static Room,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
