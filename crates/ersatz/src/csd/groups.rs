//! Job groups, and what became of jobs.

use super::list::Of;
use super::{compute, said};
use crate::output::{Answer, table};
use crate::quantity::{bytes, time};
use anyhow::Result;
use ersatz_drive_file::unit::Unit;
use ersatz_host::Csd;
use ersatz_host::csd::Quality;
use nvme_spec::Status;
use serde_json::json;

/// Bytes of a KB, in which commands count bandwidths.
const KB: u64 = 1000;

/// What the jobs of a group get.
#[derive(clap::Args)]
struct Qos {
    /// 1 to 9, of which 9 is the most urgent.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=9))]
    priority: u8,
    /// Most bytes of memory ranges in a second, such as 100MB/s; else any.
    #[arg(long, value_name = "RATE", value_parser = bandwidth)]
    bandwidth: Option<u32>,
    /// How long after its arrival a job is to be done, such as 2ms.
    #[arg(long, value_name = "TIME", value_parser = deadline)]
    deadline: Option<u32>,
}

fn bandwidth(text: &str) -> Result<u32, String> {
    whole(Unit::BytesPerSecond.parse(text)?, KB, "KB/s")
}

fn deadline(text: &str) -> Result<u32, String> {
    whole(Unit::Nanoseconds.parse(text)?, 1000, "us")
}

fn whole(value: u64, of: u64, unit: &str) -> Result<u32, String> {
    let count = u32::try_from(value / of).ok();
    count
        .filter(|&count| count > 0 && value.is_multiple_of(of))
        .ok_or_else(|| format!("is not a whole number of {unit} from 1 to {}", u32::MAX))
}

impl Qos {
    fn quality(&self) -> Quality {
        Quality {
            priority: self.priority,
            bandwidth: self.bandwidth.unwrap_or(0),
            deadline: self.deadline.unwrap_or(0),
        }
    }
}

/// Create a job group, and print its number.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  ersatz csd group-create --priority 9 --bandwidth 100MB/s --deadline 2ms
  ersatz csd exec 0 --group 1")]
pub struct Create {
    #[command(flatten)]
    qos: Qos,
    #[command(flatten)]
    on: Of,
}

pub fn create(csd: &mut Csd, args: &Create) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    let group = csd.create_group(nsid, args.qos.quality())?;
    let json = json!({ "compute": nsid, "group": group });
    said(format!("Created job group {group}."), json)
}

/// Change a job group, for the jobs that arrive from now on.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ersatz csd group-set 1 --priority 2")]
pub struct Set {
    /// Job group; 0 is that of the jobs that name none.
    group: u8,
    #[command(flatten)]
    qos: Qos,
    #[command(flatten)]
    on: Of,
}

pub fn set(csd: &mut Csd, args: &Set) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    csd.set_group(nsid, args.group, args.qos.quality())?;
    let json = json!({ "compute": nsid, "group": args.group });
    said(format!("Set job group {}.", args.group), json)
}

/// Delete a job group.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ersatz csd group-delete 1")]
pub struct Delete {
    /// Job group.
    group: u8,
    #[command(flatten)]
    on: Of,
}

pub fn delete(csd: &mut Csd, args: &Delete) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    csd.delete_group(nsid, args.group)?;
    let json = json!({ "compute": nsid, "group": args.group });
    said(format!("Deleted job group {}.", args.group), json)
}

