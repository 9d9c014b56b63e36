//! Entry point for fuzzers and for the tests that replay their seeds: a whole drive and a host that
//! does what arbitrary bytes say.
//!
//! Read next: [`commands`], then `Machine::act` for what a byte can mean.

mod commands;
mod witness;

use crate::sets::cp::{ComputeConfig, Picoseconds, UnitCost};
use crate::sets::{Cp, CpConfig, Executor, Nvm, NvmConfig, Slm, SlmConfig};
use crate::{
    Controller, ControllerConfig, DriveIdentity, Front, Link, LinkConfig, Namespace, Subsystem,
};
use ersatz_engine::Ns;
use ersatz_ftl::{Fixed, FixedConfig, Media, Null};
use ersatz_memory::Mapping;
use ersatz_pcie::{Function, LocalHost, Region, Reset};
use ersatz_runtime::{Ebpf, Engine, Fuel, Limits};
use nvme_spec::admin::{CreateCqCdw11, CreateSqCdw11};
use nvme_spec::cp::ProgramType;
use nvme_spec::register::{
    ACQ, AQA, ASQ, CC, CSTS, Cc, CcCss, Csts, Shst, cq_head_doorbell, sq_tail_doorbell,
};
use nvme_spec::{AdminOpcode, Cqe, Sqe, Status};
use std::collections::BTreeSet;
use std::sync::Arc;
use witness::{Area, Witness};
use zerocopy::{FromBytes, IntoBytes};

const NVM: u32 = 1;
const MEMORY: u32 = 2;
const COMPUTE: u32 = 3;
/// Bytes of the NVM and of the memory namespace.
const BYTES: u64 = 256 << 10;

/// Where the host's memory is: queues, data, data that only the drive's reads reach, and data
/// whose map comes and goes.
const QUEUES: u64 = 0x10_0000;
const DATA: u64 = 0x20_0000;
const READ_ONLY: u64 = 0x30_0000;
const LOOSE: u64 = 0x40_0000;

/// In the queues' area: each pair has two pages; then come shadow doorbells and event indexes.
const SHADOWS: u64 = 0x8000;
const EVENTS: u64 = 0x9000;

/// Queue pairs, the admin queue included, and their entries.
const PAIRS: u16 = 4;
const ENTRIES: u32 = 32;

/// More actions than this take no input seriously.
const MAX_ACTIONS: usize = 400;

/// Runs a drive through what `data` says, and to the end of all commands that it was given.
///
/// # Panics
/// When the drive breaks a promise: a command is completed twice, or never, although its queue is
/// there and its host takes completions; host memory is written that is not mapped for it.
pub fn commands(data: &[u8]) {
    let mut input = Input(data);
    let Some(mut machine) = Machine::new(input.byte()) else {
        return;
    };
    machine.enable(false);
    for _ in 0..MAX_ACTIONS {
        if input.0.is_empty() {
            break;
        }
        machine.act(&mut input);
        machine.look();
    }
    machine.finish();
}

/// The input, taken apart; zeros at its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (now, later) = self.0.split_at(self.0.len().min(N));
        bytes[..now.len()].copy_from_slice(now);
        self.0 = later;
        bytes
    }

    fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }
}

/// A queue pair as its host knows it.
#[derive(Clone, Copy)]
struct Pair {
    exists: bool,
    tail: u32,
    head: u32,
    phase: bool,
}

const NEW_PAIR: Pair = Pair {
    exists: false,
    tail: 0,
    head: 0,
    phase: true,
};

/// Where a pair's submission queue is in the area; its completion queue follows a page later.
fn place(id: u16) -> u64 {
    u64::from(id) * 0x2000
}

struct Machine {
    controller: Controller,
    subsystem: Subsystem,
    host: Witness,
    now: Ns,
    queues: Area,
    /// Data, read-only data, and what comes and goes.
    areas: [Area; 3],
    pairs: [Pair; PAIRS as usize],
    shadows: bool,
    cid: u16,
    /// Commands without a completion, by queue and identifier.
    outstanding: BTreeSet<(u16, u16)>,
    /// Those among them that may never have one.
    requests: BTreeSet<u16>,
    /// The host has kept to the rules since the last reset, so that it knows what must happen.
    orderly: bool,
}

