use super::*;
use proptest::prelude::*;

const TARGET: Target = Target {
    block: 512,
    blocks: 1 << 20,
};

fn workload(text: &str, seed: u64) -> Workload {
    let file = JobFile::parse_toml("w.toml", text).unwrap();
    Workload::new(&file, TARGET, seed).unwrap()
}

/// Runs to the end on a drive whose requests take `latency` each, any number at once; gives each
/// request with the time at which it was issued, and the most that were in flight.
fn run(source: &mut Workload, latency: u64) -> (Vec<(u64, Request)>, usize) {
    let mut drive = Heap::new();
    let (mut issued, mut most) = (Vec::new(), 0);
    loop {
        let next = source.peek().unwrap();
        match (next, drive.next_due()) {
            (Some(at), due) if due.is_none_or(|due| at < due) => {
                let request = source.take().unwrap();
                assert!(request.at <= at);
                issued.push((at.0, request));
                drive.push(at + Ns(latency), request.job);
                most = most.max(drive.len());
            }
            (_, Some(_)) => {
                let (due, job) = drive.pop_due(Ns::MAX).unwrap();
                source.finished(job, due);
            }
            (_, None) => return (issued, most),
        }
    }
}

fn times(issued: &[(u64, Request)]) -> Vec<u64> {
    issued.iter().map(|(at, _)| *at).collect()
}

#[test]
fn a_closed_loop_keeps_its_depth_full() {
    let text = "[[job]]\nrw = \"randread\"\niodepth = 4\nrequests = 12\n";
    let (issued, most) = run(&mut workload(text, 1), 100);
    assert_eq!(most, 4);
    assert_eq!(
        times(&issued),
        [0, 0, 0, 0, 100, 100, 100, 100, 200, 200, 200, 200]
    );
}

#[test]
fn without_a_limit_a_job_does_its_region_once() {
    let text =
        "[[job]]\nrw = \"write\"\nblock_size = \"64 KiB\"\nsize = \"1 MiB\"\noffset = \"1 MiB\"\n";
    let (issued, _) = run(&mut workload(text, 1), 100);
    let places: Vec<_> = issued.iter().map(|(_, request)| request.slba).collect();
    assert!(places.into_iter().eq((0..16).map(|at| 2_048 + at * 128)));
}

#[test]
fn an_open_loop_does_not_wait_for_the_drive() {
    let text = "[[job]]\nrw = \"read\"\nrate_iops = 1000000\nrequests = 4\n";
    let (issued, most) = run(&mut workload(text, 1), 1_000_000);
    assert_eq!((times(&issued), most), (vec![0, 1_000, 2_000, 3_000], 4));
}

#[test]
fn an_arrival_that_finds_no_place_waits_and_keeps_its_time() {
    let text = "[[job]]\nrw = \"read\"\nrate_iops = 1000000\nrequests = 3\niodepth = 1\n";
    let (issued, _) = run(&mut workload(text, 1), 1_500);
    let shown: Vec<_> = issued
        .iter()
        .map(|(at, request)| (*at, request.at.0))
        .collect();
    assert_eq!(shown, [(0, 0), (1_500, 1_000), (3_000, 2_000)]);
}

#[test]
fn a_job_thinks_when_its_requests_are_done() {
    let text = "[[job]]\nrw = \"read\"\niodepth = 2\nrequests = 4\nthink_time = \"50 ns\"\nthink_after = 2\n";
    let (issued, _) = run(&mut workload(text, 1), 100);
    assert_eq!(times(&issued), [0, 0, 150, 150]);
}

#[test]
fn runtime_and_start_delay_bound_a_job() {
    let text = "[[job]]\nrw = \"read\"\nstart_delay = \"1 us\"\nruntime = \"300 ns\"\n";
    let (issued, _) = run(&mut workload(text, 1), 100);
    assert_eq!(times(&issued), [1_000, 1_100, 1_200]);
}

#[test]
fn a_stonewall_waits_for_everything_before_it() {
    let text = "[[job]]\nrw = \"write\"\nrequests = 2\n[[job]]\nrw = \"write\"\nrequests = 1\n\
                [[job]]\nname = \"late\"\nrw = \"read\"\nrequests = 1\nstonewall = true\njobs = 2\n";
    let mut source = workload(text, 1);
    assert_eq!(
        (source.len(), source.name(2), source.name(3)),
        (4, "late.1", "late.2")
    );
    let (issued, _) = run(&mut source, 100);
    let shown: Vec<_> = issued
        .iter()
        .map(|(at, request)| (*at, request.job))
        .collect();
    assert_eq!(shown, [(0, 0), (0, 1), (100, 0), (200, 2), (200, 3)]);
}

