//! `ersatz csd`: what a host does with a computational storage drive, command by command.
//!
//! Read next: `list` for what there is, `memory` for data, `program` for programs, `groups` for the
//! quality of service of jobs and what became of them. Where in device
//! memory something is, is read by `place`.

mod groups;
mod hexdump;
mod list;
mod memory;
mod place;
mod program;

use crate::output::Answer;
use crate::statistics::Statistics;
use anyhow::{Result, anyhow, bail};
use clap::Subcommand;
use ersatz_host::{Csd, Error};

const EXAMPLES: &str = "\
Examples, which count the bytes of a file that lies on the drive:
  ersatz csd list
  ersatz csd load examples/programs/histogram.o
  ersatz csd activate 0
  ersatz csd copy --file /mnt/data.bin --to 0
  ersatz csd fill 256MiB 2KiB
  ersatz csd exec 0 --range 0:128MiB --range 256MiB:2KiB --param 100000000
  ersatz csd read 256MiB 2KiB

Numbers are decimal or 0x and hexadecimal, and may have a unit: 4096, 0x1000, 4KiB, 1MiB, 1GiB.
Without --device, the only computational storage drive of this Linux is used; device nodes need
the rights to open them. Each call attaches anew: at a socket, that resets the controller, but
leaves data, device memory and programs as they are.";

/// Use a computational storage drive: copy data to its memory, load and execute programs.
///
/// Works through Linux's NVMe passthrough, in a guest or on a real machine, and on the socket of
/// `ersatz serve` without a guest.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The drive: a device node such as /dev/nvme0 or /dev/ng0n1, or vfio-user:PATH.
    #[arg(long, value_name = "DEV", global = true)]
    device: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List drives with their namespaces: flash, device memory, compute.
    #[command(after_help = "Examples:\n  ersatz csd list\n  \
                            ersatz csd --device vfio-user:/tmp/drive.sock list --json")]
    List,
    /// List the programs in a drive's slots.
    #[command(after_help = "Example:\n  ersatz csd programs")]
    Programs(list::Of),
    /// List memory range sets.
    #[command(after_help = "Example:\n  ersatz csd sets")]
    Sets(list::Of),
    /// Print what an Ersatz drive has counted: bytes moved, modelled time, lateness.
    #[command(after_help = "Example:\n  ersatz csd stats --json")]
    Stats,
    Copy(memory::Copy),
    Write(memory::Write),
    Read(memory::Read),
    Fill(memory::Fill),
    Load(program::Load),
    /// Make a loaded program executable.
    #[command(after_help = "Example:\n  ersatz csd activate 0")]
    Activate(program::Slot),
    /// Make a program no longer executable, so that it can be unloaded.
    #[command(after_help = "Example:\n  ersatz csd deactivate 0")]
    Deactivate(program::Slot),
    /// Empty a program slot.
    #[command(after_help = "Example:\n  ersatz csd unload 0")]
    Unload(program::Slot),
    Exec(program::Exec),
    SetCreate(program::SetCreate),
    SetDelete(program::SetDelete),
    /// List job groups: what their jobs get, and what they took.
    #[command(after_help = "Example:\n  ersatz csd groups")]
    Groups(list::Of),
    GroupCreate(groups::Create),
    GroupSet(groups::Set),
    GroupDelete(groups::Delete),
    /// List the jobs that were done last, with where their time went.
    #[command(after_help = "Example:\n  ersatz csd jobs --json")]
    Jobs(list::Of),
}

