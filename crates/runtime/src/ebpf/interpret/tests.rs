//! What each instruction does, against values worked out by hand.

use super::*;
use crate::ebpf::asm::*;
use crate::ebpf::differential;
use crate::ebpf::isa::{Raw, alu, atomic as atomics, class, jump, mode, size};
use crate::ebpf::layout;
use crate::ebpf::verify::verify;
use crate::{Args, Report, Segment, Window};
use ersatz_memory::Mapping;
use std::sync::Arc;

const STACK_SHAPE: Stack = Stack {
    frames: 4,
    frame: 64,
};

/// By the interpreter, and by the compiler, which has to come to the same.
fn run_over(window: &Window, code: &[Raw], starts: &[usize], budget: u64) -> Report {
    let module = verify(linked(code, starts)).expect("the verifier takes it");
    differential::run(&module, STACK_SHAPE, window, &Args::default(), budget)
}

fn run_functions(code: &[Raw], starts: &[usize], budget: u64) -> Report {
    run_over(&Window::default(), code, starts, budget)
}

/// What one function returns.
fn value(code: &[Raw]) -> u64 {
    run_functions(code, &[0], 1000).result.expect("no fault")
}

/// `r2 op r3`, or r2 alone where `insn` does not use r3.
fn with(a: u64, b: u64, insn: Raw) -> u64 {
    let code = [&wide(2, a)[..], &wide(3, b), &[insn, mov(0, 2), exit()]].concat();
    value(&code)
}

const MIN: u64 = 1 << 63;
const MIN32: u64 = 1 << 31;
const ALL: u64 = u64::MAX;

#[test]
fn arithmetic_gives_what_the_rfc_says_in_64_and_32_bits() {
    // Operation, offset field, both operands, result in 64 bits, in 32 bits.
    type Row = (u8, i16, u64, u64, u64, u64);
    #[rustfmt::skip]
    let table: &[Row] = &[
        (alu::ADD, 0, ALL, 1, 0, 0),
        (alu::ADD, 0, 0xffff_ffff, 1, 0x1_0000_0000, 0),
        (alu::ADD, 0, 0x1_0000_0005, ALL - 6, 0xffff_fffe, 0xffff_fffe),
        (alu::SUB, 0, 0, 1, ALL, 0xffff_ffff),
        (alu::SUB, 0, 0x5_0000_0001, 2, 0x4_ffff_ffff, 0xffff_ffff),
        (alu::MUL, 0, 0x1_0000_0001, 0x1_0000_0001, 0x2_0000_0001, 1),
        (alu::MUL, 0, ALL, 3, ALL - 2, 0xffff_fffd),
        (alu::DIV, 0, ALL, 2, ALL >> 1, 0x7fff_ffff),
        (alu::DIV, 0, 0x7_0000_0007, ALL, 0, 0),
        (alu::DIV, 0, 7, 0, 0, 0),
        (alu::DIV, 0, 0x5_0000_0009, 0x1_0000_0000, 5, 0),
        (alu::DIV, 1, ALL - 6, 2, ALL - 2, 0xffff_fffd),
        (alu::DIV, 1, 7, ALL - 1, ALL - 2, 0xffff_fffd),
        (alu::DIV, 1, MIN, ALL, MIN, 0),
        (alu::DIV, 1, MIN32, ALL, MIN32.wrapping_neg(), MIN32),
        (alu::DIV, 1, ALL, 0, 0, 0),
        (alu::MOD, 0, ALL, 10, 5, 5),
        (alu::MOD, 0, 0x9_0000_0007, 0, 0x9_0000_0007, 7),
        (alu::MOD, 0, 0x9_0000_0007, 4, 3, 3),
        (alu::MOD, 1, ALL - 6, 2, ALL, 0xffff_ffff),
        (alu::MOD, 1, 7, ALL - 1, 1, 1),
        (alu::MOD, 1, MIN, ALL, 0, 0),
        (alu::MOD, 1, MIN32, ALL, 0, 0),
        (alu::MOD, 1, ALL - 6, 0, ALL - 6, 0xffff_fff9),
        (alu::OR, 0, 0xf0_0000_00f0, 0x0f, 0xf0_0000_00ff, 0xff),
        (alu::AND, 0, ALL, ALL - 1, ALL - 1, 0xffff_fffe),
        (alu::XOR, 0, ALL, ALL, 0, 0),
        (alu::XOR, 0, 0xff_0000_0000, 1, 0xff_0000_0001, 1),
        (alu::LSH, 0, 1, 63, MIN, MIN32),
        (alu::LSH, 0, 1, 64, 1, 1),
        (alu::LSH, 0, 1, 33, 1 << 33, 2),
        (alu::RSH, 0, ALL, 63, 1, 1),
        (alu::RSH, 0, ALL, 64, ALL, 0xffff_ffff),
        (alu::RSH, 0, 0xf_8000_0000, 4, 0xf800_0000, 0x0800_0000),
        (alu::ARSH, 0, MIN, 63, ALL, 0),
        (alu::ARSH, 0, MIN32, 31, 1, 0xffff_ffff),
        (alu::ARSH, 0, MIN32, 32, 0, MIN32),
        (alu::ARSH, 0, MIN, 65, MIN | MIN >> 1, 0),
        (alu::MOV, 0, 5, ALL, ALL, 0xffff_ffff),
        (alu::MOV, 8, 5, 0x80, ALL << 7, 0xffff_ff80),
        (alu::MOV, 8, 5, 0xf7f, 0x7f, 0x7f),
        (alu::MOV, 16, 5, 0x8000, ALL << 15, 0xffff_8000),
    ];
    for &(code, offset, a, b, in_64, in_32) in table {
        for (class, expected) in [(class::ALU64, in_64), (class::ALU, in_32)] {
            let got = with(a, b, alu_reg(class, code, 2, 3, offset));
            assert_eq!(
                got, expected,
                "{code:#x}/{offset} {a:#x} {b:#x} class {class}"
            );
            let extends = code == alu::MOV && offset != 0;
            if let Ok(imm) = i32::try_from(b as i64)
                && !extends
            {
                let got = with(a, 0, alu_imm(class, code, 2, offset, imm));
                assert_eq!(got, expected, "{code:#x} {a:#x} imm {imm} class {class}");
            }
        }
    }
}

