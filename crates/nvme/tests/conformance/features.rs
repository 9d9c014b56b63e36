//! Get Features and Set Features.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_4K, BLOCKS_512, INACTIVE, PROGRAM, Rig, Setup};
use ersatz_host::command::{get_features, identify, set_features, write};
use ersatz_host::driver::DmaBuffer;
use nvme_spec::feature::{FeatureCapabilities, Select};
use nvme_spec::{Cns, Csi, Fid, NSID_ALL, NvmOpcode, Sqe, Status};
use std::sync::Arc;

fn start() -> (Arc<Rig>, Queue) {
    let rig = Rig::new(Setup {
        queues: 8,
        ..Setup::default()
    });
    let admin = raw::start(&rig);
    (rig, admin)
}

const SAVE: u32 = 1 << 31;

fn save(fid: Fid, value: u32) -> Sqe {
    let sqe = set_features(fid, 0, value);
    Sqe {
        cdw10: sqe.cdw10 | SAVE,
        ..sqe
    }
}

#[test]
fn a_value_is_current_until_the_reset_and_a_saved_one_for_longer() {
    let (rig, mut admin) = start();
    let fid = Fid::AsyncEventConfiguration;
    let get = |admin: &mut Queue, sel| admin.ok(get_features(fid, sel, 0)) as u32;
    let supported = FeatureCapabilities::from_bits(get(&mut admin, Select::Supported));
    assert!(supported.saveable() && supported.changeable() && !supported.namespace_specific());
    admin.ok(save(fid, 0x100));
    admin.ok(set_features(fid, 0, 0x300));
    assert_eq!(get(&mut admin, Select::Current), 0x300);
    assert_eq!(get(&mut admin, Select::Saved), 0x100);
    assert_eq!(get(&mut admin, Select::Default), 0);
    let mut admin = raw::start(&rig);
    assert_eq!(get(&mut admin, Select::Current), 0x100);
    for sel in 4..8 {
        assert_eq!(
            admin.status(get_features(fid, Select(sel), 0)),
            Status::INVALID_FIELD
        );
    }
}

#[test]
fn every_mandatory_feature_is_there_and_what_is_not_is_refused() {
    let (rig, mut admin) = start();
    let buffer = rig.buffer(4096).iova();
    for fid in [1, 2, 4, 5, 7, 8, 9, 0xA, 0xB, 0xE, 0x16, 0x19, 0x81] {
        let fid = Fid(fid);
        // The one feature here that is a namespace's own.
        let nsid = if fid == Fid::ErrorRecovery {
            BLOCKS_512
        } else {
            0
        };
        admin.ok(get_features(fid, Select::Current, nsid).with_prp(buffer, 0));
        admin.ok(get_features(fid, Select::Supported, nsid));
    }
    for fid in [
        Fid(0),
        Fid::VolatileWriteCache,
        Fid::HostMemoryBuffer,
        Fid(0x77),
        Fid(0xC0),
    ] {
        assert_eq!(
            admin.status(get_features(fid, Select::Current, 0)),
            Status::INVALID_FIELD
        );
        assert_eq!(admin.status(set_features(fid, 0, 0)), Status::INVALID_FIELD);
    }
}

#[test]
fn the_number_of_queues_is_what_there_is_and_fixed_while_there_are_any() {
    let (rig, mut admin) = start();
    let fid = Fid::NumberOfQueues;
    assert_eq!(admin.ok(set_features(fid, 0, 0x00FF_00FF)), 0x0007_0007);
    assert_eq!(admin.ok(get_features(fid, Select::Current, 0)), 0x0007_0007);
    assert_eq!(
        admin.status(set_features(fid, 0, 0x0000_FFFF)),
        Status::INVALID_FIELD
    );
    assert_eq!(
        admin.status(set_features(fid, 0, 0xFFFF_0000)),
        Status::INVALID_FIELD
    );
    assert_eq!(admin.status(save(fid, 0)), Status::FEATURE_NOT_SAVEABLE);
    Queue::create(&mut admin, 1, 8, 8);
    assert_eq!(
        admin.status(set_features(fid, 0, 0)),
        Status::COMMAND_SEQUENCE_ERROR
    );
    let mut admin = raw::start(&rig);
    admin.ok(set_features(fid, 0, 0));
}

