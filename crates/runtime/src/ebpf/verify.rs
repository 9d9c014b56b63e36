//! The verifier: refuses what an engine could not run, and decodes the rest.
//!
//! It checks each instruction by itself (known opcode, reserved fields zero, registers that exist
//! and may be written) and where control goes (jumps stay within their function and don't land in
//! the middle of an instruction, calls lead to functions, no function runs past its end). It does
//! not follow values: loops are allowed, since the budget ends them, and addresses are checked when
//! they are used. A register that nobody has written yet holds zero.

use super::helper::Helper;
use super::isa::{
    AtomicOp, CALL, CALL_HELPER, CALL_LOCAL, Insn, LD_IMM64, Op, R10, Raw, SOURCE_REGISTER, Width,
    ZERO, alu, atomic, class, jump, mode, size,
};
use super::module::{Functions, Linked, Module};
use std::ops::Range;

/// Why an instruction can't be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The message says it.
pub enum Reason {
    #[error("unknown opcode {0:#04x}")]
    UnknownOpcode(u8),
    #[error("opcode {0:#04x} is legacy packet access, which does not exist here")]
    PacketAccess(u8),
    #[error("opcode {0:#04x} is an indirect call, which does not exist here")]
    IndirectCall(u8),
    #[error("field `{field}` is {value} where the instruction set has no such variant")]
    Field { field: &'static str, value: i64 },
    #[error("register r{0} does not exist")]
    Register(u8),
    #[error("r10 may not be written")]
    FramePointer,
    #[error("jump to instruction {0}, outside of the function")]
    JumpOutside(i64),
    #[error("jump to instruction {0}, the second half of a 64-bit immediate")]
    JumpIntoImmediate(i64),
    #[error("the second half of the 64-bit immediate is missing or not blank")]
    HalfImmediate,
    #[error("refers to a map or variable of a kernel (kind {0}), which does not exist here")]
    KernelReference(u8),
    #[error("calls helper function {0}, which does not exist")]
    Helper(i32),
    #[error("calls a helper function by BTF identifier, which does not exist here")]
    HelperByType,
    #[error("calls instruction {0}, outside of the program")]
    CallOutside(i64),
    #[error("the function runs past its end")]
    PastEnd,
}

/// A program was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Refused {
    /// Number of the instruction slot in the program.
    pub slot: usize,
    /// The instruction in words.
    pub place: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// Checks a program and decodes it.
///
/// # Errors
/// Names the first instruction that can't be run.
pub fn verify(linked: Linked) -> Result<Module, Refused> {
    let verifier = Verifier {
        code: &linked.code,
        functions: &linked.functions,
    };
    let mut decoded = Decoded::default();
    for (_, range) in linked.functions.iter() {
        verifier
            .function(range, &mut decoded)
            .map_err(|(slot, reason)| Refused {
                slot,
                place: linked.functions.place(slot).unwrap_or_default(),
                reason,
            })?;
    }
    Ok(Module {
        entry: decoded.index(linked.entry).unwrap_or(decoded.code.len()),
        code: decoded.resolve(),
        slots: decoded.slots,
        functions: linked.functions,
        constants: linked.constants,
        variables: linked.variables,
    })
}

/// The instructions so far, without the second halves of immediates.
#[derive(Default)]
struct Decoded {
    /// Targets are slots still.
    code: Vec<Insn>,
    /// The slot of each.
    slots: Vec<u32>,
}

impl Decoded {
    /// The instruction that starts at `slot`.
    fn index(&self, slot: usize) -> Option<usize> {
        self.slots.binary_search(&(slot as u32)).ok()
    }

    /// The code with targets that are instructions. Each exists: jumps were checked, and calls lead
    /// to the start of a function.
    fn resolve(&self) -> Vec<Insn> {
        let resolved = self.code.iter().map(|&insn| match insn.op {
            op if op == Op::Call || op.is_jump() => {
                let to = self.index(insn.target()).unwrap_or(self.code.len());
                Insn {
                    offset: to as u32 as i32,
                    ..insn
                }
            }
            _ => insn,
        });
        resolved.collect()
    }
}

struct Verifier<'a> {
    code: &'a [Raw],
    functions: &'a Functions,
}

