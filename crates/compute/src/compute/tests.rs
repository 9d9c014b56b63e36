//! Schedules computed by hand, and what is true of all schedules.

use super::*;
use crate::group::Qos;
use ersatz_engine::Rng;

mod properties;
mod quality;
mod schedules;

/// A job of a test: when it arrives, what it costs, its group, its bytes.
#[derive(Clone, Copy, Debug)]
struct Given {
    arrival: Ns,
    cost: Ns,
    group: u8,
    bytes: u64,
}

fn job(arrival: u64, cost: u64, group: u8) -> Given {
    Given {
        arrival: Ns(arrival),
        cost: Ns(cost),
        group,
        bytes: 0,
    }
}

fn config(policy: Policy, units: u16) -> ComputeConfig {
    ComputeConfig {
        classes: vec![ClassConfig {
            name: "arm-a53".into(),
            units,
        }],
        policy,
        time_slice: Ns(10),
        context_switch: Ns(0),
        ageing: Ns(10),
    }
}

/// Units with `qos` as the groups 1, 2 and so on.
fn compute(config: &ComputeConfig, qos: &[Qos]) -> Compute<usize> {
    let mut compute = Compute::new(config);
    for qos in qos {
        compute.groups_mut().create(*qos).expect("room");
    }
    compute
}

fn arrive(compute: &mut Compute<usize>, index: usize, given: &Given) -> Number {
    let job = Job {
        class: 0,
        group: GroupId(given.group),
        bytes: given.bytes,
    };
    compute
        .arrive(given.arrival, job, index)
        .expect("the group is there")
}

/// What became of the jobs, in their order, when all costs are known at once.
fn run(compute: &mut Compute<usize>, jobs: &[Given]) -> Vec<Done<usize>> {
    for (index, given) in jobs.iter().enumerate() {
        let number = arrive(compute, index, given);
        compute.known(number, given.cost);
        compute.advance(given.arrival);
    }
    compute.advance(Ns::MAX);
    all_done(compute)
}

fn all_done(compute: &mut Compute<usize>) -> Vec<Done<usize>> {
    let mut done: Vec<_> = std::iter::from_fn(|| compute.take_done()).collect();
    assert_eq!(compute.present().len(), 0);
    done.sort_unstable_by_key(|done| done.load);
    done
}

fn ends(done: &[Done<usize>]) -> Vec<u64> {
    done.iter().map(|done| done.at.0).collect()
}

fn priority(priority: u8) -> Qos {
    Qos {
        priority,
        ..Qos::default()
    }
}

fn deadline(after: u64) -> Qos {
    Qos {
        deadline: Some(Ns(after)),
        ..Qos::default()
    }
}
