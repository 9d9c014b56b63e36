//! One function of a program as Cranelift's intermediate code.
//!
//! A function takes the [`Context`], the budget, r10 and r1–r5, and returns r0 and the budget that is
//! left, or [`FAILED`]. Each block pays for all its instructions when it begins. What can go wrong,
//! from a budget that does not suffice to a bad address, is left to the interpreter: it runs the
//! function to its end from the instruction at which the trouble is, and so finds the very fault,
//! count and address that it would have found without the compiler.

use super::access::{Accesses, Group, Plan, access};
use super::context::{Cache, Context, FAILED, Site};
use super::flow::{Flow, Set, is_left_out, registers};
use crate::ebpf::isa::{Insn, Op, R10, ZERO};
use crate::ebpf::layout;
use crate::ebpf::module::Module;
use crate::ebpf::run::Stack;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{
    AliasRegion, AliasRegionData, Block, FuncRef, InstBuilder, MemFlagsData, Value,
};
use cranelift_frontend::{FunctionBuilder, Variable};
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ops::Range;

/// Functions outside of the one that is translated.
pub struct Outside<'a> {
    /// Has [`context::find`](super::context::find) put its answer into the context, and leaves all
    /// registers as they are.
    pub find: FuncRef,
    /// [`context::step`](super::context::step).
    pub step: FuncRef,
    /// [`context::finish`](super::context::finish).
    pub finish: FuncRef,
    /// Declares the program's function that begins at an instruction.
    pub function: &'a mut dyn FnMut(&mut FunctionBuilder<'_>, usize) -> Option<FuncRef>,
}

/// What is the same for all functions of a program.
pub struct Program<'a> {
    pub module: &'a Module,
    pub stack: Stack,
    /// What the caches of bounds checks are for: each function adds its own.
    pub sites: Vec<Site>,
}

/// Translates the instructions `function` into the body of `builder`'s function.
pub fn translate<'a>(
    program: &'a mut Program<'_>,
    function: Range<usize>,
    mut builder: FunctionBuilder<'_>,
    outside: Outside<'a>,
    frontend: cranelift_codegen::isa::TargetFrontendConfig,
) {
    let flow = Flow::of(program.module, function.clone());
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let [context, fuel, r10, arguments @ ..] = builder.block_params(entry) else {
        return;
    };
    let (context, budget, r10, arguments) = (*context, *fuel, *r10, arguments.to_vec());
    let mut region = |user_id, description: &'static str| {
        let description = description.into();
        let regions = &mut builder.func.dfg.alias_regions;
        regions.insert(AliasRegionData {
            user_id,
            description,
        })
    };
    let (of_program, of_engine) = (region(0, "program"), region(1, "engine"));
    let fuel = builder.declare_var(I64);
    builder.def_var(fuel, budget);
    let variables: [Variable; R10 as usize] = std::array::from_fn(|_| builder.declare_var(I64));
    let zero = builder.ins().iconst(I64, 0);
    for (number, &variable) in variables.iter().enumerate() {
        let argument = number.checked_sub(1).and_then(|i| arguments.get(i));
        builder.def_var(variable, argument.copied().unwrap_or(zero));
    }
    let mut translator = Translator {
        code: &program.module.code,
        module: program.module,
        stack: program.stack,
        sites: &mut program.sites,
        blocks: BTreeMap::new(),
        registers: variables,
        fuel,
        context,
        caches: zero,
        r10,
        of_program,
        of_engine,
        outside,
        builder,
    };
    translator.caches = translator.constant_field(offset_of!(Context<'_>, caches));
    for &start in flow.blocks.keys() {
        let block = translator.builder.create_block();
        translator.blocks.insert(start, block);
    }
    if let Some(&first) = translator.blocks.get(&function.start) {
        translator.builder.ins().jump(first, &[]);
    }
    for (&start, range) in &flow.blocks {
        translator.block(range.clone(), &flow, start);
    }
    let mut builder = translator.builder;
    builder.seal_all_blocks();
    builder.finalize(frontend);
}

struct Translator<'a, 'b> {
    code: &'a [Insn],
    module: &'a Module,
    stack: Stack,
    sites: &'a mut Vec<Site>,
    blocks: BTreeMap<usize, Block>,
    registers: [Variable; R10 as usize],
    fuel: Variable,
    context: Value,
    /// Where the caches of bounds checks are.
    caches: Value,
    r10: Value,
    /// Memory that the program can touch, and memory that it can't.
    of_program: AliasRegion,
    of_engine: AliasRegion,
    outside: Outside<'a>,
    builder: FunctionBuilder<'b>,
}

/// Where translation is in a block.
struct Place<'a> {
    index: usize,
    /// Instructions of the block from this one on, which are paid for.
    rest: i64,
    /// The registers that are wanted here.
    wanted: Set,
    groups: &'a [Group],
}

