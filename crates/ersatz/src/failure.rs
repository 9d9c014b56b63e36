//! What a failure looks like: words on standard error, and an exit status.

use ersatz_drive::BuildError;
use ersatz_drive_file::DriveFileError;
use ersatz_sim::SimulationError;
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

/// A file that the user named is wrong: exit status 2. The words begin with file, line and column.
#[derive(Debug)]
pub struct BadFile(pub String);

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadFile {}

/// A drive that can't be is the drive file's mistake: [`Usage`].
pub fn explain_build(error: BuildError) -> anyhow::Error {
    match error {
        BuildError::Femu(_) | BuildError::Page(_) | BuildError::Precondition(_) => {
            Usage(error.to_string()).into()
        }
        _ => anyhow::Error::new(error).context("build the drive"),
    }
}

/// What is wrong with a simulation: [`Usage`] where another drive file would be right.
pub fn explain_simulation(error: SimulationError) -> anyhow::Error {
    match error {
        SimulationError::Build(error) => explain_build(error),
        SimulationError::NoNamespace(_) => Usage(error.to_string()).into(),
        _ => error.into(),
    }
}

/// Tells the user of `error`, and what to exit with.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // Whoever read our output, `head` perhaps, has seen enough.
        return ExitCode::SUCCESS;
    }
    // These begin with file, line and column, for tools that jump there.
    let refused = error.downcast_ref::<DriveFileError>();
    let refused = refused.map(|refused| refused as &dyn fmt::Display);
    let bad = error.downcast_ref::<BadFile>();
    match refused.or(bad.map(|bad| bad as &dyn fmt::Display)) {
        Some(words) => eprintln!("{words}"),
        None => eprintln!("ersatz: {}", describe(error)),
    }
    if is_usage(error) {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// Whether what the user gave is wrong, and would be so on any machine.
pub fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>() || error.is::<BadFile>() || error.is::<DriveFileError>()
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line; a cause that the words before end with is not repeated.
pub fn describe(error: &anyhow::Error) -> String {
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
