//! The seam between the compute namespace and what runs there.

use crate::window::Window;

/// How many instructions a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fuel(pub u64);

/// What a job gives its program besides memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Args<'a> {
    /// CPARAM1 and CPARAM2 of Execute Program.
    pub parameters: [u64; 2],
    /// The bytes that follow the range descriptors in the command's data buffer.
    pub data: &'a [u8],
}

/// Why a run ended before the program returned. Instructions are numbered through the whole
/// program, from 0 on; [`Program::place`] tells which one that is in the source's terms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The budget was used up.
    #[error("instruction {pc}: the budget of instructions is used up")]
    Budget {
        /// Number of the instruction that was not run any more.
        pc: usize,
    },
    /// An access outside of the job's ranges and the program's own memory, or a write to what may
    /// only be read.
    #[error(
        "instruction {pc}: {len} bytes at {address:#x} are outside of what the program may use"
    )]
    Access {
        /// Number of the faulting instruction.
        pc: usize,
        /// The program's address.
        address: u64,
        /// Bytes of the access.
        len: u64,
    },
    /// Calls nested too deeply.
    #[error("instruction {pc}: functions nested more than {limit} deep")]
    Stack {
        /// Number of the faulting instruction.
        pc: usize,
        /// Functions that may be nested, the first one included.
        limit: usize,
    },
    /// Anything else that an instruction can do wrong.
    #[error("instruction {pc}: {what}")]
    Instruction {
        /// Number of the faulting instruction.
        pc: usize,
        /// What was wrong.
        what: &'static str,
    },
}

impl Fault {
    /// Number of the instruction that was not completed.
    #[must_use]
    pub fn pc(&self) -> usize {
        match *self {
            Self::Budget { pc }
            | Self::Access { pc, .. }
            | Self::Stack { pc, .. }
            | Self::Instruction { pc, .. } => pc,
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The program's return value, or why there is none.
    pub result: Result<u64, Fault>,
    /// Instructions that ran, with the one that faulted: the same for the same image, memory and
    /// arguments, always.
    pub instructions: u64,
}

/// An image can't become a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

impl LoadError {
    /// With the words of `error`.
    pub(crate) fn new(error: impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

/// Turns images into programs.
pub trait Runtime: Send + Sync {
    /// Checks `image` and makes it ready to run from the function `entry` on (the runtime's own
    /// default where it is empty). `image` is a guest's: any bytes at all.
    ///
    /// # Errors
    /// With words that tell the image's author what is wrong, and where.
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError>;
}

/// A program that is ready to run. The same program runs many times; nothing is kept between runs.
pub trait Program: Send + Sync {
    /// Runs to the end of the program or of `budget`. Never panics, never touches memory outside
    /// of `memory` and its own stack and data.
    fn run(&self, memory: &Window, args: &Args<'_>, budget: Fuel) -> Report;

    /// In words, for a log: where in the program's source the instruction of a [`Fault`] is, as
    /// far as the image tells.
    fn place(&self, pc: usize) -> Option<String> {
        let _ = pc;
        None
    }
}
