//! How a command fails.

use ersatz_engine::Ns;
use ersatz_ftl::{Fault, MediaError};
use ersatz_memory::OutOfBounds;
use ersatz_pcie::DmaFault;
use nvme_spec::Status;
use std::borrow::Cow;
use std::fmt;

/// Why a command failed: the status that its host gets, and words for the drive's operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvmeError {
    /// What the completion says. Do Not Retry is set unless trying again could help.
    pub status: Status,
    /// What the drive's log says; empty where the status says it all.
    pub reason: Cow<'static, str>,
    /// When the failure is known, where finding out takes time.
    pub at: Option<Ns>,
    /// The first block that could not be used, where it is not just the command's first.
    pub lba: Option<u64>,
}

impl NvmeError {
    /// A failure that the same command would have again.
    #[must_use]
    pub fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: status.with_dnr(true),
            reason: reason.into(),
            at: None,
            lba: None,
        }
    }

    /// A failure that may pass.
    #[must_use]
    pub fn transient(status: Status, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: status.with_dnr(false),
            reason: reason.into(),
            at: None,
            lba: None,
        }
    }

    /// Invalid Field in Command.
    #[must_use]
    pub fn field(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Status::INVALID_FIELD, reason)
    }
}

impl fmt::Display for NvmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for NvmeError {}

impl From<Status> for NvmeError {
    fn from(status: Status) -> Self {
        Self::new(status, "")
    }
}

impl From<DmaFault> for NvmeError {
    fn from(fault: DmaFault) -> Self {
        Self::transient(Status::DATA_TRANSFER_ERROR, fault.to_string())
    }
}

impl From<OutOfBounds> for NvmeError {
    /// Ranges are checked against the namespace before its memory is touched: this is our mistake.
    fn from(error: OutOfBounds) -> Self {
        Self::transient(Status::INTERNAL_ERROR, error.to_string())
    }
}

impl From<MediaError> for NvmeError {
    fn from(error: MediaError) -> Self {
        let status = match error.fault {
            Fault::OutOfBlocks | Fault::Program => Status::WRITE_FAULT,
            Fault::ReadOnly => Status::NAMESPACE_WRITE_PROTECTED,
            Fault::Uncorrectable => Status::UNRECOVERED_READ_ERROR,
        };
        Self {
            at: Some(error.at),
            ..Self::new(status, error.fault.to_string())
        }
    }
}
