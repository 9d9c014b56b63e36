//! Namespaces that a host has protected against writes.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_4K, BLOCKS_512, INACTIVE, MEMORY, PROGRAM, Rig, Setup};
use ersatz_host::command::{get_features, identify, read, set_features, write};
use nvme_spec::feature::{FeatureCapabilities, Select};
use nvme_spec::identify::{IdentifyController, IdentifyNamespace, IdentifyNamespaceIndependent};
use nvme_spec::{AdminOpcode, Cns, Csi, Fid, NSID_ALL, NvmOpcode, Sqe, Status};
use std::sync::Arc;
use zerocopy::FromBytes;

const FID: Fid = Fid::NamespaceWriteProtection;

fn start(setup: Setup) -> (Arc<Rig>, Queue, Queue) {
    let rig = Rig::new(setup);
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 64, 64);
    (rig, admin, io)
}

fn ask<T: FromBytes>(rig: &Rig, admin: &mut Queue, cns: Cns, nsid: u32) -> T {
    let page = rig.buffer(4096);
    admin.ok(identify(cns, nsid, Csi::Nvm).with_prp(page.iova(), 0));
    let mut bytes = [0; 4096];
    page.read(0, &mut bytes).expect("inside");
    T::read_from_bytes(&bytes).unwrap_or_else(|_| unreachable!("4096 bytes"))
}

#[test]
fn a_protected_namespace_is_read_but_not_changed_and_the_others_are() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let id: IdentifyController = ask(&rig, &mut admin, Cns::Controller, 0);
    assert_eq!(id.nwpc, 0b11);
    let page = rig.buffer(4096).iova();
    let of = |opcode: NvmOpcode, nsid| {
        let mut sqe = write(nsid, 0, 1).with_prp(page, 0);
        sqe.opcode = opcode.0;
        sqe
    };
    admin.ok(set_features(FID, BLOCKS_512, 1));
    assert_eq!(admin.ok(get_features(FID, Select::Current, BLOCKS_512)), 1);
    assert_eq!(admin.ok(get_features(FID, Select::Current, BLOCKS_4K)), 0);
    for opcode in [
        NvmOpcode::Write,
        NvmOpcode::WriteZeroes,
        NvmOpcode::WriteUncorrectable,
        NvmOpcode::DatasetManagement,
        NvmOpcode::Copy,
    ] {
        let status = io.status(of(opcode, BLOCKS_512));
        assert_eq!(status, Status::NAMESPACE_WRITE_PROTECTED, "{opcode:?}");
    }
    for opcode in [NvmOpcode::Read, NvmOpcode::Compare, NvmOpcode::Verify] {
        io.ok(of(opcode, BLOCKS_512));
    }
    io.ok(Sqe::new(NvmOpcode::Flush, BLOCKS_512));
    io.ok(of(NvmOpcode::Write, BLOCKS_4K));
    for nsid in [BLOCKS_512, NSID_ALL] {
        let format = Sqe::new(AdminOpcode::FormatNvm, nsid);
        assert_eq!(admin.status(format), Status::NAMESPACE_WRITE_PROTECTED);
    }
    for (nsid, protected) in [(BLOCKS_512, 1), (BLOCKS_4K, 0)] {
        let id: IdentifyNamespace = ask(&rig, &mut admin, Cns::Namespace, nsid);
        assert_eq!(id.nsattr, protected);
        let cns = Cns::IndependentNamespace;
        let id: IdentifyNamespaceIndependent = ask(&rig, &mut admin, cns, nsid);
        assert_eq!(id.nsattr, protected);
    }
    // A reset of the controller is no power cycle.
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    let status = io.status(of(NvmOpcode::Write, BLOCKS_512));
    assert_eq!(status, Status::NAMESPACE_WRITE_PROTECTED);
    admin.ok(set_features(FID, BLOCKS_512, 0));
    io.ok(of(NvmOpcode::Write, BLOCKS_512));
}

#[test]
fn protection_until_the_power_cycle_can_not_be_taken_back() {
    let (rig, mut admin, mut io) = start(Setup::default());
    admin.ok(set_features(FID, BLOCKS_512, 2));
    for state in 0..3 {
        let status = admin.status(set_features(FID, BLOCKS_512, state));
        assert_eq!(status, Status::FEATURE_NOT_CHANGEABLE);
    }
    let page = rig.buffer(512).iova();
    io.ok(read(BLOCKS_512, 0, 1).with_prp(page, 0));
    let status = io.status(write(BLOCKS_512, 0, 1).with_prp(page, 0));
    assert_eq!(status, Status::NAMESPACE_WRITE_PROTECTED);
}

#[test]
fn what_can_not_be_protected_is_refused() {
    let (_rig, mut admin, _io) = start(Setup::default());
    let supported = admin.ok(get_features(FID, Select::Supported, BLOCKS_512));
    let supported = FeatureCapabilities::from_bits(supported as u32);
    assert!(supported.namespace_specific() && supported.changeable() && !supported.saveable());
    for (nsid, state, status) in [
        (BLOCKS_512, 3, Status::INVALID_FIELD),
        (BLOCKS_512, 7, Status::INVALID_FIELD),
        (MEMORY, 1, Status::INVALID_FIELD),
        (INACTIVE, 1, Status::INVALID_FIELD),
        (0, 1, Status::INVALID_NAMESPACE_OR_FORMAT),
        (NSID_ALL, 1, Status::INVALID_NAMESPACE_OR_FORMAT),
        (99, 1, Status::INVALID_NAMESPACE_OR_FORMAT),
    ] {
        assert_eq!(
            admin.status(set_features(FID, nsid, state)),
            status,
            "{nsid}"
        );
    }
    let mut save = set_features(FID, BLOCKS_512, 1);
    save.cdw10 |= 1 << 31;
    assert_eq!(admin.status(save), Status::FEATURE_NOT_SAVEABLE);
    for select in [Select::Default, Select::Saved] {
        assert_eq!(admin.ok(get_features(FID, select, BLOCKS_512)), 0);
    }
    let reserved = get_features(FID, Select(5), BLOCKS_512);
    assert_eq!(admin.status(reserved), Status::INVALID_FIELD);
}

#[test]
fn what_was_written_before_is_durable_when_the_namespace_is_protected() {
    let (rig, mut admin, mut io) = start(Setup {
        volatile: true,
        ..Setup::default()
    });
    let page = rig.buffer(4096).iova();
    io.ok(write(BLOCKS_4K, 0, 1).with_prp(page, 0));
    let begin = rig.lock().now;
    admin.ok(set_features(FID, BLOCKS_4K, 1));
    assert!(rig.lock().now - begin >= PROGRAM);
}
