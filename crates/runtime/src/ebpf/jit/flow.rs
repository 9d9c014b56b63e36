//! What control does in a function: its basic blocks, and which registers are still wanted where.

use crate::ebpf::isa::{AtomicOp, Insn, Op, ZERO};
use crate::ebpf::module::Module;
use std::collections::BTreeMap;
use std::ops::Range;

/// A set of registers, one bit for each.
pub type Set = u16;

/// r0–r5, what a call may change.
const CHANGED: Set = 0b11_1111;
/// r1–r5, what a call is given.
const GIVEN: Set = CHANGED & !1;

/// A function's instructions, cut where control comes in or goes out.
#[derive(Debug)]
pub struct Flow {
    /// The instructions of each block, by its first one.
    pub blocks: BTreeMap<usize, Range<usize>>,
    /// Registers that are wanted when a block begins.
    live: BTreeMap<usize, Set>,
}

impl Flow {
    /// Of the instructions `function`, which are a function of `module`.
    pub fn of(module: &Module, function: Range<usize>) -> Self {
        let mut starts = vec![function.start];
        for index in function.clone() {
            let insn = &module.code[index];
            if ends_block(insn.op) {
                starts.push(index + 1);
            }
            starts.extend(jump_target(insn));
        }
        starts.retain(|start| function.contains(start));
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).copied().chain([function.end]);
        let blocks = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| (start, start..end));
        let mut flow = Self {
            blocks: blocks.collect(),
            live: BTreeMap::new(),
        };
        flow.solve(&module.code);
        flow
    }

    /// Where control goes from the end of `block`.
    fn successors(&self, block: &Range<usize>, code: &[Insn]) -> impl Iterator<Item = usize> {
        let last = &code[block.end - 1];
        let next = (!matches!(last.op, Op::Ja | Op::Exit)).then_some(block.end);
        jump_target(last).into_iter().chain(next)
    }

    /// A register is wanted where some way leads to its use and not to a new value first. Sets only
    /// grow, so that no block is looked at more often than there are registers.
    fn solve(&mut self, code: &[Insn]) {
        let mut before: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (&start, block) in &self.blocks {
            for to in self.successors(block, code) {
                before.entry(to).or_default().push(start);
            }
        }
        let mut open: Vec<usize> = self.blocks.keys().copied().collect();
        while let Some(start) = open.pop() {
            let live = self.wanted(start, code).last().copied().unwrap_or_default();
            if self.live.insert(start, live) != Some(live) {
                open.extend(before.get(&start).into_iter().flatten());
            }
        }
    }

    /// The registers that are wanted before each instruction of the block at `start`, the last
    /// instruction first.
    pub fn wanted(&self, start: usize, code: &[Insn]) -> Vec<Set> {
        let Some(block) = self.blocks.get(&start) else {
            return Vec::new();
        };
        let ends = self
            .successors(block, code)
            .filter_map(|to| self.live.get(&to));
        let mut live = ends.fold(0, |live, set| live | set);
        let insns = code[block.clone()].iter().rev();
        insns
            .map(|insn| {
                let (reads, writes) = registers(insn);
                live = live & !writes | reads;
                live
            })
            .collect()
    }
}

/// Whether a block ends behind such an instruction: control may go elsewhere, or the budget be
/// another one.
fn ends_block(op: Op) -> bool {
    use Op::*;
    matches!(op, Call | Helper(_) | Exit) || op.is_jump() || is_left_out(op)
}

/// Whether generated code asks the interpreter to do such an instruction.
pub fn is_left_out(op: Op) -> bool {
    use Op::*;
    matches!(
        op,
        Helper(_) | Atomic32(_) | Atomic64(_) | LoadAcquire(_) | StoreRelease(_)
    )
}

fn jump_target(insn: &Insn) -> Option<usize> {
    insn.op.is_jump().then(|| insn.target())
}

/// The registers that an instruction reads and those that it writes; r10, which never changes, may
/// be among the first.
pub fn registers(insn: &Insn) -> (Set, Set) {
    use Op::*;
    let bit = |register: u8| if register < ZERO { 1 << register } else { 0 };
    let (dst, src) = (bit(insn.dst), bit(insn.src));
    match insn.op {
        Exit => (1, 0),
        Call | Helper(_) => (GIVEN, CHANGED),
        Ja => (0, 0),
        op if op.is_jump() => (dst | src, 0),
        Mov64 | Mov32 | LoadImm64 | Sext8To64 | Sext16To64 | Sext32To64 | Sext8To32
        | Sext16To32 | LoadU8 | LoadU16 | LoadU32 | LoadU64 | LoadS8 | LoadS16 | LoadS32
        | LoadAcquire(_) => (src, dst),
        Store8 | Store16 | Store32 | Store64 | StoreRelease(_) => (dst | src, 0),
        Atomic32(op) | Atomic64(op) => match op {
            AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => (dst | src, 0),
            AtomicOp::Cmpxchg => (dst | src | 1, 1),
            _ => (dst | src, src),
        },
        _ => (dst | src, dst),
    }
}
