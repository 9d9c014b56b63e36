//! Recordings of FEMU against the whole drive: the properties become a drive file, the trace goes
//! through the controller's queues, and each latency and counter must be the recorded one.
//!
//! `recordings` says where they are, and what becomes of the test without them. `small.rs` has cases
//! of our own.

#[path = "../../ftl/tests/recordings/mod.rs"]
mod recordings;

use ersatz_drive_file::{DriveFile, Limits, from_femu};
use ersatz_ftl::femu::Properties;
use ersatz_report::{LatencyCsv, Summary};
use ersatz_sim::{Options, Simulation};
use ersatz_workload::Op;
use ersatz_workload::trace::{self, Reader};
use recordings::{json, unzipped};
use serde_json::Value;
use std::path::Path;

fn drive(case: &Value) -> DriveFile {
    let properties = Properties::parse(&recordings::properties(case)).expect("known");
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
    let recorded = unzipped(&case.join("latency.csv.gz"));
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

#[test]
fn every_recorded_latency_and_counter_is_reproduced_by_the_whole_drive() {
    recordings::compare_all(compare);
}
