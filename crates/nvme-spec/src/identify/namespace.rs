//! What Identify says about a namespace: CNS 00h and the NVM Command Set's CNS 05h and 06h, the
//! I/O Command Set Independent CNS 08h, and the lists of CNS 03h and 1Ch.

use crate::admin::Csi;
use zerocopy::little_endian::U128;

wire! {
    /// Identify Namespace of the NVM Command Set: CNS 00h (NVM, 4.1.5.1).
    pub struct IdentifyNamespace: 4096 {
        /// Bytes 0-7: Namespace Size, in logical blocks.
        pub nsze: u64,
        /// Bytes 8-15: Namespace Capacity, in logical blocks.
        pub ncap: u64,
        /// Bytes 16-23: Namespace Utilization, in logical blocks.
        pub nuse: u64,
        /// Byte 24: Namespace Features.
        pub nsfeat: Nsfeat,
        /// Byte 25: Number of LBA Formats, 0's-based.
        pub nlbaf_z: u8,
        /// Byte 26: Formatted LBA Size.
        pub flbas: Flbas,
        /// Byte 27: Metadata Capabilities: bit 0 in an extended LBA, bit 1 in a separate buffer.
        pub mc: u8,
        /// Byte 28: End-to-end Data Protection Capabilities.
        pub dpc: u8,
        /// Byte 29: End-to-end Data Protection Type Settings.
        pub dps: u8,
        /// Byte 30: Namespace Multi-path I/O and Namespace Sharing Capabilities: bit 0 shared.
        pub nmic: u8,
        /// Byte 31: Reservation Capabilities.
        pub rescap: u8,
        /// Byte 32: Format Progress Indicator.
        pub fpi: u8,
        /// Byte 33: Deallocate Logical Block Features.
        pub dlfeat: Dlfeat,
        /// Bytes 34-35: Namespace Atomic Write Unit Normal, 0's-based.
        pub nawun_z: u16,
        /// Bytes 36-37: Namespace Atomic Write Unit Power Fail, 0's-based.
        pub nawupf_z: u16,
        /// Bytes 38-39: Namespace Atomic Compare & Write Unit, 0's-based.
        pub nacwu_z: u16,
        /// Bytes 40-41: Namespace Atomic Boundary Size Normal, 0's-based.
        pub nabsn_z: u16,
        /// Bytes 42-43: Namespace Atomic Boundary Offset.
        pub nabo: u16,
        /// Bytes 44-45: Namespace Atomic Boundary Size Power Fail, 0's-based.
        pub nabspf_z: u16,
        /// Bytes 46-47: Namespace Optimal I/O Boundary, in logical blocks.
        pub noiob: u16,
        /// Bytes 48-63: NVM Capacity, in bytes.
        pub nvmcap: U128,
        /// Bytes 64-65: Namespace Preferred Write Granularity, 0's-based.
        pub npwg_z: u16,
        /// Bytes 66-67: Namespace Preferred Write Alignment, 0's-based.
        pub npwa_z: u16,
        /// Bytes 68-69: Namespace Preferred Deallocate Granularity, 0's-based.
        pub npdg_z: u16,
        /// Bytes 70-71: Namespace Preferred Deallocate Alignment, 0's-based.
        pub npda_z: u16,
        /// Bytes 72-73: Namespace Optimal Write Size, 0's-based.
        pub nows_z: u16,
        /// Bytes 74-75: Maximum Single Source Range Length of Copy, in logical blocks.
        pub mssrl: u16,
        /// Bytes 76-79: Maximum Copy Length, in logical blocks.
        pub mcl: u32,
        /// Byte 80: Maximum Source Range Count of Copy, 0's-based.
        pub msrc_z: u8,
        /// Byte 81: Key Per I/O Status.
        pub kpios: u8,
        /// Byte 82: Number of Unique Attribute LBA Formats.
        pub nulbaf: u8,
        rsvd83: u8,
        /// Bytes 84-87: Key Per I/O Data Access Alignment and Granularity.
        pub kpiodaag: u32,
        rsvd88: [u8; 4],
        /// Bytes 92-95: ANA Group Identifier.
        pub anagrpid: u32,
        rsvd96: [u8; 3],
        /// Byte 99: Namespace Attributes: bit 0 write protected.
        pub nsattr: u8,
        /// Bytes 100-101: NVM Set Identifier.
        pub nvmsetid: u16,
        /// Bytes 102-103: Endurance Group Identifier.
        pub endgid: u16,
        /// Bytes 104-119: Namespace Globally Unique Identifier, big-endian.
        pub nguid: [u8; 16],
        /// Bytes 120-127: IEEE Extended Unique Identifier, big-endian.
        pub eui64: [u8; 8],
        /// Bytes 128-383: LBA Formats.
        pub lbaf: [LbaFormat; 64],
        /// Bytes 384-4095: vendor specific.
        pub vs: [u8; 3712],
    }
}

