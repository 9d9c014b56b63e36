//! The loop: from event to event.

use crate::host::{CQ_ENTRIES, SQ_ENTRIES, SimHost};
use crate::observer::Observer;
use ersatz_drive::{BuildError, Drive, Execution};
use ersatz_drive_file::{DriveFile, NamespaceKind, Store};
use ersatz_engine::Ns;
use ersatz_ftl::Counters;
use ersatz_host::command;
use ersatz_memory::Mapping;
use ersatz_pcie::{Function, Region};
use ersatz_report::{Flash, Report, ReportError, Summary};
use ersatz_workload::{Source, SourceError, Target};
use nvme_spec::register::{ACQ, AQA, ASQ, Aqa, CC, CSTS, Cc, CcCss, Csts};
use nvme_spec::{Cqe, Sqe, Status};
use std::sync::Arc;

/// How to simulate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The namespace that all requests go to; the first one with blocks if none is named.
    pub nsid: Option<u32>,
    /// Tell observers, and the summary's plot, what channels and dies are busy with and when. That
    /// makes a simulation slower.
    pub record: bool,
}

/// A simulation can't begin, or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The drive can't be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// There is nothing to read from.
    #[error("the drive file has no namespace of kind \"nvm\"{0}")]
    NoNamespace(String),
    /// The drive does not come up.
    #[error("the drive refuses its queues: {0}")]
    Refused(String),
    /// The drive gave up.
    #[error("the controller has set its fatal status at {0} ns")]
    Fatal(u64),
    /// What is asked of the drive can't be read, or has no end.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What happens can't be written down.
    #[error(transparent)]
    Output(#[from] ReportError),
}

/// Where requests to the drive of `file` go: the namespace `nsid`, or the first one with blocks.
///
/// # Errors
/// [`SimulationError::NoNamespace`].
pub fn namespace(file: &DriveFile, nsid: Option<u32>) -> Result<(u32, Target), SimulationError> {
    let found = file.namespaces.iter().find_map(|namespace| {
        let wanted = nsid.is_none_or(|nsid| nsid == namespace.id);
        match namespace.kind {
            NamespaceKind::Nvm(nvm) if wanted => {
                let target = Target {
                    block: nvm.block,
                    blocks: nvm.size / u64::from(nvm.block),
                };
                Some((namespace.id, target))
            }
            _ => None,
        }
    });
    found.ok_or_else(|| {
        let named = nsid.map(|nsid| format!(" and id {nsid}"));
        SimulationError::NoNamespace(named.unwrap_or_default())
    })
}

/// A drive and its host, in virtual time.
pub struct Simulation {
    drive: Drive,
    host: SimHost,
    doorbells: Arc<Mapping>,
    target: Target,
    queues: u16,
    now: Ns,
    record: bool,
}

impl Simulation {
    /// Builds the drive of `file` and brings it up, which takes no time: the first request may
    /// arrive at 0. Whatever the file says, the drive has as many and as long queues as NVMe allows, so that
    /// requests wait for the drive and not for room in queues. The file of a store is left alone.
    ///
    /// # Errors
    /// When the drive can't be built, or has no blocks.
    pub fn new(file: &DriveFile, options: Options) -> Result<Self, SimulationError> {
        let mut file = file.clone();
        file.drive.queues = 64;
        file.drive.queue_entries = CQ_ENTRIES;
        file.drive.admin_latency = Ns::ZERO;
        // What is written or deallocated here must not be so in somebody's data.
        file.store = Store::Memory;
        let (nsid, target) = namespace(&file, options.nsid)?;
        let mut drive = Drive::build(&file, &Execution::Inline)?;
        drive.subsystem.media.record(options.record);
        let (_, doorbells) = drive.front().bar0().shared;
        let mut simulation = Self {
            drive,
            host: SimHost::new(nsid, target.block),
            doorbells,
            target,
            queues: file.drive.queues,
            now: Ns::ZERO,
            record: options.record,
        };
        simulation.enable()?;
        simulation.add_queue()?;
        Ok(simulation)
    }

