//! Asynchronous events.

use crate::common::raw::{self, Queue};
use crate::common::{Rig, Setup};
use ersatz_host::command::{self, identify};
use nvme_spec::admin::AsyncEvent;
use nvme_spec::register::{DOORBELLS, cq_head_doorbell, sq_tail_doorbell};
use nvme_spec::{AdminOpcode, Cns, Csi, Lid, Sqe, Status};
use std::sync::Arc;

fn request() -> Sqe {
    Sqe::new(AdminOpcode::AsyncEventRequest, 0)
}

/// Reads the log that explains errors, and with that allows the next such event.
fn read_error_log(rig: &Arc<Rig>, admin: &mut Queue, retain: bool) {
    let mut sqe = command::get_log(Lid::ErrorInformation, 0, Csi::Nvm, 0, 0, 64);
    if !retain {
        sqe.cdw10 &= !(1 << 15);
    }
    admin.ok(sqe.with_prp(rig.buffer(64).iova(), 0));
}

#[test]
fn a_request_waits_for_an_event_and_holds_nothing_up() {
    let rig = Rig::new(Setup::default());
    raw::write_cc(&rig, raw::cc().with_en(false));
    // Queues with room for two commands: one is the request, the other must get through.
    let mut admin = raw::enable(&rig, raw::cc(), 3, 2);
    let waiting = admin.send(request());
    let page = rig.buffer(4096).iova();
    for _ in 0..5 {
        admin.ok(identify(Cns::Controller, 0, Csi::Nvm).with_prp(page, 0));
    }
    rig.write_bar0(sq_tail_doorbell(9, 0), &1u32.to_le_bytes());
    let event = admin.drain();
    assert_eq!(event.len(), 1);
    assert_eq!(event[0].cid, waiting);
    assert_eq!(
        event[0].dw0,
        AsyncEvent::INVALID_DOORBELL_REGISTER.into_bits()
    );
}

#[test]
fn doorbells_of_no_queue_and_beyond_all_queues_are_an_event() {
    for offset in [
        sq_tail_doorbell(1, 0),
        cq_head_doorbell(1, 0),
        DOORBELLS + 0xFFC,
    ] {
        let rig = Rig::new(Setup::default());
        let mut admin = raw::start(&rig);
        admin.send(request());
        rig.write_bar0(offset, &1u32.to_le_bytes());
        let event = admin.drain()[0];
        assert!(event.status().is_success());
        assert_eq!(event.dw0, AsyncEvent::INVALID_DOORBELL_REGISTER.into_bits());
    }
}

#[test]
fn a_tail_outside_of_its_queue_is_an_event_and_the_queue_goes_on() {
    for by_message in [true, false] {
        let rig = Rig::new(Setup::default());
        let mut admin = raw::start(&rig);
        let mut io = Queue::create(&mut admin, 1, 16, 16);
        admin.send(request());
        if by_message {
            rig.write_bar0(sq_tail_doorbell(1, 0), &16u32.to_le_bytes());
        } else {
            rig.doorbell_page()
                .store_release(8, 0xFFFF_FFFF)
                .expect("a doorbell");
        }
        let event = admin.drain()[0];
        assert_eq!(event.dw0, AsyncEvent::INVALID_DOORBELL_VALUE.into_bits());
        io.ok(command::read(1, 0, 1).with_prp(rig.buffer(512).iova(), 0));
    }
}

#[test]
fn a_head_beyond_what_was_posted_is_an_event() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    admin.send(request());
    rig.write_bar0(cq_head_doorbell(1, 0), &5u32.to_le_bytes());
    let event = admin.drain()[0];
    assert_eq!(event.dw0, AsyncEvent::INVALID_DOORBELL_VALUE.into_bits());
    let sqe = command::read(1, 0, 1).with_prp(rig.buffer(512).iova(), 0);
    (0..40).for_each(|_| _ = io.ok(sqe));
}

#[test]
fn an_event_that_comes_before_its_request_waits_for_it() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    rig.write_bar0(sq_tail_doorbell(9, 0), &1u32.to_le_bytes());
    rig.settle();
    let cid = admin.send(request());
    let event = admin.drain();
    assert_eq!((event.len(), event[0].cid), (1, cid));
}

#[test]
fn events_of_a_type_are_held_back_until_their_log_is_read_without_retaining_them() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let wrong = || rig.write_bar0(sq_tail_doorbell(9, 0), &1u32.to_le_bytes());
    admin.send(request());
    wrong();
    assert_eq!(admin.drain().len(), 1);
    admin.send(request());
    wrong();
    assert_eq!(admin.drain().len(), 0, "the host has not read why");
    read_error_log_beside_a_request(&rig, &mut admin, true);
    assert_eq!(admin.drain().len(), 0, "it has asked to be left in peace");
    read_error_log_beside_a_request(&rig, &mut admin, false);
}

/// As [`read_error_log`]; an event may come with the answer.
fn read_error_log_beside_a_request(rig: &Arc<Rig>, admin: &mut Queue, retain: bool) {
    let mut sqe = command::get_log(Lid::ErrorInformation, 0, Csi::Nvm, 0, 0, 64);
    if !retain {
        sqe.cdw10 &= !(1 << 15);
    }
    let cid = admin.send(sqe.with_prp(rig.buffer(64).iova(), 0));
    let answers = admin.drain();
    assert_eq!(answers[0].cid, cid);
    assert_eq!(
        answers.len(),
        if retain { 1 } else { 2 },
        "the event that was held back"
    );
}

#[test]
fn one_request_too_many_is_refused_and_those_before_it_stay() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let mut driver_limit = 0;
    let refused = loop {
        let cid = admin.send(request());
        if let Some(cqe) = admin.drain().first() {
            assert_eq!(cqe.cid, cid);
            break *cqe;
        }
        driver_limit += 1;
    };
    assert_eq!(refused.status().code(), Status::AER_LIMIT_EXCEEDED);
    let mut page = [0; 4096];
    let mut identify = rig.driver();
    identify
        .identify_into(Cns::Controller, 0, Csi::Nvm, &mut page)
        .expect("identify");
    assert_eq!(driver_limit, u32::from(identify.identify().aerl_z) + 1);
}

#[test]
fn requests_are_forgotten_by_a_reset() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    (0..4).for_each(|_| _ = admin.send(request()));
    rig.settle();
    let mut admin = raw::start(&rig);
    rig.write_bar0(sq_tail_doorbell(9, 0), &1u32.to_le_bytes());
    assert!(admin.drain().is_empty());
    // All four may be outstanding again.
    let cids: Vec<_> = (0..4).map(|_| admin.send(request())).collect();
    let events = admin.drain();
    assert_eq!(
        events.iter().map(|cqe| cqe.cid).collect::<Vec<_>>(),
        cids[..1]
    );
    read_error_log(&rig, &mut admin, false);
}
