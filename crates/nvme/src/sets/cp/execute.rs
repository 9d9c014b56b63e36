//! Execute Program: from the command to its completion.

use super::executor::{Done, Executor, Work};
use super::schedule::Fifo;
use super::{Cp, Picoseconds, ranges};
use crate::error::NvmeError;
use crate::set::{Cx, Finished, Step, Token};
use ersatz_engine::Ns;
use ersatz_runtime::{Fault, Fuel, Program, Window};
use nvme_spec::Status;
use nvme_spec::cp::Execute;
use nvme_spec::slm::MemoryRange;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that Execute Program may bring along, range descriptors included (DLEN).
pub const MAX_DATA: u64 = 64 << 10;

/// Jobs that a compute namespace takes at a time: what all queues together could hold would be
/// gigabytes of data. One more is refused, with Insufficient Program Resources.
pub const MAX_JOBS: usize = 1024;

/// The program faulted: SCT 1h, C0h, vendor specific, because no standard status says so.
pub const PROGRAM_FAULT: Status = Status::new(1, 0xC0);

/// The program used its budget of instructions up: SCT 1h, C1h, vendor specific as well.
pub const BUDGET_USED_UP: Status = Status::new(1, 0xC1);

/// The status of a program that failed. The same program fails again on the same memory, so
/// there is no use in trying again.
fn status_of(fault: &Fault) -> Status {
    match fault {
        Fault::Budget { .. } => BUDGET_USED_UP,
        _ => PROGRAM_FAULT,
    }
}

/// What a job ended with, in the words that its host's programmer needs.
fn failure(program: &dyn Program, fault: &Fault) -> NvmeError {
    let reason = match fault.pc().and_then(|pc| program.place(pc)) {
        Some(place) => format!("{fault} ({place})"),
        None => fault.to_string(),
    };
    NvmeError::new(status_of(fault), reason)
}

impl Cp {
    pub(super) fn execute(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let execute = Execute::from_sqe(cx.sqe);
        self.check(&execute)?;
        if execute.dlen > 0 && cx.link.is_modelled() {
            // All that was checked is checked again then: much may happen until the data is here.
            return Ok(Step::Resume {
                at: cx.link.from_host(cx.now, execute.dlen.into()),
            });
        }
        self.execute_arrived(cx)
    }

    /// The command's data has arrived: the job begins as soon as a unit is free.
    pub(super) fn execute_arrived(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let execute = Execute::from_sqe(cx.sqe);
        let program = Arc::clone(self.check(&execute)?);
        self.jobs.check_room(cx.now)?;
        let mut data = vec![0; execute.dlen as usize];
        cx.receive(&mut data)?;
        // Not more than DLEN, as `check` has seen.
        let of_program = data.split_off(execute.numr as usize * size_of::<MemoryRange>());
        let window = if execute.rsid == 0 {
            Arc::new(ranges::window(cx, &self.config, &data)?)
        } else {
            Arc::clone(self.sets.get(execute.rsid)?)
        };
        let job = Job {
            token: cx.token,
            pind: execute.pind,
            rsid: execute.rsid,
            program,
            outcome: Err(Status::INTERNAL_ERROR.into()),
            abandoned: Arc::default(),
        };
        let parameters = [execute.cparam1, execute.cparam2];
        self.jobs.start(cx.now, job, window, parameters, of_program)
    }

    /// Checks all that can be told without the command's data.
    fn check(&self, execute: &Execute) -> Result<&Arc<dyn Program>, NvmeError> {
        let program = self.programs.active(execute.pind, &self.config)?;
        if execute.rsid != 0 && execute.numr != 0 {
            return Err(NvmeError::field("a memory range set, and ranges besides"));
        }
        ranges::check_count(execute.numr, &self.config)?;
        let dlen = u64::from(execute.dlen);
        if dlen < u64::from(execute.numr) * size_of::<MemoryRange>() as u64 {
            return Err(NvmeError::field("DLEN is shorter than the ranges"));
        }
        if dlen > MAX_DATA.min(self.config.max_transfer) {
            return Err(NvmeError::field(format!("DLEN is {dlen} bytes")));
        }
        if execute.rsid != 0 {
            self.sets.get(execute.rsid)?;
        }
        Ok(program)
    }
}

/// An Execute Program command between its arrival and its booking.
struct Job {
    token: Token,
    pind: u16,
    rsid: u16,
    program: Arc<dyn Program>,
    outcome: Result<u64, NvmeError>,
    /// Shared with its [`Work`], which is on another thread.
    abandoned: Arc<AtomicBool>,
}