#[test]
fn negation_extension_and_byte_swaps_have_one_operand() {
    let neg = |class| alu_imm(class, alu::NEG, 2, 0, 0);
    assert_eq!(with(1, 0, neg(class::ALU64)), ALL);
    assert_eq!(with(MIN, 0, neg(class::ALU64)), MIN);
    assert_eq!(with(1, 0, neg(class::ALU)), 0xffff_ffff);
    let sext32 = alu_reg(class::ALU64, alu::MOV, 2, 3, 32);
    assert_eq!(with(0, 0x1_8000_0000, sext32), ALL << 31);

    let a = 0x0123_4567_89ab_cdef;
    let end = |class, big: bool, bits| {
        let insn = if big {
            raw(class | alu::END | 8, 2, 0, 0, bits)
        } else {
            raw(class | alu::END, 2, 0, 0, bits)
        };
        with(a, 0, insn)
    };
    assert_eq!(end(class::ALU, false, 16), 0xcdef);
    assert_eq!(end(class::ALU, false, 32), 0x89ab_cdef);
    assert_eq!(end(class::ALU, false, 64), a);
    let swapped = [(16, 0xefcd), (32, 0xefcd_ab89), (64, 0xefcd_ab89_6745_2301)];
    for (bits, expected) in swapped {
        assert_eq!(end(class::ALU, true, bits), expected);
        assert_eq!(end(class::ALU64, false, bits), expected);
    }
}

