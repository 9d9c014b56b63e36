//! `[media]`, or `[nand]` and `[ftl]`: what NVM namespaces lie on, which decides how long their reads
//! and writes take.
//!
//! Another model is a variant of [`MediaModel`] with sections of its own: see `media/femu.rs`, and
//! `media/page.rs` for the default.

pub(crate) mod femu;
pub(crate) mod page;

pub use page::PageDrive;

use crate::namespace::Found;
use crate::reader::Table;
use crate::schema::{self, Absent, Key, Section, Step};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_engine::Ns;
use ersatz_ftl::femu::Config as Femu;

const KIND: Key = Key::choice("kind", &["fixed", "null"]).means(
    "`\"fixed\"`: each page read and each page program takes its time on its die; no garbage \
     collection, no wear. `\"null\"`: no time at all, for measuring everything else.",
);
const CAPACITY: Key = Key::number("capacity", Unit::Bytes, 512, 1 << 60)
    .or(Absent::Otherwise("all NVM namespaces together"))
    .means(
        "Bytes that NVM namespaces can lie on (TNVMCAP); what they leave is unallocated (UNVMCAP).",
    );

/// `[media]`, of any kind.
pub(crate) const SECTION: Section = Section {
    heading: "media",
    keys: &[KIND, CAPACITY],
};

const DIES: Key = Key::number("dies", Unit::Count, 1, 65_536)
    .means("Dies that work at the same time; page n lies on die n mod `dies`.");
const PAGE: Key = Key::number("page", Unit::Bytes, 512, 1 << 20)
    .step(Step::PowerOfTwo)
    .means("Size of a page; one that is partly covered costs as much as a whole one.");
const READ: Key = Key::number("read", Unit::Nanoseconds, 1, 10_000_000_000)
    .means("Time of a page read on its die.");
const PROGRAM: Key = Key::number("program", Unit::Nanoseconds, 1, 10_000_000_000)
    .means("Time of a page program on its die.");

/// `[media]` of kind "fixed".
pub(crate) const FIXED_SECTION: Section = Section {
    heading: "media, kind = \"fixed\"",
    keys: &[DIES, PAGE, READ, PROGRAM],
};

/// What NVM namespaces lie on.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// Bytes of logical space: at least what all NVM namespaces have together. 0 when there are
    /// none and the file says nothing. Flash has as many as its geometry leaves.
    pub capacity: u64,
    /// How long its work takes.
    pub model: MediaModel,
}

/// How long a media's work takes.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaModel {
    /// No time.
    Null,
    /// Fixed times per page.
    Fixed(Fixed),
    /// FEMU's black-box drive, exactly. [`block_bytes`](Femu::block_bytes) is the block of the NVM
    /// namespaces.
    Femu(Box<Femu>),
    /// A page-mapped drive of flash: the default model.
    Page(Box<PageDrive>),
}

/// Fixed times per page, on one timeline per die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Dies that work at the same time, 1 to 65,536.
    pub dies: u32,
    /// Bytes of a page, a power of two from 512 to 1 Mi.
    pub page: u64,
    /// Time of a page read, at least 1 ns.
    pub read: Ns,
    /// Time of a page program, at least 1 ns.
    pub program: Ns,
}

pub(crate) fn read(root: &mut Table<'_, '_>, namespaces: &[Found]) -> Option<Media> {
    if root.has(&schema::NAND) || root.has(&schema::FTL) {
        if root.has(&schema::MEDIA) {
            let message = "is given beside nand or ftl, which say what NVM namespaces lie on";
            root.refuse(&schema::MEDIA, message.to_owned());
        }
        return read_flash(root, namespaces);
    }
    if !root.has(&schema::MEDIA) {
        if let Some(found) = namespaces.iter().find(|found| found.nvm_bytes() > Some(0)) {
            root.refuse(
                &schema::MEDIA,
                format!("is missing, but {} lies on it", found.path),
            );
            return None;
        }
        return Some(Media {
            capacity: 0,
            model: MediaModel::Null,
        });
    }
    let mut table = root.table(&schema::MEDIA)?;
    let capacity = table.number(&CAPACITY);
    let kind = table.text(&KIND)?;
    let model = match kind.as_str() {
        "fixed" => {
            let fixed = Fixed::read(&mut table);
            table.finish("[media] of kind \"fixed\"", &[&SECTION, &FIXED_SECTION]);
            MediaModel::Fixed(fixed?)
        }
        _ => {
            table.finish("[media] of kind \"null\"", &[&SECTION]);
            MediaModel::Null
        }
    };
    let sizes = nvm_sizes(namespaces);
    let used = sizes.iter().sum();
    if let Some(capacity) = capacity
        && capacity < used
    {
        let shown = Unit::Bytes.format(capacity);
        table.refuse(&CAPACITY, too_small(&shown, capacity, &sizes, used));
    }
    Some(Media {
        capacity: capacity.unwrap_or(used),
        model,
    })
}

