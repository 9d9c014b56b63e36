//! Client memory by message, and what happens to the client's requests meanwhile.
//!
//! A client may hold a lock that its answer to a DMA message needs while one of its threads waits
//! for something that it asked of the device (QEMU does). A server that left that waiting until its
//! DMA message is answered would stall both, so the client is answered while a DMA message is
//! outstanding, by a [`Meanwhile`]: region reads from what can be looked at; region writes at once,
//! though the device sees them later; maps and interrupts by doing what was asked. A reset can't be
//! done in the middle of the device's work, so the work's DMA fails instead of waiting on.

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
/// Most DMA messages whose answers are owed though nobody waits for them.
const MAX_GIVEN_UP: usize = 64;

/// What a client is answered in the middle of the device's work.
pub trait Meanwhile {
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
    fn try_write(&mut self, _region: u32, _offset: u64, _data: &[u8]) -> bool {
        false
    }

    /// Does at once what was asked, if that needs nothing of the device's state that its work is
    /// in the middle of; else gives it back, for [`Session::next_request`]. Region accesses don't
    /// come here. Only what takes [`Reply::Done`] can be done.
    ///
    /// # Errors
    /// What can't be done now.
    fn try_request(&mut self, kind: RequestKind) -> Result<Result<(), Errno>, RequestKind> {
        Err(kind)
    }
}

/// Why client memory was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DmaError {
    /// The client refused, or moved less than asked; the session goes on. A write may have been
    /// done in part.
    /// `ECANCELED`: it asked for a reset instead of answering.
    #[error("the client refused: {0}")]
    Refused(Errno),
    /// The session is over; [`Session::next_request`] reports the same.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What is known of the client's side of DMA messages.
