//! What a drive counts.

use ersatz_engine::{Histogram, Ns};

/// Bytes that moved, by way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Data from the drive to its host.
    pub to_host: u64,
    /// Data from the host to the drive.
    pub from_host: u64,
    /// Data between namespaces, that never crossed the link.
    pub inside: u64,
}

/// Commands and data units as SMART counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounters {
    /// Bytes read by hosts.
    pub bytes_read: u64,
    /// Bytes written by hosts.
    pub bytes_written: u64,
    /// Read and compare commands.
    pub reads: u64,
    /// Write commands.
    pub writes: u64,
}

/// How much of the time at least one command was in the drive, as the model has it: a command
/// leaves when its completion is due, not when this host got round to posting it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Activity {
    in_flight: usize,
    since: Ns,
    /// The latest time at which a command was due since then.
    until: Ns,
    busy: Ns,
}

impl Activity {
    /// A command was taken.
    pub fn enter(&mut self, now: Ns) {
        if self.in_flight == 0 {
            self.since = self.since.max(now);
        }
        self.in_flight += 1;
    }

    /// A command was due.
    pub fn leave(&mut self, due: Ns) {
        self.in_flight = self.in_flight.saturating_sub(1);
        // Completions that are late may be posted in another order than that of their times.
        self.until = self.until.max(due);
        if self.in_flight == 0 {
            self.busy += self.until - self.since;
            self.since = self.since.max(self.until);
        }
    }

    /// Commands that are in the drive.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// All commands were forgotten. The busy time stays.
    pub fn reset(&mut self) {
        self.in_flight = 0;
    }

    /// The busy time up to `now`.
    #[must_use]
    pub fn busy(&self, now: Ns) -> Ns {
        if self.in_flight == 0 {
            self.busy
        } else {
            self.busy + (now - self.since)
        }
    }
}

/// What the emulation itself did wrong: how long after its due time each completion was posted.
#[derive(Clone, Debug, Default)]
pub struct Lateness {
    /// Of all completions that had a time to be due at.
    pub histogram: Histogram,
}

impl Lateness {
    /// A completion that was due at `due` was posted at `now`.
    pub fn record(&mut self, due: Ns, now: Ns) {
        self.histogram.record(now - due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_commands_are_busy_once_and_gaps_are_not() {
        let mut activity = Activity::default();
        activity.enter(Ns(10));
        activity.enter(Ns(12));
        activity.leave(Ns(20));
        activity.leave(Ns(15));
        activity.enter(Ns(50));
        assert_eq!(activity.busy(Ns(53)), Ns(13));
        activity.leave(Ns(55));
        assert_eq!(activity.busy(Ns(99)), Ns(15));
    }
}
