//! The server's end of one connection.

mod dma;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;

pub use self::dma::{DmaError, Meanwhile};
use self::dma::{DmaLayout, DmaPeer};
use crate::MAX_MSG_FDS;
use crate::channel::{Channel, LinkError, Message, Received};
use crate::info::{DeviceInfo, IrqInfo, RegionInfo};
use crate::request::{self, Answer, Request, Token};
use crate::version::{self, Capabilities, Version};
use crate::wire::{Command, Header};

/// Messages that [`Session::next_request`] answers by itself in one call, before it lets its caller
/// go on: a client must not be able to keep the device's thread here.
const MAX_INTERNAL_ANSWERS: usize = 32;

/// How long [`Session::dma_read`] and [`Session::dma_write`] wait unless told otherwise. QEMU gives
/// up on its own requests after the same time.
const DEFAULT_DMA_TIMEOUT: Duration = Duration::from_secs(5);

/// One client's connection to a device.
///
/// The owner calls [`next_request`](Self::next_request) until it returns `None` — between two looks
/// at the doorbells, or after polling the descriptor ([`AsFd`]) — and answers each request with
/// [`reply`](Self::reply), at once or later. `VERSION`, malformed, unknown and unsupported messages
/// are answered inside and never seen outside.
///
/// After the first [`LinkError`] the session is over: every call reports it again, and what the
/// client was owed isn't sent. The owner then drops the session, forgets the client's memory and
/// interrupt descriptors, and keeps the device's own state ("Client Disconnection").
pub struct Session {
    channel: Channel,
    /// `None` until negotiated.
    client: Option<Version>,
    max_xfer: u32,
    /// Decoded and not yet handed out, oldest first. Long only after DMA messages.
    queue: VecDeque<Request>,
    /// The first error among the parts of a REGION_WRITE_MULTI under way.
    multi_error: Option<Errno>,
    dma: DmaPeer,
    over: Option<LinkError>,
    /// A reply's head is built here.
    scratch: Vec<u8>,
}

