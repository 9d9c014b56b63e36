//! The controller: takes commands from submission queues, has them executed, and posts their
//! completions when they are due.
//!
//! Read [`Controller::poll`] first: it is the whole way from doorbell to completion. What commands
//! mean is in [`crate::admin`] and [`crate::sets`]; how they are fetched in `controller/fetch.rs`, which
//! of them belong together in `controller/fused.rs`; how queues come and go in
//! `controller/queues.rs`; what others may ask of a controller in `controller/status.rs`; what a host
//! sees in registers in [`crate::front`].

mod doorbells;
mod fetch;
mod firmware;
mod fused;
mod queues;
mod requests;
mod status;

pub use firmware::FirmwareConfig;

use self::firmware::Cores;
use self::fused::Half;
use crate::error::NvmeError;
use crate::error_log::ErrorLog;
use crate::events::Events;
use crate::features::Features;
use crate::queue::{CompletionQueue, SubmissionQueue};
use crate::registers::Registers;
use crate::set::{Finished, Step, Token};
use crate::statistics::{Activity, Lateness};
use crate::subsystem::{Call, Subsystem};
use crate::ticket::Ticket;
use ersatz_engine::{Heap, Ns, Timeline};
use ersatz_memory::{MapError, Mapping};
use ersatz_pcie::{ConfigSpace, Host, Identity, MsiX};
use nvme_spec::register::{CcCss, Shst};
use nvme_spec::{AdminOpcode, Csi, Sqe, Status};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a controller can do.
#[derive(Clone, Copy, Debug)]
pub struct ControllerConfig {
    /// Controller identifier, unique in the subsystem.
    pub id: u16,
    /// I/O queue pairs, 1–64.
    pub queues: u16,
    /// Entries of an I/O queue at most, 2–65536.
    pub entries: u32,
    /// Bytes that one command may transfer at most: a power of two times 4 KiB.
    pub max_transfer: u64,
    /// What the firmware takes for an admin command; it does one after the other.
    pub admin_latency: Ns,
    /// The processors that I/O commands pass through; `None`: they take no time.
    pub firmware: Option<FirmwareConfig>,
}

impl ControllerConfig {
    /// Interrupt vectors: one for the admin queue, one per I/O queue pair.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        self.queues + 1
    }
}

/// What is due at a time.
enum Due {
    /// A completion.
    Post {
        ticket: Ticket,
        result: u64,
        status: Status,
    },
    /// Data sets out for the host; the completion follows it.
    Cross {
        ticket: Ticket,
        result: u64,
        bytes: u64,
    },
    /// The firmware has read a command of an I/O queue, which begins.
    Begin { number: u64 },
    /// A command goes on.
    Resume { number: u64 },
}

impl Due {
    fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Post { ticket, .. } | Self::Cross { ticket, .. } => Some(ticket),
            Self::Begin { .. } | Self::Resume { .. } => None,
        }
    }

    fn into_ticket(self) -> Option<Ticket> {
        match self {
            Self::Post { ticket, .. } | Self::Cross { ticket, .. } => Some(ticket),
            Self::Begin { .. } | Self::Resume { .. } => None,
        }
    }
}

/// A command that is neither done nor due: it is parked, or begins or goes on later.
struct Flight {
    ticket: Ticket,
    sqe: Sqe,
    /// What follows it, where it is the first half of a fused operation.
    second: Option<Box<Half>>,
}

impl Flight {
    fn new(ticket: Ticket, sqe: &Sqe) -> Self {
        Self {
            ticket,
            sqe: *sqe,
            second: None,
        }
    }
}

