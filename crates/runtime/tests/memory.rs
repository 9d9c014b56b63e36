//! Machine code goes with its program. A process of its own, so that what it has is what this
//! test took.

use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Ebpf, Engine, Fuel, Runtime, Segment, Window};
use std::sync::Arc;

/// Programs of different sizes.
const IMAGES: [&[u8]; 5] = [
    include_bytes!("programs/two.o"),
    include_bytes!("../../../examples/programs/sum.o"),
    include_bytes!("programs/abi.o"),
    include_bytes!("../../../examples/programs/vadd.o"),
    include_bytes!("programs/calls.o"),
];

/// Bytes that this process has in memory, and mappings of its address space.
fn size() -> (i64, i64) {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).expect("resident pages");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let pages: i64 = pages.parse().expect("a number");
    (pages * 4096, maps.lines().count() as i64)
}

/// Loads, after those that every process needs once.
const CYCLES: usize = 4000;

#[test]
fn programs_that_come_and_go_keep_memory_flat() {
    let ebpf = Ebpf::default().with_engine(Engine::Eager);
    let memory = Arc::new(Mapping::anonymous("memory", 4096).expect("memory"));
    let window = Window::new(vec![Segment {
        memory,
        offset: 0,
        len: 4096,
    }]);
    let args = Args {
        parameters: [8, 4],
        ..Args::default()
    };
    let load = |number: usize| {
        let image = IMAGES[number % IMAGES.len()];
        let entry = if number.is_multiple_of(IMAGES.len()) {
            "first"
        } else {
            ""
        };
        ebpf.load(image, entry).expect("a program")
    };
    // Some stay for long, so that what is freed lies between what is not.
    let mut alive = Vec::new();
    let mut cycles = |from: usize, to: usize| {
        for number in from..to {
            let stays = number.is_multiple_of(7);
            let program = load(if stays { number } else { 0 });
            let report = program.run(&window, &args, Fuel(10_000));
            assert!(report.instructions > 0);
            if stays {
                alive.push(program);
            }
            if alive.len() > 40 {
                alive.swap_remove(number % 37);
            }
        }
    };
    cycles(0, 1000);
    let before = size();
    cycles(1000, 1000 + CYCLES);
    let after = size();
    // A page for each cycle would be many times that.
    assert!(after.0 - before.0 < 2 << 20, "{before:?}, then {after:?}");
    assert!(after.1 - before.1 < 40, "{before:?}, then {after:?}");
}
