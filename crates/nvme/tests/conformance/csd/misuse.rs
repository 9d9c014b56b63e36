//! Everything on the computational path that a host can do wrong.

use super::*;

#[test]
fn images_that_are_no_programs_are_refused_and_leave_the_slot_empty() {
    let mut host = Host::new();
    let image = program("vadd");
    let mut wrong_machine = image.clone();
    wrong_machine[18] = 0x3E; // x86-64
    for bad in [
        &image[..200],
        &wrong_machine,
        b"no program at all",
        &[0; 5000],
    ] {
        assert_eq!(host.load(0, bad), Status::INVALID_PROGRAM_DATA);
        assert_eq!(
            host.select(0, ActivationSelect::Activate),
            Status::NO_PROGRAM
        );
    }
    assert_eq!(host.load(0, &image), Status::SUCCESS);
}

#[test]
fn each_misuse_of_load_program_has_its_status() {
    let mut host = Host::new();
    let page = host.page.iova();
    let mut status = |sqe: Sqe| host.admin.status(sqe.with_prp(page, 0));
    let good = Sqe {
        cdw14: 100,
        ..load(0, 1000)
    };
    assert_eq!(status(good), Status::SUCCESS);
    assert_eq!(
        status(Sqe {
            cdw14: 100,
            ..load(4, 1000)
        }),
        Status::INVALID_PROGRAM_INDEX
    );
    for ptype in [
        ProgramType::DeviceDefined,
        ProgramType(0x01),
        ProgramType(0xC1),
    ] {
        let cdw10 = LoadProgramCdw10::from_bits(good.cdw10)
            .with_ptype(ptype)
            .into_bits();
        assert_eq!(status(Sqe { cdw10, ..good }), Status::INVALID_PROGRAM_TYPE);
    }
    assert_eq!(
        status(Sqe {
            cdw14: 100,
            ..load(0, 65_537)
        }),
        Status::PROGRAM_TOO_BIG
    );
    assert_eq!(
        status(Sqe {
            cdw14: 1001,
            ..good
        }),
        Status::PROGRAM_TOO_BIG
    );
    assert_eq!(
        status(Sqe {
            cdw14: u32::MAX,
            cdw15: u32::MAX,
            ..good
        }),
        Status::PROGRAM_TOO_BIG
    );
    assert_eq!(
        status(Sqe { cdw11: 0, ..good }),
        Status::INVALID_PROGRAM_DATA
    );
    assert_eq!(status(Sqe { cdw14: 0, ..good }), Status::INVALID_FIELD);
    assert_eq!(
        status(Sqe {
            nsid: INACTIVE,
            ..good
        }),
        Status::INVALID_FIELD
    );
    assert_eq!(
        host.admin.status(good.with_prp(0, 0)),
        Status::DATA_TRANSFER_ERROR
    );
    assert_eq!(host.unload(1), Status::NO_PROGRAM);
    assert_eq!(host.unload(4), Status::INVALID_PROGRAM_INDEX);
}

#[test]
fn programs_are_activated_up_to_the_limit_and_unloaded_when_they_rest() {
    let mut host = Host::new();
    for pind in 0..3 {
        assert_eq!(host.load(pind, &program("sum")), Status::SUCCESS);
    }
    assert_eq!(
        host.select(3, ActivationSelect::Activate),
        Status::NO_PROGRAM
    );
    assert_eq!(
        host.select(4, ActivationSelect::Activate),
        Status::INVALID_PROGRAM_INDEX
    );
    assert_eq!(host.select(0, ActivationSelect(2)), Status::INVALID_FIELD);
    for _ in 0..2 {
        assert_eq!(host.select(0, ActivationSelect::Activate), Status::SUCCESS);
    }
    assert_eq!(host.select(1, ActivationSelect::Activate), Status::SUCCESS);
    assert_eq!(
        host.select(2, ActivationSelect::Activate),
        Status::MAXIMUM_PROGRAMS_ACTIVATED
    );
    assert_eq!(host.unload(0), Status::PROGRAM_IN_USE);
    assert_eq!(
        host.select(0, ActivationSelect::Deactivate),
        Status::SUCCESS
    );
    assert_eq!(host.unload(0), Status::SUCCESS);
    assert_eq!(host.select(2, ActivationSelect::Activate), Status::SUCCESS);
}

