//! What is Ersatz's own: log pages in the vendor specific range.

use crate::Lid;

wire! {
    /// Drive statistics, log page C0h: what a drive has moved, how well it has kept its model's time,
    /// and what its flash did. All but the free lines, the spare and the wear count from the start of
    /// the drive and only grow. A media without flash leaves the bytes from 80 on 0.
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
        /// Bytes 80-87: bytes of a page, as the flash translation layer has it; 0: there is no flash.
        pub page_bytes: u64,
        /// Bytes 88-95: pages that hosts wrote.
        pub host_pages: u64,
        /// Bytes 96-103: pages that were moved, by garbage collection, wear levelling and merges.
        pub moved_pages: u64,
        /// Bytes 104-111: blocks erased.
        pub erases: u64,
        /// Bytes 112-119: rounds of garbage collection that a write waited for.
        pub gc_rounds_foreground: u64,
        /// Bytes 120-127: rounds of garbage collection that no write waited for.
        pub gc_rounds_background: u64,
        /// Bytes 128-135: erased lines, which are blocks of all dies that are erased together.
        pub free_lines: u64,
        /// Bytes 136-143: write amplification × 1000, the pages programmed per page that a host wrote;
        /// 1000 before the first one.
        pub waf_milli: u64,
        /// Bytes 144-147: erases of the line that was erased least.
        pub wear_min: u32,
        /// Bytes 148-151: erases of the line that was erased most.
        pub wear_max: u32,
        /// Bytes 152-159: erases of a line in the mean, × 1000.
        pub wear_mean_milli: u64,
        /// Byte 160: spare blocks left, in percent of those at the start, as SMART has it.
        pub available_spare: u8,
        rsvd161: [u8; 351],
    }
}

impl DriveStatistics {
    /// The page's identifier.
    pub const LID: Lid = Lid(0xC0);
    /// The layout described here.
    pub const VERSION: u32 = 2;
}
