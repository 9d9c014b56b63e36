//! `[[namespace]]` of kind "memory".

use crate::reader::Table;
use crate::schema::{Absent, Key, Section, Step};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_engine::Ns;

/// Bandwidth of device memory when the file doesn't say, in bytes per second: a round figure for
/// one DRAM channel of a controller, measured on no drive.
pub const DEFAULT_MEMORY_BANDWIDTH: u64 = 8_000_000_000;
/// Latency of device memory when the file doesn't say: a round figure for firmware that sets up
/// a transfer, measured on no drive.
pub const DEFAULT_MEMORY_LATENCY: Ns = Ns(1_000);

const SIZE: Key = Key::number("size", Unit::Bytes, 4 << 10, 16 << 40)
    .step(Step::MultipleOf(4 << 10))
    .means("Size of the namespace.");
const BANDWIDTH: Key = Key::number(
    "bandwidth",
    Unit::BytesPerSecond,
    1_000_000,
    1_000_000_000_000,
)
.or(Absent::Number(DEFAULT_MEMORY_BANDWIDTH))
.means("Data per second that reads, writes, fills and copies move.");
const LATENCY: Key = Key::number("latency", Unit::Nanoseconds, 0, 1_000_000_000)
    .or(Absent::Number(DEFAULT_MEMORY_LATENCY.0))
    .means("Time of a read, write, fill or copy, whatever its data.");

/// `[[namespace]]` of kind "memory".
pub(crate) const SECTION: Section = Section {
    heading: "namespace, kind = \"memory\"",
    keys: &[SIZE, BANDWIDTH, LATENCY],
};

/// Device memory. A command on it takes `latency` + bytes ÷ `bandwidth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes; a multiple of 4 KiB, at least that, at most 16 TiB.
    pub size: u64,
    /// Bytes per second, at least 1 MB/s.
    pub bandwidth: u64,
    /// Time per command.
    pub latency: Ns,
}

impl Memory {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Self> {
        let size = table.number(&SIZE);
        let bandwidth = table.number(&BANDWIDTH);
        let latency = table.number(&LATENCY).map(Ns);
        Some(Self {
            size: size?,
            bandwidth: bandwidth?,
            latency: latency?,
        })
    }

    pub(super) fn write(&self, entries: &mut Writer) {
        entries.number(&SIZE, self.size);
        entries.number(&BANDWIDTH, self.bandwidth);
        entries.number(&LATENCY, self.latency.0);
    }
}
