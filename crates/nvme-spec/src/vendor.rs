//! What is Ersatz's own: log pages in the vendor specific range.

use crate::Lid;

wire! {
    /// Drive statistics, log page C0h: what a drive has moved and how well it has kept its model's
    /// time. Bytes count from the start of the drive and only grow.
    pub struct DriveStatistics: 512 {
        /// Bytes 0-3: layout of this page, [`DriveStatistics::VERSION`].
        pub version: u32,
        rsvd4: [u8; 4],
        /// Bytes 8-15: the drive's time, in ns since its start.
        pub now_ns: u64,
        /// Bytes 16-23: how long at least one command was in the drive by its model, in ns.
        pub busy_ns: u64,
        /// Bytes 24-31: bytes of data that crossed the link to the host.
        pub bytes_to_host: u64,
        /// Bytes 32-39: bytes of data that crossed the link from the host.
        pub bytes_from_host: u64,
        /// Bytes 40-47: bytes that moved between namespaces inside of the drive.
        pub bytes_inside: u64,
        /// Bytes 48-55: commands completed.
        pub completed: u64,
        /// Bytes 56-63: lateness, the time from when a completion was due by the model to when it
        /// was posted: median in ns.
        pub late_p50_ns: u64,
        /// Bytes 64-71: lateness, 99th percentile in ns.
        pub late_p99_ns: u64,
        /// Bytes 72-79: lateness, maximum in ns.
        pub late_max_ns: u64,
        rsvd80: [u8; 432],
    }
}

impl DriveStatistics {
    /// The page's identifier.
    pub const LID: Lid = Lid(0xC0);
    /// The layout described here.
    pub const VERSION: u32 = 1;
}
