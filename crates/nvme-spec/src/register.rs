//! Controller properties: the registers at the start of BAR 0 (Base, 3.1.4).

use bitfield_struct::bitfield;

/// Controller Capabilities, 8 bytes.
pub const CAP: u64 = 0x00;
/// Version, 4 bytes.
pub const VS: u64 = 0x08;
/// Interrupt Mask Set, 4 bytes (pins and MSI only).
pub const INTMS: u64 = 0x0C;
/// Interrupt Mask Clear, 4 bytes (pins and MSI only).
pub const INTMC: u64 = 0x10;
/// Controller Configuration, 4 bytes.
pub const CC: u64 = 0x14;
/// Controller Status, 4 bytes.
pub const CSTS: u64 = 0x1C;
/// NVM Subsystem Reset, 4 bytes.
pub const NSSR: u64 = 0x20;
/// Admin Queue Attributes, 4 bytes.
pub const AQA: u64 = 0x24;
/// Admin Submission Queue Base Address, 8 bytes.
pub const ASQ: u64 = 0x28;
/// Admin Completion Queue Base Address, 8 bytes.
pub const ACQ: u64 = 0x30;
/// Controller Memory Buffer Location, 4 bytes.
pub const CMBLOC: u64 = 0x38;
/// Controller Memory Buffer Size, 4 bytes.
pub const CMBSZ: u64 = 0x3C;
/// Boot Partition Information, 4 bytes.
pub const BPINFO: u64 = 0x40;
/// Boot Partition Read Select, 4 bytes.
pub const BPRSEL: u64 = 0x44;
/// Boot Partition Memory Buffer Location, 8 bytes.
pub const BPMBL: u64 = 0x48;
/// Controller Memory Buffer Memory Space Control, 8 bytes.
pub const CMBMSC: u64 = 0x50;
/// Controller Memory Buffer Status, 4 bytes.
pub const CMBSTS: u64 = 0x58;
/// Controller Memory Buffer Elasticity Buffer Size, 4 bytes.
pub const CMBEBS: u64 = 0x5C;
/// Controller Memory Buffer Sustained Write Throughput, 4 bytes.
pub const CMBSWTP: u64 = 0x60;
/// NVM Subsystem Shutdown, 4 bytes.
pub const NSSD: u64 = 0x64;
/// Controller Ready Timeouts, 4 bytes.
pub const CRTO: u64 = 0x68;
/// Persistent Memory Region Capabilities, 4 bytes.
pub const PMRCAP: u64 = 0xE00;
/// Persistent Memory Region Control, 4 bytes.
pub const PMRCTL: u64 = 0xE04;
/// Persistent Memory Region Status, 4 bytes.
pub const PMRSTS: u64 = 0xE08;
/// Persistent Memory Region Elasticity Buffer Size, 4 bytes.
pub const PMREBS: u64 = 0xE0C;
/// Persistent Memory Region Sustained Write Throughput, 4 bytes.
pub const PMRSWTP: u64 = 0xE10;
/// Persistent Memory Region Memory Space Control, lower half, 4 bytes.
pub const PMRMSCL: u64 = 0xE14;
/// Persistent Memory Region Memory Space Control, upper half, 4 bytes.
pub const PMRMSCU: u64 = 0xE18;
/// The first doorbell, that of the Admin Submission Queue's tail.
pub const DOORBELLS: u64 = 0x1000;

/// What must be written to [`NSSR`] and [`NSSD`] for the reset or shutdown to happen: "NVMe".
pub const NSSR_KEY: u32 = 0x4E56_4D65;

/// Offset of the tail doorbell of Submission Queue `qid`; `dstrd` is [`Cap::dstrd`].
pub const fn sq_tail_doorbell(qid: u16, dstrd: u8) -> u64 {
    DOORBELLS + (2 * qid as u64) * (4 << dstrd)
}

/// Offset of the head doorbell of Completion Queue `qid`; `dstrd` is [`Cap::dstrd`].
pub const fn cq_head_doorbell(qid: u16, dstrd: u8) -> u64 {
    DOORBELLS + (2 * qid as u64 + 1) * (4 << dstrd)
}

