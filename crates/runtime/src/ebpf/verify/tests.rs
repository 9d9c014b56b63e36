//! What is refused, with the instruction that is blamed; and that nothing else goes wrong.

use super::*;
use crate::Args;
use crate::ebpf::asm::{self, alu_imm, alu_reg, call, exit, ja, linked, mov, mov_imm, raw, wide};
use crate::ebpf::interpret;
use crate::ebpf::isa::SLOT_BYTES;
use crate::ebpf::memory;
use crate::ebpf::run::{Run, Stack, State};
use proptest::prelude::*;

fn refusal(code: &[Raw], starts: &[usize]) -> (usize, Reason) {
    let refused = verify(linked(code, starts)).expect_err("the verifier refuses it");
    (refused.slot, refused.reason)
}

/// What is wrong with one instruction between others.
fn reason(insn: Raw) -> Reason {
    let (slot, reason) = refusal(&[mov_imm(0, 0), insn, ja(0), exit()], &[0]);
    assert_eq!(slot, 1, "{insn:?}");
    reason
}

fn field(field: &'static str, value: i64) -> Reason {
    Reason::Field { field, value }
}

#[test]
fn every_opcode_is_taken_or_refused_as_the_rfc_lists_it() {
    let mut known = Vec::new();
    for class in [class::ALU, class::ALU64] {
        for code in (alu::ADD..=alu::ARSH).step_by(16) {
            known.push(class | code);
            if code != alu::NEG {
                known.push(class | code | SOURCE_REGISTER);
            }
        }
        known.push(class | alu::END);
    }
    known.push(class::ALU | alu::END | SOURCE_REGISTER);
    for class in [class::JMP, class::JMP32] {
        known.push(class);
        for code in (jump::JEQ..=jump::JSLE).step_by(16) {
            if code != jump::CALL && code != jump::EXIT {
                known.extend([class | code, class | code | SOURCE_REGISTER]);
            }
        }
    }
    known.extend([CALL, class::JMP | jump::EXIT, LD_IMM64]);
    for width in [size::B, size::H, size::W, size::DW] {
        known.extend([class::LDX, class::ST, class::STX].map(|class| class | mode::MEM | width));
        // Ordered accesses have all sizes; the other atomic operations only the larger two.
        known.push(class::STX | mode::ATOMIC | width);
        if width != size::DW {
            known.push(class::LDX | mode::MEMSX | width);
        }
    }
    for opcode in 0..=u8::MAX {
        let imm = match opcode {
            0xd4 | 0xdc | 0xd7 => 16,
            CALL => -1,
            _ if opcode & 0xe7 == class::STX | mode::ATOMIC => atomic::LOAD_ACQ,
            _ => 0,
        };
        let src = if opcode == CALL { CALL_LOCAL } else { 0 };
        let insn = raw(opcode, 0, src, 0, imm);
        let code = [insn, raw(0, 0, 0, 0, 0), exit()];
        let code = if opcode == LD_IMM64 {
            &code[..]
        } else {
            &[insn, exit()]
        };
        let result = verify(linked(code, &[0])).map_err(|refused| refused.reason);
        if known.contains(&opcode) {
            assert!(result.is_ok(), "{opcode:#04x}: {result:?}");
        } else {
            let unknown = match opcode & 0xe7 {
                0x20 | 0x40 => Reason::PacketAccess(opcode),
                _ if opcode == CALL | SOURCE_REGISTER => Reason::IndirectCall(opcode),
                _ => Reason::UnknownOpcode(opcode),
            };
            assert_eq!(result.expect_err("unknown"), unknown);
        }
    }
}

