//! One die: its array does one thing at a time, but a read may go first.

use ersatz_engine::Ns;
use std::collections::VecDeque;

/// What a read does when the die programs or erases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadPriority {
    /// It waits for all that was booked before.
    #[default]
    None,
    /// It waits for the operation that runs, and goes before those that wait.
    Queued,
    /// It interrupts a program or an erase.
    Suspend {
        /// From the suspend command to a die that takes a read.
        suspend: Ns,
        /// From the resume command to the operation going on.
        resume: Ns,
        /// How often one operation can be interrupted; then reads wait for it.
        limit: u32,
    },
}

/// A booked operation that reads may be able to pass.
#[derive(Clone, Copy, Debug)]
struct Work {
    begin: Ns,
    end: Ns,
    /// How often it may still be interrupted.
    interruptions: u32,
}

/// The timeline of a die's array. Work that is ready goes into the first gap, so that a program that
/// waits for its data does not keep the die idle.
///
/// An operation that is pushed back by a read ends later for all that comes after it; a finish time
/// that was already given out stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Die {
    /// Operations that reads may pass, disjoint and in order.
    backlog: VecDeque<Work>,
    free_at: Ns,
    /// When the last read that went first is done.
    reads_until: Ns,
    busy: Ns,
}

impl Die {
    /// When all that is booked is done.
    #[must_use]
    pub fn free_at(&self) -> Ns {
        self.free_at
    }

    /// The sum of all work ever booked.
    #[must_use]
    pub fn busy(&self) -> Ns {
        self.busy
    }

    /// The first of the booked operations that is not done at `time`.
    #[inline]
    fn after(&self, time: Ns) -> usize {
        if self.free_at <= time {
            return self.backlog.len();
        }
        self.backlog.partition_point(|work| work.end <= time)
    }

    /// The first time from `earliest` on when nothing is booked for `duration`.
    #[must_use]
    pub fn gap(&self, earliest: Ns, duration: Ns) -> Ns {
        let mut begin = earliest.max(self.reads_until);
        for work in self.backlog.range(self.after(begin)..) {
            if begin + duration <= work.begin {
                break;
            }
            begin = begin.max(work.end);
        }
        begin
    }

    /// When the last operation before `begin` took the array, and when it is done with it.
    #[must_use]
    pub fn before(&self, begin: Ns) -> (Ns, Ns) {
        let last = self
            .after(begin)
            .checked_sub(1)
            .and_then(|last| self.backlog.get(last));
        last.map_or((Ns::ZERO, Ns::ZERO), |work| (work.begin, work.end))
    }

    /// Books the array from `begin` to `end`, for work that reads may pass and interrupt so many
    /// times. Later work that is in the way is pushed back.
    pub fn book(&mut self, begin: Ns, end: Ns, interruptions: u32) {
        self.busy += end.since(begin);
        let at = self.after(begin);
        self.backlog.insert(
            at,
            Work {
                begin,
                end,
                interruptions,
            },
        );
        self.push_back(at + 1, end);
        self.free_at = self.free_at.max(end);
    }

    /// Moves the operations from `at` on such that none begins before `free`.
    fn push_back(&mut self, at: usize, mut free: Ns) {
        for work in self.backlog.range_mut(at..) {
            if work.begin >= free {
                return;
            }
            let length = work.end.since(work.begin);
            (work.begin, work.end) = (free, free + length);
            free = work.end;
        }
        self.free_at = self.free_at.max(free);
    }

    /// Nothing will be asked of the die before `now` any more.
    #[inline]
    pub fn forget(&mut self, now: Ns) {
        while self.backlog.front().is_some_and(|work| work.end <= now) {
            self.backlog.pop_front();
        }
    }

