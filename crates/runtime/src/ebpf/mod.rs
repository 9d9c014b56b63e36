//! eBPF: ordinary objects of `clang -target bpf -O2 -c`.
//!
//! [`elf`] reads the file, [`link`] lays it out and relocates it, and [`verify`] refuses what can't
//! be run. What the verifier makes, a [`module::Module`], is what the engines share: [`interpret`]
//! runs it over [`memory`], at the addresses that [`layout`] gives, and [`jit`] compiles it to
//! machine code that comes to the same results, faults and counts. [`loaded`] chooses between them,
//! and [`background`] compiles while programs run.
//!
//! What is supported: instruction set versions 1–4, calls between functions, constants, variables,
//! and the functions of [`helper`]. What is not: maps, Linux's helpers, indirect calls, kernel types
//! (BTF is ignored), packet access.

#[cfg(test)]
mod asm;
mod background;
#[cfg(any(test, feature = "fuzzing"))]
pub mod differential;
mod elf;
mod helper;
mod interpret;
mod isa;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod jit;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "no_jit.rs"]
mod jit;
mod layout;
mod link;
mod loaded;
mod memory;
mod module;
mod room;
mod run;
mod verify;

use crate::{LoadError, Program, Runtime};
use loaded::Loaded;
use run::Stack;

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

/// What runs programs. All come to the same results, counts and faults: which one it is shows in
/// nothing but the time that the host needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// Compiles programs that have enough to do: on a thread of its own while they are interpreted
    /// in many short runs, and at once before a run over much memory. A load costs only the checks.
    /// What can't be compiled is interpreted.
    #[default]
    Jit,
    /// Compiles programs when they are loaded, so that the first run is as fast as all others: for
    /// measurements. What can't be compiled is interpreted.
    Eager,
    /// Interprets all programs.
    Interpreter,
}

/// The runtime for eBPF objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ebpf {
    limits: Limits,
    engine: Engine,
}

impl Ebpf {
    /// A runtime that takes programs of up to `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            engine: Engine::default(),
        }
    }

    /// With that engine.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
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
        Ok(Box::new(Loaded::new(module, stack, self.engine)))
    }
}
