//! Where a command's data is: PRPs, SGLs, page sizes, and memory that is not there.

use crate::common::raw::{self, Queue, cc, csts};
use crate::common::{BLOCKS_4K, BLOCKS_512, FIXED, MEMORY, Rig, Setup, pattern};
use ersatz_host::command::{self, read, write};
use ersatz_host::driver::{Data, DmaBuffer, Options, Segment};
use nvme_spec::queue::{Psdt, SglType};
use nvme_spec::{Cns, Csi, SglDescriptor, SlmOpcode, Sqe, Status};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn start(setup: Setup) -> (Arc<Rig>, Queue, Queue) {
    let rig = Rig::new(setup);
    let mut admin = raw::start(&rig);
    let io = Queue::create(&mut admin, 1, 64, 64);
    (rig, admin, io)
}

fn bytes(buffer: &DmaBuffer, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    buffer.read(0, &mut bytes).expect("inside");
    bytes
}

#[test]
fn transfers_of_all_lengths_and_offsets_come_back_as_they_were_written() {
    let rig = Rig::new(Setup {
        max_transfer: 2 << 20,
        ..Setup::default()
    });
    let mut driver = rig.driver_with(Options {
        max_transfer: 2 << 20,
        ..Options::default()
    });
    assert_eq!(driver.max_transfer(), 2 << 20);
    let mut io = driver
        .create_queue_pair(Default::default())
        .expect("queues");
    let (from, to) = (rig.buffer((2 << 20) + 4096), rig.buffer((2 << 20) + 4096));
    from.write(0, &pattern(1, (2 << 20) + 4096))
        .expect("inside");
    // A page, two, a list, lists that are chained; aligned and not.
    for blocks in [1u32, 8, 9, 16, 17, 1024, 2048, 4090, 4096] {
        for offset in [0, 4, 512, 4092] {
            let len = u64::from(blocks) * 512;
            let segment = |buffer: &DmaBuffer| Segment {
                iova: buffer.iova() + offset,
                len,
            };
            to.fill(0, to.len(), 0).expect("inside");
            let data = [segment(&from)];
            let written = io.run(write(BLOCKS_512, 3, blocks), Data::Prp(&data), LIMIT);
            assert!(written.expect("done").status().is_success());
            let data = [segment(&to)];
            let read = io.run(read(BLOCKS_512, 3, blocks), Data::Prp(&data), LIMIT);
            assert!(read.expect("done").status().is_success());
            let mut expected = vec![0; to.len() as usize];
            let range = offset as usize..(offset + len) as usize;
            from.read(offset, &mut expected[range]).expect("inside");
            assert!(
                bytes(&to, to.len() as usize) == expected,
                "{blocks} blocks at {offset}"
            );
        }
    }
}

#[test]
fn scattered_pages_are_gathered_by_prps_and_by_sgls() {
    let rig = Rig::new(Setup::default());
    let mut driver = rig.driver();
    let mut io = driver
        .create_queue_pair(Default::default())
        .expect("queues");
    let memory = rig.buffer(1 << 20);
    memory.write(0, &pattern(2, 1 << 20)).expect("inside");
    // Every other page, backwards.
    let pages: Vec<Segment> = (0..64)
        .map(|i| Segment {
            iova: memory.iova() + (127 - 2 * i) * 4096,
            len: 4096,
        })
        .collect();
    let expected: Vec<u8> = (0..64)
        .flat_map(|i| {
            let at = (127 - 2 * i) * 4096;
            pattern(2, 1 << 20)[at..at + 4096].to_vec()
        })
        .collect();
    let to = rig.buffer(64 * 4096);
    for data in [Data::Prp(&pages), Data::Sgl(&pages)] {
        io.run(write(BLOCKS_4K, 0, 64), data, LIMIT).expect("done");
        let cqe = io.run(read(BLOCKS_4K, 0, 64), Data::Sgl(&[to.segment()]), LIMIT);
        assert!(cqe.expect("done").status().is_success());
        assert!(bytes(&to, expected.len()) == expected);
        io.run(
            write(BLOCKS_4K, 0, 64),
            Data::Prp(&[rig.buffer(64 * 4096).segment()]),
            LIMIT,
        )
        .expect("done");
    }
    // SGLs need no alignment.
    let odd: Vec<Segment> = [(1, 3), (9, 500), (4095, 9)]
        .map(|(at, len)| Segment {
            iova: memory.iova() + at,
            len,
        })
        .into();
    let cqe = io
        .run(write(BLOCKS_512, 0, 1), Data::Sgl(&odd), LIMIT)
        .expect("done");
    assert!(cqe.status().is_success());
    io.run(read(BLOCKS_512, 0, 1), Data::Sgl(&[to.segment()]), LIMIT)
        .expect("done");
    let source = pattern(2, 8192);
    let expected = [&source[1..4], &source[9..509], &source[4095..4104]].concat();
    assert_eq!(bytes(&to, 512), expected);
}

