//! The queue pair against a controller that is only memory: the test posts whatever it likes,
//! which a real controller never would.

use super::*;
use crate::driver::Options;
use ersatz_memory::Mapping;
use nvme_spec::Status;
use nvme_spec::register::DOORBELLS;
use std::sync::Mutex;
use zerocopy::FromBytes;

const PAGE: u64 = 4096;
const IOVA: u64 = 0x10_0000;
const ENTRIES: u32 = 4;

/// Registers that keep what was written, and memory.
struct Bare {
    memory: Arc<Mapping>,
    doorbells: Option<Arc<Mapping>>,
    used: Mutex<u64>,
    written: Mutex<Vec<(u64, u32)>>,
}

impl Bare {
    fn new(mapped: bool) -> Arc<Self> {
        let map = |name, len| Arc::new(Mapping::anonymous(name, len).expect("map"));
        Arc::new(Self {
            memory: map("memory", 1 << 20),
            doorbells: mapped.then(|| map("doorbells", PAGE)),
            used: Mutex::new(0),
            written: Mutex::default(),
        })
    }

    fn written(&self) -> Vec<(u64, u32)> {
        std::mem::take(&mut *self.written.lock().expect("lock"))
    }
}

impl Transport for Bare {
    fn read32(&self, _: u64) -> Result<u32, Error> {
        Ok(0)
    }

    fn read64(&self, _: u64) -> Result<u64, Error> {
        Ok(u64::MAX)
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), Error> {
        self.written.lock().expect("lock").push((offset, value));
        Ok(())
    }

