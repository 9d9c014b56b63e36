use super::*;
use crate::Segment;
use crate::ebpf::asm::*;
use crate::ebpf::differential;
use crate::ebpf::isa::{class, jump};
use crate::ebpf::verify::verify;
use ersatz_memory::Mapping;

const STACK: Stack = Stack {
    frames: 4,
    frame: 64,
};

/// Counts down from `from`, and returns `result`: `2 * from + 3` instructions.
fn countdown(from: i32, result: i32) -> Module {
    let code = [
        mov_imm(2, from),
        alu_imm(class::ALU64, crate::ebpf::isa::alu::ADD, 2, 0, -1),
        raw(class::JMP | jump::JNE, 2, 0, -2, 0),
        mov_imm(0, result),
        exit(),
    ];
    verify(linked(&code, &[0])).expect("the verifier takes it")
}

fn room(bytes: usize) -> &'static Room {
    Box::leak(Box::new(Room::new(bytes)))
}

fn window(bytes: u64) -> Window {
    let memory = Mapping::anonymous("loaded", bytes).expect("memory");
    Window::new(vec![Segment {
        memory: Arc::new(memory),
        offset: 0,
        len: bytes,
    }])
}

fn run(program: &Loaded, window: &Window) -> Report {
    program.run(window, &Args::default(), Fuel(u64::MAX))
}

fn expected(from: u64, result: u64) -> Report {
    Report {
        instructions: 2 * from + 3,
        ..Report::of(Ok(result))
    }
}

#[test]
fn a_program_is_compiled_at_once_before_a_run_over_much_memory() {
    let program = Loaded::new(countdown(10, 7), STACK, Engine::Jit);
    assert_eq!(run(&program, &window(4096)), expected(10, 7));
    assert!(!program.is_compiled(), "that little is interpreted");
    assert_eq!(run(&program, &window(WORTHWHILE)), expected(10, 7));
    assert!(program.is_compiled());
    assert_eq!(run(&program, &window(4096)), expected(10, 7));
}

#[test]
fn a_program_that_ran_much_is_compiled_meanwhile_and_does_the_same() {
    let program = Loaded::new(countdown(1000, 7), STACK, Engine::Jit);
    let window = window(4096);
    let compiled = (0..10_000_000).any(|_| {
        assert_eq!(run(&program, &window), expected(1000, 7));
        std::thread::yield_now();
        program.is_compiled()
    });
    assert!(compiled);
    assert_eq!(run(&program, &window), expected(1000, 7));
}

#[test]
fn the_interpreter_compiles_nothing() {
    let program = Loaded::new(countdown(1 << 20, 7), STACK, Engine::Interpreter);
    for bytes in [4096, WORTHWHILE] {
        assert_eq!(run(&program, &window(bytes)), expected(1 << 20, 7));
    }
    assert!(!program.is_compiled());
}

#[test]
fn without_room_a_program_is_interpreted_until_another_goes() {
    let room = room(3 << 19);
    for engine in [Engine::Eager, Engine::Jit] {
        let first = Loaded::within(room, countdown(10, 1), STACK, Engine::Eager);
        let second = Loaded::within(room, countdown(1 << 20, 2), STACK, engine);
        let window = window(WORTHWHILE);
        for _ in 0..3 {
            assert_eq!(run(&second, &window), expected(1 << 20, 2));
            assert!(first.is_compiled() && !second.is_compiled());
        }
        drop(first);
        assert_eq!(run(&second, &window), expected(1 << 20, 2));
        assert!(second.is_compiled());
    }
}

#[test]
fn what_asked_for_a_place_in_vain_asks_again() {
    let room = room(0);
    let program = Loaded::within(room, countdown(10, 1), STACK, Engine::Jit);
    let code = &program.code;
    assert!(!code.is_worthwhile(WORTHWHILE - 1));
    assert!(code.is_worthwhile(1));
    assert!(!code.is_worthwhile(WORTHWHILE), "it asked already");
    code.postpone();
    assert!(!code.is_worthwhile(WORTHWHILE - 1), "from zero on");
    assert!(code.is_worthwhile(1));
}

#[test]
fn threads_load_run_and_drop_at_once() {
    // Room for some of them: the others are interpreted, as it happens.
    let room = room(4 << 20);
    let shared = Loaded::within(room, countdown(100, 9), STACK, Engine::Jit);
    let (small, large) = (window(64), window(WORTHWHILE));
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (shared, small, large) = (&shared, &small, &large);
            scope.spawn(move || {
                let mut alive = Vec::new();
                for cycle in 0..60 {
                    let engine = if cycle % 2 == 0 {
                        Engine::Eager
                    } else {
                        Engine::Jit
                    };
                    let result = thread * 1000 + cycle;
                    let program = Loaded::within(room, countdown(50, result), STACK, engine);
                    for window in [small, large] {
                        assert_eq!(run(&program, window), expected(50, result as u64));
                        assert_eq!(run(shared, window), expected(100, 9));
                    }
                    alive.push((program, result as u64));
                    if alive.len() > 2 {
                        let (program, result) = alive.swap_remove(cycle as usize % 3);
                        assert_eq!(run(&program, small), expected(50, result));
                    }
                }
            });
        }
    });
    drop(shared);
    assert!(room.reserve(4 << 20).is_some(), "all of it came back");
}

/// The code generator panics where a call can't reach its function, which was so when each
/// function had memory of its own, wherever the system had a gap for it.
#[test]
fn functions_reach_one_another_however_the_address_space_is_divided() {
    let map = |bytes| Mapping::anonymous("gap", bytes).expect("address space");
    // All gaps that there may be are filled, the large ones first; some small ones are opened again,
    // and beside them there is only what lies far below.
    let sizes = [
        (64 << 20, 16),
        (4 << 20, 32),
        (256 << 10, 32),
        (16 << 10, 64),
    ];
    let filled = sizes.map(|(bytes, count)| Vec::from_iter((0..count).map(|_| map(bytes))));
    let gaps: Vec<_> = (0..4).map(|_| [map(8192), map(4096)]).collect();
    let _below = map(4 << 30);
    let _walls: Vec<_> = gaps.into_iter().map(|[_gap, wall]| wall).collect();

    // A chain of functions, each of which calls the next, and the last one's result counts.
    const FUNCTIONS: usize = 60;
    const LONG: usize = 130;
    let mut code = Vec::new();
    let mut starts = Vec::new();
    for number in 0..FUNCTIONS {
        starts.push(code.len());
        code.push(mov_imm(0, 1));
        if number + 1 < FUNCTIONS {
            code.push(call(0));
        }
        for step in 0..LONG {
            code.push(alu_imm(class::ALU64, crate::ebpf::isa::alu::MUL, 0, 0, 3));
            code.push(alu_imm(
                class::ALU64,
                crate::ebpf::isa::alu::XOR,
                0,
                0,
                step as i32,
            ));
        }
        code.push(exit());
    }
    for (number, start) in starts.iter().enumerate().take(FUNCTIONS - 1) {
        let at = start + 1;
        code[at] = call((starts[number + 1] - at - 1) as i32);
    }
    let module = verify(linked(&code, &starts)).expect("the verifier takes it");
    let stack = Stack {
        frames: 64,
        frame: 64,
    };
    let report = differential::run(
        &module,
        stack,
        &Window::default(),
        &Args::default(),
        1 << 20,
    );
    assert_eq!(report.instructions as usize, code.len());
    report.result.expect("no fault");
    drop(filled);
}
