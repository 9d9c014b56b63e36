//! What came of a run.

use crate::distribution::Distribution;
use crate::report::{Charts, Tally};
use crate::{Flash, FlashCounters, Op, PlotFormat, ReportError, plot, table};
use ersatz_engine::Ns;
use ersatz_ftl::Resource;
use nvme_spec::Status;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What came of a run. Serialized, it has the keys that the crate's documentation lists.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Changes when a key goes or gets another meaning.
    pub version: u32,
    /// How long the measurement took.
    pub duration_ns: u64,
    /// All requests; its bytes are those that were read and written.
    pub total: OperationSummary,
    /// Requests by kind; kinds that did not occur are left out.
    pub operations: BTreeMap<Op, OperationSummary>,
    /// Failed requests by status.
    pub errors: Vec<StatusCount>,
    /// What the media counted.
    pub flash: FlashCounters,
    /// Channels, in order.
    pub channels: Vec<ChannelUse>,
    /// Dies, in order.
    pub dies: Vec<DieUse>,
    /// How often blocks were erased, if the media has blocks.
    pub wear: Option<Wear>,
    #[serde(skip)]
    charts: Charts,
}

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperationSummary {
    /// All of them.
    pub requests: u64,
    /// Those that failed.
    pub errors: u64,
    /// Bytes of those that succeeded.
    pub bytes: u64,
    /// Requests that succeeded per second.
    pub iops: f64,
    /// Bytes of those that succeeded per second.
    pub bytes_per_second: f64,
    /// How long those that succeeded took.
    pub latency_ns: Latency,
}

/// A distribution of latencies, in ns; percentiles are within 0.1 %, the others exact.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // The names say it.
pub struct Latency {
    pub mean: f64,
    pub min: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub p99_99: u64,
    pub max: u64,
}

/// How many requests failed with a status.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusCount {
    /// Status Code Type (bits 10:8) and Status Code (bits 7:0).
    pub status: u16,
    /// In the specification's words.
    pub name: &'static str,
    /// How many.
    pub requests: u64,
}

/// How busy a channel was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelUse {
    /// Its number.
    pub channel: u32,
    /// For how long it was booked; work that was booked beyond the end included.
    pub busy_ns: u64,
    /// The fraction of the duration in which it was busy, 1 at most.
    pub utilisation: f64,
}

/// How busy a die was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DieUse {
    /// Its number over all channels.
    pub die: u32,
    /// For how long it was booked; work that was booked beyond the end included.
    pub busy_ns: u64,
    /// The fraction of the duration in which it was busy, 1 at most.
    pub utilisation: f64,
}

/// How often blocks (or lines of blocks that are only erased together) were erased.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wear {
    /// How many blocks there are.
    pub blocks: u64,
    /// Erasures of the block that was erased least.
    pub min: u32,
    /// Erasures of a block in the mean.
    pub mean: f64,
    /// Erasures of the block that was erased most.
    pub max: u32,
    /// At most [`Wear::BINS`] bins of equal width, those in which no block is included.
    pub histogram: Vec<WearBin>,
}

/// Blocks that were erased about equally often.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WearBin {
    /// Erasures, at least.
    pub from: u32,
    /// Erasures, at most.
    pub to: u32,
    /// How many blocks.
    pub blocks: u64,
}

impl Summary {
    /// Counts all of it together.
    pub(crate) fn new(
        duration: Ns,
        charts: Charts,
        statuses: &BTreeMap<u16, u64>,
        flash: &Flash,
    ) -> Self {
        let mut all = Tally::default();
        let mut operations = BTreeMap::new();
        for (op, tally) in Op::ALL.into_iter().zip(&charts.tallies) {
            all.errors += tally.errors;
            all.latency.merge(&tally.latency);
            if op.moves_data() {
                all.bytes = all.bytes.saturating_add(tally.bytes);
            }
            if tally.requests() > 0 {
                operations.insert(op, OperationSummary::new(tally, duration));
            }
        }
        let (mut channels, mut dies) = (Vec::new(), Vec::new());
        for &(resource, busy) in &flash.busy {
            let utilisation = ratio(busy.0 as f64, duration.0 as f64).min(1.0);
            let busy_ns = busy.0;
            match resource {
                Resource::Channel(channel) => channels.push(ChannelUse {
                    channel,
                    busy_ns,
                    utilisation,
                }),
                Resource::Die(die) => dies.push(DieUse {
                    die,
                    busy_ns,
                    utilisation,
                }),
            }
        }
        let errors = statuses.iter().map(|(&status, &requests)| StatusCount {
            status,
            name: Status::from_bits(status).name(),
            requests,
        });
        Self {
            version: 1,
            duration_ns: duration.0,
            total: OperationSummary::new(&all, duration),
            operations,
            errors: errors.collect(),
            flash: FlashCounters::from(&flash.counters),
            channels,
            dies,
            wear: Wear::new(&flash.wear),
            charts,
        }
    }

