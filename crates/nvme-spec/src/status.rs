//! Status: how a command ended (Base, 4.2.3).

use core::fmt;

/// Status of a completion: the 15 bits above the Phase Tag.
///
/// Bits 7:0 Status Code (SC), 10:8 Status Code Type (SCT), 12:11 Command Retry Delay (CRD),
/// 13 More (M), 14 Do Not Retry (DNR).
///
/// The constants have CRD, M and DNR clear. `==` compares all bits; to ask what happened, compare
/// [`Status::code`] with a constant.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

impl Status {
    const MASK: u16 = 0x7FFF;
    const CODE: u16 = 0x07FF;
    const MORE: u16 = 1 << 13;
    const DNR: u16 = 1 << 14;

    /// The status of this type and code; only the low 3 bits of `sct` count.
    pub const fn new(sct: u8, sc: u8) -> Self {
        Self(((sct & 7) as u16) << 8 | sc as u16)
    }

    /// From the 15 bits; bit 15 is ignored.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::MASK)
    }

    /// The 15 bits; bit 15 is clear.
    pub const fn into_bits(self) -> u16 {
        self.0
    }

    /// Status Code.
    pub const fn sc(self) -> u8 {
        self.0 as u8
    }

    /// Status Code Type.
    pub const fn sct(self) -> u8 {
        (self.0 >> 8) as u8 & 7
    }

    /// Command Retry Delay: 0 none, else which of CRDT1 to CRDT3.
    pub const fn crd(self) -> u8 {
        (self.0 >> 11) as u8 & 3
    }

    /// More: the Error Information log has an entry for this.
    pub const fn more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    /// Do Not Retry: the same command would fail again.
    pub const fn dnr(self) -> bool {
        self.0 & Self::DNR != 0
    }

    /// The same with this Command Retry Delay; only the low 2 bits count.
    pub const fn with_crd(self, crd: u8) -> Self {
        Self(self.0 & !(3 << 11) | ((crd & 3) as u16) << 11)
    }

    /// The same with this More bit.
    pub const fn with_more(self, more: bool) -> Self {
        Self(self.0 & !Self::MORE | if more { Self::MORE } else { 0 })
    }

    /// The same with this Do Not Retry bit.
    pub const fn with_dnr(self, dnr: bool) -> Self {
        Self(self.0 & !Self::DNR | if dnr { Self::DNR } else { 0 })
    }

    /// Only SCT and SC: what the constants are to be compared with.
    pub const fn code(self) -> Self {
        Self(self.0 & Self::CODE)
    }

    /// Whether the command succeeded.
    pub const fn is_success(self) -> bool {
        self.code().0 == Self::SUCCESS.0
    }
}

macro_rules! statuses {
    ($($sct:literal { $($sc:literal $name:ident $text:literal)* })*) => {
        impl Status {
            $($(
                #[doc = concat!($text, " (SCT ", $sct, "h, SC ", stringify!($sc), ").")]
                pub const $name: Self = Self::new($sct, $sc);
            )*)*

            /// What happened, in the specification's words.
            pub const fn name(self) -> &'static str {
                match (self.sct(), self.sc()) {
                    $($(($sct, $sc) => $text,)*)*
                    (7, _) => "Vendor Specific Status",
                    (_, 0xC0..) => "Vendor Specific Status",
                    _ => "Reserved Status",
                }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$($(Self::$name,)*)*];
        }
    };
}

