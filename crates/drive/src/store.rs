//! Where the bytes of all NVM namespaces are.

use ersatz_drive_file::Store;
use ersatz_memory::{Access, MapError, Mapping};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No memory for it.
    #[error("no memory for {bytes} bytes of namespaces")]
    Memory {
        /// Bytes wanted.
        bytes: u64,
        /// Why.
        source: MapError,
    },
    /// The file can't be opened or made.
    #[error("store {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another drive has the file.
    #[error("store {0} is in use by another drive")]
    InUse(PathBuf),
    /// The file's length is not that of the namespaces.
    #[error(
        "store {path} has {found} bytes, the namespaces of the drive file have {wanted}: it belongs \
         to another drive file, or its namespaces were changed; move it away to begin anew"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        found: u64,
        /// Bytes of the namespaces.
        wanted: u64,
    },
    /// The file can't be mapped.
    #[error("store {path} can't be mapped")]
    Map {
        /// The file.
        path: PathBuf,
        /// Why.
        source: MapError,
    },
}

/// Opens the store of `bytes` bytes; a file that does not exist yet is made, sparse.
pub(crate) fn open(store: &Store, bytes: u64) -> Result<Mapping, StoreError> {
    // A drive of memory only has a store that nobody uses.
    let bytes = bytes.max(4096);
    match store {
        Store::Memory => Mapping::anonymous("ersatz-store", bytes)
            .map_err(|source| StoreError::Memory { bytes, source }),
        Store::File(path) => {
            let file = open_file(path, bytes)?;
            Mapping::file(OwnedFd::from(file), 0, bytes, Access::ReadWrite).map_err(|source| {
                StoreError::Map {
                    path: path.clone(),
                    source,
                }
            })
        }
    }
}

fn open_file(path: &Path, bytes: u64) -> Result<File, StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_path_buf(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    // Two drives that write one file would destroy it.
    file.try_lock()
        .map_err(|_| StoreError::InUse(path.to_path_buf()))?;
    let found = file.metadata().map_err(failed)?.len();
    if found == 0 {
        file.set_len(bytes).map_err(failed)?;
    } else if found != bytes {
        return Err(StoreError::Length {
            path: path.to_path_buf(),
            found,
            wanted: bytes,
        });
    }
    Ok(file)
}
