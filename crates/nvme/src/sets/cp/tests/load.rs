//! Load Program, Program Activation Management, the program list.

use super::*;

#[test]
fn a_program_is_loaded_activated_listed_deactivated_and_unloaded() {
    let mut drive = Drive::inline();
    let mut sqe = drive.bench.bringing(chunk(2, 1, 0, 1), ADD);
    let cdw10 = LoadProgramCdw10::from_bits(sqe.cdw10).with_pit(ProgramIdType::Puid);
    sqe.cdw10 = cdw10.into_bits();
    sqe.set_cdw12_13(0x1234_5678_9ABC);
    assert_eq!(drive.bench.admin(&sqe), Ok(Step::at(drive.bench.now)));
    let programs = drive.programs();
    assert_eq!(programs.len(), usize::from(SLOTS));
    let program = programs[2];
    assert_eq!((program.ptype, program.pid), (TYPE, 0x1234_5678_9ABC));
    assert_eq!(program.state.peocc(), Occupancy::Downloaded);
    assert_eq!(
        (program.state.act(), program.state.pit()),
        (false, ProgramIdType::Puid)
    );
    assert_eq!(programs[3], ProgramDescriptor::default());
    assert_eq!(drive.activate(2), Ok(Step::done(0)));
    assert_eq!(drive.activate(2), Ok(Step::done(0)), "it is already");
    assert!(drive.programs()[2].state.act());
    assert_eq!(drive.deactivate(2), Ok(Step::done(0)));
    assert_eq!(drive.deactivate(2), Ok(Step::done(0)), "it is already");
    assert_eq!(drive.unload(2), Ok(Step::done(0)));
    assert_eq!(
        drive.programs(),
        [ProgramDescriptor::default(); SLOTS as usize]
    );
    assert_eq!(refusal(drive.unload(2)), Status::NO_PROGRAM);
}

#[test]
fn chunks_in_order_make_a_program_and_others_are_invalid_program_data() {
    let mut drive = Drive::inline();
    let image = [b'a'; 10];
    let load = |drive: &mut Drive, loff: usize, numb: usize| {
        let sqe = drive
            .bench
            .bringing(chunk(0, 10, loff, numb), &image[loff..][..numb]);
        drive.bench.admin(&sqe)
    };
    assert_eq!(
        refusal(load(&mut drive, 4, 3)),
        Status::INVALID_PROGRAM_DATA,
        "not begun"
    );
    assert!(load(&mut drive, 0, 4).is_ok());
    assert_eq!(
        drive.programs()[0],
        ProgramDescriptor::default(),
        "not complete"
    );
    assert_eq!(
        refusal(drive.activate(0)),
        Status::INVALID_PROGRAM_DATA,
        "not complete"
    );
    assert_eq!(
        refusal(drive.execute(0)),
        Status::PROGRAM_NOT_ACTIVATED,
        "not complete"
    );
    for loff in [3, 5] {
        assert_eq!(
            refusal(load(&mut drive, loff, 3)),
            Status::INVALID_PROGRAM_DATA
        );
    }
    assert!(
        load(&mut drive, 4, 3).is_ok(),
        "a wrong chunk does not spoil the right ones"
    );
    assert!(load(&mut drive, 7, 3).is_ok());
    assert!(drive.activate(0).is_ok());
    assert_eq!(refusal(load(&mut drive, 7, 3)), Status::PROGRAM_IN_USE);
}

#[test]
fn a_later_chunk_that_describes_another_program_is_invalid_program_data() {
    let mut drive = Drive::inline();
    let begin = drive.bench.bringing(chunk(0, 10, 0, 4), b"aaaa");
    assert!(drive.bench.admin(&begin).is_ok());
    let next = drive.bench.bringing(chunk(0, 10, 4, 4), b"aaaa");
    let puid = LoadProgramCdw10::from_bits(next.cdw10).with_pit(ProgramIdType::Puid);
    for other in [
        Sqe { cdw11: 11, ..next },
        Sqe { cdw12: 1, ..next },
        Sqe {
            cdw10: puid.into_bits(),
            ..next
        },
    ] {
        assert_eq!(
            refusal(drive.bench.admin(&other)),
            Status::INVALID_PROGRAM_DATA
        );
    }
    assert!(drive.bench.admin(&next).is_ok());
}

#[test]
fn an_unfinished_load_is_abandoned_by_unloading_or_by_beginning_anew() {
    let mut drive = Drive::inline();
    let begin = drive
        .bench
        .bringing(chunk(0, MAX_PROGRAM as usize, 0, 4), b"????");
    assert!(drive.bench.admin(&begin).is_ok());
    assert!(drive.load(0, ADD).is_ok(), "begun anew");
    assert!(drive.activate(0).is_ok());
    let begin = drive
        .bench
        .bringing(chunk(1, MAX_PROGRAM as usize, 0, 4), b"????");
    assert!(drive.bench.admin(&begin).is_ok());
    assert_eq!(drive.unload(1), Ok(Step::done(0)));
    assert_eq!(refusal(drive.unload(1)), Status::NO_PROGRAM);
}

