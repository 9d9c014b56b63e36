//! Fused Compare and Write: two commands that are done as one, or not at all.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_4K, BLOCKS_512, FIXED, MEMORY, Rig, Setup};
use ersatz_engine::Ns;
use ersatz_host::command::{delete_sq, identify, read, write};
use ersatz_host::driver::DmaBuffer;
use ersatz_nvme::{FirmwareConfig, LinkConfig};
use nvme_spec::identify::IdentifyController;
use nvme_spec::queue::Fuse;
use nvme_spec::{AdminOpcode, Cns, Csi, NvmOpcode, Sqe, Status};
use std::sync::Arc;
use zerocopy::FromBytes;

fn start(setup: Setup) -> (Arc<Rig>, Queue, Queue) {
    let rig = Rig::new(setup);
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 64, 64);
    (rig, admin, io)
}

fn filled(rig: &Rig, value: u8) -> DmaBuffer {
    let buffer = rig.buffer(4096);
    buffer.fill(0, 4096, value).expect("inside");
    buffer
}

fn fused(mut sqe: Sqe, fuse: Fuse, data: &DmaBuffer) -> Sqe {
    sqe.flags.set_fuse(fuse);
    sqe.with_prp(data.iova(), 0)
}

fn compare(slba: u64, data: &DmaBuffer) -> Sqe {
    let mut sqe = read(BLOCKS_512, slba, 1);
    sqe.opcode = NvmOpcode::Compare.0;
    fused(sqe, Fuse::First, data)
}

fn swap(slba: u64, data: &DmaBuffer) -> Sqe {
    fused(write(BLOCKS_512, slba, 1), Fuse::Second, data)
}

/// The first byte of a block.
fn value(rig: &Rig, io: &mut Queue, slba: u64) -> u8 {
    let data = rig.buffer(512);
    io.ok(read(BLOCKS_512, slba, 1).with_prp(data.iova(), 0));
    let mut byte = [0];
    data.read(0, &mut byte).expect("inside");
    byte[0]
}

/// How each command ended, in the order of the completions.
fn statuses(io: &mut Queue) -> Vec<(u16, Status)> {
    let done = io.drain().into_iter();
    done.map(|cqe| (cqe.cid, cqe.status().code())).collect()
}

#[test]
fn what_is_equal_is_replaced_and_what_is_not_is_kept() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let page = rig.buffer(4096);
    admin.ok(identify(Cns::Controller, 0, Csi::Nvm).with_prp(page.iova(), 0));
    let mut bytes = [0; 4096];
    page.read(0, &mut bytes).expect("inside");
    let id = IdentifyController::read_from_bytes(&bytes).expect("as long");
    assert!(id.fuses.fcws());
    assert_eq!(id.acwu_z, 255, "1 MiB in blocks of the larger size");
    let (zeros, ones) = (filled(&rig, 0), filled(&rig, 1));
    let first = io.push(compare(5, &zeros));
    let second = io.push(swap(5, &ones));
    io.ring();
    assert_eq!(
        statuses(&mut io),
        [(first, Status::SUCCESS), (second, Status::SUCCESS)]
    );
    assert_eq!(value(&rig, &mut io, 5), 1);
    let first = io.push(compare(5, &zeros));
    let second = io.push(swap(5, &zeros));
    io.ring();
    assert_eq!(
        statuses(&mut io),
        [
            (first, Status::COMPARE_FAILURE),
            (second, Status::ABORTED_FAILED_FUSED)
        ]
    );
    assert_eq!(value(&rig, &mut io, 5), 1);
}

#[test]
fn a_half_without_the_other_beside_it_is_aborted() {
    let (rig, _admin, mut io) = start(Setup::default());
    let zeros = filled(&rig, 0);
    let (first, second) = (compare(5, &zeros), swap(5, &zeros));
    let normal = read(BLOCKS_512, 5, 1).with_prp(zeros.iova(), 0);
    let (missing, good) = (Status::ABORTED_MISSING_FUSED, Status::SUCCESS);
    for (sqes, expected) in [
        (&[first][..], &[missing][..]),
        (&[second], &[missing]),
        (&[second, first], &[missing, missing]),
        (&[first, normal, second], &[missing, good, missing]),
        (&[first, first, second], &[missing, good, good]),
        (&[first, second, second], &[good, good, missing]),
    ] {
        for sqe in sqes {
            io.push(*sqe);
        }
        io.ring();
        let mut done = statuses(&mut io);
        done.sort_by_key(|&(cid, _)| cid);
        let found: Vec<_> = done.iter().map(|&(_, status)| status).collect();
        assert_eq!(found, expected);
    }
    // They were told one after the other: two doorbells.
    assert_eq!(io.status(first), missing);
    assert_eq!(io.status(second), missing);
    let reserved = fused(normal, Fuse(3), &zeros);
    assert_eq!(io.status(reserved), Status::INVALID_FIELD);
}

