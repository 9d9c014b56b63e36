//! The bit fields of [`IdentifyController`](super::IdentifyController) and of its power state
//! descriptors.

fields! {
    /// Byte 3 of a Power State Descriptor.
    PowerStateFlags: u8 {
        /// Max Power Scale: units of 0.0001 W, else 0.01 W.
        pub mxps: bool,
        /// Non-Operational State: no I/O commands are processed.
        pub nops: bool,
        #[bits(6)]
        __: u8,
    }

    /// Controller Multi-Path I/O and Namespace Sharing Capabilities.
    Cmic: u8 {
        /// The NVM subsystem may have more than one port.
        pub mports: bool,
        /// The NVM subsystem may have more than one controller.
        pub mctrs: bool,
        /// The controller is an SR-IOV virtual function.
        pub ft: bool,
        /// Asymmetric Namespace Access Reporting Support.
        pub anars: bool,
        #[bits(4)]
        __: u8,
    }

    /// Optional Asynchronous Events Supported.
    Oaes: u32 {
        __: u8,
        /// Attached Namespace Attribute Notices.
        pub nsan: bool,
        /// Firmware Activation Notices.
        pub fan: bool,
        __: bool,
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
        pub tthr: bool,
        /// Reachability Groups Change Notices: both notices of reachability.
        pub rgcns: bool,
        __: bool,
        /// Allocated Namespace Attribute Notices.
        pub ansan: bool,
        #[bits(7)]
        __: u8,
        /// Zone Descriptor Change Notices.
        pub zdcn: bool,
        #[bits(3)]
        __: u8,
        /// Discovery Log Page Change Notices.
        pub dlpcn: bool,
    }

    /// Controller Attributes.
    Ctratt: u32 {
        /// Host Identifiers of 128 bits Support.
        pub hids: bool,
        /// Non-Operational Power State Permissive Mode.
        pub nopspm: bool,
        /// NVM Sets.
        pub nsets: bool,
        /// Read Recovery Levels.
        pub rrlvls: bool,
        /// Endurance Groups.
        pub egs: bool,
        /// Predictable Latency Mode.
        pub plm: bool,
        /// Traffic Based Keep Alive Support.
        pub tbkas: bool,
        /// Namespace Granularity.
        pub ng: bool,
        /// SQ Associations.
        pub sqa: bool,
        /// UUID List.
        pub ulist: bool,
        /// Multi-Domain Subsystem.
        pub mds: bool,
        /// Fixed Capacity Management.
        pub fcm: bool,
        /// Variable Capacity Management.
        pub vcm: bool,
        /// Delete Endurance Group.
        pub deg: bool,
        /// Delete NVM Set.
        pub dnvms: bool,
        /// Extended LBA Formats Supported.
        pub elbas: bool,
        /// MDTS and Size Limits Exclude Metadata.
        pub mem: bool,
        /// HMB Restrict Non-Operational Power State Access.
        pub hmbr: bool,
        /// Reservations and Host Identifier Interaction.
        pub rhii: bool,
        /// Flexible Data Placement Support.
        pub fdps: bool,
        #[bits(12)]
        __: u16,
    }

    /// Controller Reachability Capabilities.
    Crcap: u8 {
        /// Reachability Reporting Supported.
        pub rrsup: bool,
        /// Reachability Group ID Changeable: an identifier does not change while any controller
        /// has the namespace attached.
        pub rgidc: bool,
        #[bits(6)]
        __: u8,
    }

    /// Optional Admin Command Support.
    Oacs: u16 {
        /// Security Send and Receive Supported.
        pub ssrs: bool,
        /// Format NVM Supported.
        pub fnvms: bool,
        /// Firmware Commit and Image Download Supported.
        pub fwds: bool,
        /// Namespace Management and Attachment Supported.
        pub nms: bool,
        /// Device Self-test Supported.
        pub dsts: bool,
        /// Directives Supported.
        pub dirs: bool,
        /// NVMe-MI Send and Receive Supported.
        pub nsrs: bool,
        /// Virtualization Management Supported.
        pub vms: bool,
        /// Doorbell Buffer Config Supported.
        pub dbcs: bool,
        /// Get LBA Status Supported.
        pub glss: bool,
        /// Command and Feature Lockdown Supported.
        pub cfls: bool,
        /// Host Managed Live Migration Support.
        pub hmlms: bool,
        #[bits(4)]
        __: u8,
    }

    /// Firmware Updates.
    Frmw: u8 {
        /// First Firmware Slot is Read Only.
        pub ffsro: bool,
        /// Number of Firmware Slots, 1 to 7.
        #[bits(3)]
        pub nofs: u8,
        /// Firmware Activation Without Reset.
        pub fawr: bool,
        /// Support Multiple Update Detection.
        pub smud: bool,
        #[bits(2)]
        __: u8,
    }

    /// Log Page Attributes.
    Lpa: u8 {
        /// SMART Support: the SMART / Health log can be had per namespace.
        pub smarts: bool,
        /// Commands Supported and Effects log Supported.
        pub cses: bool,
        /// Log Page Extended Data Support: 32-bit dword count, offsets.
        pub lpeds: bool,
        /// Telemetry Supported.
        pub ts: bool,
        /// Persistent Event log Supported.
        pub pes: bool,
        /// Multiple Log Pages Support: logs 00h, 12h and 13h.
        pub mlps: bool,
        /// Data Area 4 of telemetry Supported.
        pub da4s: bool,
        __: bool,
    }

    /// Submission or Completion Queue Entry Size, as powers of two.
    QueueEntrySize: u8 {
        /// Minimum: 6 (64 bytes) for submission, 4 (16 bytes) for completion.
        #[bits(4)]
        pub min: u8,
        /// Maximum.
        #[bits(4)]
        pub max: u8,
    }

    /// Optional NVM Command Support.
    Oncs: u16 {
        /// Compare.
        pub nvmcmps: bool,
        /// Write Uncorrectable.
        pub nvmwus: bool,
        /// Dataset Management.
        pub nvmdsms: bool,
        /// Write Zeroes.
        pub nvmwzs: bool,
        /// Save field of Set Features and Select field of Get Features.
        pub ssfs: bool,
        /// Reservations.
        pub reservs: bool,
        /// Timestamp feature.
        pub tss: bool,
        /// Verify.
        pub nvmvfys: bool,
        /// Copy.
        pub nvmcpys: bool,
        /// Copy Single Atomicity: what a Copy writes is as atomic as one write command.
        pub nvmcsa: bool,
        /// All Fast Copy: every copy operation of Copy is a fast one.
        pub nvmafc: bool,
        /// Maximum Write Zeroes with Deallocate: WZDSL is the limit when DEAC is set.
        pub maxwzd: bool,
        /// Namespace Zeroes.
        pub nszs: bool,
        #[bits(3)]
        __: u8,
    }

    /// Fused Operation Support.
    Fuses: u16 {
        /// Fused Compare and Write.
        pub fcws: bool,
        #[bits(15)]
        __: u16,
    }

    /// Format NVM Attributes.
    Fna: u8 {
        /// Format applies to all namespaces.
        pub fns: bool,
        /// Secure erase applies to all namespaces.
        pub sens: bool,
        /// Cryptographic Erase Supported.
        pub cryes: bool,
        /// Broadcast NSID not supported.
        pub bcnsid: bool,
        #[bits(4)]
        __: u8,
    }

    /// Volatile Write Cache.
    Vwc: u8 {
        /// Present.
        pub present: bool,
        /// Flush Behavior with the broadcast NSID: 2 not supported, 3 supported.
        #[bits(2)]
        pub fb: u8,
        #[bits(5)]
        __: u8,
    }

    /// SGL Support.
    Sgls: u32 {
        /// 0 not supported, 1 supported without alignment, 2 with dword alignment.
        #[bits(2)]
        pub sgls: u8,
        /// Keyed SGL Data Block descriptor supported.
        pub ksdb: bool,
        #[bits(5)]
        __: u8,
        /// SGL Descriptor Threshold: recommended maximum number of descriptors; 0 if not reported.
        pub sdt: u8,
        /// Bit Bucket descriptor Supported.
        pub sbb: bool,
        /// Byte aligned contiguous Metadata buffer Supported.
        pub mba: bool,
        /// SGL Length Larger than the data supported.
        pub llds: bool,
        /// MPTR may be an SGL segment of one descriptor.
        pub mptr_sgl: bool,
        /// Address field as an offset supported.
        pub offset: bool,
        /// Transport SGL Data Block descriptor supported.
        pub tsdb: bool,
        #[bits(10)]
        __: u16,
    }
}