impl Translator<'_, '_> {
    fn block(&mut self, range: Range<usize>, flow: &Flow, start: usize) {
        let (Some(&block), code) = (self.blocks.get(&start), self.code) else {
            return;
        };
        let wanted = flow.wanted(start, code);
        let accesses = Accesses::of(self.module, range.clone(), self.stack.frame);
        let cost = range.len() as i64;
        self.builder.switch_to_block(block);
        let fuel = self.builder.use_var(self.fuel);
        let short = self
            .builder
            .ins()
            .icmp_imm_s(IntCC::SignedLessThan, fuel, cost);
        let set = wanted.last().copied().unwrap_or_default();
        self.leave_if(short, range.start, set, fuel);
        let left = self.builder.ins().iadd_imm_s(fuel, -cost);
        self.builder.def_var(self.fuel, left);

        // Where the first byte of each group is, once it was checked.
        let mut hosts = vec![None; accesses.groups.len()];
        for (index, &wanted) in range.clone().zip(wanted.iter().rev()) {
            let place = Place {
                index,
                rest: (range.end - index) as i64,
                wanted,
                groups: &accesses.groups,
            };
            let insn = &code[index];
            match accesses.plans.get(&index) {
                Some(&plan) => self.memory(insn, plan, &mut hosts, &place),
                None => self.instruction(insn, &place),
            }
        }
        let last = &code[range.end - 1];
        if !last.op.is_jump() && last.op != Op::Exit {
            self.go_to(range.end);
        }
    }

    fn go_to(&mut self, index: usize) {
        match self.blocks.get(&index) {
            Some(&block) => {
                self.builder.ins().jump(block, &[]);
            }
            // The verifier leaves no way past the end; the interpreter knows what to say there.
            None => {
                let fuel = self.builder.use_var(self.fuel);
                self.leave(index, 0, fuel);
            }
        }
    }

    fn register(&mut self, register: u8) -> Value {
        match self.registers.get(usize::from(register)) {
            Some(&variable) => self.builder.use_var(variable),
            None if register == R10 => self.r10,
            None => self.builder.ins().iconst(I64, 0),
        }
    }

    fn set(&mut self, register: u8, value: Value) {
        if let Some(&variable) = self.registers.get(usize::from(register)) {
            self.builder.def_var(variable, value);
        }
    }

    /// The second operand.
    fn operand(&mut self, insn: &Insn) -> Value {
        match (insn.src, insn.imm) {
            (ZERO, imm) => self.builder.ins().iconst(I64, imm as i64),
            (src, 0) => self.register(src),
            (src, imm) => {
                let value = self.register(src);
                self.builder.ins().iadd_imm_s(value, imm as i64)
            }
        }
    }

    fn engine_flags(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_alias_region(Some(self.of_engine))
    }

    /// A field of the context that never changes.
    fn constant_field(&mut self, offset: usize) -> Value {
        let flags = self.engine_flags().with_readonly().with_can_move();
        let context = self.context;
        let offset = Offset32::new(offset as i32);
        self.builder.ins().load(I64, flags, context, offset)
    }

