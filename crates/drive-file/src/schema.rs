//! The keys of a drive file as data: what may be written, what it means, what holds without it.
//!
//! Reading, writing, refusals and the tables of `docs/drive-file.md` all use these, so that a
//! range or a default is said once.

use crate::unit::Unit;
use crate::{drive, media, namespace, store};
use core::fmt;

/// A table of the file, or the part of one that depends on its kind.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// As in the reference: `namespace, kind = "nvm"`.
    pub heading: &'static str,
    /// In the order of the reference.
    pub keys: &'static [Key],
}

impl Section {
    /// As the reference has it: a table in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from("| key | allowed | default | meaning |\n|---|---|---|---|\n");
        for key in self.keys {
            let default = key.default_text();
            text += &format!(
                "| `{}` | {} | {default} | {} |\n",
                key.name, key.kind, key.meaning
            );
        }
        text
    }
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What holds when it is not written.
    pub absent: Absent,
    /// One sentence for the reference.
    pub meaning: &'static str,
}

/// What may be written as a value. Displayed, it is what a refusal says after "allowed".
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number, in base units of `unit`.
    Number {
        /// What it counts; anything but [`Unit::Count`] is written as text with the unit.
        unit: Unit,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// Which values between.
        step: Step,
    },
    /// Text of one to `max` characters.
    Text {
        /// Most characters.
        max: usize,
        /// Which characters.
        form: Form,
    },
    /// Numbers as of [`Kind::Number`]: one, or a list of up to `most`.
    Numbers {
        /// What each counts.
        unit: Unit,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// How many there may be.
        most: usize,
    },
    /// A number of things from `min` to `max`, or tables in a row that say more of them.
    NumberOrTables {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words, each once, in the order that is wanted; `"all"` is all of them.
    Words(&'static [&'static str]),
    /// A table with keys of its own.
    Table,
    /// Tables in a row, `[[like this]]`.
    Tables,
}

/// Which values in a number's range are allowed.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Each.
    Any,
    /// Multiples of this.
    MultipleOf(u64),
    /// Powers of two.
    PowerOfTwo,
    /// These.
    OneOf(&'static [u64]),
}

/// Which characters a text may have.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Printable ASCII, 20h to 7Eh, as NVMe's ASCII strings; no space at either end.
    Ascii,
    /// An NVMe Qualified Name.
    Nqn,
    /// A path of this machine.
    Path,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The file is refused.
    Required,
    /// This number, in base units.
    Number(u64),
    /// These numbers, in base units.
    Numbers(&'static [u64]),
    /// On or off.
    Switch(bool),
    /// This text.
    Text(&'static str),
    /// What these words say.
    Otherwise(&'static str),
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            absent: Absent::Required,
            meaning: "",
        }
    }

    /// A required number of `unit` between `min` and `max`.
    pub(crate) const fn number(name: &'static str, unit: Unit, min: u64, max: u64) -> Self {
        Self::new(
            name,
            Kind::Number {
                unit,
                min,
                max,
                step: Step::Any,
            },
        )
    }

    /// A required row of at most `most` numbers of `unit` between `min` and `max`.
    pub(crate) const fn numbers(
        name: &'static str,
        unit: Unit,
        min: u64,
        max: u64,
        most: usize,
    ) -> Self {
        Self::new(
            name,
            Kind::Numbers {
                unit,
                min,
                max,
                most,
            },
        )
    }

    /// A required number of things, or a row of tables.
    pub(crate) const fn number_or_tables(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, Kind::NumberOrTables { min, max })
    }

    /// A row of tables, empty when it is not written.
    pub(crate) const fn tables(name: &'static str) -> Self {
        Self::new(name, Kind::Tables).or(Absent::Otherwise("none"))
    }

    /// A switch that is `on` when it is not written.
    pub(crate) const fn switch(name: &'static str, on: bool) -> Self {
        Self::new(name, Kind::Switch).or(Absent::Switch(on))
    }

    /// A required text.
    pub(crate) const fn text(name: &'static str, max: usize, form: Form) -> Self {
        Self::new(name, Kind::Text { max, form })
    }

    /// A required word out of `words`.
    pub(crate) const fn choice(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(name, Kind::Choice(words))
    }

    /// Some of `words`, none when it is not written.
    pub(crate) const fn words(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(name, Kind::Words(words)).or(Absent::Otherwise("none"))
    }

    /// A required table.
    pub(crate) const fn table(name: &'static str) -> Self {
        Self::new(name, Kind::Table)
    }

    /// With fewer values allowed, when it is a number.
    pub(crate) const fn step(mut self, to: Step) -> Self {
        if let Kind::Number { unit, min, max, .. } = self.kind {
            self.kind = Kind::Number {
                unit,
                min,
                max,
                step: to,
            };
        }
        self
    }

    /// Not required: without it, `absent` holds.
    pub(crate) const fn or(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    /// With its sentence for the reference.
    pub(crate) const fn means(mut self, meaning: &'static str) -> Self {
        self.meaning = meaning;
        self
    }

    /// The column "default" of the reference.
    #[must_use]
    pub fn default_text(&self) -> String {
        match (self.absent, self.kind) {
            (Absent::Required, _) => "required".to_owned(),
            (Absent::Number(value), Kind::Number { unit, .. }) => {
                format!("`{}`", write_number(unit, value))
            }
            (Absent::Number(value), _) => format!("`{value}`"),
            (Absent::Numbers(values), Kind::Numbers { unit, .. }) => {
                format!("`{}`", write_numbers(unit, values))
            }
            (Absent::Numbers(values), _) => format!("`{values:?}`"),
            (Absent::Switch(on), _) => format!("`{on}`"),
            (Absent::Text(text), _) => format!("`\"{text}\"`"),
            (Absent::Otherwise(words), _) => words.to_owned(),
        }
    }
}

