//! A program's machine code: made, run, freed.

use super::context::{self, Cache, Context, Site};
use super::translate::{Outside, Program, translate};
use super::{MAX_INSTRUCTIONS, MAX_STACK};
use crate::ebpf::layout;
use crate::ebpf::module::Module;
use crate::ebpf::room::{Reserved, Room};
use crate::ebpf::run::{Ended, Run, Stack};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, FuncRef, Function, InstBuilder, MemFlagsData, Signature, UserFuncName,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_codegen::settings::{self, Configurable as _};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{ArenaMemoryProvider, JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module as _, default_libcall_names};
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A program is not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Too large.
    #[error("{0} instructions are too many to be compiled")]
    Size(usize),
    /// Its functions would need too much of the thread's stack.
    #[error("functions need {0} bytes of stack")]
    Stack(usize),
    /// The compiler does not know this machine.
    #[error("{0}")]
    Machine(String),
    /// Other programs have the space, see [`Room`].
    #[error("there is no more room for compiled programs")]
    Room,
    /// The operating system gives no more address space.
    #[error("address space for a compiled program: {0}")]
    Map(String),
    /// The compiler failed.
    #[error(transparent)]
    Module(Box<cranelift_module::ModuleError>),
    /// The compiler panicked.
    #[error("the compiler panicked")]
    Panic,
}

impl CompileError {
    /// Whether the same program may be compiled later, when others are gone.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Room | Self::Map(_))
    }
}

impl From<cranelift_module::ModuleError> for CompileError {
    fn from(error: cranelift_module::ModuleError) -> Self {
        Self::Module(Box::new(error))
    }
}

/// Runs the program from its entry on: r0 is then in the context, and what is left of the budget
/// comes back.
type Entry = unsafe extern "C" fn(*mut Context<'_>, i64) -> i64;

/// A compiled program.
pub struct Native {
    entry: Entry,
    sites: Vec<Site>,
    /// Owns the memory that `entry` is in. It can be written or executed, but never both.
    code: ManuallyDrop<JITModule>,
    /// Given back when the memory is, which [`Drop::drop`] frees before any field is dropped.
    _reserved: Reserved,
}

// SAFETY: after `compile` the module is not touched any more until it is dropped; what it contains
// besides the memory of the code is owned by it alone, and the code itself is only read.
unsafe impl Send for Native {}
// SAFETY: as above: a shared reference gives access to `entry` and `sites` only.
unsafe impl Sync for Native {}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: it is taken once, here.
        let code = unsafe { ManuallyDrop::take(&mut self.code) };
        // SAFETY: nobody runs it, since running borrows `self`, and nobody else knows `entry`.
        unsafe { code.free_memory() };
    }
}

impl Native {
    /// Compiles `module` for this machine.
    ///
    /// # Errors
    /// The program is to be interpreted then.
    pub fn compile(
        module: &Module,
        stack: Stack,
        room: &'static Room,
    ) -> Result<Self, CompileError> {
        if module.code.len() > MAX_INSTRUCTIONS || stack.frame == 0 {
            return Err(CompileError::Size(module.code.len()));
        }
        let bytes = ROOM + module.code.len() * ROOM_PER_INSTRUCTION;
        let reserved = room.reserve(bytes).ok_or(CompileError::Room)?;
        // A mistake in the compiler must not be one that a guest can use to stop the drive.
        let compile = || Compiler::new(bytes)?.compile(module, stack, reserved);
        catch_unwind(AssertUnwindSafe(compile)).unwrap_or(Err(CompileError::Panic))
    }

    /// Runs the program.
    pub fn run(&self, run: &Run<'_>, budget: u64) -> Ended {
        let mut caches = vec![Cache::default(); self.sites.len()];
        // Nobody can run so many.
        let fuel = i64::try_from(budget).unwrap_or(i64::MAX);
        let mut context = Context::new(run, &self.sites, &mut caches);
        // SAFETY: `entry` was generated for this signature, and its memory lives as long as `self`.
        // It touches the context, its caches, and what its bounds checks allow: the segments of
        // `run.memory`, whose bytes are mapped or owned as long as `run` lives. Bytes of device
        // memory may be changed by others at the same time: machine code loads what it finds, once,
        // and no Rust reference to them exists. Device memory is the drive's own, which no
        // one can truncate. The registers that it needs are saved by the calling convention.
        let left = unsafe { (self.entry)(&raw mut context, fuel) };
        let mut ended = context.ended(left);
        ended.left += budget - fuel as u64;
        ended
    }
}

/// Address space for a program's code, in bytes, and more for each of its instructions: several
/// times what any has needed. A program that needs more is interpreted.
const ROOM: usize = 1 << 20;
const ROOM_PER_INSTRUCTION: usize = 1 << 10;

