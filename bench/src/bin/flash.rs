//! What the flash models cost: requests per second, instructions per request, bytes per page.
//!
//! Every figure comes from a process of its own (this program again), so that none finds the
//! memory and the caches of another. Requests per second stand beside those of a loop that follows
//! a random chain of pointers through a table of the size of the map: one access to memory that
//! nothing hides, and nothing else. Seconds are those for which this process had a processor, so
//! that others on the machine disturb less. Instructions are counted by valgrind's callgrind, which
//! counts the same on every run, in the geometry in which FEMU's own code was counted.

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use ersatz_engine::{Ns, Rng};
use ersatz_ftl::femu::{self, Femu};
use ersatz_ftl::page::{self, PageFtl};
use ersatz_ftl::{Extent, Media, MediaHeap, Placement};
use ersatz_nand::{Geometry, PageTimes};
use serde_json::{Value, json};
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

/// Measure the flash models: requests per second, instructions per request, bytes per page.
#[derive(Parser)]
struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Leave out what needs valgrind.
    #[arg(long)]
    no_instructions: bool,
    /// Requests per figure of requests per second.
    #[arg(long, default_value_t = 2_000_000)]
    requests: u32,
    /// Measure this, and print JSON.
    #[arg(long, hide = true)]
    work: Option<Work>,
    /// Of this model.
    #[arg(long, hide = true, default_value = "page")]
    model: Model,
    /// With these requests.
    #[arg(long, hide = true, default_value = "read")]
    kind: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    /// Requests per second, and bytes per page.
    Rate,
    /// Requests for callgrind to count.
    Count,
    /// Opening a drive of 4 TiB with pages of 4 KiB, and one of 64 TiB with pages of 64 KiB.
    Open4,
    Open64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Model {
    Femu,
    Page,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Read,
    Overwrite,
    Mix,
}

/// A geometry of one plane.
#[derive(Clone, Copy)]
struct Shape {
    channels: u32,
    dies_per_channel: u32,
    blocks: u32,
    pages: u32,
    page_bytes: u32,
}

/// The geometry in which FEMU's own code was counted.
const COUNTED: Shape = Shape {
    channels: 4,
    dies_per_channel: 4,
    blocks: 64,
    pages: 64,
    page_bytes: 4 << 10,
};
/// FEMU's default: 16 GiB.
const SMALL: Shape = Shape {
    channels: 8,
    dies_per_channel: 8,
    blocks: 256,
    pages: 256,
    page_bytes: 4 << 10,
};
/// 4 TiB.
const LARGE: Shape = Shape {
    channels: 16,
    dies_per_channel: 8,
    blocks: 8192,
    pages: 1024,
    page_bytes: 4 << 10,
};
/// 64 TiB.
const HUGE: Shape = Shape {
    page_bytes: 64 << 10,
    ..LARGE
};
/// Instructions per request of FEMU's own code in the geometry [`COUNTED`]: reads, overwrites, and a
/// mix of 70 % reads.
const FEMU_INSTRUCTIONS: [f64; 3] = [446.0, 4452.0, 1794.0];
const KINDS: [(Kind, &str); 3] = [
    (Kind::Read, "read"),
    (Kind::Overwrite, "overwrite"),
    (Kind::Mix, "mix"),
];
const MODELS: [(Model, &str); 2] = [(Model::Femu, "femu"), (Model::Page, "page")];
/// Requests that callgrind counts.
const COUNTED_REQUESTS: u32 = 100_000;

impl Shape {
    fn physical(self) -> u64 {
        [self.dies_per_channel, self.blocks, self.pages]
            .iter()
            .fold(self.channels.into(), |all, n| all * u64::from(*n))
    }

    /// An empty drive, 80 % of which are for data.
    fn build(self, model: Model) -> Result<Box<dyn Media>> {
        match model {
            Model::Femu => {
                let config = femu::Config {
                    channels: self.channels,
                    luns_per_channel: self.dies_per_channel,
                    blocks: self.blocks,
                    pages: self.pages,
                    sectors: self.page_bytes / 512,
                    ..femu::Config::default()
                };
                Ok(Box::new(Femu::new(&config)?))
            }
            Model::Page => Ok(Box::new(PageFtl::new(self.page_config())?)),
        }
    }

