//! The client's end: a driver, or the tests of a server.

mod region;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

pub use self::region::{MappableArea, Region};

use crate::MAX_MSG_FDS;
use crate::channel::{Channel, Deadline, LinkError, Message, Received};
use crate::info::{DeviceInfo, IrqInfo};
use crate::request::IrqAction;
use crate::version::{self, Capabilities, Version};
use crate::wire::{
    Command, DeviceInfoLayout, DmaAccess, DmaMapRequest, DmaUnmapRequest, Header, IrqInfoLayout,
    RegionAccess, RegionInfoLayout, SetIrqsRequest,
};

/// How long a reply may take unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to a server's device. Calls block until the reply comes, at most for the timeout,
/// and serve the server's DMA messages meanwhile.
pub struct Client {
    channel: Channel,
    server: Version,
    max_xfer: u32,
    next_id: u16,
    timeout: Duration,
    dma: Option<Box<dyn DmaHandler + Send>>,
    over: Option<LinkError>,
}

/// Client memory, for a server that has no file to map it from.
pub trait DmaHandler {
    /// Fills `buf` from `address` on.
    ///
    /// # Errors
    /// The server gets the errno.
    fn read(&mut self, address: u64, buf: &mut [u8]) -> Result<(), Errno>;

    /// Stores `data` at `address`.
    ///
    /// # Errors
    /// The server gets the errno.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno>;
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no server at the path.
    #[error("could not connect: {0}")]
    Connect(#[source] io::Error),
    /// The server refused; the connection goes on.
    #[error("the server refused: {0}")]
    Refused(Errno),
    /// The caller asks for more than a message can carry; nothing was sent.
    #[error("more than a message can carry")]
    TooLarge,
    /// The connection is of no more use: every later call fails too.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What to do with interrupts, for [`Client::set_irqs`].
#[derive(Clone, Copy, Debug)]
pub enum IrqSet<'a> {
    /// Do the action on this many. A count of 0 from 0 on disables the type.
    Count(u32),
    /// Do the action on those that are true.
    Bool(&'a [bool]),
    /// Have these signalled when the action happens.
    EventFds(&'a [BorrowedFd<'a>]),
    /// Stop signalling for this many.
    Deassign(u32),
}

impl Client {
    /// Connects to the server at `path` and negotiates.
    ///
    /// # Errors
    /// [`ClientError::Connect`]; or the negotiation's.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::new(UnixStream::connect(path).map_err(ClientError::Connect)?)
    }

    /// Negotiates on a connected socket.
    ///
    /// # Errors
    /// When the server refuses, answers nonsense or not in time.
    pub fn new(stream: UnixStream) -> Result<Self, ClientError> {
        Self::with_timeout(stream, DEFAULT_TIMEOUT)
    }

