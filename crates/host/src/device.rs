//! What the computational-storage library needs of a drive, however it is reached.

use crate::Error;
use nvme_spec::Sqe;
use std::path::Path;
use std::time::Duration;

/// The data of a command, in this process's memory.
#[derive(Debug)]
pub enum Transfer<'a> {
    /// None.
    None,
    /// From the drive.
    Read(&'a mut [u8]),
    /// To the drive.
    Write(&'a [u8]),
}

impl Transfer<'_> {
    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Read(buf) => buf.len(),
            Self::Write(data) => data.len(),
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of it, which must be inside.
    pub(crate) fn part(&mut self, at: usize, len: usize) -> Transfer<'_> {
        match self {
            Self::None => Transfer::None,
            Self::Read(buf) => Transfer::Read(&mut buf[at..at + len]),
            Self::Write(data) => Transfer::Write(&data[at..at + len]),
        }
    }
}

/// A way to a drive that takes one command after the other.
///
/// Implementations set identifier and data pointer of a command themselves. A status other than
/// success is [`Error::Status`].
pub trait Device: Send {
    /// Sends an Admin command and returns DW0-1 of its completion.
    ///
    /// # Errors
    /// When the command fails, or the drive does not answer.
    fn admin(&mut self, sqe: &Sqe, data: Transfer<'_>, limit: Duration) -> Result<u64, Error>;

    /// Sends an I/O command to the namespace that it names and returns DW0-1 of its completion.
    ///
    /// # Errors
    /// When the command fails, or the drive does not answer.
    fn io(&mut self, sqe: &Sqe, data: Transfer<'_>, limit: Duration) -> Result<u64, Error>;

    /// The most bytes of one command's data: a multiple of 4096.
    fn max_transfer(&self) -> usize;

    /// Sends I/O commands for consecutive pieces of `data`, each of `piece` bytes but the last,
    /// and `command(offset, length)` for each. They may be in flight together and end in any
    /// order. `piece` is not 0 and at most [`max_transfer`](Self::max_transfer).
    ///
    /// # Errors
    /// Those of the first command that failed; others may have been done.
    fn pieces(
        &mut self,
        mut data: Transfer<'_>,
        piece: usize,
        command: &mut dyn FnMut(usize, usize) -> Sqe,
        limit: Duration,
    ) -> Result<(), Error> {
        let total = data.len();
        for at in (0..total).step_by(piece) {
            let len = piece.min(total - at);
            self.io(&command(at, len), data.part(at, len), limit)?;
        }
        Ok(())
    }

    /// Whether CDW4 and CDW5 of I/O commands reach the drive.
    fn sends_cdw4_5(&self) -> bool {
        true
    }

    /// Whether the disk with this directory in sysfs is a namespace of the drive.
    fn has_disk(&self, _sysfs: &Path) -> bool {
        false
    }
}
