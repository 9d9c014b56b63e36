//! What is true of every schedule.

use super::*;
use crate::pool::Slice;

const SWITCH: Ns = Ns(3);
const GROUPS: [Qos; 4] = [
    Qos {
        priority: 1,
        bandwidth: None,
        deadline: None,
    },
    Qos {
        priority: 9,
        bandwidth: None,
        deadline: Some(Ns(300)),
    },
    Qos {
        priority: 4,
        bandwidth: Some(50_000_000),
        deadline: Some(Ns(50)),
    },
    Qos {
        priority: 7,
        bandwidth: Some(400_000_000),
        deadline: None,
    },
];

fn with_switch(policy: Policy, units: u16) -> ComputeConfig {
    ComputeConfig {
        context_switch: SWITCH,
        ..config(policy, units)
    }
}

/// Jobs that arrive over time, now and then several at once, more or less as many as `units` can do.
fn jobs(rng: &mut Rng, units: u16) -> Vec<Given> {
    let mut now = 0;
    let mut next = |_| {
        now += rng.below(3) * rng.below(60 / u64::from(units));
        Given {
            arrival: Ns(now),
            cost: Ns(rng.below(4) * rng.below(30)),
            group: rng.below(5) as u8,
            bytes: rng.below(10),
        }
    };
    (0..150).map(&mut next).collect()
}

/// All that can be told of a schedule.
type Outcome = (Vec<Done<usize>>, Vec<Slice>, Vec<Ns>);

fn outcome(compute: &mut Compute<usize>, mut done: Vec<Done<usize>>) -> Outcome {
    done.extend(all_done(compute));
    done.sort_unstable_by_key(|done| done.load);
    let slices = std::mem::take(&mut compute.pools[0].slices);
    (done, slices, compute.busy(0).collect())
}

/// Lets costs become known in any order, early and late, and looks at any time.
fn run_shuffled(config: &ComputeConfig, jobs: &[Given], rng: &mut Rng) -> Outcome {
    let mut compute = compute(config, &GROUPS);
    let (mut unknown, mut done) = (Vec::new(), Vec::new());
    let mut arrived = 0;
    let mut now = Ns::ZERO;
    while arrived < jobs.len() || !unknown.is_empty() {
        match rng.below(5) {
            0 | 1 if arrived < jobs.len() => {
                now = jobs[arrived].arrival;
                let number = arrive(&mut compute, arrived, &jobs[arrived]);
                unknown.push((number, jobs[arrived].cost));
                arrived += 1;
            }
            2 => {
                compute.advance(now);
                done.extend(std::iter::from_fn(|| compute.take_done()));
            }
            _ if !unknown.is_empty() => {
                let (number, cost) = unknown.swap_remove(rng.below(unknown.len() as u64) as usize);
                let known = compute.known(number, cost);
                assert!(known.is_some(), "no end is told before the cost");
            }
            _ => {}
        }
    }
    compute.advance(Ns::MAX);
    outcome(&mut compute, done)
}

fn for_all(mut check: impl FnMut(Policy, u16, &mut Rng)) {
    let mut rng = Rng::new(7);
    for policy in Policy::ALL {
        for units in 1..=4 {
            for _ in 0..8 {
                check(policy, units, &mut rng);
            }
        }
    }
}

#[test]
fn a_schedule_does_not_depend_on_when_costs_become_known() {
    for_all(|policy, units, rng| {
        let jobs = jobs(rng, units);
        let config = with_switch(policy, units);
        let mut at_once = compute(&config, &GROUPS);
        let done = run(&mut at_once, &jobs);
        let expected = outcome(&mut at_once, done);
        for _ in 0..4 {
            let shuffled = run_shuffled(&config, &jobs, rng);
            assert_eq!(shuffled.0, expected.0, "{policy:?} on {units}");
            assert_eq!(shuffled.1, expected.1, "{policy:?} on {units}");
            assert_eq!(shuffled.2, expected.2, "{policy:?} on {units}");
        }
    });
}

#[test]
fn no_work_is_lost_and_no_time_is_unaccounted_for() {
    for_all(|policy, units, rng| {
        let jobs = jobs(rng, units);
        let mut compute = compute(&with_switch(policy, units), &GROUPS);
        let done = run(&mut compute, &jobs);
        assert_eq!(done.len(), jobs.len(), "nobody starves");
        let mut work = Ns::ZERO;
        let mut switches = 0;
        for (job, given) in done.iter().zip(&jobs) {
            let of = &job.statistics;
            assert_eq!(of.running, given.cost);
            work += of.running;
            switches += u64::from(of.switches);
            let accounted = of.held + of.queued + of.running;
            let switching = Ns(u64::from(of.switches) * SWITCH.0);
            let took = job.at - job.arrival;
            if policy == Policy::DeadlineFirst {
                // A switch may be cut short by a more urgent job.
                assert!(accounted <= took && took <= accounted + switching);
            } else {
                assert_eq!(took, accounted + switching, "{policy:?}");
            }
        }
        let busy = compute.busy(0).fold(Ns::ZERO, |sum, busy| sum + busy);
        let most = work + Ns(switches * SWITCH.0);
        if policy == Policy::DeadlineFirst {
            assert!(work <= busy && busy <= most);
        } else {
            assert_eq!(busy, most, "{policy:?}");
        }
    });
}

