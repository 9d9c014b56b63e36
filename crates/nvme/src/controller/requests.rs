//! Asynchronous event requests, which wait until there is something to tell.

use super::{Controller, Due};
use crate::error::NvmeError;
use crate::subsystem::Subsystem;
use crate::ticket::Ticket;
use ersatz_engine::Ns;
use ersatz_pcie::Host;
use nvme_spec::{Sqe, Status};

impl Controller {
    /// Completes outstanding event requests for which there is an event.
    pub(crate) fn deliver_events(
        &mut self,
        now: Ns,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        while self.room(0, 1, host) > 0
            && let Some((cid, result)) = self.events.deliver(&self.features)
            && let Some(ticket) = self.ticket_for_request(now, cid)
        {
            let event = Due::Post {
                ticket,
                result: result.into(),
                status: Status::SUCCESS,
            };
            self.schedule(now, now, event, subsystem, host);
        }
    }

    pub(super) fn await_event(
        &mut self,
        now: Ns,
        ticket: Ticket,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        if !self.events.request(ticket.cid) {
            let error = NvmeError::from(Status::AER_LIMIT_EXCEEDED);
            return self.settle(now, ticket, sqe, 0, Err(error), subsystem, host);
        }
        // A request that may wait for ever is no work: it neither makes the drive busy nor keeps
        // a slot that other commands need.
        self.activity.leave(now);
        match self.cqs.first_mut() {
            Some(Some(cq)) => cq.release(ticket),
            _ => ticket.redeem(),
        }
    }

    /// A request that waited for an event shall be completed: as any command, from now on. The
    /// caller has seen that there is room.
    pub(super) fn ticket_for_request(&mut self, now: Ns, cid: u16) -> Option<Ticket> {
        let cq = self.cqs.first_mut()?.as_mut()?;
        self.activity.enter(now);
        Some(cq.reserve(0, cid))
    }
}
