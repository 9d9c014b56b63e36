//! The map, and reads.

use super::buffer::{Buffer, Cover};
use super::collect::Collection;
use super::config::{Config, ConfigError, Derived};
use super::watch::Watch;
use super::write::Frontier;
use crate::directory::{Access, Directory};
use crate::lines::{LineState, Lines};
use crate::media::{Counters, Extent, Fault, MediaError, Outcome};
use crate::victim::Victims;
use ersatz_engine::{Ns, Rng};
use ersatz_nand::{Package, Urgency};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes of a mapping entry.
pub(super) const ENTRY: u64 = 4;
/// Marks a mapping entry that names a slot of the buffer and not a physical page.
const IN_BUFFER: u32 = 1 << 31;

/// Where the newest data of a logical page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Nowhere,
    Flash(u32),
    Buffer(u32),
}

/// A part of one page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub lpn: u32,
    /// First byte within the page, and the one after the last.
    pub from: u32,
    pub to: u32,
}

/// The pages of an extent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    lpn: u32,
    from: u32,
    /// Bytes from `from` on.
    left: u64,
    page_bytes: u32,
}

impl Iterator for Parts {
    type Item = Part;

    #[inline]
    fn next(&mut self) -> Option<Part> {
        if self.left == 0 {
            return None;
        }
        let rest = self.page_bytes - self.from;
        let len = self.left.min(rest.into()) as u32;
        let part = Part {
            lpn: self.lpn,
            from: self.from,
            to: self.from + len,
        };
        self.left -= u64::from(len);
        (self.lpn, self.from) = (self.lpn + 1, 0);
        Some(part)
    }
}

/// Pages of one unit that are read at once.
#[derive(Clone, Copy, Debug)]
struct Group {
    unit: u32,
    ready: Ns,
    bytes: u64,
}

/// The default drive. See the [module](super).
#[derive(Debug)]
pub struct PageFtl<W: Watch = ()> {
    pub(super) config: Config,
    pub(super) derived: Derived,
    pub(super) package: Package,
    pub(super) lines: Lines,
    pub(super) victims: Victims,
    /// Where each logical page is: 0 nowhere, else physical page + 1, or slot with [`IN_BUFFER`].
    /// Translation pages follow the pages of the host.
    map: Vec<u32>,
    /// Logical page + 1 by physical page; 0 where the page holds no valid data.
    pub(super) owners: Vec<u32>,
    /// What was deallocated of pages that hold other data, as parts of [`Cover`].
    pub(super) trimmed: BTreeMap<u32, u128>,
    pub(super) buffer: Buffer,
    pub(super) cover: Cover,
    /// By stream, then that of garbage collection, and that of translation pages if there are any.
    pub(super) frontiers: Vec<Frontier>,
    pub(super) collection: Option<Collection>,
    /// Pages that collection has to look at before the host's next pages, in 65,536ths; below 0, it
    /// has done more than was asked.
    pub(super) owed: i64,
    /// Lines that shall be rewritten because they were read too often or are too old.
    pub(super) refresh: VecDeque<u32>,
    /// Whether the last line was collected to level wear.
    pub(super) levelled: bool,
    /// Reads by line and die since the erase.
    reads: Vec<u32>,
    /// Spare blocks left, by die and plane.
    pub(super) spares: Vec<u32>,
    /// Line and plane of blocks that a program failed in.
    pub(super) failing: BTreeSet<(u32, u32)>,
    directory: Option<Directory>,
    pub(super) random: Rng,
    /// Whether operations take time; they do not while the drive is aged.
    pub(super) timed: bool,
    pub(super) last_request: Ns,
    pub(super) step_pending: bool,
    pub(super) idle_pending: bool,
    pub(super) counters: Counters,
    /// Scratch space.
    pub(super) taken: Vec<u32>,
    /// Told of every movement of data.
    pub watch: W,
}

impl PageFtl {
    /// An empty drive.
    ///
    /// # Errors
    /// What of `config` can't work, with the arithmetic.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        Self::watched(config, ())
    }
}

