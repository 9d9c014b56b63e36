//! One child, from outside.

use crate::native::{Launcher, Limits};
use crate::spawner::Spawner;
use crate::wire::{Hello, Job, PART, READY, Range, Reply, WORDS};
use ersatz_runtime::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Pages are at most this large anywhere: what mapping a range takes more than its bytes.
const PAGE: u64 = 64 << 10;

/// A range of a job, as part of a file.
pub(crate) struct Piece<'a> {
    pub(crate) file: BorrowedFd<'a>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) writable: bool,
}

/// A child with its library loaded. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    socket: OwnedFd,
    /// Jobs so far.
    jobs: u64,
    /// Bytes of its address space without any job.
    used: u64,
    /// Processor time so far, as the child tells.
    total: Duration,
}

/// Why a child is of no use any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It did not answer in time.
    Late,
    /// It has ended, or has closed its socket.
    Gone,
    /// It said something that is not an answer.
    Garbage,
    /// The system's refusal.
    Os(Errno),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET | Errno::SRCH => Self::Gone,
            // The socket's time for sending is over.
            Errno::AGAIN => Self::Late,
            other => Self::Os(other),
        }
    }
}

impl Process {
    /// Starts a child and waits until it has the library loaded, as long as a job may take.
    ///
    /// # Errors
    /// With the words of the child, or about its end.
    pub(crate) fn start(
        spawner: &Spawner,
        launcher: &Launcher,
        library: &Path,
        entry: &str,
        limits: &Limits,
    ) -> Result<Self, String> {
        let words = |error: io::Error| error.to_string();
        let (socket, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| errno.to_string())?;
        // A child that takes nothing off its socket must not stop the drive either.
        set_socket_timeout(&socket, Timeout::Send, Some(limits.wall)).map_err(|e| e.to_string())?;
        let mut command = Command::new(&launcher.executable);
        command
            .args(&launcher.arguments)
            .arg(library)
            .arg(entry)
            .env_clear()
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt at the terminal is the drive's to handle.
            .process_group(0);
        let child = spawner.spawn(command).map_err(words)?;
        let mut process = Self {
            child,
            socket,
            jobs: 0,
            used: 0,
            total: Duration::ZERO,
        };
        let mut message = [0; WORDS];
        match process.receive(&mut message, deadline(limits.wall)) {
            Ok(len) => match Hello::read_from_bytes(&message[..len]) {
                Ok(hello) if hello.ready == READY => {
                    process.used = hello.used;
                    process.total = Duration::from_nanos(hello.total);
                    Ok(process)
                }
                _ => Err(String::from_utf8_lossy(&message[..len]).into_owned()),
            },
            Err(Trouble::Late) => Err(format!("not loaded within {:?}", limits.wall)),
            Err(trouble) => Err(process.end(trouble, limits)),
        }
    }