    fn write64(&self, _: u64, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn doorbells(&self) -> Option<Arc<Mapping>> {
        self.doorbells.clone()
    }

    fn allocate(&self, len: u64) -> Result<DmaBuffer, Error> {
        let mut used = self.used.lock().expect("lock");
        let start = *used;
        *used += len.next_multiple_of(PAGE);
        Ok(DmaBuffer::new(
            Arc::clone(&self.memory),
            start,
            IOVA + start,
            len,
        )?)
    }

    fn poll(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn layout(shadow: Option<Shadow>) -> Layout {
    Layout {
        qid: 1,
        entries: ENTRIES,
        page: PAGE,
        dstrd: 0,
        max_transfer: 1 << 20,
        shadow,
    }
}

/// A queue pair, and the controller's view of it.
struct Rig {
    bare: Arc<Bare>,
    pair: QueuePair,
    posted: u32,
}

impl Rig {
    fn new() -> Self {
        let bare = Bare::new(false);
        let pair = QueuePair::new(bare.clone(), layout(None)).expect("memory");
        Self {
            bare,
            pair,
            posted: 0,
        }
    }

    fn submit(&mut self) -> u16 {
        let sqe = Sqe::new(0x02, 1);
        self.pair.submit(sqe, Data::AsIs).expect("room")
    }

    fn sqe(&self, index: u32) -> Sqe {
        let mut bytes = [0; 64];
        let at = self.pair.sq_iova() - IOVA + u64::from(index) * 64;
        self.bare.memory.read(at, &mut bytes).expect("inside");
        Sqe::read_from_bytes(&bytes).expect("64 bytes")
    }

    /// Posts with the phase that is due.
    fn post(&mut self, cid: u16, sqhd: u16, change: impl FnOnce(&mut Cqe)) {
        let phase = (self.posted / ENTRIES).is_multiple_of(2);
        let mut cqe = Cqe {
            sqid: 1,
            cid,
            sqhd,
            sf: StatusField::new().with_phase(phase),
            ..Cqe::default()
        };
        change(&mut cqe);
        let at = self.pair.cq_iova() - IOVA + u64::from(self.posted % ENTRIES) * 16;
        self.bare.memory.write(at, cqe.as_bytes()).expect("inside");
        self.posted += 1;
    }
}

#[test]
fn a_command_and_its_completion_find_each_other() {
    let mut rig = Rig::new();
    let cid = rig.submit();
    assert_eq!(rig.sqe(0).cid, cid);
    assert_eq!(rig.bare.written(), [(DOORBELLS + 8, 1)]);
    assert_eq!(rig.pair.poll().expect("nothing wrong"), None);
    rig.post(cid, 1, |cqe| {
        (cqe.dw0, cqe.dw1) = (7, 8);
        cqe.sf.set_status(Status::LBA_OUT_OF_RANGE);
    });
    let cqe = rig.pair.poll().expect("nothing wrong").expect("posted");
    assert_eq!((cqe.cid, cqe.dw0_1()), (cid, 8 << 32 | 7));
    assert_eq!(cqe.status(), Status::LBA_OUT_OF_RANGE);
    assert_eq!(rig.pair.in_flight(), 0);
    assert_eq!(rig.pair.poll().expect("nothing wrong"), None);
    assert_eq!(
        rig.bare.written(),
        [(DOORBELLS + 12, 1)],
        "the room is given back"
    );
}

#[test]
fn queues_wrap_many_times_with_all_slots_in_use() {
    let mut rig = Rig::new();
    let mut fetched = 0;
    for _ in 0..10 * ENTRIES {
        let cids: Vec<u16> = (0..3).map(|_| rig.submit()).collect();
        assert!(matches!(
            rig.pair.submit(Sqe::new(0x02, 1), Data::AsIs),
            Err(Error::QueueFull)
        ));
        for &cid in cids.iter().rev() {
            fetched = (fetched + 1) % ENTRIES;
            rig.post(cid, fetched as u16, |_| {});
            let cqe = rig.pair.poll().expect("nothing wrong").expect("posted");
            assert_eq!(cqe.cid, cid);
        }
        assert_eq!(rig.pair.poll().expect("nothing wrong"), None);
    }
}

#[test]
fn completions_that_no_controller_may_post_are_errors() {
    type Change = fn(&mut Cqe);
    let wrong: [(Change, &str); 6] = [
        (|cqe| cqe.cid = 2, "no command in flight"),
        (|cqe| cqe.cid = u16::MAX, "no command in flight"),
        (|cqe| cqe.sqid = 0, "another queue"),
        (|cqe| cqe.sqhd = 3, "the head"),
        (|cqe| cqe.sqhd = 4, "the head"),
        (|cqe| cqe.sqhd = u16::MAX, "the head"),
    ];
    for (change, word) in wrong {
        let mut rig = Rig::new();
        rig.submit();
        let cid = rig.submit();
        rig.post(cid, 2, change);
        let error = rig.pair.poll().expect_err("wrong");
        assert!(matches!(error, Error::Protocol(_)));
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_second_completion_for_the_same_command_is_an_error() {
    let mut rig = Rig::new();
    let cid = rig.submit();
    rig.post(cid, 1, |_| {});
    rig.post(cid, 1, |_| {});
    assert!(rig.pair.poll().expect("the first").is_some());
    assert!(rig.pair.poll().is_err());
}

#[test]
fn a_head_that_goes_back_is_an_error() {
    let mut rig = Rig::new();
    let (a, b) = (rig.submit(), rig.submit());
    rig.post(a, 2, |_| {});
    rig.post(b, 1, |_| {});
    assert!(rig.pair.poll().expect("the first").is_some());
    assert!(rig.pair.poll().is_err());
}

#[test]
fn data_that_cannot_be_described_leave_the_queue_as_it_was() {
    let mut rig = Rig::new();
    let bad = [Segment { iova: 2, len: 4 }];
    assert!(rig.pair.submit(Sqe::new(0x02, 1), Data::Prp(&bad)).is_err());
    assert_eq!(rig.pair.in_flight(), 0);
    assert!(rig.bare.written().is_empty());
    let good = [Segment {
        iova: 0x8000,
        len: 3 * PAGE,
    }];
    let cid = rig.pair.submit(Sqe::new(0x02, 1), Data::Prp(&good));
    let (cid, sqe) = (cid.expect("describable"), rig.sqe(0));
    assert_eq!((sqe.cid, sqe.prp1), (cid, 0x8000));
    let list: u64 = rig.bare.memory.load(sqe.prp2 - IOVA).expect("inside");
    assert_eq!(list, 0x9000);
}

#[test]
fn waiting_for_one_command_keeps_the_completions_of_others() {
    let mut rig = Rig::new();
    let other = rig.submit();
    rig.post(other, 1, |_| {});
    let next = other + 1;
    rig.post(next, 2, |cqe| cqe.dw0 = 5);
    let limit = Duration::from_secs(60);
    let cqe = rig.pair.run(Sqe::new(0x02, 1), Data::AsIs, limit);
    assert_eq!(cqe.expect("posted").dw0, 5);
    assert_eq!(rig.pair.in_flight(), 1, "its slot is not used again yet");
    let kept = rig.pair.poll().expect("nothing wrong").expect("kept");
    assert_eq!(kept.cid, other);
    assert_eq!(rig.pair.in_flight(), 0);
}

#[test]
fn a_command_without_an_answer_stays_in_flight() {
    let mut rig = Rig::new();
    let run = rig.pair.run(Sqe::new(0x02, 1), Data::AsIs, Duration::ZERO);
    assert!(matches!(run, Err(Error::Timeout { .. })));
    assert_eq!(rig.pair.in_flight(), 1);
}

#[test]
fn mapped_doorbells_are_stores_and_shadows_save_the_register_write() {
    let bare = Bare::new(true);
    let mut pair = QueuePair::new(bare.clone(), layout(None)).expect("memory");
    pair.submit(Sqe::new(0x02, 1), Data::AsIs).expect("room");
    let page = bare.doorbells.clone().expect("mapped");
    assert_eq!((page.load::<u32>(8), bare.written()), (Ok(1), vec![]));

    let bare = Bare::new(false);
    let buffer = || bare.allocate(PAGE).expect("memory");
    let (values, events) = (buffer(), buffer());
    let shadow = Shadow {
        values: values.clone(),
        events: events.clone(),
    };
    let mut pair = QueuePair::new(bare.clone(), layout(Some(shadow))).expect("memory");
    events.store(8, 1u32).expect("inside");
    pair.submit(Sqe::new(0x02, 1), Data::AsIs).expect("room");
    assert_eq!((values.load::<u32>(8), bare.written()), (Ok(1), vec![]));
    pair.submit(Sqe::new(0x02, 1), Data::AsIs).expect("room");
    assert_eq!(values.load::<u32>(8), Ok(2));
    assert_eq!(
        bare.written(),
        [(DOORBELLS + 8, 2)],
        "the event index was passed"
    );
}

#[test]
fn a_device_that_is_gone_reads_as_ones() {
    let error = super::super::Driver::attach(Bare::new(false), Options::default());
    assert!(matches!(error, Err(Error::Gone(_))));
}
