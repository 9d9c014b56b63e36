//! Fused operations: two commands, one after the other in a queue, that are done as one (Base,
//! 3.4.2). There is one, Compare and Write (NVM, 3.1.1).
//!
//! The data of the second is put into the store at the moment of the comparison, so that nothing can
//! come between them; the media's write begins when its read is done.

use super::{Controller, Due, Flight};
use crate::error::NvmeError;
use crate::set::Step;
use crate::subsystem::Subsystem;
use crate::ticket::Ticket;
use ersatz_engine::Ns;
use ersatz_pcie::Host;
use nvme_spec::nvm::RwCdw12;
use nvme_spec::queue::Fuse;
use nvme_spec::{Csi, NvmOpcode, Sqe, Status};

/// One of the two commands.
pub(super) struct Half {
    pub ticket: Ticket,
    pub sqe: Sqe,
}

/// Whether a command of an I/O queue begins a fused operation.
pub(super) fn is_first(sqe: &Sqe) -> bool {
    sqe.flags.fuse() == Fuse::First
}

/// Whether two commands that follow one another belong together.
pub(super) fn is_pair(first: &Sqe, second: &Sqe) -> bool {
    is_first(first) && second.flags.fuse() == Fuse::Second
}

pub(super) fn check_admin(sqe: &Sqe) -> Result<(), NvmeError> {
    if sqe.flags.fuse() != Fuse::Normal {
        return Err(NvmeError::field("admin commands are not fused"));
    }
    Ok(())
}

impl Controller {
    /// Executes two commands as one; or what says that it is half of such a pair, but has no other
    /// half beside it.
    pub(super) fn execute_fused(
        &mut self,
        now: Ns,
        first: Half,
        second: Option<Box<Half>>,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        let Half { ticket, sqe } = first;
        let Some(second) = second else {
            let error = match sqe.flags.fuse() {
                Fuse::First | Fuse::Second => Status::ABORTED_MISSING_FUSED.into(),
                _ => NvmeError::field("FUSE is reserved"),
            };
            return self.settle(now, ticket, &sqe, 0, Err(error), subsystem, host);
        };
        self.numbers += 1;
        let number = self.numbers;
        let checked = check(&sqe, &second.sqe, subsystem);
        let flight = Flight {
            ticket,
            sqe,
            second: Some(second),
        };
        if let Some(cores) = self.cores.as_mut().filter(|_| checked.is_ok()) {
            // Each is read, and both begin when both have been.
            let at = cores.read(now).max(cores.read(now));
            self.flights.insert(number, flight);
            return self.schedule(now, at, Due::Begin { number }, subsystem, host);
        }
        let outcome = checked.and_then(|()| self.io(now, number, &sqe, subsystem, host));
        self.go_on(now, flight, number, outcome, subsystem, host);
    }

    /// Decides what comes after a step of a command that may be the first of two.
    pub(super) fn go_on(
        &mut self,
        now: Ns,
        flight: Flight,
        number: u64,
        outcome: Result<Step, NvmeError>,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        let Flight {
            ticket,
            sqe,
            second,
        } = flight;
        let Some(second) = second else {
            return self.settle(now, ticket, &sqe, number, outcome, subsystem, host);
        };
        let ended = match &outcome {
            Ok(Step::Resume { at }) => {
                let (at, second) = (*at, Some(second));
                let flight = Flight {
                    ticket,
                    sqe,
                    second,
                };
                self.flights.insert(number, flight);
                return self.schedule(now, at, Due::Resume { number }, subsystem, host);
            }
            Ok(Step::At { at, .. }) => Ok(*at),
            // A comparison never is: whatever it were, the write would not be done.
            Ok(Step::Parked) => Err(now),
            Err(error) => Err(error.at.unwrap_or(now)),
        };
        self.settle(now, ticket, &sqe, number, outcome, subsystem, host);
        let Half { ticket, sqe } = *second;
        self.numbers += 1;
        let number = self.numbers;
        let (at, outcome) = match ended {
            Ok(at) => (at, self.io(now, number, &sqe, subsystem, host)),
            Err(at) => (at, Err(Status::ABORTED_FAILED_FUSED.into())),
        };
        let outcome = outcome.map(|step| step.not_before(at));
        let outcome = outcome.map_err(|error| NvmeError {
            at: Some(error.at.unwrap_or(now).max(at)),
            ..error
        });
        self.settle(now, ticket, &sqe, number, outcome, subsystem, host);
    }
}

/// Whether two commands are an operation that exists.
fn check(first: &Sqe, second: &Sqe, subsystem: &Subsystem) -> Result<(), NvmeError> {
    let is = |sqe: &Sqe, opcode: NvmOpcode| sqe.opcode == opcode.0;
    let range = |sqe: &Sqe| {
        let nlb_z = RwCdw12::from_bits(sqe.cdw12).nlb_z();
        (sqe.nsid, sqe.cdw10_11(), nlb_z)
    };
    // The same opcodes mean other things elsewhere.
    let blocks = subsystem
        .namespace(first.nsid)
        .is_none_or(|namespace| namespace.set.csi() == Csi::Nvm);
    if !blocks || !is(first, NvmOpcode::Compare) || !is(second, NvmOpcode::Write) {
        return Err(NvmeError::field(
            "Compare and Write is the one fused operation",
        ));
    }
    if range(first) != range(second) {
        return Err(NvmeError::field(
            "the halves of a fused operation name different blocks",
        ));
    }
    Ok(())
}
