//! How queues come and go, and what happens to the commands in them.

use super::Controller;
use crate::error::NvmeError;
use crate::queue::{CQE_SIZE, CompletionQueue, SQE_SIZE, SubmissionQueue};
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

    /// The host is gone: its commands occupy the firmware no longer.
    pub(crate) fn disconnect(&mut self, now: Ns) {
        self.firmware.cut(now);
        if let Some(cores) = &mut self.cores {
            cores.cut(now);
        }
    }

    /// Forgets all queues and the commands in them.
    pub(crate) fn reset(&mut self, subsystem: &mut Subsystem) {
        let controller = self.config.id;
        self.forget(|number| subsystem.abandon(Token { controller, number }));
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

    /// Forgets the commands that are in the drive; `gone` is told the numbers of those that may be
    /// parked.
    pub(super) fn forget(&mut self, mut gone: impl FnMut(u64)) {
        for (_, due) in self.heap.extract(|_| true) {
            if let Some(ticket) = due.into_ticket() {
                ticket.redeem();
            }
        }
        for (number, flight) in core::mem::take(&mut self.flights) {
            gone(number);
            flight.ticket.redeem();
            if let Some(second) = flight.second {
                second.ticket.redeem();
            }
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
        if cqid == 0 || cqid > usize::from(self.config.queues) {
            let reason = format!("completion queue {cqid} can't be used");
            return Err(NvmeError::new(Status::INVALID_QUEUE_ID, reason));
        }
        if self.cqs.get(cqid).is_none_or(Option::is_none) {
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
        if sqid == 0
            && self.room(0, 1, host) > 0
            && self.events.withdraw(cid)
            && let Some(ticket) = self.ticket_for_request(now, cid)
        {
            self.post(now, ticket, 0, Status::ABORT_REQUESTED, host);
            return true;
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
            .filter(|(_, flight)| {
                // Halves of a fused operation go together.
                let second = flight.second.as_ref();
                wanted(&flight.ticket) || second.is_some_and(|second| wanted(&second.ticket))
            })
            .map(|(&number, _)| number)
            .collect();
        for number in numbers {
            subsystem.abandon(Token {
                controller: self.config.id,
                number,
            });
            if let Some(flight) = self.flights.remove(&number) {
                tickets.push(flight.ticket);
                tickets.extend(flight.second.map(|second| second.ticket));
            }
        }
        tickets
    }
}
