//! Doorbell Buffer Config: doorbells that the host keeps in its own memory.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_512, FIXED, Rig, Setup};
use ersatz_host::command::{read, write};
use ersatz_host::driver::{Data, DmaBuffer, Options, QueueOptions};
use nvme_spec::{AdminOpcode, Sqe, Status};
use std::sync::Arc;

#[test]
fn all_io_works_through_the_driver_s_shadow_doorbells() {
    let rig = Rig::new(Setup {
        media: Some(FIXED),
        ..Setup::default()
    });
    let mut driver = rig.driver_with(Options {
        shadow_doorbells: true,
        ..Options::default()
    });
    let options = QueueOptions {
        entries: 8,
        interrupt: None,
    };
    let mut pairs: Vec<_> = (0..3)
        .map(|_| driver.create_queue_pair(options).expect("queues"))
        .collect();
    let buffer = rig.buffer(4096);
    for round in 0..50 {
        for pair in &mut pairs {
            for _ in 0..=round % 7 {
                let sqe = write(BLOCKS_512, round, 8);
                pair.submit(sqe, Data::Prp(&[buffer.segment()]))
                    .expect("room");
            }
        }
        for pair in &mut pairs {
            while pair.in_flight() > 0 {
                if let Some(cqe) = pair.poll().expect("sound") {
                    assert!(cqe.status().is_success());
                }
            }
        }
        // The drive goes to sleep in between.
        let mut state = rig.lock();
        let state = &mut *state;
        assert!(!state.controller.arm(&mut state.host));
    }
    for pair in pairs {
        driver.delete_queue_pair(pair).expect("deleted");
    }
}

/// A host with shadow doorbells that keeps to the protocol, or not.
struct Host {
    rig: Arc<Rig>,
    admin: Queue,
    io: Queue,
    values: DmaBuffer,
    events: DmaBuffer,
}

const TAIL: u64 = 8;

impl Host {
    fn new() -> Self {
        let rig = Rig::new(Setup::default());
        let mut admin = raw::start(&rig);
        let io = Queue::create(&mut admin, 1, 16, 16);
        let (values, events) = (rig.buffer(4096), rig.buffer(4096));
        let sqe = Sqe::new(AdminOpcode::DoorbellBufferConfig, 0);
        admin.ok(sqe.with_prp(values.iova(), events.iova()));
        Self {
            rig,
            admin,
            io,
            values,
            events,
        }
    }

    fn push(&mut self) {
        self.io
            .push(read(BLOCKS_512, 0, 1).with_prp(self.rig.buffer(512).iova(), 0));
    }

    fn arm(&self) -> bool {
        let mut state = self.rig.lock();
        let state = &mut *state;
        state.controller.arm(&mut state.host)
    }

    fn event_index(&self) -> u32 {
        self.events.load(TAIL).expect("inside")
    }
}

#[test]
fn the_shadow_is_what_counts_and_the_register_is_only_a_bell() {
    let mut host = Host::new();
    host.push();
    // The bell alone: no command is there.
    host.io.ring();
    host.rig.settle();
    assert!(host.io.peek().is_none());
    host.values.store_release(TAIL, 1).expect("inside");
    host.rig.settle();
    assert!(host.io.peek().is_some());
}

#[test]
fn a_sleeper_is_woken_because_the_event_index_is_the_tail_that_it_has_seen() {
    let mut host = Host::new();
    for tail in 1..=5 {
        assert!(!host.arm(), "there is nothing to do");
        assert_eq!(
            host.event_index(),
            tail - 1,
            "a tail beyond this must be rung for"
        );
        host.push();
        host.values.store_release(TAIL, tail).expect("inside");
        host.rig.settle();
        assert!(host.io.peek().is_some());
    }
}

#[test]
fn a_command_that_comes_while_the_drive_goes_to_sleep_keeps_it_awake() {
    let mut host = Host::new();
    assert!(!host.arm());
    // The host has read the event index of before, and does not ring.
    host.push();
    host.values.store_release(TAIL, 1).expect("inside");
    assert!(
        host.arm(),
        "it was seen by the look after the index was written"
    );
    host.rig.settle();
    assert!(host.io.peek().is_some());
}

#[test]
fn a_full_completion_queue_does_not_keep_the_drive_awake_but_the_host_s_head_does() {
    let mut host = Host::new();
    for _ in 0..15 {
        host.push();
    }
    host.values.store_release(TAIL, 15).expect("inside");
    host.rig.settle();
    for _ in 0..3 {
        host.push();
    }
    host.values.store_release(TAIL, 2).expect("inside");
    host.rig.settle();
    assert!(!host.arm(), "nothing can be completed");
    (0..15).for_each(|_| _ = host.io.peek().expect("posted"));
    host.values.store_release(TAIL + 4, 15).expect("inside");
    assert!(host.arm());
    host.rig.settle();
    assert_eq!(std::iter::from_fn(|| host.io.peek()).count(), 3);
}

#[test]
fn queues_in_use_go_on_where_their_registers_are() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    let sqe = read(BLOCKS_512, 0, 1).with_prp(rig.buffer(512).iova(), 0);
    for _ in 0..5 {
        io.ok(sqe);
    }
    let (values, events) = (rig.buffer(4096), rig.buffer(4096));
    let config = Sqe::new(AdminOpcode::DoorbellBufferConfig, 0);
    admin.ok(config.with_prp(values.iova(), events.iova()));
    assert_eq!(values.load::<u32>(TAIL), Ok(5));
    io.push(sqe);
    values.store_release(TAIL, 6).expect("inside");
    rig.settle();
    assert!(io.peek().is_some());
    assert!(io.peek().is_none());
}

#[test]
fn a_shadow_with_nonsense_is_an_event_and_shadow_memory_that_is_gone_is_fatal() {
    let mut host = Host::new();
    host.admin.send(Sqe::new(AdminOpcode::AsyncEventRequest, 0));
    host.values.store_release(TAIL, 16).expect("inside");
    let event = host.admin.drain()[0];
    assert_eq!(
        event.dw0,
        nvme_spec::admin::AsyncEvent::INVALID_DOORBELL_VALUE.into_bits()
    );
    host.rig.lock().host.dma().clear();
    host.rig.settle();
    assert!(raw::csts(&host.rig).cfs());
}

#[test]
fn buffers_that_can_t_be_used_are_refused() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let page = rig.buffer(4096).iova();
    let sqe = Sqe::new(AdminOpcode::DoorbellBufferConfig, 0);
    assert_eq!(
        admin.status(sqe.with_prp(page + 8, page)),
        Status::INVALID_FIELD
    );
    assert_eq!(
        admin.status(sqe.with_prp(page, page + 8)),
        Status::INVALID_FIELD
    );
    assert_eq!(
        admin.status(sqe.with_prp(0, page)),
        Status::DATA_TRANSFER_ERROR
    );
    assert_eq!(
        admin.status(sqe.with_prp(page, 0)),
        Status::DATA_TRANSFER_ERROR
    );
    // Doorbells are registers as before.
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    io.ok(read(BLOCKS_512, 0, 1).with_prp(page, 0));
}

#[test]
fn a_reset_ends_the_use_of_shadows() {
    let host = Host::new();
    let mut admin = raw::start(&host.rig);
    let mut io = Queue::create(&mut admin, 1, 16, 16);
    io.ok(read(BLOCKS_512, 0, 1).with_prp(host.rig.buffer(512).iova(), 0));
}
