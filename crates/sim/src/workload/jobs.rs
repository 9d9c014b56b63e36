//! Jobs at work.

use super::random::Places;
use super::{Job, Process};
use crate::load::{Completion, Load, LoadError, Request};
use ersatz_engine::{Ns, Rng};
use ersatz_report::Op;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A job can't run on this drive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("job {job:?}: {message}")]
pub struct JobError {
    /// The job.
    pub job: String,
    /// Why.
    pub message: String,
}

/// One job, or one of several that are alike.
struct Worker {
    job: Job,
    rng: Rng,
    places: Places,
    /// Of a request, and of the first one.
    nlb: u32,
    start: u64,
    /// Requests that lie one after the other in the job's part.
    count: u64,
    /// Where the next sequential one is.
    next: u64,
    given: u64,
    done: u64,
    ends: Ns,
}

impl Worker {
    fn new(job: Job, rng: Rng, block: u32, blocks: u64) -> Result<Self, JobError> {
        let refuse = |message: String| JobError {
            job: job.name.clone(),
            message,
        };
        let block = u64::from(block);
        let size = blocks.saturating_mul(block);
        for (name, bytes) in [("bs", job.bs), ("offset", job.offset)] {
            if !bytes.is_multiple_of(block) {
                let message =
                    format!("{name} of {bytes} bytes is no multiple of the block, {block} bytes");
                return Err(refuse(message));
            }
        }
        let nlb = job.bs / block;
        if nlb > 65_536 {
            let message =
                format!("bs is {nlb} blocks of {block} bytes; a command has at most 65536");
            return Err(refuse(message));
        }
        let part = job.size.unwrap_or(size.saturating_sub(job.offset));
        let count = part / job.bs;
        if count == 0 || job.offset.checked_add(part).is_none_or(|end| end > size) {
            let message = format!(
                "offset {} + size {part} is not in the namespace of {size} bytes, or less than bs",
                job.offset
            );
            return Err(refuse(message));
        }
        let runtime = job.runtime.map_or(Ns::MAX, |time| job.startdelay + time);
        Ok(Self {
            places: Places::new(&job.distribution, count),
            nlb: nlb as u32,
            start: job.offset / block,
            count,
            next: 0,
            given: 0,
            done: 0,
            ends: runtime,
            rng,
            job,
        })
    }

    /// Whether a request may still arrive at `at`.
    fn goes_on(&self, at: Ns) -> bool {
        at < self.ends && self.job.number_ios.is_none_or(|number| self.given < number)
    }

    fn request(&mut self, at: Ns, number: u32) -> Request {
        let rw = self.job.rw;
        let op = match rw.reads {
            _ if rw.trims => Op::Trim,
            0 => Op::Write,
            100 => Op::Read,
            reads if self.rng.below(100) < u64::from(reads) => Op::Read,
            _ => Op::Write,
        };
        let place = if rw.random {
            self.places.draw(&mut self.rng)
        } else {
            let place = self.next;
            self.next = (self.next + 1) % self.count;
            place
        };
        self.given += 1;
        Request {
            at,
            op,
            slba: self.start + place * u64::from(self.nlb),
            nlb: self.nlb,
            job: number,
        }
    }

    /// From one arrival of an open loop to the next.
    fn interval(&mut self, rate: u64) -> Ns {
        let mean = 1e9 / rate as f64;
        match self.job.rate_process {
            // Not the rounded mean each time: the rate must be right after a billion of them.
            Process::Linear => {
                let at =
                    |number: u64| (u128::from(number) * 1_000_000_000 / u128::from(rate)) as u64;
                Ns(at(self.given) - at(self.given - 1))
            }
            Process::Poisson => Ns((-mean * (1.0 - self.rng.unit()).ln()).round() as u64),
        }
    }
}

/// Jobs that run beside one another.
pub struct Workload {
    workers: Vec<Worker>,
    /// When which worker has room for a request; ties go by the order of pushing.
    ready: BinaryHeap<Reverse<(Ns, u64, u32)>>,
    pushed: u64,
    /// How late the drive's clock is: nothing can arrive before.
    now: Ns,
}

