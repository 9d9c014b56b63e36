//! Opcodes of the Admin command set and of the I/O command sets.
//!
//! Bits 1:0 of a standard opcode tell the direction of its data: see [`DataTransfer`].

open! {
    /// Opcodes of Admin commands (Base, 5; NVM and CP specifications from 80h on).
    pub enum AdminOpcode: u8 {
        /// Delete I/O Submission Queue.
        DeleteIoSq = 0x00,
        /// Create I/O Submission Queue.
        CreateIoSq = 0x01,
        /// Get Log Page.
        GetLogPage = 0x02,
        /// Delete I/O Completion Queue.
        DeleteIoCq = 0x04,
        /// Create I/O Completion Queue.
        CreateIoCq = 0x05,
        /// Identify.
        Identify = 0x06,
        /// Abort.
        Abort = 0x08,
        /// Set Features.
        SetFeatures = 0x09,
        /// Get Features.
        GetFeatures = 0x0A,
        /// Asynchronous Event Request.
        AsyncEventRequest = 0x0C,
        /// Namespace Management.
        NamespaceManagement = 0x0D,
        /// Firmware Commit.
        FirmwareCommit = 0x10,
        /// Firmware Image Download.
        FirmwareImageDownload = 0x11,
        /// Device Self-test.
        DeviceSelfTest = 0x14,
        /// Namespace Attachment.
        NamespaceAttachment = 0x15,
        /// Keep Alive.
        KeepAlive = 0x18,
        /// Directive Send.
        DirectiveSend = 0x19,
        /// Directive Receive.
        DirectiveReceive = 0x1A,
        /// Virtualization Management.
        VirtualizationManagement = 0x1C,
        /// NVMe-MI Send.
        NvmeMiSend = 0x1D,
        /// NVMe-MI Receive.
        NvmeMiReceive = 0x1E,
        /// Capacity Management.
        CapacityManagement = 0x20,
        /// Discovery Information Management.
        DiscoveryInformationManagement = 0x21,
        /// Fabric Zoning Receive.
        FabricZoningReceive = 0x22,
        /// Lockdown.
        Lockdown = 0x24,
        /// Fabric Zoning Lookup.
        FabricZoningLookup = 0x25,
        /// Clear Exported NVM Resource Configuration.
        ClearExportedNvmResourceConfiguration = 0x28,
        /// Fabric Zoning Send.
        FabricZoningSend = 0x29,
        /// Create Exported NVM Subsystem.
        CreateExportedNvmSubsystem = 0x2A,
        /// Manage Exported NVM Subsystem.
        ManageExportedNvmSubsystem = 0x2D,
        /// Manage Exported Namespace.
        ManageExportedNamespace = 0x31,
        /// Manage Exported Port.
        ManageExportedPort = 0x35,
        /// Send Discovery Log Page.
        SendDiscoveryLogPage = 0x39,
        /// Track Send.
        TrackSend = 0x3D,
        /// Track Receive.
        TrackReceive = 0x3E,
        /// Migration Send.
        MigrationSend = 0x41,
        /// Migration Receive.
        MigrationReceive = 0x42,
        /// Controller Data Queue.
        ControllerDataQueue = 0x45,
        /// Doorbell Buffer Config.
        DoorbellBufferConfig = 0x7C,
        /// Fabrics commands.
        Fabrics = 0x7F,
        /// Format NVM.
        FormatNvm = 0x80,
        /// Security Send.
        SecuritySend = 0x81,
        /// Security Receive.
        SecurityReceive = 0x82,
        /// Sanitize.
        Sanitize = 0x84,
        /// Load Program (CP).
        LoadProgram = 0x85,
        /// Get LBA Status (NVM).
        GetLbaStatus = 0x86,
        /// Program Activation Management (CP).
        ProgramActivationManagement = 0x88,
        /// Memory Range Set Management (CP).
        MemoryRangeSetManagement = 0x89,
        /// Job Group Management: vendor specific, Ersatz's own; see [`crate::vendor`].
        JobGroupManagement = 0xC4,
    }
}