#[test]
fn fields_that_an_instruction_does_not_use_must_be_zero() {
    let alu64 = class::ALU64;
    let word = size::W;
    #[rustfmt::skip]
    let table = [
        (alu_imm(alu64, alu::ADD, 1, 1, 0), field("offset", 1)),
        (alu_imm(alu64, alu::DIV, 1, 2, 1), field("offset", 2)),
        (alu_imm(alu64, alu::MOV, 1, 8, 1), field("offset", 8)),
        (alu_reg(alu64, alu::MOV, 1, 2, 24), field("offset", 24)),
        (alu_reg(class::ALU, alu::MOV, 1, 2, 32), field("offset", 32)),
        (raw(alu64 | alu::ADD, 1, 2, 0, 5), field("src", 2)),
        (raw(alu64 | alu::ADD | 8, 1, 2, 0, 5), field("imm", 5)),
        (raw(alu64 | alu::NEG, 1, 0, 0, 5), field("imm", 5)),
        (raw(alu64 | alu::NEG, 1, 3, 0, 0), field("src", 3)),
        (raw(alu64 | alu::NEG, 1, 0, 1, 0), field("offset", 1)),
        (raw(alu64 | alu::END, 1, 0, 0, 24), field("imm", 24)),
        (raw(alu64 | alu::END, 1, 0, 1, 16), field("offset", 1)),
        (raw(alu64 | alu::END, 1, 1, 0, 16), field("src", 1)),
        (raw(class::JMP | jump::JA, 1, 0, 0, 0), field("dst", 1)),
        (raw(class::JMP | jump::JA, 0, 1, 0, 0), field("src", 1)),
        (raw(class::JMP | jump::JA, 0, 0, 0, 1), field("imm", 1)),
        (raw(class::JMP32 | jump::JA, 0, 0, 1, 0), field("offset", 1)),
        (raw(class::JMP | jump::JEQ, 0, 1, 0, 0), field("src", 1)),
        (raw(class::JMP | jump::JEQ | 8, 0, 1, 0, 7), field("imm", 7)),
        (raw(class::JMP | jump::EXIT, 0, 0, 0, 1), field("imm", 1)),
        (raw(CALL, 1, 1, 0, 0), field("dst", 1)),
        (raw(CALL, 0, 1, 1, 0), field("offset", 1)),
        (raw(CALL, 0, 3, 0, 0), field("src", 3)),
        (raw(class::LDX | mode::MEM | word, 1, 2, 0, 9), field("imm", 9)),
        (raw(class::ST | mode::MEM | word, 1, 2, 0, 9), field("src", 2)),
        (raw(class::STX | mode::MEM | word, 1, 2, 0, 9), field("imm", 9)),
        (atomic_op(0xe0), field("imm", 0xe0)),
        (atomic_op(0x02), field("imm", 0x02)),
        (atomic_op(-1), field("imm", -1)),
        (raw(LD_IMM64, 1, 0, 1, 0), field("offset", 1)),
        (raw(LD_IMM64, 1, 7, 0, 0), field("src", 7)),
    ];
    for (insn, expected) in table {
        assert_eq!(reason(insn), expected, "{insn:?}");
    }
}

fn atomic_op(imm: i32) -> Raw {
    asm::atomic(true, imm, 10, 2, -8)
}

#[test]
fn registers_must_exist_and_the_frame_pointer_stays() {
    let alu64 = class::ALU64;
    let fetch = atomic::ADD | atomic::FETCH;
    let by = |op, src| asm::atomic(true, op, 10, src, -8);
    let acquire = |dst, src| raw(0xdb, dst, src, 0, atomic::LOAD_ACQ);
    let release = |dst, src| raw(0xdb, dst, src, 0, atomic::STORE_REL);
    for insn in [
        alu_imm(alu64, alu::ADD, 11, 0, 0),
        alu_reg(alu64, alu::ADD, 0, 11, 0),
        raw(class::JMP | jump::JEQ, 11, 0, 0, 0),
        raw(class::JMP | jump::JEQ | 8, 0, 11, 0, 0),
        asm::load(size::W, 11, 0, 0),
        asm::load(size::W, 0, 11, 0),
        asm::store(size::W, 11, 0, 0),
        asm::store(size::W, 0, 11, 0),
        raw(class::ST | mode::MEM, 11, 0, 0, 0),
        by(atomic::ADD, 11),
        by(fetch, 11),
        asm::atomic(true, fetch, 11, 0, 0),
        acquire(0, 11),
        release(11, 0),
        release(0, 11),
        raw(LD_IMM64, 11, 0, 0, 0),
    ] {
        assert_eq!(reason(insn), Reason::Register(11), "{insn:?}");
    }
    for insn in [
        alu_imm(alu64, alu::ADD, 10, 0, 0),
        raw(alu64 | alu::NEG, 10, 0, 0, 0),
        raw(alu64 | alu::END, 10, 0, 0, 16),
        asm::load(size::W, 10, 0, 0),
        by(fetch, 10),
        by(atomic::XCHG, 10),
        acquire(10, 0),
        raw(LD_IMM64, 10, 0, 0, 0),
    ] {
        assert_eq!(reason(insn), Reason::FramePointer, "{insn:?}");
    }
    // To read it is what it is for.
    for insn in [mov(1, 10), by(atomic::ADD, 10), by(atomic::CMPXCHG, 10)] {
        verify(linked(&[insn, exit()], &[0])).expect("valid");
    }
}

