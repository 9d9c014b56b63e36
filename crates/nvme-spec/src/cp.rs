//! Dwords and structures of the Computational Programs Command Set (CP): compute namespaces, whose
//! programs work on ranges of memory namespaces.

use crate::opcode::CpOpcode;
use crate::queue::Sqe;
use bitfield_struct::bitfield;

/// CDW10 of Load Program; CDW11 is the program's size in bytes, CDW12-13 its identifier, CDW14 the
/// bytes and CDW15 the offset of this part of it.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct LoadProgramCdw10 {
    /// Program Index: the slot.
    pub pind: u16,
    /// Program Type.
    #[bits(8)]
    pub ptype: ProgramType,
    /// Select: unload, else load.
    pub unload: bool,
    /// Program Identifier Type.
    #[bits(3)]
    pub pit: ProgramIdType,
    #[bits(4)]
    __: u8,
}

open! {
    /// Program Type. 01h to BFh are for standard types, of which none is named in public; C0h and
    /// above are vendor specific.
    pub enum ProgramType: u8 {
        /// Defined by the device: built-in programs.
        DeviceDefined = 0x00,
        /// The first of the vendor specific types.
        VendorFirst = 0xC0,
    }
}

impl ProgramType {
    /// An ELF object of eBPF. **No public source names a number for it; this one, of the vendor
    /// specific range, was chosen for this crate.**
    pub const EBPF: Self = Self(0xC1);
    /// The name of a shared library that the drive's operator offers. Chosen for this crate.
    pub const NATIVE: Self = Self(0xC3);
    /// A phantom: a program that only takes time. Chosen for this crate.
    pub const PHANTOM: Self = Self(0xC4);
    /// The bitstream of an accelerator, of which only the time is modelled. Chosen for this crate.
    pub const BITSTREAM: Self = Self(0xC5);
}

open! {
    /// Program Identifier Type: what a Program Identifier is.
    pub enum ProgramIdType: u8 {
        /// No identifier.
        None = 0,
        /// Program Unique Identifier.
        Puid = 1,
    }
}

/// CDW10 of Program Activation Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ProgramActivationCdw10 {
    /// Program Index: the slot.
    pub pind: u16,
    /// Select.
    #[bits(4)]
    pub sel: ActivationSelect,
    #[bits(12)]
    __: u16,
}

open! {
    /// Select of Program Activation Management.
    pub enum ActivationSelect: u8 {
        /// Deactivate.
        Deactivate = 0,
        /// Activate.
        Activate = 1,
    }
}

/// CDW10 of Memory Range Set Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct MemoryRangeSetCdw10 {
    /// Select.
    #[bits(4)]
    pub sel: MemoryRangeSetSelect,
    #[bits(12)]
    __: u16,
    /// Memory Range Set Identifier, to delete; 0 to create.
    pub rsid: u16,
}

open! {
    /// Select of Memory Range Set Management.
    pub enum MemoryRangeSetSelect: u8 {
        /// Create a set; DW0 bits 15:0 of the completion are its identifier.
        Create = 0,
        /// Delete a set.
        Delete = 1,
    }
}

/// CDW11 of Memory Range Set Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct MemoryRangeSetCdw11 {
    /// Number of Memory Ranges (not 0's-based): as many [`crate::slm::MemoryRange`] are the data.
    pub numr: u8,
    #[bits(24)]
    __: u32,
}

/// CDW2 of Execute Program.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ExecuteCdw2 {
    /// Program Index: the slot.
    pub pind: u16,
    /// Memory Range Set Identifier; 0 for none.
    pub rsid: u16,
}

/// CDW14 of Execute Program, which the specification reserves. **Vendor specific.**
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ExecuteCdw14 {
    /// The job group; 0 for none.
    pub group: u8,
    /// Reserved, to be 0.
    #[bits(24)]
    pub rsvd: u32,
}

/// The dwords of Execute Program. Its data are NUMR [`crate::slm::MemoryRange`], then bytes for
/// the program. The completion's DW0-1 is the program's return value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Execute {
    /// CDW2 bits 15:0: Program Index.
    pub pind: u16,
    /// CDW2 bits 31:16: Memory Range Set Identifier; 0 for none.
    pub rsid: u16,
    /// CDW3: Number of Memory Ranges in the data; 0 if there is a set.
    pub numr: u32,
    /// CDW4: Data Length in bytes, of ranges and program's bytes together. It lies where other
    /// commands have the metadata pointer.
    pub dlen: u32,
    /// CDW10-11: Command Parameter 1.
    pub cparam1: u64,
    /// CDW12-13: Command Parameter 2.
    pub cparam2: u64,
    /// CDW14 bits 7:0, **vendor specific**: the job group, 0 for none. See [`crate::vendor`].
    pub group: u8,
    /// CDW15, **vendor specific**: what the job takes in ns, where the drive's cost model for
    /// the program is that the command says so; else 0.
    pub runtime: u32,
}

