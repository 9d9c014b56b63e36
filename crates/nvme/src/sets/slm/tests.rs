use super::*;
use crate::link::LinkConfig;
use crate::sets::testing::*;
use crate::sets::{
    Cp, CpConfig, Executor, Nvm, NvmConfig,
    cp::{ComputeConfig, Picoseconds, UnitCost},
};
use ersatz_ftl::{Extent, Fault, Operation};
use ersatz_runtime::Fuel;
use nvme_spec::nvm::{CopyFormat, CopyRange2, CopyRange3, SourceOptions};
use nvme_spec::slm::{CopyRange4, MemoryCopyCdw12};
use nvme_spec::{NSID_ALL, Sqe};
use zerocopy::{FromBytes, Immutable};

const BYTES: u64 = 1 << 20;
const MAX_TRANSFER: u64 = 64 << 10;
/// Namespaces: blocks, the memory that is tested, more memory, blocks out of reach, programs.
const BLOCKS: u32 = 1;
const NSID: u32 = 2;
const OTHER: u32 = 3;
const FAR: u32 = 4;
const PROGRAMS: u32 = 5;
/// Where the namespace with blocks starts in the store.
const START: u64 = 8192;
const LATENCY: Ns = Ns(100);

/// What the memory takes for `bytes`.
fn takes(bytes: u64) -> Ns {
    LATENCY + Ns(bytes / 4)
}

fn slm(reaches: Vec<u32>) -> Box<dyn CommandSet> {
    let (bandwidth, latency) = (4_000_000_000, LATENCY);
    let config = SlmConfig {
        bytes: BYTES,
        max_transfer: MAX_TRANSFER,
        bandwidth,
        latency,
        reaches,
    };
    Box::new(Slm::new(config).expect("memory"))
}

fn bench() -> Bench {
    bench_with(None)
}

fn bench_with(link: Option<LinkConfig>) -> Bench {
    let store = Arc::new(Mapping::anonymous("store", 4 << 20).expect("map"));
    let pattern: Vec<u8> = (0..4 << 20).map(|i: u32| (i / 512) as u8).collect();
    store.write(0, &pattern).expect("inside");
    let nvm = |start| {
        let config = NvmConfig {
            start,
            block: 512,
            blocks: 2048,
            max_transfer: MAX_TRANSFER,
        };
        Box::new(Nvm::new(config, Arc::clone(&store)).expect("possible"))
    };
    let programs = CpConfig {
        units: ComputeConfig::fifo(1),
        costs: vec![UnitCost::instructions(Picoseconds(1))],
        placements: Vec::new(),
        slots: 1,
        max_activated: 1,
        memory_range_sets: 1,
        ranges_per_set: 1,
        max_program: 1,
        max_programs_total: 1,
        max_transfer: MAX_TRANSFER,
        budget: Fuel(1),
        types: Vec::new(),
        device_programs: Vec::new(),
        reaches: Vec::new(),
        reads: Vec::new(),
    };
    Bench::new(
        link,
        vec![
            nvm(START),
            slm(vec![BLOCKS, OTHER, PROGRAMS]),
            slm(Vec::new()),
            nvm(2 << 20),
            Box::new(Cp::new(programs, Executor::inline())),
        ],
    )
}

fn memory(bench: &Bench, nsid: u32) -> Arc<Mapping> {
    let namespace = bench.subsystem.namespace(nsid).expect("there");
    Arc::clone(namespace.set.memory().expect("memory"))
}

fn copy<T: IntoBytes + Immutable>(
    bench: &Bench,
    to: u64,
    len: u64,
    cdf: CopyFormat,
    sources: &[T],
) -> Sqe {
    let nr_z = u8::try_from(sources.len() - 1).expect("at most 256");
    let cdw12 = MemoryCopyCdw12::new().with_nr_z(nr_z).with_cdf(cdf);
    let sqe = Sqe::memory_copy(NSID, to, len, cdw12);
    bench.bringing(sqe, sources.as_bytes())
}

fn blocks(snsid: u32, slba: u64, nlb: u64) -> CopyRange2 {
    let nlb_z = u16::try_from(nlb - 1).expect("16 bits");
    let mut range = CopyRange2::default();
    (range.snsid, range.slba, range.nlb_z) = (snsid, slba, nlb_z);
    range
}

