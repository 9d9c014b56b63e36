//! What was busy when, for those who draw it.

use ersatz_engine::Ns;

/// What can be busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A channel's bus, by number.
    Channel(u32),
    /// A die (LUN), by number over all channels.
    Die(u32),
}

/// With what it was busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The array reads.
    Read,
    /// The array programs.
    Program,
    /// The array erases.
    Erase,
    /// Commands, addresses or data are on the bus.
    Transfer,
}

/// One piece of work as it was booked. What a later read interrupted or pushed back shows at its
/// first place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What was busy.
    pub resource: Resource,
    /// With what.
    pub work: Work,
    /// From when.
    pub begin: Ns,
    /// Until when.
    pub end: Ns,
}

/// Keeps spans when asked to.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Option<Vec<Span>>);

impl Recorder {
    /// Begins to keep spans, or stops and forgets them.
    pub fn record(&mut self, on: bool) {
        self.0 = on.then(Vec::new);
    }

    /// Whether spans are kept.
    #[inline]
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps a span, if any are kept.
    #[inline]
    pub fn push(&mut self, resource: Resource, work: Work, begin: Ns, end: Ns) {
        if self.is_on() {
            self.keep(Span {
                resource,
                work,
                begin,
                end,
            });
        }
    }

    #[cold]
    fn keep(&mut self, span: Span) {
        if let Some(spans) = &mut self.0 {
            spans.push(span);
        }
    }

    /// Takes the spans kept since the last time.
    pub fn take(&mut self) -> Vec<Span> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
