//! What programs may call, and a drive that answers.

use super::{PLENTY, body, device, load, run, segment};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_runtime::{Args, BlockRead, Fault, Fuel, Program, ReadError, Report, Services, Window};
use std::sync::{Arc, Mutex};

/// A drive that answers, and remembers.
#[derive(Default)]
struct Drive {
    lines: Mutex<Vec<Vec<u8>>>,
    /// What a print does besides.
    meanwhile: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Services for Drive {
    fn now(&self) -> Ns {
        Ns(12_345)
    }

    fn print(&self, text: &[u8]) {
        self.lines.lock().expect("no panic").push(text.to_vec());
        if let Some(meanwhile) = &self.meanwhile {
            meanwhile();
        }
    }

    /// Blocks of 512 bytes that hold their number.
    fn read_blocks(
        &self,
        nsid: u32,
        slba: u64,
        nlb: u64,
        to: &Mapping,
        offset: u64,
        room: u64,
    ) -> Result<u64, ReadError> {
        let bytes = nlb * 512;
        if nsid != 1 {
            return Err(ReadError::Namespace { nsid });
        }
        if bytes > room {
            return Err(ReadError::Room { bytes, room });
        }
        for block in 0..nlb {
            to.fill(offset + block * 512, 512, (slba + block) as u8)
                .expect("inside");
        }
        Ok(bytes)
    }
}

fn with(drive: &Drive, program: &dyn Program, window: &Window) -> Report {
    let args = Args {
        services: drive,
        ..Args::default()
    };
    program.run(window, &args, PLENTY)
}

#[test]
fn helpers_print_and_tell_the_time() {
    let drive = Drive::default();
    let program = body("(call $print (i32.const 8) (i32.const 4)) (call $time)");
    let report = with(&drive, &*program, &Window::default());
    assert_eq!(report.result, Ok(12_345));
    assert_eq!(*drive.lines.lock().expect("no panic"), [b"text"]);
}

#[test]
fn blocks_are_read_where_the_program_sees_them_and_reported() {
    let drive = Drive::default();
    let memory = device(1 << 16);
    // Begins and ends within pages.
    let window = Window::new(vec![segment(&memory, 4000, 10_000)]);
    let read = |slba, at: u32| {
        format!(
            "(call $read_blocks (i32.const 1) (i64.const {slba}) (i64.const 2)
                (i32.add (i32.load offset=40 (local.get $args)) (i32.const {at}))
                (i32.const 1024))"
        )
    };
    let load =
        |at: u32| format!("(i64.load8_u offset={at} (i32.load offset=40 (local.get $args)))");
    let code = format!(
        "(i32.store8 offset=5000 (i32.load offset=40 (local.get $args)) (i32.const 99))
         {} (i64.add {}) (i64.add {}) (i64.add {}) (i64.add {}) (i64.add {})",
        read(10, 0),
        read(12, 8000),
        read(20, 8976),
        load(0),
        load(1023),
        load(8976 + 1023),
    );
    let report = with(&drive, &*body(&code), &window);
    assert_eq!(report.result, Ok(3 * 1024 + 10 + 11 + 21));
    let read = |slba, nlb| BlockRead { nsid: 1, slba, nlb };
    assert_eq!(report.reads, [read(10, 4), read(20, 2)]);
    assert_eq!(memory.equals(4000, &[10; 512]), Ok(true));
    assert_eq!(memory.equals(4000 + 5000, &[99]), Ok(true));
    assert_eq!(memory.equals(4000 + 8976 + 512, &[21; 512]), Ok(true));
    assert_eq!(memory.equals(3999, &[0]), Ok(true));
    assert_eq!(memory.equals(14_000, &[0]), Ok(true));
}

