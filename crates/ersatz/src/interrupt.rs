//! Signals that end a program.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::path::PathBuf;
use std::thread;

/// Calls `stop` on the first SIGINT, SIGTERM or SIGHUP; the second ends the process at once.
pub fn on_first(stop: impl FnOnce() + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("catching signals")?;
    let handle = move || {
        let mut stop = Some(stop);
        for signal in signals.forever() {
            match stop.take() {
                Some(stop) => stop(),
                // It does not return for a signal that ends the process.
                None => _ = emulate_default_handler(signal),
            }
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(handle)
        .context("catching signals")?;
    Ok(())
}

/// Removes `folder` before a signal ends the process: destructors don't run then.
pub fn remove_on_interrupt(folder: PathBuf) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("catching signals")?;
    let handle = move || {
        if let Some(signal) = signals.forever().next() {
            // The process ends in either case.
            let _ = std::fs::remove_dir_all(&folder);
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(handle)
        .context("catching signals")?;
    Ok(())
}