/// One NVMe controller.
pub struct Controller {
    pub(crate) config: ControllerConfig,
    pub(crate) registers: Registers,
    pub(crate) space: ConfigSpace,
    pub(crate) doorbells: Arc<Mapping>,
    pub(crate) features: Features,
    pub(crate) errors: ErrorLog,
    pub(crate) events: Events,
    /// By identifier; the admin queue is 0.
    sqs: Vec<Option<SubmissionQueue>>,
    cqs: Vec<Option<CompletionQueue>>,
    /// Submission queues in the order in which they are served, and who is first next time.
    order: Vec<u16>,
    first: usize,
    /// Completion queues that want an interrupt.
    dirty: Vec<u16>,
    heap: Heap<Due>,
    flights: BTreeMap<u64, Flight>,
    numbers: u64,
    /// Bytes of a memory page, as the host set it.
    page: u64,
    shadow: Option<(u64, u64)>,
    /// The firmware that executes admin commands.
    firmware: Timeline,
    /// The processors that I/O commands pass through, if that is modelled.
    cores: Option<Cores>,
    activity: Activity,
    lateness: Lateness,
    completed: u64,
}

impl Controller {
    /// A controller as after power-on.
    ///
    /// # Errors
    /// When there is no memory for the doorbell page.
    pub fn new(config: ControllerConfig) -> Result<Self, MapError> {
        let msix = MsiX {
            vectors: config.vectors(),
            table: crate::registers::MSIX_TABLE as u32,
            pending: crate::registers::MSIX_PENDING as u32,
        };
        // No vendor has this ID, so that no driver has quirks for it. NVM Express, I/O controller.
        let space = ConfigSpace::new(Identity {
            vendor: crate::PCI_VENDOR,
            device: crate::PCI_DEVICE,
            class: 0x01_08_02,
            bar0_size: crate::registers::BAR0_SIZE,
            msix,
        });
        let queues = usize::from(config.queues) + 1;
        Ok(Self {
            config,
            registers: Registers::new(config.entries),
            space,
            doorbells: Arc::new(doorbells::page()?),
            features: Features::new(config),
            errors: ErrorLog::default(),
            events: Events::default(),
            sqs: (0..queues).map(|_| None).collect(),
            cqs: (0..queues).map(|_| None).collect(),
            order: Vec::new(),
            first: 0,
            dirty: Vec::new(),
            heap: Heap::new(),
            flights: BTreeMap::new(),
            numbers: 0,
            page: 4096,
            shadow: None,
            firmware: Timeline::default(),
            cores: config.firmware.map(Cores::new),
            activity: Activity::default(),
            lateness: Lateness::default(),
            completed: 0,
        })
    }

    /// Does all that can be done at `now`: ends commands that are due, takes new ones, raises
    /// interrupts. Whether there was anything to do comes back.
    pub fn poll(&mut self, now: Ns, subsystem: &mut Subsystem, host: &mut dyn Host) -> bool {
        subsystem.advance(now);
        let mut progress = false;
        while let Some(finished) = subsystem.take_finished(self.config.id) {
            self.finish(finished);
            progress = true;
        }
        progress |= self.run_due(now, subsystem, host);
        self.finish_shutdown();
        if self.registers.is_running() {
            progress |= self.sweep(now, subsystem, host);
        }
        if self.events.is_ready() {
            self.deliver_events(now, subsystem, host);
        }
        self.interrupt(host);
        progress
    }

    /// Ends a shutdown when the last command that was under way has been completed.
    pub(crate) fn finish_shutdown(&mut self) {
        let csts = self.registers.csts();
        if csts.shst() == Shst::Occurring && self.in_flight() == 0 {
            self.registers.set_csts(csts.with_shst(Shst::Complete));
            tracing::debug!("shutdown complete");
        }
    }

    /// Ends what is due, the media's own events in between, all in the order of time.
    fn run_due(&mut self, now: Ns, subsystem: &mut Subsystem, host: &mut dyn Host) -> bool {
        let mut progress = false;
        loop {
            let media = subsystem.media_due().filter(|&due| due <= now);
            let own = self.heap.next_due().filter(|&due| due <= now);
            match (media, own) {
                (Some(media), own) if own.is_none_or(|own| media <= own) => {
                    subsystem.media_event(now);
                }
                (_, Some(_)) => {
                    if let Some((due, event)) = self.heap.pop_due(now) {
                        self.lateness.record(due, now);
                        self.happen(due, event, subsystem, host);
                    }
                }
                _ => return progress,
            }
            progress = true;
        }
    }

