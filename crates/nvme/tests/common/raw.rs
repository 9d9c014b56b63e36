//! A host that does what it likes: registers, queues and commands bit by bit.

use super::Rig;
use ersatz_host::driver::DmaBuffer;
use nvme_spec::register::{
    ACQ, AQA, ASQ, Aqa, CC, CSTS, Cc, CcCss, Csts, cq_head_doorbell, sq_tail_doorbell,
};
use nvme_spec::{Cqe, Sqe, Status};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

/// What a well-behaved host writes to CC to enable a controller.
pub fn cc() -> Cc {
    Cc::new()
        .with_css(CcCss::AllSupported)
        .with_iosqes(6)
        .with_iocqes(4)
        .with_en(true)
}

pub fn csts(rig: &Rig) -> Csts {
    Csts::from_bits(rig.register(CSTS))
}

pub fn write_cc(rig: &Rig, cc: Cc) {
    rig.write_bar0(CC, &cc.into_bits().to_le_bytes());
}

/// Enables a controller with admin queues of these sizes.
pub fn enable(rig: &Arc<Rig>, cc: Cc, sq_entries: u32, cq_entries: u32) -> Queue {
    let queue = Queue::new(rig, 0, sq_entries, cq_entries);
    let aqa = Aqa::new()
        .with_asqs_z(sq_entries as u16 - 1)
        .with_acqs_z(cq_entries as u16 - 1);
    rig.write_bar0(AQA, &aqa.into_bits().to_le_bytes());
    rig.write_bar0(ASQ, &queue.sq.iova().to_le_bytes());
    rig.write_bar0(ACQ, &queue.cq.iova().to_le_bytes());
    write_cc(rig, cc);
    queue
}

/// Resets and enables a controller as a driver does it.
pub fn start(rig: &Arc<Rig>) -> Queue {
    write_cc(rig, cc().with_en(false));
    let queue = enable(rig, cc(), 32, 32);
    assert!(csts(rig).rdy() && !csts(rig).cfs());
    queue
}

/// A submission queue and a completion queue. The host's side of it is not checked.
pub struct Queue {
    rig: Arc<Rig>,
    pub id: u16,
    pub sq: DmaBuffer,
    pub cq: DmaBuffer,
    sq_entries: u32,
    cq_entries: u32,
    pub tail: u32,
    pub head: u32,
    phase: bool,
    next_cid: u16,
}

impl Queue {
    /// Memory for two queues that the controller does not know yet.
    pub fn new(rig: &Arc<Rig>, id: u16, sq_entries: u32, cq_entries: u32) -> Self {
        Self {
            rig: Arc::clone(rig),
            id,
            sq: rig.buffer(u64::from(sq_entries) * 64),
            cq: rig.buffer(u64::from(cq_entries) * 16),
            sq_entries,
            cq_entries,
            tail: 0,
            head: 0,
            phase: true,
            next_cid: 0,
        }
    }

    /// Memory and queues, which must be created.
    pub fn create(admin: &mut Self, id: u16, sq_entries: u32, cq_entries: u32) -> Self {
        Self::create_with(admin, id, sq_entries, cq_entries, None)
    }

    pub fn create_with(
        admin: &mut Self,
        id: u16,
        sq_entries: u32,
        cq_entries: u32,
        vector: Option<u16>,
    ) -> Self {
        use ersatz_host::command::{create_cq, create_sq};
        let queue = Self::new(&admin.rig, id, sq_entries, cq_entries);
        admin.ok(create_cq(id, cq_entries, queue.cq.iova(), vector));
        admin.ok(create_sq(id, sq_entries, queue.sq.iova(), id));
        queue
    }

    /// Puts a command into the queue; its identifier comes back.
    pub fn push(&mut self, sqe: Sqe) -> u16 {
        let cid = self.next_cid;
        self.next_cid = self.next_cid.wrapping_add(1);
        self.sq
            .write(u64::from(self.tail) * 64, Sqe { cid, ..sqe }.as_bytes())
            .expect("inside");
        self.tail = (self.tail + 1) % self.sq_entries;
        cid
    }

    /// Tells the controller of all that was pushed.
    pub fn ring(&self) {
        self.rig
            .write_bar0(sq_tail_doorbell(self.id, 0), &self.tail.to_le_bytes());
    }

    pub fn send(&mut self, sqe: Sqe) -> u16 {
        let cid = self.push(sqe);
        self.ring();
        cid
    }

    /// The next completion that is in the queue, without telling the controller.
    pub fn peek(&mut self) -> Option<Cqe> {
        let mut bytes = [0; 16];
        self.cq
            .read(u64::from(self.head) * 16, &mut bytes)
            .expect("inside");
        let cqe = Cqe::read_from_bytes(&bytes).expect("16 bytes");
        if cqe.phase() != self.phase {
            return None;
        }
        self.head += 1;
        if self.head == self.cq_entries {
            (self.head, self.phase) = (0, !self.phase);
        }
        Some(cqe)
    }

    /// Tells the controller which completions were taken.
    pub fn acknowledge(&self) {
        self.rig
            .write_bar0(cq_head_doorbell(self.id, 0), &self.head.to_le_bytes());
    }

    pub fn take(&mut self) -> Option<Cqe> {
        let cqe = self.peek()?;
        self.acknowledge();
        Some(cqe)
    }

    /// Runs the drive until it has nothing left to do, and takes all completions.
    pub fn drain(&mut self) -> Vec<Cqe> {
        let mut all = Vec::new();
        loop {
            self.rig.settle();
            let before = all.len();
            while let Some(cqe) = self.take() {
                all.push(cqe);
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Sends one command and waits for its completion.
    pub fn run(&mut self, sqe: Sqe) -> Cqe {
        let cid = self.send(sqe);
        loop {
            if let Some(cqe) = self.take() {
                assert_eq!(
                    (cqe.cid, cqe.sqid),
                    (cid, self.id),
                    "another command's completion"
                );
                return cqe;
            }
            assert!(
                self.rig.lock().step(),
                "nothing is left to do, and no completion: {sqe:?}"
            );
        }
    }

    /// The status that a command ends with, without Do Not Retry and More.
    pub fn status(&mut self, sqe: Sqe) -> Status {
        self.run(sqe).status().code()
    }

    /// Runs a command that succeeds; DW0 and DW1 come back.
    pub fn ok(&mut self, sqe: Sqe) -> u64 {
        let cqe = self.run(sqe);
        assert!(cqe.status().is_success(), "{sqe:?}: {:?}", cqe.status());
        cqe.dw0_1()
    }
}
