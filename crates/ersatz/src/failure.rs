//! What a failure looks like: words on standard error, and an exit status.

use ersatz_drive_file::DriveFileError;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// The command can't be carried out as it was given: exit status 2, like a wrong command line.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Tells the user of `error`, and what to exit with.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // Whoever read our output, `head` perhaps, has seen enough.
        return ExitCode::SUCCESS;
    }
    if let Some(refused) = error.downcast_ref::<DriveFileError>() {
        // The message begins with file, line and column, for tools that jump there.
        eprintln!("{refused}");
        return ExitCode::from(2);
    }
    eprintln!("ersatz: {}", describe(error));
    match error.downcast_ref::<Usage>() {
        Some(_) => ExitCode::from(2),
        None => ExitCode::FAILURE,
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line; a cause that the words before end with is not repeated.
fn describe(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.ends_with(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::from_raw_os_error(2);
        let text = format!("open x: {source}");
        let error = anyhow!(source).context(text);
        assert_eq!(
            describe(&error),
            "open x: No such file or directory (os error 2)"
        );
        let error = Err::<(), _>(error).context("outer").expect_err("an error");
        assert_eq!(
            describe(&error),
            "outer: open x: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_reason_to_exit_with_2_is_found_below_context() {
        let error = anyhow!(Usage("no".into())).context("outer");
        assert!(error.downcast_ref::<Usage>().is_some());
    }
}