    fn register_field(register: u8) -> Offset32 {
        let offset = offset_of!(Context<'_>, registers) + usize::from(register) * 8;
        Offset32::new(offset as i32)
    }

    /// Writes the registers of `set` to the context.
    fn spill(&mut self, set: Set) {
        for register in (0..=R10).filter(|register| set & 1 << register != 0) {
            let value = self.register(register);
            let (flags, context) = (self.engine_flags(), self.context);
            let field = Self::register_field(register);
            self.builder.ins().store(flags, value, context, field);
        }
    }

    fn filled(&mut self, register: u8) -> Value {
        let (flags, context) = (self.engine_flags(), self.context);
        let field = Self::register_field(register);
        self.builder.ins().load(I64, flags, context, field)
    }

    /// Has the interpreter finish the function, from the instruction `index` on and with a budget
    /// of `fuel`, and returns what comes of it.
    fn leave(&mut self, index: usize, wanted: Set, fuel: Value) {
        self.spill(wanted | 1 << R10);
        let index = self.builder.ins().iconst(I64, index as i64);
        let arguments = [self.context, index, fuel];
        let call = self.builder.ins().call(self.outside.finish, &arguments);
        let left = self.builder.inst_results(call)[0];
        let result = self.filled(0);
        self.builder.ins().return_(&[result, left]);
    }

    /// [`leave`](Self::leave)s if `trouble` is not zero.
    fn leave_if(&mut self, trouble: Value, index: usize, wanted: Set, fuel: Value) {
        let (out, on) = (self.cold_block(), self.builder.create_block());
        self.builder.ins().brif(trouble, out, &[], on, &[]);
        self.enter(out);
        self.leave(index, wanted, fuel);
        self.enter(on);
    }

    fn cold_block(&mut self) -> Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }

