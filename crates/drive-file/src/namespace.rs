//! `[[namespace]]`: what they have in common, and whether they fit together and into the machine.

mod compute;
mod memory;
mod nvm;

pub(crate) use compute::{
    COST_SECTION, NATIVE_SECTION, REMOTE_SECTION, SECTION as COMPUTE_SECTION, TYPES_SECTION,
    UNITS_SECTION,
};
pub use compute::{
    Compute, DEFAULT_AGEING, DEFAULT_BUDGET, DEFAULT_CONTEXT_SWITCH, DEFAULT_MAX_ACTIVATED,
    DEFAULT_MAX_PROGRAM, DEFAULT_MAX_PROGRAMS_TOTAL, DEFAULT_MEMORY_RANGE_SETS,
    DEFAULT_RANGES_PER_SET, DEFAULT_SCHEDULER, DEFAULT_SLOTS, DEFAULT_THREADS, DEFAULT_TIME_SLICE,
    MIN_KEY, NativeProgram, Placement, Remote, UnitClass,
};
pub(crate) use memory::SECTION as MEMORY_SECTION;
pub use memory::{DEFAULT_MEMORY_BANDWIDTH, DEFAULT_MEMORY_LATENCY, Memory};
pub(crate) use nvm::SECTION as NVM_SECTION;
pub use nvm::{DEFAULT_BLOCK, Nvm};

use crate::reader::{Span, Table};
use crate::schema::{self, Absent, Key, Section};
use crate::unit::Unit;
use crate::writer::Writer;
use crate::{Limits, Store};
use std::collections::BTreeMap;
use std::path::Path;

/// Most namespaces of a drive, and the largest namespace id (NN): as many as one list of Identify
/// has room for.
pub const MAX_NAMESPACES: u32 = 1024;

const KIND: Key = Key::choice("kind", &["nvm", "memory", "compute"]).means(
    "`\"nvm\"`: logical blocks (CSI 0h). `\"memory\"`: byte-addressable device memory, SLM \
     (CSI 3h). `\"compute\"`: compute units that run programs, CP (CSI 4h).",
);
const ID: Key = Key::number("id", Unit::Count, 1, MAX_NAMESPACES as u64)
    .or(Absent::Otherwise("its place in the file, from 1"))
    .means("Namespace id (NSID), unique in the drive.");

/// `[[namespace]]`, of any kind.
pub(crate) const SECTION: Section = Section {
    heading: "namespace",
    keys: &[KIND, ID],
};

/// A namespace of the drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// NSID, 1 to [`MAX_NAMESPACES`].
    pub id: u32,
    /// What it is.
    pub kind: NamespaceKind,
}

/// What a namespace is, by its command set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceKind {
    /// Logical blocks (NVM command set, CSI 0h).
    Nvm(Nvm),
    /// Device memory (Subsystem Local Memory command set, CSI 3h).
    Memory(Memory),
    /// Programs and the units that run them (Computational Programs command set, CSI 4h).
    Compute(Compute),
}

/// A namespace of the file, and where it stands there.
#[derive(Debug)]
pub(crate) struct Found {
    /// `None` when it was refused.
    pub(crate) namespace: Option<Namespace>,
    /// As refusals name it.
    pub(crate) path: String,
    span: Span,
}

impl Found {
    /// Bytes of media that it takes; `None` when it was refused.
    pub(crate) fn nvm_bytes(&self) -> Option<u64> {
        self.namespace.as_ref().map(Namespace::nvm_bytes)
    }
}

pub(crate) fn read(root: &mut Table<'_, '_>, folder: Option<&Path>) -> Vec<Found> {
    let mut taken = BTreeMap::new();
    root.tables(
        &schema::NAMESPACE,
        MAX_NAMESPACES as usize,
        |mut table, number| {
            let id = if table.has(&ID) {
                table.number(&ID)
            } else {
                Some(number)
            };
            if let Some(id) = id {
                let path = table.path().to_owned();
                match taken.get(&id) {
                    Some(other) => table.refuse(&ID, format!("{id} is the id of {other} already")),
                    None => drop(taken.insert(id, path)),
                }
            }
            let span = table.span(&nvm::SIZE);
            let path = table.path().to_owned();
            let kind = NamespaceKind::read(table, folder);
            let namespace = id.zip(kind).map(|(id, kind)| Namespace { id, kind });
            Found {
                namespace,
                path,
                span,
            }
        },
    )
}

