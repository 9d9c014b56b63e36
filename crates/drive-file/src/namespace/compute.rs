//! `[[namespace]]` of kind "compute".

mod cost;
mod native;
mod programs;
mod remote;
mod units;

pub(crate) use cost::SECTION as COST_SECTION;
pub use native::NativeProgram;
pub(crate) use native::SECTION as NATIVE_SECTION;
pub(crate) use remote::SECTION as REMOTE_SECTION;
pub use remote::{MIN_KEY, Remote};
pub use units::{Placement, UnitClass};
pub(crate) use units::{TYPES_SECTION, UNITS_SECTION};

use crate::reader::Table;
use crate::schema::{Absent, Key, Section, Step};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_compute::{CostModel, Policy};
use ersatz_engine::Ns;
use nvme_spec::cp::ProgramType;
use std::path::Path;

/// Program slots when the file doesn't say.
pub const DEFAULT_SLOTS: u16 = 256;
/// Activated programs when the file doesn't say.
pub const DEFAULT_MAX_ACTIVATED: u16 = 16;
/// Memory range sets when the file doesn't say.
pub const DEFAULT_MEMORY_RANGE_SETS: u16 = 256;
/// Ranges of a memory range set when the file doesn't say.
pub const DEFAULT_RANGES_PER_SET: u8 = 32;
/// Bytes of one program when the file doesn't say.
pub const DEFAULT_MAX_PROGRAM: u64 = 1 << 20;
/// Bytes of all programs when the file doesn't say.
pub const DEFAULT_MAX_PROGRAMS_TOTAL: u64 = 64 << 20;
/// Instructions of one execution when the file doesn't say.
pub const DEFAULT_BUDGET: u64 = 10_000_000_000;
/// Threads when the file doesn't say: as many as this machine has processors.
pub const DEFAULT_THREADS: u16 = 0;

/// How units are shared out when the file doesn't say.
pub const DEFAULT_SCHEDULER: Policy = Policy::Fifo;
/// Time slice when the file doesn't say: a round figure, measured on no drive.
pub const DEFAULT_TIME_SLICE: Ns = Ns::from_us(200);
/// Cost of a switch when the file doesn't say.
pub const DEFAULT_CONTEXT_SWITCH: Ns = Ns::ZERO;
/// Measured time as it is, in thousandths.
const ONCE: u32 = 1000;
/// Waiting that counts as one priority when the file doesn't say.
pub const DEFAULT_AGEING: Ns = Ns::from_ms(10);

/// As [`Policy::ALL`] has them.
const SCHEDULERS: &[&str] = &[
    "fifo",
    "round-robin",
    "grouped-fifo",
    "grouped-round-robin",
    "priority",
    "deadline",
    "fair-share",
];

const COST: Key = Key::table("cost").means("What a program's work takes in the drive's time.");
const SCHEDULER: Key = Key::choice("scheduler", SCHEDULERS)
    .or(Absent::Text(DEFAULT_SCHEDULER.name()))
    .means(
        "Who gets a unit that is free: `\"fifo\"`: first come, first served, each job to its end. \
         `\"round-robin\"`: time slices in turn. `\"grouped-fifo\"`, `\"grouped-round-robin\"`: the \
         same, but the job groups take turns. `\"priority\"`: the highest first, growing with \
         waiting. `\"deadline\"`: the earliest first, at once. `\"fair-share\"`: time in proportion \
         to the groups' priorities.",
    );
const TIME_SLICE: Key = Key::number("time_slice", Unit::Nanoseconds, 1_000, 1_000_000_000)
    .or(Absent::Number(DEFAULT_TIME_SLICE.0))
    .means(
        "How long a job keeps a unit while others wait, with schedulers that slice time (not \
         `\"fifo\"`, `\"grouped-fifo\"`, `\"deadline\"`).",
    );
const CONTEXT_SWITCH: Key = Key::number("context_switch", Unit::Nanoseconds, 0, 1_000_000_000)
    .or(Absent::Number(DEFAULT_CONTEXT_SWITCH.0))
    .means("What it takes a unit to begin with a job that it did not have just before.");
const AGEING: Key = Key::number("ageing", Unit::Nanoseconds, 1_000, 1_000_000_000_000)
    .or(Absent::Number(DEFAULT_AGEING.0))
    .means("How much waiting counts as one priority more, with scheduler `\"priority\"`.");
const SLOTS: Key = Key::number("slots", Unit::Count, 1, 65_535)
    .or(Absent::Number(DEFAULT_SLOTS as u64))
    .means("Programs that can be loaded: indexes 0 to `slots` - 1 (PIND).");
const MAX_ACTIVATED: Key = Key::number("max_activated", Unit::Count, 1, 65_535)
    .or(Absent::Number(DEFAULT_MAX_ACTIVATED as u64))
    .means("Programs that can be activated at the same time (MAXACT).");
const MEMORY_RANGE_SETS: Key = Key::number("memory_range_sets", Unit::Count, 1, 65_535)
    .or(Absent::Number(DEFAULT_MEMORY_RANGE_SETS as u64))
    .means("Memory range sets that can exist (MAXMEMRS).");
