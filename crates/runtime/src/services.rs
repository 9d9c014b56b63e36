//! What a program may ask of the drive while it runs.

use ersatz_engine::Ns;
use ersatz_memory::Mapping;

/// Logical blocks that a program read from an NVM namespace. The drive books them on the media
/// when the run's [`Report`](crate::Report) is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRead {
    /// The namespace.
    pub nsid: u32,
    /// Its first block.
    pub slba: u64,
    /// Blocks.
    pub nlb: u64,
}

/// Blocks can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such namespace, it has no blocks, or this program may not read it.
    #[error("namespace {nsid} has no blocks that a program may read")]
    Namespace {
        /// The namespace that was asked for.
        nsid: u32,
    },
    /// The blocks are not all in the namespace.
    #[error("{nlb} blocks from {slba:#x} on are not all in namespace {nsid}")]
    Blocks {
        /// The namespace that was asked for.
        nsid: u32,
        /// First block.
        slba: u64,
        /// Blocks.
        nlb: u64,
    },
    /// The blocks have more bytes than there is room for.
    #[error("the blocks have {bytes} bytes, and there is room for {room}")]
    Room {
        /// Bytes of the blocks.
        bytes: u64,
        /// Bytes there is room for.
        room: u64,
    },
    /// The media lost them.
    #[error("{0}")]
    Media(String),
}

/// What the drive does for a program. Called from the thread that the program runs on, so that
/// several jobs may call at once.
///
/// A program's count of instructions depends on the answers only as far as it depends on memory:
/// the same answers, the same count.
pub trait Services: Send + Sync {
    /// The modelled time at which the job arrived. It stands still while the program runs: what the
    /// run costs is known only afterwards.
    fn now(&self) -> Ns;

    /// Writes a line of the program's to the drive's log: any bytes, not necessarily text. How
    /// many lines get through is the drive's to limit.
    fn print(&self, text: &[u8]);

    /// Copies `nlb` blocks from `slba` on to `offset` in `to`, where there is room for `room`
    /// bytes, and returns how many bytes they were. No modelled time passes here: see
    /// [`BlockRead`].
    ///
    /// # Errors
    /// Nothing was copied then that the program could rely on. The run ends with
    /// [`Fault::Read`](crate::Fault::Read).
    fn read_blocks(
        &self,
        nsid: u32,
        slba: u64,
        nlb: u64,
        to: &Mapping,
        offset: u64,
        room: u64,
    ) -> Result<u64, ReadError>;
}

/// No drive around the program: time zero, prints that nobody reads, and no namespaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServices;

impl Services for NoServices {
    fn now(&self) -> Ns {
        Ns::ZERO
    }

    fn print(&self, _text: &[u8]) {}

    fn read_blocks(
        &self,
        nsid: u32,
        _slba: u64,
        _nlb: u64,
        _to: &Mapping,
        _offset: u64,
        _room: u64,
    ) -> Result<u64, ReadError> {
        Err(ReadError::Namespace { nsid })
    }
}
