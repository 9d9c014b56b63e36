//! Modules, good and bad, in the text format.

mod helpers;

use crate::{Limits, Wasm};
use ersatz_memory::{Access, Mapping};
use ersatz_runtime::{Args, Fault, Fuel, Program, Report, Runtime, Segment, Window};
use std::sync::Arc;

const PLENTY: Fuel = Fuel(1 << 30);

fn wasm() -> Wasm {
    Wasm::new(Limits::default()).expect("a machine to compile for")
}

fn load(text: &str) -> Box<dyn Program> {
    let image = wat::parse_str(text).expect("text");
    wasm().load(&image, "").expect("a program")
}

/// A program of a function body that finds its arguments at local 0.
fn body(code: &str) -> Box<dyn Program> {
    load(&format!(
        r#"(module
            (import "ersatz" "print" (func $print (param i32 i32)))
            (import "ersatz" "time" (func $time (result i64)))
            (import "ersatz" "read_blocks"
                (func $read_blocks (param i32 i64 i64 i32 i32) (result i64)))
            (memory (export "memory") 1)
            (data (i32.const 8) "text")
            (func (export "ersatz") (param $args i32) (result i64) (local $i i32) {code}))"#
    ))
}

fn run(program: &dyn Program, budget: Fuel) -> Report {
    program.run(&Window::default(), &Args::default(), budget)
}

fn result(code: &str) -> Result<u64, Fault> {
    run(&*body(code), PLENTY).result
}

fn device(len: u64) -> Arc<Mapping> {
    Arc::new(Mapping::anonymous("device", len).expect("memory"))
}

fn segment(memory: &Arc<Mapping>, offset: u64, len: u64) -> Segment {
    Segment {
        memory: Arc::clone(memory),
        offset,
        len,
    }
}

/// Sets all bytes of range 0 to 7, with memory.fill, and returns how many there were.
const FILL: &str = "
    (memory.fill (i32.load offset=40 (local.get $args)) (i32.const 7)
        (i32.load offset=48 (local.get $args)))
    (i64.load offset=48 (local.get $args))";

