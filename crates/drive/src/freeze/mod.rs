//! A guest's clock stands still while a program needs longer here than its model says.
//!
//! A [`Freezer`] stops the guest (QMP `stop`) as long as at least one drive of this process wants
//! it, and stops those drives' clock with it: what the guest then sees of a job is its modelled
//! time. A guest that the freezer has stopped it also starts again, whatever becomes of the drives:
//! only when this process is killed, or QEMU can't be reached any more, can it not.
//!
//! QEMU is talked to on a thread of its own: it answers `stop` only when no processor of the guest
//! waits for the drive any more, so the drive must go on meanwhile.

mod clock;
mod qmp;
#[cfg(test)]
mod tests;

pub use clock::StoppableClock;
use qmp::{Event, Qmp, QmpError};

use crate::serve::Waker;
use ersatz_engine::{Clock, Ns, RealClock};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How often QEMU is tried at the end, when it can't be reached and its guest stands.
const LAST_TRIES: usize = 20;
/// Between two tries to reach QEMU.
const RETRY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// What freezing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// How often the guest was stopped.
    pub count: u64,
    /// How long it stood, in this host's time.
    pub time: Ns,
    /// How long QEMU took to stop and to start it, in this host's time.
    pub overhead: Ns,
    /// How often a drive wanted it stopped and it could not be.
    pub missed: u64,
}

/// Stops and starts a guest for the drives of this process.
#[derive(Debug)]
pub struct Freezer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<StoppableClock>,
    /// Drives that want the guest to stand.
    wants: AtomicU32,
    ended: AtomicBool,
    event: OwnedFd,
    drives: Mutex<Vec<Waker>>,
    count: AtomicU64,
    time: AtomicU64,
    overhead: AtomicU64,
    missed: AtomicU64,
}

impl Shared {
    fn wake(&self) {
        // A full counter has woken it already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Time stands or goes: what the drives wait for may have changed.
    fn wake_drives(&self) {
        let drives = self.drives.lock().unwrap_or_else(PoisonError::into_inner);
        drives.iter().for_each(Waker::wake);
    }
}

impl Freezer {
    /// A freezer for the guest whose QEMU listens for QMP at `qmp`, from now on or from later on:
    /// it is tried until it is there.
    ///
    /// # Errors
    /// When the kernel has no descriptor or no thread for it.
    pub fn start(qmp: &Path) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock: Arc::default(),
            wants: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            drives: Mutex::default(),
            count: AtomicU64::new(0),
            time: AtomicU64::new(0),
            overhead: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        });
        let worker = Worker {
            path: qmp.to_owned(),
            shared: Arc::clone(&shared),
            real: RealClock::new(),
            qmp: None,
            guest: Guest::Runs,
            stopped_at: None,
            missing: false,
        };
        let thread = std::thread::Builder::new()
            .name("freezer".into())
            .spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// For one drive; `waker` makes its thread look at the clock again.
    #[must_use]
    pub fn handle(&self, waker: Waker) -> Freeze {
        let mut drives = self
            .shared
            .drives
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        drives.push(waker);
        Freeze {
            wants: false,
            shared: Arc::clone(&self.shared),
        }
    }

    /// What it came to so far.
    #[must_use]
    pub fn statistics(&self) -> Frozen {
        let load = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        Frozen {
            count: load(&self.shared.count),
            time: Ns(load(&self.shared.time)),
            overhead: Ns(load(&self.shared.overhead)),
            missed: load(&self.shared.missed),
        }
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing left to be done.
            let _ = thread.join();
        }
    }
}

/// One drive's say.
#[derive(Debug)]
pub struct Freeze {
    wants: bool,
    shared: Arc<Shared>,
}

impl Freeze {
    /// The clock of all drives that share the freezer.
    #[must_use]
    pub fn clock(&self) -> Arc<StoppableClock> {
        Arc::clone(&self.shared.clock)
    }

    /// Whether this drive wants the guest to stand.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.wants
    }

    /// Says whether this drive wants the guest to stand. Costs nothing when that is as before.
    pub fn want(&mut self, wants: bool) {
        if wants == self.wants {
            return;
        }
        self.wants = wants;
        let before = if wants {
            self.shared.wants.fetch_add(1, Ordering::AcqRel)
        } else {
            self.shared.wants.fetch_sub(1, Ordering::AcqRel) - 1
        };
        if before == 0 {
            self.shared.wake();
        }
    }
}

impl Drop for Freeze {
    fn drop(&mut self) {
        self.want(false);
    }
}

/// What is known of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guest {
    /// As far as is known.
    Runs,
    /// We stopped it.
    Ours,
    /// Somebody else stopped it: theirs to start.
    Theirs,
}

/// The thread's side.
struct Worker {
    path: PathBuf,
    shared: Arc<Shared>,
    real: RealClock,
    qmp: Option<Qmp>,
    guest: Guest,
    /// When the drives' clock stopped, while it stands.
    stopped_at: Option<Ns>,
    /// A drive wants the guest to stand, and it could not be stopped: said once.
    missing: bool,
}

