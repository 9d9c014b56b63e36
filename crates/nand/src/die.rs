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

/// The timeline of a die's array.
///
/// An operation that is pushed back by a read ends later for all that comes after it; a finish time
/// that was already given out stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Die {
    /// Operations that reads may pass, in order.
    backlog: VecDeque<Work>,
    free_at: Ns,
    last_begin: Ns,
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

    /// When the operation that was booked last takes the array: until then its data occupies the
    /// die's cache register.
    #[must_use]
    pub fn last_begin(&self) -> Ns {
        self.last_begin
    }

    /// The sum of all work ever booked.
    #[must_use]
    pub fn busy(&self) -> Ns {
        self.busy
    }

    /// Books the array from `begin`, which is not before [`free_at`](Self::free_at), to `end`, for
    /// work that reads may pass and interrupt so many times.
    pub fn book(&mut self, begin: Ns, end: Ns, interruptions: u32) {
        self.backlog.push_back(Work {
            begin,
            end,
            interruptions,
        });
        self.free_at = end;
        self.busy += end.since(begin);
    }

    /// Nothing will be asked of the die before `now` any more.
    pub fn forget(&mut self, now: Ns) {
        while self.backlog.front().is_some_and(|work| work.end <= now) {
            self.backlog.pop_front();
        }
    }

    /// When a read that is ready at `earliest` can begin.
    pub fn read_begin(&mut self, earliest: Ns, priority: ReadPriority) -> Ns {
        if priority == ReadPriority::None {
            return earliest.max(self.free_at);
        }
        let earliest = earliest.max(self.reads_until);
        while self
            .backlog
            .front()
            .is_some_and(|work| work.end <= earliest)
        {
            self.backlog.pop_front();
        }
        match (self.backlog.front(), priority) {
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
    pub fn book_read(&mut self, begin: Ns, end: Ns, priority: ReadPriority) {
        self.busy += end.since(begin);
        if priority == ReadPriority::None {
            self.free_at = end;
            return;
        }
        self.reads_until = end;
        let mut free = end;
        for work in &mut self.backlog {
            if work.end <= begin {
                continue;
            }
            let mut length = work.end.since(work.begin);
            if work.begin < begin {
                // Interrupted: what is left of it goes on when the read is done. The time of
                // suspending counts as done work neither way.
                work.interruptions = work.interruptions.saturating_sub(1);
                if let ReadPriority::Suspend {
                    suspend, resume, ..
                } = priority
                {
                    length = work.end.since(begin) + suspend;
                    free += resume;
                }
                work.end = free + length;
            } else if work.begin < free {
                *work = Work {
                    begin: free,
                    end: free + length,
                    ..*work
                };
            } else {
                break;
            }
            free = work.end;
        }
        self.free_at = self.free_at.max(free);
        if let Some(last) = self.backlog.back() {
            self.free_at = self.free_at.max(last.end);
            self.last_begin = last.begin;
        }
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
        let begin = die.read_begin(Ns(50), priority);
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
        let (begin, mut die) = read(SUSPEND);
        // At 50, after 50 of 200: read 55 to 95, resumed at 98 with 150 to go, then the next 200.
        assert_eq!((begin, die.free_at()), (Ns(55), Ns(448)));
        // Its one interruption is used up: the next read waits for it.
        assert_eq!(die.read_begin(Ns(100), SUSPEND), Ns(248));
        assert_eq!(die.busy(), Ns(440));
    }

    #[test]
    fn an_idle_die_reads_at_once() {
        let mut die = Die::default();
        assert_eq!(die.read_begin(Ns(7), SUSPEND), Ns(7));
        die.book_read(Ns(7), Ns(47), SUSPEND);
        assert_eq!(
            (die.free_at(), die.read_begin(Ns(10), SUSPEND)),
            (Ns(47), Ns(47))
        );
    }
}
