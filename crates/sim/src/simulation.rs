//! The loop: from event to event.

use crate::host::{CQ_ENTRIES, SQ_ENTRIES, SimHost};
use crate::load::{Completion, Load, LoadError};
use crate::report::{Report, Tally};
use ersatz_drive::{BuildError, Drive, Execution};
use ersatz_drive_file::{DriveFile, NamespaceKind};
use ersatz_engine::Ns;
use ersatz_host::command;
use ersatz_memory::Mapping;
use ersatz_pcie::{Function, Region};
use nvme_spec::register::{ACQ, AQA, ASQ, Aqa, CC, CSTS, Cc, CcCss, Csts};
use nvme_spec::{Cqe, Sqe, Status};
use std::io;
use std::sync::Arc;

/// How to simulate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The namespace that all requests go to; the first one with blocks if none is named.
    pub nsid: Option<u32>,
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
    /// The load can't be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What happens can't be written down.
    #[error("the results can't be written")]
    Output(#[from] io::Error),
}

/// Someone who wants to know of each request, in the order of completion.
pub trait Observer {
    /// A request is done.
    ///
    /// # Errors
    /// When it can't be written down; the simulation ends then.
    fn done(&mut self, completion: &Completion) -> io::Result<()>;
}

/// A drive and its host, in virtual time.
pub struct Simulation {
    drive: Drive,
    host: SimHost,
    doorbells: Arc<Mapping>,
    block: u32,
    blocks: u64,
    queues: u16,
    now: Ns,
    requests: u64,
}

impl Simulation {
    /// Builds the drive of `file` and brings it up, which takes no time: the first request may
    /// arrive at 0. Whatever the file says, the drive has as many and as long queues as NVMe allows, so that
    /// requests wait for the drive and not for room in queues.
    ///
    /// # Errors
    /// When the drive can't be built, or has no blocks.
    pub fn new(file: &DriveFile, options: Options) -> Result<Self, SimulationError> {
        let mut file = file.clone();
        file.drive.queues = 64;
        file.drive.queue_entries = CQ_ENTRIES;
        file.drive.admin_latency = Ns::ZERO;
        let found = file.namespaces.iter().find_map(|namespace| {
            let wanted = options.nsid.is_none_or(|nsid| nsid == namespace.id);
            match namespace.kind {
                NamespaceKind::Nvm(nvm) if wanted => Some((namespace.id, nvm)),
                _ => None,
            }
        });
        let (nsid, nvm) = found.ok_or_else(|| {
            let named = options.nsid.map(|nsid| format!(" and id {nsid}"));
            SimulationError::NoNamespace(named.unwrap_or_default())
        })?;
        let mut drive = Drive::build(&file, &Execution::Inline)?;
        let (_, doorbells) = drive.front().bar0().shared;
        let mut simulation = Self {
            drive,
            host: SimHost::new(nsid, nvm.block),
            doorbells,
            block: nvm.block,
            blocks: nvm.size / u64::from(nvm.block),
            queues: file.drive.queues,
            now: Ns::ZERO,
            requests: 0,
        };
        simulation.enable()?;
        simulation.add_queue()?;
        Ok(simulation)
    }

    /// Bytes of a logical block.
    #[must_use]
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Logical blocks of the namespace.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The drive, for what it has counted.
    #[must_use]
    pub fn drive(&self) -> &Drive {
        &self.drive
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

    /// Gives the drive all of `load` and waits until it is done. `observers` are told of each
    /// request.
    ///
    /// # Errors
    /// When the load can't be read, an observer fails, or the controller gives up.
    pub fn run(
        &mut self,
        load: &mut dyn Load,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Report, SimulationError> {
        let mut tally = Tally::new(self.block);
        loop {
            let arrival = load.peek()?;
            let due = self.drive.next_due();
            match (arrival, due) {
                (Some(at), due) if due.is_none_or(|due| at < due) && self.submit(at, load)? => {}
                (_, Some(due)) if arrival.is_some() || self.host.in_flight() > 0 => {
                    self.now = self.now.max(due);
                    self.poll();
                }
                (None, _) if self.host.in_flight() == 0 => break,
                // Commands are out, and nothing will ever end them.
                _ => return Err(SimulationError::Fatal(self.now.0)),
            }
            self.settle(load, &mut tally, observers)?;
        }
        Ok(tally.report(&self.drive))
    }

    /// Gives the drive the request that arrives at `at`, unless all queues are full.
    fn submit(&mut self, at: Ns, load: &mut dyn Load) -> Result<bool, SimulationError> {
        let capacity = usize::from(self.host.io_queues()) * (CQ_ENTRIES as usize - 1);
        if self.host.in_flight() == capacity {
            if self.host.io_queues() == self.queues {
                return Ok(false);
            }
            self.add_queue()?;
        }
        let Some(request) = load.take() else {
            return Ok(false);
        };
        // What had to wait for a queue arrives late at the drive, not at its host.
        self.now = self.now.max(at);
        let Some((queue, tail)) = self.host.submit(self.requests, request) else {
            return Err(SimulationError::Refused("a queue that is full".to_owned()));
        };
        self.requests += 1;
        self.ring(queue, 0, tail);
        self.poll();
        Ok(true)
    }

    /// Takes the completions.
    fn settle(
        &mut self,
        load: &mut dyn Load,
        tally: &mut Tally,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), SimulationError> {
        if self.host.done.is_empty() {
            return Ok(());
        }
        for completion in self.host.done.drain(..) {
            tally.count(&completion);
            load.finished(&completion);
            for observer in &mut *observers {
                observer.done(&completion)?;
            }
        }
        for queue in 1..=self.host.io_queues() {
            self.ring(queue, 1, self.host.head(queue));
        }
        Ok(())
    }
}
