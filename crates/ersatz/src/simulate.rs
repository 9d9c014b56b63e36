//! `ersatz simulate`: a drive without a guest, in virtual time.

use crate::failure::Usage;
use crate::output::{Answer, table};
use crate::quantity::{bytes, count, time};
use anyhow::{Context, Result};
use clap::ValueEnum;
use ersatz_drive::BuildError;
use ersatz_drive_file::{DriveFile, Limits};
use ersatz_sim::trace::{Kind, Trace};
use ersatz_sim::workload::{self, Workload};
use ersatz_sim::{
    Completion, LatencyLog, Load, Observer, Options, Report, Simulation, SimulationError,
    TimelineLog, Utilisation,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  ersatz simulate examples/drives/femu.toml --trace trace.csv.gz
  ersatz simulate d.toml --trace trace.csv --csv latencies.csv --counters counters.json
  ersatz simulate d.toml --workload jobs.toml --seed 7
  ersatz simulate d.toml --workload jobs.fio

A workload of two jobs, with fio's keys:
  [[job]]
  rw = \"randread\"
  bs = \"4 KiB\"
  iodepth = 32
  runtime = \"1 s\"
  [[job]]
  rw = \"write\"
  rate_iops = 1000
  runtime = \"1 s\"

A trace keeps its times, as jobs with a rate do: any number of its requests may be in the drive at
once, and a latency is the time from arrival to completion. The same drive file, requests and seed
give the same results.";

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
    /// Jobs that make requests: TOML, or a job file of fio.
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// Seed of a workload, in place of the one in its file.
    #[arg(long, value_name = "NUMBER", requires = "workload")]
    seed: Option<u64>,
    /// How the trace is written.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Namespace that the requests go to, in place of the first one with blocks.
    #[arg(long, value_name = "NSID")]
    nsid: Option<u32>,
    /// Skip lines of the trace that are no request, and count them.
    #[arg(long)]
    skip_bad: bool,
    /// Write `index,latency_ns` for each request.
    #[arg(long, value_name = "OUT.csv")]
    csv: Option<PathBuf>,
    /// Write what the flash has counted, as JSON.
    #[arg(long, value_name = "OUT.json")]
    counters: Option<PathBuf>,
    /// Write a timeline of all requests, for ui.perfetto.dev; it is held in memory until the end.
    #[arg(long, value_name = "OUT.json")]
    timeline: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines of `time_ns,op,slba,nlb`, op being R, W, T (deallocate) or F (flush).
    Csv,
    /// MSR Cambridge: `Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime`.
    Msr,
    /// fio's iolog, version 2 or 3.
    Fio,
    /// What blkparse prints; requests arrive when they were issued (action D).
    Blkparse,
    /// Storage Performance Council: `ASU,LBA,Size,Opcode,Timestamp`.
    Spc,
}

impl Format {
    fn kind(self) -> Kind {
        match self {
            Self::Csv => Kind::Csv,
            Self::Msr => Kind::Msr,
            Self::Fio => Kind::Fio,
            Self::Blkparse => Kind::Blkparse,
            Self::Spc => Kind::Spc,
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    // No data is kept, so that the machine's memory does not limit the drive.
    let file = DriveFile::load(&args.drive, &Limits::NONE)?;
    let options = Options { nsid: args.nsid };
    let mut simulation = Simulation::new(&file, options).map_err(explain)?;
    match (&args.trace, &args.workload) {
        (Some(path), _) => {
            let trace = Trace::open(path, args.format.kind(), simulation.block())?;
            let mut trace = trace.skip_bad(args.skip_bad);
            let report = simulate(args, &mut simulation, &mut trace)?;
            answer(&report, trace.skipped()).print(args.json)
        }
        (None, Some(path)) => {
            let mut workload = read_workload(args, path, &simulation)?;
            let report = simulate(args, &mut simulation, &mut workload)?;
            answer(&report, 0).print(args.json)
        }
        (None, None) => Err(Usage("give --trace or --workload".into()).into()),
    }
}

fn read_workload(args: &Args, path: &Path, simulation: &Simulation) -> Result<Workload> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("read {name}"))?;
    let parsed = workload::parse(&name, &text).map_err(|error| Usage(error.to_string()))?;
    let (seed, jobs) = parsed;
    let seed = args.seed.or(seed).unwrap_or(1);
    Workload::new(&jobs, seed, simulation.block(), simulation.blocks())
        .map_err(|error| Usage(format!("{name}: {error}")).into())
}

