//! What came of a simulation, for people and programs.
//!
//! A simulation feeds each finished request as a [`Sample`] into a [`Report`], which keeps counts,
//! distributions and sums over time, not the samples: its memory does not grow with the run. At the
//! end, a [`Summary`] is printed as a table or as JSON, or drawn. [`LatencyCsv`] and [`Trace`] write
//! what a report can't keep: each request, and each piece of work of the flash.
//!
//! What this crate does not do: it runs nothing, has no drive in it and reads no clock. The same
//! samples give the same bytes in every output.
//!
//! Read next: [`Report`] and [`Summary`], then [`Trace`]. [`Flash`] is what the media itself
//! counted.
//!
//! ```
//! use ersatz_engine::Ns;
//! use ersatz_report::{Flash, Op, Report, Sample};
//!
//! let mut report = Report::new(Ns::ZERO);
//! for index in 0..10 {
//!     report.add(&Sample {
//!         index,
//!         op: Op::Read,
//!         arrival: Ns::from_us(50 * index),
//!         latency: Ns::from_us(40),
//!         bytes: 4096,
//!         status: 0,
//!     });
//! }
//! let summary = report.finish(Ns::from_ms(1), &Flash::default());
//! assert_eq!(summary.total.iops, 10_000.0);
//! assert_eq!(summary.to_json()["operations"]["read"]["latency_ns"]["p99"], 40_000);
//! println!("{}", summary.table());
//! ```
//!
//! # JSON
//! The keys of [`Summary::to_json`] stay what they are; others may be added, and `version` changes
//! when one goes or gets another meaning. All times are nanoseconds, utilisation is a fraction from
//! 0 to 1.
//!
//! | key | meaning |
//! |---|---|
//! | `version` | 1 |
//! | `duration_ns` | from the beginning of the measurement to its end |
//! | `total` | all requests together; an *operation*, see below |
//! | `operations` | an object with an *operation* for each of `read`, `write`, `trim`, `flush` that occurred |
//! | `errors` | a list of `status` (bits 10:0 of the NVMe status field), `name`, `requests`, by status |
//! | `flash` | the media's counters, see below |
//! | `channels` | a list of `channel`, `busy_ns`, `utilisation` |
//! | `dies` | a list of `die`, `busy_ns`, `utilisation` |
//! | `wear` | `blocks`, `min`, `mean`, `max` (erasures of a block) and `histogram`: a list of `from`, `to` (erasures, inclusive), `blocks`; `null` where the media has no blocks |
//!
//! An *operation* has `requests` (all), `errors` (those that failed), and of those that succeeded:
//! `bytes`, `iops`, `bytes_per_second`, `latency_ns` with `mean`, `min`, `p50`, `p90`, `p99`,
//! `p99_9`, `p99_99`, `max`. A trim's bytes are those that it deallocated; they don't count in
//! `total`.
//!
//! `flash`, and the file that [`write_counters`] writes, have `waf` and the fields of
//! [`Counters`](ersatz_ftl::Counters) by their names.

mod csv;
mod distribution;
mod file;
mod flash;
mod plot;
mod report;
mod sample;
mod series;
mod summary;
mod table;
mod text;
mod trace;

pub use csv::LatencyCsv;
pub use ersatz_workload::Op;
pub use file::ReportError;
pub use flash::{Flash, FlashCounters, write_counters};
pub use plot::PlotFormat;
pub use report::Report;
pub use sample::Sample;
pub use summary::{
    ChannelUse, DieUse, Latency, OperationSummary, StatusCount, Summary, Wear, WearBin,
};
pub use trace::Trace;
