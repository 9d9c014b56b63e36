//! `ersatz simulate`: a drive without a guest, in virtual time.

use crate::failure::{Usage, explain_simulation};
use crate::output::Answer;
use crate::quantity::{count, time};
use crate::requests::{self, Requests, TraceOptions};
use anyhow::{Context, Result};
use ersatz_drive_file::{DriveFile, Limits};
use ersatz_report::{LatencyCsv, PlotFormat, ReportError, Summary, write_counters};
use ersatz_sim::{Completion, Observer, Options, Simulation};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  ersatz simulate examples/drives/femu.toml --trace trace.csv.gz
  ersatz simulate d.toml --trace trace.csv --csv latencies.csv --counters counters.json
  ersatz simulate d.toml --workload jobs.toml --seed 7
  ersatz simulate d.toml --workload jobs.fio --plot run.svg
  ersatz simulate d.toml --trace prxy_0.csv.gz --format msr --device 0 --skip-bad
  ersatz simulate d.toml --trace trace.csv --timeline run.json.gz
  ersatz simulate d.toml --workload jobs.toml --json | jq .operations.read.latency_ns

A workload of two jobs:
  [[job]]
  rw = \"randread\"
  block_size = \"4 KiB\"
  iodepth = 32
  runtime = \"1 s\"
  [[job]]
  rw = \"write\"
  rate_iops = 1000
  runtime = \"1 s\"
All keys, formats of traces and what is understood of fio: docs/workloads.md, examples/workloads/.

A trace keeps its times (without --depth), as jobs with a rate do: any number of its requests may be in the drive at
once, and a latency is the time from arrival to completion. The same drive file, requests and seed
give the same results, byte by byte.

Of a drive's ageing (ftl.precondition), only the wear of blocks is in the results. Latencies,
counters and timelines are compressed if the file's name ends in .gz.";

/// Run a trace or a workload through a drive in virtual time.
///
/// The drive is the one that `serve` serves, with its controller and its queues; only the clock is
/// another. No data is moved. Device memory and programs are there, but a trace does not use them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("requests").required(true).args(["trace", "workload"])))]
pub struct Args {
    /// Drive file.
    #[arg(value_name = "DRIVE.toml")]
    drive: PathBuf,
    /// Requests with their times; the file may be compressed with gzip.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Jobs that make requests: TOML if the name ends in .toml, else a job file of fio.
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// Seed of a workload, in place of the one in its file.
    #[arg(long, value_name = "NUMBER", requires = "workload")]
    seed: Option<u64>,
    #[command(flatten)]
    options: TraceOptions,
    /// Namespace that the requests go to, in place of the first one with blocks.
    #[arg(long, value_name = "NSID")]
    nsid: Option<u32>,
    /// Write `index,latency_ns` for each request.
    #[arg(long, value_name = "OUT.csv")]
    csv: Option<PathBuf>,
    /// Write what the flash has counted, as JSON.
    #[arg(long, value_name = "OUT.json")]
    counters: Option<PathBuf>,
    /// Draw latencies, throughput over time and how busy dies were, as SVG or PNG.
    #[arg(long, value_name = "OUT.svg|png")]
    plot: Option<PathBuf>,
    /// Write what each request, channel and die did when, for ui.perfetto.dev.
    #[arg(long, value_name = "OUT.json")]
    timeline: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    // No data is kept, so that the machine's memory does not limit the drive.
    let file = DriveFile::load(&args.drive, &Limits::NONE)?;
    if let Some(path) = &args.plot {
        PlotFormat::of(path).map_err(|error| Usage(format!("--plot: {error}")))?;
    }
    let options = Options {
        nsid: args.nsid,
        record: args.plot.is_some() || args.timeline.is_some(),
    };
    let mut simulation = Simulation::new(&file, options).map_err(explain_simulation)?;
    let target = simulation.target();
    let (path, mut requests) = match (&args.trace, &args.workload) {
        (Some(path), _) => (path, args.options.open(path, target.block)?),
        (None, Some(path)) => {
            let jobs = requests::jobs(path)?;
            (path, Requests::of_jobs(&jobs, target, args.seed)?)
        }
        (None, None) => return Err(Usage("give --trace or --workload".into()).into()),
    };
    let summary = simulate(args, path, &mut simulation, &mut requests)?;
    answer(&summary, &requests).print(args.json)
}

/// Runs `requests`, which come from the file `from`, and writes all the files that were asked for.
fn simulate(
    args: &Args,
    from: &Path,
    simulation: &mut Simulation,
    requests: &mut Requests,
) -> Result<Summary> {
    // What can't be written is told now, and not after hours.
    for path in [&args.plot, &args.counters].into_iter().flatten() {
        File::create(path).with_context(|| format!("can't write {}", path.display()))?;
    }
    let mut latencies = args.csv.as_deref().map(LatencyCsv::create).transpose()?;
    let timeline = args.timeline.as_deref();
    let mut timeline = timeline.map(ersatz_report::Trace::create).transpose()?;
    let mut progress = Progress::new();
    let mut observers: Vec<&mut dyn Observer> = vec![&mut progress];
    observers.extend(latencies.as_mut().map(|csv| csv as &mut dyn Observer));
    observers.extend(timeline.as_mut().map(|trace| trace as &mut dyn Observer));
    let summary = simulation.run(requests, &mut observers)?;
    progress.bar.finish_and_clear();
    latencies.map(LatencyCsv::finish).transpose()?;
    timeline.map(ersatz_report::Trace::finish).transpose()?;
    if let Some(path) = &args.counters {
        write_counters(path, &simulation.counters())?;
    }
    if let Some(path) = &args.plot {
        let name = |path: &Path| path.file_name().map(|name| name.display().to_string());
        let names: Vec<_> = [args.drive.as_path(), from]
            .into_iter()
            .filter_map(name)
            .collect();
        summary.plot(path, &names.join(", "))?;
    }
    Ok(summary)
}

/// A line on standard error, if that is a terminal.
struct Progress {
    bar: ProgressBar,
    done: u64,
}

impl Progress {
    /// Requests between two looks at the clock, which are dearer than a request.
    const STEP: u64 = 1 << 14;

    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let template = "{spinner} {human_pos} requests, {per_sec}, {msg} simulated";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, done: 0 }
    }
}

impl Observer for Progress {
    fn completed(&mut self, completion: &Completion) -> Result<(), ReportError> {
        self.done += 1;
        if self.done.is_multiple_of(Self::STEP) {
            self.bar.set_message(time(completion.due.0));
            self.bar.set_position(self.done);
        }
        Ok(())
    }
}

fn answer(summary: &Summary, requests: &Requests) -> Answer {
    let notes = [
        (
            "skipped_lines",
            "Lines of the trace that were skipped",
            requests.skipped(),
        ),
        (
            "delayed_requests",
            "Requests whose time was before that of the one above, and was set to that",
            requests.delayed(),
        ),
    ];
    let (mut text, mut json) = (summary.table(), summary.to_json());
    for (key, words, number) in notes {
        if number > 0 {
            text += &format!("\n\n{words}: {}", count(number));
        }
        if let Value::Object(fields) = &mut json {
            fields.insert(key.into(), number.into());
        }
    }
    Answer::new(text, json)
}
