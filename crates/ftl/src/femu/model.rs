//! The drive: from a range of pages to a finish time.

use super::cache::ReadCache;
use super::config::{Config, ConfigError, Geometry, Mapping};
use super::dftl::MappingCache;
use super::logs::{Fast, Hybrid, Reclaim};
use super::luns::Luns;
use crate::lines::Lines;
use crate::media::{Counters, Extent, Fault, MediaError, Outcome};
use crate::victim::Victims;
use ersatz_engine::Ns;
use ersatz_nand::{PageTimes, Work};

/// FEMU's 4 MiB where no size of the mapping cache is given.
const DEFAULT_MAPPING_CACHE_MIB: u32 = 4;
/// FEMU's time of a cache hit is this part of the flat read time …
const HIT_DIVISOR: u64 = 16;
/// … or this, in ns, where that time is 0.
const HIT_DEFAULT: u64 = 1000;

/// Where the next page goes. Physical pages are numbered so that this is the next number: first
/// over the channels, then over the LUNs of a channel, then over the pages of the line's blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WritePointer {
    open: bool,
    pub(super) line: u32,
    next: u32,
    pub(super) lun: u32,
    pub(super) page: u32,
}

/// A physical page, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) page: u32,
    pub(super) lun: u32,
}

#[derive(Debug)]
enum Scheme {
    Page,
    Dftl(MappingCache),
    Hybrid(Hybrid),
    Fast(Fast),
}

/// Which write pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Relocations, and host writes where there are no logs.
    Data,
    /// Host writes of the log-block schemes.
    Log,
}

/// Fails every so many commands.
#[derive(Clone, Copy, Debug)]
struct Faults {
    period: u64,
    commands: u64,
}

impl Faults {
    fn new(ppm: u32) -> Self {
        let period = 1_000_000u64
            .checked_div(ppm.into())
            .map_or(0, |period| period.max(1));
        Self {
            period,
            commands: 0,
        }
    }

    fn strikes(&mut self) -> bool {
        if self.period == 0 {
            return false;
        }
        self.commands += 1;
        self.commands.is_multiple_of(self.period)
    }
}

/// FEMU's black-box drive. See the [module](super).
#[derive(Debug)]
pub struct Femu {
    pub(super) geometry: Geometry,
    times: PageTimes,
    hit: Ns,
    pub(super) trim: Ns,
    pub(super) luns: Luns,
    pub(super) lines: Lines,
    victims: Victims,
    /// Physical page + 1 by logical page; 0 where nothing is mapped. Zeroes, so that the tables of
    /// a large drive cost no memory before they are used.
    pub(super) physical: Vec<u32>,
    /// Logical page + 1 by physical page; 0 where the page is free or no longer valid.
    logical: Vec<u32>,
    pub(super) data: WritePointer,
    log: WritePointer,
    scheme: Scheme,
    cache: Option<ReadCache>,
    read_faults: Faults,
    write_faults: Faults,
    pub(super) counters: Counters,
}

