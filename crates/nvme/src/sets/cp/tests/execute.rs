//! Execute Program.

use super::*;

#[test]
fn a_program_gets_parameters_and_data_and_returns_64_bits() {
    let mut drive = Drive::inline();
    drive.ready(3, ADD);
    let execute = Execute {
        pind: 3,
        cparam1: 1 << 40,
        cparam2: 7,
        ..Execute::default()
    };
    let end = drive.bench.now + TAKES;
    assert_eq!(
        drive.execute_on(execute, &[], &[1, 2, 3]),
        result(end, (1 << 40) + 13)
    );
}

#[test]
fn a_program_works_on_the_ranges_of_its_command_or_of_a_set() {
    let mut drive = Drive::inline();
    drive.ready(0, RANGES);
    drive.memory(MEMORY).store(8, 10u8).expect("inside");
    drive.memory(MORE).store(4096, 20u8).expect("inside");
    let ranges = [
        MemoryRange::new(MORE, 4096, 4),
        MemoryRange::new(MEMORY, 8, 8),
    ];
    let end = drive.bench.now + TAKES;
    // Data after the ranges is no range.
    assert_eq!(
        drive.execute_on(Execute::default(), &ranges, &[9; 32]),
        result(end, 30)
    );
    assert_eq!(drive.create_set(&ranges), Ok(Step::done(1)));
    let by_set = Execute {
        rsid: 1,
        ..Execute::default()
    };
    assert_eq!(
        drive.execute_on(by_set, &[], &[9; 32]),
        result(end, 32),
        "on the second unit"
    );
    assert_eq!(drive.memory(MEMORY).load::<u8>(8), Ok(12));
    assert_eq!(drive.execute(0), Ok(Step::Parked));
    let third = drive.finished(0).remove(0);
    let end = end + TAKES;
    assert_eq!(
        (third.at, third.outcome),
        (end, Ok(0)),
        "without memory, when a unit is free again"
    );
}

#[test]
fn what_is_wrong_with_a_command_is_told_before_its_data_is_fetched() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    drive.load(1, ADD).expect("loaded");
    assert_eq!(
        drive.create_set(&[MemoryRange::new(MEMORY, 0, 4)]),
        Ok(Step::done(1))
    );
    let execute = Execute {
        dlen: 64,
        ..Execute::default()
    };
    let cases = [
        (
            Execute {
                pind: SLOTS,
                ..execute
            },
            Status::INVALID_PROGRAM_INDEX,
        ),
        (Execute { pind: 2, ..execute }, Status::NO_PROGRAM),
        (
            Execute { pind: 1, ..execute },
            Status::PROGRAM_NOT_ACTIVATED,
        ),
        (
            Execute {
                rsid: 1,
                numr: 1,
                ..execute
            },
            Status::INVALID_FIELD,
        ),
        (
            Execute { rsid: 2, ..execute },
            Status::INVALID_MEMORY_RANGE_SET_ID,
        ),
        (
            Execute {
                rsid: u16::MAX,
                ..execute
            },
            Status::INVALID_MEMORY_RANGE_SET_ID,
        ),
        (
            Execute { numr: 5, ..execute },
            Status::MAXIMUM_MEMORY_RANGES_EXCEEDED,
        ),
        (
            Execute {
                numr: u32::MAX,
                ..execute
            },
            Status::MAXIMUM_MEMORY_RANGES_EXCEEDED,
        ),
        (Execute { numr: 3, ..execute }, Status::INVALID_FIELD),
        (
            Execute {
                numr: 1,
                dlen: 31,
                ..execute
            },
            Status::INVALID_FIELD,
        ),
        (
            Execute {
                dlen: 65_537,
                ..execute
            },
            Status::INVALID_FIELD,
        ),
        (
            Execute {
                dlen: u32::MAX,
                ..execute
            },
            Status::INVALID_FIELD,
        ),
        // Nothing wrong but the data.
        (execute, Status::DATA_TRANSFER_ERROR),
    ];
    for (execute, status) in cases {
        let sqe = drive.bench.with_unmapped_data(execute.into_sqe(NSID));
        assert_eq!(refusal(drive.bench.io(&sqe)), status, "{execute:?}");
    }
    let short = drive.bench.with_data(execute.into_sqe(NSID), 0, 63);
    assert_eq!(
        refusal(drive.bench.io(&short)),
        Status::DATA_SGL_LENGTH_INVALID
    );
    let most = vec![1; 65_536];
    let end = drive.bench.now + TAKES;
    assert_eq!(
        drive.execute_on(Execute::default(), &[], &most),
        result(end, 65_536)
    );
}

