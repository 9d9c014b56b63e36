//! In place of the compiler, for machines that it knows nothing of.

use super::module::Module;
use super::room::Room;
use super::run::{Ended, Run, Stack};

/// A program is not compiled.
#[derive(Debug, thiserror::Error)]
#[error("there is no compiler for this machine")]
pub struct CompileError;

impl CompileError {
    /// Never: it stays so.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        false
    }
}

/// A compiled program, of which there are none.
pub enum Native {}

impl Native {
    /// Never possible.
    ///
    /// # Errors
    /// Always.
    pub fn compile(_: &Module, _: Stack, _: &'static Room) -> Result<Self, CompileError> {
        Err(CompileError)
    }

    /// Never called.
    pub fn run(&self, _: &Run<'_>, _: u64) -> Ended {
        match *self {}
    }
}
