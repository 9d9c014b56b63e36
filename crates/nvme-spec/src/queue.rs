//! Submission and Completion Queue Entries, and the SGL descriptor (Base, 4.1 to 4.3).

use crate::status::Status;
use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

wire! {
    /// Submission Queue Entry, common format (Base, 4.1.1).
    pub struct Sqe: 64 {
        /// Byte 0: Opcode (CDW0 bits 7:0), of the queue's command set.
        pub opcode: u8,
        /// Byte 1: FUSE and PSDT (CDW0 bits 15:8).
        pub flags: SqeFlags,
        /// Bytes 2-3: Command Identifier (CDW0 bits 31:16), echoed in the completion.
        pub cid: u16,
        /// Bytes 4-7: Namespace Identifier.
        pub nsid: u32,
        /// Bytes 8-11: command specific.
        pub cdw2: u32,
        /// Bytes 12-15: command specific.
        pub cdw3: u32,
        /// Bytes 16-23: Metadata Pointer. Some commands give CDW4-5 another meaning.
        pub mptr: u64,
        /// Bytes 24-31: Data Pointer, PRP Entry 1 or the first half of an SGL descriptor.
        pub prp1: u64,
        /// Bytes 32-39: Data Pointer, PRP Entry 2 or the second half of an SGL descriptor.
        pub prp2: u64,
        /// Bytes 40-43: command specific.
        pub cdw10: u32,
        /// Bytes 44-47: command specific.
        pub cdw11: u32,
        /// Bytes 48-51: command specific.
        pub cdw12: u32,
        /// Bytes 52-55: command specific.
        pub cdw13: u32,
        /// Bytes 56-59: command specific.
        pub cdw14: u32,
        /// Bytes 60-63: command specific.
        pub cdw15: u32,
    }
}

impl Sqe {
    /// A command with this opcode (a number or one of the types of [`crate::opcode`]) on this
    /// namespace; all else zero.
    pub fn new(opcode: impl Into<u8>, nsid: u32) -> Self {
        Self {
            opcode: opcode.into(),
            nsid,
            ..Self::default()
        }
    }

    /// The same command with its data at these PRPs.
    pub const fn with_prp(mut self, prp1: u64, prp2: u64) -> Self {
        self.flags = self.flags.with_psdt(Psdt::Prp);
        self.prp1 = prp1;
        self.prp2 = prp2;
        self
    }

    /// The same command with its data described by this SGL descriptor, and its metadata (if any)
    /// by one contiguous buffer.
    pub const fn with_sgl(mut self, sgl1: SglDescriptor) -> Self {
        self.flags = self.flags.with_psdt(Psdt::Sgl);
        [self.prp1, self.prp2] = sgl1.into_halves();
        self
    }

    /// The data pointer as an SGL descriptor; of use only if [`SqeFlags::psdt`] says so.
    pub const fn sgl1(&self) -> SglDescriptor {
        SglDescriptor::from_halves([self.prp1, self.prp2])
    }

    /// CDW2 (low half) and CDW3.
    pub const fn cdw2_3(&self) -> u64 {
        join(self.cdw2, self.cdw3)
    }

    /// CDW10 (low half) and CDW11.
    pub const fn cdw10_11(&self) -> u64 {
        join(self.cdw10, self.cdw11)
    }

    /// CDW12 (low half) and CDW13.
    pub const fn cdw12_13(&self) -> u64 {
        join(self.cdw12, self.cdw13)
    }

    /// CDW14 (low half) and CDW15.
    pub const fn cdw14_15(&self) -> u64 {
        join(self.cdw14, self.cdw15)
    }

    /// Puts `value` into CDW2 (low half) and CDW3.
    pub const fn set_cdw2_3(&mut self, value: u64) {
        [self.cdw2, self.cdw3] = split(value);
    }

    /// Puts `value` into CDW10 (low half) and CDW11.
    pub const fn set_cdw10_11(&mut self, value: u64) {
        [self.cdw10, self.cdw11] = split(value);
    }

