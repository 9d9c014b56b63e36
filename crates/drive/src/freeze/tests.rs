//! A freezer and a QEMU of which only the control protocol is there.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

/// The QEMU's end of one connection.
struct Monitor {
    lines: BufReader<UnixStream>,
}

impl Monitor {
    /// Accepts and negotiates.
    fn accept(listener: &UnixListener) -> Self {
        let (socket, _) = listener.accept().expect("the freezer");
        let mut monitor = Self {
            lines: BufReader::new(socket),
        };
        monitor.say(r#"{"QMP": {"version": {}, "capabilities": []}}"#);
        monitor.expect("qmp_capabilities");
        monitor.say(r#"{"return": {}}"#);
        monitor
    }

    fn say(&mut self, line: &str) {
        let socket = self.lines.get_mut();
        socket.write_all(line.as_bytes()).expect("sent");
        socket.write_all(b"\r\n").expect("sent");
    }

    fn event(&mut self, name: &str) {
        let stamp = r#"{"seconds": 1, "microseconds": 2}"#;
        self.say(&format!(r#"{{"timestamp": {stamp}, "event": "{name}"}}"#));
    }

    /// Waits for a command.
    fn expect(&mut self, command: &str) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        assert!(line.contains(&format!("\"{command}\"")), "{line}");
    }

    fn obey(&mut self, command: &str, event: &str) {
        self.expect(command);
        self.event(event);
        self.say(r#"{"return": {}}"#);
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    listener: UnixListener,
    freezer: Freezer,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("qmp.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let freezer = Freezer::start(&path).expect("started");
    Bench {
        _folder: folder,
        listener,
        freezer,
    }
}

impl Bench {
    fn handle(&self) -> Freeze {
        self.freezer.handle(Waker::new().expect("an eventfd"))
    }
}

fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

#[test]
fn the_guest_and_the_clock_stand_while_any_drive_wants_it() {
    let bench = bench();
    let (mut first, mut second) = (bench.handle(), bench.handle());
    let clock = first.clock();
    let mut qemu = Monitor::accept(&bench.listener);
    first.want(true);
    qemu.obey("stop", "STOP");
    until(|| clock.is_stopped());
    second.want(true);
    first.want(false);
    first.want(true);
    first.want(false);
    assert!(clock.is_stopped());
    // The last one's want goes with it.
    drop(second);
    qemu.obey("cont", "RESUME");
    until(|| !clock.is_stopped());
    until(|| bench.freezer.statistics().time > Ns::ZERO);
    let statistics = bench.freezer.statistics();
    assert_eq!((statistics.count, statistics.missed), (1, 0));
}

#[test]
fn a_guest_that_somebody_else_stopped_is_theirs_to_start() {
    let bench = bench();
    let mut drive = bench.handle();
    let clock = drive.clock();
    let mut qemu = Monitor::accept(&bench.listener);
    drive.want(true);
    qemu.expect("stop");
    qemu.say(r#"{"return": {}}"#);
    drive.want(false);
    drive.want(true);
    // They start it: now there is something to stop.
    qemu.event("RESUME");
    qemu.obey("stop", "STOP");
    until(|| clock.is_stopped());
}

#[test]
fn a_guest_that_stands_when_qemu_is_lost_is_started_as_soon_as_it_is_back() {
    let bench = bench();
    let mut drive = bench.handle();
    let clock = drive.clock();
    let mut qemu = Monitor::accept(&bench.listener);
    drive.want(true);
    qemu.obey("stop", "STOP");
    until(|| clock.is_stopped());
    drop(qemu);
    // The drives' time can't wait for that.
    until(|| !clock.is_stopped());
    let mut qemu = Monitor::accept(&bench.listener);
    qemu.obey("cont", "RESUME");
    // And it is stopped again, since the drive still wants it.
    qemu.obey("stop", "STOP");
    until(|| clock.is_stopped());
    drive.want(false);
    qemu.obey("cont", "RESUME");
    until(|| !clock.is_stopped());
}

#[test]
fn the_guest_does_not_stay_behind_when_the_freezer_goes() {
    let Bench {
        _folder,
        listener,
        freezer,
    } = bench();
    let mut drive = freezer.handle(Waker::new().expect("an eventfd"));
    let mut qemu = Monitor::accept(&listener);
    drive.want(true);
    qemu.obey("stop", "STOP");
    until(|| drive.clock().is_stopped());
    let end = std::thread::spawn(move || drop(freezer));
    qemu.obey("cont", "RESUME");
    end.join().expect("ended");
    assert!(!drive.clock().is_stopped());
}

#[test]
fn without_qemu_it_is_counted_and_the_clock_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let freezer = Freezer::start(&folder.path().join("none")).expect("started");
    let mut drive = freezer.handle(Waker::new().expect("an eventfd"));
    drive.want(true);
    until(|| freezer.statistics().missed == 1);
    assert!(!drive.clock().is_stopped());
    drive.want(false);
}

#[test]
fn what_is_no_qmp_is_left_alone() {
    for rubbish in ["rubbish\n", "{}\n", "\n"] {
        let bench = bench();
        let mut drive = bench.handle();
        let (mut socket, _) = bench.listener.accept().expect("the freezer");
        socket.write_all(rubbish.as_bytes()).expect("sent");
        drive.want(true);
        until(|| bench.freezer.statistics().missed == 1);
        assert!(!drive.clock().is_stopped());
    }
}
