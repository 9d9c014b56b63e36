//! One TOML file describes a drive: text in, a checked [`DriveFile`] out, and text again.
//!
//! A [`DriveFile`] is plain data in base units: bytes, nanoseconds, bytes per second. Whatever
//! comes out of [`DriveFile::parse`] is in range and fits together, so whoever builds a drive of
//! it does not check again. Whatever is wrong is refused with file, line, column, key and what is
//! allowed, and as much of it at once as can be told ([`Problem`]).
//!
//! What this crate does not do: it builds no drive, opens no store, and knows no workloads.
//!
//! A section of the file is a module here, with its structure, its keys as a
//! [`Section`](schema::Section), how it is read and how it is written ([`Link`] in `drive` is a
//! small one). A new section is a new module, an entry in [`schema::SECTIONS`], and a line each in
//! `DriveFile`'s `read` and `to_toml`. Ranges, units and defaults stand in the keys and nowhere
//! else: the checks, the refusals and the tables of `docs/drive-file.md` come from there.
//!
//! Read next: `docs/drive-file.md` for the settings, [`Unit`](unit::Unit) for sizes and times, `reader` for
//! how values are taken and refused, `ersatz-nvme` for what a drive is made of.

mod convert;
mod drive;
mod load;
mod media;
mod namespace;
mod problem;
mod reader;
pub mod schema;
mod store;
pub mod unit;
mod writer;

pub use convert::{ConvertError, Converted, from_femu};
pub use drive::{
    DEFAULT_ADMIN_LATENCY, DEFAULT_DOORBELLS, DEFAULT_MAX_TRANSFER, DEFAULT_MODEL,
    DEFAULT_QUEUE_ENTRIES, DEFAULT_QUEUES, Doorbells, Drive, Firmware, Link,
};
pub use load::{DriveFileError, Limits, MAX_FILE_SIZE};
pub use media::{Fixed, Media, MediaModel, PageDrive};
pub use namespace::{
    Compute, DEFAULT_AGEING, DEFAULT_BLOCK, DEFAULT_BUDGET, DEFAULT_CONTEXT_SWITCH,
    DEFAULT_MAX_ACTIVATED, DEFAULT_MAX_PROGRAM, DEFAULT_MAX_PROGRAMS_TOTAL,
    DEFAULT_MEMORY_BANDWIDTH, DEFAULT_MEMORY_LATENCY, DEFAULT_MEMORY_RANGE_SETS,
    DEFAULT_RANGES_PER_SET, DEFAULT_SCHEDULER, DEFAULT_SLOTS, DEFAULT_THREADS, DEFAULT_TIME_SLICE,
    MAX_NAMESPACES, MIN_KEY, Memory, Namespace, NamespaceKind, NativeProgram, Nvm, Placement,
    Remote, UnitClass,
};
pub use problem::{MAX_PROBLEMS, Problem, Refused};
pub use store::Store;

use reader::Table;
use std::path::Path;
use writer::Writer;

/// A drive as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct DriveFile {
    /// The controller and its link.
    pub drive: Drive,
    /// What NVM namespaces lie on.
    pub media: Media,
    /// Where the bytes of NVM namespaces are kept.
    pub store: Store,
    /// At least one, at most [`MAX_NAMESPACES`], each with an id of its own, as ordered in the
    /// file.
    pub namespaces: Vec<Namespace>,
}

impl DriveFile {
    /// Reads and checks the drive file `text`; refusals call it `name`. Paths stay as they are
    /// written there, and no file is looked for.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to [`MAX_PROBLEMS`].
    pub fn parse(name: &str, text: &str, limits: &Limits) -> Result<Self, Refused> {
        reader::parse(name, text, |root| Self::read(root, limits, None))
    }

    /// Paths are taken from `folder`, and what has to be there is looked for, if there is one.
    fn read(mut root: Table<'_, '_>, limits: &Limits, folder: Option<&Path>) -> Option<Self> {
        let drive = root.table(&schema::DRIVE).and_then(Drive::read);
        let namespaces = namespace::read(&mut root, folder);
        let media = media::read(&mut root, &namespaces);
        let store = store::read(&mut root);
        root.finish("drive file", &[&schema::ROOT]);
        let store = store?;
        namespace::check_memory(&mut root, &namespaces, &store, limits);
        let namespaces = namespaces
            .into_iter()
            .map(|found| found.namespace)
            .collect::<Option<_>>();
        Some(Self {
            drive: drive?,
            media: media?,
            store,
            namespaces: namespaces?,
        })
    }

    /// The file that describes this drive, as a person would write it: a setting that has its
    /// default is left out. [`parse`](Self::parse) makes an equal drive of it. A store's path that
    /// is not UTF-8 is not kept exactly.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut file = String::new();
        let mut section = |heading: &str, entries: Writer| {
            if !file.is_empty() {
                file.push('\n');
            }
            file.push_str(heading);
            file.push('\n');
            file.push_str(&entries.lines());
        };
        section("[drive]", self.drive.write());
        for (heading, entries) in self.media.write(self.nvm_bytes()) {
            section(heading, entries);
        }
        if self.store != Store::Memory {
            section("[store]", self.store.write());
        }
        for (namespace, number) in self.namespaces.iter().zip(1..) {
            section("[[namespace]]", namespace.write(number));
        }
        file
    }

    /// Bytes of all NVM namespaces together.
    #[must_use]
    pub fn nvm_bytes(&self) -> u64 {
        self.namespaces.iter().map(Namespace::nvm_bytes).sum()
    }
}

#[cfg(test)]
mod tests;
