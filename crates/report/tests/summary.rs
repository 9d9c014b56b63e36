//! Tables, JSON, CSV and counters of small runs.

use ersatz_engine::Ns;
use ersatz_ftl::{Counters, Media, Null, Resource};
use ersatz_report::{Flash, LatencyCsv, Op, Report, Sample, Summary, write_counters};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::io::Read;

fn sample(index: u64, op: Op, arrival: u64, latency: u64, status: u16) -> Sample {
    let bytes = if op == Op::Flush { 0 } else { 4096 };
    Sample {
        index,
        op,
        arrival: Ns(arrival),
        latency: Ns(latency),
        bytes,
        status,
    }
}

fn flash() -> Flash {
    Flash {
        counters: Counters {
            page_bytes: 4096,
            host_write_pages: 4,
            gc_write_pages: 1,
            host_read_pages: 3,
            erases: 2,
            gc_rounds_foreground: 1,
            gc_rounds_background: 0,
            free_lines: 5,
            victim_lines: 6,
            full_lines: 7,
            media_errors: 1,
            percentage_used: 3,
            available_spare: 99,
            read_only: false,
        },
        busy: vec![
            (Resource::Channel(0), Ns(250_000)),
            (Resource::Die(0), Ns(500_000)),
            (Resource::Die(1), Ns(9_000_000)),
        ],
        wear: vec![0, 1, 1],
    }
}

/// A millisecond, from 1 ms on, with all kinds but flushes.
fn small() -> Summary {
    let mut report = Report::new(Ns(1_000_000));
    for i in 0..10 {
        let latency = if i == 9 { 300_000 } else { 40_000 };
        report.add(&sample(i, Op::Read, 1_000_000 + 50_000 * i, latency, 0));
    }
    report.add(&sample(10, Op::Write, 1_500_000, 16_000, 0));
    report.add(&sample(11, Op::Trim, 1_600_000, 9_000, 0));
    // Unrecovered Read Error, with Do Not Retry in the second.
    report.add(&sample(12, Op::Read, 1_700_000, 900_000, 0x0281));
    report.add(&sample(13, Op::Read, 1_000_000, 900_000, 0x4281));
    report.finish(Ns(2_000_000), &flash())
}

#[test]
fn json_is_the_same_byte_for_byte() {
    let text = serde_json::to_string_pretty(&small()).expect("plain data");
    assert_eq!(format!("{text}\n"), include_str!("small.json"));
    assert_eq!(
        small().to_json(),
        serde_json::from_str::<Value>(&text).expect("JSON")
    );
}

#[test]
fn the_run_lasts_until_its_last_request_if_that_is_later() {
    assert_eq!(small().duration_ns, 1_600_000);
    let mut report = Report::new(Ns(10));
    report.add(&sample(0, Op::Flush, 20, 5, 0));
    assert_eq!(report.finish(Ns(50), &Flash::default()).duration_ns, 40);
}

#[test]
fn the_order_of_samples_makes_no_difference() {
    let samples: Vec<_> = (0..500u64)
        .map(|i| {
            sample(
                i,
                [Op::Read, Op::Write][i as usize % 2],
                i * 999,
                i * i * 77,
                0,
            )
        })
        .collect();
    let (mut forth, mut back) = (Report::new(Ns(0)), Report::new(Ns(0)));
    samples.iter().for_each(|sample| forth.add(sample));
    samples.iter().rev().for_each(|sample| back.add(sample));
    let (forth, back) = [forth, back]
        .map(|report| report.finish(Ns(0), &flash()).to_json())
        .into();
    assert_eq!(forth, back);
}

#[test]
fn a_table_says_what_happened() {
    let table = small().table();
    for part in [
        " read          12        2   6 250   25.6   0.041",
        "Unrecovered Read Error",
        "write amplification",
        "1.250",
        " dies              2   31.2 %   65.6 %   100.0 %",
        " 1                      2   ██████████████████████████████",
    ] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
    assert!(!table.contains("flush"), "{table}");
    assert!(!table.contains("read-only"), "{table}");
    assert!(
        table
            .lines()
            .all(|line| line.trim_end() == line && line.chars().count() <= 90)
    );
}

#[test]
fn nothing_is_reported_as_nothing() {
    let summary = Report::new(Ns(7)).finish(Ns(7), &Flash::of(&Null::new(1 << 20)));
    let json = summary.to_json();
    assert_eq!(json["total"]["iops"], 0.0);
    assert_eq!(json["total"]["latency_ns"]["mean"], 0.0);
    assert_eq!(json["flash"]["waf"], 1.0);
    assert_eq!(json["operations"], serde_json::json!({}));
    assert!(json["wear"].is_null());
    assert!(!summary.table().contains("NaN"));
}

#[test]
fn what_was_counted_before_does_not_count() {
    let before = flash();
    let mut after = flash();
    after.counters.host_write_pages += 100;
    after.counters.gc_write_pages += 50;
    after.counters.free_lines = 1;
    after.busy[1].1 = Ns(800_000);
    let during = after.since(&before);
    assert_eq!(during.counters.waf(), 1.5);
    assert_eq!((during.counters.erases, during.counters.free_lines), (0, 1));
    assert_eq!(during.busy[1], (Resource::Die(0), Ns(300_000)));
    assert_eq!(during.busy[2], (Resource::Die(1), Ns(0)));
    assert_eq!(during.wear, [0, 1, 1]);
}

#[test]
fn a_media_is_asked_for_all_that_it_counts() {
    let media = Null::new(1 << 20);
    let flash = Flash::of(&media);
    assert_eq!(flash.counters, media.counters());
    assert!(flash.busy.is_empty() && flash.wear.is_empty());
}

#[test]
fn csv_lines_are_in_order_of_the_index() {
    let dir = tempfile::tempdir().expect("a directory");
    let (plain, packed) = (dir.path().join("a.csv"), dir.path().join("a.csv.gz"));
    for path in [&plain, &packed] {
        let mut csv = LatencyCsv::create(path).expect("a file");
        for index in [1, 0, 3, 2, 7, 5] {
            csv.add(&sample(index, Op::Read, 0, 100 + index, 0))
                .expect("written");
        }
        csv.finish().expect("written");
    }
    let text = std::fs::read_to_string(&plain).expect("text");
    assert_eq!(
        text,
        "index,latency_ns\n0,100\n1,101\n2,102\n3,103\n5,105\n7,107\n"
    );
    let mut unpacked = String::new();
    GzDecoder::new(std::fs::File::open(&packed).expect("a file"))
        .read_to_string(&mut unpacked)
        .expect("gzip");
    assert_eq!(unpacked, text);
}

#[test]
fn counters_have_the_keys_of_the_media() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("counters.json");
    write_counters(&path, &flash().counters).expect("written");
    let json: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    for (key, value) in [
        ("host_write_pages", 4),
        ("gc_write_pages", 1),
        ("erases", 2),
        ("free_lines", 5),
        ("victim_lines", 6),
        ("full_lines", 7),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["waf"], 1.25);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = write_counters(&dir.path().join("no/where.json"), &Counters::default());
    let error = error.expect_err("there is no such folder").to_string();
    assert!(error.contains("where.json"), "{error}");
}
