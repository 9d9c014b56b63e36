//! Job groups: bandwidths, deadlines, and what is counted.

use super::*;

#[test]
fn a_bandwidth_holds_within_two_percent() {
    let mut rng = Rng::new(3);
    for bandwidth in [1_000_000, 7_777_000, 3_000_000_000] {
        let qos = Qos {
            bandwidth: Some(bandwidth),
            ..Qos::default()
        };
        let mut compute = compute(&config(Policy::RoundRobin, 4), &[qos]);
        let jobs: Vec<_> = (0..500)
            .map(|_| Given {
                bytes: 1000 + rng.below(100_000),
                ..job(0, 10, 1)
            })
            .collect();
        let done = run(&mut compute, &jobs);
        let last = done.last().expect("jobs").at;
        let before_last: u64 = jobs[..jobs.len() - 1].iter().map(|job| job.bytes).sum();
        let rate = before_last as f64 / last.as_secs_f64();
        let error = (rate / bandwidth as f64 - 1.0).abs();
        assert!(error < 0.02, "{rate} instead of {bandwidth}");
    }
}

#[test]
fn a_bandwidth_holds_up_nobody_else() {
    let qos = Qos {
        bandwidth: Some(1_000_000_000),
        ..Qos::default()
    };
    let mut compute = compute(&config(Policy::Fifo, 1), &[qos]);
    let with_bytes = |bytes, job| Given { bytes, ..job };
    let jobs = [
        with_bytes(100, job(0, 10, 1)),
        with_bytes(100, job(0, 10, 1)),
        with_bytes(100, job(1, 10, 0)),
    ];
    let done = run(&mut compute, &jobs);
    assert_eq!(ends(&done), [10, 110, 20]);
    let held: Vec<_> = done.iter().map(|done| done.statistics.held.0).collect();
    assert_eq!(held, [0, 100, 0]);
}

#[test]
fn deadlines_that_can_be_met_are_met() {
    let mut rng = Rng::new(11);
    for _ in 0..20 {
        let mut now = 0;
        let mut jobs: Vec<_> = (1..=200)
            .map(|group| {
                now += rng.below(40);
                job(now, 1 + rng.below(40), group)
            })
            .collect();
        // Round robin shows that they can be met.
        let none = vec![Qos::default(); jobs.len()];
        let possible = run(&mut compute(&config(Policy::RoundRobin, 1), &none), &jobs);
        let of = |done: &Done<usize>| deadline((done.at - done.arrival).0);
        let tight: Vec<_> = possible.iter().map(of).collect();
        let mut edf = compute(&config(Policy::DeadlineFirst, 1), &tight);
        assert!(run(&mut edf, &jobs).iter().all(|done| !done.missed));
        // With a little more work they can't.
        jobs[0].cost += Ns(1);
        let mut edf = compute(&config(Policy::DeadlineFirst, 1), &tight);
        assert!(run(&mut edf, &jobs).iter().any(|done| done.missed));
    }
}

#[test]
fn a_job_without_deadline_is_not_put_off_for_ever() {
    let mut compute = compute(&config(Policy::DeadlineFirst, 1), &[deadline(1_000_000)]);
    let mut jobs = vec![job(0, 1_000_000, 0)];
    // Twice as much as the unit can do.
    jobs.extend((0..5000).map(|n| job(1 + n * 500_000, 1_000_000, 1)));
    let done = run(&mut compute, &jobs);
    assert!(done[0].at <= Ns::from_ms(2003), "{}", done[0].at);
}

#[test]
fn groups_count_what_became_of_their_jobs() {
    let mut compute = compute(&config(Policy::Fifo, 1), &[deadline(15)]);
    run(&mut compute, &[job(0, 10, 1), job(0, 10, 1), job(0, 5, 0)]);
    let groups = compute.groups().iter();
    let counted: Vec<_> = groups
        .map(|(id, _, of)| {
            (
                id.0,
                of.done,
                of.missed,
                of.queued.0,
                of.running.0,
                of.switches,
            )
        })
        .collect();
    assert_eq!(counted, [(0, 1, 0, 20, 5, 1), (1, 2, 1, 10, 20, 2)]);
}

#[test]
fn groups_come_and_go_but_not_under_their_jobs() {
    let mut compute = compute(&config(Policy::Fifo, 1), &[]);
    let groups = compute.groups_mut();
    for id in 1..=255 {
        assert_eq!(groups.create(Qos::default()), Ok(GroupId(id)));
    }
    assert_eq!(groups.create(Qos::default()), Err(GroupError::Full));
    assert_eq!(groups.delete(GroupId(7)), Ok(()));
    assert_eq!(
        groups.delete(GroupId(7)),
        Err(GroupError::Unknown(GroupId(7)))
    );
    assert_eq!(
        groups.set(GroupId(7), Qos::default()),
        Err(GroupError::Unknown(GroupId(7)))
    );
    assert_eq!(groups.delete(GroupId(0)), Err(GroupError::Permanent));
    let to = |group| Job {
        group: GroupId(group),
        ..Job::default()
    };
    assert_eq!(
        compute.arrive(Ns(0), to(7), 0),
        Err(GroupError::Unknown(GroupId(7)))
    );
    let number = compute.arrive(Ns(0), to(8), 0).expect("there");
    let in_use = Err(GroupError::InUse(GroupId(8)));
    assert_eq!(compute.groups_mut().delete(GroupId(8)), in_use);
    compute.known(number, Ns(1));
    compute.advance(Ns(0));
    assert!(compute.take_done().is_some());
    assert_eq!(compute.groups_mut().delete(GroupId(8)), Ok(()));
    // An abandoned job is none.
    let number = compute.arrive(Ns(0), to(9), 0).expect("there");
    assert_eq!(compute.abandon(number, Ns(0)), Some(0));
    assert_eq!(compute.groups_mut().delete(GroupId(9)), Ok(()));
}
