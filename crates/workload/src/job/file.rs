//! The edge: files.

use super::problem::{Place, Refused};
use super::{Job, fio, ours};
use core::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest job file in bytes.
pub const MAX_FILE_SIZE: u64 = 1 << 20;

/// A synthetic workload as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFile {
    /// At least one, in the order of the file.
    pub jobs: Vec<Job>,
    /// What all that is random follows from, unless another seed is given.
    pub seed: Option<u64>,
    /// Settings without a meaning here.
    pub ignored: Vec<Ignored>,
}

/// A setting of fio's that a simulated drive has no use for: it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Where it is.
    pub place: Place,
    /// What it is.
    pub key: String,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, .. } = &self.place;
        write!(f, "{file}:{line}: {}", self.key)
    }
}

/// A job file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// It could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large to be one.
    #[error("{}: has more than {MAX_FILE_SIZE} bytes; a job file has not", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{}: is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl JobFile {
    /// Reads and checks the file at `path`: our TOML when its name ends so, fio's job file
    /// otherwise.
    ///
    /// # Errors
    /// When it can't be read, or is refused.
    pub fn load(path: &Path) -> Result<Self, JobFileError> {
        let unreadable = |source| JobFileError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_SIZE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_SIZE {
            return Err(JobFileError::TooLarge {
                path: path.to_owned(),
            });
        }
        let text = String::from_utf8(bytes).map_err(|_| JobFileError::NotText {
            path: path.to_owned(),
        })?;
        let name = path.display().to_string();
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        Ok(if is_toml {
            Self::parse_toml(&name, &text)?
        } else {
            Self::parse_fio(&name, &text)?
        })
    }

    /// Reads and checks our own format; refusals call it `name`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse_toml(name: &str, text: &str) -> Result<Self, Refused> {
        ours::parse(name, text)
    }

    /// Reads and checks fio's job file; refusals call it `name`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse_fio(name: &str, text: &str) -> Result<Self, Refused> {
        fio::parse(name, text)
    }
}
