//! Garbage collection, wear levelling and refresh: lines are rewritten page by page.

use super::model::PageFtl;
use super::watch::Watch;
use crate::lines::LineState;
use crate::media::{MediaEvent, MediaHeap};
use ersatz_engine::Ns;
use ersatz_nand::Urgency;

/// The next batch of the collection that runs.
const STEP: MediaEvent = MediaEvent(0);
/// Look whether the drive is idle.
const IDLE: MediaEvent = MediaEvent(1);

/// A line that is being collected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collection {
    line: u32,
    /// Next page to look at.
    next: u32,
    /// When all that was moved so far is programmed: not before, the line can be erased.
    programmed: Ns,
    /// Pages to look at for each page that the host writes, such that as many become free; in
    /// 256ths.
    price: u64,
}

/// The highest price of a page that the host writes, in pages to look at: a line with less garbage
/// than that would let writes stand still.
const DEAREST: u32 = 32;
/// The most that a host pays, in 256ths of what its pages cost.
const MOST_SHARE: u64 = 4 << 8;

/// What one step of a collection did.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Pages that it looked at, and how many of them it moved.
    looked: u32,
    moved: u32,
    /// When it is done.
    end: Ns,
}

/// Who pays for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payer {
    /// A write waits.
    Foreground,
    /// Nobody waits.
    Background,
}

impl<W: Watch> PageFtl<W> {
    /// Opens a line for a host's frontier, and collects until enough lines are free for that;
    /// `false`: the drive is full of valid data. Takes no time of its own: what is moved occupies
    /// the dies before the data that waits for it.
    pub(super) fn open_for_host(&mut self, now: Ns, frontier: usize) -> bool {
        while (self.lines.free_count() < self.derived.urgent || !self.may_open(frontier))
            && self.start()
        {
            if self.step(now, Payer::Foreground).is_none() {
                break;
            }
        }
        self.open(frontier)
    }

    /// Whether the frontier may take a free line: collection must be able to end what it has begun,
    /// which frees the next one.
    pub(super) fn may_open(&self, frontier: usize) -> bool {
        let collector = self.gc_frontier();
        match self.lines.free_count() {
            0 => false,
            1 if frontier != collector => self
                .collection
                .is_some_and(|it| self.lines.get(it.line).valid <= self.rest(collector)),
            _ => true,
        }
    }

    /// A place for what is collected: where the last free line could not be kept because blocks
    /// failed, the rest of a host's line.
    pub(super) fn open_for_collection(&mut self) -> bool {
        let collector = self.gc_frontier();
        if self.open(collector) {
            return true;
        }
        let other = (0..collector).find(|frontier| self.is_open(*frontier));
        if let Some(other) = other {
            self.frontiers.swap(other, collector);
        }
        other.is_some()
    }

    /// Chooses a line to collect, unless one is being collected. `false`: there is nothing to gain,
    /// or no room to move it to.
    fn start(&mut self) -> bool {
        if self.collection.is_some() {
            return true;
        }
        let Some(line) = self
            .refresh_line()
            .or_else(|| self.cold_line())
            .or_else(|| self.victim())
        else {
            return false;
        };
        self.lines.hold(line);
        let pages = self.derived.line_pages;
        let gain = self.lines.invalid(line).max(pages / DEAREST).max(1);
        self.collection = Some(Collection {
            line,
            next: line * pages,
            programmed: Ns::ZERO,
            price: (u64::from(pages) << 8) / u64::from(gain),
        });
        true
    }

    /// Room for a whole line that is moved although it has little garbage, or none.
    fn has_room(&self) -> bool {
        self.lines.free_count() > 0
    }

    fn refresh_line(&mut self) -> Option<u32> {
        if !self.has_room() {
            return None;
        }
        while let Some(line) = self.refresh.pop_front() {
            if self.is_closed(line) {
                return Some(line);
            }
        }
        None
    }

