//! The interpreter: the reference for what a program means.
//!
//! What every engine has to reproduce exactly, besides the instructions' results:
//! - *Count*: each instruction that is begun counts one, also the one that faults; a 64-bit
//!   immediate is one instruction. With a budget of n, exactly n are run, and the fault names the
//!   one that wasn't. A helper costs more than its call (see [`helper`](super::helper)); where the
//!   budget does not suffice for that, all of it is used up, and the fault names the call.
//! - *Registers*: at the start of a function r1–r5 hold its arguments, r10 the end of its stack
//!   frame, and the others zero. After a call r0 is the result, r6–r10 are as before, and r1–r5 zero.
//! - *Stack*: it grows down, one frame per nested function, and is zero at the start of a run.

use super::helper::{self, Helper, Refusal};
use super::isa::{AtomicOp, Insn, Op, Width};
use super::memory::Memory;
use super::module::Module;
use super::run::{Ended, Run, Stack, State};
use crate::Fault;
use std::slice;

/// What a call keeps for its return.
struct Frame {
    back: usize,
    saved: [u64; 4],
}

/// r0–r10 and the zero; as many as a byte can number, so that no index is out of bounds.
type Padded = [u64; 256];

/// A stretch of code, up to where the budget ends or the code does. To know both from the one
/// comparison that finds the end is what makes exact counting cheap.
struct Stretch<'a> {
    rest: slice::Iter<'a, Insn>,
    /// Index of the end.
    end: usize,
    /// Budget for what comes after the end.
    beyond: u64,
}

impl<'a> Stretch<'a> {
    #[inline(always)]
    fn new(code: &'a [Insn], start: usize, budget: u64) -> Self {
        let code = code.get(start..).unwrap_or_default();
        let len = budget.min(code.len() as u64) as usize;
        Self {
            rest: code[..len].iter(),
            end: start + len,
            beyond: budget - len as u64,
        }
    }

