//! A whole drive in this process, with a clock that stands still until nothing else can happen.
//!
//! [`Rig`] is a [`Transport`], so that the real driver runs against it; [`raw`] plays a host that
//! breaks rules which a driver keeps. Nothing here reads a clock: two runs are the same.

pub mod raw;

use ersatz_engine::Ns;
use ersatz_ftl::page::{Config, PageFtl};
use ersatz_ftl::{Fixed, FixedConfig, Media, Null};
use ersatz_host::Error;
use ersatz_host::driver::{DmaBuffer, Driver, Options, Transport};
use ersatz_memory::Mapping;
use ersatz_nand::{Geometry, PageTimes};
use ersatz_nvme::sets::cp::{ComputeConfig, Picoseconds, UnitCost};
use ersatz_nvme::sets::{Cp, CpConfig, Executor, Nvm, NvmConfig, Slm, SlmConfig};
use ersatz_nvme::{
    Controller, ControllerConfig, DriveIdentity, FirmwareConfig, Front, Link, LinkConfig,
    Namespace, Subsystem,
};
use ersatz_pcie::{Function, LocalHost, Region, Reset, Words};
use ersatz_runtime::{Ebpf, Engine, Fuel, Limits};
use nvme_spec::cp::ProgramType;
use nvme_spec::nvm::CopyRange2;
use nvme_spec::register::DOORBELLS;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// The namespaces of every drive here; all other NSIDs up to NN are inactive.
pub const BLOCKS_512: u32 = 1;
pub const MEMORY: u32 = 2;
pub const COMPUTE: u32 = 3;
pub const BLOCKS_4K: u32 = 7;
pub const INACTIVE: u32 = 5;

/// Bytes of each namespace.
pub const NVM_BYTES: u64 = 16 << 20;
pub const SLM_BYTES: u64 = 4 << 20;

/// The one type of programs that the drive takes.
pub const EBPF: ProgramType = ProgramType::VendorFirst;

/// What an instruction takes.
pub const INSTRUCTION: Picoseconds = Picoseconds(1000);

/// I/O virtual address of the host's memory, and its bytes: sparse, so that it may be a lot.
pub const RAM: u64 = 0x4000_0000;
const RAM_BYTES: u64 = 1 << 30;

/// Time that a memory command takes, whatever its length; the bandwidth is a byte per nanosecond.
pub const MEMORY_LATENCY: Ns = Ns(100);

/// What a drive is made of, where tests want different ones.
#[derive(Clone, Copy)]
pub struct Setup {
    pub queues: u16,
    pub entries: u32,
    pub max_transfer: u64,
    pub media: Option<FixedConfig>,
    pub link: Option<LinkConfig>,
    pub firmware: Option<FirmwareConfig>,
    /// Without other media: flash that loses what was not flushed.
    pub volatile: bool,
    /// Likewise, and of whose erases one of twenty fails.
    pub failing: bool,
    pub max_activated: u16,
    /// Instructions that one execution may take.
    pub budget: u64,
    /// Doorbells are memory that the host stores to, instead of registers that it writes.
    pub map_doorbells: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            queues: 64,
            entries: 1024,
            max_transfer: 1 << 20,
            media: None,
            link: None,
            firmware: None,
            volatile: false,
            failing: false,
            max_activated: 2,
            budget: 50_000_000,
            map_doorbells: false,
        }
    }
}

/// Two dies with pages of 4 KiB: 40 µs for a read, 200 µs for a program.
pub const FIXED: FixedConfig = FixedConfig {
    capacity: 2 * NVM_BYTES,
    dies: 2,
    page: 4096,
    read: Ns(40_000),
    program: Ns(200_000),
};

/// What a program takes in flash with a volatile buffer.
pub const PROGRAM: Ns = Ns(200_000);

/// A drive, its host, and the time.
pub struct State {
    pub controller: Controller,
    pub subsystem: Subsystem,
    pub host: LocalHost,
    pub now: Ns,
}

