//! A host whose queues and buffers take no memory.
//!
//! It has submission queues of a few entries and completion queues of as many as there can be, so
//! that requests don't wait for room. Data addresses are valid and lead nowhere: what a drive reads
//! there is not defined, and what it writes there is gone. So the time of simulating a request
//! does not depend on its size.

use crate::request::{Completion, Submission};
use ersatz_engine::Ns;
use ersatz_host::command;
use ersatz_memory::Mapping;
use ersatz_pcie::{DmaFault, Host};
use ersatz_workload::{Op, Request};
use nvme_spec::nvm::{DsmCdw10, DsmCdw11, DsmRange};
use nvme_spec::queue::SglType;
use nvme_spec::{Cqe, NvmOpcode, SglDescriptor, Sqe, Status};
use zerocopy::{FromBytes, IntoBytes};

/// Entries of a submission queue: commands are fetched before the next ones are written.
pub const SQ_ENTRIES: u32 = 64;
/// Entries of a completion queue, which is how many commands of it can be in the drive, plus one.
pub const CQ_ENTRIES: u32 = 65_536;

const SQE: usize = size_of::<Sqe>();
const CQE: usize = size_of::<Cqe>();
const RANGE: usize = size_of::<DsmRange>();

/// What lies at an address: the upper bits say which area, the middle ones which queue.
const AREA: u32 = 40;
const QUEUE: u32 = 24;
const SUBMISSION: u64 = 1;
const COMPLETION: u64 = 2;
const DATA: u64 = 3;
const RANGES: u64 = 4;

const fn address(area: u64, queue: u16) -> u64 {
    area << AREA | (queue as u64) << QUEUE
}

/// One queue pair.
struct Queue {
    id: u16,
    ring: [Sqe; SQ_ENTRIES as usize],
    tail: u32,
    /// Entries of the completion queue that were taken.
    head: u32,
    /// By command identifier.
    flights: Vec<Option<Submission>>,
    /// Identifiers that were used and are free again.
    free: Vec<u16>,
}

impl Queue {
    fn new(id: u16) -> Self {
        Self {
            id,
            ring: [Sqe::default(); SQ_ENTRIES as usize],
            tail: 0,
            head: 0,
            flights: Vec::new(),
            free: Vec::new(),
        }
    }

    fn in_flight(&self) -> usize {
        self.flights.len() - self.free.len()
    }

    fn has_room(&self) -> bool {
        self.in_flight() < CQ_ENTRIES as usize - 1
    }

    fn claim(&mut self, flight: Submission) -> u16 {
        if let Some(cid) = self.free.pop() {
            self.flights[usize::from(cid)] = Some(flight);
            return cid;
        }
        self.flights.push(Some(flight));
        // `has_room` keeps them below the entries of the completion queue.
        (self.flights.len() - 1) as u16
    }

    fn put(&mut self, sqe: Sqe) {
        self.ring[self.tail as usize] = sqe;
        self.tail = (self.tail + 1) % SQ_ENTRIES;
    }
}

/// The host's end of all queues.
pub struct SimHost {
    /// The time of the poll that is going on.
    pub now: Ns,
    /// The admin queue is 0.
    queues: Vec<Queue>,
    /// Completions of I/O commands since they were last taken.
    pub done: Vec<Completion>,
    /// The status of the last admin command.
    pub admin: Option<Status>,
    nsid: u32,
    block: u32,
    /// The queue with room that was found last.
    current: usize,
}

impl SimHost {
    /// A host with an admin queue, whose requests go to namespace `nsid`, with blocks of `block`
    /// bytes.
    pub fn new(nsid: u32, block: u32) -> Self {
        Self {
            now: Ns::ZERO,
            queues: vec![Queue::new(0)],
            done: Vec::new(),
            admin: None,
            nsid,
            block,
            current: 0,
        }
    }

    /// Address of the submission queue `id`.
    pub fn sq(id: u16) -> u64 {
        address(SUBMISSION, id)
    }

    /// Address of the completion queue `id`.
    pub fn cq(id: u16) -> u64 {
        address(COMPLETION, id)
    }

    /// Makes room for one more queue pair; its identifier comes back. The drive has yet to be told.
    pub fn add_queue(&mut self) -> u16 {
        let id = self.queues.len() as u16;
        self.queues.push(Queue::new(id));
        id
    }

    /// I/O queue pairs.
    pub fn io_queues(&self) -> u16 {
        self.queues.len() as u16 - 1
    }

    /// Commands in the drive.
    pub fn in_flight(&self) -> usize {
        self.queues.iter().skip(1).map(Queue::in_flight).sum()
    }

    /// Writes an admin command; the tail to ring comes back.
    pub fn admin(&mut self, sqe: Sqe) -> u32 {
        self.admin = None;
        let queue = &mut self.queues[0];
        queue.put(sqe);
        queue.tail
    }

