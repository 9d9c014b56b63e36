//! How commands are taken from submission queues.

use super::Controller;
use super::fused::{self, Half};
use crate::queue::{CompletionQueue, FETCH, blank};
use crate::subsystem::Subsystem;
use ersatz_engine::Ns;
use ersatz_pcie::Host;
use nvme_spec::Sqe;
use nvme_spec::queue::Fuse;

impl Controller {
    /// Takes commands from each queue in turn.
    pub(super) fn sweep(
        &mut self,
        now: Ns,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> bool {
        let (count, mut progress) = (self.order.len(), false);
        for i in 0..count {
            // A command of this very sweep may have deleted queues.
            let Some(&id) = self.order.get((self.first + i) % count) else {
                break;
            };
            progress |= self.serve(id, now, subsystem, host);
        }
        self.first = (self.first + 1) % count.max(1);
        progress
    }

    /// Takes at most a burst of commands from one queue.
    fn serve(&mut self, id: u16, now: Ns, subsystem: &mut Subsystem, host: &mut dyn Host) -> bool {
        let index = usize::from(id);
        self.refresh_tail(index, host);
        let Some(sq) = self.sqs.get(index).and_then(Option::as_ref) else {
            return false;
        };
        if !sq.is_pending() {
            return false;
        }
        let (cqid, burst) = (usize::from(sq.cqid), self.features.burst().min(FETCH));
        let room = self.room(cqid, burst, host);
        if room == 0 {
            return false;
        }
        let mut entries = blank();
        let Some(Some(sq)) = self.sqs.get_mut(index) else {
            return false;
        };
        let mut count = match sq.fetch(room.min(burst), host, &mut entries) {
            Ok(count) => count,
            Err(fault) => {
                self.fatal(&format!("SQ {id} can't be read: {fault}"));
                return true;
            }
        };
        if id != 0 && fused::is_first(&entries[count - 1]) {
            count = self.complete_pair(index, cqid, count, &mut entries, host);
            if count == 0 {
                return false;
            }
        }
        let mut rest = &entries[..count];
        while let [sqe, others @ ..] = rest {
            rest = others;
            let Some(Some(cq)) = self.cqs.get_mut(cqid) else {
                break;
            };
            let ticket = cq.reserve(id, sqe.cid);
            self.activity.enter(now);
            if id == 0 || sqe.flags.fuse() == Fuse::Normal {
                self.execute(now, ticket, sqe, subsystem, host);
                continue;
            }
            let second = others.first().filter(|second| fused::is_pair(sqe, second));
            let second = second.map(|sqe| {
                rest = &others[1..];
                self.activity.enter(now);
                let ticket = cq.reserve(id, sqe.cid);
                Box::new(Half { ticket, sqe: *sqe })
            });
            self.execute_fused(now, Half { ticket, sqe: *sqe }, second, subsystem, host);
        }
        true
    }

    /// Slots that commands of a completion queue can be promised. The host's head is looked at
    /// only when it matters: the page is written by another processor.
    pub(super) fn room(&mut self, cqid: usize, wanted: usize, host: &mut dyn Host) -> usize {
        let room = |cqs: &[Option<CompletionQueue>]| {
            cqs.get(cqid)
                .and_then(Option::as_ref)
                .map_or(0, |cq| cq.room() as usize)
        };
        let before = room(&self.cqs);
        if before >= wanted {
            return before;
        }
        self.refresh_head(cqid, host);
        room(&self.cqs)
    }

    /// The last of `count` commands that were fetched is the first half of a fused operation. Its
    /// second half is fetched as well or, where it has to wait for a slot, both are left for the
    /// next time. How many commands there are now comes back.
    fn complete_pair(
        &mut self,
        index: usize,
        cqid: usize,
        count: usize,
        entries: &mut [Sqe; FETCH],
        host: &mut dyn Host,
    ) -> usize {
        let room = self.room(cqid, count + 1, host);
        // A completion queue for one entry can never have room for both.
        let hopeless = self.cqs.get(cqid).and_then(Option::as_ref);
        let hopeless = hopeless.is_none_or(|cq| cq.size() <= 2);
        let Some(Some(sq)) = self.sqs.get_mut(index) else {
            return count;
        };
        if !sq.is_pending() || hopeless {
            return count;
        }
        if room <= count || count == FETCH {
            sq.put_back();
            return count - 1;
        }
        let mut second = blank();
        match sq.fetch(1, host, &mut second) {
            Ok(_) => {
                entries[count] = second[0];
                count + 1
            }
            Err(fault) => {
                let id = sq.id;
                self.fatal(&format!("SQ {id} can't be read: {fault}"));
                count
            }
        }
    }
}
