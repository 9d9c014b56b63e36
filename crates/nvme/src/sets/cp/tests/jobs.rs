//! What jobs cost, when they run, their groups, and what is told of them.

use super::*;
use ersatz_ftl::Fault as MediaFault;
use nvme_spec::vendor::{
    ClassEntry, GroupEntry, JobEntry, JobGroupCdw10, JobGroupSelect, JobStatistics,
};

/// A drive whose programs run at once.
fn inline(change: impl FnOnce(CpConfig) -> CpConfig) -> Drive {
    Drive::with(None, |_| Executor::inline(), change)
}

fn group_command(sel: JobGroupSelect, gid: u8, [priority, bandwidth, deadline]: [u32; 3]) -> Sqe {
    let cdw10 = JobGroupCdw10::new()
        .with_sel(sel)
        .with_gid(gid)
        .with_priority(u8::try_from(priority).expect("small"));
    Sqe {
        cdw10: cdw10.into_bits(),
        cdw11: bandwidth,
        cdw12: deadline,
        ..Sqe::new(AdminOpcode::JobGroupManagement, NSID)
    }
}

impl Drive {
    fn group(&mut self, qos: [u32; 3]) -> u8 {
        let create = group_command(JobGroupSelect::Create, 0, qos);
        match self.bench.admin(&create) {
            Ok(Step::At { result, .. }) => u8::try_from(result).expect("8 bits"),
            other => panic!("{other:?}"),
        }
    }

    fn execute_in(&mut self, group: u8, ranges: &[MemoryRange]) -> Result<Step, NvmeError> {
        let execute = Execute {
            group,
            ..Execute::default()
        };
        self.execute_on(execute, ranges, &[])
    }

    fn statistics(
        &self,
    ) -> (
        JobStatistics,
        Vec<ClassEntry>,
        Vec<GroupEntry>,
        Vec<JobEntry>,
    ) {
        let log = self.log(JobStatistics::LID);
        let (header, rest) = JobStatistics::read_from_prefix(&log).expect("a header");
        let (classes, rest) = take(rest, header.classes.into());
        let (groups, rest) = take(rest, header.groups.into());
        let (jobs, rest) = take(rest, header.jobs as usize);
        assert!(rest.is_empty());
        (header, classes, groups, jobs)
    }
}

fn take<T: FromBytes>(bytes: &[u8], count: usize) -> (Vec<T>, &[u8]) {
    let (own, rest) = bytes.split_at(count * size_of::<T>());
    let entries = own.chunks_exact(size_of::<T>());
    let entries = entries.map(|bytes| T::read_from_bytes(bytes).expect("sized"));
    (entries.collect(), rest)
}

#[test]
fn each_cost_model_counts_its_own() {
    let rate = CostModel::Rate {
        bandwidth: 1_000_000_000,
        setup: Ns(50),
    };
    let range = [MemoryRange::new(MEMORY, 0, 4096)];
    for (model, runtime, takes) in [
        (CostModel::Instructions(Picoseconds(2500)), 0, TAKES),
        (rate, 0, Ns(50 + 4096)),
        (CostModel::Given, 777, Ns(777)),
        (CostModel::Given, u32::MAX, Ns(u32::MAX.into())),
    ] {
        let costs = vec![UnitCost {
            speed: Speed::ONE,
            model,
        }];
        let mut drive = inline(|config| CpConfig { costs, ..config });
        drive.ready(0, ADD);
        let execute = Execute {
            runtime,
            ..Execute::default()
        };
        let end = drive.bench.now + takes;
        assert_eq!(drive.execute_on(execute, &range, &[]), result(end, 0));
    }
}

#[test]
fn measured_time_is_this_machines_times_the_factor() {
    let costs = vec![UnitCost {
        speed: Speed::ONE,
        model: CostModel::Measured(0),
    }];
    let mut drive = inline(|config| CpConfig { costs, ..config });
    drive.ready(0, ADD);
    let now = drive.bench.now;
    assert_eq!(drive.execute(0), result(now, 0), "nothing, times nothing");
}

#[test]
fn measured_time_of_a_run_elsewhere_is_what_was_measured_there() {
    let costs = vec![UnitCost {
        speed: Speed::ONE,
        model: CostModel::Measured(3000),
    }];
    let mut drive = inline(|config| CpConfig { costs, ..config });
    drive.ready(0, ELSEWHERE);
    let end = drive.bench.now + Ns::from_us(3);
    assert_eq!(drive.execute(0), result(end, 1));
}

