//! Each command: what is handed out, what is answered, what is refused.

use super::*;
use crate::info::{RegionFile, SparseArea};
use crate::request::{DmaUnmap, IrqAction, IrqData, SetIrqs};
use crate::wire::{
    DeviceInfoLayout, DmaMapRequest, DmaUnmapRequest, IrqInfoLayout, RegionInfoLayout,
    SetIrqsRequest, SingleWrite, WriteMulti,
};

pub(super) fn set_irqs_bytes(id: u16, flags: u32, start: u32, count: u32, data: &[u8]) -> Vec<u8> {
    let fixed = SetIrqsRequest {
        argsz: (SetIrqsRequest::SIZE + data.len()) as u32,
        flags,
        index: 2,
        start,
        count,
    };
    let payload = [&fixed.encode(), data].concat();
    command(id, Command::DEVICE_SET_IRQS, &payload)
}

fn map_bytes(id: u16, map: &DmaMapRequest) -> Vec<u8> {
    command(id, Command::DMA_MAP, &map.encode())
}

fn unmap_bytes(id: u16, unmap: &DmaUnmapRequest) -> Vec<u8> {
    command(id, Command::DMA_UNMAP, &unmap.encode())
}

const MAP: DmaMapRequest = DmaMapRequest {
    argsz: 32,
    flags: 3,
    offset: 0x3000,
    address: 0x10_0000,
    size: 0x2000,
};

const UNMAP: DmaUnmapRequest = DmaUnmapRequest {
    argsz: 24,
    flags: 0,
    address: 0x10_0000,
    size: 0x2000,
};

/// Sends `bytes` (of message 1), which must be refused with `errno` and leave the session in step.
fn assert_refused(bytes: &[u8], errno: Errno) {
    let (mut session, mut peer) = acquainted();
    peer.send(bytes);
    let request = session.next_request().unwrap();
    assert!(request.is_none(), "{request:?}");
    peer.expect_error(1, errno);
    assert_in_step(&mut session, &mut peer);
}

