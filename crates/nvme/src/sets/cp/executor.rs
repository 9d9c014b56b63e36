//! Where programs run for real: at once, or on threads of their own.

use super::services::DriveServices;
use ersatz_compute::Number;
use ersatz_engine::Ns;
use ersatz_runtime::{Args, Fuel, Program, Report, Window};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

/// One run of a program.
pub(super) struct Work {
    pub(super) program: Arc<dyn Program>,
    pub(super) window: Arc<Window>,
    pub(super) parameters: [u64; 2],
    pub(super) data: Vec<u8>,
    pub(super) budget: Fuel,
    pub(super) services: Arc<DriveServices>,
    /// Nobody wants the result any more: a program that has not begun shall not begin.
    pub(super) abandoned: Arc<AtomicBool>,
}

impl Work {
    fn run(&self) -> Run {
        if self.abandoned.load(Ordering::Relaxed) {
            return Run {
                report: Some(Report::default()),
                measured: Ns::ZERO,
            };
        }
        let args = Args {
            parameters: self.parameters,
            data: &self.data,
            services: &*self.services,
        };
        let run = || self.program.run(&self.window, &args, self.budget);
        let begin = processor_time();
        let report = catch_unwind(AssertUnwindSafe(run)).ok();
        Run {
            report,
            measured: processor_time() - begin,
        }
    }
}

/// Processor time of this thread.
fn processor_time() -> Ns {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    Ns::from_secs(part(time.tv_sec)) + Ns(part(time.tv_nsec))
}

/// What came of a run.
pub(super) struct Run {
    /// `None` when the runtime panicked: its own mistake, that must not take the thread away from
    /// the jobs that wait for it.
    pub(super) report: Option<Report>,
    /// Processor time that it took.
    pub(super) measured: Ns,
}

/// What came of a run, and of which.
pub(super) type Done = (Number, Run);

/// Where the programs of a compute namespace run. Results and modelled times are the same for
/// all; only how soon they are there differs.
pub struct Executor(Kind);

enum Kind {
    Inline,
    Threads(Pool),
}

impl Executor {
    /// Each program runs while its command is executed, and the drive waits for it: for
    /// simulation, where nothing else happens meanwhile.
    #[must_use]
    pub fn inline() -> Self {
        Self(Kind::Inline)
    }

    /// Programs run on `count` threads, at least one. `wake` is called from them whenever a program
    /// has ended: the drive's [`advance`](crate::set::CommandSet::advance) should then be called.
    ///
    /// Dropping the namespace does not wait: a program that runs goes on to its end or its budget's,
    /// and its thread ends after it.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub fn threads(count: usize, wake: Arc<dyn Fn() + Send + Sync>) -> io::Result<Self> {
        let (work, incoming) = mpsc::channel();
        let (done, results) = mpsc::channel();
        let shared = Arc::new(Shared {
            incoming: Mutex::new(incoming),
            done,
            ready: AtomicUsize::new(0),
            wake,
        });
        for number in 0..count.max(1) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("compute-{number}"))
                .spawn(move || shared.serve())?;
        }
        Ok(Self(Kind::Threads(Pool {
            work,
            results,
            shared,
        })))
    }

    /// Runs `work`, or has it run. Its result comes back at once, or by [`Executor::poll`].
    pub(super) fn submit(&self, number: Number, work: Work) -> Option<Done> {
        match &self.0 {
            Kind::Inline => Some((number, work.run())),
            Kind::Threads(pool) => {
                let sent = pool.work.send((number, work));
                debug_assert!(sent.is_ok(), "the pool itself holds the other end");
                None
            }
        }
    }

    /// A run that has ended. Next to nothing when there is none.
    pub(super) fn poll(&self) -> Option<Done> {
        let Kind::Threads(pool) = &self.0 else {
            return None;
        };
        if pool.shared.ready.load(Ordering::Acquire) == 0 {
            return None;
        }
        // Counted after it was sent, so it is there.
        let done = pool.results.try_recv().ok()?;
        pool.shared.ready.fetch_sub(1, Ordering::Relaxed);
        Some(done)
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Inline => "Inline",
            Kind::Threads(_) => "Threads",
        })
    }
}

/// The drive's side of the threads. When it is gone they end: those that wait for work because its
/// sender is gone, those that work because nobody takes their result.
struct Pool {
    work: Sender<(Number, Work)>,
    results: Receiver<Done>,
    shared: Arc<Shared>,
}

/// The threads' side.
struct Shared {
    incoming: Mutex<Receiver<(Number, Work)>>,
    done: Sender<Done>,
    /// Results that were sent and not yet taken.
    ready: AtomicUsize,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl Shared {
    fn serve(&self) {
        loop {
            let work = self
                .incoming
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok((number, work)) = work else { return };
            let run = work.run();
            drop(work);
            if self.done.send((number, run)).is_err() {
                return;
            }
            self.ready.fetch_add(1, Ordering::Release);
            (self.wake)();
        }
    }
}
