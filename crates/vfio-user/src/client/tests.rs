//! Servers that answer nonsense, late, or not at all. Their replies are in the socket before they
//! are asked for; ids count up from 0, which is `VERSION`'s.

use std::io::{Read, Write};
use std::sync::Arc;

use super::*;
use crate::wire::{CapabilityHeader, RegionInfoLayout, SparseMmap, SparseMmapArea};

fn reply(id: u16, command: Command, payload: &[u8]) -> Vec<u8> {
    message(id, command, Header::REPLY, payload)
}

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

/// A client after `VERSION`, and the server's end after the client's message.
fn connected() -> (Client, UnixStream) {
    let (ours, mut server) = UnixStream::pair().unwrap();
    let version = Version {
        major: 0,
        minor: 0,
        capabilities: Some(Capabilities::ours()),
    };
    let encoded = version.encode();
    server
        .write_all(&reply(0, Command::VERSION, &encoded))
        .unwrap();
    let client = Client::new(ours).unwrap();
    assert_eq!(client.server_version(), &version);
    take(&mut server);
    (client, server)
}

/// Takes one message of the client's.
fn take(server: &mut UnixStream) -> (Header, Vec<u8>) {
    let mut header = [0; Header::SIZE];
    server.read_exact(&mut header).unwrap();
    let header = Header::decode(&header);
    let mut payload = vec![0; header.size as usize - Header::SIZE];
    server.read_exact(&mut payload).unwrap();
    (header, payload)
}