fn copy_blocks(bench: &Bench, to: u64, len: u64, sources: &[CopyRange2]) -> Sqe {
    copy(bench, to, len, CopyFormat::NamespaceLba16, sources)
}

fn copy_bytes(bench: &Bench, to: u64, len: u64, sources: &[CopyRange4]) -> Sqe {
    copy(bench, to, len, CopyFormat::Memory, sources)
}

fn extent(slba: u64, nlb: u64) -> Extent {
    Extent {
        start: START + slba * 512,
        len: nlb * 512,
    }
}

#[test]
fn bytes_written_are_read_back() {
    let mut bench = bench();
    let written: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    let write = Sqe::memory(SlmOpcode::MemoryWrite, NSID, 12, 1000);
    let write = bench.bringing(write, &written);
    assert_eq!(bench.io(&write), Ok(Step::at(bench.now + takes(1000))));
    let read = Sqe::memory(SlmOpcode::MemoryRead, NSID, 12, 1000);
    let read = bench.with_data(read, 4096, 1000);
    let end = bench.now + takes(1000) + takes(1000);
    assert_eq!(
        bench.io(&read),
        Ok(Step::data(end, 1000)),
        "one command after another"
    );
    assert_eq!(bench.host_bytes(4096, 1000), written);
    let fill = Sqe::memory(SlmOpcode::MemoryFill, NSID, 16, 8);
    assert_eq!(bench.io(&fill), Ok(Step::at(end + takes(8))));
    assert_eq!(
        bytes(&memory(&bench, NSID), 12, 16),
        [0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 12, 13, 14, 15]
    );
    assert_eq!(
        bench.io(&Sqe::new(SlmOpcode::Flush, NSID)),
        Ok(Step::done(0))
    );
    assert_eq!(bench.asked(), [], "the media has nothing to do with it");
}

#[test]
fn on_a_modelled_link_the_memory_is_booked_when_the_data_has_arrived() {
    let mut bench = bench_with(Some(LinkConfig {
        bandwidth: 1_000_000_000,
        latency: Ns(7),
    }));
    let begin = bench.now;
    let write = Sqe::memory(SlmOpcode::MemoryWrite, NSID, 0, 400);
    let write = bench.bringing(write, &[1; 400]);
    assert_eq!(bench.io(&write), Ok(Step::at(begin + Ns(407) + takes(400))));
}

#[test]
fn odd_addresses_and_ranges_outside_are_invalid_fields() {
    let mut bench = bench();
    let memory = memory(&bench, NSID);
    memory.fill(0, BYTES, 5).expect("inside");
    let bad = [
        (1, 4),
        (2, 4),
        (4, 2),
        (0, 7),
        (BYTES, 4),
        (BYTES - 4, 8),
        (u64::MAX - 3, 4),
        (u64::MAX - 3, 8),
        (0, u32::MAX - 3),
        (1, 0),
        (BYTES + 4, 0),
    ];
    for opcode in [
        SlmOpcode::MemoryRead,
        SlmOpcode::MemoryWrite,
        SlmOpcode::MemoryFill,
    ] {
        for (start, len) in bad {
            let sqe = bench.with_data(Sqe::memory(opcode, NSID, start, len), 0, 64);
            assert_eq!(
                refusal(bench.io(&sqe)),
                Status::INVALID_FIELD,
                "{opcode:?} {start} {len}"
            );
        }
        let nothing = Sqe::memory(opcode, NSID, BYTES, 0);
        assert_eq!(
            bench.io(&nothing),
            Ok(Step::done(0)),
            "no bytes are always there"
        );
    }
    assert!(
        bytes(&memory, 0, BYTES as usize)
            .iter()
            .all(|&byte| byte == 5)
    );
}