#[test]
fn jumps_stay_within_their_function() {
    let conditional = |offset| raw(class::JMP32 | jump::JNE, 1, 0, offset, 0);
    let long = |imm| raw(class::JMP32 | jump::JA, 0, 0, 0, imm);
    let target = |insn| {
        let code = [mov_imm(0, 0), exit(), insn, exit(), exit()];
        refusal(&code, &[0, 2, 4])
    };
    for insn in [ja(1), conditional(1), long(1)] {
        assert_eq!(target(insn), (2, Reason::JumpOutside(4)));
    }
    for insn in [ja(-2), conditional(-2), long(-2)] {
        assert_eq!(target(insn), (2, Reason::JumpOutside(1)));
    }
    assert_eq!(target(ja(i16::MIN)), (2, Reason::JumpOutside(3 - 0x8000)));
    let far = Reason::JumpOutside(3 + i64::from(i32::MAX));
    assert_eq!(target(long(i32::MAX)), (2, far));
    let far = Reason::JumpOutside(3 + i64::from(i32::MIN));
    assert_eq!(target(long(i32::MIN)), (2, far));
}

#[test]
fn a_64_bit_immediate_is_whole() {
    let [first, second] = wide(1, u64::MAX);
    let code = [ja(1), first, second, exit()];
    let expected = (0, Reason::JumpIntoImmediate(2));
    assert_eq!(refusal(&code, &[0]), expected);
    let code = [first, second, ja(-2), exit()];
    let expected = (2, Reason::JumpIntoImmediate(1));
    assert_eq!(refusal(&code, &[0]), expected);

    let expected = (1, Reason::HalfImmediate);
    assert_eq!(refusal(&[exit(), first], &[0]), expected);
    assert_eq!(refusal(&[exit(), first, second, exit()], &[0, 2]), expected);
    for half in [
        raw(1, 0, 0, 0, 0),
        raw(0, 1, 0, 0, 0),
        raw(0, 0, 1, 0, 0),
        raw(0, 0, 0, 1, 0),
    ] {
        assert_eq!(refusal(&[exit(), first, half, exit()], &[0]), expected);
    }
    for kind in 1..=6 {
        let insn = raw(LD_IMM64, 1, kind, 0, 0);
        assert_eq!(reason(insn), Reason::KernelReference(kind));
    }
}

#[test]
fn calls_lead_to_functions_of_the_program() {
    let code = |to| [call(to), exit(), mov_imm(0, 1), exit()];
    verify(linked(&code(1), &[0, 2])).expect("valid");
    verify(linked(&code(-1), &[0, 2])).expect("recursion is allowed");
    for to in [0, 2, 3, -2, i32::MAX, i32::MIN] {
        let expected = Reason::CallOutside(1 + i64::from(to));
        assert_eq!(refusal(&code(to), &[0, 2]), (0, expected));
    }
    assert_eq!(reason(raw(CALL, 0, 0, 0, 6)), Reason::Helper(6));
    assert_eq!(reason(raw(CALL, 0, 2, 0, 6)), Reason::HelperByType);
}