impl Workload {
    /// Jobs for a namespace of `blocks` blocks of `block` bytes.
    ///
    /// # Errors
    /// A job that does not fit it.
    pub fn new(jobs: &[Job], seed: u64, block: u32, blocks: u64) -> Result<Self, JobError> {
        let mut seeds = Rng::new(seed);
        let mut workload = Self {
            workers: Vec::new(),
            ready: BinaryHeap::new(),
            pushed: 0,
            now: Ns::ZERO,
        };
        for job in jobs {
            for _ in 0..job.numjobs {
                let rng = Rng::new(seeds.next_u64());
                let worker = Worker::new(job.clone(), rng, block, blocks)?;
                let number = workload.workers.len() as u32;
                let at_once = match job.rate_iops {
                    Some(_) => 1,
                    None => job.iodepth,
                };
                (0..at_once).for_each(|_| workload.push(job.startdelay, number));
                workload.workers.push(worker);
            }
        }
        Ok(workload)
    }

    fn push(&mut self, at: Ns, worker: u32) {
        self.ready.push(Reverse((at, self.pushed, worker)));
        self.pushed += 1;
    }
}

impl Load for Workload {
    fn peek(&mut self) -> Result<Option<Ns>, LoadError> {
        while let Some(Reverse((at, _, worker))) = self.ready.peek() {
            if self.workers[*worker as usize].goes_on(*at) {
                return Ok(Some((*at).max(self.now)));
            }
            self.ready.pop();
        }
        Ok(None)
    }

    fn take(&mut self) -> Option<Request> {
        let Reverse((at, _, number)) = self.ready.pop()?;
        let worker = &mut self.workers[number as usize];
        let request = worker.request(at, number);
        if let Some(rate) = worker.job.rate_iops {
            let next = at + worker.interval(rate);
            self.push(next, number);
        }
        self.now = self.now.max(at);
        Some(request)
    }

    fn finished(&mut self, completion: &Completion) {
        let number = completion.submission.request.job;
        let Some(worker) = self.workers.get_mut(number as usize) else {
            return;
        };
        if worker.job.rate_iops.is_some() {
            return;
        }
        worker.done += 1;
        let thinks = worker.done.is_multiple_of(worker.job.thinktime_blocks);
        let pause = if thinks {
            worker.job.thinktime
        } else {
            Ns::ZERO
        };
        // On a drive that takes no time at all, time must go on nevertheless.
        let least = Ns(u64::from(completion.latency() == Ns::ZERO));
        self.push(completion.due + pause.max(least), number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Submission;
    use nvme_spec::Status;

    fn job(settings: &[(&str, &str)]) -> Job {
        let mut job = Job::default();
        for (key, text) in settings {
            job.set(key, text).expect("a setting");
        }
        job
    }

    /// Runs jobs on a drive that takes `latency` for everything; requests as they were given.
    fn run(jobs: &[Job], latency: u64) -> Vec<Request> {
        let mut workload = Workload::new(jobs, 1, 4096, 1_000).expect("they fit");
        let (mut given, mut flying) = (Vec::new(), std::collections::VecDeque::new());
        loop {
            let next = workload.peek().expect("jobs can be read");
            match (next, flying.front()) {
                (Some(at), front) if front.is_none_or(|done: &Completion| at < done.due) => {
                    let request = workload.take().expect("peeked");
                    given.push(request);
                    flying.push_back(Completion {
                        submission: Submission {
                            index: 0,
                            queue: 1,
                            request,
                            bytes: 0,
                        },
                        due: request.at + Ns(latency),
                        status: Status::SUCCESS,
                    });
                }
                (_, Some(_)) => {
                    let done = flying.pop_front().expect("seen");
                    workload.finished(&done);
                }
                _ => return given,
            }
        }
    }

    #[test]
    fn a_closed_loop_keeps_its_depth() {
        let given = run(
            &[job(&[
                ("iodepth", "3"),
                ("number_ios", "9"),
                ("rw", "write"),
            ])],
            100,
        );
        let times: Vec<_> = given.iter().map(|request| request.at.0).collect();
        assert_eq!(times, [0, 0, 0, 100, 100, 100, 200, 200, 200]);
        let places: Vec<_> = given.iter().map(|request| request.slba).collect();
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(given.iter().all(|request| request.op == Op::Write));
    }

    #[test]
    fn a_rate_keeps_its_times_however_slow_the_drive_is() {
        let settings = [("rate_iops", "3"), ("runtime", "2"), ("rw", "randread")];
        let given = run(&[job(&settings)], 5_000_000_000);
        let times: Vec<_> = given.iter().map(|request| request.at.0).collect();
        let third = 1_000_000_000 / 3;
        assert_eq!(times.len(), 6);
        assert_eq!(times[..3], [0, third, 2 * third]);
        assert_eq!(times[3], 1_000_000_000, "no rounding adds up");
    }

    #[test]
    fn poisson_arrivals_have_the_mean_and_the_spread_of_their_rate() {
        let settings = [
            ("rate_iops", "1000000"),
            ("rate_process", "poisson"),
            ("number_ios", "100000"),
        ];
        let given = run(&[job(&settings)], 1);
        let gaps = given.windows(2).map(|two| (two[1].at - two[0].at).0 as f64);
        let gaps: Vec<f64> = gaps.collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1_000.0).abs() < 15.0, "{mean}");
        assert!((variance.sqrt() - 1_000.0).abs() < 30.0, "{variance}");
    }