fields! {
    /// LBA Format (NVM, Figure 116).
    LbaFormat: u32 {
        /// Metadata Size, in bytes.
        pub ms: u16,
        /// LBA Data Size is 2^LBADS bytes, 9 at least; 0 for a format that is not available.
        pub lbads: u8,
        /// Relative Performance: 0 best to 3 degraded.
        #[bits(2)]
        pub rp: u8,
        #[bits(6)]
        __: u8,
    }

    /// Namespace Features of the NVM Command Set.
    Nsfeat: u8 {
        /// Thin Provisioning.
        pub thinp: bool,
        /// NAWUN, NAWUPF and NACWU are defined for this namespace.
        pub nsabp: bool,
        /// Deallocated or unwritten logical block errors are supported.
        pub dae: bool,
        /// NGUID and EUI64 are never reused.
        pub uidreuse: bool,
        /// Optimal Performance fields (NPWG and so on) are defined, as [`IdentifyNamespace`] tells.
        #[bits(2)]
        pub optperf: u8,
        /// Multiple Atomicity Mode.
        pub mam: bool,
        /// Optimal Read Performance fields are defined.
        pub optrperf: bool,
    }

    /// Formatted LBA Size.
    Flbas: u8 {
        /// Index of the LBA format, bits 3:0.
        #[bits(4)]
        pub low: u8,
        /// Metadata is at the end of the data: extended LBAs.
        pub extended: bool,
        /// Index of the LBA format, bits 5:4.
        #[bits(2)]
        pub high: u8,
        __: bool,
    }

    /// Deallocate Logical Block Features.
    Dlfeat: u8 {
        /// What deallocated blocks read as: 0 not reported, 1 zeroes, 2 FFh.
        #[bits(3)]
        pub read: u8,
        /// Write Zeroes with Deallocate is supported.
        pub wzd: bool,
        /// The guard of deallocated blocks is the CRC of what they read as, else FFFFh.
        pub guard: bool,
        #[bits(3)]
        __: u8,
    }
}

impl Flbas {
    /// Index of the LBA format, from its two parts.
    pub const fn index(self) -> u8 {
        self.low() | self.high() << 4
    }
}

wire! {
    /// I/O Command Set specific Identify Namespace of the NVM Command Set: CNS 05h, CSI 00h
    /// (NVM, 4.1.5.3).
    pub struct IdentifyNamespaceNvm: 4096 {
        /// Bytes 0-7: Logical Block Storage Tag Mask.
        pub lbstm: u64,
        /// Byte 8: Protection Information Capabilities.
        pub pic: u8,
        /// Byte 9: Protection Information Format Attributes.
        pub pifa: u8,
        rsvd10: [u8; 2],
        /// Bytes 12-267: Extended LBA Formats, one for each of [`IdentifyNamespace::lbaf`].
        pub elbaf: [ExtendedLbaFormat; 64],
        /// Bytes 268-271: Namespace Preferred Deallocate Granularity Large.
        pub npdgl: u32,
        /// Bytes 272-275: Namespace Preferred Read Granularity.
        pub nprg: u32,
        /// Bytes 276-279: Namespace Preferred Read Alignment.
        pub npra: u32,
        /// Bytes 280-283: Namespace Optimal Read Size.
        pub nors: u32,
        /// Bytes 284-287: Namespace Preferred Deallocate Alignment Large.
        pub npdal: u32,
        /// Bytes 288-291: LBA Format Placement Shard Size.
        pub lbapss: u32,
        /// Bytes 292-295: Tracked LBA Allocation Granularity.
        pub tlbaag: u32,
        rsvd296: [u8; 3800],
    }
}

fields! {
    /// Extended LBA Format (NVM, Figure 119).
    ExtendedLbaFormat: u32 {
        /// Storage Tag Size, in bits.
        #[bits(7)]
        pub sts: u8,
        /// Protection Information Format: guard of 0 16, 1 32, 2 64 bits, 3 see QPIF.
        #[bits(2)]
        pub pif: u8,
        /// Qualified Protection Information Format.
        #[bits(4)]
        pub qpif: u8,
        #[bits(19)]
        __: u32,
    }
}

