//! `ersatz serve`: a drive behind a socket.

use crate::drive_thread::{Doorbells, DriveThread};
use crate::failure::Usage;
use crate::interrupt;
use crate::output::Answer;
use crate::quantity::bytes;
use crate::statistics;
use anyhow::{Context, Result, bail};
use ersatz_drive::freeze::Freezer;
use ersatz_drive::serve::Waker;
use ersatz_drive_file::{DriveFile, Limits, Namespace, NamespaceKind};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde_json::json;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  ersatz serve examples/drives/csd.toml --socket /tmp/drive.sock
  ersatz csd --device vfio-user:/tmp/drive.sock list
  ersatz serve a.toml b.toml --socket /tmp/a.sock --socket /tmp/b.sock
  qemu-system-x86_64 … -device '{\"driver\": \"vfio-user-pci\",
      \"socket\": {\"type\": \"unix\", \"path\": \"/tmp/drive.sock\"}}'

QEMU has to be 10.1 or later, and the guest's memory shared (memory-backend-memfd,share=on).";

/// Serve drives over vfio-user until interrupted.
///
/// Each drive serves one client after another. What a client leaves behind (namespaces' data, device memory,
/// programs) is there for the next. SIGINT, SIGTERM or SIGHUP ends it: then it prints what the drive
/// counted, and whether this machine was fast enough for it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Drive files, one for each drive.
    #[arg(value_name = "DRIVE.toml", required = true)]
    drives: Vec<PathBuf>,
    /// Where to listen, once for each drive, in the same order. A socket that a dead server left
    /// there is replaced.
    #[arg(long = "socket", value_name = "PATH", required = true)]
    sockets: Vec<PathBuf>,
    /// How doorbells are offered, in place of what the drive file says.
    #[arg(long, value_enum)]
    doorbells: Option<Doorbells>,
    /// Where the guest's QEMU listens for QMP (its option -qmp unix:PATH,server=on,wait=off), now or
    /// later: the guest's clock is then stopped while a program takes longer on this machine than by
    /// its model.
    #[arg(long, value_name = "PATH")]
    freeze: Option<PathBuf>,
    /// Print two lines of JSON for each drive, one when clients may connect and one at the end.
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
    let (drives, sockets) = (args.drives.len(), args.sockets.len());
    if drives != sockets {
        let why = format!("{drives} drives need as many sockets, {sockets} were given");
        return Err(Usage(why).into());
    }
    let files = args
        .drives
        .iter()
        .map(|path| DriveFile::load(path, &Limits::of_this_machine()))
        .collect::<Result<Vec<_>, _>>()?;
    let freezer = args.freeze.as_deref().map(Freezer::start).transpose()?;
    let drives = files
        .iter()
        .zip(&args.sockets)
        .map(|(file, socket)| DriveThread::start(file, socket, args.doorbells, freezer.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    let wakers: Vec<_> = drives.iter().map(DriveThread::waker).collect();
    interrupt::on_first(move || wakers.iter().for_each(Waker::stop))?;
    for (file, socket) in files.iter().zip(&args.sockets) {
        announce(file, socket).print(args.json)?;
    }
    let ends: Vec<_> = drives.into_iter().map(DriveThread::join).collect();
    for (file, end) in files.iter().zip(ends) {
        let mut answer = end?.answer()?;
        if files.len() > 1 {
            let serial = &file.drive.serial;
            answer.text = format!("{serial}\n{}", answer.text);
            answer.json["serial"] = json!(serial);
        }
        if let Some(freezer) = &freezer {
            answer.append("frozen", statistics::frozen(freezer.statistics()));
        }
        answer.print(args.json)?;
    }
    Ok(())
}

fn announce(file: &DriveFile, socket: &Path) -> Answer {
    let serial = &file.drive.serial;
    let namespaces: Vec<_> = file.namespaces.iter().map(describe).collect();
    let text = format!(
        "Serving {serial} at {}: {}",
        socket.display(),
        namespaces.join(", ")
    );
    let json = json!({
        "serial": serial,
        "socket": socket.to_string_lossy(),
        "namespaces": namespaces,
    });
    Answer::new(text, json)
}

fn describe(namespace: &Namespace) -> String {
    let what = match &namespace.kind {
        NamespaceKind::Nvm(nvm) => format!("{} of flash", bytes(nvm.size)),
        NamespaceKind::Memory(memory) => format!("{} of memory", bytes(memory.size)),
        NamespaceKind::Compute(compute) => format!("{} compute units", compute.unit_count()),
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
