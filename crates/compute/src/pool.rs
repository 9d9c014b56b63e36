//! The units of one class, in virtual time.
//!
//! Three things happen here: a job arrives, a unit's time slice ends, and a unit that is free gets
//! a job. They happen strictly in the order of time; at the same time, slices end and units are given
//! away before the next job arrives, and jobs arrive in the order of their numbers.
//!
//! When the end of a slice is not known, because the cost of the job isn't, **nothing happens any
//! more** until it is: not even what is before that end, for it could be any time from now on. That
//! makes each decision depend on arrivals and costs alone. Jobs that run beside the unknown one
//! need not be told so late: see `lookahead`.

use crate::lookahead::Lookahead;
use crate::{Entry, Number, Scheduler};
use ersatz_engine::Ns;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

/// What became of a job, in virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStatistics {
    /// How long its group's bandwidth cap held it back before it could wait for a unit.
    pub held: Ns,
    /// How long it waited for units, at its beginning and between time slices.
    pub queued: Ns,
    /// How long it occupied units with its work: what it cost.
    pub running: Ns,
    /// How often a unit was switched to it.
    pub switches: u32,
}

/// How the units of a class are shared out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    /// Longest time that a job keeps a unit while others wait; at least 1 ns.
    pub(crate) slice: Ns,
    /// What it takes a unit to begin with a job that it did not have just before.
    pub(crate) switch: Ns,
}

/// A job, from its arrival to its end.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) entry: Entry,
    pub(crate) cost: Option<Ns>,
    /// Work done in the time slices that are over.
    done: Ns,
    pub(crate) statistics: JobStatistics,
    /// The unit that it has now.
    unit: Option<usize>,
    /// The unit that it had last.
    had: Option<usize>,
    pub(crate) abandoned: bool,
    /// Its end has been told.
    pub(crate) told: Option<Ns>,
}

/// A job's end that has become certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) number: Number,
    pub(crate) at: Ns,
    pub(crate) statistics: JobStatistics,
}

#[derive(Clone, Debug, Default)]
struct Unit {
    running: Option<Entry>,
    /// Since when `running` has it, the switch included.
    since: Ns,
    /// When the work began, after the switch.
    begin: Ns,
    /// When its slice is over, once that is known.
    end: Ns,
    /// The work of that slice.
    work: Ns,
    /// Which job it had last.
    last: Option<Number>,
    /// Counts slices, so that the end of one that was cut short is told from the others.
    slice: u64,
    busy: Ns,
}

#[derive(Debug)]
pub(crate) struct Pool {
    scheduler: Box<dyn Scheduler>,
    sharing: Sharing,
    units: Vec<Unit>,
    idle: BTreeSet<usize>,
    jobs: BTreeMap<Number, Present>,
    /// Jobs that have not yet begun to wait, by when they do.
    incoming: BTreeSet<(Ns, Number)>,
    /// Ends of time slices: when, on which unit, which of its slices.
    ends: BinaryHeap<Reverse<(Ns, usize, u64)>>,
    /// When the last thing happened.
    clock: Ns,
    /// The unit whose slice ends nobody knows when.
    open: Option<usize>,
    lookahead: Option<Lookahead>,
    /// Ends to be told.
    told: VecDeque<End>,
    #[cfg(test)]
    pub(crate) slices: Vec<Slice>,
}

/// A time slice that is over.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) unit: usize,
    pub(crate) number: Number,
    /// When the unit was given to the job, when its work began, and when it had to stop.
    pub(crate) since: Ns,
    pub(crate) begin: Ns,
    pub(crate) end: Ns,
}

impl Pool {
    pub(crate) fn new(units: usize, scheduler: Box<dyn Scheduler>, sharing: Sharing) -> Self {
        let units = units.max(1);
        Self {
            scheduler,
            sharing: Sharing {
                slice: sharing.slice.max(Ns(1)),
                ..sharing
            },
            units: vec![Unit::default(); units],
            idle: (0..units).collect(),
            jobs: BTreeMap::new(),
            incoming: BTreeSet::new(),
            ends: BinaryHeap::new(),
            clock: Ns::ZERO,
            open: None,
            lookahead: None,
            told: VecDeque::new(),
            #[cfg(test)]
            slices: Vec::new(),
        }
    }

    /// A job will wait from `entry.since` on, which is not before anything that was advanced to;
    /// its cap held it for `held` before.
    pub(crate) fn arrive(&mut self, entry: Entry, held: Ns) {
        self.incoming.insert((entry.since, entry.number));
        let statistics = JobStatistics {
            held,
            ..JobStatistics::default()
        };
        let job = Present {
            entry,
            cost: None,
            done: Ns::ZERO,
            statistics,
            unit: None,
            had: None,
            abandoned: false,
            told: None,
        };
        self.jobs.insert(entry.number, job);
    }

