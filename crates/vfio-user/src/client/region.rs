//! Regions as the client sees them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::channel::Message;
use crate::info::{SparseArea, parse_region};
use crate::wire::RegionInfoLayout;

/// What is offered for a region info reply: room for all areas that descriptors fit in one message
/// for.
pub(super) const ARGSZ: u32 = 4096;

/// A region of the server's device.
#[derive(Debug)]
pub struct Region {
    /// Bytes; 0 when it is absent.
    pub size: u64,
    /// It may be read.
    pub readable: bool,
    /// It may be written.
    pub writable: bool,
    /// What may be mapped. Each area lies within the region.
    pub areas: Vec<MappableArea>,
}

/// A part of a region that may be mapped.
#[derive(Debug)]
pub struct MappableArea {
    /// Its first byte, from the region's beginning.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
    /// The file behind it.
    pub file: Arc<OwnedFd>,
    /// Where it begins in the file.
    pub file_offset: u64,
}

impl Region {
    /// Puts a region info reply and its descriptors together. `None`: they contradict each other.
    pub(super) fn from_reply(reply: Message) -> Option<Self> {
        if reply.payload.len() > ARGSZ as usize {
            return None;
        }
        let parsed = parse_region(&reply.payload)?;
        let fixed = parsed.fixed;
        let mut areas = Vec::new();
        if fixed.flags & RegionInfoLayout::MMAP != 0 {
            let whole = || {
                vec![SparseArea {
                    offset: 0,
                    size: fixed.size,
                }]
            };
            // A descriptor for each area, or one for all of them.
            let mut files = reply.fds.into_iter().map(Arc::new);
            let mut file = files.next()?;
            for area in parsed.areas.unwrap_or_else(whole) {
                areas.push(MappableArea {
                    offset: area.offset,
                    size: area.size,
                    file: Arc::clone(&file),
                    file_offset: fixed.offset.checked_add(area.offset)?,
                });
                file = files.next().unwrap_or(file);
            }
        }
        Some(Self {
            size: fixed.size,
            readable: fixed.flags & RegionInfoLayout::READ != 0,
            writable: fixed.flags & RegionInfoLayout::WRITE != 0,
            areas,
        })
    }
}
