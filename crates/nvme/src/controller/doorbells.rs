//! Doorbells: in the shared page, by message, and in the host's own memory (shadow doorbells).

use super::Controller;
use crate::error::NvmeError;
use crate::queue::{BadDoorbell, Shadow};
use ersatz_memory::{Access, MapError, Mapping};
use ersatz_pcie::Host;
use nvme_spec::admin::AsyncEvent;
use std::sync::Arc;

/// The doorbells, in a file in which they have the same offset as in BAR0: that is what clients
/// map.
pub(super) fn page() -> Result<Mapping, MapError> {
    let (offset, size) = (
        crate::registers::DOORBELLS,
        crate::registers::DOORBELLS_SIZE,
    );
    let file = Mapping::anonymous("ersatz-doorbells", offset + size)?;
    let fd = file.descriptor().map(|(fd, _)| fd.try_clone_to_owned());
    let fd = fd.and_then(Result::ok).ok_or(MapError::Size(size))?;
    Mapping::file(fd, offset, size, Access::ReadWrite)
}

impl Controller {
    /// Takes the doorbells away from a host that is gone: it may have kept them mapped, and must not
    /// ring those of the next one.
    pub(crate) fn renew_doorbells(&mut self) {
        match page() {
            Ok(page) => self.doorbells = Arc::new(page),
            Err(error) => tracing::error!("the last client can still ring doorbells: {error}"),
        }
    }

    /// A doorbell, by its index in the page, was written by message. In the page it is then seen
    /// as if the host had stored it there itself.
    pub(crate) fn ring(&mut self, index: u32, value: u32) {
        let (id, is_cq) = (index as usize / 2, index % 2 == 1);
        let exists = if is_cq {
            self.cqs.get(id).is_some_and(Option::is_some)
        } else {
            self.sqs.get(id).is_some_and(Option::is_some)
        };
        if !exists {
            if self.events.raise(AsyncEvent::INVALID_DOORBELL_REGISTER) {
                tracing::warn!(id, "doorbell of a queue that does not exist");
            }
            return;
        }
        let stored = self
            .doorbells
            .store_release(u64::from(index) * 4, value & 0xFFFF);
        debug_assert!(stored.is_ok());
        // Tails are looked at by every sweep, heads only when slots are short: a wrong one would
        // be found out late.
        if is_cq
            && let Some(Some(cq)) = self.cqs.get_mut(id)
            && cq.shadow.is_none()
            && let Err(bad) = cq.set_head(value & 0xFFFF)
        {
            let (id, good) = (cq.id, cq.head());
            self.bad_doorbell(id, true, bad, good);
        }
    }

    /// The doorbell of a queue as it is in the page.
    pub(super) fn doorbell(&self, id: u16, is_cq: bool) -> u32 {
        let index = u64::from(id) * 2 + u64::from(is_cq);
        self.doorbells.load_acquire(index * 4).unwrap_or(0)
    }

    pub(super) fn refresh_tail(&mut self, index: usize, host: &mut dyn Host) {
        let Some(Some(sq)) = self.sqs.get(index) else {
            return;
        };
        let value = match sq.shadow {
            Some(shadow) => read_shadow(shadow.doorbell, host),
            None => Some(self.doorbell(sq.id, false)),
        };
        let Some(Some(sq)) = self.sqs.get_mut(index) else {
            return;
        };
        let Some(value) = value else {
            return self.fatal("the shadow doorbells can't be read");
        };
        if value != sq.tail()
            && let Err(bad) = sq.set_tail(value)
        {
            let (id, good) = (sq.id, sq.tail());
            self.bad_doorbell(id, false, bad, good);
        }
    }

    pub(super) fn refresh_head(&mut self, index: usize, host: &mut dyn Host) {
        let Some(Some(cq)) = self.cqs.get(index) else {
            return;
        };
        let value = match cq.shadow {
            Some(shadow) => read_shadow(shadow.doorbell, host),
            None => Some(self.doorbell(cq.id, true)),
        };
        let Some(Some(cq)) = self.cqs.get_mut(index) else {
            return;
        };
        let Some(value) = value else {
            return self.fatal("the shadow doorbells can't be read");
        };
        if value != cq.head()
            && let Err(bad) = cq.set_head(value)
        {
            let (id, good) = (cq.id, cq.head());
            self.bad_doorbell(id, true, bad, good);
        }
    }

