//! What a running program may ask of the drive.

use crate::set::{Blocks, Cx};
use ersatz_engine::Ns;
use ersatz_ftl::Extent;
use ersatz_memory::Mapping;
use ersatz_runtime::{BlockRead, ReadError, Services};
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that all programs of a namespace together get into the drive's log in a second of the
/// drive's time; the others are counted.
const PRINTS_PER_SECOND: u32 = 100;
/// Bytes of a line that get there.
const MAX_LINE: usize = 256;

/// The drive, as one job sees it.
#[derive(Debug)]
pub(super) struct DriveServices {
    now: Ns,
    nsid: u32,
    pind: u32,
    sources: SmallVec<[(u32, Blocks); 1]>,
    prints: Arc<Prints>,
}

impl DriveServices {
    /// For a job that arrives now and may read the namespaces `reads`.
    pub(super) fn new(cx: &Cx<'_>, reads: &[u32], prints: Arc<Prints>) -> Self {
        let source = |&nsid: &u32| Some((nsid, cx.peers.get(nsid)?.set.blocks()?));
        Self {
            now: cx.now,
            nsid: cx.nsid,
            pind: cx.sqe.cdw2 & 0xFFFF,
            sources: reads.iter().filter_map(source).collect(),
            prints,
        }
    }

    fn find(&self, read: &BlockRead) -> Result<(&Blocks, Extent), ReadError> {
        let BlockRead { nsid, slba, nlb } = *read;
        let source = self.sources.iter().find(|(id, _)| *id == nsid);
        let (_, blocks) = source.ok_or(ReadError::Namespace { nsid })?;
        let extent = blocks.extent(slba, nlb);
        Ok((blocks, extent.ok_or(ReadError::Blocks { nsid, slba, nlb })?))
    }

    /// Where on the media the blocks of a read are; `None`: nowhere, the runtime made them up.
    pub(super) fn extent(&self, read: &BlockRead) -> Option<Extent> {
        self.find(read).ok().map(|(_, extent)| extent)
    }
}

impl Services for DriveServices {
    fn now(&self) -> Ns {
        self.now
    }

    fn print(&self, text: &[u8]) {
        if self.prints.admits(self.now) {
            let text = String::from_utf8_lossy(&text[..text.len().min(MAX_LINE)]);
            // Escaped: a program must not be able to write to the operator's terminal.
            let (nsid, program) = (self.nsid, self.pind);
            tracing::info!(nsid, program, "{}", text.trim_end().escape_debug());
        }
    }

    fn read_blocks(
        &self,
        nsid: u32,
        slba: u64,
        nlb: u64,
        to: &Mapping,
        offset: u64,
        room: u64,
    ) -> Result<u64, ReadError> {
        let (blocks, extent) = self.find(&BlockRead { nsid, slba, nlb })?;
        if let Some(lba) = blocks.unreadable_in(extent) {
            let reason = format!("a host has made block {lba:#x} of namespace {nsid} unreadable");
            return Err(ReadError::Media(reason));
        }
        let bytes = extent.len;
        let no_room = ReadError::Room { bytes, room };
        match usize::try_from(bytes) {
            Ok(len) if bytes <= room => blocks
                .store
                .copy_to(extent.start, to, offset, len)
                .map(|()| bytes)
                .map_err(|_| no_room),
            _ => Err(no_room),
        }
    }
}

/// How many lines programs have printed.
#[derive(Debug, Default)]
pub(super) struct Prints(Mutex<Printed>);

#[derive(Debug, Default)]
struct Printed {
    second: u64,
    told: u32,
    suppressed: u64,
}

impl Prints {
    /// Whether one more line may be told at `now`.
    fn admits(&self, now: Ns) -> bool {
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.0 / 1_000_000_000;
        // Jobs that arrived earlier may still print: they count for the latest second.
        if second > printed.second {
            printed.second = second;
            printed.told = 0;
        }
        let admitted = printed.told < PRINTS_PER_SECOND;
        if admitted {
            printed.told += 1;
        } else {
            printed.suppressed += 1;
        }
        admitted
    }

    /// Lines that were left out.
    pub(super) fn suppressed(&self) -> u64 {
        let printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        printed.suppressed
    }
}
