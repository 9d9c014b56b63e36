//! The edge: one thread that owns a drive and its socket, reads the clock, and waits.
//!
//! While there is work the thread spins: over doorbells, the heap of what is due, and every now
//! and then the socket. When there is none, it asks the host to ring real doorbells, and sleeps on
//! its descriptors until something comes or is nearly due.

use crate::Drive;
use crate::freeze::{Freeze, StoppableClock};
use ersatz_engine::{Clock, Ns};
use ersatz_pcie::vfio::{Doorbells, Port};
use ersatz_pcie::{DmaFault, Function, Host, Reset};
use ersatz_vfio_user::{LinkError, Listener};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// While it spins, the drive looks at its socket this often: a look is a system call.
const LOOK: Ns = Ns::from_us(20);
/// How long the drive spins after the last thing that it did before it goes to sleep.
const SPIN: Ns = Ns::from_us(30);
/// A sleeper is woken up to this late: what is due sooner is waited for by spinning.
const WAKE: Ns = Ns::from_us(60);
/// With doorbells in memory nothing wakes a sleeper: it naps, first briefly, then for longer.
const NAP: Ns = Ns::from_us(50);
/// The longest nap.
const LONG_NAP: Ns = Ns::from_ms(1);
/// After this long without work, naps are long.
const LONG_NAP_AFTER: Ns = Ns::from_ms(20);

/// How long a program may need longer here than its model says before the guest is stopped: that
/// costs more than this.
const GRACE: Ns = Ns::from_us(200);

/// Until a client that could not be accepted is tried again.
const REFUSED: Ns = Ns::from_ms(100);

/// Ends or wakes a server from elsewhere.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
}

impl Waker {
    /// A waker for a server that is yet to be made.
    ///
    /// # Errors
    /// When the kernel has no descriptor for it.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event: Arc::new(event),
            stop: Arc::new(AtomicBool::new(false)),
        })
    }

    /// Makes the drive's thread look for work.
    pub fn wake(&self) {
        // A full counter has woken it already.
        let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
    }

    /// Ends the server.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn drain(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.event, &mut count);
    }
}

/// Serves a drive to one client after another.
pub struct Server {
    drive: Drive,
    listener: Listener,
    waker: Waker,
    clock: Arc<StoppableClock>,
    freeze: Option<Freeze>,
    doorbells: Doorbells,
    port: Option<Port>,
    /// The last client could not be accepted.
    is_refusing: bool,
}

impl Server {
    /// Binds `path`. `waker` is the one that the drive's programs call, if they run on threads.
    ///
    /// # Errors
    /// When the socket can't be bound, for example because somebody listens there.
    pub fn bind(drive: Drive, path: &Path, waker: Waker) -> io::Result<Self> {
        let listener = Listener::bind(path)?;
        let doorbells = drive.doorbells;
        Ok(Self {
            drive,
            listener,
            waker,
            clock: Arc::default(),
            freeze: None,
            doorbells,
            port: None,
            is_refusing: false,
        })
    }

    /// Offers doorbells in another way than the drive file says.
    pub fn set_doorbells(&mut self, doorbells: Doorbells) {
        self.doorbells = doorbells;
    }

    /// Has the guest stopped while a program takes longer here than its model says. To be called
    /// before [`Server::run`]: the drive's clock becomes the one that stops with the guest.
    pub fn freeze_with(&mut self, freeze: Freeze) {
        self.clock = freeze.clock();
        self.freeze = Some(freeze);
    }

    /// The drive, for its statistics.
    #[must_use]
    pub fn drive(&self) -> &Drive {
        &self.drive
    }

    /// Serves until [`Waker::stop`].
    ///
    /// # Errors
    /// When the kernel refuses to wait or to accept: not for anything that a client does.
    pub fn run(&mut self) -> io::Result<()> {
        let (mut worked, mut looked) = (Ns::ZERO, Ns::ZERO);
        while !self.waker.is_stopped() {
            let now = self.clock.now();
            let mut progress = false;
            if now - looked >= LOOK {
                looked = now;
                progress |= self.look(now)?;
            }
            progress |= match &mut self.port {
                Some(port) => self.drive.poll(now, port),
                None => self.drive.poll(now, &mut Unplugged),
            };
            self.freeze_or_not(now);
            if progress {
                worked = now;
            } else if self.may_sleep(now, worked) {
                self.sleep(now, worked)?;
                looked = Ns::ZERO;
            } else {
                std::hint::spin_loop();
            }
        }
        self.unplug();
        Ok(())
    }

