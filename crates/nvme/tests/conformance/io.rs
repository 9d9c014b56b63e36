//! I/O commands through the driver, and those that are refused.

use crate::common::raw::{self, Queue};
use crate::common::{
    BLOCKS_4K, BLOCKS_512, COMPUTE, INACTIVE, MEMORY, NVM_BYTES, Rig, SLM_BYTES, Setup, pattern,
};
use ersatz_engine::Rng;
use ersatz_host::command::{read, write};
use ersatz_host::driver::{Data, DmaBuffer, QueuePair};
use nvme_spec::nvm::{CopyFormat, DsmCdw11, DsmRange};
use nvme_spec::slm::{CopyRange4, MemoryCopyCdw12};
use nvme_spec::{NSID_ALL, NSID_NONE, NvmOpcode, SlmOpcode, Sqe, Status};
use std::sync::Arc;
use std::time::Duration;
use zerocopy::IntoBytes;

const LIMIT: Duration = Duration::from_secs(60);

fn start() -> (Arc<Rig>, Queue, Queue) {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 64, 64);
    (rig, admin, io)
}

fn bytes(buffer: &DmaBuffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.len() as usize];
    buffer.read(0, &mut bytes).expect("inside");
    bytes
}

#[test]
fn random_writes_at_a_queue_depth_are_read_back() {
    for map_doorbells in [false, true] {
        let rig = Rig::new(Setup {
            map_doorbells,
            ..Setup::default()
        });
        let mut driver = rig.driver();
        let mut io = driver
            .create_queue_pair(Default::default())
            .expect("queues");
        let mut expected = vec![0; 1 << 20];
        let mut rng = Rng::new(1);
        let slots: Vec<DmaBuffer> = (0..io.capacity()).map(|_| rig.buffer(8192)).collect();
        for round in 0..8 {
            // Blocks of one round do not overlap: their order is not defined.
            for i in 0..60u64 {
                let (blocks, slba) = (rng.below(16) + 1, i * 32 + rng.below(16));
                let data = pattern(round * 100 + i, blocks as usize * 512);
                let at = slba as usize * 512;
                expected[at..at + data.len()].copy_from_slice(&data);
                let segment = slots[i as usize]
                    .slice(0, data.len() as u64)
                    .expect("inside");
                segment.write(0, &data).expect("inside");
                let sqe = write(BLOCKS_512, slba, blocks as u32);
                io.push(sqe, Data::Prp(&[segment.segment()])).expect("room");
            }
            io.ring().expect("rung");
            wait(&mut io);
        }
        let back = rig.buffer(1 << 20);
        let data = [back.segment()];
        let cqe = io
            .run(read(BLOCKS_512, 0, 2048), Data::Prp(&data), LIMIT)
            .expect("done");
        assert!(cqe.status().is_success());
        assert!(bytes(&back) == expected);
    }
}

fn wait(io: &mut QueuePair) {
    while io.in_flight() > 0 {
        if let Some(cqe) = io.poll().expect("sound") {
            assert!(cqe.status().is_success());
        }
    }
}

#[test]
fn namespaces_do_not_share_blocks() {
    let (rig, _admin, mut io) = start();
    let (ones, back) = (rig.buffer(4096), rig.buffer(4096));
    ones.fill(0, 4096, 1).expect("inside");
    io.ok(write(BLOCKS_512, NVM_BYTES / 512 - 8, 8).with_prp(ones.iova(), 0));
    io.ok(read(BLOCKS_4K, 0, 1).with_prp(back.iova(), 0));
    assert_eq!(bytes(&back), [0; 4096]);
    io.ok(write(BLOCKS_4K, 0, 1).with_prp(ones.iova(), 0));
    io.ok(read(BLOCKS_512, 0, 8).with_prp(back.iova(), 0));
    assert_eq!(bytes(&back), [0; 4096]);
}

#[test]
fn blocks_outside_of_the_namespace_are_out_of_range() {
    let (rig, _admin, mut io) = start();
    let prp = rig.buffer(8192).iova();
    let last = NVM_BYTES / 512 - 1;
    assert_eq!(
        io.status(read(BLOCKS_512, last, 1).with_prp(prp, 0)),
        Status::SUCCESS
    );
    for (slba, blocks) in [
        (last, 2),
        (last + 1, 1),
        (u64::MAX, 1),
        (u64::MAX - 1, 2),
        (1 << 55, 1),
    ] {
        for opcode in [
            NvmOpcode::Read,
            NvmOpcode::Write,
            NvmOpcode::Compare,
            NvmOpcode::WriteZeroes,
        ] {
            let sqe = Sqe {
                opcode: opcode.0,
                ..read(BLOCKS_512, slba, blocks)
            };
            assert_eq!(
                io.status(sqe.with_prp(prp, 0)),
                Status::LBA_OUT_OF_RANGE,
                "{sqe:?}"
            );
        }
    }
}

