//! Counting in the drive: only commands, the program and its results cross the link, and a block
//! for each place where the log is cut.
//!
//! The log is copied by one command at a time, and counted when it is there. To do both at once
//! would be faster, but then each command's arrival would depend on how fast this machine is, and
//! modelled time with it; as it is, it is the same in every run.

use super::plan::{self, Job, Load};
use super::{Counted, Host, PROGRAM, Progress, TOKEN, stream};
use crate::statistics::Statistics;
use anyhow::{Result, ensure};
use ersatz_host::csd::{LbaRange, MemoryAt};
use nvme_spec::Sqe;
use nvme_spec::cp::{Execute, ProgramType};
use nvme_spec::slm::MemoryRange;
use std::time::Duration;
use zerocopy::IntoBytes;

/// Loads the program, copies the log to device memory, counts on all compute units at once, and
/// leaves the drive without the program.
pub fn count(host: &mut Host, size: u64, progress: &Progress) -> Result<Counted> {
    let bar = progress.spinner("Counting in the drive");
    let loads = plan(host, size)?;
    let nsid = host.compute.nsid;
    let pind = host.csd.free_slot(nsid)?;
    host.csd
        .load(nsid, pind, ProgramType::EBPF, None, PROGRAM)?;
    host.csd.activate(nsid, pind)?;
    let (mut lines, mut copied) = (0, 0);
    for load in &loads {
        let to = MemoryAt {
            nsid: host.memory.nsid,
            byte: 0,
        };
        let blocks = LbaRange {
            nsid: host.nvm.nsid,
            slba: load.slba,
            blocks: load.blocks,
        };
        let before = Statistics::read(&mut host.csd)?;
        host.csd.copy_blocks(to, &[blocks])?;
        copied += Statistics::read(&mut host.csd)?
            .busy_ns
            .saturating_sub(before.busy_ns);
        lines += execute_all(host, pind, &load.jobs)?;
    }
    host.csd.deactivate(nsid, pind)?;
    host.csd.unload(nsid, pind)?;
    bar.finish_and_clear();
    Ok(Counted {
        lines,
        copied: Duration::from_nanos(copied),
        processor: Duration::ZERO,
    })
}

/// Divides the log among the compute units, and in parts that device memory has room for.
fn plan(host: &mut Host, size: u64) -> Result<Vec<Load>> {
    let (granularity, block) = (granularity(host), host.nvm.block);
    ensure!(
        granularity <= TOKEN.len() as u64,
        "ranges in units of {granularity} bytes would count a line twice"
    );
    // Lengths of ranges have 32 bits.
    let room = host
        .memory
        .size
        .min(1 << 32)
        .saturating_sub(2 * plan::SLACK);
    ensure!(
        room > 0,
        "{} bytes of device memory are too few",
        host.memory.size
    );
    let units = u64::from(host.units.max(1));
    let cuts = plan::cuts(size, units * size.div_ceil(room), |at| {
        line_start(host, at, size)
    })?;
    Ok(plan::loads(&cuts, units as usize, block, granularity))
}

/// What ranges of device memory are multiples of.
fn granularity(host: &Host) -> u64 {
    host.memory.granularity.max(host.compute.range_granularity)
}

/// The first line that begins after `at`: the host looks at a block for it.
fn line_start(host: &mut Host, at: u64, size: u64) -> Result<u64> {
    let (nsid, block) = (host.nvm.nsid, host.nvm.block);
    let mut bytes = vec![0; block as usize];
    let mut from = at;
    while from < size {
        let slba = from / block;
        host.csd.read_blocks(nsid, slba, &mut bytes)?;
        if let Some(newline) = memchr::memchr(b'\n', &bytes[(from % block) as usize..]) {
            return Ok((from + newline as u64 + 1).min(size));
        }
        from = (slba + 1) * block;
    }
    Ok(size)
}

/// Executes all jobs, at the same time as far as the queue goes, and adds up what they found.
fn execute_all(host: &mut Host, pind: u16, jobs: &[Job]) -> Result<u64> {
    let mut lines = 0;
    for jobs in jobs.chunks(stream::DEPTH as usize) {
        for (slot, job) in jobs.iter().enumerate() {
            let (sqe, data) = execute(host, pind, job);
            host.stream.submit(slot, sqe, &data)?;
        }
        for _ in jobs {
            lines += host.stream.next()?;
        }
    }
    Ok(lines)
}

/// The command for a job, with its data: the range, then the token.
fn execute(host: &Host, pind: u16, job: &Job) -> (Sqe, Vec<u8>) {
    let len = job.text.next_multiple_of(granularity(host)) as u32;
    let range = MemoryRange::new(host.memory.nsid, job.byte, len);
    let data = [range.as_bytes(), TOKEN].concat();
    let execute = Execute {
        pind,
        numr: 1,
        dlen: data.len() as u32,
        cparam1: job.text,
        ..Execute::default()
    };
    (execute.into_sqe(host.compute.nsid), data)
}
