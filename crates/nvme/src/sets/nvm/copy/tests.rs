use super::*;
use crate::set::CommandSet;
use crate::sets::testing::*;
use crate::sets::{Nvm, NvmConfig};
use ersatz_ftl::Fault;
use ersatz_memory::Mapping;
use nvme_spec::{NvmOpcode, Sqe};
use std::sync::Arc;
use zerocopy::{FromZeros, IntoBytes};

/// Blocks of each namespace: 1 and 2 have 512 bytes, 3 has 4,096.
const BLOCKS: u64 = 40_000;
const OTHER: u64 = BLOCKS * 512;

fn bench() -> (Bench, Arc<Mapping>) {
    let store = Arc::new(Mapping::anonymous("store", 64 << 20).expect("map"));
    let nvm = |start, block, blocks| -> Box<dyn CommandSet> {
        let config = NvmConfig {
            start,
            block,
            blocks,
            max_transfer: 1 << 20,
        };
        Box::new(Nvm::new(config, Arc::clone(&store)).expect("possible"))
    };
    let sets = vec![
        nvm(0, 512, BLOCKS),
        nvm(OTHER, 512, BLOCKS),
        nvm(2 * OTHER, 4096, 16),
    ];
    let mut bench = Bench::new(None, sets);
    bench.copy_formats = 0b100;
    (bench, store)
}

/// To `sdlba` of namespace 1, in format 0.
fn copy(bench: &Bench, sdlba: u64, ranges: &[(u64, u32)]) -> Sqe {
    let range = |&(slba, nlb): &(u64, u32)| {
        let mut range = CopyRange0::new_zeroed();
        range.slba = slba;
        range.nlb_z = u16::try_from(nlb - 1).expect("16 bits");
        range
    };
    let ranges: Vec<_> = ranges.iter().map(range).collect();
    command(bench, sdlba, 0, ranges.len(), ranges.as_bytes())
}

/// To `sdlba` of namespace 1, in format 2.
fn copy_from(bench: &Bench, sdlba: u64, ranges: &[(u32, u64, u32)]) -> Sqe {
    let range = |&(snsid, slba, nlb): &(u32, u64, u32)| {
        let mut range = CopyRange2::new_zeroed();
        (range.snsid, range.slba) = (snsid, slba);
        range.nlb_z = u16::try_from(nlb - 1).expect("16 bits");
        range
    };
    let ranges: Vec<_> = ranges.iter().map(range).collect();
    command(bench, sdlba, 2, ranges.len(), ranges.as_bytes())
}

fn command(bench: &Bench, sdlba: u64, format: u8, count: usize, ranges: &[u8]) -> Sqe {
    let mut sqe = Sqe::new(NvmOpcode::Copy, 1);
    sqe.set_cdw10_11(sdlba);
    sqe.cdw12 = CopyCdw12::new()
        .with_nr_z(u8::try_from(count - 1).expect("few"))
        .with_cdf(CopyFormat(format))
        .into_bits();
    bench.bringing(sqe, ranges)
}

fn extent(start: u64, slba: u64, nlb: u64) -> Extent {
    Extent {
        start: start + slba * 512,
        len: nlb * 512,
    }
}

#[test]
fn all_sources_are_read_then_the_destination_is_written_and_nothing_crosses_the_link() {
    let (mut bench, store) = bench();
    store.fill(10 * 512, 512, 1).expect("inside");
    store.fill(20 * 512, 1024, 2).expect("inside");
    let begin = bench.now;
    let sqe = copy(&bench, 100, &[(20, 2), (10, 1)]);
    let done = bench.io(&sqe).expect("copied");
    assert_eq!(done, Step::at(begin + READ + WRITE));
    assert_eq!(bytes(&store, 100 * 512, 1024), [2; 1024]);
    assert_eq!(bytes(&store, 102 * 512, 512), [1; 512]);
    assert_eq!(bytes(&store, 103 * 512, 512), [0; 512]);
    let asked = bench.media.lock().expect("not poisoned").asked.clone();
    assert_eq!(
        asked,
        [
            (begin, Asked::Read(extent(0, 20, 2))),
            (begin, Asked::Read(extent(0, 10, 1))),
            (begin + READ, Asked::Write(extent(0, 100, 3)))
        ]
    );
    let traffic = bench.subsystem.traffic;
    assert_eq!((traffic.inside, traffic.to_host), (3 * 512, 0));
    assert_eq!(traffic.from_host, 64, "the list of sources alone");
}

#[test]
fn blocks_come_from_other_namespaces_once_the_host_has_enabled_that() {
    let (mut bench, store) = bench();
    store.fill(OTHER + 5 * 512, 512, 3).expect("inside");
    store.fill(9 * 512, 512, 4).expect("inside");
    let sqe = copy_from(&bench, 0, &[(2, 5, 1), (1, 9, 1)]);
    bench.copy_formats = 0;
    assert_eq!(refusal(bench.io(&sqe)), Status::INVALID_FIELD);
    bench.copy_formats = 0b100;
    assert!(bench.io(&sqe).is_ok());
    assert_eq!(bytes(&store, 0, 512), [3; 512]);
    assert_eq!(bytes(&store, 512, 512), [4; 512]);
}

