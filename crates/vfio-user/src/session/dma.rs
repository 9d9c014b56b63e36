//! Client memory by message, and what happens to the client's requests meanwhile.
//!
//! A client may hold a lock that its answer to a DMA message needs while one of its threads waits
//! for a region access (QEMU does). A server that left that access waiting until its DMA message is
//! answered would stall both, so accesses are answered while a DMA message is outstanding: reads
//! from a [`RegionView`]; writes at once, though the device sees them later. Whatever changes the
//! device stays in order.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::io::Errno;

use super::{Reply, Session};
use crate::channel::{Deadline, LinkError, Message};
use crate::request::{Answer, Request, RequestKind};
use crate::wire::{Command, DmaAccess, Header};

/// Most requests that wait while DMA messages are outstanding.
const MAX_DEFERRED: usize = 1024;
/// Most bytes of data that they hold.
const MAX_DEFERRED_BYTES: usize = 4 << 20;
/// Most descriptors that they hold.
const MAX_DEFERRED_FDS: usize = 256;

/// Regions as they can be looked at in the middle of the device's work.
pub trait RegionView {
    /// Reads without side effects, e.g. from a snapshot of the registers. `offset + buf.len()`
    /// doesn't overflow; anything else about the range is the client's claim.
    ///
    /// # Errors
    /// The client gets the errno.
    fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno>;

    /// Writes at once if that needs nothing of the device; `false` leaves the write for
    /// [`Session::next_request`].
    ///
    /// An area that is read, changed and written back (such as configuration space) is best written
    /// at once, since reads don't see what waits. For the same bytes the answer must always be the
    /// same, or writes would overtake one another.
    fn try_write(&self, _region: u32, _offset: u64, _data: &[u8]) -> bool {
        false
    }
}

/// Why client memory was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DmaError {
    /// The client refused, or moved less than asked; the session goes on. A write may have been
    /// done in part.
    #[error("the client refused: {0}")]
    Refused(Errno),
    /// The session is over; [`Session::next_request`] reports the same.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What is known of the client's side of DMA messages.
pub(super) struct DmaPeer {
    pub next_id: u16,
    pub layout: DmaLayout,
    pub timeout: Duration,
}

/// Where a DMA message's data begins.
///
/// The specification has a 64-bit count, and data at offset 16. QEMU (10.1 to 11) has a 32-bit
/// count, data at offset 12, and four zero bytes at the end, so that sizes agree. Which one a
/// client has shows in its answers to `DMA_READ`, though not in those that are all zeros — and
/// those are the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DmaLayout {
    Unknown,
    Wide,
    Narrow,
}

/// Where the data begins in [`DmaLayout::Narrow`].
const NARROW: usize = 12;

impl DmaLayout {
    /// What the payload of a `DMA_READ` reply shows.
    fn shown_by(payload: &[u8]) -> Self {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        if !is_zero(&payload[NARROW..DmaAccess::SIZE]) {
            Self::Narrow
        } else if !is_zero(&payload[payload.len() - (DmaAccess::SIZE - NARROW)..]) {
            Self::Wide
        } else {
            Self::Unknown
        }
    }
}

/// Bytes and descriptors that requests hold.
pub(super) fn weight(queue: &VecDeque<Request>) -> (usize, usize) {
    queue.iter().fold((0, 0), |(bytes, fds), request| {
        let (more_bytes, more_fds) = request.weight();
        (bytes + more_bytes, fds + more_fds)
    })
}

