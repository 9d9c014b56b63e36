//! Traces: that a reader finds each piece of work where it was.

use ersatz_engine::Ns;
use ersatz_ftl::{Resource, Span, Work};
use ersatz_report::{Op, Trace};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

fn span(resource: Resource, work: Work, begin: u64, end: u64) -> Span {
    Span {
        resource,
        work,
        begin: Ns(begin),
        end: Ns(end),
    }
}

fn events(fill: impl Fn(&mut Trace)) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trace.json");
    let write = || {
        let mut trace = Trace::create(&path).expect("a file");
        fill(&mut trace);
        trace.finish().expect("written");
        std::fs::read(&path).expect("a file")
    };
    let bytes = write();
    assert_eq!(bytes, write(), "the same calls give the same bytes");
    let mut json: Value = serde_json::from_slice(&bytes).expect("JSON");
    match json["traceEvents"].take() {
        Value::Array(events) => events,
        other => panic!("{other} is no list"),
    }
}

fn of_phase<'a>(events: &'a [Value], phase: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["ph"] == phase).collect()
}

/// A time in whole nanoseconds.
fn ns(micros: &Value) -> u64 {
    (micros.as_f64().expect("a number") * 1e3).round() as u64
}

/// Checks that events are in order, that each request begins and ends once, and that slices of a
/// thread are nested or apart.
fn check(events: &[Value]) {
    let times: Vec<u64> = events
        .iter()
        .filter(|event| event["ph"] != "M")
        .map(|event| ns(&event["ts"]))
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let mut open = BTreeSet::new();
    for event in events {
        let id = (
            event["pid"].as_u64(),
            event["id"].as_str(),
            event["name"].as_str(),
        );
        match event["ph"].as_str() {
            Some("b") => assert!(open.insert(id), "{event} began before"),
            Some("e") => assert!(open.remove(&id), "{event} did not begin"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} don't end");
    let mut threads: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for slice in of_phase(events, "X") {
        let (begin, duration) = (ns(&slice["ts"]), ns(&slice["dur"]));
        let ends = threads.entry(slice["tid"].as_u64()).or_default();
        ends.retain(|&end| end > begin);
        assert!(
            ends.iter().all(|&end| end >= begin + duration),
            "{slice} sticks out"
        );
        ends.push(begin + duration);
    }
}

/// The names of the processes or threads, by number.
fn names(events: &[Value], what: &str) -> BTreeMap<u64, String> {
    let of_kind = events.iter().filter(|event| event["name"] == what);
    of_kind
        .map(|event| {
            let key = if what == "process_name" { "pid" } else { "tid" };
            let name = event["args"]["name"].as_str().expect("a name");
            (event[key].as_u64().expect("a number"), name.to_owned())
        })
        .collect()
}

#[test]
fn requests_are_in_their_queues_to_the_nanosecond() {
    let events = events(|trace| {
        trace
            .submitted(Ns(1_001), 1, 0, Op::Read, 4096)
            .expect("written");
        trace
            .completed(Ns(41_234), 1, 0, Op::Read, 0)
            .expect("written");
        trace
            .submitted(Ns(2_000), 2, 1, Op::Write, 8192)
            .expect("written");
        trace
            .completed(Ns(3_000), 2, 1, Op::Write, 0x4281)
            .expect("written");
        trace
            .submitted(Ns(3_000), 2, 2, Op::Flush, 0)
            .expect("written");
        trace
            .completed(Ns(3_000), 2, 2, Op::Flush, 0)
            .expect("written");
    });
    check(&events);
    let processes = names(&events, "process_name");
    let (begins, ends) = (of_phase(&events, "b"), of_phase(&events, "e"));
    assert_eq!((begins.len(), ends.len()), (3, 3));
    let queue = |event: &Value| processes[&event["pid"].as_u64().expect("a number")].clone();
    assert_eq!(
        (queue(begins[0]), queue(begins[1])),
        ("queue 1".into(), "queue 2".into())
    );
    assert_eq!((ns(&begins[0]["ts"]), ns(&ends[2]["ts"])), (1_001, 41_234));
    assert_eq!(begins[1]["args"]["bytes"], 8192);
    assert_eq!(ends[0]["args"]["status"], 0x4281);
    let in_flight: Vec<_> = of_phase(&events, "C")
        .into_iter()
        .map(|event| {
            (
                ns(&event["ts"]),
                event["args"]["requests"].as_u64().expect("a number"),
            )
        })
        .collect();
    assert_eq!(in_flight, [(1_001, 1), (2_000, 2), (3_000, 1), (41_234, 0)]);
}

#[test]
fn work_is_on_the_thread_of_its_resource() {
    let (channel, die) = (Resource::Channel(3), Resource::Die(11));
    let events = events(|trace| {
        // As they were booked, which is not the order in which they are done.
        trace
            .spans(&[
                span(channel, Work::Transfer, 0, 100),
                span(channel, Work::Transfer, 40_100, 44_100),
                span(die, Work::Read, 100, 40_100),
                span(channel, Work::Transfer, 200, 300),
                span(die, Work::Erase, 50_000, 50_000),
            ])
            .expect("taken");
    });
    check(&events);
    let threads = names(&events, "thread_name");
    let slices: Vec<_> = of_phase(&events, "X")
        .into_iter()
        .map(|slice| {
            let thread = &threads[&slice["tid"].as_u64().expect("a number")];
            (
                thread.as_str(),
                slice["name"].as_str().expect("a name"),
                ns(&slice["ts"]),
            )
        })
        .collect();
    assert_eq!(
        slices,
        [
            ("channel 3", "transfer", 0),
            ("die 11", "read", 100),
            ("channel 3", "transfer", 200),
            ("channel 3", "transfer", 40_100),
        ]
    );
}

#[test]
fn work_that_overlaps_is_nested_or_on_a_second_thread() {
    let die = Resource::Die(0);
    let events = events(|trace| {
        let spans = [
            span(die, Work::Program, 0, 1_000),
            // Suspends the program: inside of it.
            span(die, Work::Read, 100, 200),
            // Outlasts its first place.
            span(die, Work::Read, 900, 1_100),
            span(die, Work::Program, 1_200, 1_300),
        ];
        trace.spans(&spans).expect("taken");
    });
    check(&events);
    let threads = names(&events, "thread_name");
    assert_eq!(threads.values().collect::<Vec<_>>(), ["die 0", "die 0"]);
    let tids: Vec<_> = of_phase(&events, "X")
        .into_iter()
        .map(|slice| slice["tid"].as_u64())
        .collect();
    assert_eq!((tids[0], tids[0], tids[0]), (tids[1], tids[3], tids[1]));
    assert_ne!(tids[2], tids[0]);
}

#[test]
fn what_is_past_does_not_wait_for_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    let mut trace = Trace::create(&path).expect("a file");
    // All requests come at once, as the first part of a trace or a deep queue.
    for index in 0..10_000 {
        trace
            .submitted(Ns(0), 1, index, Op::Read, 1)
            .expect("written");
    }
    let mut sizes = Vec::new();
    for index in 0..10_000 {
        let at = Ns(1 + index);
        trace.completed(at, 1, index, Op::Read, 0).expect("taken");
        trace.advance(at).expect("written");
        sizes.push(std::fs::metadata(&path).expect("a file").len());
    }
    let (half, whole) = (sizes[4_999], sizes[9_999]);
    trace.finish().expect("written");
    let all = std::fs::metadata(&path).expect("a file").len();
    // No more than what a file buffers is written at the end.
    assert!(all - whole < 1 << 17, "{whole} of {all}");
    assert!(half < whole, "{half} of {whole}");
}

#[test]
fn an_empty_trace_is_a_trace() {
    let events = events(|_| {});
    check(&events);
    assert!(events.iter().all(|event| event["ph"] == "M"));
}

proptest::proptest! {
    #[test]
    fn any_work_is_ordered_and_nested(
        requests in proptest::collection::vec(
            (0u64..1_000, 0u64..5_000, 0u32..3, 0u64..2_000, 0u64..1_500), 1..60
        )
    ) {
        let events = events(|trace| {
            let mut now = 0;
            for (index, &(pause, latency, die, after, length)) in requests.iter().enumerate() {
                now += pause;
                let (index, queue) = (index as u64, die as u16);
                let begin = now + after;
                trace.submitted(Ns(now), queue, index, Op::Read, 1).expect("written");
                trace
                    .spans(&[span(Resource::Die(die), Work::Read, begin, begin + length)])
                    .expect("taken");
                trace.completed(Ns(now + latency), queue, index, Op::Read, 0).expect("written");
            }
        });
        check(&events);
        let last = of_phase(&events, "C").pop().map(|event| event["args"]["requests"].clone());
        proptest::prop_assert_eq!(last, Some(0.into()));
    }
}