#[test]
fn commands_that_are_no_such_operation_fail_both() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let zeros = filled(&rig, 0);
    let first = |sqe| fused(sqe, Fuse::First, &zeros);
    let second = |sqe| fused(sqe, Fuse::Second, &zeros);
    let other = |sqe: Sqe, nsid| Sqe { nsid, ..sqe };
    let (compare, swap) = (compare(5, &zeros), swap(5, &zeros));
    let failed = Status::ABORTED_FAILED_FUSED;
    for (a, b, status) in [
        (first(read(BLOCKS_512, 5, 1)), swap, Status::INVALID_FIELD),
        (
            compare,
            second(read(BLOCKS_512, 5, 1)),
            Status::INVALID_FIELD,
        ),
        (first(swap), second(compare), Status::INVALID_FIELD),
        (
            compare,
            second(write(BLOCKS_512, 6, 1)),
            Status::INVALID_FIELD,
        ),
        (
            compare,
            second(write(BLOCKS_512, 5, 2)),
            Status::INVALID_FIELD,
        ),
        (compare, other(swap, BLOCKS_4K), Status::INVALID_FIELD),
        (
            other(compare, MEMORY),
            other(swap, MEMORY),
            Status::INVALID_FIELD,
        ),
        (
            other(compare, 99),
            other(swap, 99),
            Status::INVALID_NAMESPACE_OR_FORMAT,
        ),
        (
            Sqe {
                cdw11: 1,
                ..compare
            },
            Sqe { cdw11: 1, ..swap },
            Status::LBA_OUT_OF_RANGE,
        ),
    ] {
        io.push(a);
        io.push(b);
        io.ring();
        let found: Vec<_> = statuses(&mut io).into_iter().map(|(_, s)| s).collect();
        assert_eq!(found, [status, failed], "{a:?} {b:?}");
    }
    // The second half's own errors are its own.
    io.push(compare);
    io.push(swap.with_prp(0x10_0000, 0));
    io.ring();
    let found: Vec<_> = statuses(&mut io).into_iter().map(|(_, s)| s).collect();
    assert_eq!(found, [Status::SUCCESS, Status::DATA_TRANSFER_ERROR]);
    let page = rig.buffer(4096);
    let sqe = identify(Cns::Controller, 0, Csi::Nvm);
    assert_eq!(
        admin.status(fused(sqe, Fuse::First, &page)),
        Status::INVALID_FIELD
    );
}

#[test]
fn a_pair_stays_one_wherever_it_lies_in_the_queue() {
    for (sq_entries, cq_entries) in [(64, 64), (19, 64), (33, 3), (33, 4), (5, 5), (17, 18)] {
        let rig = Rig::new(Setup::default());
        let mut admin = raw::start(&rig);
        let mut io = Queue::create(&mut admin, 1, sq_entries, cq_entries);
        let buffers: Vec<_> = (0..200).map(|i| filled(&rig, i)).collect();
        let mut current = 0;
        for round in 0..100 {
            let before = round % (sq_entries - 2);
            for _ in 0..before {
                io.push(read(BLOCKS_512, 9, 1).with_prp(rig.buffer(512).iova(), 0));
            }
            let first = io.push(compare(5, &buffers[current]));
            let second = io.push(swap(5, &buffers[current + 1]));
            current += 1;
            io.ring();
            let done = statuses(&mut io);
            assert_eq!(done.len(), before as usize + 2);
            assert!(
                done.iter().all(|(_, status)| status.is_success()),
                "{done:?}"
            );
            let at = |cid| done.iter().position(|&(id, _)| id == cid);
            assert!(at(first) < at(second));
        }
        assert_eq!(usize::from(value(&rig, &mut io, 5)), current);
    }
}