/// A media of `[nand]` and `[ftl]`.
fn read_flash(root: &mut Table<'_, '_>, namespaces: &[Found]) -> Option<Media> {
    let model = root.section(&schema::FTL)?.text(&page::MODEL)?;
    let (capacity, arithmetic, model) = if model == "femu" {
        let femu = femu::read(root, namespaces)?;
        let (bytes, arithmetic) = femu::capacity(&femu);
        (bytes, arithmetic, MediaModel::Femu(Box::new(femu)))
    } else {
        let page = PageDrive::read(root)?;
        let (bytes, arithmetic) = page.capacity();
        (bytes, arithmetic, MediaModel::Page(Box::new(page)))
    };
    let sizes = nvm_sizes(namespaces);
    let used: u64 = sizes.iter().sum();
    if capacity < used {
        let span = root.span(&schema::NAND);
        let message = too_small(&arithmetic, capacity, &sizes, used);
        let way_out = "a larger geometry, or smaller namespaces";
        root.refuse_whole(span, schema::NAND.name, message, way_out);
    }
    Some(Media { capacity, model })
}

fn nvm_sizes(namespaces: &[Found]) -> Vec<u64> {
    let sizes = namespaces.iter().filter_map(Found::nvm_bytes);
    sizes.filter(|bytes| *bytes > 0).collect()
}

/// Shows the arithmetic of namespaces of `sizes` that are `used` together, which a capacity, `shown`
/// in its own words, does not hold.
fn too_small(shown: &str, capacity: u64, sizes: &[u64], used: u64) -> String {
    const SHOWN: usize = 8;
    let size = |bytes| Unit::Bytes.format(bytes);
    let mut terms: Vec<_> = sizes.iter().take(SHOWN).map(|bytes| size(*bytes)).collect();
    if sizes.len() > SHOWN {
        terms.push(format!("{} more", sizes.len() - SHOWN));
    }
    format!(
        "{shown} are too small for the NVM namespaces: {} = {}, {} too little",
        terms.join(" + "),
        size(used),
        size(used - capacity)
    )
}

impl Media {
    /// The sections with their headings. `used` are the bytes of all NVM namespaces.
    pub(crate) fn write(&self, used: u64) -> Vec<(&'static str, Writer)> {
        let mut entries = Writer::default();
        let kind = match &self.model {
            MediaModel::Femu(femu) => return femu::write(femu),
            MediaModel::Page(page) => return page.write(),
            MediaModel::Null => "null",
            MediaModel::Fixed(_) => "fixed",
        };
        entries.text(&KIND, kind);
        if self.capacity != used {
            entries.number(&CAPACITY, self.capacity);
        }
        if let MediaModel::Fixed(fixed) = &self.model {
            entries.number(&DIES, fixed.dies.into());
            entries.number(&PAGE, fixed.page);
            entries.number(&READ, fixed.read.0);
            entries.number(&PROGRAM, fixed.program.0);
        }
        vec![("[media]", entries)]
    }
}

impl Fixed {
    fn read(table: &mut Table<'_, '_>) -> Option<Self> {
        let dies = table.number(&DIES);
        let page = table.number(&PAGE);
        let read = table.number(&READ).map(Ns);
        let program = table.number(&PROGRAM).map(Ns);
        Some(Self {
            dies: dies?,
            page: page?,
            read: read?,
            program: program?,
        })
    }
}
