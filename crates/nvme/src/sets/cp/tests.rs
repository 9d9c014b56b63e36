//! Programs here are one byte that says what they do, so that these tests need no real runtime.

use super::*;
use crate::link::LinkConfig;
use crate::sets::testing::*;
use crate::sets::{Nvm, NvmConfig, Slm, SlmConfig};
use ersatz_runtime::{Args, BlockRead, Fault, LoadError, Program, Report, Window};
use nvme_spec::Sqe;
use nvme_spec::cp::{
    ActivationSelect, Execute, LoadProgramCdw10, MemoryRangeSetCdw10, MemoryRangeSetSelect,
    Occupancy, ProgramActivationCdw10, ProgramDescriptor, ProgramIdType,
};
use nvme_spec::log::MemoryRangeSetEntry;
use nvme_spec::slm::MemoryRange;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zerocopy::FromBytes;

mod execute;
mod jobs;
mod load;
mod sets;

/// Namespaces: memory, more memory, memory out of reach, programs, blocks.
const MEMORY: u32 = 1;
const MORE: u32 = 2;
const FAR: u32 = 3;
const NSID: u32 = 4;
const BLOCKS: u32 = 5;
const MEMORY_BYTES: u64 = 1 << 20;
const BLOCKS_BYTES: u64 = 64 << 10;

const TYPE: ProgramType = ProgramType::VendorFirst;
const SLOTS: u16 = 8;
const MAX_PROGRAM: u64 = 1000;
const MAX_TOTAL: u64 = 2500;
const MAX_TRANSFER: u64 = 64 << 10;
/// Instructions of every run.
const INSTRUCTIONS: u64 = 100;
/// What they take at 2.5 ns each.
const TAKES: Ns = Ns(250);

/// Adds up parameters and data.
const ADD: &[u8] = b"a";
/// Adds up the first byte of each range, and increments it.
const RANGES: &[u8] = b"r";
const FAULTS: &[u8] = b"f";
const ENDLESS: &[u8] = b"e";
const PANICS: &[u8] = b"p";
/// Reads two blocks of the namespace and from the block in its parameters into its first range.
const READS: &[u8] = b"b";
/// Prints a line, and returns the time.
const PRINTS: &[u8] = b"t";
/// Ran elsewhere, for 1 us of processor time.
const ELSEWHERE: &[u8] = b"m";
/// Ends when the test says so.
const WAITS: &[u8] = b"w";
const INVALID: &[u8] = b"?";

/// Lets [`WAITS`] end, once for each message.
type Gate = Mutex<Receiver<()>>;

struct FakeRuntime(Arc<Gate>);

struct Fake(u8, Arc<Gate>);

impl Runtime for FakeRuntime {
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError> {
        assert_eq!(entry, "", "the runtime's default");
        match image.first() {
            Some(b'?') | None => Err(LoadError("instruction 0: not a program".into())),
            Some(&kind) => Ok(Box::new(Fake(kind, Arc::clone(&self.0)))),
        }
    }
}

impl Program for Fake {
    fn run(&self, memory: &Window, args: &Args<'_>, budget: Fuel) -> Report {
        let result = match self.0 {
            b'a' => {
                let data = args.data.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                Ok(args.parameters[0] + args.parameters[1] + data)
            }
            b'r' => {
                let first = |at: &ersatz_runtime::Segment| {
                    let byte = at.memory.load::<u8>(at.offset).expect("inside");
                    at.memory.store(at.offset, byte + 1).expect("inside");
                    u64::from(byte)
                };
                Ok(memory.segments().iter().map(first).sum())
            }
            b'f' => Err(Fault::Access {
                pc: 7,
                address: 0xBAD,
                len: 8,
            }),
            b'e' => {
                return Report {
                    instructions: budget.0,
                    ..Report::of(Err(Fault::Budget { pc: Some(3) }))
                };
            }
            b'b' => {
                let [nsid, slba] = args.parameters;
                let to = memory.segments().first().expect("a range");
                let read = BlockRead {
                    nsid: nsid as u32,
                    slba,
                    nlb: 2,
                };
                let BlockRead { nsid, slba, nlb } = read;
                let services = args.services;
                let bytes = services.read_blocks(nsid, slba, nlb, &to.memory, to.offset, to.len);
                return match bytes {
                    Ok(bytes) => Report {
                        instructions: INSTRUCTIONS,
                        reads: vec![read],
                        ..Report::of(Ok(bytes))
                    },
                    Err(error) => Report::of(Err(Fault::Read { pc: 1, error })),
                };
            }
            b't' => {
                args.services.print(b"a line\n");
                Ok(args.services.now().0)
            }
            b'm' => {
                return Report {
                    measured: Some(Ns::from_us(1)),
                    ..Report::of(Ok(1))
                };
            }
            b'p' => panic!("the runtime's own mistake"),
            _ => {
                let gate = self.1.lock().unwrap_or_else(PoisonError::into_inner);
                gate.recv()
                    .map_err(|_| Fault::Instruction {
                        pc: 0,
                        what: "no gate",
                    })
                    .map(|()| 1)
            }
        };
        Report {
            instructions: INSTRUCTIONS,
            ..Report::of(result)
        }
    }

