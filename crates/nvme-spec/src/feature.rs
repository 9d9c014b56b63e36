//! Feature identifiers, and the values of features: CDW11 of Set Features, DW0 of the completion
//! of Get Features, or a data buffer (Base, 5.1.25).

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open! {
    /// Feature Identifier.
    pub enum Fid: u8 {
        /// Arbitration.
        Arbitration = 0x01,
        /// Power Management.
        PowerManagement = 0x02,
        /// LBA Range Type (NVM).
        LbaRangeType = 0x03,
        /// Temperature Threshold.
        TemperatureThreshold = 0x04,
        /// Error Recovery (NVM).
        ErrorRecovery = 0x05,
        /// Volatile Write Cache.
        VolatileWriteCache = 0x06,
        /// Number of Queues.
        NumberOfQueues = 0x07,
        /// Interrupt Coalescing.
        InterruptCoalescing = 0x08,
        /// Interrupt Vector Configuration.
        InterruptVectorConfiguration = 0x09,
        /// Write Atomicity Normal (NVM).
        WriteAtomicityNormal = 0x0A,
        /// Asynchronous Event Configuration.
        AsyncEventConfiguration = 0x0B,
        /// Autonomous Power State Transition.
        AutonomousPowerStateTransition = 0x0C,
        /// Host Memory Buffer.
        HostMemoryBuffer = 0x0D,
        /// Timestamp.
        Timestamp = 0x0E,
        /// Keep Alive Timer.
        KeepAliveTimer = 0x0F,
        /// Host Controlled Thermal Management.
        HostControlledThermalManagement = 0x10,
        /// Non-Operational Power State Config.
        NonOperationalPowerState = 0x11,
        /// Read Recovery Level Config.
        ReadRecoveryLevel = 0x12,
        /// Predictable Latency Mode Config.
        PredictableLatencyMode = 0x13,
        /// Predictable Latency Mode Window.
        PredictableLatencyWindow = 0x14,
        /// LBA Status Information Report Interval (NVM).
        LbaStatusReportInterval = 0x15,
        /// Host Behavior Support.
        HostBehaviorSupport = 0x16,
        /// Sanitize Config.
        SanitizeConfig = 0x17,
        /// Endurance Group Event Configuration.
        EnduranceGroupEvents = 0x18,
        /// I/O Command Set Profile.
        IocsProfile = 0x19,
        /// Spinup Control.
        SpinupControl = 0x1A,
        /// Power Loss Signaling Config.
        PowerLossSignaling = 0x1B,
        /// Performance Characteristics (NVM).
        PerformanceCharacteristics = 0x1C,
        /// Flexible Data Placement.
        Fdp = 0x1D,
        /// Flexible Data Placement Events.
        FdpEvents = 0x1E,
        /// Namespace Admin Label.
        NamespaceAdminLabel = 0x1F,
        /// Key Value Configuration (KV).
        KeyValueConfiguration = 0x20,
        /// Controller Data Queue.
        ControllerDataQueue = 0x21,
        /// Embedded Management Controller Address.
        EmbeddedManagementControllerAddress = 0x78,
        /// Host Management Agent Address.
        HostManagementAgentAddress = 0x79,
        /// Enhanced Controller Metadata.
        EnhancedControllerMetadata = 0x7D,
        /// Controller Metadata.
        ControllerMetadata = 0x7E,
        /// Namespace Metadata.
        NamespaceMetadata = 0x7F,
        /// Software Progress Marker.
        SoftwareProgressMarker = 0x80,
        /// Host Identifier.
        HostIdentifier = 0x81,
        /// Reservation Notification Mask.
        ReservationNotificationMask = 0x82,
        /// Reservation Persistence.
        ReservationPersistence = 0x83,
        /// Namespace Write Protection Config.
        NamespaceWriteProtection = 0x84,
        /// Boot Partition Write Protection Config.
        BootPartitionWriteProtection = 0x85,
    }
}

open! {
    /// Select of Get Features: which of a feature's values.
    pub enum Select: u8 {
        /// Current value.
        Current = 0,
        /// Default value.
        Default = 1,
        /// Saved value.
        Saved = 2,
        /// Supported capabilities: the completion's DW0 is a [`FeatureCapabilities`].
        Supported = 3,
    }
}

