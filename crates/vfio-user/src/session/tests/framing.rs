//! Headers, payloads, descriptors and replies on the stream.

use std::net::Shutdown;

use super::*;
use crate::channel::{MAX_MESSAGE_SIZE, MAX_UNSENT_BYTES};

#[test]
fn a_message_may_come_byte_by_byte() {
    let (mut session, mut peer) = acquainted();
    let bytes = write(3, 0, 0, 0x14, &[1, 2, 3, 4]);
    for byte in &bytes[..bytes.len() - 1] {
        peer.send(&[*byte]);
        assert!(session.next_request().unwrap().is_none());
    }
    peer.send(&bytes[bytes.len() - 1..]);
    let (offset, data, token) = next_write(&mut session);
    assert_eq!((offset, &data[..]), (0x14, &[1, 2, 3, 4][..]));
    session.reply(token, Ok(Reply::Done));
    let payload = peer.expect_reply(3, Command::REGION_WRITE);
    assert_eq!(payload, access(0, 0x14, 4).encode());
}

#[test]
fn two_messages_in_one_write_are_two_requests() {
    let (mut session, peer) = acquainted();
    let both = [write(1, 0, 0, 0, &[1]), write(2, 0, 0, 8, &[2])].concat();
    peer.send(&both);
    assert_eq!(next_write(&mut session).0, 0);
    assert_eq!(next_write(&mut session).0, 8);
    assert!(session.next_request().unwrap().is_none());
}

#[test]
fn a_header_in_pieces_keeps_its_descriptors() {
    let (mut session, peer) = acquainted();
    let canary = Canary::new();
    let bytes = commands::set_irqs_bytes(1, 0x24, 0, 1, &[]);
    peer.send_with(&bytes[..5], &[canary.fd()]);
    assert!(session.next_request().unwrap().is_none());
    peer.send(&bytes[5..]);
    let request = next(&mut session);
    assert!(canary.held_elsewhere());
    drop(request);
}

