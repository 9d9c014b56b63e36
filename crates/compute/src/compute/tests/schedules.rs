//! Computed by hand: one unit, time slices of 10 ns, ageing of 10 ns.

use super::*;

fn ends_of(policy: Policy, qos: &[Qos], jobs: &[Given]) -> Vec<u64> {
    ends(&run(&mut compute(&config(policy, 1), qos), jobs))
}

#[test]
fn fifo() {
    let jobs = [job(0, 25, 0), job(0, 15, 0), job(5, 10, 0)];
    assert_eq!(ends_of(Policy::Fifo, &[], &jobs), [25, 40, 50]);
}

#[test]
fn round_robin() {
    // a 0-10, b 10-20, c 20-30, a 30-40, b 40-45, a 45-50.
    let jobs = [job(0, 25, 0), job(0, 15, 0), job(5, 10, 0)];
    assert_eq!(ends_of(Policy::RoundRobin, &[], &jobs), [50, 45, 30]);
}

#[test]
fn round_robin_with_a_context_switch() {
    // a 1-11, b 12-22, c 23-33, a 34-44, b 45-50, a 51-56, each after a switch of 1.
    let jobs = [job(0, 25, 0), job(0, 15, 0), job(5, 10, 0)];
    let config = ComputeConfig {
        context_switch: Ns(1),
        ..config(Policy::RoundRobin, 1)
    };
    let mut compute = compute(&config, &[]);
    let done = run(&mut compute, &jobs);
    assert_eq!(ends(&done), [56, 50, 33]);
    let statistics: Vec<_> = done
        .iter()
        .map(|done| (done.statistics.queued.0, done.statistics.switches))
        .collect();
    // a waits 11-33 and 44-50, b 0-11 and 22-44, c 5-22.
    assert_eq!(statistics, [(28, 3), (33, 2), (17, 1)]);
    assert_eq!(compute.busy(0).collect::<Vec<_>>(), [Ns(56)]);
}

#[test]
fn a_job_that_is_alone_is_not_switched_at_the_end_of_its_slice() {
    let config = ComputeConfig {
        context_switch: Ns(1),
        ..config(Policy::RoundRobin, 1)
    };
    let done = run(&mut compute(&config, &[]), &[job(0, 100, 0)]);
    assert_eq!((done[0].at, done[0].statistics.switches), (Ns(101), 1));
}

#[test]
fn round_robin_on_two_units() {
    // Units: a 0-10, c 10-20, b 20-30 | b 0-10, a 10-20, a 20-25.
    let jobs = [job(0, 25, 0), job(0, 20, 0), job(0, 10, 0)];
    let mut compute = compute(&config(Policy::RoundRobin, 2), &[]);
    assert_eq!(ends(&run(&mut compute, &jobs)), [25, 30, 20]);
    assert_eq!(compute.busy(0).collect::<Vec<_>>(), [Ns(30), Ns(25)]);
}

#[test]
fn a_job_keeps_its_unit_when_another_is_idle_too() {
    let config = ComputeConfig {
        context_switch: Ns(1),
        ..config(Policy::RoundRobin, 2)
    };
    let mut compute = compute(&config, &[]);
    let done = run(&mut compute, &[job(0, 5, 0), job(0, 100, 0)]);
    assert_eq!((done[1].at, done[1].statistics.switches), (Ns(101), 1));
}

#[test]
fn grouped_fifo() {
    // Group 1: a, b, d; group 2: c. a 0-25, b 25-40, c 40-50, d 50-55.
    let jobs = [job(0, 25, 1), job(0, 15, 1), job(5, 10, 2), job(5, 5, 1)];
    let qos = [Qos::default(); 2];
    assert_eq!(ends_of(Policy::GroupedFifo, &qos, &jobs), [25, 40, 50, 55]);
}

#[test]
fn grouped_round_robin() {
    // a 0-10, b 10-20, then group 2: c 20-30, then d 30-35, a 35-45, b 45-50, a 50-55.
    let jobs = [job(0, 25, 1), job(0, 15, 1), job(5, 10, 2), job(5, 5, 1)];
    let qos = [Qos::default(); 2];
    let ends = ends_of(Policy::GroupedRoundRobin, &qos, &jobs);
    assert_eq!(ends, [55, 50, 30, 35]);
}

#[test]
fn priority_ages() {
    // The first has priority 1 and is put aside at 10. Those of priority 3 that come to wait in
    // the next 20 ns go before it, the one that comes at 30 does not.
    let mut jobs = vec![job(0, 20, 1)];
    jobs.extend((0..5).map(|n| job(n * 10, 10, 2)));
    let ends = ends_of(Policy::Priority, &[priority(1), priority(3)], &jobs);
    assert_eq!(ends, [50, 20, 30, 40, 60, 70]);
}

#[test]
fn the_same_priority_takes_turns() {
    let jobs = [job(0, 20, 1), job(0, 20, 1)];
    assert_eq!(ends_of(Policy::Priority, &[priority(9)], &jobs), [30, 40]);
}

#[test]
fn earliest_deadline_first_takes_the_unit_at_once() {
    // a 0-5, b 5-15, a 15-40, c 40-50.
    let jobs = [job(0, 30, 1), job(5, 10, 2), job(5, 10, 3)];
    let qos = [deadline(100), deadline(20), deadline(200)];
    let done = run(&mut compute(&config(Policy::DeadlineFirst, 1), &qos), &jobs);
    assert_eq!(ends(&done), [40, 15, 50]);
    let switches: Vec<_> = done.iter().map(|done| done.statistics.switches).collect();
    assert_eq!(switches, [2, 1, 1]);
}

#[test]
fn earliest_deadline_first_pushes_the_latest_one_aside() {
    let jobs = [job(0, 30, 1), job(0, 30, 2), job(10, 5, 3)];
    let qos = [deadline(100), deadline(200), deadline(20)];
    let mut compute = compute(&config(Policy::DeadlineFirst, 2), &qos);
    assert_eq!(ends(&run(&mut compute, &jobs)), [30, 35, 15]);
}

#[test]
fn fair_share_follows_the_priorities() {
    // Twice the share: a 0-10, b, a, a 30-40, b, a, a 60-70, b, a 80-90, b 90-120.
    let jobs = [job(0, 60, 1), job(0, 60, 2)];
    let ends = ends_of(Policy::FairShare, &[priority(6), priority(3)], &jobs);
    assert_eq!(ends, [90, 120]);
}

#[test]
fn a_group_that_was_idle_has_no_claim_on_that_time() {
    // Group 2 comes at 1000 and takes turns from there on.
    let jobs = [job(0, 1020, 1), job(1000, 20, 2)];
    let ends = ends_of(Policy::FairShare, &[Qos::default(); 2], &jobs);
    // At 1010 group 2's first slice; both have then had 10 more, and the lower number goes on.
    assert_eq!(ends, [1030, 1040]);
}

#[test]
fn classes_do_not_wait_for_each_other() {
    let mut config = config(Policy::Fifo, 1);
    config.classes.push(ClassConfig {
        name: "fpga".into(),
        units: 1,
    });
    let mut compute = compute(&config, &[]);
    let on = |class| Job {
        class,
        ..Job::default()
    };
    for (class, load) in [(0, 0), (1, 1), (1, 2), (9, 3)] {
        let number = compute.arrive(Ns(0), on(class), load).expect("group 0");
        compute.known(number, Ns(10));
    }
    compute.advance(Ns(20));
    let done: Vec<_> = std::iter::from_fn(|| compute.take_done()).collect();
    assert_eq!(ends(&done), [10, 10, 20, 30]);
}
