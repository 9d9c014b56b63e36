//! Modules become programs, and programs run.

use crate::state::{Limiter, State, with_store};
use crate::{fault, helpers, linear, place};
use ersatz_runtime::{Args, Fault, Fuel, LoadError, Program, Report, Runtime, Window};
use std::num::NonZeroUsize;
use std::sync::Arc;
use wasmtime::{
    Config, Engine, ExternType, FuncType, InstancePre, Linker, Module, OperatorCost,
    StoreContextMut, ValType,
};

/// What is run where a guest names no entry.
const DEFAULT_ENTRY: &str = "ersatz";
/// The export that linear memory has.
const MEMORY: &str = "memory";

/// How large programs may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a module. What it takes to compile one follows from them.
    pub module: usize,
    /// Bytes of linear memory of a program's own, besides the job's ranges.
    pub memory: u64,
    /// Elements of all its tables together.
    pub elements: usize,
    /// Bytes of stack that compiled code may use; those that a C compiler puts into linear memory
    /// are not among them.
    pub stack: usize,
}

impl Default for Limits {
    /// 1 MiB of module, 64 MiB of memory, 64 Ki elements, 256 KiB of stack.
    fn default() -> Self {
        Self {
            module: 1 << 20,
            memory: 64 << 20,
            elements: 1 << 16,
            stack: 256 << 10,
        }
    }
}

/// The runtime for WebAssembly modules.
#[derive(Clone)]
pub struct Wasm {
    engine: Engine,
    linker: Arc<Linker<State>>,
    limits: Limits,
}

impl Wasm {
    /// A runtime that takes programs of up to `limits`.
    ///
    /// # Errors
    /// When this machine is one that nothing can be compiled for.
    pub fn new(limits: Limits) -> Result<Self, LoadError> {
        let engine = Engine::new(&config(&limits)).map_err(words)?;
        let mut linker = Linker::new(&engine);
        helpers::define(&mut linker).map_err(words)?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            limits,
        })
    }
}

/// The same results and the same fuel in each run, on each machine of one kind.
fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .operator_cost(OperatorCost::new())
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .max_wasm_stack(limits.stack)
        // Faults need only their own place, or their caller's.
        .wasm_backtrace_max_frames(NonZeroUsize::new(2))
        .with_host_memory(Arc::new(linear::Creator))
        // All that 32 bits can address and the guard that wasmtime wants: no access has to be
        // checked, and memory never moves.
        .memory_reservation(1 << 32)
        .memory_may_move(false)
        .memory_init_cow(false);
    config
}

fn words(error: wasmtime::Error) -> LoadError {
    LoadError(format!("{error:#}"))
}

impl Runtime for Wasm {
    /// `image` is a module in the binary format.
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError> {
        let most = self.limits.module;
        if image.len() > most {
            let len = image.len();
            return Err(LoadError(format!(
                "a module of {len} bytes: {most} are the most"
            )));
        }
        let module = Module::from_binary(&self.engine, image).map_err(words)?;
        let entry = if entry.is_empty() {
            DEFAULT_ENTRY
        } else {
            entry
        };
        match module.get_export(entry) {
            Some(ExternType::Func(ty)) => {
                let wanted = FuncType::new(&self.engine, [ValType::I32], [ValType::I64]);
                if !ty.matches(&wanted) {
                    return Err(LoadError(format!("{entry:?} is {ty}, and not {wanted}")));
                }
            }
            _ => return Err(LoadError(format!("no function is exported as {entry:?}"))),
        }
        if !matches!(module.get_export(MEMORY), Some(ExternType::Memory(_))) {
            return Err(LoadError(format!("no memory is exported as {MEMORY:?}")));
        }
        let instance = self.linker.instantiate_pre(&module).map_err(words)?;
        Ok(Box::new(Loaded {
            instance,
            entry: entry.into(),
            limits: self.limits,
        }))
    }
}

/// A compiled module.
struct Loaded {
    instance: InstancePre<State>,
    entry: String,
    limits: Limits,
}

/// Why a run has no result.
enum Failure {
    /// The module did something wrong, or the system has no memory for it.
    Run(wasmtime::Error),
    /// The job's ranges can't be where the module could reach them.
    Place(String),
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Run(error)
    }
}

impl Loaded {
    fn call(
        &self,
        store: &mut StoreContextMut<'_, State>,
        window: &Window,
        args: &Args<'_>,
        budget: Fuel,
    ) -> Result<u64, Failure> {
        store.set_fuel(budget.0)?;
        let instance = self.instance.instantiate(&mut *store)?;
        let entry = instance.get_typed_func::<u32, u64>(&mut *store, &self.entry)?;
        let memory = instance.get_memory(&mut *store, MEMORY);
        let memory = memory.ok_or_else(|| Failure::Place("no memory".into()))?;
        let address = place::place(store, memory, window, args).map_err(Failure::Place)?;
        Ok(entry.call(&mut *store, address)?)
    }
}

impl Program for Loaded {
    /// The budget is looked at where a function begins and where a loop goes on: a run may take as
    /// many instructions more as there are from one such place to the next, and counts them only up
    /// to its budget.
    fn run(&self, window: &Window, args: &Args<'_>, budget: Fuel) -> Report {
        let Limits {
            memory, elements, ..
        } = self.limits;
        let engine = self.instance.module().engine();
        let limiter = Limiter::new(memory, elements);
        with_store(engine, args.services, limiter, |mut store| {
            let result = self.call(&mut store, window, args, budget);
            place::write_back(&store);
            let left = store.get_fuel().unwrap_or(0);
            Report {
                instructions: budget.0.saturating_sub(left),
                reads: std::mem::take(&mut store.data_mut().reads),
                ..Report::of(result.map_err(|failure| match failure {
                    Failure::Run(error) => fault::of(&error),
                    Failure::Place(reason) => Fault::Failed { reason },
                }))
            }
        })
    }

    fn place(&self, pc: usize) -> Option<String> {
        Some(format!("byte {pc:#x} of the module"))
    }
}