/// A number as it stands in a file: `64`, `"4 KiB"`.
pub(crate) fn write_number(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Count => value.to_string(),
        _ => format!("\"{}\"", unit.format(value)),
    }
}

/// A row of numbers as it stands in a file; one alone needs no brackets.
pub(crate) fn write_numbers(unit: Unit, values: &[u64]) -> String {
    let texts: Vec<_> = values
        .iter()
        .map(|value| write_number(unit, *value))
        .collect();
    match texts.as_slice() {
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    }
}

impl Unit {
    /// As it is named before a range.
    const fn noun(self) -> &'static str {
        match self {
            Self::Count => "a whole number",
            Self::Bytes => "a size",
            Self::Nanoseconds | Self::Picoseconds => "a time",
            Self::BytesPerSecond => "a rate",
            Self::Percent => "a percentage",
            Self::Factor => "a factor",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: Vec<String>| words.join(" or ");
        match *self {
            Self::Number {
                unit,
                step: Step::OneOf(values),
                ..
            } => {
                let values = values.iter().map(|value| write_number(unit, *value));
                f.write_str(&list(values.collect()))
            }
            Self::Number {
                unit,
                min,
                max,
                step,
            } => {
                let (min, max) = (write_number(unit, min), write_number(unit, max));
                let what = unit.noun();
                write!(f, "{what} from {min} to {max}")?;
                match step {
                    Step::MultipleOf(of) => write!(f, ", a multiple of {}", write_number(unit, of)),
                    Step::PowerOfTwo => f.write_str(", a power of two"),
                    Step::Any | Step::OneOf(_) => Ok(()),
                }
            }
            Self::Numbers {
                unit,
                min,
                max,
                most,
            } => {
                let (min, max) = (write_number(unit, min), write_number(unit, max));
                let what = unit.noun();
                write!(f, "{what} from {min} to {max}, or a list of up to {most}")
            }
            Self::NumberOrTables { min, max } => {
                write!(f, "a whole number from {min} to {max}, or a list of tables")
            }
            Self::Switch => f.write_str("true or false"),
            Self::Text {
                max,
                form: Form::Ascii,
            } => {
                write!(
                    f,
                    "1 to {max} printable ASCII characters, no space at either end"
                )
            }
            Self::Text {
                max,
                form: Form::Nqn,
            } => {
                write!(
                    f,
                    "nqn.yyyy-mm. and a name, at most {max} printable ASCII characters"
                )
            }
            Self::Text {
                form: Form::Path, ..
            } => f.write_str("the path of a file"),
            Self::Words(words) => {
                write!(f, "\"all\", or a list of \"{}\"", words.join("\", \""))
            }
            Self::Choice(words) => f.write_str(&list(
                words.iter().map(|word| format!("\"{word}\"")).collect(),
            )),
            Self::Table => f.write_str("a table"),
            Self::Tables => f.write_str("one [[table]] for each"),
        }
    }
}

/// The file itself.
pub const ROOT: Section = Section {
    heading: "drive file",
    keys: &[DRIVE, MEDIA, NAND, FTL, STORE, NAMESPACE],
};

pub(crate) const DRIVE: Key = Key::table("drive").means("The controller and its link.");
pub(crate) const MEDIA: Key = Key::table("media")
    .or(Absent::Otherwise(
        "none; a namespace of kind \"nvm\" needs this, or `nand` or `ftl`",
    ))
    .means("What NVM namespaces lie on, when it is no flash: how long reads and writes take.");
pub(crate) const NAND: Key = Key::table("nand")
    .or(Absent::Otherwise(
        "with an `ftl`: the defaults of its model; else none",
    ))
    .means("Flash chips that NVM namespaces lie on: how many, and what their work takes.");
pub(crate) const FTL: Key = Key::table("ftl")
    .or(Absent::Otherwise(
        "with a `nand`: model \"page\" and its defaults; else none",
    ))
    .means("The flash translation layer: who writes where, and who cleans up.");
pub(crate) const STORE: Key = Key::table("store")
    .or(Absent::Otherwise("in memory"))
    .means("Where the bytes of NVM namespaces are kept.");
pub(crate) const NAMESPACE: Key =
    Key::new("namespace", Kind::Tables).means("The namespaces, at least one.");

/// Each section, in the order of the reference.
pub const SECTIONS: &[Section] = &[
    ROOT,
    drive::SECTION,
    drive::LINK_SECTION,
    drive::FIRMWARE_SECTION,
    media::SECTION,
    media::FIXED_SECTION,
    media::page::NAND_SECTION,
    media::page::BUS_SECTION,
    media::page::RELIABILITY_SECTION,
    media::page::FTL_SECTION,
    media::page::BUFFER_SECTION,
    media::page::GC_SECTION,
    media::page::PRECONDITION_SECTION,
    media::femu::NAND_SECTION,
    media::femu::FTL_SECTION,
    media::femu::GC_SECTION,
    store::SECTION,
    namespace::SECTION,
    namespace::NVM_SECTION,
    namespace::MEMORY_SECTION,
    namespace::COMPUTE_SECTION,
    namespace::UNITS_SECTION,
    namespace::TYPES_SECTION,
    namespace::COST_SECTION,
    namespace::NATIVE_SECTION,
    namespace::REMOTE_SECTION,
];
