//! The default drive against what can be computed by hand.

use ersatz_engine::{Ns, Rng};
use ersatz_ftl::page::{Config, PageFtl, Pattern, Precondition};
use ersatz_ftl::{Extent, Media, MediaHeap, Placement, VictimPolicy};
use ersatz_nand::{Bus, Geometry, PageTimes, ReadPriority, Reliability};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const PAGE: u64 = 4096;

fn config(geometry: Geometry, read: Ns, program: Ns, bandwidth: u64) -> Config {
    let mut config = Config {
        geometry,
        spare_blocks: 0,
        wear_spread: None,
        ..Config::default()
    };
    config.timing.pages = PageTimes::flat(geometry.pages, read, program, Ns::from_ms(2));
    config.timing.bus = Bus {
        command: Ns(0),
        address: Ns(0),
        bandwidth,
        status: Ns(0),
    };
    config.timing.read_priority = ReadPriority::None;
    config.reliability = Reliability::default();
    config.buffer.time = Ns::ZERO;
    config.unmapped_read = Ns::ZERO;
    config.over_provisioning = 30.0;
    config
}

fn geometry(channels: u32, dies_per_channel: u32, planes: u32) -> Geometry {
    Geometry {
        channels,
        dies_per_channel,
        planes,
        blocks: 32,
        pages: 64,
        page_bytes: PAGE as u32,
    }
}

fn drain(drive: &mut PageFtl, heap: &mut MediaHeap, until: Ns) {
    while let Some((at, event)) = heap.pop_due(until) {
        drive.event(at, event, heap);
    }
}

fn close(value: f64, expected: f64, percent: f64) -> bool {
    (value / expected - 1.0).abs() * 100.0 < percent
}

/// Bytes per second of reading or writing the whole drive in order with a deep queue.
fn sequential(config: Config, write: bool) -> f64 {
    let mut drive = PageFtl::new(config).expect("possible");
    let mut heap = MediaHeap::new();
    let how = Precondition {
        fill: 1.0,
        overwrite: 0.0,
        pattern: Pattern::Sequential,
        seed: 1,
    };
    let len = 64 * PAGE;
    let count = drive.capacity() / len;
    if !write {
        drive.precondition(how).expect("room");
    }
    let mut end = Ns::ZERO;
    for number in 0..count {
        let at = Extent {
            start: number * len,
            len,
        };
        let done = if write {
            drive.write(Ns(1), at, Placement::default(), &mut heap)
        } else {
            drive.read(Ns(1), at, &mut heap)
        };
        end = end.max(done.expect("possible"));
    }
    (count * len) as f64 / end.as_secs_f64()
}

#[test]
fn reads_are_capped_by_the_dies_or_by_the_bus() {
    let (read, program) = (Ns::from_us(50), Ns::from_us(500));
    // 4 dies of 2 planes: 8 pages per 50 us, less than the buses of 4 GB/s carry.
    let dies = config(geometry(2, 2, 2), read, program, 4_000_000_000);
    let cap = 8.0 * PAGE as f64 / 50e-6;
    let got = sequential(dies, false);
    assert!(close(got, cap, 2.0), "{got} of {cap}");
    // Two buses of 100 MB/s.
    let got = sequential(config(geometry(2, 2, 2), read, program, 100_000_000), false);
    assert!(close(got, 200e6, 2.0), "{got} of 200 MB/s");
}

#[test]
fn writes_are_capped_by_the_dies_or_by_the_bus() {
    let (read, program) = (Ns::from_us(50), Ns::from_us(500));
    let cap = 8.0 * PAGE as f64 / 500e-6;
    let got = sequential(
        config(geometry(2, 2, 2), read, program, 4_000_000_000),
        true,
    );
    // The last pages are in the buffer when they are accepted.
    assert!(close(got, cap, 10.0) && got >= cap, "{got} of {cap}");
    let got = sequential(config(geometry(2, 2, 2), read, program, 20_000_000), true);
    assert!(close(got, 40e6, 10.0) && got >= 40e6, "{got} of 40 MB/s");
}