impl Session {
    /// Reads client memory by `DMA_READ` messages, for ranges that were mapped without a file.
    ///
    /// Waits for the answers, at most for the DMA timeout in all. Accesses that the client makes
    /// meanwhile are answered: reads from `view`, writes at once. What changes the device waits for
    /// [`next_request`](Self::next_request), which hands it out, in order, before anything newer.
    ///
    /// # Errors
    /// [`DmaError::Refused`]: the client's errno, or `EFAULT` for a range that overflows.
    /// [`DmaError::Link`]: the timeout, too many waiting requests, or another reason to end the
    /// session. `buf` is then unspecified.
    pub fn dma_read(
        &mut self,
        address: u64,
        buf: &mut [u8],
        view: &dyn RegionView,
    ) -> Result<(), DmaError> {
        let deadline = self.begin(address, buf.len())?;
        let mut at = address;
        for chunk in buf.chunks_mut(self.max_xfer as usize) {
            let payload = self.ask_read(at, chunk.len(), deadline, view)?;
            if self.dma.layout == DmaLayout::Unknown {
                self.learn_layout(at, &payload, deadline, view)?;
            }
            let begin = match self.dma.layout {
                DmaLayout::Narrow => NARROW,
                DmaLayout::Wide | DmaLayout::Unknown => DmaAccess::SIZE,
            };
            chunk.copy_from_slice(&payload[begin..begin + chunk.len()]);
            at = at.wrapping_add(chunk.len() as u64);
        }
        Ok(())
    }

    /// Writes client memory by `DMA_WRITE` messages; otherwise like [`dma_read`](Self::dma_read).
    ///
    /// # Errors
    /// As for [`dma_read`](Self::dma_read).
    pub fn dma_write(
        &mut self,
        address: u64,
        data: &[u8],
        view: &dyn RegionView,
    ) -> Result<(), DmaError> {
        let deadline = self.begin(address, data.len())?;
        if self.dma.layout == DmaLayout::Unknown {
            // Devices read before they write. One that doesn't gets a look at what it is about to
            // replace; if that tells nothing (zeros, or not readable), the specification's layout
            // it is.
            let mut look = [0; 64];
            let count = data.len().min(look.len());
            match self.dma_read(address, &mut look[..count], view) {
                Ok(()) | Err(DmaError::Refused(_)) => {}
                Err(e) => return Err(e),
            }
        }
        let mut at = address;
        for chunk in data.chunks(self.max_xfer as usize) {
            let access = DmaAccess {
                address: at,
                count: chunk.len() as u64,
            };
            let fixed = access.encode();
            let payload = if self.dma.layout == DmaLayout::Narrow {
                let padded = [chunk, &[0; DmaAccess::SIZE - NARROW]].concat();
                self.ask(
                    Command::DMA_WRITE,
                    &fixed[..NARROW],
                    &padded,
                    deadline,
                    view,
                )?
            } else {
                self.ask(Command::DMA_WRITE, &fixed, chunk, deadline, view)?
            };
            // QEMU answers without a payload.
            if let Some((_, count)) = narrow_access(&payload)
                && count as usize != chunk.len()
            {
                return Err(DmaError::Refused(Errno::IO));
            }
            at = at.wrapping_add(chunk.len() as u64);
        }
        Ok(())
    }

    fn begin(&self, address: u64, count: usize) -> Result<Deadline, DmaError> {
        if let Some(error) = self.over {
            return Err(error.into());
        }
        if self.client.is_none() {
            return Err(DmaError::Refused(Errno::NOTCONN));
        }
        if address.checked_add(count as u64).is_none() {
            return Err(DmaError::Refused(Errno::FAULT));
        }
        Ok(Deadline::after(self.dma.timeout))
    }

    /// Sends a `DMA_READ`; returns the payload of its reply, which has `count` bytes after the
    /// fixed part.
    fn ask_read(
        &mut self,
        address: u64,
        count: usize,
        deadline: Deadline,
        view: &dyn RegionView,
    ) -> Result<Vec<u8>, DmaError> {
        let access = DmaAccess {
            address,
            count: count as u64,
        };
        let payload = self.ask(Command::DMA_READ, &access.encode(), &[], deadline, view)?;
        let fits = payload.len() == DmaAccess::SIZE + count
            && narrow_access(&payload) == Some((address, count as u32));
        if fits {
            Ok(payload)
        } else {
            let error = LinkError::Protocol("DMA_READ reply of another access");
            self.end(error);
            Err(error.into())
        }
    }

