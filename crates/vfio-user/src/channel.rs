//! The socket: whole messages with their descriptors in and out, without blocking.
//!
//! A descriptor belongs to the message whose header it came with, and a stream socket hands
//! descriptors over with whatever bytes a read happens to end in. So a read never goes past the end
//! of a header or of a payload, and descriptors are taken with headers only; the kernel closes
//! those that come with payload bytes.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};

use crate::wire::Header;
use crate::{MAX_DATA_XFER_SIZE, MAX_MSG_FDS};

/// The longest message that is received, in bytes: the largest transfer, and room for the fixed
/// parts around it and for version data.
pub(crate) const MAX_MESSAGE_SIZE: u32 = MAX_DATA_XFER_SIZE + 4096;

/// Most bytes that wait for a peer that doesn't read.
pub(crate) const MAX_UNSENT_BYTES: usize = 4 << 20;

/// Most messages that wait for a peer that doesn't read.
const MAX_UNSENT_MESSAGES: usize = 4096;

/// Why a connection is of no more use. It stays so: drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer closed its end.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer did not answer within the time allowed.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// The peer broke the protocol in a way after which the stream can't be trusted.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Socket(Errno),
}

/// A whole message.
#[derive(Debug)]
pub(crate) struct Message {
    pub header: Header,
    pub payload: Vec<u8>,
    /// At most [`MAX_MSG_FDS`]; those not taken out are closed.
    pub fds: Vec<OwnedFd>,
}

/// What [`Channel::receive`] found.
#[derive(Debug)]
pub(crate) enum Received {
    /// Nothing whole yet.
    Nothing,
    Message(Message),
    /// A header with a size that can't be; the stream is useless from here on.
    BadSize(Header),
}

/// A nonblocking stream socket that speaks in messages.
pub(crate) struct Channel {
    socket: OwnedFd,
    header: [u8; Header::SIZE],
    header_filled: usize,
    fds: Vec<OwnedFd>,
    /// Has its full length as soon as the header is whole.
    payload: Vec<u8>,
    payload_filled: usize,
    unsent: VecDeque<Unsent>,
    unsent_bytes: usize,
}

/// What the socket didn't take of a message. A queue of messages, not of bytes: descriptors must go
/// with their own message's first byte.
struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