#[test]
fn writes_are_flushed_as_often_as_asked_for() {
    let text = "[[job]]\nrw = \"write\"\nrequests = 4\nflush_every = 2\n";
    let (issued, _) = run(&mut workload(text, 1), 100);
    let ops: String = issued
        .iter()
        .map(|(_, request)| &request.op.name()[..1])
        .collect();
    assert_eq!(ops, "wwfwwf");
}

#[test]
fn a_mix_reads_as_often_as_asked_for() {
    let text = "[[job]]\nrw = \"randrw\"\nread_percent = 70\nrequests = 20000\n";
    let (issued, _) = run(&mut workload(text, 1), 100);
    let reads = issued
        .iter()
        .filter(|(_, request)| request.op == Op::Read)
        .count();
    assert!(reads.abs_diff(14_000) < 300, "{reads}");
}

#[test]
fn the_same_seed_gives_the_same_requests() {
    let text = "[[job]]\nrw = \"randrw\"\nrequests = 500\niodepth = 8\njobs = 2\n\
                block_size = \"4 KiB/50:8 KiB/50\"\ndistribution = \"zipf:0.9\"\n\
                [[job]]\nrw = \"randwrite\"\nrate_iops = 90000\narrivals = \"poisson\"\nrequests = 300\n";
    let of = |seed| run(&mut workload(text, seed), 700).0;
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn time_that_stands_still_ends_a_job_that_only_time_could_end() {
    let mut source = workload("[[job]]\nrw = \"read\"\nruntime = \"1 s\"\n", 1);
    let error = loop {
        match source.peek() {
            Ok(Some(at)) => {
                source.take();
                source.finished(0, at);
            }
            Ok(None) => panic!("it ended"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(
        error.starts_with("job job1 has issued 1048577 requests within"),
        "{error}"
    );
    assert_eq!(source.peek().unwrap(), None);
}

#[test]
fn jobs_that_do_not_fit_the_namespace_are_refused() {
    for (text, message) in [
        (
            "block_size = \"1000 B\"",
            "w.toml:1:1: job1: block size: 1000 bytes are not a multiple of the logical block, 512 bytes",
        ),
        (
            "offset = \"512 MiB\"",
            "w.toml:1:1: job1: size: 0 logical blocks from block 1048576 on are not within the \
             1048576 of the namespace",
        ),
        (
            "size = \"4 KiB\"\nblock_size = \"8 KiB\"",
            "w.toml:1:1: job1: block size: 16 logical blocks are more than a command (65536) or \
             the region (8) has",
        ),
        (
            "size = \"64 KiB\"\ndistribution = \"zoned:50/1:50/99\"",
            "w.toml:1:1: job1: distribution: a zone has none of the region's 128 logical blocks",
        ),
    ] {
        let text = format!("[[job]]\nrw = \"randread\"\n{text}\n");
        let file = JobFile::parse_toml("w.toml", &text).unwrap();
        assert_eq!(
            Workload::new(&file, TARGET, 0).unwrap_err().to_string(),
            message
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is asked for, a job stays in its region, keeps its depth and ends.
    #[test]
    fn a_job_keeps_to_its_limits(
        kind in 0usize..6,
        depth in 1u32..40,
        offset in 0u64..1000,
        size in 64u64..5000,
        think in 0u64..300,
        latency in 1u64..500,
        seed: u64,
    ) {
        let kinds = ["read", "randwrite", "randrw", "rw", "randtrim", "write"];
        let text = format!(
            "[[job]]\nrw = \"{}\"\niodepth = {depth}\noffset = \"{} B\"\nsize = \"{} B\"\n\
             block_size = \"4 KiB/50:8 KiB/50\"\nthink_time = \"{think} ns\"\nrequests = 200\n",
            kinds[kind], offset * 512, size * 512,
        );
        let (issued, most) = run(&mut workload(&text, seed), latency);
        prop_assert_eq!(issued.len(), 200);
        prop_assert!(most <= depth as usize);
        for (_, request) in issued {
            let end = request.slba + u64::from(request.nlb);
            prop_assert!(request.slba >= offset && end <= offset + size);
        }
    }
}