#[test]
fn mdts_bounds_what_crosses_the_link_but_not_fills() {
    let mut bench = bench();
    let len = u32::try_from(MAX_TRANSFER).expect("small") + 4;
    for opcode in [SlmOpcode::MemoryRead, SlmOpcode::MemoryWrite] {
        let sqe = bench.with_data(Sqe::memory(opcode, NSID, 0, len), 0, len as usize);
        assert_eq!(refusal(bench.io(&sqe)), Status::INVALID_FIELD);
        let sqe = bench.with_data(Sqe::memory(opcode, NSID, 0, len - 4), 0, len as usize);
        assert!(bench.io(&sqe).is_ok());
    }
    assert!(
        bench
            .io(&Sqe::memory(SlmOpcode::MemoryFill, NSID, 0, len))
            .is_ok()
    );
}

#[test]
fn a_buffer_that_is_too_short_or_not_mapped_is_told() {
    let mut bench = bench();
    for opcode in [SlmOpcode::MemoryRead, SlmOpcode::MemoryWrite] {
        let sqe = Sqe::memory(opcode, NSID, 0, 64);
        let short = bench.with_data(sqe, 0, 60);
        assert_eq!(refusal(bench.io(&short)), Status::DATA_SGL_LENGTH_INVALID);
        let unmapped = bench.with_unmapped_data(sqe);
        assert_eq!(refusal(bench.io(&unmapped)), Status::DATA_TRANSFER_ERROR);
    }
    let sqe = copy_blocks(&bench, 0, 1024, &[blocks(BLOCKS, 0, 1); 2]);
    let short = bench.with_data(sqe, 0, 63);
    assert_eq!(refusal(bench.io(&short)), Status::DATA_SGL_LENGTH_INVALID);
}

#[test]
fn blocks_are_copied_in_the_drive_when_the_media_has_read_them() {
    let mut bench = bench();
    let begin = bench.now;
    let sqe = copy_blocks(
        &bench,
        4096,
        1536,
        &[blocks(BLOCKS, 3, 2), blocks(BLOCKS, 9, 1)],
    );
    assert_eq!(bench.io(&sqe), Ok(Step::at(begin + READ + takes(1536))));
    assert_eq!(
        bench.asked(),
        [Asked::Read(extent(3, 2)), Asked::Read(extent(9, 1))]
    );
    let first = (START / 512) as u8;
    let copied = bytes(&memory(&bench, NSID), 4096, 1536);
    let expected = [first + 3, first + 4, first + 9];
    assert!(
        copied
            .iter()
            .zip(expected.iter().flat_map(|byte| [byte; 512]))
            .all(|(a, b)| a == b)
    );
    assert_eq!(
        (
            bench.subsystem.traffic.inside,
            bench.subsystem.traffic.from_host
        ),
        (1536, 64)
    );
}

#[test]
fn format_3h_has_entries_of_40_bytes_and_a_fast_copy_is_always_possible() {
    let mut bench = bench();
    let sopt = SourceOptions::new().with_fco(true);
    let entry = |slba| {
        let mut range = CopyRange3::default();
        (range.snsid, range.slba, range.sopt) = (BLOCKS, slba, sopt);
        range
    };
    let sqe = copy(
        &bench,
        0,
        1024,
        CopyFormat::NamespaceLba64,
        &[entry(1), entry(2)],
    );
    assert!(bench.io(&sqe).is_ok());
    assert_eq!(
        bench.asked(),
        [Asked::Read(extent(1, 1)), Asked::Read(extent(2, 1))]
    );
}

#[test]
fn all_256_entries_are_copied() {
    let mut bench = bench();
    let sources: Vec<_> = (0..256).map(|i| blocks(BLOCKS, i * 2, 1)).collect();
    let sqe = copy_blocks(&bench, 0, 256 * 512, &sources);
    assert!(bench.io(&sqe).is_ok());
    let last = bytes(&memory(&bench, NSID), 255 * 512, 512);
    assert_eq!(last, [((START / 512 + 510) % 256) as u8; 512]);
}

