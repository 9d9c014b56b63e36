//! The jobs of a compute namespace, from their arrival to their end.

use super::execute::{MAX_JOB_BYTES, MAX_JOBS, failure};
use super::executor::{Done, Executor, Run, Work};
use super::services::{DriveServices, Prints};
use crate::error::NvmeError;
use crate::set::{Finished, Flash, Step, Token};
use ersatz_compute::{
    Compute, ComputeConfig, CostModel, Done as JobDone, GroupId, Groups, Job as Arrival, Number,
    Speed, Usage,
};
use ersatz_engine::Ns;
use ersatz_runtime::{Program, Report};
use nvme_spec::Status;
use nvme_spec::vendor::JobEntry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zerocopy::FromZeros;

/// Jobs that are done and still listed.
const LISTED: usize = 256;

/// An Execute Program command between its arrival and the decision of its end.
pub(super) struct Job {
    pub(super) token: Token,
    pub(super) pind: u16,
    pub(super) rsid: u16,
    pub(super) class: usize,
    pub(super) group: GroupId,
    /// Bytes of its ranges.
    pub(super) bytes: u64,
    /// Bytes that it keeps in memory until it has run.
    pub(super) held: u64,
    pub(super) price: Price,
    pub(super) program: Arc<dyn Program>,
    pub(super) services: Arc<DriveServices>,
    pub(super) outcome: Result<u64, NvmeError>,
    /// Bytes that it has read from NVM namespaces.
    pub(super) copied: u64,
    /// Its program has ended.
    pub(super) ran: bool,
    /// Shared with its [`Work`], which is on another thread.
    pub(super) abandoned: Arc<AtomicBool>,
}

/// How the cost of a job follows from its run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) model: CostModel,
    pub(super) speed: Speed,
    pub(super) given: Ns,
}

/// What a job uses, so that it can't be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uses {
    pind: u16,
    rsid: u16,
}

/// A job whose end is decided: until then it occupies its program and its set. That this is the
/// modelled end makes a host see the same whatever this machine's speed.
#[derive(Clone, Copy, Debug)]
struct Booked {
    token: Token,
    group: GroupId,
    uses: Uses,
}

/// All jobs of a compute namespace.
pub(super) struct Jobs {
    compute: Compute<Job>,
    booked: BTreeMap<(Ns, Number), Booked>,
    /// Runs that have not ended though nobody wants their results any more.
    orphans: BTreeMap<Number, (Uses, u64)>,
    /// Bytes kept in memory for jobs that have not run.
    held: u64,
    executor: Executor,
    prints: Arc<Prints>,
    /// Decided, and not yet handed to the controller.
    finished: VecDeque<Finished>,
    listed: VecDeque<JobEntry>,
    done: u64,
    now: Ns,
    due: Option<Ns>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("waiting", &self.compute.present().len())
            .field("booked", &self.booked)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

impl Jobs {
    pub(super) fn new(units: &ComputeConfig, executor: Executor) -> Self {
        Self {
            compute: Compute::new(units),
            booked: BTreeMap::new(),
            orphans: BTreeMap::new(),
            held: 0,
            executor,
            prints: Arc::default(),
            finished: VecDeque::new(),
            listed: VecDeque::new(),
            done: 0,
            now: Ns::ZERO,
            due: None,
        }
    }

    /// Whether a job that waits or runs `uses` it.
    fn is_used(&self, now: Ns, uses: impl Fn(Uses) -> bool) -> bool {
        let present = self.compute.present().map(|(_, job)| Uses {
            pind: job.pind,
            rsid: job.rsid,
        });
        let booked = self
            .booked
            .range((Ns(now.0.saturating_add(1)), Number(0))..);
        let booked = booked.map(|(_, job)| job.uses);
        let orphans = self.orphans.values().map(|(uses, _)| *uses);
        present.chain(booked).chain(orphans).any(uses)
    }

    /// Whether a job of the program in slot `pind` waits or runs.
    pub(super) fn run_program(&self, now: Ns, pind: u16) -> bool {
        self.is_used(now, |uses| uses.pind == pind)
    }

    /// Whether a job on the set `rsid` waits or runs.
    pub(super) fn use_set(&self, now: Ns, rsid: u16) -> bool {
        self.is_used(now, |uses| uses.rsid == rsid)
    }