impl Worker {
    fn run(mut self) {
        let mut last_tries = LAST_TRIES;
        loop {
            let ended = self.shared.ended.load(Ordering::Acquire);
            let wanted = !ended && self.shared.wants.load(Ordering::Acquire) > 0;
            let before = self.guest;
            if let Err(error) = self.step(wanted) {
                self.lost(&error);
            }
            if ended {
                if self.guest != Guest::Ours || last_tries == 0 {
                    return;
                }
                last_tries -= 1;
            }
            self.note_missing(wanted);
            // A step further may be possible at once.
            if self.guest == before {
                self.wait();
            }
        }
    }

    /// Brings the guest to where it is wanted.
    fn step(&mut self, wanted: bool) -> Result<(), QmpError> {
        if self.qmp.is_none() {
            match Qmp::connect(&self.path) {
                Ok(qmp) => self.qmp = Some(qmp),
                // Not there yet, or no longer.
                Err(QmpError::Io(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
            tracing::debug!("QMP at {} is there", self.path.display());
        }
        self.take_events()?;
        match (wanted, self.guest) {
            (true, Guest::Runs) => self.stop(),
            (false, Guest::Ours) => self.start(),
            // It could not be started when it should have been.
            (true, Guest::Ours) if self.stopped_at.is_none() => self.start(),
            _ => Ok(()),
        }
    }

    fn take_events(&mut self) -> Result<(), QmpError> {
        let Some(qmp) = &mut self.qmp else {
            return Ok(());
        };
        let mut last = None;
        let taken = qmp.events(&mut |event| last = Some(event));
        match (last, self.guest) {
            (Some(Event::Stop), Guest::Runs) => self.guest = Guest::Theirs,
            (Some(Event::Resume), Guest::Theirs) => self.guest = Guest::Runs,
            (Some(Event::Resume), Guest::Ours) => {
                tracing::warn!("somebody has started the guest that stood for a program");
                self.guest = Guest::Runs;
                self.clock_goes();
            }
            _ => {}
        }
        taken
    }

    fn stop(&mut self) -> Result<(), QmpError> {
        let Some(qmp) = &mut self.qmp else {
            return Ok(());
        };
        let (began, clock) = (self.real.now(), &self.shared.clock);
        let mut stopped = false;
        // The event comes with the moment in which the guest's clock stops.
        let done = qmp.command("stop", &mut |event| {
            stopped = event == Event::Stop;
            if stopped {
                clock.stop();
            }
        });
        // A guest that stood already is told of by no event.
        if stopped {
            self.guest = Guest::Ours;
            self.stopped_at = Some(self.real.now());
            self.shared.count.fetch_add(1, Ordering::Relaxed);
            self.took_since(began);
            self.shared.wake_drives();
        } else if done.is_ok() {
            self.guest = Guest::Theirs;
        }
        done
    }

    fn start(&mut self) -> Result<(), QmpError> {
        let Some(qmp) = &mut self.qmp else {
            return Ok(());
        };
        let (began, clock) = (self.real.now(), &self.shared.clock);
        qmp.command("cont", &mut |event| {
            if event == Event::Resume {
                clock.start();
            }
        })?;
        self.guest = Guest::Runs;
        self.took_since(began);
        self.clock_goes();
        Ok(())
    }

    fn took_since(&self, began: Ns) {
        let took = self.real.now() - began;
        self.shared.overhead.fetch_add(took.0, Ordering::Relaxed);
    }

    fn clock_goes(&mut self) {
        self.shared.clock.start();
        if let Some(stopped_at) = self.stopped_at.take() {
            let stood = self.real.now() - stopped_at;
            self.shared.time.fetch_add(stood.0, Ordering::Relaxed);
        }
        self.shared.wake_drives();
    }

    /// QEMU can't be talked to any more. A guest that we stopped is started as soon as it can be
    /// reached again; the drives can't wait for that.
    fn lost(&mut self, error: &QmpError) {
        self.qmp = None;
        if self.guest != Guest::Ours {
            self.guest = Guest::Runs;
            tracing::debug!("{error}");
            return;
        }
        if self.stopped_at.is_some() {
            tracing::error!(
                "the guest stands for a program, and QEMU can't be told to let it go on: {error}"
            );
            self.clock_goes();
        }
    }

    fn note_missing(&mut self, wanted: bool) {
        let missing = wanted && self.guest == Guest::Runs;
        if missing && !self.missing {
            self.shared.missed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                "a program needs longer than its model says, and the guest can't be stopped: there \
                 is no QMP at {}",
                self.path.display()
            );
        }
        self.missing = missing;
    }

    fn wait(&self) {
        if self.qmp.as_ref().is_some_and(Qmp::has_untaken) {
            return;
        }
        let mut fds = vec![PollFd::new(&self.shared.event, PollFlags::IN)];
        let mut timeout = Some(RETRY);
        if let Some(qmp) = &self.qmp {
            fds.push(PollFd::from_borrowed_fd(qmp.as_fd(), PollFlags::IN));
            timeout = None;
        }
        // An interrupted wait is one that ended early.
        let _ = poll(&mut fds, timeout.as_ref());
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.shared.event, &mut count);
    }
}
