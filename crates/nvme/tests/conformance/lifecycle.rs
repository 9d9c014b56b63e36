//! Registers: enable, disable, shut down, and what is written to where.

use crate::common::raw::{self, Queue, cc, csts, write_cc};
use crate::common::{Rig, Setup};
use ersatz_host::command;
use ersatz_host::driver::Transport;
use nvme_spec::register::{
    AQA, ASQ, CAP, CC, CRTO, CSTS, Cap, Cc, CcCss, Csts, DOORBELLS, INTMS, Shn, Shst, VS, Version,
};
use nvme_spec::{Cns, Csi};
use std::sync::Arc;

fn rig() -> Arc<Rig> {
    Rig::new(Setup::default())
}

fn identify(rig: &Arc<Rig>, admin: &mut Queue) {
    let page = rig.buffer(4096);
    admin.ok(command::identify(Cns::Controller, 0, Csi::Nvm).with_prp(page.iova(), 0));
}

#[test]
fn capabilities_say_what_the_drive_was_made_with() {
    let rig = Rig::new(Setup {
        entries: 256,
        ..Setup::default()
    });
    let cap = Cap::from_bits(rig.read64(CAP).expect("there"));
    assert_eq!(cap.mqes_z(), 255);
    assert_eq!((cap.mpsmin(), cap.mpsmax(), cap.dstrd()), (0, 4, 0));
    assert!(cap.cqr() && cap.css().ncss() && cap.css().iocss() && !cap.css().noiocss());
    assert_eq!(Version::from_bits(rig.register(VS)), Version::V2_1);
    assert_ne!(rig.register(CRTO), 0);
    assert_eq!(rig.register(CSTS), 0, "not ready before it is enabled");
}

#[test]
fn a_controller_is_ready_while_it_is_enabled() {
    let rig = rig();
    let mut admin = raw::enable(&rig, cc(), 2, 2);
    assert_eq!(csts(&rig), Csts::new().with_rdy(true));
    identify(&rig, &mut admin);
    write_cc(&rig, cc().with_en(false));
    assert_eq!(csts(&rig), Csts::new());
    let mut again = raw::enable(&rig, cc(), 4096, 4096);
    identify(&rig, &mut again);
}

#[test]
fn a_command_of_the_time_before_a_reset_is_not_taken_after_it() {
    let rig = rig();
    let mut admin = raw::start(&rig);
    admin.send(command::identify(Cns::Controller, 0, Csi::Nvm));
    write_cc(&rig, cc().with_en(false));
    // The same queues, as they are: the doorbell starts at 0 again.
    write_cc(&rig, cc());
    rig.settle();
    assert!(csts(&rig).rdy());
    assert!(admin.take().is_none());
}

#[test]
fn values_that_capabilities_exclude_are_a_fatal_status_until_the_next_reset() {
    for wrong in [
        cc().with_mps(5),
        cc().with_mps(15),
        cc().with_ams(1),
        cc().with_ams(7),
    ]
    .into_iter()
    .chain([1, 2, 5].map(|css| cc().with_css(CcCss(css))))
    {
        let rig = rig();
        raw::enable(&rig, wrong, 32, 32);
        assert_eq!(csts(&rig), Csts::new().with_cfs(true), "{wrong:?}");
        write_cc(&rig, wrong.with_en(false));
        assert_eq!(csts(&rig), Csts::new());
        identify(&rig, &mut raw::start(&rig));
    }
}

#[test]
fn an_admin_queue_of_one_entry_is_a_fatal_status() {
    for (asqs, acqs) in [(0u32, 31u32), (31, 0)] {
        let rig = rig();
        rig.write_bar0(AQA, &(asqs | acqs << 16).to_le_bytes());
        write_cc(&rig, cc());
        assert!(csts(&rig).cfs() && !csts(&rig).rdy());
    }
}

