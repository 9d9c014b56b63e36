//! What is wrong with a file, where, and what is allowed.

use core::fmt;

/// As many problems of one file are told; more are only counted.
const MAX_PROBLEMS: usize = 32;

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing that is wrong. Displayed, it is a line that tools can jump to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The setting; empty when it is none in particular.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What may be written instead; empty when there is nothing to say.
    pub allowed: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        Ok(())
    }
}

/// A workload was refused: everything that is wrong with it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// At least one, at most 32.
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub untold: usize,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.untold > 0 {
            write!(f, "\nand {} more", self.untold)?;
        }
        Ok(())
    }
}

/// Collects what is wrong while a file is read.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    untold: usize,
}

impl Problems {
    /// Notes that `key` at `place` is wrong.
    pub(crate) fn push(
        &mut self,
        place: &Place,
        key: &str,
        message: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        if self.found.len() == MAX_PROBLEMS {
            self.untold += 1;
            return;
        }
        self.found.push(Problem {
            place: place.clone(),
            key: key.to_owned(),
            message: message.into(),
            allowed: allowed.into(),
        });
    }

    /// `value`, when nothing is wrong.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, Refused> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by(|a, b| a.place.cmp(&b.place));
        Err(Refused {
            problems: self.found,
            untold: self.untold,
        })
    }
}
