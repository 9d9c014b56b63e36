//! What happened when, as trace events that Perfetto and chrome://tracing open.
//!
//! A process per queue has the requests as asynchronous slices, for many are in flight at once. The
//! processes *channels* and *dies* have a thread for each of them, with the work as slices. Slices of
//! a thread must be nested or apart; work that overlaps other work without being inside of it (a
//! read that suspended a program, say, and outlasted the program's first place) goes to a second
//! thread of the same name. The process *host* has a counter of the requests in flight.
//!
//! The format: "Trace Event Format" (Google), JSON object format.

use crate::file::OutputFile;
use crate::{Op, ReportError};
use core::cmp::Reverse;
use core::fmt;
use ersatz_engine::Ns;
use ersatz_ftl::{Resource, Span, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const HOST: u32 = 1;
const CHANNELS: u32 = 2;
const DIES: u32 = 3;
/// Queue 0 is this process, queue 1 the next.
const QUEUES: u32 = 100;
/// The first thread of a channel or a die. Numbers of threads differ over all processes.
const THREADS: u32 = 1 << 20;

/// Writes a trace in order of time.
///
/// What happens later than now waits in memory until then: that is what is in flight, and what the
/// media has booked ahead. Now is the latest submission, or what [`advance`](Self::advance) was told.
pub struct Trace {
    file: OutputFile,
    now: Ns,
    waiting: BTreeMap<Key, Event>,
    sequence: u64,
    in_flight: u64,
    /// When the number in flight changed, until it is written: once for each time.
    changed: Option<Ns>,
    queues: BTreeSet<u16>,
    lanes: BTreeMap<Resource, Vec<Lane>>,
    threads: u32,
    is_first: bool,
}

/// The order of events: by time, submissions before completions (a request may take no time at all),
/// longer work before shorter, then as they were given.
type Key = (Ns, Kind, Reverse<Ns>, u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Submission,
    Completion,
    Work,
}

enum Event {
    Submission(Request, u64),
    Completion(Request, u16),
    Work(Span),
}

#[derive(Clone, Copy)]
struct Request {
    queue: u16,
    index: u64,
    op: Op,
}

/// A thread of a resource: its slices are nested or apart.
struct Lane {
    thread: u32,
    last_begin: Ns,
    /// The ends of the slices that the last one is inside of, and its own.
    open: Vec<Ns>,
}

impl Lane {
    /// Puts a slice here, if it fits.
    fn admit(&mut self, span: &Span) -> bool {
        if span.begin < self.last_begin {
            return false;
        }
        while self.open.last().is_some_and(|&end| end <= span.begin) {
            self.open.pop();
        }
        if self.open.last().is_some_and(|&end| end < span.end) {
            return false;
        }
        self.last_begin = span.begin;
        self.open.push(span.end);
        true
    }
}

impl Trace {
    /// Creates or empties the file at `path`, which is compressed if its name ends in `.gz`.
    ///
    /// # Errors
    /// The file can't be created or written.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let mut file = OutputFile::create(path)?;
        file.write(|out| write!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":["))?;
        let mut trace = Self {
            file,
            now: Ns::ZERO,
            waiting: BTreeMap::new(),
            sequence: 0,
            in_flight: 0,
            changed: None,
            queues: BTreeSet::new(),
            lanes: BTreeMap::new(),
            threads: THREADS,
            is_first: true,
        };
        trace.process(HOST, "host", 0)?;
        // Queues are between them.
        trace.process(CHANNELS, "channels", 1 << 17)?;
        trace.process(DIES, "dies", (1 << 17) + 1)?;
        Ok(trace)
    }

    /// A host submitted request `index` to `queue`. Submissions are given in order of their times.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn submitted(
        &mut self,
        at: Ns,
        queue: u16,
        index: u64,
        op: Op,
        bytes: u64,
    ) -> Result<(), ReportError> {
        let request = Request { queue, index, op };
        self.wait(at, Kind::Submission, at, Event::Submission(request, bytes));
        self.advance(at)
    }

    /// Nothing that was before `now` will be told any more: what waited for it is written.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn advance(&mut self, now: Ns) -> Result<(), ReportError> {
        self.now = self.now.max(now);
        self.write_until(self.now)
    }

    /// The host had the answer to the request of this index; as soon as the time is known, or later.
    ///
    /// # Errors
    /// None now; the file is written with a later call.
    pub fn completed(
        &mut self,
        at: Ns,
        queue: u16,
        index: u64,
        op: Op,
        status: u16,
    ) -> Result<(), ReportError> {
        let request = Request { queue, index, op };
        self.wait(at, Kind::Completion, at, Event::Completion(request, status));
        Ok(())
    }

    /// What the media booked since the last time.
    ///
    /// # Errors
    /// None now; the file is written with a later call.
    pub fn spans(&mut self, spans: &[Span]) -> Result<(), ReportError> {
        for span in spans.iter().filter(|span| span.begin < span.end) {
            self.wait(span.begin, Kind::Work, span.end, Event::Work(*span));
        }
        Ok(())
    }

    /// Writes what is left, and the end.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self) -> Result<(), ReportError> {
        while let Some(((at, ..), event)) = self.waiting.pop_first() {
            self.event(at, &event)?;
        }
        self.count()?;
        self.file.write(|out| writeln!(out, "\n]}}"))?;
        self.file.finish()
    }

    fn wait(&mut self, at: Ns, kind: Kind, end: Ns, event: Event) {
        self.waiting
            .insert((at, kind, Reverse(end), self.sequence), event);
        self.sequence += 1;
    }

    /// Writes all that happened before `now`.
    fn write_until(&mut self, now: Ns) -> Result<(), ReportError> {
        while let Some(entry) = self.waiting.first_entry() {
            let at = entry.key().0;
            if at >= now {
                break;
            }
            let event = entry.remove();
            self.event(at, &event)?;
        }
        Ok(())
    }

    fn event(&mut self, at: Ns, event: &Event) -> Result<(), ReportError> {
        if self.changed.is_some_and(|changed| changed != at) {
            self.count()?;
        }
        match *event {
            Event::Submission(request, bytes) => {
                if self.queues.insert(request.queue) {
                    let name = format!("queue {}", request.queue);
                    let order = 1 + u32::from(request.queue);
                    self.process(process_of(request.queue), &name, order)?;
                }
                self.in_flight += 1;
                self.changed = Some(at);
                self.slice_edge(
                    'b',
                    at,
                    request,
                    format_args!("\"index\":{},\"bytes\":{bytes}", request.index),
                )
            }
            Event::Completion(request, status) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.changed = Some(at);
                self.slice_edge('e', at, request, format_args!("\"status\":{status}"))
            }
            Event::Work(span) => {
                let (process, thread) = self.thread(&span)?;
                let name = match span.work {
                    Work::Read => "read",
                    Work::Program => "program",
                    Work::Erase => "erase",
                    Work::Transfer => "transfer",
                };
                let (ts, dur) = (Micros(at), Micros(span.end.since(at)));
                self.line(format_args!(
                    "{{\"ph\":\"X\",\"name\":\"{name}\",\"cat\":\"flash\",\"pid\":{process},\
                     \"tid\":{thread},\"ts\":{ts},\"dur\":{dur}}}"
                ))
            }
        }
    }

    fn slice_edge(
        &mut self,
        edge: char,
        at: Ns,
        Request { queue, index, op }: Request,
        args: fmt::Arguments<'_>,
    ) -> Result<(), ReportError> {
        let (process, ts) = (process_of(queue), Micros(at));
        self.line(format_args!(
            "{{\"ph\":\"{edge}\",\"name\":\"{op}\",\"cat\":\"request\",\"id\":\"{index:#x}\",\
             \"pid\":{process},\"tid\":{process},\"ts\":{ts},\"args\":{{{args}}}}}"
        ))
    }

    /// Writes how many requests are in flight since the last change.
    fn count(&mut self) -> Result<(), ReportError> {
        let Some(changed) = self.changed.take() else {
            return Ok(());
        };
        let (ts, in_flight) = (Micros(changed), self.in_flight);
        self.line(format_args!(
            "{{\"ph\":\"C\",\"name\":\"in flight\",\"pid\":{HOST},\"tid\":{HOST},\"ts\":{ts},\
             \"args\":{{\"requests\":{in_flight}}}}}"
        ))
    }

    /// Where a slice goes; a new thread if there is none that it fits into.
    fn thread(&mut self, span: &Span) -> Result<(u32, u32), ReportError> {
        let (process, what, number) = match span.resource {
            Resource::Channel(number) => (CHANNELS, "channel", number),
            Resource::Die(number) => (DIES, "die", number),
        };
        let lanes = self.lanes.entry(span.resource).or_default();
        if let Some(lane) = lanes
            .iter_mut()
            .find_map(|lane| lane.admit(span).then_some(lane))
        {
            return Ok((process, lane.thread));
        }
        let thread = self.threads;
        self.threads += 1;
        lanes.push(Lane {
            thread,
            last_begin: span.begin,
            open: vec![span.end],
        });
        self.metadata(
            process,
            thread,
            "thread_name",
            format_args!("\"name\":\"{what} {number}\""),
        )?;
        self.metadata(
            process,
            thread,
            "thread_sort_index",
            format_args!("\"sort_index\":{number}"),
        )?;
        Ok((process, thread))
    }

    fn process(&mut self, process: u32, name: &str, order: u32) -> Result<(), ReportError> {
        self.metadata(
            process,
            process,
            "process_name",
            format_args!("\"name\":\"{name}\""),
        )?;
        self.metadata(
            process,
            process,
            "process_sort_index",
            format_args!("\"sort_index\":{order}"),
        )
    }

    fn metadata(
        &mut self,
        process: u32,
        thread: u32,
        name: &str,
        args: fmt::Arguments<'_>,
    ) -> Result<(), ReportError> {
        self.line(format_args!(
            "{{\"ph\":\"M\",\"name\":\"{name}\",\"pid\":{process},\"tid\":{thread},\
             \"args\":{{{args}}}}}"
        ))
    }

    fn line(&mut self, event: fmt::Arguments<'_>) -> Result<(), ReportError> {
        let separator = if self.is_first { "\n" } else { ",\n" };
        self.is_first = false;
        self.file.write(|out| write!(out, "{separator}{event}"))
    }
}

fn process_of(queue: u16) -> u32 {
    QUEUES + u32::from(queue)
}

/// A time in microseconds, which the format wants, to the nanosecond.
struct Micros(Ns);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.0 / 1_000, self.0.0 % 1_000)
    }
}
