//! `[[namespace]]` of kind "nvm".

use crate::reader::{Table, not_a_multiple};
use crate::schema::{Absent, Key, Section, Step, write_number};
use crate::unit::Unit;
use crate::writer::Writer;

/// Bytes of a logical block when the file doesn't say.
pub const DEFAULT_BLOCK: u32 = 4096;

pub(super) const SIZE: Key = Key::number("size", Unit::Bytes, 512, 1 << 50)
    .means("Size of the namespace, a multiple of its block (NSZE).");
const BLOCK: Key = Key::number("block", Unit::Bytes, 512, 8192)
    .step(Step::OneOf(&[512, 1024, 2048, 4096, 8192]))
    .or(Absent::Number(DEFAULT_BLOCK as u64))
    .means("Size of a logical block (LBADS).");

/// `[[namespace]]` of kind "nvm".
pub(crate) const SECTION: Section = Section {
    heading: "namespace, kind = \"nvm\"",
    keys: &[SIZE, BLOCK],
};

/// Logical blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nvm {
    /// Bytes; a multiple of `block`, at least one block, at most 1 PiB.
    pub size: u64,
    /// Bytes of a logical block: a power of two from 512 to 8,192.
    pub block: u32,
}

impl Nvm {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Self> {
        let size = table.number(&SIZE);
        let block = table.number(&BLOCK);
        let (size, block): (u64, u32) = (size?, block?);
        if !size.is_multiple_of(block.into()) {
            let block = u64::from(block);
            let shown = format!("the block, {}", write_number(Unit::Bytes, block));
            table.refuse(&SIZE, not_a_multiple(Unit::Bytes, size, block, shown));
            return None;
        }
        Some(Self { size, block })
    }

    pub(super) fn write(&self, entries: &mut Writer) {
        entries.number(&SIZE, self.size);
        entries.number(&BLOCK, self.block.into());
    }
}