/// The sum of the bytes of range 0.
const SUM: &str = "
    (local $sum i64)
    (block $done (loop $next
        (br_if $done (i64.ge_u (i64.extend_i32_u (local.get $i))
                               (i64.load offset=48 (local.get $args))))
        (local.set $sum (i64.add (local.get $sum) (i64.load8_u
            (i32.add (i32.load offset=40 (local.get $args)) (local.get $i)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $sum)";

#[test]
fn a_program_gets_parameters_data_and_ranges() {
    let memory = device(1 << 16);
    memory.write(100, &[3]).expect("inside");
    memory.write(5000, &[4]).expect("inside");
    let window = Window::new(vec![segment(&memory, 100, 1), segment(&memory, 5000, 1)]);
    let args = Args {
        parameters: [1000, 10_000],
        data: &[0, 0, 50],
        ..Args::default()
    };
    let program = body(
        "(i64.extend_i32_u (i32.load (local.get $args)))
         (i64.add (i64.mul (i64.const 0x10000000)
             (i64.extend_i32_u (i32.load offset=4 (local.get $args)))))
         (i64.add (i64.load offset=8 (local.get $args)))
         (i64.add (i64.load offset=16 (local.get $args)))
         (i64.add (i64.load8_u offset=2 (i32.load offset=24 (local.get $args))))
         (i64.add (i64.mul (i64.const 100) (i64.load offset=32 (local.get $args))))
         (i64.add (i64.load8_u (i32.load offset=40 (local.get $args))))
         (i64.add (i64.load8_u (i32.load offset=56 (local.get $args))))",
    );
    let report = program.run(&window, &args, PLENTY);
    let expected = 1 + 2 * 0x1000_0000 + 1000 + 10_000 + 50 + 300 + 3 + 4;
    assert_eq!(report.result, Ok(expected));
}

#[test]
fn what_a_program_writes_is_in_its_ranges_and_nowhere_else() {
    let program = body(FILL);
    for (offset, len) in [
        (0, 1 << 16),
        (1, 4095),
        (1, 4096),
        (4095, 2),
        (100, 8000),
        (4096, 4096),
        (4096, 12345),
        (8191, 8194),
        (200, 0),
        (65535, 1),
    ] {
        let memory = device(1 << 16);
        memory.fill(0, 1 << 16, 1).expect("inside");
        let window = Window::new(vec![segment(&memory, offset, len)]);
        let report = program.run(&window, &Args::default(), PLENTY);
        assert_eq!(report.result, Ok(len));
        let mut bytes = vec![0; 1 << 16];
        memory.read(0, &mut bytes).expect("inside");
        let inside = |at| (offset..offset + len).contains(&(at as u64));
        let expected = |at| if inside(at) { 7 } else { 1 };
        let all = (0..bytes.len()).all(|at| bytes[at] == expected(at));
        assert!(all, "{offset} {len}");
    }
}

#[test]
fn what_is_next_to_a_range_can_be_neither_seen_nor_changed() {
    let memory = device(1 << 16);
    memory.fill(0, 1 << 16, 9).expect("inside");
    let window = Window::new(vec![segment(&memory, 4096 + 100, 5000)]);
    // The bytes before and behind the range: what is there, and an attempt to change them.
    let code = "
        (local $start i32)
        (local.set $start (i32.load offset=40 (local.get $args)))
        (i64.load8_u (i32.sub (local.get $start) (i32.const 1)))
        (i64.add (i64.load8_u (i32.add (local.get $start) (i32.const 5000))))
        (i32.store8 (i32.sub (local.get $start) (i32.const 1)) (i32.const 7))
        (i32.store8 (i32.add (local.get $start) (i32.const 5000)) (i32.const 7))";
    let report = body(code).run(&window, &Args::default(), PLENTY);
    assert_eq!(report.result, Ok(0));
    let mut bytes = vec![0; 1 << 16];
    memory.read(0, &mut bytes).expect("inside");
    assert!(bytes.iter().all(|&byte| byte == 9));
}

#[test]
fn every_byte_of_a_range_is_read_wherever_it_lies() {
    let memory = device(1 << 16);
    let bytes: Vec<u8> = (0..1 << 16).map(|at: u32| (at % 251) as u8).collect();
    memory.write(0, &bytes).expect("inside");
    let program = body(SUM);
    for (offset, len) in [(0, 1 << 16), (5, 10), (4000, 9000), (4095, 4098), (8192, 1)] {
        let window = Window::new(vec![segment(&memory, offset, len)]);
        let report = program.run(&window, &Args::default(), PLENTY);
        let part = &bytes[offset as usize..(offset + len) as usize];
        let expected = part.iter().map(|&byte| u64::from(byte)).sum();
        assert_eq!(report.result, Ok(expected), "{offset} {len}");
    }
}

#[test]
fn a_range_beyond_its_memory_is_cut_there_and_one_of_read_only_memory_stays_as_it_is() {
    let memory = device(8192);
    let window = Window::new(vec![segment(&memory, 100, u64::MAX)]);
    let program = body(FILL);
    let report = program.run(&window, &Args::default(), PLENTY);
    assert_eq!(report.result, Ok(8092));

    let (file, _) = memory.descriptor().expect("a file");
    let file = file.try_clone_to_owned().expect("another");
    let reader = Arc::new(Mapping::file(file, 0, 8192, Access::Read).expect("memory"));
    memory.fill(0, 8192, 1).expect("inside");
    let window = Window::new(vec![segment(&reader, 100, 8000)]);
    let report = program.run(&window, &Args::default(), PLENTY);
    assert_eq!(report.result, Ok(8000));
    assert_eq!(memory.equals(0, &[1; 8192]), Ok(true));
}

#[test]
fn ranges_that_linear_memory_has_no_room_for_fail_the_job() {
    let memory = device(3 << 30);
    let window = Window::new(vec![segment(&memory, 0, 3 << 30); 2]);
    let report = body(FILL).run(&window, &Args::default(), PLENTY);
    assert!(matches!(report.result, Err(Fault::Failed { .. })));

    let small = load(
        r#"(module (memory (export "memory") 1 2)
            (func (export "ersatz") (param i32) (result i64) (i64.const 0)))"#,
    );
    assert_eq!(run(&*small, PLENTY).result, Ok(0));
    let window = Window::new(vec![segment(&memory, 0, 1 << 20)]);
    let report = small.run(&window, &Args::default(), PLENTY);
    let Err(Fault::Failed { reason }) = report.result else {
        panic!("{report:?}");
    };
    assert!(reason.contains("can't grow by 17 pages"), "{reason}");
}

#[test]
fn traps_name_the_place_in_the_module() {
    for (code, words) in [
        ("unreachable", "`unreachable`"),
        (
            "(i64.div_u (i64.const 1) (i64.const 0))",
            "division by zero",
        ),
        (
            "(i64.div_s (i64.const 0x8000000000000000) (i64.const -1))",
            "integer overflow",
        ),
        (
            "(i64.load (i32.const 0x100000))",
            "outside of linear memory",
        ),
        ("(i64.load (i32.const -1))", "outside of linear memory"),
        (
            "(i64.load offset=0xFFFFFFFF (i32.const -1))",
            "outside of linear memory",
        ),
        (
            "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0x100001)) (i64.const 0)",
            "outside of linear memory",
        ),
        ("(i64.trunc_f64_s (f64.const nan))", "no integer can hold"),
    ] {
        let program = body(code);
        let fault = run(&*program, PLENTY).result.expect_err("a trap");
        assert!(fault.to_string().contains(words), "{code}: {fault}");
        let pc = fault.pc().expect("a place");
        assert!(
            program
                .place(pc)
                .is_some_and(|place| place.contains("of the module"))
        );
    }
    let image = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "ersatz") (param i32) (result i64) nop unreachable))"#,
    );
    let image = image.expect("text");
    let program = wasm().load(&image, "").expect("a program");
    let pc = run(&*program, PLENTY).result.expect_err("a trap").pc();
    assert_eq!(
        image[pc.expect("a place")],
        0x00,
        "the opcode of unreachable"
    );
}

