//! Putting a drive together.

use crate::store::{self, StoreError};
use ersatz_drive_file::{
    Compute, Doorbells as DoorbellPolicy, DriveFile, MediaModel, Memory, NamespaceKind,
    NativeProgram, Nvm, UnitClass,
};
use ersatz_engine::Ns;
use ersatz_ftl::femu::{self, Femu};
use ersatz_ftl::page::{self, PageFtl};
use ersatz_ftl::{Fault, Fixed, FixedConfig, Media, Null};
use ersatz_memory::{MapError, Mapping};
use ersatz_native::{Launcher, Library, Native, SetupError};
use ersatz_nvme::set::CommandSet;
use ersatz_nvme::sets::cp::{
    ClassConfig, ComputeConfig, CostModel, DeviceProgram, Placement, UnitCost,
};
use ersatz_nvme::sets::{
    Cp, CpConfig, Executor, Nvm as NvmSet, NvmConfig, NvmConfigError, Slm, SlmConfig,
};
use ersatz_nvme::{
    Controller, ControllerConfig, DriveIdentity, FirmwareConfig, Front, Link, LinkConfig,
    Namespace, Subsystem,
};
use ersatz_pcie::Host;
use ersatz_pcie::vfio::Doorbells;
use ersatz_remote::{Key, Remote, RemoteConfig};
use ersatz_runtime::{Ebpf, Fuel, Limits, Runtime, TimeOnly};
use nvme_spec::cp::ProgramType;
use std::sync::Arc;
use std::time::Duration;

/// The argument with which a drive starts its own program for native programs. A `main` that gets it
/// hands the two arguments behind it to [`ersatz_native::run_child`], before anything else.
pub const NATIVE_CHILD: &str = "native-child";

/// A drive can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No memory for a memory namespace or for doorbells.
    #[error("no memory for {0}")]
    Memory(&'static str, #[source] MapError),
    /// A namespace that can't be.
    #[error(transparent)]
    Namespace(#[from] NvmConfigError),
    /// Flash of the FEMU model that can't be.
    #[error("the flash of the drive file is impossible: {0}")]
    Femu(#[from] femu::ConfigError),
    /// Flash of the page-mapped model that can't be.
    #[error("the flash of the drive file is impossible: {0}")]
    Page(#[from] page::ConfigError),
    /// Ageing has used up the drive.
    #[error("the drive does not survive its ageing (ftl.precondition): {0}")]
    Precondition(Fault),
    /// Times of this machine, in a simulation.
    #[error(
        "namespace {0}: cost.measured takes the time that programs take on this machine, and a \
         simulation's results depend on no machine"
    )]
    Measured(u32),
    /// Programs of another machine, in a simulation.
    #[error(
        "namespace {0}: its programs run on another machine (remote), and a simulation's results \
         depend on no machine"
    )]
    Remote(u32),
    /// A key for another machine that is too short.
    #[error("the key of the runner is too short")]
    Key,
    /// Native programs that can't be offered.
    #[error(transparent)]
    Native(#[from] SetupError),
    /// A built-in program that is not there.
    #[error("no built-in program is named {0:?}")]
    Builtin(String),
    /// No threads for programs.
    #[error("no threads for the programs of a compute namespace")]
    Threads(#[source] std::io::Error),
}

/// Where programs run.
#[derive(Clone)]
pub enum Execution {
    /// On the drive's own thread, at once: simulation.
    Inline,
    /// On threads of their own; `wake` is called when one has finished a program.
    Threads {
        /// Makes the drive's thread look.
        wake: Arc<dyn Fn() + Send + Sync>,
    },
}

/// A whole drive: a state machine that never reads a clock, never sleeps and never blocks.
pub struct Drive {
    /// Namespaces, media and link.
    pub subsystem: Subsystem,
    /// The controller that a host talks to.
    pub controller: Controller,
    /// How doorbells are offered to vfio-user clients.
    pub doorbells: Doorbells,
}

impl Drive {
    /// Builds what `file` describes.
    ///
    /// # Errors
    /// When there is no memory, or the store can't be opened.
    pub fn build(file: &DriveFile, execution: &Execution) -> Result<Self, BuildError> {
        let store = Arc::new(store::open(&file.store, file.nvm_bytes())?);
        let link = file.drive.link.as_ref();
        let link = link.map(|link| LinkConfig {
            bandwidth: link.bandwidth,
            latency: link.latency,
        });
        let identity = DriveIdentity {
            serial: file.drive.serial.clone(),
            model: file.drive.model.clone(),
            nqn: file.drive.nqn.clone(),
        };
        let namespaces = namespaces(file, &store, execution)?;
        let controller = ControllerConfig {
            id: 0,
            queues: file.drive.queues,
            entries: file.drive.queue_entries,
            max_transfer: file.drive.max_transfer,
            admin_latency: file.drive.admin_latency,
            firmware: file.drive.firmware.map(|firmware| FirmwareConfig {
                cores: firmware.cores,
                per_command: firmware.per_command,
            }),
        };
        Ok(Self {
            subsystem: Subsystem::new(identity, media(file)?, Link::new(link), namespaces),
            controller: Controller::new(controller)
                .map_err(|error| BuildError::Memory("the doorbells", error))?,
            doorbells: match file.drive.doorbells {
                DoorbellPolicy::Auto => Doorbells::Auto,
                DoorbellPolicy::Mapped => Doorbells::Mapped,
                DoorbellPolicy::Messages => Doorbells::Messages,
            },
        })
    }

    /// The drive as its host sees it.
    pub fn front(&mut self) -> Front<'_> {
        Front {
            controller: &mut self.controller,
            subsystem: &mut self.subsystem,
        }
    }

    /// Does all that can be done at `now`; whether there was anything comes back.
    pub fn poll(&mut self, now: Ns, host: &mut dyn Host) -> bool {
        self.controller.poll(now, &mut self.subsystem, host)
    }

    /// When there is something to do again, if the host does nothing before.
    #[must_use]
    pub fn next_due(&self) -> Option<Ns> {
        let (own, media) = (self.controller.next_due(), self.subsystem.next_due());
        own.into_iter().chain(media).min()
    }
}