    /// The instruction after the one that was taken last.
    #[inline(always)]
    fn next(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Budget that is left.
    #[inline(always)]
    fn budget(&self) -> u64 {
        self.beyond + self.rest.len() as u64
    }
}

/// What ends a run before the program does.
enum Trouble {
    /// The end of a stretch.
    End,
    /// At that address, so many bytes.
    Access(u64, u64),
    Stack,
    Unaligned,
    /// Of a helper.
    Refused(Refusal),
}

impl Trouble {
    /// As a fault of the instruction before `next`, the one that was begun last.
    #[cold]
    fn at(self, next: usize, budget: u64, module: &Module, stack: Stack) -> Fault {
        let pc = module.slot(next.saturating_sub(1));
        match self {
            // The verifier leaves no way past the end, but nothing bad happens if there were one.
            Self::End if budget > 0 => Fault::Instruction {
                pc,
                what: "the program ends here",
            },
            Self::End => Fault::Budget {
                pc: Some(module.slot(next)),
            },
            Self::Access(address, len) | Self::Refused(Refusal::Access(address, len)) => {
                Fault::Access { pc, address, len }
            }
            Self::Refused(Refusal::Argument(what)) => Fault::Instruction { pc, what },
            Self::Refused(Refusal::Read(error)) => Fault::Read { pc, error },
            Self::Refused(Refusal::Budget) => Fault::Budget { pc: Some(pc) },
            Self::Stack => Fault::Stack {
                pc,
                limit: stack.frames,
            },
            Self::Unaligned => Fault::Instruction {
                pc,
                what: "atomic access to an address that is not aligned",
            },
        }
    }
}

/// Runs from `state` on, until the function returns that is then the current one.
#[must_use]
pub fn run(run: &Run<'_>, state: &State) -> Ended {
    let (module, memory, stack) = (run.module, &run.memory, run.stack);
    let code = module.code.as_slice();
    let mut frames: Vec<Frame> = Vec::new();
    let mut r: Padded = [0; 256];
    r[..state.registers.len()].copy_from_slice(&state.registers);
    let mut stretch = Stretch::new(code, state.next, state.budget);

    let result = loop {
        let Some(insn) = stretch.rest.next() else {
            break Err(Trouble::End);
        };
        let dst = usize::from(insn.dst);
        let a = r[dst];
        let b = r[usize::from(insn.src)].wrapping_add(insn.imm);

        macro_rules! alu32 {
            ($value:expr) => {
                r[dst] = u64::from($value as u32)
            };
        }
        macro_rules! go_to {
            ($target:expr) => {
                stretch = Stretch::new(code, $target, stretch.budget())
            };
        }
        macro_rules! jump_if {
            ($condition:expr) => {
                if $condition {
                    go_to!(insn.target());
                }
            };
        }
        macro_rules! load {
            ($word:ty as $extended:ty) => {
                match memory.load::<$word>(b) {
                    Some(value) => r[dst] = value as $extended as u64,
                    None => break Err(Trouble::Access(b, size_of::<$word>() as u64)),
                }
            };
        }
        macro_rules! store {
            ($word:ty) => {{
                let address = a.wrapping_add(i64::from(insn.offset) as u64);
                if memory.store(address, b as $word).is_none() {
                    break Err(Trouble::Access(address, size_of::<$word>() as u64));
                }
            }};
        }

        match insn.op {
            Op::Add64 => r[dst] = a.wrapping_add(b),
            Op::Sub64 => r[dst] = a.wrapping_sub(b),
            Op::Mul64 => r[dst] = a.wrapping_mul(b),
            Op::Div64 => r[dst] = a.checked_div(b).unwrap_or(0),
            Op::Sdiv64 => r[dst] = sdiv(a as i64, b as i64) as u64,
            Op::Mod64 => r[dst] = a.checked_rem(b).unwrap_or(a),
            Op::Smod64 => r[dst] = smod(a as i64, b as i64) as u64,
            Op::Or64 => r[dst] = a | b,
            Op::And64 => r[dst] = a & b,
            Op::Xor64 => r[dst] = a ^ b,
            Op::Lsh64 => r[dst] = a.wrapping_shl(b as u32),
            Op::Rsh64 => r[dst] = a.wrapping_shr(b as u32),
            Op::Arsh64 => r[dst] = (a as i64).wrapping_shr(b as u32) as u64,
            Op::Mov64 => r[dst] = b,
            Op::LoadImm64 => r[dst] = insn.imm,
            Op::Neg64 => r[dst] = a.wrapping_neg(),

            Op::Add32 => alu32!(a.wrapping_add(b)),
            Op::Sub32 => alu32!(a.wrapping_sub(b)),
            Op::Mul32 => alu32!(a.wrapping_mul(b)),
            Op::Div32 => alu32!((a as u32).checked_div(b as u32).unwrap_or(0)),
            Op::Sdiv32 => alu32!(sdiv(i64::from(a as i32), i64::from(b as i32))),
            Op::Mod32 => alu32!((a as u32).checked_rem(b as u32).unwrap_or(a as u32)),
            Op::Smod32 => alu32!(smod(i64::from(a as i32), i64::from(b as i32))),
            Op::Or32 => alu32!(a | b),
            Op::And32 => alu32!(a & b),
            Op::Xor32 => alu32!(a ^ b),
            Op::Lsh32 => alu32!((a as u32).wrapping_shl(b as u32)),
            Op::Rsh32 => alu32!((a as u32).wrapping_shr(b as u32)),
            Op::Arsh32 => alu32!((a as i32).wrapping_shr(b as u32)),
            Op::Mov32 => alu32!(b),
            Op::Neg32 => alu32!((a as u32).wrapping_neg()),

            Op::Sext8To64 => r[dst] = b as i8 as u64,
            Op::Sext16To64 => r[dst] = b as i16 as u64,
            Op::Sext32To64 => r[dst] = b as i32 as u64,
            Op::Sext8To32 => alu32!(b as i8),
            Op::Sext16To32 => alu32!(b as i16),
            Op::Swap16 => r[dst] = u64::from((a as u16).swap_bytes()),
            Op::Swap32 => r[dst] = u64::from((a as u32).swap_bytes()),
            Op::Swap64 => r[dst] = a.swap_bytes(),

            Op::Ja => go_to!(insn.target()),
            Op::Jeq64 => jump_if!(a == b),
            Op::Jne64 => jump_if!(a != b),
            Op::Jgt64 => jump_if!(a > b),
            Op::Jge64 => jump_if!(a >= b),
            Op::Jlt64 => jump_if!(a < b),
            Op::Jle64 => jump_if!(a <= b),
            Op::Jsgt64 => jump_if!(a as i64 > b as i64),
            Op::Jsge64 => jump_if!(a as i64 >= b as i64),
            Op::Jslt64 => jump_if!((a as i64) < b as i64),
            Op::Jsle64 => jump_if!(a as i64 <= b as i64),
            Op::Jset64 => jump_if!(a & b != 0),
            Op::Jeq32 => jump_if!(a as u32 == b as u32),
            Op::Jne32 => jump_if!(a as u32 != b as u32),
            Op::Jgt32 => jump_if!(a as u32 > b as u32),
            Op::Jge32 => jump_if!(a as u32 >= b as u32),
            Op::Jlt32 => jump_if!((a as u32) < b as u32),
            Op::Jle32 => jump_if!(a as u32 <= b as u32),
            Op::Jsgt32 => jump_if!(a as i32 > b as i32),
            Op::Jsge32 => jump_if!(a as i32 >= b as i32),
            Op::Jslt32 => jump_if!((a as i32) < b as i32),
            Op::Jsle32 => jump_if!(a as i32 <= b as i32),
            Op::Jset32 => jump_if!(a as u32 & b as u32 != 0),

            Op::Call => {
                if state.nested + frames.len() + 1 >= stack.frames {
                    break Err(Trouble::Stack);
                }
                frames.push(Frame {
                    back: stretch.next(),
                    saved: [r[6], r[7], r[8], r[9]],
                });
                r[0] = 0;
                r[6..10].fill(0);
                r[10] -= stack.frame as u64;
                go_to!(insn.target());
            }
            Op::Exit => {
                let Some(frame) = frames.pop() else {
                    break Ok(r[0]);
                };
                r[1..6].fill(0);
                r[6..10].copy_from_slice(&frame.saved);
                r[10] += stack.frame as u64;
                go_to!(frame.back);
            }

            Op::LoadU8 => load!(u8 as u64),
            Op::LoadU16 => load!(u16 as u64),
            Op::LoadU32 => load!(u32 as u64),
            Op::LoadU64 => load!(u64 as u64),
            Op::LoadS8 => load!(u8 as i8),
            Op::LoadS16 => load!(u16 as i16),
            Op::LoadS32 => load!(u32 as i32),
            Op::Store8 => store!(u8),
            Op::Store16 => store!(u16),
            Op::Store32 => store!(u32),
            Op::Store64 => store!(u64),

            Op::Atomic32(_) | Op::Atomic64(_) | Op::LoadAcquire(_) | Op::StoreRelease(_) => {
                if let Err(trouble) = synchronise(insn, &mut r, memory) {
                    break Err(trouble);
                }
            }
            Op::Helper(helper) => {
                let mut budget = stretch.budget();
                let done = assist(helper, &mut r, run, &mut budget);
                stretch = Stretch::new(code, stretch.next(), budget);
                if let Err(trouble) = done {
                    break Err(trouble);
                }
            }
        }
    };
    let (next, left) = (stretch.next(), stretch.budget());
    Ended {
        result: result.map_err(|trouble| trouble.at(next, left, module, stack)),
        left,
    }
}

/// Runs the one instruction that is next in `state`, which already paid for it: what generated code
/// leaves to the interpreter, namely atomic accesses and calls of helpers.
///
/// # Errors
/// With its fault.
pub fn step(run: &Run<'_>, state: &mut State) -> Result<(), Fault> {
    let Some(insn) = run.module.code.get(state.next) else {
        return Err(Trouble::End.at(state.next, state.budget, run.module, run.stack));
    };
    state.next += 1;
    let done = match insn.op {
        Op::Helper(helper) => assist(helper, &mut state.registers, run, &mut state.budget),
        _ => synchronise(insn, &mut state.registers, &run.memory),
    };
    done.map_err(|trouble| trouble.at(state.next, state.budget, run.module, run.stack))
}

/// A call of a helper, as its caller sees it.
fn assist(helper: Helper, r: &mut [u64], run: &Run<'_>, budget: &mut u64) -> Result<(), Trouble> {
    let args = [r[1], r[2], r[3], r[4], r[5]];
    r[0] = helper::call(helper, args, run, budget).map_err(Trouble::Refused)?;
    r[1..6].fill(0);
    Ok(())
}

fn sdiv(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}

fn smod(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { a.wrapping_rem(b) }
}

/// Atomic operations and ordered accesses: aligned, or a fault.
fn synchronise(insn: &Insn, r: &mut [u64], memory: &Memory<'_>) -> Result<(), Trouble> {
    let dst = usize::from(insn.dst);
    let src = usize::from(insn.src);
    let (address, len) = match insn.op {
        Op::LoadAcquire(width) => (r[src].wrapping_add(insn.imm), bytes(width)),
        Op::StoreRelease(width) => (stored_at(insn, r), bytes(width)),
        Op::Atomic32(_) => (stored_at(insn, r), 4),
        _ => (stored_at(insn, r), 8),
    };
    if !address.is_multiple_of(len) {
        return Err(Trouble::Unaligned);
    }
    let value = r[src];
    let expected = r[0];
    let done = match insn.op {
        Op::LoadAcquire(width) => match width {
            Width::B => memory.load_acquire::<u8>(address).map(u64::from),
            Width::H => memory.load_acquire::<u16>(address).map(u64::from),
            Width::W => memory.load_acquire::<u32>(address).map(u64::from),
            Width::Dw => memory.load_acquire::<u64>(address),
        }
        .map(|value| r[dst] = value),
        Op::StoreRelease(width) => match width {
            Width::B => memory.store_release(address, value as u8),
            Width::H => memory.store_release(address, value as u16),
            Width::W => memory.store_release(address, value as u32),
            Width::Dw => memory.store_release(address, value),
        },
        Op::Atomic32(op) => memory
            .update32(address, |old| {
                combine(op, old.into(), value as u32 as u64, expected as u32 as u64) as u32
            })
            .map(|old| fetched(op, r, src, old.into())),
        Op::Atomic64(op) => memory
            .update64(address, |old| combine(op, old, value, expected))
            .map(|old| fetched(op, r, src, old)),
        _ => None,
    };
    done.ok_or(Trouble::Access(address, len))
}

fn stored_at(insn: &Insn, r: &[u64]) -> u64 {
    r[usize::from(insn.dst)].wrapping_add(i64::from(insn.offset) as u64)
}

fn bytes(width: Width) -> u64 {
    match width {
        Width::B => 1,
        Width::H => 2,
        Width::W => 4,
        Width::Dw => 8,
    }
}

fn combine(op: AtomicOp, old: u64, value: u64, expected: u64) -> u64 {
    match op {
        AtomicOp::Add | AtomicOp::FetchAdd => old.wrapping_add(value),
        AtomicOp::Or | AtomicOp::FetchOr => old | value,
        AtomicOp::And | AtomicOp::FetchAnd => old & value,
        AtomicOp::Xor | AtomicOp::FetchXor => old ^ value,
        AtomicOp::Xchg => value,
        AtomicOp::Cmpxchg if old == expected => value,
        AtomicOp::Cmpxchg => old,
    }
}

fn fetched(op: AtomicOp, r: &mut [u64], src: usize, old: u64) {
    match op {
        AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {}
        AtomicOp::Cmpxchg => r[0] = old,
        _ => r[src] = old,
    }
}

#[cfg(test)]
mod tests;
