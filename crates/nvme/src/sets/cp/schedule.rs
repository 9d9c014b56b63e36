//! When jobs run on the compute units, in modelled time.

use ersatz_engine::{Booking, Ns, Timeline};
use std::collections::VecDeque;

/// First come, first served, each job on the unit that is free first.
///
/// A job's cost is known only when it has run for real, which may be before or after the jobs
/// that came earlier. A job is booked when it and all before it are known, so that the times depend
/// on arrivals and costs alone.
#[derive(Debug)]
pub struct Fifo<J> {
    units: Vec<Timeline>,
    waiting: VecDeque<Waiting<J>>,
    /// Number of the first that waits.
    first: u64,
}

#[derive(Debug)]
struct Waiting<J> {
    arrival: Ns,
    cost: Option<Ns>,
    job: J,
}

impl<J> Fifo<J> {
    /// A schedule for `units`, at least one.
    #[must_use]
    pub fn new(units: u16) -> Self {
        Self {
            units: vec![Timeline::default(); usize::from(units.max(1))],
            waiting: VecDeque::new(),
            first: 0,
        }
    }

    /// A job arrived, not before the ones that arrived earlier. Its number comes back.
    pub fn arrive(&mut self, arrival: Ns, job: J) -> u64 {
        self.waiting.push_back(Waiting {
            arrival,
            cost: None,
            job,
        });
        self.first + self.waiting.len() as u64 - 1
    }

    /// What a job costs has become known; the job comes back, if it still waits.
    pub fn known(&mut self, number: u64, cost: Ns) -> Option<&mut J> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let waiting = self.waiting.get_mut(index)?;
        waiting.cost = Some(cost);
        Some(&mut waiting.job)
    }

    /// Books the next job, if what it costs is known.
    pub fn book(&mut self) -> Option<(J, Booking)> {
        let cost = self.waiting.front()?.cost?;
        let Waiting { arrival, job, .. } = self.waiting.pop_front()?;
        self.first += 1;
        let unit = self.units.iter_mut().min_by_key(|unit| unit.free_at())?;
        Some((job, unit.book(arrival, cost)))
    }

    /// The jobs that have arrived and are not booked.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &J> {
        self.waiting.iter().map(|waiting| &waiting.job)
    }

    /// When the first of those arrived whose cost isn't known yet.
    #[must_use]
    pub fn unknown_since(&self) -> Option<Ns> {
        let mut waiting = self.waiting.iter();
        waiting
            .find(|waiting| waiting.cost.is_none())
            .map(|waiting| waiting.arrival)
    }

    /// How long each unit has been booked for.
    pub fn busy(&self) -> impl Iterator<Item = Ns> {
        self.units.iter().map(Timeline::busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_engine::Rng;

    /// Jobs that arrive over time, as (arrival, cost).
    fn jobs(rng: &mut Rng) -> Vec<(Ns, Ns)> {
        let mut now = Ns::ZERO;
        let mut job = |_| {
            now += Ns(rng.below(50));
            (now, Ns(rng.below(200)))
        };
        (0..200).map(&mut job).collect()
    }

    /// Books all jobs; their costs become known in the order of `known`.
    fn run(units: u16, jobs: &[(Ns, Ns)], known: &[usize]) -> (Vec<Booking>, Ns) {
        let mut fifo = Fifo::new(units);
        let numbers: Vec<_> = jobs
            .iter()
            .enumerate()
            .map(|(i, job)| fifo.arrive(job.0, i))
            .collect();
        let mut bookings = Vec::new();
        for &i in known {
            assert_eq!(fifo.known(numbers[i], jobs[i].1), Some(&mut i.clone()));
            while let Some((job, booking)) = fifo.book() {
                assert_eq!(job, bookings.len(), "first come, first served");
                bookings.push(booking);
            }
        }
        assert_eq!(fifo.waiting().len(), 0);
        let busy = fifo.busy().fold(Ns::ZERO, |sum, busy| sum + busy);
        (bookings, busy)
    }

    fn shuffled(rng: &mut Rng, len: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..len).collect();
        for i in (1..len).rev() {
            order.swap(i, rng.below(i as u64 + 1) as usize);
        }
        order
    }

    #[test]
    fn times_do_not_depend_on_which_job_really_finished_first() {
        let mut rng = Rng::new(1);
        for units in 1..5 {
            let jobs = jobs(&mut rng);
            let in_order: Vec<_> = (0..jobs.len()).collect();
            let shuffled = shuffled(&mut rng, jobs.len());
            assert_eq!(run(units, &jobs, &in_order), run(units, &jobs, &shuffled));
        }
    }

    #[test]
    fn no_job_waits_while_a_unit_is_free_and_no_work_is_lost() {
        let mut rng = Rng::new(2);
        for units in 1..5 {
            let jobs = jobs(&mut rng);
            let order = shuffled(&mut rng, jobs.len());
            let (bookings, busy) = run(units, &jobs, &order);
            let sum = jobs.iter().fold(Ns::ZERO, |sum, job| sum + job.1);
            assert_eq!(busy, sum);
            for (i, (booking, job)) in bookings.iter().zip(&jobs).enumerate() {
                assert!(booking.begin >= job.0, "it begins after it arrives");
                assert_eq!(booking.end, booking.begin + job.1);
                // Whenever it waited, all units were busy with earlier jobs up to its begin.
                let running = bookings[..i]
                    .iter()
                    .filter(|other| other.end >= booking.begin)
                    .count();
                assert!(booking.begin == job.0 || running >= usize::from(units));
                let others = bookings[..i].iter();
                let at_once = others.filter(|other| other.end > booking.begin).count();
                assert!(
                    at_once < usize::from(units),
                    "a unit does one thing at a time"
                );
            }
        }
    }

    #[test]
    fn a_number_that_is_not_waiting_is_nobody() {
        let mut fifo = Fifo::new(1);
        let number = fifo.arrive(Ns(1), ());
        assert_eq!(fifo.known(number, Ns(2)), Some(&mut ()));
        assert_eq!(fifo.book().map(|(_, booking)| booking.end), Some(Ns(3)));
        assert_eq!(fifo.known(number, Ns(2)), None);
        assert_eq!(fifo.known(number + 1, Ns(2)), None);
    }
}