#[test]
fn deallocated_and_zeroed_blocks_read_zero_and_their_neighbours_stay() {
    let (rig, _admin, mut io) = start();
    let (ones, back, list) = (rig.buffer(8192), rig.buffer(8192), rig.buffer(4096));
    ones.fill(0, 8192, 1).expect("inside");
    io.ok(write(BLOCKS_512, 0, 16).with_prp(ones.iova(), ones.iova() + 4096));
    for (i, (slba, nlb)) in [(2u64, 1u32), (5, 2)].into_iter().enumerate() {
        let range = DsmRange {
            slba,
            nlb,
            ..DsmRange::default()
        };
        list.write(i as u64 * 16, range.as_bytes()).expect("inside");
    }
    let dsm = Sqe {
        cdw10: 1,
        cdw11: DsmCdw11::new().with_ad(true).into_bits(),
        ..Sqe::new(NvmOpcode::DatasetManagement, BLOCKS_512)
    };
    io.ok(dsm.with_prp(list.iova(), 0));
    io.ok(Sqe {
        opcode: NvmOpcode::WriteZeroes.0,
        ..write(BLOCKS_512, 9, 1)
    });
    io.ok(read(BLOCKS_512, 0, 16).with_prp(back.iova(), back.iova() + 4096));
    let blocks: Vec<u8> = bytes(&back).chunks(512).map(|block| block[511]).collect();
    assert_eq!(blocks, [1, 1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1]);
    let compare = Sqe {
        opcode: NvmOpcode::Compare.0,
        ..read(BLOCKS_512, 0, 2)
    };
    assert_eq!(io.status(compare.with_prp(ones.iova(), 0)), Status::SUCCESS);
    let compare = Sqe {
        opcode: NvmOpcode::Compare.0,
        ..read(BLOCKS_512, 0, 3)
    };
    assert_eq!(
        io.status(compare.with_prp(ones.iova(), 0)),
        Status::COMPARE_FAILURE
    );
}

#[test]
fn memory_is_written_filled_copied_and_read() {
    let (rig, _admin, mut io) = start();
    let (ours, back, list) = (rig.buffer(4096), rig.buffer(4096), rig.buffer(4096));
    ours.write(0, &pattern(4, 4096)).expect("inside");
    let memory = |opcode, sb, length| Sqe::memory(opcode, MEMORY, sb, length);
    io.ok(memory(SlmOpcode::MemoryWrite, 100, 4096).with_prp(ours.iova(), 0));
    io.ok(memory(SlmOpcode::MemoryFill, 200, 400));
    list.write(0, CopyRange4::new(MEMORY, 100, 1000).as_bytes())
        .expect("inside");
    let format = MemoryCopyCdw12::new().with_cdf(CopyFormat::Memory);
    io.ok(Sqe::memory_copy(MEMORY, SLM_BYTES - 1000, 1000, format).with_prp(list.iova(), 0));
    let read = memory(SlmOpcode::MemoryRead, SLM_BYTES - 1000, 1000);
    io.ok(read.with_prp(back.iova(), 0));
    let mut expected = pattern(4, 1000);
    expected[100..500].fill(0);
    assert_eq!(bytes(&back)[..1000], expected);
    for (sb, length) in [
        (SLM_BYTES, 4),
        (SLM_BYTES - 4, 8),
        (u64::MAX - 3, 4),
        (2, 4),
        (0, 2),
    ] {
        let read = memory(SlmOpcode::MemoryRead, sb, length).with_prp(back.iova(), 0);
        assert_eq!(io.status(read), Status::INVALID_FIELD, "{length} at {sb}");
    }
}

#[test]
fn unknown_opcodes_are_refused_in_every_queue_and_namespace() {
    let (rig, mut admin, mut io) = start();
    for opcode in [0x03u8, 0x0B, 0x77, 0x7B, 0xC0, 0xFF, 0x81, 0x84, 0x0D, 0x10] {
        assert_eq!(
            admin.status(Sqe::new(opcode, 0)),
            Status::INVALID_OPCODE,
            "{opcode:#x}"
        );
    }
    for (nsid, known) in [
        (BLOCKS_512, &[0, 1, 2, 4, 5, 8, 9, 0x0C, 0x19][..]),
        (MEMORY, &[0x00, 0x01, 0x02, 0x04, 0x05]),
        (COMPUTE, &[0x00, 0x01]),
    ] {
        for opcode in 0..=0xFFu8 {
            let status = io.status(Sqe::new(opcode, nsid).with_prp(rig.buffer(512).iova(), 0));
            assert_eq!(
                status == Status::INVALID_OPCODE,
                !known.contains(&opcode),
                "{opcode:#x}"
            );
        }
    }
    // Admin commands of the compute namespace belong to no other.
    let load = Sqe::new(nvme_spec::AdminOpcode::LoadProgram, BLOCKS_512);
    assert_eq!(admin.status(load), Status::INVALID_OPCODE);
}

#[test]
fn namespaces_that_are_not_there_are_refused() {
    let (_rig, _admin, mut io) = start();
    for (nsid, status) in [
        (NSID_NONE, Status::INVALID_NAMESPACE_OR_FORMAT),
        (INACTIVE, Status::INVALID_FIELD),
        (1025, Status::INVALID_NAMESPACE_OR_FORMAT),
        (NSID_ALL, Status::INVALID_NAMESPACE_OR_FORMAT),
    ] {
        assert_eq!(
            io.status(Sqe::new(NvmOpcode::Flush, nsid)),
            status,
            "{nsid}"
        );
        assert_eq!(io.status(read(nsid, 0, 1)), status, "{nsid}");
    }
}

#[test]
fn a_command_identifier_may_be_anything_and_comes_back() {
    let (_rig, _admin, mut io) = start();
    for _ in 0..300 {
        // `run` checks it.
        io.ok(Sqe::new(NvmOpcode::Flush, BLOCKS_512));
    }
}
