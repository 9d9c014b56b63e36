//! Device memory: what a host does with it, and copies that never leave the drive.

use super::split::{batches, parts};
use super::{COPY_TIMEOUT, Csd, IO_TIMEOUT, MemoryNamespace};
use crate::error::Doing;
use crate::file::{self, FileMap, Piece, Place};
use crate::{Error, Transfer};
use nvme_spec::nvm::{CopyFormat, CopyRange2};
use nvme_spec::slm::{CopyRange4, MemoryCopyCdw12};
use nvme_spec::{SlmOpcode, Sqe};
use std::path::Path;
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// Bytes of one copy or fill command. Larger ones would gain nothing, but run into time-outs.
const COPY_AT_ONCE: u64 = 64 << 20;
/// Source ranges of one copy command: those that fit a page.
const RANGES_AT_ONCE: usize = 128;
/// Logical blocks that one source range can name.
const BLOCKS_AT_ONCE: u64 = 1 << 16;

/// A place in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryAt {
    /// Memory namespace.
    pub nsid: u32,
    /// Byte in it.
    pub byte: u64,
}

/// Logical blocks of a flash namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LbaRange {
    /// Flash namespace.
    pub nsid: u32,
    /// First logical block.
    pub slba: u64,
    /// How many.
    pub blocks: u64,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCopy {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of memory that were written: those of the file, rounded up to a logical block. What
    /// follows the file's end is what the file system keeps there.
    pub written: u64,
}

impl Csd {
    /// Reads device memory. The place and the length are multiples of the memory's granularity.
    ///
    /// # Errors
    /// When the range is not in the memory, or the drive refuses.
    pub fn read_memory(&mut self, from: MemoryAt, buf: &mut [u8]) -> Result<(), Error> {
        let len = buf.len();
        self.move_memory(SlmOpcode::MemoryRead, from, Transfer::Read(buf))
            .doing(|| format!("read {len} bytes of {from}"))
    }

    /// Writes device memory. The place and the length are multiples of the memory's granularity.
    ///
    /// # Errors
    /// When the range is not in the memory, or the drive refuses.
    pub fn write_memory(&mut self, to: MemoryAt, data: &[u8]) -> Result<(), Error> {
        let len = data.len();
        self.move_memory(SlmOpcode::MemoryWrite, to, Transfer::Write(data))
            .doing(|| format!("write {len} bytes to {to}"))
    }

    fn move_memory(
        &mut self,
        opcode: SlmOpcode,
        at: MemoryAt,
        data: Transfer<'_>,
    ) -> Result<(), Error> {
        let memory = self.memory_namespace(at.nsid)?;
        check_memory(&memory, at, data.len() as u64)?;
        let granularity = memory.granularity as usize;
        let piece = self.device.max_transfer() / granularity * granularity;
        if piece == 0 {
            return Err(Error::Unsupported(format!(
                "{granularity} bytes, the least that {at} takes, do not fit one command"
            )));
        }
        let mut command = |offset: usize, len: usize| {
            Sqe::memory(opcode, at.nsid, at.byte + offset as u64, len as u32)
        };
        self.device.pieces(data, piece, &mut command, IO_TIMEOUT)
    }

    /// Sets device memory to zero.
    ///
    /// # Errors
    /// When the range is not in the memory, or the drive refuses.
    pub fn fill_memory(&mut self, at: MemoryAt, len: u64) -> Result<(), Error> {
        let memory = self.memory_namespace(at.nsid)?;
        check_memory(&memory, at, len)?;
        for (offset, part) in parts(len, COPY_AT_ONCE) {
            let sqe = Sqe::memory(
                SlmOpcode::MemoryFill,
                at.nsid,
                at.byte + offset,
                part as u32,
            );
            self.device
                .io(&sqe, Transfer::None, COPY_TIMEOUT)
                .doing(|| format!("fill {len} bytes of {at}"))?;
        }
        Ok(())
    }

    /// Copies logical blocks to device memory, inside the drive: range after range, without gaps.
    /// Returns the bytes copied.
    ///
    /// # Errors
    /// When a range is not in its namespace or does not fit the memory, or the drive refuses.
    pub fn copy_blocks(&mut self, to: MemoryAt, from: &[LbaRange]) -> Result<u64, Error> {
        let memory = self.memory_namespace(to.nsid)?;
        let max_bytes = memory.max_copy.unwrap_or(u64::MAX).min(COPY_AT_ONCE);
        let mut entries = Vec::new();
        let mut total: u64 = 0;
        for range in from {
            let nvm = self.nvm_namespace(range.nsid)?;
            nvm.check(range.slba, range.blocks)?;
            let step = BLOCKS_AT_ONCE
                .min(nvm.max_copy_range)
                .min(max_bytes / nvm.block);
            if step == 0 {
                return Err(Error::Unsupported(format!(
                    "a block of {} bytes is more than {to} takes in one copy",
                    nvm.block
                )));
            }
            for (offset, blocks) in parts(range.blocks, step) {
                let mut entry = CopyRange2::new_zeroed();
                entry.snsid = range.nsid;
                entry.slba = range.slba + offset;
                entry.nlb_z = (blocks - 1) as u16;
                entries.push((entry, blocks * nvm.block));
            }
            total = total.saturating_add(range.blocks * nvm.block);
        }
        check_memory(&memory, to, total)?;
        self.copy(&memory, to, CopyFormat::NamespaceLba16, entries, max_bytes)
            .doing(|| format!("copy {} ranges of blocks to {to}", from.len()))?;
        Ok(total)
    }

