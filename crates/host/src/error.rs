//! What can go wrong between a host and its drive.

use ersatz_memory::{MapError, OutOfBounds};
use nvme_spec::Status;
use std::io;
use std::time::Duration;

/// Why something could not be done. The message says what was tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The drive completed a command with a status other than success.
    #[error("{doing}: {status}")]
    Status {
        /// What was tried.
        doing: String,
        /// How the command ended.
        status: Status,
    },
    /// The request can't be right, whatever the drive: nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// The drive, or the way to it, can't do this.
    #[error("{0}")]
    Unsupported(String),
    /// All entries of the submission queue are in use: poll for completions first.
    #[error("the submission queue is full")]
    QueueFull,
    /// The drive did not answer in time. Until the controller is reset it may still touch the
    /// buffers of the command.
    #[error("{doing}: no answer within {limit:?}")]
    Timeout {
        /// What was tried.
        doing: String,
        /// How long it was given.
        limit: Duration,
    },
    /// The controller gave up (CSTS.CFS is set); only a reset helps.
    #[error("{doing}: the controller reports a fatal error (CSTS.CFS)")]
    Fatal {
        /// What was tried.
        doing: String,
    },
    /// The drive said something that no drive may say; nothing it says is of use any more.
    #[error("the drive broke the protocol: {0}")]
    Protocol(String),
    /// There is no way to the drive any more.
    #[error("the drive is gone: {0}")]
    Gone(String),
    /// The operating system refused.
    #[error("{doing}: {source}")]
    Os {
        /// What was tried.
        doing: String,
        /// Its answer.
        source: io::Error,
    },
    /// An access outside of a buffer.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// Memory for buffers or doorbells could not be mapped.
    #[error("memory: {0}")]
    Map(#[from] MapError),
}

impl Error {
    pub(crate) fn os(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Os {
            doing: doing.into(),
            source: source.into(),
        }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }

    /// How the command ended, if the drive completed it.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether commands may still be in flight, so that their buffers must not be used again.
    pub(crate) fn leaves_commands_behind(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. } | Self::Fatal { .. } | Self::Protocol(_) | Self::Gone(_)
        )
    }
}

/// Says what was tried in the caller's words, in place of those of the layer below.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, Error> {
    fn doing(mut self, what: impl FnOnce() -> String) -> Result<T, Error> {
        if let Err(
            Error::Status { doing, .. }
            | Error::Timeout { doing, .. }
            | Error::Fatal { doing }
            | Error::Os { doing, .. },
        ) = &mut self
        {
            *doing = what();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_was_tried_and_the_status_in_words() {
        let below: Result<(), Error> = Err(Error::Status {
            doing: "command 85h".into(),
            status: Status::PROGRAM_TOO_BIG.with_dnr(true),
        });
        let error = below.doing(|| "load program 3".into()).expect_err("failed");
        assert_eq!(
            error.to_string(),
            "load program 3: Program Too Big (SCT 1h, SC 9Bh, do not retry)"
        );
        assert_eq!(
            error.status().map(Status::code),
            Some(Status::PROGRAM_TOO_BIG)
        );
    }

    #[test]
    fn words_of_the_layer_below_stay_where_they_say_more() {
        let below: Result<(), Error> = Err(Error::refused("offset 3 is not a multiple of 4"));
        let error = below.doing(|| "read".into()).expect_err("failed");
        assert_eq!(error.to_string(), "offset 3 is not a multiple of 4");
    }
}