impl<W: Watch> PageFtl<W> {
    /// An empty drive whose data is followed by `watch`.
    ///
    /// # Errors
    /// As [`new`](PageFtl::new).
    pub fn watched(config: Config, watch: W) -> Result<Self, ConfigError> {
        let derived = config.derive()?;
        let mut random = Rng::new(config.seed);
        let planes = derived.dies * derived.planes;
        let mut bad = vec![0u32; planes as usize];
        for _ in 0..config.factory_bad_blocks {
            bad[random.below(planes.into()) as usize] += 1;
        }
        let spare = config.spare_blocks;
        if let Some(bad) = bad.iter().copied().find(|bad| *bad > spare) {
            return Err(ConfigError::BadBlocks { bad, spare });
        }
        let page_bytes = config.geometry.page_bytes;
        let directory = config.mapping_cache.map(|bytes| {
            let (capacity, pages) = (bytes / u64::from(page_bytes), derived.mapping_pages);
            Directory::new(capacity.min(pages.into()) as u32, pages)
        });
        let frontiers = usize::from(config.streams) + 1 + usize::from(directory.is_some());
        // A drive without a buffer still gathers the pages of a unit.
        let least = derived.planes * (u32::from(config.streams) + 1);
        let physical = derived.lines as usize * derived.line_pages as usize;
        Ok(Self {
            package: Package::new(&config.geometry, config.timing.clone()),
            lines: Lines::new(derived.lines, derived.line_pages),
            victims: Victims::new(config.gc.policy),
            map: vec![0; (derived.logical_pages + derived.mapping_pages) as usize],
            owners: vec![0; physical],
            buffer: Buffer::new(config.buffer.pages.max(least), config.streams),
            trimmed: BTreeMap::new(),
            cover: Cover::new(page_bytes),
            frontiers: vec![Frontier::default(); frontiers],
            collection: None,
            owed: 0,
            refresh: VecDeque::new(),
            levelled: false,
            reads: vec![0; derived.lines as usize * derived.dies as usize],
            spares: bad.iter().map(|bad| spare - bad).collect(),
            failing: BTreeSet::new(),
            directory,
            random,
            timed: true,
            last_request: Ns::ZERO,
            step_pending: false,
            idle_pending: false,
            counters: Counters {
                page_bytes: page_bytes.into(),
                ..Counters::default()
            },
            taken: Vec::new(),
            watch,
            derived,
            config,
        })
    }

    pub(super) fn at(&self, lpn: u32) -> At {
        match self.map[lpn as usize] {
            0 => At::Nowhere,
            entry if entry & IN_BUFFER != 0 => At::Buffer(entry & !IN_BUFFER),
            entry => At::Flash(entry - 1),
        }
    }

    pub(super) fn set(&mut self, lpn: u32, at: At) {
        self.map[lpn as usize] = match at {
            At::Nowhere => 0,
            At::Flash(page) => page + 1,
            At::Buffer(slot) => slot | IN_BUFFER,
        };
    }

    pub(super) fn line_of(&self, page: u32) -> u32 {
        page / self.derived.line_pages
    }

    /// Line, die and page of the block of a unit.
    #[inline]
    pub(super) fn place(&self, unit: u32) -> (u32, u32, u32) {
        let (rows, die) = (unit / self.derived.dies, unit % self.derived.dies);
        (rows / self.derived.rows, die, rows % self.derived.rows)
    }

    /// The physical page's data is not the newest any more.
    pub(super) fn invalidate(&mut self, page: u32) {
        self.owners[page as usize] = 0;
        self.lines.invalidate(self.line_of(page));
    }

    /// Splits an extent into pages. Nothing lies beyond the logical space.
    #[inline]
    pub(super) fn parts(&self, at: Extent) -> Parts {
        let page_bytes = self.config.geometry.page_bytes;
        let page = u64::from(page_bytes);
        let limit = u64::from(self.derived.logical_pages) * page;
        Parts {
            lpn: (at.start / page) as u32,
            from: (at.start % page) as u32,
            left: at.len.min(limit.saturating_sub(at.start)),
            page_bytes,
        }
    }

    /// Slots whose programs are done become free, and their pages are read from flash again.
    pub(super) fn release(&mut self, now: Ns) {
        while self.release_one(now) {}
    }

    /// Frees the slot whose program is done first, if that is by `now`.
    pub(super) fn release_one(&mut self, now: Ns) -> bool {
        let Some(done) = self.buffer.release(now) else {
            return false;
        };
        if let Some((lpn, page)) = done {
            self.set(lpn, At::Flash(page));
        }
        true
    }

    /// What every request begins with.
    pub(super) fn begin(&mut self, now: Ns) {
        self.package.forget(now);
        self.release(now);
        self.last_request = now;
    }

    /// When the translation of `lpn` is in the controller's memory.
    #[inline]
    pub(super) fn translate(&mut self, now: Ns, lpn: u32, write: bool) -> Ns {
        if self.directory.is_none() {
            return now;
        }
        self.look_up(now, lpn, write)
    }

    fn look_up(&mut self, now: Ns, lpn: u32, write: bool) -> Ns {
        let bytes = u64::from(self.config.geometry.page_bytes);
        let page = (u64::from(lpn) * ENTRY / bytes) as u32;
        let access = self
            .directory
            .as_mut()
            .map(|directory| directory.access(page, write));
        let (Some(Access::Miss { write_back }), true) = (access, self.timed) else {
            return now;
        };
        let ready = write_back.map_or(now, |page| self.write_mapping(now, page));
        match self.at(self.derived.logical_pages + page) {
            // What can't be read is rebuilt from what pages say of themselves, in no time.
            At::Flash(at) => self
                .read_unit(ready, at / self.derived.planes, bytes, Urgency::Host)
                .unwrap_or_else(|error| error.at),
            _ => ready,
        }
    }