    /// Copies device memory to device memory, inside the drive. The ranges must not overlap.
    ///
    /// # Errors
    /// When a range is not in its memory, or the drive refuses.
    pub fn copy_memory(&mut self, to: MemoryAt, from: MemoryAt, len: u64) -> Result<(), Error> {
        let memory = self.memory_namespace(to.nsid)?;
        let source = self.memory_namespace(from.nsid)?;
        check_memory(&memory, to, len)?;
        check_memory(&source, from, len)?;
        if to.nsid == from.nsid && to.byte.abs_diff(from.byte) < len {
            return Err(Error::refused(format!(
                "{len} bytes of {from} overlap those of {to}"
            )));
        }
        let unit = memory.granularity.max(source.granularity);
        let max_bytes = memory.max_copy.unwrap_or(u64::MAX).min(COPY_AT_ONCE);
        let step = (max_bytes / unit * unit).max(unit);
        let entries = parts(len, step).map(|(offset, part)| {
            let range = CopyRange4::new(from.nsid, from.byte + offset, part as u32);
            (range, part)
        });
        self.copy(&memory, to, CopyFormat::Memory, entries, max_bytes)
            .doing(|| format!("copy {len} bytes of {from} to {to}"))
    }

    fn copy<T: IntoBytes + Immutable>(
        &mut self,
        memory: &MemoryNamespace,
        to: MemoryAt,
        format: CopyFormat,
        entries: impl IntoIterator<Item = (T, u64)>,
        max_bytes: u64,
    ) -> Result<(), Error> {
        let max_entries = RANGES_AT_ONCE.min(memory.max_copy_ranges);
        let mut byte = to.byte;
        for batch in batches(entries, max_entries, max_bytes) {
            let cdw12 = MemoryCopyCdw12::new()
                .with_nr_z((batch.entries.len() - 1) as u8)
                .with_cdf(format);
            let sqe = Sqe::memory_copy(to.nsid, byte, batch.bytes, cdw12);
            let ranges = Transfer::Write(batch.entries.as_slice().as_bytes());
            self.device.io(&sqe, ranges, COPY_TIMEOUT)?;
            byte += batch.bytes;
        }
        Ok(())
    }

    /// Copies a file of the drive's own file system to device memory, inside the drive. What is
    /// only in the page cache is written first; holes become zeros. Nobody may change the file
    /// meanwhile. The last logical block is copied whole, so the memory must have room for it.
    ///
    /// # Errors
    /// When the file is not on this drive, does not lie in whole logical blocks there, or does not
    /// fit the memory; or when the drive refuses.
    pub fn copy_file(&mut self, to: MemoryAt, path: impl AsRef<Path>) -> Result<FileCopy, Error> {
        let path = path.as_ref();
        let map = FileMap::of(path)?;
        if !self.device.has_disk(&map.disk) {
            let name = path.display();
            return Err(Error::refused(format!("{name} is on another drive")));
        }
        let nvm = self.nvm_namespace(map.nsid)?;
        let place = Place {
            nsid: map.nsid,
            start: map.start,
            block: nvm.block,
        };
        let pieces = file::pieces(map.size, &map.extents, place)
            .map_err(|error| Error::refused(format!("{}: {error}", path.display())))?;
        let written = pieces.iter().map(|piece| piece.bytes(nvm.block)).sum();
        check_memory(&self.memory_namespace(to.nsid)?, to, written)?;
        let mut at = to;
        // Fragments that follow each other are copied together.
        let both_blocks =
            |a: &Piece, b: &Piece| matches!((a, b), (Piece::Blocks(_), Piece::Blocks(_)));
        for run in pieces.chunk_by(both_blocks) {
            let ranges: Vec<LbaRange> = run.iter().filter_map(Piece::blocks).collect();
            let bytes = run.iter().map(|piece| piece.bytes(nvm.block)).sum();
            if ranges.is_empty() {
                self.fill_memory(at, bytes)?;
            } else {
                self.copy_blocks(at, &ranges)?;
            }
            at.byte += bytes;
        }
        Ok(FileCopy {
            bytes: map.size,
            written,
        })
    }
}

impl std::fmt::Display for MemoryAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "memory {} at byte {}", self.nsid, self.byte)
    }
}

/// Refuses what no drive would take, in words that name the limit.
pub(super) fn check_memory(memory: &MemoryNamespace, at: MemoryAt, len: u64) -> Result<(), Error> {
    let unit = memory.granularity;
    if !at.byte.is_multiple_of(unit) || !len.is_multiple_of(unit) {
        return Err(Error::refused(format!(
            "{len} bytes of {at}: place and length must be multiples of {unit}"
        )));
    }
    match memory.size.checked_sub(at.byte) {
        Some(rest) if len <= rest => Ok(()),
        _ => Err(Error::refused(format!(
            "{len} bytes of {at} reach beyond its {} bytes",
            memory.size
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_or_between_units_are_refused_in_words() {
        let memory = MemoryNamespace {
            nsid: 2,
            about: Default::default(),
            size: 4096,
            granularity: 4,
            max_copy: None,
            max_copy_ranges: 1,
        };
        let check = |byte, len| {
            check_memory(&memory, MemoryAt { nsid: 2, byte }, len)
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(0, 4096), Ok(()));
        assert_eq!(check(4096, 0), Ok(()));
        let outside = "8 bytes of memory 2 at byte 4092 reach beyond its 4096 bytes";
        assert_eq!(check(4092, 8).expect_err("outside"), outside);
        assert!(check(8, u64::MAX - 3).is_err());
        assert!(check(8192, 0).is_err());
        let unaligned = "6 bytes of memory 2 at byte 4: place and length must be multiples of 4";
        assert_eq!(check(4, 6).expect_err("unaligned"), unaligned);
        assert!(check(2, 4).is_err());
    }
}
