//! How queues come and go, and what happens to the commands in them.

use super::Controller;
use crate::error::NvmeError;
use crate::queue::{CQE_SIZE, CompletionQueue, SQE_SIZE, Shadow, SubmissionQueue};
use crate::set::Token;
use crate::subsystem::Subsystem;
use crate::ticket::Ticket;
use ersatz_engine::Ns;
use ersatz_pcie::Host;
use nvme_spec::admin::{CreateCqCdw11, CreateQueueCdw10, CreateSqCdw11, DeleteQueueCdw10};
use nvme_spec::{Sqe, Status};

impl Controller {
    /// Makes the admin queues and begins to work. Each is its address and its entries.
    pub(crate) fn start(&mut self, asq: (u64, u32), acq: (u64, u32)) {
        self.page = 4096 << self.registers.cc().mps();
        self.clear_doorbells(0);
        self.cqs[0] = Some(CompletionQueue::new(0, acq.0, acq.1, Some(0)));
        self.sqs[0] = Some(SubmissionQueue::new(0, 0, asq.0, asq.1));
        self.order = vec![0];
        self.first = 0;
    }

    /// Forgets all queues and the commands in them.
    pub(crate) fn reset(&mut self, subsystem: &mut Subsystem) {
        for (_, due) in self.heap.extract(|_| true) {
            if let Some(ticket) = due.into_ticket() {
                ticket.redeem();
            }
        }
        for (number, flight) in core::mem::take(&mut self.flights) {
            subsystem.abandon(Token {
                controller: self.config.id,
                number,
            });
            flight.ticket.redeem();
        }
        self.events.reset();
        self.features.reset();
        self.activity.reset();
        self.sqs.iter_mut().for_each(|sq| *sq = None);
        self.cqs.iter_mut().for_each(|cq| *cq = None);
        self.order.clear();
        self.dirty.clear();
        self.shadow = None;
    }

    fn clear_doorbells(&self, id: u16) {
        for is_cq in [0, 1] {
            let cleared = self
                .doorbells
                .store_release((u64::from(id) * 2 + is_cq) * 4, 0);
            debug_assert!(cleared.is_ok());
        }
    }

    /// An identifier for a new queue: not 0, not beyond what was announced, not in use.
    fn new_id(&self, qid: u16, in_use: bool) -> Result<usize, NvmeError> {
        if qid == 0 || qid > self.config.queues || in_use {
            return Err(NvmeError::new(
                Status::INVALID_QUEUE_ID,
                format!("queue {qid}"),
            ));
        }
        Ok(usize::from(qid))
    }

    fn new_size(&self, size_z: u16) -> Result<u32, NvmeError> {
        let size = u32::from(size_z) + 1;
        if size < 2 || size > self.config.entries {
            return Err(NvmeError::new(
                Status::INVALID_QUEUE_SIZE,
                format!("{size} entries"),
            ));
        }
        Ok(size)
    }

    /// The checks that are the same for both kinds of queue.
    fn new_base(&self, sqe: &Sqe, contiguous: bool, bytes: u64) -> Result<u64, NvmeError> {
        if !contiguous {
            return Err(NvmeError::field("CAP.CQR asks for contiguous queues"));
        }
        let base = sqe.prp1;
        if base & (self.page - 1) != 0 || base.checked_add(bytes).is_none() {
            return Err(NvmeError::new(
                Status::PRP_OFFSET_INVALID,
                "a queue starts on a page",
            ));
        }
        Ok(base)
    }

    /// Create I/O Completion Queue (Base, 5.2.1).
    pub(crate) fn create_cq(&mut self, sqe: &Sqe) -> Result<(), NvmeError> {
        let cdw10 = CreateQueueCdw10::from_bits(sqe.cdw10);
        let cdw11 = CreateCqCdw11::from_bits(sqe.cdw11);
        let used = self
            .cqs
            .get(usize::from(cdw10.qid()))
            .is_some_and(Option::is_some);
        let index = self.new_id(cdw10.qid(), used)?;
        let size = self.new_size(cdw10.qsize_z())?;
        if self.registers.cc().iocqes() != CQE_SIZE.ilog2() as u8 {
            return Err(NvmeError::new(
                Status::INVALID_QUEUE_SIZE,
                "CC.IOCQES is not 4",
            ));
        }
        if cdw11.iv() >= self.config.vectors() {
            let reason = format!("vector {} of {}", cdw11.iv(), self.config.vectors());
            return Err(NvmeError::new(Status::INVALID_INTERRUPT_VECTOR, reason));
        }
        let base = self.new_base(sqe, cdw11.pc(), u64::from(size) * CQE_SIZE)?;
        let mut cq =
            CompletionQueue::new(cdw10.qid(), base, size, cdw11.ien().then_some(cdw11.iv()));
        cq.shadow = self.shadow_of(cdw10.qid(), true);
        let cleared = self
            .doorbells
            .store_release(u64::from(cdw10.qid()) * 8 + 4, 0);
        debug_assert!(cleared.is_ok());
        self.cqs[index] = Some(cq);
        Ok(())
    }

