//! What a connected client has set up, and what of it is done while the drive waits for the client.

use super::irq::Irqs;
use super::private::Peer;
use crate::dma::{DmaEntry, DmaMap, DmaMapError};
use crate::{Bar0, Words};
use ersatz_memory::{Access, MapError, Mapping};
use ersatz_vfio_user::{
    DmaMap as MapRequest, DmaUnmap, Errno, Meanwhile, RequestKind, SetIrqs, pci,
};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Ranges that are looked at for memory that is private to the client: a look reads all mappings
/// of the client, and with an IOMMU a guest may map for each command.
const PRIVATE_LOOKS: u32 = 64;

/// What is read without asking the function.
pub(super) struct View {
    pub(super) bar0: Bar0,
    pub(super) config: Words,
}

impl View {
    pub(super) fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let words = match region {
            pci::BAR0_REGION => &self.bar0.registers,
            pci::CONFIG_REGION => &self.config,
            _ => return Err(Errno::INVAL),
        };
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > words.len() as u64) {
            return Err(Errno::INVAL);
        }
        words.read(offset, buf);
        Ok(())
    }

    pub(super) fn size(&self, region: u32) -> u64 {
        match region {
            pci::BAR0_REGION => self.bar0.size,
            pci::CONFIG_REGION => self.config.len() as u64,
            _ => 0,
        }
    }
}

/// The client's memory and interrupts, and the function as the client sees it. All of it can change
/// while the drive waits for a DMA message.
pub(super) struct Client {
    pub(super) dma: DmaMap,
    pub(super) irqs: Irqs,
    pub(super) view: View,
    peer: Peer,
    /// How many more ranges are looked at for memory that is private to the client.
    private_looks: u32,
    /// Interrupts were set up when the level of the function's INTx line could not be asked for.
    line_missed: bool,
}

impl Client {
    pub(super) fn new(socket: impl AsFd, vectors: u16, view: View) -> Self {
        Self {
            dma: DmaMap::new(),
            irqs: Irqs::new(vectors),
            view,
            peer: Peer::of(socket),
            private_looks: PRIVATE_LOOKS,
            line_missed: false,
        }
    }

    /// Does what concerns memory and interrupts only; gives anything else back. `line` is the level
    /// of the function's INTx line, where it is known.
    pub(super) fn try_request(
        &mut self,
        kind: RequestKind,
        line: Option<bool>,
    ) -> Result<Result<(), Errno>, RequestKind> {
        match kind {
            RequestKind::DmaMap(map) => Ok(self.map(map)),
            RequestKind::DmaUnmap(range) => Ok(self.unmap(range)),
            RequestKind::SetIrqs(set) => Ok(self.set_irqs(set, line)),
            kind => Err(kind),
        }
    }

    fn unmap(&mut self, range: DmaUnmap) -> Result<(), Errno> {
        match range {
            DmaUnmap::All => {
                self.dma.clear();
                Ok(())
            }
            DmaUnmap::Range { address, size } => self.dma.unmap(address, size).map_err(errno),
        }
    }

    fn set_irqs(&mut self, set: SetIrqs, line: Option<bool>) -> Result<(), Errno> {
        self.irqs.set(set)?;
        match line {
            Some(line) => self.irqs.assert(line),
            None => self.line_missed = true,
        }
        Ok(())
    }

    /// Makes up for interrupts that were set up while the line's level was not known.
    pub(super) fn catch_up(&mut self, line: impl FnOnce() -> bool) {
        if std::mem::take(&mut self.line_missed) {
            self.irqs.assert(line());
        }
    }

    fn map(&mut self, map: MapRequest) -> Result<(), Errno> {
        let MapRequest {
            address: iova,
            size,
            readable,
            writable,
            file,
        } = map;
        let access = if writable {
            Access::ReadWrite
        } else {
            Access::Read
        };
        if let Some(file) = &file {
            self.look_for_private(&file.fd);
        }
        let memory = match file {
            Some(file) => Some(
                Mapping::foreign(file.fd.as_fd(), file.offset, size, access).map_err(|error| {
                    tracing::warn!("guest memory at {iova:#x} can't be mapped: {error}");
                    match error {
                        MapError::Os(errno) => errno,
                        MapError::Size(_) | MapError::Short { .. } => Errno::INVAL,
                    }
                })?,
            ),
            None => {
                tracing::debug!(iova, size, "memory without a descriptor: by messages only");
                None
            }
        };
        let memory = memory.map(Arc::new);
        let entry = DmaEntry {
            iova,
            size,
            readable,
            writable,
            memory,
        };
        self.dma.map(entry).map_err(errno)
    }

    /// Tells the operator, once, of memory that the client and the drive don't share.
    fn look_for_private(&mut self, file: impl AsFd) {
        let Some(left) = self.private_looks.checked_sub(1) else {
            return;
        };
        self.private_looks = left;
        if self.peer.has_mapped_privately(file) {
            self.private_looks = 0;
            tracing::error!(
                "the client has mapped its memory privately: what it and the drive write will not \
                 be seen by the other; with QEMU, add share=on to the memory backend"
            );
        }
    }
}

impl Meanwhile for Client {
    fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        self.view.read(region, offset, buf)
    }

    fn try_request(&mut self, kind: RequestKind) -> Result<Result<(), Errno>, RequestKind> {
        Self::try_request(self, kind, None)
    }
}

fn errno(error: DmaMapError) -> Errno {
    match error {
        DmaMapError::Range => Errno::INVAL,
        DmaMapError::Overlap => Errno::EXIST,
        DmaMapError::Full => Errno::NOSPC,
        DmaMapError::Absent => Errno::NOENT,
    }
}
