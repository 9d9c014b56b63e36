//! Behaviour of the whole drive; what fails is in `tests/faults.rs`, drives of
//! all shapes in `tests/any.rs`.

mod any;
mod faults;

use super::*;
use crate::media::{Extent, Fault, Media, MediaHeap, Placement};
use ersatz_engine::{Ns, Rng};
use ersatz_nand::{Geometry, PageTimes, ReadPriority, Reliability};
use std::collections::BTreeMap;

const SECTOR: u32 = 512;
const PAGE: u32 = 4096;
const SECTORS: usize = (PAGE / SECTOR) as usize;

/// A sector that was deallocated without its page: what it held, or nothing.
const ANYTHING: u64 = u64::MAX;

/// What each sector of a page holds: the number of the write it comes from; 0: nothing.
type Data = [u64; SECTORS];

/// A store keyed by slot and physical page, moved as the drive says it moves data, beside one keyed
/// by logical page that just takes what the host writes. Every read compares both.
#[derive(Debug, Default)]
struct Ledger {
    write: u64,
    slots: BTreeMap<u32, (u32, [Option<u64>; SECTORS])>,
    pages: BTreeMap<u32, Data>,
    host: BTreeMap<u32, Data>,
    reads: u64,
}

fn sectors(from: u32, to: u32) -> std::ops::Range<usize> {
    (from / SECTOR) as usize..(to / SECTOR) as usize
}

impl Watch for Ledger {
    fn reserved(&mut self, slot: u32, lpn: u32) {
        self.slots.insert(slot, (lpn, [None; SECTORS]));
    }

    fn accepted(&mut self, slot: u32, from: u32, to: u32) {
        self.write += 1;
        let (lpn, data) = self.slots.get_mut(&slot).expect("reserved");
        data[sectors(from, to)].fill(Some(self.write));
        self.host.entry(*lpn).or_default()[sectors(from, to)].fill(self.write);
    }

    fn programmed(&mut self, page: u32, source: Source) {
        let data = match source {
            Source::Page(old) => self.pages[&old],
            Source::Mapping => [0; SECTORS],
            Source::Buffer { slot, under } => {
                let under = under.map_or([0; SECTORS], |page| self.pages[&page]);
                let (_, slot) = self.slots[&slot];
                std::array::from_fn(|sector| slot[sector].unwrap_or(under[sector]))
            }
        };
        assert!(
            self.pages.insert(page, data).is_none(),
            "page {page} programmed without an erase"
        );
    }

    fn erased(&mut self, pages: std::ops::Range<u32>) {
        for page in pages {
            self.pages.remove(&page);
        }
    }

    fn read(&mut self, lpn: u32, from: u32, to: u32, slot: Option<u32>, page: Option<u32>) {
        self.reads += 1;
        let under = page.map_or([0; SECTORS], |page| {
            *self.pages.get(&page).expect("erased data")
        });
        let over = slot.map_or([None; SECTORS], |slot| self.slots[&slot].1);
        let host = self.host.get(&lpn).copied().unwrap_or_default();
        for sector in sectors(from, to) {
            let found = over[sector].unwrap_or(under[sector]);
            if host[sector] != ANYTHING {
                assert_eq!(found, host[sector], "sector {sector} of page {lpn}");
            }
        }
    }
}

/// 2 × 2 dies of 2 planes of 24 blocks of 8 pages of 4 KiB: 22 lines of 64 pages.
fn small() -> Config {
    let mut config = Config {
        geometry: Geometry {
            channels: 2,
            dies_per_channel: 2,
            planes: 2,
            blocks: 24,
            pages: 8,
            page_bytes: PAGE,
        },
        over_provisioning: 40.0,
        spare_blocks: 2,
        ..Config::default()
    };
    config.timing.pages = PageTimes::flat(8, Ns::from_us(40), Ns::from_us(200), Ns::from_ms(2));
    config.reliability = Reliability::default();
    config.buffer.pages = 16;
    config
}