    /// Create I/O Submission Queue (Base, 5.2.2).
    pub(crate) fn create_sq(&mut self, sqe: &Sqe) -> Result<(), NvmeError> {
        let cdw10 = CreateQueueCdw10::from_bits(sqe.cdw10);
        let cdw11 = CreateSqCdw11::from_bits(sqe.cdw11);
        let used = self
            .sqs
            .get(usize::from(cdw10.qid()))
            .is_some_and(Option::is_some);
        let cqid = usize::from(cdw11.cqid());
        if cqid == 0 || self.cqs.get(cqid).is_none_or(Option::is_none) {
            let reason = format!("completion queue {cqid} does not exist");
            return Err(NvmeError::new(Status::COMPLETION_QUEUE_INVALID, reason));
        }
        let index = self.new_id(cdw10.qid(), used)?;
        let size = self.new_size(cdw10.qsize_z())?;
        if self.registers.cc().iosqes() != SQE_SIZE.ilog2() as u8 {
            return Err(NvmeError::new(
                Status::INVALID_QUEUE_SIZE,
                "CC.IOSQES is not 6",
            ));
        }
        let base = self.new_base(sqe, cdw11.pc(), u64::from(size) * SQE_SIZE)?;
        let mut sq = SubmissionQueue::new(cdw10.qid(), cdw11.cqid(), base, size);
        sq.shadow = self.shadow_of(cdw10.qid(), false);
        let cleared = self.doorbells.store_release(u64::from(cdw10.qid()) * 8, 0);
        debug_assert!(cleared.is_ok());
        self.sqs[index] = Some(sq);
        self.order.push(cdw10.qid());
        if let Some(Some(cq)) = self.cqs.get_mut(cqid) {
            cq.users += 1;
        }
        Ok(())
    }

    /// Delete I/O Submission Queue (Base, 5.2.4): its commands are completed as aborted.
    pub(crate) fn delete_sq(
        &mut self,
        now: Ns,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> Result<(), NvmeError> {
        let id = DeleteQueueCdw10::from_bits(sqe.cdw10).qid();
        let index = usize::from(id);
        if id == 0 || self.sqs.get(index).is_none_or(Option::is_none) {
            return Err(NvmeError::new(
                Status::INVALID_QUEUE_ID,
                format!("queue {id}"),
            ));
        }
        for ticket in self.withdraw(subsystem, |ticket| ticket.sqid == id) {
            self.post(now, ticket, 0, Status::ABORTED_SQ_DELETION, host);
        }
        let cqid = self.sqs[index].take().map_or(0, |sq| usize::from(sq.cqid));
        self.order.retain(|&other| other != id);
        if let Some(Some(cq)) = self.cqs.get_mut(cqid) {
            cq.users -= 1;
        }
        Ok(())
    }

    /// Delete I/O Completion Queue (Base, 5.2.3).
    pub(crate) fn delete_cq(&mut self, sqe: &Sqe) -> Result<(), NvmeError> {
        let id = DeleteQueueCdw10::from_bits(sqe.cdw10).qid();
        let Some(Some(cq)) = self.cqs.get(usize::from(id)).filter(|_| id != 0) else {
            return Err(NvmeError::new(
                Status::INVALID_QUEUE_ID,
                format!("queue {id}"),
            ));
        };
        if cq.users > 0 || cq.is_reserved() {
            let reason = format!("{} submission queues use it", cq.users);
            return Err(NvmeError::new(Status::INVALID_QUEUE_DELETION, reason));
        }
        self.cqs[usize::from(id)] = None;
        Ok(())
    }

    /// Abort (Base, 5.1.1). Whether the command was found and has been aborted comes back.
    pub(crate) fn abort(
        &mut self,
        now: Ns,
        sqid: u16,
        cid: u16,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> bool {
        let tickets = self.withdraw(subsystem, |ticket| ticket.sqid == sqid && ticket.cid == cid);
        let found = !tickets.is_empty();
        for ticket in tickets {
            self.post(now, ticket, 0, Status::ABORT_REQUESTED, host);
        }
        let requests = self
            .events
            .withdraw(|ticket| ticket.sqid == sqid && ticket.cid == cid);
        let found = found || !requests.is_empty();
        for ticket in requests {
            // As when it is completed by an event: it was never work.
            self.activity.enter(now);
            self.post(now, ticket, 0, Status::ABORT_REQUESTED, host);
        }
        found
    }

    /// Takes the tickets of commands that are still in the drive.
    fn withdraw(
        &mut self,
        subsystem: &mut Subsystem,
        wanted: impl Fn(&Ticket) -> bool,
    ) -> Vec<Ticket> {
        let due = self.heap.extract(|due| due.ticket().is_some_and(&wanted));
        let mut tickets: Vec<_> = due
            .into_iter()
            .filter_map(|(_, due)| due.into_ticket())
            .collect();
        let numbers: Vec<u64> = self
            .flights
            .iter()
            .filter(|(_, flight)| wanted(&flight.ticket))
            .map(|(&number, _)| number)
            .collect();
        for number in numbers {
            subsystem.abandon(Token {
                controller: self.config.id,
                number,
            });
            tickets.extend(self.flights.remove(&number).map(|flight| flight.ticket));
        }
        tickets
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
        let mut probe = [0; 4];
        host.read(doorbells, &mut probe)?;
        host.write(event_indexes, &probe.map(|_| 0))?;
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

    fn shadow_of(&self, id: u16, is_cq: bool) -> Option<Shadow> {
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
