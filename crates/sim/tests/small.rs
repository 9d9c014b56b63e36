//! Small drives whose times can be worked out by hand, through the controller and back.

use ersatz_drive_file::{DriveFile, Limits, Store, from_femu};
use ersatz_engine::Ns;
use ersatz_ftl::femu::Properties;
use ersatz_ftl::{Resource, Span};
use ersatz_report::{ReportError, Summary};
use ersatz_sim::{Completion, Observer, Options, Simulation, SimulationError, Submission};
use ersatz_workload::trace::{self, Reader};
use ersatz_workload::{JobFile, Op, Workload};
use std::io::Cursor;

const US: u64 = 1_000;

fn parse(text: &str) -> DriveFile {
    DriveFile::parse("d.toml", text, &Limits::NONE).expect("a drive file")
}

/// What an observer was told.
#[derive(Default)]
struct Told {
    submitted: Vec<Submission>,
    booked: Vec<Span>,
    completed: Vec<Completion>,
}

impl Observer for Told {
    fn submitted(&mut self, submission: &Submission) -> Result<(), ReportError> {
        self.submitted.push(*submission);
        Ok(())
    }

    fn booked(&mut self, spans: &[Span]) -> Result<(), ReportError> {
        self.booked.extend(spans);
        Ok(())
    }

    fn completed(&mut self, completion: &Completion) -> Result<(), ReportError> {
        self.completed.push(*completion);
        Ok(())
    }
}

fn observe(drive: &DriveFile, trace: &str, options: Options) -> (Told, Summary) {
    let input = Box::new(Cursor::new(trace.to_owned()));
    let mut trace = Reader::new("t".into(), input, trace::Options::new(512)).expect("a trace");
    let mut simulation = Simulation::new(drive, options).expect("a drive");
    let mut told = Told::default();
    let summary = simulation.run(&mut trace, &mut [&mut told]);
    (told, summary.expect("a run"))
}

/// Latencies in the order of arrival, and the summary.
fn simulate(drive: &DriveFile, trace: &str) -> (Vec<u64>, Summary) {
    let (mut told, summary) = observe(drive, trace, Options::default());
    told.completed.sort_by_key(|done| done.submission.index);
    let latencies = told.completed.iter().map(|done| done.latency().0);
    (latencies.collect(), summary)
}

/// Two dies, read 40 us, program 200 us; 1 MiB of blocks of 4 KiB.
const FIXED: &str = r#"
[drive]
serial = "A"
[media]
kind = "fixed"
dies = 2
page = "4 KiB"
read = "40 us"
program = "200 us"
[[namespace]]
kind = "nvm"
size = "1 MiB"
"#;

#[test]
fn requests_queue_on_their_die_and_keep_their_arrivals() {
    // Three reads of the same die at once, one of the other, one much later.
    let trace = "1,R,0,1\n1,R,2,1\n1,R,4,1\n1,R,1,1\n900000,R,0,1";
    let (latencies, summary) = simulate(&parse(FIXED), trace);
    assert_eq!(latencies, [40 * US, 80 * US, 120 * US, 40 * US, 40 * US]);
    assert_eq!(summary.duration_ns, 899_999 + 40 * US);
    assert_eq!(summary.operations[&Op::Read].bytes, 5 * 4096);
    assert_eq!(
        summary.operations[&Op::Read].latency_ns.mean,
        64.0 * 1_000.0
    );
}

#[test]
fn a_link_takes_its_time_in_its_direction() {
    let link = "link = { bandwidth = \"1 GB/s\", latency = \"900 ns\" }\n[media]";
    let (latencies, _) = simulate(
        &parse(&FIXED.replace("[media]", link)),
        "0,R,0,1\n900000,W,0,1",
    );
    assert_eq!(latencies, [40 * US + 4096 + 900, 200 * US + 4096 + 900]);
}

