//! A function behind a vfio-user socket: [`Port`] is the host that a connected client is.
//!
//! One thread owns the port and the function behind it. [`Port::service`] handles what the client
//! has asked, and never waits. Only reaching guest memory that came without a descriptor waits for
//! the client, by messages; register reads that arrive meanwhile are answered from the function's
//! shared words, everything else waits its turn.

mod irq;
mod private;

use crate::dma::{DmaEntry, DmaMap, DmaMapError, Reach};
use crate::{Bar0, DmaFault, Function, Host, Region, Reset, Words};
use ersatz_engine::Ns;
use ersatz_memory::{Access, MapError, Mapping};
use ersatz_vfio_user::{
    DeviceInfo, DmaMap as MapRequest, DmaUnmap, Errno, IrqInfo, LinkError, RegionFile, RegionInfo,
    RegionView, Reply, Request, RequestKind, Session, SparseArea, pci,
};
use irq::Irqs;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Requests that are handled in one go.
const MAX_REQUESTS: usize = 256;

/// Ranges that are looked at for memory that is private to the client: a look reads all mappings
/// of the client, and with an IOMMU a guest may map for each command.
const PRIVATE_LOOKS: u32 = 64;

/// How doorbells are offered to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doorbells {
    /// As memory to clients that negotiate without capabilities (SPDK, which refuses to work
    /// otherwise), as messages to all others: a virtual machine monitor's guest then wakes a
    /// sleeping drive, and rings seldom once it uses shadow doorbells.
    #[default]
    Auto,
    /// As memory: no message is sent for them, so the drive has to poll.
    Mapped,
    /// By messages only.
    Messages,
}

/// What is read without asking the function.
struct View {
    bar0: Bar0,
    config: Words,
}

impl View {
    fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
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

    fn size(&self, region: u32) -> u64 {
        match region {
            pci::BAR0_REGION => self.bar0.size,
            pci::CONFIG_REGION => self.config.len() as u64,
            _ => 0,
        }
    }
}

impl RegionView for View {
    fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        Self::read(self, region, offset, buf)
    }
}

/// A connected client as the host of a function.
pub struct Port {
    session: Session,
    doorbells: Doorbells,
    dma: DmaMap,
    irqs: Irqs,
    view: View,
    /// How many more ranges are looked at for memory that is private to the client.
    private_looks: u32,
}

impl Port {
    /// Plugs a client into a function. The function must have been reset since the last one.
    #[must_use]
    pub fn new(session: Session, function: &dyn Function, doorbells: Doorbells) -> Self {
        let view = View {
            bar0: function.bar0(),
            config: function.config(),
        };
        let irqs = Irqs::new(function.vectors());
        Self {
            session,
            doorbells,
            dma: DmaMap::new(),
            irqs,
            view,
            private_looks: PRIVATE_LOOKS,
        }
    }

    /// Handles what the client has asked so far, up to a bound: a client that never stops asking
    /// must not keep the drive's thread here. Whether there was anything comes back; if so, there
    /// may be more.
    ///
    /// # Errors
    /// When the client is gone or talks rubbish: then the port is to be dropped, and the function
    /// to be reset.
    pub fn service(&mut self, now: Ns, function: &mut dyn Function) -> Result<bool, LinkError> {
        for handled in 0..MAX_REQUESTS {
            let Some(Request { token, kind }) = self.session.next_request()? else {
                return Ok(handled > 0);
            };
            self.handle(now, token, kind, function);
        }
        Ok(true)
    }

    /// Whether the client rings doorbells in memory: then nothing but polling notices them.
    #[must_use]
    pub fn has_mapped_doorbells(&self) -> bool {
        match self.doorbells {
            Doorbells::Mapped => true,
            Doorbells::Messages => false,
            Doorbells::Auto => self
                .session
                .client_version()
                .is_some_and(|v| v.capabilities.is_none()),
        }
    }

    /// Whether a reply waits for the client to read: then poll for writability.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Ranges of memory that the client has mapped.
    #[must_use]
    pub fn maps(&self) -> usize {
        self.dma.len()
    }

    fn handle(
        &mut self,
        now: Ns,
        token: ersatz_vfio_user::Token,
        kind: RequestKind,
        function: &mut dyn Function,
    ) {
        let result = match kind {
            RequestKind::DeviceInfo => {
                let (num_regions, num_irqs) = (pci::NUM_REGIONS, pci::NUM_IRQS);
                Ok(Reply::DeviceInfo(DeviceInfo {
                    resettable: true,
                    num_regions,
                    num_irqs,
                }))
            }
            RequestKind::RegionInfo { index } => return self.region_info(token, index),
            RequestKind::IrqInfo { index } => Ok(Reply::IrqInfo(self.irqs.info(index))),
            RequestKind::RegionRead {
                region,
                offset,
                count,
            } => {
                let mut data = vec![0; count];
                let read = self.view.read(region, offset, &mut data);
                return self.session.reply(token, read.map(|()| Reply::Data(&data)));
            }
            RequestKind::RegionWrite {
                region,
                offset,
                data,
            } => self.region_write(now, region, offset, &data, function),
            RequestKind::DmaMap(map) => self.map(map),
            RequestKind::DmaUnmap(DmaUnmap::All) => {
                self.dma.clear();
                Ok(Reply::Done)
            }
            RequestKind::DmaUnmap(DmaUnmap::Range { address, size }) => self
                .dma
                .unmap(address, size)
                .map(|()| Reply::Done)
                .map_err(errno),
            RequestKind::SetIrqs(set) => self.irqs.set(set, function.line()).map(|()| Reply::Done),
            RequestKind::Reset => {
                function.reset(now, Reset::Function);
                Ok(Reply::Done)
            }
        };
        self.session.reply(token, result);
    }

