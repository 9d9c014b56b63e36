//! A program and the engines that run it.
//!
//! To compile a program takes milliseconds, in each of which the interpreter runs some hundred
//! thousand instructions. Hence [`Engine::Jit`] compiles only when there is enough to do. Since all engines come
//! to the same, it does not matter to a program, nor to modelled time, when that is.

use super::jit::Native;
use super::module::Module;
use super::room::{PROCESS, Room};
use super::run::{Run, Stack, State};
use super::{Engine, background, interpret, memory};
use crate::{Args, Fuel, Program, Report, Window};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// From how many instructions on a program is compiled. A run is taken to have one for each
/// byte of its ranges.
pub const WORTHWHILE: u64 = 1 << 20;

/// A program with the engine that runs it.
pub struct Loaded {
    code: Arc<Code>,
    engine: Engine,
}

impl Loaded {
    /// `module`, to be run by `engine`.
    #[must_use]
    pub fn new(module: Module, stack: Stack, engine: Engine) -> Self {
        Self::within(&PROCESS, module, stack, engine)
    }

    /// As [`Loaded::new`], with machine code in `room`.
    #[must_use]
    pub fn within(room: &'static Room, module: Module, stack: Stack, engine: Engine) -> Self {
        let code = Code {
            module,
            stack,
            room,
            native: OnceLock::new(),
            interpreted: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        };
        if engine == Engine::Eager {
            code.compile();
        }
        let code = Arc::new(code);
        Self { code, engine }
    }

    /// Whether there is machine code.
    #[cfg(any(test, feature = "fuzzing"))]
    #[must_use]
    pub fn is_compiled(&self) -> bool {
        self.code.native().is_some()
    }

    /// The machine code for a run over `window`, if that is how it should run.
    fn native(&self, window: &Window) -> Option<&Native> {
        let much = || {
            let lens = window.segments().iter().map(|segment| segment.len);
            lens.fold(0, u64::saturating_add) >= WORTHWHILE
        };
        match self.engine {
            Engine::Interpreter => None,
            Engine::Eager => self.code.compile(),
            Engine::Jit => match self.code.native() {
                None if much() => self.code.compile(),
                native => native,
            },
        }
    }
}

impl Program for Loaded {
    fn run(&self, window: &Window, args: &Args<'_>, budget: Fuel) -> Report {
        let code = &*self.code;
        let ranges = memory::ranges(window);
        let arguments = memory::arguments(&ranges, args);
        let run = Run::new(&code.module, code.stack, &ranges, &arguments, args);
        if let Some(native) = self.native(window) {
            let ended = native.run(&run, budget.0);
            return run.report(ended, budget.0);
        }
        let ended = interpret::run(&run, &State::start(&run, budget.0));
        let report = run.report(ended, budget.0);
        if self.engine == Engine::Jit && code.is_worthwhile(report.instructions) {
            background::compile(&self.code);
        }
        report
    }

    fn place(&self, pc: usize) -> Option<String> {
        self.code.module.functions.place(pc)
    }
}

/// A program as all its runs share it, and the thread that compiles it.
pub struct Code {
    module: Module,
    stack: Stack,
    room: &'static Room,
    /// `Some(None)` when the program can't be compiled.
    native: OnceLock<Option<Native>>,
    /// Instructions of all runs by the interpreter.
    interpreted: AtomicU64,
    /// Whether it is to be compiled in the background.
    asked: AtomicBool,
    /// Whether the log says already that it is interpreted.
    warned: AtomicBool,
}

impl Code {
    fn native(&self) -> Option<&Native> {
        self.native.get()?.as_ref()
    }

    /// Counts `more` interpreted instructions, and tells once whether there were enough.
    fn is_worthwhile(&self, more: u64) -> bool {
        let before = self.interpreted.fetch_add(more, Ordering::Relaxed);
        before.saturating_add(more) >= WORTHWHILE
            && self.native.get().is_none()
            && !self.asked.swap(true, Ordering::Relaxed)
    }

    /// The program is not compiled now, but may be asked for once it has worked as much again.
    pub fn postpone(&self) {
        self.interpreted.store(0, Ordering::Relaxed);
        self.asked.store(false, Ordering::Relaxed);
    }

    /// The machine code, made now if there is none. Threads don't wait for one another here, least
    /// of all for one of lower priority: when several compile the same program, the first one's
    /// code is used.
    pub fn compile(&self) -> Option<&Native> {
        if self.native.get().is_some() {
            return self.native();
        }
        match Native::compile(&self.module, self.stack, self.room) {
            Ok(native) => drop(self.native.set(Some(native))),
            Err(error) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!("a program is interpreted: {error}");
                }
                if !error.is_passing() {
                    let _ = self.native.set(None);
                }
            }
        }
        self.native()
    }
}

#[cfg(test)]
mod tests;