#[test]
fn a_completion_queue_without_room_for_both_is_never_waited_for() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 8, 2);
    let zeros = filled(&rig, 0);
    io.push(compare(5, &zeros));
    io.push(swap(5, &zeros));
    io.ring();
    let found: Vec<_> = statuses(&mut io).into_iter().map(|(_, s)| s).collect();
    assert_eq!(found, [Status::ABORTED_MISSING_FUSED; 2]);
}

const LINK: LinkConfig = LinkConfig {
    bandwidth: 1_000_000_000,
    latency: Ns(300),
};

#[test]
fn the_media_reads_then_writes() {
    let firmware = FirmwareConfig {
        cores: 2,
        per_command: Ns(1000),
    };
    for (link, firmware, before) in [
        (None, None, 0),
        (Some(LINK), None, 812),
        (None, Some(firmware), 1000),
        (Some(LINK), Some(firmware), 1812),
    ] {
        let (rig, _admin, mut io) = start(Setup {
            media: Some(FIXED),
            link,
            firmware,
            ..Setup::default()
        });
        let zeros = filled(&rig, 0);
        let begin = rig.lock().now;
        io.push(compare(5, &zeros));
        io.push(swap(5, &zeros));
        io.ring();
        let mut times = Vec::new();
        while times.len() < 2 {
            let now = {
                let mut state = rig.lock();
                state.step();
                state.now
            };
            while let Some(cqe) = io.take() {
                assert!(cqe.status().is_success());
                times.push((now - begin).0);
            }
        }
        let (read, program) = (FIXED.read.0, FIXED.program.0);
        assert_eq!(times, [before + read, before + read + program]);
    }
}

#[test]
fn of_two_hosts_that_swap_the_same_block_one_wins() {
    for link in [None, Some(LINK)] {
        let (rig, mut admin, mut one) = start(Setup {
            media: Some(FIXED),
            link,
            ..Setup::default()
        });
        let mut two = Queue::create(&mut admin, 2, 64, 64);
        let (old, mine, yours) = (filled(&rig, 0), filled(&rig, 1), filled(&rig, 2));
        for (io, new) in [(&mut one, &mine), (&mut two, &yours)] {
            io.push(compare(5, &old));
            io.push(swap(5, new));
            io.ring();
        }
        rig.settle();
        let won = [&mut one, &mut two].map(|io| {
            let done = statuses(io);
            done.iter().all(|(_, status)| status.is_success())
        });
        assert!(won[0] != won[1], "{won:?}");
        let expected = if won[0] { 1 } else { 2 };
        assert_eq!(value(&rig, &mut one, 5), expected);
    }
}

#[test]
fn a_pair_is_aborted_deleted_and_reset_as_one() {
    let setup = Setup {
        media: Some(FIXED),
        link: Some(LINK),
        ..Setup::default()
    };
    for which in [0, 1] {
        let (rig, mut admin, mut io) = start(setup);
        let zeros = filled(&rig, 0);
        let cids = [io.push(compare(5, &zeros)), io.push(swap(5, &zeros))];
        io.ring();
        rig.lock().poll();
        let mut abort = Sqe::new(AdminOpcode::Abort, 0);
        abort.cdw10 = u32::from(cids[which]) << 16 | 1;
        assert_eq!(admin.ok(abort) & 1, 0, "aborted at once");
        let aborted = Status::ABORT_REQUESTED;
        assert_eq!(statuses(&mut io), cids.map(|cid| (cid, aborted)));
    }
    let (rig, mut admin, mut io) = start(setup);
    let zeros = filled(&rig, 0);
    let pair = |io: &mut Queue| {
        io.push(compare(5, &zeros));
        io.push(swap(5, &zeros));
        io.ring();
        rig.lock().poll();
    };
    pair(&mut io);
    admin.ok(delete_sq(1));
    let found: Vec<_> = statuses(&mut io).into_iter().map(|(_, s)| s).collect();
    assert_eq!(found, [Status::ABORTED_SQ_DELETION; 2]);
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    pair(&mut io);
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    assert_eq!(value(&rig, &mut io, 5), 0);
    assert_eq!(rig.lock().controller.in_flight(), 0);
}
