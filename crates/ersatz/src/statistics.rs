//! What a drive counted, as tables and JSON.

use crate::output::{Answer, table};
use crate::quantity::{bytes, count, time};
use anyhow::{Context, Result, ensure};
use ersatz_drive::Drive;
use ersatz_drive::freeze::Frozen;
use ersatz_engine::Ns;
use ersatz_host::{Csd, Transfer, command};
use nvme_spec::vendor::DriveStatistics;
use nvme_spec::{Csi, NSID_NONE};
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use zerocopy::{FromZeros, IntoBytes};

/// From this lateness on, of one completion in a hundred, a drive's times are not to be trusted:
/// it is more than a page of fast flash takes to read.
const TOO_LATE_NS: u64 = 20_000;

/// Counters since the drive's start.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Statistics {
    /// Commands completed.
    pub completed: u64,
    /// Bytes over the link to the host.
    pub bytes_to_host: u64,
    /// Bytes over the link from the host.
    pub bytes_from_host: u64,
    /// Bytes between namespaces, inside of the drive.
    pub bytes_inside: u64,
    /// How long at least one command was in the drive, by its model.
    pub busy_ns: u64,
    /// How late completions were posted: median.
    pub late_p50_ns: u64,
    /// 99th percentile.
    pub late_p99_ns: u64,
    /// Maximum.
    pub late_max_ns: u64,
    /// What the flash did; a media without flash has nothing to tell.
    pub flash: Option<Flash>,
}

/// What the flash of a drive did since its start.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Flash {
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Pages that hosts wrote.
    pub host_pages: u64,
    /// Pages that were moved.
    pub moved_pages: u64,
    /// Write amplification.
    pub waf: f64,
    /// Blocks erased.
    pub erases: u64,
    /// Rounds of garbage collection that a write waited for.
    pub gc_rounds_foreground: u64,
    /// Rounds that no write waited for.
    pub gc_rounds_background: u64,
    /// Erased lines.
    pub free_lines: u64,
    /// Spare blocks left, in percent.
    pub available_spare: u8,
    /// Erases of the line that was erased least.
    pub wear_min: u32,
    /// Erases of a line in the mean.
    pub wear_mean: f64,
    /// Erases of the line that was erased most.
    pub wear_max: u32,
}

impl Statistics {
    /// Those of a drive that has no command in it.
    pub fn of(drive: &Drive) -> Self {
        // Without a command in it, the time that it was busy is the same at any time.
        Self::from(
            &drive
                .controller
                .drive_statistics(Ns::ZERO, &drive.subsystem),
        )
    }

    /// Asks a drive for its own log page, C0h.
    pub fn read(csd: &mut Csd) -> Result<Self> {
        let mut log = DriveStatistics::new_zeroed();
        let len = size_of::<DriveStatistics>() as u32;
        let sqe = command::get_log(DriveStatistics::LID, NSID_NONE, Csi::Nvm, 0, 0, len);
        let buf = Transfer::Read(log.as_mut_bytes());
        csd.device()
            .admin(&sqe, buf, Duration::from_secs(10))
            .context("read the drive statistics (log page C0h), which only Ersatz drives have")?;
        ensure!(
            log.version == DriveStatistics::VERSION,
            "the drive statistics (log page C0h) have version {}, this knows {}",
            log.version,
            DriveStatistics::VERSION
        );
        Ok(Self::from(&log))
    }

    /// Bytes over the link, both ways.
    pub fn bytes_over_link(&self) -> u64 {
        self.bytes_to_host + self.bytes_from_host
    }

    /// Whether this machine was too slow to play the drive.
    pub fn is_late(&self) -> bool {
        self.late_p99_ns >= TOO_LATE_NS
    }

    /// What lateness says about the drive's times, in words.
    pub fn verdict(&self) -> String {
        let (p99, max) = (time(self.late_p99_ns), time(self.late_max_ns));
        if self.completed == 0 {
            "No command was completed.".into()
        } else if self.is_late() {
            format!(
                "This machine was too slow for the modelled drive: one completion in a hundred came \
                 {p99} or more after it was due. Times that a host measured are too long by as \
                 much; modelled times end when a completion was due."
            )
        } else {
            format!(
                "This machine kept up: 99 % of completions came within {p99} of their due time, \
                     the latest {max} after it."
            )
        }
    }

