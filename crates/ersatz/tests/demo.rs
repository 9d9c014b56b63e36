//! The demo, small.

mod common;

use common::{SMALL, ersatz, run};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn the_drive_and_the_host_agree_and_the_drive_moves_less() {
    let text = run(&["demo", "--size", "16MiB", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["agree"], true);
    let (drive, host) = (&report["drive"], &report["host"]);
    assert_eq!(drive["lines"], host["lines"]);
    assert!(host["lines"].as_u64() > Some(1000), "{report}");
    // All of it and the log page that tells it, but nothing else.
    let over_link = host["bytes_over_link"].as_u64().expect("a number");
    assert!(
        (16 << 20..(16 << 20) + 4096).contains(&over_link),
        "{report}"
    );
    assert_eq!(drive["bytes_inside"], 16 << 20);
    assert!(
        drive["bytes_over_link"].as_u64() < Some(64 << 10),
        "{report}"
    );
    for way in [drive, host] {
        assert!(way["modelled_ns"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn modelled_time_has_the_link_and_the_compute_units_in_it() {
    let text = run(&["demo", "--size", "16MiB", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    // 16 MiB over 3.2 GB/s.
    assert!(
        report["host"]["modelled_ns"].as_u64() >= Some(5_242_880),
        "{report}"
    );
}

#[test]
fn memory_that_is_smaller_than_the_data_is_filled_several_times() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("drive.toml");
    let text = SMALL
        .replacen("1 MiB", "4 MiB", 1)
        .replace("units = 1", "units = 3");
    std::fs::write(&path, text).expect("a drive file");
    let path = path.to_str().expect("UTF-8");
    let text = run(&["demo", "--drive", path, "--size", "3333333", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["agree"], true);
    assert!(report["drive"]["lines"].as_u64() > Some(100), "{report}");
    assert!(
        report["drive"]["bytes_inside"].as_u64() >= Some(3_333_333),
        "{report}"
    );
}

#[test]
fn what_the_demo_needs_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("drive.toml");
    std::fs::write(&path, SMALL).expect("a drive file");
    let path = path.to_str().expect("UTF-8");
    let error = run(&["demo", "--drive", path, "--size", "2MiB"]).fails(1);
    assert!(
        error.contains("2097152 bytes are more than the 1048576"),
        "{error}"
    );
    let error = run(&["demo", "--size", "0"]).fails(1);
    assert!(error.contains("nothing to count"), "{error}");
    let error = run(&["demo", "--drive", &common::example("drives/null.toml")]).fails(1);
    assert!(
        error.contains("needs a drive with a memory namespace"),
        "{error}"
    );
}

/// Starts a demo whose temporary files go to `folder`, sends it `signal` when its drive has a
/// client, and waits until both its processes have ended.
fn end_by(signal: Signal, folder: &Path) {
    let mut command = ersatz(&["demo", "--size", "512MiB", "--json"]);
    command.env("TMPDIR", folder).env("RUST_LOG", "info");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut demo = command.spawn().expect("it starts");
    let mut stderr = BufReader::new(demo.stderr.take().expect("its errors")).lines();
    let connected = stderr.any(|line| line.expect("text").contains("a client has connected"));
    assert!(connected, "the drive has no client");
    kill_process(Pid::from_child(&demo), signal).expect("a signal");
    // Standard error is also the drive's: it ends when both have ended.
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        stderr.for_each(drop);
        let _ = sender.send(());
    });
    let ended = ended.recv_timeout(Duration::from_secs(30));
    demo.wait().expect("it ends");
    assert!(ended.is_ok(), "the drive is left behind");
}

#[test]
fn a_demo_that_is_killed_leaves_no_drive_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    end_by(Signal::KILL, folder.path());
}

#[test]
fn a_demo_that_is_interrupted_leaves_no_files_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let folder = tempfile::tempdir().expect("a folder");
        end_by(signal, folder.path());
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 0);
    }
}