#[test]
fn jumps_are_taken_when_the_comparison_holds() {
    // Operation, both operands, taken in 64 bits, in 32 bits.
    #[rustfmt::skip]
    let table: &[(u8, u64, u64, bool, bool)] = &[
        (jump::JEQ, 5, 5, true, true),
        (jump::JEQ, 0x1_0000_0005, 5, false, true),
        (jump::JNE, 5, 5, false, false),
        (jump::JNE, 0x1_0000_0005, 5, true, false),
        (jump::JGT, ALL, 1, true, true),
        (jump::JGT, 1, ALL, false, false),
        (jump::JGT, 1, 1, false, false),
        (jump::JGT, 0x1_0000_0000, 1, true, false),
        (jump::JGE, 1, 1, true, true),
        (jump::JGE, 0, 1, false, false),
        (jump::JGE, 0x1_0000_0000, 1, true, false),
        (jump::JLT, 1, ALL, true, true),
        (jump::JLT, 1, 1, false, false),
        (jump::JLT, 0x1_0000_0000, 1, false, true),
        (jump::JLE, 1, 1, true, true),
        (jump::JLE, 2, 1, false, false),
        (jump::JLE, 0x1_0000_0000, 1, false, true),
        (jump::JSGT, 1, ALL, true, true),
        (jump::JSGT, MIN32, 1, true, false),
        (jump::JSGT, 1, 1, false, false),
        (jump::JSGE, 1, 1, true, true),
        (jump::JSGE, ALL, 0, false, false),
        (jump::JSGE, MIN32, 0, true, false),
        (jump::JSLT, ALL, 0, true, true),
        (jump::JSLT, 0, 0, false, false),
        (jump::JSLT, MIN32, 0, false, true),
        (jump::JSLE, 0, 0, true, true),
        (jump::JSLE, 1, ALL, false, false),
        (jump::JSLE, MIN32, 0, false, true),
        (jump::JSET, 6, 2, true, true),
        (jump::JSET, 6, 1, false, false),
        (jump::JSET, 0x1_0000_0000, ALL, true, false),
    ];
    for &(code, a, b, in_64, in_32) in table {
        for (class, expected) in [(class::JMP, in_64), (class::JMP32, in_32)] {
            let taken = |jump: Raw, b: u64| {
                let tail = [mov_imm(0, 0), jump, exit(), mov_imm(0, 1), exit()];
                value(&[&wide(2, a)[..], &wide(3, b), &tail].concat()) == 1
            };
            let by_register = raw(class | code | 8, 2, 3, 1, 0);
            assert_eq!(
                taken(by_register, b),
                expected,
                "{code:#x} {a:#x} {b:#x} class {class}"
            );
            if let Ok(imm) = i32::try_from(b as i64) {
                let by_imm = raw(class | code, 2, 0, 1, imm);
                assert_eq!(
                    taken(by_imm, 0),
                    expected,
                    "{code:#x} {a:#x} imm {imm} class {class}"
                );
            }
        }
    }
}

#[test]
fn unconditional_jumps_go_both_ways_in_both_encodings() {
    let gotol = |distance| raw(class::JMP32 | jump::JA, 0, 0, 0, distance);
    for (forward, back) in [(ja(2), ja(-3)), (gotol(2), gotol(-3))] {
        let code = [forward, mov_imm(0, 9), exit(), back];
        assert_eq!(value(&code), 9);
    }
}

#[test]
fn loads_extend_and_stores_cut() {
    let a = 0x8182_8384_8586_8788;
    let sign = |width| raw(class::LDX | mode::MEMSX | width, 0, 10, -11, 0);
    let loads = [
        (load(size::B, 0, 10, -11), 0x88),
        (load(size::H, 0, 10, -11), 0x8788),
        (load(size::W, 0, 10, -11), 0x8586_8788),
        (load(size::DW, 0, 10, -11), a),
        (sign(size::B), 0xffff_ffff_ffff_ff88),
        (sign(size::H), 0xffff_ffff_ffff_8788),
        (sign(size::W), 0xffff_ffff_8586_8788),
    ];
    for (load, expected) in loads {
        // At an address that is not aligned.
        let code = [
            &wide(2, a)[..],
            &[store(size::DW, 10, 2, -11), load, exit()],
        ]
        .concat();
        assert_eq!(value(&code), expected);
    }
    let widths = [
        (size::B, 0xffff_ffff_ffff_ff88),
        (size::H, 0xffff_ffff_ffff_8788),
        (size::W, 0xffff_ffff_8586_8788),
        (size::DW, a),
    ];
    for (width, expected) in widths {
        let back = load(size::DW, 0, 10, -16);
        let fill = raw(class::ST | mode::MEM | size::DW, 10, 0, -16, -1);
        let head = [fill, store(width, 10, 2, -16), back, exit()];
        assert_eq!(value(&[&wide(2, a)[..], &head].concat()), expected);
    }
    let constant = raw(class::ST | mode::MEM | size::H, 10, 0, -8, 0x1_2345);
    let code = [constant, load(size::DW, 0, 10, -8), exit()];
    assert_eq!(value(&code), 0x2345);
}

