//! Log pages (Base, 5.1.12; CP).

use crate::cp::ProgramType;
use crate::queue::StatusField;
use crate::status::Status;
use bitfield_struct::bitfield;
use zerocopy::little_endian::{U16, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

wire! {
    /// Supported Log Pages: log 00h.
    pub struct SupportedLogPages: 1024 {
        /// One entry for each log page identifier.
        pub lids: [LidSupported; 256],
    }
}

/// LID Supported and Effects.
#[bitfield(u32)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct LidSupported {
    /// LID Supported.
    pub lsupp: bool,
    /// Index Offset Supported: Get Log Page may have OT set.
    pub ios: bool,
    #[bits(14)]
    __: u16,
    /// LID Specific Parameter.
    pub lidsp: u16,
}

wire! {
    /// Error Information: entry of log 01h, the newest first.
    pub struct ErrorInformation: 64 {
        /// Bytes 0-7: Error Count: number of this error since the first; 0 for an unused entry.
        pub ec: u64,
        /// Bytes 8-9: Submission Queue ID; FFFFh if not of a queue.
        pub sqid: u16,
        /// Bytes 10-11: Command ID; FFFFh if not of a command.
        pub cid: u16,
        /// Bytes 12-13: Status field as in the completion, Phase Tag included.
        pub sts: StatusField,
        /// Bytes 14-15: Parameter Error Location: byte (7:0) and bit (10:8) in the command.
        pub pel: u16,
        /// Bytes 16-23: first LBA that had the error.
        pub lba: u64,
        /// Bytes 24-27: Namespace.
        pub ns: u32,
        /// Byte 28: Vendor Specific Information Available: a log page identifier.
        pub vsia: u8,
        /// Byte 29: Transport Type.
        pub trtype: u8,
        /// Byte 30: Command Set Indicator of the command.
        pub csi: u8,
        /// Byte 31: Opcode of the command.
        pub opc: u8,
        /// Bytes 32-39: Command Specific Information.
        pub csinfo: u64,
        /// Bytes 40-41: Transport Type Specific Information.
        pub ttsi: u16,
        rsvd42: [u8; 21],
        /// Byte 63: Log Page Version.
        pub lpver: u8,
    }
}

impl ErrorInformation {
    /// How the command ended.
    pub const fn status(&self) -> Status {
        self.sts.status()
    }
}

wire! {
    /// SMART / Health Information: log 02h. Counters never wrap.
    pub struct SmartHealth: 512 {
        /// Byte 0: Critical Warning.
        pub cw: CriticalWarning,
        /// Bytes 1-2: Composite Temperature, in kelvins.
        pub ctemp: U16,
        /// Byte 3: Available Spare, in percent.
        pub avsp: u8,
        /// Byte 4: Available Spare Threshold, in percent.
        pub avspt: u8,
        /// Byte 5: Percentage Used; may exceed 100, 255 stands for more too.
        pub pused: u8,
        /// Byte 6: Endurance Group Critical Warning Summary.
        pub egcws: u8,
        rsvd7: [u8; 25],
        /// Bytes 32-47: Data Units Read, in 512,000 bytes, rounded up.
        pub dur: U128,
        /// Bytes 48-63: Data Units Written, in 512,000 bytes, rounded up.
        pub duw: U128,
        /// Bytes 64-79: Host Read Commands.
        pub hrc: U128,
        /// Bytes 80-95: Host Write Commands.
        pub hwc: U128,
        /// Bytes 96-111: Controller Busy Time, in minutes.
        pub cbt: U128,
        /// Bytes 112-127: Power Cycles.
        pub pwrc: U128,
        /// Bytes 128-143: Power On Hours.
        pub poh: U128,
        /// Bytes 144-159: Unexpected Power Losses.
        pub upl: U128,
        /// Bytes 160-175: Media and Data Integrity Errors.
        pub mdie: U128,
        /// Bytes 176-191: Number of Error Information Log Entries over the controller's life.
        pub neile: U128,
        /// Bytes 192-195: Warning Composite Temperature Time, in minutes.
        pub wctt: u32,
        /// Bytes 196-199: Critical Composite Temperature Time, in minutes.
        pub cctt: u32,
        /// Bytes 200-215: Temperature Sensors 1 to 8, in kelvins; 0 for none.
        pub tsen: [u16; 8],
        /// Bytes 216-219: Thermal Management Temperature 1 Transition Count.
        pub tmttc1: u32,
        /// Bytes 220-223: Thermal Management Temperature 2 Transition Count.
        pub tmttc2: u32,
        /// Bytes 224-227: Total Time for Thermal Management Temperature 1, in seconds.
        pub tttmt1: u32,
        /// Bytes 228-231: Total Time for Thermal Management Temperature 2, in seconds.
        pub tttmt2: u32,
        rsvd232: [u8; 280],
    }
}

