//! A function behind a vfio-user socket: [`Port`] is the host that a connected client is.
//!
//! One thread owns the port and the function behind it. [`Port::service`] handles what the client
//! has asked, and never waits. Only reaching guest memory that came without a descriptor waits for
//! the client, by messages; register reads that arrive meanwhile are answered from the function's
//! shared words, memory is mapped and interrupts are set up; everything else waits its turn.

mod client;
mod irq;
mod private;

use crate::dma::Reach;
use crate::{DmaFault, Function, Host, Region, Reset};
use client::{Client, View};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_vfio_user::{
    DeviceInfo, Errno, LinkError, RegionFile, RegionInfo, Reply, Request, RequestKind, Session,
    SparseArea, pci,
};
use std::os::fd::{AsFd, BorrowedFd};

/// Requests that are handled in one go.
const MAX_REQUESTS: usize = 256;

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

/// A connected client as the host of a function.
pub struct Port {
    session: Session,
    doorbells: Doorbells,
    client: Client,
}

impl Port {
    /// Plugs a client into a function. The function must have been reset since the last one.
    #[must_use]
    pub fn new(session: Session, function: &dyn Function, doorbells: Doorbells) -> Self {
        let view = View {
            bar0: function.bar0(),
            config: function.config(),
        };
        let client = Client::new(&session, function.vectors(), view);
        Self {
            session,
            doorbells,
            client,
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
        self.client.catch_up(|| function.line());
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
        self.client.dma.len()
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
            RequestKind::IrqInfo { index } => Ok(Reply::IrqInfo(self.client.irqs.info(index))),
            RequestKind::RegionRead {
                region,
                offset,
                count,
            } => {
                let mut data = vec![0; count];
                let read = self.client.view.read(region, offset, &mut data);
                return self.session.reply(token, read.map(|()| Reply::Data(&data)));
            }
            RequestKind::RegionWrite {
                region,
                offset,
                data,
            } => self.region_write(now, region, offset, &data, function),
            kind
            @ (RequestKind::DmaMap(_) | RequestKind::DmaUnmap(_) | RequestKind::SetIrqs(_)) => {
                let done = self.client.try_request(kind, Some(function.line()));
                done.unwrap_or(Err(Errno::OPNOTSUPP)).map(|()| Reply::Done)
            }
            RequestKind::Reset => {
                function.reset(now, Reset::Function);
                Ok(Reply::Done)
            }
        };
        self.session.reply(token, result);
    }

    fn region_info(&mut self, token: ersatz_vfio_user::Token, index: u32) {
        let size = self.client.view.size(index);
        let (start, doorbells) = &self.client.view.bar0.shared;
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
        if end.is_none_or(|end| end > self.client.view.size(region)) {
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
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.session.as_fd()
    }
}

/// Bytes that are copied at a time between the drive's memory and memory by messages.
const BOUNCE: usize = 64 << 10;

/// Part of an access that lies in one range.
enum Part<'a> {
    /// In memory, at this offset.
    Memory(&'a Mapping, u64),
    /// By messages, at this address.
    Message(&'a mut Session, &'a mut Client, u64),
}

impl Port {
    /// Calls `step(part, bytes done, bytes)` for each part of an access. Ranges may come and go
    /// while a part that is reached by messages is under way: each is looked up when its turn comes.
    fn walk(
        &mut self,
        iova: u64,
        len: usize,
        write: bool,
        mut step: impl FnMut(Part<'_>, usize, usize) -> Option<()>,
    ) -> Result<(), DmaFault> {
        let mut walk = || {
            let mut done = 0;
            while done < len {
                let at = iova.checked_add(done as u64)?;
                let (reach, n) = self.client.dma.reach(at, (len - done) as u64, write)?;
                let part = match reach {
                    Reach::Memory(memory, offset) => Part::Memory(memory, offset),
                    Reach::Message => Part::Message(&mut self.session, &mut self.client, at),
                };
                step(part, done, n as usize)?;
                done += n as usize;
            }
            Some(())
        };
        walk().ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }
}

impl Host for Port {
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.walk(iova, buf.len(), false, |part, done, n| {
            let buf = &mut buf[done..done + n];
            match part {
                Part::Memory(memory, offset) => memory.read(offset, buf).ok(),
                Part::Message(session, client, at) => session.dma_read(at, buf, client).ok(),
            }
        })
    }

    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault> {
        self.walk(iova, buf.len(), true, |part, done, n| {
            let buf = &buf[done..done + n];
            match part {
                Part::Memory(memory, offset) => memory.write(offset, buf).ok(),
                Part::Message(session, client, at) => session.dma_write(at, buf, client).ok(),
            }
        })
    }

    fn read_into(
        &mut self,
        iova: u64,
        to: &Mapping,
        start: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        self.walk(iova, len, false, |part, done, n| {
            let start = start + done as u64;
            match part {
                Part::Memory(memory, offset) => memory.copy_to(offset, to, start, n).ok(),
                Part::Message(session, client, at) => bounce(n, |done, buf| {
                    session.dma_read(at + done, buf, client).ok()?;
                    to.write(start + done, buf).ok()
                }),
            }
        })
    }

    fn write_from(
        &mut self,
        iova: u64,
        from: &Mapping,
        start: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        self.walk(iova, len, true, |part, done, n| {
            let start = start + done as u64;
            match part {
                Part::Memory(memory, offset) => from.copy_to(start, memory, offset, n).ok(),
                Part::Message(session, client, at) => bounce(n, |done, buf| {
                    from.read(start + done, buf).ok()?;
                    session.dma_write(at + done, buf, client).ok()
                }),
            }
        })
    }

    fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> Result<(), DmaFault> {
        if self.client.dma.publish(iova, entry) {
            return Ok(());
        }
        self.write(iova, &entry[..12])?;
        self.write(iova.wrapping_add(12), &entry[12..])
    }

    fn raise(&mut self, vector: u16) {
        self.client.irqs.raise(vector);
    }

    fn message_signalled(&self) -> bool {
        self.client.irqs.message_signalled()
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
