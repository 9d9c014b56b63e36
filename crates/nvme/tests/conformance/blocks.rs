//! What only namespaces of blocks can: copies inside of the drive, and blocks that are made
//! unreadable.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_4K, BLOCKS_512, COMPUTE, FIXED, INACTIVE, MEMORY, Rig, Setup};
use crate::common::{blocks_of, pattern};
use ersatz_host::command::{get_features, get_log, identify, read, set_features, write};
use ersatz_host::driver::DmaBuffer;
use nvme_spec::feature::{HostBehaviorSupport, Select};
use nvme_spec::identify::{IdentifyController, IdentifyNamespace};
use nvme_spec::log::ErrorInformation;
use nvme_spec::nvm::{CopyCdw12, CopyFormat, CopyRange2};
use nvme_spec::slm::MemoryCopyCdw12;
use nvme_spec::vendor::DriveStatistics;
use nvme_spec::{Cns, Csi, Fid, Lid, NvmOpcode, Sqe, Status};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

fn start(setup: Setup) -> (Arc<Rig>, Queue, Queue) {
    let rig = Rig::new(setup);
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 64, 64);
    (rig, admin, io)
}

/// The data of an admin command.
fn ask<T: FromBytes>(rig: &Rig, admin: &mut Queue, sqe: Sqe) -> T {
    let page = rig.buffer(4096);
    admin.ok(sqe.with_prp(page.iova(), 0));
    let mut bytes = vec![0; size_of::<T>()];
    page.read(0, &mut bytes).expect("inside");
    match T::read_from_bytes(&bytes) {
        Ok(value) => value,
        Err(_) => unreachable!("as many bytes as it has"),
    }
}

fn statistics(rig: &Rig, admin: &mut Queue) -> DriveStatistics {
    ask(
        rig,
        admin,
        get_log(DriveStatistics::LID, 0, Csi::Nvm, 0, 0, 512),
    )
}

fn enable_copies(rig: &Rig, admin: &mut Queue, formats: u16) -> Status {
    let data = rig.buffer(512);
    let mut behavior = HostBehaviorSupport::default();
    behavior.cdfe = formats;
    data.write(0, behavior.as_bytes()).expect("inside");
    admin.status(set_features(Fid::HostBehaviorSupport, 0, 0).with_prp(data.iova(), 0))
}

fn mark(nsid: u32, slba: u64, blocks: u32) -> Sqe {
    let mut sqe = write(nsid, slba, blocks);
    sqe.opcode = NvmOpcode::WriteUncorrectable.0;
    sqe
}

fn copy(list: &DmaBuffer, nsid: u32, sdlba: u64, sources: &[CopyRange2]) -> Sqe {
    list.write(0, sources.as_bytes()).expect("inside");
    let mut sqe = Sqe::new(NvmOpcode::Copy, nsid).with_prp(list.iova(), 0);
    sqe.set_cdw10_11(sdlba);
    sqe.cdw12 = CopyCdw12::new()
        .with_nr_z(sources.len() as u8 - 1)
        .with_cdf(CopyFormat::NamespaceLba16)
        .into_bits();
    sqe
}

#[test]
fn what_a_copy_can_do_is_announced() {
    let (rig, mut admin, _) = start(Setup::default());
    let id: IdentifyController = ask(&rig, &mut admin, identify(Cns::Controller, 0, Csi::Nvm));
    assert!(id.oncs.nvmcpys() && id.oncs.nvmafc() && id.oncs.nvmwus());
    assert_eq!(id.cdfs, 0b101);
    for (nsid, mssrl, mcl) in [(BLOCKS_512, 8192, 32_768), (BLOCKS_4K, 1024, 4096)] {
        let id: IdentifyNamespace = ask(&rig, &mut admin, identify(Cns::Namespace, nsid, Csi::Nvm));
        assert_eq!((id.mssrl, id.mcl, id.msrc_z), (mssrl, mcl, 255));
    }
}