pub(super) struct DmaPeer {
    pub next_id: u16,
    /// Messages whose answers nobody waits for any more, oldest first.
    pub given_up: VecDeque<(u16, Command)>,
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
    /// Waits for the answers, at most for the DMA timeout in all. What the client asks meanwhile is
    /// answered by `meanwhile`, and writes at once. What changes the device waits for
    /// [`next_request`](Self::next_request), which hands it out, in order, before anything newer.
    /// While a reset waits there, DMA by messages fails.
    ///
    /// # Errors
    /// [`DmaError::Refused`]: the client's errno, or `EFAULT` for a range that overflows.
    /// [`DmaError::Link`]: the timeout, too many waiting requests, or another reason to end the
    /// session. `buf` is then unspecified.
    pub fn dma_read(
        &mut self,
        address: u64,
        buf: &mut [u8],
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<(), DmaError> {
        let deadline = self.begin(address, buf.len())?;
        let mut at = address;
        for chunk in buf.chunks_mut(self.max_xfer as usize) {
            let payload = self.ask_read(at, chunk.len(), deadline, meanwhile)?;
            if self.dma.layout == DmaLayout::Unknown {
                self.learn_layout(at, &payload, deadline, meanwhile)?;
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
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<(), DmaError> {
        let deadline = self.begin(address, data.len())?;
        if self.dma.layout == DmaLayout::Unknown {
            // Devices read before they write. One that doesn't gets a look at what it is about to
            // replace; if that tells nothing (zeros, or not readable), the specification's layout
            // it is.
            let mut look = [0; 64];
            let count = data.len().min(look.len());
            match self.dma_read(address, &mut look[..count], meanwhile) {
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
                    meanwhile,
                )?
            } else {
                self.ask(Command::DMA_WRITE, &fixed, chunk, deadline, meanwhile)?
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
        if self.reset_waits() {
            return Err(DmaError::Refused(Errno::CANCELED));
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
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Vec<u8>, DmaError> {
        let access = DmaAccess {
            address,
            count: count as u64,
        };
        let payload = self.ask(
            Command::DMA_READ,
            &access.encode(),
            &[],
            deadline,
            meanwhile,
        )?;
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
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<(), DmaError> {
        self.dma.layout = DmaLayout::shown_by(payload);
        let first = payload[DmaAccess::SIZE..]
            .iter()
            .position(|&byte| byte != 0);
        if let (DmaLayout::Unknown, Some(first)) = (self.dma.layout, first) {
            // Either this byte is the first that isn't zero, or the one four bytes on is. Read it
            // alone.
            let probe =
                self.ask_read(address.wrapping_add(first as u64), 1, deadline, meanwhile)?;
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
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Vec<u8>, DmaError> {
        match self.exchange(command, fixed, data, deadline, meanwhile) {
            Ok(Some(reply)) => match reply.header.reply_error() {
                None => Ok(reply.payload),
                Some(errno) => Err(DmaError::Refused(errno)),
            },
            Ok(None) => Err(DmaError::Refused(Errno::CANCELED)),
            Err(error) => {
                self.end(error);
                Err(error.into())
            }
        }
    }

    /// Sends a command and returns its reply, or nothing when the client asks for a reset first.
    fn exchange(
        &mut self,
        command: Command,
        fixed: &[u8],
        data: &[u8],
        deadline: Deadline,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Option<Message>, LinkError> {
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
                    if reply.header.id == id && reply.header.command == command {
                        return Ok(Some(reply));
                    }
                    self.discard(&reply.header)?;
                }
                Some(request) => {
                    self.accept_aside(request, meanwhile)?;
                    if self.reset_waits() {
                        return self.give_up(id, command).map(|()| None);
                    }
                    if deadline.is_over() {
                        return Err(LinkError::TimedOut);
                    }
                }
            }
        }
    }

    fn reset_waits(&self) -> bool {
        self.queue
            .iter()
            .any(|request| matches!(request.kind, RequestKind::Reset))
    }

    /// Doesn't wait for an answer any more.
    fn give_up(&mut self, id: u16, command: Command) -> Result<(), LinkError> {
        if self.dma.given_up.len() >= MAX_GIVEN_UP {
            return Err(LinkError::Protocol("resets instead of DMA replies"));
        }
        self.dma.given_up.push_back((id, command));
        Ok(())
    }

    /// Takes a reply that nobody waits for.
    pub(super) fn discard(&mut self, header: &Header) -> Result<(), LinkError> {
        let given_up = &mut self.dma.given_up;
        let owed = given_up
            .iter()
            .position(|owed| *owed == (header.id, header.command));
        match owed.and_then(|index| given_up.remove(index)) {
            Some(_) => Ok(()),
            None => Err(LinkError::Protocol("reply to nothing")),
        }
    }

    /// Takes a request while a DMA message is outstanding.
    fn accept_aside(
        &mut self,
        message: Message,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<(), LinkError> {
        let older = self.queue.len();
        // An older REGION_WRITE_MULTI may be half done; its error isn't for these replies.
        let multi_error = self.multi_error.take();
        self.accept(message)?;
        for request in self.queue.split_off(older) {
            if let Some(request) = self.answer_aside(request, meanwhile)? {
                self.queue.push_back(request);
            }
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

    /// Answers a request, as far as that is possible; what is left of it for the device comes back.
    fn answer_aside(
        &mut self,
        request: Request,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Option<Request>, LinkError> {
        let Request { mut token, kind } = request;
        match kind {
            RequestKind::RegionRead {
                region,
                offset,
                count,
            } => {
                let mut buf = vec![0; count];
                let result = meanwhile.read(region, offset, &mut buf);
                self.send_reply(&token, result.map(|()| Reply::Data(&buf)))?;
                Ok(None)
            }
            RequestKind::RegionWrite {
                region,
                offset,
                data,
            } => {
                self.send_reply(&token, Ok(Reply::Done))?;
                token.answer = Answer::Silent;
                if meanwhile.try_write(region, offset, &data) {
                    return Ok(None);
                }
                let kind = RequestKind::RegionWrite {
                    region,
                    offset,
                    data,
                };
                Ok(Some(Request { token, kind }))
            }
            kind => match meanwhile.try_request(kind) {
                Ok(result) => {
                    self.send_reply(&token, result.map(|()| Reply::Done))?;
                    Ok(None)
                }
                Err(kind) => Ok(Some(Request { token, kind })),
            },
        }
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