/// What the device answers; which one fits is said at [`crate::RequestKind`].
#[derive(Clone, Copy, Debug)]
pub enum Reply<'a> {
    /// It is done.
    Done,
    /// What was read; as long as was asked for.
    Data(&'a [u8]),
    /// The device.
    DeviceInfo(DeviceInfo),
    /// The region.
    RegionInfo(RegionInfo<'a>),
    /// The interrupt type.
    IrqInfo(IrqInfo),
}

impl Session {
    /// Begins a session on a connected socket, which becomes nonblocking.
    ///
    /// # Errors
    /// When the socket can't be made nonblocking.
    pub fn new(stream: UnixStream) -> Result<Self, Errno> {
        Ok(Self {
            channel: Channel::new(OwnedFd::from(stream))?,
            client: None,
            max_xfer: Capabilities::default().common_xfer_size(),
            queue: VecDeque::new(),
            multi_error: None,
            dma: DmaPeer {
                next_id: 0,
                given_up: VecDeque::new(),
                layout: DmaLayout::Unknown,
                timeout: DEFAULT_DMA_TIMEOUT,
            },
            over: None,
            scratch: Vec::new(),
        })
    }

    /// What the client said of itself; `None` until it did. It did before the first request.
    pub fn client_version(&self) -> Option<&Version> {
        self.client.as_ref()
    }

    /// The most bytes of one transfer in either direction, as negotiated.
    pub fn max_data_xfer_size(&self) -> u32 {
        self.max_xfer
    }

    /// Sets how long one [`dma_read`](Self::dma_read) or [`dma_write`](Self::dma_write) may take.
    /// Default 5 s.
    pub fn set_dma_timeout(&mut self, timeout: Duration) {
        self.dma.timeout = timeout;
    }

    /// Whether replies wait for the client to read. Until it does, no request is handed out: poll
    /// the descriptor for output then, and else for input.
    pub fn wants_write(&self) -> bool {
        self.channel.has_unsent()
    }

    /// The next request; `None` when none has come, or when the client must read its replies first.
    /// Never blocks.
    ///
    /// Requests come in the client's order. Those that had to wait for a DMA message come before
    /// newer ones, and the descriptor doesn't poll as readable for them: call until `None` before
    /// polling.
    ///
    /// # Errors
    /// The connection is of no more use; see [`Session`].
    pub fn next_request(&mut self) -> Result<Option<Request>, LinkError> {
        if let Some(error) = self.over {
            return Err(error);
        }
        let result = self.find_request();
        if let Err(error) = result {
            self.end(error);
        }
        result
    }

    fn find_request(&mut self) -> Result<Option<Request>, LinkError> {
        for _ in 0..MAX_INTERNAL_ANSWERS {
            if !self.channel.flush()? {
                return Ok(None);
            }
            if let Some(request) = self.queue.pop_front() {
                return Ok(Some(request));
            }
            let Some(message) = self.receive()? else {
                return Ok(None);
            };
            if message.header.is_reply() {
                self.discard(&message.header)?;
            } else {
                self.accept(message)?;
            }
        }
        // The last message may have been a request: the descriptor would not poll as readable for
        // it any more.
        match self.channel.flush()? {
            true => Ok(self.queue.pop_front()),
            false => Ok(None),
        }
    }

    fn receive(&mut self) -> Result<Option<Message>, LinkError> {
        match self.channel.receive()? {
            Received::Nothing => Ok(None),
            Received::Message(message) => Ok(Some(message)),
            Received::BadSize(header) => {
                self.refuse(&header, Errno::MSGSIZE)?;
                Err(LinkError::Protocol("impossible message size"))
            }
        }
    }

    /// Takes a message that isn't a reply: what it asks of the device goes to the queue, the rest
    /// is answered.
    fn accept(&mut self, message: Message) -> Result<(), LinkError> {
        let header = message.header;
        let decoded = if !header.is_command() {
            Err(Errno::INVAL)
        } else if self.client.is_none() {
            return self.negotiate(&message);
        } else {
            request::decode(message, self.max_xfer, &mut self.queue)
        };
        match decoded {
            Ok(()) => Ok(()),
            Err(errno) => self.refuse(&header, errno),
        }
    }

    /// "Version": the first message, which must be nothing else.
    fn negotiate(&mut self, message: &Message) -> Result<(), LinkError> {
        let header = &message.header;
        if header.command != Command::VERSION {
            self.refuse(header, Errno::INVAL)?;
            return Err(LinkError::Protocol("no version first"));
        }
        let client = match Version::decode(&message.payload) {
            Ok(client) => client,
            Err(errno) => {
                self.refuse(header, errno)?;
                return Err(LinkError::Protocol("unacceptable version"));
            }
        };
        let theirs = client.capabilities.clone().unwrap_or_default();
        self.max_xfer = theirs.common_xfer_size();
        // A client without capabilities still gets ours: there are clients that can't do without.
        let ours = Version {
            major: version::MAJOR,
            minor: client.minor.min(version::MINOR),
            capabilities: Some(Capabilities {
                max_data_xfer_size: u64::from(self.max_xfer),
                write_multiple: theirs.write_multiple,
                ..Capabilities::ours()
            }),
        };
        self.client = Some(client);
        let head = reply_header(header.id, header.command, None);
        self.send_head(head, &ours.encode())
    }

    /// Answers a request. An `Err` reaches the client as the errno. Errors of the connection are
    /// reported by the next [`next_request`](Self::next_request).
    ///
    /// A reply that doesn't fit the request ([`crate::RequestKind`]) is the device's mistake: the
    /// client gets `EIO`.
    pub fn reply(&mut self, token: Token, result: Result<Reply<'_>, Errno>) {
        if self.over.is_none()
            && let Err(error) = self.send_reply(&token, result)
        {
            self.end(error);
        }
    }

    fn send_reply(
        &mut self,
        token: &Token,
        result: Result<Reply<'_>, Errno>,
    ) -> Result<(), LinkError> {
        let result = match token.answer {
            Answer::Silent => return Ok(()),
            Answer::WriteMultiPart => {
                if let Err(errno) = result {
                    self.multi_error.get_or_insert(errno);
                }
                return Ok(());
            }
            Answer::WriteMultiLast(_) => match self.multi_error.take() {
                Some(errno) => Err(errno),
                None => result,
            },
            _ => result,
        };
        let mut head = mem::take(&mut self.scratch);
        head.clear();
        head.extend_from_slice(&[0; Header::SIZE]);
        let max_fds = self.max_client_fds();
        let mut data: &[u8] = &[];
        let mut file = None;
        let mut num_fds = 0;
        let mut error = None;
        match (token.answer, result) {
            (Answer::Header, Ok(Reply::Done)) => {}
            (Answer::Read(access), Ok(Reply::Data(bytes)))
                if bytes.len() == access.count as usize =>
            {
                head.extend_from_slice(&access.encode());
                data = bytes;
            }
            (Answer::Write(access), Ok(Reply::Done)) => head.extend_from_slice(&access.encode()),
            (Answer::WriteMultiLast(all), Ok(Reply::Done)) => head.extend_from_slice(&all.encode()),
            (Answer::Unmap(raw), Ok(Reply::Done)) => head.extend_from_slice(&raw.encode()),
            (Answer::DeviceInfo, Ok(Reply::DeviceInfo(info))) => {
                head.extend_from_slice(&info.to_wire().encode());
            }
            (Answer::IrqInfo { index }, Ok(Reply::IrqInfo(info))) => {
                head.extend_from_slice(&info.to_wire(index).encode());
            }
            (Answer::RegionInfo { index, argsz }, Ok(Reply::RegionInfo(info))) => {
                num_fds = info.encode(index, argsz, max_fds, &mut head);
                file = info.file.map(|file| file.fd);
            }
            (_, Err(errno)) => error = Some(errno),
            _ => error = Some(Errno::IO),
        }
        let mut header = reply_header(token.id, token.command, error);
        header.size = (head.len() + data.len()) as u32;
        head[..Header::SIZE].copy_from_slice(&header.encode());
        let sent = match file {
            Some(fd) => self
                .channel
                .send(&head, data, &[fd; MAX_MSG_FDS][..num_fds]),
            None => self.channel.send(&head, data, &[]),
        };
        self.scratch = head;
        sent
    }

    /// Answers a message with an error, unless it wants no reply.
    fn refuse(&mut self, header: &Header, errno: Errno) -> Result<(), LinkError> {
        if header.flags & Header::NO_REPLY != 0 {
            return Ok(());
        }
        self.send_head(reply_header(header.id, header.command, Some(errno)), &[])
    }

    fn send_head(&mut self, mut header: Header, payload: &[u8]) -> Result<(), LinkError> {
        header.size = (Header::SIZE + payload.len()) as u32;
        self.channel.send(&header.encode(), payload, &[])
    }

    /// How many descriptors the client takes in one message.
    fn max_client_fds(&self) -> usize {
        let capabilities = self.client.as_ref().and_then(|c| c.capabilities.as_ref());
        capabilities.map_or(1, |c| (c.max_msg_fds as usize).min(MAX_MSG_FDS))
    }

    fn end(&mut self, error: LinkError) {
        self.over.get_or_insert(error);
        // Descriptors and data of requests that nobody is going to see.
        self.queue.clear();
    }

    /// Bytes and descriptors held for this client.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn held(&self) -> (usize, usize) {
        let (bytes, fds) = dma::weight(&self.queue);
        (bytes + self.channel.held_bytes(), fds)
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// A reply's header; its size is that of a bare header.
fn reply_header(id: u16, command: Command, error: Option<Errno>) -> Header {
    Header {
        id,
        command,
        size: Header::SIZE as u32,
        flags: Header::REPLY | if error.is_some() { Header::ERROR } else { 0 },
        error: error.map_or(0, |errno| errno.raw_os_error() as u32),
    }
}