    /// Finds the client's layout from the reply to a read at `address`, if it can be found.
    fn learn_layout(
        &mut self,
        address: u64,
        payload: &[u8],
        deadline: Deadline,
        view: &dyn RegionView,
    ) -> Result<(), DmaError> {
        self.dma.layout = DmaLayout::shown_by(payload);
        let first = payload[DmaAccess::SIZE..]
            .iter()
            .position(|&byte| byte != 0);
        if let (DmaLayout::Unknown, Some(first)) = (self.dma.layout, first) {
            // Either this byte is the first that isn't zero, or the one four bytes on is. Read it
            // alone.
            let probe = self.ask_read(address.wrapping_add(first as u64), 1, deadline, view)?;
            self.dma.layout = match DmaLayout::shown_by(&probe) {
                DmaLayout::Unknown => DmaLayout::Narrow,
                shown => shown,
            };
        }
        Ok(())
    }

    /// Sends a command and returns the payload of its reply.
    fn ask(
        &mut self,
        command: Command,
        fixed: &[u8],
        data: &[u8],
        deadline: Deadline,
        view: &dyn RegionView,
    ) -> Result<Vec<u8>, DmaError> {
        match self.exchange(command, fixed, data, deadline, view) {
            Ok(reply) => match reply.header.reply_error() {
                None => Ok(reply.payload),
                Some(errno) => Err(DmaError::Refused(errno)),
            },
            Err(error) => {
                self.end(error);
                Err(error.into())
            }
        }
    }

    fn exchange(
        &mut self,
        command: Command,
        fixed: &[u8],
        data: &[u8],
        deadline: Deadline,
        view: &dyn RegionView,
    ) -> Result<Message, LinkError> {
        let id = self.dma.next_id;
        self.dma.next_id = id.wrapping_add(1);
        let header = Header {
            id,
            command,
            size: (Header::SIZE + fixed.len() + data.len()) as u32,
            flags: 0,
            error: 0,
        };
        let head = [&header.encode(), fixed].concat();
        self.channel.send(&head, data, &[])?;
        loop {
            self.channel.flush()?;
            match self.receive()? {
                None => self.channel.wait(deadline)?,
                Some(reply) if reply.header.is_reply() => {
                    return if reply.header.id == id && reply.header.command == command {
                        Ok(reply)
                    } else {
                        Err(LinkError::Protocol("reply to nothing"))
                    };
                }
                Some(request) => {
                    self.accept_aside(request, view)?;
                    if deadline.is_over() {
                        return Err(LinkError::TimedOut);
                    }
                }
            }
        }
    }

    /// Takes a request while a DMA message is outstanding.
    fn accept_aside(&mut self, message: Message, view: &dyn RegionView) -> Result<(), LinkError> {
        let older = self.queue.len();
        // An older REGION_WRITE_MULTI may be half done; its error isn't for these replies.
        let multi_error = self.multi_error.take();
        self.accept(message)?;
        for mut request in self.queue.split_off(older) {
            match &request.kind {
                RequestKind::RegionRead {
                    region,
                    offset,
                    count,
                } => {
                    let mut buf = vec![0; *count];
                    let result = view.read(*region, *offset, &mut buf);
                    let reply = result.map(|()| Reply::Data(&buf));
                    self.send_reply(&request.token, reply)?;
                    continue;
                }
                RequestKind::RegionWrite {
                    region,
                    offset,
                    data,
                } => {
                    self.send_reply(&request.token, Ok(Reply::Done))?;
                    request.token.answer = Answer::Silent;
                    if view.try_write(*region, *offset, data) {
                        continue;
                    }
                }
                _ => {}
            }
            self.queue.push_back(request);
        }
        self.multi_error = multi_error;
        let (bytes, fds) = weight(&self.queue);
        if self.queue.len() > MAX_DEFERRED || bytes > MAX_DEFERRED_BYTES || fds > MAX_DEFERRED_FDS {
            return Err(LinkError::Protocol(
                "too many requests during a DMA message",
            ));
        }
        Ok(())
    }
}

/// Address and count of a DMA reply, which both layouts have in the first 12 bytes. (On a
/// big-endian host the low half of a 64-bit count lies behind them.)
fn narrow_access(payload: &[u8]) -> Option<(u64, u32)> {
    let (address, rest) = payload.split_first_chunk()?;
    let count = if cfg!(target_endian = "big") && rest.len() >= 8 {
        &rest[4..]
    } else {
        rest
    };
    let count = u32::from_ne_bytes(*count.first_chunk()?);
    Some((u64::from_ne_bytes(*address), count))
}
