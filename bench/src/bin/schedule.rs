//! How many jobs a second each scheduler can share out over 16 units, on one core of this machine.

#![allow(clippy::disallowed_methods)] // Measuring is what it is for.

use anyhow::{Context, Result};
use ersatz_compute::{ClassConfig, Compute, ComputeConfig, GroupId, Job, Policy, Qos};
use ersatz_engine::{Ns, Rng};
use std::time::Instant;

const UNITS: u16 = 16;
const JOBS: u64 = 1_000_000;
/// Time between arrivals and work of a job, in the mean: the units are busy for 94 % of the time.
const EVERY: u64 = 6_667;
const WORK: u64 = 100_000;

fn main() -> Result<()> {
    println!("{JOBS} jobs of 100 us on {UNITS} units, time slice 20 us, load 94 %");
    for policy in Policy::ALL {
        let mut compute = compute(policy)?;
        let (seconds, most) = run(&mut compute)?;
        println!(
            "{:20} {:9.0} jobs/s, at most {most} in flight",
            policy.name(),
            JOBS as f64 / seconds
        );
    }
    Ok(())
}

/// Units, with the job groups 1 to 9.
fn compute(policy: Policy) -> Result<Compute<()>> {
    let mut compute = Compute::new(&ComputeConfig {
        classes: vec![ClassConfig {
            name: "unit".into(),
            units: UNITS,
        }],
        policy,
        time_slice: Ns::from_us(20),
        context_switch: Ns(200),
        ageing: Ns::from_ms(1),
    });
    for priority in 1..=9 {
        compute.groups_mut().create(Qos {
            priority,
            bandwidth: None,
            deadline: Some(Ns::from_us(100 * u64::from(priority))),
        })?;
    }
    Ok(compute)
}

/// Lets all jobs arrive and end; how many seconds that took, and how many were in flight.
fn run(compute: &mut Compute<()>) -> Result<(f64, usize)> {
    let mut rng = Rng::new(1);
    let (mut now, mut most, mut done) = (Ns::ZERO, 0, 0);
    let begin = Instant::now();
    for n in 0..JOBS {
        now += Ns(rng.below(2 * EVERY));
        let job = Job {
            group: GroupId((n % 9) as u8 + 1),
            ..Job::default()
        };
        let number = compute.arrive(now, job, ())?;
        compute.known(number, Ns(rng.below(2 * WORK)));
        compute.advance(now);
        most = most.max(compute.present().len());
        done += std::iter::from_fn(|| compute.take_done()).count() as u64;
    }
    compute.advance(Ns::MAX);
    done += std::iter::from_fn(|| compute.take_done()).count() as u64;
    let seconds = begin.elapsed().as_secs_f64();
    (done == JOBS)
        .then_some((seconds, most))
        .context("a job is missing")
}
