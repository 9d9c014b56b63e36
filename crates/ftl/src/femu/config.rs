//! What a FEMU drive is made of.

use super::{Eviction, VictimPolicy};
use ersatz_engine::Ns;
use ersatz_nand::{CellType, PageTimes, femu as tables};

/// How logical pages find their physical ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mapping {
    /// The whole table is in memory.
    #[default]
    Page,
    /// A cache of translation pages; misses read flash.
    Dftl {
        /// Size of the cache in MiB; 0 means 4.
        cache_mib: u32,
    },
    /// One log block per data block (BAST).
    Hybrid,
    /// One sequential log block and a shared pool of random ones (FAST).
    Fast,
}

/// Program times by page type, in place of flat ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageTypes {
    /// All pages take the flat times.
    #[default]
    Flat,
    /// Programs take the flat time scaled by `index mod cell_pages` (1–5).
    Scaled {
        /// Pages per cell.
        cell_pages: u32,
    },
    /// FEMU's built-in times of a cell type replace the flat ones.
    Cell(CellType),
}

/// The read cache in the controller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadCacheConfig {
    /// Its size in MiB; at least 1.
    pub mib: u32,
    /// What goes when it is full.
    pub eviction: Eviction,
}

/// A FEMU drive: its geometry, its times and its translation layer. The defaults are FEMU's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Channels.
    pub channels: u32,
    /// LUNs per channel.
    pub luns_per_channel: u32,
    /// Planes per LUN. Only the first one stores data; the others enlarge the logical space and
    /// the thresholds of garbage collection, as they do in FEMU.
    pub planes: u32,
    /// Blocks per plane: the number of lines.
    pub blocks: u32,
    /// Pages per block.
    pub pages: u32,
    /// Sectors per page.
    pub sectors: u32,
    /// Bytes of a sector, for the sizes of caches.
    pub sector_bytes: u32,
    /// Bytes of the namespace's logical block. FEMU takes a logical block for a sector whatever
    /// its size, so a page covers `sectors` logical blocks of the host's address space.
    pub block_bytes: u32,
    /// Flat time of a page read.
    pub read: Ns,
    /// Flat time of a page program.
    pub program: Ns,
    /// Flat time of a block erase.
    pub erase: Ns,
    /// What replaces the flat times.
    pub page_types: PageTypes,
    /// Background garbage collection starts when this share of the lines is in use, in percent.
    pub gc_percent: u32,
    /// Writes wait for garbage collection when this share of the lines is in use, in percent.
    pub gc_percent_high: u32,
    /// Which line is collected.
    pub victim: VictimPolicy,
    /// How logical pages find their physical ones.
    pub mapping: Mapping,
    /// The read cache, if there is one.
    pub read_cache: Option<ReadCacheConfig>,
    /// Time of deallocating one range.
    pub trim: Ns,
    /// Of a million read commands, how many fail, at a fixed period; 0: none.
    pub read_faults_ppm: u32,
    /// Of a million write commands, how many fail, at a fixed period; 0: none.
    pub write_faults_ppm: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            channels: 8,
            luns_per_channel: 8,
            planes: 1,
            blocks: 256,
            pages: 256,
            sectors: 8,
            sector_bytes: 512,
            block_bytes: 512,
            read: Ns::from_us(40),
            program: Ns::from_us(200),
            erase: Ns::from_ms(2),
            page_types: PageTypes::Flat,
            gc_percent: 75,
            gc_percent_high: 95,
            victim: VictimPolicy::Greedy,
            mapping: Mapping::Page,
            read_cache: None,
            trim: Ns::ZERO,
            read_faults_ppm: 0,
            write_faults_ppm: 0,
        }
    }
}

/// Why a [`Config`] can't be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number that must be at least 1 is 0.
    #[error("{0} is 0; it must be at least 1")]
    Zero(&'static str),
    /// More pages than a page number has room for.
    #[error("{pages} pages are more than the {limit} that can be numbered")]
    TooManyPages {
        /// Pages of the geometry.
        pages: u128,
        /// Pages that fit.
        limit: u32,
    },
    /// A page too small for a mapping entry.
    #[error("a page of {0} bytes holds no mapping entry of 8 bytes")]
    SmallPage(u64),
    /// FEMU's tables end before the block does.
    #[error("cell-type tables describe {limit} pages of a block, not {pages}")]
    NoTable {
        /// Pages of a block.
        pages: u32,
        /// Pages in the table.
        limit: u32,
    },
    /// A number of pages per cell that the table of scales has no row for.
    #[error("{0} pages per cell: the table of program times knows 1 to {limit}", limit = tables::MAX_CELL_PAGES)]
    CellPages(u32),
    /// A percentage above 100.
    #[error("{0} is {1} %; it must be 0 to 100")]
    Percent(&'static str, u32),
    /// Neither threshold leaves a free line.
    #[error(
        "garbage collection would start with no free line left: {low} % and {high} % of {lines} lines \
         in use both leave 0 free"
    )]
    NoFreeLine {
        /// Background threshold in percent of lines in use.
        low: u32,
        /// Foreground threshold.
        high: u32,
        /// Lines.
        lines: u64,
    },
}

/// A [`Config`] in the numbers that the model computes with.
#[derive(Clone, Debug)]
pub struct Geometry {
    pub channels: u32,
    pub luns_per_channel: u32,
    /// LUNs of all channels.
    pub luns: u32,
    /// Pages of a block.
    pub pages: u32,
    /// Lines that store data.
    pub lines: u32,
    /// Logical pages.
    pub logical_pages: u32,
    /// Bytes of the host's address space per page.
    pub page_bytes: u64,
    /// Bytes of a page for the sizes of caches.
    pub cache_page_bytes: u64,
    /// Free lines at which background collection starts.
    pub low: u32,
    /// Free lines at which writes wait.
    pub high: u32,
}