#[test]
fn every_page_size_up_to_64_kib_works() {
    for mps in 0..=4u8 {
        let rig = Rig::new(Setup::default());
        let page = 4096u64 << mps;
        let mut admin = raw::enable(&rig, cc().with_mps(mps), 32, 32);
        let mut io = Queue::create(&mut admin, 1, 16, 16);
        let data = rig.buffer(1 << 20);
        data.write(0, &pattern(3, 1 << 20)).expect("inside");
        let list = rig.buffer(64 << 10);
        for i in 0..256 {
            list.store(i * 8, data.iova() + (i + 1) * page)
                .expect("inside");
        }
        // PRP1 begins in the middle of a page; so many pages follow as 256 KiB need.
        let start = data.iova() + 512;
        io.ok(write(BLOCKS_512, 0, 512).with_prp(start, list.iova()));
        let back = rig.buffer(256 << 10);
        let mut first_page = Vec::new();
        for i in 0..64 {
            first_page.push(SglDescriptor::new(
                SglType::DataBlock,
                back.iova() + i * 4096,
                4096,
            ));
        }
        for (i, sgl) in first_page.into_iter().enumerate() {
            io.ok(read(BLOCKS_512, i as u64 * 8, 8).with_sgl(sgl));
        }
        assert!(
            bytes(&back, 256 << 10) == pattern(3, 1 << 20)[512..512 + (256 << 10)],
            "{mps}"
        );
        // The queue's place is judged by that page as well.
        let misplaced = rig.buffer(128 << 10).iova() + page / 2;
        let status = admin.status(command::create_cq(2, 16, misplaced, None));
        assert_eq!(status, Status::PRP_OFFSET_INVALID);
    }
}

#[test]
fn malformed_data_pointers_have_their_statuses() {
    let (rig, _admin, mut io) = start(Setup::default());
    let page = rig.buffer(4096 * 8).iova();
    let two_pages = read(BLOCKS_4K, 0, 2);
    let many_pages = read(BLOCKS_4K, 0, 4);
    let list = rig.buffer(4096);
    list.store(0, page + 4096).expect("inside");
    list.store(8, page + 8).expect("inside");
    for (sqe, status) in [
        (
            two_pages.with_prp(page + 2, page + 4096),
            Status::PRP_OFFSET_INVALID,
        ),
        (
            two_pages.with_prp(page, page + 4096 + 4),
            Status::PRP_OFFSET_INVALID,
        ),
        (
            many_pages.with_prp(page, list.iova() + 4),
            Status::PRP_OFFSET_INVALID,
        ),
        (
            many_pages.with_prp(page, list.iova()),
            Status::PRP_OFFSET_INVALID,
        ),
        (
            many_pages.with_prp(page, 0x10_0000),
            Status::DATA_TRANSFER_ERROR,
        ),
        (
            two_pages.with_prp(0x10_0000, page),
            Status::DATA_TRANSFER_ERROR,
        ),
        (
            two_pages.with_prp(page, !0xFFF),
            Status::DATA_TRANSFER_ERROR,
        ),
        (
            two_pages.with_prp(!0xFFF, page),
            Status::DATA_TRANSFER_ERROR,
        ),
    ] {
        assert_eq!(io.status(sqe), status, "{sqe:?}");
    }
    let sgl = |kind, len| two_pages.with_sgl(SglDescriptor::new(kind, page, len));
    assert_eq!(
        io.status(sgl(SglType::DataBlock, 8191)),
        Status::DATA_SGL_LENGTH_INVALID
    );
    assert_eq!(
        io.status(sgl(SglType::Segment, 8)),
        Status::INVALID_SGL_SEGMENT
    );
    assert_eq!(
        io.status(sgl(SglType::KeyedDataBlock, 8192)),
        Status::SGL_TYPE_INVALID
    );
    assert_eq!(
        io.status(sgl(SglType::Vendor, 8192)),
        Status::SGL_TYPE_INVALID
    );
    assert_eq!(io.status(sgl(SglType::DataBlock, 8192)), Status::SUCCESS);
    let mut reserved = two_pages;
    reserved.flags.set_psdt(Psdt(3));
    assert_eq!(io.status(reserved), Status::INVALID_FIELD);
}