    fn page_config(self) -> page::Config {
        let mut config = page::Config {
            geometry: Geometry {
                channels: self.channels,
                dies_per_channel: self.dies_per_channel,
                planes: 1,
                blocks: self.blocks,
                pages: self.pages,
                page_bytes: self.page_bytes,
            },
            spare_blocks: 0,
            // Of FEMU's drive, a fifth is left unused.
            over_provisioning: 25.0,
            ..page::Config::default()
        };
        let (read, program, erase) = (Ns::from_us(40), Ns::from_us(200), Ns::from_ms(2));
        config.timing.pages = PageTimes::flat(self.pages, read, program, erase);
        config
    }

    /// A drive 80 % of which are filled, and were overwritten twice at random; and how many pages
    /// that are.
    fn aged(self, model: Model) -> Result<(Box<dyn Media>, u64)> {
        let filled = self.physical() * 8 / 10;
        if model == Model::Page {
            let mut media = PageFtl::new(self.page_config())?;
            media.precondition(page::Precondition {
                fill: 1.0,
                overwrite: 2.0,
                pattern: page::Pattern::Random,
                seed: 1,
            })?;
            let filled = media.capacity() / u64::from(self.page_bytes);
            return Ok((Box::new(media), filled));
        }
        let mut media = self.build(model)?;
        let (mut heap, mut rng) = (MediaHeap::new(), Rng::new(1));
        for number in 0..3 * filled {
            let page = if number < filled {
                number
            } else {
                rng.below(filled)
            };
            let at = self.extent(page);
            media.write(Ns(1), at, Placement::default(), &mut heap)?;
        }
        Ok((media, filled))
    }

    fn extent(self, page: u64) -> Extent {
        let len = u64::from(self.page_bytes);
        Extent {
            start: page * len,
            len,
        }
    }
}

impl Kind {
    /// Reads of a hundred requests, and how long after the last one each arrives: the dies keep up.
    fn load(self) -> (u64, Ns) {
        match self {
            Self::Read => (100, Ns::from_us(20)),
            Self::Overwrite => (0, Ns::from_us(120)),
            Self::Mix => (70, Ns::from_us(40)),
        }
    }

    /// Random pages, with the lowest bit set for those to be read.
    fn requests(self, pages: u64, count: u32) -> Vec<u64> {
        let mut rng = Rng::new(2);
        let reads = self.load().0;
        (0..count)
            .map(|_| rng.below(pages) << 1 | u64::from(rng.below(100) < reads))
            .collect()
    }
}

/// What is counted and timed. Its name is how callgrind finds it.
#[inline(never)]
fn measured(media: &mut dyn Media, shape: Shape, gap: Ns, requests: &[u64]) -> u64 {
    let (mut heap, mut now, mut sum) = (MediaHeap::new(), Ns::from_secs(1000), 0u64);
    for request in requests {
        now += gap;
        while let Some((due, event)) = heap.pop_due(now) {
            media.event(due, event, &mut heap);
        }
        let at = shape.extent(request >> 1);
        let done = if request & 1 == 1 {
            media.read(now, at, &mut heap)
        } else {
            media.write(now, at, Placement::default(), &mut heap)
        };
        sum = sum.wrapping_add(done.map_or(0, |done| done.since(now).0));
    }
    sum
}

/// Nanoseconds for which this thread, the only one, has had a processor.
fn processor_ns() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let ns = text
        .split_whitespace()
        .next()
        .and_then(|ns| ns.parse().ok());
    ns.context("no time in /proc/self/schedstat")
}

/// What `act` returns, and the seconds of a processor that it took: to a scheduler's tick, so that it
/// should be long.
fn seconds<T>(act: impl FnOnce() -> T) -> Result<(T, f64)> {
    let start = processor_ns()?;
    let result = act();
    Ok((result, (processor_ns()? - start) as f64 / 1e9))
}

