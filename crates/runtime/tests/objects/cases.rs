//! What each program has to do.

use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Fault, Fuel, Program, Report, Segment, Window, abi};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

/// A program and its test.
pub struct Case {
    /// Its path in the repository.
    pub source: &'static str,
    /// Versions of the instruction set that it can be compiled for.
    pub cpus: RangeInclusive<u32>,
    /// Panics if the program does not do what it should.
    pub check: fn(&dyn Program),
}

impl Case {
    pub fn source(&self) -> PathBuf {
        crate::workspace().join(self.source)
    }
}

/// A case, by path, versions and check.
macro_rules! case {
    ($source:literal, $cpus:expr, $check:ident) => {
        $crate::cases::Case {
            source: $source,
            cpus: $cpus,
            check: $check,
        }
    };
}
pub(crate) use case;

pub const CASES: &[Case] = &[
    case!("examples/programs/count_lines.c", 1..=4, count_lines),
    case!("examples/programs/filter_lines.c", 1..=4, filter_lines),
    case!("examples/programs/histogram.c", 1..=4, histogram),
    case!("examples/programs/sum.c", 1..=4, sum),
    case!("examples/programs/vadd.c", 1..=4, vadd),
    case!("crates/runtime/tests/programs/abi.c", 1..=4, header),
    // The older versions have no atomic operations on 32 bits that return a value.
    case!("crates/runtime/tests/programs/atomics.c", 3..=4, atomics),
    case!("crates/runtime/tests/programs/calls.c", 1..=4, calls),
    case!("crates/runtime/tests/programs/data.c", 1..=4, data),
    case!("crates/runtime/tests/programs/endless.c", 1..=4, endless),
    case!("crates/runtime/tests/programs/signed.c", 1..=4, signs),
    case!("crates/runtime/tests/programs/wild.c", 1..=4, wild),
];

const PLENTY: Fuel = Fuel(50_000_000);

/// Device memory with ranges in it.
pub struct Device {
    memory: Arc<Mapping>,
    segments: Vec<Segment>,
}

impl Device {
    pub fn new() -> Self {
        Self {
            memory: Arc::new(Mapping::anonymous("device", 1 << 20).expect("map")),
            segments: Vec::new(),
        }
    }

    /// A range at `offset` that holds `bytes`.
    pub fn with(mut self, offset: u64, bytes: &[u8]) -> Self {
        self.memory.write(offset, bytes).expect("inside");
        self.segments.push(Segment {
            memory: Arc::clone(&self.memory),
            offset,
            len: bytes.len() as u64,
        });
        self
    }

    pub fn run(&self, program: &dyn Program, parameters: [u64; 2], data: &[u8]) -> Report {
        let window = Window::new(self.segments.clone());
        let args = Args {
            parameters,
            data,
            ..Args::default()
        };
        program.run(&window, &args, PLENTY)
    }

    pub fn result(&self, program: &dyn Program, parameters: [u64; 2], data: &[u8]) -> u64 {
        self.run(program, parameters, data)
            .result
            .expect("no fault")
    }

    /// The bytes of a range.
    pub fn bytes(&self, range: usize) -> Vec<u8> {
        let segment = &self.segments[range];
        let mut bytes = vec![0; segment.len as usize];
        segment
            .memory
            .read(segment.offset, &mut bytes)
            .expect("inside");
        bytes
    }

    pub fn words(&self, range: usize) -> Vec<u64> {
        let bytes = self.bytes(range);
        let words = bytes.as_chunks::<8>().0.iter();
        words.map(|word| u64::from_le_bytes(*word)).collect()
    }
}

/// A small generator of numbers, the same in each run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

/// Lines as a server's log has them.
pub fn log(lines: u64) -> Vec<u8> {
    let mut numbers = Numbers(2026);
    let mut text = String::new();
    for line in 0..lines {
        let level = ["INFO", "DEBUG", "WARN", "ERROR"][numbers.below(4) as usize];
        let what = [
            "upstream timed out",
            "GET / 200",
            "ERRORS: none",
            "größe EERROR",
        ];
        text += &format!(
            "2026-11-22T10:15:{:02}.{:06}Z host-{} nginx[{}]: {level} {}\n",
            line % 60,
            numbers.below(1_000_000),
            numbers.below(20),
            numbers.below(9999),
            what[numbers.below(4) as usize],
        );
    }
    text.into_bytes()
}

