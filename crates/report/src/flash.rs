//! What the media itself counted.

use crate::ReportError;
use crate::file::OutputFile;
use ersatz_engine::Ns;
use ersatz_ftl::{Counters, Media, Resource};
use serde::Serialize;
use std::path::Path;

/// What a media has counted so far.
#[derive(Clone, Debug, Default)]
pub struct Flash {
    /// Pages, erasures, garbage collection.
    pub counters: Counters,
    /// How long each resource was booked for.
    pub busy: Vec<(Resource, Ns)>,
    /// How often each block was erased.
    pub wear: Vec<u32>,
}

impl Flash {
    /// Asks `media`.
    #[must_use]
    pub fn of(media: &dyn Media) -> Self {
        Self {
            counters: media.counters(),
            busy: media.busy(),
            wear: media.wear(),
        }
    }

    /// What was counted since `before`. What is a state and not a count stays as it is: free lines,
    /// wear, spare.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        let (now, then) = (&mut self.counters, &before.counters);
        for (now, then) in [
            (&mut now.host_write_pages, then.host_write_pages),
            (&mut now.gc_write_pages, then.gc_write_pages),
            (&mut now.host_read_pages, then.host_read_pages),
            (&mut now.erases, then.erases),
            (&mut now.gc_rounds_foreground, then.gc_rounds_foreground),
            (&mut now.gc_rounds_background, then.gc_rounds_background),
            (&mut now.media_errors, then.media_errors),
        ] {
            *now = now.saturating_sub(then);
        }
        // The resources of a media are the same at any time, and so is their order.
        for ((_, now), &(_, then)) in self.busy.iter_mut().zip(&before.busy) {
            *now = now.since(then);
        }
        self
    }
}

/// [`Counters`] as they are written, with what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlashCounters {
    /// Pages programmed per page that a host wrote.
    pub waf: f64,
    /// What the media counted.
    #[serde(flatten)]
    pub counters: Counters,
}

impl From<&Counters> for FlashCounters {
    fn from(counters: &Counters) -> Self {
        Self {
            waf: counters.waf(),
            counters: *counters,
        }
    }
}

/// Writes counters as a JSON object with the keys of [`FlashCounters`].
///
/// # Errors
/// The file can't be created or written.
pub fn write_counters(path: &Path, counters: &Counters) -> Result<(), ReportError> {
    let mut file = OutputFile::create(path)?;
    file.write(|out| {
        serde_json::to_writer_pretty(&mut *out, &FlashCounters::from(counters))?;
        writeln!(out)
    })?;
    file.finish()
}