    /// Lets `event` happen at `at`, or now if that is past.
    fn schedule(
        &mut self,
        now: Ns,
        at: Ns,
        event: Due,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        if at <= now {
            self.happen(now, event, subsystem, host);
        } else {
            self.heap.push(at, event);
        }
    }

    fn happen(&mut self, due: Ns, event: Due, subsystem: &mut Subsystem, host: &mut dyn Host) {
        match event {
            Due::Post {
                ticket,
                result,
                status,
            } => self.post(due, ticket, result, status, host),
            Due::Cross {
                ticket,
                result,
                bytes,
            } => {
                let at = subsystem.link.to_host(due, bytes);
                let event = Due::Post {
                    ticket,
                    result,
                    status: Status::SUCCESS,
                };
                self.schedule(due, at, event, subsystem, host);
            }
            Due::Begin { number } => {
                if let Some(flight) = self.flights.remove(&number) {
                    let outcome = self.io(due, number, &flight.sqe, subsystem, host);
                    self.go_on(due, flight, number, outcome, subsystem, host);
                }
            }
            Due::Resume { number } => {
                if let Some(flight) = self.flights.remove(&number) {
                    let sqe = &flight.sqe;
                    let outcome =
                        self.on_namespace(due, number, sqe, subsystem, host, |set, cx| {
                            set.resume(cx)
                        });
                    self.go_on(due, flight, number, outcome, subsystem, host);
                }
            }
        }
    }

    fn execute(
        &mut self,
        now: Ns,
        ticket: Ticket,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        self.numbers += 1;
        let number = self.numbers;
        let admin = ticket.sqid == 0;
        if admin && AdminOpcode(sqe.opcode) == AdminOpcode::AsyncEventRequest {
            return self.await_event(now, ticket, sqe, subsystem, host);
        }
        if !admin && let Some(cores) = &mut self.cores {
            let at = cores.read(now);
            self.flights.insert(number, Flight::new(ticket, sqe));
            return self.schedule(now, at, Due::Begin { number }, subsystem, host);
        }
        let outcome = if admin {
            fused::check_admin(sqe).and_then(|()| self.admin(now, number, sqe, subsystem, host))
        } else {
            self.io(now, number, sqe, subsystem, host)
        };
        self.settle(now, ticket, sqe, number, outcome, subsystem, host);
    }

