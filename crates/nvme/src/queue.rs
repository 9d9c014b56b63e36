//! Submission and completion queues in host memory (Base, 3.3.1 and 4.1 to 4.2).

use crate::ticket::Ticket;
use ersatz_pcie::{DmaFault, Host};
use nvme_spec::queue::StatusField;
use nvme_spec::{Cqe, Sqe, Status};
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of a submission queue entry.
pub const SQE_SIZE: u64 = 64;
/// Bytes of a completion queue entry.
pub const CQE_SIZE: u64 = 16;
/// Entries that are fetched with one access to host memory.
pub const FETCH: usize = 16;

/// What a host gives the controller to do.
#[derive(Debug)]
pub struct SubmissionQueue {
    /// Identifier; 0 is the admin queue.
    pub id: u16,
    /// Where its completions go.
    pub cqid: u16,
    /// I/O virtual address of the first entry.
    base: u64,
    /// Entries, 2–65536.
    size: u32,
    head: u32,
    tail: u32,
    /// Where its shadow doorbell is, if the host set some up.
    pub shadow: Option<Shadow>,
}

/// Where a queue's shadow doorbell and event index are in host memory (Base, 5.2.5).
#[derive(Clone, Copy, Debug)]
pub struct Shadow {
    /// I/O virtual address of the doorbell's value.
    pub doorbell: u64,
    /// I/O virtual address of the value at which the host shall write the real doorbell.
    pub event_index: u64,
}

/// A doorbell got a value that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadDoorbell(pub u32);

impl SubmissionQueue {
    /// An empty queue. `size` is 2–65536.
    #[must_use]
    pub fn new(id: u16, cqid: u16, base: u64, size: u32) -> Self {
        Self {
            id,
            cqid,
            base,
            size,
            head: 0,
            tail: 0,
            shadow: None,
        }
    }

    /// Whether the host has given commands that were not fetched.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.head != self.tail
    }

    /// The next entry to fetch.
    #[must_use]
    pub fn head(&self) -> u16 {
        self.head as u16
    }

    /// The last tail that the host told.
    #[must_use]
    pub fn tail(&self) -> u32 {
        self.tail
    }

    /// The host has moved the tail.
    ///
    /// # Errors
    /// When the value is not an index of the queue; the tail stays where it was.
    pub fn set_tail(&mut self, tail: u32) -> Result<(), BadDoorbell> {
        if tail >= self.size {
            return Err(BadDoorbell(tail));
        }
        self.tail = tail;
        Ok(())
    }

    /// Copies at most `room` commands, as many as lie in one piece.
    ///
    /// # Errors
    /// When the queue's memory is not mapped (any more).
    pub fn fetch(
        &mut self,
        room: usize,
        host: &mut dyn Host,
        entries: &mut [Sqe; FETCH],
    ) -> Result<usize, DmaFault> {
        let end = if self.tail >= self.head {
            self.tail
        } else {
            self.size
        };
        let count = ((end - self.head) as usize).min(room).min(FETCH);
        let at = self.base.wrapping_add(u64::from(self.head) * SQE_SIZE);
        host.read(at, entries[..count].as_mut_bytes())?;
        self.head += count as u32;
        if self.head == self.size {
            self.head = 0;
        }
        Ok(count)
    }

    /// Undoes the fetch of the last command.
    pub fn put_back(&mut self) {
        self.head = self.head.checked_sub(1).unwrap_or(self.size - 1);
    }
}

/// Where the controller says what became of commands.
#[derive(Debug)]
pub struct CompletionQueue {
    /// Identifier; 0 is the admin queue.
    pub id: u16,
    base: u64,
    size: u32,
    head: u32,
    tail: u32,
    phase: bool,
    /// Slots promised to commands that were fetched.
    reserved: u32,
    /// The interrupt vector, where the host wants interrupts.
    pub vector: Option<u16>,
    /// Entries were posted since the last interrupt.
    pub interrupt: bool,
    /// Submission queues whose completions come here.
    pub users: u32,
    /// Where its shadow doorbell is, if the host set some up.
    pub shadow: Option<Shadow>,
}

impl CompletionQueue {
    /// An empty queue. `size` is 2–65536.
    #[must_use]
    pub fn new(id: u16, base: u64, size: u32, vector: Option<u16>) -> Self {
        Self {
            id,
            base,
            size,
            head: 0,
            tail: 0,
            phase: true,
            reserved: 0,
            vector,
            interrupt: false,
            users: 0,
            shadow: None,
        }
    }

    /// Entries that were posted and that the host has not taken.
    fn posted(&self) -> u32 {
        if self.tail >= self.head {
            self.tail - self.head
        } else {
            self.tail + self.size - self.head
        }
    }

    /// Entries that it has.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Slots that can still be promised. One slot always stays free.
    #[must_use]
    pub fn room(&self) -> u32 {
        (self.size - 1).saturating_sub(self.posted() + self.reserved)
    }

    /// Whether entries would wait if the host's head were `head`.
    #[must_use]
    pub fn is_pending_at(&self, head: u32) -> bool {
        head < self.size && head != self.tail
    }

