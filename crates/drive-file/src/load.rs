//! The edge: files and the machine.

use crate::problem::{Problems, Refused};
use crate::{DriveFile, Store, reader};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest drive file in bytes. The largest sensible one has a thousand namespaces.
pub const MAX_FILE_SIZE: u64 = 1 << 20;

/// What the machine has that a drive may not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
}

impl Limits {
    /// No limit but those of the settings themselves.
    pub const NONE: Self = Self { memory: u64::MAX };

    /// Those of this machine: all of its memory, free or not, because a drive's memory comes into
    /// being only as it is written; or what the control group of this process may have, when that
    /// is less. What can't be found out doesn't limit.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let read = |path| fs::read_to_string(path).ok();
        let machine = read("/proc/meminfo").and_then(|text| total_memory(&text));
        let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
        let memory = [machine, group].into_iter().flatten().min();
        memory.map_or(Self::NONE, |memory| Self { memory })
    }
}

/// Bytes of the line `MemTotal:  16384 kB` (where a kB has 1,024 bytes).
fn total_memory(meminfo: &str) -> Option<u64> {
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// A drive file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DriveFileError {
    /// It could not be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large to be one.
    #[error("{}: has more than {MAX_FILE_SIZE} bytes; a drive file has not", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl DriveFile {
    /// Reads and checks the drive file at `path`. Paths in it that are relative are taken from the
    /// folder of the drive file. Libraries of native programs have to be there.
    ///
    /// # Errors
    /// When it can't be read, or is refused.
    pub fn load(path: &Path, limits: &Limits) -> Result<Self, DriveFileError> {
        let unreadable = |source| DriveFileError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_SIZE + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_SIZE {
            return Err(DriveFileError::TooLarge {
                path: path.to_owned(),
            });
        }
        let name = path.display().to_string();
        let text = text(&name, bytes)?;
        let folder = path.parent();
        let mut file = reader::parse(&name, &text, |root| Self::read(root, limits, folder))?;
        if let (Store::File(store), Some(folder)) = (&mut file.store, folder) {
            *store = folder.join(&store);
        }
        Ok(file)
    }
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, Refused> {
    String::from_utf8(bytes).or_else(|error| {
        let at = error.utf8_error().valid_up_to();
        // What comes before the place is the same in both.
        let shown = String::from_utf8_lossy(error.as_bytes());
        let mut problems = Problems::new(name, &shown);
        let message = "is not UTF-8 text".to_owned();
        problems.push(at..at + 1, String::new(), message, String::new());
        problems.finish(None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_machine_is_found_in_meminfo() {
        let meminfo = "MemTotal:       16384 kB\nMemFree:         8192 kB\n";
        assert_eq!(total_memory(meminfo), Some(16 << 20));
        assert_eq!(total_memory("MemTotal: many kB"), None);
        assert_eq!(total_memory("MemTotal: 18446744073709551615 kB"), None);
    }
}