/// Refuses namespaces that need more memory than there is.
pub(crate) fn check_memory(
    root: &mut Table<'_, '_>,
    namespaces: &[Found],
    store: &Store,
    limits: &Limits,
) {
    let need_of = |found: &Found| match &found.namespace.as_ref()?.kind {
        NamespaceKind::Nvm(nvm) if *store == Store::Memory => Some(("NVM namespaces", nvm.size)),
        NamespaceKind::Nvm(_) => None,
        NamespaceKind::Memory(memory) => Some(("memory namespaces", memory.size)),
        NamespaceKind::Compute(compute) => Some(("programs", compute.max_programs_total)),
    };
    let mut needs: BTreeMap<&str, u64> = BTreeMap::new();
    for (what, bytes) in namespaces.iter().filter_map(need_of) {
        *needs.entry(what).or_default() += bytes;
    }
    let total: u64 = needs.values().sum();
    if total <= limits.memory {
        return;
    }
    let largest = namespaces
        .iter()
        .max_by_key(|found| need_of(found).map(|(_, bytes)| bytes));
    let Some(largest) = largest else { return };
    let terms = needs
        .iter()
        .map(|(what, bytes)| format!("{what} {}", Unit::Bytes.format(*bytes)));
    let terms: Vec<_> = terms.collect();
    let message = format!(
        "the drive needs more memory than this machine has: {} = {} > {}",
        terms.join(" + "),
        Unit::Bytes.format(total),
        Unit::Bytes.format(in_mebibytes(limits.memory)),
    );
    let way_out = "less, or NVM namespaces in a [store] with a file";
    root.refuse_whole(largest.span.clone(), &largest.path, message, way_out);
}

/// Without the odd bytes that nobody wants to read.
fn in_mebibytes(bytes: u64) -> u64 {
    if bytes < 1 << 20 {
        bytes
    } else {
        bytes >> 20 << 20
    }
}

impl Namespace {
    /// Bytes of media that it takes.
    #[must_use]
    pub fn nvm_bytes(&self) -> u64 {
        match &self.kind {
            NamespaceKind::Nvm(nvm) => nvm.size,
            NamespaceKind::Memory(_) | NamespaceKind::Compute(_) => 0,
        }
    }

    /// `number` is its place in the file, from 1.
    pub(crate) fn write(&self, number: u32) -> Writer {
        let mut entries = Writer::default();
        let kind = match &self.kind {
            NamespaceKind::Nvm(_) => "nvm",
            NamespaceKind::Memory(_) => "memory",
            NamespaceKind::Compute(_) => "compute",
        };
        entries.text(&KIND, kind);
        if self.id != number {
            entries.number(&ID, self.id.into());
        }
        match &self.kind {
            NamespaceKind::Nvm(nvm) => nvm.write(&mut entries),
            NamespaceKind::Memory(memory) => memory.write(&mut entries),
            NamespaceKind::Compute(compute) => compute.write(&mut entries),
        }
        entries
    }
}

impl NamespaceKind {
    fn read(mut table: Table<'_, '_>, folder: Option<&Path>) -> Option<Self> {
        let table = &mut table;
        match table.text(&KIND)?.as_str() {
            "nvm" => {
                table.finish("namespace of kind \"nvm\"", &[&SECTION, &NVM_SECTION]);
                Nvm::read(table).map(Self::Nvm)
            }
            "memory" => {
                table.finish("namespace of kind \"memory\"", &[&SECTION, &MEMORY_SECTION]);
                Memory::read(table).map(Self::Memory)
            }
            _ => {
                table.finish(
                    "namespace of kind \"compute\"",
                    &[&SECTION, &COMPUTE_SECTION],
                );
                Compute::read(table, folder).map(Self::Compute)
            }
        }
    }
}
