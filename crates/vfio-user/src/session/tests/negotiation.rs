//! `VERSION`.

use super::*;

fn refused(payload: &[u8]) {
    let (mut session, mut peer) = strangers();
    peer.send(&command(6, Command::VERSION, payload));
    assert!(matches!(
        session.next_request(),
        Err(LinkError::Protocol(_))
    ));
    peer.expect_error(6, Errno::INVAL);
    assert_eq!(session.client_version(), None);
    drop(session);
    peer.expect_closed();
}

#[test]
fn a_client_with_capabilities_gets_the_common_ones() {
    let (mut session, mut peer) = strangers();
    let json = b"\0\0\x07\0{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":65536}}\0";
    peer.send(&command(1, Command::VERSION, json));
    assert!(session.next_request().unwrap().is_none());
    let reply = Version::decode(&peer.expect_reply(1, Command::VERSION)).unwrap();
    assert_eq!((reply.major, reply.minor), (0, 1));
    let ours = reply.capabilities.unwrap();
    assert_eq!((ours.max_msg_fds, ours.max_data_xfer_size), (16, 65536));
    assert_eq!((ours.max_dma_maps, ours.pgsizes), (65535, 4096));
    assert!(!ours.write_multiple, "not proposed");
    assert_eq!(session.max_data_xfer_size(), 65536);
    let theirs = session.client_version().unwrap();
    assert_eq!(theirs.minor, 7);
    assert_eq!(theirs.capabilities.as_ref().unwrap().max_msg_fds, 8);
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn a_client_without_json_is_told_apart() {
    let (mut session, mut peer) = strangers();
    peer.send(&command(0, Command::VERSION, &[0; 4]));
    assert!(session.next_request().unwrap().is_none());
    let reply = Version::decode(&peer.expect_reply(0, Command::VERSION)).unwrap();
    assert_eq!((reply.major, reply.minor), (0, 0));
    let client = session.client_version().unwrap();
    assert_eq!(client.capabilities, None);
    assert_eq!(session.max_data_xfer_size(), 1 << 20);
    assert_in_step(&mut session, &mut peer);
}

#[test]
fn unacceptable_versions_are_answered_and_the_session_ends() {
    refused(&[0; 3]);
    refused(&[1, 0, 0, 0]);
    refused(b"\0\0\0\0{\"capabilities\":7}\0");
    refused(b"\0\0\0\0{\"capab\0");
    refused(b"\0\0\0\0{}");
}

#[test]
fn nothing_goes_before_the_version() {
    let (mut session, mut peer) = strangers();
    peer.send(&read(8, 0, 0, 4));
    assert!(matches!(
        session.next_request(),
        Err(LinkError::Protocol(_))
    ));
    peer.expect_error(8, Errno::INVAL);
}

#[test]
fn a_second_version_is_refused_and_changes_nothing() {
    let (mut session, mut peer) = acquainted();
    peer.send(&command(1, Command::VERSION, &[0; 4]));
    assert!(session.next_request().unwrap().is_none());
    peer.expect_error(1, Errno::INVAL);
    assert!(session.client_version().unwrap().capabilities.is_some());
    assert_in_step(&mut session, &mut peer);
}
