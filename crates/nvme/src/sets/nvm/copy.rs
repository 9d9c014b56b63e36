//! Copy: from blocks to blocks, inside of the drive (NVM, 3.3.2).
//!
//! The sources are booked on the media at once; when the last of them has been read, the destination
//! is. A copy is all or nothing: while one source can't be read, nothing is written.

use super::{Nvm, check_extensions};
use crate::error::NvmeError;
use crate::set::{Blocks, Cx, Step};
use ersatz_ftl::{Extent, Operation};
use nvme_spec::nvm::{CopyCdw12, CopyFormat, CopyRange0, CopyRange2};
use nvme_spec::{NSID_ALL, NSID_NONE, Status};
use zerocopy::FromBytes;

/// Copy Descriptor Formats Supported, bit *n* for format *n*: 0h and 2h. The two others are for
/// namespaces with larger protection information.
pub(crate) const FORMATS: u16 = 0b101;

/// Bytes that one source range may have.
const MAX_SOURCE: u32 = 4 << 20;
/// Bytes that one command may copy: they are moved before the next command has its turn.
const MAX_BYTES: u32 = 16 << 20;

/// The limits of Identify Namespace, in blocks.
pub(super) struct Limits {
    /// Maximum Single Source Range Length.
    pub mssrl: u16,
    /// Maximum Copy Length.
    pub mcl: u32,
    /// Maximum Source Range Count, 0's-based: as many as the command can name.
    pub msrc_z: u8,
}

impl Limits {
    pub(super) fn of(block: u32) -> Self {
        Self {
            mssrl: u16::try_from((MAX_SOURCE / block).max(1)).unwrap_or(u16::MAX),
            mcl: (MAX_BYTES / block).max(1),
            msrc_z: u8::MAX,
        }
    }
}

/// Blocks to copy.
struct Source {
    blocks: Blocks,
    at: Extent,
    own: bool,
}

impl Nvm {
    pub(super) fn copy(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let cdw12 = CopyCdw12::from_bits(cx.sqe.cdw12);
        check_extensions(cdw12.cetype())?;
        if cdw12.dtype() != 0 {
            return Err(NvmeError::field("Directives are not supported"));
        }
        check_format(cdw12.cdf(), cx.copy_formats)?;
        let count = usize::from(cdw12.nr_z()) + 1;
        let mut bytes = vec![0; count * size_of::<CopyRange2>()];
        cx.receive(&mut bytes)?;
        let (mut sources, mut total) = (Vec::with_capacity(count), 0);
        let limits = Limits::of(self.blocks.block);
        for bytes in bytes.chunks_exact(size_of::<CopyRange2>()) {
            let range = parse(cdw12.cdf(), bytes, cx.nsid)?;
            check_extensions(range.cetype & 0xF)?;
            let nlb = u64::from(range.nlb_z) + 1;
            if nlb > limits.mssrl.into() {
                let reason = format!("a source of {nlb} blocks");
                return Err(NvmeError::new(Status::COMMAND_SIZE_LIMIT_EXCEEDED, reason));
            }
            total += nlb;
            sources.push(self.source(cx, range.snsid, range.slba, nlb)?);
        }
        if total > limits.mcl.into() {
            let reason = format!("{total} blocks to copy");
            return Err(NvmeError::new(Status::COMMAND_SIZE_LIMIT_EXCEEDED, reason));
        }
        let to = self.locate(cx, Operation::Write, cx.sqe.cdw10_11(), total)?;
        let overlaps = |source: &Source| {
            let (from, end) = (source.at.start, source.at.start + source.at.len);
            source.own && from < to.start + to.len && to.start < end
        };
        if sources.iter().any(overlaps) {
            return Err(Status::OVERLAPPING_IO_RANGE.into());
        }
        self.move_all(cx, &sources, to)
    }