    /// When a read of `duration` that is ready at `earliest` can begin.
    #[inline]
    #[must_use]
    pub fn read_begin(&self, earliest: Ns, duration: Ns, priority: ReadPriority) -> Ns {
        if priority == ReadPriority::None {
            return self.gap(earliest, duration);
        }
        let earliest = earliest.max(self.reads_until);
        if self.free_at <= earliest {
            return earliest;
        }
        match (self.backlog.get(self.after(earliest)), priority) {
            (Some(work), ReadPriority::Suspend { suspend, .. })
                if work.begin < earliest && work.interruptions > 0 =>
            {
                work.end.min(earliest + suspend)
            }
            (Some(work), _) if work.begin < earliest => work.end,
            _ => earliest,
        }
    }

    /// Books the read that [`read_begin`](Self::read_begin) said can begin at `begin`; it has the
    /// array until `end`.
    #[inline]
    pub fn book_read(&mut self, begin: Ns, end: Ns, priority: ReadPriority) {
        if priority == ReadPriority::None {
            self.book(begin, end, 0);
            return;
        }
        self.busy += end.since(begin);
        self.reads_until = end;
        if self.free_at <= begin {
            self.free_at = end;
            return;
        }
        let at = self.after(begin);
        let mut free = end;
        let mut next = at;
        if let Some(work) = self.backlog.get_mut(at).filter(|work| work.begin < begin) {
            // What is left of it goes on when the read is done; it stood still while the die was
            // getting ready for the read.
            work.interruptions = work.interruptions.saturating_sub(1);
            let mut left = work.end.since(begin);
            if let ReadPriority::Suspend {
                suspend, resume, ..
            } = priority
            {
                left += suspend;
                free += resume;
            }
            work.end = free + left;
            free = work.end;
            next += 1;
        }
        self.push_back(next, free);
        self.free_at = self.free_at.max(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUSPEND: ReadPriority = ReadPriority::Suspend {
        suspend: Ns(5),
        resume: Ns(3),
        limit: 1,
    };

    /// A die that programs from 0 to 200 and from 200 to 400, and a read of 40 at 50.
    fn read(priority: ReadPriority) -> (Ns, Die) {
        let mut die = Die::default();
        die.book(Ns(0), Ns(200), 1);
        die.book(Ns(200), Ns(400), 1);
        let begin = die.read_begin(Ns(50), Ns(40), priority);
        die.book_read(begin, begin + Ns(40), priority);
        (begin, die)
    }

    #[test]
    fn without_priority_a_read_waits_for_all() {
        let (begin, die) = read(ReadPriority::None);
        assert_eq!((begin, die.free_at()), (Ns(400), Ns(440)));
    }

    #[test]
    fn before_what_waits_a_read_waits_for_what_runs() {
        let (begin, die) = read(ReadPriority::Queued);
        assert_eq!((begin, die.free_at()), (Ns(200), Ns(440)));
    }

    #[test]
    fn a_suspended_program_loses_the_read_and_both_overheads() {
        let (begin, die) = read(SUSPEND);
        // At 50, after 50 of 200: read 55 to 95, resumed at 98 with 150 to go, then the next 200.
        assert_eq!((begin, die.free_at()), (Ns(55), Ns(448)));
        // Its one interruption is used up: the next read waits for it.
        assert_eq!(die.read_begin(Ns(100), Ns(40), SUSPEND), Ns(248));
        assert_eq!(die.busy(), Ns(440));
    }

    #[test]
    fn work_that_is_ready_fills_a_gap_and_pushes_back_what_it_overlaps() {
        let mut die = Die::default();
        die.book(Ns(100), Ns(200), 0);
        assert_eq!(die.gap(Ns(10), Ns(90)), Ns(10));
        assert_eq!(die.gap(Ns(10), Ns(91)), Ns(200));
        die.book(Ns(60), Ns(110), 0);
        assert_eq!(
            (die.free_at(), die.before(Ns(110))),
            (Ns(210), (Ns(60), Ns(110)))
        );
    }

    #[test]
    fn an_idle_die_reads_at_once() {
        let mut die = Die::default();
        assert_eq!(die.read_begin(Ns(7), Ns(40), SUSPEND), Ns(7));
        die.book_read(Ns(7), Ns(47), SUSPEND);
        assert_eq!(
            (die.free_at(), die.read_begin(Ns(10), Ns(40), SUSPEND)),
            (Ns(47), Ns(47))
        );
    }
}
