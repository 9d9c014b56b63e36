//! A job while its settings are read.

use super::problem::{Place, Problems};
use super::{Amount, Arrivals, Distribution, Extent, Job, Mix, Rate, Rw};
use ersatz_engine::Ns;

/// What is known of a job so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) rw: Option<Rw>,
    pub(super) read_percent: Option<u32>,
    pub(super) sizes: Option<Vec<(u64, u32)>>,
    pub(super) iodepth: Option<u32>,
    pub(super) rate_requests: Option<u64>,
    pub(super) rate_bytes: Option<u64>,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) think_time: Ns,
    pub(super) think_after: Option<u32>,
    pub(super) offset: Option<Extent>,
    pub(super) offset_increment: Option<Extent>,
    pub(super) size: Option<Extent>,
    pub(super) amount: Option<Amount>,
    pub(super) requests: Option<u64>,
    pub(super) runtime: Option<Ns>,
    pub(super) distribution: Option<Distribution>,
    pub(super) random_map: Option<bool>,
    pub(super) seed: Option<u64>,
    pub(super) clones: Option<u32>,
    pub(super) start_delay: Ns,
    pub(super) stonewall: bool,
    pub(super) flush_every: u32,
}

/// Keys, as the file at hand calls them, for settings that contradict each other.
pub(super) struct Names {
    pub(super) rw: &'static str,
    pub(super) read_percent: &'static str,
    pub(super) arrivals: &'static str,
    pub(super) rate: &'static str,
    pub(super) rate_requests: &'static str,
    pub(super) distribution: &'static str,
    pub(super) random_map: &'static str,
    pub(super) think_time: &'static str,
    pub(super) think_after: &'static str,
}

impl Draft {
    /// The job `name` at `place`; what contradicts itself is noted.
    pub(super) fn finish(
        self,
        name: String,
        place: &Place,
        names: &Names,
        problems: &mut Problems,
    ) -> Job {
        let mut refuse = |key: &str, message: String| problems.push(place, key, message, "");
        let mut rw = self.rw.unwrap_or(Rw {
            random: false,
            mix: Mix::Only(crate::Op::Read),
        });
        match (&mut rw.mix, self.read_percent) {
            (Mix::Mixed { read_percent }, Some(percent)) => *read_percent = percent,
            (Mix::Only(_), Some(_)) => {
                let message = format!("is only for jobs that read and write ({} = rw)", names.rw);
                refuse(names.read_percent, message);
            }
            _ => {}
        }
        let rate = match (self.rate_requests, self.rate_bytes) {
            (Some(_), Some(_)) => {
                let message = format!("there is a {} already", names.rate_requests);
                refuse(names.rate, message);
                None
            }
            (requests, bytes) => requests.map(Rate::Requests).or(bytes.map(Rate::Bytes)),
        };
        if rate.is_none() && self.arrivals.is_some() {
            let message = format!("needs a {} or {}", names.rate_requests, names.rate);
            refuse(names.arrivals, message);
        }
        let distribution = self.distribution.unwrap_or(Distribution::Uniform);
        let uniform = distribution == Distribution::Uniform;
        if !uniform && !rw.random {
            refuse(names.distribution, "is only for random jobs".to_owned());
        }
        if self.random_map == Some(true) && !(uniform && rw.random) {
            let message = "is only for random jobs that go everywhere alike".to_owned();
            refuse(names.random_map, message);
        }
        if self.think_after.is_some() && self.think_time == Ns::ZERO {
            refuse(names.think_after, format!("needs a {}", names.think_time));
        }
        let ends = self.requests.is_some() || self.runtime.is_some();
        Job {
            name,
            place: place.clone(),
            rw,
            sizes: self.sizes.unwrap_or_else(|| vec![(4_096, 1)]),
            // An open loop that waits for its queue is one only if that is said.
            iodepth: self.iodepth.or(rate.is_none().then_some(1)),
            rate,
            arrivals: self.arrivals.unwrap_or_default(),
            think_time: self.think_time,
            think_after: self.think_after.unwrap_or(1),
            offset: self.offset.unwrap_or(Extent::Bytes(0)),
            offset_increment: self.offset_increment.unwrap_or(Extent::Bytes(0)),
            size: self.size,
            amount: self.amount.unwrap_or(if ends {
                Amount::Endless
            } else {
                Amount::Region(1)
            }),
            requests: self.requests,
            runtime: self.runtime,
            distribution,
            random_map: self.random_map.unwrap_or(false),
            seed: self.seed,
            clones: self.clones.unwrap_or(1),
            start_delay: self.start_delay,
            stonewall: self.stonewall,
            flush_every: self.flush_every,
        }
    }
}
