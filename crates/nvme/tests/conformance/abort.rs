//! Abort.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_512, FIXED, Rig, Setup};
use ersatz_engine::Ns;
use ersatz_host::command::read;
use ersatz_nvme::FirmwareConfig;
use nvme_spec::admin::AbortCdw10;
use nvme_spec::{AdminOpcode, Sqe, Status};

fn abort(sqid: u16, cid: u16) -> Sqe {
    Sqe {
        cdw10: AbortCdw10::new().with_sqid(sqid).with_cid(cid).into_bits(),
        ..Sqe::new(AdminOpcode::Abort, 0)
    }
}

const ABORTED: u64 = 0;
const NOT_ABORTED: u64 = 1;

#[test]
fn a_command_that_waits_for_the_media_is_aborted_and_the_others_are_not() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    let buffer = rig.buffer(512).iova();
    let cids: Vec<_> = (0..3)
        .map(|_| io.push(read(BLOCKS_512, 0, 1).with_prp(buffer, 0)))
        .collect();
    io.ring();
    rig.lock().poll();
    assert_eq!(admin.ok(abort(1, cids[1])), ABORTED);
    let ends: Vec<_> = io
        .drain()
        .iter()
        .map(|cqe| (cqe.cid, cqe.status().code()))
        .collect();
    let expected = [
        (cids[1], Status::ABORT_REQUESTED),
        (cids[0], Status::SUCCESS),
        (cids[2], Status::SUCCESS),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn a_command_that_waits_for_a_processor_is_aborted_and_never_reaches_the_media() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        firmware: Some(FirmwareConfig {
            cores: 1,
            per_command: Ns(1_000),
        }),
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    let buffer = rig.buffer(512).iova();
    let cid = io.send(read(BLOCKS_512, 0, 1).with_prp(buffer, 0));
    rig.lock().poll();
    assert_eq!(admin.ok(abort(1, cid)), ABORTED);
    let ends = io.drain();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].status().code(), Status::ABORT_REQUESTED);
    assert_eq!(rig.lock().subsystem.counters.reads, 0);
}

#[test]
fn a_command_that_is_not_there_is_not_aborted() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    let cid = io.send(read(BLOCKS_512, 0, 1).with_prp(rig.buffer(512).iova(), 0));
    rig.lock().poll();
    for (sqid, cid) in [(1, cid + 1), (2, cid), (0, cid), (0xFFFF, cid)] {
        assert_eq!(admin.ok(abort(sqid, cid)), NOT_ABORTED, "{sqid} {cid}");
    }
    assert!(io.drain()[0].status().is_success());
    assert_eq!(admin.ok(abort(1, cid)), NOT_ABORTED, "it is done");
}

#[test]
fn an_asynchronous_event_request_can_be_aborted() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let request = admin.send(Sqe::new(AdminOpcode::AsyncEventRequest, 0));
    rig.settle();
    let abort = admin.send(abort(0, request));
    let ends: Vec<_> = admin
        .drain()
        .iter()
        .map(|cqe| (cqe.cid, cqe.status().code()))
        .collect();
    assert_eq!(
        ends,
        [(request, Status::ABORT_REQUESTED), (abort, Status::SUCCESS)]
    );
}

#[test]
fn more_aborts_at_once_than_the_limit_are_all_answered() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 32, 32);
    let buffer = rig.buffer(512).iova();
    let cids: Vec<_> = (0..20)
        .map(|_| io.push(read(BLOCKS_512, 0, 1).with_prp(buffer, 0)))
        .collect();
    io.ring();
    rig.lock().poll();
    // Each is executed as it is taken, so that the limit (ACL) is never reached.
    for &cid in &cids {
        admin.push(abort(1, cid));
    }
    admin.ring();
    rig.lock().poll();
    let answers = admin.drain();
    assert_eq!(answers.len(), 20);
    assert!(
        answers
            .iter()
            .all(|cqe| cqe.status().is_success() && cqe.dw0 == 0)
    );
    assert!(
        io.drain()
            .iter()
            .all(|cqe| cqe.status().code() == Status::ABORT_REQUESTED)
    );
}