struct Bench<W: Watch + Send> {
    drive: PageFtl<W>,
    heap: MediaHeap,
    now: Ns,
}

impl<W: Watch + Send> Bench<W> {
    fn with(config: Config, watch: W) -> Self {
        let drive = PageFtl::watched(config, watch).expect("possible");
        Self {
            drive,
            heap: MediaHeap::new(),
            now: Ns(1),
        }
    }

    fn wait(&mut self, until: Ns) {
        while let Some((at, event)) = self.heap.pop_due(until) {
            self.drive.event(at, event, &mut self.heap);
        }
        self.now = until;
    }

    fn write(&mut self, start: u64, len: u64, stream: u16) -> Result<Ns, Fault> {
        let done = self.drive.write(
            self.now,
            Extent { start, len },
            Placement { stream },
            &mut self.heap,
        );
        done.map(|done| done.since(self.now))
            .map_err(|error| error.fault)
    }

    fn read(&mut self, start: u64, len: u64) -> Result<Ns, Fault> {
        let done = self
            .drive
            .read(self.now, Extent { start, len }, &mut self.heap);
        done.map(|done| done.since(self.now))
            .map_err(|error| error.fault)
    }

    fn page(&mut self, lpn: u64) -> Result<Ns, Fault> {
        self.write(lpn * 4096, 4096, 0)
    }

    /// Writes the first pages in order.
    fn fill(&mut self, pages: u64) {
        for lpn in 0..pages {
            self.page(lpn).expect("room");
        }
    }

    fn flush(&mut self) -> Ns {
        self.drive
            .flush(self.now, &mut self.heap)
            .expect("room")
            .since(self.now)
    }

    fn pages(&self) -> u64 {
        self.drive.capacity() / 4096
    }
}

fn bench(config: Config) -> Bench<()> {
    Bench::with(config, ())
}

/// Thousands of unaligned reads, writes, trims and flushes; every read checks its data.
fn nothing_is_lost(config: Config, gap: Ns) -> Bench<Ledger> {
    let streams = u64::from(config.streams);
    let mut bench = Bench::with(config, Ledger::default());
    let mut rng = Rng::new(11);
    let all = bench.drive.capacity() / u64::from(SECTOR);
    for _ in 0..20_000 {
        let until = bench.now + Ns(rng.below(2 * gap.0));
        bench.wait(until);
        let count = 1 + rng.below(24);
        let start = rng.below(all - count) * 512;
        let len = count * 512;
        match rng.below(100) {
            0..30 => {
                bench.read(start, len).expect("readable");
            }
            30..36 => {
                let (now, at) = (bench.now, Extent { start, len });
                bench
                    .drive
                    .trim(now, at, &mut bench.heap)
                    .expect("writable");
                for sector in start / 512..(start + len) / 512 {
                    let (lpn, at) = ((sector / 8) as u32, (sector % 8) as usize);
                    if let Some(data) = bench.drive.watch.host.get_mut(&lpn) {
                        data[at] = ANYTHING;
                    }
                }
                for lpn in start.div_ceil(4096)..(start + len) / 4096 {
                    bench.drive.watch.host.remove(&(lpn as u32));
                }
            }
            36..38 => {
                bench.flush();
            }
            _ => {
                bench
                    .write(start, len, rng.below(streams) as u16)
                    .expect("writable");
            }
        }
    }
    let capacity = bench.drive.capacity();
    bench.read(0, capacity).expect("readable");
    assert!(bench.drive.watch.reads > 10_000);
    assert!(bench.drive.counters().gc_write_pages > 1_000);
    bench
}

#[test]
fn nothing_is_lost_with_a_buffer_and_background_collection() {
    let bench = nothing_is_lost(small(), Ns::from_ms(1));
    assert!(bench.drive.counters().gc_rounds_background > 100);
}

#[test]
fn nothing_is_lost_without_a_buffer() {
    let mut config = small();
    config.buffer.pages = 0;
    nothing_is_lost(config, Ns::from_us(50));
}