statuses! {
    // Generic Command Status (Base, Figure 102; from 80h on: of I/O command sets).
    0 {
        0x00 SUCCESS "Successful Completion"
        0x01 INVALID_OPCODE "Invalid Command Opcode"
        0x02 INVALID_FIELD "Invalid Field in Command"
        0x03 CID_CONFLICT "Command ID Conflict"
        0x04 DATA_TRANSFER_ERROR "Data Transfer Error"
        0x05 ABORTED_POWER_LOSS "Commands Aborted due to Power Loss Notification"
        0x06 INTERNAL_ERROR "Internal Error"
        0x07 ABORT_REQUESTED "Command Abort Requested"
        0x08 ABORTED_SQ_DELETION "Command Aborted due to SQ Deletion"
        0x09 ABORTED_FAILED_FUSED "Command Aborted due to Failed Fused Command"
        0x0A ABORTED_MISSING_FUSED "Command Aborted due to Missing Fused Command"
        0x0B INVALID_NAMESPACE_OR_FORMAT "Invalid Namespace or Format"
        0x0C COMMAND_SEQUENCE_ERROR "Command Sequence Error"
        0x0D INVALID_SGL_SEGMENT "Invalid SGL Segment Descriptor"
        0x0E INVALID_SGL_COUNT "Invalid Number of SGL Descriptors"
        0x0F DATA_SGL_LENGTH_INVALID "Data SGL Length Invalid"
        0x10 METADATA_SGL_LENGTH_INVALID "Metadata SGL Length Invalid"
        0x11 SGL_TYPE_INVALID "SGL Descriptor Type Invalid"
        0x12 INVALID_USE_OF_CMB "Invalid Use of Controller Memory Buffer"
        0x13 PRP_OFFSET_INVALID "PRP Offset Invalid"
        0x14 ATOMIC_WRITE_UNIT_EXCEEDED "Atomic Write Unit Exceeded"
        0x15 OPERATION_DENIED "Operation Denied"
        0x16 SGL_OFFSET_INVALID "SGL Offset Invalid"
        0x18 HOST_ID_INCONSISTENT_FORMAT "Host Identifier Inconsistent Format"
        0x19 KEEP_ALIVE_EXPIRED "Keep Alive Timer Expired"
        0x1A KEEP_ALIVE_INVALID "Keep Alive Timeout Invalid"
        0x1B ABORTED_PREEMPT "Command Aborted due to Preempt and Abort"
        0x1C SANITIZE_FAILED "Sanitize Failed"
        0x1D SANITIZE_IN_PROGRESS "Sanitize In Progress"
        0x1E SGL_GRANULARITY_INVALID "SGL Data Block Granularity Invalid"
        0x1F NOT_SUPPORTED_IN_CMB "Command Not Supported for Queue in CMB"
        0x20 NAMESPACE_WRITE_PROTECTED "Namespace is Write Protected"
        0x21 COMMAND_INTERRUPTED "Command Interrupted"
        0x22 TRANSIENT_TRANSPORT_ERROR "Transient Transport Error"
        0x23 PROHIBITED_BY_LOCKDOWN "Command Prohibited by Command and Feature Lockdown"
        0x24 ADMIN_MEDIA_NOT_READY "Admin Command Media Not Ready"
        0x25 INVALID_KEY_TAG "Invalid Key Tag"
        0x26 HOST_DISPERSED_NS_NOT_ENABLED "Host Dispersed Namespace Support Not Enabled"
        0x27 HOST_ID_NOT_INITIALIZED "Host Identifier Not Initialized"
        0x28 INCORRECT_KEY "Incorrect Key"
        0x29 FDP_DISABLED "FDP Disabled"
        0x2A INVALID_PLACEMENT_HANDLE_LIST "Invalid Placement Handle List"
        0x80 LBA_OUT_OF_RANGE "LBA Out of Range"
        0x81 CAPACITY_EXCEEDED "Capacity Exceeded"
        0x82 NAMESPACE_NOT_READY "Namespace Not Ready"
        0x83 RESERVATION_CONFLICT "Reservation Conflict"
        0x84 FORMAT_IN_PROGRESS "Format In Progress"
        0x85 INVALID_VALUE_SIZE "Invalid Value Size"
        0x86 INVALID_KEY_SIZE "Invalid Key Size"
        0x87 KEY_DOES_NOT_EXIST "KV Key Does Not Exist"
        0x88 UNRECOVERED_ERROR "Unrecovered Error"
        0x89 KEY_EXISTS "Key Exists"
    }
    // Command Specific Status (Base, Figures 103 and 104; from 80h on: of I/O command sets).
    1 {
        0x00 COMPLETION_QUEUE_INVALID "Completion Queue Invalid"
        0x01 INVALID_QUEUE_ID "Invalid Queue Identifier"
        0x02 INVALID_QUEUE_SIZE "Invalid Queue Size"
        0x03 ABORT_LIMIT_EXCEEDED "Abort Command Limit Exceeded"
        0x05 AER_LIMIT_EXCEEDED "Asynchronous Event Request Limit Exceeded"
        0x06 INVALID_FIRMWARE_SLOT "Invalid Firmware Slot"
        0x07 INVALID_FIRMWARE_IMAGE "Invalid Firmware Image"
        0x08 INVALID_INTERRUPT_VECTOR "Invalid Interrupt Vector"
        0x09 INVALID_LOG_PAGE "Invalid Log Page"
        0x0A INVALID_FORMAT "Invalid Format"
        0x0B FIRMWARE_NEEDS_CONVENTIONAL_RESET "Firmware Activation Requires Conventional Reset"
        0x0C INVALID_QUEUE_DELETION "Invalid Queue Deletion"
        0x0D FEATURE_NOT_SAVEABLE "Feature Identifier Not Saveable"
        0x0E FEATURE_NOT_CHANGEABLE "Feature Not Changeable"
        0x0F FEATURE_NOT_NAMESPACE_SPECIFIC "Feature Not Namespace Specific"
        0x10 FIRMWARE_NEEDS_SUBSYSTEM_RESET "Firmware Activation Requires NVM Subsystem Reset"
        0x11 FIRMWARE_NEEDS_CONTROLLER_RESET "Firmware Activation Requires Controller Level Reset"
        0x12 FIRMWARE_NEEDS_MAXIMUM_TIME "Firmware Activation Requires Maximum Time Violation"
        0x13 FIRMWARE_PROHIBITED "Firmware Activation Prohibited"
        0x14 OVERLAPPING_RANGE "Overlapping Range"
        0x15 NAMESPACE_INSUFFICIENT_CAPACITY "Namespace Insufficient Capacity"
        0x16 NSID_UNAVAILABLE "Namespace Identifier Unavailable"
        0x18 NAMESPACE_ALREADY_ATTACHED "Namespace Already Attached"
        0x19 NAMESPACE_IS_PRIVATE "Namespace Is Private"
        0x1A NAMESPACE_NOT_ATTACHED "Namespace Not Attached"
        0x1B THIN_PROVISIONING_NOT_SUPPORTED "Thin Provisioning Not Supported"
        0x1C CONTROLLER_LIST_INVALID "Controller List Invalid"
        0x1D SELF_TEST_IN_PROGRESS "Device Self-test In Progress"
        0x1E BOOT_PARTITION_WRITE_PROHIBITED "Boot Partition Write Prohibited"
        0x1F INVALID_CONTROLLER_ID "Invalid Controller Identifier"
        0x20 INVALID_SECONDARY_CONTROLLER_STATE "Invalid Secondary Controller State"
        0x21 INVALID_CONTROLLER_RESOURCES "Invalid Number of Controller Resources"
        0x22 INVALID_RESOURCE_ID "Invalid Resource Identifier"
        0x23 SANITIZE_PROHIBITED_PMR "Sanitize Prohibited While Persistent Memory Region is Enabled"
        0x24 ANA_GROUP_ID_INVALID "ANA Group Identifier Invalid"
        0x25 ANA_ATTACH_FAILED "ANA Attach Failed"
        0x26 INSUFFICIENT_CAPACITY "Insufficient Capacity"
        0x27 ATTACHMENT_LIMIT_EXCEEDED "Namespace Attachment Limit Exceeded"
        0x28 PROHIBITION_NOT_SUPPORTED "Prohibition of Command Execution Not Supported"
        0x29 IOCS_NOT_SUPPORTED "I/O Command Set Not Supported"
        0x2A IOCS_NOT_ENABLED "I/O Command Set Not Enabled"
        0x2B IOCS_COMBINATION_REJECTED "I/O Command Set Combination Rejected"
        0x2C INVALID_IOCS "Invalid I/O Command Set"
        0x2D ID_UNAVAILABLE "Identifier Unavailable"
        0x2E NAMESPACE_IS_DISPERSED "Namespace Is Dispersed"
        0x2F INVALID_DISCOVERY_INFORMATION "Invalid Discovery Information"
        0x30 ZONING_LOCKED "Zoning Data Structure Locked"
        0x31 ZONING_NOT_FOUND "Zoning Data Structure Not Found"
        0x32 INSUFFICIENT_DISCOVERY_RESOURCES "Insufficient Discovery Resources"
        0x33 REQUESTED_FUNCTION_DISABLED "Requested Function Disabled"
        0x34 ZONEGROUP_ORIGINATOR_INVALID "ZoneGroup Originator Invalid"
        0x35 INVALID_HOST "Invalid Host"
        0x36 INVALID_SUBSYSTEM "Invalid NVM Subsystem"
        0x37 INVALID_CONTROLLER_DATA_QUEUE "Invalid Controller Data Queue"
        0x38 NOT_ENOUGH_RESOURCES "Not Enough Resources"
        0x39 CONTROLLER_SUSPENDED "Controller Suspended"
        0x3A CONTROLLER_NOT_SUSPENDED "Controller Not Suspended"
        0x3B CONTROLLER_DATA_QUEUE_FULL "Controller Data Queue Full"
        0x80 CONFLICTING_ATTRIBUTES "Conflicting Attributes"
        0x81 INVALID_PROTECTION_INFORMATION "Invalid Protection Information"
        0x82 WRITE_TO_READ_ONLY_RANGE "Attempted Write to Read Only Range"
        0x83 COMMAND_SIZE_LIMIT_EXCEEDED "Command Size Limit Exceeded"
        0x84 INVALID_COMMAND_ID "Invalid Command ID"
        0x85 INCOMPATIBLE_NAMESPACE_OR_FORMAT "Incompatible Namespace or Format"
        0x86 FAST_COPY_NOT_POSSIBLE "Fast Copy Not Possible"
        0x87 OVERLAPPING_IO_RANGE "Overlapping I/O Range"
        0x88 NAMESPACE_NOT_REACHABLE "Namespace Not Reachable"
        0x89 INSUFFICIENT_RESOURCES "Insufficient Resources"
        0x8A INSUFFICIENT_PROGRAM_RESOURCES "Insufficient Program Resources"
        0x8B INVALID_MEMORY_NAMESPACE "Invalid Memory Namespace"
        0x8C INVALID_MEMORY_RANGE_SET "Invalid Memory Range Set"
        0x8D INVALID_MEMORY_RANGE_SET_ID "Invalid Memory Range Set Identifier"
        0x8E INVALID_PROGRAM_DATA "Invalid Program Data"
        0x8F INVALID_PROGRAM_INDEX "Invalid Program Index"
        0x90 INVALID_PROGRAM_TYPE "Invalid Program Type"
        0x91 MAXIMUM_MEMORY_RANGES_EXCEEDED "Maximum Memory Ranges Exceeded"
        0x92 MAXIMUM_MEMORY_RANGE_SETS_EXCEEDED "Maximum Memory Range Sets Exceeded"
        0x93 MAXIMUM_PROGRAMS_ACTIVATED "Maximum Programs Activated"
        0x94 MAXIMUM_PROGRAM_BYTES_EXCEEDED "Maximum Program Bytes Exceeded"
        0x95 MEMORY_RANGE_SET_IN_USE "Memory Range Set In Use"
        0x96 NO_PROGRAM "No Program"
        0x97 OVERLAPPING_MEMORY_RANGES "Overlapping Memory Ranges"
        0x98 PROGRAM_NOT_ACTIVATED "Program Not Activated"
        0x99 PROGRAM_IN_USE "Program In Use"
        0x9A PROGRAM_INDEX_NOT_DOWNLOADABLE "Program Index Not Downloadable"
        0x9B PROGRAM_TOO_BIG "Program Too Big"
        0x9C SUCCESSFUL_MEDIA_VERIFICATION_READ "Successful Media Verification Read"
        0xB8 ZONED_BOUNDARY_ERROR "Zoned Boundary Error"
        0xB9 ZONE_IS_FULL "Zone Is Full"
        0xBA ZONE_IS_READ_ONLY "Zone Is Read Only"
        0xBB ZONE_IS_OFFLINE "Zone Is Offline"
        0xBC ZONE_INVALID_WRITE "Zone Invalid Write"
        0xBD TOO_MANY_ACTIVE_ZONES "Too Many Active Zones"
        0xBE TOO_MANY_OPEN_ZONES "Too Many Open Zones"
        0xBF INVALID_ZONE_STATE_TRANSITION "Invalid Zone State Transition"
    }
    // Media and Data Integrity Errors (Base, Figure 106).
    2 {
        0x80 WRITE_FAULT "Write Fault"
        0x81 UNRECOVERED_READ_ERROR "Unrecovered Read Error"
        0x82 GUARD_CHECK_ERROR "End-to-end Guard Check Error"
        0x83 APPLICATION_TAG_CHECK_ERROR "End-to-end Application Tag Check Error"
        0x84 REFERENCE_TAG_CHECK_ERROR "End-to-end Reference Tag Check Error"
        0x85 COMPARE_FAILURE "Compare Failure"
        0x86 ACCESS_DENIED "Access Denied"
        0x87 DEALLOCATED_OR_UNWRITTEN "Deallocated or Unwritten Logical Block"
        0x88 STORAGE_TAG_CHECK_ERROR "End-to-End Storage Tag Check Error"
    }
    // Path Related Status (Base, Figure 107).
    3 {
        0x00 INTERNAL_PATH_ERROR "Internal Path Error"
        0x01 ANA_PERSISTENT_LOSS "Asymmetric Access Persistent Loss"
        0x02 ANA_INACCESSIBLE "Asymmetric Access Inaccessible"
        0x03 ANA_TRANSITION "Asymmetric Access Transition"
        0x60 CONTROLLER_PATHING_ERROR "Controller Pathing Error"
        0x70 HOST_PATHING_ERROR "Host Pathing Error"
        0x71 ABORTED_BY_HOST "Command Aborted By Host"
    }
}

