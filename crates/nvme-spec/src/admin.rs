//! Dwords and results of Admin commands (Base, 5), and the identifiers that they name.
//! Those of features are in [`crate::feature`].

use crate::feature::{Fid, Select};
use bitfield_struct::bitfield;

open! {
    /// Command Set Identifier: which I/O command set.
    pub enum Csi: u8 {
        /// NVM Command Set.
        Nvm = 0x00,
        /// Key Value Command Set.
        Kv = 0x01,
        /// Zoned Namespace Command Set.
        Zns = 0x02,
        /// Subsystem Local Memory Command Set.
        Slm = 0x03,
        /// Computational Programs Command Set.
        Cp = 0x04,
    }
}

open! {
    /// Controller or Namespace Structure: what an Identify command returns (Base, 5.1.13).
    pub enum Cns: u8 {
        /// Identify Namespace of the NVM Command Set.
        Namespace = 0x00,
        /// Identify Controller.
        Controller = 0x01,
        /// Active Namespace ID list.
        ActiveNamespaces = 0x02,
        /// Namespace Identification Descriptor list.
        NamespaceIdDescriptors = 0x03,
        /// NVM Set list.
        NvmSets = 0x04,
        /// I/O Command Set specific Identify Namespace.
        IocsNamespace = 0x05,
        /// I/O Command Set specific Identify Controller.
        IocsController = 0x06,
        /// Active Namespace ID list of an I/O command set.
        IocsActiveNamespaces = 0x07,
        /// I/O Command Set Independent Identify Namespace.
        IndependentNamespace = 0x08,
        /// Namespace attributes for the format of a User Data Format (NVM Command Set).
        FormatNamespace = 0x09,
        /// I/O Command Set specific namespace attributes of a User Data Format.
        IocsFormatNamespace = 0x0A,
        /// Allocated Namespace ID list.
        AllocatedNamespaces = 0x10,
        /// Identify Namespace of an allocated namespace.
        AllocatedNamespace = 0x11,
        /// Controllers attached to a namespace.
        NamespaceControllers = 0x12,
        /// Controllers of the NVM subsystem.
        SubsystemControllers = 0x13,
        /// Primary Controller Capabilities.
        PrimaryControllerCapabilities = 0x14,
        /// Secondary Controller list.
        SecondaryControllers = 0x15,
        /// Namespace Granularity list.
        NamespaceGranularity = 0x16,
        /// UUID list.
        Uuids = 0x17,
        /// Domain list.
        Domains = 0x18,
        /// Endurance Group list.
        EnduranceGroups = 0x19,
        /// Allocated Namespace ID list of an I/O command set.
        IocsAllocatedNamespaces = 0x1A,
        /// I/O Command Set specific Identify Namespace of an allocated namespace.
        IocsAllocatedNamespace = 0x1B,
        /// I/O Command Set data structure: the combinations.
        IocsCombinations = 0x1C,
        /// Underlying Namespace list.
        UnderlyingNamespaces = 0x1D,
        /// Ports list.
        Ports = 0x1E,
        /// I/O Command Set Independent Identify Namespace of an allocated namespace.
        IndependentAllocatedNamespace = 0x1F,
        /// Supported Controller State Formats.
        ControllerStateFormats = 0x20,
    }
}