wire! {
    /// I/O Command Set specific Identify Controller of the NVM Command Set: CNS 06h, CSI 00h
    /// (NVM, 4.1.5.4). The limits are powers of two of minimum memory pages; 0 for none.
    pub struct IdentifyControllerNvm: 4096 {
        /// Byte 0: Verify Size Limit.
        pub vsl: u8,
        /// Byte 1: Write Zeroes Size Limit.
        pub wzsl: u8,
        /// Byte 2: Write Uncorrectable Size Limit.
        pub wusl: u8,
        /// Byte 3: Dataset Management Ranges Limit; 0 for none.
        pub dmrl: u8,
        /// Bytes 4-7: Dataset Management Range Size Limit, in logical blocks; 0 for none.
        pub dmrsl: u32,
        /// Bytes 8-15: Dataset Management Size Limit, in logical blocks; 0 for none.
        pub dmsl: u64,
        /// Byte 16: Key Per I/O Capabilities.
        pub kpiocap: u8,
        /// Byte 17: Write Zeroes With Deallocate Size Limit.
        pub wzdsl: u8,
        /// Bytes 18-19: Admin Optional Command Support.
        pub aocs: u16,
        /// Bytes 20-23: Version of the NVM Command Set.
        pub ver: u32,
        /// Byte 24: LBA Migration Queue Format.
        pub lbamqf: u8,
        rsvd25: [u8; 4071],
    }
}

wire! {
    /// I/O Command Set Independent Identify Namespace: CNS 08h (Base, 5.1.13.2.8).
    pub struct IdentifyNamespaceIndependent: 4096 {
        /// Byte 0: Common Namespace Features.
        pub nsfeat: CommonNsfeat,
        /// Byte 1: Namespace Multi-path I/O and Namespace Sharing Capabilities: bit 0 shared.
        pub nmic: u8,
        /// Byte 2: Reservation Capabilities.
        pub rescap: u8,
        /// Byte 3: Format Progress Indicator.
        pub fpi: u8,
        /// Bytes 4-7: ANA Group Identifier.
        pub anagrpid: u32,
        /// Byte 8: Namespace Attributes: bit 0 write protected.
        pub nsattr: u8,
        rsvd9: u8,
        /// Bytes 10-11: NVM Set Identifier.
        pub nvmsetid: u16,
        /// Bytes 12-13: Endurance Group Identifier.
        pub endgid: u16,
        /// Byte 14: Namespace Status.
        pub nstat: Nstat,
        /// Byte 15: Key Per I/O Status.
        pub kpios: u8,
        /// Bytes 16-17: Maximum Key Tag.
        pub maxkt: u16,
        rsvd18: [u8; 2],
        /// Bytes 20-23: Reachability Group Identifier; 0 if reachability is not reported.
        pub rgrpid: u32,
        rsvd24: [u8; 4072],
    }
}

fields! {
    /// Common Namespace Features.
    CommonNsfeat: u8 {
        #[bits(3)]
        __: u8,
        /// NGUID and EUI64 are never reused.
        pub uidreuse: bool,
        /// Rotational Media.
        pub rmedia: bool,
        /// Volatile Write Cache Not Present.
        pub vwcnp: bool,
        #[bits(2)]
        __: u8,
    }

    /// Namespace Status.
    Nstat: u8 {
        /// Namespace Ready.
        pub nrdy: bool,
        #[bits(7)]
        __: u8,
    }
}

wire! {
    /// Header of a Namespace Identification Descriptor: CNS 03h. NIDL bytes follow, then the next
    /// descriptor; a length of 0 ends the list.
    pub struct NamespaceIdDescriptor: 4 {
        /// Byte 0: Namespace Identifier Type.
        pub nidt: NamespaceIdType,
        /// Byte 1: Namespace Identifier Length, in bytes.
        pub nidl: u8,
        rsvd2: [u8; 2],
    }
}

open! {
    /// Namespace Identifier Type.
    pub enum NamespaceIdType: u8 {
        /// IEEE Extended Unique Identifier, 8 bytes.
        Eui64 = 1,
        /// Namespace Globally Unique Identifier, 16 bytes.
        Nguid = 2,
        /// Namespace UUID, 16 bytes.
        Uuid = 3,
        /// Command Set Identifier, 1 byte.
        Csi = 4,
    }
}