/// Controller Capabilities.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct Cap {
    /// Maximum Queue Entries Supported by an I/O queue, 0's-based; 1h at least.
    pub mqes_z: u16,
    /// Contiguous Queues Required.
    pub cqr: bool,
    /// Arbitration: weighted round robin with urgent priority class.
    pub ams_wrr: bool,
    /// Arbitration: vendor specific.
    pub ams_vendor: bool,
    #[bits(5)]
    __: u8,
    /// Timeout of CC.EN to CSTS.RDY, in 500 ms.
    pub to: u8,
    /// Doorbell Stride: doorbells are 2^(2 + DSTRD) bytes apart.
    #[bits(4)]
    pub dstrd: u8,
    /// NVM Subsystem Reset Supported.
    pub nssrs: bool,
    /// Command Sets Supported.
    #[bits(8)]
    pub css: CapCss,
    /// Boot Partition Support.
    pub bps: bool,
    /// Controller Power Scope: 0 not reported, 1 controller, 2 domain, 3 NVM subsystem.
    #[bits(2)]
    pub cps: u8,
    /// Memory Page Size Minimum is 2^(12 + MPSMIN) bytes.
    #[bits(4)]
    pub mpsmin: u8,
    /// Memory Page Size Maximum is 2^(12 + MPSMAX) bytes.
    #[bits(4)]
    pub mpsmax: u8,
    /// Persistent Memory Region Supported.
    pub pmrs: bool,
    /// Controller Memory Buffer Supported.
    pub cmbs: bool,
    /// NVM Subsystem Shutdown Supported.
    pub nsss: bool,
    /// Controller Ready With Media Support.
    pub crwms: bool,
    /// Controller Ready Independent of Media Support.
    pub crims: bool,
    /// NVM Subsystem Shutdown Enhancements Supported.
    pub nsses: bool,
    #[bits(2)]
    __: u8,
}

/// Command Sets Supported: CAP bits 44:37.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct CapCss {
    /// NVM Command Set Support.
    pub ncss: bool,
    #[bits(5)]
    __: u8,
    /// I/O Command Set Support: one or more command sets, to be chosen with the I/O Command Set
    /// Profile feature.
    pub iocss: bool,
    /// No I/O Command Set Support: Admin commands only.
    pub noiocss: bool,
}

/// Version (also in Identify Controller).
#[bitfield(u32)]
#[derive(
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::KnownLayout,
    zerocopy::Immutable,
)]
pub struct Version {
    /// Tertiary.
    pub ter: u8,
    /// Minor.
    pub mnr: u8,
    /// Major.
    pub mjr: u16,
}

impl Version {
    /// NVM Express 1.4.
    pub const V1_4: Self = Self::new().with_mjr(1).with_mnr(4);
    /// NVM Express 2.0.
    pub const V2_0: Self = Self::new().with_mjr(2);
    /// NVM Express 2.1.
    pub const V2_1: Self = Self::new().with_mjr(2).with_mnr(1);
}

/// Controller Configuration.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Cc {
    /// Enable.
    pub en: bool,
    #[bits(3)]
    __: u8,
    /// I/O Command Set Selected.
    #[bits(3)]
    pub css: CcCss,
    /// Memory Page Size is 2^(12 + MPS) bytes.
    #[bits(4)]
    pub mps: u8,
    /// Arbitration Mechanism Selected: 0 round robin, 1 weighted round robin with urgent priority
    /// class, 7 vendor specific.
    #[bits(3)]
    pub ams: u8,
    /// Shutdown Notification.
    #[bits(2)]
    pub shn: Shn,
    /// I/O Submission Queue Entry Size is 2^IOSQES bytes.
    #[bits(4)]
    pub iosqes: u8,
    /// I/O Completion Queue Entry Size is 2^IOCQES bytes.
    #[bits(4)]
    pub iocqes: u8,
    /// Controller Ready Independent of Media Enable.
    pub crime: bool,
    #[bits(7)]
    __: u8,
}

open! {
    /// I/O Command Set Selected: CC bits 6:4.
    pub enum CcCss: u8 {
        /// NVM Command Set only.
        Nvm = 0,
        /// All supported I/O command sets.
        AllSupported = 6,
        /// Admin commands only.
        AdminOnly = 7,
    }
}

open! {
    /// Shutdown Notification: CC bits 15:14.
    pub enum Shn: u8 {
        /// No notification.
        None = 0,
        /// Normal shutdown.
        Normal = 1,
        /// Abrupt shutdown.
        Abrupt = 2,
    }
}

/// Controller Status.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Csts {
    /// Ready.
    pub rdy: bool,
    /// Controller Fatal Status.
    pub cfs: bool,
    /// Shutdown Status.
    #[bits(2)]
    pub shst: Shst,
    /// NVM Subsystem Reset Occurred; written with 1 to clear.
    pub nssro: bool,
    /// Processing Paused.
    pub pp: bool,
    /// Shutdown Type: the status concerns an NVM subsystem shutdown.
    pub st: bool,
    #[bits(25)]
    __: u32,
}

open! {
    /// Shutdown Status: CSTS bits 3:2.
    pub enum Shst: u8 {
        /// Normal operation.
        Normal = 0,
        /// Shutdown processing occurring.
        Occurring = 1,
        /// Shutdown processing complete.
        Complete = 2,
    }
}

/// Admin Queue Attributes.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Aqa {
    /// Admin Submission Queue Size in entries, 0's-based.
    #[bits(12)]
    pub asqs_z: u16,
    #[bits(4)]
    __: u8,
    /// Admin Completion Queue Size in entries, 0's-based.
    #[bits(12)]
    pub acqs_z: u16,
    #[bits(4)]
    __: u8,
}