    /// Static wear levelling: the least worn line with data, if it has fallen behind too far.
    fn cold_line(&mut self) -> Option<u32> {
        let spread = self.config.wear_spread?;
        // Every other time at most: moving a cold line frees none.
        if !self.has_room() || std::mem::replace(&mut self.levelled, true) {
            self.levelled = false;
            return None;
        }
        let lines = (0..).zip(self.lines.all());
        let most = self.lines.all().iter().map(|line| line.erased).max()?;
        let (coldest, least) = lines
            .filter(|(_, line)| line.state == LineState::Closed)
            .map(|(number, line)| (number, line.erased))
            .min_by_key(|(_, erased)| *erased)?;
        self.levelled = most - least > spread;
        self.levelled.then_some(coldest)
    }

    fn victim(&mut self) -> Option<u32> {
        let now = self.last_request;
        self.victims
            .take(&mut self.lines, now, |lines, line| lines.invalid(line) > 0)
    }

    /// Moves up to a batch of pages, and erases the line after its last one. Gives the end of the
    /// last program, or of the erases; `None` when nothing can be moved, because blocks failed and
    /// no line is left.
    fn batch(&mut self, now: Ns, payer: Payer) -> Option<Ns> {
        let (mut end, mut moved) = (now, 0);
        while moved < self.derived.batch && self.collection.is_some() {
            let step = self.step(now, payer)?;
            end = end.max(step.end);
            moved += step.moved;
        }
        Some(end)
    }

    /// Moves as many pages as are programmed together, and erases the line after its last one.
    /// `None` as for [`batch`](Self::batch).
    fn step(&mut self, now: Ns, payer: Payer) -> Option<Step> {
        let mut collection = self.collection?;
        let line_end = (collection.line + 1) * self.derived.line_pages;
        let frontier = self.gc_frontier();
        if !self.open_for_collection() {
            return None;
        }
        let (from, mut ready, mut moved) = (collection.next, now, 0);
        let (first, room) = (self.frontiers[frontier].next, self.unit_room(frontier));
        while moved < room && collection.next < line_end {
            let old = collection.next;
            collection.next += 1;
            if let Some(lpn) = self.owners[old as usize].checked_sub(1) {
                ready = ready.max(self.relocate(now, frontier, lpn, old));
                moved += 1;
            }
        }
        let mut end = now;
        if moved > 0 {
            // Pages that are programmed together have been read before.
            end = self.program_unit(ready, frontier, first, moved);
        }
        collection.programmed = collection.programmed.max(end);
        self.collection = Some(collection);
        if collection.next == line_end {
            end = self.erase(collection.programmed, collection.line);
            self.collection = None;
            match payer {
                Payer::Foreground => self.counters.gc_rounds_foreground += 1,
                Payer::Background => self.counters.gc_rounds_background += 1,
            }
        }
        Some(Step {
            looked: collection.next - from,
            moved,
            end,
        })
    }

    /// Lets the `pages` that a host just wrote pay for collection: nothing while there is room, then
    /// in proportion to what is missing, and what keeps the room as it is when [`Derived::reserve`]
    /// is left. What is moved occupies the dies before what the host writes next, which is how writes
    /// are slowed down: evenly, and not by a whole line at once.
    ///
    /// [`Derived::reserve`]: super::config::Derived::reserve
    pub(super) fn pay(&mut self, now: Ns, frontier: usize, pages: u32) {
        let (line, ceiling) = (self.derived.line_pages, self.derived.ceiling);
        let free = u64::from(self.lines.free_count()) * u64::from(line);
        if free >= ceiling {
            return;
        }
        // The part of a line that was looked at is as good as free.
        let looked = self.collection.map_or(0, |it| it.next - it.line * line);
        let open = self.rest(frontier) + self.rest(self.gc_frontier());
        let missing = ceiling.saturating_sub(free + u64::from(open + looked));
        let garbage = self.collection.is_some() || !self.lines.victims().is_empty();
        if missing == 0 || !garbage || !self.start() {
            self.owed = 0;
            return;
        }
        let share = (missing << 8) / (ceiling - self.derived.reserve);
        let price = self.collection.map_or(0, |it| it.price);
        self.owed += (u64::from(pages) * share.min(MOST_SHARE) * price) as i64;
        while self.owed > 0 && self.start() {
            let Some(step) = self.step(now, Payer::Foreground) else {
                self.owed = 0;
                return;
            };
            self.owed -= i64::from(step.looked) << 16;
        }
    }

