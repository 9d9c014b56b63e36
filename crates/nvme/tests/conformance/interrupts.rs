//! Interrupts: messages, and the level of the INTx line.

use crate::common::raw::{self, Queue};
use crate::common::{BLOCKS_512, Rig, Setup};
use ersatz_host::command::{create_cq, create_sq};
use ersatz_pcie::{Function, Region};
use nvme_spec::register::{INTMC, INTMS, cq_head_doorbell};
use nvme_spec::{NvmOpcode, Sqe};
use std::sync::Arc;

fn flush() -> Sqe {
    Sqe::new(NvmOpcode::Flush, BLOCKS_512)
}

fn line(rig: &Rig) -> bool {
    rig.lock().front().line()
}

fn raised(rig: &Rig, vector: u16) -> u64 {
    rig.lock().host.raised(vector)
}

fn start(messages: bool) -> (Arc<Rig>, Queue) {
    let rig = Rig::new(Setup::default());
    rig.lock().host.messages = messages;
    let admin = raw::start(&rig);
    (rig, admin)
}

#[test]
fn commands_that_complete_together_raise_one_interrupt() {
    let (rig, mut admin) = start(true);
    let mut io = Queue::create_with(&mut admin, 1, 64, 64, Some(5));
    let mut other = Queue::create_with(&mut admin, 2, 64, 64, Some(6));
    (0..10).for_each(|_| _ = io.push(flush()));
    io.ring();
    other.send(flush());
    rig.settle();
    assert_eq!((raised(&rig, 5), raised(&rig, 6)), (1, 1));
    io.send(flush());
    rig.settle();
    assert_eq!((raised(&rig, 5), raised(&rig, 6)), (2, 1));
    assert_eq!((io.drain().len(), other.drain().len()), (11, 1));
}

#[test]
fn queues_that_share_a_vector_are_told_of_by_it() {
    let (rig, mut admin) = start(true);
    let mut first = Queue::create_with(&mut admin, 1, 64, 64, Some(5));
    let mut second = Queue::create_with(&mut admin, 2, 64, 64, Some(5));
    first.send(flush());
    rig.settle();
    second.send(flush());
    rig.settle();
    assert_eq!(raised(&rig, 5), 2);
}

#[test]
fn a_queue_without_interrupts_raises_none_and_the_admin_queue_raises_vector_0() {
    let (rig, mut admin) = start(true);
    let mut io = Queue::create_with(&mut admin, 1, 64, 64, None);
    let admins = raised(&rig, 0);
    assert_eq!(admins, 2, "one for each command");
    io.send(flush());
    assert_eq!(io.drain().len(), 1);
    for vector in 0..65 {
        let expected = if vector == 0 { admins } else { 0 };
        assert_eq!(raised(&rig, vector), expected);
    }
}

#[test]
fn the_line_is_high_while_completions_wait_for_the_host() {
    let (rig, mut admin) = start(false);
    assert!(!line(&rig));
    let mut io = Queue::create_with(&mut admin, 1, 16, 16, Some(0));
    assert!(!line(&rig), "all of the admin queue's were taken");
    io.push(flush());
    io.send(flush());
    rig.settle();
    assert!(line(&rig));
    io.take().expect("posted");
    assert!(line(&rig), "one is left");
    io.take().expect("posted");
    assert!(!line(&rig));
}

#[test]
fn a_queue_without_interrupts_leaves_the_line_alone() {
    let (rig, mut admin) = start(false);
    let io = Queue::new(&rig, 1, 16, 16);
    admin.ok(create_cq(1, 16, io.cq.iova(), None));
    admin.ok(create_sq(1, 16, io.sq.iova(), 1));
    let mut io = io;
    io.send(flush());
    rig.settle();
    assert!(!line(&rig));
}

#[test]
fn a_masked_interrupt_waits_until_it_is_unmasked() {
    let (rig, mut admin) = start(false);
    let mut io = Queue::create_with(&mut admin, 1, 16, 16, Some(3));
    rig.write_bar0(INTMS, &(1u32 << 3).to_le_bytes());
    assert_eq!((rig.register(INTMS), rig.register(INTMC)), (8, 8));
    io.send(flush());
    rig.settle();
    assert!(!line(&rig));
    let before = raised(&rig, 0);
    rig.write_bar0(INTMC, &(1u32 << 2).to_le_bytes());
    assert!(!line(&rig), "another one was unmasked");
    rig.write_bar0(INTMC, &(1u32 << 3).to_le_bytes());
    assert!(line(&rig));
    assert_eq!(raised(&rig, 0), before + 1, "the host is told of the edge");
    io.take().expect("posted");
    assert!(!line(&rig));
}

#[test]
fn masks_do_not_hold_messages_back() {
    let (rig, mut admin) = start(true);
    let mut io = Queue::create_with(&mut admin, 1, 16, 16, Some(3));
    rig.write_bar0(INTMS, &[0xFF; 4]);
    io.send(flush());
    rig.settle();
    assert_eq!(raised(&rig, 3), 1);
}

#[test]
fn the_line_stays_low_when_the_host_disables_it_in_the_command_register() {
    let (rig, mut admin) = start(false);
    let mut io = Queue::create_with(&mut admin, 1, 16, 16, Some(0));
    io.send(flush());
    rig.settle();
    assert!(line(&rig));
    // Interrupt Disable is bit 10 of the command register.
    rig.lock()
        .write(Region::Config, 4, &0x0400u16.to_le_bytes());
    assert!(!line(&rig));
    rig.lock().write(Region::Config, 4, &0u16.to_le_bytes());
    assert!(line(&rig));
}

#[test]
fn the_line_follows_a_head_that_is_stored_in_the_shared_page() {
    let (rig, mut admin) = start(false);
    let mut io = Queue::create_with(&mut admin, 1, 16, 16, Some(0));
    io.send(flush());
    rig.settle();
    assert!(line(&rig));
    io.peek().expect("posted");
    let at = cq_head_doorbell(1, 0) - nvme_spec::register::DOORBELLS;
    rig.doorbell_page()
        .store_release(at, io.head)
        .expect("a doorbell");
    assert!(!line(&rig));
}

#[test]
fn a_reset_lowers_the_line_and_clears_the_masks() {
    let (rig, mut admin) = start(false);
    let mut io = Queue::create_with(&mut admin, 1, 16, 16, Some(0));
    io.send(flush());
    rig.settle();
    rig.write_bar0(INTMS, &2u32.to_le_bytes());
    assert!(line(&rig));
    raw::write_cc(&rig, raw::cc().with_en(false));
    assert!(!line(&rig));
    assert_eq!(rig.register(INTMS), 0);
}
