//! A clock that stands still while the guest does.

use ersatz_engine::{Clock, Ns, RealClock};
use std::sync::atomic::{AtomicU64, Ordering};

/// What [`StoppableClock::stands_at`] holds while the clock goes.
const GOES: u64 = u64::MAX;
/// What it holds for the moment in which it is stopped or started.
const CHANGES: u64 = u64::MAX - 1;

/// The host's monotonic clock, less the time for which it was stopped. One thread stops and starts
/// it, any thread reads it.
#[derive(Debug)]
pub struct StoppableClock {
    real: RealClock,
    stands_at: AtomicU64,
    /// Nanoseconds for which it has stood.
    stood: AtomicU64,
}

impl Default for StoppableClock {
    fn default() -> Self {
        Self {
            real: RealClock::new(),
            stands_at: AtomicU64::new(GOES),
            stood: AtomicU64::new(0),
        }
    }
}

impl StoppableClock {
    /// Stops it. It reads the same from then on.
    pub fn stop(&self) {
        if self.stands_at.load(Ordering::Acquire) != GOES {
            return;
        }
        // Nobody may read a time after the one at which it is going to stand.
        self.stands_at.store(CHANGES, Ordering::SeqCst);
        let now = self.real.now().0 - self.stood.load(Ordering::SeqCst);
        self.stands_at.store(now, Ordering::SeqCst);
    }

    /// Lets it go on from where it stands.
    pub fn start(&self) {
        let stands_at = self.stands_at.load(Ordering::Acquire);
        if stands_at >= CHANGES {
            return;
        }
        self.stands_at.store(CHANGES, Ordering::SeqCst);
        let stood = self.real.now().0 - stands_at;
        self.stood.store(stood, Ordering::SeqCst);
        self.stands_at.store(GOES, Ordering::SeqCst);
    }

    /// Whether it stands.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stands_at.load(Ordering::Acquire) != GOES
    }
}

impl Clock for StoppableClock {
    fn now(&self) -> Ns {
        loop {
            let stands_at = self.stands_at.load(Ordering::SeqCst);
            if stands_at < CHANGES {
                return Ns(stands_at);
            }
            let stood = self.stood.load(Ordering::SeqCst);
            let now = self.real.now();
            // Else it was stopped or started meanwhile.
            if stands_at == GOES
                && self.stands_at.load(Ordering::SeqCst) == GOES
                && self.stood.load(Ordering::SeqCst) == stood
            {
                return now - Ns(stood);
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn it_stands_while_stopped_and_goes_on_from_there() {
        let clock = StoppableClock::default();
        clock.stop();
        let stands = clock.now();
        let real = RealClock::new();
        while real.now() < Ns::from_ms(2) {
            assert_eq!(clock.now(), stands);
        }
        clock.stop();
        assert!(clock.is_stopped());
        assert_eq!(clock.now(), stands);
        let before = clock.real.now();
        clock.start();
        clock.start();
        assert!(!clock.is_stopped());
        let now = clock.now();
        let passed = clock.real.now() - before;
        assert!(stands <= now && now - stands <= passed);
    }

    #[test]
    fn it_never_goes_back_for_a_reader_on_another_thread() {
        let clock = Arc::new(StoppableClock::default());
        let done = Arc::new(AtomicBool::new(false));
        let reader = {
            let (clock, done) = (Arc::clone(&clock), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut last = Ns::ZERO;
                while !done.load(Ordering::Relaxed) {
                    let now = clock.now();
                    assert!(now >= last, "{now:?} after {last:?}");
                    last = now;
                }
            })
        };
        for _ in 0..20_000 {
            clock.stop();
            clock.start();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("time went forward");
    }
}
