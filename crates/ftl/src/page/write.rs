//! Writes: into the buffer, from there in units to a frontier.

use super::model::{At, PageFtl, Part};
use super::watch::{Source, Watch};
use crate::lines::LineState;
use crate::media::{Extent, Fault, MediaError, Outcome};
use ersatz_engine::Ns;
use ersatz_nand::Urgency;
use std::collections::VecDeque;

/// Where the next page of a stream goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frontier {
    /// Next physical page, and the end of its line; equal when no line is open.
    pub next: u32,
    pub end: u32,
    /// When its line is erased.
    pub ready: Ns,
}

impl<W: Watch> PageFtl<W> {
    /// The frontier of garbage collection.
    pub(super) fn gc_frontier(&self) -> usize {
        self.config.streams.into()
    }

    /// The frontier of translation pages, where not all of them are in memory.
    pub(super) fn mapping_frontier(&self) -> usize {
        self.gc_frontier() + 1
    }

    /// Pages until the end of the unit that the frontier is in.
    pub(super) fn unit_room(&self, frontier: usize) -> u32 {
        let planes = self.derived.planes;
        planes - self.frontiers[frontier].next % planes
    }

    /// Pages left of the frontier's line.
    pub(super) fn rest(&self, frontier: usize) -> u32 {
        let Frontier { next, end, .. } = self.frontiers[frontier];
        end - next
    }

    pub(super) fn is_open(&self, frontier: usize) -> bool {
        let Frontier { next, end, .. } = self.frontiers[frontier];
        next < end
    }

    /// Opens a line for the frontier, unless one is open. `false`: no line is left for it.
    pub(super) fn open(&mut self, frontier: usize) -> bool {
        if self.is_open(frontier) {
            return true;
        }
        if !self.may_open(frontier) {
            return false;
        }
        let Some(line) = self.lines.open_least_worn() else {
            return false;
        };
        let next = line * self.derived.line_pages;
        self.frontiers[frontier] = Frontier {
            next,
            end: next + self.derived.line_pages,
            ready: self.lines.get(line).closed_at,
        };
        true
    }

    /// Gives the frontier's next page to `lpn`, and closes the line with its last page. The frontier
    /// is open.
    pub(super) fn take_page(&mut self, frontier: usize, now: Ns, lpn: u32) -> u32 {
        let it = &mut self.frontiers[frontier];
        let (page, closed) = (it.next, it.next + 1 == it.end);
        it.next += 1;
        let line = self.line_of(page);
        self.owners[page as usize] = lpn + 1;
        self.lines.add_valid(line);
        if closed {
            self.lines.close(line, now);
        }
        page
    }

    /// Programs `pages` pages of the frontier from `first` on, all of one unit. If that fails, they
    /// are placed and programmed anew.
    pub(super) fn program_unit(&mut self, now: Ns, frontier: usize, first: u32, pages: u32) -> Ns {
        if !self.timed {
            return now;
        }
        let end = self.program(now, frontier, first, pages);
        if self.config.reliability.program_faults_ppm > 0 && self.fails(first) {
            return self.program_elsewhere(end, frontier, (first..first + pages).collect());
        }
        end
    }

    fn program(&mut self, now: Ns, frontier: usize, first: u32, pages: u32) -> Ns {
        let (_, die, row) = self.place(first / self.derived.planes);
        let bytes = u64::from(pages) * u64::from(self.config.geometry.page_bytes);
        let ready = now.max(self.frontiers[frontier].ready);
        self.package.program(ready, die, row, bytes).end
    }

    /// Whether the program of the unit of `page` failed. If so, its block is retired when its line is
    /// erased.
    fn fails(&mut self, page: u32) -> bool {
        let planes = self.derived.planes;
        let (line, die, _) = self.place(page / planes);
        let ppm = (self.config.reliability).program_faults(self.lines.get(line).erased);
        let fails = self.random.below(1_000_000) < ppm;
        if fails {
            self.counters.media_errors += 1;
            self.failing.insert((line, die * planes + page % planes));
        }
        fails
    }