fn media(file: &DriveFile) -> Result<Box<dyn Media>, BuildError> {
    let capacity = file.media.capacity;
    Ok(match &file.media.model {
        MediaModel::Femu(config) => Box::new(Femu::new(config)?),
        MediaModel::Page(drive) => {
            let mut ftl = PageFtl::new(drive.config.clone())?;
            if let Some(before) = drive.precondition {
                ftl.precondition(before).map_err(BuildError::Precondition)?;
            }
            Box::new(ftl)
        }
        MediaModel::Null => Box::new(Null::new(capacity)),
        MediaModel::Fixed(fixed) => Box::new(Fixed::new(FixedConfig {
            capacity,
            dies: fixed.dies,
            page: fixed.page,
            read: fixed.read,
            program: fixed.program,
        })),
    })
}

fn namespaces(
    file: &DriveFile,
    store: &Arc<Mapping>,
    execution: &Execution,
) -> Result<Vec<Namespace>, BuildError> {
    let memories: Vec<u32> = ids(file, |kind| matches!(kind, NamespaceKind::Memory(_)));
    let sources: Vec<u32> = ids(file, |kind| !matches!(kind, NamespaceKind::Compute(_)));
    let mut start = 0;
    let mut namespaces = Vec::new();
    for namespace in &file.namespaces {
        let set: Box<dyn CommandSet> = match &namespace.kind {
            NamespaceKind::Nvm(nvm) => {
                let set = nvm_set(file, nvm, start, store)?;
                start += nvm.size;
                Box::new(set)
            }
            NamespaceKind::Memory(memory) => {
                let set = memory_set(file, memory, &sources);
                Box::new(set.map_err(|error| BuildError::Memory("a memory namespace", error))?)
            }
            NamespaceKind::Compute(compute) => {
                if matches!(execution, Execution::Inline) && is_measured(compute) {
                    return Err(BuildError::Measured(namespace.id));
                }
                if matches!(execution, Execution::Inline) && compute.remote.is_some() {
                    return Err(BuildError::Remote(namespace.id));
                }
                Box::new(compute_set(file, compute, &memories, execution)?)
            }
        };
        let uuid = uuid(&file.drive.nqn, namespace.id);
        namespaces.push(Namespace {
            nsid: namespace.id,
            uuid,
            set,
        });
    }
    Ok(namespaces)
}

fn ids(file: &DriveFile, wanted: impl Fn(&NamespaceKind) -> bool) -> Vec<u32> {
    let namespaces = file
        .namespaces
        .iter()
        .filter(|namespace| wanted(&namespace.kind));
    namespaces.map(|namespace| namespace.id).collect()
}

fn nvm_set(
    file: &DriveFile,
    nvm: &Nvm,
    start: u64,
    store: &Arc<Mapping>,
) -> Result<NvmSet, NvmConfigError> {
    let config = NvmConfig {
        start,
        block: nvm.block,
        blocks: nvm.size / u64::from(nvm.block),
        max_transfer: file.drive.max_transfer,
    };
    NvmSet::new(config, Arc::clone(store))
}

fn memory_set(file: &DriveFile, memory: &Memory, sources: &[u32]) -> Result<Slm, MapError> {
    Slm::new(SlmConfig {
        bytes: memory.size,
        max_transfer: file.drive.max_transfer,
        bandwidth: memory.bandwidth,
        latency: memory.latency,
        reaches: sources.to_vec(),
    })
}

