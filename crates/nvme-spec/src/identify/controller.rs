//! Identify Controller (CNS 01h; Base, 5.1.13.2.1).

use super::capability::{
    Cmic, ControllerType, Crcap, Ctratt, Fna, Frmw, Fuses, Lpa, Oacs, Oaes, Oncs, PowerStateFlags,
    QueueEntrySize, Sgls, Vwc,
};
use crate::register::Version;
use zerocopy::little_endian::U128;

wire! {
    /// Identify Controller.
    pub struct IdentifyController: 4096 {
        /// Bytes 0-1: PCI Vendor ID.
        pub vid: u16,
        /// Bytes 2-3: PCI Subsystem Vendor ID.
        pub ssvid: u16,
        /// Bytes 4-23: Serial Number; see [`super::ascii`].
        pub sn: [u8; 20],
        /// Bytes 24-63: Model Number; see [`super::ascii`].
        pub mn: [u8; 40],
        /// Bytes 64-71: Firmware Revision; see [`super::ascii`].
        pub fr: [u8; 8],
        /// Byte 72: Recommended Arbitration Burst, as a power of two.
        pub rab: u8,
        /// Bytes 73-75: IEEE OUI Identifier, least significant byte first.
        pub ieee: [u8; 3],
        /// Byte 76: Controller Multi-Path I/O and Namespace Sharing Capabilities.
        pub cmic: Cmic,
        /// Byte 77: Maximum Data Transfer Size is 2^MDTS minimum memory pages; 0 for no limit.
        pub mdts: u8,
        /// Bytes 78-79: Controller ID.
        pub cntlid: u16,
        /// Bytes 80-83: Version, as the register VS.
        pub ver: Version,
        /// Bytes 84-87: RTD3 Resume Latency, in µs.
        pub rtd3r: u32,
        /// Bytes 88-91: RTD3 Entry Latency, in µs.
        pub rtd3e: u32,
        /// Bytes 92-95: Optional Asynchronous Events Supported.
        pub oaes: Oaes,
        /// Bytes 96-99: Controller Attributes.
        pub ctratt: Ctratt,
        /// Bytes 100-101: Read Recovery Levels Supported.
        pub rrls: u16,
        /// Byte 102: Boot Partition Capabilities.
        pub bpcap: u8,
        rsvd103: u8,
        /// Bytes 104-107: NVM Subsystem Shutdown Latency, in µs.
        pub nssl: u32,
        rsvd108: [u8; 2],
        /// Byte 110: Power Loss Signaling Information.
        pub plsi: u8,
        /// Byte 111: Controller Type.
        pub cntrltype: ControllerType,
        /// Bytes 112-127: FRU Globally Unique Identifier.
        pub fguid: [u8; 16],
        /// Bytes 128-133: Command Retry Delay Times 1 to 3, in 100 ms.
        pub crdt: [u16; 3],
        /// Byte 134: Controller Reachability Capabilities.
        pub crcap: Crcap,
        rsvd135: [u8; 118],
        /// Byte 253: NVM Subsystem Report (NVMe-MI).
        pub nvmsr: u8,
        /// Byte 254: VPD Write Cycle Information (NVMe-MI).
        pub vwci: u8,
        /// Byte 255: Management Endpoint Capabilities (NVMe-MI).
        pub mec: u8,
        /// Bytes 256-257: Optional Admin Command Support.
        pub oacs: Oacs,
        /// Byte 258: Abort Command Limit, 0's-based.
        pub acl_z: u8,
        /// Byte 259: Asynchronous Event Request Limit, 0's-based.
        pub aerl_z: u8,
        /// Byte 260: Firmware Updates.
        pub frmw: Frmw,
        /// Byte 261: Log Page Attributes.
        pub lpa: Lpa,
        /// Byte 262: Error Log Page Entries, 0's-based.
        pub elpe_z: u8,
        /// Byte 263: Number of Power States Support, 0's-based.
        pub npss_z: u8,
        /// Byte 264: Admin Vendor Specific Command Configuration.
        pub avscc: u8,
        /// Byte 265: Autonomous Power State Transition Attributes.
        pub apsta: u8,
        /// Bytes 266-267: Warning Composite Temperature Threshold, in kelvins.
        pub wctemp: u16,
        /// Bytes 268-269: Critical Composite Temperature Threshold, in kelvins.
        pub cctemp: u16,
        /// Bytes 270-271: Maximum Time for Firmware Activation, in 100 ms.
        pub mtfa: u16,
        /// Bytes 272-275: Host Memory Buffer Preferred Size, in 4 KiB.
        pub hmpre: u32,
        /// Bytes 276-279: Host Memory Buffer Minimum Size, in 4 KiB.
        pub hmmin: u32,
        /// Bytes 280-295: Total NVM Capacity, in bytes.
        pub tnvmcap: U128,
        /// Bytes 296-311: Unallocated NVM Capacity, in bytes.
        pub unvmcap: U128,
        /// Bytes 312-315: Replay Protected Memory Block Support.
        pub rpmbs: u32,
        /// Bytes 316-317: Extended Device Self-test Time, in minutes.
        pub edstt: u16,
        /// Byte 318: Device Self-test Options.
        pub dsto: u8,
        /// Byte 319: Firmware Update Granularity, in 4 KiB; FFh for no restriction.
        pub fwug: u8,
        /// Bytes 320-321: Keep Alive Support: granularity of the timer, in 100 ms.
        pub kas: u16,
        /// Bytes 322-323: Host Controlled Thermal Management Attributes.
        pub hctma: u16,
        /// Bytes 324-325: Minimum Thermal Management Temperature, in kelvins.
        pub mntmt: u16,
        /// Bytes 326-327: Maximum Thermal Management Temperature, in kelvins.
        pub mxtmt: u16,
        /// Bytes 328-331: Sanitize Capabilities.
        pub sanicap: u32,
        /// Bytes 332-335: Host Memory Buffer Minimum Descriptor Entry Size, in 4 KiB.
        pub hmminds: u32,
        /// Bytes 336-337: Host Memory Maximum Descriptors Entries.
        pub hmmaxd: u16,
        /// Bytes 338-339: NVM Set Identifier Maximum.
        pub nsetidmax: u16,
        /// Bytes 340-341: Endurance Group Identifier Maximum.
        pub endgidmax: u16,
        /// Byte 342: ANA Transition Time, in seconds.
        pub anatt: u8,
        /// Byte 343: Asymmetric Namespace Access Capabilities.
        pub anacap: u8,
        /// Bytes 344-347: ANA Group Identifier Maximum.
        pub anagrpmax: u32,
        /// Bytes 348-351: Number of ANA Group Identifiers.
        pub nanagrpid: u32,
        /// Bytes 352-355: Persistent Event Log Size, in 64 KiB.
        pub pels: u32,
        /// Bytes 356-357: Domain Identifier.
        pub domainid: u16,
        /// Byte 358: Key Per I/O Capabilities.
        pub kpioc: u8,
        rsvd359: u8,
        /// Bytes 360-361: Maximum Processing Time for Firmware Activation Without Reset, in 100 ms.
        pub mptfawr: u16,
        rsvd362: [u8; 6],
        /// Bytes 368-383: Max Endurance Group Capacity, in bytes.
        pub megcap: U128,
        /// Byte 384: Temperature Threshold Hysteresis Attributes.
        pub tmpthha: u8,
        rsvd385: u8,
        /// Bytes 386-387: Command Quiesce Time, in ms.
        pub cqt: u16,
        rsvd388: [u8; 124],
        /// Byte 512: Submission Queue Entry Size.
        pub sqes: QueueEntrySize,
        /// Byte 513: Completion Queue Entry Size.
        pub cqes: QueueEntrySize,
        /// Bytes 514-515: Maximum Outstanding Commands; 0 if not reported.
        pub maxcmd: u16,
        /// Bytes 516-519: Number of Namespaces: the largest NSID.
        pub nn: u32,
        /// Bytes 520-521: Optional NVM Command Support.
        pub oncs: Oncs,
        /// Bytes 522-523: Fused Operation Support.
        pub fuses: Fuses,
        /// Byte 524: Format NVM Attributes.
        pub fna: Fna,
        /// Byte 525: Volatile Write Cache.
        pub vwc: Vwc,
        /// Bytes 526-527: Atomic Write Unit Normal in logical blocks, 0's-based.
        pub awun_z: u16,
        /// Bytes 528-529: Atomic Write Unit Power Fail in logical blocks, 0's-based.
        pub awupf_z: u16,
        /// Byte 530: I/O Command Set Vendor Specific Command Configuration.
        pub icsvscc: u8,
        /// Byte 531: Namespace Write Protection Capabilities.
        pub nwpc: u8,
        /// Bytes 532-533: Atomic Compare & Write Unit in logical blocks, 0's-based.
        pub acwu_z: u16,
        /// Bytes 534-535: Copy Descriptor Formats Supported: bit *n* for format *n*.
        pub cdfs: u16,
        /// Bytes 536-539: SGL Support.
        pub sgls: Sgls,
        /// Bytes 540-543: Maximum Number of Allowed Namespaces; 0 for NN.
        pub mnan: u32,
        /// Bytes 544-559: Maximum Domain Namespace Attachments.
        pub maxdna: U128,
        /// Bytes 560-563: Maximum I/O Controller Namespace Attachments.
        pub maxcna: u32,
        /// Bytes 564-567: Optimal Aggregated Queue Depth.
        pub oaqd: u32,
        /// Byte 568: Recommended Host-Initiated Refresh Interval, in days.
        pub rhiri: u8,
        /// Byte 569: Host-Initiated Refresh Time, in minutes.
        pub hirt: u8,
        /// Bytes 570-571: Controller Maximum Memory Range Tracking Descriptors.
        pub cmmrtd: u16,
        /// Bytes 572-573: NVM Subsystem Maximum Memory Range Tracking Descriptors.
        pub nmmrtd: u16,
        /// Byte 574: Minimum Memory Range Tracking Granularity.
        pub minmrtg: u8,
        /// Byte 575: Maximum Memory Range Tracking Granularity.
        pub maxmrtg: u8,
        /// Byte 576: Tracking Attributes.
        pub trattr: u8,
        rsvd577: u8,
        /// Bytes 578-579: Maximum Controller User Data Migration Queues.
        pub mcudmq: u16,
        /// Bytes 580-581: Maximum NVM Subsystem User Data Migration Queues.
        pub mnsudmq: u16,
        /// Bytes 582-583: Maximum CDQ Memory Ranges.
        pub mcmr: u16,
        /// Bytes 584-585: NVM Subsystem Maximum CDQ Memory Ranges.
        pub nmcmr: u16,
        /// Bytes 586-587: Maximum Controller Data Queue PRP Count.
        pub mcdqpc: u16,
        rsvd588: [u8; 180],
        /// Bytes 768-1023: NVM Subsystem NVMe Qualified Name, UTF-8, ended by 0.
        pub subnqn: [u8; 256],
        rsvd1024: [u8; 768],
        /// Bytes 1792-2047: NVMe over Fabrics.
        pub fabrics: [u8; 256],
        /// Bytes 2048-3071: Power State Descriptors.
        pub psd: [PowerStateDescriptor; 32],
        /// Bytes 3072-4095: vendor specific.
        pub vs: [u8; 1024],
    }
}