fn take_set_irqs(session: &mut Session) -> SetIrqs {
    match next(session).kind {
        RequestKind::SetIrqs(set) => set,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_and_unsupported_commands_are_refused_with_their_payload_drained() {
    for (number, errno) in [
        (0, Errno::NOSYS),
        (19, Errno::NOSYS),
        (u16::MAX, Errno::NOSYS),
        (Command::DEVICE_GET_REGION_IO_FDS.0, Errno::OPNOTSUPP),
        (Command::DMA_READ.0, Errno::OPNOTSUPP),
        (Command::DEVICE_FEATURE.0, Errno::OPNOTSUPP),
        (Command::MIG_DATA_WRITE.0, Errno::OPNOTSUPP),
    ] {
        assert_refused(&command(1, Command(number), &[0xa5; 100_000]), errno);
    }
}

#[test]
fn short_payloads_are_refused() {
    for (name, size) in [
        (Command::DEVICE_GET_INFO, 15),
        (Command::DEVICE_GET_REGION_INFO, 31),
        (Command::DEVICE_GET_IRQ_INFO, 15),
        (Command::REGION_READ, 15),
        (Command::REGION_WRITE, 15),
        (Command::REGION_WRITE_MULTI, 7),
        (Command::DMA_MAP, 31),
        (Command::DMA_UNMAP, 23),
        (Command::DEVICE_SET_IRQS, 19),
    ] {
        assert_refused(&command(1, name, &vec![0xff; size]), Errno::INVAL);
        assert_refused(&command(1, name, &[]), Errno::INVAL);
    }
}

#[test]
fn small_argsz_is_refused() {
    let mut info = DeviceInfoLayout {
        argsz: 15,
        ..Default::default()
    };
    assert_refused(
        &command(1, Command::DEVICE_GET_INFO, &info.encode()),
        Errno::INVAL,
    );
    info.argsz = 0;
    assert_refused(
        &command(1, Command::DEVICE_GET_IRQ_INFO, &info.encode()),
        Errno::INVAL,
    );
    let region = RegionInfoLayout {
        argsz: 31,
        ..Default::default()
    };
    assert_refused(
        &command(1, Command::DEVICE_GET_REGION_INFO, &region.encode()),
        Errno::INVAL,
    );
    assert_refused(
        &map_bytes(1, &DmaMapRequest { argsz: 31, ..MAP }),
        Errno::INVAL,
    );
    let unmap = DmaUnmapRequest { argsz: 23, ..UNMAP };
    assert_refused(&unmap_bytes(1, &unmap), Errno::INVAL);
}

#[test]
fn device_and_interrupt_info_are_answered() {
    let (mut session, mut peer) = acquainted();
    let ask = DeviceInfoLayout {
        argsz: 16,
        ..Default::default()
    };
    peer.send(&command(1, Command::DEVICE_GET_INFO, &ask.encode()));
    let request = next(&mut session);
    assert!(matches!(request.kind, RequestKind::DeviceInfo));
    let info = DeviceInfo {
        resettable: true,
        num_regions: 9,
        num_irqs: 5,
    };
    session.reply(request.token, Ok(Reply::DeviceInfo(info)));
    let expected = DeviceInfoLayout {
        argsz: 16,
        flags: 3,
        num_regions: 9,
        num_irqs: 5,
    };
    let payload = peer.expect_reply(1, Command::DEVICE_GET_INFO);
    assert_eq!(payload, expected.encode());

    let ask = IrqInfoLayout {
        argsz: 16,
        index: 2,
        ..Default::default()
    };
    peer.send(&command(2, Command::DEVICE_GET_IRQ_INFO, &ask.encode()));
    let request = next(&mut session);
    assert!(matches!(request.kind, RequestKind::IrqInfo { index: 2 }));
    let info = IrqInfo {
        count: 8,
        eventfd: true,
        ..IrqInfo::default()
    };
    session.reply(request.token, Ok(Reply::IrqInfo(info)));
    let payload = peer.expect_reply(2, Command::DEVICE_GET_IRQ_INFO);
    assert_eq!(payload, info.to_wire(2).encode());
}

#[test]
fn region_info_carries_a_descriptor_for_each_area() {
    let (mut session, mut peer) = acquainted();
    // As SPDK asks: a long message, with room for the answer behind the fixed part.
    let mut ask = RegionInfoLayout {
        argsz: 4064,
        ..Default::default()
    }
    .encode()
    .to_vec();
    ask.resize(4064, 0);
    peer.send(&command(1, Command::DEVICE_GET_REGION_INFO, &ask));
    let request = next(&mut session);
    assert!(matches!(request.kind, RequestKind::RegionInfo { index: 0 }));
    let file = UnixStream::pair().unwrap().0;
    let area = |offset| SparseArea {
        offset,
        size: 0x1000,
    };
    let info = RegionInfo {
        size: 0x4000,
        readable: true,
        writable: true,
        file: Some(RegionFile {
            fd: file.as_fd(),
            offset: 0,
            areas: &[area(0x1000), area(0x3000)],
        }),
    };
    session.reply(request.token, Ok(Reply::RegionInfo(info)));
    let reply = peer.expect();
    assert_eq!(reply.fds.len(), 2);
    let parsed = crate::info::parse_region(&reply.payload).unwrap();
    assert_eq!(parsed.areas.unwrap(), [area(0x1000), area(0x3000)]);
}

#[test]
fn accesses_beyond_the_transfer_size_or_the_address_space_are_refused() {
    assert_refused(&read(1, 0, 0, (1 << 20) + 1), Errno::TOOBIG);
    assert_refused(&read(1, 0, 0, u32::MAX), Errno::TOOBIG);
    assert_refused(&read(1, 0, u64::MAX, 1), Errno::INVAL);
    assert_refused(&write(1, 0, 0, u64::MAX - 2, &[0; 4]), Errno::INVAL);
    let lies = [&access(0, 0, 4).encode()[..], &[0; 8]].concat();
    assert_refused(&command(1, Command::REGION_WRITE, &lies), Errno::INVAL);
    assert_refused(
        &command(1, Command::REGION_WRITE, &lies[..18]),
        Errno::INVAL,
    );

    let (mut session, mut peer) =
        acquainted_by(b"{\"capabilities\":{\"max_data_xfer_size\":64}}\0");
    peer.send(&read(1, 0, 0, 65));
    assert!(session.next_request().unwrap().is_none());
    peer.expect_error(1, Errno::TOOBIG);
}

#[test]
fn an_error_of_the_device_reaches_the_client() {
    let (mut session, mut peer) = acquainted();
    peer.send(&read(1, 9, 0, 4));
    let request = next(&mut session);
    session.reply(request.token, Err(Errno::NXIO));
    peer.expect_error(1, Errno::NXIO);
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn several_writes_in_one_message_are_handed_out_one_by_one() {
    let (mut session, mut peer) = acquainted();
    let mut payload = WriteMulti { wr_cnt: 2 }.encode().to_vec();
    for (offset, count, data) in [(0x1000, 4, [1, 2, 3, 4, 9, 9, 9, 9]), (0x14, 8, [5; 8])] {
        let single = SingleWrite {
            offset,
            region: 0,
            count,
            data: u64::from_ne_bytes(data),
        };
        payload.extend_from_slice(&single.encode());
    }
    // As long as QEMU's, which always has room for 200.
    payload.resize(8 + 200 * 24, 0);
    for (id, result) in [(1, Ok(Reply::Done)), (2, Err(Errno::PERM))] {
        peer.send(&command(id, Command::REGION_WRITE_MULTI, &payload));
        let (offset, data, token) = next_write(&mut session);
        assert_eq!((offset, &data[..]), (0x1000, &[1, 2, 3, 4][..]));
        session.reply(token, result);
        peer.expect_nothing();
        let (offset, data, token) = next_write(&mut session);
        assert_eq!((offset, &data[..]), (0x14, &[5; 8][..]));
        session.reply(token, Ok(Reply::Done));
        match result {
            Ok(_) => assert_eq!(
                peer.expect_reply(id, Command::REGION_WRITE_MULTI),
                WriteMulti { wr_cnt: 2 }.encode()
            ),
            Err(errno) => peer.expect_error(id, errno),
        }
    }
}

#[test]
fn malformed_write_multi_is_refused_as_a_whole() {
    let with = |wr_cnt: u64, count| {
        let good = SingleWrite {
            count: 8,
            ..Default::default()
        };
        let last = SingleWrite { count, ..good };
        let payload = [
            &WriteMulti { wr_cnt }.encode()[..],
            &good.encode(),
            &last.encode(),
        ];
        command(1, Command::REGION_WRITE_MULTI, &payload.concat())
    };
    assert_refused(&with(2, 9), Errno::INVAL);
    assert_refused(&with(3, 8), Errno::INVAL);
    assert_refused(&with(0, 8), Errno::INVAL);
    assert_refused(&with(u64::MAX, 8), Errno::TOOBIG);
}

#[test]
fn maps_carry_at_most_one_descriptor_and_need_none() {
    let (mut session, mut peer) = acquainted();
    let (wanted, surplus) = (Canary::new(), Canary::new());
    peer.send_with(&map_bytes(1, &MAP), &[wanted.fd(), surplus.fd()]);
    peer.send(&map_bytes(2, &DmaMapRequest { flags: 1, ..MAP }));
    let (with, without) = (next(&mut session), next(&mut session));
    assert!(!surplus.held_elsewhere());
    let RequestKind::DmaMap(map) = with.kind else {
        panic!("{with:?}");
    };
    assert_eq!((map.address, map.size), (0x10_0000, 0x2000));
    assert!(map.readable && map.writable);
    assert_eq!(map.file.as_ref().unwrap().offset, 0x3000);
    assert!(wanted.held_elsewhere());
    drop(map);
    session.reply(with.token, Ok(Reply::Done));
    assert!(peer.expect_reply(1, Command::DMA_MAP).is_empty());
    let RequestKind::DmaMap(map) = without.kind else {
        panic!("{without:?}");
    };
    assert!(map.readable && !map.writable && map.file.is_none());
    session.reply(without.token, Err(Errno::EXIST));
    peer.expect_error(2, Errno::EXIST);
}

#[test]
fn impossible_maps_are_refused() {
    for map in [
        DmaMapRequest { size: 0, ..MAP },
        DmaMapRequest { flags: 4, ..MAP },
        DmaMapRequest {
            address: u64::MAX,
            ..MAP
        },
    ] {
        assert_refused(&map_bytes(1, &map), Errno::INVAL);
    }
    let (mut session, mut peer) = acquainted();
    let canary = Canary::new();
    let map = DmaMapRequest {
        offset: u64::MAX,
        ..MAP
    };
    peer.send_with(&map_bytes(1, &map), &[canary.fd()]);
    assert!(session.next_request().unwrap().is_none());
    peer.expect_error(1, Errno::INVAL);
    assert!(!canary.held_elsewhere());
    // The last byte of the address space can be mapped.
    let map = DmaMapRequest {
        address: u64::MAX - 0x1fff,
        ..MAP
    };
    peer.send(&map_bytes(2, &map));
    next(&mut session);
}

#[test]
fn unmap_is_echoed_and_its_descriptor_closed() {
    let (mut session, mut peer) = acquainted();
    let canary = Canary::new();
    peer.send_with(&unmap_bytes(1, &UNMAP), &[canary.fd()]);
    let request = next(&mut session);
    assert!(!canary.held_elsewhere());
    let RequestKind::DmaUnmap(unmap) = request.kind else {
        panic!("{request:?}");
    };
    assert_eq!(
        unmap,
        DmaUnmap::Range {
            address: 0x10_0000,
            size: 0x2000
        }
    );
    session.reply(request.token, Ok(Reply::Done));
    assert_eq!(peer.expect_reply(1, Command::DMA_UNMAP), UNMAP.encode());
}

#[test]
fn unmapping_all_takes_no_range() {
    let (mut session, peer) = acquainted();
    let all = DmaUnmapRequest {
        argsz: 24,
        flags: DmaUnmapRequest::ALL,
        address: 0,
        size: 0,
    };
    peer.send(&unmap_bytes(1, &all));
    let request = next(&mut session);
    assert!(matches!(request.kind, RequestKind::DmaUnmap(DmaUnmap::All)));
    assert_refused(
        &unmap_bytes(1, &DmaUnmapRequest { size: 1, ..all }),
        Errno::INVAL,
    );
    // A dirty bitmap is asked for.
    let dirty = DmaUnmapRequest { flags: 1, ..UNMAP };
    assert_refused(&unmap_bytes(1, &dirty), Errno::OPNOTSUPP);
}

#[test]
fn interrupts_are_set_in_every_valid_way() {
    let (mut session, mut peer) = acquainted();
    peer.send(&set_irqs_bytes(1, 0x21, 0, 0, &[]));
    let set = take_set_irqs(&mut session);
    assert_eq!((set.index, set.start, set.count), (2, 0, 0));
    assert_eq!(set.action, IrqAction::Trigger);
    assert!(matches!(set.data, IrqData::None));

    peer.send(&set_irqs_bytes(2, 0x0a, 1, 3, &[1, 0, 2]));
    let set = take_set_irqs(&mut session);
    assert_eq!(set.action, IrqAction::Mask);
    let IrqData::Bool(values) = set.data else {
        panic!("{set:?}");
    };
    assert_eq!(values, [true, false, true]);

    // QEMU's first MSI-X enable.
    peer.send(&set_irqs_bytes(3, 0x24, 0, 1, &[]));
    let set = take_set_irqs(&mut session);
    assert!(matches!(set.data, IrqData::Deassign));

    let canary = Canary::new();
    peer.send_with(&set_irqs_bytes(4, 0x14, 5, 16, &[]), &[canary.fd(); 16]);
    let request = next(&mut session);
    let RequestKind::SetIrqs(SetIrqs {
        action: IrqAction::Unmask,
        start: 5,
        data: IrqData::EventFds(fds),
        ..
    }) = request.kind
    else {
        panic!("{request:?}");
    };
    assert_eq!(fds.len(), 16);
    session.reply(request.token, Ok(Reply::Done));
    assert!(peer.expect_reply(4, Command::DEVICE_SET_IRQS).is_empty());
}

#[test]
fn contradictory_interrupt_settings_are_refused() {
    assert_refused(&set_irqs_bytes(1, 0x23, 0, 1, &[1]), Errno::INVAL);
    assert_refused(&set_irqs_bytes(1, 0x20, 0, 1, &[]), Errno::INVAL);
    assert_refused(&set_irqs_bytes(1, 0x01, 0, 1, &[]), Errno::INVAL);
    assert_refused(&set_irqs_bytes(1, 0x31, 0, 1, &[]), Errno::INVAL);
    assert_refused(&set_irqs_bytes(1, 0x61, 0, 1, &[]), Errno::INVAL);
    assert_refused(&set_irqs_bytes(1, 0x22, 0, 4, &[1; 3]), Errno::INVAL);
    assert_refused(&set_irqs_bytes(1, 0x21, u32::MAX, 1, &[]), Errno::INVAL);
}

#[test]
fn a_wrong_number_of_descriptors_is_refused_and_all_are_closed() {
    for (count, sent) in [(1, 2), (3, 2), (0, 1), (17, 17), (16, 17), (20, 18)] {
        let (mut session, mut peer) = acquainted();
        let canary = Canary::new();
        let bytes = set_irqs_bytes(1, 0x24, 0, count, &[]);
        peer.send_with(&bytes, &vec![canary.fd(); sent]);
        let request = session.next_request().unwrap();
        if (count, sent) == (16, 17) {
            // What a message can't carry is cut off before it is seen.
            assert!(request.is_some());
        } else {
            assert!(request.is_none(), "{count} {sent}");
            peer.expect_error(1, Errno::INVAL);
        }
        drop(request);
        assert!(!canary.held_elsewhere());
        assert_in_step(&mut session, &mut peer);
    }
}

#[test]
fn reset_is_handed_out() {
    let (mut session, mut peer) = acquainted();
    peer.send(&command(1, Command::DEVICE_RESET, &[]));
    let request = next(&mut session);
    assert!(matches!(request.kind, RequestKind::Reset));
    session.reply(request.token, Ok(Reply::Done));
    assert!(peer.expect_reply(1, Command::DEVICE_RESET).is_empty());
}
