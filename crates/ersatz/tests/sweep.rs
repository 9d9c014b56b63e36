//! `ersatz sweep`: a row for each run, the same whoever runs it and however often it is interrupted.

mod common;

use common::{example, run};
use serde_json::Value;
use std::path::PathBuf;

/// A drive that collects garbage soon: two dies of 24 MiB.
const DRIVE: &str = r#"
[drive]
serial = "SWEEP"
[nand]
channels = 2
dies_per_channel = 1
blocks_per_plane = 96
pages_per_block = 16
sectors_per_page = 8
sector = "512 B"
[ftl]
model = "femu"
[[namespace]]
kind = "nvm"
size = "8 MiB"
block = "512 B"
"#;

const JOBS: &str = "[[job]]\nrw = \"randwrite\"\nrequests = 4000\nrandom_map = false\n";

const SWEEP: &str = r#"
drive = "drive.toml"
[settings]
"namespace[1].size" = ["4 MiB", "8 MiB"]
ftl.gc.policy = ["greedy", "fifo"]
[[workload]]
file = "jobs.toml"
seed = [1, 2]
[[workload]]
name = "some, recorded"
trace = "trace.csv"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("drive.toml", DRIVE);
        folder.write("jobs.toml", JOBS);
        folder.write("trace.csv", "0,W,0,8\n0,R,0,8\n5000,T,0,8\n");
        folder.write("sweep.toml", SWEEP);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("text")
    }

    fn sweep(&self, out: &str, words: &[&str]) -> common::Run {
        let (file, out) = (self.path("sweep.toml"), self.path(out));
        let (file, out) = (file.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
        run(&[&["sweep", file, "--out", out], words].concat())
    }

    /// How many runs it took, and the rows.
    fn json(&self, out: &str, words: &[&str]) -> (u64, Vec<Value>) {
        let text = self.sweep(out, &[words, &["--json"]].concat()).ok();
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let rows = json["rows"].as_array().expect("rows").clone();
        (json["ran"].as_u64().expect("a number"), rows)
    }
}