const RANGES_PER_SET: Key = Key::number("ranges_per_set", Unit::Count, 1, 255)
    .or(Absent::Number(DEFAULT_RANGES_PER_SET as u64))
    .means("Ranges of a memory range set, and of one execution (MAXMEMR).");
const MAX_PROGRAM: Key = Key::number("max_program", Unit::Bytes, 4 << 10, 1 << 30)
    .or(Absent::Number(DEFAULT_MAX_PROGRAM))
    .means("Largest program image.");
const MAX_PROGRAMS_TOTAL: Key = Key::number("max_programs_total", Unit::Bytes, 1 << 20, 64 << 30)
    .step(Step::MultipleOf(1 << 20))
    .or(Absent::Number(DEFAULT_MAX_PROGRAMS_TOTAL))
    .means("All program images together (MAXPB).");
const BUDGET: Key = Key::number("budget", Unit::Count, 1, 1_000_000_000_000_000)
    .or(Absent::Number(DEFAULT_BUDGET))
    .means("Instructions after which an execution is ended with a status.");
const THREADS: Key = Key::number("threads", Unit::Count, 0, 1024)
    .or(Absent::Number(DEFAULT_THREADS as u64))
    .means(
        "Threads of this machine that run the programs; 0 is one per processor. They change how \
         fast results are there, never the drive's time.",
    );

/// `[[namespace]]` of kind "compute".
pub(crate) const SECTION: Section = Section {
    heading: "namespace, kind = \"compute\"",
    keys: &[
        units::UNITS,
        COST,
        units::TYPES,
        SCHEDULER,
        TIME_SLICE,
        CONTEXT_SWITCH,
        AGEING,
        SLOTS,
        MAX_ACTIVATED,
        MEMORY_RANGE_SETS,
        RANGES_PER_SET,
        MAX_PROGRAM,
        MAX_PROGRAMS_TOTAL,
        BUDGET,
        programs::BUILTINS,
        native::NATIVE,
        remote::REMOTE,
        THREADS,
    ],
};

/// Programs and the units that run them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compute {
    /// Classes of compute units, at least one, each with a name of its own.
    pub units: Vec<UnitClass>,
    /// What work costs, where no class or type of program says otherwise.
    pub cost: CostModel,
    /// Types of programs that run elsewhere than on the first class, or cost otherwise; each type
    /// once.
    pub types: Vec<Placement>,
    /// Who gets a unit that is free.
    pub scheduler: Policy,
    /// How long a job keeps a unit while others wait, 1 us to 1 s.
    pub time_slice: Ns,
    /// What a switch takes, at most 1 s.
    pub context_switch: Ns,
    /// How much waiting counts as one priority more, 1 us to 1000 s.
    pub ageing: Ns,
    /// Program slots, 1 to 65,535.
    pub slots: u16,
    /// Programs activated at the same time (MAXACT), 1 to `slots`.
    pub max_activated: u16,
    /// Memory range sets (MAXMEMRS), 1 to 65,535.
    pub memory_range_sets: u16,
    /// Ranges of a set (MAXMEMR), 1 to 255.
    pub ranges_per_set: u8,
    /// Bytes of the largest program, 4 KiB to 1 GiB.
    pub max_program: u64,
    /// Bytes of all programs together (MAXPB): a multiple of 1 MiB, at least `max_program`, at
    /// most 64 GiB.
    pub max_programs_total: u64,
    /// Instructions after which an execution is ended, at least 1.
    pub budget: u64,
    /// Built-in programs by name, each once, at most `slots`: the first has the last slot.
    pub builtins: Vec<String>,
    /// Shared libraries that guests may run, each with a name of its own.
    pub native: Vec<NativeProgram>,
    /// Another machine that runs eBPF programs.
    pub remote: Option<Box<Remote>>,
    /// Threads that run programs, at most 1,024; 0 means one per processor of this machine.
    pub threads: u16,
}

fn policy(name: &str) -> Policy {
    let mut all = Policy::ALL.into_iter();
    all.find(|policy| policy.name() == name).unwrap_or_default()
}

impl Compute {
    /// Compute units of all classes together.
    #[must_use]
    pub fn unit_count(&self) -> u16 {
        let counts = self.units.iter().map(|class| class.count);
        counts.fold(0, u16::saturating_add)
    }

    /// What the work of a type of programs costs. Where nothing is known but the price of
    /// instructions, programs that run elsewhere cost what they took there.
    #[must_use]
    pub fn cost_of(&self, ptype: ProgramType) -> CostModel {
        let mut types = self.types.iter();
        let placement = types.find(|placement| placement.ptype == ptype.0);
        if let Some(cost) = placement.and_then(|placement| placement.cost) {
            return cost;
        }
        let elsewhere =
            ptype == ProgramType::NATIVE || ptype == ProgramType::EBPF && self.remote.is_some();
        let class = placement.map_or(0, |placement| placement.class);
        let class = self.units.get(class).and_then(|class| class.cost);
        match class.unwrap_or(self.cost) {
            CostModel::Instructions(_) if elsewhere => CostModel::Measured(ONCE),
            cost => cost,
        }
    }

