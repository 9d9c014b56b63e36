//! `[[namespace]]` of kind "compute".

use crate::reader::Table;
use crate::schema::{Absent, Key, Section, Step};
use crate::unit::{Picoseconds, Unit};
use crate::writer::Writer;

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

const UNITS: Key = Key::number("units", Unit::Count, 1, 1024)
    .means("Compute units: programs that run at the same time in the drive's time.");
const COST: Key = Key::table("cost").means("What a program's work takes in the drive's time.");
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
        UNITS,
        COST,
        SLOTS,
        MAX_ACTIVATED,
        MEMORY_RANGE_SETS,
        RANGES_PER_SET,
        MAX_PROGRAM,
        MAX_PROGRAMS_TOTAL,
        BUDGET,
        THREADS,
    ],
};

const INSTRUCTIONS: Key = Key::number("instructions", Unit::Picoseconds, 0, 1_000_000_000)
    .means("Time of one instruction on a compute unit, exact to a picosecond.");

/// `cost` of a compute namespace.
pub(crate) const COST_SECTION: Section = Section {
    heading: "namespace.cost",
    keys: &[INSTRUCTIONS],
};

/// Programs and the units that run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// Compute units, 1 to 1,024.
    pub units: u16,
    /// Price of one instruction, at most 1 ms.
    pub instruction_cost: Picoseconds,
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
    /// Threads that run programs, at most 1,024; 0 means one per processor of this machine.
    pub threads: u16,
}

impl Compute {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Self> {
        let units = table.number(&UNITS);
        let instruction_cost = table.table(&COST).and_then(|mut cost| {
            cost.finish("cost", &[&COST_SECTION]);
            cost.number(&INSTRUCTIONS).map(Picoseconds)
        });
        let slots = table.number(&SLOTS);
        let max_activated = table.number(&MAX_ACTIVATED);
        let memory_range_sets = table.number(&MEMORY_RANGE_SETS);
        let ranges_per_set = table.number(&RANGES_PER_SET);
        let max_program = table.number(&MAX_PROGRAM);
        let max_programs_total = table.number(&MAX_PROGRAMS_TOTAL);
        let budget = table.number(&BUDGET);
        let threads = table.number(&THREADS);
        let compute = Self {
            units: units?,
            instruction_cost: instruction_cost?,
            slots: slots?,
            max_activated: max_activated?,
            memory_range_sets: memory_range_sets?,
            ranges_per_set: ranges_per_set?,
            max_program: max_program?,
            max_programs_total: max_programs_total?,
            budget: budget?,
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
        activated <= slots && one <= all
    }

    pub(super) fn write(&self, entries: &mut Writer) {
        let mut cost = Writer::default();
        cost.number(&INSTRUCTIONS, self.instruction_cost.0);
        entries.number(&UNITS, self.units.into());
        entries.table(&COST, cost);
        entries.number(&SLOTS, self.slots.into());
        entries.number(&MAX_ACTIVATED, self.max_activated.into());
        entries.number(&MEMORY_RANGE_SETS, self.memory_range_sets.into());
        entries.number(&RANGES_PER_SET, self.ranges_per_set.into());
        entries.number(&MAX_PROGRAM, self.max_program);
        entries.number(&MAX_PROGRAMS_TOTAL, self.max_programs_total);
        entries.number(&BUDGET, self.budget);
        entries.number(&THREADS, self.threads.into());
    }
}
