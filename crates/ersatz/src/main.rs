//! The `ersatz` command: a computational storage drive in software, and what a host does with one.
//!
//! Each subcommand is a module with its own `Args` and a function that runs it: [`serve`] (a drive
//! behind a socket), [`vm`] (a guest with a drive), [`demo`] (both sides at once, with figures),
//! [`csd`] (the host's side, command by command), [`simulate`] (a drive without a guest, in virtual
//! time), [`sweep`] (many simulations, one table), [`runner`] (programs of drives elsewhere) and
//! [`convert`] (other emulators' drives as drive files). What a drive is and does is in the
//! libraries; here are the command line, the words and the tables.
//!
//! Standard output has what was asked for, or JSON; standard error has progress, logs and errors.
#![forbid(unsafe_code)]

mod bench;
mod convert;
mod csd;
mod demo;
mod drive_thread;
mod failure;
mod interrupt;
mod output;
mod quantity;
mod requests;
mod runner;
mod serve;
mod simulate;
mod statistics;
mod sweep;
mod vm;

use anyhow::Result;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const EXIT_STATUS: &str = "\
Exit status:
  0  all went well
  1  something failed, and standard error says what
  2  the command line or the drive file is wrong: nothing was started
`ersatz vm … -- COMMAND` ends with COMMAND's own status.

A drive file describes a drive: docs/drive-file.md, examples/drives/.";

/// A computational storage drive in software.
///
/// A stock virtual machine monitor, a stock Linux and stock NVMe tools see an NVMe controller with
/// flash, device memory, and compute units that run your eBPF programs beside the data.
#[derive(Parser)]
#[command(name = "ersatz", version, after_help = EXIT_STATUS, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log more to standard error; twice for even more. RUST_LOG overrides it.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Vm(vm::Args),
    Csd(csd::Args),
    Simulate(simulate::Args),
    Sweep(sweep::Args),
    Runner(runner::Args),
    Convert(convert::Args),
    Bench(bench::Args),
    /// Run a native program for a drive, which starts this by itself.
    #[command(name = ersatz_drive::NATIVE_CHILD, hide = true)]
    NativeChild {
        #[arg(allow_hyphen_values = true)]
        library: PathBuf,
        #[arg(allow_hyphen_values = true)]
        entry: String,
    },
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  ersatz completions bash > ~/.local/share/bash-completion/completions/ersatz"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(&cli);
    match run(cli) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => demo::run(&args)?,
        Command::Serve(args) => serve::run(&args)?,
        Command::Vm(args) => return vm::run(args, cli.verbose > 0),
        Command::Csd(args) => csd::run(&args)?,
        Command::Simulate(args) => simulate::run(&args)?,
        Command::Sweep(args) => sweep::run(&args)?,
        Command::Runner(args) => runner::run(&args)?,
        Command::Convert(args) => convert::run(&args)?,
        Command::Bench(args) => bench::run(&args)?,
        Command::NativeChild { library, entry } => {
            return Ok(ersatz_native::run_child(&library, &entry));
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "ersatz", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(cli: &Cli) {
    let base = match cli.command {
        // Who serves a drive wants to know who comes and goes.
        Command::Serve(_) | Command::Runner(_) => 2,
        // What the drive refuses is counted in the results.
        Command::Simulate(_) | Command::Sweep(_) => 0,
        _ => 1,
    };
    let levels = ["error", "warn", "info", "debug", "trace"];
    let level = levels[usize::from(base + cli.verbose.min(4)).min(4)];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