impl Machine {
    fn new(kind: u8) -> Option<Self> {
        let queues = Area::new(QUEUES, 0x1_0000, true)?;
        let mut areas = [
            Area::new(DATA, 256 << 10, true)?,
            Area::new(READ_ONLY, 64 << 10, false)?,
            Area::new(LOOSE, 64 << 10, true)?,
        ];
        for (at, bytes) in commands::furniture() {
            areas[0].poke(at, &bytes);
        }
        let unused = Arc::new(Mapping::anonymous("fuzz", 4096).ok()?);
        let mut local = LocalHost::new(0, unused);
        local.dma().clear();
        local.messages = kind & 4 == 0;
        let mut machine = Self {
            controller: Controller::new(ControllerConfig {
                id: 0,
                queues: PAIRS - 1,
                entries: ENTRIES * 2,
                max_transfer: 64 << 10,
                admin_latency: Ns::ZERO,
                firmware: None,
            })
            .ok()?,
            subsystem: subsystem(kind)?,
            host: Witness {
                local,
                posted: Vec::new(),
                queues: QUEUES..QUEUES + SHADOWS,
                spoiled: false,
            },
            now: Ns::ZERO,
            queues,
            areas,
            pairs: [NEW_PAIR; PAIRS as usize],
            shadows: false,
            cid: 0,
            outstanding: BTreeSet::new(),
            requests: BTreeSet::new(),
            orderly: true,
        };
        machine.queues.map(&mut machine.host.local);
        machine
            .areas
            .iter_mut()
            .for_each(|area| area.map(&mut machine.host.local));
        Some(machine)
    }