#[test]
fn a_transfer_is_as_long_as_mdts_and_no_longer() {
    let (rig, _admin, mut io) = start(Setup {
        max_transfer: 64 << 10,
        ..Setup::default()
    });
    let sgl = SglDescriptor::new(SglType::DataBlock, rig.buffer(1 << 20).iova(), 1 << 20);
    assert_eq!(
        io.status(write(BLOCKS_512, 0, 128).with_sgl(sgl)),
        Status::SUCCESS
    );
    for sqe in [
        write(BLOCKS_512, 0, 129),
        read(BLOCKS_512, 0, 129),
        read(BLOCKS_4K, 0, 17),
        read(BLOCKS_512, 0, 65_536),
        Sqe::memory(SlmOpcode::MemoryRead, MEMORY, 0, (64 << 10) + 4),
        Sqe::memory(SlmOpcode::MemoryWrite, MEMORY, 0, u32::MAX - 3),
    ] {
        assert_eq!(
            io.status(sqe.with_sgl(sgl)),
            Status::INVALID_FIELD,
            "{sqe:?}"
        );
    }
    // A fill moves no data over the link.
    io.ok(Sqe::memory(SlmOpcode::MemoryFill, MEMORY, 0, 1 << 20));
}

#[test]
fn data_memory_that_is_unmapped_is_a_transfer_error_and_nothing_else() {
    let (rig, mut admin, mut io) = start(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let extra = Arc::new(ersatz_memory::Mapping::anonymous("extra", 8192).expect("memory"));
    let entry = ersatz_pcie::DmaEntry {
        iova: 0x1000,
        size: 8192,
        readable: true,
        writable: false,
        memory: Some(Arc::clone(&extra)),
    };
    rig.lock().host.dma().map(entry).expect("free");
    io.ok(write(BLOCKS_512, 0, 8).with_prp(0x1000, 0));
    assert_eq!(
        io.status(read(BLOCKS_512, 0, 8).with_prp(0x1000, 0)),
        Status::DATA_TRANSFER_ERROR
    );
    // Across the end of what is mapped.
    let beyond =
        write(BLOCKS_4K, 0, 3).with_sgl(SglDescriptor::new(SglType::DataBlock, 0x1000, 12288));
    assert_eq!(io.status(beyond), Status::DATA_TRANSFER_ERROR);
    // In the middle of commands.
    (0..4).for_each(|_| _ = io.push(write(BLOCKS_512, 0, 8).with_prp(0x1000, 0)));
    io.ring();
    rig.lock().poll();
    rig.lock().host.dma().unmap(0x1000, 8192).expect("mapped");
    assert_eq!(io.drain().len(), 4);
    assert_eq!(
        io.status(write(BLOCKS_512, 0, 8).with_prp(0x1000, 0)),
        Status::DATA_TRANSFER_ERROR
    );
    assert!(!csts(&rig).cfs());
    let page = rig.buffer(4096).iova();
    admin.ok(command::identify(Cns::Controller, 0, Csi::Nvm).with_prp(page, 0));
}

#[test]
fn queue_memory_that_is_not_mapped_is_a_fatal_status() {
    // The submission queue.
    let (rig, mut admin, _io) = start(Setup::default());
    let memory = rig.buffer(4096).iova();
    admin.ok(command::create_cq(2, 16, memory, None));
    admin.ok(command::create_sq(2, 16, 0x10_0000, 2));
    rig.write_bar0(
        nvme_spec::register::sq_tail_doorbell(2, 0),
        &1u32.to_le_bytes(),
    );
    rig.settle();
    assert!(csts(&rig).cfs());
    // A reset helps.
    let mut admin = raw::start(&rig);
    admin.ok(command::create_cq(1, 16, 0x10_0000, None));
    let mut io = Queue::new(&rig, 1, 16, 16);
    admin.ok(command::create_sq(1, 16, io.sq.iova(), 1));
    // The completion queue.
    io.send(Sqe::new(nvme_spec::NvmOpcode::Flush, BLOCKS_512));
    rig.settle();
    assert!(csts(&rig).cfs());
    raw::start(&rig);
}