/// Completion DW0 of Get Features with [`Select::Supported`].
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct FeatureCapabilities {
    /// The feature can be saved.
    pub saveable: bool,
    /// The feature is specific to a namespace.
    pub namespace_specific: bool,
    /// The feature can be changed.
    pub changeable: bool,
    #[bits(29)]
    __: u32,
}

/// Arbitration.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Arbitration {
    /// Arbitration Burst is 2^AB commands; 7 means no limit.
    #[bits(3)]
    pub ab: u8,
    #[bits(5)]
    __: u8,
    /// Low Priority Weight, 0's-based.
    pub lpw_z: u8,
    /// Medium Priority Weight, 0's-based.
    pub mpw_z: u8,
    /// High Priority Weight, 0's-based.
    pub hpw_z: u8,
}

/// Power Management.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct PowerManagement {
    /// Power State.
    #[bits(5)]
    pub ps: u8,
    /// Workload Hint.
    #[bits(3)]
    pub wh: u8,
    #[bits(24)]
    __: u32,
}

/// Temperature Threshold.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct TemperatureThreshold {
    /// Temperature Threshold, in kelvins.
    pub tmpth: u16,
    /// Threshold Temperature Select: 0 composite, 1 to 8 a sensor, Fh all (Set Features only).
    #[bits(4)]
    pub tmpsel: u8,
    /// Threshold Type Select: 0 over, 1 under.
    #[bits(2)]
    pub thsel: u8,
    /// Temperature Threshold Hysteresis, in kelvins.
    #[bits(3)]
    pub tmpthh: u8,
    #[bits(7)]
    __: u8,
}

/// Error Recovery (NVM, 4.1.3.2).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct ErrorRecovery {
    /// Time Limited Error Recovery, in 100 ms; 0 for no limit.
    pub tler: u16,
    /// Deallocated or Unwritten Logical Block Error Enable.
    pub dulbe: bool,
    #[bits(15)]
    __: u16,
}

/// Volatile Write Cache.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct VolatileWriteCache {
    /// Volatile Write Cache Enable.
    pub wce: bool,
    #[bits(31)]
    __: u32,
}

/// Number of Queues: in CDW11 what the host requests, in DW0 what it is allocated. The Admin
/// queues do not count.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct NumberOfQueues {
    /// Number of I/O Submission Queues, 0's-based; FFFFh is invalid in a request.
    pub nsq_z: u16,
    /// Number of I/O Completion Queues, 0's-based; FFFFh is invalid in a request.
    pub ncq_z: u16,
}

/// Interrupt Coalescing.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct InterruptCoalescing {
    /// Aggregation Threshold in completions, 0's-based.
    pub thr_z: u8,
    /// Aggregation Time, in 100 µs; 0 for no delay.
    pub time: u8,
    __: u16,
}

/// Interrupt Vector Configuration.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct InterruptVectorConfiguration {
    /// Interrupt Vector.
    pub iv: u16,
    /// Coalescing Disable.
    pub cd: bool,
    #[bits(15)]
    __: u16,
}

/// Write Atomicity Normal (NVM, 4.1.3.3).
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct WriteAtomicityNormal {
    /// Disable Normal: only AWUPF and NAWUPF hold.
    pub dn: bool,
    #[bits(31)]
    __: u32,
}

/// Asynchronous Event Configuration: which events the host wants. The notices have the bits of
/// OAES in Identify Controller.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct AsyncEventConfiguration {
    /// SMART / Health Critical Warnings: as [`crate::log::CriticalWarning`].
    pub shcw: u8,
    /// Attached Namespace Attribute Notices.
    pub nsan: bool,
    /// Firmware Activation Notices.
    pub fan: bool,
    /// Telemetry Log Notices.
    pub tln: bool,
    /// Asymmetric Namespace Access Change Notices.
    pub anacn: bool,
    /// Predictable Latency Event Aggregate Log Change Notices.
    pub pleacn: bool,
    /// LBA Status Information Alert Notices.
    pub lbasian: bool,
    /// Endurance Group Event Aggregate Log Change Notices.
    pub egeacn: bool,
    /// Normal NVM Subsystem Shutdown.
    pub nnss: bool,
    /// Temperature Threshold Hysteresis Recovery.
    pub tthry: bool,
    /// Reachability Association Change Notices.
    pub rassn: bool,
    /// Reachability Group Change Notices.
    pub rgrp: bool,
    /// Allocated Namespace Attribute Notices.
    pub ansan: bool,
    #[bits(7)]
    __: u8,
    /// Zone Descriptor Changed Notices (ZNS).
    pub zdcn: bool,
    #[bits(4)]
    __: u8,
}