#[test]
fn an_endless_loop_and_endless_recursion_end() {
    let program = body("(loop $again (br $again)) (i64.const 0)");
    let report = run(&*program, Fuel(100_000));
    assert!(matches!(report.result, Err(Fault::Budget { .. })));
    assert_eq!(report.instructions, 100_000);

    let program = load(
        r#"(module (memory (export "memory") 1)
            (func $deep (export "ersatz") (param i32) (result i64)
                (i64.add (call $deep (local.get 0)) (i64.const 1))))"#,
    );
    let fault = run(&*program, PLENTY).result.expect_err("a trap");
    assert!(fault.to_string().contains("stack is used up"), "{fault}");
    let report = run(&*program, Fuel(0));
    assert!(matches!(report.result, Err(Fault::Budget { .. })));
}

#[test]
fn work_on_many_bytes_at_once_takes_a_budget_of_that_many() {
    let program = body(
        "(drop (memory.grow (i32.const 512)))
         (loop $again
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1000000)) (br $again))
         (i64.const 0)",
    );
    let report = run(&*program, Fuel(40 << 20));
    assert!(matches!(report.result, Err(Fault::Budget { .. })));
}

#[test]
fn the_count_of_instructions_is_the_same_in_each_run_and_follows_from_the_work() {
    let memory = device(1 << 16);
    let count = |program: &dyn Program, len| {
        let window = Window::new(vec![segment(&memory, 77, len)]);
        program.run(&window, &Args::default(), PLENTY).instructions
    };
    let (first, second) = (body(SUM), body(SUM));
    let counted = count(&*first, 1000);
    assert_eq!(counted, count(&*first, 1000));
    assert_eq!(counted, count(&*second, 1000));
    let one = count(&*first, 1001) - counted;
    assert_eq!(count(&*first, 2000), counted + 1000 * one);

    let window = Window::new(vec![segment(&memory, 77, 1000)]);
    for enough in [counted, u64::MAX] {
        let report = first.run(&window, &Args::default(), Fuel(enough));
        assert!(report.result.is_ok());
        assert_eq!(report.instructions, counted);
    }
    let short = first.run(&window, &Args::default(), Fuel(counted - 20));
    assert!(matches!(short.result, Err(Fault::Budget { .. })));
}

#[test]
fn a_number_that_is_none_has_one_pattern() {
    let bits = "(i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0)))";
    assert_eq!(result(bits), Ok(0x7FF8_0000_0000_0000));
}

#[test]
fn memory_grows_up_to_the_limit_and_no_further() {
    let limits = Limits {
        memory: 4 << 16,
        ..Limits::default()
    };
    let text = r#"(module (memory (export "memory") 1)
        (func (export "ersatz") (param i32) (result i64)
            (i64.extend_i32_s (memory.grow (i32.const 3)))
            (i64.mul (i64.const 100))
            (i64.add (i64.extend_i32_s (memory.grow (i32.const 1))))))"#;
    let image = wat::parse_str(text).expect("text");
    let program = Wasm::new(limits).expect("a runtime").load(&image, "");
    let program = program.expect("a program");
    // One page of the module's and one for the arguments are there before.
    assert_eq!(run(&*program, PLENTY).result, Ok(200 - 1));

    for large in [
        r#"(memory (export "memory") 5)"#,
        r#"(memory (export "memory") 1) (table 65537 funcref)"#,
        r#"(memory (export "memory") 1) (table 40000 funcref) (table 40000 funcref)"#,
    ] {
        let text = format!(
            r#"(module {large} (func (export "ersatz") (param i32) (result i64) (i64.const 0)))"#
        );
        let image = wat::parse_str(text).expect("text");
        let program = Wasm::new(limits).expect("a runtime").load(&image, "");
        let report = run(&*program.expect("a program"), PLENTY);
        assert!(
            matches!(report.result, Err(Fault::Failed { .. })),
            "{large}"
        );
    }
}

