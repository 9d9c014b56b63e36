//! The model behind the seam.

use super::model::PageFtl;
use super::watch::Watch;
use crate::media::{
    Counters, Extent, Fault, Media, MediaError, MediaEvent, MediaHeap, Outcome, Placement,
};
use ersatz_engine::Ns;
use ersatz_nand::{Resource, Span};

impl<W: Watch + Send> Media for PageFtl<W> {
    fn capacity(&self) -> u64 {
        u64::from(self.derived.logical_pages) * u64::from(self.config.geometry.page_bytes)
    }

    fn read(&mut self, now: Ns, at: Extent, heap: &mut MediaHeap) -> Outcome {
        self.begin(now);
        let outcome = self.read_extent(now, at);
        self.arrange(now, heap);
        outcome
    }

    fn write(&mut self, now: Ns, at: Extent, to: Placement, heap: &mut MediaHeap) -> Outcome {
        self.begin(now);
        let outcome = self.write_extent(now, at, to.stream);
        self.arrange(now, heap);
        outcome
    }

    fn trim(&mut self, now: Ns, at: Extent, heap: &mut MediaHeap) -> Outcome {
        self.begin(now);
        if self.counters.read_only {
            return Err(MediaError {
                at: now,
                fault: Fault::ReadOnly,
            });
        }
        self.trim_extent(at);
        self.arrange(now, heap);
        Ok(now)
    }

    fn flush(&mut self, now: Ns, heap: &mut MediaHeap) -> Outcome {
        self.begin(now);
        if !self.config.buffer.volatile {
            return Ok(now);
        }
        let mut outcome = Ok(now);
        for stream in 0..self.config.streams {
            outcome = outcome.and(self.destage(now, stream, true));
        }
        self.arrange(now, heap);
        outcome.map(|_| now.max(self.buffer.last_end))
    }

    fn volatile_cache(&self) -> bool {
        self.config.buffer.pages > 0 && self.config.buffer.volatile
    }

    fn event(&mut self, now: Ns, event: MediaEvent, heap: &mut MediaHeap) {
        self.due(now, event, heap);
    }

    fn counters(&self) -> Counters {
        let percent = |part: u64, whole: u64| {
            (part * 100)
                .checked_div(whole)
                .map(|percent| percent.min(255) as u8)
        };
        let erased = self
            .lines
            .all()
            .iter()
            .map(|line| u64::from(line.erased))
            .sum::<u64>();
        let rated = u64::from(self.config.reliability.rated_erases);
        let spares = self
            .spares
            .iter()
            .map(|spare| u64::from(*spare))
            .sum::<u64>();
        let all_spares = self.spares.len() as u64 * u64::from(self.config.spare_blocks);
        Counters {
            free_lines: self.lines.free_count().into(),
            victim_lines: self.lines.victims().len() as u64,
            full_lines: self.lines.full_count().into(),
            percentage_used: percent(erased, rated * u64::from(self.derived.lines)).unwrap_or(0),
            available_spare: percent(spares, all_spares).unwrap_or(100),
            ..self.counters
        }
    }

    fn busy(&self) -> Vec<(Resource, Ns)> {
        let channels = (0..)
            .map(Resource::Channel)
            .zip(self.package.channels_busy());
        let dies = (0..).map(Resource::Die).zip(self.package.dies_busy());
        channels.chain(dies).collect()
    }

    fn record(&mut self, on: bool) {
        self.package.recorder.record(on);
    }

    fn take_spans(&mut self) -> Vec<Span> {
        self.package.recorder.take()
    }

    fn wear(&self) -> Vec<u32> {
        self.lines.all().iter().map(|line| line.erased).collect()
    }
}
