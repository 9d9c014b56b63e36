//! `ersatz sweep`: many simulations, one table.
//!
//! [`mod@file`] reads the sweep file, [`plan`] makes runs of it, [`journal`] remembers those that were
//! finished, [`figures`] says what of a run is kept, and [`result`] writes the table
//! ([`columns`] as Parquet). Here is how they are run. What a run gives follows from its drive file, its workload and its seed, so that
//! neither the number of workers nor an interruption can be seen in the result.

mod columns;
mod figures;
mod file;
mod journal;
mod plan;
mod result;

use crate::failure::{Usage, describe, explain_simulation, is_usage};
use crate::output::{Answer, table};
use crate::quantity::{count, time};
use crate::requests::Requests;
use anyhow::{Error, Result, anyhow};
use ersatz_sim::{Options, Simulation};
use figures::Figures;
use indicatif::{ProgressBar, ProgressStyle};
use journal::Journal;
use plan::{Asked, Plan, Run};
use result::Rows;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  ersatz sweep examples/sweeps/waf.toml --out waf.csv
  ersatz sweep sweep.toml --jobs 4 --out result.parquet
  ersatz sweep sweep.toml --json | jq '.rows[] | {workload, waf: .[\"flash.waf\"]}'

A sweep file names a drive file, keys of it with the values that they take in turn, and workloads:
  drive = \"drive.toml\"
  [settings]
  ftl.over_provisioning = [\"7 %\", \"28 %\"]
  ftl.gc.policy = [\"greedy\", \"fifo\"]
  [[together]]                              # values that belong to one another
  \"namespace[1].size\" = [\"1 GiB\", \"2 GiB\"]
  nand.channels = [4, 8]
  [[workload]]
  file = \"jobs.toml\"
  seed = [1, 2, 3]
  [[workload]]
  trace = \"trace.csv.gz\"
Each drive runs each workload with each seed. All of it: docs/workloads.md.

Finished runs are noted in a file beside the result, whose name ends in .journal. A sweep that was
interrupted goes on where it was, and one whose files have changed repeats only what they change.
The result is written when all runs are done; it does not depend on the number of workers.";

/// How many rows are printed; the file has all of them.
const SHOWN: usize = 40;

/// How many failures are told; the result has all of them.
const TOLD: usize = 8;

/// Run workloads on a drive with all combinations of settings, into one table.
///
/// Each row has the settings, the workload and its seed, then the figures that `simulate --json`
/// has, by the same names.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Sweep file.
    #[arg(value_name = "SWEEP.toml")]
    sweep: PathBuf,
    /// Where the result goes, as Parquet if the name ends in .parquet, else as CSV; the sweep file's
    /// name with .csv if this is not given.
    #[arg(long, short, value_name = "OUT.csv|parquet")]
    out: Option<PathBuf>,
    /// Simulations at a time, each of which needs memory for its drive; as many as there are cores
    /// if this is not given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Repeat runs that were finished before.
    #[arg(long)]
    restart: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let figures = Figures::new();
    let plan = Plan::load(&args.sweep, &figures)?;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| args.sweep.with_extension("csv"));
    if out.is_dir() || out == args.sweep {
        return Err(Usage(format!("--out: {} can't be the result", out.display())).into());
    }
    let mut journal = Journal::open(&out, figures.names().len(), args.restart)?;
    if journal.garbled > 0 {
        let lines = count(journal.garbled as u64);
        eprintln!("{lines} lines of the journal can't be read: their runs are done again");
    }
    let mut seen = BTreeSet::new();
    // Runs that differ in nothing but a name are one.
    let todo: Vec<&Run> = plan
        .runs
        .iter()
        .filter(|run| journal.get(run.fingerprint).is_none() && seen.insert(run.fingerprint))
        .collect();
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = args.jobs.unwrap_or_else(cores).get();
    let failures = run_all(&plan, &figures, &todo, jobs, &mut journal)?;
    let rows = rows(&plan, &figures, &journal, &failures);
    rows.write(&out)?;
    let ran = todo.len();
    let summary = format!(
        "{} rows in {}: {} runs, {} known from before",
        count(plan.runs.len() as u64),
        out.display(),
        count(ran as u64),
        count((plan.runs.len() - ran) as u64)
    );
    let json = json!({
        "result": out.to_string_lossy(),
        "runs": plan.runs.len(),
        "ran": ran,
        "failed": failures.len(),
        "rows": rows.json(),
    });
    Answer::new(format!("{}\n\n{summary}", shown(&plan, &rows)), json).print(args.json)?;
    verdict(failures, ran)
}