impl Config {
    /// Free lines at which collection starts when `percent` of `lines` may be in use. The
    /// arithmetic is FEMU's: binary rounding makes 90 % of 100 lines leave 9.
    fn threshold(percent: u32, lines: u64) -> u32 {
        ((1.0 - f64::from(percent) / 100.0) * lines as f64) as u32
    }

    /// Logical pages of `block_bytes × sectors` bytes that the drive has.
    #[must_use]
    pub fn logical_pages(&self) -> u64 {
        u64::from(self.channels)
            .saturating_mul(u64::from(self.luns_per_channel))
            .saturating_mul(u64::from(self.planes))
            .saturating_mul(u64::from(self.blocks))
            .saturating_mul(u64::from(self.pages))
    }

    /// Checks the numbers and derives the others.
    ///
    /// # Errors
    /// What can't be built, with the arithmetic.
    pub(super) fn geometry(&self) -> Result<Geometry, ConfigError> {
        for (name, value) in [
            ("channels", self.channels),
            ("LUNs per channel", self.luns_per_channel),
            ("planes per LUN", self.planes),
            ("blocks per plane", self.blocks),
            ("pages per block", self.pages),
            ("sectors per page", self.sectors),
            ("the sector's size", self.sector_bytes),
            ("the logical block's size", self.block_bytes),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        let limit = u32::MAX - 1;
        let pages = self.logical_pages();
        let Some(logical_pages) = u32::try_from(pages).ok().filter(|pages| *pages <= limit) else {
            return Err(ConfigError::TooManyPages {
                pages: pages.into(),
                limit,
            });
        };
        let cache_page_bytes = u64::from(self.sectors) * u64::from(self.sector_bytes);
        if cache_page_bytes < 8 {
            return Err(ConfigError::SmallPage(cache_page_bytes));
        }
        for (name, percent) in [
            ("the background threshold", self.gc_percent),
            ("the foreground threshold", self.gc_percent_high),
        ] {
            if percent > 100 {
                return Err(ConfigError::Percent(name, percent));
            }
        }
        let lines = u64::from(self.blocks) * u64::from(self.planes);
        let (low, high) = (self.gc_percent, self.gc_percent_high);
        let geometry = Geometry {
            channels: self.channels,
            luns_per_channel: self.luns_per_channel,
            luns: self.channels * self.luns_per_channel,
            pages: self.pages,
            lines: self.blocks,
            logical_pages,
            page_bytes: u64::from(self.sectors) * u64::from(self.block_bytes),
            cache_page_bytes,
            low: Self::threshold(low, lines),
            high: Self::threshold(high, lines),
        };
        if geometry.low == 0 && geometry.high == 0 {
            return Err(ConfigError::NoFreeLine { low, high, lines });
        }
        Ok(geometry)
    }

    /// The times of every page of a block.
    pub(super) fn times(&self) -> Result<PageTimes, ConfigError> {
        let limit = tables::TABLE_PAGES;
        match self.page_types {
            PageTypes::Flat => Ok(PageTimes::flat(
                self.pages,
                self.read,
                self.program,
                self.erase,
            )),
            PageTypes::Scaled {
                cell_pages: cell_pages @ 1..=tables::MAX_CELL_PAGES,
            } => Ok(tables::scaled(
                self.pages,
                cell_pages,
                self.read,
                self.program,
                self.erase,
            )),
            PageTypes::Scaled { cell_pages } => Err(ConfigError::CellPages(cell_pages)),
            PageTypes::Cell(_) if self.pages > limit => Err(ConfigError::NoTable {
                pages: self.pages,
                limit,
            }),
            PageTypes::Cell(cell) => Ok(tables::built_in(cell, self.pages)),
        }
    }

    /// Entries of a cache of `mib` MiB whose entries are pages.
    pub(super) fn cache_entries(mib: u32, page_bytes: u64) -> u32 {
        ((u64::from(mib) << 20) / page_bytes).clamp(1, u64::from(u32::MAX - 1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_round_as_binary_fractions_do() {
        assert_eq!(Config::threshold(90, 100), 9);
        assert_eq!(Config::threshold(80, 50), 9);
        assert_eq!(Config::threshold(75, 64), 16);
        assert_eq!(Config::threshold(95, 64), 3);
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_numbers() {
        let refused = |config: Config| config.geometry().expect_err("refused").to_string();
        assert_eq!(
            refused(Config {
                blocks: 3,
                ..Config::default()
            }),
            "garbage collection would start with no free line left: 75 % and 95 % of 3 lines in \
             use both leave 0 free"
        );
        assert_eq!(
            refused(Config {
                channels: 0,
                ..Config::default()
            }),
            "channels is 0; it must be at least 1"
        );
        let huge = Config {
            blocks: u32::MAX,
            pages: u32::MAX,
            ..Config::default()
        };
        assert!(refused(huge).contains("can be numbered"));
        let tlc = PageTypes::Cell(CellType::Tlc);
        let long = Config {
            pages: 513,
            page_types: tlc,
            ..Config::default()
        };
        assert_eq!(
            long.times(),
            Err(ConfigError::NoTable {
                pages: 513,
                limit: 512
            })
        );
    }
}
