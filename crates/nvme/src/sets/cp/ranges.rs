//! Memory ranges: what a program may touch. Memory Range Set Management.

use super::jobs::Jobs;
use super::{CpConfig, MRSG};
use crate::error::NvmeError;
use crate::set::{Cx, Step};
use ersatz_runtime::{Segment, Window};
use nvme_spec::Status;
use nvme_spec::cp::{MemoryRangeSetCdw10, MemoryRangeSetCdw11, MemoryRangeSetSelect};
use nvme_spec::log::MemoryRangeSetEntry;
use nvme_spec::slm::MemoryRange;
use std::collections::BTreeMap;
use std::sync::Arc;
use zerocopy::FromBytes;

/// The memory range sets, by identifier.
#[derive(Debug, Default)]
pub(super) struct RangeSets(BTreeMap<u16, Arc<Window>>);

impl RangeSets {
    pub(super) fn manage(
        &mut self,
        cx: &mut Cx<'_>,
        config: &CpConfig,
        jobs: &Jobs,
    ) -> Result<Step, NvmeError> {
        let cdw10 = MemoryRangeSetCdw10::from_bits(cx.sqe.cdw10);
        match cdw10.sel() {
            MemoryRangeSetSelect::Create => {
                if cdw10.rsid() != 0 {
                    return Err(NvmeError::field("RSID, but the drive chooses it"));
                }
                self.create(cx, config)
            }
            MemoryRangeSetSelect::Delete => {
                let rsid = cdw10.rsid();
                self.get(rsid)?;
                if jobs.use_set(cx.now, rsid) {
                    return Err(NvmeError::transient(Status::MEMORY_RANGE_SET_IN_USE, ""));
                }
                self.0.remove(&rsid);
                Ok(Step::done(0))
            }
            _ => Err(NvmeError::field("SEL is reserved")),
        }
    }

    fn create(&mut self, cx: &mut Cx<'_>, config: &CpConfig) -> Result<Step, NvmeError> {
        let numr = MemoryRangeSetCdw11::from_bits(cx.sqe.cdw11).numr();
        if numr == 0 {
            return Err(NvmeError::field("a set of no ranges"));
        }
        check_count(numr.into(), config)?;
        let rsid = (1..=config.memory_range_sets).find(|rsid| !self.0.contains_key(rsid));
        let rsid = rsid.ok_or(Status::MAXIMUM_MEMORY_RANGE_SETS_EXCEEDED)?;
        let mut bytes = vec![0; usize::from(numr) * size_of::<MemoryRange>()];
        cx.receive(&mut bytes)?;
        self.0.insert(rsid, Arc::new(window(cx, config, &bytes)?));
        Ok(Step::done(rsid.into()))
    }

    /// What the set `rsid` lets a program touch.
    pub(super) fn get(&self, rsid: u16) -> Result<&Arc<Window>, NvmeError> {
        self.0.get(&rsid).ok_or_else(|| {
            NvmeError::new(Status::INVALID_MEMORY_RANGE_SET_ID, format!("set {rsid}"))
        })
    }

    pub(super) fn list(&self) -> Vec<MemoryRangeSetEntry> {
        let entry = |(&rsid, window): (&u16, &Arc<Window>)| {
            let mut entry = MemoryRangeSetEntry::default();
            entry.rsid = rsid;
            // As many as fit into NUMR, which created the set.
            entry.numr = window.segments().len() as u8;
            entry
        };
        self.0.iter().map(entry).collect()
    }
}

/// Checks a number of ranges before they are fetched.
pub(super) fn check_count(numr: u32, config: &CpConfig) -> Result<(), NvmeError> {
    if numr <= config.ranges_per_set.into() {
        return Ok(());
    }
    let reason = format!("{numr} ranges, but {} are possible", config.ranges_per_set);
    Err(NvmeError::new(
        Status::MAXIMUM_MEMORY_RANGES_EXCEEDED,
        reason,
    ))
}

/// The window onto the ranges that `bytes` describe.
pub(super) fn window(cx: &Cx<'_>, config: &CpConfig, bytes: &[u8]) -> Result<Window, NvmeError> {
    let mut ranges = Vec::new();
    let mut segments = Vec::new();
    for bytes in bytes.chunks_exact(size_of::<MemoryRange>()) {
        let range = MemoryRange::read_from_bytes(bytes).map_err(|_| Status::INTERNAL_ERROR)?;
        segments.push(segment(cx, config, &range)?);
        ranges.push(range);
    }
    ranges.sort_unstable_by_key(|range| (range.mnsid, range.sb));
    // The ends don't overflow: they lie in a namespace.
    let overlap = ranges.windows(2).any(|pair| {
        pair[0].mnsid == pair[1].mnsid && pair[0].sb + u64::from(pair[0].length) > pair[1].sb
    });
    if overlap {
        return Err(Status::OVERLAPPING_MEMORY_RANGES.into());
    }
    Ok(Window::new(segments))
}

fn segment(cx: &Cx<'_>, config: &CpConfig, range: &MemoryRange) -> Result<Segment, NvmeError> {
    let &MemoryRange {
        mnsid, sb, length, ..
    } = range;
    let len = u64::from(length);
    let peer = cx
        .peers
        .get(mnsid)
        .filter(|_| config.reaches.contains(&mnsid));
    let memory = peer.and_then(|peer| peer.set.memory()).ok_or_else(|| {
        let reason = format!("no memory that is reached from here is namespace {mnsid}");
        NvmeError::new(Status::INVALID_MEMORY_NAMESPACE, reason)
    })?;
    let inside = sb.checked_add(len).is_some_and(|end| end <= memory.len());
    let aligned = sb.is_multiple_of(1 << MRSG) && len.is_multiple_of(1 << MRSG);
    if len == 0 || !inside || !aligned {
        let reason = format!("{len} bytes from byte {sb} on, of {}", memory.len());
        return Err(NvmeError::new(Status::INVALID_MEMORY_RANGE_SET, reason));
    }
    Ok(Segment {
        memory: Arc::clone(memory),
        offset: sb,
        len,
    })
}