#[test]
fn nothing_is_lost_with_streams_a_lazy_volatile_buffer_and_a_mapping_cache() {
    let mut config = Config {
        streams: 3,
        mapping_cache: Some(4096),
        ..small()
    };
    config.over_provisioning = 60.0;
    config.buffer.volatile = true;
    config.buffer.destage_above = 60;
    config.gc.idle_after = Some(Ns::from_us(50));
    nothing_is_lost(config, Ns::from_us(50));
}

#[test]
fn wear_levelling_moves_cold_data() {
    let spread = |wear_spread| {
        let mut bench = bench(Config {
            wear_spread,
            ..small()
        });
        let mut rng = Rng::new(3);
        let pages = bench.pages();
        bench.fill(pages);
        for _ in 0..60_000 {
            bench.wait(bench.now + Ns::from_us(20));
            // A tenth of the pages take all writes.
            bench.page(rng.below(pages / 10)).expect("room");
        }
        let wear = bench.drive.wear();
        wear.iter().max().expect("lines") - wear.iter().min().expect("lines")
    };
    let (without, with) = (spread(None), spread(Some(8)));
    assert!(
        with <= 12 && without > 2 * with,
        "{without} without, {with} with"
    );
}

#[test]
fn a_buffered_write_takes_the_buffers_time_and_a_direct_one_the_programs() {
    let mut buffered = bench(small());
    assert_eq!(buffered.page(0), Ok(Ns::from_us(2)));
    let mut config = small();
    config.buffer.pages = 0;
    let mut direct = bench(config);
    let done = direct.page(0).expect("room");
    assert!(done > Ns::from_us(200) && done < Ns::from_us(210), "{done}");
}

#[test]
fn a_full_buffer_takes_writes_as_fast_as_they_are_programmed() {
    let mut bench = bench(small());
    let done: Vec<Ns> = (0..64).map(|lpn| bench.page(lpn).expect("room")).collect();
    assert!(done[..16].iter().all(|done| *done == Ns::from_us(2)));
    // 4 dies × 2 planes at 200 us each.
    let last = done[63];
    assert!(
        last > Ns::from_us(1000) && last < Ns::from_us(1400),
        "{last}"
    );
}

#[test]
fn a_flush_waits_for_programs_only_when_the_buffer_is_volatile() {
    for (volatile, least) in [(false, Ns::ZERO), (true, Ns::from_us(200))] {
        let mut config = small();
        config.buffer.volatile = volatile;
        let mut bench = bench(config);
        bench.page(0).expect("room");
        let done = bench.flush();
        assert!(
            done >= least && done < least + Ns::from_us(10),
            "{volatile}: {done}"
        );
    }
}

#[test]
fn data_in_the_buffer_is_read_from_there() {
    let mut bench = bench(small());
    bench.fill(2);
    assert_eq!(bench.read(0, 4096), Ok(Ns::from_us(2)));
    bench.wait(Ns::from_ms(1));
    assert!(bench.read(0, 4096).expect("readable") > Ns::from_us(40));
}

#[test]
fn a_page_that_was_never_written_takes_the_time_that_was_set() {
    let mut bench = bench(Config {
        unmapped_read: Ns(777),
        ..small()
    });
    assert_eq!(bench.read(8192, 4096), Ok(Ns(777)));
}

#[test]
fn a_partial_write_of_a_written_page_reads_it_first() {
    let mut config = small();
    config.buffer.pages = 0;
    let mut bench = bench(config);
    let new = bench.write(0, 512, 0).expect("room");
    bench.wait(Ns::from_ms(10));
    let again = bench.write(512, 512, 0).expect("room");
    assert!(again >= new + Ns::from_us(40), "{new} and then {again}");
    bench.wait(Ns::from_ms(20));
    assert!(bench.write(0, 4096, 0).expect("room") < new + Ns::from_us(40));
}