/// The job groups, with what their jobs took.
pub fn groups(csd: &mut Csd, of: &Of) -> Result<Answer> {
    let nsid = compute(csd, of.compute)?;
    let log = csd.job_log(nsid)?;
    let mut table = table(&[
        ">group",
        ">priority",
        ">bandwidth",
        ">deadline",
        ">done",
        ">missed",
        ">data",
        ">held",
        ">queued",
        ">running",
        ">switches",
    ]);
    let mut list = Vec::new();
    for group in &log.groups {
        let bandwidth = u64::from(group.bandwidth) * KB;
        let deadline = u64::from(group.deadline) * 1000;
        table.add_row([
            group.gid.to_string(),
            group.priority.to_string(),
            none_or(bandwidth, |bandwidth| {
                Unit::BytesPerSecond.format(bandwidth)
            }),
            none_or(deadline, time),
            group.done.to_string(),
            group.missed.to_string(),
            bytes(group.bytes),
            time(group.held_ns),
            time(group.queued_ns),
            time(group.running_ns),
            group.switches.to_string(),
        ]);
        list.push(json!({
            "group": group.gid,
            "priority": group.priority,
            "bandwidth": bandwidth,
            "deadline_ns": deadline,
            "done": group.done,
            "missed": group.missed,
            "bytes": group.bytes,
            "held_ns": group.held_ns,
            "queued_ns": group.queued_ns,
            "running_ns": group.running_ns,
            "switches": group.switches,
        }));
    }
    Ok(Answer::new(
        table,
        json!({ "compute": nsid, "groups": list }),
    ))
}

fn none_or(value: u64, show: impl Fn(u64) -> String) -> String {
    match value {
        0 => "none".into(),
        value => show(value),
    }
}

/// The classes of units, and the jobs that were done last.
pub fn jobs(csd: &mut Csd, of: &Of) -> Result<Answer> {
    let nsid = compute(csd, of.compute)?;
    let log = csd.job_log(nsid)?;
    let mut table = table(&[
        ">job",
        ">slot",
        ">group",
        "class",
        ">arrived",
        ">took",
        ">held",
        ">queued",
        ">running",
        ">switches",
        ">copied",
        "result",
    ]);
    let name = |index: u16| {
        let class = log.classes.get(usize::from(index));
        class.map_or_else(String::new, |class| text(&class.name))
    };
    let mut list = Vec::new();
    for job in &log.jobs {
        let took = job.end_ns.saturating_sub(job.arrival_ns);
        let status = Status::from_bits(job.status);
        let result = match (job.status, job.missed) {
            (0, 0) => "done".to_owned(),
            (0, _) => "done, missed its deadline".to_owned(),
            _ => status.to_string(),
        };
        table.add_row([
            job.number.to_string(),
            job.pind.to_string(),
            job.gid.to_string(),
            name(job.class),
            time(job.arrival_ns),
            time(took),
            time(job.held_ns),
            time(job.queued_ns),
            time(job.running_ns),
            job.switches.to_string(),
            bytes(job.copied),
            result,
        ]);
        list.push(json!({
            "job": job.number,
            "slot": job.pind,
            "group": job.gid,
            "class": name(job.class),
            "arrival_ns": job.arrival_ns,
            "end_ns": job.end_ns,
            "held_ns": job.held_ns,
            "queued_ns": job.queued_ns,
            "running_ns": job.running_ns,
            "switches": job.switches,
            "copied": job.copied,
            "missed": job.missed != 0,
            "status": job.status,
        }));
    }
    let classes = log.classes.iter().map(|class| {
        json!({
            "class": text(&class.name), "units": class.units, "busy_ns": class.busy_ns,
        })
    });
    let json = json!({
        "compute": nsid,
        "done": log.header.done,
        "in_flight": log.header.in_flight,
        "classes": classes.collect::<Vec<_>>(),
        "jobs": list,
    });
    let (done, in_flight) = (log.header.done, log.header.in_flight);
    let counts = format!("{done} jobs are done, {in_flight} wait or run.");
    let shown = match log.jobs.is_empty() {
        true => counts,
        false => format!("{table}\n{counts}"),
    };
    Ok(Answer::new(shown, json))
}

/// A name of the drive's, which may have any bytes.
fn text(name: &[u8]) -> String {
    name.escape_ascii().to_string().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_are_counted_as_the_command_has_them() {
        assert_eq!(bandwidth("100 MB/s"), Ok(100_000));
        assert_eq!(deadline("2ms"), Ok(2000));
        assert!(bandwidth("1 TB/s").is_ok());
        assert!(deadline("1500 ns").is_err());
        assert!(deadline("0 us").is_err());
        assert!(deadline("2 h").is_err());
    }
}