#[test]
fn each_malformed_copy_has_its_status_and_changes_nothing() {
    let (mut bench, store) = bench();
    store.fill(0, 4096, 7).expect("inside");
    let longest = u32::from(Limits::of(512).mssrl);
    let most = [(0, longest), (0, longest), (0, longest), (0, longest)];
    let mut directive = copy(&bench, 100, &[(0, 1)]);
    directive.cdw12 |= CopyCdw12::new().with_dtype(1).into_bits();
    let mut extension = copy(&bench, 100, &[(0, 1)]);
    extension.cdw12 |= CopyCdw12::new().with_cetype(1).into_bits();
    for sqe in [directive, extension] {
        assert_eq!(refusal(bench.io(&sqe)), Status::INVALID_FIELD);
    }
    let too_many = [&most[..], &[(0, 1)]].concat();
    for (sdlba, ranges, status) in [
        (BLOCKS, &[(0, 1)][..], Status::LBA_OUT_OF_RANGE),
        (0, &[(BLOCKS - 1, 2)], Status::LBA_OUT_OF_RANGE),
        (1, &[(0, 2)], Status::OVERLAPPING_IO_RANGE),
        (9, &[(100, 1), (5, 5)], Status::OVERLAPPING_IO_RANGE),
        (0, &[(0, longest + 1)], Status::COMMAND_SIZE_LIMIT_EXCEEDED),
        (0, &too_many, Status::COMMAND_SIZE_LIMIT_EXCEEDED),
    ] {
        let sqe = copy(&bench, sdlba, ranges);
        assert_eq!(refusal(bench.io(&sqe)), status, "{ranges:?} to {sdlba}");
    }
    for (snsid, status) in [
        (NSID_NONE, Status::INVALID_NAMESPACE_OR_FORMAT),
        (NSID_ALL, Status::INVALID_NAMESPACE_OR_FORMAT),
        (9, Status::INVALID_NAMESPACE_OR_FORMAT),
        (3, Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT),
    ] {
        let sqe = copy_from(&bench, 0, &[(snsid, 0, 1)]);
        assert_eq!(refusal(bench.io(&sqe)), status, "from namespace {snsid}");
    }
    for format in [1, 3, 4, 15] {
        let sqe = command(&bench, 0, format, 1, &[0; 40]);
        assert_eq!(refusal(bench.io(&sqe)), Status::INVALID_FIELD);
    }
    assert_eq!(bytes(&store, 0, 4096), [7; 4096]);
}

#[test]
fn the_most_that_one_command_can_name_is_copied() {
    let (mut bench, _) = bench();
    let limits = Limits::of(512);
    let ranges: Vec<_> = (0..256).map(|i| (i, 1)).collect();
    let sqe = copy(&bench, 1000, &ranges);
    assert!(bench.io(&sqe).is_ok());
    assert_eq!(limits.msrc_z, 255);
    let sqe = copy(&bench, 20_000, &[(0, limits.mssrl.into())]);
    assert!(bench.io(&sqe).is_ok());
    assert_eq!(bench.subsystem.traffic.inside, (256 + 8192) * 512);
}

#[test]
fn while_one_source_can_not_be_read_nothing_is_written() {
    let (mut bench, store) = bench();
    store.fill(0, 4096, 7).expect("inside");
    let mut mark = Sqe::new(NvmOpcode::WriteUncorrectable, 1);
    mark.set_cdw10_11(5);
    assert!(bench.io(&mark).is_ok());
    bench.asked();
    let sqe = copy(&bench, 100, &[(0, 1), (4, 3)]);
    let error = bench.io(&sqe).expect_err("unreadable");
    assert_eq!(error.status.code(), Status::UNRECOVERED_READ_ERROR);
    assert_eq!((error.lba, error.at), (Some(5), Some(bench.now + READ)));
    assert_eq!(bytes(&store, 100 * 512, 512), [0; 512]);
    // As a destination the same block becomes readable.
    let sqe = copy(&bench, 5, &[(0, 1)]);
    assert!(bench.io(&sqe).is_ok());
    let sqe = copy(&bench, 100, &[(0, 1), (4, 3)]);
    assert!(bench.io(&sqe).is_ok());
    bench.break_media(Fault::Uncorrectable);
    let sqe = copy(&bench, 200, &[(0, 1)]);
    assert_eq!(refusal(bench.io(&sqe)), Status::UNRECOVERED_READ_ERROR);
    assert_eq!(bytes(&store, 200 * 512, 512), [0; 512]);
}
