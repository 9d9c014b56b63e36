//! Files that results go to.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Why results could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file can't be created or written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A plot's name ends in something else than a format that plots can have.
    #[error(
        "{} must end in .svg or .png: that says which of the two formats a plot has",
        .0.display()
    )]
    PlotFormat(PathBuf),
}

/// A file that is written from beginning to end, compressed if its name ends in `.gz`.
pub struct OutputFile {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    Plain(BufWriter<File>),
    // The header has no time and no name in it: the same results are the same bytes.
    Gzip(GzEncoder<BufWriter<File>>),
}

impl OutputFile {
    /// Creates or empties the file at `path`.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let file = File::create(path).map_err(|source| ReportError::Write {
            path: path.into(),
            source,
        })?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let sink = if path.extension().is_some_and(|end| end == "gz") {
            Sink::Gzip(GzEncoder::new(file, Compression::default()))
        } else {
            Sink::Plain(file)
        };
        Ok(Self {
            path: path.into(),
            sink,
        })
    }

    /// Writes through `write`.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), ReportError> {
        let done = match &mut self.sink {
            Sink::Plain(file) => write(file),
            Sink::Gzip(file) => write(file),
        };
        done.map_err(|source| ReportError::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Writes what is still in memory. Without this, errors of the last bytes would go unseen.
    pub fn finish(self) -> Result<(), ReportError> {
        let done = match self.sink {
            Sink::Plain(mut file) => file.flush(),
            Sink::Gzip(file) => file.finish().and_then(|mut file| file.flush()),
        };
        done.map_err(|source| ReportError::Write {
            path: self.path,
            source,
        })
    }

    /// Writes a whole file at once.
    pub fn write_all(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
        let mut file = Self::create(path)?;
        file.write(|out| out.write_all(bytes))?;
        file.finish()
    }
}
