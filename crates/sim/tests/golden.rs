//! Recordings of FEMU against the whole drive: the properties become a drive file, the trace goes
//! through the controller's queues, and each latency and counter must be the recorded one.
//!
//! The recordings are not part of the project. The test looks for them where `ERSATZ_GOLDEN` points,
//! else beside the project, and says which; without them it has nothing to compare and says so.
//! `small.rs` has cases of our own.

use ersatz_drive_file::{DriveFile, Limits, from_femu};
use ersatz_ftl::femu::Properties;
use ersatz_report::{LatencyCsv, Summary};
use ersatz_sim::{Options, Simulation};
use ersatz_workload::Op;
use ersatz_workload::trace::{self, Reader};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn recordings() -> Option<PathBuf> {
    let named = std::env::var_os("ERSATZ_GOLDEN").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/ftl");
    named.or_else(|| beside.is_dir().then_some(beside))
}

fn json(path: &Path) -> Value {
    serde_json::from_reader(File::open(path).expect("recording")).expect("JSON")
}

fn drive(case: &Value) -> DriveFile {
    let properties = case["properties"].as_object().expect("properties").iter();
    let properties: Vec<String> = properties
        .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
        .collect();
    let properties = Properties::parse(&properties.join(",")).expect("known");
    let text = from_femu(&properties).expect("expressible").to_toml();
    DriveFile::parse("femu.toml", &text, &Limits::NONE).expect("a drive file")
}

/// The lines of the latencies, and the summary.
fn simulate(case: &Path) -> (String, Summary) {
    let drive = drive(&json(&case.join("case.json")));
    let trace = case.join("trace.csv.gz");
    let mut trace = Reader::open(&trace, trace::Options::new(512)).expect("recording");
    let mut simulation = Simulation::new(&drive, Options::default()).expect("a drive");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("latency.csv");
    let mut csv = LatencyCsv::create(&path).expect("a file");
    let summary = simulation.run(&mut trace, &mut [&mut csv]).expect("a run");
    csv.finish().expect("written");
    (std::fs::read_to_string(path).expect("text"), summary)
}

fn compare(case: &Path) -> Vec<String> {
    let (latencies, summary) = simulate(case);
    let mut recorded = String::new();
    let file = File::open(case.join("latency.csv.gz")).expect("recording");
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut recorded)
        .expect("gzip");
    let mut wrong = Vec::new();
    if latencies.lines().count() != recorded.lines().count() {
        wrong.push(format!("{} lines", latencies.lines().count()));
    }
    let mut lines = latencies.lines().zip(recorded.lines());
    if let Some((ours, theirs)) = lines.find(|(ours, theirs)| ours != theirs) {
        wrong.push(format!("{ours}, recorded {theirs}"));
    }
    let (expected, counters) = (
        json(&case.join("counters.json")),
        serde_json::to_value(summary.flash).expect("JSON"),
    );
    for name in [
        "host_write_pages",
        "gc_write_pages",
        "erases",
        "gc_rounds_foreground",
        "gc_rounds_background",
        "free_lines",
        "victim_lines",
        "full_lines",
    ] {
        if expected[name] != counters[name] {
            wrong.push(format!(
                "{name}: {}, recorded {}",
                counters[name], expected[name]
            ));
        }
    }
    // FEMU lets a deallocation beyond the end do nothing; NVMe has a status for it.
    let transfers = summary.operations.iter().filter(|(op, _)| **op != Op::Trim);
    let failed: u64 = transfers.map(|(_, of)| of.errors).sum();
    if expected["error_status"] != failed {
        wrong.push(format!(
            "{failed} failures, recorded {}",
            expected["error_status"]
        ));
    }
    wrong
}

/// Says something past the test harness, which would keep it to itself.
fn announce(words: &str) {
    let _ = writeln!(std::io::stdout(), "{words}");
}

#[test]
fn every_recorded_latency_and_counter_is_reproduced_by_the_whole_drive() {
    let Some(folder) = recordings() else {
        announce("NOT TESTED: no recordings; set ERSATZ_GOLDEN to a folder of them");
        return;
    };
    announce(&format!("recordings: {}", folder.display()));
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.join("case.json").is_file())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    let mut failed = 0;
    for case in &cases {
        let wrong = compare(case);
        if !wrong.is_empty() {
            failed += 1;
            let name = case.file_name().expect("name").display();
            println!("{name}: {}", wrong.join("; "));
        }
    }
    assert_eq!(failed, 0, "of {} cases", cases.len());
}
