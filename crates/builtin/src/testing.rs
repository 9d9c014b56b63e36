//! Device memory for tests.

use crate::Builtin;
use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Fault, Fuel, Program, Report, Segment, Window};
use std::sync::Arc;

/// Ranges that hold bytes, one after the other, not aligned.
pub(crate) struct Device {
    memory: Arc<Mapping>,
    end: u64,
    segments: Vec<Segment>,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            memory: Arc::new(Mapping::anonymous("device", 16 << 20).expect("map")),
            end: 3,
            segments: Vec::new(),
        }
    }

    /// With one more range, that holds `bytes`.
    pub(crate) fn with(mut self, bytes: &[u8]) -> Self {
        self.memory.write(self.end, bytes).expect("inside");
        let (offset, len) = (self.end, bytes.len() as u64);
        // A byte between ranges, that nobody may touch.
        self.end += len + 1;
        self.range(offset, len)
    }

    /// With one more range, of bytes of the first one or what follows.
    pub(crate) fn again(self, from: u64, len: u64) -> Self {
        let start = self.segments[0].offset;
        self.range(start + from, len)
    }

    fn range(mut self, offset: u64, len: u64) -> Self {
        self.segments.push(Segment {
            memory: Arc::clone(&self.memory),
            offset,
            len,
        });
        self
    }

    pub(crate) fn window(&self) -> Window {
        Window::new(self.segments.clone())
    }

    /// Whether the bytes between the ranges are still zero.
    pub(crate) fn gaps_are_untouched(&self) -> bool {
        let ends = self.segments.iter().map(|range| range.offset + range.len);
        let mut gaps = std::iter::once(2).chain(ends);
        gaps.all(|gap| self.memory.load(gap) == Ok(0u8))
    }

    pub(crate) fn run(&self, program: &Builtin, parameters: [u64; 2], data: &[u8]) -> Report {
        let args = Args {
            parameters,
            data,
            ..Args::default()
        };
        program.run(&self.window(), &args, Fuel(0))
    }

    #[track_caller]
    pub(crate) fn result(&self, program: &Builtin, parameters: [u64; 2]) -> u64 {
        self.result_with(program, parameters, b"")
    }

    #[track_caller]
    pub(crate) fn result_with(&self, program: &Builtin, parameters: [u64; 2], data: &[u8]) -> u64 {
        match self.run(program, parameters, data).result {
            Ok(value) => value,
            Err(fault) => panic!("{fault}"),
        }
    }

    /// The bytes of a range.
    pub(crate) fn bytes(&self, range: usize) -> Vec<u8> {
        let segment = &self.segments[range];
        let mut bytes = vec![0; segment.len as usize];
        let read = segment.memory.read(segment.offset, &mut bytes);
        read.expect("inside");
        bytes
    }

    /// A range as numbers of eight bytes.
    pub(crate) fn words(&self, range: usize) -> Vec<u64> {
        let bytes = self.bytes(range);
        let words = bytes.as_chunks().0.iter();
        words.map(|word| u64::from_le_bytes(*word)).collect()
    }
}

/// Why a run failed.
#[track_caller]
pub(crate) fn reason(report: &Report) -> String {
    match &report.result {
        Err(Fault::Failed { reason }) => reason.clone(),
        other => panic!("{other:?}"),
    }
}

/// `len` bytes without a pattern.
pub(crate) fn pseudo_random(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(byte).collect()
}

/// `len` bytes of lines as a server's log has them.
pub(crate) fn log(len: usize) -> Vec<u8> {
    let mut text = String::new();
    for (line, byte) in pseudo_random(len / 32 + 1).into_iter().enumerate() {
        let level = ["INFO", "DEBUG", "WARN", "ERROR"][usize::from(byte) % 4];
        let what = ["upstream timed out", "GET / 200", "ERRORS: none"][usize::from(byte) % 3];
        let second = line % 60;
        text +=
            &format!("2026-11-22T10:15:{second:02}Z host-{byte} nginx[{line}]: {level} {what}\n");
    }
    text.truncate(len);
    text.into_bytes()
}