open! {
    /// Controller Type.
    pub enum ControllerType: u8 {
        /// Not reported.
        NotReported = 0,
        /// I/O controller.
        Io = 1,
        /// Discovery controller.
        Discovery = 2,
        /// Administrative controller.
        Administrative = 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_hosts_test() {
        assert_eq!(Oaes::new().with_nsan(true).into_bits(), 1 << 8);
        assert_eq!(Oaes::new().with_rgcns(true).into_bits(), 1 << 17);
        assert_eq!(Oaes::new().with_ansan(true).into_bits(), 1 << 19);
        assert_eq!(Oaes::new().with_zdcn(true).into_bits(), 1 << 27);
        assert_eq!(Oaes::new().with_dlpcn(true).into_bits(), 1 << 31);
        assert_eq!(Ctratt::new().with_tbkas(true).into_bits(), 1 << 6);
        assert_eq!(Ctratt::new().with_elbas(true).into_bits(), 1 << 15);
        assert_eq!(Ctratt::new().with_fdps(true).into_bits(), 1 << 19);
        assert_eq!(Oacs::new().with_nms(true).into_bits(), 1 << 3);
        assert_eq!(Oacs::new().with_dbcs(true).into_bits(), 1 << 8);
        assert_eq!(Oncs::new().with_nvmdsms(true).into_bits(), 1 << 2);
        assert_eq!(Oncs::new().with_nvmcpys(true).into_bits(), 1 << 8);
        assert_eq!(Lpa::new().with_lpeds(true).into_bits(), 1 << 2);
        assert_eq!(Vwc::new().with_present(true).with_fb(3).into_bits(), 7);
        assert_eq!(
            QueueEntrySize::new().with_min(6).with_max(6).into_bits(),
            0x66
        );
        assert_eq!(
            Sgls::new().with_sgls(1).with_sbb(true).into_bits(),
            1 << 16 | 1
        );
        assert_eq!(Sgls::new().with_tsdb(true).into_bits(), 1 << 21);
    }
}
