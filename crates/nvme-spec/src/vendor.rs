//! What is Ersatz's own: log pages and commands in the vendor specific ranges.
//!
//! **Job groups.** The jobs of a compute namespace, which are its Execute Program commands, can belong
//! to groups with a quality of service: a priority, a bandwidth, a deadline. Groups are created, set
//! and deleted with Job Group Management (admin, C4h, no data), which names the compute namespace
//! (NSID); an Execute Program command names its group in CDW14 bits 7:0 ([`crate::cp::Execute`]).
//! Group 0 is that of the commands that name none: it can be set, but neither created nor deleted.
//! What became of groups and jobs is in log page C1h ([`JobStatistics`]) of the namespace.

use crate::Lid;
use bitfield_struct::bitfield;

/// CDW10 of Job Group Management; CDW11 is the bandwidth in KB/s (1000 bytes per second; 0 for
/// any) and CDW12 the deadline in µs after a job's arrival (0 for none). Both are 0 to delete.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct JobGroupCdw10 {
    /// Select.
    #[bits(4)]
    pub sel: JobGroupSelect,
    #[bits(4)]
    __: u8,
    /// The group, to set or delete; 0 to create.
    pub gid: u8,
    /// 1 to 9, of which 9 is the most urgent; 0 to delete.
    pub priority: u8,
    #[bits(8)]
    __: u8,
}

open! {
    /// Select of Job Group Management.
    pub enum JobGroupSelect: u8 {
        /// Create a group; DW0 bits 7:0 of the completion are its identifier.
        Create = 0,
        /// Change a group, for the jobs that arrive from now on.
        Set = 1,
        /// Delete a group that has no jobs.
        Delete = 2,
    }
}

wire! {
    /// Job statistics, log page C1h of a compute namespace: this header, then
    /// [`classes`](Self::classes) times [`ClassEntry`], [`groups`](Self::groups) times
    /// [`GroupEntry`], [`jobs`](Self::jobs) times [`JobEntry`].
    pub struct JobStatistics: 64 {
        /// Bytes 0-3: layout of this page, [`JobStatistics::VERSION`].
        pub version: u32,
        /// Bytes 4-5: classes of compute units.
        pub classes: u16,
        /// Bytes 6-7: job groups, group 0 included.
        pub groups: u16,
        /// Bytes 8-11: jobs listed: those whose end was decided last, the latest first.
        pub jobs: u32,
        /// Bytes 12-15: jobs that are not done.
        pub in_flight: u32,
        /// Bytes 16-23: jobs done since the start of the drive.
        pub done: u64,
        /// Bytes 24-31: lines that programs printed and that the drive's log left out.
        pub prints_suppressed: u64,
        rsvd32: [u8; 32],
    }
}

impl JobStatistics {
    /// The page's identifier.
    pub const LID: Lid = Lid(0xC1);
    /// The layout described here.
    pub const VERSION: u32 = 1;
}

wire! {
    /// A class of compute units.
    pub struct ClassEntry: 32 {
        /// Bytes 0-15: its name, ASCII, padded with spaces.
        pub name: [u8; 16],
        /// Bytes 16-19: units.
        pub units: u32,
        rsvd20: [u8; 4],
        /// Bytes 24-31: how long its units were occupied, together, in ns.
        pub busy_ns: u64,
    }
}

wire! {
    /// A job group. Times are sums over the jobs that are done.
    pub struct GroupEntry: 80 {
        /// Byte 0: its identifier.
        pub gid: u8,
        /// Byte 1: priority.
        pub priority: u8,
        rsvd2: [u8; 2],
        /// Bytes 4-7: bandwidth in KB/s; 0: any.
        pub bandwidth: u32,
        /// Bytes 8-11: deadline in µs; 0: none.
        pub deadline: u32,
        rsvd12: [u8; 4],
        /// Bytes 16-23: jobs done.
        pub done: u64,
        /// Bytes 24-31: of these, jobs done after their deadline.
        pub missed: u64,
        /// Bytes 32-39: bytes of the memory ranges of the jobs that arrived.
        pub bytes: u64,
        /// Bytes 40-47: time in which the bandwidth held them, in ns.
        pub held_ns: u64,
        /// Bytes 48-55: time in which they waited for units, in ns.
        pub queued_ns: u64,
        /// Bytes 56-63: time in which they occupied units, in ns.
        pub running_ns: u64,
        /// Bytes 64-71: switches of units to them.
        pub switches: u64,
        rsvd72: [u8; 8],
    }
}

wire! {
    /// A job.
    pub struct JobEntry: 80 {
        /// Bytes 0-7: its number, in the order of arrival.
        pub number: u64,
        /// Bytes 8-9: Program Index.
        pub pind: u16,
        /// Byte 10: its group.
        pub gid: u8,
        /// Byte 11: 1 if it was done after its deadline.
        pub missed: u8,
        /// Bytes 12-15: switches of units to it.
        pub switches: u32,
        /// Bytes 16-23: when it arrived, in ns since the start of the drive.
        pub arrival_ns: u64,
        /// Bytes 24-31: when it was, or will be, done.
        pub end_ns: u64,
        /// Bytes 32-39: how long the bandwidth of its group held it, in ns.
        pub held_ns: u64,
        /// Bytes 40-47: how long it waited for units, in ns.
        pub queued_ns: u64,
        /// Bytes 48-55: how long it occupied units, in ns.
        pub running_ns: u64,
        /// Bytes 56-63: bytes that it copied from NVM namespaces while it ran.
        pub copied: u64,
        /// Bytes 64-65: its status, as in a completion without the phase tag.
        pub status: u16,
        /// Bytes 66-67: index of its class of units.
        pub class: u16,
        rsvd68: [u8; 12],
    }
}

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