/// Host Memory Buffer, CDW11; CDW12 is the size in pages, CDW13-14 the address of the list and
/// CDW15 its number of entries.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct HostMemoryBuffer {
    /// Enable Host Memory.
    pub ehm: bool,
    /// Memory Return: the same buffer as before a reset.
    pub mr: bool,
    #[bits(30)]
    __: u32,
}

/// I/O Command Set Profile.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct IocsProfile {
    /// I/O Command Set Combination Index: into [`crate::identify::IocsCombinations`].
    #[bits(9)]
    pub iocsci: u16,
    #[bits(23)]
    __: u32,
}

/// Namespace Write Protection Config.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct NamespaceWriteProtection {
    /// Write Protection State.
    #[bits(3)]
    pub wps: WriteProtection,
    #[bits(29)]
    __: u32,
}

open! {
    /// Write Protection State of a namespace.
    pub enum WriteProtection: u8 {
        /// No Write Protect.
        None = 0,
        /// Write Protect.
        Protected = 1,
        /// Write Protect Until Power Cycle: no host can change it.
        UntilPowerCycle = 2,
        /// Permanent Write Protect.
        Permanent = 3,
    }
}

/// Timestamp: the 8-byte data buffer of the feature.
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Timestamp {
    /// Milliseconds since 1970-01-01 00:00 UTC, or since a controller level reset.
    #[bits(48)]
    pub ts: u64,
    /// Synch: the controller may have stopped counting now and then.
    pub synch: bool,
    /// Timestamp Origin: 0 cleared by a reset, 1 set by Set Features.
    #[bits(3)]
    pub to: u8,
    #[bits(12)]
    __: u16,
}

wire! {
    /// Host Behavior Support: the data buffer of the feature.
    pub struct HostBehaviorSupport: 512 {
        /// Byte 0: Advanced Command Retry Enable (1).
        pub acre: u8,
        /// Byte 1: Extended Telemetry Data Area 4 Supported (1).
        pub etdas: u8,
        /// Byte 2: LBA Format Extension Enable (1): formats 16 to 63, wider protection information.
        pub lbafee: u8,
        /// Byte 3: Host Dispersed Namespace Support (1).
        pub hdisns: u8,
        /// Bytes 4-5: Copy Descriptor Formats Enable: bit *n* for format *n*, 2h to 4h.
        pub cdfe: u16,
        rsvd6: [u8; 506],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_at_their_bits() {
        assert_eq!(
            NumberOfQueues::new()
                .with_nsq_z(3)
                .with_ncq_z(7)
                .into_bits(),
            0x0007_0003
        );
        assert_eq!(
            InterruptVectorConfiguration::new()
                .with_cd(true)
                .into_bits(),
            1 << 16
        );
        assert_eq!(
            TemperatureThreshold::new().with_thsel(1).into_bits(),
            1 << 20
        );
        assert_eq!(IocsProfile::new().with_iocsci(0x1FF).into_bits(), 0x1FF);
        assert_eq!(ErrorRecovery::new().with_dulbe(true).into_bits(), 1 << 16);
    }

    #[test]
    fn event_configuration_bits() {
        assert_eq!(
            AsyncEventConfiguration::new().with_nsan(true).into_bits(),
            1 << 8
        );
        assert_eq!(
            AsyncEventConfiguration::new().with_rassn(true).into_bits(),
            1 << 17
        );
        assert_eq!(
            AsyncEventConfiguration::new().with_rgrp(true).into_bits(),
            1 << 18
        );
        assert_eq!(
            AsyncEventConfiguration::new().with_ansan(true).into_bits(),
            1 << 19
        );
        assert_eq!(
            AsyncEventConfiguration::new().with_zdcn(true).into_bits(),
            1 << 27
        );
    }

    #[test]
    fn timestamp_bits() {
        let ts = Timestamp::new().with_ts(0xFFFF_FFFF_FFFF).with_to(1);
        assert_eq!(
            ts.as_bytes(),
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0b10, 0]
        );
    }
}