/// How far a call reaches on 64-bit Arm; on x86-64 it is farther. The code generator gives up with
/// a panic where a call can't reach, so all functions of a program lie within this distance.
const REACH: usize = 128 << 20;
const _: () = assert!(ROOM + MAX_INSTRUCTIONS * ROOM_PER_INSTRUCTION < REACH);

/// Code and the functions in it.
struct Compiler {
    code: JITModule,
    context: cranelift_codegen::Context,
    frontend: FunctionBuilderContext,
    /// By the instruction that they begin with.
    functions: BTreeMap<usize, FuncId>,
    /// See [`Compiler::missed`].
    missed: Option<FuncId>,
}

impl Compiler {
    /// With `room` bytes of address space.
    fn new(room: usize) -> Result<Self, CompileError> {
        let mut builder = JITBuilder::with_isa(machine()?, default_libcall_names());
        // One piece of the address space, of which only what is used becomes memory: see `REACH`.
        let memory = ArenaMemoryProvider::new_with_size(room);
        let memory = memory.map_err(|error| CompileError::Map(error.to_string()))?;
        builder.memory_provider(Box::new(memory));
        builder.symbol("find", context::find as *const u8);
        builder.symbol("step", context::step as *const u8);
        builder.symbol("finish", context::finish as *const u8);
        let code = JITModule::new(builder);
        Ok(Self {
            context: code.make_context(),
            frontend: FunctionBuilderContext::new(),
            functions: BTreeMap::new(),
            missed: None,
            code,
        })
    }

    fn signature(&self, parameters: usize, results: usize) -> Signature {
        let mut signature = self.code.make_signature();
        signature.params = vec![AbiParam::new(I64); parameters];
        signature.returns = vec![AbiParam::new(I64); results];
        signature
    }

    fn compile(
        mut self,
        module: &Module,
        stack: Stack,
        reserved: Reserved,
    ) -> Result<Native, CompileError> {
        match self.build(module, stack) {
            Ok((entry, sites)) => {
                let entry = self.code.get_finalized_function(entry);
                // SAFETY: the function at that address has this signature, see `trampoline`.
                let entry = unsafe { std::mem::transmute::<*const u8, Entry>(entry) };
                let code = ManuallyDrop::new(self.code);
                Ok(Native {
                    entry,
                    sites,
                    code,
                    _reserved: reserved,
                })
            }
            Err(error) => {
                // SAFETY: none of it ever ran.
                unsafe { self.code.free_memory() };
                Err(error)
            }
        }
    }

    fn build(
        &mut self,
        module: &Module,
        stack: Stack,
    ) -> Result<(FuncId, Vec<Site>), CompileError> {
        let signature = self.signature(8, 2);
        let ranges = functions(module);
        for range in &ranges {
            let name = format!("f{}", range.start);
            let id = self
                .code
                .declare_function(&name, Linkage::Local, &signature)?;
            self.functions.insert(range.start, id);
        }
        self.missed = Some(self.missed()?);
        let mut program = Program {
            module,
            stack,
            sites: Vec::new(),
        };
        for range in ranges {
            let needs = self.function(&mut program, range, &signature)?;
            if needs.saturating_mul(stack.frames) > MAX_STACK {
                return Err(CompileError::Stack(needs));
            }
        }
        let entry = self.trampoline(module, stack)?;
        self.code.finalize_definitions()?;
        Ok((entry, program.sites))
    }