fn compute_set(
    file: &DriveFile,
    compute: &Compute,
    memories: &[u32],
    execution: &Execution,
) -> Result<Cp, BuildError> {
    let executor = match execution {
        Execution::Inline => Executor::inline(),
        Execution::Threads { wake } => {
            let threads = match usize::from(compute.threads) {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            };
            Executor::threads(threads, Arc::clone(wake)).map_err(BuildError::Threads)?
        }
    };
    let config = CpConfig {
        units: units(compute),
        costs: costs(compute),
        placements: placements(compute),
        slots: compute.slots,
        max_activated: compute.max_activated,
        memory_range_sets: compute.memory_range_sets,
        ranges_per_set: compute.ranges_per_set,
        max_program: compute.max_program,
        max_programs_total: compute.max_programs_total,
        max_transfer: file.drive.max_transfer,
        budget: Fuel(compute.budget),
        types: runtimes(compute)?,
        device_programs: device_programs(compute)?,
        reaches: memories.to_vec(),
        reads: ids(file, |kind| matches!(kind, NamespaceKind::Nvm(_))),
    };
    Ok(Cp::new(config, executor))
}

/// Types of programs, and what makes programs of their images.
type Runtimes = Vec<(ProgramType, Arc<dyn Runtime>)>;

/// What can be loaded.
fn runtimes(compute: &Compute) -> Result<Runtimes, BuildError> {
    let mut ebpf: Arc<dyn Runtime> = Arc::new(Ebpf::new(Limits::default()));
    if let Some(remote) = &compute.remote {
        let config = RemoteConfig {
            address: remote.address.clone(),
            key: Key::new(remote.key.as_str()).ok_or(BuildError::Key)?,
            timeout: Duration::from_nanos(remote.timeout.0),
            retries: remote.retries,
        };
        ebpf = Arc::new(Remote::new(config, ebpf));
    }
    let mut runtimes: Runtimes = vec![(ProgramType::EBPF, ebpf)];
    if !compute.native.is_empty() {
        let library = |program: &NativeProgram| Library {
            name: program.name.clone(),
            path: program.path.clone(),
            entry: program.entry.clone(),
        };
        let libraries = compute.native.iter().map(library).collect();
        let limits = ersatz_native::Limits::default();
        let native = Native::new(libraries, limits, Launcher::own(NATIVE_CHILD))?;
        runtimes.push((ProgramType::NATIVE, Arc::new(native)));
    }
    for ptype in [ProgramType::PHANTOM, ProgramType::BITSTREAM] {
        if compute.types.iter().any(|known| known.ptype == ptype.0) {
            runtimes.push((ptype, Arc::new(TimeOnly)));
        }
    }
    Ok(runtimes)
}

/// The built-in programs, as the drive file orders them.
fn device_programs(compute: &Compute) -> Result<Vec<DeviceProgram>, BuildError> {
    let program = |name: &String| {
        let mut builtins = ersatz_builtin::all().iter();
        let builtin = builtins.find(|builtin| builtin.name == name);
        let builtin = builtin.ok_or_else(|| BuildError::Builtin(name.clone()))?;
        Ok(DeviceProgram {
            puid: builtin.id,
            cost: builtin.cost,
            program: Arc::new(*builtin),
        })
    };
    compute.builtins.iter().map(program).collect()
}

/// The compute units, and how they are shared out.
fn units(compute: &Compute) -> ComputeConfig {
    let class = |class: &UnitClass| ClassConfig {
        name: class.class.clone(),
        units: class.count,
    };
    ComputeConfig {
        classes: compute.units.iter().map(class).collect(),
        policy: compute.scheduler,
        time_slice: compute.time_slice,
        context_switch: compute.context_switch,
        ageing: compute.ageing,
    }
}

fn costs(compute: &Compute) -> Vec<UnitCost> {
    let cost = |class: &UnitClass| UnitCost {
        speed: class.speed,
        model: class.cost.unwrap_or(compute.cost),
    };
    compute.units.iter().map(cost).collect()
}

/// What the drive file says of types, and the costs of those that run elsewhere.
fn placements(compute: &Compute) -> Vec<Placement> {
    let types = compute.types.iter().map(|known| Placement {
        ptype: ProgramType(known.ptype),
        class: known.class,
        model: known.cost,
    });
    let mut placements: Vec<_> = types.collect();
    let native = (!compute.native.is_empty()).then_some(ProgramType::NATIVE);
    let remote = compute.remote.is_some().then_some(ProgramType::EBPF);
    for ptype in native.into_iter().chain(remote) {
        let model = Some(compute.cost_of(ptype));
        match placements.iter_mut().find(|known| known.ptype == ptype) {
            Some(known) => known.model = model,
            None => placements.push(Placement {
                ptype,
                class: 0,
                model,
            }),
        }
    }
    placements
}