#[test]
fn atomic_operations_change_memory_and_return_what_was_there() {
    let old = 0xf0f0_0000_ffff_fffe;
    let src = 0x0ff0_0000_0000_0003;
    // Operation, new value in memory after 8 bytes, after 4.
    let table = [
        (atomics::ADD, 0x00e0_0001_0000_0001, 0xf0f0_0000_0000_0001),
        (atomics::OR, 0xfff0_0000_ffff_ffff, 0xf0f0_0000_ffff_ffff),
        (atomics::AND, 0x00f0_0000_0000_0002, 0xf0f0_0000_0000_0002),
        (atomics::XOR, 0xff00_0000_ffff_fffd, 0xf0f0_0000_ffff_fffd),
    ];
    // The memory of the window is changed by real atomics, the stack by plain ones.
    let device = Arc::new(Mapping::anonymous("atomics", 4096).expect("map"));
    let window = Window::new(vec![Segment {
        memory: Arc::clone(&device),
        offset: 8,
        len: 16,
    }]);
    let run_at = |address: u64, insn: Raw, result: u8, r0: u64| {
        let code = [
            &wide(1, address)[..],
            &wide(2, old),
            &[store(size::DW, 1, 2, 8)],
            &wide(2, src),
            &wide(0, r0),
            &[insn, load(size::DW, 3, 1, 8), mov(0, result), exit()],
        ]
        .concat();
        run_over(&window, &code, &[0], 100)
            .result
            .expect("no fault")
    };
    for address in [layout::STACK, layout::FIRST_RANGE * layout::SLOT + 8] {
        for (op, in_64, in_32) in table {
            for (is_wide, after) in [(true, in_64), (false, in_32)] {
                let before = if is_wide { old } else { old & 0xffff_ffff };
                let plain = atomic(is_wide, op, 1, 2, 8);
                assert_eq!(run_at(address, plain, 3, 0), after);
                assert_eq!(run_at(address, plain, 2, 0), src);
                let fetch = atomic(is_wide, op | atomics::FETCH, 1, 2, 8);
                assert_eq!(run_at(address, fetch, 3, 0), after);
                assert_eq!(run_at(address, fetch, 2, 0), before);
            }
        }
        let low = |a: u64| a & 0xffff_ffff;
        let mixed = old & !0xffff_ffff | low(src);
        let xchg = |is_wide| atomic(is_wide, atomics::XCHG, 1, 2, 8);
        assert_eq!(run_at(address, xchg(true), 3, 0), src);
        assert_eq!(run_at(address, xchg(true), 2, 0), old);
        assert_eq!(run_at(address, xchg(false), 3, 0), mixed);
        assert_eq!(run_at(address, xchg(false), 2, 0), low(old));
        let cmpxchg = |is_wide| atomic(is_wide, atomics::CMPXCHG, 1, 2, 8);
        assert_eq!(run_at(address, cmpxchg(true), 3, old), src);
        assert_eq!(run_at(address, cmpxchg(true), 0, old), old);
        assert_eq!(run_at(address, cmpxchg(true), 3, low(old)), old);
        assert_eq!(run_at(address, cmpxchg(true), 0, 7), old);
        // Of r0 only the low half is compared, and all of it is written.
        assert_eq!(
            run_at(address, cmpxchg(false), 3, low(old) | 1 << 40),
            mixed
        );
        assert_eq!(
            run_at(address, cmpxchg(false), 0, low(old) | 1 << 40),
            low(old)
        );
        assert_eq!(run_at(address, cmpxchg(false), 3, 7), old);
    }
}

#[test]
fn ordered_accesses_come_in_all_sizes() {
    let a = 0x8182_8384_8586_8788;
    let widths = [
        (size::B, 0x88),
        (size::H, 0x8788),
        (size::W, 0x8586_8788),
        (size::DW, a),
    ];
    for (width, expected) in widths {
        let opcode = class::STX | mode::ATOMIC | width;
        let code = [
            &wide(2, a)[..],
            &[
                raw(opcode, 10, 2, -16, atomics::STORE_REL),
                raw(opcode, 0, 10, -16, atomics::LOAD_ACQ),
                load(size::DW, 3, 10, -16),
                alu_reg(class::ALU64, alu::XOR, 0, 3, 0),
                // Both are the same, and the rest of the word is as before: zero.
                raw(class::JMP | jump::JNE, 0, 0, 1, 0),
                mov(0, 3),
                exit(),
            ],
        ]
        .concat();
        assert_eq!(value(&code), expected);
    }
}