open! {
    /// Opcodes of the NVM Command Set, those that all I/O command sets share included.
    pub enum NvmOpcode: u8 {
        /// Flush (common to all I/O command sets).
        Flush = 0x00,
        /// Write.
        Write = 0x01,
        /// Read.
        Read = 0x02,
        /// Write Uncorrectable.
        WriteUncorrectable = 0x04,
        /// Compare.
        Compare = 0x05,
        /// Write Zeroes.
        WriteZeroes = 0x08,
        /// Dataset Management.
        DatasetManagement = 0x09,
        /// Verify.
        Verify = 0x0C,
        /// Reservation Register (common).
        ReservationRegister = 0x0D,
        /// Reservation Report (common).
        ReservationReport = 0x0E,
        /// Reservation Acquire (common).
        ReservationAcquire = 0x11,
        /// I/O Management Receive (common).
        IoManagementReceive = 0x12,
        /// Reservation Release (common).
        ReservationRelease = 0x15,
        /// Cancel (common).
        Cancel = 0x18,
        /// Copy.
        Copy = 0x19,
        /// I/O Management Send (common).
        IoManagementSend = 0x1D,
    }
}

open! {
    /// Opcodes that the Zoned Namespace Command Set adds to those of [`NvmOpcode`].
    pub enum ZnsOpcode: u8 {
        /// Zone Management Send.
        ZoneManagementSend = 0x79,
        /// Zone Management Receive.
        ZoneManagementReceive = 0x7A,
        /// Zone Append.
        ZoneAppend = 0x7D,
    }
}

open! {
    /// Opcodes of the Key Value Command Set.
    pub enum KvOpcode: u8 {
        /// Flush (common).
        Flush = 0x00,
        /// Store.
        Store = 0x01,
        /// Retrieve.
        Retrieve = 0x02,
        /// List.
        List = 0x06,
        /// Delete.
        Delete = 0x10,
        /// Exist.
        Exist = 0x14,
    }
}

open! {
    /// Opcodes of the Subsystem Local Memory Command Set (SLM).
    pub enum SlmOpcode: u8 {
        /// Flush (common).
        Flush = 0x00,
        /// Memory Copy: executed by the memory namespace that the data goes to.
        MemoryCopy = 0x01,
        /// Memory Read.
        MemoryRead = 0x02,
        /// Memory Fill.
        MemoryFill = 0x04,
        /// Memory Write.
        MemoryWrite = 0x05,
    }
}

open! {
    /// Opcodes of the Computational Programs Command Set (CP).
    pub enum CpOpcode: u8 {
        /// Flush (common).
        Flush = 0x00,
        /// Execute Program.
        ExecuteProgram = 0x01,
    }
}

macro_rules! into_u8 {
    ($($name:ident)*) => { $(
        impl From<$name> for u8 {
            fn from(opcode: $name) -> u8 {
                opcode.0
            }
        }

        impl From<u8> for $name {
            fn from(opcode: u8) -> Self {
                Self(opcode)
            }
        }
    )* };
}

into_u8!(AdminOpcode NvmOpcode ZnsOpcode KvOpcode SlmOpcode CpOpcode);

/// Direction of the data of a command: bits 1:0 of its opcode (Base, 3.1.3.3 and 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataTransfer {
    /// 00b: no data.
    None,
    /// 01b: from host to controller.
    HostToController,
    /// 10b: from controller to host.
    ControllerToHost,
    /// 11b: both ways.
    Bidirectional,
}

impl DataTransfer {
    /// The direction that this opcode announces. Fabrics commands (7Fh) carry theirs elsewhere.
    pub const fn of(opcode: u8) -> Self {
        match opcode & 0b11 {
            0b00 => Self::None,
            0b01 => Self::HostToController,
            0b10 => Self::ControllerToHost,
            _ => Self::Bidirectional,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_announce_the_direction_of_their_data() {
        assert_eq!(
            DataTransfer::of(SlmOpcode::MemoryFill.0),
            DataTransfer::None
        );
        assert_eq!(
            DataTransfer::of(AdminOpcode::LoadProgram.0),
            DataTransfer::HostToController
        );
        assert_eq!(
            DataTransfer::of(AdminOpcode::GetLogPage.0),
            DataTransfer::ControllerToHost
        );
        assert_eq!(
            DataTransfer::of(AdminOpcode::Fabrics.0),
            DataTransfer::Bidirectional
        );
    }

    #[test]
    fn an_unknown_opcode_keeps_its_value() {
        assert_eq!(u8::from(AdminOpcode::from(0xC3)), 0xC3);
        assert_eq!(std::format!("{:?}", NvmOpcode::from(0x01)), "Write");
    }
}