    /// Puts `value` into CDW12 (low half) and CDW13.
    pub const fn set_cdw12_13(&mut self, value: u64) {
        [self.cdw12, self.cdw13] = split(value);
    }

    /// Puts `value` into CDW14 (low half) and CDW15.
    pub const fn set_cdw14_15(&mut self, value: u64) {
        [self.cdw14, self.cdw15] = split(value);
    }
}

const fn join(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

const fn split(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// Byte 1 of a submission queue entry: CDW0 bits 15:8.
#[bitfield(u8)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct SqeFlags {
    /// Fused Operation.
    #[bits(2)]
    pub fuse: Fuse,
    #[bits(4)]
    __: u8,
    /// PRP or SGL for Data Transfer.
    #[bits(2)]
    pub psdt: Psdt,
}

open! {
    /// Fused Operation: CDW0 bits 9:8.
    pub enum Fuse: u8 {
        /// Not fused.
        Normal = 0,
        /// First command of a fused operation.
        First = 1,
        /// Second command of a fused operation.
        Second = 2,
    }
}

open! {
    /// PRP or SGL for Data Transfer: CDW0 bits 15:14.
    pub enum Psdt: u8 {
        /// PRPs.
        Prp = 0,
        /// SGLs; MPTR is the address of one contiguous buffer.
        Sgl = 1,
        /// SGLs; MPTR is the address of an SGL segment.
        SglMetadataSgl = 2,
    }
}

wire! {
    /// Completion Queue Entry (Base, 4.2.1).
    pub struct Cqe: 16 {
        /// Bytes 0-3: command specific.
        pub dw0: u32,
        /// Bytes 4-7: command specific.
        pub dw1: u32,
        /// Bytes 8-9: SQ Head Pointer.
        pub sqhd: u16,
        /// Bytes 10-11: SQ Identifier.
        pub sqid: u16,
        /// Bytes 12-13: Command Identifier.
        pub cid: u16,
        /// Bytes 14-15: Phase Tag and Status.
        pub sf: StatusField,
    }
}

impl Cqe {
    /// How the command ended.
    pub const fn status(&self) -> Status {
        self.sf.status()
    }

    /// Phase Tag.
    pub const fn phase(&self) -> bool {
        self.sf.phase()
    }

    /// DW0 (low half) and DW1.
    pub const fn dw0_1(&self) -> u64 {
        join(self.dw0, self.dw1)
    }
}

/// Bytes 14-15 of a completion queue entry: DW3 bits 31:16.
#[bitfield(u16)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct StatusField {
    /// Phase Tag: inverted by the controller each time that it wraps around the queue.
    pub phase: bool,
    /// Status.
    #[bits(15)]
    pub status: Status,
}

wire! {
    /// SGL Descriptor (Base, 4.3.2). In a keyed descriptor the bytes from 8 on differ.
    pub struct SglDescriptor: 16 {
        /// Bytes 0-7: Address of the data or of the next segment; reserved in a bit bucket.
        pub address: u64,
        /// Bytes 8-11: Length in bytes.
        pub length: u32,
        /// Bytes 12-14.
        rsvd12: [u8; 3],
        /// Byte 15: SGL Identifier.
        pub id: SglId,
    }
}

impl SglDescriptor {
    /// A descriptor of this type, subtype 0h (Address).
    pub const fn new(kind: SglType, address: u64, length: u32) -> Self {
        Self {
            address,
            length,
            rsvd12: [0; 3],
            id: SglId::new().with_kind(kind),
        }
    }

    const fn from_halves([first, second]: [u64; 2]) -> Self {
        let b = second.to_le_bytes();
        Self {
            address: first,
            length: second as u32,
            rsvd12: [b[4], b[5], b[6]],
            id: SglId::from_bits(b[7]),
        }
    }

    const fn into_halves(self) -> [u64; 2] {
        let [l0, l1, l2, l3] = self.length.to_le_bytes();
        let [r0, r1, r2] = self.rsvd12;
        [
            self.address,
            u64::from_le_bytes([l0, l1, l2, l3, r0, r1, r2, self.id.into_bits()]),
        ]
    }
}

