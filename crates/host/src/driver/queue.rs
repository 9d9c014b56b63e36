//! A submission queue and its completion queue.

use super::data::{self, Data};
use super::doorbell::{Doorbell, Shadow};
use super::transport::{DmaBuffer, Segment, Transport};
use super::wait::{Deadline, Idle};
use crate::Error;
use nvme_spec::queue::StatusField;
use nvme_spec::register::{cq_head_doorbell, sq_tail_doorbell};
use nvme_spec::{Cqe, Sqe};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use zerocopy::IntoBytes;

const SQE: u64 = size_of::<Sqe>() as u64;
const CQE: u64 = size_of::<Cqe>() as u64;

/// What a queue pair is made of.
pub(crate) struct Layout {
    pub(crate) qid: u16,
    /// Of each queue; 2 to 65,536.
    pub(crate) entries: u32,
    /// Memory page of the controller in bytes.
    pub(crate) page: u64,
    pub(crate) dstrd: u8,
    /// The most bytes of one command's data.
    pub(crate) max_transfer: u64,
    pub(crate) shadow: Option<Shadow>,
}

/// A submission queue and the completion queue that belongs to it alone.
///
/// Up to [`capacity`](Self::capacity) commands may be in flight. The identifier of a command is
/// the index of a slot, below the capacity and unique among those in flight, so that a caller can
/// keep what it knows of a command in an array. Submitting and polling allocate nothing.
///
/// Completions are found in memory, without interrupts and system calls.
pub struct QueuePair {
    transport: Arc<dyn Transport>,
    qid: u16,
    entries: u32,
    page: u64,
    /// Submission queue, then completion queue, then a list for each slot.
    memory: DmaBuffer,
    cq_at: u64,
    lists_at: u64,
    list_len: u64,
    sq_tail: u32,
    sq_head: u32,
    cq_head: u32,
    phase: bool,
    /// Completions taken since the controller was last told.
    unacknowledged: u32,
    tail: Doorbell,
    head: Doorbell,
    free: Vec<u16>,
    in_flight: Vec<bool>,
    /// Completions that came while [`run`](Self::run) waited for another.
    stash: VecDeque<Cqe>,
}

impl QueuePair {
    pub(crate) fn new(transport: Arc<dyn Transport>, layout: Layout) -> Result<Self, Error> {
        let Layout {
            qid, entries, page, ..
        } = layout;
        let slots = entries - 1;
        let cq_at = (u64::from(entries) * SQE).next_multiple_of(page);
        let lists_at = cq_at + (u64::from(entries) * CQE).next_multiple_of(page);
        let list_len = data::list_len(layout.max_transfer, page);
        let memory = transport.allocate(lists_at + u64::from(slots) * list_len)?;
        if !memory.iova().is_multiple_of(page) {
            return Err(Error::Unsupported(format!(
                "the controller has pages of {page} bytes, more than memory is aligned to"
            )));
        }
        let doorbell = |offset| {
            let page = transport.doorbells();
            Doorbell::new(offset, page, layout.shadow.clone())
        };
        Ok(Self {
            tail: doorbell(sq_tail_doorbell(qid, layout.dstrd))?,
            head: doorbell(cq_head_doorbell(qid, layout.dstrd))?,
            transport,
            qid,
            entries,
            page,
            memory,
            cq_at,
            lists_at,
            list_len,
            sq_tail: 0,
            sq_head: 0,
            cq_head: 0,
            phase: true,
            unacknowledged: 0,
            // The lowest slots are used first: their lists are the ones in the cache.
            free: (0..slots as u16).rev().collect(),
            in_flight: vec![false; slots as usize],
            stash: VecDeque::with_capacity(slots as usize),
        })
    }

    /// Queue identifier, of both queues.
    #[must_use]
    pub fn qid(&self) -> u16 {
        self.qid
    }