#[test]
fn units_do_one_thing_at_a_time_and_slices_are_respected() {
    for_all(|policy, units, rng| {
        let mut compute = compute(&with_switch(policy, units), &GROUPS);
        run(&mut compute, &jobs(rng, units));
        let sliced = policy.scheduler(&Settings { ageing: Ns(1) }).is_sliced();
        let slices = &compute.pools[0].slices;
        for (i, slice) in slices.iter().enumerate() {
            let work = slice.end - slice.begin;
            assert!(!sliced || work <= Ns(10), "{policy:?}: {slice:?}");
            let before = slices[..i].iter().rev();
            let mut before =
                before.filter(|other| other.unit == slice.unit || other.number == slice.number);
            assert!(before.all(|other| other.end <= slice.since));
        }
    });
}

#[test]
fn no_job_waits_while_a_unit_is_idle() {
    for_all(|policy, units, rng| {
        let jobs = jobs(rng, units);
        let mut compute = compute(&with_switch(policy, units), &GROUPS);
        let done = run(&mut compute, &jobs);
        let slices = &compute.pools[0].slices;
        for job in &done {
            let own = slices.iter().filter(|slice| slice.number == job.number);
            let mut waits_from = job.arrival + job.statistics.held;
            for slice in own {
                // Each unit's slices up to that time have to cover the time in which it waited.
                let waited = slice.since - waits_from;
                let busy = slices
                    .iter()
                    .map(|other| other.end.min(slice.since) - other.since.max(waits_from));
                let busy = busy.fold(Ns::ZERO, |sum, busy| sum + busy);
                assert_eq!(busy, Ns(waited.0 * u64::from(units)), "{policy:?}");
                waits_from = slice.end;
            }
        }
    });
}

#[test]
fn a_job_beside_one_of_unknown_cost_ends_before_that_is_known() {
    for policy in Policy::ALL {
        let mut compute = compute(&config(policy, 3), &[]);
        arrive(&mut compute, 0, &job(0, 0, 0));
        compute.advance(Ns(0));
        let short = arrive(&mut compute, 1, &job(5, 0, 0));
        compute.advance(Ns(5));
        let other = arrive(&mut compute, 2, &job(6, 0, 0));
        compute.advance(Ns(6));
        compute.known(other, Ns(30));
        compute.known(short, Ns(25));
        assert_eq!(compute.unknown_since(), Some(Ns(0)));
        for now in [6, 30, 36] {
            assert!(compute.next_due().is_none_or(|due| due > Ns(5)));
            compute.advance(Ns(now));
        }
        let done: Vec<_> = std::iter::from_fn(|| compute.take_done()).collect();
        let mut ends = ends(&done);
        ends.sort_unstable();
        assert_eq!(ends, [30, 36], "{policy:?}");
        // All units may be taken now: who comes has to wait and see.
        for index in 3..5 {
            let late = arrive(&mut compute, index, &job(40, 0, 0));
            compute.known(late, Ns(1000));
        }
        let waits = arrive(&mut compute, 5, &job(50, 0, 0));
        compute.known(waits, Ns(7));
        compute.advance(Ns(60));
        let told = std::iter::from_fn(|| compute.take_done());
        assert!(
            told.filter(|done| done.load == 5).count() == 0,
            "{policy:?}"
        );
        compute.known(Number(0), Ns(45));
        compute.advance(Ns(60));
        let told = std::iter::from_fn(|| compute.take_done()).find(|done| done.load == 5);
        assert_eq!(told.map(|done| done.at), Some(Ns(57)), "{policy:?}");
        assert_eq!(compute.unknown_since(), None);
    }
}

#[test]
fn an_abandoned_job_takes_no_time_from_then_on() {
    for policy in Policy::ALL {
        // The unit is taken by a job of unknown cost, by one that takes for ever, or waited for.
        for cost in [None, Some(Ns::MAX)] {
            let mut compute = compute(&config(policy, 1), &[]);
            let first = arrive(&mut compute, 0, &job(0, 0, 0));
            let second = arrive(&mut compute, 1, &job(5, 0, 0));
            let third = arrive(&mut compute, 2, &job(6, 0, 0));
            if let Some(cost) = cost {
                compute.known(first, cost);
            }
            compute.advance(Ns(6));
            compute.known(second, Ns(100));
            compute.known(third, Ns(20));
            assert_eq!(compute.abandon(second, Ns(7)), Some(1));
            compute.abandon(first, Ns(8));
            compute.advance(Ns::MAX);
            let done: Vec<_> = std::iter::from_fn(|| compute.take_done())
                .filter(|done| done.load != 0)
                .collect();
            assert_eq!(ends(&done), [28], "{policy:?}, {cost:?}");
            assert_eq!(compute.present().len(), 0);
            assert_eq!(compute.known(second, Ns(1)), None);
        }
    }
}
