//! A resource that does one thing at a time.

use crate::Ns;

/// When a piece of work occupies a [`Timeline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The work begins.
    pub begin: Ns,
    /// The work is done, and the resource free.
    pub end: Ns,
}

/// A die, a channel, a link direction, a compute unit: serves work in the order of booking and
/// remembers until when it is busy and how much it has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    free_at: Ns,
    busy: Ns,
}

impl Timeline {
    /// Books `duration` of work that can't begin before `earliest`.
    pub fn book(&mut self, earliest: Ns, duration: Ns) -> Booking {
        let begin = earliest.max(self.free_at);
        let end = begin + duration;
        self.free_at = end;
        self.busy += duration;
        Booking { begin, end }
    }

    /// Drops what is booked beyond `now`: nobody waits for it any more.
    pub fn cut(&mut self, now: Ns) {
        self.busy = self.busy - (self.free_at - now);
        self.free_at = self.free_at.min(now);
    }

    /// When the resource has done all that is booked.
    #[must_use]
    pub fn free_at(&self) -> Ns {
        self.free_at
    }

    /// The sum of all work ever booked, for utilisation.
    #[must_use]
    pub fn busy(&self) -> Ns {
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_queues_behind_earlier_work_and_idles_in_gaps() {
        let mut die = Timeline::default();
        assert_eq!(
            die.book(Ns(10), Ns(5)),
            Booking {
                begin: Ns(10),
                end: Ns(15)
            }
        );
        assert_eq!(
            die.book(Ns(12), Ns(5)),
            Booking {
                begin: Ns(15),
                end: Ns(20)
            }
        );
        assert_eq!(
            die.book(Ns(30), Ns(1)),
            Booking {
                begin: Ns(30),
                end: Ns(31)
            }
        );
        assert_eq!(die.busy(), Ns(11));
    }

    #[test]
    fn what_is_cut_is_neither_waited_for_nor_counted() {
        let mut die = Timeline::default();
        die.book(Ns(10), Ns(90));
        die.cut(Ns(30));
        assert_eq!((die.free_at(), die.busy()), (Ns(30), Ns(20)));
        die.cut(Ns(50));
        assert_eq!(die.free_at(), Ns(30), "it was idle");
    }
}
