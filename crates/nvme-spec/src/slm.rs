//! Dwords and structures of the Subsystem Local Memory Command Set (SLM): byte-addressable memory
//! namespaces.
//!
//! Memory Read, Memory Write and Memory Fill share one layout, given by the functions of
//! [`Sqe`] here: the starting byte in CDW10-11 and the length in bytes in CDW12, both multiples
//! of 4. Memory Copy is executed by the namespace that the data goes *to*.

use crate::nvm::{CopyFormat, SourceOptions};
use crate::opcode::SlmOpcode;
use crate::queue::Sqe;
use bitfield_struct::bitfield;

/// Addresses and lengths within a memory namespace are multiples of this many bytes.
pub const DWORD: u64 = 4;

/// CDW12 of Memory Copy; CDW2-3 is the total length in bytes, CDW10-11 the starting destination
/// byte.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct MemoryCopyCdw12 {
    /// Number of Ranges, 0's-based.
    pub nr_z: u8,
    /// Copy Descriptor Format: 2h, 3h or 4h.
    #[bits(4)]
    pub cdf: CopyFormat,
    #[bits(20)]
    __: u32,
}

wire! {
    /// Source Range Entry of Copy Descriptor Format 4h: bytes of a memory namespace.
    pub struct CopyRange4: 32 {
        /// Bytes 0-3: Source Namespace Identifier.
        pub snsid: u32,
        rsvd4: [u8; 4],
        /// Bytes 8-15: Starting byte in the source.
        pub saddr: u64,
        /// Bytes 16-19: Number of bytes.
        pub nbyte: u32,
        rsvd20: [u8; 2],
        /// Bytes 22-23: Source Options.
        pub sopt: SourceOptions,
        rsvd24: [u8; 8],
    }
}

wire! {
    /// Memory Range Descriptor: a range of a memory namespace, as programs are given it.
    pub struct MemoryRange: 32 {
        /// Bytes 0-3: Memory Namespace Identifier.
        pub mnsid: u32,
        /// Bytes 4-7: Length in bytes.
        pub length: u32,
        /// Bytes 8-15: Starting Byte.
        pub sb: u64,
        rsvd16: [u8; 16],
    }
}

impl MemoryRange {
    /// The range of `length` bytes from `sb` on in namespace `mnsid`.
    pub const fn new(mnsid: u32, sb: u64, length: u32) -> Self {
        Self {
            mnsid,
            length,
            sb,
            rsvd16: [0; 16],
        }
    }
}

impl CopyRange4 {
    /// The range of `nbyte` bytes from `saddr` on in namespace `snsid`.
    pub const fn new(snsid: u32, saddr: u64, nbyte: u32) -> Self {
        Self {
            snsid,
            rsvd4: [0; 4],
            saddr,
            nbyte,
            rsvd20: [0; 2],
            sopt: SourceOptions::new(),
            rsvd24: [0; 8],
        }
    }
}

impl Sqe {
    /// A Memory Read, Memory Write or Memory Fill of `length` bytes from byte `sb` on.
    pub fn memory(opcode: SlmOpcode, nsid: u32, sb: u64, length: u32) -> Self {
        let mut sqe = Self {
            cdw12: length,
            ..Self::new(opcode, nsid)
        };
        sqe.set_cdw10_11(sb);
        sqe
    }

    /// A Memory Copy to `length` bytes from byte `sdaddr` on; `length` is the sum of the ranges.
    pub fn memory_copy(nsid: u32, sdaddr: u64, length: u64, cdw12: MemoryCopyCdw12) -> Self {
        let mut sqe = Self {
            cdw12: cdw12.into_bits(),
            ..Self::new(SlmOpcode::MemoryCopy, nsid)
        };
        sqe.set_cdw2_3(length);
        sqe.set_cdw10_11(sdaddr);
        sqe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn structures_are_in_place() {
        assert_eq!(offset_of!(CopyRange4, saddr), 8);
        assert_eq!(offset_of!(CopyRange4, nbyte), 16);
        assert_eq!(offset_of!(CopyRange4, sopt), 22);
        assert_eq!(offset_of!(MemoryRange, length), 4);
        assert_eq!(offset_of!(MemoryRange, sb), 8);
    }

    #[test]
    fn copy_is_total_length_destination_and_ranges() {
        let cdw12 = MemoryCopyCdw12::new()
            .with_nr_z(2)
            .with_cdf(CopyFormat::Memory);
        let sqe = Sqe::memory_copy(3, 0x1_0000_0000, 0x2_0000_0004, cdw12);
        assert_eq!((sqe.opcode, sqe.nsid), (0x01, 3));
        assert_eq!((sqe.cdw2, sqe.cdw3), (4, 2));
        assert_eq!((sqe.cdw10, sqe.cdw11, sqe.cdw12), (0, 1, 0x0402));
    }

    #[test]
    fn read_is_start_and_length() {
        let sqe = Sqe::memory(SlmOpcode::MemoryRead, 3, 0x1_0000_0008, 64);
        assert_eq!(
            (sqe.opcode, sqe.cdw10, sqe.cdw11, sqe.cdw12),
            (0x02, 8, 1, 64)
        );
    }
}