    /// Goes on in a block that all ways to are there already.
    fn enter(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// Ends the function where a call in it has failed.
    fn propagate(&mut self, fuel: Value) {
        let (out, on) = (self.cold_block(), self.builder.create_block());
        let failed = self
            .builder
            .ins()
            .icmp_imm_s(IntCC::SignedLessThan, fuel, 0);
        self.builder.ins().brif(failed, out, &[], on, &[]);
        self.enter(out);
        let zero = self.builder.ins().iconst(I64, 0);
        let failed = self.builder.ins().iconst(I64, FAILED);
        self.builder.ins().return_(&[zero, failed]);
        self.enter(on);
        self.builder.def_var(self.fuel, fuel);
    }

    /// The budget before the instruction at `place`, which has been paid for with its block.
    fn refunded(&mut self, place: &Place<'_>) -> Value {
        let fuel = self.builder.use_var(self.fuel);
        self.builder.ins().iadd_imm_s(fuel, place.rest)
    }

    /// A load or store.
    fn memory(&mut self, insn: &Insn, plan: Plan, hosts: &mut [Option<Value>], place: &Place<'_>) {
        let Some((base, offset, _, _)) = access(insn) else {
            return;
        };
        let (host, at) = match plan {
            Plan::Frame(at) => {
                let stack = self.constant_field(offset_of!(Context<'_>, stack));
                let frame = self
                    .builder
                    .ins()
                    .iadd_imm_s(self.r10, -(layout::STACK as i64));
                (self.builder.ins().iadd(stack, frame), at)
            }
            Plan::Variables => {
                let field = offset_of!(Context<'_>, variables);
                (self.within(field, layout::VARIABLES, base, offset), 0)
            }
            Plan::Constants => {
                let field = offset_of!(Context<'_>, constants);
                (self.within(field, layout::CONSTANTS, base, offset), 0)
            }
            Plan::Group { group, at } => {
                let host = match hosts.get(group).copied().flatten() {
                    Some(host) => host,
                    None => {
                        let base = self.register(base);
                        let first = offset - i64::from(at);
                        let first = self.builder.ins().iadd_imm_s(base, first);
                        let host = self.checked(first, place.groups[group], place);
                        hosts[group] = Some(host);
                        host
                    }
                };
                (host, at)
            }
        };
        self.transfer(insn, host, Offset32::new(at));
    }

    /// Where the address `base + offset` is, in the segment at `start` whose place is in `field`.
    fn within(&mut self, field: usize, start: u64, base: u8, offset: i64) -> Value {
        let segment = self.constant_field(field);
        let base = self.register(base);
        let offset = offset.wrapping_sub(start as i64);
        let offset = self.builder.ins().iadd_imm_s(base, offset);
        self.builder.ins().iadd(segment, offset)
    }

    /// Where the bytes of `group` are, the first of which is at `address`.
    fn checked(&mut self, address: Value, group: Group, place: &Place<'_>) -> Value {
        let site = self.sites.len();
        self.sites.push(Site {
            extent: group.extent(),
            write: group.write,
        });
        let cache = |field: usize| Offset32::new((site * size_of::<Cache>() + field) as i32);
        let (flags, caches) = (self.engine_flags(), self.caches);
        let ins = |builder: &mut FunctionBuilder<'_>, field| {
            builder.ins().load(I64, flags, caches, cache(field))
        };
        let start = ins(&mut self.builder, offset_of!(Cache, start));
        let offset = self.builder.ins().isub(address, start);
        let limit = ins(&mut self.builder, offset_of!(Cache, limit));
        let hit = self
            .builder
            .ins()
            .icmp(IntCC::UnsignedLessThan, offset, limit);
        let host = ins(&mut self.builder, offset_of!(Cache, host));
        let host = self.builder.ins().iadd(offset, host);

        let (miss, out) = (self.cold_block(), self.cold_block());
        let on = self.builder.create_block();
        let found = self.builder.append_block_param(on, I64);
        self.builder.ins().brif(hit, on, &[host.into()], miss, &[]);
        self.enter(miss);
        let site = self.builder.ins().iconst(I64, site as i64);
        let arguments = [self.context, site, address];
        self.builder.ins().call(self.outside.find, &arguments);
        let field = Offset32::new(offset_of!(Context<'_>, found) as i32);
        let (flags, context) = (self.engine_flags(), self.context);
        let host = self.builder.ins().load(I64, flags, context, field);
        self.builder.ins().brif(host, on, &[host.into()], out, &[]);
        self.enter(out);
        let fuel = self.refunded(place);
        self.leave(place.index, place.wanted, fuel);
        self.enter(on);
        found
    }

    fn transfer(&mut self, insn: &Insn, host: Value, at: Offset32) {
        // Other parties may change device memory meanwhile, and nothing is aligned.
        let flags = MemFlagsData::new()
            .with_notrap()
            .with_alias_region(Some(self.of_program));
        let stored = matches!(
            insn.op,
            Op::Store8 | Op::Store16 | Op::Store32 | Op::Store64
        );
        if stored {
            let value = self.operand(insn);
            let ins = self.builder.ins();
            match insn.op {
                Op::Store8 => ins.istore8(flags, value, host, at),
                Op::Store16 => ins.istore16(flags, value, host, at),
                Op::Store32 => ins.istore32(flags, value, host, at),
                _ => ins.store(flags, value, host, at),
            };
            return;
        }
        let ins = self.builder.ins();
        let value = match insn.op {
            Op::LoadU8 => ins.uload8(I64, flags, host, at),
            Op::LoadU16 => ins.uload16(I64, flags, host, at),
            Op::LoadU32 => ins.uload32(flags, host, at),
            Op::LoadS8 => ins.sload8(I64, flags, host, at),
            Op::LoadS16 => ins.sload16(I64, flags, host, at),
            Op::LoadS32 => ins.sload32(flags, host, at),
            _ => ins.load(I64, flags, host, at),
        };
        self.set(insn.dst, value);
    }

    /// Anything but a load or store.
    fn instruction(&mut self, insn: &Insn, place: &Place<'_>) {
        match insn.op {
            Op::Call => self.call(insn, place),
            Op::Exit => {
                let result = self.register(0);
                let fuel = self.builder.use_var(self.fuel);
                self.builder.ins().return_(&[result, fuel]);
            }
            Op::Ja => self.go_to(insn.target()),
            op if op.is_jump() => self.jump(insn, place.index),
            op if is_left_out(op) => self.step(insn, place),
            _ => self.arithmetic(insn),
        }
    }

    fn call(&mut self, insn: &Insn, place: &Place<'_>) {
        let target = insn.target();
        let Some(callee) = (self.outside.function)(&mut self.builder, target) else {
            let fuel = self.refunded(place);
            self.leave(place.index, place.wanted, fuel);
            let unreachable = self.builder.create_block();
            self.enter(unreachable);
            return;
        };
        // The last frame that a function may have begins at the start of the stack.
        let frame = self.stack.frame as i64;
        let last = layout::STACK as i64 + frame;
        let deep = self
            .builder
            .ins()
            .icmp_imm_u(IntCC::UnsignedLessThanOrEqual, self.r10, last);
        let fuel = self.refunded(place);
        self.leave_if(deep, place.index, place.wanted, fuel);
        let fuel = self.builder.use_var(self.fuel);
        let r10 = self.builder.ins().iadd_imm_s(self.r10, -frame);
        let mut arguments = vec![self.context, fuel, r10];
        arguments.extend((1..=5).map(|register| self.register(register)));
        let call = self.builder.ins().call(callee, &arguments);
        let &[result, fuel] = self.builder.inst_results(call) else {
            return;
        };
        self.set(0, result);
        self.clear_arguments();
        self.propagate(fuel);
    }

    fn clear_arguments(&mut self) {
        let zero = self.builder.ins().iconst(I64, 0);
        for register in 1..=5 {
            self.set(register, zero);
        }
    }

    /// Has the interpreter do one instruction.
    fn step(&mut self, insn: &Insn, place: &Place<'_>) {
        let (reads, writes) = registers(insn);
        self.spill(reads);
        let index = self.builder.ins().iconst(I64, place.index as i64);
        let fuel = self.builder.use_var(self.fuel);
        let arguments = [self.context, index, fuel];
        let call = self.builder.ins().call(self.outside.step, &arguments);
        let fuel = self.builder.inst_results(call)[0];
        for register in (0..R10).filter(|register| writes & 1 << register != 0) {
            let value = self.filled(register);
            self.set(register, value);
        }
        self.propagate(fuel);
    }

    fn jump(&mut self, insn: &Insn, index: usize) {
        let (mut a, mut b) = (self.register(insn.dst), self.operand(insn));
        use IntCC::*;
        use Op::*;
        let (condition, narrow) = match insn.op {
            Jeq64 => (Some(Equal), false),
            Jne64 => (Some(NotEqual), false),
            Jgt64 => (Some(UnsignedGreaterThan), false),
            Jge64 => (Some(UnsignedGreaterThanOrEqual), false),
            Jlt64 => (Some(UnsignedLessThan), false),
            Jle64 => (Some(UnsignedLessThanOrEqual), false),
            Jsgt64 => (Some(SignedGreaterThan), false),
            Jsge64 => (Some(SignedGreaterThanOrEqual), false),
            Jslt64 => (Some(SignedLessThan), false),
            Jsle64 => (Some(SignedLessThanOrEqual), false),
            Jset64 => (None, false),
            Jeq32 => (Some(Equal), true),
            Jne32 => (Some(NotEqual), true),
            Jgt32 => (Some(UnsignedGreaterThan), true),
            Jge32 => (Some(UnsignedGreaterThanOrEqual), true),
            Jlt32 => (Some(UnsignedLessThan), true),
            Jle32 => (Some(UnsignedLessThanOrEqual), true),
            Jsgt32 => (Some(SignedGreaterThan), true),
            Jsge32 => (Some(SignedGreaterThanOrEqual), true),
            Jslt32 => (Some(SignedLessThan), true),
            Jsle32 => (Some(SignedLessThanOrEqual), true),
            _ => (None, true),
        };
        if narrow {
            a = self.builder.ins().ireduce(I32, a);
            b = self.builder.ins().ireduce(I32, b);
        }
        let taken = match condition {
            Some(condition) => self.builder.ins().icmp(condition, a, b),
            None => self.builder.ins().band(a, b),
        };
        match (
            self.blocks.get(&insn.target()),
            self.blocks.get(&(index + 1)),
        ) {
            (Some(&there), Some(&next)) => {
                self.builder.ins().brif(taken, there, &[], next, &[]);
            }
            // The verifier leaves no such way.
            _ => self.go_to(usize::MAX),
        }
    }

    fn arithmetic(&mut self, insn: &Insn) {
        use Op::*;
        let (a, b) = (self.register(insn.dst), self.operand(insn));
        let narrow = matches!(
            insn.op,
            Add32
                | Sub32
                | Mul32
                | Div32
                | Sdiv32
                | Mod32
                | Smod32
                | Or32
                | And32
                | Xor32
                | Lsh32
                | Rsh32
                | Arsh32
                | Mov32
                | Neg32
                | Sext8To32
                | Sext16To32
                | Swap32
        );
        let value = if narrow {
            let a = self.builder.ins().ireduce(I32, a);
            let b = self.builder.ins().ireduce(I32, b);
            let value = self.operate(insn.op, a, b, I32);
            self.builder.ins().uextend(I64, value)
        } else {
            self.operate(insn.op, a, b, I64)
        };
        self.set(insn.dst, value);
    }

    /// `a op b`, both of which are of type `ty`, as is the result.
    fn operate(&mut self, op: Op, a: Value, b: Value, ty: cranelift_codegen::ir::Type) -> Value {
        use Op::*;
        let ins = self.builder.ins();
        match op {
            Add64 | Add32 => ins.iadd(a, b),
            Sub64 | Sub32 => ins.isub(a, b),
            Mul64 | Mul32 => ins.imul(a, b),
            Or64 | Or32 => ins.bor(a, b),
            And64 | And32 => ins.band(a, b),
            Xor64 | Xor32 => ins.bxor(a, b),
            // The count is taken modulo the width, as eBPF does.
            Lsh64 | Lsh32 => ins.ishl(a, b),
            Rsh64 | Rsh32 => ins.ushr(a, b),
            Arsh64 | Arsh32 => ins.sshr(a, b),
            Neg64 | Neg32 => ins.ineg(a),
            Swap64 | Swap32 => ins.bswap(a),
            Swap16 => {
                let low = ins.ireduce(I16, a);
                let swapped = self.builder.ins().bswap(low);
                self.builder.ins().uextend(ty, swapped)
            }
            Sext8To64 | Sext8To32 => self.extend(I8, b, ty),
            Sext16To64 | Sext16To32 => self.extend(I16, b, ty),
            Sext32To64 => self.extend(I32, b, ty),
            Div64 | Div32 | Mod64 | Mod32 | Sdiv64 | Sdiv32 | Smod64 | Smod32 => {
                self.divide(op, a, b, ty)
            }
            // Mov64, Mov32, LoadImm64. No other operation comes here.
            _ => b,
        }
    }

    fn extend(
        &mut self,
        from: cranelift_codegen::ir::Type,
        value: Value,
        to: cranelift_codegen::ir::Type,
    ) -> Value {
        let low = self.builder.ins().ireduce(from, value);
        self.builder.ins().sextend(to, low)
    }

    /// Division by zero gives 0 and leaves the whole remainder; the smallest number divided by -1
    /// is itself. The processor's own division traps at both, so it gets 1 to divide by instead.
    fn divide(&mut self, op: Op, a: Value, b: Value, ty: cranelift_codegen::ir::Type) -> Value {
        use Op::*;
        let zero = self.builder.ins().iconst(ty, 0);
        let one = self.builder.ins().iconst(ty, 1);
        let by_zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let mut by = self.builder.ins().select(by_zero, one, b);
        let signed = matches!(op, Sdiv64 | Sdiv32 | Smod64 | Smod32);
        let negates = self.builder.ins().icmp_imm_s(IntCC::Equal, b, -1);
        if signed {
            by = self.builder.ins().select(negates, one, by);
        }
        match op {
            Div64 | Div32 => {
                let quotient = self.builder.ins().udiv(a, by);
                self.builder.ins().select(by_zero, zero, quotient)
            }
            Mod64 | Mod32 => {
                let rest = self.builder.ins().urem(a, by);
                self.builder.ins().select(by_zero, a, rest)
            }
            Sdiv64 | Sdiv32 => {
                let quotient = self.builder.ins().sdiv(a, by);
                let negative = self.builder.ins().ineg(a);
                let quotient = self.builder.ins().select(negates, negative, quotient);
                self.builder.ins().select(by_zero, zero, quotient)
            }
            _ => {
                let rest = self.builder.ins().srem(a, by);
                self.builder.ins().select(by_zero, a, rest)
            }
        }
    }
}