#[test]
fn what_lies_outside_is_failed_by_the_drive_and_counted() {
    let trace = "0,R,256,1\n0,W,255,2\n0,T,256,1\n0,R,255,1\n0,F,0,0";
    let (latencies, summary) = simulate(&parse(FIXED), trace);
    assert_eq!(latencies, [0, 0, 0, 40 * US, 0]);
    let errors = &summary.errors;
    assert_eq!((errors.len(), errors[0].requests), (1, 3), "{errors:?}");
    assert!(errors[0].name.contains("LBA"), "{errors:?}");
    let failed: Vec<_> = summary
        .operations
        .iter()
        .map(|(op, of)| (op.name(), of.requests, of.errors))
        .collect();
    assert_eq!(
        failed,
        [
            ("read", 2, 1),
            ("write", 1, 1),
            ("trim", 1, 1),
            ("flush", 1, 0)
        ]
    );
}

#[test]
fn more_than_a_queue_holds_can_be_in_the_drive() {
    let trace: String = (0..70_000).map(|_| "0,R,0,1\n").collect();
    let (latencies, _) = simulate(&parse(FIXED), &trace);
    assert_eq!(latencies.len(), 70_000);
    assert!(
        (1..)
            .zip(&latencies)
            .all(|(place, latency)| *latency == place * 40 * US)
    );
}

#[test]
fn requests_beyond_the_largest_transfer_fail() {
    let small = FIXED.replace("serial", "max_transfer = \"4 KiB\"\nserial");
    let (_, summary) = simulate(&parse(&small), "0,R,0,2\n0,R,0,1");
    let reads = &summary.operations[&Op::Read];
    assert_eq!((reads.errors, reads.bytes), (1, 4096));
}

/// A FEMU drive of one die with 8 lines of 4 pages, one sector per page.
fn femu() -> DriveFile {
    let properties = "nchs=1,luns_per_ch=1,blks_per_pl=8,pgs_per_blk=4,secs_per_pg=1";
    from_femu(&Properties::parse(properties).expect("known"))
        .expect("expressible")
        .file
}

#[test]
fn garbage_collection_makes_writes_wait_as_in_femu() {
    // 6 of 8 lines are in use after 24 pages: from then on a line is collected after each write.
    let mut trace: String = (0..24)
        .map(|lba| format!("{},W,{lba},1\n", lba * 1_000_000))
        .collect();
    trace += &(0..6)
        .map(|lba| format!("{},W,{lba},1\n", 24_000_000 + lba))
        .collect::<String>();
    let (latencies, summary) = simulate(&femu(), &trace);
    assert!(latencies[..24].iter().all(|latency| *latency == 200 * US));
    // The writes of one instant queue on the only die.
    assert_eq!(latencies[24], 200 * US);
    assert!(latencies[29] >= 6 * 200 * US - 5, "{latencies:?}");
    assert!(summary.flash.counters.erases > 0);
    assert_eq!(summary.flash.counters.host_write_pages, 30);
}

#[test]
fn the_same_drive_and_trace_give_the_same_bytes() {
    let mut state = 1u64;
    let mut trace = String::new();
    for at in 0..2_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (op, lba) = (
            ["R", "W", "W", "T"][(state >> 60) as usize & 3],
            (state >> 33) % 24,
        );
        trace += &format!("{},{op},{lba},1\n", at * 100_000);
    }
    let (a, b) = (simulate(&femu(), &trace), simulate(&femu(), &trace));
    assert_eq!(a.0, b.0);
    assert_eq!(a.1.to_json().to_string(), b.1.to_json().to_string());
}

