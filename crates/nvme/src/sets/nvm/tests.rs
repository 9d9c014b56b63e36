use super::*;
use crate::link::LinkConfig;
use crate::sets::testing::*;
use nvme_spec::Sqe;
use nvme_spec::nvm::PrInfo;
use zerocopy::FromZeros;

const BLOCK: u32 = 512;
const BLOCKS: u64 = 2000;
const START: u64 = 64 << 10;
const MAX_TRANSFER: u64 = 128 << 10;
const NSID: u32 = 1;

fn config() -> NvmConfig {
    NvmConfig {
        start: START,
        block: BLOCK,
        blocks: BLOCKS,
        max_transfer: MAX_TRANSFER,
    }
}

fn store() -> Arc<Mapping> {
    Arc::new(Mapping::anonymous("store", 2 << 20).expect("map"))
}

fn bench() -> (Bench, Arc<Mapping>) {
    bench_with(None)
}

fn bench_with(link: Option<LinkConfig>) -> (Bench, Arc<Mapping>) {
    let store = store();
    let nvm = Nvm::new(config(), Arc::clone(&store)).expect("possible");
    (Bench::new(link, vec![Box::new(nvm)]), store)
}

fn slow_link() -> LinkConfig {
    LinkConfig {
        bandwidth: 1_000_000_000,
        latency: Ns(100),
    }
}

fn command(opcode: NvmOpcode, slba: u64, nlb: u64) -> Sqe {
    let nlb_z = u16::try_from(nlb - 1).expect("16 bits");
    let mut sqe = Sqe::new(opcode, NSID);
    sqe.set_cdw10_11(slba);
    sqe.cdw12 = RwCdw12::new().with_nlb_z(nlb_z).into_bits();
    sqe
}

fn extent(slba: u64, nlb: u64) -> Extent {
    Extent {
        start: START + slba * 512,
        len: nlb * 512,
    }
}

fn deallocate(ranges: &[(u64, u32)]) -> (Sqe, Vec<u8>) {
    let mut sqe = Sqe::new(NvmOpcode::DatasetManagement, NSID);
    sqe.cdw10 = u32::try_from(ranges.len() - 1).expect("few");
    sqe.cdw11 = DsmCdw11::new().with_ad(true).into_bits();
    let range = |&(slba, nlb)| DsmRange {
        slba,
        nlb,
        ..DsmRange::new_zeroed()
    };
    let ranges: Vec<_> = ranges.iter().map(range).collect();
    (sqe, ranges.as_bytes().to_vec())
}

#[test]
fn what_was_written_is_read_back_and_the_media_says_when() {
    let (mut bench, store) = bench();
    let written: Vec<u8> = (0..1024).map(|i| i as u8).collect();
    let write = bench.bringing(command(NvmOpcode::Write, 3, 2), &written);
    assert_eq!(bench.io(&write), Ok(Step::at(bench.now + WRITE)));
    assert_eq!(bytes(&store, START + 3 * 512, 1024), written);
    let read = bench.with_data(command(NvmOpcode::Read, 3, 2), 4096, 1024);
    assert_eq!(bench.io(&read), Ok(Step::data(bench.now + READ, 1024)));
    assert_eq!(bench.host_bytes(4096, 1024), written);
    assert_eq!(
        bench.asked(),
        [Asked::Write(extent(3, 2)), Asked::Read(extent(3, 2))]
    );
    let counters = bench.subsystem.counters;
    assert_eq!((counters.bytes_written, counters.writes), (1024, 1));
    assert_eq!((counters.bytes_read, counters.reads), (1024, 1));
}

#[test]
fn on_a_modelled_link_a_write_reaches_the_media_when_its_data_has_arrived() {
    let (mut bench, store) = bench_with(Some(slow_link()));
    let begin = bench.now;
    let write = bench.bringing(command(NvmOpcode::Write, 0, 1), &[7; 512]);
    assert_eq!(
        bench.io(&write),
        Ok(Step::at(begin + Ns(512 + 100) + WRITE))
    );
    assert_eq!(bytes(&store, START, 512), [7; 512]);
    let asked = bench.media.lock().expect("not poisoned").asked.clone();
    assert_eq!(asked, [(begin + Ns(612), Asked::Write(extent(0, 1)))]);
    // The other direction is the controller's.
    let read = bench.with_data(command(NvmOpcode::Read, 0, 1), 4096, 512);
    assert_eq!(bench.io(&read), Ok(Step::data(bench.now + READ, 512)));
    let compare = bench.bringing(command(NvmOpcode::Compare, 0, 1), &[7; 512]);
    let begin = bench.now;
    assert_eq!(bench.io(&compare), Ok(Step::at(begin + Ns(612) + READ)));
}