    /// Whether a job of the group runs whose end is decided.
    pub(super) fn run_group(&self, now: Ns, group: GroupId) -> bool {
        self.booked_beyond(now).any(|job| job.group == group)
    }

    /// The jobs whose end is decided and later than `now`.
    fn booked_beyond(&self, now: Ns) -> impl Iterator<Item = &Booked> {
        let later = (Ns(now.0.saturating_add(1)), Number(0));
        self.booked.range(later..).map(|(_, job)| job)
    }

    pub(super) fn has_group(&self, group: GroupId) -> bool {
        self.compute.groups().contains(group)
    }

    pub(super) fn groups_mut(&mut self) -> &mut Groups {
        self.compute.groups_mut()
    }

    pub(super) fn compute(&self) -> &Compute<Job> {
        &self.compute
    }

    pub(super) fn prints(&self) -> Arc<Prints> {
        Arc::clone(&self.prints)
    }

    /// The jobs that are done, the latest first, and how many there have been.
    pub(super) fn listed(&self) -> (impl ExactSizeIterator<Item = &JobEntry>, u64) {
        (self.listed.iter().rev(), self.done)
    }

    /// Jobs that wait or run.
    pub(super) fn in_flight(&self) -> usize {
        self.compute.present().len() + self.booked_beyond(self.now).count() + self.orphans.len()
    }

    /// Since when, by the model, a job runs whose program has not ended.
    pub(super) fn run_since(&self) -> Option<Ns> {
        self.compute.unknown_since()
    }

    /// Whether there is room for a job that keeps `held` bytes in memory.
    pub(super) fn check_room(&mut self, now: Ns, held: u64) -> Result<(), NvmeError> {
        while let Some(first) = self.booked.first_entry()
            && first.key().0 <= now
        {
            first.remove();
        }
        let jobs = self.compute.present().len() + self.booked.len() + self.orphans.len();
        let reason = if jobs >= MAX_JOBS {
            format!("{MAX_JOBS} jobs wait or run")
        } else if self.held + held > MAX_JOB_BYTES {
            format!("jobs that wait have {MAX_JOB_BYTES} bytes of data")
        } else {
            return Ok(());
        };
        Err(NvmeError::transient(
            Status::INSUFFICIENT_PROGRAM_RESOURCES,
            reason,
        ))
    }

    pub(super) fn start(
        &mut self,
        job: Job,
        work: Work,
        flash: &mut Flash<'_>,
    ) -> Result<Step, NvmeError> {
        let arrival = Arrival {
            class: job.class,
            group: job.group,
            bytes: job.bytes,
        };
        let (token, held) = (job.token, job.held);
        let number = self
            .compute
            .arrive(flash.now, arrival, job)
            .map_err(|error| NvmeError::field(error.to_string()))?;
        self.held += held;
        if let Some(done) = self.executor.submit(number, work) {
            self.record(done, flash);
        }
        self.decide(flash.now);
        let own = self.finished.iter().position(|done| done.token == token);
        let Some(done) = own.and_then(|index| self.finished.remove(index)) else {
            return Ok(Step::Parked);
        };
        match done.outcome {
            Ok(result) => Ok(Step::At {
                at: done.at,
                result,
                to_host: 0,
            }),
            Err(error) => Err(NvmeError {
                at: Some(done.at),
                ..error
            }),
        }
    }

    /// Notes what came of a run. What it has read is booked on the media; a unit is kept for as
    /// long as computing or reading takes, whichever is longer, as the two overlap.
    fn record(&mut self, (number, run): Done, flash: &mut Flash<'_>) {
        if let Some((_, held)) = self.orphans.remove(&number) {
            self.held -= held;
            return;
        }
        let Some(job) = self.compute.get_mut(number) else {
            return;
        };
        self.held -= job.held;
        job.ran = true;
        let mut cost = job.price.cost(&run, job.bytes);
        let (outcome, reads) = match run.report {
            Some(Report { result, reads, .. }) => (
                result.map_err(|fault| failure(&*job.program, &fault)),
                reads,
            ),
            None => {
                let panicked = NvmeError::new(Status::INTERNAL_ERROR, "the runtime panicked");
                (Err(panicked), Vec::new())
            }
        };
        job.outcome = outcome;
        for read in &reads {
            let Some(extent) = job.services.extent(read) else {
                continue;
            };
            job.copied = job.copied.saturating_add(extent.len);
            flash.moved_inside(extent.len);
            match flash.read(extent) {
                Ok(at) => cost = cost.max(at - flash.now),
                Err(error) => {
                    cost = cost.max(error.at - flash.now);
                    job.outcome = Err(error.into());
                }
            }
        }
        self.compute.known(number, cost);
    }

