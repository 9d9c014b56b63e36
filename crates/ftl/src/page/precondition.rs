//! Ageing a drive before its first request.

use super::model::{At, PageFtl};
use super::watch::Watch;
use crate::media::{Counters, Fault};
use ersatz_engine::{Ns, Rng};

/// In which order pages are overwritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// Every page as likely as any other.
    #[default]
    Random,
    /// From the first to the last.
    Sequential,
}

/// How a drive is aged: filled in order, then overwritten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precondition {
    /// How much of the logical space is written, 0.0–1.0.
    pub fill: f64,
    /// How often the filled space is overwritten.
    pub overwrite: f64,
    /// In which order.
    pub pattern: Pattern,
    /// Seed of a random order.
    pub seed: u64,
}

impl<W: Watch> PageFtl<W> {
    /// Ages an idle drive: its map and wear are as after that work, its dies are idle and its
    /// counters begin at 0.
    ///
    /// # Errors
    /// [`Fault::OutOfBlocks`] when so many blocks failed that writes have no room any more.
    pub fn precondition(&mut self, how: Precondition) -> Result<(), Fault> {
        let logical = self.derived.logical_pages;
        let filled = (f64::from(logical) * how.fill.clamp(0.0, 1.0)) as u32;
        let overwrites = (f64::from(filled) * how.overwrite.max(0.0)) as u64;
        let mut random = Rng::new(how.seed);
        self.timed = false;
        let mapping = (u64::from(filled) * u64::from(self.derived.mapping_pages))
            .div_ceil(logical.into()) as u32;
        let mut done = (0..filled)
            .chain(logical..logical + mapping)
            .try_for_each(|lpn| self.place_untimed(lpn));
        for number in 0..overwrites {
            if done.is_err() {
                break;
            }
            let lpn = match how.pattern {
                Pattern::Random => random.below(filled.into()),
                Pattern::Sequential => number % u64::from(filled),
            };
            done = self.place_untimed(lpn as u32);
        }
        self.timed = true;
        self.counters = Counters {
            page_bytes: self.counters.page_bytes,
            read_only: done.is_err(),
            ..Counters::default()
        };
        done
    }

    fn place_untimed(&mut self, lpn: u32) -> Result<(), Fault> {
        if !self.is_open(0) && !self.open_for_host(Ns::ZERO, 0) {
            return Err(Fault::OutOfBlocks);
        }
        if let At::Flash(old) = self.at(lpn) {
            self.invalidate(old);
        }
        let page = self.take_page(0, Ns::ZERO, lpn);
        self.set(lpn, At::Flash(page));
        self.pay(Ns::ZERO, 0, 1);
        Ok(())
    }
}
