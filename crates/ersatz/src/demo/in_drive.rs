//! Counting in the drive: only the program, its parameters and its result cross the link.

use super::plan::{self, Job, Load};
use super::{Counted, Host, PROGRAM, Progress, TOKEN};
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
    host.csd.load(nsid, pind, ProgramType::EBPF, None, PROGRAM)?;
    host.csd.activate(nsid, pind)?;
    let mut lines = 0;
    for load in &loads {
        let to = MemoryAt { nsid: host.memory.nsid, byte: 0 };
        let blocks = LbaRange { nsid: host.nvm.nsid, slba: load.slba, blocks: load.blocks };
        host.csd.copy_blocks(to, &[blocks])?;
        let jobs: Vec<_> = load.jobs.iter().map(|job| execute(host, pind, job)).collect();
        lines += host.stream.sum(&jobs)?;
    }
    host.csd.deactivate(nsid, pind)?;
    host.csd.unload(nsid, pind)?;
    bar.finish_and_clear();
    Ok(Counted { lines, processor: Duration::ZERO })
}

/// Divides the log among the compute units, and in parts that device memory has room for.
fn plan(host: &mut Host, size: u64) -> Result<Vec<Load>> {
    let (granularity, block) = (granularity(host), host.nvm.block);
    ensure!(
        granularity <= TOKEN.len() as u64,
        "ranges in units of {granularity} bytes would count a line twice"
    );
    // Lengths of ranges have 32 bits.
    let room = host.memory.size.min(1 << 32).saturating_sub(2 * plan::SLACK);
    ensure!(room > 0, "{} bytes of device memory are too few", host.memory.size);
    let units = u64::from(host.units.max(1));
    let cuts = plan::cuts(size, units * size.div_ceil(room), |at| line_start(host, at, size))?;
    Ok(plan::loads(&cuts, units as usize, block, granularity))
}

/// What ranges of device memory are multiples of.
fn granularity(host: &Host) -> u64 {
    host.memory.granularity.max(host.compute.range_granularity)
}

/// The first line that begins after `at`: the host looks at a block for it.
fn line_start(host: &mut Host, at: u64, size: u64) -> Result<u64> {
    let block = host.nvm.block;
    let mut bytes = vec![0; block as usize];
    let slba = at / block;
    host.csd.read_blocks(host.nvm.nsid, slba, &mut bytes)?;
    let newline = memchr::memchr(b'\n', &bytes[(at % block) as usize..]);
    match newline {
        Some(newline) => Ok((at + newline as u64 + 1).min(size)),
        None if (slba + 1) * block < size => line_start(host, (slba + 1) * block, size),
        None => Ok(size),
    }
}

/// The command for a job, with its data: the range, then the token.
fn execute(host: &Host, pind: u16, job: &Job) -> (Sqe, Vec<u8>) {
    let len = job.text.next_multiple_of(granularity(host)) as u32;
    let range = MemoryRange::new(host.memory.nsid, job.byte, len);
    let data = [range.as_bytes(), TOKEN].concat();
    let execute =
        Execute { pind, numr: 1, dlen: data.len() as u32, cparam1: job.text, ..Execute::default() };
    (execute.into_sqe(host.compute.nsid), data)
}
