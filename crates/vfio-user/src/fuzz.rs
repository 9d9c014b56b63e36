//! Entry points for a fuzzer: arbitrary bytes in, no panic, no unbounded memory. Feature `fuzzing`.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::channel::{MAX_MESSAGE_SIZE, MAX_UNSENT_BYTES};
use crate::wire::Header;
use crate::{
    Client, DeviceInfo, Errno, IrqInfo, Meanwhile, RegionFile, RegionInfo, Reply, Request,
    RequestKind, Session, SparseArea, Token,
};

/// Most bytes that a session may hold for one client: a message coming in, replies going out, and
/// requests that waited for a DMA message, the last of which may go a message beyond their bound.
const MOST_BYTES: usize = 2 * MAX_MESSAGE_SIZE as usize + MAX_UNSENT_BYTES + (4 << 20);
const MOST_FDS: usize = 256 + 16;

/// A view that knows nothing and takes some writes.
struct View;

impl Meanwhile for View {
    fn read(&self, region: u32, _offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        buf.fill(region as u8);
        if region < 9 {
            Ok(())
        } else {
            Err(Errno::INVAL)
        }
    }

    fn try_write(&mut self, region: u32, _offset: u64, _data: &[u8]) -> bool {
        region == 7
    }
}

/// Feeds a server's session with what a hostile client may send, in whatever pieces.
///
/// `data` is a list of steps, each a byte and its arguments: bytes to send as they are, a whole
/// header around bytes, descriptors along with them, a valid `VERSION`, a DMA transfer of the
/// device's, reading the replies.
///
/// # Panics
/// When the session holds more than its bounds allow, or goes on after its end: what a fuzzer looks
/// for.
pub fn session_bytes(data: &[u8]) {
    let Some((mut session, mut peer)) = connect() else {
        return;
    };
    session.set_dma_timeout(Duration::from_micros(200));
    let mut held: Vec<Token> = Vec::new();
    let mut steps = Steps(data);
    while let Some(step) = steps.byte() {
        match step % 8 {
            0 => {
                let bytes = steps.bytes();
                send(&mut peer, bytes);
            }
            1..=3 => {
                let flags = if step & 0x80 == 0 {
                    0
                } else {
                    Header::NO_REPLY
                };
                send_message(&mut peer, &mut steps, flags);
            }
            4 => {
                let count = usize::from(steps.byte().unwrap_or(0)) % 20;
                send_fds(&peer, &mut steps, count);
            }
            5 => send_version(&mut peer, step & 0x80 == 0),
            6 => {
                let mut buf = vec![0; usize::from(steps.byte().unwrap_or(0)) * 16];
                let address = u64::from(steps.byte().unwrap_or(0)) << 56;
                // A reply of the client's to find, as often as not.
                send_message(&mut peer, &mut steps, Header::REPLY);
                let result = if step & 0x80 == 0 {
                    session.dma_read(address, &mut buf, &mut View)
                } else {
                    session.dma_write(address, &buf, &mut View)
                };
                if matches!(result, Err(crate::DmaError::Link(_))) {
                    assert!(session.next_request().is_err());
                }
            }
            _ => while peer.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {},
        }
        pump(&mut session, &mut held, step);
        let (bytes, fds) = session.held();
        assert!(bytes <= MOST_BYTES && fds <= MOST_FDS, "{bytes} {fds}");
    }
    drop(peer);
    for token in held {
        session.reply(token, Ok(Reply::Done));
    }
    // Each call hands something out or brings the end closer.
    for _ in 0..data.len() + 4096 {
        match session.next_request() {
            Ok(Some(request)) => answer(&mut session, request),
            Ok(None) => {}
            Err(error) => {
                assert_eq!(session.next_request().err(), Some(error));
                return;
            }
        }
    }
    panic!("the session outlives its client");
}

/// Feeds a client with what a hostile server may send.
///
/// # Panics
/// When the client does, which is what a fuzzer looks for.
pub fn client_bytes(data: &[u8]) {
    let Ok((ours, mut peer)) = UnixStream::pair() else {
        return;
    };
    if peer.set_nonblocking(true).is_err() {
        return;
    }
    let mut steps = Steps(data);
    let version = version_message(true, Header::REPLY);
    send(&mut peer, &version);
    let mut id = 1u16;
    while let Some(step) = steps.byte() {
        let Some(command) = steps.byte() else { break };
        let payload = steps.bytes();
        let flags = match step % 8 {
            0 => 0,
            1 => Header::REPLY | Header::ERROR,
            _ => Header::REPLY,
        };
        send(
            &mut peer,
            &header_around(id, u16::from(command % 20), flags, payload),
        );
        if flags & Header::TYPE == Header::REPLY {
            id += 1;
        }
    }
    drop(peer);
    let Ok(mut client) = Client::with_timeout(ours, Duration::from_millis(1)) else {
        return;
    };
    let _ = client.device_info();
    for index in 0..9 {
        if let Ok(region) = client.region_info(index) {
            for area in region.areas {
                assert!(area.offset + area.size <= region.size);
            }
        }
        let _ = client.region_read(index, 0, &mut [0; 64]);
        let _ = client.irq_info(index);
    }
    let _ = client.service();
}