fn assert_over(client: &mut Client, expected: LinkError) {
    match client.device_info() {
        Err(ClientError::Link(error)) => assert_eq!(error, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_does_not_answer_times_out() {
    let (ours, _server) = UnixStream::pair().unwrap();
    let result = Client::with_timeout(ours, Duration::from_millis(1));
    assert!(matches!(
        result,
        Err(ClientError::Link(LinkError::TimedOut))
    ));
    let (mut client, _server) = connected();
    client.set_timeout(Duration::from_millis(1));
    assert!(client.reset().is_err());
    assert_over(&mut client, LinkError::TimedOut);
}

#[test]
fn a_server_that_does_not_read_times_out_a_posted_write() {
    let (mut client, _server) = connected();
    client.set_timeout(Duration::from_millis(1));
    let data = vec![0; 1 << 20];
    let mut result = Ok(());
    for _ in 0..8 {
        result = client.region_write_posted(0, 0, &data);
    }
    assert!(matches!(
        result,
        Err(ClientError::Link(LinkError::TimedOut))
    ));
}

#[test]
fn a_server_that_refuses_the_version_or_closes_is_an_error() {
    let (ours, mut server) = UnixStream::pair().unwrap();
    let bad_major = [1, 0, 0, 0];
    server
        .write_all(&reply(0, Command::VERSION, &bad_major))
        .unwrap();
    assert!(matches!(
        Client::new(ours),
        Err(ClientError::Link(LinkError::Protocol(_)))
    ));
    let (ours, server) = UnixStream::pair().unwrap();
    drop(server);
    assert!(matches!(
        Client::new(ours),
        Err(ClientError::Link(LinkError::Closed))
    ));
}

#[test]
fn replies_that_do_not_fit_end_the_connection() {
    let read = |payload: &[u8]| reply(1, Command::REGION_READ, payload);
    for bytes in [
        read(&[0; 19]),
        read(&[0; 21]),
        read(&[]),
        reply(2, Command::REGION_READ, &[0; 20]),
        reply(1, Command::REGION_WRITE, &[0; 20]),
        message(1, Command::REGION_READ, 3, &[0; 20]),
        vec![0; 16],
    ] {
        let (mut client, mut server) = connected();
        server.write_all(&bytes).unwrap();
        let result = client.region_read(0, 0, &mut [0; 4]);
        assert!(
            matches!(result, Err(ClientError::Link(LinkError::Protocol(_)))),
            "{result:?}"
        );
        assert!(client.reset().is_err());
    }
}

#[test]
fn a_mappable_region_without_a_descriptor_is_nonsense() {
    let fixed = RegionInfoLayout {
        argsz: 32,
        flags: RegionInfoLayout::MMAP,
        size: 4096,
        ..Default::default()
    };
    let (mut client, mut server) = connected();
    let bytes = reply(1, Command::DEVICE_GET_REGION_INFO, &fixed.encode());
    server.write_all(&bytes).unwrap();
    assert!(matches!(
        client.region_info(0),
        Err(ClientError::Link(LinkError::Protocol(_)))
    ));
}

#[test]
fn one_descriptor_may_stand_for_all_areas() {
    let fixed = RegionInfoLayout {
        argsz: 80,
        flags: RegionInfoLayout::MMAP | RegionInfoLayout::CAPS,
        cap_offset: 32,
        size: 0x4000,
        ..Default::default()
    };
    let header = CapabilityHeader {
        id: CapabilityHeader::SPARSE_MMAP,
        version: 1,
        next: 0,
    };
    let sparse = SparseMmap {
        nr_areas: 2,
        reserved: 0,
    };
    let area = |offset| {
        SparseMmapArea {
            offset,
            size: 0x1000,
        }
        .encode()
    };
    let payload = [
        &fixed.encode()[..],
        &header.encode(),
        &sparse.encode(),
        &area(0x1000),
        &area(0x3000),
    ]
    .concat();
    let header = Header {
        id: 0,
        command: Command::DEVICE_GET_REGION_INFO,
        size: (Header::SIZE + payload.len()) as u32,
        flags: Header::REPLY,
        error: 0,
    };
    let region = Region::from_reply(Message {
        header,
        payload,
        fds: vec![UnixStream::pair().unwrap().0.into()],
    })
    .unwrap();
    assert_eq!(region.areas.len(), 2);
    assert!(Arc::ptr_eq(&region.areas[0].file, &region.areas[1].file));
    assert_eq!(region.areas[1].file_offset, 0x3000);
}

#[test]
fn dma_messages_are_checked_and_answered_while_waiting() {
    struct Zeros;
    impl DmaHandler for Zeros {
        fn read(&mut self, _address: u64, buf: &mut [u8]) -> Result<(), Errno> {
            buf.fill(0);
            Ok(())
        }
        fn write(&mut self, _address: u64, _data: &[u8]) -> Result<(), Errno> {
            Err(Errno::PERM)
        }
    }
    let access = |count| DmaAccess { address: 0, count }.encode();
    let data = [&access(4)[..], &[1; 4]].concat();
    let (mut client, mut server) = connected();
    client.set_dma_handler(Zeros);
    for (id, command, payload, expected) in [
        (70, Command::DMA_READ, &access(8)[..], 0),
        (
            71,
            Command::DMA_READ,
            &access(u64::MAX),
            Errno::TOOBIG.raw_os_error(),
        ),
        (72, Command::DMA_READ, &[0; 7], Errno::INVAL.raw_os_error()),
        (73, Command::DMA_WRITE, &data, Errno::PERM.raw_os_error()),
        (
            74,
            Command::DMA_WRITE,
            &data[..19],
            Errno::INVAL.raw_os_error(),
        ),
        (75, Command::DMA_MAP, &[0; 32], Errno::NOSYS.raw_os_error()),
    ] {
        server.write_all(&message(id, command, 0, payload)).unwrap();
        client.service().unwrap();
        let (header, payload) = take(&mut server);
        assert_eq!((header.id, header.command), (id, command));
        assert_eq!(header.error, expected as u32);
        assert_eq!(payload.len(), if expected == 0 { 24 } else { 0 });
    }
    // Between the question and its answer.
    server
        .write_all(&message(80, Command::DMA_READ, 0, &access(8)))
        .unwrap();
    server
        .write_all(&reply(1, Command::DEVICE_RESET, &[]))
        .unwrap();
    client.reset().unwrap();
    assert_eq!(take(&mut server).0.command, Command::DEVICE_RESET);
    assert_eq!(take(&mut server).0.id, 80);
}

#[test]
fn what_no_message_can_carry_is_not_sent() {
    let (mut client, mut server) = connected();
    let values = vec![true; (1 << 20) + 1];
    let result = client.set_irqs(2, 0, IrqAction::Mask, IrqSet::Bool(&values));
    assert!(matches!(result, Err(ClientError::TooLarge)));
    server.set_nonblocking(true).unwrap();
    assert!(server.read(&mut [0]).is_err());
}
