//! What both ways cost.

use super::{Counted, TOKEN};
use crate::output::{Answer, table};
use crate::quantity::{bytes, count, time};
use crate::statistics::Statistics;
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Duration;

/// What a way to count cost.
pub struct Way {
    lines: u64,
    /// Bytes over the link, both ways.
    link: u64,
    /// Bytes between namespaces inside of the drive.
    inside: u64,
    /// Time with commands in the drive, by its model.
    modelled: Duration,
    /// Of `modelled`, copying from flash to device memory.
    copied: Duration,
    real: Duration,
    /// Of `real`, what this host's processor spent on counting.
    processor: Duration,
}

impl Way {
    /// The difference between the drive's counters before and after.
    pub fn new(counted: Counted, real: Duration, before: &Statistics, after: &Statistics) -> Self {
        Self {
            lines: counted.lines,
            link: after
                .bytes_over_link()
                .saturating_sub(before.bytes_over_link()),
            inside: after.bytes_inside.saturating_sub(before.bytes_inside),
            modelled: Duration::from_nanos(after.busy_ns.saturating_sub(before.busy_ns)),
            copied: counted.copied,
            real,
            processor: counted.processor,
        }
    }

    fn json(&self) -> Value {
        json!({
            "lines": self.lines,
            "bytes_over_link": self.link,
            "bytes_inside": self.inside,
            "modelled_ns": nanoseconds(self.modelled),
            "modelled_copy_ns": nanoseconds(self.copied),
            "real_ns": nanoseconds(self.real),
            "host_processor_ns": nanoseconds(self.processor),
        })
    }

    fn row(&self, name: &str) -> [String; 5] {
        [
            name.to_owned(),
            count(self.lines),
            bytes(self.link),
            time(nanoseconds(self.modelled)),
            time(nanoseconds(self.real)),
        ]
    }
}

/// Both ways, and what they had in common.
pub struct Report {
    pub size: u64,
    /// How long it took to make the log and to write it.
    pub written: Duration,
    pub units: u16,
    pub statistics: Statistics,
    pub drive: Way,
    pub host: Way,
}

impl Report {
    /// Whether the drive found what the host found.
    pub fn agrees(&self) -> bool {
        self.drive.lines == self.host.lines
    }

    pub fn answer(&self) -> Result<Answer> {
        let json = json!({
            "bytes": self.size,
            "token": String::from_utf8_lossy(TOKEN),
            "write_real_ns": nanoseconds(self.written),
            "drive": self.drive.json(),
            "host": self.host.json(),
            "agree": self.agrees(),
            "statistics": self.statistics.answer()?.json,
        });
        Ok(Answer::new(self.text(), json))
    }

    fn text(&self) -> String {
        let mut table = table(&[
            "where",
            ">lines found",
            ">over the link",
            ">modelled time *",
            ">real time **",
        ]);
        table.add_row(self.drive.row("in the drive"));
        table.add_row(self.host.row("on the host"));
        let verdict = match self.agrees() {
            true => "Both found the same.",
            false => "THEY DISAGREE.",
        };
        format!(
            "How many lines of a log of {size} contain {token}? (Made and written to the drive in \
             {written}.)\n\n\
             {table}\n\n\
             {verdict} {late}\n\n\
             *  How long commands were in the drive, by its model. In the drive: copying {inside} \
             from flash to\n   \
                device memory {copied}, the rest is loading the program and {units} compute units \
             that count.\n   \
                On the host: reading. Its own work is not modelled: its processor counted for \
             {processor} of\n   \
                real time, while the next data came.\n\
             ** On this machine, which ran the drive's program as well. It says nothing about a \
             drive.",
            size = bytes(self.size),
            token = String::from_utf8_lossy(TOKEN),
            written = time(nanoseconds(self.written)),
            late = self.statistics.verdict(),
            inside = bytes(self.drive.inside),
            copied = time(nanoseconds(self.drive.copied)),
            units = self.units,
            processor = time(nanoseconds(self.host.processor)),
        )
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
