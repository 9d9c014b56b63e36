//! `ersatz demo`: one question, answered by the drive and by the host, with figures of both ways.
//!
//! A drive in a process of its own ([`child`]) is written full of a log ([`log`]) through its
//! socket ([`stream`]). How many lines have errors is then counted twice: by a program in the drive
//! ([`in_drive`]), and by reading everything and counting here ([`on_host`]). [`report`] compares.

mod child;
mod in_drive;
mod log;
mod on_host;
mod plan;
mod report;
mod stream;

use crate::interrupt;
use crate::quantity::number;
use crate::statistics::Statistics;
use anyhow::{Context, Result, bail, ensure};
use child::Child;
use ersatz_drive_file::{DriveFile, Limits, NamespaceKind};
use ersatz_host::Csd;
use ersatz_host::csd::{ComputeNamespace, MemoryNamespace, NvmNamespace};
use ersatz_host::driver::{Direct, Options, VfioUser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use report::{Report, Way};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::Stream;

const EXAMPLES: &str = "\
Examples:
  ersatz demo
  ersatz demo --size 64MiB --json
  ersatz demo --drive my-drive.toml

The data are the same in every run. Exit status 1 if the drive and the host disagree.";

/// The drive of the demo, unless another is named.
const DRIVE: &str = include_str!("../../../../examples/drives/csd.toml");
/// The program for the drive: its source lies beside it.
const PROGRAM: &[u8] = include_bytes!("../../../../examples/programs/count_lines.o");
/// What is looked for.
const TOKEN: &[u8] = b"ERROR";

/// Count errors in a log twice, in a drive and on the host, and compare what each way costs.
///
/// Starts a drive in a process of its own, attaches to its socket with the user-space driver, writes
/// a log to its flash, copies it to device memory inside of the drive and counts lines there with an
/// eBPF program; then reads everything to the host and counts again.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Bytes of the log.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = number)]
    size: u64,
    /// Drive file, in place of the built-in examples/drives/csd.toml.
    #[arg(long, value_name = "DRIVE.toml")]
    drive: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The drive as this host has it.
struct Host {
    csd: Csd,
    /// A queue of its own for data and programs, that many commands are in at a time.
    stream: Stream,
    nvm: NvmNamespace,
    memory: MemoryNamespace,
    compute: ComputeNamespace,
    /// Compute units; a drive does not tell, its file does.
    units: u16,
}

pub fn run(args: &Args) -> Result<()> {
    let folder = tempfile::tempdir().context("make a folder for the drive's socket")?;
    interrupt::remove_on_interrupt(folder.path().to_owned())?;
    let path = match &args.drive {
        Some(path) => path.clone(),
        None => {
            let path = folder.path().join("csd.toml");
            std::fs::write(&path, DRIVE).with_context(|| format!("write {}", path.display()))?;
            path
        }
    };
    let file = DriveFile::load(&path, &Limits::of_this_machine())?;
    let child = Child::serve(&path, &folder.path().join("drive.sock"))?;
    let mut host = attach(&child, &file)?;
    ensure!(args.size > 0, "there is nothing to count in 0 bytes");
    ensure!(
        args.size <= host.nvm.size(),
        "{} bytes are more than the {} that the drive's flash has",
        args.size,
        host.nvm.size()
    );

    let bar = Progress { hidden: args.json };
    let written = write(&mut host, args.size, &bar)?;
    let drive = timed(&mut host, |host| in_drive::count(host, args.size, &bar))?;
    let on_host = timed(&mut host, |host| on_host::count(host, args.size, &bar))?;
    let report = Report {
        size: args.size,
        written,
        units: host.units,
        statistics: Statistics::read(&mut host.csd)?,
        drive,
        host: on_host,
    };
    // The drive's host leaves before the drive does.
    drop(host);
    child.stop()?;
    report.answer()?.print(args.json)?;
    if !report.agrees() {
        bail!("the drive and the host disagree");
    }
    Ok(())
}

fn attach(child: &Child, file: &DriveFile) -> Result<Host> {
    let transport = VfioUser::connect(child.socket()).context("connect to the drive")?;
    let mut direct = Direct::attach(Arc::new(transport), Options::default())?;
    let stream = Stream::new(direct.driver())?;
    let csd = Csd::new(Box::new(direct))?;
    let first = |kind| format!("the demo needs a drive with a {kind} namespace");
    let nvm = *csd.nvm().first().with_context(|| first("flash"))?;
    let memory = *csd.memory().first().with_context(|| first("memory"))?;
    let compute = *csd.compute().first().with_context(|| first("compute"))?;
    let units = file.namespaces.iter().find_map(|ns| match &ns.kind {
        NamespaceKind::Compute(found) if ns.id == compute.nsid => Some(found.unit_count()),
        _ => None,
    });
    Ok(Host {
        csd,
        stream,
        nvm,
        memory,
        compute,
        units: units.unwrap_or(1),
    })
}

/// Writes the log, and returns how long that took.
#[allow(clippy::disallowed_methods)] // Real time is what is asked for.
fn write(host: &mut Host, size: u64, progress: &Progress) -> Result<Duration> {
    let bar = progress.bytes("Writing a log to the drive", size);
    let (start, mut log) = (Instant::now(), log::Log::new());
    host.stream.write(&host.nvm, size, |piece| {
        log.fill(piece);
        bar.inc(piece.len() as u64);
    })?;
    host.csd.flush(host.nvm.nsid)?;
    bar.finish_and_clear();
    Ok(start.elapsed())
}

/// What came of a way to count, with what the drive and the clock say about it.
#[allow(clippy::disallowed_methods)] // Real time is what is asked for.
fn timed(host: &mut Host, count: impl FnOnce(&mut Host) -> Result<Counted>) -> Result<Way> {
    let before = Statistics::read(&mut host.csd)?;
    let start = Instant::now();
    let counted = count(host)?;
    let real = start.elapsed();
    let after = Statistics::read(&mut host.csd)?;
    Ok(Way::new(counted, real, &before, &after))
}

/// What a way to count found.
struct Counted {
    /// Lines with the token.
    lines: u64,
    /// Modelled time that the drive copied from flash to device memory for.
    copied: Duration,
    /// Real time that this host's processor spent on counting.
    processor: Duration,
}

/// Makes progress bars on standard error, if that is a terminal.
struct Progress {
    hidden: bool,
}

impl Progress {
    fn bytes(&self, message: &'static str, len: u64) -> ProgressBar {
        let template = "{msg:<32} {wide_bar} {bytes:>11} {binary_bytes_per_sec:>13}";
        self.bar(message, template, Some(len))
    }

    fn spinner(&self, message: &'static str) -> ProgressBar {
        let bar = self.bar(message, "{msg} {spinner}", None);
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    fn bar(&self, message: &'static str, template: &str, len: Option<u64>) -> ProgressBar {
        let target = match self.hidden {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(len, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.with_message(message)
    }
}
