//! What is already known of a sweep, in a file beside the result: one line for each run that was
//! finished, in the order of their ends.
//!
//! A line is `FINGERPRINT CHECK CELLS`, where CHECK is a hash of the cells. What was not written to
//! its end, or changed since, does not count: the run is done again.

use super::plan::Fingerprint;
use crate::failure::Usage;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use twox_hash::XxHash3_128;

/// The journal of a sweep. While it is open, no other process can open it.
pub struct Journal {
    path: PathBuf,
    file: File,
    known: BTreeMap<Fingerprint, Vec<String>>,
    /// Lines that could not be read.
    pub garbled: usize,
}

impl Journal {
    /// Opens or begins the journal of the result at `result`. What it knows has `columns` cells;
    /// nothing is known after a `restart`.
    pub fn open(result: &Path, columns: usize, restart: bool) -> Result<Self> {
        let mut path = result.as_os_str().to_owned();
        path.push(".journal");
        let path = PathBuf::from(path);
        let words = || format!("can't write {}", path.display());
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).with_context(words)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{}: another sweep has this open", path.display());
                return Err(Usage(message).into());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(words),
        }
        let mut bytes = Vec::new();
        if !restart {
            file.read_to_end(&mut bytes).with_context(words)?;
        }
        // A line without an end is one that was being written when the sweep was killed.
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        file.set_len(whole as u64).with_context(words)?;
        file.seek(SeekFrom::End(0)).with_context(words)?;
        let (mut known, mut garbled) = (BTreeMap::new(), usize::from(whole < bytes.len()));
        for line in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
            let line = std::str::from_utf8(line)
                .ok()
                .and_then(|line| line.strip_suffix('\n'));
            match line.and_then(|line| parse(line, columns)) {
                Some((fingerprint, cells)) => _ = known.insert(fingerprint, cells),
                None => garbled += 1,
            }
        }
        Ok(Self {
            path,
            file,
            known,
            garbled,
        })
    }

    /// The cells of a run that was finished.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<&Vec<String>> {
        self.known.get(&fingerprint)
    }

    /// Notes that a run was finished: when this returns, it survives the end of the process.
    pub fn add(&mut self, fingerprint: Fingerprint, cells: Vec<String>) -> Result<()> {
        let line = line(fingerprint, &cells);
        self.known.insert(fingerprint, cells);
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("can't write {}", self.path.display()))
    }
}

/// Cells are numbers or empty: nothing that would have to be quoted.
fn line(fingerprint: Fingerprint, cells: &[String]) -> String {
    let cells = cells.join(",");
    let check = check(fingerprint, &cells);
    format!("{fingerprint:032x} {check:016x} {cells}\n")
}

fn parse(line: &str, columns: usize) -> Option<(Fingerprint, Vec<String>)> {
    let mut parts = line.splitn(3, ' ');
    let fingerprint = u128::from_str_radix(parts.next()?, 16).ok()?;
    let told = u64::from_str_radix(parts.next()?, 16).ok()?;
    let cells = parts.next()?;
    if told != check(fingerprint, cells) {
        return None;
    }
    let cells: Vec<_> = cells.split(',').map(str::to_owned).collect();
    (cells.len() == columns).then_some((fingerprint, cells))
}

fn check(fingerprint: Fingerprint, cells: &str) -> u64 {
    let mut hash = XxHash3_128::new();
    hash.write(&fingerprint.to_le_bytes());
    hash.write(cells.as_bytes());
    hash.finish_128() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(texts: [&str; 2]) -> Vec<String> {
        texts.map(str::to_owned).to_vec()
    }

    #[test]
    fn finished_runs_are_known_again_and_broken_lines_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (result, path) = (
            folder.path().join("r.csv"),
            folder.path().join("r.csv.journal"),
        );
        let mut journal = Journal::open(&result, 2, false).unwrap();
        for number in 0..4 {
            journal
                .add(number, cells([&number.to_string(), ""]))
                .unwrap();
        }
        drop(journal);
        // The third line is changed, the fourth is cut off.
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(" 2,\n", " 7,\n");
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        let mut journal = Journal::open(&result, 2, false).unwrap();
        assert_eq!(journal.get(1), Some(&cells(["1", ""])));
        assert_eq!((journal.get(2), journal.get(3)), (None, None));
        assert_eq!(journal.garbled, 2);
        // What follows is on a line of its own.
        journal.add(3, cells(["3", "x"])).unwrap();
        drop(journal);
        let journal = Journal::open(&result, 2, false).unwrap();
        assert_eq!(journal.get(3), Some(&cells(["3", "x"])));
        drop(journal);
        let journal = Journal::open(&result, 3, false).unwrap();
        assert_eq!(journal.get(3), None, "of other columns");
        drop(journal);
        assert!(Journal::open(&result, 2, true).unwrap().get(3).is_none());
    }

    #[test]
    fn only_one_sweep_can_write_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let result = folder.path().join("r.csv");
        let _journal = Journal::open(&result, 2, false).unwrap();
        assert!(Journal::open(&result, 2, false).is_err());
    }

    #[test]
    fn no_bytes_are_too_odd() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv.journal");
        for bytes in [
            &b"\xFF\n"[..],
            b"\n\n",
            b"00 00\n",
            b"zz 00 1,2\n",
            b"+1 +2 \n",
        ] {
            std::fs::write(&path, bytes).unwrap();
            let journal = Journal::open(&folder.path().join("r.csv"), 2, false).unwrap();
            assert!(journal.known.is_empty() && journal.garbled > 0, "{bytes:?}");
        }
    }
}