    /// Handles what has come over the socket.
    fn look(&mut self, now: Ns) -> io::Result<bool> {
        let Some(port) = &mut self.port else {
            let session = match self.listener.accept() {
                Ok(Some(session)) => session,
                Ok(None) => return Ok(false),
                Err(error) => {
                    // Out of descriptors or of memory, which passes. The drive and its data stay.
                    if !self.is_refusing {
                        tracing::warn!("a client can't be accepted for now: {error}");
                    }
                    self.is_refusing = true;
                    return Ok(false);
                }
            };
            self.is_refusing = false;
            tracing::info!("a client has connected");
            self.port = Some(Port::new(session, &self.drive.front(), self.doorbells));
            return Ok(true);
        };
        match port.service(now, &mut self.drive.front()) {
            Ok(progress) => Ok(progress),
            Err(error) => {
                match error {
                    LinkError::Closed => tracing::info!("the client has disconnected"),
                    error => tracing::warn!("the client is disconnected: {error}"),
                }
                self.unplug();
                Ok(true)
            }
        }
    }

    /// Forgets the client and all that it has set up.
    fn unplug(&mut self) {
        if self.port.take().is_some() {
            let now = self.clock.now();
            self.drive.front().reset(now, Reset::Disconnect);
        }
    }

    /// Wants the guest to stand as long as a program is overdue. It is only told of when it ends, so
    /// what its modelled time will have been can't be waited for.
    fn freeze_or_not(&mut self, now: Ns) {
        if let Some(freeze) = &mut self.freeze {
            let overdue = self.drive.subsystem.programs_run_since();
            freeze.want(overdue.is_some_and(|since| now - since >= GRACE));
        }
    }

    fn may_sleep(&self, now: Ns, worked: Ns) -> bool {
        // While time stands nothing becomes due.
        self.clock.is_stopped()
            || now - worked >= SPIN && self.next_due().is_none_or(|due| due > now + WAKE)
    }

    fn next_due(&self) -> Option<Ns> {
        let freeze = self.freeze.as_ref().filter(|freeze| !freeze.wants());
        let overdue = freeze.and_then(|_| self.drive.subsystem.programs_run_since());
        let overdue = overdue.map(|since| since + GRACE);
        self.drive.next_due().into_iter().chain(overdue).min()
    }

    /// Sleeps until a descriptor has something or something is nearly due.
    fn sleep(&mut self, now: Ns, worked: Ns) -> io::Result<()> {
        if let Some(port) = &mut self.port
            && self.drive.controller.arm(port)
        {
            return Ok(());
        }
        // Memory that is reached by messages has been reached: requests that came meanwhile have
        // left the socket and wait in the session, where no poll would notice them.
        if self.look(now)? {
            return Ok(());
        }
        let mut until = self.next_due().map(|due| due - WAKE);
        if self.clock.is_stopped() {
            until = None;
        }
        if self.is_refusing {
            // The listener has a client that it can't give: waiting on it would not wait.
            until = Some(now + REFUSED);
        }
        if self.port.as_ref().is_some_and(Port::has_mapped_doorbells) {
            let nap = if now - worked < LONG_NAP_AFTER {
                NAP
            } else {
                LONG_NAP
            };
            until = Some(until.map_or(now + nap, |until| until.min(now + nap)));
        }
        let timeout = until.map(|until| timespec(until - now));
        let (fd, flags) = match &self.port {
            Some(port) if port.wants_write() => (port.as_fd(), PollFlags::OUT),
            Some(port) => (port.as_fd(), PollFlags::IN),
            None if self.is_refusing => (self.listener.as_fd(), PollFlags::empty()),
            None => (self.listener.as_fd(), PollFlags::IN),
        };
        let mut fds = [
            PollFd::from_borrowed_fd(fd, flags),
            PollFd::from_borrowed_fd(self.waker.event.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.waker.drain();
        Ok(())
    }
}

fn timespec(time: Ns) -> Timespec {
    const SECOND: u64 = 1_000_000_000;
    Timespec {
        tv_sec: i64::try_from(time.0 / SECOND).unwrap_or(i64::MAX),
        tv_nsec: (time.0 % SECOND) as i64,
    }
}

/// The host of a drive that nobody is connected to.
struct Unplugged;

impl Host for Unplugged {
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        Err(DmaFault {
            iova,
            len: buf.len() as u64,
        })
    }

    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault> {
        Err(DmaFault {
            iova,
            len: buf.len() as u64,
        })
    }

    fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> Result<(), DmaFault> {
        self.write(iova, entry)
    }

    fn raise(&mut self, _vector: u16) {}

    fn message_signalled(&self) -> bool {
        false
    }
}
