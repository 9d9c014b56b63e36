//! The instruction set (RFC 9669), as it is encoded and as it is run.
//!
//! [`Raw`] is what an object file holds: eight bytes with fields that mean different things in
//! different instructions. [`Insn`] is what the verifier makes of it, and all that an engine
//! (the interpreter today, a compiler later) has to know: one operation per variant, jump targets
//! as absolute numbers, and one way to name an operand.
//!
//! Not implemented, and refused by the verifier: legacy packet access (section 5.5), helper
//! functions by BTF identifier, maps and platform variables (section 5.4), indirect calls.

use super::helper::Helper;

/// Instruction classes, bits 0–2 of the opcode (section 3.1).
pub mod class {
    #![allow(missing_docs)] // The RFC's own names.
    pub const LD: u8 = 0;
    pub const LDX: u8 = 1;
    pub const ST: u8 = 2;
    pub const STX: u8 = 3;
    pub const ALU: u8 = 4;
    pub const JMP: u8 = 5;
    pub const JMP32: u8 = 6;
    pub const ALU64: u8 = 7;
}

/// Arithmetic codes, bits 4–7 of the opcode (section 4.1).
pub mod alu {
    #![allow(missing_docs)] // The RFC's own names.
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    pub const END: u8 = 0xd0;
}

/// Jump codes, bits 4–7 of the opcode (section 4.3).
pub mod jump {
    #![allow(missing_docs)] // The RFC's own names.
    pub const JA: u8 = 0x00;
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const CALL: u8 = 0x80;
    pub const EXIT: u8 = 0x90;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
}

/// Modes of a load or store, bits 5–7 of the opcode (section 5).
pub mod mode {
    #![allow(missing_docs)] // The RFC's own names.
    pub const IMM: u8 = 0x00;
    pub const ABS: u8 = 0x20;
    pub const IND: u8 = 0x40;
    pub const MEM: u8 = 0x60;
    pub const MEMSX: u8 = 0x80;
    pub const ATOMIC: u8 = 0xc0;
}

/// Sizes of a load or store, bits 3–4 of the opcode (section 5).
pub mod size {
    #![allow(missing_docs)] // The RFC's own names.
    pub const W: u8 = 0x00;
    pub const H: u8 = 0x08;
    pub const B: u8 = 0x10;
    pub const DW: u8 = 0x18;
}

/// Atomic operations, the `imm` of an atomic instruction (section 5.3; the last two are newer than
/// the RFC, clang emits them from version 21 on).
pub mod atomic {
    #![allow(missing_docs)] // The RFC's own names.
    pub const FETCH: i32 = 0x01;
    pub const ADD: i32 = 0x00;
    pub const OR: i32 = 0x40;
    pub const AND: i32 = 0x50;
    pub const XOR: i32 = 0xa0;
    pub const XCHG: i32 = 0xe0 | FETCH;
    pub const CMPXCHG: i32 = 0xf0 | FETCH;
    pub const LOAD_ACQ: i32 = 0x100;
    pub const STORE_REL: i32 = 0x110;
}

/// Bit 3 of an arithmetic or jump opcode: the second operand is a register.
pub const SOURCE_REGISTER: u8 = 0x08;
/// Opcode of the instruction with a 64-bit immediate, the only one that takes two slots.
pub const LD_IMM64: u8 = class::LD | mode::IMM | size::DW;
/// `src` of a call of a helper function (section 4.3.1).
pub const CALL_HELPER: u8 = 0;
/// Opcode of a call.
pub const CALL: u8 = class::JMP | jump::CALL;
/// `src` of a call within the program (section 4.3.2).
pub const CALL_LOCAL: u8 = 1;
/// The frame pointer: read-only, the end of the function's stack frame.
pub const R10: u8 = 10;
/// Bytes of an instruction slot.
pub const SLOT_BYTES: usize = 8;

/// One instruction slot as encoded (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Class, and what the class makes of the other bits.
    pub opcode: u8,
    /// Destination register, 0–15 as encoded.
    pub dst: u8,
    /// Source register or a kind, 0–15 as encoded.
    pub src: u8,
    /// Signed offset, in bytes or instructions.
    pub offset: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Raw {
    /// Decodes a slot.
    #[must_use]
    pub fn from_bytes(b: [u8; SLOT_BYTES]) -> Self {
        Self {
            opcode: b[0],
            dst: b[1] & 15,
            src: b[1] >> 4,
            offset: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Encodes a slot.
    #[cfg(test)]
    pub fn to_bytes(self) -> [u8; SLOT_BYTES] {
        let [o0, o1] = self.offset.to_le_bytes();
        let [i0, i1, i2, i3] = self.imm.to_le_bytes();
        [
            self.opcode,
            self.dst & 15 | self.src << 4,
            o0,
            o1,
            i0,
            i1,
            i2,
            i3,
        ]
    }

    /// Bits 0–2 of the opcode.
    #[must_use]
    pub fn class(self) -> u8 {
        self.opcode & 0x07
    }

    /// Whether this calls a function of the program itself.
    #[must_use]
    pub fn is_local_call(self) -> bool {
        self.opcode == CALL && self.src == CALL_LOCAL
    }
}

/// Width of an access that is not spelled out as a variant of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    B,
    /// 2 bytes.
    H,
    /// 4 bytes.
    W,
    /// 8 bytes.
    Dw,
}

/// What an atomic operation does to a word in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub enum AtomicOp {
    /// `*a = *a op src`.
    Add, Or, And, Xor,
    /// As above, and the old value into `src`.
    FetchAdd, FetchOr, FetchAnd, FetchXor,
    /// `*a = src`, and the old value into `src`.
    Xchg,
    /// `*a = src` if it was `r0`; the old value into `r0` in either case.
    Cmpxchg,
}