#[test]
fn a_program_that_faults_fails_its_command_when_it_would_have_ended() {
    let mut drive = Drive::inline();
    drive.ready(0, FAULTS);
    drive.ready(1, ENDLESS);
    let fault = drive.execute(0).expect_err("it faults");
    assert_eq!(fault.status, PROGRAM_FAULT.with_dnr(true));
    assert_eq!(fault.at, Some(drive.bench.now + TAKES));
    for part in ["instruction 7", "0xbad", "filter.c:12"] {
        assert!(fault.reason.contains(part), "{}", fault.reason);
    }
    let budget = drive.execute(1).expect_err("it does not end");
    assert_eq!(budget.status, BUDGET_USED_UP.with_dnr(true));
    assert_eq!(budget.at, Some(drive.bench.now + Ns(2_500_000)));
    assert!(budget.reason.contains("instruction 3"), "{}", budget.reason);
}

#[test]
fn a_runtime_that_panics_is_an_internal_error_and_the_threads_survive_it() {
    for mut drive in [Drive::inline(), Drive::threads(1)] {
        drive.ready(0, PANICS);
        drive.ready(1, ADD);
        let mut run = |pind| match drive.execute(pind) {
            Ok(Step::Parked) => drive.finished(1).remove(0).outcome,
            other => other.map(|_| 0),
        };
        let status = run(0).map_err(|error| error.status.code());
        assert_eq!(status, Err(Status::INTERNAL_ERROR));
        assert_eq!(run(1), Ok(0));
    }
}

#[test]
fn on_a_modelled_link_a_job_begins_when_its_data_has_arrived() {
    let link = LinkConfig {
        bandwidth: 1_000_000_000,
        latency: Ns(100),
    };
    let mut drive = Drive::new(Some(link), |_| Executor::inline());
    drive.ready(0, ADD);
    // The link still carries the program's one byte.
    let end = drive.bench.now + Ns(1 + 64 + 100) + TAKES;
    assert_eq!(
        drive.execute_on(Execute::default(), &[], &[0; 64]),
        result(end, 0)
    );
    assert_eq!(
        drive.execute(0),
        result(drive.bench.now + TAKES, 0),
        "no data, no crossing"
    );
}

#[test]
fn while_a_job_runs_by_the_model_its_program_and_its_set_are_in_use() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    drive.ready(1, ADD);
    assert!(drive.create_set(&[MemoryRange::new(MEMORY, 0, 4)]).is_ok());
    assert!(drive.create_set(&[MemoryRange::new(MEMORY, 0, 4)]).is_ok());
    let execute = Execute {
        rsid: 1,
        ..Execute::default()
    };
    assert!(drive.execute_on(execute, &[], &[]).is_ok());
    let end = drive.bench.now + TAKES;
    for now in [drive.bench.now, end - Ns(1)] {
        drive.bench.now = now;
        assert_eq!(refusal(drive.deactivate(0)), Status::PROGRAM_IN_USE);
        assert_eq!(
            refusal(drive.delete_set(1)),
            Status::MEMORY_RANGE_SET_IN_USE
        );
    }
    assert!(drive.deactivate(1).is_ok(), "others are not");
    assert!(drive.delete_set(2).is_ok());
    drive.bench.now = end;
    assert!(drive.deactivate(0).is_ok());
    assert!(drive.delete_set(1).is_ok());
    assert!(drive.unload(0).is_ok());
}