#[test]
fn each_misuse_of_execute_program_has_its_status() {
    let mut host = Host::loaded("vadd");
    let range = |nsid, at, len| MemoryRange::new(nsid, at, len);
    let good = [range(MEMORY, 0, 4)];
    let mut with = |execute: Execute, ranges: &[MemoryRange]| {
        let sqe = host.execute(execute, ranges, &[]);
        host.io.status(sqe)
    };
    let none = Execute::default();
    assert_eq!(with(none, &good), Status::SUCCESS);
    assert_eq!(with(Execute { pind: 1, ..none }, &good), Status::NO_PROGRAM);
    assert_eq!(
        with(Execute { pind: 4, ..none }, &good),
        Status::INVALID_PROGRAM_INDEX
    );
    assert_eq!(
        with(Execute { rsid: 1, ..none }, &[]),
        Status::INVALID_MEMORY_RANGE_SET_ID
    );
    assert_eq!(
        with(Execute { rsid: 1, ..none }, &good),
        Status::INVALID_FIELD
    );
    assert_eq!(
        with(none, &[range(BLOCKS_4K, 0, 4)]),
        Status::INVALID_MEMORY_NAMESPACE
    );
    assert_eq!(
        with(none, &[range(COMPUTE, 0, 4)]),
        Status::INVALID_MEMORY_NAMESPACE
    );
    assert_eq!(
        with(none, &[range(99, 0, 4)]),
        Status::INVALID_MEMORY_NAMESPACE
    );
    for (at, len) in [
        (0, 0),
        (2, 4),
        (0, 2),
        (SLM_BYTES, 4),
        (SLM_BYTES - 4, 8),
        (u64::MAX - 3, 4),
    ] {
        let status = with(none, &[range(MEMORY, at, len)]);
        assert_eq!(status, Status::INVALID_MEMORY_RANGE_SET, "{len} at {at}");
    }
    let overlapping = [range(MEMORY, 0, 8), range(MEMORY, 4, 8)];
    assert_eq!(with(none, &overlapping), Status::OVERLAPPING_MEMORY_RANGES);
    let many: Vec<_> = (0..5).map(|i| range(MEMORY, i * 4, 4)).collect();
    assert_eq!(with(none, &many), Status::MAXIMUM_MEMORY_RANGES_EXCEEDED);
    let page = host.page.iova();
    let short = Execute {
        numr: 2,
        dlen: 32,
        ..none
    }
    .into_sqe(COMPUTE)
    .with_prp(page, 0);
    assert_eq!(host.io.status(short), Status::INVALID_FIELD);
    let long = Execute {
        numr: 0,
        dlen: u32::MAX,
        ..none
    }
    .into_sqe(COMPUTE)
    .with_prp(page, 0);
    assert_eq!(host.io.status(long), Status::INVALID_FIELD);
    let nowhere = Execute {
        numr: 1,
        dlen: 32,
        ..none
    }
    .into_sqe(COMPUTE)
    .with_prp(0, 0);
    assert_eq!(host.io.status(nowhere), Status::DATA_TRANSFER_ERROR);
    assert_eq!(
        host.select(0, ActivationSelect::Deactivate),
        Status::SUCCESS
    );
    let sqe = host.execute(none, &good, &[]);
    assert_eq!(host.io.status(sqe), Status::PROGRAM_NOT_ACTIVATED);
}

#[test]
fn each_misuse_of_memory_range_sets_has_its_status() {
    let mut host = Host::new();
    let range = |at| MemoryRange::new(MEMORY, at, 4);
    assert_eq!(host.create_set(&[]), Err(Status::INVALID_FIELD));
    let many: Vec<_> = (0..5).map(|i| range(i * 4)).collect();
    assert_eq!(
        host.create_set(&many),
        Err(Status::MAXIMUM_MEMORY_RANGES_EXCEEDED)
    );
    assert_eq!(
        host.create_set(&[range(0), range(0)]),
        Err(Status::OVERLAPPING_MEMORY_RANGES)
    );
    let (first, second) = (host.create_set(&[range(0)]), host.create_set(&[range(0)]));
    assert!(first.is_ok() && second.is_ok() && first != second);
    assert_eq!(
        host.create_set(&[range(0)]),
        Err(Status::MAXIMUM_MEMORY_RANGE_SETS_EXCEEDED)
    );
    assert_eq!(host.delete_set(0), Status::INVALID_MEMORY_RANGE_SET_ID);
    assert_eq!(host.delete_set(99), Status::INVALID_MEMORY_RANGE_SET_ID);
    assert_eq!(host.delete_set(first.expect("a set")), Status::SUCCESS);
    assert!(host.create_set(&[range(4)]).is_ok());
}

#[test]
fn a_program_that_takes_more_than_its_budget_ends_with_a_status_at_the_time_of_the_budget() {
    let mut host = Host::with(Setup {
        budget: 1000,
        media: Some(FIXED),
        ..Setup::default()
    });
    host.load(0, &program("sum"));
    host.select(0, ActivationSelect::Activate);
    let ranges = [MemoryRange::new(MEMORY, 0, 65_536)];
    let endless = Execute {
        cparam1: 8192,
        cparam2: 8,
        ..Execute::default()
    };
    let sqe = host.execute(endless, &ranges, &[]);
    let start = host.rig.lock().now;
    assert_eq!(host.io.status(sqe), BUDGET_USED_UP);
    assert_eq!(host.rig.lock().now - start, INSTRUCTION.cost(1000));
    let short = Execute {
        cparam1: 1,
        cparam2: 8,
        ..Execute::default()
    };
    let sqe = host.execute(short, &ranges, &[]);
    host.io.ok(sqe);
}
