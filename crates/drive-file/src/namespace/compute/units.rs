//! `units` and `types`: classes of compute units, and which programs run on which.

use super::cost::{self, THOUSANDTHS};
use crate::reader::Table;
use crate::schema::{Absent, Form, Key, Section};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_compute::{CostModel, Speed};

/// Most classes of a namespace.
const MAX_CLASSES: usize = 64;
/// Most types of programs: as many as there are numbers.
const MAX_TYPES: usize = 256;
/// What units are called that are only counted.
const UNIT: &str = "unit";

pub(super) const UNITS: Key = Key::number_or_tables("units", 1, 1024).means(
    "Compute units: programs that run at the same time in the drive's time. A number, or a list of \
     classes of them, each with jobs and a schedule of its own.",
);
pub(super) const TYPES: Key = Key::tables("types").means(
    "Types of programs that do not run on the first class of units, or cost otherwise than others \
     there.",
);

const CLASS: Key =
    Key::text("class", 16, Form::Ascii).means("Its name, as in logs: `\"arm-a53\"`.");
const COUNT: Key = Key::number("count", Unit::Count, 1, 1024).means("Units of the class.");
const SPEED: Key = Key::number("speed", Unit::Factor, 1, 100_000)
    .or(Absent::Number(100))
    .means(
        "How fast they are, against those that costs are given for: it divides the time of \
         instructions and measured time.",
    );
const CLASS_COST: Key = Key::table("cost")
    .or(Absent::Otherwise("that of the namespace"))
    .means("What work costs on them.");

/// A class of units.
pub(crate) const UNITS_SECTION: Section = Section {
    heading: "namespace.units",
    keys: &[CLASS, COUNT, SPEED, CLASS_COST],
};

const TYPE: Key = Key::number("type", Unit::Count, 0, 255)
    .means("Type of program (PTYPE): 0 built in, `0xC1` eBPF, `0xC3` native; with an entry here, programs \
         of type `0xC4` (phantom) can be loaded, which do nothing but take the time of a `rate` or a \
         `given` cost, and of type `0xC5` (bitstream), the same with a `rate`.");
const TYPE_CLASS: Key = Key::text("class", 16, Form::Ascii)
    .or(Absent::Otherwise("the first class"))
    .means("Class of units that its programs run on.");
const TYPE_COST: Key = Key::table("cost")
    .or(Absent::Otherwise("that of the class"))
    .means("What their work costs there.");

/// A type of programs.
pub(crate) const TYPES_SECTION: Section = Section {
    heading: "namespace.types",
    keys: &[TYPE, TYPE_CLASS, TYPE_COST],
};

/// Compute units that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitClass {
    /// 1 to 16 printable ASCII characters.
    pub class: String,
    /// Units, 1 to 1,024.
    pub count: u16,
    /// How fast they are; in hundredths.
    pub speed: Speed,
    /// What work costs on them, if not as in the namespace.
    pub cost: Option<CostModel>,
}

impl UnitClass {
    /// So many units of which nothing else is said.
    #[must_use]
    pub fn plain(count: u16) -> Self {
        Self {
            class: UNIT.to_owned(),
            count,
            speed: Speed::ONE,
            cost: None,
        }
    }
}

/// Where programs of a type run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The type (PTYPE).
    pub ptype: u8,
    /// Index of the class of units.
    pub class: usize,
    /// What their work costs, if not as on the class.
    pub cost: Option<CostModel>,
}

/// A table `cost` that may be missing: the outer `None` when it is refused.
fn read_cost(table: &mut Table<'_, '_>, key: &Key) -> Option<Option<CostModel>> {
    if !table.has(key) {
        return Some(None);
    }
    table.table(key).and_then(cost::read).map(Some)
}

pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Vec<UnitClass>> {
    if !table.is_list(&UNITS) {
        return table
            .number(&UNITS)
            .map(|count| vec![UnitClass::plain(count)]);
    }
    let classes = table.tables(&UNITS, MAX_CLASSES, |mut table, _| {
        let table = &mut table;
        table.finish("class of units", &[&UNITS_SECTION]);
        let (class, count) = (table.text(&CLASS), table.number(&COUNT));
        let speed = table.number::<u32>(&SPEED);
        let cost = read_cost(table, &CLASS_COST);
        Some(UnitClass {
            class: class?,
            count: count?,
            speed: Speed(speed? * THOUSANDTHS),
            cost: cost?,
        })
    });
    let classes: Vec<_> = classes.into_iter().collect::<Option<_>>()?;
    let twice = classes.iter().enumerate().find(|(index, class)| {
        classes[..*index]
            .iter()
            .any(|other| other.class == class.class)
    });
    if let Some((_, UnitClass { class, .. })) = twice {
        table.refuse(&UNITS, format!("there are two classes {class:?}"));
        return None;
    }
    (!classes.is_empty()).then_some(classes)
}

pub(super) fn read_types(table: &mut Table<'_, '_>, units: &[UnitClass]) -> Option<Vec<Placement>> {
    if !table.has(&TYPES) {
        return Some(Vec::new());
    }
    let types = table.tables(&TYPES, MAX_TYPES, |mut table, _| {
        let table = &mut table;
        table.finish("type of programs", &[&TYPES_SECTION]);
        let ptype = table.number(&TYPE);
        let class = if table.has(&TYPE_CLASS) {
            let name = table.text(&TYPE_CLASS)?;
            let class = units.iter().position(|class| class.class == name);
            if class.is_none() {
                table.refuse(
                    &TYPE_CLASS,
                    format!("there is no class {name:?} in `units`"),
                );
            }
            class
        } else {
            Some(0)
        };
        let cost = read_cost(table, &TYPE_COST);
        Some(Placement {
            ptype: ptype?,
            class: class?,
            cost: cost?,
        })
    });
    let types: Vec<_> = types.into_iter().collect::<Option<_>>()?;
    let twice = types.iter().enumerate().find(|(index, placement)| {
        types[..*index]
            .iter()
            .any(|other| other.ptype == placement.ptype)
    });
    if let Some((_, placement)) = twice {
        table.refuse(&TYPES, format!("type {} is there twice", placement.ptype));
        return None;
    }
    Some(types)
}

pub(super) fn write(entries: &mut Writer, units: &[UnitClass]) {
    if let [only] = units
        && *only == UnitClass::plain(only.count)
    {
        return entries.number(&UNITS, only.count.into());
    }
    let class = |class: &UnitClass| {
        let mut entries = Writer::default();
        entries.text(&CLASS, &class.class);
        entries.number(&COUNT, class.count.into());
        entries.number(&SPEED, (class.speed.0 / THOUSANDTHS).into());
        if let Some(cost) = &class.cost {
            entries.table(&CLASS_COST, cost::write(cost));
        }
        entries
    };
    entries.tables(&UNITS, units.iter().map(class).collect());
}

pub(super) fn write_types(entries: &mut Writer, types: &[Placement], units: &[UnitClass]) {
    let one = |placement: &Placement| {
        let mut entries = Writer::default();
        entries.number(&TYPE, placement.ptype.into());
        if let Some(class) = units.get(placement.class).filter(|_| placement.class > 0) {
            entries.text(&TYPE_CLASS, &class.class);
        }
        if let Some(cost) = &placement.cost {
            entries.table(&TYPE_COST, cost::write(cost));
        }
        entries
    };
    entries.tables(&TYPES, types.iter().map(one).collect());
}
