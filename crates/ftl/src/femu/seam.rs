//! The model behind the seam: requests in, finish times out.

use super::model::Femu;
use crate::media::{
    Counters, Extent, Fault, Media, MediaError, MediaHeap, Operation, Outcome, Placement,
};
use ersatz_engine::Ns;
use ersatz_nand::{Resource, Span};

impl Media for Femu {
    fn capacity(&self) -> u64 {
        u64::from(self.geometry.logical_pages).saturating_mul(self.geometry.page_bytes)
    }

    /// An extent that leaves the drive does nothing, as in FEMU, but collect garbage.
    fn read(&mut self, now: Ns, at: Extent, _heap: &mut MediaHeap) -> Outcome {
        let outcome = match self.pages(at) {
            Some((first, last)) => self.read_pages(now, first, last),
            None => Ok(now),
        };
        self.after_request(now);
        outcome
    }

    /// The stream is ignored: all host writes share one write pointer.
    fn write(&mut self, now: Ns, at: Extent, _to: Placement, _heap: &mut MediaHeap) -> Outcome {
        let outcome = match self.pages(at) {
            Some((first, last)) => self.write_pages(now, first, last),
            None => Ok(now),
        };
        self.after_request(now);
        outcome
    }

    /// Pages that are only partly covered are dropped too.
    fn trim(&mut self, now: Ns, at: Extent, _heap: &mut MediaHeap) -> Outcome {
        if self.counters.read_only {
            return Err(MediaError {
                at: now,
                fault: Fault::ReadOnly,
            });
        }
        if let Some((first, last)) = self.pages(at) {
            self.trim_pages(first, last);
        }
        self.after_request(now);
        Ok(now + self.trim)
    }

    /// There is no write buffer.
    fn flush(&mut self, now: Ns, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }

    fn refused(&mut self, now: Ns, operation: Operation, _heap: &mut MediaHeap) -> Ns {
        self.after_request(now);
        match operation {
            Operation::Trim => now + self.trim,
            _ => now,
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            free_lines: self.lines.free_count().into(),
            victim_lines: self.lines.victims().len() as u64,
            full_lines: self.lines.full_count().into(),
            ..self.counters
        }
    }

    /// FEMU has no channel timeline.
    fn busy(&self) -> Vec<(Resource, Ns)> {
        let luns = self.luns.by_channel();
        (0..)
            .zip(luns)
            .map(|(die, lun)| (Resource::Die(die), lun.busy()))
            .collect()
    }

    fn record(&mut self, on: bool) {
        self.luns.recorder.record(on);
    }

    fn take_spans(&mut self) -> Vec<Span> {
        self.luns.recorder.take()
    }

    fn wear(&self) -> Vec<u32> {
        self.lines.all().iter().map(|line| line.erased).collect()
    }
}
