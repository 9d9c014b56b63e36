//! Waiting for a controller: this driver is an edge of the system, and reads a real clock.

use super::transport::Transport;
use crate::Error;
use std::time::{Duration, Instant};

/// A point in time after which waiting is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    since: Instant,
    limit: Duration,
}

impl Deadline {
    #[allow(clippy::disallowed_methods)] // Real time: the drive may be another process.
    pub(crate) fn after(limit: Duration) -> Self {
        let since = Instant::now();
        Self { since, limit }
    }

    fn passed(&self) -> bool {
        self.since.elapsed() >= self.limit
    }
}

/// Counts the turns of a waiting loop that found nothing.
pub(crate) struct Idle<'a> {
    transport: &'a dyn Transport,
    deadline: Deadline,
    turns: u32,
}

impl<'a> Idle<'a> {
    pub(crate) fn new(transport: &'a dyn Transport, deadline: Deadline) -> Self {
        Self {
            transport,
            deadline,
            turns: 0,
        }
    }

    /// One turn that found nothing: lets the transport work, and fails when the time is up.
    pub(crate) fn turn(&mut self) -> Result<(), Error> {
        /// Reading the clock costs as much as many turns.
        const CLOCK_EVERY: u32 = 256;
        /// After some 100 µs the drive may be waiting for the processor that we spin on.
        const YIELD_AFTER: u32 = 16_384;
        self.transport.poll()?;
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(CLOCK_EVERY) {
            if self.deadline.passed() {
                return Err(Error::Timeout {
                    doing: "waiting for the controller".into(),
                    limit: self.deadline.limit,
                });
            }
            if self.turns >= YIELD_AFTER {
                std::thread::yield_now();
            }
        }
        std::hint::spin_loop();
        Ok(())
    }
}