#[test]
fn a_drive_without_blocks_and_a_namespace_that_is_not_there_are_refused() {
    let memory = "[drive]\nserial = \"A\"\n[[namespace]]\nkind = \"memory\"\nsize = \"1 MiB\"";
    let refused = Simulation::new(&parse(memory), Options::default()).err();
    assert!(matches!(refused, Some(SimulationError::NoNamespace(_))));
    let options = Options {
        nsid: Some(7),
        ..Options::default()
    };
    let refused = Simulation::new(&parse(FIXED), options).err();
    let message = refused.map(|error| error.to_string());
    let expected = "the drive file has no namespace of kind \"nvm\" and id 7";
    assert_eq!(message.as_deref(), Some(expected));
}

#[test]
fn observers_are_told_what_the_flash_does_if_it_is_recorded() {
    let trace = "0,W,0,1\n0,R,8,1\n250000,R,0,1";
    let recorded = Options {
        record: true,
        ..Options::default()
    };
    let (told, summary) = observe(&femu(), trace, recorded);
    let dies: u64 = told
        .booked
        .iter()
        .filter(|span| matches!(span.resource, Resource::Die(_)))
        .map(|span| span.end.since(span.begin).0)
        .sum();
    assert_eq!(dies, 240 * US);
    assert_eq!(summary.dies[0].busy_ns, dies);
    let submitted: Vec<_> = told
        .submitted
        .iter()
        .map(|it| (it.index, it.queue, it.request.at, it.bytes))
        .collect();
    let late = Ns(250_000);
    assert_eq!(
        submitted,
        [(0, 1, Ns(0), 512), (1, 1, Ns(0), 512), (2, 1, late, 512)]
    );
    assert_eq!(told.completed.len(), 3);
    let (told, same) = observe(&femu(), trace, Options::default());
    assert!(told.booked.is_empty());
    assert_eq!(same.to_json(), summary.to_json());
}

#[test]
fn a_request_that_waits_for_its_job_s_queue_is_late_from_its_arrival_on() {
    let jobs = "[[job]]\nrw = \"read\"\nrate_iops = 100000\nrequests = 3\niodepth = 1\n";
    let jobs = JobFile::parse_toml("w", jobs).expect("jobs");
    let mut simulation = Simulation::new(&parse(FIXED), Options::default()).expect("a drive");
    let mut workload = Workload::new(&jobs, simulation.target(), 1).expect("they fit");
    let mut told = Told::default();
    simulation
        .run(&mut workload, &mut [&mut told])
        .expect("a run");
    let issued: Vec<_> = told.submitted.iter().map(|it| it.issued.0).collect();
    let latencies: Vec<_> = told.completed.iter().map(|it| it.latency().0).collect();
    // They arrive 10 us after one another; each takes 40 us.
    assert_eq!(issued, [0, 40 * US, 80 * US]);
    assert_eq!(latencies, [40 * US, 70 * US, 100 * US]);
}

#[test]
fn a_drive_that_takes_no_time_and_a_job_that_only_time_ends_are_refused() {
    let null = "[drive]\nserial = \"A\"\n[media]\nkind = \"null\"\n[[namespace]]\n\
                kind = \"nvm\"\nsize = \"1 MiB\"";
    let jobs = JobFile::parse_toml("w", "[[job]]\nrw = \"read\"\nruntime = \"1 s\"\n");
    let mut simulation = Simulation::new(&parse(null), Options::default()).expect("a drive");
    let jobs = jobs.expect("jobs");
    let mut workload = Workload::new(&jobs, simulation.target(), 1).expect("they fit");
    let refused = simulation.run(&mut workload, &mut []).err();
    let message = refused.map(|error| error.to_string()).unwrap_or_default();
    assert!(message.contains("its drive takes no time"), "{message}");
}

#[test]
fn the_file_of_a_store_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store");
    std::fs::write(&path, vec![7; 1 << 20]).expect("written");
    let mut drive = parse(FIXED);
    drive.store = Store::File(path.clone());
    simulate(&drive, "0,T,0,256\n0,W,0,1");
    assert!(
        std::fs::read(&path)
            .expect("read")
            .iter()
            .all(|&byte| byte == 7)
    );
}
