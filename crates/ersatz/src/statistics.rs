//! What a drive counted, as tables and JSON.

use crate::output::{Answer, table};
use crate::quantity::{bytes, count, time};
use anyhow::{Context, Result, ensure};
use ersatz_drive::Drive;
use ersatz_engine::Ns;
use ersatz_host::{Csd, Transfer, command};
use nvme_spec::vendor::DriveStatistics;
use nvme_spec::{Csi, NSID_NONE};
use serde::Serialize;
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
}

impl Statistics {
    /// Those of a drive that has no command in it.
    pub fn of(drive: &Drive) -> Self {
        let (traffic, late) = (
            drive.subsystem.traffic,
            &drive.controller.lateness().histogram,
        );
        Self {
            completed: drive.controller.completed(),
            bytes_to_host: traffic.to_host,
            bytes_from_host: traffic.from_host,
            bytes_inside: traffic.inside,
            // Without a command in it, the time that it was busy is the same at any time.
            busy_ns: drive.controller.busy(Ns::ZERO).0,
            late_p50_ns: late.quantile(0.5).0,
            late_p99_ns: late.quantile(0.99).0,
            late_max_ns: late.max().0,
        }
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
        Ok(Self {
            completed: log.completed,
            bytes_to_host: log.bytes_to_host,
            bytes_from_host: log.bytes_from_host,
            bytes_inside: log.bytes_inside,
            busy_ns: log.busy_ns,
            late_p50_ns: log.late_p50_ns,
            late_p99_ns: log.late_p99_ns,
            late_max_ns: log.late_max_ns,
        })
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
        let mut json = serde_json::to_value(self)?;
        json["kept_up"] = (!self.is_late()).into();
        Ok(Answer::new(format!("{table}\n{}", self.verdict()), json))
    }
}