    /// What a job costs has become known. Only the first word counts.
    pub(crate) fn known(&mut self, number: Number, cost: Ns) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        if job.cost.is_some() {
            return;
        }
        job.cost = Some(cost);
        match job.unit {
            Some(unit) if self.open == Some(unit) => {
                self.open = None;
                self.lookahead = None;
                self.plan(unit);
            }
            _ => {
                if let Some(lookahead) = &mut self.lookahead {
                    lookahead.known(number, cost);
                }
            }
        }
    }

    /// Nobody wants the job any more: it takes no time from `now` on.
    pub(crate) fn abandon(&mut self, number: Number, now: Ns) {
        let Some(job) = self.jobs.get_mut(&number) else {
            return;
        };
        job.abandoned = true;
        job.cost = job.cost.or(Some(Ns::ZERO));
        self.lookahead = None;
        let Some(index) = job.unit else { return };
        let unit = &mut self.units[index];
        unit.slice += 1;
        let end = now.max(self.clock);
        unit.end = end;
        self.ends.push(Reverse((end, index, unit.slice)));
        if self.open == Some(index) {
            self.open = None;
        }
    }

    /// Lets everything happen that is certain and not after `now`.
    pub(crate) fn advance(&mut self, now: Ns) {
        while self.step(now) {}
        let Some(open) = self.open else { return };
        if !self.scheduler.is_empty() {
            return;
        }
        let mut lookahead = self
            .lookahead
            .take()
            .unwrap_or_else(|| self.look_ahead(open));
        while let Some(end) = lookahead.step(now, &self.incoming, &self.jobs) {
            self.tell(end);
        }
        self.lookahead = Some(lookahead);
    }

    /// One thing happens; `false`: none can.
    fn step(&mut self, now: Ns) -> bool {
        if self.open.is_some() {
            return false;
        }
        if let Some(&idle) = self.idle.first()
            && let Some(entry) = self.scheduler.pop(self.clock)
        {
            self.dispatch(idle, entry);
            return true;
        }
        while let Some(&Reverse((_, index, slice))) = self.ends.peek()
            && self.units[index].slice != slice
        {
            self.ends.pop();
        }
        let end = self.ends.peek().map(|Reverse(end)| *end);
        let arrival = self.incoming.first().copied();
        if let Some((at, index, _)) = end
            && arrival.is_none_or(|(arrival, _)| at <= arrival)
        {
            if at > now {
                return false;
            }
            self.ends.pop();
            self.clock = at;
            self.end_slice(index, at);
            return true;
        }
        match arrival {
            Some((at, number)) if at <= now => {
                self.incoming.pop_first();
                self.clock = at;
                self.begin_to_wait(number);
                true
            }
            _ => false,
        }
    }

    fn begin_to_wait(&mut self, number: Number) {
        let Some(job) = self.jobs.get(&number) else {
            return;
        };
        let entry = job.entry;
        self.scheduler.push(entry);
        if !self.idle.is_empty() || !self.scheduler.is_preemptive() {
            return;
        }
        // Of those that it may push aside, the least urgent.
        let mut victim: Option<(usize, Entry)> = None;
        for (index, unit) in self.units.iter().enumerate() {
            let Some(running) = unit.running else {
                continue;
            };
            let urgent = victim.map_or(entry, |(_, victim)| victim);
            if self.scheduler.preempts(&urgent, &running) {
                victim = Some((index, running));
            }
        }
        if let Some((index, _)) = victim {
            self.units[index].slice += 1;
            self.end_slice(index, self.clock);
        }
    }

    /// A job gets a unit, now: the one that it had, if nobody else had it since, or else `idle`.
    fn dispatch(&mut self, idle: usize, entry: Entry) {
        let Some(job) = self.jobs.get_mut(&entry.number) else {
            return;
        };
        if job.abandoned {
            self.jobs.remove(&entry.number);
            return;
        }
        let had = |&index: &usize| {
            self.units[index].last == Some(entry.number) && self.idle.contains(&index)
        };
        let index = job.had.filter(had).unwrap_or(idle);
        job.had = Some(index);
        let unit = &mut self.units[index];
        unit.since = self.clock;
        unit.begin = self.clock;
        if unit.last != Some(entry.number) {
            unit.begin = self.clock + self.sharing.switch;
            job.statistics.switches = job.statistics.switches.saturating_add(1);
        }
        unit.running = Some(entry);
        job.unit = Some(index);
        job.statistics.queued += self.clock - entry.since;
        self.idle.remove(&index);
        if job.cost.is_some() {
            self.plan(index);
        } else {
            self.open = Some(index);
        }
    }

    /// The cost of the job on a unit is known, and with it the end of its slice.
    fn plan(&mut self, index: usize) {
        let unit = &mut self.units[index];
        let Some(entry) = unit.running else { return };
        let Some(job) = self.jobs.get(&entry.number) else {
            return;
        };
        let left = job.cost.unwrap_or(Ns::ZERO) - job.done;
        let slice = if self.scheduler.is_sliced() {
            left.min(self.sharing.slice)
        } else {
            left
        };
        let end = unit.begin + slice;
        unit.slice += 1;
        unit.end = end;
        unit.work = slice;
        self.ends.push(Reverse((end, index, unit.slice)));
        let mut statistics = job.statistics;
        self.scheduler.charge(&entry, end - unit.since);
        if slice == left && !self.scheduler.is_preemptive() {
            statistics.running += left;
            self.tell(End {
                number: entry.number,
                at: end,
                statistics,
            });
        }
    }

    /// The unit's job has had its slice, or had to go before.
    fn end_slice(&mut self, index: usize, at: Ns) {
        let unit = &mut self.units[index];
        let Some(entry) = unit.running.take() else {
            return;
        };
        unit.last = Some(entry.number);
        unit.busy += at - unit.since;
        // At the end of time a slice may be over as soon as it begins, and counts none the less.
        let worked = if at == unit.end {
            unit.work
        } else {
            at - unit.begin
        };
        #[cfg(test)]
        self.slices.push(Slice {
            unit: index,
            number: entry.number,
            since: unit.since,
            begin: unit.begin,
            end: at,
        });
        self.idle.insert(index);
        let Some(job) = self.jobs.get_mut(&entry.number) else {
            return;
        };
        job.unit = None;
        job.done += worked;
        job.statistics.running += worked;
        if job.abandoned {
            self.jobs.remove(&entry.number);
        } else if job.cost.is_some_and(|cost| job.done >= cost) {
            let end = End {
                number: entry.number,
                at,
                statistics: job.statistics,
            };
            self.tell(end);
            self.jobs.remove(&entry.number);
        } else {
            self.scheduler.push(Entry { since: at, ..entry });
        }
    }

    /// Tells the end of a job, once.
    fn tell(&mut self, end: End) {
        let Some(job) = self.jobs.get_mut(&end.number) else {
            return;
        };
        match job.told {
            None => {
                job.told = Some(end.at);
                self.told.push_back(end);
            }
            Some(told) => debug_assert_eq!(told, end.at, "an end that was told has changed"),
        }
    }

    /// What is certain while the job on the unit `open` might run for ever.
    fn look_ahead(&self, open: usize) -> Lookahead {
        let running = self.units.iter().enumerate().filter_map(|(index, unit)| {
            let job = self.jobs.get(&unit.running?.number)?;
            let left = job.cost? - job.done;
            let statistics = JobStatistics {
                running: job.statistics.running + left,
                ..job.statistics
            };
            let at = if job.abandoned {
                unit.end
            } else {
                unit.begin + left
            };
            let number = job.entry.number;
            (index != open).then_some(End {
                number,
                at,
                statistics,
            })
        });
        let at_once = if self.scheduler.is_preemptive() {
            None
        } else if self.scheduler.is_sliced() {
            Some(self.sharing.slice)
        } else {
            Some(Ns::MAX)
        };
        Lookahead::new(self.units.len(), self.sharing.switch, at_once, running)
    }

    /// Takes an end that has become certain.
    pub(crate) fn take_told(&mut self) -> Option<End> {
        self.told.pop_front()
    }

    /// When something happens next, unless a cost has to become known first.
    pub(crate) fn next_due(&self) -> Option<Ns> {
        if self.open.is_some() {
            let lookahead = self.lookahead.as_ref()?;
            return lookahead.next_due(&self.incoming);
        }
        let end = self.ends.peek().map(|Reverse((at, ..))| *at);
        let arrival = self.incoming.first().map(|(at, _)| *at);
        end.into_iter().chain(arrival).min()
    }

    /// Since when the unit has its job whose slice ends nobody knows when.
    pub(crate) fn unknown_since(&self) -> Option<Ns> {
        self.open.map(|index| self.units[index].since)
    }

    /// How long each unit has been occupied, up to the last slice that is over.
    pub(crate) fn busy(&self) -> impl Iterator<Item = Ns> {
        self.units.iter().map(|unit| unit.busy)
    }
}
