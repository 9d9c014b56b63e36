//! Where a guest's output goes.

use std::io::{self, Write as _};

/// Hears what a guest writes.
pub trait Output {
    /// Bytes of the task's standard output.
    ///
    /// # Errors
    /// An error kills the guest; [`Guest::run`](crate::Guest::run) returns it.
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Bytes of the task's standard error.
    ///
    /// # Errors
    /// As for [`stdout`](Self::stdout).
    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Bytes of the guest's kernel log. Its end is in the error of a run that fails anyway.
    ///
    /// # Errors
    /// As for [`stdout`](Self::stdout).
    fn log(&mut self, bytes: &[u8]) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
}

/// Passes the task's outputs on to this process's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inherit {
    /// Passes the kernel's log on to standard error, too.
    pub log: bool,
}

impl Output for Inherit {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(bytes)
    }

    fn log(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.log { self.stderr(bytes) } else { Ok(()) }
    }
}

/// Keeps everything in memory, for tests.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    /// The task's standard output.
    pub stdout: Vec<u8>,
    /// The task's standard error.
    pub stderr: Vec<u8>,
    /// The kernel's log.
    pub log: Vec<u8>,
}

impl Output for Captured {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.extend_from_slice(bytes);
        Ok(())
    }

    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stderr.extend_from_slice(bytes);
        Ok(())
    }

    fn log(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.log.extend_from_slice(bytes);
        Ok(())
    }
}
