//! What the programs have to do that other emulators come with: vector addition, compression,
//! search, nearest neighbours and queries.

use crate::cases::{Case, Device, Numbers, case, log};
use ersatz_runtime::{Fault, Program};
use std::collections::BTreeMap;
use std::io::Read;

pub const CASES: &[Case] = &[
    case!("examples/programs/grep.c", 1..=4, grep),
    case!("examples/programs/knn.c", 1..=4, knn),
    case!("examples/programs/lz4.c", 1..=4, lz4),
    case!("examples/programs/sql_group_by.c", 1..=4, sql_group_by),
    case!("examples/programs/sql_where.c", 1..=4, sql_where),
    case!("examples/programs/vadd_cemu.c", 1..=4, vadd_cemu),
    case!("examples/programs/vadd_indirect.c", 1..=4, vadd_indirect),
];

fn le(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn pairs(count: usize) -> Vec<u32> {
    let mut numbers = Numbers(11);
    (0..2 * count)
        .map(|_| numbers.below(1 << 32) as u32)
        .collect()
}

fn sums(pairs: &[u32]) -> Vec<u8> {
    let sums = pairs.chunks(2).map(|pair| pair[0].wrapping_add(pair[1]));
    le(&sums.collect::<Vec<_>>())
}

pub fn vadd_cemu(program: &dyn Program) {
    let pairs = pairs(1000);
    let device = Device::new().with(3, &[0xee; 4004]).with(5001, &le(&pairs));
    assert_eq!(device.result(program, [1000, 0], b""), 1000);
    let out = device.bytes(0);
    assert_eq!(out[..4000], sums(&pairs));
    assert_eq!(out[4000..], [0xee; 4]);
    // A condition of the program's that does not hold has a place.
    let report = Device::new().with(0, &[0; 8]).run(program, [0, 0], b"");
    assert!(matches!(
        report.result,
        Err(Fault::Access { address: 0, .. })
    ));
}

/// The drive's part of the indirect model: chunks through the same ranges, blocks written back.
fn vadd_indirect(program: &dyn Program) {
    const CHUNK: usize = 4096;
    let pairs = pairs(3 * CHUNK / 8 + 5);
    let mut state = vec![0; 8];
    let mut flash = Vec::new();
    for chunk in le(&pairs).chunks(CHUNK) {
        let device = Device::new()
            .with(1, &[0xee; CHUNK / 2])
            .with(10_001, chunk)
            .with(20_000, &state);
        let blocks = device.result(program, [0, 0], b"") as usize;
        flash.extend_from_slice(&device.bytes(0)[..blocks * 512]);
        state = device.bytes(2);
    }
    let mut expected = sums(&pairs);
    assert_eq!(state, (pairs.len() as u64 / 2).to_le_bytes());
    expected.resize(expected.len().next_multiple_of(512), 0);
    assert!(flash == expected, "as with all of it at once");

    let device = Device::new().with(0, &[0; 1023]).with(4096, &le(&pairs));
    assert_eq!(device.result(program, [0, 0], b""), 1, "whole blocks only");
    assert_eq!(Device::new().result(program, [0, 0], b""), 0);
}

fn lz4(program: &dyn Program) {
    let mut numbers = Numbers(5);
    let noise: Vec<u8> = (0..70_000).map(|_| numbers.below(256) as u8).collect();
    let texts = [
        Vec::new(),
        b"Fischers Fritze".to_vec(),
        log(3000)[..200_000].to_vec(),
        vec![b'-'; 66_000],
        [&noise[..], &log(20), &noise[..300]].concat(),
    ];
    let lens = (0..40).map(|len| log(1)[..len].to_vec());
    for text in texts.into_iter().chain(lens) {
        let room = vec![0xee; text.len() + 32];
        let device = Device::new().with(1, &text).with(300_002, &room);
        let len = device.result(program, [text.len() as u64, 0], b"") as usize;
        assert!(len > 0);
        let out = device.bytes(1);
        assert!(out[len..].iter().all(|byte| *byte == 0xee));
        let mut back = Vec::new();
        let mut decoder = lz4_flex::frame::FrameDecoder::new(&out[..len]);
        decoder.read_to_end(&mut back).expect("an LZ4 frame");
        assert!(back == text, "{} bytes", text.len());
        if text.len() > 100_000 && text[0] == b'2' {
            assert!(len * 2 < text.len(), "{len}");
        }
        // Where it does not fit.
        for room in [0, 6, len - 1] {
            let device = Device::new().with(1, &text).with(300_002, &vec![0; room]);
            assert_eq!(device.result(program, [text.len() as u64, 0], b""), 0);
        }
    }
}

fn grep(program: &dyn Program) {
    let text = log(300);
    let lines = || text.split_inclusive(|&byte| byte == b'\n');
    let contains = |line: &[u8], part: &str| line.windows(part.len()).any(|w| w == part.as_bytes());
    let ends = |line: &[u8], part: &str| {
        line.strip_suffix(b"\n")
            .unwrap_or(line)
            .ends_with(part.as_bytes())
    };
    type Wanted<'a> = &'a dyn Fn(&[u8]) -> bool;
    let expressions: [(&str, Wanted<'_>); 10] = [
        ("ERROR", &|line| contains(line, "ERROR")),
        ("^2026-11-22T10:15:07", &|line| {
            line.starts_with(b"2026-11-22T10:15:07")
        }),
        ("200$", &|line| ends(line, "200")),
        ("nginx.*WARN.*out$", &|line| {
            contains(line, ": WARN") && ends(line, "timed out")
        }),
        ("host-11* ", &|line| {
            contains(line, "host-1 ") || contains(line, "host-11 ")
        }),
        (r"10:15:07\.", &|line| contains(line, "10:15:07.")),
        (r"10:15:07\..*\]: INFO", &|line| {
            contains(line, "10:15:07.") && contains(line, ": INFO")
        }),
        ("x*", &|_| true),
        ("^$", &|_| false),
        ("no such words", &|_| false),
    ];
    for (expression, wanted) in expressions {
        let expected = lines().filter(|line| wanted(line)).collect::<Vec<_>>();
        let len = text.len() as u64;
        let device = Device::new().with(5, &text);
        let expression = expression.as_bytes();
        let found = device.result(program, [len, 0], expression);
        assert_eq!(
            found,
            expected.len() as u64,
            "{}",
            expression.escape_ascii()
        );
        let device = device.with(200_000, &vec![0; text.len()]);
        let by_range = device.with(400_000, &[expression, b"..."].concat());
        let written = by_range.result(program, [len, expression.len() as u64], b"") as usize;
        assert!(by_range.bytes(1)[..written] == expected.concat());
    }
    // Ways that a search by trial and error would take for ever to try.
    let device = Device::new().with(0, &[b'a'; 5000]);
    let stars = "a*".repeat(30) + "b";
    assert_eq!(device.result(program, [5000, 0], stars.as_bytes()), 0);
    assert_eq!(device.result(program, [5000, 0], &[b'a'; 63]), 1);
    assert_eq!(
        device.result(program, [5000, 0], &[b'a'; 64]),
        0,
        "too long"
    );
    assert_eq!(Device::new().result(program, [5000, 0], b"a"), 0);
    let device = Device::new().with(0, b"one\n\ntwo").with(100, &[0; 4]);
    assert_eq!(
        device.result(program, [8, 0], b"."),
        4,
        "the second does not fit"
    );
    assert_eq!(
        Device::new()
            .with(0, b"one\n\ntwo")
            .result(program, [8, 0], b"^$"),
        1
    );
}

/// Where cities are, in hundredths of a degree north and east.
const CITIES: [(&str, [i16; 2]); 12] = [
    ("Amsterdam", [5237, 489]),
    ("Athens", [3798, 2373]),
    ("Berlin", [5252, 1340]),
    ("Bratislava", [4815, 1711]),
    ("Budapest", [4750, 1904]),
    ("Buenos Aires", [-3461, -5838]),
    ("Canberra", [-3531, 14913]),
    ("Lisbon", [3872, -914]),
    ("Prague", [5009, 1442]),
    ("Tokyo", [3569, 13969]),
    ("Vienna", [4821, 1637]),
    ("Zagreb", [4581, 1598]),
];

fn knn(program: &dyn Program) {
    let le = |numbers: &[i16]| {
        numbers
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let nearest = |vectors: &[i16], query: &[i16], wanted: usize| {
        let dimension = query.len();
        let device = Device::new()
            .with(1, &le(vectors))
            .with(100_001, &le(query))
            .with(200_003, &vec![0; wanted * 16]);
        let parameters = [dimension as u64, (vectors.len() / dimension) as u64];
        let found = device.result(program, parameters, b"") as usize;
        let words = device.words(2);
        let entries = words.chunks(2).take(found);
        entries
            .map(|entry| (entry[0], entry[1]))
            .collect::<Vec<_>>()
    };
    let places: Vec<i16> = CITIES.iter().flat_map(|(_, place)| *place).collect();
    let near_vienna = nearest(&places, &[4821, 1637], 4);
    let names: Vec<_> = near_vienna
        .iter()
        .map(|(i, _)| CITIES[*i as usize].0)
        .collect();
    assert_eq!(names, ["Vienna", "Bratislava", "Zagreb", "Prague"]);
    assert_eq!(near_vienna[0].1, 0);

    let mut numbers = Numbers(3);
    for dimension in [1, 3, 16, 50] {
        let mut vector = |count| -> Vec<i16> {
            (0..count)
                .map(|_| (numbers.below(1 << 16) >> 6) as i16)
                .collect()
        };
        let (vectors, query) = (vector(dimension * 300), vector(dimension));
        let distance = |vector: &[i16]| -> u64 {
            let differences = vector.iter().zip(&query).map(|(a, b)| i64::from(a - b));
            differences.map(|d| (d * d) as u64).sum()
        };
        let all = vectors.chunks(dimension).enumerate();
        let mut expected: Vec<_> = all.map(|(i, v)| (i as u64, distance(v))).collect();
        expected.sort_by_key(|(number, distance)| (*distance, *number));
        for wanted in [0, 1, 10, 301] {
            assert_eq!(
                nearest(&vectors, &query, wanted),
                expected[..wanted.min(300)]
            );
        }
    }
    let extremes = nearest(&[i16::MIN, i16::MAX], &[i16::MAX], 2);
    assert_eq!(extremes, [(1, 0), (0, 65_535 * 65_535)]);
}

/// A table of sales.
const SALES: &str = "\
day,shop,article,pieces,amount
2026-11-16,Graz,tea,3,12.60
2026-11-16,Linz,coffee,1,7.9
2026-11-17,Graz,coffee,2,15.80
2026-11-17,Wien,tea,10,42
2026-11-18,Linz,returned,-1,-7.90
2026-11-18,Wien,unknown,,n/a
2026-11-19,Wien,sugar,1,0.999
2026-11-20,Graz,tea";

fn sql_where(program: &dyn Program) {
    let wanted = |table: &str, column: u64, low: i64, high: i64, room: usize| {
        let device = Device::new()
            .with(3, table.as_bytes())
            .with(50_000, &vec![0; room]);
        let query = column | (low as u64 & 0xfff_ffff) << 8 | (high as u64) << 36;
        let written = device.result(program, [table.len() as u64, query], b"");
        String::from_utf8(device.bytes(1)[..written as usize].to_vec()).expect("text")
    };
    let expected = |column: usize, low: f64, high: f64| {
        let rows = SALES.split_inclusive('\n').enumerate();
        let kept = rows.filter(|(i, row)| {
            let field = row.trim_end().split(',').nth(column);
            let number = field.and_then(|field| field.parse::<f64>().ok());
            *i == 0 || number.is_some_and(|number| (low..=high).contains(&number))
        });
        kept.map(|(_, row)| row).collect::<String>()
    };
    for (low, high) in [(2, 10), (-1, -1), (0, 0), (3, 2), (-5, 100)] {
        assert_eq!(
            wanted(SALES, 3, low, high, 999),
            expected(3, low as f64, high as f64)
        );
    }
    assert_eq!(
        wanted(SALES, 4, 1, 12, 999),
        expected(4, 1.0, 12.0),
        "amounts have a point"
    );
    assert_eq!(
        wanted(SALES, 9, -99, 99, 999),
        expected(9, 0.0, 0.0),
        "no such column"
    );
    let rows = expected(3, 2.0, 10.0);
    let cut = wanted(SALES, 3, 2, 10, rows.len() - 1);
    assert_eq!(cut, rows[..cut.len()]);
    assert!(cut.ends_with(",15.80\n"), "{cut}");
    assert_eq!(wanted("", 0, 0, 9, 10), "");
}

fn sql_group_by(program: &dyn Program) {
    let grouped = |table: &str, key: u64, value: u64, room: usize| {
        let device = Device::new()
            .with(3, table.as_bytes())
            .with(500_000, &vec![0; room]);
        let written = device.result(program, [table.len() as u64, key | value << 8], b"");
        String::from_utf8(device.bytes(1)[..written as usize].to_vec()).expect("text")
    };
    let by_shop = "Graz,2,28.40\nLinz,2,0.00\nWien,2,42.99\n";
    assert_eq!(grouped(SALES, 1, 4, 999), by_shop);
    assert_eq!(
        grouped(SALES, 1, 4, by_shop.len() - 1),
        "",
        "it does not fit"
    );
    assert_eq!(
        grouped(SALES, 2, 3, 999),
        "tea,2,13.00\ncoffee,2,3.00\nreturned,1,-1.00\nsugar,1,1.00\n"
    );
    assert_eq!(grouped("a,b\n,-0.5\n,0.2", 0, 1, 99), ",2,-0.30\n");

    let mut numbers = Numbers(9);
    let mut table = "id,key,value\n".to_owned();
    let mut groups = BTreeMap::new();
    for id in 0..3000 {
        let (key, value) = (
            numbers.below(256),
            numbers.below(2_000_000) as i64 - 1_000_000,
        );
        table += &format!("{id},customer-{key},{value}\n");
        let group = groups.entry(format!("customer-{key}")).or_insert((0, 0));
        *group = (group.0 + 1, group.1 + value);
    }
    assert_eq!(groups.len(), 256);
    let text = grouped(&table, 1, 2, 20_000);
    for line in text.lines() {
        let key = line.split(',').next().expect("a key");
        let (rows, sum) = groups.remove(key).expect("each key once");
        assert_eq!(line, format!("{key},{rows},{sum}.00"));
    }
    assert!(groups.is_empty());
    assert_eq!(
        grouped(&(table + "0,one more,0"), 1, 2, 20_000),
        "",
        "257 groups"
    );
}
