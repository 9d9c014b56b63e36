//! Pictures: what is in them, and that odd runs have one too.

use ersatz_engine::{Ns, Rng};
use ersatz_ftl::{Resource, Span, Work};
use ersatz_report::{Flash, Op, PlotFormat, Report, Sample, Summary};
use std::path::Path;

fn svg(summary: &Summary, title: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("plot.svg");
    summary.plot(&path, title).expect("drawn");
    let text = std::fs::read_to_string(&path).expect("text");
    let document = roxmltree::Document::parse(&text).expect("well-formed XML");
    for node in document.descendants() {
        for attribute in node.attributes() {
            let value = attribute.value();
            assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
        }
    }
    text
}

/// All words of a picture.
fn words(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("well-formed XML");
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name("text"));
    texts
        .filter_map(|node| node.text())
        .map(str::to_owned)
        .collect()
}

fn busy(spans: bool) -> Summary {
    let mut rng = Rng::new(1);
    let mut report = Report::new(Ns(0));
    let mut arrival = 0;
    for index in 0..20_000 {
        arrival += rng.below(20_000);
        let op = [Op::Read, Op::Write][rng.below(2) as usize];
        report.add(&Sample {
            index,
            op,
            arrival: Ns(arrival),
            latency: Ns(40_000 + rng.below(2_000_000)),
            bytes: 4096,
            status: 0,
        });
        if spans {
            report.spans(&[Span {
                resource: Resource::Die(rng.below(8) as u32),
                work: Work::Read,
                begin: Ns(arrival),
                end: Ns(arrival + 40_000),
            }]);
        }
    }
    let flash = Flash {
        busy: (0..8)
            .map(|die| (Resource::Die(die), Ns(arrival / 2)))
            .collect(),
        ..Flash::default()
    };
    report.finish(Ns(arrival), &flash)
}

#[test]
fn a_picture_has_a_title_headings_and_ticks() {
    let words = words(&svg(&busy(true), "a <drive> & its work"));
    for expected in [
        "a <drive> & its work",
        "Latency",
        "Latency, the tail",
        "Requests per second",
        "Bandwidth in MB/s",
        "How busy the dies were",
        "read",
        "write",
        "100 µs",
        "1 ms",
        "0.1 %",
        "die 0",
        "50 ms",
    ] {
        assert!(
            words.iter().any(|word| word == expected),
            "{expected} is not in {words:?}"
        );
    }
    assert!(!words.iter().any(|word| word == "flush"));
}

#[test]
fn without_spans_dies_have_one_colour_each() {
    let words = words(&svg(&busy(false), ""));
    let heading = "How busy the dies were, all of the time together";
    assert!(words.iter().any(|word| word == heading), "{words:?}");
}

#[test]
fn the_same_run_gives_the_same_picture() {
    assert_eq!(svg(&busy(true), "twice"), svg(&busy(true), "twice"));
}

#[test]
fn pictures_of_points_have_words_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let draw = |title: &str| {
        let path = dir.path().join("plot.PNG");
        busy(true).plot(&path, title).expect("drawn");
        std::fs::read(&path).expect("a file")
    };
    let (named, nameless) = (draw("a drive"), draw(""));
    let width = u32::from_be_bytes(named[16..20].try_into().expect("four bytes"));
    assert_eq!((&named[1..4], width), (b"PNG".as_slice(), 2_400));
    assert_ne!(named, nameless);
    assert_eq!(named, draw("a drive"));
}

#[test]
fn other_formats_are_refused_with_words() {
    for name in ["plot.pdf", "plot", ".svg"] {
        let error = PlotFormat::of(Path::new(name)).expect_err(name).to_string();
        assert!(
            error.contains(name) && error.contains(".svg or .png"),
            "{error}"
        );
    }
    assert_eq!(
        PlotFormat::of(Path::new("a.b.SVG")).ok(),
        Some(PlotFormat::Svg)
    );
}

#[test]
fn odd_runs_have_a_picture() {
    let nothing = Report::new(Ns(5)).finish(Ns(5), &Flash::default());
    let words = words(&svg(&nothing, "nothing"));
    assert!(
        words.iter().any(|word| word == "no request succeeded"),
        "{words:?}"
    );

    let sample = |op, arrival, latency, status| Sample {
        index: 0,
        op,
        arrival: Ns(arrival),
        latency: Ns(latency),
        bytes: u64::MAX,
        status,
    };
    for samples in [
        vec![sample(Op::Read, 0, 0, 0)],
        vec![sample(Op::Trim, 0, 1, 0)],
        vec![sample(Op::Read, 0, 10, 0x281)],
        vec![
            sample(Op::Write, 1 << 63, u64::MAX, 0),
            sample(Op::Read, 0, 0, 0),
        ],
        vec![
            sample(Op::Flush, 1023, 1, 0),
            sample(Op::Flush, 1024, 1024, 0),
        ],
    ] {
        for many in [1, 1_000] {
            let mut report = Report::new(Ns(0));
            samples.iter().for_each(|sample| report.add(sample));
            report.spans(&[Span {
                resource: Resource::Die(many - 1),
                work: Work::Erase,
                begin: Ns(3),
                end: Ns(u64::MAX),
            }]);
            svg(&report.finish(Ns(0), &Flash::default()), "odd");
        }
    }
}
