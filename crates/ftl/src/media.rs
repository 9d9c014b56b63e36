//! The seam between the controller and the flash.

use ersatz_engine::{Heap, Ns};

/// A range of the media's logical space, in bytes. The controller has checked that it lies inside
/// of [`Media::capacity`]; `len` is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// What a host said of where its data shall go: streams and reclaim unit handles become separate
/// write frontiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The write frontier; 0 where the host said nothing.
    pub stream: u16,
}

/// Something that a media put into the heap for itself. The number is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaEvent(pub u64);

/// Where a media puts what it wants later. The drive hands each event back through
/// [`Media::event`] when it is due.
pub type MediaHeap = Heap<MediaEvent>;

/// Computes when logical work is done.
///
/// A caller guarantees that `now` never decreases from call to call and that extents lie inside of
/// the capacity. An implementation must not read a clock, must not block, and must give the same
/// answers for the same calls. A finish time is never before `now`.
pub trait Media: Send {
    /// Bytes of logical space.
    fn capacity(&self) -> u64;

    /// When the data of `at` is read.
    fn read(&mut self, now: Ns, at: Extent, heap: &mut MediaHeap) -> Ns;

    /// When the data of `at` is accepted, as the write cache's rules have it.
    fn write(&mut self, now: Ns, at: Extent, to: Placement, heap: &mut MediaHeap) -> Ns;

    /// When `at` is deallocated.
    fn trim(&mut self, now: Ns, at: Extent, heap: &mut MediaHeap) -> Ns;

    /// When all that was accepted before `now` is non-volatile.
    fn flush(&mut self, now: Ns, heap: &mut MediaHeap) -> Ns;

    /// An event of this media is due.
    fn event(&mut self, _now: Ns, _event: MediaEvent, _heap: &mut MediaHeap) {}
}
