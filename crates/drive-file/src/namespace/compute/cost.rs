//! `cost = { … }`: how the time of a job follows from its work.

use crate::reader::Table;
use crate::schema::{Absent, Key, Section};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_compute::{CostModel, Picoseconds};
use ersatz_engine::Ns;

/// Thousandths, as models count, in a hundredth, as factors are written.
pub(super) const THOUSANDTHS: u32 = 10;

const ONE: Absent = Absent::Otherwise("one of the four models");

const INSTRUCTIONS: Key = Key::number("instructions", Unit::Picoseconds, 0, 1_000_000_000)
    .or(ONE)
    .means("Time of one instruction on a compute unit, exact to a picosecond: the same on every machine.");
const MEASURED: Key = Key::number("measured", Unit::Factor, 0, 100_000).or(ONE).means(
    "Processor time that the run took on this machine, times this factor. Not in simulations, whose \
     results depend on no machine.",
);
const RATE: Key = Key::number("rate", Unit::BytesPerSecond, 1_000_000, 1_000_000_000_000)
    .or(ONE)
    .means(
        "An accelerator: bytes per second that it works on. The bytes are those that the program \
         says went through it, or else those of the job's memory ranges.",
    );
const SETUP: Key = Key::number("setup", Unit::Nanoseconds, 0, 1_000_000_000)
    .or(Absent::Number(0))
    .means("What an accelerator takes besides, with `rate` only.");
const GIVEN: Key = Key::switch("given", false)
    .means("The command says what the job takes, in ns (CDW15 of Execute Program, Ersatz's own).");

/// `cost` of a compute namespace, of a class of units, or of a type of program.
pub(crate) const SECTION: Section = Section {
    heading: "namespace.cost",
    keys: &[INSTRUCTIONS, MEASURED, RATE, SETUP, GIVEN],
};

pub(super) fn read(mut table: Table<'_, '_>) -> Option<CostModel> {
    let table = &mut table;
    table.finish("cost", &[&SECTION]);
    let given = table.switch(&GIVEN)?;
    let models = [&INSTRUCTIONS, &MEASURED, &RATE].into_iter();
    let models = models.filter(|key| table.has(key)).count() + usize::from(given);
    if models != 1 {
        let message = format!("has {models} models of what work costs");
        let path = table.path().to_owned();
        let span = table.span(&SETUP);
        table.refuse_whole(
            span,
            &path,
            message,
            "one of instructions, measured, rate, given",
        );
        return None;
    }
    if table.has(&SETUP) && !table.has(&RATE) {
        table.refuse(&SETUP, "without a rate".to_owned());
        return None;
    }
    if given {
        Some(CostModel::Given)
    } else if table.has(&INSTRUCTIONS) {
        table
            .number(&INSTRUCTIONS)
            .map(Picoseconds)
            .map(CostModel::Instructions)
    } else if table.has(&MEASURED) {
        let hundredths = table.number::<u32>(&MEASURED)?;
        Some(CostModel::Measured(hundredths * THOUSANDTHS))
    } else {
        let (bandwidth, setup) = (table.number(&RATE)?, table.number(&SETUP).map(Ns)?);
        Some(CostModel::Rate { bandwidth, setup })
    }
}

pub(super) fn write(model: &CostModel) -> Writer {
    let mut entries = Writer::default();
    match *model {
        CostModel::Instructions(price) => entries.number(&INSTRUCTIONS, price.0),
        CostModel::Measured(factor) => entries.number(&MEASURED, (factor / THOUSANDTHS).into()),
        CostModel::Rate { bandwidth, setup } => {
            entries.number(&RATE, bandwidth);
            entries.number(&SETUP, setup.0);
        }
        CostModel::Given => entries.switch(&GIVEN, true),
    }
    entries
}
