//! Which accesses of a block can share a check of their bounds, and which need none.
//!
//! What is followed within a block is where a register's value comes from: a number that was there
//! before, plus a constant, or something between two constants. Accesses around the same number are
//! checked together, at the first of them: when the check fails the interpreter goes on from there,
//! and finds which of them it was, if any.

use crate::ebpf::isa::{Insn, Op, R10, ZERO};
use crate::ebpf::layout;
use crate::ebpf::module::Module;
use std::collections::BTreeMap;
use std::ops::Range;

/// Accesses that are further apart are not checked together.
const MAX_EXTENT: i64 = 2048;

/// How an access finds its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Always within the program's constants or variables: add this to the address, and the place
    /// of the segment.
    Constants,
    /// As above.
    Variables,
    /// Always within the function's stack frame, so many bytes from r10 on.
    Frame(i32),
    /// As part of a group, so many bytes behind the group's first.
    Group {
        /// Index into [`Accesses::groups`].
        group: usize,
        /// Bytes behind its first one.
        at: i32,
    },
}

/// Accesses that one check is enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The lowest place and the end of the highest, relative to the value that they are around.
    min: i64,
    end: i64,
    /// Whether one of them writes.
    pub write: bool,
}

impl Group {
    /// Bytes from the first to the last.
    pub fn extent(&self) -> u64 {
        (self.end - self.min) as u64
    }
}

/// The plans of a block.
#[derive(Debug, Default)]
pub struct Accesses {
    /// By instruction.
    pub plans: BTreeMap<usize, Plan>,
    /// What [`Plan::Group`] refers to.
    pub groups: Vec<Group>,
}

/// An address in an access of an instruction: base register, offset, bytes, whether it writes.
pub fn access(insn: &Insn) -> Option<(u8, i64, i64, bool)> {
    use Op::*;
    let load = |len| Some((insn.src, insn.imm as i64, len, false));
    let store = |len| Some((insn.dst, i64::from(insn.offset), len, true));
    match insn.op {
        LoadU8 | LoadS8 => load(1),
        LoadU16 | LoadS16 => load(2),
        LoadU32 | LoadS32 => load(4),
        LoadU64 => load(8),
        Store8 => store(1),
        Store16 => store(2),
        Store32 => store(4),
        Store64 => store(8),
        _ => None,
    }
}

/// What is known of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// Some number, plus a constant.
    Around { root: usize, shift: i64 },
    /// At least `low`, and at most `spread` more; that sum does not overflow.
    Between { low: u64, spread: u64 },
}

/// The root of r10.
const FRAME: usize = 0;

impl Value {
    fn exactly(low: u64) -> Self {
        Self::Between { low, spread: 0 }
    }

    fn up_to(spread: u64) -> Self {
        Self::Between { low: 0, spread }
    }

    fn constant(self) -> Option<u64> {
        match self {
            Self::Between { low, spread: 0 } => Some(low),
            _ => None,
        }
    }

    /// The sum, if it is known.
    fn plus(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Between { low, spread }, Self::Between { low: l, spread: s }) => {
                let (low, spread) = (low.checked_add(l)?, spread.checked_add(s)?);
                low.checked_add(spread)?;
                Some(Self::Between { low, spread })
            }
            (Self::Around { root, shift }, known) | (known, Self::Around { root, shift }) => {
                let shift = shift.wrapping_add(known.constant()? as i64);
                Some(Self::Around { root, shift })
            }
        }
    }

    /// With what `map` makes of its lowest and its highest number; `map` keeps their order.
    fn map(self, map: impl Fn(u64) -> Option<u64>) -> Option<Self> {
        let Self::Between { low, spread } = self else {
            return None;
        };
        let (low, high) = (map(low)?, map(low + spread)?);
        let spread = high - low;
        Some(Self::Between { low, spread })
    }
}

/// The registers of a block, as far as they are known.
struct Values {
    registers: [Value; ZERO as usize + 1],
    roots: usize,
}

impl Values {
    fn new() -> Self {
        let around = |root| Value::Around { root, shift: 0 };
        let mut registers = std::array::from_fn(|register| around(register + 1));
        registers[usize::from(R10)] = around(FRAME);
        registers[usize::from(ZERO)] = Value::exactly(0);
        Self {
            registers,
            roots: registers.len() + 1,
        }
    }

    fn unknown(&mut self) -> Value {
        self.roots += 1;
        Value::Around {
            root: self.roots,
            shift: 0,
        }
    }