impl NamespaceIdDescriptor {
    /// The header of an identifier of this type, with the length that the type has.
    pub const fn new(nidt: NamespaceIdType) -> Self {
        let nidl = match nidt {
            NamespaceIdType::Eui64 => 8,
            NamespaceIdType::Nguid | NamespaceIdType::Uuid => 16,
            NamespaceIdType::Csi => 1,
            _ => 0,
        };
        Self {
            nidt,
            nidl,
            rsvd2: [0; 2],
        }
    }
}

wire! {
    /// Identify I/O Command Set data structure: CNS 1Ch (Base, 5.1.13.2.19).
    pub struct IocsCombinations: 4096 {
        /// Combinations that the controller supports; an empty one ends the list.
        pub iocsc: [IocsVector; 512],
    }
}

fields! {
    /// I/O Command Set Combination: sets that may be enabled together. Bit *n* stands for CSI *n*.
    IocsVector: u64 {
        /// NVM Command Set.
        pub nvm: bool,
        /// Key Value Command Set.
        pub kv: bool,
        /// Zoned Namespace Command Set.
        pub zns: bool,
        /// Subsystem Local Memory Command Set.
        pub slm: bool,
        /// Computational Programs Command Set.
        pub cp: bool,
        #[bits(59)]
        __: u64,
    }
}

impl IocsVector {
    /// Whether this command set is in the combination.
    pub const fn contains(self, csi: Csi) -> bool {
        csi.0 < 64 && self.into_bits() >> csi.0 & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;
    use zerocopy::IntoBytes;

    macro_rules! at {
        ($type:ident: $($field:ident $offset:literal)*) => {
            $(assert_eq!(offset_of!($type, $field), $offset, stringify!($field));)*
        };
    }

    #[test]
    fn fields_are_at_their_bytes() {
        at! { IdentifyNamespace:
            nuse 16 nsfeat 24 nlbaf_z 25 flbas 26 mc 27 dpc 28 dps 29 nmic 30 rescap 31 fpi 32
            dlfeat 33 nawun_z 34 nabo 42 noiob 46 nvmcap 48 npwg_z 64 nows_z 72 mssrl 74 mcl 76
            msrc_z 80 nulbaf 82 kpiodaag 84 anagrpid 92 nsattr 99 nvmsetid 100 endgid 102 nguid 104
            eui64 120 lbaf 128 vs 384
        }
        at! { IdentifyNamespaceNvm:
            pic 8 pifa 9 elbaf 12 npdgl 268 nprg 272 npra 276 nors 280 npdal 284
        }
        at! { IdentifyControllerNvm:
            vsl 0 wzsl 1 wusl 2 dmrl 3 dmrsl 4 dmsl 8 kpiocap 16 wzdsl 17 aocs 18 ver 20 lbamqf 24
        }
        at! { IdentifyNamespaceIndependent:
            anagrpid 4 nsattr 8 nvmsetid 10 endgid 12 nstat 14 kpios 15 maxkt 16 rgrpid 20
        }
    }

    #[test]
    fn formats() {
        assert_eq!(
            LbaFormat::new().with_lbads(12).with_ms(8).into_bits(),
            0x000C_0008
        );
        assert_eq!(Flbas::from_bits(0x75).index(), 0x35);
        assert_eq!(ExtendedLbaFormat::new().with_pif(2).into_bits(), 2 << 7);
        assert_eq!(ExtendedLbaFormat::new().with_qpif(1).into_bits(), 1 << 9);
        assert_eq!(Dlfeat::new().with_read(1).with_wzd(true).into_bits(), 9);
    }

    #[test]
    fn a_combination_is_a_set_of_csi() {
        let vector = IocsVector::new()
            .with_nvm(true)
            .with_slm(true)
            .with_cp(true);
        assert_eq!(vector.into_bits(), 0x19);
        assert!(vector.contains(Csi::Cp) && !vector.contains(Csi::Zns));
        assert!(!IocsVector::from_bits(u64::MAX).contains(Csi(64)));
    }

    #[test]
    fn identifiers_have_the_length_of_their_type() {
        assert_eq!(
            NamespaceIdDescriptor::new(NamespaceIdType::Csi).as_bytes(),
            &[4, 1, 0, 0]
        );
        assert_eq!(
            NamespaceIdDescriptor::new(NamespaceIdType::Uuid).as_bytes(),
            &[3, 16, 0, 0]
        );
    }
}
