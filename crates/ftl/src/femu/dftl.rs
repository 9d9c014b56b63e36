//! The time of the mapping cache.

use super::config::Geometry;
use super::luns::Luns;
use crate::directory::{Access, Directory};
use ersatz_engine::Ns;
use ersatz_nand::{PageTimes, Work};

/// Bytes of a mapping entry.
const ENTRY: u64 = 8;

/// A miss reads a translation page from flash, and first writes a changed one back; every
/// translation page has its home LUN.
#[derive(Debug)]
pub struct MappingCache {
    entries: u32,
    directory: Directory,
}

impl MappingCache {
    /// An empty cache of `capacity` translation pages.
    pub fn new(capacity: u32, geometry: &Geometry) -> Self {
        let entries = (geometry.cache_page_bytes / ENTRY).clamp(1, u64::from(u32::MAX)) as u32;
        let pages = geometry.logical_pages.div_ceil(entries);
        Self {
            entries,
            directory: Directory::new(capacity, pages),
        }
    }

    /// When the translation of logical page `lpn` is in memory.
    pub fn access(
        &mut self,
        now: Ns,
        lpn: u32,
        write: bool,
        geometry: &Geometry,
        luns: &mut Luns,
        times: &PageTimes,
    ) -> Ns {
        let page = lpn / self.entries;
        let Access::Miss { write_back } = self.directory.access(page, write) else {
            return now;
        };
        let ready = write_back.map_or(now, |old| {
            luns.book(home(old, geometry), Work::Program, now, times.program(0))
        });
        luns.book(home(page, geometry), Work::Read, ready, times.read(0))
    }
}

/// The LUN of a translation page. Homes are counted channel by channel, LUN timelines the other way.
fn home(page: u32, geometry: &Geometry) -> u32 {
    let home = page % geometry.luns;
    let (channel, lun) = (
        home / geometry.luns_per_channel,
        home % geometry.luns_per_channel,
    );
    lun * geometry.channels + channel
}
