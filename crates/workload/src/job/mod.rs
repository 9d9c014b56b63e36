//! Synthetic workloads as they are described: text in, checked [`Job`]s out.
//!
//! Our own files (`ours.rs`) and fio's (`fio.rs`) differ in their keys and units; both fill a
//! `Draft`, which knows what must fit together whatever the file.

mod draft;
mod file;
mod fio;
mod fio_value;
mod keys;
mod ours;
mod problem;
mod text;

pub use file::{Ignored, JobFile, JobFileError, MAX_FILE_SIZE};
pub use keys::{Key, TOML_KEYS, key_table};
pub(crate) use problem::Problems;
pub use problem::{Place, Problem, Refused};

use crate::request::Op;
use ersatz_engine::Ns;

/// Most clones of all jobs of a file together.
pub const MAX_CLONES: u32 = 4_096;

/// Most requests of one job that can be in flight.
pub(crate) const MAX_DEPTH: u64 = 65_536;

/// One job: requests of one kind, to one region, paced in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// As reports call it.
    pub name: String,
    /// Where it is described.
    pub place: Place,
    /// What it does, and in which order.
    pub rw: Rw,
    /// Sizes of requests in bytes, with their weights.
    pub sizes: Vec<(u64, u32)>,
    /// Requests in flight at most; `None` for any number.
    pub iodepth: Option<u32>,
    /// How often requests arrive; `None` when each waits for one before it (a closed loop).
    pub rate: Option<Rate>,
    /// How arrivals are spaced, where there is a rate.
    pub arrivals: Arrivals,
    /// How long the job waits after each [`think_after`](Self::think_after) requests, from when
    /// the last of them is done.
    pub think_time: Ns,
    /// Requests between two times of thinking, at least 1.
    pub think_after: u32,
    /// Where the region begins.
    pub offset: Extent,
    /// How much further on the region of each clone begins.
    pub offset_increment: Extent,
    /// How large the region is; `None` for all that follows the offset.
    pub size: Option<Extent>,
    /// How much is done.
    pub amount: Amount,
    /// At most so many requests, flushes not counted.
    pub requests: Option<u64>,
    /// At most so long, from when the job starts.
    pub runtime: Option<Ns>,
    /// Where random requests go.
    pub distribution: Distribution,
    /// Whether uniform random requests come to each place once before any place again.
    pub random_map: bool,
    /// A seed of its own; `None` for one that follows from that of the workload.
    pub seed: Option<u64>,
    /// How many of it run side by side, each for itself.
    pub clones: u32,
    /// How long it waits before it starts.
    pub start_delay: Ns,
    /// Whether it waits for all jobs before it.
    pub stonewall: bool,
    /// A flush after so many writes; 0 for none.
    pub flush_every: u32,
}

/// What a job does, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rw {
    /// Whether places are drawn by lot; in order otherwise.
    pub random: bool,
    /// What is done there.
    pub mix: Mix,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Only this.
    Only(Op),
    /// Reads and writes.
    Mixed {
        /// Percent of requests that read.
        read_percent: u32,
    },
}

/// How often requests arrive, per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// So many requests.
    Requests(u64),
    /// So many bytes.
    Bytes(u64),
}

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    #[default]
    Fixed,
    /// By exponentially distributed gaps.
    Poisson,
}

/// A part of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of a percent of the namespace.
    Percent(u64),
}

impl Extent {
    /// Bytes of it in a namespace of `bytes`.
    pub(crate) fn of(self, bytes: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(part) => {
                u64::try_from(u128::from(bytes) * u128::from(part) / 10_000).unwrap_or(u64::MAX)
            }
        }
    }
}

/// How much a job does, unless something else ends it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// As many bytes as its region has, so many times.
    Region(u64),
    /// So many bytes.
    Bytes(u64),
    /// Whatever it can: a number of requests or a time ends it.
    Endless,
}

/// Where random requests go.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Everywhere alike.
    Uniform,
    /// To the k-th most popular place with a probability proportional to `k^-theta`.
    Zipf {
        /// Exponent, more than 0 and at most 10.
        theta: f64,
    },
    /// The share `1 - h` of requests goes to the share `h` of places, and so on within both.
    Pareto {
        /// Between 0 and 1.
        h: f64,
    },
    /// By zones, one after the other; all of them make up the whole.
    Zoned(Vec<Zone>),
}

/// A part of a region with its share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Hundredths of a percent of the requests.
    pub access: u32,
    /// Hundredths of a percent of the region.
    pub size: u32,
}

#[cfg(test)]
mod tests;
