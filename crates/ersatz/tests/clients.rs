//! One client after another: whatever one does, the drive and its data stay as they were, and
//! nothing of it is left behind.

mod common;

use common::{Drive, Run, SMALL};
use ersatz_host::command;
use ersatz_host::driver::{Data, Driver, Options, QueueOptions, Segment, VfioUser};
use ersatz_vfio_user::{Client, IrqAction, IrqSet, pci};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::MemfdFlags;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a process holds: open descriptors, and mappings of memory that was passed to it.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    mappings: usize,
}

impl Holdings {
    fn of(drive: &Drive) -> Self {
        let process = format!("/proc/{}", drive.pid());
        let descriptors = std::fs::read_dir(format!("{process}/fd"))
            .expect("its descriptors")
            .count();
        let maps = std::fs::read_to_string(format!("{process}/maps")).expect("its mappings");
        let mappings = maps.lines().filter(|line| line.contains("/memfd:")).count();
        Self {
            descriptors,
            mappings,
        }
    }
}

/// Lets `client` misbehave, then looks whether the next one finds all as it was.
#[track_caller]
#[allow(clippy::disallowed_methods)] // A deadline: the drive is another process.
fn leaves_nothing(client: impl Fn(&Drive)) {
    let drive = Drive::serve(SMALL, &[]);
    // Before any client: that one has gone, a drive may notice late.
    let before = Holdings::of(&drive);
    drive
        .csd_with(&["write", "4096"], b"what was written before")
        .ok();
    for _ in 0..3 {
        client(&drive);
        // The drive takes the next client only when it has forgotten this one.
        let read = drive.csd(&["read", "4096", "24", "--raw"]).ok();
        assert_eq!(&read[..23], "what was written before");
    }
    // The end of the last client is noticed soon, not at once.
    let limit = Instant::now() + Duration::from_secs(20);
    let mut after = Holdings::of(&drive);
    while after != before && Instant::now() < limit {
        std::thread::yield_now();
        after = Holdings::of(&drive);
    }
    assert_eq!(before, after);
    assert_eq!(drive.interrupt().0, Some(0));
}

#[test]
fn a_client_that_leaves_with_commands_in_flight_leaves_nothing() {
    leaves_nothing(|drive| {
        let transport = Arc::new(VfioUser::connect(drive.socket()).expect("connect"));
        let mut driver = Driver::attach(transport, Options::default()).expect("attach");
        let mut queue = driver
            .create_queue_pair(QueueOptions::default())
            .expect("queues");
        let buffer = driver.allocate(64 << 10).expect("memory");
        for lba in 0..64 {
            let segment = [Segment {
                iova: buffer.iova(),
                len: 512,
            }];
            queue
                .push(command::read(1, lba, 1), Data::Prp(&segment))
                .expect("room");
        }
        queue.ring().expect("a doorbell");
        // Neither deletes queues nor shuts down.
        drop(queue);
    });
}

#[test]
fn a_client_that_talks_rubbish_leaves_nothing() {
    leaves_nothing(|drive| {
        let mut stream = UnixStream::connect(drive.socket()).expect("connect");
        let rubbish: Vec<u8> = (0..10_000u32).map(|i| ((i * 7919) >> 3) as u8).collect();
        // The drive may hang up before all is written.
        let _ = stream.write_all(&rubbish);
    });
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_message_leaves_nothing() {
    leaves_nothing(|drive| {
        let mut stream = UnixStream::connect(drive.socket()).expect("connect");
        stream
            .write_all(&[0, 0, 1, 0, 200, 0])
            .expect("a part of a header");
    });
}

#[test]
fn maps_and_interrupts_of_a_client_that_vanishes_are_given_back() {
    leaves_nothing(|drive| {
        let mut client = Client::connect(drive.socket()).expect("connect");
        for i in 0..20u64 {
            let memory = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).expect("memfd");
            rustix::fs::ftruncate(&memory, 1 << 20).expect("truncate");
            client
                .dma_map(i << 20, 1 << 20, Some((memory.as_fd(), 0)))
                .expect("mapped");
        }
        let fds: Vec<_> = (0..8)
            .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("eventfd"))
            .collect();
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let set = IrqSet::EventFds(&borrowed);
        client
            .set_irqs(pci::MSIX_IRQ, 0, IrqAction::Trigger, set)
            .expect("interrupts");
        let held = Holdings::of(drive);
        assert!(held.mappings >= 20 && held.descriptors >= 8, "{held:?}");
        // A client may map more than a process may have descriptors.
        assert!(held.descriptors < 28, "none is kept for memory: {held:?}");
    });
}

#[test]
fn memory_that_shrinks_after_it_was_mapped_does_not_end_the_drive() {
    leaves_nothing(|drive| {
        let mut client = Client::connect(drive.socket()).expect("connect");
        let memory = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).expect("memfd");
        rustix::fs::ftruncate(&memory, 1 << 20).expect("truncate");
        client
            .dma_map(0, 1 << 20, Some((memory.as_fd(), 0)))
            .expect("mapped");
        rustix::fs::ftruncate(&memory, 0).expect("truncate");
        // The admin queues lie in what is no more: the drive fetches from there.
        let mut write = |offset, value: u64, len| {
            let bytes = value.to_le_bytes();
            client
                .region_write(pci::BAR0_REGION, offset, &bytes[..len])
                .expect("written");
        };
        write(0x24, 0x000F_000F, 4);
        write(0x28, 0x1000, 8);
        write(0x30, 0x2000, 8);
        write(0x14, 0x0046_0001, 4);
        write(0x1000, 3, 4);
        let mut csts = [0; 4];
        client
            .region_read(pci::BAR0_REGION, 0x1C, &mut csts)
            .expect("read");
        assert_eq!(csts[0] & 1, 1, "ready");
    });
}

#[test]
fn several_drives_of_one_process_are_served_side_by_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, socket) = (folder.path().join("b.toml"), folder.path().join("b.sock"));
    std::fs::write(&file, SMALL.replace("\"SMALL\"", "\"SECOND\"")).expect("a drive file");
    let second = [&file, Path::new("--socket"), &socket].map(|part| part.to_str().expect("UTF-8"));
    let drive = Drive::serve(SMALL, &[&second[..], &["--json"]].concat());
    drive.csd_with(&["write", "0"], b"first").ok();
    let other = |args: &[&str], input: &[u8]| {
        let device = format!("vfio-user:{}", socket.display());
        common::csd_at(&device, args, input)
    };
    other(&["write", "0"], b"other").ok();
    assert_eq!(drive.csd(&["read", "0", "5", "--raw"]).ok(), "first");
    assert_eq!(other(&["read", "0", "5", "--raw"], b"").ok(), "other");
    let (code, rest) = drive.interrupt();
    assert_eq!(code, Some(0));
    // The second's announcement, and what both counted.
    let lines: Vec<serde_json::Value> = rest
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let serials: Vec<_> = lines.iter().map(|line| &line["serial"]).collect();
    assert_eq!(serials.len(), 3);
    assert_eq!(serials[0], serials[2]);
    assert_ne!(serials[1], serials[2]);
    assert!(lines[1..].iter().all(|line| line["completed"].is_number()));
}

#[test]
fn each_drive_needs_a_socket() {
    let files = [
        common::example("drives/csd.toml"),
        common::example("drives/csd.toml"),
    ];
    let run = Run::of(
        common::ersatz(&["serve", &files[0], &files[1], "--socket", "/nonexistent/s"])
            .output()
            .expect("it starts"),
    );
    assert!(
        run.fails(2)
            .contains("2 drives need as many sockets, 1 were given")
    );
}