    fn place(&self, pc: usize) -> Option<String> {
        (pc == 7).then(|| "filter.c:12".into())
    }
}

/// A drive with a compute namespace, and what lets its programs end.
struct Drive {
    bench: Bench,
    gate: Sender<()>,
    woken: Receiver<()>,
}

impl Drive {
    fn inline() -> Self {
        Self::new(None, |_| Executor::inline())
    }

    fn threads(count: usize) -> Self {
        Self::new(None, |wake| {
            Executor::threads(count, wake).expect("threads")
        })
    }

    fn new(
        link: Option<LinkConfig>,
        executor: impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> Executor,
    ) -> Self {
        Self::with(link, executor, |config| config)
    }

    /// One whose configuration is a little different.
    fn with(
        link: Option<LinkConfig>,
        executor: impl FnOnce(Arc<dyn Fn() + Send + Sync>) -> Executor,
        change: impl FnOnce(CpConfig) -> CpConfig,
    ) -> Self {
        let memory = || {
            let reaches = Vec::new();
            let (bandwidth, latency) = (1, Ns::ZERO);
            let (bytes, max_transfer) = (MEMORY_BYTES, MAX_TRANSFER);
            let config = SlmConfig {
                bytes,
                max_transfer,
                bandwidth,
                latency,
                reaches,
            };
            Box::new(Slm::new(config).expect("memory"))
        };
        let (gate, waits) = mpsc::channel();
        let (wake, woken) = mpsc::channel();
        let runtime = Arc::new(FakeRuntime(Arc::new(Mutex::new(waits))));
        let config = CpConfig {
            units: ComputeConfig::fifo(2),
            costs: vec![UnitCost::instructions(Picoseconds(2500))],
            placements: Vec::new(),
            slots: SLOTS,
            max_activated: 3,
            memory_range_sets: 3,
            ranges_per_set: 4,
            max_program: MAX_PROGRAM,
            max_programs_total: MAX_TOTAL,
            max_transfer: MAX_TRANSFER,
            budget: Fuel(1_000_000),
            types: vec![(TYPE, runtime)],
            device_programs: Vec::new(),
            // One of them has no memory, one is not there.
            reaches: vec![MEMORY, MORE, NSID, 77],
            reads: vec![BLOCKS, MEMORY, 77],
        };
        let wake = Arc::new(move || {
            // A test that has ended needs no waking.
            let _ = wake.send(());
        });
        let cp = Box::new(Cp::new(change(config), executor(wake)));
        let store =
            Arc::new(ersatz_memory::Mapping::anonymous("store", BLOCKS_BYTES).expect("map"));
        let pattern: Vec<u8> = (0..BLOCKS_BYTES).map(|i| (i / 512) as u8).collect();
        store.write(0, &pattern).expect("inside");
        let blocks = NvmConfig {
            start: 0,
            block: 512,
            blocks: BLOCKS_BYTES / 512,
            max_transfer: MAX_TRANSFER,
        };
        let blocks = Box::new(Nvm::new(blocks, store).expect("possible"));
        let sets: Vec<Box<dyn CommandSet>> = vec![memory(), memory(), memory(), cp, blocks];
        Self {
            bench: Bench::new(link, sets),
            gate,
            woken,
        }
    }