fn timestamp(rig: &Rig, admin: &mut Queue) -> (u64, u64) {
    let buffer = rig.buffer(8);
    admin.ok(get_features(Fid::Timestamp, Select::Current, 0).with_prp(buffer.iova(), 0));
    let value: u64 = buffer.load(0).expect("inside");
    (value & ((1 << 48) - 1), value >> 49 & 7)
}

#[test]
fn the_timestamp_goes_on_from_what_the_host_set_and_says_so() {
    let (rig, mut admin) = start();
    rig.lock().now = ersatz_engine::Ns::from_ms(77);
    assert_eq!(timestamp(&rig, &mut admin), (77, 0));
    let buffer = rig.buffer(8);
    buffer
        .store(0, 1_000_000u64 | 0xFFFF << 48)
        .expect("inside");
    admin.ok(set_features(Fid::Timestamp, 0, 0).with_prp(buffer.iova(), 0));
    rig.lock().now = ersatz_engine::Ns::from_ms(177);
    assert_eq!(timestamp(&rig, &mut admin), (1_000_100, 1));
}

#[test]
fn features_with_data_keep_all_of_it() {
    let (rig, mut admin) = start();
    let check = |admin: &mut Queue, fid, cdw11: u32, len: u64| {
        let (ours, theirs) = (rig.buffer(len), rig.buffer(len));
        ours.fill(0, len, 0xA5).expect("inside");
        if fid == Fid::HostBehaviorSupport {
            // Copy formats that do not exist can't be enabled.
            ours.write(4, &[0b1100, 0]).expect("inside");
        }
        admin.ok(set_features(fid, 0, cdw11).with_prp(ours.iova(), 0));
        let get = get_features(fid, Select::Current, 0).with_prp(theirs.iova(), 0);
        admin.ok(Sqe { cdw11, ..get });
        let bytes = |buffer: &DmaBuffer| {
            let mut bytes = vec![0; len as usize];
            buffer.read(0, &mut bytes).expect("inside");
            bytes
        };
        assert_eq!(bytes(&ours), bytes(&theirs), "{fid:?}");
    };
    check(&mut admin, Fid::HostBehaviorSupport, 0, 512);
    check(&mut admin, Fid::HostIdentifier, 0, 8);
    check(&mut admin, Fid::HostIdentifier, 1, 16);
    let nowhere = set_features(Fid::Timestamp, 0, 0).with_prp(0x10_0000, 0);
    assert_eq!(admin.status(nowhere), Status::DATA_TRANSFER_ERROR);
}

#[test]
fn features_of_the_controller_are_not_a_namespace_s() {
    let (_rig, mut admin) = start();
    let fid = Fid::Arbitration;
    let get = |nsid| get_features(fid, Select::Current, nsid);
    assert_eq!(admin.status(get(0)), Status::SUCCESS);
    assert_eq!(admin.status(get(NSID_ALL)), Status::SUCCESS);
    let set = set_features(fid, BLOCKS_512, 3);
    assert_eq!(admin.status(set), Status::FEATURE_NOT_NAMESPACE_SPECIFIC);
    assert_eq!(
        admin.status(set_features(fid, 5000, 3)),
        Status::INVALID_NAMESPACE_OR_FORMAT
    );
    let recovery = |nsid| set_features(Fid::ErrorRecovery, nsid, 1);
    assert_eq!(admin.status(recovery(BLOCKS_512)), Status::SUCCESS);
    assert_eq!(admin.status(recovery(INACTIVE)), Status::INVALID_FIELD);
    assert_eq!(
        admin.status(recovery(5000)),
        Status::INVALID_NAMESPACE_OR_FORMAT
    );
}

