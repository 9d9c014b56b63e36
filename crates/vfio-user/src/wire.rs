//! Layouts of the protocol's messages, as bytes in the host's byte order.
//!
//! Each type has `SIZE`, `encode` and `decode`; `decode` takes the beginning of a longer payload
//! and answers `None` for a shorter one. No value is checked here: that is `request.rs`'s work.

use std::fmt;

use rustix::io::Errno;

/// A command's number ("Commands"). Unknown ones stay representable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command(pub u16);

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        impl Command {
            $($(#[$doc])* pub const $name: Command = Command($number);)*

            /// The command's name in the specification, without its prefix.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Command::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

commands! {
    /// Opens a session: version and capabilities.
    VERSION = 1,
    /// Makes a range of client memory known to the server.
    DMA_MAP = 2,
    /// Takes it back.
    DMA_UNMAP = 3,
    /// What the device is.
    DEVICE_GET_INFO = 4,
    /// What one of its regions is.
    DEVICE_GET_REGION_INFO = 5,
    /// Descriptors that stand for parts of a region.
    DEVICE_GET_REGION_IO_FDS = 6,
    /// What one of its interrupt types is.
    DEVICE_GET_IRQ_INFO = 7,
    /// Connects, triggers, masks or unmasks interrupts.
    DEVICE_SET_IRQS = 8,
    /// Reads from a region.
    REGION_READ = 9,
    /// Writes to a region.
    REGION_WRITE = 10,
    /// Server to client: reads client memory.
    DMA_READ = 11,
    /// Server to client: writes client memory.
    DMA_WRITE = 12,
    /// Resets the device.
    DEVICE_RESET = 13,
    /// Dirty page tracking, of drafts before DEVICE_FEATURE.
    DIRTY_PAGES = 14,
    /// Several small region writes in one message.
    REGION_WRITE_MULTI = 15,
    /// Gets, sets or probes a device feature; all of them are for migration.
    DEVICE_FEATURE = 16,
    /// Reads migration data.
    MIG_DATA_READ = 17,
    /// Writes migration data.
    MIG_DATA_WRITE = 18,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Command({})", self.0),
        }
    }
}

/// Declares a message part from its fields, in order and without padding.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

        impl $name {
            /// Bytes on the wire.
            pub const SIZE: usize = 0 $(+ size_of::<$type>())*;

            /// The bytes on the wire.
            pub fn encode(&self) -> [u8; Self::SIZE] {
                let mut bytes = [0; Self::SIZE];
                let rest = &mut bytes[..];
                $(let (field, rest) = rest.split_at_mut(size_of::<$type>());
                field.copy_from_slice(&self.$field.to_ne_bytes());)*
                debug_assert!(rest.is_empty());
                bytes
            }

            /// Reads the beginning of `bytes`; `None` when they are too few.
            pub fn decode(bytes: &[u8]) -> Option<Self> {
                let rest = bytes;
                $(let (field, rest) = rest.split_first_chunk()?;
                let $field = <$type>::from_ne_bytes(*field);)*
                let _ = rest;
                Some(Self { $($field),* })
            }
        }
    };
}

/// What begins every message ("Header").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender's own number for the message, echoed in its reply. Needn't be unique.
    pub id: u16,
    /// What is asked or answered.
    pub command: Command,
    /// Bytes of the whole message, this header included.
    pub size: u32,
    /// [`Header::TYPE`], [`Header::NO_REPLY`] and [`Header::ERROR`].
    pub flags: u32,
    /// In a reply with [`Header::ERROR`]: the errno, or 0.
    pub error: u32,
}

