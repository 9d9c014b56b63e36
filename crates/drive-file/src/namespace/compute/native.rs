//! `native`: shared libraries of this machine that guests may run as programs.

use crate::reader::Table;
use crate::schema::{Form, Key, Section};
use crate::writer::Writer;
use object::read::ReadCache;
use object::{Object, ObjectSymbol};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Most libraries of a namespace.
const MAX_LIBRARIES: usize = 1024;

pub(super) const NATIVE: Key = Key::tables("native").means(
    "Shared libraries of this machine that guests may load by name, as programs of type 0xC3 (see \
     [native](native.md)).",
);

const NAME: Key = Key::text("name", 255, Form::Ascii).means("What guests call it: their image.");
const PATH: Key = Key::text("path", 4096, Form::Path)
    .means("The library; a relative path is taken from the folder of the drive file.");
const ENTRY: Key = Key::text("entry", 255, Form::Ascii)
    .means("The function to call, `u64 entry(const struct ersatz_args *)`.");

/// A shared library that guests may run.
pub(crate) const SECTION: Section = Section {
    heading: "namespace.native",
    keys: &[NAME, PATH, ENTRY],
};

/// A shared library that guests may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeProgram {
    /// What guests call it: 1 to 255 printable ASCII characters, no space at either end.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The function to call.
    pub entry: String,
}

pub(super) fn read(table: &mut Table<'_, '_>, folder: Option<&Path>) -> Option<Vec<NativeProgram>> {
    if !table.has(&NATIVE) {
        return Some(Vec::new());
    }
    let programs = table.tables(&NATIVE, MAX_LIBRARIES, |mut table, _| {
        let table = &mut table;
        table.finish("native program", &[&SECTION]);
        let (name, path) = (table.text(&NAME), table.text(&PATH));
        let (name, path, entry) = (name?, path?, table.text(&ENTRY)?);
        let mut path = PathBuf::from(path);
        if let Some(folder) = folder {
            path = folder.join(path);
            let functions = functions(&path, &entry);
            let has_entry = functions
                .map_err(|reason| table.refuse(&PATH, reason))
                .ok()?;
            if !has_entry {
                let library = path.display();
                table.refuse(&ENTRY, format!("{library} has no function {entry:?}"));
                return None;
            }
        }
        Some(NativeProgram { name, path, entry })
    });
    let programs: Vec<_> = programs.into_iter().collect::<Option<_>>()?;
    for (index, NativeProgram { name, .. }) in programs.iter().enumerate() {
        if programs[..index].iter().any(|other| other.name == *name) {
            table.refuse(&NATIVE, format!("two programs are named {name:?}"));
            return None;
        }
    }
    Some(programs)
}

/// Whether the library at `path` has a function `entry` for others to call.
fn functions(path: &Path, entry: &str) -> Result<bool, String> {
    let unreadable = |error: io::Error| format!("{}: {error}", path.display());
    // Opening something else may never end.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let cache = ReadCache::new(File::open(path).map_err(unreadable)?);
    let library = object::File::parse(&cache)
        .map_err(|error| format!("{} is no shared library: {error}", path.display()))?;
    let mut symbols = library.dynamic_symbols();
    Ok(symbols.any(|symbol| symbol.is_definition() && symbol.name() == Ok(entry)))
}

pub(super) fn write(entries: &mut Writer, programs: &[NativeProgram]) {
    let one = |program: &NativeProgram| {
        let mut entries = Writer::default();
        entries.text(&NAME, &program.name);
        entries.text(&PATH, &program.path.to_string_lossy());
        entries.text(&ENTRY, &program.entry);
        entries
    };
    entries.tables(&NATIVE, programs.iter().map(one).collect());
}