/// Critical Warning of the SMART / Health log.
#[bitfield(u8)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CriticalWarning {
    /// Available Spare Capacity Below Threshold.
    pub ascbt: bool,
    /// Temperature Threshold Condition.
    pub ttc: bool,
    /// NVM Subsystem Degraded Reliability.
    pub ndr: bool,
    /// All Media Read-Only.
    pub amro: bool,
    /// Volatile Memory Backup Failed.
    pub vmbf: bool,
    /// Persistent Memory Region Read-Only.
    pub pmrro: bool,
    #[bits(2)]
    __: u8,
}

wire! {
    /// Firmware Slot Information: log 03h.
    pub struct FirmwareSlot: 512 {
        /// Byte 0: Active Firmware Info: the slot that runs (2:0), that after a reset (6:4).
        pub afi: u8,
        rsvd1: [u8; 7],
        /// Bytes 8-63: Firmware Revisions of slots 1 to 7, ASCII; zeroes for an empty slot.
        pub frs: [[u8; 8]; 7],
        rsvd64: [u8; 448],
    }
}

wire! {
    /// Commands Supported and Effects: log 05h, for the command set that CSI names.
    pub struct CommandsSupportedAndEffects: 4096 {
        /// Bytes 0-1023: Admin commands, by opcode.
        pub acs: [CommandEffects; 256],
        /// Bytes 1024-2047: I/O commands, by opcode.
        pub iocs: [CommandEffects; 256],
        rsvd2048: [u8; 2048],
    }
}

/// Command Supported and Effects.
#[bitfield(u32)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CommandEffects {
    /// Command Supported.
    pub csupp: bool,
    /// Logical Block Content Change: may modify user data.
    pub lbcc: bool,
    /// Namespace Capability Change.
    pub ncc: bool,
    /// Namespace Inventory Change.
    pub nic: bool,
    /// Controller Capability Change.
    pub ccc: bool,
    #[bits(9)]
    __: u16,
    /// Command Submission and Execution Relaxations.
    #[bits(2)]
    pub cser: u8,
    /// Command Submission and Execution: 0 no restriction, 1 no other command on the namespace, 2
    /// on any namespace.
    #[bits(3)]
    pub cse: u8,
    /// UUID Selection Supported.
    pub uss: bool,
    /// Command Scope: what the command acts on.
    #[bits(12)]
    pub csp: Scope,
}

/// Scope of a command or of a feature; with no bit set, nothing is said.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Scope {
    /// A namespace.
    pub namespace: bool,
    /// A controller.
    pub controller: bool,
    /// An NVM Set.
    pub nvm_set: bool,
    /// An Endurance Group.
    pub endurance_group: bool,
    /// A domain.
    pub domain: bool,
    /// The NVM subsystem.
    pub subsystem: bool,
    #[bits(10)]
    __: u16,
}

wire! {
    /// Feature Identifiers Supported and Effects: log 12h.
    pub struct FeaturesSupportedAndEffects: 1024 {
        /// By Feature Identifier.
        pub fids: [FeatureEffects; 256],
    }
}

/// FID Supported and Effects.
#[bitfield(u32)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FeatureEffects {
    /// FID Supported.
    pub fsupp: bool,
    /// User Data Content Change: setting it may modify user data.
    pub udcc: bool,
    /// Namespace Capability Change.
    pub ncc: bool,
    /// Namespace Inventory Change.
    pub nic: bool,
    /// Controller Capability Change.
    pub ccc: bool,
    #[bits(14)]
    __: u16,
    /// UUID Selection Supported.
    pub uss: bool,
    /// FID Scope: what it is a property of.
    #[bits(12)]
    pub fsp: Scope,
}

