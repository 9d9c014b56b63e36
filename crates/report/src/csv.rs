//! The latency of each request, as a file for programs.

use crate::file::OutputFile;
use crate::{ReportError, Sample};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes a line `index,latency_ns` for each request below a heading of these words, whether it
/// succeeded or not.
///
/// Lines are in order of the index. Requests that finish before one that came earlier wait for it
/// in memory: that is as many as are in flight, if all indices from 0 on occur.
pub struct LatencyCsv {
    file: OutputFile,
    next: u64,
    waiting: BTreeMap<u64, u64>,
}

impl LatencyCsv {
    /// Creates or empties the file at `path`, which is compressed if its name ends in `.gz`.
    ///
    /// # Errors
    /// The file can't be created or written.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let mut file = OutputFile::create(path)?;
        file.write(|out| writeln!(out, "index,latency_ns"))?;
        Ok(Self {
            file,
            next: 0,
            waiting: BTreeMap::new(),
        })
    }

    /// Takes a request; each index is given once.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn add(&mut self, sample: &Sample) -> Result<(), ReportError> {
        if sample.index != self.next {
            self.waiting.insert(sample.index, sample.latency.0);
            return Ok(());
        }
        self.line(sample.index, sample.latency.0)?;
        while let Some(latency) = self.waiting.remove(&self.next) {
            self.line(self.next, latency)?;
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self) -> Result<(), ReportError> {
        while let Some((index, latency)) = self.waiting.pop_first() {
            self.line(index, latency)?;
        }
        self.file.finish()
    }

    fn line(&mut self, index: u64, latency: u64) -> Result<(), ReportError> {
        self.next = index.saturating_add(1);
        self.file.write(|out| writeln!(out, "{index},{latency}"))
    }
}