    /// Decides all that is certain by now.
    fn decide(&mut self, now: Ns) {
        self.now = now;
        self.compute.advance(now);
        while let Some(done) = self.compute.take_done() {
            self.done += 1;
            let entry = entry(&done);
            if self.listed.len() == LISTED {
                self.listed.pop_front();
            }
            self.listed.push_back(entry);
            let job = done.load;
            let booked = Booked {
                token: job.token,
                group: job.group,
                uses: Uses {
                    pind: job.pind,
                    rsid: job.rsid,
                },
            };
            self.booked.insert((done.at, done.number), booked);
            self.finished.push_back(Finished {
                token: job.token,
                at: done.at,
                outcome: job.outcome,
            });
        }
        self.due = self.compute.next_due();
    }

    /// Finishes the jobs whose end has become known.
    pub(super) fn collect(&mut self, flash: &mut Flash<'_>, finished: &mut Vec<Finished>) {
        self.now = flash.now;
        let mut news = self.due.is_some_and(|due| due <= flash.now);
        while let Some(done) = self.executor.poll() {
            self.record(done, flash);
            news = true;
        }
        if news {
            self.decide(flash.now);
        }
        finished.extend(self.finished.drain(..));
    }

    /// When something is decided next, if nothing happens before.
    pub(super) fn next_due(&self) -> Option<Ns> {
        if self.finished.is_empty() {
            self.due
        } else {
            Some(self.now)
        }
    }

    /// Drops the job of a command that will not be completed. It takes no time from now on; a
    /// program that really runs goes on to its end, and is in use until then.
    pub(super) fn abandon(&mut self, token: Token) {
        self.finished.retain(|done| done.token != token);
        let present = self.compute.present();
        let present = present.filter(|(_, job)| job.token == token);
        let booked = self.booked.iter();
        let booked = booked.filter(|(_, job)| job.token == token);
        let number = present
            .map(|(number, _)| number)
            .chain(booked.map(|(&(_, number), _)| number))
            .next();
        let Some(number) = number else { return };
        if let Some(job) = self.compute.abandon(number, self.now) {
            job.abandoned.store(true, Ordering::Relaxed);
            if !job.ran {
                let uses = Uses {
                    pind: job.pind,
                    rsid: job.rsid,
                };
                self.orphans.insert(number, (uses, job.held));
            }
        }
        self.booked.retain(|_, job| job.token != token);
        self.decide(self.now);
    }

    /// Nobody waits any more for what groups' bandwidths have put off.
    pub(super) fn disconnect(&mut self, now: Ns) {
        self.compute.release(now);
    }
}

impl Price {
    /// What a job on ranges of `bytes` costs.
    fn cost(&self, run: &Run, bytes: u64) -> Ns {
        let report = run.report.as_ref();
        let of_program = report.map_or(0, |report| report.bytes);
        let usage = Usage {
            instructions: report.map_or(0, |report| report.instructions),
            // What the program says that went through an accelerator, or else all that it could.
            bytes: if of_program > 0 { of_program } else { bytes },
            // A run in another process or on another machine knows best.
            measured: report
                .and_then(|report| report.measured)
                .unwrap_or(run.measured),
            given: self.given,
        };
        self.model.cost(&usage, self.speed)
    }
}

/// A job that is done, as log page C1h lists it.
fn entry(done: &JobDone<Job>) -> JobEntry {
    let (job, of) = (&done.load, &done.statistics);
    let status = job
        .outcome
        .as_ref()
        .err()
        .map_or(0, |error| error.status.into_bits());
    let mut entry = JobEntry::new_zeroed();
    entry.number = done.number.0;
    entry.pind = job.pind;
    entry.gid = done.group.0;
    entry.missed = done.missed.into();
    entry.switches = of.switches;
    entry.arrival_ns = done.arrival.0;
    entry.end_ns = done.at.0;
    entry.held_ns = of.held.0;
    entry.queued_ns = of.queued.0;
    entry.running_ns = of.running.0;
    entry.copied = job.copied;
    entry.status = status;
    entry.class = job.class as u16;
    entry
}