#[test]
fn an_image_that_the_runtime_refuses_says_why_and_leaves_the_slot_empty() {
    let mut drive = Drive::inline();
    let error = drive.load(0, INVALID).expect_err("not a program");
    assert_eq!(error.status, Status::INVALID_PROGRAM_DATA.with_dnr(true));
    assert_eq!(error.reason, "instruction 0: not a program");
    assert_eq!(refusal(drive.activate(0)), Status::NO_PROGRAM);
    assert!(drive.load(0, ADD).is_ok());
}

#[test]
fn an_occupied_slot_takes_no_other_program_and_an_active_one_is_not_unloaded() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    assert_eq!(refusal(drive.load(0, ADD)), Status::PROGRAM_IN_USE);
    assert_eq!(refusal(drive.unload(0)), Status::PROGRAM_IN_USE);
    assert!(drive.deactivate(0).is_ok());
    assert_eq!(refusal(drive.load(0, ADD)), Status::PROGRAM_IN_USE);
    assert!(drive.unload(0).is_ok());
}

#[test]
fn hostile_sizes_are_refused_before_anything_is_fetched() {
    let mut drive = Drive::inline();
    let sizes = [
        // PSIZE, LOFF, NUMB.
        (0, 0, 0, Status::INVALID_PROGRAM_DATA),
        (0, 0, 1, Status::INVALID_PROGRAM_DATA),
        (1001, 0, 1, Status::PROGRAM_TOO_BIG),
        (u32::MAX, 0, u32::MAX, Status::PROGRAM_TOO_BIG),
        (10, 0, 11, Status::PROGRAM_TOO_BIG),
        (10, 5, 6, Status::PROGRAM_TOO_BIG),
        (10, u32::MAX, u32::MAX, Status::PROGRAM_TOO_BIG),
        (10, 0, 0, Status::INVALID_FIELD),
    ];
    for (cdw11, cdw15, cdw14, status) in sizes {
        let sqe = Sqe {
            cdw11,
            cdw14,
            cdw15,
            ..chunk(0, 0, 0, 0)
        };
        let sqe = drive.bench.with_unmapped_data(sqe);
        assert_eq!(
            refusal(drive.bench.admin(&sqe)),
            status,
            "{cdw11} {cdw15} {cdw14}"
        );
    }
    let sqe = drive.bench.with_unmapped_data(chunk(0, 10, 0, 10));
    assert_eq!(
        refusal(drive.bench.admin(&sqe)),
        Status::DATA_TRANSFER_ERROR
    );
    assert_eq!(
        refusal(drive.unload(0)),
        Status::NO_PROGRAM,
        "nothing began"
    );
}

#[test]
fn a_transfer_that_fails_does_not_lose_the_chunks_before_it() {
    let mut drive = Drive::inline();
    let first = drive.bench.bringing(chunk(0, 2, 0, 1), ADD);
    assert!(drive.bench.admin(&first).is_ok());
    let lost = drive.bench.with_unmapped_data(chunk(0, 2, 1, 1));
    assert_eq!(
        refusal(drive.bench.admin(&lost)),
        Status::DATA_TRANSFER_ERROR
    );
    let second = drive.bench.bringing(chunk(0, 2, 1, 1), ADD);
    assert!(drive.bench.admin(&second).is_ok());
    assert!(drive.activate(0).is_ok());
}

#[test]
fn programs_together_have_a_limit_that_the_unfinished_ones_count_for() {
    let mut drive = Drive::inline();
    for pind in [0, 1] {
        let begin = drive
            .bench
            .bringing(chunk(pind, MAX_PROGRAM as usize, 0, 1), ADD);
        assert!(drive.bench.admin(&begin).is_ok());
    }
    let begin = drive.bench.bringing(chunk(2, 501, 0, 1), ADD);
    assert_eq!(
        refusal(drive.bench.admin(&begin)),
        Status::MAXIMUM_PROGRAM_BYTES_EXCEEDED
    );
    let begin = drive.bench.bringing(chunk(2, 500, 0, 1), ADD);
    assert!(drive.bench.admin(&begin).is_ok());
    assert_eq!(
        refusal(drive.load(3, ADD)),
        Status::MAXIMUM_PROGRAM_BYTES_EXCEEDED
    );
    assert!(drive.unload(0).is_ok());
    assert!(drive.load(3, ADD).is_ok());
}