/// Short texts in which a token of few letters is often there, or nearly.
fn scribbles() -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut numbers = Numbers(7);
    (0..400).map(move |_| {
        let mut letters = |most: u64, from: &[u8]| -> Vec<u8> {
            let len = numbers.below(most);
            let any = |_| from[numbers.below(from.len() as u64) as usize];
            (0..len).map(any).collect()
        };
        let text = letters(120, b"aab\n\xff\x00");
        let mut token = letters(4, b"ab\xff\x00");
        token.push(b'a');
        (text, token)
    })
}

/// The lines of `text` with `token` in them, each with its end.
fn matching<'a>(text: &'a [u8], token: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
        .filter(move |line| line.windows(token.len()).any(|part| part == token))
}

fn texts() -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let text = log(500);
    let tokens = [
        "ERROR",
        "nginx",
        "z",
        "host-1 ",
        "10:15:5",
        "no such words",
        "größe",
    ];
    let logs = tokens.map(|token| (text.clone(), token.as_bytes().to_vec()));
    logs.into_iter().chain(scribbles())
}

fn count_lines(program: &dyn Program) {
    for (i, (text, token)) in texts().enumerate() {
        let device = Device::new().with(i as u64 % 16, &text);
        let len = text.len() as u64;
        let expected = matching(&text, &token).count() as u64;
        assert_eq!(device.result(program, [len, 0], &token), expected);
        assert_eq!(device.result(program, [u64::MAX, 0], &token), expected);
        let device = device.with(700_001, &token);
        let by_range = [len, token.len() as u64];
        assert_eq!(
            device.result(program, by_range, b""),
            expected,
            "token in a range"
        );
        let cut = text.len() / 2;
        let expected = matching(&text[..cut], &token).count() as u64;
        assert_eq!(device.result(program, [cut as u64, 0], &token), expected);
    }
    let device = Device::new().with(0, b"text");
    assert_eq!(device.result(program, [4, 0], b""), 0);
    assert_eq!(Device::new().result(program, [4, 0], b"text"), 0);
}

fn filter_lines(program: &dyn Program) {
    for (i, (text, token)) in texts().enumerate() {
        let expected = matching(&text, &token).collect::<Vec<_>>().concat();
        let room = vec![b'.'; expected.len() + 3];
        let device = Device::new()
            .with(i as u64 % 16, &text)
            .with(500_001, &room);
        let written = device.result(program, [text.len() as u64, 0], &token) as usize;
        assert_eq!(written, expected.len());
        let out = device.bytes(1);
        assert_eq!(out[..written], expected);
        assert_eq!(
            out[written..],
            *b"...",
            "nothing is written behind the lines"
        );

        // Where the output is full, only whole lines are there.
        let Some(last) = matching(&text, &token).last() else {
            continue;
        };
        let short = vec![b'.'; expected.len() - 1];
        let device = Device::new()
            .with(i as u64 % 16, &text)
            .with(500_001, &short);
        let written = device.result(program, [text.len() as u64, 0], &token) as usize;
        assert_eq!(written, expected.len() - last.len());
        assert_eq!(device.bytes(1)[..written], expected[..written]);
    }
}

fn histogram(program: &dyn Program) {
    for len in [0, 1, 7, 8, 9, 5000] {
        let text = &log(100)[..len];
        let device = Device::new().with(3, text).with(100_001, &[0xee; 2048]);
        let counted = device.result(program, [len as u64, 0], b"");
        assert_eq!(counted, len as u64);
        let mut expected = [0u64; 256];
        text.iter()
            .for_each(|&byte| expected[usize::from(byte)] += 1);
        assert_eq!(device.words(1), expected);
    }
    let device = Device::new().with(0, b"text").with(4096, &[0xee; 2047]);
    assert_eq!(device.result(program, [4, 0], b""), 0);
    assert_eq!(device.bytes(1), [0xee; 2047]);
}