impl Verifier<'_> {
    fn function(&self, range: Range<usize>, out: &mut Decoded) -> Result<(), (usize, Reason)> {
        let first = out.code.len();
        let mut slot = range.start;
        while slot < range.end {
            let insn = self
                .instruction(slot, &range)
                .map_err(|reason| (slot, reason))?;
            out.code.push(insn);
            out.slots.push(slot as u32);
            slot += if insn.op == Op::LoadImm64 { 2 } else { 1 };
        }
        let last = out.code.last().zip(out.slots.last());
        if let Some((insn, &slot)) = last
            && !matches!(insn.op, Op::Exit | Op::Ja)
        {
            return Err((slot as usize, Reason::PastEnd));
        }
        for (insn, &slot) in out.code.iter().zip(&out.slots).skip(first) {
            if insn.op.is_jump() && out.index(insn.target()).is_none() {
                let to = insn.target() as i64 + self.shown(slot as usize);
                return Err((slot as usize, Reason::JumpIntoImmediate(to)));
            }
        }
        Ok(())
    }

    fn instruction(&self, pc: usize, function: &Range<usize>) -> Result<Insn, Reason> {
        let raw = self.code[pc];
        match raw.class() {
            class::ALU | class::ALU64 => arithmetic(raw),
            class::JMP | class::JMP32 if raw.opcode == CALL => self.call(pc, raw),
            class::JMP | class::JMP32 => self.jump(pc, raw, function),
            class::LDX => load(raw),
            class::ST | class::STX => store(raw),
            _ => self.immediate(pc, raw, function),
        }
    }

    fn jump(&self, pc: usize, raw: Raw, function: &Range<usize>) -> Result<Insn, Reason> {
        let wide = raw.class() == class::JMP;
        let code = raw.opcode & 0xf0;
        let register = raw.opcode & SOURCE_REGISTER != 0;
        let op = match code {
            jump::EXIT if wide && !register => {
                blank(raw, &[Blank::Dst, Blank::Src, Blank::Offset, Blank::Imm])?;
                return Ok(insn(Op::Exit, raw, ZERO));
            }
            jump::JA if !register => {
                let unused = if wide { Blank::Imm } else { Blank::Offset };
                blank(raw, &[Blank::Dst, Blank::Src, unused])?;
                Op::Ja
            }
            jump::CALL if wide && register => return Err(Reason::IndirectCall(raw.opcode)),
            _ => comparison(code, wide).ok_or(Reason::UnknownOpcode(raw.opcode))?,
        };
        let distance = match op {
            Op::Ja if !wide => i64::from(raw.imm),
            _ => i64::from(raw.offset),
        };
        let to = pc as i64 + 1 + distance;
        let to = usize::try_from(to)
            .ok()
            .filter(|to| function.contains(to))
            .ok_or_else(|| Reason::JumpOutside(to + self.shown(pc)))?;
        let mut insn = match op {
            Op::Ja => insn(op, raw, ZERO),
            _ => with_operand(op, raw, register)?,
        };
        readable(insn.dst)?;
        insn.offset = to as u32 as i32;
        Ok(insn)
    }

    fn call(&self, pc: usize, raw: Raw) -> Result<Insn, Reason> {
        blank(raw, &[Blank::Dst, Blank::Offset])?;
        match raw.src {
            CALL_HELPER => {
                let helper = Helper::of(raw.imm).ok_or(Reason::Helper(raw.imm))?;
                Ok(insn(Op::Helper(helper), raw, ZERO))
            }
            CALL_LOCAL => {
                let to = pc as i64 + 1 + i64::from(raw.imm);
                let to = usize::try_from(to)
                    .ok()
                    .filter(|&to| self.functions.starts_at(to))
                    .ok_or_else(|| Reason::CallOutside(to + self.shown(pc)))?;
                let mut insn = insn(Op::Call, raw, ZERO);
                insn.offset = to as u32 as i32;
                Ok(insn)
            }
            2 => Err(Reason::HelperByType),
            src => Err(field("src", src)),
        }
    }

    fn immediate(&self, pc: usize, raw: Raw, function: &Range<usize>) -> Result<Insn, Reason> {
        if matches!(raw.opcode & 0xe0, mode::ABS | mode::IND) {
            return Err(Reason::PacketAccess(raw.opcode));
        }
        if raw.opcode != LD_IMM64 {
            return Err(Reason::UnknownOpcode(raw.opcode));
        }
        blank(raw, &[Blank::Offset])?;
        writable(raw.dst)?;
        match raw.src {
            0 => {}
            kind @ 1..=6 => return Err(Reason::KernelReference(kind)),
            src => return Err(field("src", src)),
        }
        let half = Some(pc + 1)
            .filter(|next| function.contains(next))
            .map(|next| self.code[next])
            .filter(|half| (half.opcode, half.dst, half.src, half.offset) == (0, 0, 0, 0))
            .ok_or(Reason::HalfImmediate)?;
        let mut insn = insn(Op::LoadImm64, raw, ZERO);
        insn.imm = u64::from(raw.imm as u32) | u64::from(half.imm as u32) << 32;
        Ok(insn)
    }

    /// What to add to an instruction's number in the program for its number in the section.
    fn shown(&self, pc: usize) -> i64 {
        self.functions
            .containing(pc)
            .map_or(0, |f| f.first as i64 - f.start as i64)
    }
}

