//! The loop around a running guest: one thread, one `poll`.
//!
//! Three sockets come from QEMU: the kernel's log (a serial port) and the task's two outputs
//! (virtio ports); with QEMU's own messages and its end, that is all there is to hear. A caller
//! that is slow to take output slows the guest down, and nothing else.

use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use tempfile::TempDir;

use crate::channel::UntilMark;
use crate::error::RunError;
use crate::guest::{ExitStatus, socket_option};
use crate::output::Output;

/// How much of a log is kept for error messages.
const TAIL: usize = 8 << 10;

/// How long a guest may take to power off after its task has ended.
const POWER_OFF: Duration = Duration::from_secs(15);

/// The host's end of a guest's ports.
pub(crate) struct Machine {
    folder: TempDir,
    log: Port,
    out: Port,
    err: Port,
    out_end: UntilMark,
    err_end: UntilMark,
    log_tail: Tail,
    errors_tail: Tail,
}

/// What ends the loop.
enum End {
    /// QEMU has ended.
    Exited,
    /// Time is up.
    TimedOut,
}

impl Machine {
    /// Makes the sockets that QEMU will connect to. `mark` ends the task's outputs.
    pub(crate) fn listen(mark: &str) -> Result<Self, RunError> {
        let failed = |source| RunError::io("can't make the guest's sockets")(source);
        let folder = tempfile::Builder::new()
            .prefix("ersatz-")
            .tempdir()
            .map_err(failed)?;
        let port = |name| Port::listen(&folder.path().join(name)).map_err(failed);
        Ok(Self {
            log: port("log")?,
            out: port("out")?,
            err: port("err")?,
            folder,
            out_end: UntilMark::new(mark),
            err_end: UntilMark::new(mark),
            log_tail: Tail::default(),
            errors_tail: Tail::default(),
        })
    }

    /// Adds the guest's ends to QEMU's command line; `init.sh` knows the ports by number.
    pub(crate) fn add_ports(&self, command: &mut Command) {
        for name in ["log", "out", "err"] {
            let path = self.folder.path().join(name);
            let option = socket_option(&format!("socket,id={name},path="), &path, "");
            command.arg("-chardev").arg(option);
        }
        command.args(["-serial", "chardev:log", "-device", "virtio-serial-pci"]);
        command.args(["-device", "virtserialport,nr=1,chardev=out,name=ersatz.out"]);
        command.args(["-device", "virtserialport,nr=2,chardev=err,name=ersatz.err"]);
    }

    /// Starts QEMU and stays with it to its end.
    pub(crate) fn supervise(
        mut self,
        mut command: Command,
        timeout: Option<Duration>,
        output: &mut dyn Output,
    ) -> Result<ExitStatus, RunError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stderr(Stdio::piped())
            .spawn()
            .map_err(RunError::io(format!("can't start {name}")))?;
        let mut qemu = Qemu::watch(child)?;
        let deadline = timeout.and_then(|timeout| now().checked_add(timeout));
        match self.listen_until_end(&mut qemu, deadline, output)? {
            End::Exited => {}
            End::TimedOut => {
                let log = self.log_tail.text();
                return Err(match (self.status(), timeout) {
                    (None, Some(after)) => RunError::TimedOut { after, log },
                    (status, _) => {
                        let status = status.map_or(-1, |status| status.0);
                        RunError::PowerOff { status, log }
                    }
                });
            }
        }
        let status = qemu
            .child
            .wait()
            .map_err(RunError::io("can't wait for QEMU"))?;
        self.status().ok_or_else(|| RunError::Ended {
            status,
            stderr: self.errors_tail.text(),
            log: self.log_tail.text(),
        })
    }

    /// The task's exit status, when both of its outputs have ended.
    fn status(&self) -> Option<ExitStatus> {
        self.err_end.status()?;
        self.out_end.status().map(ExitStatus)
    }

    fn listen_until_end(
        &mut self,
        qemu: &mut Qemu,
        mut deadline: Option<Instant>,
        output: &mut dyn Output,
    ) -> Result<End, RunError> {
        let mut acknowledged = false;
        loop {
            let exited = self.wait(qemu, deadline)?;
            if exited {
                // What QEMU has said before it ended is still to be read.
                while self.read(qemu, output)? {}
                return Ok(End::Exited);
            }
            self.read(qemu, output)?;
            if !acknowledged && self.status().is_some() {
                self.out.acknowledge();
                acknowledged = true;
                deadline = now().checked_add(POWER_OFF);
            }
            if deadline.is_some_and(|deadline| now() >= deadline) {
                return Ok(End::TimedOut);
            }
        }
    }

    /// Waits until there is something to read, QEMU has ended (true), or the deadline.
    fn wait(&self, qemu: &Qemu, deadline: Option<Instant>) -> Result<bool, RunError> {
        let ports = [&self.log, &self.out, &self.err]
            .into_iter()
            .filter_map(Port::fd);
        let mut watched: Vec<PollFd<'_>> = (qemu.pidfd.iter().map(|fd| fd.as_fd()))
            .chain(ports)
            .chain(qemu.stderr.iter().map(|stderr| stderr.as_fd()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
        // A duration of more than 2⁶³ seconds is as good as none.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(!watched[0].revents().is_empty()),
            Err(errno) => Err(RunError::io("can't wait for the guest")(errno.into())),
        }
    }

    /// Reads a piece of everything, and passes it on; false if there was nothing.
    fn read(&mut self, qemu: &mut Qemu, output: &mut dyn Output) -> Result<bool, RunError> {
        let failed = |source| RunError::io("can't read from QEMU")(source);
        let log = self.log.read().map_err(failed)?;
        self.log_tail.push(&log);
        if !log.is_empty() {
            output.log(&log).map_err(RunError::Output)?;
        }
        let out = self.out.read().map_err(failed)?;
        let passed = self.out_end.push(&out);
        if !passed.is_empty() {
            output.stdout(&passed).map_err(RunError::Output)?;
        }
        let err = self.err.read().map_err(failed)?;
        let passed = self.err_end.push(&err);
        if !passed.is_empty() {
            output.stderr(&passed).map_err(RunError::Output)?;
        }
        let mut errors = Vec::new();
        if let Some(stderr) = &mut qemu.stderr {
            let ended;
            (errors, ended) = read_ready(stderr).map_err(failed)?;
            self.errors_tail.push(&errors);
            if ended {
                qemu.stderr = None;
            }
        }
        Ok([log, out, err, errors]
            .iter()
            .any(|bytes| !bytes.is_empty()))
    }
}

