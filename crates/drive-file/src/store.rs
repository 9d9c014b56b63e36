//! `[store]`: where the bytes of NVM namespaces are kept.

use crate::reader::Table;
use crate::schema::{self, Absent, Form, Key, Section};
use crate::writer::Writer;
use std::path::PathBuf;

const KIND: Key = Key::choice("kind", &["memory", "file"])
    .or(Absent::Otherwise(
        "`\"file\"` with a `file`, else `\"memory\"`",
    ))
    .means("`\"memory\"`: the data is gone when the drive ends. `\"file\"`: it stays.");
const FILE: Key = Key::text("file", 4095, Form::Path)
    .or(Absent::Otherwise("required with kind `\"file\"`"))
    .means(
        "The file that keeps the data, from the folder of the drive file; it is made if need be.",
    );

/// `[store]`.
pub(crate) const SECTION: Section = Section {
    heading: "store",
    keys: &[KIND, FILE],
};

/// Where the bytes of NVM namespaces are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// In memory, as long as the drive runs.
    #[default]
    Memory,
    /// In this file.
    File(PathBuf),
}

pub(crate) fn read(root: &mut Table<'_, '_>) -> Option<Store> {
    if !root.has(&schema::STORE) {
        return Some(Store::Memory);
    }
    let mut table = root.table(&schema::STORE)?;
    table.finish("[store]", &[&SECTION]);
    let kind = match (table.has(&KIND), table.has(&FILE)) {
        (true, _) => table.text(&KIND)?,
        (false, true) => "file".to_owned(),
        (false, false) => "memory".to_owned(),
    };
    match (kind.as_str(), table.has(&FILE)) {
        ("file", true) => Some(Store::File(table.text(&FILE)?.into())),
        ("file", false) => {
            table.refuse(&FILE, "is missing, but kind is \"file\"".to_owned());
            None
        }
        (_, true) => {
            table.refuse(&FILE, "is given, but kind is \"memory\"".to_owned());
            None
        }
        (_, false) => Some(Store::Memory),
    }
}

impl Store {
    pub(crate) fn write(&self) -> Writer {
        let mut entries = Writer::default();
        match self {
            Self::Memory => entries.text(&KIND, "memory"),
            Self::File(path) => entries.text(&FILE, &path.to_string_lossy()),
        }
        entries
    }
}