fn comparison(code: u8, wide: bool) -> Option<Op> {
    let (op64, op32) = match code {
        jump::JEQ => (Op::Jeq64, Op::Jeq32),
        jump::JNE => (Op::Jne64, Op::Jne32),
        jump::JGT => (Op::Jgt64, Op::Jgt32),
        jump::JGE => (Op::Jge64, Op::Jge32),
        jump::JLT => (Op::Jlt64, Op::Jlt32),
        jump::JLE => (Op::Jle64, Op::Jle32),
        jump::JSET => (Op::Jset64, Op::Jset32),
        jump::JSGT => (Op::Jsgt64, Op::Jsgt32),
        jump::JSGE => (Op::Jsge64, Op::Jsge32),
        jump::JSLT => (Op::Jslt64, Op::Jslt32),
        jump::JSLE => (Op::Jsle64, Op::Jsle32),
        _ => return None,
    };
    Some(if wide { op64 } else { op32 })
}

fn arithmetic(raw: Raw) -> Result<Insn, Reason> {
    let wide = raw.class() == class::ALU64;
    let register = raw.opcode & SOURCE_REGISTER != 0;
    let code = raw.opcode & 0xf0;
    writable(raw.dst)?;
    if code == alu::END {
        return byte_swap(raw, wide, register);
    }
    let (op64, op32) = match (code, raw.offset) {
        (alu::ADD, 0) => (Op::Add64, Op::Add32),
        (alu::SUB, 0) => (Op::Sub64, Op::Sub32),
        (alu::MUL, 0) => (Op::Mul64, Op::Mul32),
        (alu::DIV, 0) => (Op::Div64, Op::Div32),
        (alu::DIV, 1) => (Op::Sdiv64, Op::Sdiv32),
        (alu::MOD, 0) => (Op::Mod64, Op::Mod32),
        (alu::MOD, 1) => (Op::Smod64, Op::Smod32),
        (alu::OR, 0) => (Op::Or64, Op::Or32),
        (alu::AND, 0) => (Op::And64, Op::And32),
        (alu::XOR, 0) => (Op::Xor64, Op::Xor32),
        (alu::LSH, 0) => (Op::Lsh64, Op::Lsh32),
        (alu::RSH, 0) => (Op::Rsh64, Op::Rsh32),
        (alu::ARSH, 0) => (Op::Arsh64, Op::Arsh32),
        (alu::MOV, 0) => (Op::Mov64, Op::Mov32),
        (alu::MOV, 8) if register => (Op::Sext8To64, Op::Sext8To32),
        (alu::MOV, 16) if register => (Op::Sext16To64, Op::Sext16To32),
        (alu::MOV, 32) if register && wide => (Op::Sext32To64, Op::Sext32To64),
        (alu::NEG, 0) if !register => {
            blank(raw, &[Blank::Src, Blank::Imm])?;
            (Op::Neg64, Op::Neg32)
        }
        (alu::ADD..=alu::ARSH, offset) if code != alu::NEG => return Err(field("offset", offset)),
        (alu::NEG, offset) if !register => return Err(field("offset", offset)),
        _ => return Err(Reason::UnknownOpcode(raw.opcode)),
    };
    with_operand(if wide { op64 } else { op32 }, raw, register)
}

/// Conversions to little-endian keep the low bits, since this machine is little-endian: a plain
/// instruction does that.
fn byte_swap(raw: Raw, wide: bool, big: bool) -> Result<Insn, Reason> {
    if wide && big {
        return Err(Reason::UnknownOpcode(raw.opcode));
    }
    blank(raw, &[Blank::Src, Blank::Offset])?;
    let (swap, low) = match raw.imm {
        16 => (Op::Swap16, 0xffff),
        32 => (Op::Swap32, 0xffff_ffff),
        64 => (Op::Swap64, u64::MAX),
        bits => return Err(field("imm", bits)),
    };
    let mut insn = insn(swap, raw, ZERO);
    if !wide && !big {
        insn.op = Op::And64;
        insn.imm = low;
    }
    Ok(insn)
}

fn load(raw: Raw) -> Result<Insn, Reason> {
    let op = match (raw.opcode & 0xe0, raw.opcode & 0x18) {
        (mode::MEM, size::B) => Op::LoadU8,
        (mode::MEM, size::H) => Op::LoadU16,
        (mode::MEM, size::W) => Op::LoadU32,
        (mode::MEM, size::DW) => Op::LoadU64,
        (mode::MEMSX, size::B) => Op::LoadS8,
        (mode::MEMSX, size::H) => Op::LoadS16,
        (mode::MEMSX, size::W) => Op::LoadS32,
        _ => return Err(Reason::UnknownOpcode(raw.opcode)),
    };
    blank(raw, &[Blank::Imm])?;
    load_from(op, raw)
}