#[test]
fn a_shutdown_completes_and_ends_all_work_until_the_controller_is_enabled_again() {
    for shn in [Shn::Normal, Shn::Abrupt] {
        let rig = rig();
        let mut admin = raw::start(&rig);
        write_cc(&rig, cc().with_shn(shn));
        assert_eq!(
            csts(&rig),
            Csts::new().with_rdy(true).with_shst(Shst::Complete)
        );
        admin.send(command::identify(Cns::Controller, 0, Csi::Nvm));
        rig.settle();
        assert!(admin.take().is_none());
        write_cc(&rig, Cc::new());
        assert_eq!(csts(&rig), Csts::new());
        identify(&rig, &mut raw::start(&rig));
    }
}

#[test]
fn the_driver_attaches_shuts_down_and_attaches_again() {
    let rig = rig();
    let mut driver = rig.driver();
    assert_eq!(driver.queue_pairs(), 64);
    driver.shutdown().expect("shut down");
    drop(driver);
    rig.driver();
    // Without a shutdown as well, as after a crash.
    let mut driver = rig.driver();
    driver
        .create_queue_pair(Default::default())
        .expect("queues");
}

#[test]
fn a_register_of_8_bytes_is_written_at_once_or_in_halves() {
    let rig = rig();
    rig.write_bar0(ASQ, &0x1234_5678_9ABC_D000u64.to_le_bytes());
    assert_eq!(rig.read64(ASQ).expect("there"), 0x1234_5678_9ABC_D000);
    rig.write_bar0(ASQ, &0x1111_1000u32.to_le_bytes());
    rig.write_bar0(ASQ + 4, &0x2222_2222u32.to_le_bytes());
    assert_eq!(rig.read64(ASQ).expect("there"), 0x2222_2222_1111_1000);
    // Two registers in one write, as the processor may combine them.
    let both = u64::from(0x001F_001Fu32) << 32;
    rig.write_bar0(AQA - 4, &both.to_le_bytes());
    assert_eq!(rig.register(AQA), 0x001F_001F);
}

#[test]
fn reserved_bits_of_the_admin_queue_registers_stay_zero() {
    let rig = rig();
    rig.write_bar0(AQA, &[0xFF; 4]);
    rig.write_bar0(ASQ, &[0xFF; 8]);
    assert_eq!(rig.register(AQA), 0x0FFF_0FFF);
    assert_eq!(rig.read64(ASQ).expect("there"), !0xFFF);
}

#[test]
fn writes_of_odd_size_or_alignment_and_to_read_only_registers_change_nothing() {
    let rig = rig();
    raw::start(&rig);
    let before: Vec<u32> = (0..0x1000).step_by(4).map(|at| rig.register(at)).collect();
    for (offset, len) in [
        (CC, 1),
        (CC, 2),
        (CC, 3),
        (CC + 1, 4),
        (CC + 2, 4),
        (CC - 2, 8),
    ] {
        rig.write_bar0(offset, &[0xFF; 8][..len]);
    }
    rig.write_bar0(CC, &[0; 16]);
    rig.write_bar0(CC, &[]);
    for offset in [CAP, CAP + 4, VS, CSTS, CRTO, 0x38, 0xE00, 0xFFC] {
        rig.write_bar0(offset, &[0xFF; 4]);
    }
    // The admin queue stays where it is while it is used.
    rig.write_bar0(AQA, &[0; 4]);
    rig.write_bar0(ASQ, &[0; 8]);
    let after: Vec<u32> = (0..0x1000).step_by(4).map(|at| rig.register(at)).collect();
    assert_eq!(before, after);
    assert_eq!(rig.register(INTMS), 0);
}

#[test]
fn a_doorbell_that_is_written_by_message_is_the_one_in_the_shared_page() {
    let rig = rig();
    let admin = raw::start(&rig);
    let mut io = admin;
    let mut io = Queue::create(&mut io, 1, 16, 16);
    io.send(command::read(1, 0, 1).with_prp(rig.buffer(512).iova(), 0));
    assert_eq!(rig.doorbell_page().load_acquire(8), Ok(1));
    assert_eq!(io.drain().len(), 1);
    rig.write_bar0(DOORBELLS + 12, &1u32.to_le_bytes());
    assert_eq!(rig.doorbell_page().load_acquire(12), Ok(1));
}
