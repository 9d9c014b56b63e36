//! The FEMU model against itself: hashes of all latencies of seeded workloads, taken when it matched
//! recordings of FEMU exactly (see `golden.rs`). A change here is a change of results.

use ersatz_engine::{Ns, Rng};
use ersatz_ftl::femu::{Config, Eviction, Femu, Mapping, PageTypes, ReadCacheConfig, VictimPolicy};
use ersatz_ftl::{Extent, Fault, Media, MediaHeap, Operation, Placement};
use ersatz_nand::CellType;

/// Hash of latencies, pages relocated, blocks erased, hash of the final mapping.
type Fingerprint = (u64, u64, u64, u64);

const EXPECTED: &[(&str, Fingerprint)] = &[
    (
        "greedy",
        (0xd57b5622175697c3, 82439, 3020, 0xbd310accdc3654ef),
    ),
    (
        "cost-benefit",
        (0x8216a6f1a0f38545, 20251, 1088, 0x37e9f2be47fee509),
    ),
    (
        "fifo",
        (0x663e012ff65dff82, 21153, 1116, 0x776c6bd9f5ebde83),
    ),
    (
        "d-choice",
        (0xad2324a1712b92c4, 62004, 2392, 0x2f9a54c9c05f8321),
    ),
    (
        "random",
        (0xf3b493d58eb71bba, 31721, 1448, 0x439796a096be7a9a),
    ),
    (
        "dftl",
        (0x24f0a33ebb7264fc, 77656, 2876, 0xb1ba5a471caf3768),
    ),
    (
        "hybrid",
        (0x7fdd95865dc8a1b1, 236456, 7848, 0xf15d4e9f6c29649e),
    ),
    (
        "fast",
        (0x494a43ba95afb826, 31559, 1348, 0xf97c07c825916af0),
    ),
    (
        "clock",
        (0x9423f2e995aeaf96, 20094, 1084, 0x583bc744ee48be46),
    ),
    (
        "random cache",
        (0x66262e037cb3d2f1, 20094, 1084, 0x583bc744ee48be46),
    ),
    ("lru", (0x681f23690c673a79, 20094, 1084, 0x583bc744ee48be46)),
    ("arc", (0x8f0902450685aa28, 20094, 1084, 0x583bc744ee48be46)),
    ("qlc", (0x4d923032e69616d1, 23914, 556, 0x75456b9d69c0a5f6)),
    ("mlc", (0x2e4a05da813e75f1, 0, 0, 0xb7e218ccfe085d36)),
    (
        "scaled",
        (0x9b9c2e2065c46cc9, 59064, 2300, 0x68a4f38566b25891),
    ),
    ("odd", (0xa833b670be7bf485, 27046, 2415, 0x479fa19379bb8569)),
];

fn small() -> Config {
    Config {
        channels: 2,
        luns_per_channel: 2,
        blocks: 32,
        pages: 32,
        ..Config::default()
    }
}

