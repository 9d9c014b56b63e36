//! From extents of a file to what a drive has to do for its bytes.

use crate::Error;
use crate::csd::LbaRange;

/// A part of a file as the file system describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// First byte in the file.
    pub logical: u64,
    /// First byte on the block device of the file system.
    pub physical: u64,
    /// Bytes.
    pub length: u64,
    /// `FIEMAP_EXTENT_*` of `<linux/fiemap.h>`.
    pub flags: u32,
}

/// Where a file system lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Namespace.
    pub nsid: u32,
    /// Bytes of the namespace before the file system: those of the partition's start.
    pub start: u64,
    /// Bytes of a logical block of the namespace.
    pub block: u64,
}

/// A run of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// They are in these logical blocks.
    Blocks(LbaRange),
    /// They are this many zeros, which no block holds: a hole, or space that was never written.
    Zeros(u64),
}

impl Piece {
    /// The blocks, unless it is zeros.
    #[must_use]
    pub fn blocks(&self) -> Option<LbaRange> {
        match self {
            Self::Blocks(range) => Some(*range),
            Self::Zeros(_) => None,
        }
    }

    /// Bytes, given those of a logical block.
    #[must_use]
    pub fn bytes(&self, block: u64) -> u64 {
        match self {
            Self::Blocks(range) => range.blocks * block,
            Self::Zeros(bytes) => *bytes,
        }
    }
}

/// The location is not known yet.
const UNKNOWN: u32 = 0x2;
/// Only in memory so far.
const DELALLOC: u32 = 0x4;
/// Compressed or otherwise not as the file reads.
const ENCODED: u32 = 0x8;
/// Encrypted by the file system.
const ENCRYPTED: u32 = 0x80;
/// Not at a block's start.
const NOT_ALIGNED: u32 = 0x100;
/// In the inode.
const INLINE: u32 = 0x200;
/// In a block with other files' tails.
const TAIL: u32 = 0x400;
/// Allocated, but reads as zeros.
const UNWRITTEN: u32 = 0x800;

/// Covers a file of `size` bytes, rounded up to a logical block, by pieces in order. `extents` may
/// come in any order and reach beyond the end of the file, as preallocated space does. What
/// several files share is read from where it is.
///
/// # Errors
/// When bytes of the file do not lie on the device as they are read, or not at whole blocks.
pub fn pieces(size: u64, extents: &[Extent], place: Place) -> Result<Vec<Piece>, Error> {
    let Place { nsid, start, block } = place;
    let end = size
        .checked_next_multiple_of(block)
        .ok_or_else(|| Error::refused(format!("a file of {size} bytes is too long")))?;
    let mut sorted = extents.to_vec();
    sorted.sort_by_key(|extent| extent.logical);
    let mut pieces = Vec::new();
    let mut at = 0;
    for extent in &sorted {
        if extent.logical >= end {
            break;
        }
        if extent.logical < at {
            return Err(Error::refused(
                "the file system reports extents that overlap",
            ));
        }
        check_flags(extent)?;
        let length = extent.length.min(end - extent.logical);
        let physical = start.checked_add(extent.physical);
        let aligned = [extent.logical, length, physical.unwrap_or(1)];
        let Some(physical) = physical.filter(|_| aligned.iter().all(|n| n.is_multiple_of(block)))
        else {
            return Err(Error::refused(format!(
                "byte {} of the file is not at the start of a logical block of {block} bytes",
                extent.logical
            )));
        };
        push(&mut pieces, Piece::Zeros(extent.logical - at));
        push(
            &mut pieces,
            if extent.flags & UNWRITTEN != 0 {
                Piece::Zeros(length)
            } else {
                Piece::Blocks(LbaRange {
                    nsid,
                    slba: physical / block,
                    blocks: length / block,
                })
            },
        );
        at = extent.logical + length;
    }
    push(&mut pieces, Piece::Zeros(end - at));
    Ok(pieces)
}

fn check_flags(extent: &Extent) -> Result<(), Error> {
    let reasons = [
        (INLINE, "lie in the inode, not in blocks of their own"),
        (ENCRYPTED, "are encrypted by the file system"),
        (ENCODED, "are compressed by the file system"),
        (TAIL, "share a block with other files"),
        (DELALLOC, "have not been written to the drive"),
        (UNKNOWN, "are at a place that the file system does not tell"),
        (NOT_ALIGNED, "do not start with a block"),
    ];
    match reasons.iter().find(|(flag, _)| extent.flags & flag != 0) {
        None => Ok(()),
        Some((_, reason)) => {
            let (from, to) = (extent.logical, extent.logical.saturating_add(extent.length));
            Err(Error::refused(format!(
                "the drive can't copy the file by itself: bytes {from} to {to} {reason}"
            )))
        }
    }
}

