//! Memory Copy: from blocks or memory to this memory, inside of the drive.

use super::Slm;
use crate::error::NvmeError;
use crate::set::{Cx, Step, unreadable};
use ersatz_ftl::{Extent, Operation};
use ersatz_memory::Mapping;
use nvme_spec::nvm::{CopyFormat, CopyRange2, CopyRange3};
use nvme_spec::slm::{CopyRange4, DWORD, MemoryCopyCdw12};
use nvme_spec::{NSID_ALL, NSID_NONE, Status};
use std::sync::Arc;
use zerocopy::FromBytes;

/// Bytes that reach the memory at once: the last of them are written after all has arrived.
const PIECE: u64 = 4096;

/// A source range entry, whatever its format. Fast Copy Only is not kept: every copy here is fast.
enum Entry {
    Blocks {
        snsid: u32,
        slba: u64,
        nlb: u64,
        cetype: u8,
    },
    Bytes {
        snsid: u32,
        saddr: u64,
        nbyte: u64,
    },
}

/// Bytes to copy.
struct Source {
    memory: Arc<Mapping>,
    offset: u64,
    len: u64,
    /// Where the media has to read them.
    media: Option<Extent>,
    /// The first block that can't be read.
    unreadable: Option<u64>,
}

impl Slm {
    pub(super) fn copy(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let cdw12 = MemoryCopyCdw12::from_bits(cx.sqe.cdw12);
        let (to, len) = (cx.sqe.cdw10_11(), cx.sqe.cdw2_3());
        let size = entry_size(cdw12.cdf())?;
        self.check(to, len)?;
        let mut bytes = vec![0; (usize::from(cdw12.nr_z()) + 1) * size];
        cx.receive(&mut bytes)?;
        let mut sources = Vec::new();
        for bytes in bytes.chunks_exact(size) {
            sources.extend(match parse(cdw12.cdf(), bytes)? {
                Entry::Blocks {
                    snsid,
                    slba,
                    nlb,
                    cetype,
                } => {
                    if cetype != 0 {
                        return Err(NvmeError::field("command extensions are not supported"));
                    }
                    Some(self.blocks(cx, snsid, slba, nlb)?)
                }
                Entry::Bytes { nbyte: 0, .. } => None,
                Entry::Bytes {
                    snsid,
                    saddr,
                    nbyte,
                } => Some(self.bytes(cx, snsid, saddr, nbyte)?),
            });
        }
        // At most 256 entries of at most 2^48 bytes each: the sum fits.
        let sum: u64 = sources.iter().map(|source| source.len).sum();
        if sum != len {
            let reason = format!("LENGTH is {len} bytes, the sources are {sum}");
            return Err(NvmeError::field(reason));
        }
        self.move_all(cx, &sources, to, len)
    }

    /// Everything has been checked.
    fn move_all(
        &mut self,
        cx: &mut Cx<'_>,
        sources: &[Source],
        mut to: u64,
        len: u64,
    ) -> Result<Step, NvmeError> {
        if len == 0 {
            return Ok(Step::done(0));
        }
        let mut arrived = cx.now;
        for source in sources {
            let Some(at) = source.media else { continue };
            arrived = arrived.max(cx.media_read(at)?);
            if let Some(lba) = source.unreadable {
                return Err(unreadable(lba, arrived));
            }
        }
        for source in sources {
            let size = usize::try_from(source.len).unwrap_or(usize::MAX);
            source
                .memory
                .copy_to(source.offset, &self.memory, to, size)?;
            to += source.len;
        }
        cx.moved_inside(len);
        // The memory takes data as it comes; what comes last still has to be written.
        let written = self.book(cx.now, len);
        let last = match arrived > cx.now {
            true => arrived + self.duration(len.min(PIECE)),
            false => arrived,
        };
        Ok(Step::at(written.max(last)))
    }

    fn blocks(
        &self,
        cx: &mut Cx<'_>,
        snsid: u32,
        slba: u64,
        nlb: u64,
    ) -> Result<Source, NvmeError> {
        if snsid == cx.nsid {
            let reason = "blocks shall be copied, but the source is the destination";
            return Err(NvmeError::new(
                Status::INCOMPATIBLE_NAMESPACE_OR_FORMAT,
                reason,
            ));
        }
        let peer = self.peer(cx, snsid)?;
        let blocks = peer
            .set
            .blocks()
            .ok_or_else(|| wrong_kind(snsid, "blocks"))?;
        let at = blocks.extent(slba, nlb).ok_or_else(|| {
            let reason = format!("{nlb} blocks from LBA {slba} on, of {}", blocks.count);
            NvmeError {
                at: Some(cx.media_refused(Operation::Read)),
                ..NvmeError::new(Status::LBA_OUT_OF_RANGE, reason)
            }
        })?;
        Ok(Source {
            unreadable: blocks.unreadable_in(at),
            memory: blocks.store,
            offset: at.start,
            len: at.len,
            media: Some(at),
        })
    }

