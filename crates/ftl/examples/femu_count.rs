//! Work for counting instructions per request of the FEMU model.
//!
//! ```text
//! cargo build --release -p ersatz-ftl --example femu_count
//! valgrind --tool=callgrind --toggle-collect='*measured*' \
//!     target/release/examples/femu_count read 200000
//! ```
//!
//! The instructions counted, divided by the requests, are the cost of a request: `read` (random
//! reads), `overwrite` (random overwrites of an aged drive) or `mix` (70 % reads). 4 × 4 dies of 64
//! blocks of 64 pages of 4 KiB, 80 % of them filled.

use ersatz_engine::{Ns, Rng};
use ersatz_ftl::femu::{Config, Femu};
use ersatz_ftl::{Extent, Media, MediaHeap, Placement};
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
    let mut now = Ns(1);
    let mut sum = 0u64;
    for request in requests {
        now += request.gap;
        let done = if request.read {
            media.read(now, request.at, heap)
        } else {
            media.write(now, request.at, Placement::default(), heap)
        };
        sum = sum.wrapping_add(done.map_or(0, |done| done.since(now).0));
    }
    sum
}

fn random(rng: &mut Rng, pages: u64, reads: u64, count: u64) -> Vec<Request> {
    let request = |_| Request {
        read: rng.below(100) < reads,
        at: Extent {
            start: rng.below(pages) * PAGE,
            len: PAGE,
        },
        gap: Ns(20_000),
    };
    (0..count).map(request).collect()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let kind = args.next().unwrap_or_else(|| "read".to_owned());
    let count = args
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(200_000);
    let reads = match kind.as_str() {
        "read" => 100,
        "mix" => 70,
        _ => 0,
    };
    let config = Config {
        channels: 4,
        luns_per_channel: 4,
        blocks: 64,
        pages: 64,
        ..Config::default()
    };
    let mut femu = Femu::new(&config).expect("a geometry that works");
    let mut heap = MediaHeap::new();
    let mut rng = Rng::new(1);
    let pages = femu.capacity() / PAGE * 8 / 10;
    for page in 0..pages {
        let at = Extent {
            start: page * PAGE,
            len: PAGE,
        };
        let _ = femu.write(Ns(1), at, Placement::default(), &mut heap);
    }
    for request in random(&mut rng, pages, 0, 2 * pages) {
        let _ = femu.write(Ns(1), request.at, Placement::default(), &mut heap);
    }
    let requests = random(&mut rng, pages, reads, count);
    let before = femu.counters();
    let sum = measured(&mut femu, &mut heap, black_box(&requests));
    let after = femu.counters();
    let (host, moved) = (
        after.host_write_pages - before.host_write_pages,
        after.gc_write_pages - before.gc_write_pages,
    );
    println!("{kind}: {count} requests, {host} pages written, {moved} moved, sum {sum} ns");
}
