//! Following the data.

/// From where the data of a programmed page comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A slot of the write buffer, over what physical page `under` holds where the slot does not
    /// cover the page.
    Buffer {
        /// The slot.
        slot: u32,
        /// The page that was read to complete the slot.
        under: Option<u32>,
    },
    /// Another physical page.
    Page(u32),
    /// The mapping: a part of it that has to leave the controller's memory.
    Mapping,
}

/// Told of every movement of data, in order. With it, a store keyed by physical page can prove that
/// nothing is lost; `()` takes no notice and costs nothing.
pub trait Watch {
    /// Slot `slot` is now for logical page `lpn`, and holds nothing.
    fn reserved(&mut self, _slot: u32, _lpn: u32) {}
    /// Bytes `from..to` of the slot's page were written by the host.
    fn accepted(&mut self, _slot: u32, _from: u32, _to: u32) {}
    /// A physical page was programmed.
    fn programmed(&mut self, _page: u32, _source: Source) {}
    /// All physical pages of this range were erased.
    fn erased(&mut self, _pages: core::ops::Range<u32>) {}
    /// Bytes `from..to` of logical page `lpn` are read: from the slot where it covers them, else
    /// from the physical page, else nothing was written there.
    fn read(&mut self, _lpn: u32, _from: u32, _to: u32, _slot: Option<u32>, _page: Option<u32>) {}
}

impl Watch for () {}