    /// Whether the process still runs, as far as is known.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Runs a job.
    ///
    /// # Errors
    /// With how long it took until the child turned out to be of no use.
    pub(crate) fn run(
        &mut self,
        pieces: &[Piece<'_>],
        args: &Args<'_>,
        limits: &Limits,
    ) -> Result<Reply, (Trouble, Duration)> {
        let end = deadline(limits.wall);
        let run = self.exchange(pieces, args, limits, end);
        run.map_err(|trouble| {
            let left = end.saturating_duration_since(now());
            (trouble, limits.wall.saturating_sub(left))
        })
    }

    fn exchange(
        &mut self,
        pieces: &[Piece<'_>],
        args: &Args<'_>,
        limits: &Limits,
        end: Instant,
    ) -> Result<Reply, Trouble> {
        self.limit(pieces, args, limits)?;
        self.jobs += 1;
        let job = Job {
            number: self.jobs,
            parameters: args.parameters,
            ranges: pieces.len() as u64,
            data: args.data.len() as u64,
        };
        self.send(&job, None)?;
        for piece in pieces {
            let range = Range {
                offset: piece.offset,
                len: piece.len,
                writable: piece.writable.into(),
            };
            self.send(&range, (piece.len > 0).then_some(piece.file))?;
        }
        for part in args.data.chunks(PART) {
            self.send(part, None)?;
        }
        // One more, so that a message that is too long is not taken for a reply.
        let mut message = [0; size_of::<Reply>() + 1];
        let len = self.receive(&mut message, end)?;
        let reply = Reply::read_from_bytes(&message[..len]).map_err(|_| Trouble::Garbage)?;
        if reply.number != self.jobs || reply.errno > i32::MAX as u64 {
            return Err(Trouble::Garbage);
        }
        self.total = Duration::from_nanos(reply.total);
        Ok(reply)
    }

    /// Sets the kernel's limits for the next job. From here, because the child may not.
    fn limit(&self, pieces: &[Piece<'_>], args: &Args<'_>, limits: &Limits) -> Result<(), Trouble> {
        let pid = Pid::from_child(&self.child);
        let cpu = self.total.saturating_add(limits.cpu);
        let seconds = cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0);
        set(pid, Resource::Cpu, seconds)?;
        // The data is there three times: as it comes, encoded, and where the program finds it.
        let own = (4 * args.data.len() as u64).saturating_add(limits.memory);
        let ranges = pieces
            .iter()
            .map(|piece| piece.len.saturating_add(2 * PAGE));
        let bytes = ranges.fold(self.used.saturating_add(own), u64::saturating_add);
        set(pid, Resource::As, bytes)?;
        Ok(())
    }

    fn send<T: IntoBytes + Immutable + ?Sized>(
        &self,
        message: &T,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Trouble> {
        let files: Vec<_> = file.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        loop {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !files.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&files));
            }
            let parts = [IoSlice::new(message.as_bytes())];
            match sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }

    /// Waits until `end` for a message, and returns its length in `message`.
    fn receive(&self, message: &mut [u8], end: Instant) -> Result<usize, Trouble> {
        loop {
            let left = end.saturating_duration_since(now());
            let left = Timespec::try_from(left).map_err(|_| Trouble::Late)?;
            let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut polled, Some(&left)) {
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(0) => return Err(Trouble::Late),
                Ok(_) => {}
            }
            match recv(&self.socket, &mut *message, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(Trouble::Gone),
                Ok((len, _)) => return Ok(len),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Ends the child, and says in words what was wrong with it.
    pub(crate) fn end(mut self, trouble: Trouble, limits: &Limits) -> String {
        // A process that has ended by itself keeps the status that it ended with.
        let status = self.reap();
        match trouble {
            Trouble::Late => format!("no result within {:?}", limits.wall),
            Trouble::Garbage => "the program meddled with its connection to the drive".into(),
            Trouble::Os(errno) => errno.to_string(),
            Trouble::Gone => match status {
                Ok(status) => ended(status, limits),
                Err(error) => error.to_string(),
            },
        }
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.reap();
    }
}

/// Sets a soft limit of `pid`, as far as this process's own hard limit goes.
fn set(pid: Pid, resource: Resource, value: u64) -> Result<(), Errno> {
    let maximum = getrlimit(resource).maximum;
    let current = Some(maximum.map_or(value, |most| most.min(value)));
    prlimit(Some(pid), resource, Rlimit { current, maximum }).map(drop)
}

/// How a process ended, in words.
fn ended(status: ExitStatus, limits: &Limits) -> String {
    let Some(signal) = status.signal() else {
        let code = status.code().unwrap_or(0);
        return format!("the program ended its process with status {code}");
    };
    let name = match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.to_string(),
        None => format!("signal {signal}"),
    };
    match signal {
        libc::SIGXCPU => format!("{name}: more than {:?} of processor time", limits.cpu),
        libc::SIGSYS => format!("{name}: a system call that programs may not make"),
        _ => name,
    }
}

fn deadline(after: Duration) -> Instant {
    let far = Duration::from_secs(1 << 30);
    now() + after.min(far)
}

/// How long a process may keep the drive waiting is about this host's time.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}
