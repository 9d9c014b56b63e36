//! Format NVM: what was there is gone, and blocks may have another size.

use crate::common::raw::{self, Queue};
use crate::common::{
    BLOCKS_4K, BLOCKS_512, COMPUTE, FIXED, INACTIVE, MEMORY, NVM_BYTES, PROGRAM, Rig, Setup,
};
use ersatz_host::command::{get_log, identify, read, set_features, write};
use nvme_spec::admin::{AsyncEvent, FormatNvmCdw10};
use nvme_spec::feature::AsyncEventConfiguration;
use nvme_spec::identify::{IdentifyController, IdentifyNamespace};
use nvme_spec::{AdminOpcode, Cns, Csi, Fid, Lid, NSID_ALL, NvmOpcode, Sqe, Status};
use std::sync::Arc;
use zerocopy::FromBytes;

fn start(setup: Setup) -> (Arc<Rig>, Queue, Queue) {
    let rig = Rig::new(setup);
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 64, 64);
    (rig, admin, io)
}

fn format(nsid: u32, lbaf: u8) -> Sqe {
    let cdw10 = FormatNvmCdw10::new()
        .with_lbafl(lbaf & 0xF)
        .with_lbafu(lbaf >> 4);
    Sqe {
        cdw10: cdw10.into_bits(),
        ..Sqe::new(AdminOpcode::FormatNvm, nsid)
    }
}

fn page(rig: &Rig, admin: &mut Queue, sqe: Sqe) -> Vec<u8> {
    let page = rig.buffer(4096);
    admin.ok(sqe.with_prp(page.iova(), 0));
    let mut bytes = vec![0; 4096];
    page.read(0, &mut bytes).expect("inside");
    bytes
}

fn namespace(rig: &Rig, admin: &mut Queue, nsid: u32) -> IdentifyNamespace {
    let bytes = page(rig, admin, identify(Cns::Namespace, nsid, Csi::Nvm));
    IdentifyNamespace::read_from_bytes(&bytes).expect("4096 bytes")
}

#[test]
fn blocks_get_the_other_size_and_nothing_is_left_of_what_was_there() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let id = page(&rig, &mut admin, identify(Cns::Controller, 0, Csi::Nvm));
    let id = IdentifyController::read_from_bytes(&id).expect("4096 bytes");
    assert!(id.oacs.fnvms() && id.fna.cryes() && !id.fna.fns() && !id.fna.sens());
    assert!(!id.fna.bcnsid());
    let data = rig.buffer(4096);
    for (ses, lbaf, block) in [(0, 1, 4096u64), (1, 0, 512), (2, 1, 4096), (0, 1, 4096)] {
        data.fill(0, 4096, 7).expect("inside");
        let before = namespace(&rig, &mut admin, BLOCKS_512);
        io.ok(write(BLOCKS_512, before.nsze - 1, 1).with_prp(data.iova(), 0));
        let mut mark = write(BLOCKS_512, 0, 1);
        mark.opcode = NvmOpcode::WriteUncorrectable.0;
        io.ok(mark);
        let mut sqe = format(BLOCKS_512, lbaf);
        sqe.cdw10 |= FormatNvmCdw10::new().with_ses(ses).into_bits();
        admin.ok(sqe);
        let after = namespace(&rig, &mut admin, BLOCKS_512);
        assert_eq!((after.nlbaf_z, after.flbas.index()), (1, lbaf));
        assert_eq!(after.lbaf[usize::from(lbaf)].lbads(), block.ilog2() as u8);
        let count = NVM_BYTES / block;
        assert_eq!((after.nsze, after.ncap), (count, count));
        assert_eq!(u128::from(after.nvmcap), u128::from(NVM_BYTES));
        for slba in [0, count - 1] {
            data.fill(0, 4096, 9).expect("inside");
            io.ok(read(BLOCKS_512, slba, 1).with_prp(data.iova(), 0));
            let mut bytes = vec![1; block as usize];
            data.read(0, &mut bytes).expect("inside");
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
        let beyond = read(BLOCKS_512, count, 1).with_prp(data.iova(), 0);
        assert_eq!(io.status(beyond), Status::LBA_OUT_OF_RANGE);
    }
    // It outlives a reset.
    let mut admin = raw::start(&rig);
    let id = namespace(&rig, &mut admin, BLOCKS_512);
    assert_eq!(id.flbas.index(), 1);
}