/// An operation. `dst` and `operand` are the [`Insn`]'s; the suffix is the width in bits, and what
/// is done in 32 bits clears the upper half of `dst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub enum Op {
    /// `dst = dst op operand`. Division by zero gives 0, the remainder then is `dst`; the smallest
    /// number divided by -1 is itself, without remainder; shifts count modulo the width.
    Add64, Sub64, Mul64, Div64, Sdiv64, Mod64, Smod64, Or64, And64, Xor64, Lsh64, Rsh64, Arsh64,
    /// As above, in 32 bits.
    Add32, Sub32, Mul32, Div32, Sdiv32, Mod32, Smod32, Or32, And32, Xor32, Lsh32, Rsh32, Arsh32,
    /// `dst = operand`.
    Mov64, Mov32,
    /// `dst = imm`, all 64 bits of it.
    LoadImm64,
    /// `dst = operand`, of which the low 8, 16 or 32 bits count, sign-extended to 64 or 32 bits.
    Sext8To64, Sext16To64, Sext32To64, Sext8To32, Sext16To32,
    /// `dst = -dst`.
    Neg64, Neg32,
    /// The bytes of the low 16, 32 or 64 bits of `dst` reversed; the bits above are cleared.
    Swap16, Swap32, Swap64,

    /// Continue at [`Insn::target`].
    Ja,
    /// Continue there if `dst` compares so with `operand`; the plain ones are unsigned, those with
    /// an S signed, and `Set` asks for common bits.
    Jeq64, Jne64, Jgt64, Jge64, Jlt64, Jle64, Jsgt64, Jsge64, Jslt64, Jsle64, Jset64,
    /// As above, on the low 32 bits.
    Jeq32, Jne32, Jgt32, Jge32, Jlt32, Jle32, Jsgt32, Jsge32, Jslt32, Jsle32, Jset32,
    /// Call the function at [`Insn::target`].
    Call,
    /// `r0` = what a function of the drive's makes of r1–r5; those are zero then.
    Helper(Helper),
    /// Return to the caller, or end the program.
    Exit,

    /// `dst` = what is at address `operand`, zero-extended.
    LoadU8, LoadU16, LoadU32, LoadU64,
    /// As above, sign-extended to 64 bits.
    LoadS8, LoadS16, LoadS32,
    /// What is at address `dst + offset` = the low bits of `operand`.
    Store8, Store16, Store32, Store64,
    /// On the word at address `dst + offset`, with the register `src`.
    Atomic32(AtomicOp), Atomic64(AtomicOp),
    /// `dst` = what is at address `operand`, zero-extended; no later access comes before it.
    LoadAcquire(Width),
    /// What is at address `dst + offset` = `operand`; no earlier access comes after it.
    StoreRelease(Width),
}

impl Op {
    /// Whether it is a jump: calls and exits are none.
    #[must_use]
    #[rustfmt::skip]
    pub fn is_jump(self) -> bool {
        use Op::*;
        matches!(
            self,
            Ja | Jeq64 | Jne64 | Jgt64 | Jge64 | Jlt64 | Jle64
                | Jsgt64 | Jsge64 | Jslt64 | Jsle64 | Jset64
                | Jeq32 | Jne32 | Jgt32 | Jge32 | Jlt32 | Jle32
                | Jsgt32 | Jsge32 | Jslt32 | Jsle32 | Jset32
        )
    }
}

/// One instruction, checked and ready to run.
///
/// The second operand is always `registers[src] + imm`: a register operand has an `imm` of 0, an
/// immediate has [`ZERO`] for `src`, and the address of a load has both. So an engine needs no
/// variants for where an operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// What to do.
    pub op: Op,
    /// The register that is changed, compared, or the base of a store's address: 0–10.
    pub dst: u8,
    /// The register part of the operand: 0–10, or [`ZERO`].
    pub src: u8,
    /// Bytes to add to a store's address; for jumps and calls, see [`target`](Self::target).
    pub offset: i32,
    /// The immediate part of the operand, sign-extended.
    pub imm: u64,
}

/// A register besides r0–r10 that always holds zero.
pub const ZERO: u8 = 11;

impl Insn {
    /// Index of the instruction that a jump or call leads to.
    #[must_use]
    pub fn target(&self) -> usize {
        self.offset as u32 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_survive_a_round_trip() {
        let bytes = [0x7b, 0xa1, 0xf8, 0xff, 1, 2, 3, 0x84];
        let raw = Raw::from_bytes(bytes);
        assert_eq!((raw.dst, raw.src, raw.offset), (1, 10, -8));
        assert_eq!(raw.to_bytes(), bytes);
    }

    #[test]
    fn an_instruction_is_small_enough_for_four_in_a_cache_line() {
        assert_eq!(size_of::<Insn>(), 16);
    }
}