#[test]
fn a_program_of_the_devices_own_costs_what_it_says_unless_its_type_says_otherwise() {
    let range = [MemoryRange::new(MEMORY, 0, 4096)];
    let execute = Execute {
        pind: SLOTS - 1,
        cparam1: 3,
        cparam2: 4,
        ..Execute::default()
    };
    let mut drive = Drive::with_device_programs();
    drive.activate(SLOTS - 1).expect("activated");
    let end = drive.bench.now + Ns(50 + 4096);
    assert_eq!(drive.execute_on(execute, &range, &[]), result(end, 7));

    let mut drive = Drive::with_device_programs_and(vec![Placement {
        ptype: ProgramType::DeviceDefined,
        class: 0,
        model: Some(CostModel::Given),
    }]);
    drive.activate(SLOTS - 1).expect("activated");
    let given = Execute {
        runtime: 777,
        ..execute
    };
    let end = drive.bench.now + Ns(777);
    assert_eq!(drive.execute_on(given, &range, &[]), result(end, 7));
}

#[test]
fn who_says_what_a_job_takes_is_the_cost_models_to_say() {
    let given = UnitCost {
        speed: Speed::ONE,
        model: CostModel::Given,
    };
    for (costs, runtime) in [
        (vec![given], 0),
        (vec![UnitCost::instructions(Picoseconds(1))], 5),
    ] {
        let mut drive = inline(|config| CpConfig { costs, ..config });
        drive.ready(0, ADD);
        let execute = Execute {
            runtime,
            ..Execute::default()
        };
        let outcome = drive.execute_on(execute, &[], &[]);
        assert_eq!(refusal(outcome), Status::INVALID_FIELD);
    }
}

#[test]
fn a_type_may_run_on_units_of_its_own_at_its_own_cost() {
    let price = UnitCost::instructions(Picoseconds(2500));
    let half = UnitCost {
        speed: Speed(500),
        ..price
    };
    for (model, takes) in [
        (None, Ns(2 * TAKES.0)),
        (Some(CostModel::Instructions(Picoseconds(10_000))), Ns(2000)),
    ] {
        let mut drive = inline(|mut config| {
            config.units.classes.push(ClassConfig {
                name: "slow".into(),
                units: 1,
            });
            config.costs.push(half);
            config.placements = vec![Placement {
                ptype: TYPE,
                class: 1,
                model,
            }];
            config
        });
        drive.ready(0, ADD);
        let end = drive.bench.now + takes;
        assert_eq!(drive.execute(0), result(end, 0));
        assert_eq!(drive.execute(0), Ok(Step::Parked), "there is only one");
        assert_eq!(drive.finished(0)[0].at, end + takes);
        let (_, classes, _, jobs) = drive.statistics();
        let busy: Vec<_> = classes.iter().map(|class| class.busy_ns).collect();
        assert_eq!(busy, [0, 2 * takes.0]);
        assert_eq!(&classes[1].name, b"slow            ");
        assert_eq!(jobs[0].class, 1);
    }
}

#[test]
fn the_scheduler_shares_the_units_out() {
    let mut drive = inline(|mut config| {
        config.units = ComputeConfig {
            policy: Policy::RoundRobin,
            time_slice: Ns(100),
            context_switch: Ns(10),
            ..ComputeConfig::fifo(1)
        };
        config
    });
    drive.ready(0, ADD);
    let begin = drive.bench.now;
    assert_eq!(drive.execute(0), Ok(Step::Parked));
    assert_eq!(drive.execute(0), Ok(Step::Parked));
    let ends: Vec<_> = drive.finished(0).iter().map(|done| done.at).collect();
    // Slices of 100, 100 and 50, in turn, each after a switch.
    assert_eq!(ends, [begin + Ns(500), begin + Ns(560)]);
    let (header, _, groups, jobs) = drive.statistics();
    assert_eq!((header.done, header.in_flight), (2, 0));
    assert_eq!((groups[0].done, groups[0].running_ns), (2, 500));
    let queued: Vec<_> = jobs.iter().map(|job| (job.number, job.queued_ns)).collect();
    assert_eq!(queued, [(1, 280), (0, 220)], "the latest first");
    assert!(jobs.iter().all(|job| job.switches == 3));
}