#[test]
fn blocks_outside_are_refused_by_the_media_and_nothing_changes() {
    let ranges = [
        (BLOCKS, 1),
        (BLOCKS - 1, 2),
        (u64::MAX, 1),
        (u64::MAX - 1, 4),
        (1 << 55, 1),
        (0, 65536),
    ];
    let opcodes = [
        (NvmOpcode::Write, Operation::Write),
        (NvmOpcode::WriteZeroes, Operation::Write),
        (NvmOpcode::Read, Operation::Read),
        (NvmOpcode::Compare, Operation::Read),
        (NvmOpcode::Verify, Operation::Read),
    ];
    let (mut bench, store) = bench();
    store.fill(0, store.len(), 5).expect("inside");
    for (opcode, operation) in opcodes {
        for (slba, nlb) in ranges {
            let too_long = nlb * 512 > MAX_TRANSFER;
            if too_long && !matches!(opcode, NvmOpcode::WriteZeroes | NvmOpcode::Verify) {
                continue;
            }
            let sqe = bench.with_data(command(opcode, slba, nlb), 0, 64 << 10);
            let error = bench.io(&sqe).expect_err("outside");
            assert_eq!(
                error.status,
                Status::LBA_OUT_OF_RANGE.with_dnr(true),
                "{opcode:?}"
            );
            assert_eq!(error.at, Some(bench.now + REFUSED));
            assert_eq!(bench.asked(), [Asked::Refused(operation)]);
        }
    }
    assert!(bytes(&store, 0, 2 << 20).iter().all(|&byte| byte == 5));
    assert_eq!(bench.subsystem.counters, Default::default());
}

#[test]
fn more_than_mdts_is_an_invalid_field_but_only_where_data_crosses() {
    let (mut bench, _) = bench();
    let most = MAX_TRANSFER / 512;
    for opcode in [NvmOpcode::Write, NvmOpcode::Read, NvmOpcode::Compare] {
        let fits = bench.with_data(command(opcode, 0, most), 0, 128 << 10);
        assert!(bench.io(&fits).is_ok(), "{opcode:?}");
        let sqe = bench.with_data(command(opcode, 0, most + 1), 0, 256 << 10);
        assert_eq!(refusal(bench.io(&sqe)), Status::INVALID_FIELD, "{opcode:?}");
    }
    for opcode in [NvmOpcode::WriteZeroes, NvmOpcode::Verify] {
        assert!(bench.io(&command(opcode, 0, BLOCKS)).is_ok(), "{opcode:?}");
    }
}

#[test]
fn extensions_and_directives_are_invalid_fields_and_protection_is_ignored() {
    let (mut bench, store) = bench();
    let pract = RwCdw12::new()
        .with_prinfo(PrInfo::new().with_pract(true))
        .into_bits();
    let cetype = RwCdw12::new().with_cetype(1).into_bits();
    let all = [
        NvmOpcode::Write,
        NvmOpcode::Read,
        NvmOpcode::Compare,
        NvmOpcode::Verify,
        NvmOpcode::WriteZeroes,
    ];
    for opcode in all {
        let mut sqe = bench.bringing(command(opcode, 0, 1), &[1; 512]);
        sqe.cdw12 |= cetype;
        assert_eq!(refusal(bench.io(&sqe)), Status::INVALID_FIELD, "{opcode:?}");
    }
    let mut directed = bench.bringing(command(NvmOpcode::Write, 0, 1), &[1; 512]);
    directed.cdw12 |= RwCdw12::new().with_dtype(1).into_bits();
    assert_eq!(refusal(bench.io(&directed)), Status::INVALID_FIELD);
    let mut whole = command(NvmOpcode::WriteZeroes, 0, 1);
    whole.cdw12 |= WriteZeroesCdw12::new().with_nsz(true).into_bits();
    assert_eq!(refusal(bench.io(&whole)), Status::INVALID_FIELD);
    assert_eq!(bench.asked(), []);
    assert_eq!(bytes(&store, START, 512), [0; 512]);
    let mut protected = bench.bringing(command(NvmOpcode::Write, 0, 1), &[1; 512]);
    protected.cdw12 |= pract;
    bench
        .io(&protected)
        .expect("the namespace has no protection information");
    assert_eq!(bytes(&store, START, 512), [1; 512]);
}