/// Write amplification of cleaning under uniform random writes, where `space` is physical pages per
/// logical one: `space / (space + W(-space · e^-space))` with Lambert's W, which is solved here as
/// the share `u` of pages that are still valid when their line is collected:
/// `u = exp(-space · (1 - u))`.
fn amplification(space: f64) -> f64 {
    let valid = (0..10_000).fold(0.5, |u: f64, _| (-space * (1.0 - u)).exp());
    1.0 / (1.0 - valid)
}

#[test]
fn greedy_collection_amplifies_as_the_closed_form_says() {
    for over_provisioning in [12.0, 25.0, 50.0] {
        let mut geometry = geometry(2, 2, 1);
        geometry.blocks = 256;
        geometry.pages = 128;
        let mut config = config(geometry, Ns::from_us(40), Ns::from_us(200), 0);
        config.over_provisioning = over_provisioning;
        let mut drive = PageFtl::new(config).expect("possible");
        let how = Precondition {
            fill: 1.0,
            overwrite: 4.0,
            pattern: Pattern::Random,
            seed: 1,
        };
        drive.precondition(how).expect("room");
        let mut heap = MediaHeap::new();
        let mut rng = Rng::new(2);
        let pages = drive.capacity() / PAGE;
        let mut now = Ns(1);
        for _ in 0..4 * pages {
            now += Ns::from_us(500);
            drain(&mut drive, &mut heap, now);
            let at = Extent {
                start: rng.below(pages) * PAGE,
                len: PAGE,
            };
            drive
                .write(now, at, Placement::default(), &mut heap)
                .expect("room");
        }
        // Free and half-written lines hold no garbage.
        let unused = drive.counters().free_lines as f64 + 1.0;
        let physical = (f64::from(geometry.blocks) - unused)
            * f64::from(geometry.pages * geometry.dies() * geometry.planes);
        let expected = amplification(physical / pages as f64);
        let waf = drive.counters().waf();
        assert!(
            close(waf, expected, 3.0),
            "{over_provisioning} %: {waf}, expected {expected}"
        );
    }
}

/// Latencies of random overwrites of an aged drive, of which `depth` are always on their way, and the
/// times at which they are done.
fn saturated(drive: &mut PageFtl, writes: usize, depth: usize) -> Vec<(Ns, Ns)> {
    let how = Precondition {
        fill: 1.0,
        overwrite: 3.0,
        pattern: Pattern::Random,
        seed: 1,
    };
    drive.precondition(how).expect("room");
    let (mut heap, mut rng) = (MediaHeap::new(), Rng::new(6));
    let pages = drive.capacity() / PAGE;
    let mut free = BinaryHeap::from(vec![Reverse(Ns(1)); depth]);
    let mut all = Vec::new();
    while let (true, Some(Reverse(now))) = (all.len() < writes, free.pop()) {
        drain(drive, &mut heap, now);
        let at = Extent {
            start: rng.below(pages) * PAGE,
            len: PAGE,
        };
        let done = drive.write(now, at, Placement::default(), &mut heap);
        let done = done.expect("room");
        all.push((done.since(now), done));
        free.push(Reverse(done));
    }
    all
}

#[test]
fn a_saturated_drive_slows_down_evenly() {
    let (program, erase) = (Ns::from_us(400), Ns::from_us(400));
    let mut geometry = geometry(4, 4, 2);
    geometry.blocks = 512;
    geometry.pages = 16;
    let mut config = config(geometry, Ns::from_us(40), program, 2_000_000_000);
    config.timing.pages = PageTimes::flat(16, Ns::from_us(40), program, erase);
    config.over_provisioning = 7.0;
    config.buffer.pages = 256;
    let mut drive = PageFtl::new(config).expect("possible");
    const DEPTH: usize = 32;
    let all = saturated(&mut drive, 200_000, DEPTH);
    // The buffer fills first.
    let (_, all) = all.split_at(1000);
    let waf = drive.counters().waf();

    // All pages but the reserve of 2.25 lines are where garbage can be.
    let physical = 512.0 - 2.25;
    let expected = amplification(physical / (512.0 / 1.07));
    assert!(close(waf, expected, 3.0), "{waf}, expected {expected}");

    // Dies that have nothing else to do; reads and erases take a part of their time.
    let cap = 32.0 / (waf * program.as_secs_f64());
    let seconds = all[all.len() - 1].1.since(all[0].1).as_secs_f64();
    let rate = all.len() as f64 / seconds;
    assert!(rate < cap && rate > 0.75 * cap, "{rate} of {cap}");
    // From one twentieth of a second to the next.
    let windows: Vec<f64> = all
        .chunks_exact((rate / 20.0) as usize)
        .map(|window| {
            window.len() as f64 / window[window.len() - 1].1.since(window[0].1).as_secs_f64()
        })
        .collect();
    for window in &windows {
        assert!(close(*window, rate, 15.0), "{window} beside {rate}");
    }

    // A write waits for its turn, at worst behind an erase and what the write before it pays for:
    // not for lines.
    let turn = DEPTH as f64 / rate;
    let worst = all
        .iter()
        .map(|(latency, _)| latency.as_secs_f64())
        .fold(0.0, f64::max);
    assert!(
        worst < 3.0 * turn + erase.as_secs_f64(),
        "{worst} s, a turn takes {turn} s"
    );
}