#[test]
fn groups_are_created_set_and_deleted() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    let gid = drive.group([9, 1000, 50]);
    assert_eq!(gid, 1);
    assert_eq!(drive.group([1, 0, 0]), 2);
    let set = group_command(JobGroupSelect::Set, gid, [3, 2000, 1]);
    assert_eq!(drive.bench.admin(&set), Ok(Step::done(0)));
    let (header, _, groups, _) = drive.statistics();
    assert_eq!((header.version, header.groups), (JobStatistics::VERSION, 3));
    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.gid, group.priority, group.bandwidth, group.deadline))
        .collect();
    assert_eq!(told, [(0, 5, 0, 0), (1, 3, 2000, 1), (2, 1, 0, 0)]);
    assert!(drive.execute_in(gid, &[]).is_ok());
    let delete = group_command(JobGroupSelect::Delete, gid, [0; 3]);
    assert_eq!(refusal(drive.bench.admin(&delete)), JOB_GROUP_IN_USE);
    drive.bench.now += TAKES;
    assert_eq!(drive.bench.admin(&delete), Ok(Step::done(0)));
    assert_eq!(refusal(drive.execute_in(gid, &[])), Status::INVALID_FIELD);
}

#[test]
fn group_commands_are_checked() {
    let mut drive = Drive::inline();
    let qos = [5, 0, 0];
    for command in [
        group_command(JobGroupSelect::Create, 1, qos),
        group_command(JobGroupSelect::Create, 0, [0; 3]),
        group_command(JobGroupSelect::Create, 0, [10, 0, 0]),
        group_command(JobGroupSelect::Set, 7, qos),
        group_command(JobGroupSelect::Set, 0, [0; 3]),
        group_command(JobGroupSelect::Delete, 7, [0; 3]),
        group_command(JobGroupSelect::Delete, 0, [0; 3]),
        group_command(JobGroupSelect::Delete, 0, qos),
        group_command(JobGroupSelect(3), 0, qos),
    ] {
        let outcome = drive.bench.admin(&command);
        assert_eq!(refusal(outcome), Status::INVALID_FIELD, "{command:?}");
    }
    for gid in 1..=255 {
        assert_eq!(drive.group(qos), gid);
    }
    let full = drive
        .bench
        .admin(&group_command(JobGroupSelect::Create, 0, qos));
    assert_eq!(refusal(full), Status::INSUFFICIENT_PROGRAM_RESOURCES);
    drive.ready(0, ADD);
    let mut reserved = Execute::default().into_sqe(NSID);
    reserved.cdw14 = 1 << 8;
    assert_eq!(refusal(drive.bench.io(&reserved)), Status::INVALID_FIELD);
}

#[test]
fn a_groups_bandwidth_holds_its_jobs_back_and_a_missed_deadline_is_counted() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    // 1 MB/s, and 5 ms for a job.
    let gid = drive.group([5, 1000, 5000]);
    let begin = drive.bench.now;
    let range = [MemoryRange::new(MEMORY, 0, 4000)];
    assert_eq!(drive.execute_in(gid, &range), result(begin + TAKES, 0));
    assert_eq!(drive.execute_in(gid, &range), Ok(Step::Parked));
    assert_eq!(drive.execute_in(gid, &range), Ok(Step::Parked));
    assert_eq!(drive.execute_in(0, &range), result(begin + TAKES, 0));
    let ends: Vec<_> = drive.finished(0).iter().map(|done| done.at).collect();
    let after = |ms| begin + Ns::from_ms(ms) + TAKES;
    assert_eq!(ends, [after(4), after(8)]);
    let (_, _, groups, jobs) = drive.statistics();
    let group = &groups[1];
    assert_eq!((group.done, group.missed, group.bytes), (3, 1, 12_000));
    assert_eq!(group.held_ns, 12_000_000);
    let missed: Vec<_> = jobs.iter().map(|job| (job.gid, job.missed)).collect();
    assert_eq!(missed, [(1, 1), (1, 0), (0, 0), (1, 0)]);
}

