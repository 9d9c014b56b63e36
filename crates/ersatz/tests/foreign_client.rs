//! Somebody else's vfio-user client, from crates.io, brings the whole drive up and asks it who it
//! is.

mod common;

use common::{Drive, SMALL};
use nvme_spec::identify::IdentifyController;
use nvme_spec::{AdminOpcode, Cns, Sqe};
use rustix::fs::MemfdFlags;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsRawFd;
use zerocopy::{FromBytes, IntoBytes};

const BAR0: u32 = 0;
const CC: u64 = 0x14;
const CSTS: u64 = 0x1C;
/// Where queues and data are in the client's memory.
const ASQ: u64 = 0x1000;
const ACQ: u64 = 0x2000;
const DATA: u64 = 0x3000;

#[test]
fn a_foreign_client_enables_the_controller_and_identifies_it() {
    let drive = Drive::serve(SMALL, &[]);
    let mut client = vfio_user::Client::new(&drive.socket()).expect("connect");
    let memory = rustix::fs::memfd_create("client", MemfdFlags::CLOEXEC).expect("memfd");
    let mut memory = std::fs::File::from(memory);
    memory.set_len(1 << 20).expect("length");
    client
        .dma_map(0, 0, 1 << 20, memory.as_raw_fd())
        .expect("mapped");

    let mut cap = [0; 8];
    client.region_read(BAR0, 0, &mut cap).expect("CAP");
    assert_ne!(u64::from_le_bytes(cap) & 0xFFFF, 0, "MQES");

    let mut identify = Sqe::new(AdminOpcode::Identify, 0).with_prp(DATA, 0);
    identify.cdw10 = Cns::Controller.into_bits().into();
    memory.seek(SeekFrom::Start(ASQ)).expect("seek");
    std::io::Write::write_all(&mut memory, identify.as_bytes()).expect("written");

    for (offset, value) in [(0x28, ASQ), (0x30, ACQ)] {
        client
            .region_write(BAR0, offset, &value.to_le_bytes())
            .expect("queue address");
    }
    for (offset, value) in [(0x24, 0x000F_000Fu32), (CC, 0x0046_0061), (0x1000, 1)] {
        client
            .region_write(BAR0, offset, &value.to_le_bytes())
            .expect("register");
    }
    let mut csts = [0; 4];
    client.region_read(BAR0, CSTS, &mut csts).expect("CSTS");
    assert_eq!(csts[0] & 0b11, 1, "ready, no fatal status");

    // By polling, as firmware does: the phase tag is the lowest bit of the status field.
    let mut status = [0; 2];
    while status[0] & 1 == 0 {
        rustix::io::pread(&memory, &mut status, ACQ + 14).expect("completion");
        std::thread::yield_now();
    }
    assert_eq!(u16::from_le_bytes(status), 1, "success");
    let mut page = vec![0; 4096];
    rustix::io::pread(&memory, &mut page, DATA).expect("data");
    let identify = IdentifyController::ref_from_bytes(&page).expect("4096 bytes");
    assert_eq!(&identify.sn[..5], b"SMALL");
    client.shutdown().expect("shutdown");
}