/// Runs what is to be done on `jobs` threads; the runs that failed come back.
fn run_all(
    plan: &Plan,
    figures: &Figures,
    todo: &[&Run],
    jobs: usize,
    journal: &mut Journal,
) -> Result<BTreeMap<u128, Error>> {
    let bar = progress(todo.len());
    let next = AtomicUsize::new(0);
    let mut failures = BTreeMap::new();
    thread::scope(|scope| {
        let (send, finished) = mpsc::channel();
        for _ in 0..jobs.min(todo.len()) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                while let Some(run) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // Nobody listens any more when the journal can't be written.
                    if send
                        .send((run.fingerprint, simulate(plan, figures, run)))
                        .is_err()
                    {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (fingerprint, outcome) in finished {
            match outcome {
                Ok(cells) => journal.add(fingerprint, cells)?,
                Err(error) => _ = failures.insert(fingerprint, error),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(failures)
    })
}

/// The figures of one run.
fn simulate(plan: &Plan, figures: &Figures, run: &Run) -> Result<Vec<String>> {
    let options = Options {
        nsid: plan.file.nsid,
        record: false,
    };
    let mut simulation = Simulation::new(&run.drive, options).map_err(explain_simulation)?;
    let target = simulation.target();
    let mut requests = match &plan.asked[run.workload] {
        Asked::Trace(options) => {
            options.open(&plan.file.workloads[run.workload].path, target.block)?
        }
        Asked::Jobs(jobs) => Requests::of_jobs(jobs, target, run.seed)?,
    };
    let summary = simulation
        .run(&mut requests, &mut [])
        .map_err(explain_simulation)?;
    Ok(figures.of(&summary, requests.skipped()))
}

fn progress(runs: usize) -> ProgressBar {
    let bar = ProgressBar::new(runs as u64);
    let template = "{bar:30} {pos}/{len} runs, {elapsed} so far, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn rows(
    plan: &Plan,
    figures: &Figures,
    journal: &Journal,
    failures: &BTreeMap<u128, Error>,
) -> Rows {
    let mut names = plan.setting_names();
    let settings = names.len();
    names.extend(figures.names().into_iter().map(str::to_owned));
    names.push("error".to_owned());
    let rows = plan.runs.iter().map(|run| {
        let mut cells = plan.settings_of(run);
        let nothing = || vec![String::new(); figures.names().len()];
        let known = journal.get(run.fingerprint).cloned();
        cells.extend(known.unwrap_or_else(nothing));
        let failure = failures.get(&run.fingerprint);
        cells.push(failure.map_or_else(String::new, describe));
        cells
    });
    Rows {
        rows: rows.collect(),
        names,
        settings,
    }
}

/// The rows for people: what was varied, and a few figures.
fn shown(plan: &Plan, rows: &Rows) -> String {
    let settings = plan.setting_names();
    let mut columns: Vec<&str> = settings.iter().map(String::as_str).collect();
    columns.extend([">IOPS", ">mean", ">p99", ">WAF"]);
    let mut shown = table(&columns);
    for row in rows.rows.iter().take(SHOWN) {
        let figure = |name: &str| rows.cell(row, name).parse::<f64>().ok();
        let whole = |name: &str| figure(name).map(|number| number.round() as u64);
        let mut cells = row[..settings.len()].to_vec();
        cells.extend([
            whole("total.iops").map(count).unwrap_or_default(),
            whole("total.latency_ns.mean").map(time).unwrap_or_default(),
            whole("total.latency_ns.p99").map(time).unwrap_or_default(),
            figure("flash.waf").map_or_else(String::new, |waf| format!("{waf:.3}")),
        ]);
        shown.add_row(cells);
    }
    match rows.rows.len().saturating_sub(SHOWN) {
        0 => shown.to_string(),
        more => format!("{shown}\nand {} more", count(more as u64)),
    }
}

/// Failures make the command fail, after everything else is done.
fn verdict(failures: BTreeMap<u128, Error>, ran: usize) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let words: BTreeSet<String> = failures.values().map(describe).collect();
    let told: Vec<_> = words.into_iter().take(TOLD).collect();
    let words = format!(
        "{} of {ran} runs failed: {}",
        failures.len(),
        told.join("; ")
    );
    if failures.values().all(is_usage) {
        return Err(Usage(words).into());
    }
    Err(anyhow!(words))
}
