//! `ersatz simulate`: the same results each time, and all the files that can be asked for.

mod common;

use common::run;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Two channels of two dies, 16 MiB, of which 12 can be used.
const DRIVE: &str = r#"
[drive]
serial = "SIM"
[nand]
channels = 2
dies_per_channel = 2
blocks_per_plane = 64
pages_per_block = 16
sectors_per_page = 8
sector = "512 B"
[ftl]
model = "femu"
[[namespace]]
kind = "nvm"
size = "12 MiB"
block = "512 B"
"#;

const JOBS: &str = r#"
[[job]]
rw = "randrw"
bs = "4 KiB"
iodepth = 4
runtime = "20 ms"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("drive.toml", DRIVE);
        folder.write("jobs.toml", JOBS);
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

    /// Runs it on the drive; words with a dot are files of the folder.
    fn simulate(&self, words: &[&str]) -> common::Run {
        let file = |name: &str| self.path(name).to_str().expect("UTF-8").to_owned();
        let mut args = vec!["simulate".to_owned(), file("drive.toml")];
        args.extend(words.iter().map(|word| match Path::new(word).extension() {
            Some(_) => file(word),
            None => (*word).to_owned(),
        }));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(&args)
    }
}

#[test]
fn it_explains_itself_with_examples() {
    let help = run(&["simulate", "--help"]).ok();
    for part in ["  ersatz simulate", "--plot", "--timeline", "byte by byte"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = Folder::new();
    let json = |seed| {
        let words = ["--workload", "jobs.toml", "--seed", seed, "--json"];
        folder.simulate(&words).ok()
    };
    let first = json("7");
    assert_eq!(first, json("7"));
    assert_ne!(first, json("8"));
    let value: Value = serde_json::from_str(&first).expect("JSON");
    assert!(value["operations"]["read"]["requests"].as_u64() > Some(0));
    assert_eq!(value["dies"].as_array().map(Vec::len), Some(4));
    assert_eq!(value["skipped_lines"], 0);
}

#[test]
fn all_files_are_written_and_agree() {
    let folder = Folder::new();
    // A page of each die is written and read again; the last request lies outside.
    folder.write(
        "trace.csv",
        "0,W,0,32\n1000000,R,0,8\n1000000,R,8,8\n9000000,R,1000000,8\n",
    );
    let table = folder
        .simulate(&[
            "--trace",
            "trace.csv",
            "--csv",
            "latency.csv",
            "--counters",
            "counters.json",
            "--plot",
            "plot.svg",
            "--timeline",
            "timeline.json",
        ])
        .ok();
    assert!(table.contains("write amplification"), "{table}");
    assert!(table.contains("LBA Out of Range"), "{table}");

    assert_eq!(
        folder.read("latency.csv"),
        "index,latency_ns\n0,200000\n1,40000\n2,40000\n3,0\n"
    );
    let counters: Value = serde_json::from_str(&folder.read("counters.json")).expect("JSON");
    assert_eq!(counters["host_write_pages"], 4);
    let plot = folder.read("plot.svg");
    assert!(plot.starts_with("<svg") && plot.contains("drive.toml, trace.csv"));

    let timeline: Value = serde_json::from_str(&folder.read("timeline.json")).expect("JSON");
    let events = timeline["traceEvents"].as_array().expect("a list");
    let number = |phase: &str, name: &str| {
        let events = events.iter();
        events
            .filter(|event| event["ph"] == phase && event["name"] == name)
            .count()
    };
    assert_eq!((number("b", "read"), number("e", "read")), (3, 3));
    assert_eq!((number("b", "write"), number("e", "write")), (1, 1));
    assert_eq!((number("X", "program"), number("X", "read")), (4, 2));
    assert_eq!(number("M", "thread_name"), 4);
}

#[test]
fn a_plot_of_no_known_format_is_refused_before_the_run() {
    let folder = Folder::new();
    let words = [
        "--workload",
        "jobs.toml",
        "--plot",
        "plot.gif",
        "--csv",
        "latency.csv",
    ];
    let refused = folder.simulate(&words).fails(2);
    assert!(refused.contains(".svg or .png"), "{refused}");
    assert!(!folder.path("latency.csv").exists());
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    for option in ["--csv", "--counters", "--plot", "--timeline"] {
        let words = ["--workload", "jobs.toml", option, "no/where.svg"];
        let refused = folder.simulate(&words).fails(1);
        assert!(refused.contains("where.svg: No such file"), "{refused}");
    }
}

#[test]
fn a_job_that_does_not_fit_is_refused_with_its_place() {
    let folder = Folder::new();
    folder.write("jobs.fio", "[a]\nrw=read\nsize=1g\n");
    let refused = folder.simulate(&["--workload", "jobs.fio"]).fails(2);
    assert!(refused.contains("jobs.fio:1:1: a: size: "), "{refused}");
    folder.write("jobs.toml", "[[job]]\nrw = \"raed\"\n");
    let refused = folder.simulate(&["--workload", "jobs.toml"]).fails(2);
    assert!(refused.contains("jobs.toml:2:6: rw: \"raed\""), "{refused}");
}

#[test]
fn the_format_of_a_trace_is_seen_and_a_device_chosen() {
    let folder = Folder::new();
    let msr = "128166372003061629,usr,0,Write,0,4096,1\n128166372013061629,usr,1,Read,0,4096,1\n";
    folder.write("trace.csv", msr);
    let requests = |words: &[&str]| {
        let words = [&["--trace", "trace.csv", "--json"], words].concat();
        let json: Value = serde_json::from_str(&folder.simulate(&words).ok()).expect("JSON");
        json["total"]["requests"].as_u64()
    };
    assert_eq!(requests(&[]), Some(2));
    assert_eq!(requests(&["--format", "msr", "--device", "1"]), Some(1));
    folder
        .simulate(&["--trace", "trace.csv", "--format", "spc"])
        .fails(1);
}

#[test]
fn a_trace_keeps_its_times_or_a_depth() {
    let folder = Folder::new();
    folder.write("trace.csv", "0,W,0,8\n900000000,W,8,8\n900000000,W,16,8\n");
    let duration = |words: &[&str]| {
        let words = [&["--trace", "trace.csv", "--json"], words].concat();
        let json: Value = serde_json::from_str(&folder.simulate(&words).ok()).expect("JSON");
        json["duration_ns"].as_u64()
    };
    assert_eq!(duration(&[]), Some(900_200_000));
    assert_eq!(duration(&["--depth", "1"]), Some(3 * 200_000));
}

#[test]
fn bad_lines_are_told_or_skipped_and_counted() {
    let folder = Folder::new();
    folder.write("trace.csv", "0,R,0,8\n0,X,0,8\n");
    let refused = folder.simulate(&["--trace", "trace.csv"]).fails(1);
    assert!(refused.contains("trace.csv:2:3"), "{refused}");
    let table = folder
        .simulate(&["--trace", "trace.csv", "--skip-bad"])
        .ok();
    assert!(table.ends_with("that were skipped: 1\n"), "{table}");
}
