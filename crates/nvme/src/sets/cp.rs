//! The Computational Programs Command Set: programs that hosts load, and that work on device memory
//! (CP).
//!
//! A program is loaded in chunks into a slot, activated, and executed on ranges of memory
//! namespaces that the command names or that a memory range set was created of. What a job costs
//! follows from a [`CostModel`]; when it gets one of the compute units, a scheduler of
//! `ersatz-compute` decides, by the quality of service of the job's group if it has one.
//!
//! What this does not do: a running program can't be stopped before its budget is used up. What a
//! program that fails has written stays written.
//!
//! Read next: `programs` (slots), `ranges` (what a program may touch), `execute` (the command),
//! `jobs` (from there to its completion), `executor` (where programs run in real time), `services`
//! (what they may ask of the drive), `groups` (job groups and the log page on jobs).

mod execute;
mod executor;
mod groups;
mod jobs;
mod programs;
mod ranges;
mod services;

pub use ersatz_compute::{ClassConfig, ComputeConfig, CostModel, Picoseconds, Policy, Speed};
pub use execute::{BUDGET_USED_UP, MAX_DATA, MAX_JOB_BYTES, MAX_JOBS, PROGRAM_FAULT};
pub use executor::Executor;
pub use groups::JOB_GROUP_IN_USE;

use crate::error::NvmeError;
use crate::set::{CommandSet, Cx, Effect, Finished, Flash, Form, Page, Step, Token};
use ersatz_engine::Ns;
use ersatz_runtime::{Fuel, Program, Runtime};
use jobs::Jobs;
use nvme_spec::admin::Lid;
use nvme_spec::cp::ProgramType;
use nvme_spec::identify::IdentifyNamespaceCp;
use nvme_spec::log::{CpLogHeader, DownloadableProgramType};
use nvme_spec::vendor::JobStatistics;
use nvme_spec::{AdminOpcode, CpOpcode, Csi, Status};
use programs::Programs;
use ranges::RangeSets;
use std::fmt;
use std::sync::Arc;
use zerocopy::{Immutable, IntoBytes};

/// Load granularity, as a power of two: single bytes. Images are files of any length, so anything
/// coarser would only make hosts pad them.
const LPG: u8 = 0;

/// Granularity of memory ranges, as a power of two: dwords, the granularity of memory itself.
const MRSG: u16 = 2;

const EFFECTS: [Effect; 2] = [
    Effect {
        opcode: CpOpcode::Flush.into_bits(),
        changes_data: false,
    },
    // What it changes is the contents of memory namespaces, not of this one.
    Effect {
        opcode: CpOpcode::ExecuteProgram.into_bits(),
        changes_data: false,
    },
];

/// What the work of programs costs on a class of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitCost {
    /// How fast they are.
    pub speed: Speed,
    /// How cost follows from work, unless a [`Placement`] says otherwise.
    pub model: CostModel,
}

impl UnitCost {
    /// A price for each instruction.
    #[must_use]
    pub const fn instructions(price: Picoseconds) -> Self {
        Self {
            speed: Speed::ONE,
            model: CostModel::Instructions(price),
        }
    }
}

/// Where the programs of a type run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The type.
    pub ptype: ProgramType,
    /// Index of the class of units.
    pub class: usize,
    /// How cost follows from work, if not as for other programs there.
    pub model: Option<CostModel>,
}

/// A program of the device's own.
#[derive(Clone)]
pub struct DeviceProgram {
    /// Its Program Unique Identifier.
    pub puid: u64,
    /// How cost follows from work, unless a [`Placement`] of
    /// [`ProgramType::DeviceDefined`] says otherwise.
    pub cost: CostModel,
    /// What runs.
    pub program: Arc<dyn Program>,
}

/// What a compute namespace is like.
#[derive(Clone)]
pub struct CpConfig {
    /// Compute units, and how they are shared out.
    pub units: ComputeConfig,
    /// What work costs, for each class of units.
    pub costs: Vec<UnitCost>,
    /// Program types that do not run on the first class, or have costs of their own.
    pub placements: Vec<Placement>,
    /// Program slots (PIND 0 to `slots` - 1).
    pub slots: u16,
    /// Programs that can be activated at the same time (MAXACT); 0 for no limit.
    pub max_activated: u16,
    /// Memory range sets that can exist (MAXMEMRS).
    pub memory_range_sets: u16,
    /// Ranges of a set, and of an execution (MAXMEMR).
    pub ranges_per_set: u8,
    /// Bytes of the largest program.
    pub max_program: u64,
    /// Bytes of all programs together (MAXPB, which is in MiB).
    pub max_programs_total: u64,
    /// Bytes that one command may transfer (MDTS); `u64::MAX` for no limit.
    pub max_transfer: u64,
    /// Instructions that one execution may take.
    pub budget: Fuel,
    /// The program types that can be loaded, and what makes programs of their images.
    pub types: Vec<(ProgramType, Arc<dyn Runtime>)>,
    /// Programs of the device's own: the first has the last slot, the second the one before it,
    /// and so on. Hosts activate and execute them, and can't put anything else there.
    pub device_programs: Vec<DeviceProgram>,
    /// NSIDs of the memory namespaces whose memory programs may work on.
    pub reaches: Vec<u32>,
    /// NSIDs of the namespaces whose blocks programs may read.
    pub reads: Vec<u32>,
}