    /// The namespace that requests go to.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// What the media has counted in all runs. Ageing counts only as wear.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.drive.subsystem.media.counters()
    }

    fn write(&mut self, register: u64, value: u64, bytes: usize) {
        let (now, value) = (self.now, value.to_le_bytes());
        let mut front = self.drive.front();
        front.write(now, Region::Bar0, register, &value[..bytes], &mut self.host);
    }

    fn enable(&mut self) -> Result<(), SimulationError> {
        let z = SQ_ENTRIES as u16 - 1;
        let aqa = Aqa::new().with_asqs_z(z).with_acqs_z(z);
        let cc = Cc::new()
            .with_en(true)
            .with_css(CcCss::AllSupported)
            .with_iosqes(size_of::<Sqe>().ilog2() as u8)
            .with_iocqes(size_of::<Cqe>().ilog2() as u8);
        self.write(AQA, aqa.into_bits().into(), 4);
        self.write(ASQ, SimHost::sq(0), 8);
        self.write(ACQ, SimHost::cq(0), 8);
        self.write(CC, cc.into_bits().into(), 4);
        match self.csts() {
            csts if csts.rdy() && !csts.cfs() => Ok(()),
            csts => Err(SimulationError::Refused(format!("{csts:?}"))),
        }
    }

    fn csts(&mut self) -> Csts {
        let registers = self.drive.front().bar0().registers;
        Csts::from_bits(registers.get(CSTS as usize))
    }

    /// Rings the doorbell of a queue: 0 for the tail of its submission queue, 1 for the head of its
    /// completion queue.
    fn ring(&self, queue: u16, which: u64, value: u32) {
        let rung = self
            .doorbells
            .store_release(u64::from(queue) * 8 + which * 4, value);
        debug_assert!(rung.is_ok(), "all doorbells are in the page");
    }

    fn admin(&mut self, sqe: Sqe) -> Result<(), SimulationError> {
        let tail = self.host.admin(sqe);
        self.ring(0, 0, tail);
        self.poll();
        self.ring(0, 1, self.host.head(0));
        match self.host.admin {
            Some(Status::SUCCESS) => Ok(()),
            Some(status) => Err(SimulationError::Refused(status.to_string())),
            None => Err(SimulationError::Refused("no answer".to_owned())),
        }
    }

    fn add_queue(&mut self) -> Result<(), SimulationError> {
        let id = self.host.add_queue();
        self.admin(command::create_cq(id, CQ_ENTRIES, SimHost::cq(id), None))?;
        self.admin(command::create_sq(id, SQ_ENTRIES, SimHost::sq(id), id))
    }

    fn poll(&mut self) {
        self.host.now = self.now;
        while self.drive.poll(self.now, &mut self.host) {}
    }

    /// Gives the drive all of `source` and waits until it is done. `observers` are told what happens.
    /// The summary is of the time from the first arrival to the last completion.
    ///
    /// # Errors
    /// When the source can't go on, an observer fails, or the controller gives up.
    pub fn run(
        &mut self,
        source: &mut dyn Source,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Summary, SimulationError> {
        let before = Flash::of(&*self.drive.subsystem.media);
        let mut run = Run {
            requests: 0,
            report: Report::new(source.peek()?.unwrap_or(self.now)),
            source,
            observers,
        };
        loop {
            let arrival = run.source.peek()?;
            let due = self.drive.next_due();
            match (arrival, due) {
                (Some(at), due)
                    if due.is_none_or(|due| at < due) && self.submit(at, &mut run)? => {}
                (_, Some(due)) if arrival.is_some() || self.host.in_flight() > 0 => {
                    self.now = self.now.max(due);
                    self.poll();
                }
                (None, _) if self.host.in_flight() == 0 => break,
                // Commands are out, and nothing will ever end them.
                _ => return Err(SimulationError::Fatal(self.now.0)),
            }
            self.settle(&mut run)?;
        }
        let flash = Flash::of(&*self.drive.subsystem.media).since(&before);
        Ok(run.report.finish(self.now, &flash))
    }

    /// Gives the drive the request that arrives at `at`, unless all queues are full.
    fn submit(&mut self, at: Ns, run: &mut Run<'_, '_>) -> Result<bool, SimulationError> {
        let capacity = usize::from(self.host.io_queues()) * (CQ_ENTRIES as usize - 1);
        if self.host.in_flight() == capacity {
            if self.host.io_queues() == self.queues {
                return Ok(false);
            }
            self.add_queue()?;
        }
        let Some(request) = run.source.take() else {
            return Ok(false);
        };
        // What had to wait for a queue arrives late at the drive, not at its host.
        self.now = self.now.max(at);
        let Some((submission, tail)) = self.host.submit(run.requests, self.now, request) else {
            return Err(SimulationError::Refused("a queue that is full".to_owned()));
        };
        run.requests += 1;
        for observer in &mut *run.observers {
            observer.submitted(&submission)?;
        }
        self.ring(submission.queue, 0, tail);
        self.poll();
        Ok(true)
    }

    /// Takes the completions, and what the media has booked.
    fn settle(&mut self, run: &mut Run<'_, '_>) -> Result<(), SimulationError> {
        if self.record {
            let spans = self.drive.subsystem.media.take_spans();
            run.report.spans(&spans);
            for observer in &mut *run.observers {
                observer.booked(&spans)?;
            }
        }
        if self.host.done.is_empty() {
            return Ok(());
        }
        for completion in self.host.done.drain(..) {
            run.report.add(&completion.sample());
            let job = completion.submission.request.job;
            run.source.finished(job, completion.due);
            for observer in &mut *run.observers {
                observer.completed(&completion)?;
            }
        }
        for queue in 1..=self.host.io_queues() {
            self.ring(queue, 1, self.host.head(queue));
        }
        Ok(())
    }
}

/// What a run is about.
struct Run<'a, 'b> {
    source: &'a mut dyn Source,
    observers: &'a mut [&'b mut dyn Observer],
    report: Report,
    requests: u64,
}
