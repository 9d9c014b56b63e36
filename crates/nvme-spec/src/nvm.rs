//! Dwords of the NVM Command Set's I/O commands (NVM, 3.3).

use bitfield_struct::bitfield;

/// Protection Information Field: how protection information is handled (NVM, 5.3).
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct PrInfo {
    /// Check the reference tag.
    pub check_reftag: bool,
    /// Check the application tag.
    pub check_apptag: bool,
    /// Check the guard.
    pub check_guard: bool,
    /// Protection Information Action: the controller inserts or strips.
    pub pract: bool,
    #[bits(4)]
    __: u8,
}

/// CDW12 of Read, Write, Compare and Verify.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct RwCdw12 {
    /// Number of Logical Blocks, 0's-based.
    pub nlb_z: u16,
    /// Command Extension Type.
    #[bits(4)]
    pub cetype: u8,
    /// Directive Type (Write).
    #[bits(4)]
    pub dtype: u8,
    /// Storage Tag Check.
    pub stc: bool,
    __: bool,
    /// Protection Information Field.
    #[bits(4)]
    pub prinfo: PrInfo,
    /// Force Unit Access.
    pub fua: bool,
    /// Limited Retry.
    pub lr: bool,
}

/// CDW13 of Read and Write.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct RwCdw13 {
    /// Dataset Management hints.
    pub dsm: u8,
    __: u8,
    /// Directive Specific (Write); else Command Extension Value.
    pub dspec: u16,
}

/// CDW15 of the commands that carry protection information; CDW14 is the low half of the initial
/// or expected reference and storage tags.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct TagsCdw15 {
    /// Logical Block Application Tag.
    pub lbat: u16,
    /// Logical Block Application Tag Mask.
    pub lbatm: u16,
}

/// CDW12 of Write Zeroes.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct WriteZeroesCdw12 {
    /// Number of Logical Blocks, 0's-based.
    pub nlb_z: u16,
    /// Command Extension Type.
    #[bits(4)]
    pub cetype: u8,
    #[bits(3)]
    __: u8,
    /// Namespace Zeroes: the whole namespace; NLB does not count.
    pub nsz: bool,
    /// Storage Tag Check.
    pub stc: bool,
    /// Deallocate: the host would like the blocks to be deallocated.
    pub deac: bool,
    /// Protection Information Field.
    #[bits(4)]
    pub prinfo: PrInfo,
    /// Force Unit Access.
    pub fua: bool,
    /// Limited Retry.
    pub lr: bool,
}

/// CDW10 of Dataset Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct DsmCdw10 {
    /// Number of Ranges, 0's-based.
    pub nr_z: u8,
    #[bits(24)]
    __: u32,
}

/// CDW11 of Dataset Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct DsmCdw11 {
    /// Integral Dataset for Read.
    pub idr: bool,
    /// Integral Dataset for Write.
    pub idw: bool,
    /// Deallocate.
    pub ad: bool,
    #[bits(29)]
    __: u32,
}

wire! {
    /// A range of Dataset Management; up to 256 of them are the command's data.
    pub struct DsmRange: 16 {
        /// Bytes 0-3: Context Attributes.
        pub cattr: u32,
        /// Bytes 4-7: Length in logical blocks (not 0's-based).
        pub nlb: u32,
        /// Bytes 8-15: Starting LBA.
        pub slba: u64,
    }
}

/// CDW12 of Copy; CDW10-11 is the starting destination LBA.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CopyCdw12 {
    /// Number of Ranges, 0's-based.
    pub nr_z: u8,
    /// Copy Descriptor Format.
    #[bits(4)]
    pub cdf: CopyFormat,
    /// Protection Information Field for reading.
    #[bits(4)]
    pub prinfor: PrInfo,
    /// Command Extension Type.
    #[bits(4)]
    pub cetype: u8,
    /// Directive Type.
    #[bits(4)]
    pub dtype: u8,
    /// Storage Tag Check for writing.
    pub stcw: bool,
    /// Storage Tag Check for reading.
    pub stcr: bool,
    /// Protection Information Field for writing.
    #[bits(4)]
    pub prinfow: PrInfo,
    /// Force Unit Access.
    pub fua: bool,
    /// Limited Retry.
    pub lr: bool,
}

open! {
    /// Copy Descriptor Format: the shape of a source range. The same numbers serve the Copy
    /// command of the NVM Command Set and Memory Copy of the SLM Command Set.
    pub enum CopyFormat: u8 {
        /// LBAs of the same namespace, 16-bit guard: [`CopyRange0`].
        Lba16 = 0,
        /// LBAs of the same namespace, 32-bit or 64-bit guard: [`CopyRange1`].
        Lba64 = 1,
        /// LBAs of any namespace, 16-bit guard: [`CopyRange2`].
        NamespaceLba16 = 2,
        /// LBAs of any namespace, 32-bit or 64-bit guard: [`CopyRange3`].
        NamespaceLba64 = 3,
        /// Bytes of a memory namespace: [`crate::slm::CopyRange4`].
        Memory = 4,
    }
}

/// Source Options: bytes 22-23 of a source range that names its namespace.
#[bitfield(u16)]
#[derive(
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::KnownLayout,
    zerocopy::Immutable,
)]
pub struct SourceOptions {
    #[bits(15)]
    __: u16,
    /// Fast Copy Only: fail rather than copy slowly.
    pub fco: bool,
}

