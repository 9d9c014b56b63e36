//! What went wrong: for the host as the Error Information log (Base, 5.1.12.1.2), for the operator
//! as words.

use crate::error::NvmeError;
use crate::ticket::Ticket;
use ersatz_engine::Ns;
use nvme_spec::log::ErrorInformation;
use nvme_spec::queue::StatusField;
use nvme_spec::{AdminOpcode, Sqe, Status};
use std::collections::VecDeque;

/// Entries kept (ELPE plus one).
pub const ENTRIES: usize = 64;

/// A guest can fail commands as fast as it likes: no more than this many are told in words in a
/// second, the others are counted.
const WORDS_PER_SECOND: u32 = 10;

/// The last errors, and how many there have been.
#[derive(Default)]
pub struct ErrorLog {
    entries: VecDeque<ErrorInformation>,
    count: u64,
    second: u64,
    told: u32,
    suppressed: u64,
}

impl ErrorLog {
    /// Notes that a command failed. The status to complete it with comes back.
    pub(crate) fn note(
        &mut self,
        now: Ns,
        ticket: &Ticket,
        sqe: &Sqe,
        error: &NvmeError,
    ) -> Status {
        let status = error.status.with_more(true);
        self.count += 1;
        let mut entry = ErrorInformation::default();
        entry.ec = self.count;
        entry.sqid = ticket.sqid;
        entry.cid = ticket.cid;
        entry.sts = StatusField::new().with_status(status);
        // No field is named as the culprit.
        entry.pel = 0xFFFF;
        let first = if ticket.sqid == 0 { 0 } else { sqe.cdw10_11() };
        entry.lba = error.lba.unwrap_or(first);
        entry.ns = sqe.nsid;
        entry.opc = sqe.opcode;
        entry.lpver = 1;
        if self.entries.len() == ENTRIES {
            self.entries.pop_back();
        }
        self.entries.push_front(entry);
        self.tell(now, ticket, sqe, error);
        status
    }

    fn tell(&mut self, now: Ns, ticket: &Ticket, sqe: &Sqe, error: &NvmeError) {
        let second = now.0 / 1_000_000_000;
        if second != self.second {
            if self.suppressed > 0 {
                tracing::warn!("{} more commands failed in that second", self.suppressed);
            }
            (self.second, self.told, self.suppressed) = (second, 0, 0);
        }
        if self.told == WORDS_PER_SECOND {
            self.suppressed += 1;
            return;
        }
        self.told += 1;
        let Sqe { opcode, nsid, .. } = *sqe;
        if ticket.sqid == 0 {
            let opcode = AdminOpcode(opcode);
            tracing::warn!(cid = ticket.cid, nsid, "admin {opcode:?} failed: {error}");
        } else {
            let sqid = ticket.sqid;
            tracing::warn!(
                sqid,
                cid = ticket.cid,
                nsid,
                "I/O {opcode:#04x} failed: {error}"
            );
        }
    }

    /// The last errors, the newest first.
    pub fn entries(&self) -> impl Iterator<Item = &ErrorInformation> {
        self.entries.iter()
    }

    /// Errors so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}
