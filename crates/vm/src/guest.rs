//! A guest: what the caller chooses, and the command line of QEMU that follows from it.

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::environment::Environment;
use crate::error::RunError;
use crate::initramfs;
use crate::output::Output;
use crate::supervise::Machine;
use crate::terminal::Terminal;

/// One run of a virtual machine. Start from [`Guest::default`]: no drives, a shell, no time
/// limit.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Memory in MiB. The guest's file system, with what is put into it, lives there too: 256 is
    /// the least that boots.
    pub memory_mib: u32,
    /// Virtual processors, 1 or more.
    pub cpus: u32,
    /// What the guest's memory is made of.
    pub memory_backend: MemoryBackend,
    /// Sockets on which drives are served over vfio-user: one PCI device each, in this order.
    pub sockets: Vec<PathBuf>,
    /// What the guest does before it powers off.
    pub task: Task,
    /// A program of this machine that becomes `ersatz` on the guest's PATH; it brings its own
    /// libraries along. (The caller's own program is [`std::env::current_exe`].)
    pub ersatz: Option<PathBuf>,
    /// More files for the guest.
    pub files: Vec<GuestFile>,
    /// Hardware virtualisation or not.
    pub accelerator: Accelerator,
    /// The guest is killed when it has not powered off after this long.
    pub timeout: Option<Duration>,
    /// More arguments for QEMU, such as another device.
    pub qemu_args: Vec<OsString>,
    /// Where QEMU listens for QMP, its control protocol.
    pub qmp_socket: Option<PathBuf>,
}

/// What the guest's memory is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryBackend {
    /// A file descriptor that devices in other processes can map.
    #[default]
    Shared,
    /// Private memory: devices have to ask QEMU for every byte.
    Plain,
}

/// What runs a guest's instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accelerator {
    /// Hardware virtualisation where it works, else emulation.
    #[default]
    Auto,
    /// Hardware virtualisation, whether it works or not.
    Kvm,
    /// Emulation.
    Tcg,
}

/// What a guest does before it powers off.
#[derive(Clone, Debug)]
pub enum Task {
    /// A shell on the user's terminal, until `exit`. [`Guest::ESCAPE`] ends a guest that hangs.
    Shell,
    /// A program with its arguments, exactly as given; standard input is empty.
    Command(Vec<String>),
    /// A script for `sh`; standard input is empty.
    Script(String),
}

/// A file to put into the guest.
#[derive(Clone, Debug)]
pub struct GuestFile {
    /// The file on this machine.
    pub host: PathBuf,
    /// Absolute path in the guest; its folders are made.
    pub guest: String,
    /// Permissions in the guest.
    pub mode: u32,
}

/// How the guest's task ended: 0 is success, as in a shell (127 for a command that isn't there,
/// 128 + n for one that signal n killed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus(pub i32);

impl Default for Guest {
    fn default() -> Self {
        Self {
            memory_mib: 1024,
            cpus: 2,
            memory_backend: MemoryBackend::default(),
            sockets: Vec::new(),
            task: Task::Shell,
            ersatz: None,
            files: Vec::new(),
            accelerator: Accelerator::default(),
            timeout: None,
            qemu_args: Vec::new(),
            qmp_socket: None,
        }
    }
}

impl Guest {
    /// The keys that end an interactive guest at once, whatever it does.
    pub const ESCAPE: &str = "Ctrl-] x";

    /// Boots the guest, and returns when its task has ended and it has powered off. `output`
    /// hears what the task writes to its standard output and error, byte for byte, and the
    /// kernel's log. A [`Task::Shell`] talks to the user's terminal directly.
    ///
    /// QEMU is killed when the calling thread ends, however it does.
    ///
    /// # Errors
    /// When the guest can't be started or doesn't end as it should, with the end of its kernel
    /// log; see [`RunError`]. A task that fails is no error.
    pub fn run(
        &self,
        environment: &Environment,
        output: &mut dyn Output,
    ) -> Result<ExitStatus, RunError> {
        let accelerator = match self.accelerator {
            Accelerator::Auto if environment.kvm => Accelerator::Kvm,
            Accelerator::Auto => Accelerator::Tcg,
            chosen => chosen,
        };
        self.run_on(environment, accelerator, output)
    }