impl State {
    pub fn front(&mut self) -> Front<'_> {
        Front {
            controller: &mut self.controller,
            subsystem: &mut self.subsystem,
        }
    }

    /// Does what can be done now.
    pub fn poll(&mut self) -> bool {
        self.controller
            .poll(self.now, &mut self.subsystem, &mut self.host)
    }

    /// When something is due.
    pub fn next_due(&self) -> Option<Ns> {
        self.controller
            .next_due()
            .into_iter()
            .chain(self.subsystem.next_due())
            .min()
    }

    /// Does what can be done now; if that is nothing, lets the time pass until something is due.
    pub fn step(&mut self) -> bool {
        if self.poll() {
            return true;
        }
        let due = self.next_due();
        self.now = due.unwrap_or(self.now).max(self.now);
        due.is_some()
    }

    pub fn write(&mut self, region: Region, offset: u64, data: &[u8]) {
        let mut front = Front {
            controller: &mut self.controller,
            subsystem: &mut self.subsystem,
        };
        front.write(self.now, region, offset, data, &mut self.host);
    }

    pub fn reset(&mut self, kind: Reset) {
        let now = self.now;
        self.front().reset(now, kind);
    }
}

/// A drive in this process.
pub struct Rig {
    state: Mutex<State>,
    registers: Words,
    doorbells: Arc<Mapping>,
    map_doorbells: bool,
    memory: Arc<Mapping>,
    used: AtomicU64,
}

impl Rig {
    pub fn new(setup: Setup) -> Arc<Self> {
        let memory = Arc::new(Mapping::anonymous("host", RAM_BYTES).expect("memory"));
        let mut state = State {
            controller: Controller::new(ControllerConfig {
                id: 0,
                queues: setup.queues,
                entries: setup.entries,
                max_transfer: setup.max_transfer,
                admin_latency: Ns::ZERO,
                firmware: setup.firmware,
            })
            .expect("doorbells"),
            subsystem: subsystem(setup),
            host: LocalHost::new(RAM, Arc::clone(&memory)),
            now: Ns::ZERO,
        };
        let bar0 = state.front().bar0();
        assert_eq!(bar0.shared.0, DOORBELLS);
        Arc::new(Self {
            state: Mutex::new(state),
            registers: bar0.registers,
            doorbells: bar0.shared.1,
            map_doorbells: setup.map_doorbells,
            memory,
            used: AtomicU64::new(0),
        })
    }

    /// The drive itself, for what no host could do.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test goes on after a panic")
    }

    /// The driver, attached.
    pub fn driver(self: &Arc<Self>) -> Driver {
        self.driver_with(Options::default())
    }

    pub fn driver_with(self: &Arc<Self>, options: Options) -> Driver {
        let transport: Arc<dyn Transport> = self.clone();
        Driver::attach(transport, options).expect("attach")
    }

    /// Memory of the host that the drive reaches.
    pub fn buffer(&self, len: u64) -> DmaBuffer {
        self.allocate(len).expect("host memory")
    }

    /// The doorbells as memory.
    pub fn doorbell_page(&self) -> &Mapping {
        &self.doorbells
    }

    /// Runs the drive until nothing is left to do.
    pub fn settle(&self) {
        while self.lock().step() {}
    }

    pub fn register(&self, offset: u64) -> u32 {
        self.registers.get(offset as usize)
    }

    pub fn write_bar0(&self, offset: u64, data: &[u8]) {
        self.lock().write(Region::Bar0, offset, data);
    }
}

impl Transport for Rig {
    fn read32(&self, offset: u64) -> Result<u32, Error> {
        Ok(self.register(offset))
    }

    fn read64(&self, offset: u64) -> Result<u64, Error> {
        Ok(self.registers.get64(offset as usize))
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), Error> {
        self.write_bar0(offset, &value.to_le_bytes());
        Ok(())
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), Error> {
        self.write_bar0(offset, &value.to_le_bytes());
        Ok(())
    }

    fn doorbells(&self) -> Option<Arc<Mapping>> {
        self.map_doorbells.then(|| Arc::clone(&self.doorbells))
    }

