//! Client memory by message. The peer's replies are in the socket before they are asked for, with
//! the ids that they are going to be asked by: 0, 1, 2, …

use super::*;
use crate::request::{DmaUnmap, RequestKind};
use crate::wire::{DmaAccess, DmaMapRequest, DmaUnmapRequest, SingleWrite, WriteMulti};

/// Knows the register at 0x1c of region 0, takes writes to region 7, and unmaps at once.
#[derive(Default)]
struct View {
    taken: Vec<(u64, Vec<u8>)>,
    unmapped: Vec<DmaUnmap>,
}

impl Meanwhile for View {
    fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        if (region, offset) == (0, 0x1c) {
            buf.fill(0x5a);
            Ok(())
        } else {
            Err(Errno::INVAL)
        }
    }

    fn try_write(&mut self, region: u32, offset: u64, data: &[u8]) -> bool {
        if region == 7 {
            self.taken.push((offset, data.to_vec()));
        }
        region == 7
    }

    fn try_request(&mut self, kind: RequestKind) -> Result<Result<(), Errno>, RequestKind> {
        match kind {
            RequestKind::DmaUnmap(DmaUnmap::All) => Ok(Err(Errno::BUSY)),
            RequestKind::DmaUnmap(range) => {
                self.unmapped.push(range);
                Ok(Ok(()))
            }
            kind => Err(kind),
        }
    }
}

fn dma_reply(id: u16, command: Command, payload: &[u8]) -> Vec<u8> {
    message(id, command, Header::REPLY, payload)
}

/// As the specification has it.
fn wide_read_reply(id: u16, address: u64, data: &[u8]) -> Vec<u8> {
    let count = data.len() as u64;
    let fixed = DmaAccess { address, count }.encode();
    dma_reply(id, Command::DMA_READ, &[&fixed[..], data].concat())
}

/// As QEMU has it.
fn narrow_read_reply(id: u16, address: u64, data: &[u8]) -> Vec<u8> {
    let count = (data.len() as u32).to_ne_bytes();
    let payload = [&address.to_ne_bytes()[..], &count, data, &[0; 4]].concat();
    dma_reply(id, Command::DMA_READ, &payload)
}

fn refusal(id: u16, command: Command, errno: Errno) -> Vec<u8> {
    let header = Header {
        id,
        command,
        size: 16,
        flags: Header::REPLY | Header::ERROR,
        error: errno.raw_os_error() as u32,
    };
    header.encode().to_vec()
}

fn expect_dma(peer: &mut Peer, id: u16, command: Command, address: u64, count: u64) -> Vec<u8> {
    let asked = peer.expect();
    assert_eq!((asked.header.id, asked.header.command), (id, command));
    assert_eq!(asked.header.flags, 0);
    let access = DmaAccess::decode(&asked.payload).unwrap();
    assert_eq!((access.address, access.count), (address, count));
    asked.payload[DmaAccess::SIZE..].to_vec()
}