    /// Writes the command of a request to a queue that has room at the time `issued`; where it is and the tail to ring
    /// come back, or nothing when no queue has room.
    pub fn submit(
        &mut self,
        index: u64,
        issued: Ns,
        request: Request,
    ) -> Option<(Submission, u32)> {
        if !self
            .queues
            .get(self.current)
            .is_some_and(|queue| queue.id > 0 && queue.has_room())
        {
            let free = self.queues.iter().skip(1).position(Queue::has_room)?;
            self.current = free + 1;
        }
        let (nsid, block) = (self.nsid, self.block);
        let queue = &mut self.queues[self.current];
        let submission = Submission {
            index,
            issued,
            queue: queue.id,
            request,
            bytes: u64::from(request.nlb) * u64::from(block),
        };
        let cid = queue.claim(submission);
        let data = |bytes: u32| SglDescriptor::new(SglType::DataBlock, address(DATA, 0), bytes);
        // At most 65,536 blocks of 8 KiB for commands with data.
        let bytes = request.nlb.wrapping_mul(block);
        let mut sqe = match request.op {
            Op::Read => command::read(nsid, request.slba, request.nlb).with_sgl(data(bytes)),
            Op::Write => command::write(nsid, request.slba, request.nlb).with_sgl(data(bytes)),
            Op::Trim => {
                let at = address(RANGES, queue.id) + u64::from(cid) * RANGE as u64;
                let range = SglDescriptor::new(SglType::DataBlock, at, RANGE as u32);
                Sqe {
                    cdw10: DsmCdw10::new().with_nr_z(0).into(),
                    cdw11: DsmCdw11::new().with_ad(true).into(),
                    ..Sqe::new(NvmOpcode::DatasetManagement, nsid)
                }
                .with_sgl(range)
            }
            Op::Flush => Sqe::new(NvmOpcode::Flush, nsid),
        };
        sqe.cid = cid;
        queue.put(sqe);
        Some((submission, queue.tail))
    }

    /// Gives back the entries of a completion queue; the head to ring comes back.
    pub fn head(&self, id: u16) -> u32 {
        self.queues
            .get(usize::from(id))
            .map_or(0, |queue| queue.head)
    }

    fn take(&mut self, id: u16, entry: &[u8; CQE]) -> Option<()> {
        let cqe = Cqe::read_from_bytes(entry).ok()?;
        let queue = self.queues.get_mut(usize::from(id))?;
        queue.head += 1;
        let entries = if id == 0 { SQ_ENTRIES } else { CQ_ENTRIES };
        if queue.head == entries {
            queue.head = 0;
        }
        if id == 0 {
            self.admin = Some(cqe.status());
            return Some(());
        }
        let flight = queue.flights.get_mut(usize::from(cqe.cid))?.take()?;
        queue.free.push(cqe.cid);
        self.done.push(Completion {
            submission: flight,
            due: self.now,
            status: cqe.status(),
        });
        Some(())
    }

    fn find(&self, iova: u64, buf: &mut [u8]) -> Option<()> {
        let offset = iova as usize & ((1 << QUEUE) - 1);
        let queue = (iova >> QUEUE) as usize & 0xFFFF;
        match iova >> AREA {
            SUBMISSION => {
                let ring = self.queues.get(queue)?.ring.as_bytes();
                buf.copy_from_slice(ring.get(offset..offset.checked_add(buf.len())?)?);
            }
            RANGES => {
                let flights = &self.queues.get(queue)?.flights;
                let request = (*flights.get(offset / RANGE)?)?.request;
                let range = DsmRange {
                    cattr: 0,
                    nlb: request.nlb,
                    slba: request.slba,
                };
                buf.copy_from_slice(range.as_bytes().get(..buf.len())?);
            }
            DATA => {}
            _ => return None,
        }
        Some(())
    }
}

fn fault(iova: u64, len: usize) -> DmaFault {
    DmaFault {
        iova,
        len: len as u64,
    }
}

impl Host for SimHost {
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.find(iova, buf).ok_or(fault(iova, buf.len()))
    }

    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault> {
        match iova >> AREA {
            DATA => Ok(()),
            _ => Err(fault(iova, buf.len())),
        }
    }

    fn read_into(&mut self, iova: u64, _: &Mapping, _: u64, len: usize) -> Result<(), DmaFault> {
        match iova >> AREA {
            DATA => Ok(()),
            _ => Err(fault(iova, len)),
        }
    }

    fn write_from(&mut self, iova: u64, _: &Mapping, _: u64, len: usize) -> Result<(), DmaFault> {
        match iova >> AREA {
            DATA => Ok(()),
            _ => Err(fault(iova, len)),
        }
    }

    fn publish(&mut self, iova: u64, entry: &[u8; CQE]) -> Result<(), DmaFault> {
        let queue = (iova >> QUEUE) as u16;
        match iova >> AREA {
            COMPLETION => self.take(queue, entry).ok_or(fault(iova, CQE)),
            _ => Err(fault(iova, CQE)),
        }
    }

    fn raise(&mut self, _vector: u16) {}

    fn message_signalled(&self) -> bool {
        true
    }
}

const _: () = assert!(SQE * SQ_ENTRIES as usize <= 1 << QUEUE);
const _: () = assert!(CQE * CQ_ENTRIES as usize <= 1 << QUEUE);
const _: () = assert!(RANGE * CQ_ENTRIES as usize <= 1 << QUEUE);