    /// Memory is never given out twice, so it is always zeroed. It starts on the largest page that
    /// the controller can be set to.
    fn allocate(&self, len: u64) -> Result<DmaBuffer, Error> {
        let size = len.next_multiple_of(64 << 10);
        let start = self.used.fetch_add(size, Ordering::Relaxed);
        Ok(DmaBuffer::new(
            Arc::clone(&self.memory),
            start,
            RAM + start,
            len,
        )?)
    }

    fn poll(&self) -> Result<(), Error> {
        self.lock().step();
        Ok(())
    }
}

fn subsystem(setup: Setup) -> Subsystem {
    let store = Arc::new(Mapping::anonymous("store", 2 * NVM_BYTES).expect("store"));
    let nvm = |start, block| {
        let blocks = NVM_BYTES / u64::from(block);
        let config = NvmConfig {
            start,
            block,
            blocks,
            max_transfer: setup.max_transfer,
        };
        Nvm::new(config, Arc::clone(&store)).expect("inside of the store")
    };
    let slm = Slm::new(SlmConfig {
        bytes: SLM_BYTES,
        max_transfer: setup.max_transfer,
        bandwidth: 1_000_000_000,
        latency: MEMORY_LATENCY,
        reaches: vec![BLOCKS_512, BLOCKS_4K],
    })
    .expect("device memory");
    let cp = CpConfig {
        units: ComputeConfig::fifo(1),
        costs: vec![UnitCost::instructions(INSTRUCTION)],
        placements: Vec::new(),
        slots: 4,
        max_activated: setup.max_activated,
        memory_range_sets: 2,
        ranges_per_set: 4,
        max_program: 64 << 10,
        max_programs_total: 1 << 20,
        max_transfer: setup.max_transfer,
        budget: Fuel(setup.budget),
        // What is tested here is not what runs programs, and compiling takes longer than all the rest.
        types: vec![(
            EBPF,
            Arc::new(Ebpf::new(Limits::default()).with_engine(Engine::Interpreter)),
        )],
        device_programs: Vec::new(),
        reaches: vec![MEMORY],
        reads: vec![BLOCKS_512, BLOCKS_4K],
    };
    let namespace = |nsid, set| Namespace {
        nsid,
        uuid: [nsid as u8; 16],
        set,
    };
    let namespaces = vec![
        namespace(BLOCKS_512, Box::new(nvm(0, 512))),
        namespace(MEMORY, Box::new(slm)),
        namespace(COMPUTE, Box::new(Cp::new(cp, Executor::inline()))),
        namespace(BLOCKS_4K, Box::new(nvm(NVM_BYTES, 4096))),
    ];
    let identity = DriveIdentity {
        serial: "TEST".into(),
        model: "Ersatz".into(),
        nqn: "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-000000000000".into(),
    };
    let media: Box<dyn Media> = match setup.media {
        Some(config) => Box::new(Fixed::new(config)),
        None if setup.volatile || setup.failing => {
            let mut flash = flash();
            if setup.failing {
                flash.spare_blocks = 8;
                flash.reliability.erase_faults_ppm = 50_000;
            }
            Box::new(PageFtl::new(flash).expect("flash"))
        }
        None => Box::new(Null::new(2 * NVM_BYTES)),
    };
    Subsystem::new(identity, media, Link::new(setup.link), namespaces)
}

/// Flash whose write buffer loses its contents with the power.
fn flash() -> Config {
    let mut config = Config {
        geometry: Geometry {
            channels: 1,
            dies_per_channel: 2,
            planes: 1,
            blocks: 160,
            pages: 64,
            page_bytes: 4096,
        },
        spare_blocks: 0,
        ..Config::default()
    };
    config.timing.pages = PageTimes::flat(64, Ns(40_000), PROGRAM, Ns(2_000_000));
    config.buffer.volatile = true;
    config
}

/// Bytes that differ from place to place and from seed to seed.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = ersatz_engine::Rng::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The object of an example program.
pub fn program(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/../../examples/programs/{name}.o",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A source of Memory Copy: blocks of a namespace.
pub fn blocks_of(snsid: u32, slba: u64, blocks: u16) -> CopyRange2 {
    let mut range = CopyRange2::default();
    (range.snsid, range.slba, range.nlb_z) = (snsid, slba, blocks - 1);
    range
}