    /// Time of the retries that a read at `die` and `row` of a line needs, and whether they help.
    /// Counts the read.
    #[inline]
    fn disturb(&mut self, now: Ns, line: u32, die: u32, row: u32) -> (Ns, bool) {
        let reads = &mut self.reads[(line * self.derived.dies + die) as usize];
        *reads = reads.saturating_add(1);
        let (reads, state) = (*reads, self.lines.get(line));
        // A line that is not full yet is not old.
        let age = match state.state {
            LineState::Open => Ns::ZERO,
            _ => now.since(state.closed_at),
        };
        let disturbed = self
            .config
            .refresh_reads
            .is_some_and(|limit| reads == limit);
        let old = self.config.refresh_age.is_some_and(|limit| age >= limit);
        let closed = state.state == LineState::Closed;
        let reliability = &self.config.reliability;
        let retries = reliability.retries(state.erased, age, reads);
        if (disturbed || old) && closed && !self.refresh.contains(&line) {
            self.refresh.push_back(line);
        }
        if retries == Some(0) {
            return (Ns::ZERO, true);
        }
        let steps = retries.unwrap_or(reliability.steps);
        let step = match reliability.retry {
            Ns::ZERO => self.config.timing.pages.read(row),
            retry => retry,
        };
        (Ns(step.0.saturating_mul(steps.into())), retries.is_some())
    }

    /// Forgets the reads of an erased line.
    pub(super) fn forget_reads(&mut self, line: u32) {
        let first = (line * self.derived.dies) as usize;
        self.reads[first..first + self.derived.dies as usize].fill(0);
    }

    /// Reads pages of one unit. The time includes decoding; an error is told at its end.
    #[inline]
    pub(super) fn read_unit(
        &mut self,
        now: Ns,
        unit: u32,
        bytes: u64,
        urgency: Urgency,
    ) -> Outcome {
        if !self.timed {
            return Ok(now);
        }
        let (line, die, row) = self.place(unit);
        let (extra, readable) = self.disturb(now, line, die, row);
        let read = self.package.read(now, die, row, bytes, extra, urgency);
        let at = read.end + self.config.reliability.decode;
        if readable {
            return Ok(at);
        }
        self.counters.media_errors += 1;
        Err(MediaError {
            at,
            fault: Fault::Uncorrectable,
        })
    }

    pub(super) fn read_extent(&mut self, now: Ns, extent: Extent) -> Outcome {
        let mut end = now;
        let mut failed = None;
        let mut group: Option<Group> = None;
        for part in self.parts(extent) {
            let ready = self.translate(now, part.lpn, false);
            let at = match self.at(part.lpn) {
                At::Flash(_) if self.is_trimmed(part) => At::Nowhere,
                at => at,
            };
            let (slot, page, from_flash) = match at {
                At::Nowhere => {
                    end = end.max(ready + self.config.unmapped_read);
                    (None, None, false)
                }
                At::Flash(page) => (None, Some(page), true),
                At::Buffer(slot) => {
                    end = end.max(ready + self.config.buffer.time);
                    let it = self.buffer.slots[slot as usize];
                    let touched = self.cover.touched(part.from, part.to);
                    let here = it.programming || touched & !it.covered == 0;
                    (Some(slot), it.flash, !here && it.flash.is_some())
                }
            };
            self.watch.read(part.lpn, part.from, part.to, slot, page);
            let Some(page) = page.filter(|_| from_flash) else {
                continue;
            };
            self.counters.host_read_pages += 1;
            let (unit, bytes) = (page / self.derived.planes, u64::from(part.to - part.from));
            match &mut group {
                Some(group) if group.unit == unit => {
                    group.bytes += bytes;
                    group.ready = group.ready.max(ready);
                }
                _ => {
                    let next = Group { unit, ready, bytes };
                    self.read_group(group.replace(next), &mut end, &mut failed);
                }
            }
        }
        self.read_group(group, &mut end, &mut failed);
        match failed {
            None => Ok(end),
            Some(fault) => Err(MediaError { at: end, fault }),
        }
    }

    #[inline]
    fn read_group(&mut self, group: Option<Group>, end: &mut Ns, failed: &mut Option<Fault>) {
        let Some(Group { unit, ready, bytes }) = group else {
            return;
        };
        let done = self
            .read_unit(ready, unit, bytes, Urgency::Host)
            .unwrap_or_else(|error| {
                *failed = Some(error.fault);
                error.at
            });
        *end = (*end).max(done);
    }
}