#[test]
fn values_that_the_drive_can_t_take_are_refused() {
    let (_rig, mut admin) = start();
    let mut set = |fid, value| admin.status(set_features(fid, 0, value));
    assert_eq!(set(Fid::PowerManagement, 1), Status::INVALID_FIELD);
    assert_eq!(set(Fid::PowerManagement, 0), Status::SUCCESS);
    assert_eq!(set(Fid::IocsProfile, 1), Status::IOCS_COMBINATION_REJECTED);
    assert_eq!(set(Fid::IocsProfile, 0), Status::SUCCESS);
    assert_eq!(
        set(Fid::InterruptVectorConfiguration, 9),
        Status::INVALID_FIELD
    );
    assert_eq!(
        set(Fid::InterruptVectorConfiguration, 8 | 1 << 16),
        Status::SUCCESS
    );
    assert_eq!(
        set(Fid::TemperatureThreshold, 3 << 20 | 300),
        Status::INVALID_FIELD
    );
    assert_eq!(
        set(Fid::TemperatureThreshold, 1 << 20 | 300),
        Status::SUCCESS
    );
}

#[test]
fn a_small_arbitration_burst_gives_each_queue_its_turn() {
    let (rig, mut admin) = start();
    // Bursts of 2^1 commands.
    admin.ok(set_features(Fid::Arbitration, 0, 1));
    let mut first = Queue::create(&mut admin, 1, 16, 16);
    let mut second = Queue::create(&mut admin, 2, 16, 16);
    let flush = Sqe::new(NvmOpcode::Flush, BLOCKS_512);
    for queue in [&mut first, &mut second] {
        (0..5).for_each(|_| _ = queue.push(flush));
        queue.ring();
    }
    for expected in [2, 2, 1] {
        rig.lock().poll();
        for queue in [&mut first, &mut second] {
            let posted = std::iter::from_fn(|| queue.take()).count();
            assert_eq!(posted, expected);
        }
    }
}

/// What `sqe` takes.
fn time_of(rig: &Rig, io: &mut Queue, sqe: Sqe) -> u64 {
    let before = rig.lock().now;
    io.ok(sqe);
    (rig.lock().now - before).0
}

/// The byte of Identify Controller that tells of a volatile write cache. A broadcast Flush is not
/// supported (bits 2:1).
fn vwc(rig: &Rig, admin: &mut Queue) -> u8 {
    let (page, mut vwc) = (rig.buffer(4096), [0]);
    admin.ok(identify(Cns::Controller, 0, Csi::Nvm).with_prp(page.iova(), 0));
    page.read(525, &mut vwc).expect("inside");
    vwc[0]
}

#[test]
fn a_drive_without_a_volatile_write_cache_does_not_show_one() {
    let (rig, mut admin) = start();
    assert_eq!(vwc(&rig, &mut admin), 4);
}

#[test]
fn a_volatile_write_cache_can_be_disabled_and_then_writes_last() {
    let rig = Rig::new(Setup {
        volatile: true,
        ..Setup::default()
    });
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    let fid = Fid::VolatileWriteCache;
    let prp = rig.buffer(4096).iova();
    let flush = || Sqe::new(NvmOpcode::Flush, BLOCKS_4K);
    let write = |lba| write(BLOCKS_4K, lba, 1).with_prp(prp, 0);
    assert_eq!(vwc(&rig, &mut admin), 5, "present");
    assert_eq!(admin.ok(get_features(fid, Select::Current, 0)), 1);
    assert!(time_of(&rig, &mut io, write(0)) < PROGRAM.0);
    // What the cache holds is programmed before it is said to be disabled.
    assert!(time_of(&rig, &mut admin, set_features(fid, 0, 0)) > PROGRAM.0 / 2);
    assert_eq!(time_of(&rig, &mut io, flush()), 0);
    assert_eq!(admin.ok(get_features(fid, Select::Current, 0)), 0);
    assert!(time_of(&rig, &mut io, write(1)) > PROGRAM.0);
    assert_eq!(time_of(&rig, &mut io, flush()), 0);
    admin.ok(set_features(fid, 0, 1));
    assert!(time_of(&rig, &mut io, write(2)) < PROGRAM.0);
    assert!(time_of(&rig, &mut io, flush()) > 0);
}
