//! What a drive is made of.

use super::model::ENTRY;
use crate::victim::VictimPolicy;
use ersatz_engine::Ns;
use ersatz_nand::{Bus, Geometry, GeometryError, PageTimes, ReadPriority, Reliability, Timing};

/// The write buffer in the controller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferConfig {
    /// Pages; 0: a write is done when its pages are programmed.
    pub pages: u32,
    /// Time of moving a page into or out of the buffer.
    pub time: Ns,
    /// Whether its contents are lost with the power: then a flush programs them; else it takes no
    /// time.
    pub volatile: bool,
    /// Programming begins when more than this share of the pages is waiting, in percent. A larger
    /// share lets more overwrites of the same page become one program.
    pub destage_above: u32,
}

/// Garbage collection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GcConfig {
    /// Which line is collected.
    pub policy: VictimPolicy,
    /// Collection begins in the background when fewer than this share of the lines are free, in
    /// percent (at least one line more than `urgent_below`). From there on, writes pay for it, …
    pub start_below: f64,
    /// … and all that they cost when this share is free; at least one line. With fewer, they wait.
    pub urgent_below: f64,
    /// Pages that are moved between two chances for host reads; 0: as many as there are dies.
    pub batch: u32,
    /// Collects also when no request came for so long, until `idle_until` is reached.
    pub idle_after: Option<Ns>,
    /// When idle: the share of free lines to reach, in percent.
    pub idle_until: f64,
}

/// A drive. The defaults are a TLC drive of 32 GiB with the times of a current 3D TLC part (read
/// 60 us, program 660 us in the mean of three page types, erase 3.5 ms, ONFI bus of 1200 MB/s).
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The chips.
    pub geometry: Geometry,
    /// Their times.
    pub timing: Timing,
    /// How they wear.
    pub reliability: Reliability,
    /// Pages beyond the logical space, in percent of the logical space.
    pub over_provisioning: f64,
    /// Write frontiers for hosts: streams, or reclaim unit handles; at least 1. A write of a stream
    /// beyond goes to the first.
    pub streams: u16,
    /// The write buffer.
    pub buffer: BufferConfig,
    /// Garbage collection.
    pub gc: GcConfig,
    /// Blocks of each plane that replace bad ones.
    pub spare_blocks: u32,
    /// Blocks that are bad from the beginning, on planes chosen by the seed.
    pub factory_bad_blocks: u32,
    /// Static wear levelling: a line is moved when another one was erased so many times more often.
    pub wear_spread: Option<u32>,
    /// A line is rewritten when one of its blocks was read so often.
    pub refresh_reads: Option<u32>,
    /// A line is rewritten when a read finds that it was filled so long ago.
    pub refresh_age: Option<Ns>,
    /// Bytes of the mapping (4 per page) in the controller's memory; `None`: all of it.
    pub mapping_cache: Option<u64>,
    /// Time of reading a page that was never written. FEMU takes none, and misleads.
    pub unmapped_read: Ns,
    /// Seed of what is random: which planes have bad blocks, which erases and programs fail.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        let geometry = Geometry {
            channels: 8,
            dies_per_channel: 4,
            planes: 2,
            blocks: 132,
            pages: 256,
            page_bytes: 16 << 10,
        };
        let us = Ns::from_us;
        Self {
            geometry,
            timing: Timing {
                pages: PageTimes::by_type(
                    geometry.pages,
                    |page| page % 3,
                    &[us(50), us(60), us(70)],
                    &[us(400), us(660), us(920)],
                    us(3500),
                ),
                bus: Bus {
                    command: Ns(100),
                    address: Ns(200),
                    bandwidth: 1_200_000_000,
                    status: Ns(100),
                },
                read_priority: ReadPriority::Suspend {
                    suspend: us(10),
                    resume: us(5),
                    limit: 8,
                },
                cache_read: true,
                cache_program: true,
            },
            reliability: Reliability {
                decode: us(2),
                retry: Ns::ZERO,
                erases_per_step: 1000,
                age_per_step: Ns::from_secs(30 * 24 * 3600),
                reads_per_step: 100_000,
                steps: 8,
                rated_erases: 3000,
                erase_faults_ppm: 0,
                program_faults_ppm: 0,
            },
            over_provisioning: 7.0,
            streams: 1,
            buffer: BufferConfig {
                pages: 512,
                time: us(2),
                volatile: false,
                destage_above: 0,
            },
            gc: GcConfig {
                policy: VictimPolicy::Greedy,
                start_below: 0.5,
                urgent_below: 0.25,
                batch: 0,
                idle_after: None,
                idle_until: 3.0,
            },
            spare_blocks: 4,
            factory_bad_blocks: 0,
            wear_spread: Some(100),
            refresh_reads: None,
            refresh_age: None,
            mapping_cache: None,
            unmapped_read: us(5),
            seed: 1,
        }
    }
}