fn connect() -> Option<(Session, UnixStream)> {
    let (ours, peer) = UnixStream::pair().ok()?;
    // A full socket must not stop the one thread that empties it.
    peer.set_nonblocking(true).ok()?;
    Some((Session::new(ours).ok()?, peer))
}

/// Hands out and answers what there is, or keeps some of it unanswered.
fn pump(session: &mut Session, held: &mut Vec<Token>, step: u8) {
    while let Ok(Some(request)) = session.next_request() {
        if step & 0x40 != 0 && held.len() < 8 {
            held.push(request.token);
        } else {
            answer(session, request);
        }
    }
}

fn answer(session: &mut Session, request: Request) {
    let buffer;
    let areas = [SparseArea {
        offset: 0x1000,
        size: 0x1000,
    }; 3];
    let Ok((file, _)) = UnixStream::pair() else {
        return;
    };
    let reply = match &request.kind {
        RequestKind::DeviceInfo => Ok(Reply::DeviceInfo(DeviceInfo {
            resettable: true,
            num_regions: 9,
            num_irqs: 5,
        })),
        RequestKind::RegionInfo { index: 0 } => Ok(Reply::RegionInfo(RegionInfo {
            size: 0x4000,
            readable: true,
            writable: true,
            file: Some(RegionFile {
                fd: file.as_fd(),
                offset: 0,
                areas: &areas,
            }),
        })),
        RequestKind::RegionInfo { index } if *index < 9 => {
            Ok(Reply::RegionInfo(RegionInfo::default()))
        }
        RequestKind::IrqInfo { .. } => Ok(Reply::IrqInfo(IrqInfo::default())),
        RequestKind::RegionRead { offset, count, .. } => {
            assert!(*count <= session.max_data_xfer_size() as usize);
            assert!(offset.checked_add(*count as u64).is_some());
            buffer = vec![0; *count];
            Ok(Reply::Data(&buffer))
        }
        RequestKind::RegionWrite { offset, data, .. } => {
            assert!(offset.checked_add(data.len() as u64).is_some());
            Ok(Reply::Done)
        }
        RequestKind::DmaMap(map) => {
            assert!(map.address.checked_add(map.size - 1).is_some());
            Ok(Reply::Done)
        }
        RequestKind::SetIrqs(set) => {
            assert!(set.start.checked_add(set.count).is_some());
            Err(Errno::INVAL)
        }
        _ => Ok(Reply::Done),
    };
    session.reply(request.token, reply);
}

fn header_around(id: u16, command: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        id,
        command: crate::wire::Command(command),
        size: (Header::SIZE + payload.len()) as u32,
        flags,
        error: 0,
    };
    [&header.encode(), payload].concat()
}

fn version_message(json: bool, flags: u32) -> Vec<u8> {
    let data: &[u8] = if json {
        b"\0\0\x01\0{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":64}}\0"
    } else {
        &[0; 4]
    };
    header_around(0, 1, flags, data)
}

fn send_version(peer: &mut UnixStream, json: bool) {
    send(peer, &version_message(json, 0));
}

/// Sends a well-formed header around arbitrary bytes: those that get past the framing.
fn send_message(peer: &mut UnixStream, steps: &mut Steps<'_>, flags: u32) {
    let (Some(id), Some(command)) = (steps.byte(), steps.byte()) else {
        return;
    };
    let payload = steps.bytes();
    let message = header_around(u16::from(id % 4), u16::from(command % 20), flags, payload);
    send(peer, &message);
}