fn fnv(hash: u64, value: u64) -> u64 {
    value.to_le_bytes().iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Unaligned reads (30 %), writes and trims (3 %) of 1–20 blocks over `fill` percent of the drive.
fn fingerprint(config: &Config, fill: u64, gap: u64) -> Fingerprint {
    let mut femu = Femu::new(config).expect("possible");
    let (mut heap, mut rng) = (MediaHeap::new(), Rng::new(7));
    let block = u64::from(config.block_bytes);
    let blocks = femu.capacity() / block * fill / 100;
    let (mut now, mut hash) = (Ns(1), 0xcbf2_9ce4_8422_2325);
    for _ in 0..12_000 {
        now += Ns(rng.below(2 * gap));
        let count = 1 + rng.below(20);
        let start = rng.below(blocks - count);
        let at = Extent {
            start: start * block,
            len: count * block,
        };
        let done = match rng.below(100) {
            0..30 => femu.read(now, at, &mut heap),
            30..33 => femu.trim(now, at, &mut heap),
            _ => femu.write(now, at, Placement::default(), &mut heap),
        };
        hash = fnv(hash, done.expect("no failure").since(now).0);
    }
    assert!(heap.is_empty());
    let (counters, state) = (femu.counters(), femu.state());
    (
        hash,
        counters.gc_write_pages,
        counters.erases,
        state.map_hash,
    )
}

fn check(name: &str, config: Config, fill: u64, gap: u64) {
    let (hash, moved, erases, map) = fingerprint(&config, fill, gap);
    let expected = EXPECTED
        .iter()
        .find(|(known, _)| *known == name)
        .expect("in the table")
        .1;
    assert_eq!(
        (hash, moved, erases, map),
        expected,
        "now (\"{name}\", ({hash:#x}, {moved}, {erases}, {map:#x})),"
    );
}

#[test]
fn victim_policies() {
    let policy = |victim| Config { victim, ..small() };
    check("greedy", policy(VictimPolicy::Greedy), 80, 400_000);
    check(
        "cost-benefit",
        policy(VictimPolicy::CostBenefit),
        60,
        400_000,
    );
    check("fifo", policy(VictimPolicy::Fifo), 60, 400_000);
    check("d-choice", policy(VictimPolicy::DChoice), 70, 400_000);
    check("random", policy(VictimPolicy::Random), 60, 400_000);
}

#[test]
fn mapping_schemes() {
    let mapping = |mapping, blocks| Config {
        mapping,
        blocks,
        ..small()
    };
    let dftl = Mapping::Dftl { cache_mib: 1 };
    check("dftl", mapping(dftl, 32), 75, 200_000);
    check("hybrid", mapping(Mapping::Hybrid, 32), 50, 900_000);
    check("fast", mapping(Mapping::Fast, 64), 50, 900_000);
}

#[test]
fn read_caches() {
    for (name, eviction) in [
        ("clock", Eviction::Clock),
        ("random cache", Eviction::Random),
        ("lru", Eviction::Lru),
        ("arc", Eviction::Arc),
    ] {
        let read_cache = Some(ReadCacheConfig { mib: 1, eviction });
        check(
            name,
            Config {
                read_cache,
                ..small()
            },
            60,
            300_000,
        );
    }
}

#[test]
fn page_types_and_geometries() {
    let types = |page_types, pages| Config {
        page_types,
        pages,
        trim: Ns(7_000),
        ..small()
    };
    check(
        "qlc",
        types(PageTypes::Cell(CellType::Qlc), 64),
        70,
        5_000_000,
    );
    check(
        "mlc",
        types(PageTypes::Cell(CellType::Mlc), 512),
        60,
        900_000,
    );
    check(
        "scaled",
        types(PageTypes::Scaled { cell_pages: 4 }, 32),
        70,
        400_000,
    );
    let odd = Config {
        channels: 3,
        luns_per_channel: 5,
        planes: 2,
        blocks: 37,
        pages: 19,
        sectors: 4,
        sector_bytes: 4096,
        gc_percent: 90,
        ..Config::default()
    };
    check("odd", odd, 35, 100_000);
}

fn page(number: u64) -> Extent {
    Extent {
        start: number * 4096,
        len: 4096,
    }
}

#[test]
fn running_out_of_lines_fails_the_write_and_makes_the_drive_read_only() {
    // All 64 lines' worth of logical space on the 32 lines of the plane that stores data.
    let mut femu = Femu::new(&Config {
        planes: 2,
        ..small()
    })
    .expect("possible");
    let mut heap = MediaHeap::new();
    let pages = femu.capacity() / 4096;
    let mut write = |number| femu.write(Ns(number), page(number), Placement::default(), &mut heap);
    let failed = (0..pages)
        .find_map(|number| write(number).err())
        .expect("half of it fits");
    assert_eq!(failed.fault, Fault::OutOfBlocks);
    assert_eq!(
        write(pages - 1).expect_err("read-only").fault,
        Fault::ReadOnly
    );
    assert!(femu.counters().read_only);
    let now = Ns(pages);
    assert_eq!(
        femu.trim(now, page(0), &mut heap)
            .expect_err("read-only")
            .fault,
        Fault::ReadOnly
    );
    assert!(
        femu.read(now, page(0), &mut heap)
            .is_ok_and(|done| done > now)
    );
}

#[test]
fn injected_faults_come_at_a_fixed_period_and_take_their_time() {
    let config = Config {
        read_faults_ppm: 250_000,
        write_faults_ppm: 500_000,
        ..small()
    };
    let mut femu = Femu::new(&config).expect("possible");
    let mut heap = MediaHeap::new();
    let writes: Vec<bool> = (0..4)
        .map(|number| {
            femu.write(Ns(number), page(number), Placement::default(), &mut heap)
                .is_ok()
        })
        .collect();
    assert_eq!(writes, [true, false, true, false]);
    let now = Ns::from_secs(1);
    let reads: Vec<_> = (0..4)
        .map(|number| femu.read(now, page(number), &mut heap))
        .collect();
    let failed = reads[3].expect_err("every fourth");
    assert_eq!(
        (failed.fault, failed.at),
        (Fault::Uncorrectable, now + config.read)
    );
    assert!(reads[..3].iter().all(Result::is_ok));
    assert_eq!(femu.counters().media_errors, 3);
}

#[test]
fn a_refused_request_takes_no_time_but_collects_garbage() {
    let mut femu = Femu::new(&small()).expect("possible");
    let mut heap = MediaHeap::new();
    let mut write = |line: u64, lines: u64| {
        let (start, len) = (line * 128 * 4096, lines * 128 * 4096);
        let done = femu.write(
            Ns(1),
            Extent { start, len },
            Placement::default(),
            &mut heap,
        );
        done.expect("room");
    };
    // Of 32 lines 25 are written and one is open. The last 3 were taken by one request: 6 are free,
    // the threshold is 8, and every request, even a refused one, wins back one.
    write(0, 19);
    write(0, 3);
    write(3, 3);
    let rounds = |femu: &Femu| femu.counters().gc_rounds_background;
    assert_eq!((rounds(&femu), femu.counters().free_lines), (1, 7));
    let (now, outside) = (
        Ns(2),
        Extent {
            start: femu.capacity(),
            len: 1,
        },
    );
    assert_eq!(
        femu.write(now, outside, Placement::default(), &mut heap),
        Ok(now)
    );
    assert_eq!(rounds(&femu), 2);
    assert_eq!(femu.refused(now, Operation::Trim, &mut heap), now);
    assert_eq!((rounds(&femu), femu.counters().free_lines), (3, 9));
}

#[test]
fn never_written_pages_take_no_time() {
    let mut femu = Femu::new(&small()).expect("possible");
    let mut heap = MediaHeap::new();
    assert_eq!(femu.read(Ns(5), page(3), &mut heap), Ok(Ns(5)));
    assert_eq!(femu.counters().host_read_pages, 0);
}