#[test]
fn grown_memory_lies_behind_the_ranges_and_belongs_to_the_run() {
    let memory = device(1 << 16);
    let window = Window::new(vec![segment(&memory, 0, 1 << 16)]);
    let code = "
        (local $old i32)
        (local.set $old (i32.shl (memory.grow (i32.const 2)) (i32.const 16)))
        (i64.load (local.get $old))
        (memory.fill (local.get $old) (i32.const 5) (i32.const 0x20000))";
    let program = body(code);
    for _ in 0..3 {
        let report = program.run(&window, &Args::default(), PLENTY);
        assert_eq!(report.result, Ok(0));
    }
    assert_eq!(memory.equals(0, &[0; 1 << 16]), Ok(true));
}

#[test]
fn variables_start_anew_in_each_run() {
    let program = load(
        r#"(module (memory (export "memory") 1)
            (global $runs (mut i64) (i64.const 0))
            (func (export "ersatz") (param i32) (result i64)
                (global.set $runs (i64.add (global.get $runs) (i64.const 1)))
                (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
                (i64.add (global.get $runs) (i64.load (i32.const 0)))))"#,
    );
    for _ in 0..1000 {
        assert_eq!(run(&*program, PLENTY).result, Ok(2));
    }
}

#[test]
fn what_is_no_module_for_this_drive_is_refused_with_words() {
    let runtime = wasm();
    let refused = |image: &[u8], words: &str| {
        let error = runtime.load(image, "").err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("loaded, without {words}"));
        assert!(error.contains(words), "{error}");
    };
    let memory = r#"(memory (export "memory") 1)"#;
    let entry = r#"(func (export "ersatz") (param i32) (result i64) (i64.const 0))"#;
    for (parts, words) in [
        (memory.to_string(), "no function is exported"),
        (entry.to_string(), "no memory is exported"),
        (format!("{memory} (func (export \"ersatz\"))"), "and not"),
        (
            format!("{memory} (global (export \"ersatz\") i32 (i32.const 0))"),
            "no function",
        ),
        (
            format!("(import \"wasi_snapshot_preview1\" \"fd_write\" (func)) {memory} {entry}"),
            "unknown import",
        ),
        (
            format!("(import \"ersatz\" \"print\" (func (param i32))) {memory} {entry}"),
            "incompatible import",
        ),
        (format!("(memory i64 1) {memory} {entry}"), "memor"),
        (format!("(memory 1) {memory} {entry}"), "memor"),
        (
            format!("(memory (export \"memory\") 1 1 shared) {entry}"),
            "threads",
        ),
        (
            format!("{memory} {entry} (func i32.add drop)"),
            "type mismatch",
        ),
    ] {
        let image = wat::parse_str(format!("(module {parts})")).expect("text");
        refused(&image, words);
    }
    refused(b"", "");
    refused(b"\0asm\x01\0\0\0", "no function is exported");
    refused(b"(module)", "magic");
    refused(&vec![0; (1 << 20) + 1], "1048576 are the most");

    let image = wat::parse_str(format!("(module {memory} {entry})")).expect("text");
    assert!(runtime.load(&image, "ersatz").is_ok());
    assert!(runtime.load(&image, "other").is_err());
    // No prefix of a module, and no module with a bit changed, does worse than being refused.
    for end in 0..image.len() {
        assert!(runtime.load(&image[..end], "").is_err());
    }
    for bit in 0..image.len() * 8 {
        let mut changed = image.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(program) = runtime.load(&changed, "") {
            let _ = run(&*program, Fuel(1000));
        }
    }
}

#[test]
fn one_program_runs_on_several_threads_at_once() {
    let program = body(SUM);
    let memory = device(1 << 20);
    memory.fill(0, 1 << 20, 1).expect("inside");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (program, memory) = (&program, &memory);
            scope.spawn(move || {
                for job in 0..20 {
                    let len = 10_000 + thread * 100 + job;
                    let window = Window::new(vec![segment(memory, thread * 7, len)]);
                    let report = program.run(&window, &Args::default(), PLENTY);
                    assert_eq!(report.result, Ok(len));
                }
            });
        }
    });
}