/// Appends a piece, joined with the last if the two are one run.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match (pieces.last_mut(), piece) {
        (_, Piece::Zeros(0)) | (_, Piece::Blocks(LbaRange { blocks: 0, .. })) => {}
        (Some(Piece::Zeros(before)), Piece::Zeros(more)) => *before += more,
        (Some(Piece::Blocks(before)), Piece::Blocks(more))
            if before.nsid == more.nsid && before.slba + before.blocks == more.slba =>
        {
            before.blocks += more.blocks;
        }
        _ => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        nsid: 1,
        start: 1 << 20,
        block: 512,
    };

    fn extent(logical: u64, physical: u64, length: u64, flags: u32) -> Extent {
        Extent {
            logical,
            physical,
            length,
            flags,
        }
    }

    fn blocks(slba: u64, blocks: u64) -> Piece {
        Piece::Blocks(LbaRange {
            nsid: 1,
            slba,
            blocks,
        })
    }

    #[test]
    fn blocks_count_from_the_start_of_the_namespace() {
        let found = pieces(8192, &[extent(0, 4096, 8192, 1)], PLACE).expect("mapped");
        assert_eq!(found, [blocks(2048 + 8, 16)]);
        let large = Place {
            start: 0,
            block: 4096,
            ..PLACE
        };
        let found = pieces(8192, &[extent(0, 4096, 8192, 1)], large).expect("mapped");
        assert_eq!(found, [blocks(1, 2)]);
    }

    #[test]
    fn holes_and_unwritten_space_are_zeros() {
        let extents = [
            extent(4096, 0, 4096, 0),
            extent(8192, 40960, 4096, UNWRITTEN),
            extent(16384, 8192, 4096, 1),
        ];
        let found = pieces(32768, &extents, PLACE).expect("mapped");
        let expected = [
            Piece::Zeros(4096),
            blocks(2048, 8),
            Piece::Zeros(8192),
            blocks(2048 + 16, 8),
            Piece::Zeros(12288),
        ];
        assert_eq!(found, expected);
        let total: u64 = found.iter().map(|piece| piece.bytes(512)).sum();
        assert_eq!(total, 32768);
    }

    #[test]
    fn neighbours_in_file_and_on_the_device_are_one_run() {
        let extents = [extent(4096, 12288, 4096, 1), extent(0, 8192, 4096, 0)];
        let found = pieces(8192, &extents, PLACE).expect("mapped");
        assert_eq!(
            found,
            [blocks(2048 + 16, 16)],
            "whatever the order they come in"
        );
        let extents = [extent(0, 8192, 4096, 0), extent(4096, 0, 4096, 1)];
        assert_eq!(pieces(8192, &extents, PLACE).expect("mapped").len(), 2);
    }

    #[test]
    fn the_last_block_is_whole_and_space_behind_it_is_left_out() {
        let extents = [
            extent(0, 0, 1 << 20, 0),
            extent(1 << 20, 1 << 21, 4096, UNWRITTEN),
        ];
        assert_eq!(
            pieces(513, &extents, PLACE).expect("mapped"),
            [blocks(2048, 2)]
        );
        assert_eq!(pieces(0, &extents, PLACE).expect("mapped"), []);
        assert_eq!(
            pieces(700, &[], PLACE).expect("mapped"),
            [Piece::Zeros(1024)]
        );
    }

    #[test]
    fn shared_space_is_read_where_it_is() {
        const SHARED: u32 = 0x2000;
        let found = pieces(4096, &[extent(0, 4096, 4096, SHARED | 1)], PLACE).expect("mapped");
        assert_eq!(found, [blocks(2048 + 8, 8)]);
    }

    #[test]
    fn bytes_that_are_not_in_blocks_of_their_own_are_refused_with_the_reason() {
        for (flags, word) in [
            (INLINE | NOT_ALIGNED, "inode"),
            (ENCODED | ENCRYPTED, "encrypted"),
            (ENCODED, "compressed"),
            (TAIL | NOT_ALIGNED, "other files"),
            (DELALLOC | UNKNOWN, "not been written"),
            (UNKNOWN, "does not tell"),
            (NOT_ALIGNED, "start with a block"),
        ] {
            let error = pieces(100, &[extent(0, 0, 4096, flags)], PLACE).expect_err("refused");
            assert!(error.to_string().contains(word), "{flags:#x}: {error}");
        }
    }

    #[test]
    fn extents_that_no_block_matches_are_refused() {
        let wide = Place {
            block: 4096,
            ..PLACE
        };
        assert!(pieces(8192, &[extent(0, 512, 4096, 0)], wide).is_err());
        assert!(pieces(8192, &[extent(512, 4096, 4096, 0)], wide).is_err());
        assert!(pieces(8192, &[extent(0, 4096, 512, 0)], wide).is_err());
        assert!(pieces(8192, &[extent(0, u64::MAX - 511, 512, 0)], PLACE).is_err());
        let overlap = [extent(0, 0, 8192, 0), extent(4096, 0, 4096, 0)];
        assert!(pieces(8192, &overlap, PLACE).is_err());
        assert!(pieces(u64::MAX, &[], PLACE).is_err());
    }
}
