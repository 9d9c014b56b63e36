//! The seam between the controller and the flash.

use ersatz_engine::{Heap, Ns};
use ersatz_nand::{Resource, Span};
use serde::Serialize;

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

/// A kind of request, for those that never reach the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read, compare, verify.
    Read,
    /// Write, copy, write zeroes.
    Write,
    /// One range of a Dataset Management deallocation.
    Trim,
    /// Flush.
    Flush,
}

/// Why logical work failed. It takes time to find out: the status belongs to [`MediaError::at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (known at {at})")]
pub struct MediaError {
    /// When the failure is known and its status is due; never before the request's `now`.
    pub at: Ns,
    /// What failed.
    pub fault: Fault,
}

/// What can go wrong in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No free block is left that data could be written to. The media is read-only from now on.
    /// NVMe: Write Fault (media error 80h).
    #[error("no free block is left to write to")]
    OutOfBlocks,
    /// A program failed; the data may be lost, but the media goes on. NVMe: Write Fault (media error
    /// 80h).
    #[error("a program failed")]
    Program,
    /// The media became read-only before. NVMe: Namespace is Write Protected (generic 20h), and the
    /// read-only bit of the SMART log's critical warnings.
    #[error("the media is read-only")]
    ReadOnly,
    /// More bits are wrong than all steps of error correction can mend. NVMe: Unrecovered Read
    /// Error (media error 81h).
    #[error("data can't be corrected")]
    Uncorrectable,
}

/// When it is done, or why it is not.
pub type Outcome = Result<Ns, MediaError>;

/// What a media has done since it came to be, and what it has left. Pages are the flash
/// translation layer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages that hosts wrote.
    pub host_write_pages: u64,
    /// Pages that were moved or that no host wrote: garbage collection, merges, wear levelling,
    /// failed programs, translation pages.
    pub gc_write_pages: u64,
    /// Pages that hosts read and that were mapped.
    pub host_read_pages: u64,
    /// Blocks erased.
    pub erases: u64,
    /// Garbage-collection rounds that a write waited for.
    pub gc_rounds_foreground: u64,
    /// Garbage-collection rounds that no write asked for.
    pub gc_rounds_background: u64,
    /// Erased lines, ready to be written.
    pub free_lines: u64,
    /// Written lines with at least one page that is no longer valid.
    pub victim_lines: u64,
    /// Written lines all pages of which are valid.
    pub full_lines: u64,
    /// Reads that failed for good, and programs and erases that failed.
    pub media_errors: u64,
    /// Endurance consumed, in percent; may exceed 100.
    pub percentage_used: u8,
    /// Spare blocks left, in percent of those at the start.
    pub available_spare: u8,
    /// Whether writes are refused.
    pub read_only: bool,
}

impl Counters {
    /// Write amplification: pages programmed per page that a host wrote; 1 before the first write.
    #[must_use]
    pub fn waf(&self) -> f64 {
        if self.host_write_pages == 0 {
            return 1.0;
        }
        (self.host_write_pages + self.gc_write_pages) as f64 / self.host_write_pages as f64
    }

    /// [`waf`](Self::waf) in thousandths, rounded down.
    #[must_use]
    pub fn waf_milli(&self) -> u64 {
        let programmed = u128::from(self.host_write_pages) + u128::from(self.gc_write_pages);
        let waf = (programmed * 1000).checked_div(self.host_write_pages.into());
        waf.map_or(1000, |waf| u64::try_from(waf).unwrap_or(u64::MAX))
    }
}

/// Computes when logical work is done.
///
/// A caller guarantees that `now` never decreases from call to call and that extents lie inside of
/// the capacity. An implementation must not read a clock, must not block, must not panic, and must
/// give the same answers for the same calls. A finish time is never before `now`.
pub trait Media: Send {
    /// Bytes of logical space.
    fn capacity(&self) -> u64;

    /// When the data of `at` is read.
    ///
    /// # Errors
    /// [`Fault::Uncorrectable`] where a page of it can't be read.
    fn read(&mut self, now: Ns, at: Extent, heap: &mut MediaHeap) -> Outcome;

    /// When the data of `at` is accepted, as the write cache's rules have it.
    ///
    /// # Errors
    /// [`Fault::OutOfBlocks`] when the last free block is used up, [`Fault::ReadOnly`] ever after.
    fn write(&mut self, now: Ns, at: Extent, to: Placement, heap: &mut MediaHeap) -> Outcome;

    /// When `at` is deallocated.
    ///
    /// # Errors
    /// [`Fault::ReadOnly`].
    fn trim(&mut self, now: Ns, at: Extent, heap: &mut MediaHeap) -> Outcome;

    /// When all that was accepted before `now` is non-volatile.
    ///
    /// # Errors
    /// Those of [`write`](Self::write), of data that was accepted but not yet programmed.
    fn flush(&mut self, now: Ns, heap: &mut MediaHeap) -> Outcome;

    /// Whether accepted data may be lost with the power until it is flushed: then the controller
    /// says so, and lets its host switch that off.
    fn volatile_cache(&self) -> bool {
        false
    }

    /// The controller refused a request (its range lies outside of the namespace): when the
    /// refusal is posted. Most media take no notice; the FEMU model collects garbage even then.
    fn refused(&mut self, now: Ns, _operation: Operation, _heap: &mut MediaHeap) -> Ns {
        now
    }

    /// An event of this media is due.
    fn event(&mut self, _now: Ns, _event: MediaEvent, _heap: &mut MediaHeap) {}

    /// What was done so far.
    fn counters(&self) -> Counters {
        Counters {
            available_spare: 100,
            ..Counters::default()
        }
    }

    /// How long each resource has been booked for, in order of the resources.
    fn busy(&self) -> Vec<(Resource, Ns)> {
        Vec::new()
    }

    /// Begins to keep what is busy when, or stops.
    fn record(&mut self, _on: bool) {}

    /// Takes what was kept since the last time, in the order of booking.
    fn take_spans(&mut self) -> Vec<Span> {
        Vec::new()
    }

    /// How often each block (or line of blocks that are only erased together) was erased.
    fn wear(&self) -> Vec<u32> {
        Vec::new()
    }
}