/// Bytes of address space and of memory that this process has.
fn memory() -> Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let words = line.and_then(|line| line.split_whitespace().next());
        words.and_then(|word| word.parse::<u64>().ok())
    };
    let find = |name| kib(name).with_context(|| format!("no {name} in /proc/self/status"));
    Ok((find("VmSize:")? << 10, find("VmRSS:")? << 10))
}

/// Steps per second along a random cycle through a table of `entries` numbers of 4 bytes.
fn chase(entries: u64, steps: u32) -> Result<f64> {
    let mut next: Vec<u32> = (0..entries as u32).collect();
    let mut rng = Rng::new(3);
    // Sattolo's algorithm: one cycle through all entries.
    for at in (1..next.len()).rev() {
        next.swap(at, rng.below(at as u64) as usize);
    }
    let walk = |steps: u32| (0..steps).fold(0, |at: u32, _| next[at as usize]);
    black_box(walk(steps / 4));
    let (end, time) = seconds(|| walk(black_box(steps)))?;
    black_box(end);
    Ok(f64::from(steps) / time)
}

fn rate(model: Model, kind: Kind, count: u32) -> Result<Value> {
    let before = memory()?.1;
    let (mut media, pages) = SMALL.aged(model)?;
    let tables = memory()?.1 - before;
    let (requests, gap) = (kind.requests(pages, count), kind.load().1);
    let counters = media.counters();
    let (sum, time) = seconds(|| measured(&mut *media, SMALL, gap, black_box(&requests)))?;
    black_box(sum);
    let after = media.counters();
    let host = after.host_write_pages - counters.host_write_pages;
    let moved = after.gc_write_pages - counters.gc_write_pages;
    Ok(json!({
        "requests_per_second": f64::from(count) / time,
        "pointers_per_second": chase(SMALL.physical(), count)?,
        "waf": if host == 0 { Value::Null } else { json!((host + moved) as f64 / host as f64) },
        "bytes_per_page": tables as f64 / SMALL.physical() as f64,
    }))
}

fn open(model: Model, shape: Shape) -> Result<Value> {
    let before = memory()?;
    let (media, time) = open_timed(model, shape)?;
    let after = memory()?;
    Ok(json!({
        "seconds": time,
        "logical_bytes": media.capacity(),
        // Tables are zeros when a drive is opened, which take no memory before they are written.
        "tables_bytes": after.0 - before.0,
        "resident_bytes": after.1.saturating_sub(before.1),
        "bytes_per_page": (after.0 - before.0) as f64 / shape.physical() as f64,
    }))
}

#[allow(clippy::disallowed_methods)] // A bench reads the clock: it is an edge.
fn open_timed(model: Model, shape: Shape) -> Result<(Box<dyn Media>, f64)> {
    let start = Instant::now();
    let media = shape.build(model)?;
    Ok((media, start.elapsed().as_secs_f64()))
}

fn count(model: Model, kind: Kind) -> Result<()> {
    let (mut media, pages) = COUNTED.aged(model)?;
    let requests = kind.requests(pages, COUNTED_REQUESTS);
    let sum = measured(&mut *media, COUNTED, kind.load().1, black_box(&requests));
    black_box(sum);
    Ok(())
}

/// This program again, for one figure.
fn child(work: &str, model: &str, kind: &str, requests: u32) -> Result<Value> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--work", work, "--model", model, "--kind", kind])
        .args(["--requests", &requests.to_string()])
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{work} of {model}: {words}");
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn instructions(model: &str, kind: &str) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*measured*")
        .arg(std::env::current_exe()?)
        .args(["--work", "count", "--model", model, "--kind", kind])
        .output()
        .context("valgrind is needed to count instructions (or --no-instructions)")?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind failed:\n{words}");
    }
    let line = words.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let count = count.context("valgrind printed no count")?;
    Ok(count / f64::from(COUNTED_REQUESTS))
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.work {
        Some(Work::Rate) => println!("{}", rate(args.model, args.kind, args.requests)?),
        Some(Work::Count) => count(args.model, args.kind)?,
        Some(Work::Open4) => println!("{}", open(args.model, LARGE)?),
        Some(Work::Open64) => println!("{}", open(args.model, HUGE)?),
        None => report(&args)?,
    }
    Ok(())
}

