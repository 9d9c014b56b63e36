//! Creating, filling, draining and deleting queues.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_512, FIXED, Rig, Setup, pattern};
use ersatz_host::command::{create_cq, create_sq, delete_cq, delete_sq, read, write};
use ersatz_host::driver::{Data, QueueOptions};
use nvme_spec::queue::SglType;
use nvme_spec::{SglDescriptor, Sqe, Status};
use std::sync::Arc;

fn rig() -> Arc<Rig> {
    Rig::new(Setup {
        queues: 4,
        entries: 64,
        ..Setup::default()
    })
}

/// A change to a command that makes it wrong, and the status that it gets then.
type Mistake = (fn(&mut Sqe), Status);

#[test]
fn each_wrong_field_of_create_completion_queue_has_its_status() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    let memory = rig.buffer(64 * 16);
    let good = create_cq(1, 64, memory.iova(), Some(4));
    let mistakes: [Mistake; 9] = [
        (|sqe| sqe.cdw10 &= !0xFFFF, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw10 += 4, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw10 |= 0xFFFF, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw10 &= 0xFFFF, Status::INVALID_QUEUE_SIZE),
        (|sqe| sqe.cdw10 += 1 << 16, Status::INVALID_QUEUE_SIZE),
        (|sqe| sqe.cdw11 &= !1, Status::INVALID_FIELD),
        (|sqe| sqe.cdw11 += 1 << 16, Status::INVALID_INTERRUPT_VECTOR),
        (|sqe| sqe.prp1 += 8, Status::PRP_OFFSET_INVALID),
        (|sqe| sqe.prp1 = !0xFFF, Status::SUCCESS),
    ];
    for (i, (make_wrong, status)) in mistakes.into_iter().enumerate() {
        let mut sqe = good;
        make_wrong(&mut sqe);
        // The last one shows that a queue anywhere is taken: the host may map the memory later.
        assert_eq!(admin.status(sqe), status, "mistake {i}");
    }
    admin.ok(delete_cq(1));
    admin.ok(good);
    assert_eq!(admin.status(good), Status::INVALID_QUEUE_ID, "it exists");
}

#[test]
fn each_wrong_field_of_create_submission_queue_has_its_status() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    let memory = rig.buffer(64 * 64);
    admin.ok(create_cq(2, 64, rig.buffer(64 * 16).iova(), None));
    let good = create_sq(1, 64, memory.iova(), 2);
    let mistakes: [Mistake; 10] = [
        (|sqe| sqe.cdw10 &= !0xFFFF, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw10 += 4, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw10 &= 0xFFFF, Status::INVALID_QUEUE_SIZE),
        (|sqe| sqe.cdw10 += 1 << 16, Status::INVALID_QUEUE_SIZE),
        (|sqe| sqe.cdw11 &= !1, Status::INVALID_FIELD),
        (|sqe| sqe.prp1 += 0x800, Status::PRP_OFFSET_INVALID),
        // The completion queue: the admin queue's, one that isn't there, one that can't be.
        (|sqe| sqe.cdw11 &= 0xFFFF, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw11 += 1 << 16, Status::COMPLETION_QUEUE_INVALID),
        (|sqe| sqe.cdw11 += 3 << 16, Status::INVALID_QUEUE_ID),
        (|sqe| sqe.cdw11 |= 0xFFFF << 16, Status::INVALID_QUEUE_ID),
    ];
    for (i, (make_wrong, status)) in mistakes.into_iter().enumerate() {
        let mut sqe = good;
        make_wrong(&mut sqe);
        assert_eq!(admin.status(sqe), status, "mistake {i}");
    }
    admin.ok(good);
    assert_eq!(admin.status(good), Status::INVALID_QUEUE_ID, "it exists");
}

#[test]
fn queues_are_created_with_the_entry_sizes_that_the_host_set() {
    let rig = rig();
    for cc in [
        raw::cc().with_iosqes(0).with_iocqes(0),
        raw::cc().with_iosqes(7).with_iocqes(5),
    ] {
        raw::write_cc(&rig, cc.with_en(false));
        let mut admin = raw::enable(&rig, cc, 32, 32);
        let memory = rig.buffer(4096).iova();
        assert_eq!(
            admin.status(create_cq(1, 64, memory, None)),
            Status::INVALID_QUEUE_SIZE
        );
    }
}

#[test]
fn queues_are_deleted_in_order_and_only_if_they_exist() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    for id in [0, 1, 4, 5, 0xFFFF] {
        assert_eq!(
            admin.status(delete_sq(id)),
            Status::INVALID_QUEUE_ID,
            "SQ {id}"
        );
        assert_eq!(
            admin.status(delete_cq(id)),
            Status::INVALID_QUEUE_ID,
            "CQ {id}"
        );
    }
    Queue::create(&mut admin, 1, 16, 16);
    assert_eq!(
        admin.status(delete_cq(1)),
        Status::INVALID_QUEUE_DELETION,
        "it is in use"
    );
    admin.ok(delete_sq(1));
    admin.ok(delete_cq(1));
    assert_eq!(admin.status(delete_sq(1)), Status::INVALID_QUEUE_ID);
}