/// A job that is booked: until its end it occupies its program and its set. That this is the
/// modelled end makes a host see the same whatever this machine's speed.
#[derive(Debug)]
struct Booked {
    end: Ns,
    pind: u16,
    rsid: u16,
}

/// All jobs of a compute namespace.
pub(super) struct Jobs {
    schedule: Fifo<Job>,
    booked: Vec<Booked>,
    instruction: Picoseconds,
    budget: Fuel,
    executor: Executor,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("waiting", &self.schedule.waiting().len())
            .field("booked", &self.booked)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}

impl Jobs {
    pub(super) fn new(
        units: u16,
        instruction: Picoseconds,
        budget: Fuel,
        executor: Executor,
    ) -> Self {
        let (schedule, booked) = (Fifo::new(units), Vec::new());
        Self {
            schedule,
            booked,
            instruction,
            budget,
            executor,
        }
    }

    /// Whether a job of the program in slot `pind` waits or runs.
    pub(super) fn run_program(&self, now: Ns, pind: u16) -> bool {
        self.schedule.waiting().any(|job| job.pind == pind)
            || self
                .booked
                .iter()
                .any(|job| job.pind == pind && job.end > now)
    }

    /// Whether a job on the set `rsid` waits or runs.
    pub(super) fn use_set(&self, now: Ns, rsid: u16) -> bool {
        self.schedule.waiting().any(|job| job.rsid == rsid)
            || self
                .booked
                .iter()
                .any(|job| job.rsid == rsid && job.end > now)
    }

    fn check_room(&mut self, now: Ns) -> Result<(), NvmeError> {
        self.booked.retain(|job| job.end > now);
        if self.schedule.waiting().len() + self.booked.len() < MAX_JOBS {
            return Ok(());
        }
        let reason = format!("{MAX_JOBS} jobs wait or run");
        Err(NvmeError::transient(
            Status::INSUFFICIENT_PROGRAM_RESOURCES,
            reason,
        ))
    }

    fn start(
        &mut self,
        now: Ns,
        job: Job,
        window: Arc<Window>,
        parameters: [u64; 2],
        data: Vec<u8>,
    ) -> Result<Step, NvmeError> {
        let program = Arc::clone(&job.program);
        let work = Work {
            program,
            window,
            parameters,
            data,
            budget: self.budget,
            abandoned: Arc::clone(&job.abandoned),
        };
        let number = self.schedule.arrive(now, job);
        let Some(done) = self.executor.submit(number, work) else {
            return Ok(Step::Parked);
        };
        self.record(done);
        match self.next() {
            Some(Finished {
                at,
                outcome: Ok(result),
                ..
            }) => Ok(Step::At {
                at,
                result,
                to_host: 0,
            }),
            Some(Finished {
                at,
                outcome: Err(error),
                ..
            }) => Err(NvmeError {
                at: Some(at),
                ..error
            }),
            // Others are before it: `collect` will finish it.
            None => Ok(Step::Parked),
        }
    }

    /// Notes what came of a run.
    fn record(&mut self, (number, report): Done) {
        let instructions = report.as_ref().map_or(0, |report| report.instructions);
        let Some(job) = self
            .schedule
            .known(number, self.instruction.cost(instructions))
        else {
            return;
        };
        job.outcome = match report {
            Some(report) => report
                .result
                .map_err(|fault| failure(&*job.program, &fault)),
            None => Err(NvmeError::new(
                Status::INTERNAL_ERROR,
                "the runtime panicked",
            )),
        };
    }

    /// Books the next job whose turn it is.
    fn next(&mut self) -> Option<Finished> {
        loop {
            let (job, booking) = self.schedule.book()?;
            self.booked.push(Booked {
                end: booking.end,
                pind: job.pind,
                rsid: job.rsid,
            });
            if !job.abandoned.load(Ordering::Relaxed) {
                return Some(Finished {
                    token: job.token,
                    at: booking.end,
                    outcome: job.outcome,
                });
            }
        }
    }

    /// Finishes the jobs whose end has become known.
    pub(super) fn collect(&mut self, finished: &mut Vec<Finished>) {
        while let Some(done) = self.executor.poll() {
            self.record(done);
            finished.extend(std::iter::from_fn(|| self.next()));
        }
    }

    /// When the first of the programs began, by the model or earlier, that still run for real.
    pub(super) fn run_since(&self) -> Option<Ns> {
        self.schedule.unknown_since()
    }

    /// Drops the job of a command that will not be completed. It keeps its place, so that the others
    /// keep their numbers, but takes no time unless it already runs.
    pub(super) fn abandon(&self, token: Token) {
        for job in self.schedule.waiting().filter(|job| job.token == token) {
            job.abandoned.store(true, Ordering::Relaxed);
        }
    }
}