    /// Places pages whose program failed anew, until it succeeds; their data is still in the
    /// controller's memory. When no line is left, the drive is read-only, with its last pages kept
    /// in that memory.
    fn program_elsewhere(&mut self, now: Ns, frontier: usize, mut failed: VecDeque<u32>) -> Ns {
        let mut end = now;
        while !failed.is_empty() && !self.counters.read_only {
            let open = if frontier == self.gc_frontier() {
                self.open_for_collection()
            } else {
                self.is_open(frontier) || self.open_for_host(end, frontier)
            };
            if !open {
                self.counters.read_only = true;
                break;
            }
            let first = self.frontiers[frontier].next;
            for _ in 0..self.unit_room(frontier) {
                let Some(old) = failed.pop_front() else {
                    break;
                };
                // Unless collection, which made room, has moved it.
                if let Some(lpn) = self.owners[old as usize].checked_sub(1) {
                    self.move_page(end, frontier, lpn, old);
                }
            }
            let pages = self.frontiers[frontier].next - first;
            if pages > 0 {
                end = self.program(end, frontier, first, pages);
                if self.fails(first) {
                    failed.extend(first..first + pages);
                }
            }
        }
        end
    }

    /// Gives the data of page `old` a new page of the open frontier.
    pub(super) fn move_page(&mut self, now: Ns, frontier: usize, lpn: u32, old: u32) {
        self.invalidate(old);
        let new = self.take_page(frontier, now, lpn);
        match self.at(lpn) {
            At::Buffer(slot) => self.buffer.slot(slot).flash = Some(new),
            _ => self.set(lpn, At::Flash(new)),
        }
        self.watch.programmed(new, Source::Page(old));
        self.counters.gc_write_pages += 1;
    }

    /// Writes a translation page to flash, and gives the time at which it is there.
    pub(super) fn write_mapping(&mut self, now: Ns, page: u32) -> Ns {
        let frontier = self.mapping_frontier();
        if !self.is_open(frontier) && !self.open_for_host(now, frontier) {
            self.counters.read_only = true;
            self.counters.media_errors += 1;
            return now;
        }
        let lpn = self.derived.logical_pages + page;
        if let At::Flash(old) = self.at(lpn) {
            self.invalidate(old);
        }
        let first = self.take_page(frontier, now, lpn);
        self.set(lpn, At::Flash(first));
        self.watch.programmed(first, Source::Mapping);
        self.counters.gc_write_pages += 1;
        let end = self.program_unit(now, frontier, first, 1);
        self.pay(now, frontier, 1);
        end
    }

    pub(super) fn write_extent(&mut self, now: Ns, extent: Extent, stream: u16) -> Outcome {
        if self.counters.read_only {
            return Err(MediaError {
                at: now,
                fault: Fault::ReadOnly,
            });
        }
        let stream = if stream < self.config.streams {
            stream
        } else {
            0
        };
        let (mut accepted, mut programmed) = (now, now);
        for part in self.parts(extent) {
            let ready = self.translate(now, part.lpn, true);
            let here = self.accept(ready, part, stream)?;
            accepted = accepted.max(here);
            self.counters.host_write_pages += 1;
            programmed = programmed.max(self.destage(here, stream, false)?);
        }
        if self.config.buffer.pages > 0 {
            return Ok(accepted);
        }
        Ok(accepted
            .max(programmed)
            .max(self.destage(accepted, stream, true)?))
    }

    /// Takes a part of a page into the buffer and gives the time at which it is there.
    fn accept(&mut self, now: Ns, part: Part, stream: u16) -> Outcome {
        let page_bytes = self.config.geometry.page_bytes;
        let covered = self.cover.written(part.from, part.to, page_bytes);
        let whole = part.from == 0 && part.to == page_bytes;
        let (slot, free_at) = match self.at(part.lpn) {
            At::Buffer(slot) if !self.buffer.slot(slot).programming => (slot, now),
            _ => self.reserve(now, part.lpn, stream)?,
        };
        self.watch.accepted(slot, part.from, part.to);
        let full = self.cover.full;
        let trimmed = self.untrim(part);
        let it = self.buffer.slot(slot);
        // What was deallocated need not be read from flash either.
        it.covered = if whole {
            full
        } else {
            it.covered | covered | trimmed
        };
        if it.covered == full
            && let Some(old) = it.flash.take()
        {
            self.invalidate(old);
        }
        Ok(free_at + self.config.buffer.time)
    }