pub fn run(args: &Args) -> Result<()> {
    if let (Command::List, None) = (&args.command, &args.device) {
        return list::machine()?.print(args.json);
    }
    let mut csd = open(args.device.as_deref())?;
    let csd = &mut csd;
    let answer = match &args.command {
        Command::List => list::drive(args.device.as_deref().unwrap_or_default(), csd)?,
        Command::Programs(of) => list::programs(csd, of)?,
        Command::Sets(of) => list::sets(csd, of)?,
        Command::Stats => Statistics::read(csd)?.answer()?,
        Command::Copy(copy) => memory::copy(csd, copy)?,
        Command::Write(write) => memory::write(csd, write)?,
        Command::Read(read) => return memory::read(csd, read, args.json),
        Command::Fill(fill) => memory::fill(csd, fill)?,
        Command::Load(load) => program::load(csd, load)?,
        Command::Activate(slot) => program::activate(csd, slot)?,
        Command::Deactivate(slot) => program::deactivate(csd, slot)?,
        Command::Unload(slot) => program::unload(csd, slot)?,
        Command::Exec(exec) => program::exec(csd, exec)?,
        Command::SetCreate(set) => program::create_set(csd, set)?,
        Command::SetDelete(set) => program::delete_set(csd, set)?,
        Command::Groups(of) => groups::groups(csd, of)?,
        Command::GroupCreate(group) => groups::create(csd, group)?,
        Command::GroupSet(group) => groups::set(csd, group)?,
        Command::GroupDelete(group) => groups::delete(csd, group)?,
        Command::Jobs(of) => groups::jobs(csd, of)?,
    };
    answer.print(args.json)
}

/// Opens the drive that was named, or the only one that there is.
fn open(device: Option<&str>) -> Result<Csd> {
    if let Some(device) = device {
        return Csd::open(device).map_err(|error| {
            let hint = match error {
                Error::Gone(_) => " (it may be busy with another client: it serves one at a time)",
                _ => "",
            };
            anyhow!(error).context(format!("open {device}{hint}"))
        });
    }
    let (mut drives, mut failed) = (Vec::new(), Vec::new());
    for found in Csd::list() {
        match found.csd {
            Ok(csd) if has_compute(&csd) => drives.push((found.address, csd)),
            Ok(_) => {}
            Err(error) => failed.push(error.to_string()),
        }
    }
    match drives.len() {
        1 => Ok(drives.remove(0).1),
        0 if failed.is_empty() => bail!(
            "this Linux has no computational storage drive; name one with --device, such as \
             vfio-user:PATH for the socket of `ersatz serve`"
        ),
        0 => bail!(
            "no computational storage drive could be opened: {}",
            failed.join("; ")
        ),
        _ => {
            let addresses: Vec<_> = drives.iter().map(|(address, _)| address.as_str()).collect();
            bail!(
                "there are several drives; choose one with --device: {}",
                addresses.join(", ")
            )
        }
    }
}

fn has_compute(csd: &Csd) -> bool {
    !csd.memory().is_empty() || !csd.compute().is_empty()
}

/// The namespace that was named, or the only one of its kind.
fn only(named: Option<u32>, all: &[u32], kind: &str, option: &str) -> Result<u32> {
    match (named, all) {
        (Some(nsid), _) => Ok(nsid),
        (None, [nsid]) => Ok(*nsid),
        (None, []) => bail!("the drive has no {kind} namespace"),
        (None, all) => {
            let all: Vec<_> = all.iter().map(u32::to_string).collect();
            bail!(
                "the drive has several {kind} namespaces; choose one with {option}: {}",
                all.join(", ")
            )
        }
    }
}

fn nvm(csd: &Csd, named: Option<u32>) -> Result<u32> {
    let all: Vec<_> = csd.nvm().iter().map(|ns| ns.nsid).collect();
    only(named, &all, "flash", "--nvm")
}

fn memory(csd: &Csd, named: Option<u32>) -> Result<u32> {
    let all: Vec<_> = csd.memory().iter().map(|ns| ns.nsid).collect();
    only(named, &all, "memory", "--memory")
}

fn compute(csd: &Csd, named: Option<u32>) -> Result<u32> {
    let all: Vec<_> = csd.compute().iter().map(|ns| ns.nsid).collect();
    only(named, &all, "compute", "--compute")
}

/// An answer of one line.
fn said(text: String, json: serde_json::Value) -> Result<Answer> {
    Ok(Answer::new(text, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_namespace_need_not_be_named() {
        let only = |named, all: &[u32]| {
            only(named, all, "memory", "--memory").map_err(|error| error.to_string())
        };
        assert_eq!(only(None, &[2]), Ok(2));
        assert_eq!(only(Some(5), &[2]), Ok(5));
        assert_eq!(
            only(None, &[]),
            Err("the drive has no memory namespace".into())
        );
        let several = "the drive has several memory namespaces; choose one with --memory: 2, 3";
        assert_eq!(only(None, &[2, 3]), Err(several.into()));
    }
}