    fn memory(&self, nsid: u32) -> Arc<ersatz_memory::Mapping> {
        let namespace = self.bench.subsystem.namespace(nsid).expect("there");
        Arc::clone(namespace.set.memory().expect("memory"))
    }

    /// Loads `image` in one chunk.
    fn load(&mut self, pind: u16, image: &[u8]) -> Result<Step, NvmeError> {
        let sqe = self
            .bench
            .bringing(chunk(pind, image.len(), 0, image.len()), image);
        self.bench.admin(&sqe)
    }

    fn unload(&mut self, pind: u16) -> Result<Step, NvmeError> {
        let cdw10 = LoadProgramCdw10::new().with_pind(pind).with_unload(true);
        let sqe = Sqe {
            cdw10: cdw10.into_bits(),
            ..Sqe::new(AdminOpcode::LoadProgram, NSID)
        };
        self.bench.admin(&sqe)
    }

    fn select(&mut self, pind: u16, sel: ActivationSelect) -> Result<Step, NvmeError> {
        let cdw10 = ProgramActivationCdw10::new()
            .with_pind(pind)
            .with_sel(sel)
            .into_bits();
        let sqe = Sqe::new(AdminOpcode::ProgramActivationManagement, NSID);
        self.bench.admin(&Sqe { cdw10, ..sqe })
    }

    fn activate(&mut self, pind: u16) -> Result<Step, NvmeError> {
        self.select(pind, ActivationSelect::Activate)
    }

    fn deactivate(&mut self, pind: u16) -> Result<Step, NvmeError> {
        self.select(pind, ActivationSelect::Deactivate)
    }

    /// One with two programs of the device's own, the first of which adds up.
    fn with_device_programs() -> Self {
        Self::with_device_programs_and(Vec::new())
    }

    fn with_device_programs_and(placements: Vec<Placement>) -> Self {
        let gate = Arc::new(Mutex::new(mpsc::channel().1));
        let program = |puid, kind| DeviceProgram {
            puid,
            cost: CostModel::Rate {
                bandwidth: 1_000_000_000,
                setup: Ns(50),
            },
            program: Arc::new(Fake(kind, Arc::clone(&gate))),
        };
        let device_programs = vec![program(0xA, b'a'), program(0xB, b'r')];
        Self::with(
            None,
            |_| Executor::inline(),
            |config| CpConfig {
                device_programs,
                placements,
                ..config
            },
        )
    }

    /// A program that is ready to be executed.
    fn ready(&mut self, pind: u16, image: &[u8]) {
        self.load(pind, image).expect("loaded");
        self.activate(pind).expect("activated");
    }

    fn create_set(&mut self, ranges: &[MemoryRange]) -> Result<Step, NvmeError> {
        let cdw11 = u32::try_from(ranges.len()).expect("few");
        let sqe = Sqe {
            cdw11,
            ..Sqe::new(AdminOpcode::MemoryRangeSetManagement, NSID)
        };
        let sqe = self.bench.bringing(sqe, ranges.as_bytes());
        self.bench.admin(&sqe)
    }

    fn delete_set(&mut self, rsid: u16) -> Result<Step, NvmeError> {
        let cdw10 = MemoryRangeSetCdw10::new().with_sel(MemoryRangeSetSelect::Delete);
        let cdw10 = cdw10.with_rsid(rsid).into_bits();
        let sqe = Sqe::new(AdminOpcode::MemoryRangeSetManagement, NSID);
        self.bench.admin(&Sqe { cdw10, ..sqe })
    }

    /// Executes with ranges and data of its own.
    fn execute_on(
        &mut self,
        execute: Execute,
        ranges: &[MemoryRange],
        data: &[u8],
    ) -> Result<Step, NvmeError> {
        let bytes = [ranges.as_bytes(), data].concat();
        let numr = u32::try_from(ranges.len()).expect("few");
        let dlen = u32::try_from(bytes.len()).expect("small");
        let sqe = Execute {
            numr,
            dlen,
            ..execute
        }
        .into_sqe(NSID);
        let sqe = self.bench.bringing(sqe, &bytes);
        self.bench.io(&sqe)
    }

    fn execute(&mut self, pind: u16) -> Result<Step, NvmeError> {
        self.execute_on(
            Execute {
                pind,
                ..Execute::default()
            },
            &[],
            &[],
        )
    }

