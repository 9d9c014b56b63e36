//! What is certain while a cost is unknown.
//!
//! As long as nobody has to wait for a unit, no scheduler decides anything: whoever arrives gets
//! a unit at once and keeps it to its end. Whether that is so follows from the worst case, in which
//! the jobs of unknown cost run for ever. Up to the first arrival that would then find all units
//! taken, the ends of the other jobs are certain, and are told: a job that takes long on this host
//! holds up only those that really might have to wait for it.

use crate::Number;
use crate::pool::{End, JobStatistics, Present};
use ersatz_engine::Ns;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound;

#[derive(Debug)]
pub(crate) struct Lookahead {
    units: usize,
    switch: Ns,
    /// A job that works for no longer is certain of its end when it begins; `None`: no job is.
    at_once: Option<Ns>,
    /// When the units of known cost become free.
    ends: BinaryHeap<Reverse<Ns>>,
    /// Ends that are certain, whatever happens before.
    certain: Vec<End>,
    /// Ends that are certain when they are there.
    pending: BTreeMap<(Ns, Number), JobStatistics>,
    /// Jobs of unknown cost, but for the one that everything waits for, and when they began.
    open: BTreeMap<Number, (Ns, JobStatistics)>,
    /// The last arrival that found a unit.
    arrived: Option<(Ns, Number)>,
    /// The first that might not have.
    conflict: Option<Ns>,
}

impl Lookahead {
    /// With jobs that run on all but one of the units at most, and will have run up to `running`.
    pub(crate) fn new(
        units: usize,
        switch: Ns,
        at_once: Option<Ns>,
        running: impl Iterator<Item = End>,
    ) -> Self {
        let mut new = Self {
            units,
            switch,
            at_once,
            ends: BinaryHeap::new(),
            certain: Vec::new(),
            pending: BTreeMap::new(),
            open: BTreeMap::new(),
            arrived: None,
            conflict: None,
        };
        for end in running {
            new.runs_to(end);
        }
        new
    }

    fn runs_to(&mut self, end: End) {
        self.ends.push(Reverse(end.at));
        self.pending.insert((end.at, end.number), end.statistics);
    }

    /// A job of known cost that got a unit at `begin`.
    fn runs(&mut self, number: Number, begin: Ns, cost: Ns, statistics: JobStatistics) {
        let end = End {
            number,
            at: begin + self.switch + cost,
            statistics: JobStatistics {
                running: cost,
                ..statistics
            },
        };
        if self.at_once.is_some_and(|most| cost <= most) {
            self.ends.push(Reverse(end.at));
            self.certain.push(end);
        } else {
            self.runs_to(end);
        }
    }

    /// What a job costs has become known.
    pub(crate) fn known(&mut self, number: Number, cost: Ns) {
        if let Some((begin, statistics)) = self.open.remove(&number) {
            self.runs(number, begin, cost, statistics);
            // That unit may be the one that was missing.
            self.conflict = None;
        }
    }

    /// The next end that is certain at `now`.
    pub(crate) fn step(
        &mut self,
        now: Ns,
        incoming: &BTreeSet<(Ns, Number)>,
        jobs: &BTreeMap<Number, Present>,
    ) -> Option<End> {
        loop {
            let arrival = self.next_arrival(incoming).filter(|(at, _)| *at <= now);
            let until = arrival.map_or(now, |(at, _)| at);
            let end = self.certain.pop().or_else(|| self.pop_pending(until));
            if let Some(end) = end {
                if jobs.get(&end.number).is_some_and(|job| job.told.is_none()) {
                    return Some(end);
                }
                continue;
            }
            if self.conflict.is_some() {
                return None;
            }
            let (at, number) = arrival?;
            while self.ends.peek().is_some_and(|Reverse(end)| *end <= at) {
                self.ends.pop();
            }
            if 1 + self.open.len() + self.ends.len() >= self.units {
                self.conflict = Some(at);
                return None;
            }
            self.arrived = Some((at, number));
            let Some(job) = jobs.get(&number).filter(|job| !job.abandoned) else {
                continue;
            };
            let statistics = JobStatistics {
                switches: 1,
                ..job.statistics
            };
            match job.cost {
                Some(cost) => self.runs(number, at, cost, statistics),
                None => drop(self.open.insert(number, (at, statistics))),
            }
        }
    }

    /// An end that has come before anybody has had to wait.
    fn pop_pending(&mut self, until: Ns) -> Option<End> {
        let (&(at, number), _) = self
            .pending
            .first_key_value()
            .filter(|((at, _), _)| *at <= until)?;
        let statistics = self.pending.remove(&(at, number))?;
        Some(End {
            number,
            at,
            statistics,
        })
    }

    fn next_arrival(&self, incoming: &BTreeSet<(Ns, Number)>) -> Option<(Ns, Number)> {
        let after = self.arrived.map_or(Bound::Unbounded, Bound::Excluded);
        incoming.range((after, Bound::Unbounded)).next().copied()
    }

    /// When it has to be looked at again.
    pub(crate) fn next_due(&self, incoming: &BTreeSet<(Ns, Number)>) -> Option<Ns> {
        if self.conflict.is_some() {
            return None;
        }
        let end = self.pending.first_key_value().map(|(&(at, _), _)| at);
        let arrival = self.next_arrival(incoming).map(|(at, _)| at);
        end.into_iter().chain(arrival).min()
    }
}