#[test]
fn a_program_reads_blocks_and_the_media_is_asked_for_them() {
    let execute = |nsid: u32, slba| Execute {
        cparam1: nsid.into(),
        cparam2: slba,
        ..Execute::default()
    };
    let range = [MemoryRange::new(MEMORY, 4096, 1024)];
    for mut drive in [Drive::inline(), Drive::threads(1)] {
        drive.ready(0, READS);
        let outcome = drive.execute_on(execute(BLOCKS, 3), &range, &[]);
        if outcome == Ok(Step::Parked) {
            assert_eq!(drive.finished(1)[0].outcome, Ok(1024));
        } else {
            let end = drive.bench.now + TAKES;
            assert_eq!(outcome, result(end, 1024), "longer than the read");
        }
        let extent = ersatz_ftl::Extent {
            start: 3 * 512,
            len: 1024,
        };
        assert_eq!(drive.bench.asked(), [Asked::Read(extent)]);
        let got = bytes(&drive.memory(MEMORY), 4096, 1028);
        assert_eq!((got[0], got[511], got[512], got[1023]), (3, 3, 4, 4));
        assert_eq!(got[1024..], [0; 4]);
        assert_eq!(drive.statistics().3[0].copied, 1024);
    }
    let mut drive = Drive::inline();
    drive.ready(0, READS);
    let short = [MemoryRange::new(MEMORY, 0, 1020)];
    for (nsid, slba, range) in [
        (MEMORY, 0, &range),
        (NSID, 0, &range),
        (77, 0, &range),
        (BLOCKS, BLOCKS_BYTES / 512 - 1, &range),
        (BLOCKS, u64::MAX, &range),
        (BLOCKS, 0, &short),
    ] {
        let outcome = drive.execute_on(execute(nsid, slba), range, &[]);
        assert_eq!(refusal(outcome), PROGRAM_FAULT);
        assert_eq!(drive.bench.asked(), []);
    }
    drive.bench.now += Ns::from_ms(1);
    drive.bench.break_media(MediaFault::Uncorrectable);
    let lost = drive.execute_on(execute(BLOCKS, 0), &range, &[]);
    assert_eq!(refusal(lost), Status::UNRECOVERED_READ_ERROR);
}

#[test]
fn a_program_prints_and_knows_the_time_of_its_jobs_arrival() {
    let mut drive = Drive::inline();
    drive.ready(0, PRINTS);
    for _ in 0..150 {
        let now = drive.bench.now;
        assert_eq!(drive.execute(0), result(now + TAKES, now.0));
        drive.bench.now += TAKES;
    }
    assert_eq!(drive.statistics().0.prints_suppressed, 50);
    drive.bench.now += Ns::from_secs(1);
    assert!(drive.execute(0).is_ok());
    assert_eq!(drive.statistics().0.prints_suppressed, 50);
}

#[test]
fn the_data_of_jobs_that_wait_is_bounded() {
    let mut drive = Drive::threads(1);
    drive.ready(0, WAITS);
    let data = vec![0; 64 << 10];
    let most = MAX_JOB_BYTES / data.len() as u64;
    for _ in 0..most {
        let outcome = drive.execute_on(Execute::default(), &[], &data);
        assert_eq!(outcome, Ok(Step::Parked));
    }
    let refused = drive.execute_on(Execute::default(), &[], &data);
    assert_eq!(refusal(refused), Status::INSUFFICIENT_PROGRAM_RESOURCES);
    drive.gate.send(()).expect("the program waits");
    drive.finished(1);
    let outcome = drive.execute_on(Execute::default(), &[], &data);
    assert_eq!(outcome, Ok(Step::Parked), "one has run");
}

#[test]
fn the_list_of_jobs_ends_after_256() {
    let mut drive = Drive::inline();
    drive.ready(0, ADD);
    for _ in 0..300 {
        assert!(drive.execute(0).is_ok());
        drive.bench.now += TAKES;
    }
    let (header, _, _, jobs) = drive.statistics();
    assert_eq!((header.done, jobs.len()), (300, 256));
    assert_eq!((jobs[0].number, jobs[255].number), (299, 44));
    assert_eq!(jobs[0].running_ns, TAKES.0);
}

#[test]
fn a_job_whose_host_is_gone_leaves_its_unit_to_the_next() {
    let mut drive = inline(|config| CpConfig {
        units: ComputeConfig::fifo(1),
        budget: Fuel(1_000_000_000),
        ..config
    });
    drive.ready(0, ENDLESS);
    drive.ready(1, ADD);
    assert!(drive.execute(0).is_err(), "when its budget is used up");
    let first = drive.bench.last();
    assert_eq!(drive.execute(0), Ok(Step::Parked));
    let second = drive.bench.last();
    drive.bench.now += Ns(10);
    for token in [first, second] {
        drive.bench.subsystem.abandon(token);
    }
    drive.bench.finished();
    assert_eq!(drive.execute(1), result(drive.bench.now + TAKES, 0));
    assert!(drive.deactivate(0).is_ok());
}
