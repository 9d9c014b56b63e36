//! Work for counting instructions per request, and for measuring requests per second.
//!
//! ```text
//! cargo build --release -p ersatz-ftl --example count
//! valgrind --tool=callgrind --toggle-collect='*measured*' \
//!     target/release/examples/count femu read 200000
//! ```
//!
//! The instructions counted, divided by the requests, are the cost of a request: `read` (random
//! reads), `overwrite` (random overwrites of an aged drive) or `mix` (70 % reads), with `femu` or
//! `page`, the default drive. 4 × 4 dies of 64 blocks of 64 pages of 4 KiB, 80 % of them filled; a
//! fourth argument multiplies the blocks and a fifth the pages of a block.

use ersatz_engine::{Ns, Rng};
use ersatz_ftl::femu::{self, Femu};
use ersatz_ftl::page::{self, PageFtl};
use ersatz_ftl::{Extent, Media, MediaHeap, Placement};
use ersatz_nand::{Geometry, PageTimes};
use std::hint::black_box;

const PAGE: u64 = 4096;

/// A request and how long after the last one it arrives.
struct Request {
    read: bool,
    at: Extent,
    gap: Ns,
}

#[inline(never)]
fn measured(media: &mut dyn Media, heap: &mut MediaHeap, requests: &[Request]) -> u64 {
    let mut now = Ns::from_secs(1000);
    let mut sum = 0u64;
    for request in requests {
        now += request.gap;
        while let Some((at, event)) = heap.pop_due(now) {
            media.event(at, event, heap);
        }
        let done = if request.read {
            media.read(now, request.at, heap)
        } else {
            media.write(now, request.at, Placement::default(), heap)
        };
        sum = sum.wrapping_add(done.map_or(0, |done| done.since(now).0));
    }
    sum
}

fn random(rng: &mut Rng, pages: u64, reads: u64, count: u64, gap: Ns) -> Vec<Request> {
    let request = |_| Request {
        read: rng.below(100) < reads,
        at: Extent {
            start: rng.below(pages) * PAGE,
            len: PAGE,
        },
        gap,
    };
    (0..count).map(request).collect()
}

fn femu(blocks: u32, pages: u32) -> Box<dyn Media> {
    let (channels, luns_per_channel) = (4, 4);
    let config = femu::Config {
        channels,
        luns_per_channel,
        blocks,
        pages,
        ..femu::Config::default()
    };
    Box::new(Femu::new(&config).expect("a geometry that works"))
}

fn page(blocks: u32, pages: u32) -> Box<dyn Media> {
    let geometry = Geometry {
        channels: 4,
        dies_per_channel: 4,
        planes: 1,
        blocks,
        pages,
        page_bytes: PAGE as u32,
    };
    let mut config = page::Config {
        geometry,
        spare_blocks: 0,
        ..page::Config::default()
    };
    // All that is filled is the logical space.
    config.over_provisioning = 25.0;
    let (read, program) = (Ns::from_us(40), Ns::from_us(200));
    config.timing.pages = PageTimes::flat(pages, read, program, Ns::from_ms(2));
    let mut drive = PageFtl::new(config).expect("a geometry that works");
    let pattern = page::Pattern::Random;
    drive
        .precondition(page::Precondition {
            fill: 1.0,
            overwrite: 2.0,
            pattern,
            seed: 1,
        })
        .expect("room");
    Box::new(drive)
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize, default: &str| args.get(at).map_or(default.to_owned(), String::clone);
    let number = |at: usize, default| {
        args.get(at)
            .and_then(|it| it.parse().ok())
            .unwrap_or(default)
    };
    let (model, kind) = (word(0, "femu"), word(1, "read"));
    let count = number(2, 200_000);
    let (blocks, pages) = (64 * number(3, 1) as u32, 64 * number(4, 1) as u32);
    let (reads, gap) = match kind.as_str() {
        "read" => (100, Ns::from_us(20)),
        "mix" => (70, Ns::from_us(40)),
        _ => (0, Ns::from_us(120)),
    };
    let (mut media, filled) = if model == "page" {
        (page(blocks, pages), 10)
    } else {
        (femu(blocks, pages), 8)
    };
    let mut heap = MediaHeap::new();
    let mut rng = Rng::new(1);
    let pages = media.capacity() / PAGE * filled / 10;
    if model != "page" {
        let order = (0..3 * pages).map(|at| if at < pages { at } else { rng.below(pages) });
        for page in order.collect::<Vec<_>>() {
            let at = Extent {
                start: page * PAGE,
                len: PAGE,
            };
            let _ = media.write(Ns(1), at, Placement::default(), &mut heap);
        }
    }
    let requests = random(&mut rng, pages, reads, count, gap);
    let before = media.counters();
    let sum = measured(&mut *media, &mut heap, black_box(&requests));
    let after = media.counters();
    let (host, moved) = (
        after.host_write_pages - before.host_write_pages,
        after.gc_write_pages - before.gc_write_pages,
    );
    println!("{model} {kind}: {count} requests, {host} pages written, {moved} moved, sum {sum} ns");
}