    /// After `insn`.
    fn follow(&mut self, insn: &Insn) {
        use Op::*;
        let a = self.registers[usize::from(insn.dst)];
        let operand = self.registers[usize::from(insn.src)].plus(Value::exactly(insn.imm));
        let low32 = |value: Value| value.map(|x| (x <= u32::MAX.into()).then_some(x));
        let constant = operand.and_then(Value::constant);
        let value = match insn.op {
            Mov64 | LoadImm64 => operand,
            Mov32 => match constant {
                Some(imm) => Some(Value::exactly(imm & u64::from(u32::MAX))),
                None => operand
                    .and_then(low32)
                    .or(Some(Value::up_to(u32::MAX.into()))),
            },
            Add64 => operand.and_then(|b| a.plus(b)),
            Sub64 => constant.and_then(|b| match a {
                Value::Around { .. } => a.plus(Value::exactly(b.wrapping_neg())),
                Value::Between { .. } => a.map(|x| x.checked_sub(b)),
            }),
            // What rounds a pointer down keeps a pointer, around which there may be a group.
            And64 => constant
                .filter(|&mask| mask <= u32::MAX.into())
                .map(Value::up_to),
            And32 => constant.map(|mask| Value::up_to(mask & u64::from(u32::MAX))),
            Lsh64 => constant.and_then(|by| {
                let by = by & 63;
                a.map(|x| (x <= u64::MAX >> by).then_some(x << by))
            }),
            Rsh64 => constant.map(|by| {
                let by = by & 63;
                let some = a.map(|x| Some(x >> by));
                some.unwrap_or(Value::up_to(u64::MAX >> by))
            }),
            LoadU8 => Some(Value::up_to(u8::MAX.into())),
            LoadU16 | Swap16 => Some(Value::up_to(u16::MAX.into())),
            LoadU32 | Swap32 | Add32 | Sub32 | Mul32 | Div32 | Sdiv32 | Mod32 | Smod32 | Or32
            | Xor32 | Lsh32 | Rsh32 | Arsh32 | Neg32 | Sext8To32 | Sext16To32 => {
                Some(Value::up_to(u32::MAX.into()))
            }
            _ => None,
        };
        let (_, writes) = super::flow::registers(insn);
        for register in (0..R10).filter(|register| writes & 1 << register != 0) {
            let known = value.filter(|_| register == insn.dst);
            self.registers[usize::from(register)] = known.unwrap_or_else(|| self.unknown());
        }
    }
}

impl Accesses {
    /// Of the instructions `block`, with stack frames of `frame` bytes.
    pub fn of(module: &Module, block: Range<usize>, frame: usize) -> Self {
        let mut accesses = Self::default();
        let mut values = Values::new();
        // The group that is open around a root.
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        for index in block {
            let insn = &module.code[index];
            if let Some((base, offset, len, write)) = access(insn) {
                let value = values.registers[usize::from(base)];
                let plan = always(module, value, offset, len, write, frame)
                    .unwrap_or_else(|| accesses.group(&mut open, value, offset, len, write));
                accesses.plans.insert(index, plan);
            }
            values.follow(insn);
        }
        accesses.settle();
        accesses
    }

    /// Adds an access to the group around its root, or begins one. [`Plan::Group::at`] is relative to
    /// the root until [`settle`](Self::settle).
    fn group(
        &mut self,
        open: &mut BTreeMap<usize, usize>,
        value: Value,
        offset: i64,
        len: i64,
        write: bool,
    ) -> Plan {
        let (root, shift) = match value {
            Value::Around { root, shift } => (Some(root), shift),
            Value::Between { .. } => (None, 0),
        };
        // Far from its root an access is alone, with itself for a root.
        let place = i64::from(shift as i32);
        let near = place == shift && place.unsigned_abs() < 1 << 30;
        let (root, min) = match root.filter(|_| near) {
            Some(root) => (Some(root), shift + offset),
            None => (None, offset),
        };
        let end = min + len;
        let joined = root.and_then(|root| open.get(&root)).copied();
        if let Some(group) = joined {
            let known = &mut self.groups[group];
            let (low, high) = (known.min.min(min), known.end.max(end));
            if high - low <= MAX_EXTENT {
                (known.min, known.end) = (low, high);
                known.write |= write;
                let at = min as i32;
                return Plan::Group { group, at };
            }
        }
        let group = self.groups.len();
        self.groups.push(Group { min, end, write });
        if let Some(root) = root {
            open.insert(root, group);
        }
        let at = min as i32;
        Plan::Group { group, at }
    }

    /// All groups are complete now.
    fn settle(&mut self) {
        for plan in self.plans.values_mut() {
            if let Plan::Group { group, at } = plan {
                *at -= self.groups[*group].min as i32;
            }
        }
    }
}

/// The plan of an access that can't go wrong.
fn always(
    module: &Module,
    value: Value,
    offset: i64,
    len: i64,
    write: bool,
    frame: usize,
) -> Option<Plan> {
    match value {
        Value::Around { root, shift } => {
            let at = shift.checked_add(offset)?;
            let inside = root == FRAME && at >= -(frame as i64) && at + len <= 0;
            inside.then_some(Plan::Frame(at as i32))
        }
        Value::Between { low, spread } => {
            let first = low.checked_add_signed(offset)?;
            let end = first.checked_add(spread)?.checked_add(len as u64)?;
            let within = |start: u64, bytes: &[u8]| {
                first >= start && end <= start + bytes.len() as u64 && end >= first
            };
            if within(layout::VARIABLES, &module.variables) {
                Some(Plan::Variables)
            } else if !write && within(layout::CONSTANTS, &module.constants) {
                Some(Plan::Constants)
            } else {
                None
            }
        }
    }
}