#[test]
fn a_copy_takes_a_read_and_a_write_of_the_media_and_nothing_of_the_link() {
    let (rig, mut admin, mut io) = start(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let data = rig.buffer(8192);
    data.write(0, &pattern(1, 8192)).expect("inside");
    io.ok(write(BLOCKS_4K, 10, 2).with_prp(data.iova(), data.iova() + 4096));
    assert_eq!(enable_copies(&rig, &mut admin, 0b100), Status::SUCCESS);
    let before = statistics(&rig, &mut admin);
    let list = rig.buffer(4096);
    let begin = rig.lock().now;
    // One page on each die, side by side.
    let sources = [blocks_of(BLOCKS_4K, 11, 1), blocks_of(BLOCKS_4K, 10, 1)];
    io.ok(copy(&list, BLOCKS_4K, 100, &sources));
    let took = rig.lock().now - begin;
    assert_eq!(took.0, FIXED.read.0 + FIXED.program.0);
    let after = statistics(&rig, &mut admin);
    assert_eq!(after.bytes_inside - before.bytes_inside, 8192);
    assert_eq!(after.bytes_from_host - before.bytes_from_host, 64);
    assert_eq!(after.bytes_to_host, before.bytes_to_host);
    let back = rig.buffer(8192);
    io.ok(read(BLOCKS_4K, 100, 2).with_prp(back.iova(), back.iova() + 4096));
    let mut bytes = vec![0; 8192];
    back.read(0, &mut bytes).expect("inside");
    let written = pattern(1, 8192);
    assert!(bytes == [&written[4096..], &written[..4096]].concat());
}

#[test]
fn sources_of_other_namespaces_need_the_host_s_consent_until_the_next_reset() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let list = rig.buffer(4096);
    let own = [blocks_of(BLOCKS_512, 8, 1)];
    assert_eq!(
        io.status(copy(&list, BLOCKS_512, 0, &own)),
        Status::INVALID_FIELD
    );
    for unknown in [0b1, 0b10, 1 << 5, 1 << 15] {
        let status = enable_copies(&rig, &mut admin, unknown);
        assert_eq!(status, Status::INVALID_FIELD, "{unknown:#b}");
    }
    assert_eq!(enable_copies(&rig, &mut admin, 0b1_1100), Status::SUCCESS);
    let got: HostBehaviorSupport = {
        let sqe = get_features(Fid::HostBehaviorSupport, Select::Current, 0);
        ask(&rig, &mut admin, sqe)
    };
    assert_eq!(got.cdfe, 0b1_1100);
    io.ok(copy(&list, BLOCKS_512, 0, &own));
    for (snsid, status) in [
        (BLOCKS_4K, Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT),
        (MEMORY, Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT),
        (COMPUTE, Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT),
        (INACTIVE, Status::INVALID_FIELD),
        (0, Status::INVALID_NAMESPACE_OR_FORMAT),
        (u32::MAX, Status::INVALID_NAMESPACE_OR_FORMAT),
    ] {
        let sqe = copy(&list, BLOCKS_512, 0, &[blocks_of(snsid, 8, 1)]);
        assert_eq!(io.status(sqe), status, "{snsid}");
    }
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    let sqe = copy(&list, BLOCKS_512, 0, &own);
    assert_eq!(io.status(sqe), Status::INVALID_FIELD);
}

#[test]
fn a_copy_that_is_aborted_or_reset_leaves_nothing_behind() {
    let (rig, mut admin, mut io) = start(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    assert_eq!(enable_copies(&rig, &mut admin, 0b100), Status::SUCCESS);
    let list = rig.buffer(4096);
    let cid = io.send(copy(&list, BLOCKS_512, 0, &[blocks_of(BLOCKS_512, 8, 1)]));
    rig.lock().poll();
    let mut abort = Sqe::new(nvme_spec::AdminOpcode::Abort, 0);
    abort.cdw10 = u32::from(cid) << 16 | 1;
    admin.ok(abort);
    let done = io.drain();
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].status().code(), Status::ABORT_REQUESTED);
    io.send(copy(&list, BLOCKS_512, 0, &[blocks_of(BLOCKS_512, 8, 1)]));
    rig.lock().poll();
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    io.ok(Sqe::new(NvmOpcode::Flush, BLOCKS_512));
    assert_eq!(rig.lock().controller.in_flight(), 0);
}

#[test]
fn an_unreadable_block_is_in_the_error_log_and_hidden_from_nobody() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let page = rig.buffer(4096).iova();
    io.ok(mark(BLOCKS_512, 100, 3));
    assert_eq!(
        io.status(read(BLOCKS_512, 96, 8).with_prp(page, 0)),
        Status::UNRECOVERED_READ_ERROR
    );
    let sqe = get_log(Lid::ErrorInformation, 0, Csi::Nvm, 0, 0, 64);
    let entry: ErrorInformation = ask(&rig, &mut admin, sqe);
    assert_eq!((entry.lba, entry.ns, entry.opc), (100, BLOCKS_512, 2));
    assert_eq!(entry.status().code(), Status::UNRECOVERED_READ_ERROR);
    // Device memory can't have it either.
    let list = rig.buffer(4096);
    let memory_copy = |slba| {
        let source = blocks_of(BLOCKS_512, slba, 1);
        list.write(0, source.as_bytes()).expect("inside");
        let format = MemoryCopyCdw12::new().with_cdf(CopyFormat::NamespaceLba16);
        Sqe::memory_copy(MEMORY, 0, 512, format).with_prp(list.iova(), 0)
    };
    assert_eq!(io.status(memory_copy(102)), Status::UNRECOVERED_READ_ERROR);
    io.ok(memory_copy(103));
    // A reset does not mend it, a write does.
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    let again = read(BLOCKS_512, 102, 1).with_prp(page, 0);
    assert_eq!(io.status(again), Status::UNRECOVERED_READ_ERROR);
    io.ok(write(BLOCKS_512, 102, 1).with_prp(page, 0));
    io.ok(again);
    // Blocks of the other namespace are others.
    io.ok(read(BLOCKS_4K, 100, 1).with_prp(page, 0));
}