    /// A slot for a page that has none that could take more, and when it is free.
    fn reserve(&mut self, now: Ns, lpn: u32, stream: u16) -> Result<(u32, Ns), MediaError> {
        let mut at = now;
        loop {
            // Only now: making room may have moved the page, or finished its program.
            let (flash, dying) = match self.at(lpn) {
                At::Nowhere => (None, None),
                At::Flash(page) => (Some(page), None),
                At::Buffer(slot) => (self.buffer.slot(slot).flash, Some(slot)),
            };
            if let Some(slot) = self.buffer.reserve(lpn, stream, flash) {
                if let Some(dying) = dying {
                    self.buffer.kill(dying);
                }
                self.set(lpn, At::Buffer(slot));
                self.watch.reserved(slot, lpn);
                return Ok((slot, at));
            }
            match self.buffer.next_end() {
                // Only this one: whoever comes next at the same time waits for the next one.
                Some(end) => {
                    at = at.max(end);
                    self.release_one(end);
                }
                // All slots wait, or hold what was deallocated since.
                None => {
                    for stream in 0..self.config.streams {
                        self.destage(at, stream, true)?;
                    }
                }
            }
        }
    }

    /// Programs what waits in the buffer for a stream: all, or whole units while more waits than
    /// may. Gives the end of the last program.
    pub(super) fn destage(&mut self, now: Ns, stream: u16, all: bool) -> Outcome {
        let capacity = self.buffer.slots.len() as u64;
        let may_wait = capacity * u64::from(self.config.buffer.destage_above) / 100;
        let frontier = usize::from(stream);
        let mut end = now;
        loop {
            let waiting = self.buffer.waiting(stream);
            let room = self.unit_room(frontier);
            let enough =
                all || waiting >= room && u64::from(self.buffer.waiting_total()) > may_wait;
            if !enough {
                break;
            }
            let mut taken = std::mem::take(&mut self.taken);
            // Also when nothing waits: this frees the slots of pages that were deallocated.
            let open = waiting == 0 || self.is_open(frontier) || self.open_for_host(now, frontier);
            if !open {
                self.taken = taken;
                self.counters.read_only = true;
                self.counters.media_errors += 1;
                return Err(MediaError {
                    at: now,
                    fault: Fault::OutOfBlocks,
                });
            }
            self.buffer.take(stream, room, &mut taken);
            if !taken.is_empty() {
                end = end.max(self.program_slots(now, frontier, &taken));
            }
            let (done, pages) = (taken.is_empty(), taken.len() as u32);
            self.taken = taken;
            self.pay(now, frontier, pages);
            if done {
                break;
            }
        }
        Ok(end)
    }

    /// Programs slots into one unit of an open frontier; those that do not cover their page are
    /// completed from flash first.
    fn program_slots(&mut self, now: Ns, frontier: usize, slots: &[u32]) -> Ns {
        let mut ready = now;
        let planes = self.derived.planes;
        let first = self.frontiers[frontier].next;
        for slot in slots {
            let it = *self.buffer.slot(*slot);
            let Some(lpn) = it.lpn else {
                continue;
            };
            if let Some(old) = it.flash {
                let bytes = self.config.geometry.page_bytes.into();
                // What can't be read is lost, and was counted; the rest of the page is not.
                let read = self.read_unit(now, old / planes, bytes, Urgency::Background);
                ready = ready.max(read.unwrap_or_else(|error| error.at));
                self.invalidate(old);
            }
            let page = self.take_page(frontier, now, lpn);
            self.watch.programmed(
                page,
                Source::Buffer {
                    slot: *slot,
                    under: it.flash,
                },
            );
            self.buffer.slot(*slot).covered = self.cover.full;
            self.buffer.slot(*slot).flash = Some(page);
        }
        let pages = self.frontiers[frontier].next - first;
        let end = self.program_unit(ready, frontier, first, pages);
        for slot in slots {
            self.buffer.program(*slot, end);
        }
        end
    }

    /// Whether a line is written and not being collected.
    pub(super) fn is_closed(&self, line: u32) -> bool {
        self.lines.get(line).state == LineState::Closed
    }
}