impl Header {
    /// Bytes on the wire.
    pub const SIZE: usize = 16;
    /// Flags: the bits that tell a command (0) from a reply ([`Header::REPLY`]).
    pub const TYPE: u32 = 0xf;
    /// Flags: the type of a reply.
    pub const REPLY: u32 = 1;
    /// Flags, in a command: no reply is wanted.
    pub const NO_REPLY: u32 = 1 << 4;
    /// Flags, in a reply: the command failed.
    pub const ERROR: u32 = 1 << 5;

    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        HeaderLayout {
            id: self.id,
            command: self.command.0,
            size: self.size,
            flags: self.flags,
            error: self.error,
        }
        .encode()
    }

    /// Reads a header.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        // 16 bytes are never too few.
        let raw = HeaderLayout::decode(bytes).unwrap_or_default();
        Self {
            id: raw.id,
            command: Command(raw.command),
            size: raw.size,
            flags: raw.flags,
            error: raw.error,
        }
    }

    /// Whether this is a command (and neither a reply nor an undefined type).
    pub fn is_command(&self) -> bool {
        self.flags & Self::TYPE == 0
    }

    /// Whether this is a reply.
    pub fn is_reply(&self) -> bool {
        self.flags & Self::TYPE == Self::REPLY
    }

    /// The error that a reply reports; `EIO` for one that isn't an errno of this system.
    pub fn reply_error(&self) -> Option<Errno> {
        if self.flags & Self::ERROR == 0 {
            return None;
        }
        Some(match i32::try_from(self.error) {
            Ok(errno @ 1..4096) => Errno::from_raw_os_error(errno),
            _ => Errno::IO,
        })
    }
}

layout! {
    /// [`Header`], with the command as a number.
    HeaderLayout {
        /// See [`Header::id`].
        id: u16,
        /// See [`Header::command`].
        command: u16,
        /// See [`Header::size`].
        size: u32,
        /// See [`Header::flags`].
        flags: u32,
        /// See [`Header::error`].
        error: u32,
    }
}

layout! {
    /// `VERSION`, request and reply; JSON with a terminating NUL may follow.
    VersionNumbers {
        /// Incompatible versions differ in it.
        major: u16,
        /// Additions count it up.
        minor: u16,
    }
}

layout! {
    /// `DMA_MAP`, request.
    DmaMapRequest {
        /// This structure's size.
        argsz: u32,
        /// [`DmaMapRequest::READABLE`] and [`DmaMapRequest::WRITABLE`].
        flags: u32,
        /// Where the range begins in the file that comes with the message.
        offset: u64,
        /// The range's first DMA address.
        address: u64,
        /// The range's bytes.
        size: u64,
    }
}

impl DmaMapRequest {
    /// Flags: the device may read.
    pub const READABLE: u32 = 1 << 0;
    /// Flags: the device may write.
    pub const WRITABLE: u32 = 1 << 1;
}

layout! {
    /// `DMA_UNMAP`, request and reply.
    DmaUnmapRequest {
        /// The most bytes that the reply's payload may have.
        argsz: u32,
        /// [`DmaUnmapRequest::ALL`].
        flags: u32,
        /// The range's first DMA address.
        address: u64,
        /// The range's bytes.
        size: u64,
    }
}

impl DmaUnmapRequest {
    /// Flags: every range; address and size are 0 (`VFIO_DMA_UNMAP_FLAG_ALL`).
    pub const ALL: u32 = 1 << 1;
}

layout! {
    /// `DEVICE_GET_INFO`, request and reply.
    DeviceInfoLayout {
        /// Request: the most bytes that the reply's payload may have. Reply: the bytes it needs.
        argsz: u32,
        /// [`DeviceInfoLayout::RESET`] and [`DeviceInfoLayout::PCI`].
        flags: u32,
        /// Regions, absent ones included.
        num_regions: u32,
        /// Interrupt types, absent ones included.
        num_irqs: u32,
    }
}

impl DeviceInfoLayout {
    /// Flags: `DEVICE_RESET` is supported.
    pub const RESET: u32 = 1 << 0;
    /// Flags: a PCI device.
    pub const PCI: u32 = 1 << 1;
}

