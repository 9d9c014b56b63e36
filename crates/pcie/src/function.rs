//! What a host may ask of a drive.

use crate::{Host, Words};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use std::sync::Arc;

/// A range of addresses of a function that its host can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The first base address register's memory.
    Bar0,
    /// The configuration space.
    Config,
}

/// How a function is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Function-level reset, from the PCI Express capability or by the host's own means.
    Function,
    /// The host is gone: as a power cycle, all that the host set up is forgotten.
    Disconnect,
}

/// What a transport needs to know of BAR0 to offer it.
pub struct Bar0 {
    /// Bytes; a power of two.
    pub size: u64,
    /// Registers as a host reads them. Reading has no side effect, so that reads can be answered
    /// while the drive is busy with something else.
    pub registers: Words,
    /// A part of the BAR that is plain memory shared with the host (doorbells), and its offset.
    pub shared: (u64, Arc<Mapping>),
}

/// A PCI function.
///
/// Accesses come checked to lie inside of the region; of any length and alignment. None may panic.
pub trait Function {
    /// What BAR0 is made of. The same until the host disconnects: what the next one shares with the
    /// function, this one can't reach any more.
    fn bar0(&self) -> Bar0;

    /// The configuration space as a host reads it.
    fn config(&self) -> Words;

    /// Interrupt vectors that the function can raise.
    fn vectors(&self) -> u16;

    /// The host writes.
    fn write(&mut self, now: Ns, region: Region, offset: u64, data: &[u8], host: &mut dyn Host);

    /// The host resets the function.
    fn reset(&mut self, now: Ns, kind: Reset);

    /// The level of the function's INTx line: whether any interrupt waits to be served.
    fn line(&self) -> bool;
}