    /// For people: tables below each other, without a line break at the end.
    #[must_use]
    pub fn table(&self) -> String {
        table::render(self)
    }

    /// For programs: the keys that the crate's documentation lists.
    #[must_use]
    #[allow(clippy::expect_used)] // All keys are strings: there is nothing that could fail.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("plain data with string keys")
    }

    /// Draws latency, throughput over time and how busy the dies were, as SVG or PNG by the end of
    /// the file's name, below `title`.
    ///
    /// # Errors
    /// The name ends in something else, or the file can't be written.
    pub fn plot(&self, path: &Path, title: &str) -> Result<(), ReportError> {
        plot::write(self, &self.charts, PlotFormat::of(path)?, path, title)
    }
}

impl OperationSummary {
    fn new(tally: &Tally, duration: Ns) -> Self {
        let seconds = duration.as_secs_f64();
        Self {
            requests: tally.requests(),
            errors: tally.errors,
            bytes: tally.bytes,
            iops: ratio(tally.latency.count() as f64, seconds),
            bytes_per_second: ratio(tally.bytes as f64, seconds),
            latency_ns: Latency::new(&tally.latency),
        }
    }
}

impl Latency {
    fn new(latency: &Distribution) -> Self {
        Self {
            mean: latency.mean(),
            min: latency.min().0,
            p50: latency.quantile(5_000).0,
            p90: latency.quantile(9_000).0,
            p99: latency.quantile(9_900).0,
            p99_9: latency.quantile(9_990).0,
            p99_99: latency.quantile(9_999).0,
            max: latency.max().0,
        }
    }
}

impl Wear {
    /// The most bins of a histogram.
    pub const BINS: u32 = 16;

    fn new(wear: &[u32]) -> Option<Self> {
        let (&min, &max) = (wear.iter().min()?, wear.iter().max()?);
        // At most 2^28, for differences are less than 2^32.
        let width = (u64::from(max - min) + 1).div_ceil(Self::BINS.into()) as u32;
        let mut histogram: Vec<_> = (0..=(max - min) / width)
            .map(|bin| {
                let from = min + bin * width;
                WearBin {
                    from,
                    to: from.saturating_add(width - 1),
                    blocks: 0,
                }
            })
            .collect();
        for &erases in wear {
            histogram[((erases - min) / width) as usize].blocks += 1;
        }
        let sum: u64 = wear.iter().map(|&erases| u64::from(erases)).sum();
        Some(Self {
            blocks: wear.len() as u64,
            min,
            mean: sum as f64 / wear.len() as f64,
            max,
            histogram,
        })
    }
}

/// `a` of `b`; nothing of nothing is zero.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_is_in_the_bin_of_its_wear() {
        assert_eq!(Wear::new(&[]), None);
        let wear = Wear::new(&[7; 5]).expect("blocks");
        assert_eq!((wear.min, wear.max, wear.mean), (7, 7, 7.0));
        assert_eq!(wear.histogram.len(), 1);

        let wear = Wear::new(&[0, 1, 99, u32::MAX]).expect("blocks");
        assert_eq!(wear.histogram.len(), Wear::BINS as usize);
        assert_eq!((wear.histogram[0].from, wear.histogram[0].blocks), (0, 3));
        assert_eq!(
            (wear.histogram[15].to, wear.histogram[15].blocks),
            (u32::MAX, 1)
        );

        let all: Vec<u32> = (10..110).collect();
        let wear = Wear::new(&all).expect("blocks");
        for bin in &wear.histogram {
            let inside = all
                .iter()
                .filter(|&&erases| (bin.from..=bin.to).contains(&erases));
            assert_eq!(inside.count() as u64, bin.blocks, "{bin:?}");
        }
    }
}