    #[test]
    fn thinking_pauses_after_so_many() {
        let settings = [
            ("thinktime", "1 us"),
            ("thinktime_blocks", "2"),
            ("number_ios", "5"),
        ];
        let given = run(&[job(&settings)], 100);
        let times: Vec<_> = given.iter().map(|request| request.at.0).collect();
        assert_eq!(times, [0, 100, 1_200, 1_300, 2_400]);
    }

    #[test]
    fn a_mix_is_mixed_and_jobs_have_their_own_parts_and_beginnings() {
        let mixed = job(&[
            ("rw", "randrw"),
            ("rwmixread", "70"),
            ("number_ios", "10000"),
            ("size", "400 KiB"),
        ]);
        let late = job(&[
            ("rw", "trim"),
            ("startdelay", "1 us"),
            ("number_ios", "1"),
            ("offset", "400 KiB"),
        ]);
        let given = run(&[mixed, late], 10);
        let reads = given
            .iter()
            .filter(|request| request.op == Op::Read)
            .count();
        assert!((6_700..7_300).contains(&reads), "{reads}");
        let late: Vec<_> = given.iter().filter(|request| request.job == 1).collect();
        assert_eq!(late.len(), 1);
        assert_eq!(
            (late[0].at, late[0].op, late[0].slba),
            (Ns(1_000), Op::Trim, 100)
        );
        assert!(
            given
                .iter()
                .all(|request| request.job == 1 || request.slba < 100)
        );
    }

    #[test]
    fn a_drive_that_takes_no_time_does_not_stop_it() {
        assert_eq!(run(&[job(&[("runtime", "1 us")])], 0).len(), 1_000);
    }

    #[test]
    fn a_job_that_does_not_fit_is_refused() {
        for (settings, message) in [
            (
                [("bs", "6k"), ("number_ios", "1")],
                "bs of 6144 bytes is no multiple of the block",
            ),
            (
                [("size", "1g"), ("number_ios", "1")],
                "is not in the namespace of 4096000 bytes",
            ),
            (
                [("offset", "1g"), ("number_ios", "1")],
                "is not in the namespace",
            ),
            (
                [("bs", "1g"), ("number_ios", "1")],
                "a command has at most 65536",
            ),
        ] {
            let refused = Workload::new(&[job(&settings)], 1, 4096, 1_000).err();
            let refused = refused.expect("refused").to_string();
            assert!(refused.contains(message), "{refused}");
        }
    }
}
