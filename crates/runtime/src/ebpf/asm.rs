//! Instructions by hand, for tests.

use super::isa::{CALL, CALL_LOCAL, LD_IMM64, Raw, SOURCE_REGISTER, class, jump, mode, size};
use super::module::{Function, Functions, Linked};

pub fn raw(opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> Raw {
    Raw {
        opcode,
        dst,
        src,
        offset,
        imm,
    }
}

/// `dst = value`, in two slots.
pub fn wide(dst: u8, value: u64) -> [Raw; 2] {
    [
        raw(LD_IMM64, dst, 0, 0, value as i32),
        raw(0, 0, 0, 0, (value >> 32) as i32),
    ]
}

/// `dst = dst code imm`.
pub fn alu_imm(class: u8, code: u8, dst: u8, offset: i16, imm: i32) -> Raw {
    raw(class | code, dst, 0, offset, imm)
}

/// `dst = dst code src`.
pub fn alu_reg(class: u8, code: u8, dst: u8, src: u8, offset: i16) -> Raw {
    raw(class | code | SOURCE_REGISTER, dst, src, offset, 0)
}

pub fn mov(dst: u8, src: u8) -> Raw {
    alu_reg(class::ALU64, super::isa::alu::MOV, dst, src, 0)
}

pub fn mov_imm(dst: u8, imm: i32) -> Raw {
    alu_imm(class::ALU64, super::isa::alu::MOV, dst, 0, imm)
}

pub fn ja(offset: i16) -> Raw {
    raw(class::JMP | jump::JA, 0, 0, offset, 0)
}

pub fn call(distance: i32) -> Raw {
    raw(CALL, 0, CALL_LOCAL, 0, distance)
}

pub fn exit() -> Raw {
    raw(class::JMP | jump::EXIT, 0, 0, 0, 0)
}

pub fn load(width: u8, dst: u8, src: u8, offset: i16) -> Raw {
    raw(class::LDX | mode::MEM | width, dst, src, offset, 0)
}

pub fn store(width: u8, dst: u8, src: u8, offset: i16) -> Raw {
    raw(class::STX | mode::MEM | width, dst, src, offset, 0)
}

/// An atomic operation of 8 bytes if `wide`, else of 4.
pub fn atomic(wide: bool, op: i32, dst: u8, src: u8, offset: i16) -> Raw {
    let width = if wide { size::DW } else { size::W };
    raw(class::STX | mode::ATOMIC | width, dst, src, offset, op)
}

/// A program of functions that start at `starts`, the first one being where it starts.
pub fn linked(code: &[Raw], starts: &[usize]) -> Linked {
    let function = |&start: &usize| Function {
        name: format!("f{start}"),
        section: "test".into(),
        start,
        first: start,
    };
    Linked {
        code: code.to_vec(),
        functions: Functions::new(starts.iter().map(function).collect(), code.len()),
        entry: starts[0],
        constants: b"constants".to_vec(),
        variables: vec![1, 2, 3, 4, 5, 6, 7, 8],
    }
}