    pub(super) fn read(table: &mut Table<'_, '_>, folder: Option<&Path>) -> Option<Self> {
        let units = units::read(table);
        let cost = table.table(&COST).and_then(cost::read);
        let types = units::read_types(table, units.as_deref().unwrap_or_default());
        let scheduler = table.text(&SCHEDULER);
        let time_slice = table.number(&TIME_SLICE).map(Ns);
        let context_switch = table.number(&CONTEXT_SWITCH).map(Ns);
        let ageing = table.number(&AGEING).map(Ns);
        let slots = table.number(&SLOTS);
        let max_activated = table.number(&MAX_ACTIVATED);
        let memory_range_sets = table.number(&MEMORY_RANGE_SETS);
        let ranges_per_set = table.number(&RANGES_PER_SET);
        let max_program = table.number(&MAX_PROGRAM);
        let max_programs_total = table.number(&MAX_PROGRAMS_TOTAL);
        let budget = table.number(&BUDGET);
        let builtins = programs::read_builtins(table, slots);
        let native = native::read(table, folder);
        let remote = remote::read(table);
        let threads = table.number(&THREADS);
        let compute = Self {
            units: units?,
            cost: cost?,
            types: types?,
            scheduler: scheduler.map(|name| policy(&name))?,
            time_slice: time_slice?,
            context_switch: context_switch?,
            ageing: ageing?,
            slots: slots?,
            max_activated: max_activated?,
            memory_range_sets: memory_range_sets?,
            ranges_per_set: ranges_per_set?,
            max_program: max_program?,
            max_programs_total: max_programs_total?,
            budget: budget?,
            builtins: builtins?,
            native: native?,
            remote: remote?,
            threads: threads?,
        };
        compute.fits_together(table).then_some(compute)
    }

    fn fits_together(&self, table: &mut Table<'_, '_>) -> bool {
        let size = |bytes| Unit::Bytes.format(bytes);
        let (activated, slots) = (self.max_activated, self.slots);
        if activated > slots {
            let message = format!("{activated} programs can't be activated in {slots} slots");
            table.refuse(&MAX_ACTIVATED, message);
        }
        let (one, all) = (self.max_program, self.max_programs_total);
        if one > all {
            let message = format!(
                "one program of {} does not fit into {} for all",
                size(one),
                size(all)
            );
            table.refuse(&MAX_PROGRAM, message);
        }
        activated <= slots && one <= all && self.costs_fit(table)
    }

    /// Refuses costs of instructions for programs that have none.
    fn costs_fit(&self, table: &mut Table<'_, '_>) -> bool {
        let has = |ptype| self.types.iter().any(|placement| placement.ptype == ptype);
        let refused = |ptype: ProgramType| match (ptype, self.cost_of(ptype)) {
            (ProgramType::NATIVE, CostModel::Instructions(_)) => Some("measured, rate or given"),
            (ProgramType::PHANTOM, CostModel::Rate { .. } | CostModel::Given) => None,
            (ProgramType::PHANTOM, _) => Some("rate or given"),
            (ProgramType::BITSTREAM, CostModel::Rate { .. }) => None,
            (ProgramType::BITSTREAM, _) => Some("rate"),
            _ => None,
        };
        let types = [
            ProgramType::NATIVE,
            ProgramType::PHANTOM,
            ProgramType::BITSTREAM,
        ];
        for ptype in types.into_iter().filter(|ptype| has(ptype.0)) {
            if let Some(models) = refused(ptype) {
                let number = ptype.0;
                let message = format!("programs of type {number:#X} need a cost that is {models}");
                table.refuse(&units::TYPES, message);
                return false;
            }
        }
        true
    }

    pub(super) fn write(&self, entries: &mut Writer) {
        units::write(entries, &self.units);
        entries.table(&COST, cost::write(&self.cost));
        units::write_types(entries, &self.types, &self.units);
        entries.text(&SCHEDULER, self.scheduler.name());
        entries.number(&TIME_SLICE, self.time_slice.0);
        entries.number(&CONTEXT_SWITCH, self.context_switch.0);
        entries.number(&AGEING, self.ageing.0);
        entries.number(&SLOTS, self.slots.into());
        entries.number(&MAX_ACTIVATED, self.max_activated.into());
        entries.number(&MEMORY_RANGE_SETS, self.memory_range_sets.into());
        entries.number(&RANGES_PER_SET, self.ranges_per_set.into());
        entries.number(&MAX_PROGRAM, self.max_program);
        entries.number(&MAX_PROGRAMS_TOTAL, self.max_programs_total);
        entries.number(&BUDGET, self.budget);
        programs::write_builtins(entries, &self.builtins);
        native::write(entries, &self.native);
        remote::write(entries, self.remote.as_deref());
        entries.number(&THREADS, self.threads.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_schedulers_can_be_written() {
        let names: Vec<_> = Policy::ALL.iter().map(|policy| policy.name()).collect();
        assert_eq!(names, SCHEDULERS);
    }
}