    /// Waits for `count` runs to end, then lets time pass until all is finished that can be.
    fn finished(&mut self, count: usize) -> Vec<Finished> {
        for _ in 0..count {
            self.woken
                .recv_timeout(Duration::from_secs(60))
                .expect("a program should end");
        }
        let mut finished = self.bench.finished();
        while let Some(due) = self.bench.subsystem.next_due() {
            assert!(due >= self.bench.now, "due in the past");
            self.bench.now = due;
            finished.extend(self.bench.finished());
        }
        finished
    }

    fn programs(&self) -> Vec<ProgramDescriptor> {
        entries(&self.log(Lid::ProgramList))
    }

    fn log(&self, lid: Lid) -> Vec<u8> {
        let namespace = self.bench.subsystem.namespace(NSID).expect("there");
        namespace.set.log(lid).expect("a log of this command set")
    }
}

/// The entries of a log page, as many as its header says.
fn entries<T: FromBytes>(log: &[u8]) -> Vec<T> {
    let (header, rest) = CpLogHeader::read_from_prefix(log).expect("a header");
    let entries: Vec<T> = rest
        .chunks_exact(size_of::<T>())
        .map(|e| T::read_from_bytes(e).expect("sized"))
        .collect();
    assert_eq!(entries.len(), header.num as usize);
    assert_eq!(entries.len() * size_of::<T>(), rest.len());
    entries
}

/// Load Program of `numb` bytes at `loff` of a program of `psize`.
fn chunk(pind: u16, psize: usize, loff: usize, numb: usize) -> Sqe {
    let u32 = |n: usize| u32::try_from(n).expect("32 bits");
    Sqe {
        cdw10: LoadProgramCdw10::new()
            .with_pind(pind)
            .with_ptype(TYPE)
            .into_bits(),
        cdw11: u32(psize),
        cdw14: u32(numb),
        cdw15: u32(loff),
        ..Sqe::new(AdminOpcode::LoadProgram, NSID)
    }
}

fn result(at: Ns, result: u64) -> Result<Step, NvmeError> {
    Ok(Step::At {
        at,
        result,
        to_host: 0,
    })
}

#[test]
fn identify_tells_the_limits() {
    let drive = Drive::inline();
    let set = &drive.bench.subsystem.namespace(NSID).expect("there").set;
    let mut page = [0xFF; 4096];
    assert!(!set.identify(Form::Blocks, &mut page));
    assert!(set.identify(Form::Specific, &mut page));
    let identity = IdentifyNamespaceCp::read_from_bytes(&page).expect("4096 bytes");
    assert_eq!(
        (identity.maxact, identity.maxmemrs, identity.maxmemr),
        (3, 3, 4)
    );
    assert_eq!((identity.mrsg, identity.lpg, identity.maxpb), (2, 0, 0));
    assert_eq!(set.capacity(), 0);
    assert_eq!(set.log(Lid::SmartHealth), None);
}

#[test]
fn the_types_that_can_be_loaded_are_listed() {
    let types =
        entries::<DownloadableProgramType>(&Drive::inline().log(Lid::DownloadableProgramTypes));
    assert_eq!(
        types.iter().map(|entry| entry.ptype).collect::<Vec<_>>(),
        [TYPE]
    );
}

#[test]
fn unknown_opcodes_are_refused_and_known_ones_are_in_the_effects() {
    let mut drive = Drive::inline();
    let known: Vec<_> = EFFECTS.iter().map(|effect| effect.opcode).collect();
    let is_invalid = |outcome: Result<Step, NvmeError>| {
        outcome.is_err_and(|error| error.status.code() == Status::INVALID_OPCODE)
    };
    for opcode in 0..=u8::MAX {
        let io = is_invalid(drive.bench.io(&Sqe::new(opcode, NSID)));
        assert_eq!(io, !known.contains(&opcode), "{opcode:#04x}");
        let admin = is_invalid(drive.bench.admin(&Sqe::new(opcode, NSID)));
        assert_eq!(
            admin,
            !matches!(opcode, 0x85 | 0x88 | 0x89 | 0xC4),
            "{opcode:#04x}"
        );
    }
}