#[test]
fn memory_is_copied_from_itself_and_from_other_memory() {
    let mut bench = bench();
    memory(&bench, NSID).write(0, b"abcdefgh").expect("inside");
    memory(&bench, OTHER).write(4, b"ABCD").expect("inside");
    let sources = [
        CopyRange4::new(NSID, 0, 8),
        CopyRange4::new(0, 1, 0),
        CopyRange4::new(OTHER, 4, 4),
    ];
    // An entry of no bytes is skipped, but must be aligned all the same.
    let odd = copy_bytes(&bench, 8, 12, &[CopyRange4::new(NSID, 0, 2)]);
    assert_eq!(refusal(bench.io(&odd)), Status::INVALID_FIELD);
    let sqe = copy_bytes(&bench, 8, 12, &sources);
    assert_eq!(bench.io(&sqe), Ok(Step::at(bench.now + takes(12))));
    assert_eq!(bytes(&memory(&bench, NSID), 0, 20), b"abcdefghabcdefghABCD");
    let nothing = copy_bytes(&bench, 8, 0, &[CopyRange4::new(NSID, 0, 0)]);
    assert_eq!(bench.io(&nothing), Ok(Step::done(0)));
}

/// A copy of `len` bytes to byte `to`, which shall fail with `status` and change nothing.
fn refused<T: IntoBytes + Immutable>(
    bench: &mut Bench,
    (to, len): (u64, u64),
    cdf: CopyFormat,
    sources: &[T],
    status: Status,
) {
    let before = bytes(&memory(bench, NSID), 0, 8192);
    let sqe = copy(bench, to, len, cdf, sources);
    assert_eq!(
        refusal(bench.io(&sqe)),
        status,
        "{cdf:?}, {len} bytes to {to}"
    );
    assert_eq!(bytes(&memory(bench, NSID), 0, 8192), before);
    assert!(
        !bench
            .asked()
            .iter()
            .any(|asked| matches!(asked, Asked::Read(_)))
    );
}

#[test]
fn a_copy_to_a_bad_place_or_of_another_length_is_an_invalid_field() {
    let mut bench = bench();
    let one = [blocks(BLOCKS, 0, 1)];
    for cdf in [
        CopyFormat::Lba16,
        CopyFormat::Lba64,
        CopyFormat(5),
        CopyFormat(15),
    ] {
        refused(&mut bench, (0, 512), cdf, &one, Status::INVALID_FIELD);
    }
    let places = [
        (2, 512),
        (0, 511),
        (0, 1024),
        (0, 0),
        (BYTES - 508, 512),
        (u64::MAX - 3, 512),
        (0, u64::MAX - 3),
    ];
    for place in places {
        refused(
            &mut bench,
            place,
            CopyFormat::NamespaceLba16,
            &one,
            Status::INVALID_FIELD,
        );
    }
}

#[test]
fn each_thing_that_is_wrong_with_blocks_as_a_source_has_its_status() {
    let mut bench = bench();
    let mut extended = blocks(BLOCKS, 0, 1);
    extended.cetype = 1;
    let cases = [
        (blocks(0, 0, 1), Status::INVALID_FIELD),
        (blocks(NSID_ALL, 0, 1), Status::INVALID_FIELD),
        (blocks(77, 0, 1), Status::INVALID_FIELD),
        (extended, Status::INVALID_FIELD),
        (blocks(FAR, 0, 1), Status::NAMESPACE_NOT_REACHABLE),
        (blocks(NSID, 0, 1), Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT),
        (blocks(OTHER, 0, 1), Status::INVALID_NAMESPACE_OR_FORMAT),
        (blocks(PROGRAMS, 0, 1), Status::INVALID_NAMESPACE_OR_FORMAT),
        (blocks(BLOCKS, 2048, 1), Status::LBA_OUT_OF_RANGE),
        (blocks(BLOCKS, u64::MAX, 1), Status::LBA_OUT_OF_RANGE),
    ];
    for (bad, status) in cases {
        let sources = [blocks(BLOCKS, 0, 1), bad];
        refused(
            &mut bench,
            (0, 1024),
            CopyFormat::NamespaceLba16,
            &sources,
            status,
        );
    }
    let sqe = copy_blocks(&bench, 0, 1024, &[blocks(BLOCKS, 2047, 2)]);
    let error = bench.io(&sqe).expect_err("outside");
    assert_eq!(error.at, Some(bench.now + REFUSED));
    assert_eq!(bench.asked(), [Asked::Refused(Operation::Read)]);
}