#[test]
fn a_trim_keeps_pages_that_it_covers_partly() {
    let mut bench = bench(small());
    bench.fill(4);
    bench.wait(Ns::from_ms(5));
    let at = Extent {
        start: 512,
        len: 2 * 4096,
    };
    bench
        .drive
        .trim(bench.now, at, &mut bench.heap)
        .expect("writable");
    assert_eq!(
        bench.read(4096, 4096),
        Ok(Ns::from_us(5)),
        "covered: unmapped"
    );
    assert!(bench.read(0, 512).expect("readable") > Ns::from_us(40));
    bench.wait(Ns::from_ms(6));
    assert!(bench.read(2 * 4096 + 512, 512).expect("readable") > Ns::from_us(40));
}

#[test]
fn a_page_that_is_trimmed_in_parts_is_deallocated_with_the_last_one() {
    let mut bench = bench(small());
    bench.fill(4);
    bench.wait(Ns::from_ms(5));
    let trim = |bench: &mut Bench<()>, start: u64, len: u64| {
        let (now, at) = (bench.now, Extent { start, len });
        bench
            .drive
            .trim(now, at, &mut bench.heap)
            .expect("writable");
    };
    trim(&mut bench, 0, 1024);
    trim(&mut bench, 2048, 2048);
    let unmapped = Ok(Ns::from_us(5));
    assert_eq!(bench.read(0, 1024), unmapped);
    assert!(bench.read(512, 1024).expect("readable") > Ns::from_us(40));
    // Written again, the rest of the page is all that needs its old data.
    bench.wait(Ns::from_ms(6));
    bench.write(0, 512, 0).expect("room");
    bench.write(1024, 1024, 0).expect("room");
    assert_eq!(bench.drive.lines.get(0).valid, 3, "of 4 pages");
    // What was written again is not deallocated.
    trim(&mut bench, 512, 1536);
    assert!(bench.drive.at(0) != model::At::Nowhere);
    trim(&mut bench, 0, 512);
    assert_eq!(bench.read(0, 4096), unmapped);
    assert!(bench.drive.trimmed.is_empty());
}

#[test]
fn a_miss_of_the_mapping_cache_comes_before_the_data() {
    // 4 KiB hold the translations of 1024 pages; half of the drive's.
    let mut config = Config {
        mapping_cache: Some(4096),
        ..small()
    };
    config.geometry.blocks = 64;
    let mut bench = bench(config);
    let far = bench.pages() - 1;
    bench.fill(2);
    bench.page(far).expect("room");
    bench.page(far - 1).expect("room");
    bench.wait(Ns::from_ms(10));
    let hit = bench.read(far * 4096, 4096).expect("readable");
    bench.wait(Ns::from_ms(20));
    let miss = bench.read(0, 4096).expect("readable");
    // The cached translation is dirty: it is written back, then the other one is read.
    assert!(
        hit < Ns::from_us(50) && miss > hit + Ns::from_us(240),
        "{hit} and {miss}"
    );
}

#[test]
fn a_read_passes_a_program_when_it_may() {
    let latency = |read_priority| {
        let mut config = small();
        config.timing.read_priority = read_priority;
        let mut bench = bench(config);
        bench.write(0, 16 * 4096, 0).expect("room");
        bench.wait(Ns::from_ms(5));
        // All dies program; then a page of the first die is read.
        bench.write(16 * 4096, 16 * 4096, 0).expect("room");
        bench.wait(bench.now + Ns::from_us(50));
        bench.read(0, 4096).expect("readable")
    };
    let (us, suspend, resume) = (Ns::from_us, Ns::from_us(10), Ns::from_us(5));
    let waits = latency(ReadPriority::None);
    let passes = latency(ReadPriority::Suspend {
        suspend,
        resume,
        limit: 4,
    });
    assert!(waits > us(200) && passes < us(60), "{waits} and {passes}");
}