#[test]
fn checks_hints_and_limited_retry_make_no_difference() {
    let (mut bench, _) = bench();
    let prinfo = PrInfo::new().with_check_guard(true).with_check_reftag(true);
    let mut read = bench.with_data(command(NvmOpcode::Read, 0, 1), 0, 512);
    read.cdw12 |= RwCdw12::new()
        .with_prinfo(prinfo)
        .with_lr(true)
        .with_fua(true)
        .into_bits();
    read.cdw13 = u32::MAX;
    assert_eq!(bench.io(&read), Ok(Step::data(bench.now + READ, 512)));
}

#[test]
fn a_forced_write_is_done_when_it_is_durable() {
    let (mut bench, _) = bench();
    for opcode in [NvmOpcode::Write, NvmOpcode::WriteZeroes] {
        let mut sqe = bench.bringing(command(opcode, 0, 1), &[1; 512]);
        sqe.cdw12 |= RwCdw12::new().with_fua(true).into_bits();
        assert_eq!(bench.io(&sqe), Ok(Step::at(bench.now + FLUSH)));
        assert_eq!(bench.asked(), [Asked::Write(extent(0, 1)), Asked::Flush]);
    }
    assert_eq!(
        bench.io(&Sqe::new(NvmOpcode::Flush, NSID)),
        Ok(Step::at(bench.now + FLUSH))
    );
}

#[test]
fn compare_tells_equal_from_different_when_the_media_has_read() {
    let (mut bench, store) = bench();
    store.fill(START + 512, 512, 9).expect("inside");
    let equal = bench.bringing(command(NvmOpcode::Compare, 1, 1), &[9; 512]);
    assert_eq!(bench.io(&equal), Ok(Step::at(bench.now + READ)));
    let mut other = [9; 512];
    other[511] = 8;
    let different = bench.bringing(command(NvmOpcode::Compare, 1, 1), &other);
    let error = bench.io(&different).expect_err("different");
    assert_eq!(error.status.code(), Status::COMPARE_FAILURE);
    assert_eq!(error.at, Some(bench.now + READ));
    assert_eq!(bytes(&store, START + 512, 512), [9; 512]);
}

#[test]
fn zeroes_are_written_or_deallocated_as_the_host_likes() {
    let (mut bench, store) = bench();
    store.fill(0, store.len(), 5).expect("inside");
    let write = command(NvmOpcode::WriteZeroes, 1, 2);
    assert_eq!(bench.io(&write), Ok(Step::at(bench.now + WRITE)));
    let mut trim = command(NvmOpcode::WriteZeroes, 5, 1);
    trim.cdw12 |= WriteZeroesCdw12::new().with_deac(true).into_bits();
    assert_eq!(bench.io(&trim), Ok(Step::at(bench.now + TRIM)));
    assert_eq!(
        bench.asked(),
        [Asked::Write(extent(1, 2)), Asked::Trim(extent(5, 1))]
    );
    let zero = |block: u64| bytes(&store, START + block * 512, 512) == [0; 512];
    let zeros: Vec<_> = (0..8).filter(|&block| zero(block)).collect();
    assert_eq!(zeros, [1, 2, 5]);
}

#[test]
fn deallocated_blocks_read_as_zeros_and_only_they() {
    let (mut bench, store) = bench();
    store.fill(0, store.len(), 5).expect("inside");
    let (sqe, ranges) = deallocate(&[(1, 2), (100, 0), (BLOCKS - 1, 1), (500, 300)]);
    let sqe = bench.bringing(sqe, &ranges);
    assert_eq!(bench.io(&sqe), Ok(Step::at(bench.now + TRIM)));
    let trimmed = [extent(1, 2), extent(BLOCKS - 1, 1), extent(500, 300)];
    assert_eq!(bench.asked(), trimmed.map(Asked::Trim));
    let all = bytes(&store, 0, 2 << 20);
    for (block, data) in all.chunks(512).enumerate() {
        let block = (block as u64).wrapping_sub(START / 512);
        let inside = matches!(block, 1 | 2 | 500..800) || block == BLOCKS - 1;
        let expected = if inside { 0 } else { 5 };
        assert!(data.iter().all(|&byte| byte == expected), "block {block}");
    }
}