#[test]
fn every_policy_collects_and_greedy_moves_least() {
    let waf = |policy| {
        let mut geometry = geometry(2, 2, 1);
        geometry.blocks = 128;
        geometry.pages = 32;
        let mut config = config(geometry, Ns::from_us(40), Ns::from_us(200), 0);
        config.gc.policy = policy;
        let mut drive = PageFtl::new(config).expect("possible");
        saturated(&mut drive, 60_000, 4);
        drive.counters().waf()
    };
    let greedy = waf(VictimPolicy::Greedy);
    let choice = waf(VictimPolicy::DChoice);
    let random = waf(VictimPolicy::Random);
    assert!(
        1.5 < greedy && greedy < choice && choice < random && random < 2.0 * greedy,
        "{greedy}, {choice}, {random}"
    );
    for policy in [VictimPolicy::CostBenefit, VictimPolicy::Fifo] {
        let other = waf(policy);
        assert!(
            greedy < 1.05 * other && other < random,
            "{}: {other}",
            policy.name()
        );
    }
}

#[test]
fn a_single_die_queues_as_m_d_1() {
    let read = Ns::from_us(50);
    for load in [0.3, 0.6, 0.8] {
        let config = config(geometry(1, 1, 1), read, Ns::from_us(200), 0);
        let mut drive = PageFtl::new(config).expect("possible");
        let how = Precondition {
            fill: 1.0,
            overwrite: 0.0,
            pattern: Pattern::Random,
            seed: 1,
        };
        drive.precondition(how).expect("room");
        let (mut heap, mut rng) = (MediaHeap::new(), Rng::new(4));
        let pages = drive.capacity() / PAGE;
        let (mut arrival, mut waited) = (0.0, 0.0);
        const REQUESTS: u32 = 1_000_000;
        for _ in 0..REQUESTS {
            // Poisson arrivals.
            arrival -= (1.0 - rng.unit()).ln() * read.0 as f64 / load;
            let now = Ns(arrival as u64);
            let at = Extent {
                start: rng.below(pages) * PAGE,
                len: PAGE,
            };
            let done = drive.read(now, at, &mut heap).expect("readable");
            waited += (done.since(now).0 - read.0) as f64;
        }
        let mean = waited / f64::from(REQUESTS);
        let expected = load * read.0 as f64 / (2.0 * (1.0 - load));
        assert!(
            close(mean, expected, 2.0),
            "load {load}: {mean} ns, expected {expected}"
        );
    }
}

#[test]
fn the_same_requests_give_the_same_times() {
    let run = || {
        let mut drive = PageFtl::new(config(
            geometry(2, 2, 2),
            Ns::from_us(40),
            Ns::from_us(200),
            1_000_000_000,
        ))
        .expect("possible");
        let (mut heap, mut rng) = (MediaHeap::new(), Rng::new(8));
        let pages = drive.capacity() / PAGE;
        let mut now = Ns(1);
        let mut times = Vec::new();
        for _ in 0..20_000 {
            now += Ns(rng.below(50_000));
            drain(&mut drive, &mut heap, now);
            let at = Extent {
                start: rng.below(pages) * PAGE,
                len: PAGE,
            };
            times.push(if rng.below(2) == 0 {
                drive.read(now, at, &mut heap)
            } else {
                drive.write(now, at, Placement::default(), &mut heap)
            });
        }
        (times, drive.counters())
    };
    assert_eq!(run(), run());
}