fn report(args: &Args) -> Result<()> {
    let (mut rates, mut opened, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for (_, model) in MODELS {
        for (_, kind) in &KINDS[..2] {
            let mut figure = child("rate", model, kind, args.requests)?;
            figure["model"] = model.into();
            figure["kind"] = (*kind).into();
            rates.push(figure);
        }
        for (work, drive) in [
            ("open4", "4 TiB, pages of 4 KiB"),
            ("open64", "64 TiB, pages of 64 KiB"),
        ] {
            let mut figure = child(work, model, "read", 1)?;
            figure["model"] = model.into();
            figure["drive"] = drive.into();
            opened.push(figure);
        }
        for ((_, kind), femu) in KINDS.iter().zip(FEMU_INSTRUCTIONS) {
            if args.no_instructions {
                break;
            }
            let count = instructions(model, kind)?;
            counts.push(json!({
                "model": model, "kind": kind, "instructions": count, "of_femu": count / femu,
            }));
        }
    }
    if args.json {
        let all = json!({ "rates": rates, "opened": opened, "instructions": counts });
        println!("{all}");
        return Ok(());
    }
    print_tables(&rates, &opened, &counts);
    Ok(())
}

fn print_tables(rates: &[Value], opened: &[Value], counts: &[Value]) {
    let number = |figure: &Value, key: &str| figure[key].as_f64().unwrap_or(f64::NAN);
    let word = |figure: &Value, key: &str| figure[key].as_str().unwrap_or_default().to_owned();
    println!(
        "16 GiB, pages of 4 KiB, 80 % filled and overwritten twice at random; one thread,\nseconds of a processor"
    );
    println!(
        "{:>6} {:>10} {:>12} {:>12} {:>13} {:>7} {:>15}",
        "model", "requests", "requests/s", "pointers/s", "pointers each", "WAF", "bytes per page"
    );
    for figure in rates {
        let (rate, chased) = (
            number(figure, "requests_per_second"),
            number(figure, "pointers_per_second"),
        );
        let waf = figure["waf"].as_f64();
        println!(
            "{:>6} {:>10} {rate:>12.0} {chased:>12.0} {:>13.2} {:>7} {:>15.2}",
            word(figure, "model"),
            word(figure, "kind"),
            chased / rate,
            waf.map_or("-".to_owned(), |waf| format!("{waf:.2}")),
            number(figure, "bytes_per_page")
        );
    }
    println!("\nOpening an empty drive; the tables are there, but not yet in memory");
    println!(
        "{:>6} {:>24} {:>9} {:>12} {:>12} {:>15}",
        "model", "drive", "seconds", "tables, GiB", "memory, GiB", "bytes per page"
    );
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    for figure in opened {
        println!(
            "{:>6} {:>24} {:>9.4} {:>12.2} {:>12.3} {:>15.2}",
            word(figure, "model"),
            word(figure, "drive"),
            number(figure, "seconds"),
            gib(number(figure, "tables_bytes")),
            gib(number(figure, "resident_bytes")),
            number(figure, "bytes_per_page")
        );
    }
    if counts.is_empty() {
        return;
    }
    println!("\nInstructions per request; 4 × 4 dies, 64 blocks of 64 pages of 4 KiB, 80 % filled");
    println!(
        "{:>6} {:>10} {:>14} {:>12}",
        "model", "requests", "instructions", "of FEMU's"
    );
    for figure in counts {
        println!(
            "{:>6} {:>10} {:>14.0} {:>12.2}",
            word(figure, "model"),
            word(figure, "kind"),
            number(figure, "instructions"),
            number(figure, "of_femu")
        );
    }
}