    /// Like [`new`](Self::new), with another timeout than 5 s from the beginning.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_timeout(stream: UnixStream, timeout: Duration) -> Result<Self, ClientError> {
        let ours = Version {
            major: version::MAJOR,
            minor: version::MINOR,
            capabilities: Some(Capabilities::ours()),
        };
        let mut client = Self {
            channel: Channel::new(OwnedFd::from(stream)).map_err(LinkError::Socket)?,
            max_xfer: Capabilities::default().common_xfer_size(),
            server: ours.clone(),
            next_id: 0,
            timeout,
            dma: None,
            over: None,
        };
        let reply = client.ask(Command::VERSION, &ours.encode(), &[], &[])?;
        client.server = Version::decode(&reply.payload)
            .map_err(|_| client.end(LinkError::Protocol("unacceptable version")))?;
        client.max_xfer = client.server_capabilities().common_xfer_size();
        Ok(client)
    }

    /// What the server said of itself.
    pub fn server_version(&self) -> &Version {
        &self.server
    }

    /// The most bytes of one region access.
    pub fn max_data_xfer_size(&self) -> u32 {
        self.max_xfer
    }

    /// Sets how long each call may take. Default 5 s.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sets what answers the server's DMA messages. Without one they fail with `EFAULT`.
    pub fn set_dma_handler(&mut self, handler: impl DmaHandler + Send + 'static) {
        self.dma = Some(Box::new(handler));
    }

    /// What the device is.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub fn device_info(&mut self) -> Result<DeviceInfo, ClientError> {
        let request = DeviceInfoLayout {
            argsz: DeviceInfoLayout::SIZE as u32,
            ..Default::default()
        };
        let reply = self.ask(Command::DEVICE_GET_INFO, &request.encode(), &[], &[])?;
        match DeviceInfoLayout::decode(&reply.payload) {
            Some(raw) => Ok(DeviceInfo::from_wire(&raw)),
            None => Err(self.nonsense()),
        }
    }

    /// What one of its interrupt types is.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub fn irq_info(&mut self, index: u32) -> Result<IrqInfo, ClientError> {
        let request = IrqInfoLayout {
            argsz: IrqInfoLayout::SIZE as u32,
            index,
            ..Default::default()
        };
        let reply = self.ask(Command::DEVICE_GET_IRQ_INFO, &request.encode(), &[], &[])?;
        match IrqInfoLayout::decode(&reply.payload) {
            Some(raw) => Ok(IrqInfo::from_wire(&raw)),
            None => Err(self.nonsense()),
        }
    }

    /// What one of its regions is, and which parts of it may be mapped.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub fn region_info(&mut self, index: u32) -> Result<Region, ClientError> {
        let request = RegionInfoLayout {
            argsz: region::ARGSZ,
            index,
            ..Default::default()
        };
        let reply = self.ask(Command::DEVICE_GET_REGION_INFO, &request.encode(), &[], &[])?;
        Region::from_reply(reply).ok_or_else(|| self.nonsense())
    }

    /// Reads from a region.
    ///
    /// # Errors
    /// [`ClientError::TooLarge`] above [`max_data_xfer_size`](Self::max_data_xfer_size); the
    /// server's, or the connection's.
    pub fn region_read(
        &mut self,
        region: u32,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<(), ClientError> {
        let access = self.access(region, offset, buf.len())?;
        let reply = self.ask(Command::REGION_READ, &access.encode(), &[], &[])?;
        match reply.payload.split_at_checked(RegionAccess::SIZE) {
            Some((_, data)) if data.len() == buf.len() => {
                buf.copy_from_slice(data);
                Ok(())
            }
            _ => Err(self.nonsense()),
        }
    }

    /// Writes to a region and waits until the server has taken it.
    ///
    /// # Errors
    /// As for [`region_read`](Self::region_read).
    pub fn region_write(
        &mut self,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), ClientError> {
        let access = self.access(region, offset, data.len())?;
        self.ask(Command::REGION_WRITE, &access.encode(), data, &[])?;
        Ok(())
    }

    /// Writes to a region without a reply: returns when the message is on its way.
    ///
    /// # Errors
    /// [`ClientError::TooLarge`], or the connection's; the server's stay unknown.
    pub fn region_write_posted(
        &mut self,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), ClientError> {
        let access = self.access(region, offset, data.len())?;
        let fixed = access.encode();
        let deadline = Deadline::after(self.timeout);
        self.guard(|client| {
            client.send(Command::REGION_WRITE, Header::NO_REPLY, &fixed, data, &[])?;
            while client.channel.has_unsent() {
                client.step(deadline)?;
            }
            Ok(())
        })
    }

    /// Makes a range of this process's memory known to the device.
    ///
    /// With `file` (and the range's offset in it) the server may map it; without, it sends DMA
    /// messages, which [`set_dma_handler`](Self::set_dma_handler)'s answers.
    ///
    /// # Errors
    /// The server's (`EEXIST` for an overlap), or the connection's.
    pub fn dma_map(
        &mut self,
        address: u64,
        size: u64,
        file: Option<(BorrowedFd<'_>, u64)>,
    ) -> Result<(), ClientError> {
        let request = DmaMapRequest {
            argsz: DmaMapRequest::SIZE as u32,
            flags: DmaMapRequest::READABLE | DmaMapRequest::WRITABLE,
            offset: file.map_or(0, |(_, offset)| offset),
            address,
            size,
        };
        let fd = file.map(|(fd, _)| fd);
        self.ask(Command::DMA_MAP, &request.encode(), &[], fd.as_slice())?;
        Ok(())
    }

    /// Takes a range back. When it returns, the device doesn't use it any more.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub fn dma_unmap(&mut self, address: u64, size: u64) -> Result<(), ClientError> {
        self.unmap(0, address, size)
    }

    /// Takes all ranges back.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub fn dma_unmap_all(&mut self) -> Result<(), ClientError> {
        self.unmap(DmaUnmapRequest::ALL, 0, 0)
    }

    fn unmap(&mut self, flags: u32, address: u64, size: u64) -> Result<(), ClientError> {
        let request = DmaUnmapRequest {
            argsz: DmaUnmapRequest::SIZE as u32,
            flags,
            address,
            size,
        };
        self.ask(Command::DMA_UNMAP, &request.encode(), &[], &[])?;
        Ok(())
    }

    /// Connects, triggers, masks or unmasks interrupts from `start` on. More descriptors than the
    /// server takes in a message go in several.
    ///
    /// # Errors
    /// [`ClientError::TooLarge`] for booleans beyond a message, the server's, or the connection's.
    /// Of several messages, those before the failed one have taken effect.
    pub fn set_irqs(
        &mut self,
        index: u32,
        start: u32,
        action: IrqAction,
        set: IrqSet<'_>,
    ) -> Result<(), ClientError> {
        let action = match action {
            IrqAction::Mask => SetIrqsRequest::ACTION_MASK,
            IrqAction::Unmask => SetIrqsRequest::ACTION_UNMASK,
            IrqAction::Trigger => SetIrqsRequest::ACTION_TRIGGER,
        };
        let batch = self.server_capabilities().max_msg_fds as usize;
        let batch = batch.clamp(1, MAX_MSG_FDS);
        let mut send = |data, start, count, values: &[u8], fds: &[BorrowedFd<'_>]| {
            let request = SetIrqsRequest {
                argsz: (SetIrqsRequest::SIZE + values.len()) as u32,
                flags: action | data,
                index,
                start,
                count,
            };
            self.ask(Command::DEVICE_SET_IRQS, &request.encode(), values, fds)
        };
        match set {
            IrqSet::Count(count) => {
                send(SetIrqsRequest::DATA_NONE, start, count, &[], &[])?;
            }
            IrqSet::Deassign(count) => {
                send(SetIrqsRequest::DATA_EVENTFD, start, count, &[], &[])?;
            }
            IrqSet::Bool(values) => {
                if values.len() > Capabilities::default().common_xfer_size() as usize {
                    return Err(ClientError::TooLarge);
                }
                let values: Vec<u8> = values.iter().map(|&value| u8::from(value)).collect();
                let count = values.len() as u32;
                send(SetIrqsRequest::DATA_BOOL, start, count, &values, &[])?;
            }
            IrqSet::EventFds(fds) => {
                let mut at = start;
                for fds in fds.chunks(batch) {
                    let count = fds.len() as u32;
                    send(SetIrqsRequest::DATA_EVENTFD, at, count, &[], fds)?;
                    at = at.checked_add(count).ok_or(ClientError::TooLarge)?;
                }
            }
        }
        Ok(())
    }

    /// Resets the device.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub fn reset(&mut self) -> Result<(), ClientError> {
        self.ask(Command::DEVICE_RESET, &[], &[], &[])?;
        Ok(())
    }

    /// Answers the DMA messages that have come, without blocking: for a client that waits on
    /// something else, e.g. an interrupt, and polls the descriptor ([`AsFd`]).
    ///
    /// # Errors
    /// The connection's.
    pub fn service(&mut self) -> Result<(), ClientError> {
        self.guard(|client| {
            client.channel.flush()?;
            while let Some(message) = client.receive()? {
                client.serve(message)?;
            }
            Ok(())
        })
    }

    fn server_capabilities(&self) -> Capabilities {
        self.server.capabilities.clone().unwrap_or_default()
    }

    fn access(&self, region: u32, offset: u64, count: usize) -> Result<RegionAccess, ClientError> {
        let count = u32::try_from(count).map_err(|_| ClientError::TooLarge)?;
        if count > self.max_xfer {
            return Err(ClientError::TooLarge);
        }
        Ok(RegionAccess {
            offset,
            region,
            count,
        })
    }

    /// Sends a command and waits for its reply.
    fn ask(
        &mut self,
        command: Command,
        fixed: &[u8],
        data: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Message, ClientError> {
        let deadline = Deadline::after(self.timeout);
        let reply = self.guard(|client| {
            let id = client.send(command, 0, fixed, data, fds)?;
            loop {
                if let Some(message) = client.step(deadline)? {
                    let header = &message.header;
                    if header.id == id && header.command == command {
                        return Ok(message);
                    }
                    return Err(LinkError::Protocol("reply to nothing"));
                }
            }
        })?;
        match reply.header.reply_error() {
            None => Ok(reply),
            Some(errno) => Err(ClientError::Refused(errno)),
        }
    }

    fn send(
        &mut self,
        command: Command,
        flags: u32,
        fixed: &[u8],
        data: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<u16, LinkError> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let header = Header {
            id,
            command,
            size: (Header::SIZE + fixed.len() + data.len()) as u32,
            flags,
            error: 0,
        };
        self.channel
            .send(&[&header.encode(), fixed].concat(), data, fds)?;
        Ok(id)
    }

    /// Does one thing: returns a reply that has come, serves a command, or waits.
    fn step(&mut self, deadline: Deadline) -> Result<Option<Message>, LinkError> {
        self.channel.flush()?;
        match self.receive()? {
            None => self.channel.wait(deadline)?,
            Some(message) if message.header.is_reply() => return Ok(Some(message)),
            Some(message) => {
                self.serve(message)?;
                if deadline.is_over() {
                    return Err(LinkError::TimedOut);
                }
            }
        }
        Ok(None)
    }

    fn receive(&mut self) -> Result<Option<Message>, LinkError> {
        match self.channel.receive()? {
            Received::Nothing => Ok(None),
            Received::Message(message) => Ok(Some(message)),
            Received::BadSize(_) => Err(LinkError::Protocol("impossible message size")),
        }
    }

    /// Answers a command of the server's.
    fn serve(&mut self, message: Message) -> Result<(), LinkError> {
        let header = message.header;
        if !header.is_command() {
            return Err(LinkError::Protocol("reply to nothing"));
        }
        let (fixed, data, error) = match self.dma(&header, &message.payload) {
            Ok((access, data)) => (access.encode().to_vec(), data, 0),
            Err(errno) => (Vec::new(), Vec::new(), errno.raw_os_error() as u32),
        };
        if header.flags & Header::NO_REPLY != 0 {
            return Ok(());
        }
        let reply = Header {
            size: (Header::SIZE + fixed.len() + data.len()) as u32,
            flags: Header::REPLY | if error != 0 { Header::ERROR } else { 0 },
            error,
            ..header
        };
        self.channel
            .send(&[&reply.encode()[..], &fixed].concat(), &data, &[])
    }

    /// Does what a DMA message asks; returns its reply's fixed part and data.
    fn dma(&mut self, header: &Header, payload: &[u8]) -> Result<(DmaAccess, Vec<u8>), Errno> {
        if !matches!(header.command, Command::DMA_READ | Command::DMA_WRITE) {
            return Err(Errno::NOSYS);
        }
        let access = DmaAccess::decode(payload).ok_or(Errno::INVAL)?;
        if access.count > u64::from(self.max_xfer) {
            return Err(Errno::TOOBIG);
        }
        let handler = self.dma.as_mut().ok_or(Errno::FAULT)?;
        if header.command == Command::DMA_READ {
            let mut data = vec![0; access.count as usize];
            handler.read(access.address, &mut data)?;
            Ok((access, data))
        } else {
            let data = &payload[DmaAccess::SIZE..];
            if data.len() as u64 != access.count {
                return Err(Errno::INVAL);
            }
            handler.write(access.address, data)?;
            Ok((access, Vec::new()))
        }
    }

    /// Runs `f` unless the connection is over; its error ends the connection.
    fn guard<T>(
        &mut self,
        f: impl FnOnce(&mut Self) -> Result<T, LinkError>,
    ) -> Result<T, ClientError> {
        if let Some(error) = self.over {
            return Err(error.into());
        }
        f(self).map_err(|error| self.end(error))
    }

    fn nonsense(&mut self) -> ClientError {
        self.end(LinkError::Protocol("reply that doesn't fit its command"))
    }

    fn end(&mut self, error: LinkError) -> ClientError {
        (*self.over.get_or_insert(error)).into()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