#[test]
fn all_256_ranges_are_deallocated_and_one_bad_range_stops_all() {
    let (mut bench, store) = bench();
    store.fill(0, store.len(), 5).expect("inside");
    let mut ranges: Vec<_> = (0..256).map(|i| (i * 2, 1)).collect();
    ranges[255] = (BLOCKS, 1);
    let (sqe, data) = deallocate(&ranges);
    let error = bench.io(&bench.bringing(sqe, &data)).expect_err("outside");
    assert_eq!(error.status.code(), Status::LBA_OUT_OF_RANGE);
    assert_eq!(bench.asked(), [Asked::Refused(Operation::Trim)]);
    assert!(bytes(&store, START, 512).iter().all(|&byte| byte == 5));
    ranges[255] = (510, 1);
    let (sqe, data) = deallocate(&ranges);
    assert!(bench.io(&bench.bringing(sqe, &data)).is_ok());
    assert_eq!(bench.asked().len(), 256);
}

#[test]
fn attributes_without_deallocation_change_nothing() {
    let (mut bench, _) = bench();
    let (mut sqe, data) = deallocate(&[(0, 1)]);
    sqe.cdw11 = DsmCdw11::new().with_idr(true).with_idw(true).into_bits();
    assert_eq!(bench.io(&bench.bringing(sqe, &data)), Ok(Step::done(0)));
    assert_eq!(bench.asked(), []);
}

#[test]
fn data_that_cannot_be_transferred_keeps_the_media_out_of_it() {
    let (mut bench, _) = bench();
    let (trim, _) = deallocate(&[(0, 1)]);
    let commands = [NvmOpcode::Write, NvmOpcode::Read, NvmOpcode::Compare];
    let commands = commands.map(|opcode| command(opcode, 0, 1));
    for sqe in commands.into_iter().chain([trim]) {
        let error = bench
            .io(&bench.with_unmapped_data(sqe))
            .expect_err("unmapped");
        assert_eq!(error.status, Status::DATA_TRANSFER_ERROR, "may be retried");
    }
    let short = bench.with_data(command(NvmOpcode::Write, 0, 2), 0, 512);
    assert_eq!(refusal(bench.io(&short)), Status::DATA_SGL_LENGTH_INVALID);
    assert_eq!(bench.asked(), []);
}

#[test]
fn a_media_that_fails_is_told_with_its_time() {
    let (mut bench, _) = bench();
    bench.break_media(Fault::Uncorrectable);
    let read = bench.with_data(command(NvmOpcode::Read, 0, 1), 0, 512);
    let error = bench.io(&read).expect_err("broken");
    assert_eq!(error.status.code(), Status::UNRECOVERED_READ_ERROR);
    assert_eq!(error.at, Some(bench.now + READ));
}

#[test]
fn once_the_media_is_read_only_writes_leave_the_data_alone() {
    let (mut bench, store) = bench();
    store.fill(0, store.len(), 5).expect("inside");
    bench.break_media(Fault::ReadOnly);
    let first = bench.bringing(command(NvmOpcode::Write, 0, 1), &[1; 512]);
    assert_eq!(refusal(bench.io(&first)), Status::NAMESPACE_WRITE_PROTECTED);
    let second = bench.bringing(command(NvmOpcode::Write, 1, 1), &[1; 512]);
    assert_eq!(
        refusal(bench.io(&second)),
        Status::NAMESPACE_WRITE_PROTECTED
    );
    let zeroes = command(NvmOpcode::WriteZeroes, 2, 1);
    assert_eq!(
        refusal(bench.io(&zeroes)),
        Status::NAMESPACE_WRITE_PROTECTED
    );
    let (trim, data) = deallocate(&[(3, 1)]);
    let trim = bench.bringing(trim, &data);
    assert_eq!(refusal(bench.io(&trim)), Status::NAMESPACE_WRITE_PROTECTED);
    assert!(
        bytes(&store, START + 512, 3 * 512)
            .iter()
            .all(|&byte| byte == 5)
    );
}

