//! The entry point for fuzzers and for the tests that replay their seeds.

use crate::all;
use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Fuel, Program, Report, Segment, Window};
use std::sync::Arc;

/// Bytes of the range for results.
const ROOM: u64 = 64 << 10;

/// Runs a job that `data` describes: the number of the program, CPARAM2, and how many bytes of
/// options follow; the rest is what range 0 holds.
///
/// # Panics
/// When the run breaks a promise of [`Program::run`]: that it touches nothing but its ranges, and
/// does the same again.
pub fn job(data: &[u8]) {
    let [number, parameter, options, rest @ ..] = data else {
        return;
    };
    let program = &all()[usize::from(*number) % all().len()];
    let (options, input) = rest.split_at(rest.len().min(usize::from(*options)));
    let run = || {
        let input_len = input.len() as u64;
        let room_at = input_len + 2;
        let end = room_at + ROOM;
        let memory = Arc::new(Mapping::anonymous("fuzz", end + 1).expect("memory"));
        memory.write(1, input).expect("inside");
        let segment = |offset, len| Segment {
            memory: Arc::clone(&memory),
            offset,
            len,
        };
        let mut ranges = vec![segment(1, input_len), segment(room_at, ROOM)];
        ranges.truncate(program.ranges.len());
        let args = Args {
            parameters: [input_len, u64::from(*parameter)],
            data: options,
            ..Args::default()
        };
        let report = program.run(&Window::new(ranges), &args, Fuel(0));
        for gap in [0, room_at - 1, end] {
            assert_eq!(memory.load(gap), Ok(0u8), "outside of the ranges");
        }
        let mut bytes = vec![0; memory.len() as usize];
        memory.read(0, &mut bytes).expect("inside");
        (report, bytes)
    };
    let first: (Report, Vec<u8>) = run();
    assert!(first == run(), "{} is not deterministic", program.name);
}
