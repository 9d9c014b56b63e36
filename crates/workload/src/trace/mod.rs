//! Traces: requests with their times, from a file.
//!
//! A format is a `Lines`: it makes a record of a line, or says what is wrong with it and where.
//! Everything else is in the [`Reader`]: compressed files, lines of any length, times that go back,
//! bad lines that are skipped if the user says so. A new format is a module with a `Lines`, an
//! entry in [`Format`], and a line in `detect.rs`.

mod blkparse;
mod csv;
mod detect;
mod fields;
mod fio;
mod msr;
mod reader;
mod spc;

pub use fields::MAX_LINE;
pub(crate) use fields::quote;
pub use reader::Reader;

use crate::request::Op;
use core::fmt;
use core::str::FromStr;
use ersatz_engine::Ns;
use fields::Fault;
use std::io;

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Ours: `time_ns,op,slba,nlb`.
    Csv,
    /// Microsoft Research Cambridge:
    /// `Timestamp,Hostname,DiskNumber,Type,Offset,Size,ResponseTime`.
    Msr,
    /// fio's iolog, version 2 or 3.
    Fio,
    /// What blkparse prints by default.
    Blkparse,
    /// Storage Performance Council: `ASU,LBA,Size,Opcode,Timestamp`.
    Spc,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Csv, Self::Msr, Self::Fio, Self::Blkparse, Self::Spc];

    /// As it is chosen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Msr => "msr",
            Self::Fio => "fio",
            Self::Blkparse => "blkparse",
            Self::Spc => "spc",
        }
    }

    /// The names of all formats, for refusals.
    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| format!("{text:?} is no format; allowed: {}", Self::names()))
    }
}

/// Which lines of blkparse are requests. A request has several, and each but one must be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// `D`: as the drive was given it.
    #[default]
    Issued,
    /// `Q`: as the kernel was given it, before it merges or delays anything.
    Queued,
}

/// How a trace is to be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How it is written; `None` to see from its first lines.
    pub format: Option<Format>,
    /// Bytes of a logical block. Requests of formats that count in bytes or sectors become those
    /// blocks that they touch, or that a deallocation covers. Our own format counts in logical
    /// blocks.
    pub block: u32,
    /// Which lines of blkparse are requests.
    pub action: Action,
    /// Only requests of this device, as the trace calls it: an ASU, a disk number, `major,minor`,
    /// or a file. All requests go to one namespace otherwise.
    pub device: Option<String>,
    /// Whether bad lines are skipped, and counted, in place of ending the trace with an error.
    pub skip_bad: bool,
}

impl Options {
    /// Everything as by default, for logical blocks of `block` bytes.
    #[must_use]
    pub const fn new(block: u32) -> Self {
        Self {
            format: None,
            block,
            action: Action::Issued,
            device: None,
            skip_bad: false,
        }
    }
}

/// A trace can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file can't be read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing at its beginning looks like a request.
    #[error(
        "{file}: the first lines are in no known format; name it: {}",
        Format::names()
    )]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// A line is no request.
    #[error("{file}:{line}:{column}: {message}")]
    Line {
        /// The file.
        file: String,
        /// Line of the file, from 1.
        line: u64,
        /// Character of the line, from 1.
        column: usize,
        /// What is wrong there, and what is allowed.
        message: String,
    },
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record<'l> {
    at: Ns,
    op: Op,
    slba: u64,
    nlb: u32,
    /// Empty when the format knows only one.
    device: &'l str,
}

/// Makes records of lines.
trait Lines: Send {
    /// The record of a line; `None` when it has none (a comment, a heading, another event).
    fn record<'l>(&mut self, line: &'l str, number: u64) -> Result<Option<Record<'l>>, Fault>;

    /// Whether times that go back are a mistake. In recordings of real systems they are not: lines
    /// come from several processors.
    fn in_order(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
