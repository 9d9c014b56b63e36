//! Lines: which are free, which could be collected, which are full.
//!
//! A line is one block of every plane that stores data. The victim heap is spelled out here instead of taken from a
//! library: which of two lines with the same number of valid pages is collected first decides up to
//! nine of ten latencies, and that follows from the heap's exact moves.

use ersatz_engine::Ns;
use std::collections::VecDeque;

/// What a line is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineState {
    /// Erased.
    #[default]
    Free,
    /// Being written.
    Open,
    /// Written.
    Closed,
    /// Being collected over some time, and out of the heap.
    Held,
    /// Never to be used again.
    Retired,
}

/// One line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// What it is doing.
    pub state: LineState,
    /// Pages that hold the newest data of their logical page: the heap's key.
    pub valid: u32,
    /// Position in the victim heap; 0 when it is not there.
    slot: u32,
    /// When the last page was taken; of a free line, when it is erased, if somebody said so.
    pub closed_at: Ns,
    /// How often it was erased.
    pub erased: u32,
}

/// All lines by id, the queue of free ones, and the heap of those that hold garbage.
#[derive(Debug)]
pub struct Lines {
    /// Pages of a line.
    pub pages: u32,
    lines: Vec<Line>,
    free: VecDeque<u32>,
    /// Array heap from index 1; fewest valid pages at the root. Index 0 is not used.
    heap: Vec<u32>,
    full: u32,
}

impl Lines {
    /// `count` free lines of `pages` pages.
    pub fn new(count: u32, pages: u32) -> Self {
        Self {
            pages,
            lines: vec![Line::default(); count as usize],
            free: (0..count).collect(),
            heap: vec![0],
            full: 0,
        }
    }

    /// The line of this id.
    pub fn get(&self, line: u32) -> &Line {
        &self.lines[line as usize]
    }

    /// All lines by id.
    pub fn all(&self) -> &[Line] {
        &self.lines
    }

    /// Free lines, the next one to be opened first.
    pub fn free(&self) -> &VecDeque<u32> {
        &self.free
    }

    /// How many lines are free. The open ones are not.
    pub fn free_count(&self) -> u32 {
        self.free.len() as u32
    }

    /// How many written lines hold nothing but valid pages.
    pub fn full_count(&self) -> u32 {
        self.full
    }

    /// The lines that hold garbage, in the heap's order: the root first.
    pub fn victims(&self) -> &[u32] {
        &self.heap[1..]
    }

    /// Pages of a closed line that are no longer valid.
    pub fn invalid(&self, line: u32) -> u32 {
        self.pages - self.get(line).valid
    }

    /// Takes the line that has been free for longest.
    pub fn open(&mut self) -> Option<u32> {
        let line = self.free.pop_front()?;
        self.lines[line as usize].state = LineState::Open;
        Some(line)
    }

    /// Takes the free line that was erased least, and of equals the one that has been free for
    /// longest.
    pub fn open_least_worn(&mut self) -> Option<u32> {
        let erased = |line: &u32| self.get(*line).erased;
        let (at, _) = self
            .free
            .iter()
            .enumerate()
            .min_by_key(|(_, line)| erased(line))?;
        let line = self.free.remove(at)?;
        self.lines[line as usize].state = LineState::Open;
        Some(line)
    }

    /// Takes a closed line out of the heap, to be collected over some time.
    pub fn hold(&mut self, line: u32) {
        self.remove(line);
        let it = &mut self.lines[line as usize];
        it.state = LineState::Held;
        if it.valid == self.pages {
            self.full -= 1;
        }
    }

    /// A held line is never used again.
    pub fn retire(&mut self, line: u32) {
        self.lines[line as usize].state = LineState::Retired;
    }

    /// A page of an open line was written.
    pub fn add_valid(&mut self, line: u32) {
        self.lines[line as usize].valid += 1;
    }

    /// The last page of an open line was written.
    pub fn close(&mut self, line: u32, now: Ns) {
        let it = &mut self.lines[line as usize];
        it.closed_at = now;
        it.state = LineState::Closed;
        if it.valid == self.pages {
            self.full += 1;
        } else {
            self.insert(line);
        }
    }

    /// A page of the line is no longer valid.
    pub fn invalidate(&mut self, line: u32) {
        let it = &mut self.lines[line as usize];
        let was_full = it.valid == self.pages && it.state == LineState::Closed;
        let slot = it.slot;
        it.valid -= 1;
        if was_full {
            self.full -= 1;
            self.insert(line);
        } else if slot != 0 {
            self.lighter(slot);
        }
    }

    /// Erased: everything about the line is forgotten but how often that happened, and it goes to
    /// the end of the free queue.
    pub fn erase(&mut self, line: u32) {
        let it = &mut self.lines[line as usize];
        *it = Line {
            erased: it.erased + 1,
            ..Line::default()
        };
        self.free.push_back(line);
    }

