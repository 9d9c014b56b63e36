//! What the benches share.
//!
//! Nothing here asserts a speed: machines differ and are noisy. `socket` measures a drive in a
//! process of its own through a real vfio-user socket; `instructions` counts what a command costs
//! inside of the drive, which is the same on every run; `flash` does both for the flash models alone, and
//! tells what their tables take; `schedule` measures the schedulers of the compute units alone.

use anyhow::{Context, Result};
use ersatz_drive::{Drive, Execution};
use ersatz_drive_file::{DriveFile, Limits};

/// A drive whose media takes no time, so that all that is measured is ours.
const NULL_DRIVE: &str = include_str!("../../examples/drives/null.toml");

/// The drive that benches measure.
///
/// # Errors
/// When there is no memory for it.
pub fn null_drive() -> Result<Drive> {
    let file = DriveFile::parse("null.toml", NULL_DRIVE, &Limits::of_this_machine())
        .map_err(|refused| anyhow::anyhow!("{refused}"))?;
    Drive::build(&file, &Execution::Inline).context("the drive can't be built")
}