    fn act(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..90 => {
                let id = u16::from(input.byte()) % PAIRS;
                let sqe = commands::command(input, id == 0, self.cid);
                self.submit(id, sqe);
                if id == 0 && manages_queues(sqe.opcode) {
                    self.orderly = false;
                }
            }
            90..110 => self.ring_all(),
            110..140 => _ = self.poll(input.byte() & 1 != 0),
            140..150 => {
                self.now += Ns(u64::from(input.u16()) * 16);
                self.poll(false);
            }
            150..170 => _ = self.take_all(),
            170..185 => {
                let id = 1 + u16::from(input.byte()) % (PAIRS - 1);
                self.create_or_delete(id);
            }
            185..190 => self.use_shadows(),
            190..210 => {
                let area = usize::from(input.byte()) % self.areas.len();
                let (at, len) = (u64::from(input.u16()) * 4, input.byte() % 64);
                let bytes: Vec<u8> = (0..len).map(|_| input.byte()).collect();
                self.areas[area].poke(at, &bytes);
            }
            210..215 => self.areas[2].unmap(&mut self.host.local),
            215..220 => self.areas[2].map(&mut self.host.local),
            220..225 => self.reset(input.byte()),
            225..230 => self.enable(input.byte() & 1 != 0),
            230..240 => {
                let (offset, len) = (u64::from(input.u16() % 0x4000), input.byte() % 9);
                let bytes = input.array::<8>();
                self.write(Region::Bar0, offset, &bytes[..usize::from(len)]);
                self.orderly = false;
            }
            240..245 => {
                let (offset, len) = (u64::from(input.u16() % 0x1000), input.byte() % 5);
                let bytes = input.array::<4>();
                self.write(Region::Config, offset, &bytes[..usize::from(len)]);
            }
            245..250 => {
                let (index, value) = (u64::from(input.byte()) % 16, input.u32());
                let stored = self.controller.doorbells.store_release(index * 4, value);
                assert!(stored.is_ok());
                self.orderly = false;
            }
            250..253 => {
                // Nonsense in the queues themselves, and in the shadow doorbells.
                let (at, bytes) = (u64::from(input.u16()), input.array::<8>());
                self.queues.poke(at, &bytes);
                self.orderly = false;
            }
            253.. => {
                self.queues.unmap(&mut self.host.local);
                self.poll(true);
                self.queues.map(&mut self.host.local);
                self.orderly = false;
            }
        }
    }

    /// Compares what the drive has done with what it may do.
    fn look(&mut self) {
        self.orderly &= !core::mem::take(&mut self.host.spoiled);
        for cqe in core::mem::take(&mut self.host.posted) {
            let known = self.outstanding.remove(&(cqe.sqid, cqe.cid));
            assert!(
                known || !self.orderly,
                "completed twice, or never sent: {cqe:?}"
            );
            if cqe.sqid == 0 {
                self.requests.remove(&cqe.cid);
            }
        }
        if !self.csts().rdy() {
            // Whatever happened, nothing of it is left.
            assert_eq!(self.controller.in_flight(), 0);
            self.pairs = [NEW_PAIR; PAIRS as usize];
            self.outstanding.clear();
            self.requests.clear();
            (self.shadows, self.orderly) = (false, true);
        }
    }

    fn csts(&self) -> Csts {
        Csts::from_bits(self.controller.registers.words().get(CSTS as usize))
    }

    fn is_running(&self) -> bool {
        let csts = self.csts();
        csts.rdy() && !csts.cfs() && csts.shst() == Shst::Normal
    }

    fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        let mut front = Front {
            controller: &mut self.controller,
            subsystem: &mut self.subsystem,
        };
        front.write(self.now, region, offset, data, &mut self.host);
    }

    fn write_bar0(&mut self, offset: u64, value: u64, len: usize) {
        self.write(Region::Bar0, offset, &value.to_le_bytes()[..len]);
    }

    fn reset(&mut self, kind: u8) {
        let reset = match kind % 3 {
            0 => return self.write_bar0(CC, 0, 4),
            1 => Reset::Function,
            _ => Reset::Disconnect,
        };
        let mut front = Front {
            controller: &mut self.controller,
            subsystem: &mut self.subsystem,
        };
        front.reset(self.now, reset);
    }

    /// Enables the controller, unless it is.
    fn enable(&mut self, nvm_only: bool) {
        if self.csts() != Csts::new() {
            return;
        }
        self.queues.poke(0, &[0; SHADOWS as usize]);
        let size = u64::from(ENTRIES - 1);
        self.write_bar0(AQA, size | size << 16, 4);
        self.write_bar0(ASQ, QUEUES, 8);
        self.write_bar0(ACQ, QUEUES + 0x1000, 8);
        let css = if nvm_only {
            CcCss::Nvm
        } else {
            CcCss::AllSupported
        };
        let cc = Cc::new()
            .with_css(css)
            .with_iosqes(6)
            .with_iocqes(4)
            .with_en(true);
        self.write_bar0(CC, cc.into_bits().into(), 4);
        assert!(self.is_running());
        self.pairs[0] = Pair {
            exists: true,
            ..NEW_PAIR
        };
        self.orderly = true;
    }

    /// Puts a command into a queue; its identifier comes back, unless the queue is full.
    fn submit(&mut self, id: u16, mut sqe: Sqe) -> Option<u16> {
        let waiting = self.outstanding.range((id, 0)..=(id, u16::MAX)).count();
        let pair = &mut self.pairs[usize::from(id)];
        if !pair.exists || waiting >= ENTRIES as usize - 1 || self.cid == u16::MAX {
            return None;
        }
        self.cid += 1;
        sqe.cid = self.cid;
        self.queues
            .poke(place(id) + u64::from(pair.tail) * 64, sqe.as_bytes());
        pair.tail = (pair.tail + 1) % ENTRIES;
        self.outstanding.insert((id, sqe.cid));
        let opcode = AdminOpcode(sqe.opcode);
        if id == 0 && opcode == AdminOpcode::AsyncEventRequest {
            self.requests.insert(sqe.cid);
        }
        Some(sqe.cid)
    }

    /// Tells the drive of all commands that were put into queues.
    fn ring_all(&mut self) {
        for id in 0..PAIRS {
            let Pair { exists, tail, .. } = self.pairs[usize::from(id)];
            if !exists {
                continue;
            }
            if self.shadows && id > 0 {
                self.queues
                    .poke(SHADOWS + u64::from(id) * 8, &tail.to_le_bytes());
            }
            self.write_bar0(sq_tail_doorbell(id, 0), tail.into(), 4);
        }
    }

    fn poll(&mut self, arm: bool) -> bool {
        let progress = self
            .controller
            .poll(self.now, &mut self.subsystem, &mut self.host);
        if arm {
            self.controller.arm(&mut self.host);
        }
        progress
    }

    /// Takes all completions that are in the queues' memory. Whether there were any comes back.
    fn take_all(&mut self) -> bool {
        let mut any = false;
        for id in 0..PAIRS {
            let mut pair = self.pairs[usize::from(id)];
            if !pair.exists {
                continue;
            }
            let before = pair.head;
            // Not more than a queue holds, should it be full of nonsense.
            for _ in 0..ENTRIES {
                let mut bytes = [0; 16];
                self.queues
                    .peek(place(id) + 0x1000 + u64::from(pair.head) * 16, &mut bytes);
                let cqe = Cqe::read_from_bytes(&bytes).unwrap_or_default();
                if cqe.phase() != pair.phase {
                    break;
                }
                pair.head = (pair.head + 1) % ENTRIES;
                pair.phase ^= pair.head == 0;
            }
            self.pairs[usize::from(id)] = pair;
            if pair.head == before {
                continue;
            }
            any = true;
            if self.shadows && id > 0 {
                self.queues
                    .poke(SHADOWS + u64::from(id) * 8 + 4, &pair.head.to_le_bytes());
            }
            self.write_bar0(cq_head_doorbell(id, 0), pair.head.into(), 4);
        }
        any
    }

    /// Sends an admin command and waits for its end, if the host is in a state to do so.
    fn admin(&mut self, sqe: Sqe) -> Option<Status> {
        self.look();
        if !self.orderly || !self.is_running() {
            return None;
        }
        let cid = self.submit(0, sqe)?;
        self.ring_all();
        for _ in 0..4 * ENTRIES {
            self.take_all();
            self.poll(false);
            let answer = self
                .host
                .posted
                .iter()
                .find(|cqe| (cqe.sqid, cqe.cid) == (0, cid));
            let answer = answer.map(|cqe| cqe.status().code());
            self.look();
            if answer.is_some() {
                return answer;
            }
        }
        assert!(
            !self.orderly || !self.is_running(),
            "{sqe:?} is not answered"
        );
        None
    }

    fn create_or_delete(&mut self, id: u16) {
        let index = usize::from(id);
        let cdw10 = u32::from(id) | (ENTRIES - 1) << 16;
        if self.pairs[index].exists {
            let delete = |opcode| Sqe {
                cdw10: id.into(),
                ..Sqe::new(opcode, 0)
            };
            if self.admin(delete(AdminOpcode::DeleteIoSq)) != Some(Status::SUCCESS) {
                return;
            }
            // What was fetched has been completed by now, and the rest never will be.
            self.outstanding.retain(|&(sqid, _)| sqid != id);
            self.pairs[index].exists = false;
            let deleted = self.admin(delete(AdminOpcode::DeleteIoCq));
            self.orderly &= deleted == Some(Status::SUCCESS);
            return;
        }
        self.queues.poke(place(id), &[0; 0x2000]);
        self.queues.poke(SHADOWS + u64::from(id) * 8, &[0; 8]);
        let cdw11 = CreateCqCdw11::new()
            .with_pc(true)
            .with_ien(true)
            .with_iv(id);
        let cq = Sqe {
            cdw10,
            cdw11: cdw11.into(),
            ..Sqe::new(AdminOpcode::CreateIoCq, 0)
        };
        let cdw11 = CreateSqCdw11::new().with_pc(true).with_cqid(id);
        let sq = Sqe {
            cdw10,
            cdw11: cdw11.into(),
            ..Sqe::new(AdminOpcode::CreateIoSq, 0)
        };
        let base = QUEUES + place(id);
        if self.admin(cq.with_prp(base + 0x1000, 0)) == Some(Status::SUCCESS) {
            let made = self.admin(sq.with_prp(base, 0));
            self.orderly &= made == Some(Status::SUCCESS);
            self.pairs[index] = Pair {
                exists: made == Some(Status::SUCCESS),
                ..NEW_PAIR
            };
        }
    }

    fn use_shadows(&mut self) {
        // Commands that were put into queues are handed over first, as doorbells are.
        self.ring_all();
        for (pair, id) in self.pairs.iter().zip(0u64..) {
            let both = [pair.tail.to_le_bytes(), pair.head.to_le_bytes()].concat();
            self.queues.poke(SHADOWS + id * 8, &both);
        }
        let sqe = Sqe::new(AdminOpcode::DoorbellBufferConfig, 0);
        let sqe = sqe.with_prp(QUEUES + SHADOWS, QUEUES + EVENTS);
        self.shadows |= self.admin(sqe) == Some(Status::SUCCESS);
    }

    /// Lets the drive finish all that it was given, and checks that it does.
    fn finish(&mut self) {
        self.look();
        self.ring_all();
        for _ in 0..100_000 {
            let progress = self.poll(false);
            let taken = self.take_all();
            self.look();
            if progress || taken {
                continue;
            }
            let due = self
                .controller
                .next_due()
                .into_iter()
                .chain(self.subsystem.next_due());
            let Some(due) = due.min() else {
                return self.judge();
            };
            self.now = self.now.max(due);
        }
        panic!("the drive does not come to an end");
    }

    fn judge(&self) {
        if self.orderly && self.is_running() {
            let lost = self
                .outstanding
                .iter()
                .filter(|&&(sqid, cid)| sqid != 0 || !self.requests.contains(&cid));
            assert_eq!(lost.count(), 0, "never completed: {:?}", self.outstanding);
        }
        if self.is_running() {
            assert!(self.controller.in_flight() == 0 || !self.orderly);
        }
        self.queues.check();
        self.areas.iter().for_each(Area::check);
    }
}