    pub(crate) fn run_on(
        &self,
        environment: &Environment,
        accelerator: Accelerator,
        output: &mut dyn Output,
    ) -> Result<ExitStatus, RunError> {
        let terminal = match self.task {
            Task::Shell => Some(Terminal::save().ok_or(RunError::NotATerminal)?),
            Task::Command(_) | Task::Script(_) => None,
        };
        let size = terminal.as_ref().map_or((24, 80), Terminal::size);
        let mark = random_mark()?;
        let initramfs = initramfs::compose(&environment.initramfs, self, &mark, size)?;
        // QEMU opens a path; the file has none.
        let initramfs_path = format!("/proc/{}/fd/{}", std::process::id(), initramfs.as_raw_fd());

        let machine = Machine::listen(&mark)?;
        let mut command = environment.qemu.command();
        command.args([
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ]);
        self.processor(accelerator, &mut command);
        command.arg("-kernel").arg(&environment.kernel);
        command.arg("-initrd").arg(initramfs_path);
        command.arg("-append").arg(kernel_arguments(accelerator));
        machine.add_ports(&mut command);
        if terminal.is_some() {
            command.args([
                "-chardev",
                "stdio,id=terminal,mux=on,signal=off",
                "-echr",
                "0x1d",
            ]);
            command.args(["-device", "virtconsole,chardev=terminal"]);
        } else {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        for socket in &self.sockets {
            command.arg("-device").arg(vfio_user_device(socket)?);
        }
        if let Some(path) = &self.qmp_socket {
            command
                .arg("-qmp")
                .arg(socket_option("unix:", path, ",server=on,wait=off"));
        }
        command.args(&self.qemu_args);
        machine
            .supervise(command, self.timeout, output)
            .map_err(|error| match error {
                // A guest that ends before its task does either panics or is told to.
                RunError::Ended { status, log, .. }
                    if terminal.is_some() && status.success() && !log.contains("Kernel panic") =>
                {
                    RunError::Escaped
                }
                other => other,
            })
    }

    fn processor(&self, accelerator: Accelerator, command: &mut Command) {
        let (accelerator, cpu) = match accelerator {
            Accelerator::Kvm => ("kvm", "host"),
            // The fewer features, the less the kernel's use of them costs; with these, programs
            // built for x86-64-v2 run.
            Accelerator::Auto | Accelerator::Tcg => (
                "tcg,thread=multi",
                "qemu64,+cx16,+popcnt,+rdrand,+sse4.1,+sse4.2,+ssse3",
            ),
        };
        let mut machine = "q35,usb=off,sata=off,smbus=off,vmport=off".to_owned();
        if self.memory_backend == MemoryBackend::Shared {
            machine.push_str(",memory-backend=memory");
            let size = self.memory_mib;
            command.arg("-object");
            command.arg(format!(
                "memory-backend-memfd,id=memory,size={size}M,share=on"
            ));
        }
        command.args(["-machine", &machine, "-accel", accelerator, "-cpu", cpu]);
        command.args([
            "-m",
            &self.memory_mib.to_string(),
            "-smp",
            &self.cpus.to_string(),
        ]);
    }
}

/// The console is the log, a panic ends QEMU, and what only costs time is left out.
fn kernel_arguments(accelerator: Accelerator) -> String {
    let mut arguments = "console=ttyS0 panic=-1 nokaslr mitigations=off cryptomgr.notests \
                         apparmor=0 audit=0 random.trust_cpu=on"
        .to_owned();
    if accelerator != Accelerator::Kvm {
        // QEMU's own counter needs no watching, and its timer works.
        arguments.push_str(" tsc=reliable no_timer_check");
    }
    arguments
}

fn vfio_user_device(socket: &Path) -> Result<String, RunError> {
    let path = std::path::absolute(socket)
        .map_err(RunError::io(format!("can't use {}", socket.display())))?;
    let Some(path) = path.to_str() else {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not UTF-8");
        return Err(RunError::io(format!("can't use {}", socket.display()))(
            source,
        ));
    };
    Ok(serde_json::json!({
        "driver": "vfio-user-pci",
        "socket": { "type": "unix", "path": path },
    })
    .to_string())
}

/// A path in an option of QEMU, where a comma is written twice.
pub(crate) fn socket_option(before: &str, path: &Path, after: &str) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let mut option = before.as_bytes().to_vec();
    for &byte in path.as_os_str().as_bytes() {
        option.extend_from_slice(if byte == b',' {
            b",,"
        } else {
            std::slice::from_ref(&byte)
        });
    }
    option.extend_from_slice(after.as_bytes());
    OsString::from_vec(option)
}

/// A word that a task can't know and so can't write by accident.
fn random_mark() -> Result<String, RunError> {
    let mut random = [0; 16];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| RunError::io("no random numbers")(errno.into()))?;
    Ok(format!("ersatz-{:032x}-", u128::from_ne_bytes(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_sockets_survive_qemus_two_syntaxes() {
        let device = vfio_user_device(Path::new("/tmp/a \"b\",c")).expect("it is UTF-8");
        let value: serde_json::Value = serde_json::from_str(&device).expect("it is JSON");
        assert_eq!(value["socket"]["path"], "/tmp/a \"b\",c");
        let option = socket_option("unix:", Path::new("/a,b"), ",server=on");
        assert_eq!(option, "unix:/a,,b,server=on");
    }

    #[test]
    fn marks_differ() {
        assert_ne!(
            random_mark().expect("random"),
            random_mark().expect("random")
        );
    }
}
