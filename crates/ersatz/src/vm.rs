//! `ersatz vm`: a stock Linux guest with a drive.

use crate::drive_thread::DriveThread;
use crate::interrupt;
use crate::statistics;
use anyhow::{Context, Result};
use clap::ValueEnum;
use ersatz_drive::freeze::Freezer;
use ersatz_drive_file::{DriveFile, Limits};
use ersatz_vm::{
    Accelerator, Environment, Guest, GuestFile, Inherit, MemoryBackend, Progress, Task,
};
use indicatif::{ProgressBar, ProgressStyle};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  ersatz vm examples/drives/csd.toml
  ersatz vm examples/drives/csd.toml -- nvme list
  ersatz vm examples/drives/csd.toml -- sh -c 'mkfs.ext4 -q /dev/nvme0n1 && ersatz csd list'
  ersatz vm examples/drives/csd.toml --file examples/programs/sum.o -- ersatz csd load /root/sum.o
  ersatz vm examples/drives/csd.toml examples/drives/tlc-pcie4.toml -- nvme list
  ersatz vm --freeze examples/drives/csd.toml
  ersatz vm --no-drive -- uname -a

The first run fetches QEMU (unless the machine has 10.1 or later), a kernel and tools from Debian's
packages into a cache of its own ($ERSATZ_CACHE, else ~/.cache/ersatz); nothing is installed.
The exit status is COMMAND's.";

/// Boot a stock Linux guest in a stock QEMU with drives attached.
///
/// COMMAND runs in the guest, and its output and exit status are passed through; without one there
/// is a shell. nvme-cli, e2fsprogs, fio and `ersatz` itself are in the guest.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Drive files; each becomes a drive of the guest, in this order.
    #[arg(value_name = "DRIVE.toml", required_unless_present = "no_drive")]
    drives: Vec<PathBuf>,
    /// Boot without a drive.
    #[arg(long, conflicts_with = "drives")]
    no_drive: bool,
    /// The guest's memory in MiB; its file system lives there too.
    #[arg(long, value_name = "MiB", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(256..=1 << 20))]
    memory: u32,
    /// The guest's processors.
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// Whether to use hardware virtualisation.
    #[arg(long, value_enum, default_value_t = Kvm::Auto)]
    kvm: Kvm,
    /// A file to put into the guest, in /root if GUEST is not given; repeat for more.
    #[arg(long = "file", value_name = "HOST[:GUEST]", value_parser = guest_file)]
    files: Vec<GuestFile>,
    /// Stop the guest's clock while a program takes longer on this machine than by its model: the
    /// guest then sees the modelled time.
    #[arg(long, conflicts_with = "no_drive")]
    freeze: bool,
    /// How the drive reaches the guest's memory.
    #[arg(long, value_enum, default_value_t = GuestMemory::Shared)]
    guest_memory: GuestMemory,
    /// Kill the guest when it has not powered off after this many seconds.
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
    /// What to run in the guest.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Whether to use hardware virtualisation.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kvm {
    /// Where it works.
    Auto,
    /// Emulate the processor.
    Off,
}

/// How the drive reaches the guest's memory.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum GuestMemory {
    /// It maps it.
    Shared,
    /// It has to ask QEMU for each byte: slow, for testing.
    Messages,
}

/// Parses `HOST[:GUEST]`. A file that can be executed here can be executed there.
fn guest_file(text: &str) -> Result<GuestFile, String> {
    let (host, guest) = match text.split_once(':') {
        Some((host, guest)) => (PathBuf::from(host), guest.to_owned()),
        None => {
            let host = PathBuf::from(text);
            let name = host.file_name().and_then(|name| name.to_str());
            let guest = format!("/root/{}", name.ok_or("not the path of a file")?);
            (host, guest)
        }
    };
    if !guest.starts_with('/') {
        return Err("the path in the guest has to be absolute".to_owned());
    }
    let metadata = std::fs::metadata(&host).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    let mode = metadata.permissions().mode() & 0o777;
    Ok(GuestFile { host, guest, mode })
}

pub fn run(args: Args, verbose: bool) -> Result<ExitCode> {
    // A wrong drive file is refused before anything is fetched.
    let files = args
        .drives
        .iter()
        .map(|path| DriveFile::load(path, &Limits::of_this_machine()))
        .collect::<Result<Vec<_>, _>>()?;
    let cache = ersatz_vm::default_dir().context("no folder for the cache: set ERSATZ_CACHE")?;
    let mut steps = Steps(ProgressBar::no_length());
    let prepared = Environment::prepare(&cache, &mut steps);
    steps.0.finish_and_clear();
    let environment = prepared.context("prepare the guest")?;

    let folder = tempfile::tempdir().context("make a folder for the drive's socket")?;
    interrupt::remove_on_interrupt(folder.path().to_owned())?;
    let sockets: Vec<_> = (0..files.len())
        .map(|number| folder.path().join(format!("drive{number}.sock")))
        .collect();
    let qmp = args.freeze.then(|| folder.path().join("qmp.sock"));
    let freezer = qmp.as_deref().map(Freezer::start).transpose()?;
    let drives = files
        .iter()
        .zip(&sockets)
        .map(|(file, socket)| DriveThread::start(file, socket, None, freezer.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    let task = if args.command.is_empty() {
        eprintln!(
            "A shell in the guest: `exit` powers it off, {} kills it.",
            Guest::ESCAPE
        );
        Task::Shell
    } else {
        Task::Command(args.command)
    };
    let guest = Guest {
        memory_mib: args.memory,
        cpus: args.cpus,
        sockets,
        task,
        ersatz: Some(std::env::current_exe().context("find this program")?),
        accelerator: match args.kvm {
            Kvm::Auto => Accelerator::Auto,
            Kvm::Off => Accelerator::Tcg,
        },
        files: args.files,
        memory_backend: match args.guest_memory {
            GuestMemory::Shared => MemoryBackend::Shared,
            GuestMemory::Messages => MemoryBackend::Plain,
        },
        timeout: args.timeout.map(Duration::from_secs),
        qmp_socket: qmp,
        ..Guest::default()
    };
    let status = guest.run(&environment, &mut Inherit { log: verbose });
    let statistics = drives.into_iter().map(DriveThread::stop);
    let statistics = statistics.collect::<Result<Vec<_>>>()?;
    let status = status?;
    for (file, statistics) in files.iter().zip(&statistics).filter(|_| verbose) {
        eprintln!("{}\n{}", file.drive.serial, statistics.answer()?.text);
    }
    if let (true, Some(freezer)) = (verbose, freezer) {
        eprintln!("{}", statistics::frozen(freezer.statistics()).text);
    }
    Ok(ExitCode::from(u8::try_from(status.0).unwrap_or(1)))
}

/// What is being prepared, on standard error if that is a terminal.
struct Steps(ProgressBar);

impl Progress for Steps {
    fn step(&mut self, what: &str) {
        self.0.set_style(ProgressStyle::default_spinner());
        self.0.enable_steady_tick(Duration::from_millis(100));
        self.0.unset_length();
        self.0.set_message(what.to_owned());
    }

    fn percent(&mut self, percent: u8) {
        if self.0.length().is_none() {
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {wide_msg} {bar:20} {percent:>3} %")
            {
                self.0.set_style(style);
            }
            self.0.set_length(100);
        }
        self.0.set_position(percent.into());
    }
}