#[test]
fn blocks_that_a_host_made_unreadable_fail_until_they_are_written() {
    let (mut bench, store) = bench();
    store.fill(0, store.len(), 5).expect("inside");
    let mark = command(NvmOpcode::WriteUncorrectable, 10, 6);
    assert_eq!(bench.io(&mark), Ok(Step::at(bench.now + WRITE)));
    assert_eq!(bench.asked(), [Asked::Write(extent(10, 6))]);
    let fails = |bench: &mut Bench, sqe: Sqe, lba| {
        let sqe = bench.bringing(sqe, &[5; 16 * 512]);
        let error = bench.io(&sqe).expect_err("unreadable");
        assert_eq!(error.status.code(), Status::UNRECOVERED_READ_ERROR);
        assert_eq!((error.lba, error.at), (Some(lba), Some(bench.now + READ)));
    };
    for opcode in [NvmOpcode::Read, NvmOpcode::Compare, NvmOpcode::Verify] {
        fails(&mut bench, command(opcode, 8, 4), 10);
        fails(&mut bench, command(opcode, 13, 1), 13);
        let beside = bench.bringing(command(opcode, 8, 2), &[5; 1024]);
        assert!(bench.io(&beside).is_ok());
    }
    assert_eq!(
        bench.subsystem.traffic.to_host, 1024,
        "of what can't be read, nothing"
    );
    let write = bench.bringing(command(NvmOpcode::Write, 10, 1), &[5; 512]);
    assert!(bench.io(&write).is_ok());
    assert!(bench.io(&command(NvmOpcode::WriteZeroes, 11, 1)).is_ok());
    let (trim, data) = deallocate(&[(12, 1), (14, 1)]);
    let trim = bench.bringing(trim, &data);
    assert!(bench.io(&trim).is_ok());
    fails(&mut bench, command(NvmOpcode::Read, 10, 6), 13);
    let write = bench.bringing(command(NvmOpcode::Write, 13, 3), &[5; 1536]);
    assert!(bench.io(&write).is_ok());
    let read = bench.with_data(command(NvmOpcode::Read, 10, 6), 0, 3072);
    assert!(bench.io(&read).is_ok());
}

#[test]
fn blocks_are_made_unreadable_only_inside_of_the_namespace_and_of_what_can_be_written() {
    let (mut bench, _) = bench();
    let outside = command(NvmOpcode::WriteUncorrectable, BLOCKS - 1, 2);
    assert_eq!(refusal(bench.io(&outside)), Status::LBA_OUT_OF_RANGE);
    bench.break_media(Fault::ReadOnly);
    let mark = command(NvmOpcode::WriteUncorrectable, 0, 1);
    assert_eq!(refusal(bench.io(&mark)), Status::NAMESPACE_WRITE_PROTECTED);
    bench.media.lock().expect("not poisoned").fault = None;
    let read = bench.with_data(command(NvmOpcode::Read, 0, 1), 0, 512);
    assert!(bench.io(&read).is_ok());
}

#[test]
fn unknown_opcodes_are_refused_and_known_ones_are_in_the_effects() {
    let (mut bench, _) = bench();
    let known: Vec<_> = EFFECTS.iter().map(|effect| effect.opcode).collect();
    for opcode in 0..=u8::MAX {
        let invalid = bench
            .io(&Sqe::new(opcode, NSID))
            .is_err_and(|error| error.status.code() == Status::INVALID_OPCODE);
        assert_eq!(invalid, !known.contains(&opcode), "{opcode:#04x}");
    }
}

#[test]
fn identify_tells_size_and_format() {
    let (bench, _) = bench();
    let set = &bench.subsystem.namespaces()[0].set;
    let mut page = [0xFF; 4096];
    assert!(set.identify(Form::Blocks, &mut page));
    let identity = IdentifyNamespace::read_from_bytes(&page).expect("4096 bytes");
    assert_eq!(
        (identity.nsze, identity.ncap, identity.nuse),
        (BLOCKS, BLOCKS, BLOCKS)
    );
    assert_eq!((identity.nlbaf_z, identity.flbas.index()), (1, 0));
    assert_eq!((identity.lbaf[0].lbads(), identity.lbaf[0].ms()), (9, 0));
    assert_eq!((identity.lbaf[1].lbads(), identity.lbaf[1].ms()), (12, 0));
    assert_eq!(identity.lbaf[2].lbads(), 0);
    assert_eq!((identity.dlfeat.read(), identity.dlfeat.wzd()), (1, true));
    assert_eq!(identity.nvmcap.get(), u128::from(BLOCKS * 512));
    assert!(set.identify(Form::Specific, &mut page));
    assert_eq!(page, [0; 4096]);
    assert_eq!(set.capacity(), BLOCKS * 512);
}

#[test]
fn a_namespace_outside_of_the_store_or_of_odd_blocks_is_none() {
    let nvm = |config| Nvm::new(config, store()).map(|_| ());
    for block in [0, 256, 513, 3 << 10] {
        let error = nvm(NvmConfig { block, ..config() });
        assert_eq!(error, Err(NvmConfigError::Block(block)));
    }
    for blocks in [1 << 20, u64::MAX] {
        let error = nvm(NvmConfig { blocks, ..config() });
        assert!(matches!(error, Err(NvmConfigError::OutOfBounds(_))));
    }
    assert!(
        nvm(NvmConfig {
            start: u64::MAX,
            ..config()
        })
        .is_err()
    );
    assert!(
        nvm(NvmConfig {
            start: 0,
            block: 4096,
            blocks: 512,
            ..config()
        })
        .is_ok()
    );
}
