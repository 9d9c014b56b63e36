//! What is asked of a simulated drive: a trace or jobs, from a file.

use crate::failure::BadFile;
use anyhow::Result;
use clap::ValueEnum;
use ersatz_engine::Ns;
use ersatz_workload::trace::{self, Action, Reader};
use ersatz_workload::{
    ClosedLoop, JobFile, JobFileError, Request, Source, SourceError, Target, Workload,
};
use serde::Deserialize;
use std::path::Path;

/// The seed of jobs where nobody gives one.
pub const SEED: u64 = 1;

/// How a trace is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct TraceOptions {
    /// How the trace is written; seen from its first lines if this is not given.
    #[arg(long, value_enum, requires = "trace")]
    pub format: Option<Format>,
    /// Only requests of this device, as the trace calls it: an ASU, a disk number, `major,minor`, or
    /// a file.
    #[arg(long, requires = "trace")]
    pub device: Option<String>,
    /// Which lines of a blkparse trace are requests.
    #[arg(
        long,
        value_enum,
        value_name = "ACTION",
        default_value = "issued",
        requires = "trace"
    )]
    pub blkparse: Blkparse,
    /// Skip lines of the trace that are no request, and count them.
    #[arg(long, requires = "trace")]
    pub skip_bad: bool,
    /// Leave the trace's times aside, and give each request as soon as fewer are in the drive.
    #[arg(long, value_name = "REQUESTS", requires = "trace",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub depth: Option<u32>,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines of `time_ns,op,slba,nlb`, op being R, W, T (deallocate) or F (flush).
    Csv,
    /// MSR Cambridge: `Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime`.
    Msr,
    /// fio's iolog, version 2 or 3.
    Fio,
    /// What blkparse prints.
    Blkparse,
    /// Storage Performance Council: `ASU,LBA,Size,Opcode,Timestamp`.
    Spc,
}

/// Which lines of a blkparse trace are requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blkparse {
    /// `D`: as the drive was given it.
    #[default]
    Issued,
    /// `Q`: as the kernel was given it, before it merged and delayed.
    Queued,
}

impl TraceOptions {
    /// Opens the trace for a namespace with blocks of `block` bytes.
    pub fn open(&self, path: &Path, block: u32) -> Result<Requests, trace::TraceError> {
        let options = trace::Options {
            format: self.format.map(|format| match format {
                Format::Csv => trace::Format::Csv,
                Format::Msr => trace::Format::Msr,
                Format::Fio => trace::Format::Fio,
                Format::Blkparse => trace::Format::Blkparse,
                Format::Spc => trace::Format::Spc,
            }),
            block,
            action: match self.blkparse {
                Blkparse::Issued => Action::Issued,
                Blkparse::Queued => Action::Queued,
            },
            device: self.device.clone(),
            skip_bad: self.skip_bad,
        };
        let reader = Reader::open(path, options)?;
        Ok(match self.depth {
            Some(depth) => Requests::Closed(Box::new(ClosedLoop::new(reader, depth))),
            None => Requests::Trace(Box::new(reader)),
        })
    }
}

/// Reads a file of jobs.
pub fn jobs(path: &Path) -> Result<JobFile> {
    JobFile::load(path).map_err(|error| match error {
        JobFileError::Unreadable { .. } => error.into(),
        _ => BadFile(error.to_string()).into(),
    })
}

/// Requests on their way to a drive.
pub enum Requests {
    /// From a trace, at its times.
    Trace(Box<Reader>),
    /// From a trace, as fast as the drive is.
    Closed(Box<ClosedLoop<Reader>>),
    /// Of jobs.
    Jobs(Box<Workload>),
}

impl Requests {
    /// Those of jobs; `seed` is in place of that of the file.
    pub fn of_jobs(file: &JobFile, target: Target, seed: Option<u64>) -> Result<Self, BadFile> {
        let seed = seed.or(file.seed).unwrap_or(SEED);
        let workload = Workload::new(file, target, seed);
        let workload = workload.map_err(|refused| BadFile(refused.to_string()))?;
        Ok(Self::Jobs(Box::new(workload)))
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Trace(trace) => &mut **trace,
            Self::Closed(trace) => &mut **trace,
            Self::Jobs(jobs) => &mut **jobs,
        }
    }

    fn reader(&self) -> Option<&Reader> {
        match self {
            Self::Trace(trace) => Some(trace),
            Self::Closed(trace) => Some(trace.inner()),
            Self::Jobs(_) => None,
        }
    }

    /// Lines of a trace that were skipped.
    pub fn skipped(&self) -> u64 {
        self.reader().map_or(0, Reader::skipped)
    }

    /// Requests of a trace that came later than it says, for its times go back.
    pub fn delayed(&self) -> u64 {
        self.reader().map_or(0, Reader::delayed)
    }
}

impl Source for Requests {
    fn peek(&mut self) -> Result<Option<Ns>, SourceError> {
        self.source().peek()
    }

    fn take(&mut self) -> Option<Request> {
        self.source().take()
    }

    fn finished(&mut self, job: u32, now: Ns) {
        self.source().finished(job, now);
    }
}