#[test]
fn an_atomic_access_that_is_not_aligned_is_a_fault() {
    let ordered = raw(
        class::STX | mode::ATOMIC | size::H,
        10,
        2,
        -7,
        atomics::STORE_REL,
    );
    for insn in [
        atomic(true, atomics::ADD, 10, 2, -12),
        atomic(false, atomics::ADD, 10, 2, -6),
        ordered,
    ] {
        let report = run_functions(&[insn, exit()], &[0], 10);
        assert!(matches!(
            report.result,
            Err(Fault::Instruction { pc: 0, what }) if what.contains("aligned")
        ));
        assert_eq!(report.instructions, 1);
    }
}

#[test]
fn a_call_keeps_the_callers_registers_and_shows_none_but_arguments() {
    // Sums up what the callee must not see: all but r1–r5 and r10.
    let callee = [0, 6, 7, 8, 9].map(|register| alu_reg(class::ALU64, alu::ADD, 1, register, 0));
    let callee = [
        &callee[..],
        &[mov(0, 1), mov_imm(6, 77), mov_imm(3, 77), exit()],
    ]
    .concat();
    let caller = [
        mov_imm(0, 1 << 8),
        mov_imm(1, 5),
        mov_imm(6, 1 << 10),
        mov_imm(9, 1 << 12),
        call(4),
        alu_reg(class::ALU64, alu::ADD, 0, 6, 0),
        alu_reg(class::ALU64, alu::ADD, 0, 9, 0),
        alu_reg(class::ALU64, alu::ADD, 0, 3, 0),
        exit(),
    ];
    let start = caller.len();
    let code = [&caller[..], &callee].concat();
    let report = run_functions(&code, &[0, start], 100);
    assert_eq!(report.result, Ok(5 + (1 << 10) + (1 << 12)));
}

#[test]
fn each_nested_function_has_a_frame_of_its_own() {
    // Both write to the end of their frame; the caller then reads what it wrote.
    let code = [
        mov_imm(1, 1),
        store(size::DW, 10, 1, -8),
        call(2),
        load(size::DW, 0, 10, -8),
        exit(),
        mov_imm(1, 2),
        store(size::DW, 10, 1, -8),
        mov(0, 10),
        exit(),
    ];
    assert_eq!(run_functions(&code, &[0, 5], 100).result, Ok(1));
    let mut code = code;
    code[3] = alu_imm(class::ALU64, alu::ADD, 0, 0, 0);
    let end = layout::STACK + 4 * 64;
    assert_eq!(run_functions(&code, &[0, 5], 100).result, Ok(end - 64));
}

#[test]
fn functions_nest_as_deep_as_the_stack_and_no_deeper() {
    // The second function calls itself until r1 is zero.
    let nested = |calls| {
        let code = [
            mov_imm(1, calls),
            call(1),
            exit(),
            alu_imm(class::ALU64, alu::SUB, 1, 0, 1),
            raw(class::JMP | jump::JEQ, 1, 0, 1, 0),
            call(-3),
            exit(),
        ];
        run_functions(&code, &[0, 3], 1000).result
    };
    assert_eq!(nested(3), Ok(0));
    assert_eq!(nested(4), Err(Fault::Stack { pc: 5, limit: 4 }));
    assert_eq!(nested(-1), Err(Fault::Stack { pc: 5, limit: 4 }));
}

#[test]
fn exactly_the_budget_is_run_and_the_fault_names_the_next_instruction() {
    // Three turns of a loop that has a 64-bit immediate in it.
    let code = [
        &[mov_imm(1, 3)],
        &wide(0, 1 << 40)[..],
        &[
            alu_imm(class::ALU64, alu::ADD, 1, 0, -1),
            raw(class::JMP | jump::JNE, 1, 0, -4, 0),
            exit(),
        ],
    ]
    .concat();
    let slots = [0, 1, 3, 4, 1, 3, 4, 1, 3, 4, 5];
    for (budget, &slot) in slots.iter().enumerate() {
        let report = run_functions(&code, &[0], budget as u64);
        assert_eq!(report.result, Err(Fault::Budget { pc: Some(slot) }));
        assert_eq!(report.instructions, budget as u64);
    }
    for budget in [slots.len() as u64, u64::MAX] {
        let report = run_functions(&code, &[0], budget);
        assert_eq!(report.result, Ok(1 << 40));
        assert_eq!(report.instructions, slots.len() as u64);
    }
}

