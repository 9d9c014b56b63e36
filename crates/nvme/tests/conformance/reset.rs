//! Resets of every kind, in the middle of work.

use crate::common::raw::{self, Queue, cc, csts};
use crate::common::{BLOCKS_512, COMPUTE, FIXED, MEMORY, Rig, Setup, pattern};
use ersatz_engine::Ns;
use ersatz_host::command::{read, write};
use ersatz_nvme::LinkConfig;
use ersatz_pcie::{Function, Region, Reset};
use nvme_spec::register::{ASQ, Csts};
use nvme_spec::{AdminOpcode, SlmOpcode, Sqe};
use std::sync::Arc;

fn rig() -> Arc<Rig> {
    let link = Some(LinkConfig {
        bandwidth: 1_000_000_000,
        latency: Ns(900),
    });
    Rig::new(Setup {
        media: Some(FIXED),
        link,
        ..Setup::default()
    })
}

/// Commands in every state that there is: on the link, in the media, parked, waiting for an event.
fn busy(rig: &Arc<Rig>) -> (Queue, Queue) {
    let mut admin = raw::start(rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    let data = rig.buffer(4096);
    data.write(0, &pattern(9, 4096)).expect("inside");
    io.ok(write(BLOCKS_512, 0, 8).with_prp(data.iova(), 0));
    admin.send(Sqe::new(AdminOpcode::AsyncEventRequest, 0));
    for i in 1..5 {
        io.push(write(BLOCKS_512, i * 8, 8).with_prp(data.iova(), 0));
        io.push(read(BLOCKS_512, 0, 8).with_prp(rig.buffer(4096).iova(), 0));
        io.push(Sqe::memory(SlmOpcode::MemoryWrite, MEMORY, 0, 4096).with_prp(data.iova(), 0));
    }
    io.push(Sqe::new(nvme_spec::CpOpcode::ExecuteProgram, COMPUTE));
    io.ring();
    rig.lock().poll();
    // Some way through: transfers have arrived, the media works.
    rig.lock().now += Ns(5_000);
    rig.lock().poll();
    assert!(rig.lock().controller.in_flight() > 0);
    (admin, io)
}

fn check_that_all_is_well(rig: &Arc<Rig>) {
    assert_eq!(rig.lock().controller.in_flight(), 0);
    let mut admin = raw::start(rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    let back = rig.buffer(4096);
    io.ok(read(BLOCKS_512, 0, 8).with_prp(back.iova(), 0));
    let mut bytes = vec![0; 4096];
    back.read(0, &mut bytes).expect("inside");
    assert_eq!(
        bytes,
        pattern(9, 4096),
        "what was completed before the reset is there"
    );
    assert!(io.drain().is_empty(), "nothing comes from the time before");
    assert!(admin.drain().is_empty());
}

#[test]
fn a_controller_reset_in_the_middle_of_work_forgets_the_work_and_keeps_the_data() {
    let rig = rig();
    let (mut admin, mut io) = busy(&rig);
    raw::write_cc(&rig, cc().with_en(false));
    assert_eq!(csts(&rig), Csts::new());
    rig.settle();
    assert!(admin.peek().is_none());
    let posted = std::iter::from_fn(|| io.peek()).count();
    assert!(
        posted <= 1,
        "Execute of no program has failed at once, and no other has ended"
    );
    assert_ne!(rig.register(ASQ), 0, "the admin queue's place survives");
    check_that_all_is_well(&rig);
}

#[test]
fn a_function_level_reset_forgets_the_registers_as_well() {
    let rig = rig();
    busy(&rig);
    let express = capability(&rig, 0x10);
    // Initiate Function Level Reset is bit 15 of Device Control.
    rig.lock()
        .write(Region::Config, express + 8, &0xA810u16.to_le_bytes());
    assert_eq!(csts(&rig), Csts::new());
    assert_eq!(rig.register(ASQ), 0);
    rig.settle();
    check_that_all_is_well(&rig);
}

#[test]
fn a_host_that_disconnects_leaves_nothing_behind() {
    let rig = rig();
    busy(&rig);
    rig.lock()
        .write(Region::Config, 4, &0x0006u16.to_le_bytes());
    rig.lock().reset(Reset::Disconnect);
    let command = rig.lock().front().config().get(4);
    assert_eq!(command & 0xFFFF, 0);
    rig.settle();
    check_that_all_is_well(&rig);
}

#[test]
fn a_host_that_disconnected_rings_no_doorbells_of_the_next_one() {
    let rig = rig();
    busy(&rig);
    let (_, kept) = rig.lock().front().bar0().shared;
    rig.lock().reset(Reset::Disconnect);
    let mut admin = raw::start(&rig);
    kept.store_release(0, 3).expect("its memory is still there");
    rig.settle();
    assert!(admin.take().is_none(), "the queue is empty");
    check_that_all_is_well(&rig);
}

#[test]
fn resets_again_and_again_at_every_moment_lose_nothing() {
    let rig = rig();
    busy(&rig);
    for step in 0..60 {
        let mut admin = raw::start(&rig);
        let mut io = Queue::create(&mut admin, 1, 64, 64);
        let data = rig.buffer(4096).iova();
        for i in 1..20 {
            io.push(write(BLOCKS_512, i * 8, 8).with_prp(data, 0));
            io.push(read(BLOCKS_512, i * 8, 8).with_prp(data, 0));
        }
        io.ring();
        for _ in 0..step {
            rig.lock().step();
        }
        if step % 2 == 0 {
            rig.lock().reset(Reset::Function);
        }
    }
    raw::write_cc(&rig, cc().with_en(false));
    check_that_all_is_well(&rig);
}

#[test]
fn a_drive_that_is_dropped_with_work_in_it_is_just_gone() {
    busy(&rig());
}

/// Where the capability `id` is in the configuration space.
fn capability(rig: &Rig, id: u8) -> u64 {
    let space = rig.lock().front().config();
    let mut at = space.get(0x34) as u8;
    while at != 0 {
        let word = space.get(at.into());
        if word as u8 == id {
            return at.into();
        }
        at = (word >> 8) as u8;
    }
    panic!("no capability {id:#x}");
}
