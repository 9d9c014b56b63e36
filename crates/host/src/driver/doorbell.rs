//! Doorbells: a register write, a store to shared memory, or a shadow of either.

use super::transport::{DmaBuffer, Transport};
use crate::Error;
use ersatz_memory::Mapping;
use nvme_spec::register;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Shadow doorbells and their event indices (Doorbell Buffer Config; Base, Annex B.5).
#[derive(Clone, Debug)]
pub(crate) struct Shadow {
    pub(crate) values: DmaBuffer,
    pub(crate) events: DmaBuffer,
}

/// One doorbell.
#[derive(Debug)]
pub(crate) struct Doorbell {
    /// In BAR0.
    offset: u64,
    mapped: Option<Arc<Mapping>>,
    shadow: Option<Shadow>,
    last: u32,
}

impl Doorbell {
    /// The doorbell at `offset` in BAR0. Its shadow, if it has one, starts at 0 as queues do.
    pub(crate) fn new(
        offset: u64,
        mapped: Option<Arc<Mapping>>,
        shadow: Option<Shadow>,
    ) -> Result<Self, Error> {
        let at = offset - register::DOORBELLS;
        if let Some(shadow) = &shadow {
            shadow.values.store_release(at, 0)?;
            shadow.events.store_release(at, 0)?;
        }
        Ok(Self {
            offset,
            mapped: mapped.filter(|page| at + 4 <= page.len()),
            shadow,
            last: 0,
        })
    }

    #[inline]
    pub(crate) fn ring(&mut self, transport: &dyn Transport, value: u32) -> Result<(), Error> {
        let at = self.offset - register::DOORBELLS;
        let last = std::mem::replace(&mut self.last, value);
        if let Some(shadow) = &self.shadow {
            shadow.values.store_release(at, value)?;
            // The controller stores its event index and then looks at the shadow; we the other
            // way round. With both in order, one of the two sees the other.
            fence(Ordering::SeqCst);
            let event = shadow.events.load_acquire(at)?;
            if !must_ring(event as u16, value as u16, last as u16) {
                return Ok(());
            }
        }
        match &self.mapped {
            Some(page) => Ok(page.store_release(at, value)?),
            None => transport.write32(self.offset, value),
        }
    }
}

/// Whether the step from `last` to `value` passed the index that the controller waits for.
fn must_ring(event: u16, value: u16, last: u16) -> bool {
    value.wrapping_sub(event).wrapping_sub(1) < value.wrapping_sub(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_register_is_written_only_when_the_event_index_is_passed() {
        assert!(must_ring(0, 1, 0));
        assert!(must_ring(5, 8, 5));
        assert!(must_ring(7, 8, 5));
        assert!(!must_ring(8, 8, 5), "it waits for the next");
        assert!(!must_ring(4, 8, 5), "it saw that one already");
        assert!(must_ring(0xFFFF, 0, 0xFFFF), "indices wrap");
    }
}