impl Femu {
    /// An empty drive.
    ///
    /// # Errors
    /// What of `config` can't work, with the arithmetic.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let geometry = config.geometry()?;
        let stored = geometry.lines * geometry.luns * geometry.pages;
        let scheme = match config.mapping {
            Mapping::Page => Scheme::Page,
            Mapping::Dftl { cache_mib } => {
                let mib = if cache_mib == 0 {
                    DEFAULT_MAPPING_CACHE_MIB
                } else {
                    cache_mib
                };
                let entries = Config::cache_entries(mib, geometry.cache_page_bytes);
                Scheme::Dftl(MappingCache::new(entries, &geometry))
            }
            Mapping::Hybrid => Scheme::Hybrid(Hybrid::new(geometry.pages)),
            Mapping::Fast => Scheme::Fast(Fast::new(geometry.pages, geometry.logical_pages)),
        };
        let cache = config.read_cache.map(|cache| {
            let entries = Config::cache_entries(cache.mib, geometry.cache_page_bytes);
            ReadCache::new(entries, geometry.logical_pages, cache.eviction)
        });
        let hit = if config.read.0 == 0 {
            HIT_DEFAULT
        } else {
            config.read.0 / HIT_DIVISOR
        };
        let mut femu = Self {
            times: config.times()?,
            hit: Ns(hit.max(1)),
            trim: config.trim,
            luns: Luns::new(&geometry),
            lines: Lines::new(geometry.lines, geometry.luns * geometry.pages),
            victims: Victims::new(config.victim),
            physical: vec![0; geometry.logical_pages as usize],
            logical: vec![0; stored as usize],
            data: WritePointer::default(),
            log: WritePointer::default(),
            scheme,
            cache,
            read_faults: Faults::new(config.read_faults_ppm),
            write_faults: Faults::new(config.write_faults_ppm),
            counters: Counters {
                page_bytes: geometry.page_bytes,
                available_spare: 100,
                ..Counters::default()
            },
            geometry,
        };
        femu.open(Class::Data);
        Ok(femu)
    }

    /// The first and last logical page of `at`, unless that lies outside of the drive.
    #[inline]
    pub(super) fn pages(&self, at: Extent) -> Option<(u32, u32)> {
        let last = at.start.checked_add(at.len.max(1) - 1)? / self.geometry.page_bytes;
        if last >= u64::from(self.geometry.logical_pages) {
            return None;
        }
        Some(((at.start / self.geometry.page_bytes) as u32, last as u32))
    }

    #[inline]
    pub(super) fn place(&self, page: u32) -> Place {
        let (row, lun) = (page / self.geometry.luns, page % self.geometry.luns);
        let (line, page) = (row / self.geometry.pages, row % self.geometry.pages);
        Place { line, page, lun }
    }

    #[inline]
    fn pointer(&mut self, class: Class) -> &mut WritePointer {
        match class {
            Class::Data => &mut self.data,
            Class::Log => &mut self.log,
        }
    }

    /// Opens the line that has been free for longest. `false`: there is none.
    fn open(&mut self, class: Class) -> bool {
        let Some(line) = self.lines.open() else {
            return false;
        };
        let next = line * self.lines.pages;
        *self.pointer(class) = WritePointer {
            open: true,
            line,
            next,
            lun: 0,
            page: 0,
        };
        true
    }

    /// Takes the page at the write pointer for `lpn` and advances the pointer; `None`: no line is
    /// left. The page that held `lpn` until now is no business of this function.
    #[inline]
    fn take(&mut self, class: Class, now: Ns, lpn: u32) -> Option<Place> {
        if !self.pointer(class).open && !self.open(class) {
            return None;
        }
        let (luns, pages) = (self.geometry.luns, self.geometry.pages);
        let pointer = self.pointer(class);
        let (line, page, lun, at) = (pointer.line, pointer.page, pointer.lun, pointer.next);
        pointer.next += 1;
        pointer.lun += 1;
        let mut closed = false;
        if pointer.lun == luns {
            pointer.lun = 0;
            pointer.page += 1;
            closed = pointer.page == pages;
        }
        self.physical[lpn as usize] = at + 1;
        self.logical[at as usize] = lpn + 1;
        self.lines.add_valid(line);
        if closed {
            self.pointer(class).open = false;
            self.lines.close(line, now);
            self.open(class);
        }
        Some(Place { line, page, lun })
    }

    #[inline]
    fn program(&mut self, now: Ns, at: Place) -> Ns {
        self.luns
            .book(at.lun, Work::Program, now, self.times.program(at.page))
    }

    #[inline]
    fn read_page(&mut self, now: Ns, at: Place) -> Ns {
        self.luns
            .book(at.lun, Work::Read, now, self.times.read(at.page))
    }

    /// The physical page is no longer valid.
    #[inline]
    fn invalidate(&mut self, page: u32) {
        self.logical[page as usize] = 0;
        self.lines.invalidate(page / self.lines.pages);
    }

    /// Unmaps a logical page and gives what it was mapped to.
    #[inline]
    fn unmap(&mut self, lpn: u32) -> Option<u32> {
        let page = std::mem::take(&mut self.physical[lpn as usize]).checked_sub(1)?;
        self.invalidate(page);
        Some(page)
    }

    #[inline]
    fn translate(&mut self, now: Ns, lpn: u32, write: bool) -> Ns {
        match &mut self.scheme {
            Scheme::Dftl(cache) => {
                cache.access(now, lpn, write, &self.geometry, &mut self.luns, &self.times)
            }
            _ => now,
        }
    }

    fn write_page(&mut self, now: Ns, lpn: u32) -> Option<Ns> {
        let translated = self.translate(now, lpn, true);
        if let Some(cache) = &mut self.cache {
            cache.remove(lpn);
        }
        let class = match self.scheme {
            Scheme::Page | Scheme::Dftl(_) => Class::Data,
            Scheme::Hybrid(_) | Scheme::Fast(_) => Class::Log,
        };
        if !self.pointer(class).open && !self.open(class) {
            return None;
        }
        // Before the new page is counted: if the old one lies in the line that this write fills,
        // the line closes with garbage in it.
        self.unmap(lpn);
        let at = self.take(class, now, lpn)?;
        self.counters.host_write_pages += 1;
        match &mut self.scheme {
            Scheme::Page | Scheme::Dftl(_) => {}
            Scheme::Hybrid(logs) => logs.wrote(lpn),
            Scheme::Fast(logs) => logs.wrote(lpn),
        }
        Some(translated.max(self.program(now, at)))
    }

    /// What the log-block schemes do after a write request. The time is FEMU's: the sum of the
    /// latencies of all operations, each counted from `now`.
    fn reclaim(&mut self, now: Ns) -> Option<Ns> {
        let mut latency = Ns::ZERO;
        match &mut self.scheme {
            Scheme::Page | Scheme::Dftl(_) => {}
            Scheme::Hybrid(logs) => {
                if let Some(work) = logs.reclaim() {
                    self.merge(now, work, &mut latency)?;
                }
            }
            Scheme::Fast(logs) => {
                if logs.needs_reclaim() {
                    for work in logs.reclaim() {
                        let moved = self.merge(now, work, &mut latency)?;
                        if let Scheme::Fast(logs) = &mut self.scheme {
                            logs.merged(moved);
                        }
                    }
                    if let Scheme::Fast(logs) = &mut self.scheme {
                        logs.reclaimed();
                    }
                }
            }
        }
        Some(now + latency)
    }

    /// Does one piece of [`Reclaim`] and gives the number of pages moved; `None`: no line is left.
    fn merge(&mut self, now: Ns, work: Reclaim, latency: &mut Ns) -> Option<u32> {
        let pages = self.geometry.pages;
        match work {
            Reclaim::Switch(unit) => {
                if let Some(page) = self.physical[(unit * pages) as usize].checked_sub(1) {
                    let lun = self.place(page).lun;
                    let end = self.luns.book(lun, Work::Erase, now, self.times.erase());
                    *latency += end.since(now);
                }
                Some(0)
            }
            Reclaim::Merge(unit) => {
                let mut moved = 0;
                for lpn in unit * pages..(unit + 1) * pages {
                    let Some(page) = self.physical[lpn as usize].checked_sub(1) else {
                        continue;
                    };
                    let from = self.place(page);
                    *latency += self.read_page(now, from).since(now);
                    self.invalidate(page);
                    let Some(to) = self.take(Class::Data, now, lpn) else {
                        self.physical[lpn as usize] = 0;
                        return None;
                    };
                    *latency += self.program(now, to).since(now);
                    self.counters.gc_write_pages += 1;
                    moved += 1;
                }
                Some(moved)
            }
        }
    }

    /// One round of garbage collection: `false` when there was nothing to do. Without `force` a
    /// victim must have an eighth of its pages invalid.
    fn collect(&mut self, now: Ns, force: bool) -> bool {
        let eighth = self.lines.pages / 8;
        let room = if self.data.open {
            (self.data.line + 1) * self.lines.pages - self.data.next
        } else {
            0
        };
        let victim = self.victims.take(&mut self.lines, now, |lines, line| {
            // FEMU does not ask whether what it moves has room, and aborts where it has none.
            let fits = lines.free_count() > 0 || lines.get(line).valid <= room;
            fits && (force || lines.invalid(line) >= eighth)
        });
        let Some(victim) = victim else {
            return false;
        };
        let (luns, pages) = (self.geometry.luns, self.geometry.pages);
        let base = victim * self.lines.pages;
        for channel in 0..self.geometry.channels {
            for lun in (channel..luns).step_by(self.geometry.channels as usize) {
                for page in 0..pages {
                    let at = base + page * luns + lun;
                    if let Some(lpn) = self.logical[at as usize].checked_sub(1) {
                        self.logical[at as usize] = 0;
                        self.read_page(
                            now,
                            Place {
                                line: victim,
                                page,
                                lun,
                            },
                        );
                        // `fits` has seen to it that there is room.
                        let Some(to) = self.take(Class::Data, now, lpn) else {
                            return false;
                        };
                        self.program(now, to);
                        self.counters.gc_write_pages += 1;
                    }
                }
                self.luns.book(lun, Work::Erase, now, self.times.erase());
            }
        }
        self.lines.erase(victim);
        self.counters.erases += u64::from(luns);
        true
    }

    /// Background garbage collection gets its chance after every request.
    #[inline]
    pub(super) fn after_request(&mut self, now: Ns) {
        if self.lines.free_count() > self.geometry.low {
            return;
        }
        // At the threshold every request comes by here and most find no victim: if the line with
        // the most garbage isn't worth it, none is.
        let most_garbage = self
            .lines
            .victims()
            .first()
            .map(|line| self.lines.invalid(*line));
        let worth_a_try = self.victims.draws_first()
            || most_garbage.is_some_and(|invalid| invalid >= self.lines.pages / 8);
        if worth_a_try && self.collect(now, false) {
            self.counters.gc_rounds_background += 1;
        }
    }

    pub(super) fn write_pages(&mut self, now: Ns, first: u32, last: u32) -> Outcome {
        if self.counters.read_only {
            return Err(MediaError {
                at: now,
                fault: Fault::ReadOnly,
            });
        }
        while self.lines.free_count() <= self.geometry.high && self.collect(now, true) {
            self.counters.gc_rounds_foreground += 1;
        }
        let mut end = now;
        for lpn in first..=last {
            let Some(written) = self.write_page(now, lpn) else {
                return self.out_of_blocks(end);
            };
            end = end.max(written);
        }
        let Some(reclaimed) = self.reclaim(now) else {
            return self.out_of_blocks(end);
        };
        end = end.max(reclaimed);
        if self.write_faults.strikes() {
            self.counters.media_errors += 1;
            return Err(MediaError {
                at: end,
                fault: Fault::Program,
            });
        }
        Ok(end)
    }

    fn out_of_blocks(&mut self, at: Ns) -> Outcome {
        self.counters.read_only = true;
        self.counters.media_errors += 1;
        Err(MediaError {
            at,
            fault: Fault::OutOfBlocks,
        })
    }

    pub(super) fn read_pages(&mut self, now: Ns, first: u32, last: u32) -> Outcome {
        let mut end = now;
        for lpn in first..=last {
            end = end.max(self.translate(now, lpn, false));
            let Some(page) = self.physical[lpn as usize].checked_sub(1) else {
                continue;
            };
            self.counters.host_read_pages += 1;
            if let Some(cache) = &mut self.cache {
                if cache.hit(lpn) {
                    end = end.max(now + self.hit);
                    continue;
                }
                cache.insert(lpn);
            }
            let at = self.place(page);
            end = end.max(self.read_page(now, at));
        }
        if self.read_faults.strikes() {
            self.counters.media_errors += 1;
            return Err(MediaError {
                at: end,
                fault: Fault::Uncorrectable,
            });
        }
        Ok(end)
    }

    pub(super) fn trim_pages(&mut self, first: u32, last: u32) {
        for lpn in first..=last {
            if self.unmap(lpn).is_none() {
                continue;
            }
            if let Scheme::Hybrid(logs) = &mut self.scheme {
                logs.trimmed(lpn);
            }
            if let Some(cache) = &mut self.cache {
                cache.remove(lpn);
            }
        }
    }
}