    /// Whether commands are out that will complete here.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.reserved > 0
    }

    /// The last head that the host told.
    #[must_use]
    pub fn head(&self) -> u32 {
        self.head
    }

    /// The host has taken entries.
    ///
    /// # Errors
    /// When the value is not an index of the queue, or beyond what was posted.
    pub fn set_head(&mut self, head: u32) -> Result<(), BadDoorbell> {
        let taken = if head >= self.head {
            head - self.head
        } else {
            head.saturating_add(self.size) - self.head
        };
        if head >= self.size || taken > self.posted() {
            return Err(BadDoorbell(head));
        }
        self.head = head;
        Ok(())
    }

    /// Promises a slot for the command `cid` of the submission queue `sqid`. The caller has seen
    /// that there is [`room`](Self::room).
    pub fn reserve(&mut self, sqid: u16, cid: u16) -> Ticket {
        self.reserved += 1;
        Ticket::new(sqid, self.id, cid)
    }

    /// Takes a promise back without a completion.
    pub fn release(&mut self, ticket: Ticket) {
        self.reserved -= 1;
        ticket.redeem();
    }

    /// Posts the completion of a command.
    ///
    /// # Errors
    /// When the queue's memory is not mapped (any more); the promise is kept from the queue's point
    /// of view, so that it stays consistent.
    pub fn post(
        &mut self,
        ticket: Ticket,
        sqhd: u16,
        result: u64,
        status: Status,
        host: &mut dyn Host,
    ) -> Result<(), DmaFault> {
        let entry = Cqe {
            dw0: result as u32,
            dw1: (result >> 32) as u32,
            sqhd,
            sqid: ticket.sqid,
            cid: ticket.cid,
            sf: StatusField::new()
                .with_phase(self.phase)
                .with_status(status),
        };
        let at = self.base.wrapping_add(u64::from(self.tail) * CQE_SIZE);
        self.release(ticket);
        self.tail += 1;
        if self.tail == self.size {
            self.tail = 0;
            self.phase = !self.phase;
        }
        self.interrupt = true;
        let mut bytes = [0; CQE_SIZE as usize];
        bytes.copy_from_slice(entry.as_bytes());
        host.publish(at, &bytes)
    }
}

/// An entry that is all zeros, to fetch into.
#[must_use]
pub fn blank() -> [Sqe; FETCH] {
    [const { [0; SQE_SIZE as usize] }; FETCH]
        .map(|bytes| Sqe::read_from_bytes(&bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_memory::Mapping;
    use ersatz_pcie::LocalHost;
    use std::sync::Arc;

    fn host() -> LocalHost {
        LocalHost::new(
            0,
            Arc::new(Mapping::anonymous("host", 1 << 20).expect("map")),
        )
    }

    #[test]
    fn a_full_completion_queue_promises_no_slot_until_the_host_takes_entries() {
        let (mut cq, mut host) = (CompletionQueue::new(1, 0x1000, 4, None), host());
        let tickets: Vec<_> = (0..3).map(|cid| cq.reserve(1, cid)).collect();
        assert_eq!(cq.room(), 0);
        for ticket in tickets {
            cq.post(ticket, 0, 0, Status::SUCCESS, &mut host)
                .expect("mapped");
        }
        assert_eq!(cq.room(), 0, "posted, but not taken");
        cq.set_head(2).expect("two were taken");
        assert_eq!(cq.room(), 2);
    }

    #[test]
    fn the_phase_turns_with_each_pass() {
        let (mut cq, mut host) = (CompletionQueue::new(1, 0x1000, 2, None), host());
        for (pass, phase) in [(0, true), (1, true), (2, false), (3, false), (4, true)] {
            let ticket = cq.reserve(1, pass);
            cq.post(
                ticket,
                7,
                0x1_0000_0002,
                Status::LBA_OUT_OF_RANGE,
                &mut host,
            )
            .expect("mapped");
            let mut bytes = [0; 16];
            host.read(0x1000 + u64::from(pass % 2) * 16, &mut bytes)
                .expect("mapped");
            let entry = Cqe::read_from_bytes(&bytes).expect("16 bytes");
            assert_eq!((entry.phase(), entry.cid, entry.sqhd), (phase, pass, 7));
            assert_eq!((entry.dw0, entry.dw1), (2, 1));
            cq.set_head((u32::from(pass) + 1) % 2).expect("taken");
        }
    }

    #[test]
    fn doorbells_out_of_range_leave_the_queue_as_it_was() {
        let mut sq = SubmissionQueue::new(1, 1, 0, 8);
        assert_eq!(sq.set_tail(8), Err(BadDoorbell(8)));
        assert!(!sq.is_pending());
        let mut cq = CompletionQueue::new(1, 0, 8, None);
        assert_eq!(cq.set_head(1), Err(BadDoorbell(1)), "nothing was posted");
        assert_eq!(cq.set_head(u32::MAX / 2), Err(BadDoorbell(u32::MAX / 2)));
    }

    #[test]
    fn a_fetch_stops_at_the_end_of_the_queue_and_goes_on_at_its_start() {
        let (mut sq, mut host, mut entries) = (SubmissionQueue::new(1, 1, 0, 4), host(), blank());
        for i in 0..4u16 {
            let sqe = Sqe {
                cid: i,
                ..Sqe::new(0u8, 1)
            };
            host.write(u64::from(i) * 64, sqe.as_bytes())
                .expect("mapped");
        }
        sq.set_tail(3).expect("index");
        assert_eq!(sq.fetch(2, &mut host, &mut entries), Ok(2));
        sq.set_tail(1).expect("index");
        assert_eq!(sq.fetch(9, &mut host, &mut entries), Ok(2));
        assert_eq!((entries[0].cid, entries[1].cid), (2, 3));
        assert_eq!(sq.fetch(9, &mut host, &mut entries), Ok(1));
        assert_eq!(entries[0].cid, 0);
        assert!(!sq.is_pending());
    }
}