#[test]
fn descriptors_stay_with_their_own_message() {
    let (mut session, peer) = acquainted();
    let (a, b) = (Canary::new(), Canary::new());
    // The first message's payload and the second message are there when the first header is read.
    peer.send_with(&commands::set_irqs_bytes(1, 0x24, 0, 1, &[]), &[a.fd()]);
    peer.send(&write(2, 0, 0, 0, &[1]));
    peer.send_with(&commands::set_irqs_bytes(3, 0x24, 1, 1, &[]), &[b.fd()]);
    let first = next(&mut session);
    drop(next_write(&mut session));
    let third = next(&mut session);
    drop(first);
    assert!(!a.held_elsewhere());
    assert!(b.held_elsewhere());
    drop(third);
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let (mut session, mut peer) = acquainted();
    let (with_header, with_payload, unknown) = (Canary::new(), Canary::new(), Canary::new());
    let bytes = write(1, 0, 0, 0, &[1]);
    peer.send_with(&bytes[..16], &[with_header.fd()]);
    peer.send_with(&bytes[16..], &[with_payload.fd()]);
    let request = next(&mut session);
    session.reply(request.token, Ok(Reply::Done));
    peer.expect_reply(1, Command::REGION_WRITE);
    peer.send_with(&command(2, Command(77), &[0; 9]), &[unknown.fd()]);
    assert!(session.next_request().unwrap().is_none());
    peer.expect_error(2, Errno::NOSYS);
    for canary in [with_header, with_payload, unknown] {
        assert!(!canary.held_elsewhere());
    }
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn an_impossible_size_is_refused_and_ends_the_session() {
    for size in [0, 15, MAX_MESSAGE_SIZE + 1, u32::MAX] {
        let (mut session, mut peer) = acquainted();
        let header = Header {
            id: 9,
            command: Command::REGION_WRITE,
            size,
            flags: 0,
            error: 0,
        };
        peer.send(&header.encode());
        let error = session.next_request().unwrap_err();
        assert!(matches!(error, LinkError::Protocol(_)), "{error:?}");
        peer.expect_error(9, Errno::MSGSIZE);
        assert_eq!(session.next_request().unwrap_err(), error, "stays so");
        drop(session);
        peer.expect_closed();
    }
}

#[test]
fn undefined_types_are_refused_and_replies_to_nothing_end_the_session() {
    let (mut session, mut peer) = acquainted();
    peer.send(&message(4, Command::REGION_READ, 2, &[0; 16]));
    assert!(session.next_request().unwrap().is_none());
    peer.expect_error(4, Errno::INVAL);
    assert_in_step(&mut session, &mut peer);
    peer.send(&message(5, Command::DMA_READ, Header::REPLY, &[0; 16]));
    assert!(matches!(
        session.next_request(),
        Err(LinkError::Protocol(_))
    ));
}

#[test]
fn what_came_before_the_client_closed_is_still_handed_out() {
    let (mut session, peer) = acquainted();
    peer.send(&write(1, Header::NO_REPLY, 0, 0, &[1]));
    peer.send(&write(2, 0, 0, 0, &[1])[..20]);
    drop(peer);
    let (_, _, token) = next_write(&mut session);
    session.reply(token, Ok(Reply::Done));
    assert_eq!(session.next_request().unwrap_err(), LinkError::Closed);
    assert_eq!(session.next_request().unwrap_err(), LinkError::Closed);
}

#[test]
fn no_reply_means_none_not_even_an_error() {
    let (mut session, mut peer) = acquainted();
    peer.send(&write(1, Header::NO_REPLY, 0, 0, &[1]));
    peer.send(&write(2, Header::NO_REPLY, 0, 0, &[2]));
    peer.send(&message(3, Command(77), Header::NO_REPLY, &[]));
    let (_, _, first) = next_write(&mut session);
    let (_, _, second) = next_write(&mut session);
    session.reply(first, Ok(Reply::Done));
    session.reply(second, Err(Errno::INVAL));
    assert!(session.next_request().unwrap().is_none());
    peer.expect_nothing();
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn a_client_that_reads_no_replies_gets_no_further_and_then_all_of_them() {
    const COUNT: u32 = 256 << 10;
    let (mut session, mut peer) = acquainted();
    for id in 0..8 {
        peer.send(&read(id, 0, u64::from(id), COUNT));
    }
    let mut answered = 0;
    let mut answer_all = |session: &mut Session| {
        while let Some(request) = session.next_request().unwrap() {
            session.reply(
                request.token,
                Ok(Reply::Data(&vec![answered; COUNT as usize])),
            );
            answered += 1;
        }
        answered
    };
    assert!(answer_all(&mut session) < 8);
    assert!(session.wants_write());
    assert!(session.held().0 < MAX_UNSENT_BYTES);
    let mut received = 0;
    while received < 8 {
        answer_all(&mut session);
        if let Received::Message(reply) = peer.channel.receive().unwrap() {
            assert_eq!(reply.header.id, u16::from(received));
            assert!(reply.payload[16..].iter().all(|&byte| byte == received));
            received += 1;
        }
    }
    assert!(!session.wants_write());
    assert_eq!(session.held().0, 0);
}

#[test]
fn replies_that_nobody_reads_end_the_session_before_they_fill_memory() {
    let (mut session, peer) = acquainted();
    let big = vec![0; 1 << 20];
    let mut tokens = Vec::new();
    for id in 0..8 {
        peer.send(&read(id, 0, 0, 1 << 20));
        tokens.push(next(&mut session).token);
    }
    for token in tokens {
        session.reply(token, Ok(Reply::Data(&big)));
        assert!(session.held().0 <= MAX_UNSENT_BYTES);
    }
    assert!(matches!(
        session.next_request(),
        Err(LinkError::Protocol(_))
    ));
}

#[test]
fn descriptors_that_had_to_wait_go_with_their_reply() {
    let (mut session, mut peer) = acquainted();
    let stream = UnixStream::pair().unwrap().0;
    let payload = crate::wire::RegionInfoLayout {
        argsz: 32,
        ..Default::default()
    }
    .encode();
    peer.send(&read(0, 0, 0, 1 << 20));
    peer.send(&command(1, Command::DEVICE_GET_REGION_INFO, &payload));
    let (first, second) = (next(&mut session), next(&mut session));
    session.reply(first.token, Ok(Reply::Data(&vec![7; 1 << 20])));
    assert!(session.wants_write());
    let info = RegionInfo {
        size: 4096,
        file: Some(crate::info::RegionFile {
            fd: stream.as_fd(),
            offset: 0,
            areas: &[],
        }),
        ..Default::default()
    };
    session.reply(second.token, Ok(Reply::RegionInfo(info)));
    let mut replies = Vec::new();
    while replies.len() < 2 {
        assert!(session.next_request().unwrap().is_none());
        if let Received::Message(reply) = peer.channel.receive().unwrap() {
            replies.push((reply.header.id, reply.fds.len()));
        }
    }
    assert_eq!(replies, [(0, 0), (1, 1)]);
}

#[test]
fn a_client_cannot_keep_the_thread_with_messages_that_are_answered_inside() {
    let (mut session, mut peer) = acquainted();
    for id in 0..100 {
        peer.send(&command(id, Command(77), &[]));
    }
    assert!(session.next_request().unwrap().is_none());
    let mut replies = 0;
    while let Received::Message(_) = peer.channel.receive().unwrap() {
        replies += 1;
    }
    assert_eq!(replies, MAX_INTERNAL_ANSWERS);
}

#[test]
fn a_request_that_comes_last_of_many_messages_is_not_left_behind() {
    let (mut session, mut peer) = acquainted();
    for id in 1..MAX_INTERNAL_ANSWERS as u16 {
        peer.send(&command(id, Command(77), &[]));
    }
    peer.send(&read(0, 0, 0, 4));
    // The socket is empty now: nobody would call again for what is left inside.
    let request = next(&mut session);
    assert!(matches!(request.kind, RequestKind::RegionRead { .. }));
    session.reply(request.token, Ok(Reply::Data(&[0; 4])));
    let mut ids = Vec::new();
    while let Received::Message(reply) = peer.channel.receive().unwrap() {
        ids.push(reply.header.id);
    }
    assert_eq!(ids.last(), Some(&0));
}

#[test]
fn a_reply_that_does_not_fit_is_an_error_to_the_client() {
    let (mut session, mut peer) = acquainted();
    peer.send(&read(1, 0, 0, 4));
    peer.send(&read(2, 0, 0, 4));
    let (first, second) = (next(&mut session), next(&mut session));
    session.reply(first.token, Ok(Reply::Data(&[0; 3])));
    peer.expect_error(1, Errno::IO);
    session.reply(second.token, Ok(Reply::Done));
    peer.expect_error(2, Errno::IO);
}

#[test]
fn half_a_close_is_a_close() {
    let (a, b) = UnixStream::pair().unwrap();
    let mut session = Session::new(a).unwrap();
    b.shutdown(Shutdown::Write).unwrap();
    assert_eq!(session.next_request().unwrap_err(), LinkError::Closed);
}

#[test]
fn sessions_and_clients_may_move_to_another_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Session>();
    assert_send::<Request>();
    assert_send::<crate::Client>();
}