/// Why a [`Config`] can't be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The chips are impossible.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A value that the model has no meaning for.
    #[error("{name} is {value}: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// No line would be left for garbage collection.
    #[error(
        "{lines} lines of {line} pages, {spare} of them kept free or open ({streams} streams, 1 for \
         collection, {urgent} for urgent collection, 1 in reserve), hold {room} pages; \
         over-provisioning of {over} % leaves a logical space of {logical}, and the mapping \
         takes {mapping} pages"
    )]
    NoRoom {
        /// Lines of the geometry, without spare blocks.
        lines: u32,
        /// Pages of a line.
        line: u32,
        /// Lines that can't hold data.
        spare: u32,
        /// Write frontiers.
        streams: u16,
        /// Lines below which writes wait.
        urgent: u32,
        /// Pages for data.
        room: u64,
        /// Over-provisioning in percent.
        over: f64,
        /// Pages of the logical space.
        logical: u64,
        /// Translation pages in flash.
        mapping: u64,
    },
    /// More bad blocks than spare ones.
    #[error("{bad} bad blocks from the factory exceed the {spare} spare blocks of a plane")]
    BadBlocks {
        /// Bad blocks of the worst plane.
        bad: u32,
        /// Spare blocks of a plane.
        spare: u32,
    },
}

/// A [`Config`] in the numbers that the model computes with.
#[derive(Clone, Debug)]
pub(super) struct Derived {
    pub dies: u32,
    pub planes: u32,
    /// Pages of a block.
    pub rows: u32,
    pub lines: u32,
    pub line_pages: u32,
    pub logical_pages: u32,
    /// Translation pages that are kept in flash: none when all are in memory.
    pub mapping_pages: u32,
    /// Collection begins below so many free lines, and writes wait at so many.
    pub start: u32,
    pub urgent: u32,
    pub idle_until: u32,
    pub batch: u32,
    /// Pages of free lines, rests of open ones and what was collected of another: writes pay for
    /// collection below `ceiling`, and all that they cost at `reserve`.
    pub ceiling: u64,
    pub reserve: u64,
}

impl Config {
    fn value<T: ToString>(name: &'static str, value: T, expected: &'static str) -> ConfigError {
        ConfigError::Value {
            name,
            value: value.to_string(),
            expected,
        }
    }

    /// Checks all settings.
    pub(super) fn derive(&self) -> Result<Derived, ConfigError> {
        self.geometry.check()?;
        let Geometry {
            planes,
            blocks,
            pages,
            ..
        } = self.geometry;
        for (name, percent) in [
            ("gc.start_below", self.gc.start_below),
            ("gc.urgent_below", self.gc.urgent_below),
            ("gc.idle_until", self.gc.idle_until),
        ] {
            if !(0.0..100.0).contains(&percent) {
                return Err(Self::value(
                    name,
                    percent,
                    "a share from 0 % to below 100 %",
                ));
            }
        }
        if !(0.0..=10_000.0).contains(&self.over_provisioning) {
            let expected = "a share from 0 % to 10000 %";
            return Err(Self::value(
                "over_provisioning",
                self.over_provisioning,
                expected,
            ));
        }
        if self.streams == 0 {
            return Err(Self::value("streams", 0, "at least 1"));
        }
        if self.buffer.pages >= 1 << 30 {
            return Err(Self::value("buffer.pages", self.buffer.pages, "below 2^30"));
        }
        if self.buffer.destage_above >= 100 {
            let expected = "a share from 0 % to below 100 %";
            return Err(Self::value(
                "buffer.destage_above",
                self.buffer.destage_above,
                expected,
            ));
        }
        let dies = self.geometry.dies();
        let lines = blocks.saturating_sub(self.spare_blocks);
        let line_pages = dies * planes * pages;
        let share = |percent: f64| (percent / 100.0 * f64::from(lines)) as u32;
        let urgent = share(self.gc.urgent_below).max(1);
        let physical = u64::from(lines) * u64::from(line_pages);
        let logical = (physical as f64 / (1.0 + self.over_provisioning / 100.0)) as u64;
        // A collection ends with at least one page more than it began with only if some line has
        // garbage, whatever the host writes: all but the lines below must hold the logical space.
        let spare =
            u32::from(self.streams) + 1 + urgent + 1 + u32::from(self.mapping_cache.is_some());
        let room = u64::from(lines.saturating_sub(spare)) * u64::from(line_pages);
        let (page_bytes, cached) = (
            u64::from(self.geometry.page_bytes),
            self.mapping_cache.is_some(),
        );
        let mapping = (logical * ENTRY).div_ceil(page_bytes) * u64::from(cached);
        if logical + mapping > room || logical == 0 {
            return Err(ConfigError::NoRoom {
                lines,
                line: line_pages,
                spare,
                streams: self.streams,
                urgent,
                room,
                over: self.over_provisioning,
                logical,
                mapping,
            });
        }
        let start = share(self.gc.start_below).max(urgent + 1);
        // When a host needs a line, less than two lines are the rest of collection's line and what
        // was looked at of the one that is being collected: with one line more than may be free at
        // least, `urgent` ones are free then. A quarter is for what the control is off by.
        let line = u64::from(line_pages);
        let reserve = u64::from(urgent + 1) * line + line / 4;
        let ceiling = u64::from(start + 1) * line;
        Ok(Derived {
            dies,
            planes,
            rows: pages,
            lines,
            line_pages,
            logical_pages: logical as u32,
            mapping_pages: mapping as u32,
            start,
            urgent,
            idle_until: share(self.gc.idle_until),
            batch: if self.gc.batch == 0 {
                dies
            } else {
                self.gc.batch
            },
            ceiling,
            reserve,
        })
    }
}