/// The words, and the numbers for who wants to look them up.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (SCT {:X}h, SC {:02X}h",
            self.name(),
            self.sct(),
            self.sc()
        )?;
        if self.crd() != 0 {
            write!(f, ", CRD {}", self.crd())?;
        }
        if self.more() {
            f.write_str(", more")?;
        }
        if self.dnr() {
            f.write_str(", do not retry")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn fields_are_at_their_bits() {
        assert_eq!(Status::new(1, 0x85).into_bits(), 0x185);
        assert_eq!(Status::SUCCESS.with_crd(3).into_bits(), 0x1800);
        assert_eq!(Status::SUCCESS.with_more(true).into_bits(), 0x2000);
        assert_eq!(Status::SUCCESS.with_dnr(true).into_bits(), 0x4000);
        assert_eq!(Status::from_bits(0xFFFF).into_bits(), 0x7FFF);
        assert_eq!(Status::new(0xFF, 0).sct(), 7);
    }

    #[test]
    fn each_bit_can_be_taken_back() {
        let all = Status::from_bits(0x7FFF);
        assert_eq!(all.with_crd(0).with_more(false).with_dnr(false), all.code());
        assert_eq!(
            (all.sct(), all.sc(), all.crd(), all.more(), all.dnr()),
            (7, 0xFF, 3, true, true)
        );
    }

    #[test]
    fn do_not_retry_does_not_change_what_happened() {
        let status = Status::NO_PROGRAM.with_dnr(true);
        assert_ne!(status, Status::NO_PROGRAM);
        assert_eq!(status.code(), Status::NO_PROGRAM);
        assert!(!status.is_success());
        assert!(Status::SUCCESS.with_more(true).is_success());
    }

    #[test]
    fn names_are_listed_in_order_and_once() {
        assert!(Status::ALL.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn words_and_numbers() {
        assert_eq!(
            format!("{}", Status::PROGRAM_TOO_BIG.with_dnr(true)),
            "Program Too Big (SCT 1h, SC 9Bh, do not retry)"
        );
        assert_eq!(Status::new(0, 0x17).name(), "Reserved Status");
        assert_eq!(Status::new(1, 0xC5).name(), "Vendor Specific Status");
        assert_eq!(Status::new(7, 0).name(), "Vendor Specific Status");
    }
}