#[test]
fn threads_finish_commands_at_the_times_of_the_model_in_the_order_of_arrival() {
    for threads in [1, 3] {
        let mut drive = Drive::threads(threads);
        drive.ready(0, ADD);
        let begin = drive.bench.now;
        let tokens: Vec<_> = (0..5)
            .map(|cparam1| {
                let execute = Execute {
                    cparam1,
                    ..Execute::default()
                };
                assert_eq!(drive.execute_on(execute, &[], &[]), Ok(Step::Parked));
                drive.bench.last()
            })
            .collect();
        let finished = drive.finished(5);
        let ends: Vec<_> = finished.iter().map(|done| done.at - begin).collect();
        let [one, two, three] = [1, 2, 3].map(|n| Ns(TAKES.0 * n));
        assert_eq!(ends, [one, one, two, two, three], "on two units");
        assert_eq!(
            finished.iter().map(|done| done.token).collect::<Vec<_>>(),
            tokens
        );
        let results: Vec<_> = finished.iter().map(|done| done.outcome.clone()).collect();
        assert_eq!(results, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
    }
}

#[test]
fn only_a_job_that_might_have_to_wait_waits_for_one_that_really_takes_long() {
    let mut drive = Drive::threads(2);
    drive.ready(0, WAITS);
    drive.ready(1, ADD);
    assert_eq!(drive.execute(0), Ok(Step::Parked));
    assert_eq!(drive.execute(1), Ok(Step::Parked));
    let begin = drive.bench.now;
    let beside = drive.finished(1);
    let ends: Vec<_> = beside.iter().map(|done| done.at).collect();
    assert_eq!(ends, [begin + TAKES], "on the second unit");
    drive.bench.now = begin + Ns(1);
    for _ in 0..2 {
        assert_eq!(drive.execute(1), Ok(Step::Parked));
    }
    assert!(
        drive.finished(2).is_empty(),
        "both units are taken, for all that is known"
    );
    drive.gate.send(()).expect("the program waits");
    let ends: Vec<_> = drive.finished(1).iter().map(|done| done.at).collect();
    assert_eq!(
        ends,
        [TAKES, TAKES + TAKES, TAKES + TAKES].map(|after| begin + after)
    );
}

#[test]
fn while_a_program_really_runs_it_is_in_use_even_if_its_command_was_abandoned() {
    let mut drive = Drive::threads(1);
    drive.ready(0, WAITS);
    assert!(drive.create_set(&[MemoryRange::new(MEMORY, 0, 4)]).is_ok());
    let execute = Execute {
        rsid: 1,
        ..Execute::default()
    };
    assert_eq!(drive.execute_on(execute, &[], &[]), Ok(Step::Parked));
    let token = drive.bench.last();
    drive.bench.subsystem.abandon(token);
    drive.bench.now += Ns::from_secs(100);
    assert_eq!(refusal(drive.deactivate(0)), Status::PROGRAM_IN_USE);
    assert_eq!(
        refusal(drive.delete_set(1)),
        Status::MEMORY_RANGE_SET_IN_USE
    );
    drive.gate.send(()).expect("the program waits");
    assert!(drive.finished(1).is_empty(), "its command is not finished");
    assert!(drive.deactivate(0).is_ok());
    assert!(drive.delete_set(1).is_ok());
}

#[test]
fn an_abandoned_job_that_has_not_begun_never_does_and_takes_no_time() {
    let mut drive = Drive::threads(1);
    drive.ready(0, WAITS);
    drive.ready(1, RANGES);
    drive.ready(2, ADD);
    let begin = drive.bench.now;
    assert_eq!(drive.execute(0), Ok(Step::Parked));
    let second = Execute {
        pind: 1,
        ..Execute::default()
    };
    let ranges = [MemoryRange::new(MEMORY, 0, 4)];
    assert_eq!(drive.execute_on(second, &ranges, &[]), Ok(Step::Parked));
    let token = drive.bench.last();
    drive.bench.subsystem.abandon(token);
    assert_eq!(drive.execute(2), Ok(Step::Parked));
    drive.gate.send(()).expect("the program waits");
    let ends: Vec<_> = drive.finished(3).iter().map(|done| done.at).collect();
    assert_eq!(ends, [begin + TAKES; 2], "each on a unit of its own");
    assert_eq!(drive.memory(MEMORY).load::<u8>(0), Ok(0));
}

#[test]
fn more_jobs_than_the_drive_has_room_for_are_refused_for_now() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    for _ in 0..MAX_JOBS {
        assert!(drive.execute(0).is_ok());
    }
    let error = drive.execute(0).expect_err("full");
    assert_eq!(
        error.status,
        Status::INSUFFICIENT_PROGRAM_RESOURCES,
        "may be retried"
    );
    drive.bench.now += TAKES;
    assert!(drive.execute(0).is_ok(), "two have ended");
}

#[test]
fn dropping_a_namespace_with_running_programs_does_not_wait_for_them() {
    let mut drive = Drive::threads(2);
    drive.ready(0, WAITS);
    for _ in 0..5 {
        assert_eq!(drive.execute(0), Ok(Step::Parked));
    }
    let Drive { bench, gate, woken } = drive;
    drop(bench);
    drop(gate);
    let ended = woken.recv_timeout(Duration::from_secs(60));
    let all = Err(mpsc::RecvTimeoutError::Disconnected);
    assert_eq!(
        ended, all,
        "the threads end with the programs that they run"
    );
}
