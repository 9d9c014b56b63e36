//! The contract between what is asked and who answers.

use crate::request::Request;
use crate::trace::TraceError;
use ersatz_engine::Ns;

/// Says what may be issued when.
///
/// At time `t` a simulator takes requests as long as [`peek`](Source::peek) gives a time that is
/// not after `t`, and tells of each completion with [`finished`](Source::finished). Then it goes on
/// to whatever is next: the time that `peek` gives, or the drive's own next event. The end is when
/// `peek` gives nothing and nothing is in flight.
pub trait Source {
    /// When the next request may be issued. `None` when that depends on a completion, or when there
    /// is none. The time does not go back, except that a completion may let something be issued
    /// before what was next until then.
    ///
    /// # Errors
    /// When the source can't go on. It is at its end then.
    fn peek(&mut self) -> Result<Option<Ns>, SourceError>;

    /// Takes the request that was peeked at. It is issued at the peeked time; its own time is the
    /// same or, when it had to wait for a place in the queue, an earlier one.
    fn take(&mut self) -> Option<Request>;

    /// A request of `job` completed at `now`, with whatever status. Times must not go back, nor be
    /// earlier than those at which requests were taken.
    fn finished(&mut self, job: u32, now: Ns);
}

/// Why a source can't go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The trace can't be read or understood.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A job ends by time only, and time does not pass.
    #[error(
        "job {job} has issued {requests} requests within one nanosecond and would never end: its \
         drive takes no time. Give it a number of requests, a rate or a think time"
    )]
    Standstill {
        /// Name of the job.
        job: String,
        /// How many requests it has issued at one time.
        requests: u64,
    },
}

/// Another source with its times left aside: each request is issued as soon as fewer than `depth`
/// are in flight. So a trace becomes a closed loop.
#[derive(Debug)]
pub struct ClosedLoop<S> {
    inner: S,
    depth: u32,
    in_flight: u32,
    now: Ns,
}

impl<S: Source> ClosedLoop<S> {
    /// At most `depth` requests of `inner` in flight; at least one.
    pub fn new(inner: S, depth: u32) -> Self {
        Self {
            inner,
            depth: depth.max(1),
            in_flight: 0,
            now: Ns::ZERO,
        }
    }

    /// The source inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: Source> Source for ClosedLoop<S> {
    fn peek(&mut self) -> Result<Option<Ns>, SourceError> {
        if self.in_flight >= self.depth {
            return Ok(None);
        }
        Ok(self.inner.peek()?.map(|_| self.now))
    }

    fn take(&mut self) -> Option<Request> {
        if self.in_flight >= self.depth {
            return None;
        }
        let request = self.inner.take()?;
        self.in_flight += 1;
        Some(Request {
            at: self.now,
            ..request
        })
    }

    fn finished(&mut self, job: u32, now: Ns) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.now = self.now.max(now);
        self.inner.finished(job, now);
    }
}