fn send_fds(peer: &UnixStream, steps: &mut Steps<'_>, count: usize) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let command = u16::from(steps.byte().unwrap_or(0));
    let message = header_around(0, command % 20, 0, steps.bytes());
    // Not the peer itself: a session that holds it, for a message of which the rest never comes,
    // would keep its own client alive.
    let Ok((file, _)) = UnixStream::pair() else {
        return;
    };
    let fds = vec![file.as_fd(); count];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if count > 0 {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let _ = sendmsg(
        peer,
        &[std::io::IoSlice::new(&message)],
        &mut control,
        SendFlags::NOSIGNAL,
    );
}

fn send(peer: &mut UnixStream, bytes: &[u8]) {
    // What doesn't fit is lost, and the stream then out of step: that is the session's to bear.
    let _ = peer.write(bytes);
}

/// The input, taken apart.
struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Bytes with their number in front; fewer at the end.
    fn bytes(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DmaMapRequest, RegionAccess, SetIrqsRequest, SingleWrite, WriteMulti};

    /// xorshift64*: the same inputs in every run.
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            value as usize % bound
        }
    }

    fn message_step(step: u8, id: u8, command: u8, payload: &[u8]) -> Vec<u8> {
        [&[step, id, command, payload.len() as u8], payload].concat()
    }

    /// Sound conversations, to be damaged.
    fn seeds() -> Vec<Vec<u8>> {
        let access = RegionAccess {
            offset: 0x14,
            region: 0,
            count: 4,
        };
        let write = [&access.encode()[..], &[1, 2, 3, 4]].concat();
        let map = DmaMapRequest {
            argsz: 32,
            flags: 3,
            offset: 0,
            address: 0x1000,
            size: 0x1000,
        };
        let irqs = SetIrqsRequest {
            argsz: 20,
            flags: 0x24,
            index: 2,
            start: 0,
            count: 2,
        };
        let single = SingleWrite {
            count: 8,
            ..Default::default()
        };
        let multi = [
            &WriteMulti { wr_cnt: 2 }.encode()[..],
            &single.encode(),
            &single.encode(),
        ]
        .concat();
        let version = vec![5];
        let info = [&4096u32.to_ne_bytes()[..], &[0; 28]].concat();
        let irqs_with_fds = [&[4, 2, 8, 20][..], &irqs.encode()].concat();
        let map_with_fd = [&[4, 1, 2, 32][..], &map.encode()].concat();
        // A read of 16 bytes from 0x0100…, answered.
        let reply = [
            &(1u64 << 56).to_ne_bytes()[..],
            &16u64.to_ne_bytes(),
            &[7; 16],
        ]
        .concat();
        let dma_read = [&[6, 1, 1][..], &[0, 11, 32], &reply].concat();
        vec![
            version.clone(),
            [&version, &message_step(1, 1, 9, &access.encode())[..], &[7]].concat(),
            [
                &version[..],
                &message_step(1, 1, 10, &write),
                &message_step(0x81, 2, 15, &multi),
            ]
            .concat(),
            [
                &version[..],
                &message_step(1, 1, 5, &info),
                &message_step(2, 2, 4, &info[..16]),
            ]
            .concat(),
            [
                &version[..],
                &map_with_fd,
                &irqs_with_fds,
                &message_step(3, 3, 13, &[]),
            ]
            .concat(),
            [
                &version[..],
                &message_step(0x41, 1, 10, &write),
                &dma_read,
                &message_step(1, 1, 9, &access.encode()),
            ]
            .concat(),
            [&[0x85][..], &dma_read, &[0, 3, 1, 2, 3]].concat(),
        ]
    }

    fn damaged(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
        let mut data = seeds[rng.below(seeds.len())].clone();
        if rng.below(2) == 0 {
            data.extend_from_slice(&seeds[rng.below(seeds.len())]);
        }
        for _ in 0..rng.below(6) {
            let at = rng.below(data.len());
            match rng.below(6) {
                0 => data[at] = rng.below(256) as u8,
                1 => data[at] ^= 1 << rng.below(8),
                2 => drop(data.remove(at)),
                // A whole field at its greatest value.
                4 => data[at..].iter_mut().take(8).for_each(|byte| *byte = 0xff),
                3 => data.insert(at, [0, 1, 0x7f, 0x80, 0xff][rng.below(5)]),
                _ => data.truncate(at + 1),
            }
            if data.is_empty() {
                data.push(0);
            }
        }
        data
    }

    #[test]
    fn sessions_bear_damaged_conversations() {
        let mut rng = Rng(0x5eed);
        let seeds = seeds();
        for seed in &seeds {
            session_bytes(seed);
        }
        for _ in 0..5000 {
            session_bytes(&damaged(&seeds, &mut rng));
        }
    }

    #[test]
    fn clients_bear_damaged_servers() {
        let mut rng = Rng(0xc11e);
        let mut region = vec![2, 5, 80];
        let file = UnixStream::pair().unwrap().0;
        let info = RegionInfo {
            size: 0x4000,
            readable: true,
            writable: true,
            file: Some(RegionFile {
                fd: file.as_fd(),
                offset: 0,
                areas: &[SparseArea {
                    offset: 0x1000,
                    size: 0x1000,
                }; 2],
            }),
        };
        info.encode(0, 4096, 16, &mut region);
        let device = [&[2, 4, 16][..], &[0; 16]].concat();
        let dma = [&[0, 11, 16][..], &[0; 8], &64u64.to_ne_bytes()].concat();
        let seeds = [
            device.clone(),
            [&device[..], &region].concat(),
            [&device[..], &dma, &region].concat(),
        ];
        for _ in 0..2000 {
            client_bytes(&damaged(&seeds, &mut rng));
        }
    }
}