#[test]
fn a_fault_names_the_slot_and_counts_the_instruction() {
    let code = [&wide(2, 0xdead_beef)[..], &[load(size::W, 0, 2, 1), exit()]].concat();
    let report = run_functions(&code, &[0], 100);
    let fault = Fault::Access {
        pc: 2,
        address: 0xdead_bef0,
        len: 4,
    };
    assert_eq!(report.result, Err(fault));
    assert_eq!(report.instructions, 2);
}

#[test]
fn each_segment_is_bounded_to_the_byte() {
    let device = Arc::new(Mapping::anonymous("bounds", 8192).expect("map"));
    let window = Window::new(vec![
        Segment {
            memory: Arc::clone(&device),
            offset: 100,
            len: 50,
        },
        Segment {
            memory: Arc::clone(&device),
            offset: 8190,
            len: 1000,
        },
        Segment {
            memory: device,
            offset: 9000,
            len: 1000,
        },
    ]);
    let run = |insn: Raw, address: u64| {
        let code = [&wide(1, address)[..], &[insn, exit()]].concat();
        run_over(&window, &code, &[0], 10).result.is_ok()
    };
    let arguments = 40 + 3 * 16;
    let slot = |number: u64| number * layout::SLOT;
    // Start, bytes, may be written.
    let segments = [
        (layout::CONSTANTS, 9, false),
        (layout::VARIABLES, 8, true),
        (layout::STACK, 256, true),
        (layout::ARGUMENTS, arguments, false),
        (slot(5) + 100, 50, true),
        // What lies beyond the device memory is not there.
        (slot(6) + 4094, 2, true),
        (slot(7) + 9000 % 4096, 0, true),
    ];
    for (start, len, writable) in segments {
        for (width, bytes) in [(size::B, 1), (size::H, 2), (size::W, 4), (size::DW, 8)] {
            let fits = len >= bytes;
            let cases = [
                (start.wrapping_sub(1), false),
                (start.wrapping_sub(bytes), false),
                (start, fits),
                (start + len.saturating_sub(bytes), fits),
                (start + len.saturating_sub(bytes) + 1, false),
                (start + len, false),
            ];
            for (address, inside) in cases {
                let what = format!("{bytes} bytes at {address:#x}");
                assert_eq!(run(load(width, 0, 1, 0), address), inside, "load {what}");
                let stored = run(store(width, 1, 0, 0), address);
                assert_eq!(stored, inside && writable, "store {what}");
            }
            if bytes >= 4 && start.is_multiple_of(bytes) {
                let insn = atomic(bytes == 8, atomics::ADD, 1, 0, 0);
                assert_eq!(run(insn, start), fits && writable, "atomic at {start:#x}");
            }
        }
    }
    for address in [0, 8, 65536, slot(8), slot(1 << 31), u64::MAX, u64::MAX - 7] {
        assert!(!run(load(size::B, 0, 1, 0), address));
        assert!(!run(store(size::DW, 1, 0, 0), address));
    }
}

#[test]
fn variables_and_stack_are_fresh_in_each_run() {
    let variables = [
        &wide(1, layout::VARIABLES)[..],
        &[
            load(size::DW, 0, 1, 0),
            load(size::DW, 2, 10, -8),
            alu_reg(class::ALU64, alu::ADD, 0, 2, 0),
            store(size::DW, 1, 10, 0),
            store(size::DW, 10, 10, -8),
            exit(),
        ],
    ]
    .concat();
    let module = verify(linked(&variables, &[0])).expect("valid");
    for _ in 0..2 {
        let one = Run::new(&module, STACK_SHAPE, &[], &[], &Args::default());
        let ended = run(&one, &State::start(&one, 100));
        assert_eq!(ended.result, Ok(0x0807_0605_0403_0201));
    }
}
