//! `ersatz serve`: a drive behind a socket.

use crate::drive_thread::{Doorbells, DriveThread};
use crate::interrupt;
use crate::output::Answer;
use crate::quantity::bytes;
use crate::statistics;
use anyhow::{Context, Result, bail};
use ersatz_drive::freeze::Freezer;
use ersatz_drive_file::{DriveFile, Limits, Namespace, NamespaceKind};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  ersatz serve examples/drives/csd.toml --socket /tmp/drive.sock
  ersatz csd --device vfio-user:/tmp/drive.sock list
  qemu-system-x86_64 … -device '{\"driver\": \"vfio-user-pci\",
      \"socket\": {\"type\": \"unix\", \"path\": \"/tmp/drive.sock\"}}'

QEMU has to be 10.1 or later, and the guest's memory shared (memory-backend-memfd,share=on).";

/// Serve a drive over vfio-user until interrupted.
///
/// One client after another is served. What a client leaves behind (namespaces' data, device memory,
/// programs) is there for the next. SIGINT, SIGTERM or SIGHUP ends it: then it prints what the drive
/// counted, and whether this machine was fast enough for it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Drive file.
    #[arg(value_name = "DRIVE.toml")]
    drive: PathBuf,
    /// Where to listen. A socket that a dead server left there is replaced.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// How doorbells are offered, in place of what the drive file says.
    #[arg(long, value_enum)]
    doorbells: Option<Doorbells>,
    /// Where the guest's QEMU listens for QMP (its option -qmp unix:PATH,server=on,wait=off), now or
    /// later: the guest's clock is then stopped while a program takes longer on this machine than by
    /// its model.
    #[arg(long, value_name = "PATH")]
    freeze: Option<PathBuf>,
    /// Print two lines of JSON, one when clients may connect and one at the end.
    #[arg(long)]
    json: bool,
    /// End when the process with this PID, our parent, ends however it does.
    #[arg(long, value_name = "PID", hide = true)]
    exit_with_parent: Option<i32>,
}

pub fn run(args: &Args) -> Result<()> {
    if let Some(parent) = args.exit_with_parent {
        exit_with_parent(parent)?;
    }
    let file = DriveFile::load(&args.drive, &Limits::of_this_machine())?;
    let freezer = args.freeze.as_deref().map(Freezer::start).transpose()?;
    let drive = DriveThread::start(&file, &args.socket, args.doorbells, freezer.as_ref())?;
    let waker = drive.waker();
    interrupt::on_first(move || waker.stop())?;
    announce(&file, args).print(args.json)?;
    let mut answer = drive.join()?.answer()?;
    if let Some(freezer) = freezer {
        answer.append("frozen", statistics::frozen(freezer.statistics()));
    }
    answer.print(args.json)
}

fn announce(file: &DriveFile, args: &Args) -> Answer {
    let (serial, socket) = (&file.drive.serial, args.socket.display());
    let namespaces: Vec<_> = file.namespaces.iter().map(describe).collect();
    let text = format!("Serving {serial} at {socket}: {}", namespaces.join(", "));
    let json = json!({
        "serial": serial,
        "socket": args.socket.to_string_lossy(),
        "namespaces": namespaces,
    });
    Answer::new(text, json)
}

fn describe(namespace: &Namespace) -> String {
    let what = match &namespace.kind {
        NamespaceKind::Nvm(nvm) => format!("{} of flash", bytes(nvm.size)),
        NamespaceKind::Memory(memory) => format!("{} of memory", bytes(memory.size)),
        NamespaceKind::Compute(compute) => format!("{} compute units", compute.units),
    };
    format!("namespace {} with {what}", namespace.id)
}

/// Asks for a signal when the parent ends, and makes sure that it has not ended before.
fn exit_with_parent(parent: i32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("watch the parent process")?;
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        bail!("the parent process {parent} has ended");
    }
    Ok(())
}