    /// Commands that may be in flight: one less than the queue has entries.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.in_flight.len()
    }

    /// Commands that are in flight, or whose completion was not yet polled.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.capacity() - self.free.len()
    }

    /// I/O virtual address of the submission queue.
    #[must_use]
    pub fn sq_iova(&self) -> u64 {
        self.memory.iova()
    }

    /// I/O virtual address of the completion queue.
    #[must_use]
    pub fn cq_iova(&self) -> u64 {
        self.memory.iova() + self.cq_at
    }

    /// Puts a command into the queue without telling the controller, and returns its identifier;
    /// the one in `sqe` does not count. [`ring`](Self::ring) hands over all such commands at once.
    ///
    /// # Errors
    /// [`Error::QueueFull`], or when PRPs or SGL can't describe the data. The queue is as before
    /// then.
    #[inline]
    pub fn push(&mut self, mut sqe: Sqe, data: Data<'_>) -> Result<u16, Error> {
        let cid = *self.free.last().ok_or(Error::QueueFull)?;
        let list_at = self.lists_at + u64::from(cid) * self.list_len;
        let list = Segment {
            iova: self.memory.iova() + list_at,
            len: self.list_len,
        };
        let memory = &self.memory;
        match data {
            Data::AsIs => {}
            Data::Prp(segments) => {
                let [prp1, prp2] = data::prps(segments, self.page, list, |at, entry| {
                    Ok(memory.store(list_at + at, entry)?)
                })?;
                sqe = sqe.with_prp(prp1, prp2);
            }
            Data::Sgl(segments) => {
                let sgl1 = data::sgl(segments, list, |at, bytes| {
                    Ok(memory.write(list_at + at, bytes)?)
                })?;
                sqe = sqe.with_sgl(sgl1);
            }
        }
        sqe.cid = cid;
        memory.write(u64::from(self.sq_tail) * SQE, sqe.as_bytes())?;
        self.free.pop();
        self.in_flight[usize::from(cid)] = true;
        self.sq_tail = self.next(self.sq_tail);
        Ok(cid)
    }

    /// Tells the controller of all commands that were pushed.
    ///
    /// # Errors
    /// When the controller can't be reached.
    #[inline]
    pub fn ring(&mut self) -> Result<(), Error> {
        self.tail.ring(&*self.transport, self.sq_tail)
    }

    /// Sends a command: [`push`](Self::push) and [`ring`](Self::ring).
    ///
    /// # Errors
    /// As these.
    #[inline]
    pub fn submit(&mut self, sqe: Sqe, data: Data<'_>) -> Result<u16, Error> {
        let cid = self.push(sqe, data)?;
        self.ring()?;
        Ok(cid)
    }

    /// Takes a completion, if there is one. Its status may be any. If there is none, the transport
    /// has been [polled](Transport::poll).
    ///
    /// # Errors
    /// When the controller is gone, or posted what it may not: the queue is of no use then.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Cqe>, Error> {
        let found = match self.stash.pop_front() {
            Some(cqe) => Some(cqe),
            None => self.take()?,
        };
        match found {
            Some(cqe) => self.release(cqe.cid),
            None => self.transport.poll()?,
        }
        Ok(found)
    }

    /// Sends a command and waits for its completion. Completions of others that come meanwhile
    /// are kept for [`poll`](Self::poll).
    ///
    /// # Errors
    /// As [`submit`](Self::submit) and [`poll`](Self::poll), and when it takes longer than `limit`:
    /// the command stays in flight then.
    pub fn run(&mut self, sqe: Sqe, data: Data<'_>, limit: Duration) -> Result<Cqe, Error> {
        let cid = self.submit(sqe, data)?;
        let transport = Arc::clone(&self.transport);
        let mut idle = Idle::new(&*transport, Deadline::after(limit));
        loop {
            match self.take()? {
                Some(cqe) if cqe.cid == cid => {
                    self.release(cid);
                    return Ok(cqe);
                }
                // Each command in flight has room there.
                Some(other) => self.stash.push_back(other),
                None => idle.turn()?,
            }
        }
    }

    /// The next completion in the queue, checked. Its slot stays taken.
    #[inline]
    fn take(&mut self) -> Result<Option<Cqe>, Error> {
        let at = self.cq_at + u64::from(self.cq_head) * CQE;
        let dw3 = self.memory.load_acquire(at + 12)?;
        let sf = StatusField::from_bits((dw3 >> 16) as u16);
        if sf.phase() != self.phase {
            // Not after each completion: a doorbell may cost a message.
            if self.unacknowledged > 0 {
                self.acknowledge()?;
            }
            return Ok(None);
        }
        let dw2: u32 = self.memory.load(at + 8)?;
        let cqe = Cqe {
            dw0: self.memory.load(at)?,
            dw1: self.memory.load(at + 4)?,
            sqhd: dw2 as u16,
            sqid: (dw2 >> 16) as u16,
            cid: dw3 as u16,
            sf,
        };
        self.check(&cqe)?;
        self.sq_head = u32::from(cqe.sqhd);
        // Until its completion is taken a second one for the same command would pass.
        self.in_flight[usize::from(cqe.cid)] = false;
        self.cq_head = self.next(self.cq_head);
        if self.cq_head == 0 {
            self.phase = !self.phase;
        }
        self.unacknowledged += 1;
        // Early enough that the controller never waits for room.
        if self.unacknowledged > self.entries / 4 {
            self.acknowledge()?;
        }
        Ok(Some(cqe))
    }

    fn check(&self, cqe: &Cqe) -> Result<(), Error> {
        let wrong = |what: String| {
            let qid = self.qid;
            Err(Error::protocol(format!(
                "completion queue {qid}: {what}, {cqe:?}"
            )))
        };
        if cqe.sqid != self.qid {
            return wrong("a completion for another queue".into());
        }
        if self.in_flight.get(usize::from(cqe.cid)) != Some(&true) {
            return wrong("a completion for no command in flight".into());
        }
        let ahead = |index: u32| (index + self.entries - self.sq_head) % self.entries;
        let sqhd = u32::from(cqe.sqhd);
        if sqhd >= self.entries || ahead(sqhd) > ahead(self.sq_tail) {
            return wrong(format!(
                "the head is not between {} and {}",
                self.sq_head, self.sq_tail
            ));
        }
        Ok(())
    }

    fn acknowledge(&mut self) -> Result<(), Error> {
        self.unacknowledged = 0;
        self.head.ring(&*self.transport, self.cq_head)
    }

    fn release(&mut self, cid: u16) {
        self.free.push(cid);
    }

    fn next(&self, index: u32) -> u32 {
        let next = index + 1;
        if next == self.entries { 0 } else { next }
    }
}

impl std::fmt::Debug for QueuePair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueuePair")
            .field("qid", &self.qid)
            .field("entries", &self.entries)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