open! {
    /// Log Page Identifier (Base, 5.1.12).
    pub enum Lid: u8 {
        /// Supported Log Pages.
        SupportedLogPages = 0x00,
        /// Error Information.
        ErrorInformation = 0x01,
        /// SMART / Health Information.
        SmartHealth = 0x02,
        /// Firmware Slot Information.
        FirmwareSlot = 0x03,
        /// Changed Attached Namespace List.
        ChangedAttachedNamespaces = 0x04,
        /// Commands Supported and Effects.
        CommandsSupportedAndEffects = 0x05,
        /// Device Self-test.
        DeviceSelfTest = 0x06,
        /// Telemetry Host-Initiated.
        TelemetryHost = 0x07,
        /// Telemetry Controller-Initiated.
        TelemetryController = 0x08,
        /// Endurance Group Information.
        EnduranceGroup = 0x09,
        /// Predictable Latency Per NVM Set.
        PredictableLatency = 0x0A,
        /// Predictable Latency Event Aggregate.
        PredictableLatencyEvents = 0x0B,
        /// Asymmetric Namespace Access.
        Ana = 0x0C,
        /// Persistent Event Log.
        PersistentEvents = 0x0D,
        /// LBA Status Information (NVM).
        LbaStatus = 0x0E,
        /// Endurance Group Event Aggregate.
        EnduranceGroupEvents = 0x0F,
        /// Media Unit Status.
        MediaUnitStatus = 0x10,
        /// Supported Capacity Configuration List.
        SupportedCapacityConfigurations = 0x11,
        /// Feature Identifiers Supported and Effects.
        FeaturesSupportedAndEffects = 0x12,
        /// NVMe-MI Commands Supported and Effects.
        NvmeMiCommandsSupportedAndEffects = 0x13,
        /// Command and Feature Lockdown.
        Lockdown = 0x14,
        /// Boot Partition.
        BootPartition = 0x15,
        /// Rotational Media Information.
        RotationalMedia = 0x16,
        /// Dispersed Namespace Participating NVM Subsystems.
        DispersedNamespaceSubsystems = 0x17,
        /// Management Address List.
        ManagementAddresses = 0x18,
        /// Physical Interface Receiver Eye Opening Measurement (transport specific).
        EyeOpening = 0x19,
        /// Reachability Groups.
        ReachabilityGroups = 0x1A,
        /// Reachability Associations.
        ReachabilityAssociations = 0x1B,
        /// Changed Allocated Namespace List.
        ChangedAllocatedNamespaces = 0x1C,
        /// FDP Configurations.
        FdpConfigurations = 0x20,
        /// Reclaim Unit Handle Usage.
        ReclaimUnitHandleUsage = 0x21,
        /// FDP Statistics.
        FdpStatistics = 0x22,
        /// FDP Events.
        FdpEvents = 0x23,
        /// Discovery.
        Discovery = 0x70,
        /// Reservation Notification.
        ReservationNotification = 0x80,
        /// Sanitize Status.
        SanitizeStatus = 0x81,
        /// Program List (CP).
        ProgramList = 0x82,
        /// Downloadable Program Types List (CP).
        DownloadableProgramTypes = 0x83,
        /// Memory Range Set List (CP).
        MemoryRangeSets = 0x84,
        /// Changed Zone List (ZNS).
        ChangedZones = 0xBF,
    }
}

/// CDW10 of Create I/O Submission Queue and Create I/O Completion Queue.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CreateQueueCdw10 {
    /// Queue Identifier.
    pub qid: u16,
    /// Queue Size in entries, 0's-based.
    pub qsize_z: u16,
}

/// CDW11 of Create I/O Completion Queue.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CreateCqCdw11 {
    /// Physically Contiguous: PRP1 is the queue, else a PRP list.
    pub pc: bool,
    /// Interrupts Enabled.
    pub ien: bool,
    #[bits(14)]
    __: u16,
    /// Interrupt Vector.
    pub iv: u16,
}

/// CDW11 of Create I/O Submission Queue.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CreateSqCdw11 {
    /// Physically Contiguous: PRP1 is the queue, else a PRP list.
    pub pc: bool,
    /// Queue Priority: 0 urgent, 1 high, 2 medium, 3 low.
    #[bits(2)]
    pub qprio: u8,
    #[bits(13)]
    __: u16,
    /// Completion Queue Identifier.
    pub cqid: u16,
}

/// CDW12 of Create I/O Submission Queue.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CreateSqCdw12 {
    /// NVM Set Identifier; 0 for none.
    pub nvmsetid: u16,
    __: u16,
}

/// CDW10 of Delete I/O Submission Queue and Delete I/O Completion Queue.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct DeleteQueueCdw10 {
    /// Queue Identifier.
    pub qid: u16,
    __: u16,
}

/// CDW10 of Identify.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct IdentifyCdw10 {
    /// Controller or Namespace Structure.
    #[bits(8)]
    pub cns: Cns,
    __: u8,
    /// Controller Identifier.
    pub cntid: u16,
}

/// CDW11 of Identify.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct IdentifyCdw11 {
    /// CNS Specific Identifier.
    pub cnssid: u16,
    __: u8,
    /// Command Set Identifier.
    #[bits(8)]
    pub csi: Csi,
}

/// CDW14 of Identify, Get Features and Set Features.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct UuidCdw14 {
    /// UUID Index: 0 for none.
    #[bits(7)]
    pub uidx: u8,
    #[bits(25)]
    __: u32,
}