/// A load's address is its operand.
fn load_from(op: Op, raw: Raw) -> Result<Insn, Reason> {
    writable(raw.dst)?;
    readable(raw.src)?;
    let mut insn = insn(op, raw, raw.src);
    insn.imm = i64::from(raw.offset) as u64;
    Ok(insn)
}

fn store(raw: Raw) -> Result<Insn, Reason> {
    let register = raw.class() == class::STX;
    let width = match raw.opcode & 0x18 {
        size::B => Width::B,
        size::H => Width::H,
        size::W => Width::W,
        _ => Width::Dw,
    };
    match raw.opcode & 0xe0 {
        mode::MEM => {
            let op = match width {
                Width::B => Op::Store8,
                Width::H => Op::Store16,
                Width::W => Op::Store32,
                Width::Dw => Op::Store64,
            };
            readable(raw.dst)?;
            let mut insn = with_operand(op, raw, register)?;
            insn.offset = i32::from(raw.offset);
            Ok(insn)
        }
        mode::ATOMIC if register => atomic_access(raw, width),
        _ => Err(Reason::UnknownOpcode(raw.opcode)),
    }
}

fn atomic_access(raw: Raw, width: Width) -> Result<Insn, Reason> {
    match raw.imm {
        atomic::LOAD_ACQ => return load_from(Op::LoadAcquire(width), raw),
        atomic::STORE_REL => {
            readable(raw.dst)?;
            readable(raw.src)?;
            let mut insn = insn(Op::StoreRelease(width), raw, raw.src);
            insn.offset = i32::from(raw.offset);
            return Ok(insn);
        }
        _ => {}
    }
    const FETCH: i32 = atomic::FETCH;
    let op = match raw.imm {
        atomic::ADD => AtomicOp::Add,
        atomic::OR => AtomicOp::Or,
        atomic::AND => AtomicOp::And,
        atomic::XOR => AtomicOp::Xor,
        imm if imm == atomic::ADD | FETCH => AtomicOp::FetchAdd,
        imm if imm == atomic::OR | FETCH => AtomicOp::FetchOr,
        imm if imm == atomic::AND | FETCH => AtomicOp::FetchAnd,
        imm if imm == atomic::XOR | FETCH => AtomicOp::FetchXor,
        atomic::XCHG => AtomicOp::Xchg,
        atomic::CMPXCHG => AtomicOp::Cmpxchg,
        imm => return Err(field("imm", imm)),
    };
    let into_src = raw.imm & FETCH != 0 && op != AtomicOp::Cmpxchg;
    let op = match width {
        Width::W => Op::Atomic32(op),
        Width::Dw => Op::Atomic64(op),
        Width::B | Width::H => return Err(Reason::UnknownOpcode(raw.opcode)),
    };
    readable(raw.dst)?;
    readable(raw.src)?;
    if into_src {
        writable(raw.src)?;
    }
    let mut insn = insn(op, raw, raw.src);
    insn.offset = i32::from(raw.offset);
    Ok(insn)
}

fn insn(op: Op, raw: Raw, src: u8) -> Insn {
    Insn {
        op,
        dst: raw.dst,
        src,
        offset: 0,
        imm: 0,
    }
}

/// With a register or the immediate as the operand.
fn with_operand(op: Op, raw: Raw, register: bool) -> Result<Insn, Reason> {
    if register {
        blank(raw, &[Blank::Imm])?;
        readable(raw.src)?;
        Ok(insn(op, raw, raw.src))
    } else {
        blank(raw, &[Blank::Src])?;
        let mut insn = insn(op, raw, ZERO);
        insn.imm = i64::from(raw.imm) as u64;
        Ok(insn)
    }
}

/// Fields that an instruction does not use must be zero (section 3).
enum Blank {
    Dst,
    Src,
    Offset,
    Imm,
}

fn blank(raw: Raw, fields: &[Blank]) -> Result<(), Reason> {
    for unused in fields {
        let (name, value) = match unused {
            Blank::Dst => ("dst", i64::from(raw.dst)),
            Blank::Src => ("src", i64::from(raw.src)),
            Blank::Offset => ("offset", i64::from(raw.offset)),
            Blank::Imm => ("imm", i64::from(raw.imm)),
        };
        if value != 0 {
            return Err(field(name, value));
        }
    }
    Ok(())
}

fn field(field: &'static str, value: impl Into<i64>) -> Reason {
    Reason::Field {
        field,
        value: value.into(),
    }
}

fn readable(register: u8) -> Result<(), Reason> {
    if register > R10 {
        return Err(Reason::Register(register));
    }
    Ok(())
}

fn writable(register: u8) -> Result<(), Reason> {
    readable(register)?;
    if register == R10 {
        return Err(Reason::FramePointer);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