#[test]
fn admin_commands_with_an_sgl_are_refused() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    let sgl = SglDescriptor::new(SglType::DataBlock, rig.buffer(1024).iova(), 1024);
    let sqe = create_cq(1, 64, 0, None).with_sgl(sgl);
    assert_eq!(admin.status(sqe), Status::INVALID_FIELD);
}

#[test]
fn all_queue_pairs_work_at_once_and_in_turn() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let mut driver = rig.driver();
    let mut pairs: Vec<_> = (0..64)
        .map(|_| {
            driver.create_queue_pair(QueueOptions {
                entries: 8,
                interrupt: None,
            })
        })
        .collect::<Result<_, _>>()
        .expect("64 pairs");
    assert!(
        driver.create_queue_pair(QueueOptions::default()).is_err(),
        "no more than 64"
    );
    let buffers: Vec<_> = (0..64u64)
        .map(|i| {
            let buffer = rig.buffer(4096);
            buffer.write(0, &pattern(i, 4096)).expect("inside");
            buffer
        })
        .collect();
    for round in 0..3 {
        for (i, pair) in pairs.iter_mut().enumerate() {
            let sqe = if round == 1 { read } else { write }(BLOCKS_512, i as u64 * 8, 8);
            pair.submit(sqe, Data::Prp(&[buffers[i].segment()]))
                .expect("room");
        }
        for (i, pair) in pairs.iter_mut().enumerate() {
            let cqe = loop {
                if let Some(cqe) = pair.poll().expect("sound") {
                    break cqe;
                }
            };
            assert!(cqe.status().is_success());
            assert_eq!(usize::from(cqe.sqid), i + 1);
            let mut bytes = vec![0; 4096];
            buffers[i].read(0, &mut bytes).expect("inside");
            assert_eq!(bytes, pattern(i as u64, 4096));
        }
    }
    for pair in pairs {
        driver.delete_queue_pair(pair).expect("deleted");
    }
}

#[test]
fn a_slow_host_with_a_tiny_completion_queue_loses_no_command() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 3);
    let buffer = rig.buffer(512);
    let mut sent: Vec<u16> = (0..63)
        .map(|_| io.push(read(BLOCKS_512, 0, 1).with_prp(buffer.iova(), 0)))
        .collect();
    io.ring();
    sent.reverse();
    while let Some(expected) = sent.pop() {
        rig.settle();
        let taken = rig.lock().controller.in_flight();
        assert_eq!(taken, 0, "nothing is taken that can't be completed");
        let cqe = io.take().expect("two are posted, if there are two");
        assert_eq!(cqe.cid, expected);
    }
    rig.settle();
    assert!(io.take().is_none());
}

#[test]
fn queues_go_round_and_round_with_the_phase() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 5, 7);
    let buffer = rig.buffer(512).iova();
    for i in 0..100u64 {
        let sqe = read(BLOCKS_512, 0, 1).with_prp(buffer, 0);
        let cqe = io.run(sqe);
        assert!(cqe.status().is_success());
        assert_eq!(u64::from(cqe.sqhd), (i + 1) % 5);
    }
}

#[test]
fn several_submission_queues_complete_to_one_completion_queue() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    let mut first = Queue::create(&mut admin, 1, 16, 64);
    let mut second = Queue::new(&rig, 2, 16, 2);
    admin.ok(create_sq(2, 16, second.sq.iova(), 1));
    let sqe = read(BLOCKS_512, 0, 1).with_prp(rig.buffer(512).iova(), 0);
    for queue in [&mut first, &mut second] {
        (0..10).for_each(|_| _ = queue.push(sqe));
        queue.ring();
    }
    let mut from = first
        .drain()
        .into_iter()
        .map(|cqe| cqe.sqid)
        .collect::<Vec<_>>();
    from.sort_unstable();
    assert_eq!(from, [[1; 10], [2; 10]].concat());
    admin.ok(delete_sq(1));
    assert_eq!(
        admin.status(delete_cq(1)),
        Status::INVALID_QUEUE_DELETION,
        "queue 2 uses it"
    );
    admin.ok(delete_sq(2));
    admin.ok(delete_cq(1));
}

#[test]
fn deleting_a_submission_queue_aborts_what_is_outstanding() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    let buffer = rig.buffer(512).iova();
    for _ in 0..5 {
        io.push(read(BLOCKS_512, 0, 1).with_prp(buffer, 0));
    }
    io.ring();
    rig.lock().poll();
    admin.ok(delete_sq(1));
    let completions = io.drain();
    assert_eq!(completions.len(), 5);
    for cqe in completions {
        assert_eq!(cqe.status().code(), Status::ABORTED_SQ_DELETION);
    }
    admin.ok(delete_cq(1));
    assert_eq!(rig.lock().controller.in_flight(), 0);
    // The same identifiers, with memory of their own.
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    io.ok(read(BLOCKS_512, 0, 1).with_prp(buffer, 0));
}

#[test]
fn queues_can_be_as_deep_as_65536_entries() {
    let rig = Rig::new(Setup {
        queues: 1,
        entries: 65_536,
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 65_536, 65_536);
    let sqe = Sqe::new(nvme_spec::NvmOpcode::Flush, BLOCKS_512);
    for _ in 0..2 {
        // Enough to go round once.
        (0..40_000).for_each(|_| _ = io.push(sqe));
        io.ring();
        assert_eq!(io.drain().len(), 40_000);
    }
}