wire! {
    /// Source Range Entry of Copy Descriptor Format 0h.
    pub struct CopyRange0: 32 {
        rsvd0: [u8; 8],
        /// Bytes 8-15: Starting LBA.
        pub slba: u64,
        /// Bytes 16-17: Number of Logical Blocks, 0's-based.
        pub nlb_z: u16,
        /// Byte 18: Command Extension Type, bits 3:0.
        pub cetype: u8,
        rsvd19: u8,
        /// Bytes 20-21: Command Extension Value.
        pub cev: u16,
        rsvd22: [u8; 2],
        /// Bytes 24-27: Expected Logical Block Tags.
        pub elbt: u32,
        /// Bytes 28-29: Expected Logical Block Application Tag.
        pub elbat: u16,
        /// Bytes 30-31: Expected Logical Block Application Tag Mask.
        pub elbatm: u16,
    }
}

wire! {
    /// Source Range Entry of Copy Descriptor Format 1h.
    pub struct CopyRange1: 40 {
        rsvd0: [u8; 8],
        /// Bytes 8-15: Starting LBA.
        pub slba: u64,
        /// Bytes 16-17: Number of Logical Blocks, 0's-based.
        pub nlb_z: u16,
        /// Byte 18: Command Extension Type, bits 3:0.
        pub cetype: u8,
        rsvd19: u8,
        /// Bytes 20-21: Command Extension Value.
        pub cev: u16,
        rsvd22: [u8; 4],
        /// Bytes 26-35: Expected Logical Block Tags.
        pub elbt: [u8; 10],
        /// Bytes 36-37: Expected Logical Block Application Tag.
        pub elbat: u16,
        /// Bytes 38-39: Expected Logical Block Application Tag Mask.
        pub elbatm: u16,
    }
}

wire! {
    /// Source Range Entry of Copy Descriptor Format 2h.
    pub struct CopyRange2: 32 {
        /// Bytes 0-3: Source Namespace Identifier.
        pub snsid: u32,
        rsvd4: [u8; 4],
        /// Bytes 8-15: Starting LBA.
        pub slba: u64,
        /// Bytes 16-17: Number of Logical Blocks, 0's-based.
        pub nlb_z: u16,
        /// Byte 18: Command Extension Type, bits 3:0.
        pub cetype: u8,
        rsvd19: u8,
        /// Bytes 20-21: Command Extension Value.
        pub cev: u16,
        /// Bytes 22-23: Source Options.
        pub sopt: SourceOptions,
        /// Bytes 24-27: Expected Logical Block Tags.
        pub elbt: u32,
        /// Bytes 28-29: Expected Logical Block Application Tag.
        pub elbat: u16,
        /// Bytes 30-31: Expected Logical Block Application Tag Mask.
        pub elbatm: u16,
    }
}

wire! {
    /// Source Range Entry of Copy Descriptor Format 3h.
    pub struct CopyRange3: 40 {
        /// Bytes 0-3: Source Namespace Identifier.
        pub snsid: u32,
        rsvd4: [u8; 4],
        /// Bytes 8-15: Starting LBA.
        pub slba: u64,
        /// Bytes 16-17: Number of Logical Blocks, 0's-based.
        pub nlb_z: u16,
        /// Byte 18: Command Extension Type, bits 3:0.
        pub cetype: u8,
        rsvd19: u8,
        /// Bytes 20-21: Command Extension Value.
        pub cev: u16,
        /// Bytes 22-23: Source Options.
        pub sopt: SourceOptions,
        rsvd24: [u8; 2],
        /// Bytes 26-35: Expected Logical Block Tags.
        pub elbt: [u8; 10],
        /// Bytes 36-37: Expected Logical Block Application Tag.
        pub elbat: u16,
        /// Bytes 38-39: Expected Logical Block Application Tag Mask.
        pub elbatm: u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;
    use zerocopy::FromBytes;

    #[test]
    fn rw_dwords() {
        let cdw12 = RwCdw12::from_bits(0xC100_0007);
        assert_eq!(
            (cdw12.nlb_z(), cdw12.lr(), cdw12.fua(), cdw12.stc()),
            (7, true, true, true)
        );
        let prinfo = PrInfo::new().with_pract(true).with_check_guard(true);
        assert_eq!(
            RwCdw12::new().with_prinfo(prinfo).into_bits(),
            1 << 29 | 1 << 28
        );
        assert_eq!(WriteZeroesCdw12::new().with_deac(true).into_bits(), 1 << 25);
        assert_eq!(DsmCdw11::new().with_ad(true).into_bits(), 4);
    }

    #[test]
    fn copy_dword() {
        let cdw12 = CopyCdw12::new()
            .with_nr_z(1)
            .with_cdf(CopyFormat::NamespaceLba16);
        assert_eq!(cdw12.into_bits(), 0x0201);
        let prinfow = PrInfo::new().with_check_reftag(true);
        assert_eq!(CopyCdw12::new().with_prinfow(prinfow).into_bits(), 1 << 26);
    }

    #[test]
    fn copy_ranges() {
        assert_eq!(offset_of!(CopyRange2, slba), 8);
        assert_eq!(offset_of!(CopyRange2, nlb_z), 16);
        assert_eq!(offset_of!(CopyRange2, sopt), 22);
        assert_eq!(offset_of!(CopyRange2, elbt), 24);
        assert_eq!(offset_of!(CopyRange3, elbt), 26);
        assert_eq!(offset_of!(CopyRange3, elbatm), 38);
        assert_eq!(offset_of!(CopyRange0, elbt), 24);
        assert_eq!(offset_of!(CopyRange1, elbt), 26);
        let mut bytes = [0; 32];
        bytes[23] = 0x80;
        assert!(
            CopyRange2::read_from_bytes(&bytes)
                .expect("32 bytes")
                .sopt
                .fco()
        );
    }
}
