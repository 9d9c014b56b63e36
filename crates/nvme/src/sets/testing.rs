//! A drive without a controller, for the tests of the command sets.

use crate::error::NvmeError;
use crate::link::{Link, LinkConfig};
use crate::set::{CommandSet, Cx, Finished, Step, Token};
use crate::subsystem::{Call, DriveIdentity, Namespace, Subsystem};
use ersatz_engine::Ns;
use ersatz_ftl::{Extent, Fault, Media, MediaError, MediaHeap, Operation, Outcome, Placement};
use ersatz_memory::Mapping;
use ersatz_pcie::LocalHost;
use nvme_spec::queue::SglType;
use nvme_spec::{SglDescriptor, Sqe, Status};
use std::sync::{Arc, Mutex};

/// Where the host's memory begins.
const HOST: u64 = 0x1_0000_0000;
/// Bytes of host memory.
pub(super) const HOST_BYTES: u64 = 4 << 20;

pub(super) const READ: Ns = Ns(40);
pub(super) const WRITE: Ns = Ns(200);
pub(super) const TRIM: Ns = Ns(3);
pub(super) const FLUSH: Ns = Ns(500);
pub(super) const REFUSED: Ns = Ns(7);

/// What a media was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Read(Extent),
    Write(Extent),
    Trim(Extent),
    Flush,
    Refused(Operation),
}

/// Remembers what it was asked for and when, with fixed times and a fault on demand.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) asked: Vec<(Ns, Asked)>,
    pub(super) fault: Option<Fault>,
}

impl Recorder {
    fn ask(&mut self, now: Ns, what: Asked, takes: Ns) -> Outcome {
        if let Some((last, _)) = self.asked.last() {
            assert!(*last <= now, "the media's time went back");
        }
        self.asked.push((now, what));
        let at = now + takes;
        match self.fault {
            Some(fault) => Err(MediaError { at, fault }),
            None => Ok(at),
        }
    }
}

/// The subsystem's end of a [`Recorder`].
struct Shared(Arc<Mutex<Recorder>>);

impl Shared {
    fn ask(&self, now: Ns, what: Asked, takes: Ns) -> Outcome {
        self.0.lock().expect("not poisoned").ask(now, what, takes)
    }
}

impl Media for Shared {
    fn capacity(&self) -> u64 {
        u64::MAX
    }

    fn read(&mut self, now: Ns, at: Extent, _heap: &mut MediaHeap) -> Outcome {
        self.ask(now, Asked::Read(at), READ)
    }

    fn write(&mut self, now: Ns, at: Extent, _to: Placement, _heap: &mut MediaHeap) -> Outcome {
        self.ask(now, Asked::Write(at), WRITE)
    }

    fn trim(&mut self, now: Ns, at: Extent, _heap: &mut MediaHeap) -> Outcome {
        self.ask(now, Asked::Trim(at), TRIM)
    }

    fn flush(&mut self, now: Ns, _heap: &mut MediaHeap) -> Outcome {
        self.ask(now, Asked::Flush, FLUSH)
    }

    fn refused(&mut self, now: Ns, operation: Operation, _heap: &mut MediaHeap) -> Ns {
        match self.ask(now, Asked::Refused(operation), REFUSED) {
            Ok(at) => at,
            Err(error) => error.at,
        }
    }
}

/// A subsystem, a host's memory, and the time.
pub(super) struct Bench {
    pub(super) subsystem: Subsystem,
    pub(super) media: Arc<Mutex<Recorder>>,
    pub(super) now: Ns,
    /// Copy descriptor formats that the host has enabled.
    pub(super) copy_formats: u16,
    memory: Arc<Mapping>,
    host: LocalHost,
    commands: u64,
}