wire! {
    /// Endurance Group Information: log 09h, for the group that LSI names.
    pub struct EnduranceGroup: 512 {
        /// Byte 0: Endurance Group Critical Warning: bits 0, 2 and 3 as in [`CriticalWarning`].
        pub egcw: u8,
        /// Byte 1: Endurance Group Features: bit 0 the group's media is rotational.
        pub egfeat: u8,
        rsvd2: u8,
        /// Byte 3: Available Spare, in percent.
        pub avsp: u8,
        /// Byte 4: Available Spare Threshold, in percent.
        pub avspt: u8,
        /// Byte 5: Percentage Used; may exceed 100.
        pub pused: u8,
        /// Bytes 6-7: Domain Identifier.
        pub did: u16,
        rsvd8: [u8; 24],
        /// Bytes 32-47: Endurance Estimate, in 10^9 bytes that may be written; 0 if not reported.
        pub ee: U128,
        /// Bytes 48-63: Data Units Read, in 10^9 bytes.
        pub dur: U128,
        /// Bytes 64-79: Data Units Written by the host, in 10^9 bytes.
        pub duw: U128,
        /// Bytes 80-95: Media Units Written, garbage collection included, in 10^9 bytes.
        pub muw: U128,
        /// Bytes 96-111: Host Read Commands.
        pub hrc: U128,
        /// Bytes 112-127: Host Write Commands.
        pub hwc: U128,
        /// Bytes 128-143: Media and Data Integrity Errors.
        pub mdie: U128,
        /// Bytes 144-159: Number of Error Information Log Entries.
        pub neile: U128,
        /// Bytes 160-175: Total Endurance Group Capacity, in bytes.
        pub tegcap: U128,
        /// Bytes 176-191: Unallocated Endurance Group Capacity, in bytes.
        pub uegcap: U128,
        rsvd192: [u8; 320],
    }
}

wire! {
    /// Header of Reachability Groups: log 1Ah. [`ReachabilityGroup`]s with their namespaces follow.
    pub struct ReachabilityGroupsHeader: 16 {
        /// Bytes 0-7: Change Count: 0 after a reset.
        pub chngc: u64,
        /// Bytes 8-9: Number of Reachability Group Descriptors.
        pub nrgd: u16,
        rsvd10: [u8; 6],
    }
}

wire! {
    /// Reachability Group Descriptor. NNID NSIDs in ascending order follow, as 32-bit integers,
    /// unless the host asked for groups only (LSP bit 0).
    pub struct ReachabilityGroup: 32 {
        /// Bytes 0-3: Reachability Group ID.
        pub rgid: u32,
        /// Bytes 4-7: Number of NSID values.
        pub nnid: u32,
        /// Bytes 8-15: Change Count: 1 after a reset, 0 if not reported.
        pub chngc: u64,
        rsvd16: [u8; 16],
    }
}

wire! {
    /// Header of Reachability Associations: log 1Bh. [`ReachabilityAssociation`]s with their
    /// groups follow.
    pub struct ReachabilityAssociationsHeader: 16 {
        /// Bytes 0-7: Change Count: 0 after a reset.
        pub chngc: u64,
        /// Bytes 8-9: Number of Reachability Association Descriptors.
        pub nrad: u16,
        rsvd10: [u8; 6],
    }
}

wire! {
    /// Reachability Association Descriptor. NRID group IDs in ascending order follow, as 32-bit
    /// integers, unless the host asked for associations only (LSP bit 0).
    pub struct ReachabilityAssociation: 32 {
        /// Bytes 0-3: Reachability Association ID.
        pub rasid: u32,
        /// Bytes 4-7: Number of Reachability Group IDs.
        pub nrid: u32,
        /// Bytes 8-15: Change Count: 1 after a reset, 0 if not reported.
        pub chngc: u64,
        /// Byte 16: Reachability Association Characteristics.
        pub rac: ReachabilityCharacteristics,
        rsvd17: [u8; 15],
    }
}