    fn io(
        &mut self,
        now: Ns,
        number: u64,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> Result<Step, NvmeError> {
        if self.registers.cc().css() != CcCss::AllSupported {
            let csi = subsystem
                .namespace(sqe.nsid)
                .map(|namespace| namespace.set.csi());
            if csi.is_some_and(|csi| csi != Csi::Nvm) {
                return Err(NvmeError::field("CC.CSS hides the namespace"));
            }
        }
        self.on_namespace(now, number, sqe, subsystem, host, |set, cx| set.io(cx))
    }

    pub(crate) fn on_namespace(
        &mut self,
        now: Ns,
        number: u64,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
        act: impl FnOnce(
            &mut dyn crate::set::CommandSet,
            &mut crate::set::Cx<'_>,
        ) -> Result<Step, NvmeError>,
    ) -> Result<Step, NvmeError> {
        let token = Token {
            controller: self.config.id,
            number,
        };
        let call = Call {
            now,
            sqe,
            token,
            page: self.page,
            write_through: self.features.write_through(),
            copy_formats: self.features.copy_formats(),
            host,
        };
        subsystem.with_namespace(call, act)?
    }

    /// Decides when a command is completed, now that it is known what became of it.
    #[allow(clippy::too_many_arguments)] // The command in all its parts.
    fn settle(
        &mut self,
        now: Ns,
        ticket: Ticket,
        sqe: &Sqe,
        number: u64,
        outcome: Result<Step, NvmeError>,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) {
        let firmware = match ticket.sqid {
            0 => self.firmware.book(now, self.config.admin_latency).end,
            _ => now,
        };
        match outcome {
            Ok(Step::At {
                at,
                result,
                to_host,
            }) => {
                let event = if to_host > 0 && subsystem.link.is_modelled() {
                    Due::Cross {
                        ticket,
                        result,
                        bytes: to_host,
                    }
                } else {
                    Due::Post {
                        ticket,
                        result,
                        status: Status::SUCCESS,
                    }
                };
                self.schedule(now, at.max(firmware), event, subsystem, host);
            }
            Ok(Step::Resume { at }) => {
                self.flights.insert(number, Flight::new(ticket, sqe));
                self.schedule(now, at, Due::Resume { number }, subsystem, host);
            }
            Ok(Step::Parked) => {
                self.flights.insert(number, Flight::new(ticket, sqe));
            }
            Err(error) => {
                let status = self.errors.note(now, &ticket, sqe, &error);
                let event = Due::Post {
                    ticket,
                    result: 0,
                    status,
                };
                let at = error.at.unwrap_or(now).max(firmware);
                self.schedule(now, at, event, subsystem, host);
            }
        }
    }

    /// A parked command has an end, in the past or in the future.
    fn finish(&mut self, finished: Finished) {
        let Some(flight) = self.flights.remove(&finished.token.number) else {
            return;
        };
        let Flight { ticket, sqe, .. } = flight;
        let (result, status) = match finished.outcome {
            Ok(result) => (result, Status::SUCCESS),
            Err(error) => (0, self.errors.note(finished.at, &ticket, &sqe, &error)),
        };
        self.heap.push(
            finished.at,
            Due::Post {
                ticket,
                result,
                status,
            },
        );
    }

    fn post(&mut self, due: Ns, ticket: Ticket, result: u64, status: Status, host: &mut dyn Host) {
        self.activity.leave(due);
        self.completed += 1;
        let sqhd = self
            .sqs
            .get(usize::from(ticket.sqid))
            .and_then(Option::as_ref);
        let sqhd = sqhd.map_or(0, SubmissionQueue::head);
        let Some(Some(cq)) = self.cqs.get_mut(usize::from(ticket.cqid)) else {
            // A queue with promised slots can't be deleted; only a reset takes it, and that takes
            // all tickets with it.
            return ticket.redeem();
        };
        let first = !cq.interrupt;
        let (id, posted) = (cq.id, cq.post(ticket, sqhd, result, status, host));
        if first {
            self.dirty.push(id);
        }
        if let Err(fault) = posted {
            self.fatal(&format!("CQ {id} can't be written: {fault}"));
        }
    }

    /// Raises one interrupt per queue that got entries.
    fn interrupt(&mut self, host: &mut dyn Host) {
        for id in self.dirty.drain(..) {
            let Some(Some(cq)) = self.cqs.get_mut(usize::from(id)) else {
                continue;
            };
            cq.interrupt = false;
            let Some(vector) = cq.vector else { continue };
            let masked = vector < 32 && self.registers.mask() >> vector & 1 != 0;
            if host.message_signalled() || (!masked && self.space.intx_enabled()) {
                host.raise(vector);
            }
        }
    }

    /// The level of the INTx line: whether a queue with interrupts has entries that the host has
    /// not taken and has not masked.
    #[must_use]
    pub fn line(&self) -> bool {
        let mask = self.registers.mask();
        self.space.intx_enabled()
            && self.cqs.iter().flatten().any(|cq| {
                let masked = cq.vector.is_none_or(|v| v < 32 && mask >> v & 1 != 0);
                !masked && cq.is_pending_at(self.doorbell(cq.id, true))
            })
    }

    /// Ends all work: something is wrong that no completion can tell.
    pub(crate) fn fatal(&mut self, reason: &str) {
        let csts = self.registers.csts();
        // Told once: each completion of a queue that is gone would tell it again.
        if !csts.cfs() {
            tracing::error!(controller = self.config.id, "fatal status: {reason}");
            self.registers.set_csts(csts.with_cfs(true));
        }
    }
}

impl Drop for Controller {
    /// A drive may be taken away at any time: its host finds out by other means.
    fn drop(&mut self) {
        self.forget(|_| {});
    }
}