/// SGL Identifier: the last byte of an SGL descriptor.
#[bitfield(u8)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct SglId {
    /// SGL Descriptor Sub Type: 0 address, 1 offset (in a capsule), Ah transport specific.
    #[bits(4)]
    pub subtype: u8,
    /// SGL Descriptor Type.
    #[bits(4)]
    pub kind: SglType,
}

open! {
    /// SGL Descriptor Type.
    pub enum SglType: u8 {
        /// Data Block.
        DataBlock = 0,
        /// Bit Bucket: data that the host does not want.
        BitBucket = 1,
        /// Segment: a further segment that is not the last.
        Segment = 2,
        /// Last Segment.
        LastSegment = 3,
        /// Keyed Data Block.
        KeyedDataBlock = 4,
        /// Transport Data Block.
        TransportDataBlock = 5,
        /// Vendor Specific.
        Vendor = 0xF,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn sqe_dwords_are_in_place() {
        assert_eq!(offset_of!(Sqe, nsid), 4);
        assert_eq!(offset_of!(Sqe, cdw2), 8);
        assert_eq!(offset_of!(Sqe, mptr), 16);
        assert_eq!(offset_of!(Sqe, prp1), 24);
        assert_eq!(offset_of!(Sqe, prp2), 32);
        assert_eq!(offset_of!(Sqe, cdw10), 40);
        assert_eq!(offset_of!(Sqe, cdw15), 60);
    }

    #[test]
    fn flags_are_at_cdw0_bits() {
        let sqe = Sqe {
            flags: SqeFlags::new().with_fuse(Fuse::Second).with_psdt(Psdt::Sgl),
            cid: 0xABCD,
            ..Sqe::new(0x02, 1)
        };
        assert_eq!(&sqe.as_bytes()[..4], &[0x02, 0b0100_0010, 0xCD, 0xAB]);
    }

    #[test]
    fn dword_pairs_are_low_first() {
        let mut sqe = Sqe::new(0x01, 1);
        sqe.set_cdw10_11(0x1122_3344_5566_7788);
        assert_eq!((sqe.cdw10, sqe.cdw11), (0x5566_7788, 0x1122_3344));
        assert_eq!(sqe.cdw10_11(), 0x1122_3344_5566_7788);
        sqe.set_cdw2_3(1 << 32);
        sqe.set_cdw12_13(2 << 32);
        sqe.set_cdw14_15(3 << 32);
        assert_eq!((sqe.cdw3, sqe.cdw13, sqe.cdw15), (1, 2, 3));
        assert_eq!(
            (sqe.cdw2_3(), sqe.cdw12_13(), sqe.cdw14_15()),
            (1 << 32, 2 << 32, 3 << 32)
        );
    }

    #[test]
    fn sgl_descriptor_survives_the_data_pointer() {
        let bytes: [u8; 16] = core::array::from_fn(|i| i as u8 + 1);
        let sgl = SglDescriptor::read_from_bytes(&bytes).expect("16 bytes");
        let sqe = Sqe::new(0x01, 1).with_sgl(sgl);
        assert_eq!(sqe.flags.psdt(), Psdt::Sgl);
        assert_eq!(&sqe.as_bytes()[24..40], &bytes);
        assert_eq!(sqe.sgl1(), sgl);
        assert_eq!(
            SglDescriptor::new(SglType::LastSegment, 0, 0).as_bytes()[15],
            0x30
        );
    }

    #[test]
    fn phase_is_bit_0_and_status_above_it() {
        let cqe = Cqe {
            sf: StatusField::new()
                .with_phase(true)
                .with_status(Status::INVALID_FIELD.with_dnr(true)),
            ..Cqe::default()
        };
        assert_eq!(
            u16::from_le_bytes([cqe.as_bytes()[14], cqe.as_bytes()[15]]),
            0x8005
        );
        assert!(cqe.phase());
        assert_eq!(cqe.status().code(), Status::INVALID_FIELD);
    }
}
