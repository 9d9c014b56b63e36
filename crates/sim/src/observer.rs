//! Who is told what happens.

use crate::request::{Completion, Submission};
use ersatz_ftl::Span;
use ersatz_report::{LatencyCsv, ReportError, Trace};

/// Someone who wants to know what happens, when it happens.
///
/// An error means that it can't be written down; the simulation ends then.
pub trait Observer {
    /// The drive has a request. Arrivals are in order.
    ///
    /// # Errors
    /// See above.
    fn submitted(&mut self, _submission: &Submission) -> Result<(), ReportError> {
        Ok(())
    }

    /// Channels and dies have work, some of it later than now. Only told if
    /// [`Options::record`](crate::Options::record) is set.
    ///
    /// # Errors
    /// See above.
    fn booked(&mut self, _spans: &[Span]) -> Result<(), ReportError> {
        Ok(())
    }

    /// A request is done. Completions are in order.
    ///
    /// # Errors
    /// See above.
    fn completed(&mut self, completion: &Completion) -> Result<(), ReportError>;
}

impl Observer for LatencyCsv {
    fn completed(&mut self, completion: &Completion) -> Result<(), ReportError> {
        self.add(&completion.sample())
    }
}

impl Observer for Trace {
    fn submitted(&mut self, submission: &Submission) -> Result<(), ReportError> {
        let Submission {
            index,
            issued,
            queue,
            request,
            bytes,
        } = *submission;
        self.submitted(issued, queue, index, request.op, bytes)
    }

    fn booked(&mut self, spans: &[Span]) -> Result<(), ReportError> {
        self.spans(spans)
    }

    fn completed(&mut self, completion: &Completion) -> Result<(), ReportError> {
        let Submission {
            index,
            queue,
            request,
            ..
        } = completion.submission;
        let status = completion.status.into_bits();
        self.completed(completion.due, queue, index, request.op, status)?;
        // Completions are told when they are due, and work is booked when it is asked for.
        self.advance(completion.due)
    }
}