impl Channel {
    /// Wraps a connected stream socket and makes it nonblocking.
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            socket,
            header: [0; Header::SIZE],
            header_filled: 0,
            fds: Vec::new(),
            payload: Vec::new(),
            payload_filled: 0,
            unsent: VecDeque::new(),
            unsent_bytes: 0,
        })
    }

    /// The next message, if it has come as a whole.
    pub fn receive(&mut self) -> Result<Received, LinkError> {
        while self.header_filled < Header::SIZE {
            let Some(count) = self.receive_header_bytes()? else {
                return Ok(Received::Nothing);
            };
            self.header_filled += count;
            if self.header_filled == Header::SIZE {
                let header = Header::decode(&self.header);
                if header.size < Header::SIZE as u32 || header.size > MAX_MESSAGE_SIZE {
                    return Ok(Received::BadSize(header));
                }
                self.payload = vec![0; header.size as usize - Header::SIZE];
                self.payload_filled = 0;
            }
        }
        while self.payload_filled < self.payload.len() {
            let rest = &mut self.payload[self.payload_filled..];
            let result = recv(&self.socket, rest, RecvFlags::empty()).map(|(count, _)| count);
            let Some(count) = transferred(result)? else {
                return Ok(Received::Nothing);
            };
            self.payload_filled += count;
        }
        self.header_filled = 0;
        Ok(Received::Message(Message {
            header: Header::decode(&self.header),
            payload: mem::take(&mut self.payload),
            fds: mem::take(&mut self.fds),
        }))
    }

    fn receive_header_bytes(&mut self) -> Result<Option<usize>, LinkError> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_MSG_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [IoSliceMut::new(&mut self.header[self.header_filled..])];
        let result = recvmsg(
            &self.socket,
            &mut buffer,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                self.fds.extend(fds);
            }
        }
        // Alignment may leave room for one more than asked, and a header may come in pieces.
        self.fds.truncate(MAX_MSG_FDS);
        transferred(result.map(|message| message.bytes))
    }

    /// Sends `head` and `data` as one message with `fds`; keeps what the socket doesn't take.
    pub fn send(
        &mut self,
        head: &[u8],
        data: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), LinkError> {
        let size = head.len() + data.len();
        let sent = if self.unsent.is_empty() {
            send_some(self.socket.as_fd(), head, data, fds)?.unwrap_or(0)
        } else {
            0
        };
        if sent == size {
            return Ok(());
        }
        if self.unsent_bytes + size > MAX_UNSENT_BYTES || self.unsent.len() == MAX_UNSENT_MESSAGES {
            return Err(LinkError::Protocol("reads no replies"));
        }
        let fds = if sent == 0 {
            fds.iter()
                .map(|fd| fd.try_clone_to_owned())
                .collect::<Result<_, _>>()
                .map_err(|e| LinkError::Socket(Errno::from_io_error(&e).unwrap_or(Errno::MFILE)))?
        } else {
            Vec::new()
        };
        let bytes = [head, data].concat();
        self.unsent_bytes += bytes.len();
        self.unsent.push_back(Unsent { bytes, sent, fds });
        Ok(())
    }

    /// Sends what had to wait. Returns whether all of it is gone.
    pub fn flush(&mut self) -> Result<bool, LinkError> {
        while let Some(first) = self.unsent.front_mut() {
            let fds: Vec<_> = first.fds.iter().map(AsFd::as_fd).collect();
            let rest = &first.bytes[first.sent..];
            let Some(count) = send_some(self.socket.as_fd(), rest, &[], &fds)? else {
                return Ok(false);
            };
            first.fds.clear();
            first.sent += count;
            if first.sent == first.bytes.len() {
                self.unsent_bytes -= first.bytes.len();
                self.unsent.pop_front();
            }
        }
        Ok(true)
    }

    /// Whether messages wait for room in the socket.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Waits until something can be received, or sent if something waits for that.
    pub fn wait(&self, deadline: Deadline) -> Result<(), LinkError> {
        let mut interest = PollFlags::IN;
        if self.has_unsent() {
            interest |= PollFlags::OUT;
        }
        loop {
            let timeout = deadline.remaining().ok_or(LinkError::TimedOut)?;
            match poll(&mut [PollFd::new(&self.socket, interest)], Some(&timeout)) {
                // Time out by the deadline, not by a poll that returned early.
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(LinkError::Socket(e)),
            }
        }
    }

    /// Bytes held for messages not yet whole and not yet sent.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn held_bytes(&self) -> usize {
        self.payload.capacity() + self.unsent_bytes
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// When to stop waiting.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

// Waiting for another process is the edge where real time counts; nothing modelled depends on it.
#[allow(clippy::disallowed_methods)]
impl Deadline {
    /// `timeout` from now; one too long for the clock never comes.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// Whether it has come.
    pub fn is_over(self) -> bool {
        self.remaining().is_none()
    }

    /// The time left, for one poll; `None` when it is over.
    fn remaining(self) -> Option<Timespec> {
        // A poll may be shorter than the time left: its caller comes back.
        const LONGEST: Duration = Duration::from_secs(3600);
        let left = match self.0 {
            Some(at) => at.checked_duration_since(Instant::now())?.min(LONGEST),
            None => LONGEST,
        };
        (!left.is_zero()).then_some(Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        })
    }
}

/// How many bytes were received; `None`: try later.
fn transferred(result: Result<usize, Errno>) -> Result<Option<usize>, LinkError> {
    match result {
        Ok(0) | Err(Errno::CONNRESET) => Err(LinkError::Closed),
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(e) => Err(LinkError::Socket(e)),
    }
}

/// Sends what the socket takes of `head` and `data`; `None`: nothing now.
fn send_some(
    socket: BorrowedFd<'_>,
    head: &[u8],
    data: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Option<usize>, LinkError> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_MSG_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(LinkError::Socket(Errno::TOOBIG));
    }
    let buffers = [IoSlice::new(head), IoSlice::new(data)];
    match sendmsg(socket, &buffers, &mut control, SendFlags::NOSIGNAL) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(LinkError::Closed),
        Err(e) => Err(LinkError::Socket(e)),
    }
}