/// Controller Memory Buffer Location.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CmbLoc {
    /// Base Indicator Register: the BAR that holds the buffer.
    #[bits(3)]
    pub bir: u8,
    /// Queue Mixed Memory Support.
    pub cqmms: bool,
    /// Queue Physically Discontiguous Support.
    pub cqpds: bool,
    /// Data Pointer Mixed Locations Support.
    pub cdpmls: bool,
    /// Data Pointer and Command Independent Locations Support.
    pub cdpcils: bool,
    /// Data Metadata Mixed Memory Support.
    pub cdmmms: bool,
    /// Queue Dword Alignment.
    pub cqda: bool,
    #[bits(3)]
    __: u8,
    /// Offset within the BAR, in units of [`CmbSz::szu`].
    #[bits(20)]
    pub ofst: u32,
}

/// Controller Memory Buffer Size.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CmbSz {
    /// Submission Queue Support.
    pub sqs: bool,
    /// Completion Queue Support.
    pub cqs: bool,
    /// PRP and SGL List Support.
    pub lists: bool,
    /// Read Data Support.
    pub rds: bool,
    /// Write Data Support.
    pub wds: bool,
    #[bits(3)]
    __: u8,
    /// Size Units: 4 KiB × 16^SZU.
    #[bits(4)]
    pub szu: u8,
    /// Size, in units of SZU.
    #[bits(20)]
    pub sz: u32,
}

/// Controller Memory Buffer Memory Space Control.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub struct CmbMsc {
    /// Capabilities Registers Enabled.
    pub cre: bool,
    /// Controller Memory Space Enable.
    pub cmse: bool,
    #[bits(10)]
    __: u16,
    /// Controller Base Address, bits 63:12.
    #[bits(52)]
    pub cba: u64,
}

/// Controller Ready Timeouts.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Crto {
    /// Controller Ready With Media Timeout, in 500 ms.
    pub crwmt: u16,
    /// Controller Ready Independent of Media Timeout, in 500 ms.
    pub crimt: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cap_fields_are_at_their_bits() {
        assert_eq!(Cap::new().with_mqes_z(0xFFFF).into_bits(), 0xFFFF);
        assert_eq!(Cap::new().with_cqr(true).into_bits(), 1 << 16);
        assert_eq!(Cap::new().with_ams_wrr(true).into_bits(), 1 << 17);
        assert_eq!(Cap::new().with_to(0xFF).into_bits(), 0xFF << 24);
        assert_eq!(Cap::new().with_dstrd(0xF).into_bits(), 0xF << 32);
        assert_eq!(Cap::new().with_nssrs(true).into_bits(), 1 << 36);
        assert_eq!(
            Cap::new()
                .with_css(CapCss::new().with_ncss(true))
                .into_bits(),
            1 << 37
        );
        assert_eq!(
            Cap::new()
                .with_css(CapCss::new().with_iocss(true))
                .into_bits(),
            1 << 43
        );
        assert_eq!(
            Cap::new()
                .with_css(CapCss::new().with_noiocss(true))
                .into_bits(),
            1 << 44
        );
        assert_eq!(Cap::new().with_mpsmin(0xF).into_bits(), 0xF << 48);
        assert_eq!(Cap::new().with_mpsmax(0xF).into_bits(), 0xF << 52);
        assert_eq!(Cap::new().with_cmbs(true).into_bits(), 1 << 57);
        assert_eq!(Cap::new().with_crwms(true).into_bits(), 1 << 59);
        assert_eq!(Cap::new().with_crims(true).into_bits(), 1 << 60);
    }

    #[test]
    fn cc_as_linux_writes_it() {
        let cc = Cc::from_bits(0x0046_0001 | 6 << 4);
        assert!(cc.en());
        assert_eq!((cc.iosqes(), cc.iocqes(), cc.mps()), (6, 4, 0));
        assert_eq!(cc.css(), CcCss::AllSupported);
        assert_eq!(Cc::new().with_shn(Shn::Normal).into_bits(), 1 << 14);
        assert_eq!(Cc::new().with_crime(true).into_bits(), 1 << 24);
    }

    #[test]
    fn csts_aqa_and_version_bits() {
        assert_eq!(
            Csts::new()
                .with_rdy(true)
                .with_shst(Shst::Complete)
                .into_bits(),
            1 | 2 << 2
        );
        assert_eq!(Csts::new().with_pp(true).into_bits(), 1 << 5);
        assert_eq!(
            Aqa::new().with_asqs_z(31).with_acqs_z(63).into_bits(),
            31 | 63 << 16
        );
        assert_eq!(Version::V2_1.into_bits(), 0x0002_0100);
        assert!(Version::V1_4 < Version::V2_0);
    }

    #[test]
    fn doorbells_follow_the_stride() {
        assert_eq!(sq_tail_doorbell(0, 0), 0x1000);
        assert_eq!(cq_head_doorbell(0, 0), 0x1004);
        assert_eq!(sq_tail_doorbell(3, 0), 0x1018);
        assert_eq!(cq_head_doorbell(1, 2), 0x1030);
        assert_eq!(cq_head_doorbell(u16::MAX, 15), 0x1000 + 131_071 * (4 << 15));
    }
}