    /// Everything has been checked.
    fn move_all(
        &mut self,
        cx: &mut Cx<'_>,
        sources: &[Source],
        to: Extent,
    ) -> Result<Step, NvmeError> {
        let mut arrived = cx.now;
        for source in sources {
            arrived = arrived.max(cx.media_read(source.at)?);
            if let Some(lba) = source.blocks.unreadable_in(source.at) {
                return Err(crate::set::unreadable(lba, arrived));
            }
        }
        if !self.read_only {
            let mut offset = to.start;
            for Source { blocks, at, .. } in sources {
                // At most 4 MiB.
                let len = at.len as usize;
                blocks
                    .store
                    .copy_to(at.start, &self.blocks.store, offset, len)?;
                offset += at.len;
            }
            self.made_readable(to);
        }
        cx.moved_inside(to.len);
        self.copies.insert(cx.token, to);
        Ok(Step::Resume { at: arrived })
    }

    /// All sources have been read.
    pub(super) fn copy_arrived(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        match self.copies.remove(&cx.token) {
            // Force Unit Access is where Write has it.
            Some(to) => self.program(cx, to),
            None => Ok(Step::at(cx.now)),
        }
    }

    fn source(
        &self,
        cx: &mut Cx<'_>,
        snsid: u32,
        slba: u64,
        nlb: u64,
    ) -> Result<Source, NvmeError> {
        let own = snsid == cx.nsid;
        let blocks = match own {
            true => self.blocks.clone(),
            false => self.peer(cx, snsid)?,
        };
        let at = blocks.extent(slba, nlb).ok_or_else(|| {
            let reason = format!("{nlb} blocks from LBA {slba} on, of {}", blocks.count);
            NvmeError {
                at: Some(cx.media_refused(Operation::Read)),
                lba: Some(slba),
                ..NvmeError::new(Status::LBA_OUT_OF_RANGE, reason)
            }
        })?;
        Ok(Source { blocks, at, own })
    }

    /// The blocks of another namespace, if they are like the ones here.
    fn peer(&self, cx: &Cx<'_>, snsid: u32) -> Result<Blocks, NvmeError> {
        let Some(peer) = cx.peers.get(snsid) else {
            let known = cx.peers.max_nsid().max(cx.nsid);
            return Err(match snsid {
                NSID_NONE | NSID_ALL => Status::INVALID_NAMESPACE_OR_FORMAT.into(),
                snsid if snsid > known => Status::INVALID_NAMESPACE_OR_FORMAT.into(),
                snsid => NvmeError::field(format!("namespace {snsid} is inactive")),
            });
        };
        let blocks = peer.set.blocks();
        let alike = blocks.filter(|blocks| blocks.block == self.blocks.block);
        alike.ok_or_else(|| {
            let reason = format!("namespace {snsid} has no blocks of {}", self.blocks.block);
            NvmeError::new(Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT, reason)
        })
    }
}

/// Whether sources can be described in this way; `enabled` is what the host has said it will use.
fn check_format(format: CopyFormat, enabled: u16) -> Result<(), NvmeError> {
    let bit = 1u16.checked_shl(format.0.into()).unwrap_or(0);
    if FORMATS & bit == 0 {
        return Err(NvmeError::field(format!(
            "copy descriptor format {format:?}"
        )));
    }
    if format == CopyFormat::NamespaceLba16 && enabled & bit == 0 {
        let reason = "the host has not enabled the copy descriptor format";
        return Err(NvmeError::field(reason));
    }
    Ok(())
}

/// A source range, whatever its format. Fast Copy Only is always met.
fn parse(format: CopyFormat, bytes: &[u8], own: u32) -> Result<CopyRange2, NvmeError> {
    let broken = |_| NvmeError::from(Status::INTERNAL_ERROR);
    if format == CopyFormat::NamespaceLba16 {
        return CopyRange2::read_from_bytes(bytes).map_err(broken);
    }
    let range = CopyRange0::read_from_bytes(bytes).map_err(|_| Status::INTERNAL_ERROR)?;
    let mut named = CopyRange2::default();
    named.snsid = own;
    named.slba = range.slba;
    named.nlb_z = range.nlb_z;
    named.cetype = range.cetype;
    Ok(named)
}

#[cfg(test)]
mod tests;