layout! {
    /// `DEVICE_GET_REGION_INFO`, request and reply; in the reply, capabilities may follow.
    RegionInfoLayout {
        /// Request: the most bytes that the reply's payload may have. Reply: the bytes it needs.
        argsz: u32,
        /// [`RegionInfoLayout::READ`] and the others.
        flags: u32,
        /// Which region.
        index: u32,
        /// Where the first capability begins, from this structure's beginning.
        cap_offset: u32,
        /// The region's bytes; 0 when it is absent.
        size: u64,
        /// Where the region begins in its file.
        offset: u64,
    }
}

impl RegionInfoLayout {
    /// Flags: the client may read.
    pub const READ: u32 = 1 << 0;
    /// Flags: the client may write.
    pub const WRITE: u32 = 1 << 1;
    /// Flags: the client may map (parts of) it.
    pub const MMAP: u32 = 1 << 2;
    /// Flags: capabilities follow.
    pub const CAPS: u32 = 1 << 3;
}

layout! {
    /// What begins each capability of a region ("VFIO cap header format").
    CapabilityHeader {
        /// Which capability, e.g. [`CapabilityHeader::SPARSE_MMAP`].
        id: u16,
        /// Its version.
        version: u16,
        /// Where the next one begins, from the region info's beginning; 0 after the last.
        next: u32,
    }
}

impl CapabilityHeader {
    /// Id of the capability that lists a region's mappable areas.
    pub const SPARSE_MMAP: u16 = 1;
}

layout! {
    /// What follows the header of a sparse mmap capability; the areas follow it.
    SparseMmap {
        /// How many areas.
        nr_areas: u32,
        /// 0.
        reserved: u32,
    }
}

layout! {
    /// One mappable area of a region.
    SparseMmapArea {
        /// Its first byte, from the region's beginning.
        offset: u64,
        /// Its bytes.
        size: u64,
    }
}

layout! {
    /// `DEVICE_GET_IRQ_INFO`, request and reply.
    IrqInfoLayout {
        /// Request: the most bytes that the reply's payload may have. Reply: the bytes it needs.
        argsz: u32,
        /// [`IrqInfoLayout::EVENTFD`] and the others.
        flags: u32,
        /// Which interrupt type.
        index: u32,
        /// How many interrupts it has.
        count: u32,
    }
}

impl IrqInfoLayout {
    /// Flags: signalled by eventfd.
    pub const EVENTFD: u32 = 1 << 0;
    /// Flags: can be masked and unmasked.
    pub const MASKABLE: u32 = 1 << 1;
    /// Flags: masks itself when triggered.
    pub const AUTOMASKED: u32 = 1 << 2;
    /// Flags: is set up as a whole.
    pub const NORESIZE: u32 = 1 << 3;
}

layout! {
    /// `DEVICE_SET_IRQS`, request; booleans of a byte each may follow.
    SetIrqsRequest {
        /// This structure's size, with the booleans.
        argsz: u32,
        /// One of the `DATA_` and one of the `ACTION_` flags.
        flags: u32,
        /// Which interrupt type.
        index: u32,
        /// The first interrupt.
        start: u32,
        /// How many.
        count: u32,
    }
}

impl SetIrqsRequest {
    /// Flags: no data.
    pub const DATA_NONE: u32 = 1 << 0;
    /// Flags: a boolean for each interrupt.
    pub const DATA_BOOL: u32 = 1 << 1;
    /// Flags: an event descriptor for each interrupt, or none at all.
    pub const DATA_EVENTFD: u32 = 1 << 2;
    /// Flags: mask.
    pub const ACTION_MASK: u32 = 1 << 3;
    /// Flags: unmask.
    pub const ACTION_UNMASK: u32 = 1 << 4;
    /// Flags: trigger.
    pub const ACTION_TRIGGER: u32 = 1 << 5;
}

