//! The seam between the compute namespace and what runs there.

use crate::services::{BlockRead, NoServices, ReadError, Services};
use crate::window::Window;
use ersatz_engine::Ns;
use std::fmt;

/// How many instructions a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fuel(pub u64);

/// What a job gives its program besides memory.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    /// CPARAM1 and CPARAM2 of Execute Program.
    pub parameters: [u64; 2],
    /// The bytes that follow the range descriptors in the command's data buffer.
    pub data: &'a [u8],
    /// The drive, as far as a program may use it.
    pub services: &'a dyn Services,
}

impl Default for Args<'_> {
    fn default() -> Self {
        Self {
            parameters: [0; 2],
            data: &[],
            services: &NoServices,
        }
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Args")
            .field("parameters", &self.parameters)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// Why a run ended before the program returned. Instructions are numbered through the whole
/// program, from 0 on; [`Program::place`] tells which one that is in the source's terms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The budget was used up.
    #[error("{}the budget of instructions is used up", prefix(*pc))]
    Budget {
        /// Number of the instruction that was not run any more, if the runtime knows it.
        pc: Option<usize>,
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
    /// Blocks that the program wanted to read.
    #[error("instruction {pc}: {error}")]
    Read {
        /// Number of the faulting instruction.
        pc: usize,
        /// What was wrong with them.
        error: ReadError,
    },
    /// A program that has no instructions that could be named, such as a process of its own or one
    /// built in, could not do its work.
    #[error("{reason}")]
    Failed {
        /// What was wrong, for the programmer.
        reason: String,
    },
}

/// How a message names the place, if there is one.
fn prefix(pc: Option<usize>) -> String {
    pc.map_or(String::new(), |pc| format!("instruction {pc}: "))
}

impl Fault {
    /// Number of the instruction that was not completed, if the runtime knows it.
    #[must_use]
    pub fn pc(&self) -> Option<usize> {
        match *self {
            Self::Budget { pc } => pc,
            Self::Access { pc, .. }
            | Self::Stack { pc, .. }
            | Self::Instruction { pc, .. }
            | Self::Read { pc, .. } => Some(pc),
            Self::Failed { .. } => None,
        }
    }

    /// The program's address that the fault is about, if it is about one.
    #[must_use]
    pub fn address(&self) -> Option<u64> {
        match *self {
            Self::Access { address, .. } => Some(address),
            _ => None,
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The program's return value, or why there is none.
    pub result: Result<u64, Fault>,
    /// Instructions that ran, with the one that faulted: the same for the same image, memory and
    /// arguments, always. 0 for programs whose time does not follow from instructions.
    pub instructions: u64,
    /// Bytes that an accelerator's rate applies to; 0 where there is none.
    pub bytes: u64,
    /// Processor time that the run took, where that was not the calling thread's: in a process of
    /// its own, or on another machine.
    pub measured: Option<Ns>,
    /// The blocks that the program read by itself, in order. Blocks that follow one another may be
    /// reported as one read.
    pub reads: Vec<BlockRead>,
}

impl Report {
    /// What came of a run, without instructions, bytes or reads: add what there is.
    ///
    /// ```
    /// # use ersatz_runtime::Report;
    /// let report = Report { bytes: 4096, ..Report::of(Ok(7)) };
    /// assert_eq!((report.instructions, report.bytes), (0, 4096));
    /// ```
    #[must_use]
    pub fn of(result: Result<u64, Fault>) -> Self {
        Self {
            result,
            instructions: 0,
            bytes: 0,
            measured: None,
            reads: Vec::new(),
        }
    }

    /// A run that failed for a reason that has no place in the program.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::of(Err(Fault::Failed { reason }))
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::of(Ok(0))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_place_where_there_is_one() {
        let failed = Report::failed("exit status 1").result;
        let faults = [
            Fault::Budget { pc: Some(3) },
            Fault::Budget { pc: None },
            failed.expect_err("it failed"),
        ];
        assert_eq!(
            faults.each_ref().map(ToString::to_string),
            [
                "instruction 3: the budget of instructions is used up",
                "the budget of instructions is used up",
                "exit status 1",
            ]
        );
        assert_eq!(faults.map(|fault| fault.pc()), [Some(3), None, None]);
    }
}
