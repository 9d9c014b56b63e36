//! eBPF: ordinary objects of `clang -target bpf -O2 -c`, run by an interpreter.
//!
//! [`elf`] reads the file, [`link`] lays it out and relocates it, [`verify`] refuses what can't be
//! run, and [`interpret`] runs the rest over [`memory`], at the addresses that [`layout`] gives.
//! What the verifier makes, a [`module::Module`], is the seam for another engine: a compiler takes
//! the same module and has to come to the same results, faults and counts (see [`interpret`]).
//!
//! What is supported: instruction set versions 1–4, calls between functions, constants, variables.
//! What is not: maps, helper functions (there are none yet), indirect calls, kernel types (BTF is
//! ignored), packet access.

#[cfg(test)]
mod asm;
mod elf;
mod interpret;
mod isa;
mod layout;
mod link;
mod memory;
mod module;
mod verify;

use crate::{Args, Fuel, LoadError, Program, Report, Runtime, Window};
use interpret::Stack;
use memory::Memory;
use module::Module;

/// How large programs may be. Each run allocates the program's variables and the whole stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instruction slots of a program, over all its functions.
    pub instructions: usize,
    /// Bytes of a program's constants and variables together.
    pub data: usize,
    /// Functions that may be nested, the first one included.
    pub frames: usize,
    /// Bytes of each function's stack frame. clang refuses functions that need more than 512.
    pub frame: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instructions: 1 << 16,
            data: 1 << 20,
            frames: 64,
            frame: 512,
        }
    }
}

/// The runtime for eBPF objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ebpf {
    limits: Limits,
}

impl Ebpf {
    /// A runtime that takes programs of up to `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Runtime for Ebpf {
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError> {
        let object = elf::read(image).map_err(LoadError::new)?;
        let linked = link::link(&object, entry, &self.limits).map_err(LoadError::new)?;
        let module = verify::verify(linked).map_err(LoadError::new)?;
        let stack = Stack {
            frames: self.limits.frames,
            frame: self.limits.frame,
        };
        Ok(Box::new(Loaded { module, stack }))
    }
}

/// A program with the engine that runs it.
struct Loaded {
    module: Module,
    stack: Stack,
}

impl Program for Loaded {
    fn run(&self, window: &Window, args: &Args<'_>, budget: Fuel) -> Report {
        let ranges = memory::ranges(window);
        let arguments = memory::arguments(&ranges, args);
        let mut memory = Memory::new(&self.module, &ranges, &arguments, self.stack.bytes());
        interpret::run(&self.module, &mut memory, self.stack, budget)
    }

    fn place(&self, pc: usize) -> Option<String> {
        self.module.functions.place(pc)
    }
}
