//! A resource whose gaps can be used.

use ersatz_engine::{Booking, Ns};

/// From so many bookings on, the first one that matters is searched by halves.
const LONG: usize = 8;

/// Forgotten bookings are kept as room for new ones in front, up to so many.
const ROOM: usize = 64;

/// A channel's bus. Unlike a [`Timeline`](ersatz_engine::Timeline), work may go before work that was
/// booked earlier: between a read's command and its data lie tens of microseconds in which the bus
/// serves other dies.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    /// Disjoint, in order, not touching; those before `first` are forgotten.
    booked: Vec<Booking>,
    first: usize,
    /// When the last booking ends.
    end: Ns,
    busy: Ns,
}

impl Calendar {
    /// Books the first gap of `duration` that begins at `earliest` or later.
    #[inline]
    pub fn book(&mut self, earliest: Ns, duration: Ns) -> Booking {
        let mut booking = Booking {
            begin: earliest,
            end: earliest + duration,
        };
        if duration == Ns::ZERO {
            return booking;
        }
        self.busy += duration;
        // Most data comes after all other work, and most commands come before it.
        if self.end < earliest {
            self.booked.push(booking);
        } else {
            booking = self.book_gap(earliest, duration);
        }
        self.end = self.end.max(booking.end);
        booking
    }

    fn book_gap(&mut self, earliest: Ns, duration: Ns) -> Booking {
        let mut at = self.first;
        if self.booked.len() - at > LONG && self.booked[at + LONG].end <= earliest {
            at += self.booked[at..].partition_point(|booking| booking.end <= earliest);
        }
        let mut begin = earliest;
        for next in &self.booked[at..] {
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
        let joins_last = at > self.first && self.booked[at - 1].end == booking.begin;
        match (joins_last, joins_next) {
            (true, true) => {
                self.booked[at - 1].end = self.booked[at].end;
                self.booked.remove(at);
            }
            (true, false) => self.booked[at - 1].end = booking.end,
            (false, true) => self.booked[at].begin = booking.begin,
            (false, false) if at == self.first && at > 0 => {
                self.first -= 1;
                self.booked[self.first] = booking;
            }
            (false, false) => self.booked.insert(at, booking),
        }
    }

    /// Nothing will be booked before `now` any more.
    #[inline]
    pub fn forget(&mut self, now: Ns) {
        if self.end <= now {
            self.booked.clear();
            self.first = 0;
        } else if (self.booked.get(self.first)).is_some_and(|booking| booking.end <= now) {
            self.forget_some(now);
        }
    }

    fn forget_some(&mut self, now: Ns) {
        while self
            .booked
            .get(self.first)
            .is_some_and(|booking| booking.end <= now)
        {
            self.first += 1;
        }
        if self.first > ROOM && self.first * 2 > self.booked.len() {
            // Moving the rest costs less than was gained since the last time.
            self.booked.drain(..self.first - ROOM / 2);
            self.first = ROOM / 2;
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
        assert_eq!(bus.booked.len() - bus.first, 1);
        assert_eq!(book(&mut bus, 0, 1), (116, 117));
        assert_eq!(bus.busy(), Ns(117));
        bus.forget(Ns(117));
        assert!(bus.booked.is_empty());
    }
}