#[test]
fn each_thing_that_is_wrong_with_memory_as_a_source_has_its_status() {
    let mut bench = bench();
    let far = BYTES - 4;
    let cases = [
        (CopyRange4::new(0, 0, 8), Status::INVALID_FIELD),
        (CopyRange4::new(NSID_ALL, 0, 8), Status::INVALID_FIELD),
        (CopyRange4::new(77, 0, 8), Status::INVALID_FIELD),
        (CopyRange4::new(OTHER, 2, 8), Status::INVALID_FIELD),
        (CopyRange4::new(OTHER, 0, 6), Status::INVALID_FIELD),
        (CopyRange4::new(OTHER, far, 8), Status::INVALID_FIELD),
        (
            CopyRange4::new(OTHER, u64::MAX - 3, 8),
            Status::INVALID_FIELD,
        ),
        (CopyRange4::new(NSID, far, 8), Status::INVALID_FIELD),
        (
            CopyRange4::new(BLOCKS, 0, 8),
            Status::INVALID_NAMESPACE_OR_FORMAT,
        ),
        (
            CopyRange4::new(PROGRAMS, 0, 8),
            Status::INVALID_NAMESPACE_OR_FORMAT,
        ),
        (CopyRange4::new(FAR, 0, 8), Status::NAMESPACE_NOT_REACHABLE),
        (CopyRange4::new(NSID, 4092, 8), Status::OVERLAPPING_IO_RANGE),
        (CopyRange4::new(NSID, 4104, 8), Status::OVERLAPPING_IO_RANGE),
    ];
    for (bad, status) in cases {
        let sources = [CopyRange4::new(OTHER, 0, 4), bad];
        refused(&mut bench, (4096, 12), CopyFormat::Memory, &sources, status);
    }
    for beside in [4088, 4108] {
        let sources = [
            CopyRange4::new(OTHER, 0, 4),
            CopyRange4::new(NSID, beside, 8),
        ];
        assert!(
            bench.io(&copy_bytes(&bench, 4096, 12, &sources)).is_ok(),
            "{beside}"
        );
    }
}

#[test]
fn a_copy_that_the_media_can_not_read_changes_nothing() {
    let mut bench = bench();
    bench.break_media(Fault::Uncorrectable);
    let sqe = copy_blocks(&bench, 0, 512, &[blocks(BLOCKS, 7, 1)]);
    let error = bench.io(&sqe).expect_err("broken");
    assert_eq!(error.status.code(), Status::UNRECOVERED_READ_ERROR);
    assert_eq!(error.at, Some(bench.now + READ));
    assert_eq!(bytes(&memory(&bench, NSID), 0, 512), [0; 512]);
}

#[test]
fn unknown_opcodes_are_refused_and_known_ones_are_in_the_effects() {
    let mut bench = bench();
    let known: Vec<_> = EFFECTS.iter().map(|effect| effect.opcode).collect();
    for opcode in 0..=u8::MAX {
        let invalid = bench
            .io(&Sqe::new(opcode, NSID))
            .is_err_and(|error| error.status.code() == Status::INVALID_OPCODE);
        assert_eq!(invalid, !known.contains(&opcode), "{opcode:#04x}");
    }
}

#[test]
fn identify_tells_size_granularity_and_ranges_but_no_blocks() {
    let bench = bench();
    let set = &bench.subsystem.namespace(NSID).expect("there").set;
    let mut page = [0xFF; 4096];
    assert!(!set.identify(Form::Blocks, &mut page));
    assert!(set.identify(Form::Specific, &mut page));
    let identity = IdentifyNamespaceSlm::read_from_bytes(&page).expect("4096 bytes");
    assert_eq!(
        (identity.nsze, identity.gran, identity.msrc_z),
        (BYTES, 2, 255)
    );
    assert_eq!(identity.mcl, 0, "no limit");
    assert_eq!(set.capacity(), BYTES);
}

#[test]
fn no_memory_for_it_is_an_error() {
    let config = SlmConfig {
        bytes: 0,
        max_transfer: 0,
        bandwidth: 1,
        latency: Ns::ZERO,
        reaches: Vec::new(),
    };
    assert!(Slm::new(config).is_err());
}