#[test]
fn the_broadcast_identifier_formats_all_blocks_and_leaves_memory_alone() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let data = rig.buffer(4096);
    data.fill(0, 4096, 7).expect("inside");
    io.ok(write(BLOCKS_4K, 3, 1).with_prp(data.iova(), 0));
    let memory = |opcode| Sqe::memory(opcode, MEMORY, 0, 4096).with_prp(data.iova(), 0);
    io.ok(memory(nvme_spec::SlmOpcode::MemoryWrite));
    admin.ok(format(NSID_ALL, 0));
    for nsid in [BLOCKS_512, BLOCKS_4K] {
        assert_eq!(namespace(&rig, &mut admin, nsid).flbas.index(), 0);
    }
    io.ok(read(BLOCKS_4K, 24, 8).with_prp(data.iova(), 0));
    let mut bytes = vec![1; 4096];
    data.read(0, &mut bytes).expect("inside");
    assert!(bytes == [0; 4096]);
    io.ok(memory(nvme_spec::SlmOpcode::MemoryRead));
    data.read(0, &mut bytes).expect("inside");
    assert!(bytes == [7; 4096]);
}

#[test]
fn what_can_not_be_formatted_is_refused_and_stays_as_it_is() {
    let (rig, mut admin, mut io) = start(Setup::default());
    let data = rig.buffer(512);
    data.fill(0, 512, 7).expect("inside");
    io.ok(write(BLOCKS_512, 0, 1).with_prp(data.iova(), 0));
    let with = |cdw10: FormatNvmCdw10| {
        let sqe = format(BLOCKS_512, 1);
        let cdw10 = sqe.cdw10 | cdw10.into_bits();
        Sqe { cdw10, ..sqe }
    };
    for (sqe, status) in [
        (format(BLOCKS_512, 2), Status::INVALID_FORMAT),
        (format(BLOCKS_512, 16), Status::INVALID_FORMAT),
        (format(BLOCKS_512, 63), Status::INVALID_FORMAT),
        (format(NSID_ALL, 2), Status::INVALID_FORMAT),
        (
            with(FormatNvmCdw10::new().with_pi(1)),
            Status::INVALID_FORMAT,
        ),
        (
            with(FormatNvmCdw10::new().with_ses(3)),
            Status::INVALID_FIELD,
        ),
        (format(MEMORY, 0), Status::INVALID_NAMESPACE_OR_FORMAT),
        (format(COMPUTE, 0), Status::INVALID_NAMESPACE_OR_FORMAT),
        (format(0, 0), Status::INVALID_NAMESPACE_OR_FORMAT),
        (format(99, 0), Status::INVALID_NAMESPACE_OR_FORMAT),
        (format(INACTIVE, 0), Status::INVALID_FIELD),
    ] {
        assert_eq!(admin.status(sqe), status, "{sqe:?}");
    }
    let mut byte = [0];
    io.ok(read(BLOCKS_512, 0, 1).with_prp(data.iova(), 0));
    data.read(0, &mut byte).expect("inside");
    assert_eq!(
        (byte, namespace(&rig, &mut admin, BLOCKS_512).flbas.index()),
        ([7], 0)
    );
}