#[test]
fn it_explains_itself_with_examples() {
    let help = run(&["sweep", "--help"]).ok();
    for part in ["  ersatz sweep", "[[workload]]", "--jobs", "--restart"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
}

#[test]
fn each_combination_is_a_row_whatever_the_number_of_workers() {
    let folder = Folder::new();
    let (ran, rows) = folder.json("one.csv", &["--jobs", "1"]);
    assert_eq!((ran, rows.len()), (12, 12));
    folder.sweep("three.csv", &["--jobs", "3"]).ok();
    assert_eq!(folder.read("one.csv"), folder.read("three.csv"));

    let shown = |row: &Value| {
        let keys = ["namespace[1].size", "ftl.gc.policy", "workload", "seed"];
        keys.map(|key| row[key].as_str().unwrap_or("-").to_owned())
    };
    assert_eq!(shown(&rows[0]), ["4 MiB", "greedy", "jobs.toml", "1"]);
    assert_eq!(shown(&rows[1]), ["4 MiB", "greedy", "jobs.toml", "2"]);
    assert_eq!(shown(&rows[5]), ["4 MiB", "fifo", "some, recorded", "-"]);
    assert_eq!(shown(&rows[11]), ["8 MiB", "fifo", "some, recorded", "-"]);
    // Less room to spare means more garbage collection.
    let waf = |row: &Value| row["flash.waf"].as_f64().expect("a number");
    assert!(waf(&rows[6]) > waf(&rows[0]), "{rows:?}");
    assert_ne!(
        rows[0]["total.latency_ns.mean"],
        rows[1]["total.latency_ns.mean"]
    );

    // A row has what `simulate` says.
    let file = |name| folder.path(name).to_str().expect("UTF-8").to_owned();
    let text = run(&[
        "simulate",
        &file("drive.toml"),
        "--workload",
        &file("jobs.toml"),
        "--seed",
        "2",
        "--json",
    ])
    .ok();
    let simulated: Value = serde_json::from_str(&text).expect("JSON");
    let swept = &rows[7];
    assert_eq!(swept["flash.waf"], simulated["flash"]["waf"]);
    let writes = &simulated["operations"]["write"];
    assert_eq!(
        swept["write.latency_ns.p99_9"],
        writes["latency_ns"]["p99_9"]
    );
    assert_eq!(swept["write.iops"], writes["iops"]);
    let mut reader = csv::Reader::from_path(folder.path("one.csv")).expect("CSV");
    let names = reader.headers().expect("names").clone();
    assert!(
        reader
            .records()
            .all(|row| row.expect("CSV").len() == names.len())
    );
}

#[test]
fn finished_runs_are_not_repeated() {
    let folder = Folder::new();
    folder.sweep("r.csv", &[]).ok();
    let result = folder.read("r.csv");
    assert_eq!(folder.json("r.csv", &[]).0, 0);

    // As if it had been killed: some runs are missing, one is half written, one is damaged.
    let journal = folder.read("r.csv.journal");
    let lines: Vec<_> = journal.split_inclusive('\n').collect();
    let damaged = lines[1].replace(',', ";");
    let half = &lines[2][..lines[2].len() / 2];
    folder.write(
        "r.csv.journal",
        &[lines[0], &damaged, lines[5], half].concat(),
    );
    std::fs::remove_file(folder.path("r.csv")).expect("removed");
    assert_eq!(folder.json("r.csv", &["--jobs", "3"]).0, 10);
    assert_eq!(folder.read("r.csv"), result);
    assert_eq!(folder.json("r.csv", &[]).0, 0);
    assert_eq!(folder.json("r.csv", &["--restart"]).0, 12);
}

#[test]
fn a_change_repeats_what_it_changes() {
    let folder = Folder::new();
    folder.sweep("r.csv", &[]).ok();
    folder.write(
        "sweep.toml",
        &SWEEP.replace("\"fifo\"", "\"fifo\", \"random\""),
    );
    assert_eq!(folder.json("r.csv", &[]).0, 6, "one more policy");
    folder.write("sweep.toml", SWEEP);
    assert_eq!(folder.json("r.csv", &[]).0, 0, "back again");
    folder.write("trace.csv", "0,W,0,8\n");
    assert_eq!(folder.json("r.csv", &[]).0, 4, "the trace, on four drives");
    folder.write("drive.toml", &format!("# a word\n{DRIVE}"));
    assert_eq!(
        folder.json("r.csv", &[]).0,
        0,
        "the same drive in other words"
    );
    folder.write(
        "drive.toml",
        &DRIVE.replace(
            "serial",
            "link = { bandwidth = \"1 GB/s\", latency = \"1 us\" }\nserial",
        ),
    );
    assert_eq!(folder.json("r.csv", &[]).0, 12, "another drive");
}

#[test]
fn what_is_wrong_is_told_with_its_place_before_anything_runs() {
    let folder = Folder::new();
    for (old, new, place) in [
        (
            "\"fifo\"",
            "\"fofi\"",
            "sweep.toml:5:28: ftl.gc.policy = \"fofi\": \"fofi\"",
        ),
        (
            "ftl.gc.policy",
            "ftl.gc.polic",
            "sweep.toml:5:17: ftl.gc.polic = \"greedy\": ",
        ),
        (
            "\"8 MiB\"",
            "\"8 gib\"",
            "sweep.toml:4:33: namespace[1].size = \"8 gib\": \"8 gib\" has an unknown unit",
        ),
        (
            "[1]",
            "[2]",
            "sweep.toml:4:24: namespace[2].size = \"4 MiB\": the drive file has 1",
        ),
        (
            "[\"greedy\", \"fifo\"]",
            "\"greedy\"",
            "sweep.toml:5:17: ftl.gc.policy: expected a list",
        ),
        (
            "drive =",
            "drives =",
            "sweep.toml:2:1: unknown field `drives`",
        ),
    ] {
        folder.write("sweep.toml", &SWEEP.replacen(old, new, 1));
        let refused = folder.sweep("r.csv", &[]).fails(2);
        assert!(refused.contains(place), "{refused}\ndoes not have\n{place}");
    }
    folder.write("sweep.toml", &SWEEP.replace("\"8 MiB\"", "\"8 GiB\""));
    let refused = folder.sweep("r.csv", &[]).fails(2);
    assert!(refused.contains("nand: 2 channels"), "{refused}");
    assert!(
        refused.contains("(with namespace[1].size = \"8 GiB\""),
        "{refused}"
    );
    folder.write("sweep.toml", SWEEP);
    folder.write("jobs.toml", "[[job]]\nrw = \"read\"\nsize = \"6 MiB\"\n");
    let refused = folder.sweep("r.csv", &[]).fails(2);
    assert!(refused.contains("sweep.toml:6:1: jobs.toml: "), "{refused}");
    assert!(
        refused.contains("(with namespace[1].size = \"4 MiB\""),
        "{refused}"
    );
    folder.write("jobs.toml", "[[job]]\nrw = \"raed\"\n");
    let refused = folder.sweep("r.csv", &[]).fails(2);
    assert!(refused.contains("jobs.toml:2:6: rw: "), "{refused}");
    folder.write("drive.toml", "[drive]\n");
    assert!(
        folder
            .sweep("r.csv", &[])
            .fails(2)
            .contains("drive.toml:1:")
    );
    assert!(!folder.path("r.csv.journal").exists());
    folder.sweep("r.csv", &["--jobs", "0"]).fails(2);
}

#[test]
fn a_run_that_fails_leaves_the_others_their_rows() {
    let folder = Folder::new();
    folder.write("trace.csv", "0,W,0,8\n0,X,0,8\n");
    let failed = folder.sweep("r.csv", &[]).fails(1);
    assert!(failed.contains("4 of 12 runs failed: "), "{failed}");
    assert!(failed.contains("trace.csv:2:3: "), "{failed}");
    let result = folder.read("r.csv");
    let errors = result
        .lines()
        .filter(|line| line.contains("trace.csv:2:3"))
        .count();
    assert_eq!((result.lines().count(), errors), (13, 4));
    // Only those are done again.
    folder.write("trace.csv", "0,W,0,8\n");
    assert_eq!(folder.json("r.csv", &[]).0, 4);
}

#[test]
fn the_example_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("waf.csv");
    let text = run(&[
        "sweep",
        &example("sweeps/waf.toml"),
        "--out",
        out.to_str().expect("UTF-8"),
        "--json",
    ])
    .ok();
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let rows = json["rows"].as_array().expect("rows");
    let waf = |spare: &str, policy: &str| {
        let row = rows
            .iter()
            .find(|row| row["ftl.over_provisioning"] == spare && row["ftl.gc.policy"] == policy);
        row.and_then(|row| row["flash.waf"].as_f64())
            .expect("a row")
    };
    for policy in ["greedy", "cost-benefit", "fifo"] {
        assert!(waf("7 %", policy) > waf("28 %", policy), "{policy}");
    }
    assert!(waf("7 %", "fifo") > waf("7 %", "greedy"));
}