/// Whether some job's time is to be measured on this machine.
fn is_measured(compute: &Compute) -> bool {
    let classes = costs(compute).into_iter().map(|cost| cost.model);
    let types = placements(compute).into_iter();
    let types = types.filter_map(|placement| placement.model);
    classes
        .chain(types)
        .any(|model| matches!(model, CostModel::Measured(_)))
}

/// A UUID (version 8, of our own making) that follows from the drive's name and the NSID, so that
/// a namespace has the same one whenever the drive is started.
fn uuid(nqn: &str, nsid: u32) -> [u8; 16] {
    let fnv = |seed: u64| {
        let bytes = nqn.bytes().chain(nsid.to_le_bytes());
        bytes.fold(0xCBF2_9CE4_8422_2325 ^ seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        })
    };
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&fnv(0).to_be_bytes());
    uuid[8..].copy_from_slice(&fnv(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    uuid[6] = uuid[6] & 0x0F | 0x80;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive_file(tables: &str) -> DriveFile {
        let text = format!(
            "[drive]\nserial = \"A\"\n[[namespace]]\nkind = \"nvm\"\nsize = \"64 KiB\"\n{tables}"
        );
        DriveFile::parse("a.toml", &text, &ersatz_drive_file::Limits::NONE).expect("a drive")
    }

    #[test]
    fn the_drive_file_knows_how_large_flash_is() {
        for tables in [
            "[nand]",
            "[nand]\nchannels = 3\nblocks_per_plane = 77\npages_per_block = 33\n\
             page = \"4 KiB\"\n[ftl]\nover_provisioning = \"28.37 %\"",
            "[ftl]\nmodel = \"femu\"",
            "[nand]\nchannels = 3\nsectors_per_page = 5\n[ftl]\nmodel = \"femu\"",
        ] {
            let file = drive_file(tables);
            let media = media(&file).expect("possible");
            assert_eq!(media.capacity(), file.media.capacity, "{tables}");
        }
    }

    #[test]
    fn flash_that_could_not_collect_garbage_is_refused_with_the_arithmetic() {
        let refused = |tables| {
            media(&drive_file(tables))
                .err()
                .expect("refused")
                .to_string()
        };
        let femu = refused("[nand]\nblocks_per_plane = 3\n[ftl]\nmodel = \"femu\"");
        assert!(femu.contains("75 % and 95 % of 3 lines"), "{femu}");
        let page = refused("[nand]\nblocks_per_plane = 20");
        assert!(page.contains("16 lines of 16384 pages"), "{page}");
    }

    #[test]
    fn a_simulation_measures_no_time_of_this_machine() {
        for cost in [
            "cost = { measured = \"3 x\" }",
            "cost = { instructions = \"1 ns\" }\ntypes = [{ type = 0xC1, cost = { measured = \"3 x\" } }]",
        ] {
            let text = format!(
                "[[namespace]]\nkind = \"compute\"\nunits = 1\n{cost}\n[media]\nkind = \"null\"\n"
            );
            let file = drive_file(&text);
            let built = Drive::build(&file, &Execution::Inline);
            assert!(matches!(built, Err(BuildError::Measured(2))), "{cost}");
            let wake = Arc::new(|| ());
            assert!(Drive::build(&file, &Execution::Threads { wake }).is_ok());
        }
    }

    #[test]
    fn native_programs_are_simulated_when_their_time_is_not_measured_and_remote_ones_never() {
        let build = |keys: &str| {
            let text = format!(
                "[[namespace]]\nkind = \"compute\"\nunits = 1\n\
                 cost = {{ instructions = \"1 ns\" }}\n{keys}\n[media]\nkind = \"null\"\n"
            );
            Drive::build(&drive_file(&text), &Execution::Inline)
        };
        let native = "native = [{ name = \"a\", path = \"a.so\", entry = \"a\" }]";
        assert!(matches!(build(native), Err(BuildError::Measured(2))));
        let rate = "types = [{ type = 0xC3, cost = { rate = \"1 GB/s\" } }]";
        assert!(build(&format!("{native}\n{rate}")).is_ok());
        let remote = "remote = { address = \"board:1\", key = \"0123456789abcdef\" }\n\
                      types = [{ type = 0xC1, cost = { given = true } }]";
        assert!(matches!(build(remote), Err(BuildError::Remote(2))));
    }

    #[test]
    fn a_namespace_keeps_its_uuid_and_shares_it_with_no_other() {
        assert_eq!(uuid("nqn.a", 1), uuid("nqn.a", 1));
        assert_ne!(uuid("nqn.a", 1), uuid("nqn.a", 2));
        assert_ne!(uuid("nqn.a", 1), uuid("nqn.b", 1));
        assert_eq!(uuid("nqn.a", 1)[6] >> 4, 8);
    }
}
