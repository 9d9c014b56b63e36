//! The memory that a program sees.

use ersatz_memory::Mapping;
use std::sync::Arc;

/// One memory range of a job.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The device memory that the range is a part of.
    pub memory: Arc<Mapping>,
    /// First byte within it.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// The ranges of a job, in the order in which its command names them.
#[derive(Clone, Debug, Default)]
pub struct Window {
    segments: Vec<Segment>,
}

impl Window {
    /// The window onto `segments`.
    #[must_use]
    pub fn new(segments: Vec<Segment>) -> Self {
        Self { segments }
    }

    /// The ranges.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}