impl Bench {
    /// `sets` become the namespaces 1, 2 and so on.
    pub(super) fn new(link: Option<LinkConfig>, sets: Vec<Box<dyn CommandSet>>) -> Self {
        let namespaces = (1..).zip(sets);
        let namespaces = namespaces.map(|(nsid, set)| Namespace {
            nsid,
            uuid: [0; 16],
            set,
        });
        let identity = DriveIdentity {
            serial: String::new(),
            model: String::new(),
            nqn: String::new(),
        };
        let media = Arc::new(Mutex::new(Recorder::default()));
        let shared = Box::new(Shared(Arc::clone(&media)));
        let memory = Arc::new(Mapping::anonymous("host", HOST_BYTES).expect("map"));
        Self {
            subsystem: Subsystem::new(identity, shared, Link::new(link), namespaces.collect()),
            media,
            now: Ns(1000),
            copy_formats: 0,
            host: LocalHost::new(HOST, Arc::clone(&memory)),
            memory,
            commands: 0,
        }
    }

    fn call<T>(
        &mut self,
        sqe: &Sqe,
        number: u64,
        act: impl FnOnce(&mut dyn CommandSet, &mut Cx<'_>) -> T,
    ) -> T {
        let call = Call {
            now: self.now,
            sqe,
            token: Token {
                controller: 0,
                number,
            },
            page: 4096,
            write_through: false,
            copy_formats: self.copy_formats,
            host: &mut self.host,
        };
        self.subsystem.with_namespace(call, act).expect("namespace")
    }

    /// Executes an I/O command; one that wants to be resumed is, and time has passed then.
    pub(super) fn io(&mut self, sqe: &Sqe) -> Result<Step, NvmeError> {
        self.commands += 1;
        let number = self.commands;
        let mut step = self.call(sqe, number, |set, cx| set.io(cx))?;
        while let Step::Resume { at } = step {
            assert!(at >= self.now, "resumed in the past");
            self.now = at;
            step = self.call(sqe, number, |set, cx| set.resume(cx))?;
        }
        Ok(step)
    }

    pub(super) fn admin(&mut self, sqe: &Sqe) -> Result<Step, NvmeError> {
        self.commands += 1;
        self.call(sqe, self.commands, |set, cx| set.admin(cx))
    }

    /// The number of the last command, as its token has it.
    pub(super) fn last(&self) -> Token {
        Token {
            controller: 0,
            number: self.commands,
        }
    }

    /// Lets the command sets go on; what was finished comes back.
    pub(super) fn finished(&mut self) -> Vec<Finished> {
        self.subsystem.advance(self.now);
        std::iter::from_fn(|| self.subsystem.take_finished(0)).collect()
    }

    /// The command with `len` bytes from `offset` in host memory on as its data.
    pub(super) fn with_data(&self, sqe: Sqe, offset: u64, len: usize) -> Sqe {
        let len = u32::try_from(len).expect("small");
        sqe.with_sgl(SglDescriptor::new(SglType::DataBlock, HOST + offset, len))
    }

    /// The command with `bytes`, at the beginning of host memory, as its data.
    pub(super) fn bringing(&self, sqe: Sqe, bytes: &[u8]) -> Sqe {
        self.memory.write(0, bytes).expect("inside");
        self.with_data(sqe, 0, bytes.len())
    }

    /// The command with data that the host has not mapped.
    pub(super) fn with_unmapped_data(&self, sqe: Sqe) -> Sqe {
        self.with_data(sqe, HOST_BYTES, 64 << 10)
    }

    pub(super) fn host_bytes(&self, offset: u64, len: usize) -> Vec<u8> {
        bytes(&self.memory, offset, len)
    }

    /// What the media was asked for since the last call.
    pub(super) fn asked(&self) -> Vec<Asked> {
        let asked = std::mem::take(&mut self.media.lock().expect("not poisoned").asked);
        asked.into_iter().map(|(_, what)| what).collect()
    }

    pub(super) fn break_media(&self, fault: Fault) {
        self.media.lock().expect("not poisoned").fault = Some(fault);
    }
}

pub(super) fn bytes(memory: &Mapping, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    memory.read(offset, &mut bytes).expect("inside");
    bytes
}

/// The status of a command that failed, without Do Not Retry.
pub(super) fn refusal(outcome: Result<Step, NvmeError>) -> Status {
    outcome.expect_err("the command should fail").status.code()
}
