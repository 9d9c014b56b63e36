//! Who says what time it is.

use crate::Ns;
use core::cell::Cell;
use std::time::Instant;

/// A source of `now`. Only the edge of the program holds one.
pub trait Clock {
    /// The time since the drive came to be. Never goes backwards.
    fn now(&self) -> Ns;
}

/// The host's monotonic clock, counted from the moment of its creation.
#[derive(Clone, Copy, Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock that reads zero now.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // This is the edge: the one place that reads a clock.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    #[allow(clippy::disallowed_methods)] // As above.
    fn now(&self) -> Ns {
        Ns(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is told: the simulation's.
#[derive(Debug, Default)]
pub struct VirtualClock {
    now: Cell<Ns>,
}

impl VirtualClock {
    /// A clock that reads zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock to `to`; a time that has passed leaves it where it is.
    pub fn advance(&self, to: Ns) {
        self.now.set(self.now.get().max(to));
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Ns {
        self.now.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_clock_never_goes_back() {
        let clock = VirtualClock::new();
        clock.advance(Ns(7));
        clock.advance(Ns(3));
        assert_eq!(clock.now(), Ns(7));
    }
}
