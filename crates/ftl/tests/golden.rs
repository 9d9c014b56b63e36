//! The FEMU model against recordings of FEMU itself: every latency, counter, and the final state.
//!
//! Where recordings come from is in `recordings/mod.rs`.
//! `femu_regression.rs` guards the model's behaviour where the recordings are missing.

mod recordings;

use ersatz_engine::Ns;
use ersatz_ftl::femu::{Femu, Properties};
use ersatz_ftl::{Extent, Media, MediaHeap, Placement};
use recordings::{json, unzipped};
use serde_json::Value;
use std::path::Path;

fn numbers(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .expect("array")
        .iter()
        .map(|it| it.as_u64().expect("number"))
        .collect()
}

fn drive(case: &Value) -> Femu {
    let config = Properties::parse(&recordings::properties(case))
        .expect("known")
        .flash()
        .expect("flash");
    Femu::new(&config).expect("possible")
}

/// Runs the trace and gives all latencies.
fn run(femu: &mut Femu, trace: &str) -> Vec<u64> {
    let mut heap = MediaHeap::new();
    let request = |line: &str| {
        let mut fields = line.split(',');
        let time: u64 = fields.next().expect("time").parse().expect("time");
        let op = fields.next().expect("op").to_owned();
        let mut number = || {
            fields
                .next()
                .expect("field")
                .parse::<u64>()
                .expect("number")
        };
        let (slba, nlb) = (number(), number());
        (
            Ns(time),
            op,
            Extent {
                start: slba * 512,
                len: nlb * 512,
            },
        )
    };
    trace
        .lines()
        .skip(1)
        .map(request)
        .map(|(now, op, at)| {
            let done = match op.as_str() {
                "R" => femu.read(now, at, &mut heap),
                "W" => femu.write(now, at, Placement::default(), &mut heap),
                _ => femu.trim(now, at, &mut heap),
            };
            done.expect("no failure").since(now).0
        })
        .collect()
}

fn compare(dir: &Path) -> Vec<String> {
    let case = json(&dir.join("case.json"));
    let expected = json(&dir.join("counters.json"));
    let mut femu = drive(&case);
    let latencies = run(&mut femu, &unzipped(&dir.join("trace.csv.gz")));
    let recorded: Vec<u64> = unzipped(&dir.join("latency.csv.gz"))
        .lines()
        .skip(1)
        .map(|line| {
            line.rsplit(',')
                .next()
                .expect("latency")
                .parse()
                .expect("number")
        })
        .collect();
    let mut wrong = Vec::new();
    if latencies.len() != recorded.len() {
        wrong.push(format!(
            "{} requests, recorded {}",
            latencies.len(),
            recorded.len()
        ));
    }
    let differ = |(_, (ours, theirs)): &(usize, (&u64, &u64))| ours != theirs;
    let mut differences = latencies.iter().zip(&recorded).enumerate().filter(differ);
    if let Some((at, (ours, theirs))) = differences.next() {
        let more = differences.count();
        wrong.push(format!(
            "request {at}: {ours} ns, recorded {theirs}; {more} more differ"
        ));
    }
    let (counters, state) = (femu.counters(), femu.state());
    for (name, ours) in [
        ("host_write_pages", counters.host_write_pages),
        ("gc_write_pages", counters.gc_write_pages),
        ("erases", counters.erases),
        ("gc_rounds_foreground", counters.gc_rounds_foreground),
        ("gc_rounds_background", counters.gc_rounds_background),
        ("free_lines", counters.free_lines),
        ("victim_lines", counters.victim_lines),
        ("full_lines", counters.full_lines),
        ("mapped_pages", state.mapped),
    ] {
        if expected[name].as_u64() != Some(ours) {
            wrong.push(format!("{name}: {ours}, recorded {}", expected[name]));
        }
    }
    let widen = |values: &[u32]| values.iter().map(|it| u64::from(*it)).collect::<Vec<_>>();
    let heap: Vec<Vec<u64>> = expected["victim_heap"]
        .as_array()
        .expect("heap")
        .iter()
        .map(numbers)
        .collect();
    let same = [
        (
            "wp",
            widen(&state.write_pointer) == numbers(&expected["wp"]),
        ),
        (
            "free_list",
            widen(&state.free) == numbers(&expected["free_list"]),
        ),
        (
            "victim_heap",
            state.victims.iter().map(|it| widen(it)).eq(heap),
        ),
        (
            "line_erase_counts",
            widen(&femu.wear()) == numbers(&expected["line_erase_counts"]),
        ),
        (
            "lun_avail_ns",
            state
                .luns
                .iter()
                .map(|ns| ns.0)
                .eq(numbers(&expected["lun_avail_ns"])),
        ),
        (
            "map_fnv1a64",
            expected["map_fnv1a64"] == format!("{:016x}", state.map_hash),
        ),
    ];
    wrong.extend(
        same.iter()
            .filter(|(_, same)| !same)
            .map(|(name, _)| format!("{name} differs")),
    );
    wrong
}

#[test]
fn every_recorded_latency_and_counter_is_reproduced() {
    recordings::compare_all(compare);
}