/// CDW10 of Get Log Page.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct GetLogPageCdw10 {
    /// Log Page Identifier.
    #[bits(8)]
    pub lid: Lid,
    /// Log Specific Parameter.
    #[bits(7)]
    pub lsp: u8,
    /// Retain Asynchronous Event: do not clear the event that this log explains.
    pub rae: bool,
    /// Number of Dwords to return, 0's-based, bits 15:0.
    pub numdl_z: u16,
}

/// CDW11 of Get Log Page.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct GetLogPageCdw11 {
    /// Number of Dwords to return, 0's-based, bits 31:16.
    pub numdu_z: u16,
    /// Log Specific Identifier.
    pub lsi: u16,
}

/// CDW14 of Get Log Page; the Log Page Offset is in CDW12 (low) and CDW13.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct GetLogPageCdw14 {
    /// UUID Index: 0 for none.
    #[bits(7)]
    pub uidx: u8,
    #[bits(16)]
    __: u16,
    /// Offset Type: the offset counts entries of the log page's data structure, not bytes.
    pub ot: bool,
    /// Command Set Identifier.
    #[bits(8)]
    pub csi: Csi,
}

/// CDW10 of Get Features.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct GetFeaturesCdw10 {
    /// Feature Identifier.
    #[bits(8)]
    pub fid: Fid,
    /// Select: which of the values.
    #[bits(3)]
    pub sel: Select,
    #[bits(21)]
    __: u32,
}

/// CDW10 of Set Features.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct SetFeaturesCdw10 {
    /// Feature Identifier.
    #[bits(8)]
    pub fid: Fid,
    #[bits(23)]
    __: u32,
    /// Save: keep the value over resets and power cycles.
    pub sv: bool,
}

/// CDW10 of Abort.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct AbortCdw10 {
    /// Submission Queue Identifier of the command to abort.
    pub sqid: u16,
    /// Command Identifier of the command to abort.
    pub cid: u16,
}

/// Completion DW0 of Abort.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct AbortResult {
    /// Immediate Abort Not Performed.
    pub ianp: bool,
    #[bits(31)]
    __: u32,
}

/// CDW10 of Format NVM (NVM, 4.1.2 with Base, 5.1.10).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct FormatNvmCdw10 {
    /// LBA Format, bits 3:0 of the index.
    #[bits(4)]
    pub lbafl: u8,
    /// Metadata Settings: metadata is part of an extended LBA.
    pub mset: bool,
    /// Protection Information: 0 none, 1 to 3 the type.
    #[bits(3)]
    pub pi: u8,
    /// Protection Information Location: first in the metadata, else last.
    pub pil: bool,
    /// Secure Erase Settings: 0 none, 1 user data, 2 cryptographic.
    #[bits(3)]
    pub ses: u8,
    /// LBA Format, bits 5:4 of the index.
    #[bits(2)]
    pub lbafu: u8,
    #[bits(18)]
    __: u32,
}

impl FormatNvmCdw10 {
    /// Index of the LBA format, from its two parts.
    pub const fn lbaf(self) -> u8 {
        self.lbafl() | self.lbafu() << 4
    }
}

/// CDW10 of Namespace Management: 0 create, 1 delete; and of Namespace Attachment: 0 attach,
/// 1 detach.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct NamespaceCdw10 {
    /// Select: which of the two operations.
    #[bits(4)]
    pub sel: u8,
    #[bits(28)]
    __: u32,
}

/// CDW11 of Namespace Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct NamespaceManagementCdw11 {
    #[bits(24)]
    __: u32,
    /// Command Set Identifier of the namespace to create.
    #[bits(8)]
    pub csi: Csi,
}

/// CDW10 of Firmware Commit.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct FirmwareCommitCdw10 {
    /// Firmware Slot: 0 lets the controller choose.
    #[bits(3)]
    pub fs: u8,
    /// Commit Action.
    #[bits(3)]
    pub ca: u8,
    #[bits(25)]
    __: u32,
    /// Boot Partition ID.
    pub bpid: bool,
}

/// Completion DW0 of Asynchronous Event Request (Base, 5.1.2).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct AsyncEvent {
    /// Asynchronous Event Type.
    #[bits(3)]
    pub aet: AsyncEventType,
    #[bits(5)]
    __: u8,
    /// Asynchronous Event Information: see the constants of [`AsyncEvent`].
    pub aei: u8,
    /// Log Page Identifier: the page to read for more, which also lets the event happen again.
    #[bits(8)]
    pub lid: Lid,
    __: u8,
}

