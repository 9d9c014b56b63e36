//! Samples in, a summary out.

use crate::distribution::Distribution;
use crate::series::Series;
use crate::{Flash, Op, Sample, Summary};
use ersatz_engine::Ns;
use ersatz_ftl::{Resource, Span};
use nvme_spec::Status;
use std::collections::BTreeMap;

/// Requests of one kind.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Those that failed.
    pub errors: u64,
    /// Bytes of those that succeeded.
    pub bytes: u64,
    /// Latencies of those that succeeded.
    pub latency: Distribution,
}

impl Tally {
    /// All requests.
    pub fn requests(&self) -> u64 {
        self.errors + self.latency.count()
    }
}

/// What plots are drawn from. Times count from the beginning of the measurement.
#[derive(Clone, Debug, Default)]
pub struct Charts {
    /// Requests by kind, in the order of [`Op::ALL`].
    pub tallies: [Tally; Op::COUNT],
    /// Successful requests by the time of their completion: of each kind the number and, behind all
    /// of the numbers, the bytes.
    pub throughput: Series<{ 2 * Op::COUNT }>,
    /// Busy nanoseconds of each die, if spans were given.
    pub dies: Vec<Series<1>>,
}

/// Collects the samples of one run.
#[derive(Clone, Debug)]
pub struct Report {
    begin: Ns,
    last: Ns,
    charts: Charts,
    statuses: BTreeMap<u16, u64>,
}

impl Report {
    /// An empty report of a measurement that begins at `begin`.
    #[must_use]
    pub fn new(begin: Ns) -> Self {
        Self {
            begin,
            last: begin,
            charts: Charts::default(),
            statuses: BTreeMap::new(),
        }
    }

    /// Counts a request. The order of calls makes no difference.
    pub fn add(&mut self, sample: &Sample) {
        self.last = self.last.max(sample.completion());
        let tally = &mut self.charts.tallies[sample.op as usize];
        if !sample.is_success() {
            tally.errors += 1;
            let code = Status::from_bits(sample.status).code().into_bits();
            *self.statuses.entry(code).or_default() += 1;
            return;
        }
        tally.bytes = tally.bytes.saturating_add(sample.bytes);
        tally.latency.record(sample.latency);
        let (at, which) = (sample.completion().since(self.begin), sample.op as usize);
        self.charts.throughput.add(at, which, 1);
        self.charts
            .throughput
            .add(at, Op::COUNT + which, sample.bytes);
    }

    /// Takes what was busy when, for a map of the dies over time. Without it, a plot shows how busy
    /// each die was over all.
    pub fn spans(&mut self, spans: &[Span]) {
        for span in spans {
            let Resource::Die(die) = span.resource else {
                continue;
            };
            let die = die as usize;
            if die >= self.charts.dies.len() {
                self.charts.dies.resize_with(die + 1, Series::default);
            }
            self.charts.dies[die].spread(
                span.begin.since(self.begin),
                span.end.since(self.begin),
                0,
            );
        }
    }

    /// The measurement ends at `end`, or with the last request if that is later; `flash` is what
    /// the media counted during it.
    #[must_use]
    pub fn finish(self, end: Ns, flash: &Flash) -> Summary {
        let duration = end.max(self.last).since(self.begin);
        Summary::new(duration, self.charts, &self.statuses, flash)
    }
}
