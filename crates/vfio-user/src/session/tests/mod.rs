//! Byte-level tests: a peer that writes whatever it likes, and a session that must stay in step.
//!
//! Both ends are used from one thread; what the peer answers to DMA messages it writes in advance.

mod commands;
mod dma;
mod framing;
mod negotiation;

use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;
use crate::request::RequestKind;
use crate::wire::{RegionAccess, VersionNumbers};

/// The client's end, without a client.
struct Peer {
    /// For receiving; sending is done by hand.
    channel: Channel,
}

impl Peer {
    fn send_with(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        let buffer = [std::io::IoSlice::new(bytes)];
        let sent = sendmsg(&self.channel, &buffer, &mut control, SendFlags::NOSIGNAL).unwrap();
        assert_eq!(sent, bytes.len());
    }

    fn send(&self, bytes: &[u8]) {
        self.send_with(bytes, &[]);
    }

    /// The next message, which must have come.
    fn expect(&mut self) -> Message {
        match self.channel.receive().unwrap() {
            Received::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    fn expect_nothing(&mut self) {
        assert!(matches!(self.channel.receive(), Ok(Received::Nothing)));
    }

    /// The next message must be a reply to `id` without an error; its payload.
    fn expect_reply(&mut self, id: u16, command: Command) -> Vec<u8> {
        let reply = self.expect();
        assert_eq!((reply.header.id, reply.header.command), (id, command));
        assert_eq!((reply.header.flags, reply.header.error), (Header::REPLY, 0));
        reply.payload
    }

    /// The next message must be an error reply to `id`, a bare header.
    fn expect_error(&mut self, id: u16, errno: Errno) {
        let reply = self.expect();
        assert_eq!(reply.header.id, id);
        assert_eq!(reply.header.flags, Header::REPLY | Header::ERROR);
        assert_eq!(reply.header.reply_error(), Some(errno));
        assert!(reply.payload.is_empty());
    }

    fn expect_closed(&mut self) {
        assert_eq!(self.channel.receive().unwrap_err(), LinkError::Closed);
    }
}

/// A message's bytes.
fn message(id: u16, command: Command, flags: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        id,
        command,
        size: (Header::SIZE + payload.len()) as u32,
        flags,
        error: 0,
    };
    [&header.encode(), payload].concat()
}

fn command(id: u16, command: Command, payload: &[u8]) -> Vec<u8> {
    message(id, command, 0, payload)
}

fn access(region: u32, offset: u64, count: u32) -> RegionAccess {
    RegionAccess {
        offset,
        region,
        count,
    }
}

fn read(id: u16, region: u32, offset: u64, count: u32) -> Vec<u8> {
    let payload = access(region, offset, count).encode();
    command(id, Command::REGION_READ, &payload)
}

fn write(id: u16, flags: u32, region: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    let fixed = access(region, offset, data.len() as u32).encode();
    message(id, Command::REGION_WRITE, flags, &[&fixed, data].concat())
}

/// A session and its peer before any message.
fn strangers() -> (Session, Peer) {
    let (a, b) = UnixStream::pair().unwrap();
    let peer = Peer {
        channel: Channel::new(OwnedFd::from(b)).unwrap(),
    };
    (Session::new(a).unwrap(), peer)
}

/// A session and its peer after `VERSION`, with what QEMU says in it.
fn acquainted() -> (Session, Peer) {
    let json = r#"{"capabilities": {"max_msg_fds": 16, "max_data_xfer_size": 1048576,
        "max_dma_maps": 65535, "pgsizes": 4096, "write_multiple": true}}"#;
    acquainted_by(&[json.as_bytes(), b"\0"].concat())
}

fn acquainted_by(data: &[u8]) -> (Session, Peer) {
    let (mut session, mut peer) = strangers();
    let numbers = VersionNumbers { major: 0, minor: 0 };
    peer.send(&command(
        0,
        Command::VERSION,
        &[&numbers.encode(), data].concat(),
    ));
    assert!(session.next_request().unwrap().is_none());
    peer.expect_reply(0, Command::VERSION);
    (session, peer)
}

fn next(session: &mut Session) -> Request {
    session.next_request().unwrap().expect("a request")
}

/// The next request must be a write; its offset and data, and the token.
fn next_write(session: &mut Session) -> (u64, Vec<u8>, Token) {
    let request = next(session);
    match request.kind {
        RequestKind::RegionWrite { offset, data, .. } => (offset, data, request.token),
        other => panic!("{other:?}"),
    }
}

/// The session must still be in step: a read goes through.
fn assert_in_step(session: &mut Session, peer: &mut Peer) {
    peer.send(&read(999, 7, 4, 2));
    let request = next(session);
    assert!(
        matches!(
            request.kind,
            RequestKind::RegionRead {
                region: 7,
                offset: 4,
                count: 2
            }
        ),
        "{request:?}"
    );
    session.reply(request.token, Ok(Reply::Data(&[1, 2])));
    let payload = peer.expect_reply(999, Command::REGION_READ);
    assert_eq!(payload, [&access(7, 4, 2).encode()[..], &[1, 2]].concat());
}

/// A descriptor to send, and the means to see when its last copy is closed.
struct Canary {
    sent: UnixStream,
    kept: UnixStream,
}

impl Canary {
    fn new() -> Self {
        let (sent, kept) = UnixStream::pair().unwrap();
        kept.set_nonblocking(true).unwrap();
        Self { sent, kept }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.sent.as_fd()
    }

    /// Closes this side's copy and tells whether another one is left.
    fn held_elsewhere(mut self) -> bool {
        drop(self.sent);
        self.kept.read(&mut [0]).is_err()
    }
}