    /// All of it, for people and for programs.
    pub fn answer(&self) -> Result<Answer> {
        let mut table = table(&["counter", ">value"]);
        for (name, value) in [
            ("commands completed", count(self.completed)),
            (
                "bytes over the link, to the host",
                bytes(self.bytes_to_host),
            ),
            (
                "bytes over the link, from the host",
                bytes(self.bytes_from_host),
            ),
            ("bytes moved inside the drive", bytes(self.bytes_inside)),
            (
                "modelled time with commands in the drive",
                time(self.busy_ns),
            ),
            ("lateness, median", time(self.late_p50_ns)),
            ("lateness, 99th percentile", time(self.late_p99_ns)),
            ("lateness, maximum", time(self.late_max_ns)),
        ] {
            table.add_row([name, &value]);
        }
        for (name, value) in self.flash.iter().flat_map(Flash::rows) {
            table.add_row([name, &value]);
        }
        let mut json = serde_json::to_value(self)?;
        json["kept_up"] = (!self.is_late()).into();
        Ok(Answer::new(format!("{table}\n{}", self.verdict()), json))
    }
}

/// What stopping the guest came to.
pub fn frozen(frozen: Frozen) -> Answer {
    let mut text = format!(
        "The guest stood still {} times, {} in all; stopping and starting it took {}.",
        count(frozen.count),
        time(frozen.time.0),
        time(frozen.overhead.0)
    );
    if frozen.missed > 0 {
        text += &format!(
            "\nIt could not be stopped {} times: there was no QMP to reach.",
            count(frozen.missed)
        );
    }
    let json = json!({
        "count": frozen.count,
        "time_ns": frozen.time.0,
        "overhead_ns": frozen.overhead.0,
        "missed": frozen.missed,
    });
    Answer::new(text, json)
}

impl From<&DriveStatistics> for Statistics {
    fn from(log: &DriveStatistics) -> Self {
        Self {
            completed: log.completed,
            bytes_to_host: log.bytes_to_host,
            bytes_from_host: log.bytes_from_host,
            bytes_inside: log.bytes_inside,
            busy_ns: log.busy_ns,
            late_p50_ns: log.late_p50_ns,
            late_p99_ns: log.late_p99_ns,
            late_max_ns: log.late_max_ns,
            flash: (log.page_bytes > 0).then(|| Flash::from(log)),
        }
    }
}

impl From<&DriveStatistics> for Flash {
    fn from(log: &DriveStatistics) -> Self {
        let from_milli = |milli: u64| milli as f64 / 1000.0;
        Self {
            page_bytes: log.page_bytes,
            host_pages: log.host_pages,
            moved_pages: log.moved_pages,
            waf: from_milli(log.waf_milli),
            erases: log.erases,
            gc_rounds_foreground: log.gc_rounds_foreground,
            gc_rounds_background: log.gc_rounds_background,
            free_lines: log.free_lines,
            available_spare: log.available_spare,
            wear_min: log.wear_min,
            wear_mean: from_milli(log.wear_mean_milli),
            wear_max: log.wear_max,
        }
    }
}

impl Flash {
    fn rows(&self) -> [(&'static str, String); 11] {
        [
            ("flash: bytes of a page", bytes(self.page_bytes)),
            ("flash: pages written by hosts", count(self.host_pages)),
            ("flash: pages moved", count(self.moved_pages)),
            ("flash: write amplification", format!("{:.3}", self.waf)),
            ("flash: blocks erased", count(self.erases)),
            (
                "flash: garbage collection, rounds that writes waited for",
                count(self.gc_rounds_foreground),
            ),
            (
                "flash: garbage collection, other rounds",
                count(self.gc_rounds_background),
            ),
            ("flash: erased lines", count(self.free_lines)),
            (
                "flash: spare blocks left",
                format!("{} %", self.available_spare),
            ),
            (
                "flash: erases of a line, mean",
                format!("{:.3}", self.wear_mean),
            ),
            (
                "flash: erases of a line, least and most",
                format!("{} and {}", self.wear_min, self.wear_max),
            ),
        ]
    }
}