#[test]
fn unknown_types_identifier_types_selections_and_indexes_are_refused() {
    let mut drive = Drive::inline();
    for ptype in [
        ProgramType::DeviceDefined,
        ProgramType(1),
        ProgramType(0xFF),
    ] {
        let mut sqe = drive.bench.bringing(chunk(0, 1, 0, 1), ADD);
        sqe.cdw10 = LoadProgramCdw10::from_bits(sqe.cdw10)
            .with_ptype(ptype)
            .into_bits();
        assert_eq!(
            refusal(drive.bench.admin(&sqe)),
            Status::INVALID_PROGRAM_TYPE
        );
    }
    let mut sqe = drive.bench.bringing(chunk(0, 1, 0, 1), ADD);
    let cdw10 = LoadProgramCdw10::from_bits(sqe.cdw10).with_pit(ProgramIdType(2));
    sqe.cdw10 = cdw10.into_bits();
    assert_eq!(refusal(drive.bench.admin(&sqe)), Status::INVALID_FIELD);
    assert_eq!(
        refusal(drive.select(0, ActivationSelect(2))),
        Status::INVALID_FIELD
    );
    for pind in [SLOTS, u16::MAX] {
        assert_eq!(
            refusal(drive.load(pind, ADD)),
            Status::INVALID_PROGRAM_INDEX
        );
        assert_eq!(refusal(drive.unload(pind)), Status::INVALID_PROGRAM_INDEX);
        assert_eq!(refusal(drive.activate(pind)), Status::INVALID_PROGRAM_INDEX);
        assert_eq!(refusal(drive.execute(pind)), Status::INVALID_PROGRAM_INDEX);
    }
    assert_eq!(refusal(drive.activate(0)), Status::NO_PROGRAM);
    assert_eq!(refusal(drive.deactivate(0)), Status::NO_PROGRAM);
}

#[test]
fn only_so_many_programs_are_active_at_a_time() {
    let mut drive = Drive::inline();
    for pind in 0..3 {
        drive.ready(pind, ADD);
    }
    assert!(drive.load(3, ADD).is_ok());
    assert_eq!(
        refusal(drive.activate(3)),
        Status::MAXIMUM_PROGRAMS_ACTIVATED
    );
    assert!(drive.activate(2).is_ok(), "it is already");
    assert!(drive.deactivate(2).is_ok());
    assert!(drive.activate(3).is_ok());
}

#[test]
fn on_a_modelled_link_a_chunk_is_taken_when_it_has_arrived() {
    let link = LinkConfig {
        bandwidth: 1_000_000_000,
        latency: Ns(100),
    };
    let mut drive = Drive::new(Some(link), |_| Executor::inline());
    assert_eq!(drive.load(0, ADD), Ok(Step::at(drive.bench.now + Ns(101))));
    let error = drive.load(1, INVALID).expect_err("not a program");
    assert_eq!(error.at, Some(drive.bench.now + Ns(102)));
}

#[test]
fn programs_of_the_devices_own_have_the_last_slots_and_nothing_takes_their_place() {
    const FIRST: u16 = SLOTS - 1;
    let mut drive = Drive::with_device_programs();
    for (pind, puid) in [(FIRST, 0xA), (FIRST - 1, 0xB)] {
        let listed = drive.programs()[usize::from(pind)];
        assert_eq!(
            (listed.ptype, listed.pid),
            (ProgramType::DeviceDefined, puid)
        );
        assert_eq!(listed.state.peocc(), Occupancy::DeviceDefined);
        assert_eq!(listed.state.pit(), ProgramIdType::Puid);
        assert!(!listed.state.act());
    }
    assert_eq!(refusal(drive.execute(FIRST)), Status::PROGRAM_NOT_ACTIVATED);
    assert_eq!(drive.activate(FIRST), Ok(Step::done(0)));
    for _active in [true, false] {
        let not_downloadable = Status::PROGRAM_INDEX_NOT_DOWNLOADABLE;
        assert_eq!(refusal(drive.load(FIRST, ADD)), not_downloadable);
        assert_eq!(refusal(drive.unload(FIRST)), not_downloadable);
        assert_eq!(drive.deactivate(FIRST), Ok(Step::done(0)));
    }
    let types = drive.bench.subsystem.namespace(NSID).expect("there");
    let types = types.set.log(Lid::DownloadableProgramTypes).expect("a log");
    let (header, _) = CpLogHeader::read_from_prefix(&types).expect("a header");
    assert_eq!(
        header.num, 1,
        "what can't be loaded is not listed as a type"
    );
}

#[test]
fn programs_of_the_devices_own_count_as_activated_but_not_as_bytes() {
    let mut drive = Drive::with_device_programs();
    for pind in [SLOTS - 1, SLOTS - 2] {
        drive.activate(pind).expect("activated");
    }
    drive.ready(0, ADD);
    drive.load(1, ADD).expect("loaded");
    let status = refusal(drive.activate(1));
    assert_eq!(status, Status::MAXIMUM_PROGRAMS_ACTIVATED);
}