    /// A free line's erase is not done before `at`.
    pub fn erased_at(&mut self, line: u32, at: Ns) {
        self.lines[line as usize].closed_at = at;
    }

    fn key(&self, slot: usize) -> u32 {
        self.lines[self.heap[slot] as usize].valid
    }

    fn put(&mut self, slot: usize, line: u32) {
        self.heap[slot] = line;
        self.lines[line as usize].slot = slot as u32;
    }

    fn sift_up(&mut self, mut slot: usize) {
        let moved = self.heap[slot];
        let key = self.get(moved).valid;
        while slot > 1 && self.key(slot / 2) > key {
            self.put(slot, self.heap[slot / 2]);
            slot /= 2;
        }
        self.put(slot, moved);
    }

    /// Of two children with the same key the left one moves up.
    fn sift_down(&mut self, mut slot: usize) {
        let moved = self.heap[slot];
        let key = self.get(moved).valid;
        loop {
            let mut child = slot * 2;
            if child >= self.heap.len() {
                break;
            }
            if child + 1 < self.heap.len() && self.key(child) > self.key(child + 1) {
                child += 1;
            }
            if key <= self.key(child) {
                break;
            }
            self.put(slot, self.heap[child]);
            slot = child;
        }
        self.put(slot, moved);
    }

    /// Puts a closed line that holds garbage into the heap.
    pub fn insert(&mut self, line: u32) {
        self.heap.push(line);
        self.sift_up(self.heap.len() - 1);
    }

    /// The key of the line at `slot` has become smaller. (Its children were not smaller before and
    /// are not now; FEMU looks at them all the same, to no effect.)
    fn lighter(&mut self, slot: u32) {
        let slot = slot as usize;
        if slot > 1 && self.key(slot / 2) > self.key(slot) {
            self.sift_up(slot);
        }
    }

    /// Takes the root out: the last line of the array sinks from there.
    pub fn pop(&mut self) -> Option<u32> {
        let root = *self.heap.get(1)?;
        self.lines[root as usize].slot = 0;
        if let Some(last) = self.heap.pop().filter(|last| *last != root) {
            self.put(1, last);
            self.sift_down(1);
        }
        Some(root)
    }

    /// Takes a line out from wherever it is in the heap.
    pub fn remove(&mut self, line: u32) {
        let slot = self.get(line).slot as usize;
        if slot == 0 {
            return;
        }
        self.lines[line as usize].slot = 0;
        if let Some(last) = self.heap.pop().filter(|last| *last != line) {
            self.heap[slot] = last;
            if self.get(line).valid > self.get(last).valid {
                self.sift_up(slot);
            } else {
                self.sift_down(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Closed lines of 10 pages with these numbers of valid ones, inserted by id.
    fn lines(valid: &[u32]) -> Lines {
        let mut lines = Lines::new(valid.len() as u32, 10);
        for (line, valid) in (0..).zip(valid) {
            lines.open();
            (0..*valid).for_each(|_| lines.add_valid(line));
            lines.close(line, Ns(u64::from(line)));
        }
        lines
    }

    #[test]
    fn equal_keys_never_swap() {
        let mut lines = lines(&[5, 5, 5, 5]);
        assert_eq!(lines.victims(), [0, 1, 2, 3]);
        assert_eq!(lines.pop(), Some(0));
        // The last line takes the root's place and stays: nothing is strictly smaller.
        assert_eq!(lines.victims(), [3, 1, 2]);
    }

    #[test]
    fn the_left_child_moves_up_on_ties() {
        let mut lines = lines(&[1, 3, 3, 4]);
        lines.pop();
        assert_eq!(lines.victims(), [1, 3, 2]);
    }

    #[test]
    fn removing_from_the_middle_restores_the_order_in_either_direction() {
        let mut lines = lines(&[1, 6, 2, 7, 8, 3, 4]);
        assert_eq!(lines.victims(), [0, 1, 2, 3, 4, 5, 6]);
        lines.remove(3);
        assert_eq!(lines.victims(), [0, 6, 2, 1, 4, 5]);
        lines.remove(5);
        assert_eq!(lines.victims(), [0, 6, 2, 1, 4]);
    }

    #[test]
    fn a_full_line_becomes_a_victim_with_its_first_invalid_page() {
        let mut lines = lines(&[10, 4]);
        assert_eq!((lines.full_count(), lines.victims()), (1, &[1][..]));
        lines.invalidate(0);
        assert_eq!((lines.full_count(), lines.victims()), (0, &[1, 0][..]));
        (0..6).for_each(|_| lines.invalidate(0));
        assert_eq!(lines.victims(), [0, 1]);
        assert_eq!(lines.pop(), Some(0));
        lines.erase(0);
        assert_eq!(
            (lines.free_count(), lines.get(0).erased, lines.get(0).valid),
            (1, 1, 0)
        );
    }
}