fn sum(program: &dyn Program) {
    let text = log(50);
    for count in 0..30 {
        let device = Device::new().with(5, &text);
        let narrow = text.as_chunks::<4>().0.iter().take(count);
        let narrow: u64 = narrow
            .map(|word| u64::from(u32::from_le_bytes(*word)))
            .sum();
        assert_eq!(device.result(program, [count as u64, 4], b""), narrow);
        let wide = text.as_chunks::<8>().0.iter().take(count);
        let wide = wide.fold(0u64, |sum, word| {
            sum.wrapping_add(u64::from_le_bytes(*word))
        });
        assert_eq!(device.result(program, [count as u64, 8], b""), wide);
    }
    let device = Device::new().with(0, &[0xff; 19]);
    let most = device.result(program, [u64::MAX, 8], b"");
    assert_eq!(most, u64::MAX - 1, "no more than the range holds");
    assert_eq!(device.result(program, [2, 5], b""), 0);
}

fn vadd(program: &dyn Program) {
    let a: Vec<u32> = (0..100u32).map(|i| i.wrapping_mul(0x1234_5678)).collect();
    let b: Vec<u32> = (0..100).map(|i| u32::MAX - i).collect();
    let bytes = |v: &[u32]| v.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>();
    for (count, room) in [
        (0, 400),
        (1, 400),
        (99, 400),
        (100, 400),
        (1000, 400),
        (100, 30),
    ] {
        let device = Device::new()
            .with(0, &bytes(&a))
            .with(1001, &bytes(&b))
            .with(2004, &vec![0; room]);
        let added = device.result(program, [count, 0], b"") as usize;
        assert_eq!(added, (count as usize).min(100).min(room / 4));
        let sums: Vec<_> = a.iter().zip(&b).map(|(a, b)| a.wrapping_add(*b)).collect();
        let mut expected = bytes(&sums[..added]);
        expected.resize(room, 0);
        assert_eq!(device.bytes(2), expected);
    }
}

fn header(program: &dyn Program) {
    let device = Device::new().with(4096, &[0; 128]).with(8195, &[0; 77]);
    let result = device.result(program, [111, 222], b"Xdata");
    assert_eq!(result, u64::from(b'X'));
    let offsets = [
        abi::VERSION as usize,
        abi::ABI,
        abi::RANGE_COUNT,
        abi::PARAMS,
        abi::DATA,
        abi::DATA_LEN,
        abi::RANGES,
        abi::RANGE_BYTES,
    ];
    let given = [abi::VERSION.into(), 2, 111, 222, 5, 128, 8195 - 8192, 77];
    let expected: Vec<u64> = offsets.iter().map(|&o| o as u64).chain(given).collect();
    assert_eq!(device.words(0), expected);
}

fn atomics(program: &dyn Program) {
    const TURNS: u64 = 2000;
    let device = Device::new().with(4096, &[0; 16]);
    let other = program.place(0);
    assert!(other.is_some_and(|place| place.contains("`atomics`")));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let window = Window::new(device.segments.clone());
                let args = Args {
                    parameters: [TURNS, 0],
                    data: &[],
                    ..Args::default()
                };
                let report = program.run(&window, &args, Fuel(u64::MAX));
                assert_eq!(report.result, Ok(TURNS));
            });
        }
    });
    let counters = device.words(0);
    assert_eq!(counters[0], 3 * 3 * TURNS);
    assert_eq!(counters[1], 3 * TURNS, "and the lock is free");
    for misaligned in 1..8 {
        let report = device.run(program, [1, misaligned], b"");
        assert!(matches!(report.result, Err(Fault::Instruction { .. })));
    }
}

fn calls(program: &dyn Program) {
    for (n, k) in [(0, 0), (3, 2), (62, 1)] {
        let expected = n * (n + 1) / 2 + 12345 * k + k;
        assert_eq!(Device::new().result(program, [n, k], b""), expected);
    }
    // 64 functions: the first one, and 63 of the others.
    let report = Device::new().run(program, [63, 1], b"");
    let Err(fault @ Fault::Stack { limit: 64, .. }) = report.result else {
        panic!("{report:?}");
    };
    let place = program
        .place(fault.pc().expect("a place"))
        .expect("it has a name");
    assert!(place.contains("`up_to`, section `.text`"), "{place}");
}