#[test]
fn commands_and_a_format_keep_out_of_each_other_s_way() {
    // A link, so that a write waits for its data.
    let link = ersatz_nvme::LinkConfig {
        bandwidth: 1_000_000_000,
        latency: ersatz_engine::Ns(1000),
    };
    let (rig, mut admin, mut io) = start(Setup {
        media: Some(FIXED),
        link: Some(link),
        ..Setup::default()
    });
    let data = rig.buffer(4096).iova();
    io.send(write(BLOCKS_512, 0, 8).with_prp(data, 0));
    rig.lock().poll();
    for nsid in [BLOCKS_512, NSID_ALL] {
        assert_eq!(
            admin.status(format(nsid, 1)),
            Status::COMMAND_SEQUENCE_ERROR
        );
    }
    admin.ok(format(BLOCKS_4K, 1));
    assert!(io.drain()[0].status().is_success());
    admin.ok(format(BLOCKS_512, 1));
    // What was accepted, but not programmed yet, takes its time.
    let (rig, mut admin, mut io) = start(Setup {
        volatile: true,
        ..Setup::default()
    });
    let data = rig.buffer(4096).iova();
    io.ok(write(BLOCKS_4K, 0, 1).with_prp(data, 0));
    io.ok(Sqe::new(NvmOpcode::Flush, BLOCKS_4K));
    let took = |io: &mut Queue| {
        let begin = rig.lock().now;
        io.ok(read(BLOCKS_4K, 0, 1).with_prp(data, 0));
        (rig.lock().now - begin).0
    };
    let mapped = took(&mut io);
    io.ok(write(BLOCKS_4K, 1, 1).with_prp(data, 0));
    let begin = rig.lock().now;
    admin.send(format(BLOCKS_4K, 1));
    rig.lock().poll();
    for sqe in [
        read(BLOCKS_4K, 0, 1).with_prp(data, 0),
        write(BLOCKS_4K, 0, 1).with_prp(data, 0),
        Sqe::new(NvmOpcode::Flush, BLOCKS_4K),
    ] {
        let cqe = io.run(sqe);
        assert_eq!(cqe.status().code(), Status::FORMAT_IN_PROGRESS);
        assert!(!cqe.status().dnr());
    }
    io.ok(read(BLOCKS_512, 0, 1).with_prp(data, 0));
    assert!(admin.drain()[0].status().is_success());
    assert!(rig.lock().now - begin >= PROGRAM);
    assert!(took(&mut io) < mapped, "nothing is mapped any more");
}

#[test]
fn a_host_that_wants_to_know_is_told_which_namespaces_have_changed() {
    let (rig, mut admin, _io) = start(Setup::default());
    let list = |admin: &mut Queue, retain: bool| {
        let mut sqe = get_log(Lid::ChangedAttachedNamespaces, 0, Csi::Nvm, 0, 0, 4096);
        sqe.cdw10 = sqe.cdw10 & !(1 << 15) | u32::from(retain) << 15;
        let bytes = page(&rig, admin, sqe);
        assert!(bytes[8..].iter().all(|&byte| byte == 0));
        [bytes[0], bytes[4]]
    };
    admin.ok(format(BLOCKS_512, 0));
    admin.send(Sqe::new(AdminOpcode::AsyncEventRequest, 0));
    assert_eq!(admin.drain(), [], "not enabled");
    assert_eq!(list(&mut admin, false), [BLOCKS_512 as u8, 0]);
    assert_eq!(list(&mut admin, false), [0, 0]);
    let wanted = AsyncEventConfiguration::new().with_nsan(true);
    admin.ok(set_features(
        Fid::AsyncEventConfiguration,
        0,
        wanted.into_bits(),
    ));
    let formatted = admin.send(format(NSID_ALL, 1));
    let done = admin.drain();
    assert_eq!(done.len(), 2);
    let event = done
        .iter()
        .find(|cqe| cqe.cid != formatted)
        .expect("an event");
    assert_eq!(
        event.dw0,
        AsyncEvent::ATTACHED_NAMESPACE_CHANGED.into_bits()
    );
    assert_eq!(list(&mut admin, true), [BLOCKS_512 as u8, BLOCKS_4K as u8]);
    assert_eq!(list(&mut admin, false), [0, 0]);
    admin.send(Sqe::new(AdminOpcode::AsyncEventRequest, 0));
    admin.ok(format(BLOCKS_4K, 1));
    assert_eq!(admin.drain().len(), 1, "told again");
}