impl AsyncEvent {
    /// Error: invalid doorbell register.
    pub const INVALID_DOORBELL_REGISTER: Self =
        Self::event(AsyncEventType::Error, 0x00, Lid::ErrorInformation);
    /// Error: invalid doorbell value.
    pub const INVALID_DOORBELL_VALUE: Self =
        Self::event(AsyncEventType::Error, 0x01, Lid::ErrorInformation);
    /// Notice: an attached namespace's attributes changed.
    pub const ATTACHED_NAMESPACE_CHANGED: Self =
        Self::event(AsyncEventType::Notice, 0x00, Lid::ChangedAttachedNamespaces);
    /// Notice: firmware activation is starting.
    pub const FIRMWARE_ACTIVATION: Self =
        Self::event(AsyncEventType::Notice, 0x01, Lid::FirmwareSlot);
    /// Notice: a reachability group changed.
    pub const REACHABILITY_GROUP_CHANGED: Self =
        Self::event(AsyncEventType::Notice, 0x07, Lid::ReachabilityGroups);
    /// Notice: a reachability association changed.
    pub const REACHABILITY_ASSOCIATION_CHANGED: Self =
        Self::event(AsyncEventType::Notice, 0x08, Lid::ReachabilityAssociations);

    const fn event(aet: AsyncEventType, aei: u8, lid: Lid) -> Self {
        Self::new().with_aet(aet).with_aei(aei).with_lid(lid)
    }
}

open! {
    /// Asynchronous Event Type.
    pub enum AsyncEventType: u8 {
        /// Error Status.
        Error = 0,
        /// SMART / Health Status.
        SmartHealth = 1,
        /// Notice.
        Notice = 2,
        /// Immediate.
        Immediate = 3,
        /// One Shot.
        OneShot = 4,
        /// I/O Command Specific Status.
        IoCommand = 6,
        /// Vendor specific.
        Vendor = 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_dwords() {
        assert_eq!(
            CreateQueueCdw10::new()
                .with_qid(1)
                .with_qsize_z(1023)
                .into_bits(),
            0x03FF_0001
        );
        let cq = CreateCqCdw11::new().with_pc(true).with_ien(true).with_iv(2);
        assert_eq!(cq.into_bits(), 0x0002_0003);
        let sq = CreateSqCdw11::new()
            .with_pc(true)
            .with_qprio(3)
            .with_cqid(2);
        assert_eq!(sq.into_bits(), 0x0002_0007);
    }

    #[test]
    fn identify_and_log_dwords() {
        let cdw10 = IdentifyCdw10::new()
            .with_cns(Cns::IocsCombinations)
            .with_cntid(0xFFFF);
        assert_eq!(cdw10.into_bits(), 0xFFFF_001C);
        assert_eq!(
            IdentifyCdw11::new().with_csi(Csi::Cp).into_bits(),
            0x0400_0000
        );
        let log = GetLogPageCdw10::from_bits(0x01FF_8102);
        assert_eq!(
            (log.lid(), log.lsp(), log.rae(), log.numdl_z()),
            (Lid::SmartHealth, 1, true, 0x1FF)
        );
        let cdw14 = GetLogPageCdw14::new().with_ot(true).with_csi(Csi::Slm);
        assert_eq!(cdw14.into_bits(), 0x0380_0000);
    }

    #[test]
    fn feature_dwords() {
        let get = GetFeaturesCdw10::new()
            .with_fid(Fid::NumberOfQueues)
            .with_sel(Select::Supported);
        assert_eq!(get.into_bits(), 0x0307);
        let set = SetFeaturesCdw10::new()
            .with_fid(Fid::IocsProfile)
            .with_sv(true);
        assert_eq!(set.into_bits(), 0x8000_0019);
    }

    #[test]
    fn format_index_is_in_two_parts() {
        assert_eq!(FormatNvmCdw10::from_bits(0x1000 | 0x200 | 5).lbaf(), 0x15);
        assert_eq!(FormatNvmCdw10::from_bits(0x200).ses(), 1);
    }

    #[test]
    fn events_name_the_log_that_explains_them() {
        assert_eq!(
            AsyncEvent::ATTACHED_NAMESPACE_CHANGED.into_bits(),
            0x0004_0002
        );
        assert_eq!(
            AsyncEvent::REACHABILITY_GROUP_CHANGED.into_bits(),
            0x001A_0702
        );
    }
}