/// Runs `load` with all the observers that were asked for.
fn simulate(args: &Args, simulation: &mut Simulation, load: &mut dyn Load) -> Result<Report> {
    let latencies = args.csv.as_deref().map(create).transpose()?;
    let mut latencies = latencies.map(LatencyLog::new).transpose()?;
    let timeline = args.timeline.as_deref().map(create).transpose()?;
    let mut timeline = timeline.map(TimelineLog::new).transpose()?;
    let mut progress = Progress::new();
    let mut observers: Vec<&mut dyn Observer> = vec![&mut progress];
    observers.extend(latencies.as_mut().map(|log| log as &mut dyn Observer));
    observers.extend(timeline.as_mut().map(|log| log as &mut dyn Observer));
    let report = simulation.run(load, &mut observers)?;
    progress.bar.finish_and_clear();
    if let Some(log) = latencies {
        log.finish().context("write the latencies")?;
    }
    if let Some(log) = timeline {
        log.finish().context("write the timeline")?;
    }
    if let Some(path) = &args.counters {
        serde_json::to_writer_pretty(create(path)?, &report.counters)
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(report)
}

/// A drive that can't be is the drive file's mistake.
fn explain(error: SimulationError) -> anyhow::Error {
    match &error {
        SimulationError::Build(
            BuildError::Femu(_) | BuildError::Page(_) | BuildError::Precondition(_),
        )
        | SimulationError::NoNamespace(_) => Usage(error.to_string()).into(),
        _ => error.into(),
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 18, file))
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
    fn done(&mut self, completion: &Completion) -> io::Result<()> {
        self.done += 1;
        if self.done.is_multiple_of(Self::STEP) {
            self.bar.set_message(time(completion.due.0));
            self.bar.set_position(self.done);
        }
        Ok(())
    }
}

fn answer(report: &Report, skipped: u64) -> Answer {
    let mut text = format!("{}\n\n{}", operations(report), flash(report));
    if !report.failures.is_empty() {
        let failures = report.failures.iter();
        let failures: Vec<_> = failures
            .map(|(status, times)| format!("{} × {status}", count(*times)))
            .collect();
        text += &format!("\nFailed:       {}", failures.join(", "));
    }
    if skipped > 0 {
        text += &format!("\nSkipped:      {} lines of the trace", count(skipped));
    }
    let mut json = json!(report);
    if let Value::Object(fields) = &mut json {
        fields.insert("skipped_lines".into(), skipped.into());
    }
    Answer::new(text, json)
}

fn operations(report: &Report) -> String {
    let columns = [
        "",
        ">requests",
        ">failed",
        ">IOPS",
        ">bandwidth",
        ">mean",
        ">p50",
        ">p90",
        ">p99",
        ">p99.9",
        ">p99.99",
        ">max",
    ];
    let mut rows = table(&columns);
    for op in &report.ops {
        let percentile = |name| time(op.percentiles_ns.get(name).copied().unwrap_or(0));
        rows.add_row([
            op.op.to_owned(),
            count(op.requests),
            count(op.failed),
            count(op.iops.round() as u64),
            format!("{}/s", bytes(op.bytes_per_second.round() as u64)),
            time(op.mean_ns.round() as u64),
            percentile("p50"),
            percentile("p90"),
            percentile("p99"),
            percentile("p99.9"),
            percentile("p99.99"),
            percentile("max"),
        ]);
    }
    rows.to_string()
}

fn flash(report: &Report) -> String {
    let counters = &report.counters;
    let mut lines = vec![format!(
        "Simulated:    {} requests in {}",
        count(report.requests),
        time(report.duration_ns)
    )];
    if counters.host_write_pages > 0 {
        lines.push(format!(
            "Written:      {} pages, {} moved, write amplification {:.3}",
            count(counters.host_write_pages),
            count(counters.gc_write_pages),
            counters.waf
        ));
        lines.push(format!(
            "Collected:    {} rounds in the background, {} in the foreground, {} blocks erased",
            count(counters.gc_rounds_background),
            count(counters.gc_rounds_foreground),
            count(counters.erases)
        ));
        lines.push(format!(
            "Lines:        {} free, {} with garbage, {} full",
            count(counters.free_lines),
            count(counters.victim_lines),
            count(counters.full_lines)
        ));
    }
    for (name, used) in [("Channels", &report.channels), ("Dies", &report.dies)] {
        lines.extend(utilisation(name, used));
    }
    if let (Some([least, _]), Some([most, _])) = (report.wear.first(), report.wear.last())
        && *most > 0
    {
        let blocks: u64 = report.wear.iter().map(|[_, blocks]| blocks).sum();
        let erases: u64 = report
            .wear
            .iter()
            .map(|[erases, blocks]| erases * blocks)
            .sum();
        let mean = erases as f64 / blocks as f64;
        lines.push(format!(
            "Wear:         {least} to {most} erases, {mean:.1} in the mean"
        ));
    }
    if counters.read_only {
        lines.push("Read-only:    the drive has no free block left".to_owned());
    }
    lines.join("\n")
}

fn utilisation(name: &str, used: &Utilisation) -> Option<String> {
    if used.each.is_empty() {
        return None;
    }
    let (least, most) = used.range();
    let percent = |part: f64| format!("{:.1} %", part * 100.0);
    Some(format!(
        "{:<14}{} busy in the mean, {} to {}",
        format!("{name}:"),
        percent(used.mean()),
        percent(least),
        percent(most)
    ))
}