#[test]
fn retries_grow_with_reads_until_the_line_is_refreshed() {
    let mut config = small();
    config.reliability = Reliability {
        reads_per_step: 10,
        steps: 8,
        ..Reliability::default()
    };
    let latencies = |config: Config| -> Vec<Ns> {
        let mut bench = bench(config);
        bench.fill(64);
        (0..100)
            .map(|_| {
                bench.wait(bench.now + Ns::from_ms(10));
                bench.read(0, 4096).unwrap_or(Ns::MAX)
            })
            .collect()
    };
    let disturbed = latencies(config.clone());
    assert!(disturbed[15] >= disturbed[0] + Ns::from_us(40));
    assert_eq!(disturbed[99], Ns::MAX, "beyond the last step");
    let refreshed = latencies(Config {
        refresh_reads: Some(15),
        ..config
    });
    assert!(
        refreshed
            .iter()
            .all(|latency| *latency < disturbed[0] + Ns::from_us(100))
    );
}

#[test]
fn an_idle_drive_collects_garbage_and_then_rests() {
    let mut config = small();
    config.gc.idle_after = Some(Ns::from_ms(1));
    config.gc.idle_until = 30.0;
    let mut bench = bench(config);
    let pages = bench.pages();
    for lpn in (0..pages).chain(0..pages / 2) {
        bench.page(lpn).expect("room");
    }
    let before = bench.drive.counters().free_lines;
    bench.wait(bench.now + Ns::from_secs(10));
    let after = bench.drive.counters().free_lines;
    assert!(after > before && after >= 4, "{before}, then {after}");
    assert!(bench.heap.is_empty());
}

#[test]
fn streams_keep_data_of_different_lifetimes_apart() {
    let waf = |streams: u16| {
        let mut config = Config { streams, ..small() };
        // Of few lines, one more that is open would cost more than is gained.
        config.geometry.blocks = 64;
        let mut bench = bench(config);
        let mut rng = Rng::new(5);
        let pages = bench.pages();
        bench.fill(pages);
        for _ in 0..40_000 {
            bench.wait(bench.now + Ns::from_us(30));
            let hot = rng.below(10) < 9;
            let lpn = if hot {
                rng.below(pages / 10)
            } else {
                rng.below(pages)
            };
            bench.write(lpn * 4096, 4096, u16::from(hot)).expect("room");
        }
        bench.drive.counters().waf()
    };
    let (one, two) = (waf(1), waf(2));
    assert!(two < one, "{one} with one stream, {two} with two");
}

#[test]
fn an_aged_drive_amplifies_from_the_first_write() {
    let how = Precondition {
        fill: 1.0,
        overwrite: 2.0,
        pattern: Pattern::Random,
        seed: 1,
    };
    let mut bench = bench(small());
    bench.drive.precondition(how).expect("room");
    let aged = bench.drive.counters();
    assert_eq!((aged.host_write_pages, aged.gc_write_pages), (0, 0));
    assert!(bench.drive.wear().iter().sum::<u32>() > 22);
    let mut rng = Rng::new(2);
    let pages = bench.pages();
    for _ in 0..2_000 {
        bench.wait(bench.now + Ns::from_us(100));
        bench.page(rng.below(pages)).expect("room");
    }
    assert!(bench.drive.counters().waf() > 1.3);
}

#[test]
fn what_cannot_work_is_refused_with_its_arithmetic() {
    let refused = |config: Config| PageFtl::new(config).expect_err("refused").to_string();
    let full = refused(Config {
        over_provisioning: 0.0,
        ..small()
    });
    assert!(
        full.starts_with("22 lines of 64 pages, 4 of them kept free or open"),
        "{full}"
    );
    assert!(
        full.contains("hold 1152 pages; over-provisioning of 0 % leaves a logical space of 1408")
    );
    let bad = refused(Config {
        factory_bad_blocks: 100,
        ..small()
    });
    assert!(bad.contains("exceed the 2 spare blocks"), "{bad}");
    let mut config = small();
    config.gc.start_below = 100.0;
    assert_eq!(
        refused(config),
        "gc.start_below is 100: a share from 0 % to below 100 %"
    );
}