impl Execute {
    /// Takes the dwords out of a command.
    pub const fn from_sqe(sqe: &Sqe) -> Self {
        let cdw2 = ExecuteCdw2::from_bits(sqe.cdw2);
        Self {
            pind: cdw2.pind(),
            rsid: cdw2.rsid(),
            numr: sqe.cdw3,
            dlen: sqe.mptr as u32,
            cparam1: sqe.cdw10_11(),
            cparam2: sqe.cdw12_13(),
            group: ExecuteCdw14::from_bits(sqe.cdw14).group(),
            runtime: sqe.cdw15,
        }
    }

    /// The command for this compute namespace, without a data pointer.
    pub fn into_sqe(self, nsid: u32) -> Sqe {
        let mut sqe = Sqe {
            cdw2: ExecuteCdw2::new()
                .with_pind(self.pind)
                .with_rsid(self.rsid)
                .into_bits(),
            cdw3: self.numr,
            mptr: self.dlen.into(),
            cdw14: ExecuteCdw14::new().with_group(self.group).into_bits(),
            cdw15: self.runtime,
            ..Sqe::new(CpOpcode::ExecuteProgram, nsid)
        };
        sqe.set_cdw10_11(self.cparam1);
        sqe.set_cdw12_13(self.cparam2);
        sqe
    }
}

wire! {
    /// Program Descriptor: what a slot holds; entry of the Program List log page (82h).
    pub struct ProgramDescriptor: 64 {
        /// Byte 0: occupancy, activation and identifier type.
        pub state: ProgramState,
        /// Byte 1: Program Type.
        pub ptype: ProgramType,
        rsvd2: [u8; 6],
        /// Bytes 8-15: Program Identifier.
        pub pid: u64,
        rsvd16: [u8; 48],
    }
}

/// Byte 0 of a Program Descriptor.
#[bitfield(u8)]
#[derive(
    PartialEq,
    Eq,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::KnownLayout,
    zerocopy::Immutable,
)]
pub struct ProgramState {
    /// Program Entry Occupied.
    #[bits(2)]
    pub peocc: Occupancy,
    /// Activated.
    pub act: bool,
    /// Program Identifier Type.
    #[bits(3)]
    pub pit: ProgramIdType,
    #[bits(2)]
    __: u8,
}

open! {
    /// What is in a program slot.
    pub enum Occupancy: u8 {
        /// Nothing.
        Empty = 0,
        /// A program that a host loaded.
        Downloaded = 1,
        /// A program of the device.
        DeviceDefined = 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;
    use zerocopy::IntoBytes;

    #[test]
    fn admin_dwords() {
        let load = LoadProgramCdw10::from_bits(1 << 25 | 1 << 24 | 0xC1 << 16 | 7);
        assert_eq!((load.pind(), load.ptype()), (7, ProgramType(0xC1)));
        assert_eq!((load.unload(), load.pit()), (true, ProgramIdType::Puid));
        let activate = ProgramActivationCdw10::new()
            .with_pind(7)
            .with_sel(ActivationSelect::Activate);
        assert_eq!(activate.into_bits(), 0x0001_0007);
        let delete = MemoryRangeSetCdw10::new()
            .with_sel(MemoryRangeSetSelect::Delete)
            .with_rsid(9);
        assert_eq!(delete.into_bits(), 0x0009_0001);
    }

    #[test]
    fn execute_survives_the_queue_entry() {
        let execute = Execute {
            pind: 1,
            rsid: 2,
            numr: 3,
            dlen: 0x44,
            cparam1: 1 << 40,
            cparam2: 6,
            group: 7,
            runtime: 8,
        };
        let sqe = execute.into_sqe(5);
        let dword =
            |n: usize| u32::from_le_bytes(sqe.as_bytes()[4 * n..][..4].try_into().expect("4"));
        assert_eq!(
            (dword(1), dword(2), dword(3), dword(4), dword(5)),
            (5, 0x0002_0001, 3, 0x44, 0)
        );
        assert_eq!(
            (dword(10), dword(11), dword(12), dword(13)),
            (0, 1 << 8, 6, 0)
        );
        assert_eq!((dword(14), dword(15)), (7, 8));
        assert_eq!(Execute::from_sqe(&sqe), execute);
    }

    #[test]
    fn program_descriptor() {
        assert_eq!(offset_of!(ProgramDescriptor, pid), 8);
        let state = ProgramState::new()
            .with_peocc(Occupancy::DeviceDefined)
            .with_act(true)
            .with_pit(ProgramIdType::Puid);
        assert_eq!(state.into_bits(), 0b00_1110);
    }
}
