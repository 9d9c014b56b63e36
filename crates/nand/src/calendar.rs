//! A resource whose gaps can be used.

use ersatz_engine::{Booking, Ns};
use std::collections::VecDeque;

/// A channel's bus. Unlike a [`Timeline`](ersatz_engine::Timeline), work may go before work that was
/// booked earlier: between a read's command and its data lie tens of microseconds in which the bus
/// serves other dies.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// Disjoint, in order, not touching.
    booked: VecDeque<Booking>,
    busy: Ns,
}

impl Calendar {
    /// Books the first gap of `duration` that begins at `earliest` or later.
    pub fn book(&mut self, earliest: Ns, duration: Ns) -> Booking {
        if duration == Ns::ZERO {
            return Booking {
                begin: earliest,
                end: earliest,
            };
        }
        self.busy += duration;
        let mut at = self
            .booked
            .partition_point(|booking| booking.end <= earliest);
        let mut begin = earliest;
        while let Some(next) = self.booked.get(at) {
            if begin + duration <= next.begin {
                break;
            }
            begin = begin.max(next.end);
            at += 1;
        }
        let booking = Booking {
            begin,
            end: begin + duration,
        };
        self.insert(at, booking);
        booking
    }

    /// Puts a booking before the one at `at`, joined to its neighbours where they touch.
    fn insert(&mut self, at: usize, booking: Booking) {
        let joins_next = self
            .booked
            .get(at)
            .is_some_and(|next| next.begin == booking.end);
        let before = at.checked_sub(1);
        let joins_last = before.is_some_and(|last| self.booked[last].end == booking.begin);
        match (before.filter(|_| joins_last), joins_next) {
            (Some(last), true) => {
                self.booked[last].end = self.booked[at].end;
                self.booked.remove(at);
            }
            (Some(last), false) => self.booked[last].end = booking.end,
            (None, true) => self.booked[at].begin = booking.begin,
            (None, false) => self.booked.insert(at, booking),
        }
    }

    /// Nothing will be booked before `now` any more.
    pub fn forget(&mut self, now: Ns) {
        while self
            .booked
            .front()
            .is_some_and(|booking| booking.end <= now)
        {
            self.booked.pop_front();
        }
    }

    /// The sum of all work ever booked.
    #[must_use]
    pub fn busy(&self) -> Ns {
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(calendar: &mut Calendar, earliest: u64, duration: u64) -> (u64, u64) {
        let booking = calendar.book(Ns(earliest), Ns(duration));
        (booking.begin.0, booking.end.0)
    }

    #[test]
    fn work_fills_the_first_gap_that_is_long_enough() {
        let mut bus = Calendar::default();
        assert_eq!(book(&mut bus, 100, 10), (100, 110));
        assert_eq!(book(&mut bus, 0, 5), (0, 5));
        assert_eq!(book(&mut bus, 95, 6), (110, 116));
        assert_eq!(book(&mut bus, 2, 95), (5, 100));
        assert_eq!(bus.booked.len(), 1);
        assert_eq!(book(&mut bus, 0, 1), (116, 117));
        assert_eq!(bus.busy(), Ns(117));
        bus.forget(Ns(117));
        assert!(bus.booked.is_empty());
    }
}