    fn bytes(&self, cx: &Cx<'_>, snsid: u32, saddr: u64, nbyte: u64) -> Result<Source, NvmeError> {
        if !saddr.is_multiple_of(DWORD) || !nbyte.is_multiple_of(DWORD) {
            return Err(NvmeError::field("memory is addressed in dwords"));
        }
        let own = snsid == cx.nsid;
        let memory = if own {
            &self.memory
        } else {
            let peer = self.peer(cx, snsid)?;
            peer.set
                .memory()
                .ok_or_else(|| wrong_kind(snsid, "memory"))?
        };
        let end = saddr
            .checked_add(nbyte)
            .filter(|&end| end <= memory.len())
            .ok_or_else(|| {
                let reason = format!("{nbyte} bytes from byte {saddr} on, of {}", memory.len());
                NvmeError::field(reason)
            })?;
        let (to, len) = (cx.sqe.cdw10_11(), cx.sqe.cdw2_3());
        if own && saddr < to + len && to < end {
            return Err(Status::OVERLAPPING_IO_RANGE.into());
        }
        Ok(Source {
            memory: Arc::clone(memory),
            offset: saddr,
            len: nbyte,
            media: None,
            unreadable: None,
        })
    }

    /// Another namespace, if this one reaches it.
    fn peer<'a>(
        &self,
        cx: &'a Cx<'_>,
        snsid: u32,
    ) -> Result<&'a crate::subsystem::Namespace, NvmeError> {
        let peer = match snsid {
            NSID_NONE | NSID_ALL => None,
            _ => cx.peers.get(snsid),
        };
        let Some(peer) = peer else {
            return Err(NvmeError::field(format!(
                "there is no namespace {snsid} to copy from"
            )));
        };
        if !self.config.reaches.contains(&snsid) {
            return Err(NvmeError::new(
                Status::NAMESPACE_NOT_REACHABLE,
                format!("namespace {snsid}"),
            ));
        }
        Ok(peer)
    }
}

fn entry_size(format: CopyFormat) -> Result<usize, NvmeError> {
    match format {
        CopyFormat::NamespaceLba16 => Ok(size_of::<CopyRange2>()),
        CopyFormat::NamespaceLba64 => Ok(size_of::<CopyRange3>()),
        CopyFormat::Memory => Ok(size_of::<CopyRange4>()),
        _ => Err(NvmeError::field("copy descriptor format")),
    }
}

fn parse(format: CopyFormat, bytes: &[u8]) -> Result<Entry, NvmeError> {
    fn read<T: FromBytes>(bytes: &[u8]) -> Result<T, NvmeError> {
        T::read_from_bytes(bytes).map_err(|_| Status::INTERNAL_ERROR.into())
    }
    Ok(match format {
        CopyFormat::NamespaceLba16 => {
            let CopyRange2 {
                snsid,
                slba,
                nlb_z,
                cetype,
                ..
            } = read(bytes)?;
            Entry::Blocks {
                snsid,
                slba,
                nlb: u64::from(nlb_z) + 1,
                cetype: cetype & 0xF,
            }
        }
        CopyFormat::NamespaceLba64 => {
            let CopyRange3 {
                snsid,
                slba,
                nlb_z,
                cetype,
                ..
            } = read(bytes)?;
            Entry::Blocks {
                snsid,
                slba,
                nlb: u64::from(nlb_z) + 1,
                cetype: cetype & 0xF,
            }
        }
        _ => {
            let CopyRange4 {
                snsid,
                saddr,
                nbyte,
                ..
            } = read(bytes)?;
            Entry::Bytes {
                snsid,
                saddr,
                nbyte: nbyte.into(),
            }
        }
    })
}

fn wrong_kind(snsid: u32, wanted: &str) -> NvmeError {
    let reason = format!("namespace {snsid} has no {wanted} to copy from");
    NvmeError::new(Status::INVALID_NAMESPACE_OR_FORMAT, reason)
}