wire! {
    /// Power State Descriptor (Base, 5.1.13.2.2).
    pub struct PowerStateDescriptor: 32 {
        /// Bytes 0-1: Maximum Power, in the unit that MXPS tells.
        pub mp: u16,
        rsvd2: u8,
        /// Byte 3: NOPS and MXPS.
        pub flags: PowerStateFlags,
        /// Bytes 4-7: Entry Latency, in µs.
        pub enlat: u32,
        /// Bytes 8-11: Exit Latency, in µs.
        pub exlat: u32,
        /// Byte 12: Relative Read Throughput; 0 is best, less than the number of power states.
        pub rrt: u8,
        /// Byte 13: Relative Read Latency.
        pub rrl: u8,
        /// Byte 14: Relative Write Throughput.
        pub rwt: u8,
        /// Byte 15: Relative Write Latency.
        pub rwl: u8,
        /// Bytes 16-17: Idle Power, in the unit that IPS tells.
        pub idlp: u16,
        /// Byte 18: Idle Power Scale in bits 7:6: 0 none, 1 0.1 mW, 2 10 mW.
        pub ips: u8,
        rsvd19: u8,
        /// Bytes 20-21: Active Power, in the unit that APS tells.
        pub actp: u16,
        /// Byte 22: Active Power Workload (2:0) and Scale (7:6).
        pub apws: u8,
        /// Byte 23: Emergency Power Fail Recovery Time.
        pub epfrt: u8,
        /// Byte 24: Forced Quiescence Vault Time.
        pub fqvt: u8,
        /// Byte 25: Emergency Power Fail Vault Time.
        pub epfvt: u8,
        /// Byte 26: Scales of EPFRT (3:0) and FQVT (7:4).
        pub epfr_fqv_ts: u8,
        /// Byte 27: Scale of EPFVT (3:0).
        pub epfvts: u8,
        rsvd28: [u8; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn fields_are_at_their_bytes() {
        macro_rules! at {
            ($($field:ident $offset:literal)*) => {
                $(assert_eq!(offset_of!(IdentifyController, $field), $offset, stringify!($field));)*
            };
        }
        at! {
            sn 4 mn 24 fr 64 rab 72 ieee 73 cmic 76 mdts 77 cntlid 78 ver 80 rtd3r 84 rtd3e 88
            oaes 92 ctratt 96 rrls 100 bpcap 102 nssl 104 plsi 110 cntrltype 111 fguid 112 crdt 128
            crcap 134 nvmsr 253 mec 255 oacs 256 acl_z 258 aerl_z 259 frmw 260 lpa 261 elpe_z 262
            npss_z 263 avscc 264 apsta 265 wctemp 266 cctemp 268 mtfa 270 hmpre 272 hmmin 276
            tnvmcap 280 unvmcap 296 rpmbs 312 edstt 316 dsto 318 fwug 319 kas 320 hctma 322
            mntmt 324 mxtmt 326 sanicap 328 hmminds 332 hmmaxd 336 nsetidmax 338 endgidmax 340
            anatt 342 anacap 343 anagrpmax 344 nanagrpid 348 pels 352 domainid 356 kpioc 358
            mptfawr 360 megcap 368 tmpthha 384 cqt 386 sqes 512 cqes 513 maxcmd 514 nn 516 oncs 520
            fuses 522 fna 524 vwc 525 awun_z 526 awupf_z 528 icsvscc 530 nwpc 531 acwu_z 532
            cdfs 534 sgls 536 mnan 540 maxdna 544 maxcna 560 oaqd 564 rhiri 568 cmmrtd 570
            trattr 576 mcudmq 578 mcdqpc 586 subnqn 768 fabrics 1792 psd 2048 vs 3072
        }
    }

    #[test]
    fn power_state_fields_are_at_their_bytes() {
        assert_eq!(offset_of!(PowerStateDescriptor, flags), 3);
        assert_eq!(offset_of!(PowerStateDescriptor, exlat), 8);
        assert_eq!(offset_of!(PowerStateDescriptor, idlp), 16);
        assert_eq!(offset_of!(PowerStateDescriptor, actp), 20);
        assert_eq!(offset_of!(PowerStateDescriptor, epfrt), 23);
    }
}