impl CpConfig {
    fn runtime(&self, ptype: ProgramType) -> Option<&dyn Runtime> {
        let (_, runtime) = self.types.iter().find(|(known, _)| *known == ptype)?;
        Some(&**runtime)
    }

    /// Which class of units a program runs on, and how its cost follows from its work; `own` is
    /// what the program itself says of that.
    fn placement(&self, ptype: ProgramType, own: Option<CostModel>) -> (usize, CostModel) {
        let mut placements = self.placements.iter();
        let placement = placements.find(|placement| placement.ptype == ptype);
        let class = placement.map_or(0, |placement| placement.class);
        let of_class = self.costs.get(class).map(|cost| cost.model);
        let of_type = placement.and_then(|placement| placement.model);
        let model = of_type.or(own).or(of_class);
        (
            class,
            model.unwrap_or(CostModel::Instructions(Picoseconds(0))),
        )
    }

    fn speed(&self, class: usize) -> Speed {
        self.costs.get(class).map_or(Speed::ONE, |cost| cost.speed)
    }
}

impl fmt::Debug for CpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = self
            .types
            .iter()
            .map(|(ptype, _)| ptype)
            .collect::<Vec<_>>();
        f.debug_struct("CpConfig")
            .field("units", &self.units)
            .field("costs", &self.costs)
            .field("slots", &self.slots)
            .field("types", &types)
            .field("device_programs", &self.device_programs.len())
            .finish_non_exhaustive()
    }
}

/// A compute namespace.
#[derive(Debug)]
pub struct Cp {
    config: CpConfig,
    programs: Programs,
    sets: RangeSets,
    jobs: Jobs,
}

impl Cp {
    /// The namespace of `config`, with no programs but the device's own; they will run where
    /// `executor` says.
    #[must_use]
    pub fn new(config: CpConfig, executor: Executor) -> Self {
        let jobs = Jobs::new(&config.units, executor);
        Self {
            programs: Programs::new(&config),
            config,
            sets: RangeSets::default(),
            jobs,
        }
    }
}

impl CommandSet for Cp {
    fn csi(&self) -> Csi {
        Csi::Cp
    }

    fn io(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        match CpOpcode(cx.sqe.opcode) {
            // Nothing here outlives the drive: there is nothing to make durable.
            CpOpcode::Flush => Ok(Step::done(0)),
            CpOpcode::ExecuteProgram => self.execute(cx),
            _ => Err(Status::INVALID_OPCODE.into()),
        }
    }

    fn resume(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        self.execute_arrived(cx)
    }

    fn admin(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        match AdminOpcode(cx.sqe.opcode) {
            AdminOpcode::LoadProgram => self.programs.load(cx, &self.config, &self.jobs),
            AdminOpcode::ProgramActivationManagement => {
                self.programs
                    .manage_activation(cx, &self.config, &self.jobs)
            }
            AdminOpcode::MemoryRangeSetManagement => self.sets.manage(cx, &self.config, &self.jobs),
            AdminOpcode::JobGroupManagement => self.manage_group(cx),
            _ => Err(Status::INVALID_OPCODE.into()),
        }
    }

    fn effects(&self) -> &'static [Effect] {
        &EFFECTS
    }

    fn identify(&self, form: Form, out: &mut Page) -> bool {
        if form != Form::Specific {
            return false;
        }
        let mut identity = IdentifyNamespaceCp::default();
        identity.maxact = self.config.max_activated;
        identity.maxmemrs = self.config.memory_range_sets;
        identity.mrsg = MRSG;
        identity.maxmemr = self.config.ranges_per_set;
        identity.maxpb = self.config.max_programs_total >> 20;
        identity.lpg = LPG;
        out.copy_from_slice(identity.as_bytes());
        true
    }

    fn log(&self, lid: Lid) -> Option<Vec<u8>> {
        match lid {
            Lid::ProgramList => Some(page(&self.programs.list(self.config.slots))),
            Lid::DownloadableProgramTypes => {
                let entry = |&(ptype, _): &(ProgramType, _)| {
                    let mut entry = DownloadableProgramType::default();
                    entry.ptype = ptype;
                    entry
                };
                Some(page(
                    &self.config.types.iter().map(entry).collect::<Vec<_>>(),
                ))
            }
            Lid::MemoryRangeSets => Some(page(&self.sets.list())),
            JobStatistics::LID => Some(self.job_statistics()),
            _ => None,
        }
    }

    fn capacity(&self) -> u64 {
        0
    }

    fn advance(&mut self, flash: &mut Flash<'_>, finished: &mut Vec<Finished>) {
        self.jobs.collect(flash, finished);
    }

    fn next_due(&self) -> Option<Ns> {
        self.jobs.next_due()
    }

    fn disconnect(&mut self, now: Ns) {
        self.jobs.disconnect(now);
    }

    fn runs_since(&self) -> Option<Ns> {
        self.jobs.run_since()
    }

    fn abandon(&mut self, token: Token) {
        self.jobs.abandon(token);
    }
}

/// A log page of these entries.
fn page<T: IntoBytes + Immutable>(entries: &[T]) -> Vec<u8> {
    // At most 65,535 entries: there are no more slots, types or sets.
    let mut header = CpLogHeader::default();
    header.num = entries.len() as u32;
    [header.as_bytes(), entries.as_bytes()].concat()
}

#[cfg(test)]
mod tests;