    fn region_info(&mut self, token: ersatz_vfio_user::Token, index: u32) {
        let size = self.view.size(index);
        let (start, doorbells) = &self.view.bar0.shared;
        let area = [SparseArea {
            offset: *start,
            size: doorbells.len(),
        }];
        let mapped = index == pci::BAR0_REGION && self.has_mapped_doorbells();
        let file = doorbells
            .descriptor()
            .filter(|_| mapped)
            .map(|(fd, offset)| RegionFile {
                fd,
                // A client adds the area's offset in the region to this.
                offset: offset - start,
                areas: &area,
            });
        let info = RegionInfo {
            size,
            readable: size > 0,
            writable: size > 0,
            file,
        };
        self.session.reply(token, Ok(Reply::RegionInfo(info)));
    }

    fn region_write(
        &mut self,
        now: Ns,
        region: u32,
        offset: u64,
        data: &[u8],
        function: &mut dyn Function,
    ) -> Result<Reply<'static>, Errno> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.view.size(region)) {
            return Err(Errno::INVAL);
        }
        let region = if region == pci::CONFIG_REGION {
            Region::Config
        } else {
            Region::Bar0
        };
        function.write(now, region, offset, data, self);
        Ok(Reply::Done)
    }

    fn map(&mut self, map: MapRequest) -> Result<Reply<'static>, Errno> {
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
        self.dma.map(entry).map(|()| Reply::Done).map_err(errno)
    }

    /// Tells the operator, once, of memory that the client and the drive don't share.
    fn look_for_private(&mut self, file: impl AsFd) {
        let Some(left) = self.private_looks.checked_sub(1) else {
            return;
        };
        self.private_looks = left;
        if private::is_private(self.session.as_fd(), file) {
            self.private_looks = 0;
            tracing::error!(
                "the client has mapped its memory privately: what it and the drive write will not \
                 be seen by the other; with QEMU, add share=on to the memory backend"
            );
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.session.as_fd()
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

/// Bytes that are copied at a time between the drive's memory and memory by messages.
const BOUNCE: usize = 64 << 10;

impl Host for Port {
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        let (len, session, view) = (buf.len(), &mut self.session, &self.view);
        let walked = self.dma.walk(iova, len, false, |reach, at, done, n| {
            let part = &mut buf[done..done + n];
            match reach {
                Reach::Memory(memory, offset) => memory.read(offset, part).ok(),
                Reach::Message => session.dma_read(at, part, view).ok(),
            }
        });
        walked.ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }

    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault> {
        let (session, view) = (&mut self.session, &self.view);
        let walked = self.dma.walk(iova, buf.len(), true, |reach, at, done, n| {
            let part = &buf[done..done + n];
            match reach {
                Reach::Memory(memory, offset) => memory.write(offset, part).ok(),
                Reach::Message => session.dma_write(at, part, view).ok(),
            }
        });
        walked.ok_or(DmaFault {
            iova,
            len: buf.len() as u64,
        })
    }

    fn read_into(
        &mut self,
        iova: u64,
        to: &Mapping,
        start: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        let (session, view) = (&mut self.session, &self.view);
        let walked = self.dma.walk(iova, len, false, |reach, at, done, n| {
            let start = start + done as u64;
            match reach {
                Reach::Memory(memory, offset) => memory.copy_to(offset, to, start, n).ok(),
                Reach::Message => bounce(n, |done, buf| {
                    session.dma_read(at + done, buf, view).ok()?;
                    to.write(start + done, buf).ok()
                }),
            }
        });
        walked.ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }

    fn write_from(
        &mut self,
        iova: u64,
        from: &Mapping,
        start: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        let (session, view) = (&mut self.session, &self.view);
        let walked = self.dma.walk(iova, len, true, |reach, at, done, n| {
            let start = start + done as u64;
            match reach {
                Reach::Memory(memory, offset) => from.copy_to(start, memory, offset, n).ok(),
                Reach::Message => bounce(n, |done, buf| {
                    from.read(start + done, buf).ok()?;
                    session.dma_write(at + done, buf, view).ok()
                }),
            }
        });
        walked.ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }

    fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> Result<(), DmaFault> {
        if self.dma.publish(iova, entry) {
            return Ok(());
        }
        self.write(iova, &entry[..12])?;
        self.write(iova.wrapping_add(12), &entry[12..])
    }

    fn raise(&mut self, vector: u16) {
        self.irqs.raise(vector);
    }

    fn message_signalled(&self) -> bool {
        self.irqs.message_signalled()
    }
}

/// Goes through `len` bytes in pieces.
fn bounce(len: usize, mut step: impl FnMut(u64, &mut [u8]) -> Option<()>) -> Option<()> {
    let mut buf = vec![0; len.min(BOUNCE)];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(BOUNCE);
        step(done as u64, &mut buf[..part])?;
        done += part;
    }
    Some(())
}

#[cfg(test)]
mod tests;
