//! What came of a simulation.

use crate::load::{Completion, Op};
use ersatz_drive::Drive;
use ersatz_engine::{Histogram, Ns};
use ersatz_ftl::Resource;
use nvme_spec::Status;
use serde::Serialize;
use std::collections::BTreeMap;

/// Percentiles that reports have.
pub const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpReport {
    /// What they do.
    pub op: &'static str,
    /// How many there were, failed ones included.
    pub requests: u64,
    /// How many failed.
    pub failed: u64,
    /// Bytes of those that did not fail.
    pub bytes: u64,
    /// Requests per second of the whole run.
    pub iops: f64,
    /// Bytes per second of the whole run.
    pub bytes_per_second: f64,
    /// Mean latency in ns, of all.
    pub mean_ns: f64,
    /// Latencies in ns below which so many of all lie, to three digits.
    pub percentiles_ns: BTreeMap<&'static str, u64>,
}

/// What the flash did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Counters {
    /// Pages that the host wrote.
    pub host_write_pages: u64,
    /// Pages that were moved.
    pub gc_write_pages: u64,
    /// Pages that the host read and that were mapped.
    pub host_read_pages: u64,
    /// Blocks erased.
    pub erases: u64,
    /// Erased lines.
    pub free_lines: u64,
    /// Written lines with garbage.
    pub victim_lines: u64,
    /// Written lines without.
    pub full_lines: u64,
    /// Collections that a write waited for.
    pub gc_rounds_foreground: u64,
    /// Collections that none waited for.
    pub gc_rounds_background: u64,
    /// Reads, programs and erases that failed.
    pub media_errors: u64,
    /// Pages programmed per page that the host wrote.
    pub waf: f64,
    /// Endurance consumed, in percent.
    pub percentage_used: u8,
    /// Spare blocks left, in percent.
    pub available_spare: u8,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// How busy something was: the sum of its work over the length of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Utilisation {
    /// By number.
    pub each: Vec<f64>,
}

impl Utilisation {
    /// The mean; 0 when there is nothing.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.each.iter().sum::<f64>() / self.each.len().max(1) as f64
    }

    /// The least and the most busy; 0 when there is nothing.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        let least = self.each.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.each.iter().copied().fold(0.0, f64::max);
        (least.min(most), most)
    }
}

/// What came of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Requests of all kinds.
    pub requests: u64,
    /// From the first arrival to the last completion, in ns.
    pub duration_ns: u64,
    /// By kind; kinds that did not occur are left out.
    pub ops: Vec<OpReport>,
    /// How often the drive said what, other than success.
    pub failures: BTreeMap<String, u64>,
    /// What the flash did.
    pub counters: Counters,
    /// How busy channels were; empty where the model has none.
    pub channels: Utilisation,
    /// How busy dies were.
    pub dies: Utilisation,
    /// How many blocks (or lines of them) were erased so often: `[erases, blocks]`.
    pub wear: Vec<[u64; 2]>,
}

struct OpTally {
    latencies: Histogram,
    /// The histogram rounds; the mean does not.
    sum: u128,
    requests: u64,
    failed: u64,
    blocks: u64,
    /// 0 ns has no place in the histogram's logarithm: it counts as 1 there.
    max: Ns,
}

/// Counts while a simulation runs.
pub(crate) struct Tally {
    block: u32,
    ops: BTreeMap<Op, OpTally>,
    failures: BTreeMap<u16, (Status, u64)>,
    first: Option<Ns>,
    last: Ns,
}

impl Tally {
    pub(crate) fn new(block: u32) -> Self {
        Self {
            block,
            ops: BTreeMap::new(),
            failures: BTreeMap::new(),
            first: None,
            last: Ns::ZERO,
        }
    }

    pub(crate) fn count(&mut self, completion: &Completion) {
        let request = &completion.request;
        let op = self.ops.entry(request.op).or_insert_with(|| OpTally {
            latencies: Histogram::new(),
            sum: 0,
            requests: 0,
            failed: 0,
            blocks: 0,
            max: Ns::ZERO,
        });
        let latency = completion.latency();
        op.latencies.record(latency);
        op.sum += u128::from(latency.0);
        op.max = op.max.max(latency);
        op.requests += 1;
        let code = completion.status.code();
        if code == Status::SUCCESS {
            op.blocks += u64::from(request.nlb);
        } else {
            op.failed += 1;
            self.failures.entry(code.into_bits()).or_insert((code, 0)).1 += 1;
        }
        self.first = Some(self.first.map_or(request.at, |first| first.min(request.at)));
        self.last = self.last.max(completion.due);
    }

    pub(crate) fn report(self, drive: &Drive) -> Report {
        let duration = self.last.since(self.first.unwrap_or(self.last));
        let seconds = (duration.0.max(1)) as f64 / 1e9;
        let media = &drive.subsystem.media;
        let busy = media.busy();
        let utilisation = |wanted: &dyn Fn(&Resource) -> bool| Utilisation {
            each: busy
                .iter()
                .filter(|(resource, _)| wanted(resource))
                .map(|(_, busy)| busy.0 as f64 / duration.0.max(1) as f64)
                .collect(),
        };
        let mut wear = BTreeMap::<u64, u64>::new();
        for erases in media.wear() {
            *wear.entry(erases.into()).or_default() += 1;
        }
        let block = u64::from(self.block);
        let ops = self.ops.into_iter().map(|(op, tally)| {
            let percentile = |(name, q): (&'static str, f64)| {
                let value = tally.latencies.quantile(q).min(tally.max);
                (name, if q < 1.0 { value.0 } else { tally.max.0 })
            };
            let bytes = match op {
                Op::Read | Op::Write | Op::Trim => tally.blocks * block,
                Op::Flush => 0,
            };
            OpReport {
                op: op.name(),
                requests: tally.requests,
                failed: tally.failed,
                bytes,
                iops: tally.requests as f64 / seconds,
                bytes_per_second: bytes as f64 / seconds,
                mean_ns: tally.sum as f64 / tally.requests as f64,
                percentiles_ns: PERCENTILES.into_iter().map(percentile).collect(),
            }
        });
        let ops: Vec<_> = ops.collect();
        Report {
            requests: ops.iter().map(|op| op.requests).sum(),
            duration_ns: duration.0,
            ops,
            failures: self
                .failures
                .into_values()
                .map(|(status, count)| (status.to_string(), count))
                .collect(),
            counters: counters(drive),
            channels: utilisation(&|resource| matches!(resource, Resource::Channel(_))),
            dies: utilisation(&|resource| matches!(resource, Resource::Die(_))),
            wear: wear
                .into_iter()
                .map(|(erases, blocks)| [erases, blocks])
                .collect(),
        }
    }
}

fn counters(drive: &Drive) -> Counters {
    let counted = drive.subsystem.media.counters();
    Counters {
        host_write_pages: counted.host_write_pages,
        gc_write_pages: counted.gc_write_pages,
        host_read_pages: counted.host_read_pages,
        erases: counted.erases,
        free_lines: counted.free_lines,
        victim_lines: counted.victim_lines,
        full_lines: counted.full_lines,
        gc_rounds_foreground: counted.gc_rounds_foreground,
        gc_rounds_background: counted.gc_rounds_background,
        media_errors: counted.media_errors,
        waf: counted.waf(),
        percentage_used: counted.percentage_used,
        available_spare: counted.available_spare,
        read_only: counted.read_only,
    }
}