#[test]
fn memory_is_read_in_pieces_of_the_negotiated_size() {
    let (mut session, mut peer) =
        acquainted_by(b"{\"capabilities\":{\"max_data_xfer_size\":64}}\0");
    peer.send(&wide_read_reply(0, 0x1000, &[1; 64]));
    peer.send(&wide_read_reply(1, 0x1040, &[2; 36]));
    let mut buf = [0; 100];
    session
        .dma_read(0x1000, &mut buf, &mut View::default())
        .unwrap();
    assert_eq!(buf[..64], [1; 64]);
    assert_eq!(buf[64..], [2; 36]);
    expect_dma(&mut peer, 0, Command::DMA_READ, 0x1000, 64);
    expect_dma(&mut peer, 1, Command::DMA_READ, 0x1040, 36);
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn memory_is_written_in_pieces_and_an_empty_reply_is_enough() {
    let (mut session, mut peer) =
        acquainted_by(b"{\"capabilities\":{\"max_data_xfer_size\":64}}\0");
    let data: Vec<u8> = (0..100).collect();
    let fixed = DmaAccess {
        address: 0x1000,
        count: 64,
    };
    peer.send(&wide_read_reply(0, 0x1000, &[9; 64]));
    peer.send(&dma_reply(1, Command::DMA_WRITE, &fixed.encode()));
    peer.send(&dma_reply(2, Command::DMA_WRITE, &[]));
    session
        .dma_write(0x1000, &data, &mut View::default())
        .unwrap();
    expect_dma(&mut peer, 0, Command::DMA_READ, 0x1000, 64);
    let first = expect_dma(&mut peer, 1, Command::DMA_WRITE, 0x1000, 64);
    let second = expect_dma(&mut peer, 2, Command::DMA_WRITE, 0x1040, 36);
    assert_eq!([first, second].concat(), data);
}

#[test]
fn qemu_has_its_data_four_bytes_earlier() {
    let (mut session, mut peer) = acquainted();
    let data: Vec<u8> = (1..=64).collect();
    let mut buf = [0; 64];
    peer.send(&narrow_read_reply(0, 0x1000, &data));
    session
        .dma_read(0x1000, &mut buf, &mut View::default())
        .unwrap();
    assert_eq!(buf[..], data);
    peer.expect();
    // Once known, it stays known.
    peer.send(&narrow_read_reply(1, 0x2000, &[0, 0, 0, 0, 7, 0, 0, 0]));
    let mut buf = [0xff; 8];
    session
        .dma_read(0x2000, &mut buf, &mut View::default())
        .unwrap();
    assert_eq!(buf, [0, 0, 0, 0, 7, 0, 0, 0]);
    peer.expect();
    peer.send(&dma_reply(2, Command::DMA_WRITE, &[]));
    session
        .dma_write(0x3000, &[1, 2, 3], &mut View::default())
        .unwrap();
    let asked = peer.expect();
    let mut expected = [&0x3000u64.to_ne_bytes()[..], &3u32.to_ne_bytes()].concat();
    expected.extend_from_slice(&[1, 2, 3, 0, 0, 0, 0]);
    assert_eq!(asked.payload, expected);
}

#[test]
fn a_reply_that_could_be_either_is_settled_by_reading_one_byte() {
    // Zeros in front and behind: 3 is at 8 in one reading, at 12 in the other.
    let wide = [0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
    let narrow = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
    assert_eq!(
        wide_read_reply(0, 0, &wide),
        narrow_read_reply(0, 0, &narrow)
    );
    for (reply, probe, expected) in [
        (
            wide_read_reply(0, 0x1000, &wide),
            wide_read_reply(1, 0x1008, &[3]),
            wide,
        ),
        (
            narrow_read_reply(0, 0x1000, &narrow),
            narrow_read_reply(1, 0x1008, &[0]),
            narrow,
        ),
    ] {
        let (mut session, mut peer) = acquainted();
        peer.send(&reply);
        peer.send(&probe);
        let mut buf = [0xff; 16];
        session
            .dma_read(0x1000, &mut buf, &mut View::default())
            .unwrap();
        assert_eq!(buf, expected);
        expect_dma(&mut peer, 0, Command::DMA_READ, 0x1000, 16);
        expect_dma(&mut peer, 1, Command::DMA_READ, 0x1008, 1);
        assert_ne!(session.dma.layout, DmaLayout::Unknown);
    }
}

#[test]
fn zeros_tell_nothing_and_are_read_right_all_the_same() {
    let (mut session, peer) = acquainted();
    for (id, count) in [(0, 1), (1, 3), (2, 64)] {
        peer.send(&narrow_read_reply(id, 0, &vec![0; count]));
        let mut buf = vec![0xff; count];
        session.dma_read(0, &mut buf, &mut View::default()).unwrap();
        assert_eq!(buf, vec![0; count]);
        assert_eq!(session.dma.layout, DmaLayout::Unknown);
    }
}

#[test]
fn accesses_during_a_dma_message_are_answered_before_it_is() {
    let (mut session, mut peer) = acquainted();
    peer.send(&read(10, 0, 0x1c, 4));
    peer.send(&read(11, 0, 0x20, 4));
    peer.send(&write(12, 0, 0, 0x1000, &[1]));
    peer.send(&write(13, 0, 7, 0x40, &[2]));
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    let mut view = View::default();
    session.dma_read(0, &mut [0; 8], &mut view).unwrap();
    expect_dma(&mut peer, 0, Command::DMA_READ, 0, 8);
    let payload = peer.expect_reply(10, Command::REGION_READ);
    assert_eq!(payload[16..], [0x5a; 4]);
    peer.expect_error(11, Errno::INVAL);
    peer.expect_reply(12, Command::REGION_WRITE);
    peer.expect_reply(13, Command::REGION_WRITE);
    assert_eq!(view.taken, [(0x40, vec![2])]);
    // The device sees the other write next, and owes no second reply.
    let (offset, _, token) = next_write(&mut session);
    assert_eq!(offset, 0x1000);
    session.reply(token, Ok(Reply::Done));
    peer.expect_nothing();
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn what_changes_the_device_waits_in_order_and_comes_before_anything_newer() {
    let (mut session, mut peer) = acquainted();
    let map = DmaMapRequest {
        argsz: 32,
        flags: 3,
        offset: 0,
        address: 0x1000,
        size: 0x1000,
    };
    let canary = Canary::new();
    peer.send(&write(1, Header::NO_REPLY, 0, 8, &[1]));
    peer.send_with(&command(2, Command::DMA_MAP, &map.encode()), &[canary.fd()]);
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    peer.send(&write(4, 0, 0, 16, &[1]));
    session
        .dma_read(0, &mut [0; 8], &mut View::default())
        .unwrap();
    expect_dma(&mut peer, 0, Command::DMA_READ, 0, 8);
    peer.expect_nothing();
    assert_eq!(next_write(&mut session).0, 8);
    let second = next(&mut session);
    assert!(matches!(&second.kind, RequestKind::DmaMap(map) if map.file.is_some()));
    session.reply(second.token, Ok(Reply::Done));
    peer.expect_reply(2, Command::DMA_MAP);
    assert_eq!(next_write(&mut session).0, 16);
}

#[test]
fn what_needs_nothing_of_the_device_is_done_and_answered_before_the_dma_message_is() {
    let (mut session, mut peer) = acquainted();
    let unmap = |flags| {
        let range = DmaUnmapRequest {
            argsz: 24,
            flags,
            address: if flags == 0 { 0x1000 } else { 0 },
            size: if flags == 0 { 0x2000 } else { 0 },
        };
        command(7, Command::DMA_UNMAP, &range.encode())
    };
    peer.send(&unmap(0));
    peer.send(&unmap(DmaUnmapRequest::ALL));
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    let mut view = View::default();
    session.dma_read(0, &mut [0; 8], &mut view).unwrap();
    expect_dma(&mut peer, 0, Command::DMA_READ, 0, 8);
    peer.expect_reply(7, Command::DMA_UNMAP);
    peer.expect_error(7, Errno::BUSY);
    let (address, size) = (0x1000, 0x2000);
    assert_eq!(view.unmapped, [DmaUnmap::Range { address, size }]);
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn a_client_that_wants_a_reset_is_not_waited_for() {
    let (mut session, mut peer) = acquainted();
    peer.send(&command(3, Command::DEVICE_RESET, &[]));
    let canceled = Err(DmaError::Refused(Errno::CANCELED));
    let read = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(read, canceled);
    expect_dma(&mut peer, 0, Command::DMA_READ, 0, 8);
    // What the device still tries before it knows of the reset isn't even asked.
    let read = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(read, canceled);
    peer.expect_nothing();
    let reset = next(&mut session);
    assert!(matches!(reset.kind, RequestKind::Reset));
    session.reply(reset.token, Ok(Reply::Done));
    peer.expect_reply(3, Command::DEVICE_RESET);
    // The late answer is nobody's; the next one is.
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    peer.send(&wide_read_reply(1, 64, &[2; 8]));
    let mut buf = [0; 8];
    session
        .dma_read(64, &mut buf, &mut View::default())
        .unwrap();
    assert_eq!(buf, [2; 8]);
    expect_dma(&mut peer, 1, Command::DMA_READ, 64, 8);
    assert_in_step(&mut session, &mut peer);
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    assert!(session.next_request().is_err(), "it was owed once");
}

#[test]
fn resets_instead_of_answers_have_a_bound() {
    let (mut session, peer) = acquainted();
    for _ in 0..64 {
        peer.send(&command(3, Command::DEVICE_RESET, &[]));
        let read = session.dma_read(0, &mut [0; 8], &mut View::default());
        assert_eq!(read, Err(DmaError::Refused(Errno::CANCELED)));
        let reset = next(&mut session);
        session.reply(reset.token, Ok(Reply::Done));
    }
    peer.send(&command(3, Command::DEVICE_RESET, &[]));
    let read = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert!(matches!(read, Err(DmaError::Link(LinkError::Protocol(_)))));
}

#[test]
fn writes_of_a_multi_that_is_half_done_come_before_those_that_arrive() {
    let (mut session, mut peer) = acquainted();
    let multi = |offset: u64| {
        let mut payload = WriteMulti { wr_cnt: 2 }.encode().to_vec();
        for i in 0..2 {
            let single = SingleWrite {
                offset: offset + i,
                region: 0,
                count: 1,
                data: 0,
            };
            payload.extend_from_slice(&single.encode());
        }
        payload
    };
    peer.send(&command(1, Command::REGION_WRITE_MULTI, &multi(0)));
    let (_, _, first) = next_write(&mut session);
    session.reply(first, Err(Errno::PERM));
    peer.send(&command(2, Command::REGION_WRITE_MULTI, &multi(10)));
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    session
        .dma_read(0, &mut [0; 8], &mut View::default())
        .unwrap();
    expect_dma(&mut peer, 0, Command::DMA_READ, 0, 8);
    // The arriving one is answered, without the older one's error.
    peer.expect_reply(2, Command::REGION_WRITE_MULTI);
    let (offset, _, token) = next_write(&mut session);
    assert_eq!(offset, 1);
    session.reply(token, Ok(Reply::Done));
    peer.expect_error(1, Errno::PERM);
    for offset in [10, 11] {
        let (next_offset, _, token) = next_write(&mut session);
        assert_eq!(next_offset, offset);
        session.reply(token, Ok(Reply::Done));
    }
    peer.expect_nothing();
}

#[test]
fn a_refusal_is_an_error_and_the_session_goes_on() {
    let (mut session, mut peer) = acquainted();
    peer.send(&refusal(0, Command::DMA_READ, Errno::FAULT));
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(error, Err(DmaError::Refused(Errno::FAULT)));
    peer.expect();
    // The look before the first write fails, the write doesn't.
    peer.send(&refusal(1, Command::DMA_READ, Errno::PERM));
    peer.send(&dma_reply(2, Command::DMA_WRITE, &[]));
    session.dma_write(0, &[1], &mut View::default()).unwrap();
    peer.expect();
    peer.expect();
    // An errno that doesn't exist.
    let mut bytes = refusal(3, Command::DMA_READ, Errno::PERM);
    bytes[12..].fill(0xff);
    peer.send(&bytes);
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(error, Err(DmaError::Refused(Errno::IO)));
    peer.expect();
    let overflow = session.dma_read(u64::MAX, &mut [0; 8], &mut View::default());
    assert_eq!(overflow, Err(DmaError::Refused(Errno::FAULT)));
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn a_short_write_is_refused() {
    let (mut session, mut peer) = acquainted();
    peer.send(&wide_read_reply(0, 0, &[1; 8]));
    session
        .dma_read(0, &mut [0; 8], &mut View::default())
        .unwrap();
    peer.expect();
    let fixed = DmaAccess {
        address: 0,
        count: 7,
    };
    peer.send(&dma_reply(1, Command::DMA_WRITE, &fixed.encode()));
    let error = session.dma_write(0, &[1; 8], &mut View::default());
    assert_eq!(error, Err(DmaError::Refused(Errno::IO)));
}

#[test]
fn a_client_that_does_not_answer_ends_the_session() {
    let (mut session, peer) = acquainted();
    session.set_dma_timeout(Duration::from_millis(1));
    peer.send(&write(1, Header::NO_REPLY, 0, 0, &[1]));
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(error, Err(DmaError::Link(LinkError::TimedOut)));
    assert_eq!(session.next_request().unwrap_err(), LinkError::TimedOut);
    let again = session.dma_write(0, &[0], &mut View::default());
    assert_eq!(again, Err(DmaError::Link(LinkError::TimedOut)));
}

#[test]
fn wrong_replies_end_the_session() {
    let long = wide_read_reply(0, 0, &[0; 9]);
    let elsewhere = wide_read_reply(0, 64, &[0; 8]);
    let short = dma_reply(0, Command::DMA_READ, &[0; 4]);
    let empty = dma_reply(0, Command::DMA_READ, &[]);
    let other_id = wide_read_reply(1, 0, &[0; 8]);
    let other_command = dma_reply(0, Command::DMA_WRITE, &[]);
    for bytes in [long, elsewhere, short, empty, other_id, other_command] {
        let (mut session, peer) = acquainted();
        peer.send(&bytes);
        let error = session.dma_read(0, &mut [0; 8], &mut View::default());
        assert!(
            matches!(error, Err(DmaError::Link(LinkError::Protocol(_)))),
            "{error:?}"
        );
        assert!(session.next_request().is_err());
    }
}

#[test]
fn a_client_that_closes_instead_of_answering_ends_the_session() {
    let (mut session, peer) = acquainted();
    drop(peer);
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(error, Err(DmaError::Link(LinkError::Closed)));
}

#[test]
fn requests_that_wait_have_a_bound() {
    let (mut session, peer) = acquainted();
    // One small write after another: the number is bounded.
    let writer = std::thread::spawn(move || {
        let bytes = write(1, Header::NO_REPLY, 0, 0, &[1]);
        for _ in 0..=1024 {
            rustix::io::ioctl_fionbio(&peer.channel, false).unwrap();
            peer.send(&bytes);
        }
        peer
    });
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert!(matches!(error, Err(DmaError::Link(LinkError::Protocol(_)))));
    assert_eq!(session.held(), (0, 0), "nothing is kept for it");
    writer.join().unwrap();

    // Few, but with many descriptors.
    let (mut session, peer) = acquainted();
    let canary = Canary::new();
    let bytes = commands::set_irqs_bytes(1, 0x24, 0, 16, &[]);
    for _ in 0..17 {
        peer.send_with(&bytes, &[canary.fd(); 16]);
    }
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert!(matches!(error, Err(DmaError::Link(LinkError::Protocol(_)))));
    assert!(!canary.held_elsewhere());
}

#[test]
fn there_is_no_dma_before_the_version() {
    let (mut session, _peer) = strangers();
    let error = session.dma_read(0, &mut [0; 8], &mut View::default());
    assert_eq!(error, Err(DmaError::Refused(Errno::NOTCONN)));
}
