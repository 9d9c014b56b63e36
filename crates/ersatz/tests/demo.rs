//! The demo, small.

mod common;

use common::{SMALL, run};

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
