//! The media that takes no time.

use crate::media::{Extent, Media, MediaHeap, Outcome, Placement};
use ersatz_engine::Ns;

/// Every operation is done at once: for measuring all that is not media.
#[derive(Clone, Copy, Debug)]
pub struct Null {
    capacity: u64,
}

impl Null {
    /// A media of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self { capacity }
    }
}

impl Media for Null {
    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn read(&mut self, now: Ns, _at: Extent, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }

    fn write(&mut self, now: Ns, _at: Extent, _to: Placement, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }

    fn trim(&mut self, now: Ns, _at: Extent, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }

    fn flush(&mut self, now: Ns, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }
}
