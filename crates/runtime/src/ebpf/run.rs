//! All that one run of a program works with, whichever engine runs it.

use super::isa::ZERO;
use super::layout;
use super::memory::{self, Memory, Range};
use super::module::Module;
use crate::{Args, BlockRead, Report, Services};
use std::cell::RefCell;

/// The stack's shape.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// Functions that may be nested, the first one included.
    pub frames: usize,
    /// Bytes of each one's frame.
    pub frame: usize,
}

impl Stack {
    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frames.saturating_mul(self.frame)
    }
}

/// One run of a program.
pub struct Run<'a> {
    /// The program.
    pub module: &'a Module,
    /// What it may touch.
    pub memory: Memory<'a>,
    /// The shape of its stack.
    pub stack: Stack,
    /// What it may ask of the drive.
    pub services: &'a dyn Services,
    /// The address of its results area, if a range has room for one.
    pub results: Option<u64>,
    /// The blocks that it has read so far.
    pub reads: RefCell<Vec<BlockRead>>,
}

impl<'a> Run<'a> {
    /// A run that has not begun. `arguments` is what [`memory::arguments`] made of `args`.
    #[must_use]
    pub fn new(
        module: &'a Module,
        stack: Stack,
        ranges: &[Range<'a>],
        arguments: &'a [u8],
        args: &Args<'a>,
    ) -> Self {
        Self {
            module,
            memory: Memory::new(module, ranges, arguments, stack.bytes()),
            stack,
            services: args.services,
            results: memory::results(ranges),
            reads: RefCell::default(),
        }
    }

    /// What came of it, with `left` of `budget` not used.
    #[must_use]
    pub fn report(self, ended: Ended, budget: u64) -> Report {
        Report {
            instructions: budget - ended.left,
            reads: self.reads.into_inner(),
            ..Report::of(ended.result)
        }
    }
}

/// How a run, or a function of one, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// r0, or what went wrong.
    pub result: Result<u64, crate::Fault>,
    /// What is left of the budget.
    pub left: u64,
}

/// Registers of a run: r0–r10 and the zero.
pub type Registers = [u64; ZERO as usize + 1];

/// Between two instructions.
#[derive(Clone, Debug)]
pub struct State {
    /// The registers.
    pub registers: Registers,
    /// The instruction that is next.
    pub next: usize,
    /// Functions that wait for the current one to return.
    pub nested: usize,
    /// Instructions that may still be run.
    pub budget: u64,
}

impl State {
    /// Before the first instruction of a run.
    #[must_use]
    pub fn start(run: &Run<'_>, budget: u64) -> Self {
        let mut registers = Registers::default();
        registers[1] = layout::ARGUMENTS;
        registers[10] = layout::STACK + run.stack.bytes() as u64;
        Self {
            registers,
            next: run.module.entry,
            nested: 0,
            budget,
        }
    }
}