open! {
    /// Reachability Association Characteristics.
    pub enum ReachabilityCharacteristics: u8 {
        /// Reachable; nothing is said about the speed of copies.
        Reachable = 1,
        /// Reachable, and fast copies are supported.
        FastCopy = 2,
        /// Reachable, and fast copies are not supported.
        NoFastCopy = 3,
    }
}

wire! {
    /// Header of the three CP logs: Program List (82h), Downloadable Program Types List (83h) and
    /// Memory Range Set List (84h).
    ///
    /// **No public source gives the headers of these logs, nor the entries of 83h and 84h; those
    /// here were chosen for this crate.** The entries of 82h are [`crate::cp::ProgramDescriptor`],
    /// one for each program index from 0 on; those of 83h are [`DownloadableProgramType`]; those
    /// of 84h are [`MemoryRangeSetEntry`].
    pub struct CpLogHeader: 16 {
        /// Bytes 0-3: Number of entries that follow.
        pub num: u32,
        rsvd4: [u8; 12],
    }
}

wire! {
    /// Entry of Downloadable Program Types List; see [`CpLogHeader`] for where it comes from.
    pub struct DownloadableProgramType: 16 {
        /// Byte 0: Program Type.
        pub ptype: ProgramType,
        rsvd1: [u8; 15],
    }
}

wire! {
    /// Entry of Memory Range Set List; see [`CpLogHeader`] for where it comes from.
    pub struct MemoryRangeSetEntry: 16 {
        /// Bytes 0-1: Memory Range Set Identifier.
        pub rsid: u16,
        /// Byte 2: Number of Memory Ranges.
        pub numr: u8,
        rsvd3: [u8; 13],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    macro_rules! at {
        ($type:ident: $($field:ident $offset:literal)*) => {
            $(assert_eq!(offset_of!($type, $field), $offset, stringify!($field));)*
        };
    }

    #[test]
    fn fields_are_at_their_bytes() {
        at! { ErrorInformation:
            sts 12 pel 14 lba 16 ns 24 vsia 28 trtype 29 csi 30 opc 31 csinfo 32 ttsi 40 lpver 63
        }
        at! { SmartHealth:
            ctemp 1 avsp 3 avspt 4 pused 5 egcws 6 dur 32 duw 48 hrc 64 hwc 80 cbt 96 pwrc 112
            poh 128 upl 144 mdie 160 neile 176 wctt 192 cctt 196 tsen 200 tmttc1 216 tttmt2 228
        }
        at! { EnduranceGroup: avsp 3 did 6 ee 32 muw 80 tegcap 160 uegcap 176 }
        at! { FirmwareSlot: frs 8 }
        at! { CommandsSupportedAndEffects: iocs 1024 }
        at! { ReachabilityGroup: nnid 4 chngc 8 }
        at! { ReachabilityAssociation: nrid 4 chngc 8 rac 16 }
    }

    #[test]
    fn effects_bits() {
        assert_eq!(
            CommandEffects::new()
                .with_csupp(true)
                .with_lbcc(true)
                .into_bits(),
            3
        );
        assert_eq!(CommandEffects::new().with_cser(1).into_bits(), 1 << 14);
        assert_eq!(CommandEffects::new().with_cse(1).into_bits(), 1 << 16);
        assert_eq!(CommandEffects::new().with_uss(true).into_bits(), 1 << 19);
        let namespace = Scope::new().with_namespace(true);
        let effects = CommandEffects::new().with_csp(namespace);
        assert_eq!(effects.into_bits(), 1 << 20);
        let subsystem = Scope::new().with_subsystem(true);
        let feature = FeatureEffects::new().with_fsupp(true).with_fsp(subsystem);
        assert_eq!(feature.into_bits(), 1 << 25 | 1);
        assert_eq!(FeatureEffects::new().with_uss(true).into_bits(), 1 << 19);
        assert_eq!(LidSupported::new().with_lidsp(1).into_bits(), 1 << 16);
    }

    #[test]
    fn error_keeps_the_status_of_the_completion() {
        let mut entry = ErrorInformation::default();
        entry.sts.set_status(Status::INVALID_FIELD);
        assert_eq!(&entry.as_bytes()[12..14], &[4, 0]);
        assert_eq!(entry.status(), Status::INVALID_FIELD);
    }
}