    /// Compiles one function; how many bytes of the thread's stack it needs.
    fn function(
        &mut self,
        program: &mut Program<'_>,
        range: Range<usize>,
        signature: &Signature,
    ) -> Result<usize, CompileError> {
        let known = self.functions.get(&range.start).zip(self.missed);
        let Some((&id, missed)) = known else {
            return Err(CompileError::Size(range.start));
        };
        let name = UserFuncName::user(0, id.as_u32());
        let mut function = Function::with_name_signature(name, signature.clone());
        let find = self.code.declare_func_in_func(missed, &mut function);
        let step = self.import("step", &mut function)?;
        let finish = self.import("finish", &mut function)?;
        let config = self.code.target_config();
        let (code, functions) = (&mut self.code, &self.functions);
        let mut declared = BTreeMap::new();
        let mut callee = |builder: &mut FunctionBuilder<'_>, start: usize| {
            if let Some(&known) = declared.get(&start) {
                return Some(known);
            }
            let callee = code.declare_func_in_func(*functions.get(&start)?, builder.func);
            declared.insert(start, callee);
            Some(callee)
        };
        let outside = Outside {
            find,
            step,
            finish,
            function: &mut callee,
        };
        let builder = FunctionBuilder::new(&mut function, &mut self.frontend);
        translate(program, range, builder, outside, config);
        self.define(id, function)
    }

    /// Declares a function of [`context`]. All of them have the same signature.
    fn import(&mut self, name: &str, into: &mut Function) -> Result<FuncRef, CompileError> {
        let signature = self.signature(3, 1);
        let id = self
            .code
            .declare_function(name, Linkage::Import, &signature)?;
        Ok(self.code.declare_func_in_func(id, into))
    }

    /// The way to [`context::find`]. A check that misses its cache goes on where one that hits it
    /// does: if the call changed registers, both would have to keep everything on the stack.
    fn missed(&mut self) -> Result<FuncId, CompileError> {
        let mut signature = self.signature(3, 0);
        signature.call_conv = CallConv::PreserveAll;
        let id = self
            .code
            .declare_function("missed", Linkage::Local, &signature)?;
        let name = UserFuncName::user(0, id.as_u32());
        let mut function = Function::with_name_signature(name, signature);
        let find = self.import("find", &mut function)?;
        let mut builder = FunctionBuilder::new(&mut function, &mut self.frontend);
        let block = builder.create_block();
        builder.append_block_params_for_function_params(block);
        builder.switch_to_block(block);
        let arguments = builder.block_params(block).to_vec();
        let call = builder.ins().call(find, &arguments);
        let found = builder.inst_results(call)[0];
        let flags = MemFlagsData::trusted();
        let field = std::mem::offset_of!(Context<'_>, found) as i32;
        builder.ins().store(flags, found, arguments[0], field);
        builder.ins().return_(&[]);
        builder.seal_all_blocks();
        builder.finalize(self.code.target_config());
        self.define(id, function)?;
        Ok(id)
    }

    fn define(&mut self, id: FuncId, function: Function) -> Result<usize, CompileError> {
        self.context.clear();
        self.context.func = function;
        self.code.define_function(id, &mut self.context)?;
        let compiled = self.context.compiled_code();
        let layout = compiled.and_then(|compiled| compiled.buffer.frame_layout());
        // Besides its frame a call takes what it saves of its caller's.
        const SAVED: usize = 128;
        Ok(layout.map_or(usize::MAX, |layout| {
            layout.frame_to_fp_offset as usize + SAVED
        }))
    }

    /// The function that Rust calls.
    fn trampoline(&mut self, module: &Module, stack: Stack) -> Result<FuncId, CompileError> {
        let signature = self.signature(2, 1);
        let id = self
            .code
            .declare_function("entry", Linkage::Local, &signature)?;
        let name = UserFuncName::user(0, id.as_u32());
        let mut function = Function::with_name_signature(name, signature);
        let Some(&first) = self.functions.get(&module.entry) else {
            return Err(CompileError::Size(module.entry));
        };
        let first = self.code.declare_func_in_func(first, &mut function);
        let mut builder = FunctionBuilder::new(&mut function, &mut self.frontend);
        let block = builder.create_block();
        builder.append_block_params_for_function_params(block);
        builder.switch_to_block(block);
        let (context, fuel) = (
            builder.block_params(block)[0],
            builder.block_params(block)[1],
        );
        let r10 = layout::STACK + stack.bytes() as u64;
        let r10 = builder.ins().iconst(I64, r10 as i64);
        let r1 = builder.ins().iconst(I64, layout::ARGUMENTS as i64);
        let zero = builder.ins().iconst(I64, 0);
        let arguments = [context, fuel, r10, r1, zero, zero, zero, zero];
        let call = builder.ins().call(first, &arguments);
        let (r0, left) = (builder.inst_results(call)[0], builder.inst_results(call)[1]);
        let flags = MemFlagsData::trusted();
        let field = std::mem::offset_of!(Context<'_>, registers) as i32;
        builder.ins().store(flags, r0, context, field);
        builder.ins().return_(&[left]);
        builder.seal_all_blocks();
        builder.finalize(self.code.target_config());
        self.define(id, function)?;
        Ok(id)
    }
}

/// This machine, and how to compile for it.
fn machine() -> Result<Arc<dyn TargetIsa>, CompileError> {
    let wrong = |error: &dyn std::fmt::Display| CompileError::Machine(error.to_string());
    let mut flags = settings::builder();
    let values = [
        ("opt_level", "speed"),
        ("use_colocated_libcalls", "false"),
        ("is_pic", "false"),
        // Catches our own mistakes; it costs time with each program, so not in every build.
        (
            "enable_verifier",
            if cfg!(debug_assertions) {
                "true"
            } else {
                "false"
            },
        ),
    ];
    for (name, value) in values {
        flags.set(name, value).map_err(|error| wrong(&error))?;
    }
    let builder = cranelift_native::builder().map_err(|error| wrong(&error))?;
    let flags = settings::Flags::new(flags);
    builder.finish(flags).map_err(|error| wrong(&error))
}

/// The instructions of each function.
fn functions(module: &Module) -> Vec<Range<usize>> {
    let index = |slot: usize| module.slots.partition_point(|&at| (at as usize) < slot);
    let ranges = module.functions.iter();
    ranges
        .map(|(_, slots)| index(slots.start)..index(slots.end))
        .filter(|range| !range.is_empty())
        .collect()
}