layout! {
    /// `REGION_READ` and `REGION_WRITE`, request and reply; data may follow.
    RegionAccess {
        /// The first byte, from the region's beginning.
        offset: u64,
        /// Which region.
        region: u32,
        /// Bytes.
        count: u32,
    }
}

layout! {
    /// What begins a `REGION_WRITE_MULTI`; in the request, the writes follow.
    WriteMulti {
        /// How many writes.
        wr_cnt: u64,
    }
}

layout! {
    /// One write of a `REGION_WRITE_MULTI` ("Single Device Write Format").
    SingleWrite {
        /// The first byte, from the region's beginning.
        offset: u64,
        /// Which region.
        region: u32,
        /// Bytes, at most 8.
        count: u32,
        /// The bytes, in memory order; those from `count` on mean nothing.
        data: u64,
    }
}

layout! {
    /// `DMA_READ` and `DMA_WRITE`, request and reply; data may follow.
    DmaAccess {
        /// The first DMA address.
        address: u64,
        /// Bytes.
        count: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_specification() {
        assert_eq!(HeaderLayout::SIZE, Header::SIZE);
        assert_eq!(VersionNumbers::SIZE, 4);
        assert_eq!(DmaMapRequest::SIZE, 32);
        assert_eq!(DmaUnmapRequest::SIZE, 24);
        assert_eq!(DeviceInfoLayout::SIZE, 16);
        assert_eq!(RegionInfoLayout::SIZE, 32);
        assert_eq!(CapabilityHeader::SIZE, 8);
        assert_eq!(SparseMmap::SIZE, 8);
        assert_eq!(SparseMmapArea::SIZE, 16);
        assert_eq!(IrqInfoLayout::SIZE, 16);
        assert_eq!(SetIrqsRequest::SIZE, 20);
        assert_eq!(RegionAccess::SIZE, 16);
        assert_eq!(WriteMulti::SIZE, 8);
        assert_eq!(SingleWrite::SIZE, 24);
        assert_eq!(DmaAccess::SIZE, 16);
    }

    #[test]
    fn header_fields_are_where_the_specification_puts_them() {
        let header = Header {
            id: 0x0102,
            command: Command::REGION_WRITE,
            size: 0x0304_0506,
            flags: Header::REPLY | Header::ERROR,
            error: 0x0708_090a,
        };
        let bytes = header.encode();
        assert_eq!(bytes[0..2], 0x0102u16.to_ne_bytes());
        assert_eq!(bytes[2..4], 10u16.to_ne_bytes());
        assert_eq!(bytes[4..8], 0x0304_0506u32.to_ne_bytes());
        assert_eq!(bytes[8..12], 0x21u32.to_ne_bytes());
        assert_eq!(bytes[12..16], 0x0708_090au32.to_ne_bytes());
        assert_eq!(Header::decode(&bytes), header);
    }

    #[test]
    fn payloads_survive_a_round_trip_and_short_ones_are_refused() {
        let map = DmaMapRequest {
            argsz: 32,
            flags: 3,
            offset: 1,
            address: 2,
            size: 3,
        };
        let mut bytes = map.encode().to_vec();
        assert_eq!(bytes[8..16], 1u64.to_ne_bytes());
        assert_eq!(bytes[16..24], 2u64.to_ne_bytes());
        assert_eq!(DmaMapRequest::decode(&bytes), Some(map));
        bytes.push(0xff);
        assert_eq!(DmaMapRequest::decode(&bytes), Some(map));
        assert_eq!(DmaMapRequest::decode(&bytes[..31]), None);

        let write = SingleWrite {
            offset: 8,
            region: 1,
            count: 4,
            data: 0x55,
        };
        assert_eq!(SingleWrite::decode(&write.encode()), Some(write));
    }

    #[test]
    fn commands_print_by_name() {
        assert_eq!(format!("{:?}", Command::DMA_MAP), "DMA_MAP");
        assert_eq!(format!("{:?}", Command(99)), "Command(99)");
    }
}