    /// Reads a valid page and gives its data a place at the frontier; the time is that of the read.
    fn relocate(&mut self, now: Ns, frontier: usize, lpn: u32, old: u32) -> Ns {
        let bytes = self.config.geometry.page_bytes.into();
        let unit = old / self.derived.planes;
        let read = self.read_unit(now, unit, bytes, Urgency::Background);
        self.move_page(now, frontier, lpn, old);
        read.unwrap_or_else(|error| error.at)
    }

    /// Erases a line; blocks that fail are replaced by spares, or the line is given up.
    fn erase(&mut self, now: Ns, line: u32) -> Ns {
        let mut end = now;
        if self.timed {
            for die in 0..self.derived.dies {
                end = end.max(self.package.erase(now, die));
            }
        }
        let first = line * self.derived.line_pages;
        self.watch.erased(first..first + self.derived.line_pages);
        self.counters.erases += u64::from(self.derived.dies * self.derived.planes);
        self.forget_reads(line);
        let ppm = u64::from(self.config.reliability.erase_faults_ppm);
        let mut usable = true;
        for (plane, spare) in (0..).zip(&mut self.spares) {
            let unprogrammable = self.failing.remove(&(line, plane));
            let unerasable = ppm > 0 && self.random.below(1_000_000) < ppm;
            self.counters.media_errors += u64::from(unerasable);
            if unprogrammable || unerasable {
                match spare.checked_sub(1) {
                    Some(left) => *spare = left,
                    None => usable = false,
                }
            }
        }
        if usable {
            self.lines.erase(line);
            self.lines.erased_at(line, end);
        } else {
            self.lines.retire(line);
        }
        end
    }

    fn is_idle(&self, now: Ns) -> bool {
        let idle = self.config.gc.idle_after;
        idle.is_some_and(|after| self.last_request + after <= now)
            && self.lines.free_count() < self.derived.idle_until
            && self.best_garbage() >= self.derived.line_pages / 8
    }

    /// Invalid pages of the line that has the most of them.
    fn best_garbage(&self) -> u32 {
        self.lines
            .victims()
            .first()
            .map_or(0, |line| self.lines.invalid(*line))
    }

    fn wants_collection(&self, now: Ns) -> bool {
        self.collection.is_some()
            || self.lines.free_count() < self.derived.start
            || !self.refresh.is_empty()
            || self.is_idle(now)
    }

    /// What every request ends with: collection is set going where it is wanted.
    #[inline]
    pub(super) fn arrange(&mut self, now: Ns, heap: &mut MediaHeap) {
        if !self.step_pending && self.wants_collection(now) {
            self.step_pending = true;
            heap.push(now, STEP);
        }
        if let Some(after) = self.config.gc.idle_after
            && !self.idle_pending
        {
            self.idle_pending = true;
            heap.push(now + after, IDLE);
        }
    }

    pub(super) fn due(&mut self, now: Ns, event: MediaEvent, heap: &mut MediaHeap) {
        self.package.forget(now);
        self.release(now);
        if event == IDLE {
            self.idle_pending = false;
            let idle_at = self
                .config
                .gc
                .idle_after
                .map(|after| self.last_request + after);
            if let Some(idle_at) = idle_at.filter(|idle_at| *idle_at > now) {
                self.idle_pending = true;
                heap.push(idle_at, IDLE);
                return;
            }
            if self.step_pending {
                return;
            }
        } else {
            self.step_pending = false;
        }
        if self.wants_collection(now)
            && self.start()
            && let Some(end) = self.batch(now, Payer::Background)
            && self.wants_collection(end)
        {
            self.step_pending = true;
            heap.push(end.max(now + Ns(1)), STEP);
        }
    }
}