    /// Tells the host of a nonsensical doorbell, once: the page gets the last good value back.
    fn bad_doorbell(&mut self, id: u16, is_cq: bool, bad: BadDoorbell, good: u32) {
        let index = u64::from(id) * 2 + u64::from(is_cq);
        if self.doorbells.store_release(index * 4, good).is_ok()
            && self.events.raise(AsyncEvent::INVALID_DOORBELL_VALUE)
        {
            tracing::warn!(id, is_cq, value = bad.0, "a doorbell got an invalid value");
        }
    }

    /// Doorbell Buffer Config (Base, 5.2.5): from now on the doorbells of I/O queues are read from
    /// `doorbells` in host memory, and the host looks into `event_indexes` before it rings.
    pub(crate) fn configure_shadow(
        &mut self,
        doorbells: u64,
        event_indexes: u64,
        host: &mut dyn Host,
    ) -> Result<(), NvmeError> {
        if (doorbells | event_indexes) & (self.page - 1) != 0 {
            return Err(NvmeError::field("the buffers of doorbells start on a page"));
        }
        // All of both has to be there, so that nothing fails half-way below.
        let mut probe = vec![0; (usize::from(self.config.queues) + 1) * 8];
        host.read(doorbells, &mut probe)?;
        probe.fill(0);
        host.write(event_indexes, &probe)?;
        self.shadow = Some((doorbells, event_indexes));
        for id in 1..=self.config.queues {
            let index = usize::from(id);
            let (tail, head) = (self.doorbell(id, false), self.doorbell(id, true));
            let (sq_shadow, cq_shadow) = (self.shadow_of(id, false), self.shadow_of(id, true));
            if let Some(Some(sq)) = self.sqs.get_mut(index) {
                sq.shadow = sq_shadow;
                hand_over(sq_shadow, tail, host)?;
            }
            if let Some(Some(cq)) = self.cqs.get_mut(index) {
                cq.shadow = cq_shadow;
                hand_over(cq_shadow, head, host)?;
            }
        }
        Ok(())
    }

    pub(super) fn shadow_of(&self, id: u16, is_cq: bool) -> Option<Shadow> {
        let (doorbells, event_indexes) = self.shadow?;
        let offset = u64::from(id) * 8 + u64::from(is_cq) * 4;
        Some(Shadow {
            doorbell: doorbells + offset,
            event_index: event_indexes + offset,
        })
    }

    /// Before the drive sleeps: asks for real doorbells by setting the event indexes. Whether a
    /// command came meanwhile comes back: then there is no sleep.
    pub fn arm(&mut self, host: &mut dyn Host) -> bool {
        if !self.registers.is_running() {
            return false;
        }
        if self.shadow.is_some() {
            let tails = self.sqs.iter().flatten().map(|sq| (sq.shadow, sq.tail()));
            let heads = self.cqs.iter().flatten().map(|cq| (cq.shadow, cq.head()));
            for (shadow, value) in tails.chain(heads) {
                if let Some(shadow) = shadow
                    && host
                        .write(shadow.event_index, &value.to_le_bytes())
                        .is_err()
                {
                    self.fatal("the event indexes can't be written");
                    return true;
                }
            }
            // The host writes its doorbell and then reads the index; we the other way round. One
            // of the two sees the other's value.
            core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        }
        for index in 0..self.sqs.len() {
            self.refresh_tail(index, host);
        }
        let waiting: Vec<usize> = self
            .sqs
            .iter()
            .flatten()
            .filter(|sq| sq.is_pending())
            .map(|sq| usize::from(sq.cqid))
            .collect();
        waiting.into_iter().any(|cqid| self.room(cqid, 1, host) > 0)
    }
}

fn read_shadow(iova: u64, host: &mut dyn Host) -> Option<u32> {
    let mut bytes = [0; 4];
    host.read(iova, &mut bytes).ok()?;
    core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
    Some(u32::from_le_bytes(bytes))
}

/// The shadow doorbell of a queue that is in use begins with what its real one says, unless the
/// host has already moved it.
fn hand_over(shadow: Option<Shadow>, value: u32, host: &mut dyn Host) -> Result<(), NvmeError> {
    let Some(shadow) = shadow else { return Ok(()) };
    let mut bytes = [0; 4];
    host.read(shadow.doorbell, &mut bytes)?;
    if u32::from_le_bytes(bytes) == 0 {
        host.write(shadow.doorbell, &value.to_le_bytes())?;
    }
    Ok(host.write(shadow.event_index, &value.to_le_bytes())?)
}
