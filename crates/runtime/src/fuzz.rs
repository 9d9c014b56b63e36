//! Entry points for fuzzers and for the tests that replay their seeds.

use crate::{Args, Ebpf, Engine, Fuel, Limits, Runtime, Segment, Window};
use ersatz_memory::Mapping;
use std::sync::Arc;

pub use crate::ebpf::differential::program as engines;

/// Takes `data` for a program image; if it can be loaded, runs it over two small ranges.
///
/// # Panics
/// When the run breaks a promise of [`Program::run`](crate::Program::run): that it keeps to its
/// budget, touches nothing but its ranges, and does the same again.
pub fn program(data: &[u8]) {
    const BUDGET: Fuel = Fuel(10_000);
    const INSIDE: std::ops::Range<usize> = 100..8100;
    let limits = Limits {
        instructions: 4096,
        data: 64 << 10,
        frames: 8,
        frame: 512,
    };
    let ebpf = Ebpf::new(limits).with_engine(Engine::Interpreter);
    let Ok(program) = ebpf.load(data, "") else {
        return;
    };
    let run = || {
        let memory = Mapping::anonymous("fuzz", 8192).expect("8 KiB");
        let memory = Arc::new(memory);
        memory.fill(0, 8192, 0x5A).expect("inside");
        let segment = |offset: u64, len: u64| Segment {
            memory: Arc::clone(&memory),
            offset,
            len,
        };
        let window = Window::new(vec![segment(100, 4000), segment(4100, 4000)]);
        let args = Args {
            parameters: [1, 64],
            data: b"fuzz",
            ..Args::default()
        };
        let report = program.run(&window, &args, BUDGET);
        let mut bytes = vec![0; 8192];
        memory.read(0, &mut bytes).expect("inside");
        (report, bytes)
    };
    let (report, bytes) = run();
    assert!(report.instructions <= BUDGET.0);
    let outside = bytes[..INSIDE.start].iter().chain(&bytes[INSIDE.end..]);
    assert!(outside.into_iter().all(|&byte| byte == 0x5A));
    assert_eq!((report, bytes), run());
}

#[cfg(test)]
mod tests {
    use super::program;

    #[test]
    fn real_objects_and_damaged_ones_keep_the_promises() {
        let objects: [&[u8]; 4] = [
            include_bytes!("../tests/programs/atomics.o"),
            include_bytes!("../tests/programs/calls.o"),
            include_bytes!("../tests/programs/data.o"),
            include_bytes!("../../../examples/programs/sum.o"),
        ];
        for object in objects {
            program(object);
            // Changes within the code, which comes right behind the file header.
            for at in 64..object.len().min(512) {
                let mut changed = object.to_vec();
                changed[at] ^= 0x10;
                program(&changed);
            }
        }
    }
}