fn data(program: &dyn Program) {
    for _ in 0..2 {
        for (i, word) in ["null", "eins", "zwei", "drei"].iter().enumerate() {
            let letters = word.bytes().fold(0, |all, byte| all << 8 | u64::from(byte));
            let expected = letters * 10000 + 1 + 1001 + 6;
            let result = Device::new().result(program, [i as u64, 0], b"");
            assert_eq!(result, expected);
        }
    }
}

fn endless(program: &dyn Program) {
    for budget in [0, 1, 2, 3, 4, 5, 1000, 1001] {
        let report = program.run(&Window::default(), &Args::default(), Fuel(budget));
        assert!(matches!(report.result, Err(Fault::Budget { .. })));
        assert_eq!(report.instructions, budget);
    }
}

fn signs(program: &dyn Program) {
    let numbers = [
        1,
        -1,
        7,
        -7,
        0x80,
        0x8000,
        0x8765_4321,
        -0x1234_5678_9abc,
        i64::MAX,
    ];
    for a in numbers {
        for b in numbers {
            let device = Device::new().with(64, &[0; 14 * 8]);
            let less = device.result(program, [a as u64, b as u64], b"");
            assert_eq!(less, u64::from(a < b));
            let out = device.words(0);
            // An object for an older version has no division.
            if out[..4] != [0; 4] {
                let narrow = |a: i32| a as u64;
                assert_eq!(out[0], a.wrapping_div(b) as u64);
                assert_eq!(out[1], a.wrapping_rem(b) as u64);
                assert_eq!(out[2], narrow((a as i32).wrapping_div(b as i32)));
                assert_eq!(out[3], narrow((a as i32).wrapping_rem(b as i32)));
            }
            let expected = [
                a as i8 as u64,
                a as i16 as u64,
                a as i32 as u64,
                a.swap_bytes() as u64,
                u64::from((a as u32).swap_bytes()),
                u64::from((a as u16).swap_bytes()),
                (a >> (b & 63)) as u64,
                a as i8 as u64,
                a as i16 as u64,
                a as i32 as u64,
            ];
            assert_eq!(out[4..], expected, "{a} {b}");
        }
    }
}

fn wild(program: &dyn Program) {
    const READ: u64 = 0;
    const READ8: u64 = 2;
    const WRITE: u64 = 4;
    const WRITE8: u64 = 6;
    const IN_RANGE: u64 = 1;
    let device = || Device::new().with(100, &[7; 50]).with(150, &[8; 50]);
    let access = |at: i64, how: u64| {
        let device = device();
        let before = program.run(
            &Window::new(device.segments.clone()),
            &Args {
                parameters: [at as u64, how],
                data: b"data",
                ..Args::default()
            },
            PLENTY,
        );
        (before.result, device.bytes(0), device.bytes(1))
    };

    assert_eq!(access(49, READ | IN_RANGE).0, Ok(7));
    assert_eq!(access(42, READ8 | IN_RANGE).0, Ok(0x0707_0707_0707_0707));
    assert_eq!(access(42, WRITE8 | IN_RANGE).1[42..], [0xee; 8]);
    assert_eq!(access(49, WRITE | IN_RANGE).1[49], 0xee);
    // The second range lies behind the first one in memory; no address leads over the border.
    let outside = [
        (-1, READ),
        (50, READ),
        (43, READ8),
        (-8, READ8),
        (-1, WRITE),
        (50, WRITE),
        (43, WRITE8),
        (-7, WRITE8),
        (i64::MAX, READ),
        (i64::MIN, WRITE8),
    ];
    for (at, how) in outside {
        let (result, first, second) = access(at, how | IN_RANGE);
        assert!(matches!(result, Err(Fault::Access { .. })), "{at} {how}");
        assert_eq!(first, [7; 50]);
        assert_eq!(second, [8; 50]);
    }
    for at in [0, 1, -1, -8, 4096, 65536, i64::MAX] {
        for how in [READ, READ8, WRITE, WRITE8] {
            let Err(Fault::Access { address, len, .. }) = access(at, how).0 else {
                panic!("{at} {how}");
            };
            assert_eq!(address, at as u64);
            assert_eq!(len, if how & 2 == 0 { 1 } else { 8 });
        }
    }
    // The arguments can be read, but not written.
    let arguments = 4 << 32;
    assert_eq!(access(arguments, READ).0, Ok(1));
    assert!(access(arguments, WRITE).0.is_err());
}
