//! `builtins`: the programs that a compute namespace has of its own.

use super::SLOTS;
use crate::reader::Table;
use crate::schema::Key;
use crate::writer::Writer;

/// Every built-in program, as `ersatz-builtin` has them.
const NAMES: &[&str] = &[
    "crc32c",
    "sha256",
    "lz4-compress",
    "lz4-decompress",
    "zstd-compress",
    "zstd-decompress",
    "filter",
    "find",
    "regex",
    "knn",
    "sum",
    "min",
    "max",
    "histogram",
    "aes-xts-encrypt",
    "aes-xts-decrypt",
];

pub(super) const BUILTINS: Key = Key::words("builtins", NAMES).means(
    "Built-in programs (see [builtins](builtins.md)): the first has the last slot, `slots` - 1, the \
     second the one before it, and so on. They cost what their own rates say, unless `types` has a \
     cost for type 0.",
);

pub(super) fn read_builtins(table: &mut Table<'_, '_>, slots: Option<u16>) -> Option<Vec<String>> {
    let builtins = table.words(&BUILTINS)?;
    let slots = slots?;
    if builtins.len() > slots.into() {
        let message = format!("{} programs need more than {slots} slots", builtins.len());
        table.refuse(&SLOTS, message);
        return None;
    }
    Some(builtins)
}

pub(super) fn write_builtins(entries: &mut Writer, builtins: &[String]) {
    entries.words(&BUILTINS, builtins);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_program_can_be_named() {
        let names: Vec<_> = ersatz_builtin::all().iter().map(|own| own.name).collect();
        assert_eq!(names, NAMES);
    }
}