#[test]
fn helpers_refuse_what_is_not_the_programs() {
    let drive = Drive::default();
    let memory = device(1 << 16);
    let window = Window::new(vec![segment(&memory, 0, 4096)]);
    let read = |nsid: u32, to: &str, room: u32| {
        format!(
            "(call $read_blocks (i32.const {nsid}) (i64.const 0) (i64.const 1) {to}
                (i32.const {room}))"
        )
    };
    let range = "(i32.load offset=40 (local.get $args))";
    let fails = |code: &str| {
        let fault = with(&drive, &*body(code), &window).result;
        let fault = fault.expect_err("a refusal");
        assert!(fault.pc().is_some());
        fault
    };
    let print = "(call $print (i32.const -4) (i32.const 8)) (i64.const 0)";
    let (address, len) = (0xFFFF_FFFC, 8);
    assert!(
        matches!(fails(print), Fault::Access { address: a, len: l, .. } if (a, l) == (address, len))
    );
    let print = "(call $print (i32.const 0) (i32.const 1025)) (i64.const 0)";
    assert!(matches!(fails(print), Fault::Instruction { .. }));
    for code in [
        read(1, "(i32.const 0)", 512),
        read(1, range, 4097),
        read(1, &format!("(i32.add {range} (i32.const 1))"), 4096),
        read(1, &format!("(i32.sub {range} (i32.const 1))"), 512),
        read(1, "(i32.const -1)", 512),
    ] {
        assert!(matches!(fails(&code), Fault::Access { .. }), "{code}");
    }
    let error = |fault| match fault {
        Fault::Read { error, .. } => error,
        other => panic!("{other}"),
    };
    let wrong = ReadError::Namespace { nsid: 2 };
    assert_eq!(error(fails(&read(2, range, 512))), wrong);
    let room = ReadError::Room {
        bytes: 512,
        room: 511,
    };
    assert_eq!(error(fails(&read(1, range, 511))), room);
}

#[test]
fn a_start_function_has_a_budget_and_no_helpers() {
    let module = |start: &str| {
        load(&format!(
            r#"(module
                (import "ersatz" "print" (func $print (param i32 i32)))
                (memory (export "memory") 1) (start $start)
                (func $start {start})
                (func (export "ersatz") (param i32) (result i64) (i64.const 0)))"#
        ))
    };
    let endless = run(&*module("(loop $again (br $again))"), Fuel(1000));
    assert!(matches!(endless.result, Err(Fault::Budget { .. })));
    let early = run(
        &*module("(call $print (i32.const 0) (i32.const 0))"),
        PLENTY,
    );
    let fault = early.result.expect_err("a refusal");
    assert!(fault.to_string().contains("before the program's entry"));
}

#[test]
fn ranges_are_mapped_and_others_may_write_next_to_a_program() {
    let memory = device(1 << 16);
    let window = Window::new(vec![segment(&memory, 4000, 8192)]);
    let (seen, other) = (Arc::new(Mutex::new(0u8)), Arc::clone(&memory));
    let drive = Drive {
        meanwhile: Some(Box::new({
            let seen = Arc::clone(&seen);
            move || {
                *seen.lock().expect("no panic") = other.load(4096 + 50).expect("inside");
                other.store(4096 + 60, 55u8).expect("inside");
                other.store(4010, 66u8).expect("inside");
            }
        })),
        ..Drive::default()
    };
    // Writes a byte of a mapped page and one of a copied page, lets the others write, and reads.
    let code = "
        (local $range i32)
        (local.set $range (i32.load offset=40 (local.get $args)))
        (i32.store8 offset=146 (local.get $range) (i32.const 44))
        (i32.store8 offset=11 (local.get $range) (i32.const 33))
        (call $print (i32.const 8) (i32.const 4))
        (i64.load8_u offset=156 (local.get $range))";
    let report = with(&drive, &*body(code), &window);
    assert_eq!(*seen.lock().expect("no panic"), 44);
    assert_eq!(report.result, Ok(55));
    assert_eq!(memory.equals(4010, &[66, 33]), Ok(true));
}