#[test]
fn no_function_runs_past_its_end() {
    let conditional = raw(class::JMP | jump::JNE, 1, 0, -1, 0);
    for last in [mov_imm(0, 0), conditional, call(-2)] {
        assert_eq!(refusal(&[exit(), last], &[0]), (1, Reason::PastEnd));
        let code = [exit(), last, exit()];
        assert_eq!(refusal(&code, &[0, 2]), (1, Reason::PastEnd));
    }
    let code = [&[exit()], &wide(0, 5)[..]].concat();
    assert_eq!(refusal(&code, &[0]), (1, Reason::PastEnd));
    verify(linked(&[ja(-1)], &[0])).expect("an endless loop has no end to run past");
}

#[test]
fn a_refusal_tells_function_section_and_number() {
    let code = [exit(), exit(), raw(0xff, 0, 0, 0, 0)];
    let refused = verify(linked(&code, &[0, 1])).expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "function `f1`, section `test`, instruction 2: unknown opcode 0xff"
    );
}

/// Verifies, and runs what is valid twice over nothing but its own memory.
fn check(code: &[Raw], starts: &[usize]) {
    const BUDGET: u64 = 500;
    let Ok(module) = verify(linked(code, starts)) else {
        return;
    };
    let stack = Stack {
        frames: 4,
        frame: 64,
    };
    let arguments = memory::arguments(&[], &Args::default());
    let go = || {
        let run = Run::new(&module, stack, &[], &arguments, &Args::default());
        let ended = interpret::run(&run, &State::start(&run, BUDGET));
        run.report(ended, BUDGET)
    };
    let report = go();
    assert!(report.instructions <= BUDGET);
    if let Err(fault) = &report.result {
        assert!(fault.pc().is_some_and(|pc| pc < code.len()), "{fault}");
    }
    assert_eq!(report, go());
}

/// Instructions that are mostly valid, so that programs of several are now and then.
fn likely() -> impl Strategy<Value = Vec<Raw>> {
    let known: Vec<u8> = (0..=u8::MAX)
        .filter(|opcode| !matches!(opcode & 7, class::LD))
        .collect();
    let any = (
        prop::sample::select(known),
        0u8..11,
        0u8..11,
        -6i16..6,
        prop_oneof![-9i32..9, Just(16), Just(32), Just(64), any::<i32>()],
    );
    any.prop_map(|(opcode, dst, src, offset, imm)| {
        let insn = raw(opcode, dst, src, offset, imm);
        let forms = [
            insn,
            raw(opcode, dst, 0, 0, imm),
            raw(opcode, dst, src, 0, 0),
            raw(opcode, dst, src, offset, 0),
            raw(opcode, dst, 0, offset, imm),
            raw(opcode, 10, src, -8 * (offset & 7), imm & 0xf1),
            call(imm % 8),
            exit(),
            ja(offset),
        ];
        let valid = |insn: &&Raw| {
            let code = [vec![mov_imm(0, 0); 8], vec![**insn], vec![exit(); 8]].concat();
            verify(linked(&code, &[0])).is_ok()
        };
        match forms.iter().find(valid) {
            Some(insn) => vec![*insn],
            None => wide(dst % 10, imm as u64 * 0x1_0000_0001).to_vec(),
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_run_within_the_budget(
        bytes in prop::collection::vec(any::<[u8; SLOT_BYTES]>(), 0..20),
    ) {
        let mut code: Vec<_> = bytes.into_iter().map(Raw::from_bytes).collect();
        code.push(exit());
        check(&code, &[0]);
    }

    #[test]
    fn likely_programs_are_refused_or_run_within_the_budget(
        parts in prop::collection::vec(likely(), 1..24),
        split in 0usize..24,
    ) {
        let mut code: Vec<_> = parts.concat();
        code.push(exit());
        let split = split.min(code.len());
        let mut starts = vec![0];
        if split > 0 && split < code.len() && code[split - 1] == exit() {
            starts.push(split);
        }
        check(&code, &starts);
    }
}
