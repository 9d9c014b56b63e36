//! Request by request: files for other programs.

use crate::load::Completion;
use crate::simulation::Observer;
use ersatz_engine::Ns;
use std::collections::VecDeque;
use std::io::{self, Write};

/// Lines of `index,latency_ns` in the order of arrival. Holds back what completes before its turn.
pub struct LatencyLog<W: Write> {
    out: W,
    next: u64,
    /// Latencies from request `next` on; `None` where it is not done.
    waiting: VecDeque<Option<Ns>>,
}

impl<W: Write> LatencyLog<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "index,latency_ns")?;
        Ok(Self {
            out,
            next: 0,
            waiting: VecDeque::new(),
        })
    }

    /// All is written when the last request is done.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Observer for LatencyLog<W> {
    fn done(&mut self, completion: &Completion) -> io::Result<()> {
        let place = (completion.index - self.next) as usize;
        if self.waiting.len() <= place {
            self.waiting.resize(place + 1, None);
        }
        self.waiting[place] = Some(completion.latency());
        while let Some(Some(latency)) = self.waiting.front() {
            writeln!(self.out, "{},{}", self.next, latency.0)?;
            self.waiting.pop_front();
            self.next += 1;
        }
        Ok(())
    }
}

/// A timeline in Chrome's trace-event format, which Perfetto opens: one span per request. Requests
/// that are in the drive at the same time are on tracks of their own, as if on a queue of that
/// depth.
pub struct TimelineLog<W: Write> {
    out: W,
    first: bool,
    /// Requests by their end, until their places are given out in the order of their beginning.
    spans: Vec<Completion>,
}

impl<W: Write> TimelineLog<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        write!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
        Ok(Self {
            out,
            first: true,
            spans: Vec::new(),
        })
    }

    fn event(&mut self, text: &str) -> io::Result<()> {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        write!(self.out, "{comma}\n{text}")
    }

    /// Writes all spans and ends the file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        let mut spans = std::mem::take(&mut self.spans);
        spans.sort_unstable_by_key(|span| span.index);
        // Until when each place of the queue is taken.
        let mut places: Vec<Ns> = Vec::new();
        for span in spans {
            let free = places.iter().position(|until| *until <= span.request.at);
            let place = free.unwrap_or(places.len());
            match places.get_mut(place) {
                Some(until) => *until = span.due,
                None => {
                    places.push(span.due);
                    self.event(&format!(
                        "{{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":{place},\
                         \"args\":{{\"name\":\"queue place {place}\"}}}}"
                    ))?;
                }
            }
            let micros = |time: Ns| format!("{}.{:03}", time.0 / 1_000, time.0 % 1_000);
            self.event(&format!(
                "{{\"ph\":\"X\",\"name\":\"{}\",\"pid\":1,\"tid\":{place},\"ts\":{},\"dur\":{},\
                 \"args\":{{\"index\":{},\"slba\":{},\"nlb\":{},\"status\":\"{}\"}}}}",
                span.request.op.name(),
                micros(span.request.at),
                micros(span.latency()),
                span.index,
                span.request.slba,
                span.request.nlb,
                span.status,
            ))?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Observer for TimelineLog<W> {
    fn done(&mut self, completion: &Completion) -> io::Result<()> {
        self.spans.push(*completion);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Op, Request};
    use nvme_spec::Status;

    fn completion(index: u64, at: u64, due: u64) -> Completion {
        let request = Request {
            at: Ns(at),
            op: Op::Read,
            slba: 8,
            nlb: 1,
            job: 0,
        };
        Completion {
            index,
            request,
            due: Ns(due),
            status: Status::SUCCESS,
        }
    }

    #[test]
    fn latencies_are_in_the_order_of_arrival() {
        let mut log = LatencyLog::new(Vec::new()).unwrap();
        for (index, due) in [(1, 5), (2, 7), (0, 9), (3, 9)] {
            log.done(&completion(index, 1, due)).unwrap();
        }
        let text = String::from_utf8(log.finish().unwrap()).unwrap();
        assert_eq!(text, "index,latency_ns\n0,8\n1,4\n2,6\n3,8\n");
    }

    #[test]
    fn a_timeline_is_json_and_overlapping_requests_have_tracks_of_their_own() {
        let mut log = TimelineLog::new(Vec::new()).unwrap();
        for (index, at, due) in [(1, 2000, 2500), (0, 1000, 3000), (2, 3000, 3001)] {
            log.done(&completion(index, at, due)).unwrap();
        }
        let value: serde_json::Value =
            serde_json::from_slice(&log.finish().unwrap()).expect("is JSON");
        let events = value["traceEvents"].as_array().unwrap();
        let spans: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
        let tracks: Vec<_> = spans
            .iter()
            .map(|span| span["tid"].as_u64().unwrap())
            .collect();
        assert_eq!(tracks, [0, 1, 0]);
        assert_eq!(spans[0]["dur"], 2.0);
    }
}
