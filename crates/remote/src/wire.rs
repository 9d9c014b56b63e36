//! What is said: a header, and the bytes that it announces.
//!
//! A header is its length (4 bytes, little-endian) and a serialised [`Request`] or [`Response`]; memory
//! follows as it is.

use ersatz_memory::Mapping;
use ersatz_runtime::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Longest header: a program's image is part of one.
pub const MAX_HEADER: usize = 64 << 20;
/// Bytes that are moved at a time between a socket and memory.
const CHUNK: usize = 64 << 10;
/// Memory that a program changed is sent back in pieces of this many bytes.
pub const PAGE: u64 = 4096;

/// The two sides can't talk.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side does not know the key, or not this one.
    #[error("the other side has another key")]
    Stranger,
    /// The other side said what it must not.
    #[error("the other side does not keep to the protocol: {0}")]
    Protocol(&'static str),
}

/// Names a program: the SHA-256 of its entry and its image.
pub type ProgramId = [u8; 32];

/// What a drive asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Make a program ready.
    Load {
        /// Its name.
        id: ProgramId,
        /// The function that it starts with.
        entry: String,
        /// The object.
        image: Vec<u8>,
    },
    /// Run a program. The ranges' bytes follow.
    Run {
        /// Which.
        id: ProgramId,
        /// CPARAM1 and CPARAM2.
        parameters: [u64; 2],
        /// The data buffer.
        data: Vec<u8>,
        /// Instructions at most.
        budget: u64,
        /// The time that the program is told.
        now: u64,
        /// Bytes of each range.
        ranges: Vec<u64>,
    },
}

/// What a runner answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Response {
    /// Said once, to a drive that knows the key.
    Welcome {
        /// Bytes that a job's ranges may have together.
        memory: u64,
    },
    /// The program is ready.
    Loaded,
    /// It can't be made ready, or a job can't be taken, for this reason.
    Refused(String),
    /// The program isn't known (any more).
    Unknown,
    /// What came of a run. The bytes of the changes follow.
    Ran {
        /// The return value, or why there is none.
        result: Result<u64, Failure>,
        /// Instructions that ran.
        instructions: u64,
        /// Nanoseconds of processor time.
        measured: u64,
        /// What the program printed.
        printed: Vec<Vec<u8>>,
        /// What changed in which range.
        changes: Vec<Change>,
    },
}

/// Bytes of a range that a program changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which range.
    pub range: u32,
    /// First byte in it.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// A fault, as far as the other side can use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// [`Fault::Budget`].
    Budget {
        /// Its instruction.
        pc: Option<u64>,
    },
    /// [`Fault::Access`].
    Access {
        /// Its instruction.
        pc: u64,
        /// The program's address.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// [`Fault::Stack`].
    Stack {
        /// Its instruction.
        pc: u64,
        /// Functions that may be nested.
        limit: u64,
    },
    /// Any other, in words.
    Failed(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Budget { pc } => Self::Budget {
                pc: pc.map(|pc| pc as u64),
            },
            Fault::Access { pc, address, len } => Self::Access {
                pc: pc as u64,
                address,
                len,
            },
            Fault::Stack { pc, limit } => Self::Stack {
                pc: pc as u64,
                limit: limit as u64,
            },
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match failure {
            Failure::Budget { pc } => Self::Budget { pc: pc.map(index) },
            Failure::Access { pc, address, len } => Self::Access {
                pc: index(pc),
                address,
                len,
            },
            Failure::Stack { pc, limit } => Self::Stack {
                pc: index(pc),
                limit: index(limit),
            },
            Failure::Failed(reason) => Self::Failed { reason },
        }
    }
}

/// Reads exactly as many bytes.
pub fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], WireError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Sends a header.
pub fn send(to: &mut impl Write, header: &impl Serialize) -> Result<(), WireError> {
    let bytes = postcard::to_allocvec(header)
        .map_err(|_| WireError::Protocol("a header that can't be said"))?;
    if bytes.len() > MAX_HEADER {
        return Err(WireError::Protocol("a header that is too long"));
    }
    to.write_all(&(bytes.len() as u32).to_le_bytes())?;
    Ok(to.write_all(&bytes)?)
}

/// Receives a header. Not more is held than has come.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, WireError> {
    let len = u32::from_le_bytes(array(from)?) as usize;
    if len > MAX_HEADER {
        return Err(WireError::Protocol("a header that is too long"));
    }
    let mut bytes = Vec::new();
    from.take(len as u64).read_to_end(&mut bytes)?;
    if bytes.len() < len {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    match postcard::take_from_bytes(&bytes) {
        Ok((header, [])) => Ok(header),
        _ => Err(WireError::Protocol("a header that makes no sense")),
    }
}

/// Sends memory. The caller has seen that it is there.
pub fn send_memory(
    to: &mut impl Write,
    memory: &Mapping,
    start: u64,
    len: u64,
) -> Result<(), WireError> {
    let mut buf = vec![0; CHUNK];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(CHUNK as u64);
        let buf = &mut buf[..part as usize];
        let read = memory.read(start + done, buf);
        read.map_err(|_| WireError::Protocol("memory that is not there"))?;
        to.write_all(buf)?;
        done += part;
    }
    Ok(())
}

/// Receives memory. The caller has seen that there is room.
pub fn receive_memory(
    from: &mut impl Read,
    memory: &Mapping,
    start: u64,
    len: u64,
) -> Result<(), WireError> {
    let mut buf = vec![0; CHUNK];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(CHUNK as u64);
        let buf = &mut buf[..part as usize];
        from.read_exact(buf)?;
        let written = memory.write(start + done, buf);
        written.map_err(|_| WireError::Protocol("memory that is not there"))?;
        done += part;
    }
    Ok(())
}