/// A running QEMU; killed on drop.
struct Qemu {
    child: Child,
    stderr: Option<ChildStderr>,
    /// Readable when it has ended.
    pidfd: Option<OwnedFd>,
}

impl Qemu {
    fn watch(mut child: Child) -> Result<Self, RunError> {
        let stderr = child.stderr.take();
        let mut qemu = Self {
            child,
            stderr,
            pidfd: None,
        };
        let failed = |errno: Errno| RunError::io("can't watch QEMU")(errno.into());
        let pid = Pid::from_child(&qemu.child);
        qemu.pidfd = Some(rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?);
        if let Some(stderr) = &qemu.stderr {
            rustix::io::ioctl_fionbio(stderr, true).map_err(failed)?;
        }
        Ok(qemu)
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of QEMU's connections to us.
enum Port {
    Expected(UnixListener),
    Open(UnixStream),
    Closed,
}

impl Port {
    fn listen(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self::Expected(listener))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Expected(listener) => Some(listener.as_fd()),
            Self::Open(stream) => Some(stream.as_fd()),
            Self::Closed => None,
        }
    }

    /// What can be read without waiting.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        if let Self::Expected(listener) = self {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    *self = Self::Open(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let Self::Open(stream) = self else {
            return Ok(Vec::new());
        };
        let (bytes, ended) = read_ready(stream)?;
        if ended {
            *self = Self::Closed;
        }
        Ok(bytes)
    }

    /// Tells the guest that everything was read. A guest that has gone needs no telling.
    fn acknowledge(&mut self) {
        if let Self::Open(stream) = self {
            let _ = stream.write_all(b"\n");
        }
    }
}

/// Reads what is there, up to 64 KiB; and whether the stream has ended.
fn read_ready(stream: &mut impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut buffer = vec![0; 64 << 10];
    match stream.read(&mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Ok((buffer, length == 0))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok((Vec::new(), false)),
            io::ErrorKind::ConnectionReset => Ok((Vec::new(), true)),
            _ => Err(error),
        },
    }
}

/// The end of a text.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.drain(..self.0.len().saturating_sub(TAIL));
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).replace('\r', "")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a guest runs in real time, and is killed in it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Captured;

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail::default();
        for piece in 0..10_000 {
            tail.push(format!("line {piece}\r\n").as_bytes());
        }
        assert!(tail.text().ends_with("line 9999\n"));
        assert!(tail.0.len() == TAIL);
    }

    /// Supervises a shell script in place of QEMU.
    fn supervise(script: &str, timeout: Option<Duration>) -> Result<ExitStatus, RunError> {
        let machine = Machine::listen("mark-").expect("sockets");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        machine.supervise(command, timeout, &mut Captured::default())
    }

    #[test]
    fn a_machine_that_ends_before_its_task_is_an_error_with_its_messages() {
        match supervise("echo no such device >&2; exit 3", None) {
            Err(RunError::Ended { status, stderr, .. }) => {
                assert_eq!(status.code(), Some(3));
                assert_eq!(stderr, "no such device\n");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_machine_that_hangs_is_killed() {
        let result = supervise("exec tail -f /dev/null", Some(Duration::from_millis(50)));
        assert!(
            matches!(result, Err(RunError::TimedOut { .. })),
            "{result:?}"
        );
    }
}