/// Whether an admin command that the input made may do things to queues of which the host would
/// have to know.
fn manages_queues(opcode: u8) -> bool {
    matches!(
        AdminOpcode(opcode),
        AdminOpcode::CreateIoSq
            | AdminOpcode::CreateIoCq
            | AdminOpcode::DeleteIoSq
            | AdminOpcode::DeleteIoCq
            | AdminOpcode::DoorbellBufferConfig
    )
}

fn subsystem(kind: u8) -> Option<Subsystem> {
    let store = Arc::new(Mapping::anonymous("fuzz", BYTES).ok()?);
    let max_transfer = 64 << 10;
    let nvm = NvmConfig {
        start: 0,
        block: 512,
        blocks: BYTES / 512,
        max_transfer,
    };
    let slm = SlmConfig {
        bytes: BYTES,
        max_transfer,
        bandwidth: 8_000_000_000,
        latency: Ns(100),
        reaches: vec![NVM],
    };
    let limits = Limits {
        instructions: 4096,
        data: 16 << 10,
        frames: 8,
        frame: 512,
    };
    let cp = CpConfig {
        units: ComputeConfig::fifo(2),
        costs: vec![UnitCost::instructions(Picoseconds(400))],
        placements: Vec::new(),
        slots: 2,
        max_activated: 1,
        memory_range_sets: 2,
        ranges_per_set: 4,
        max_program: 16 << 10,
        max_programs_total: 1 << 20,
        max_transfer,
        budget: Fuel(2000),
        types: vec![(
            ProgramType::VendorFirst,
            // Commands are what is wanted here, many of them; the compiler has a target of its own.
            Arc::new(Ebpf::new(limits).with_engine(Engine::Interpreter)),
        )],
        device_programs: Vec::new(),
        reaches: vec![MEMORY],
        reads: vec![NVM],
    };
    let namespace = |nsid, set| Namespace {
        nsid,
        uuid: [nsid as u8; 16],
        set,
    };
    let namespaces = vec![
        namespace(NVM, Box::new(Nvm::new(nvm, store).ok()?)),
        namespace(MEMORY, Box::new(Slm::new(slm).ok()?)),
        namespace(COMPUTE, Box::new(Cp::new(cp, Executor::inline()))),
    ];
    let text = String::new;
    let identity = DriveIdentity {
        serial: text(),
        model: text(),
        nqn: text(),
    };
    let media: Box<dyn Media> = if kind & 1 == 0 {
        Box::new(Null::new(BYTES))
    } else {
        let (read, program) = (Ns(40_000), Ns(200_000));
        Box::new(Fixed::new(FixedConfig {
            capacity: BYTES,
            dies: 2,
            page: 4096,
            read,
            program,
        }))
    };
    let link = (kind & 2 != 0).then_some(LinkConfig {
        bandwidth: 4_000_000_000,
        latency: Ns(900),
    });
    Some(Subsystem::new(identity, media, Link::new(link), namespaces))
}
