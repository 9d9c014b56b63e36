//! Traces: requests with their times, from a file.
//!
//! A format (`Format`, a private trait) makes a request of a line, or says what is wrong with it and where.
//! Everything else is here: compressed files, lines of any length, times that go back, bad lines
//! that are skipped if the user says so.

mod blkparse;
mod csv;
mod fields;
mod fio;
mod geometry;
mod msr;
mod spc;

pub use fields::Fault;

use crate::load::{Load, LoadError, Request};
use blkparse::Blkparse;
use csv::Csv;
use ersatz_engine::Ns;
use fio::Fio;
use flate2::read::MultiGzDecoder;
use geometry::{Geometry, seconds};
use msr::Msr;
use spc::Spc;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Longest line in bytes.
const MAX_LINE: usize = 1 << 16;

/// A trace can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file can't be read.
    #[error("{file}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A line is no request.
    #[error("{file}:{line}:{column}: {message}")]
    Line {
        /// The file.
        file: String,
        /// Line of the file, from 1.
        line: u64,
        /// Character of the line, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Lines of `time_ns,op,slba,nlb`, with `R`, `W` or `T` for reads, writes and deallocations.
    #[default]
    Csv,
    /// MSR Cambridge block traces.
    Msr,
    /// fio's iolog, version 2 or 3.
    Fio,
    /// The text that blkparse prints of a blktrace.
    Blkparse,
    /// Storage Performance Council traces.
    Spc,
}

impl Kind {
    fn format(self, block: u32) -> Box<dyn Format> {
        let geometry = Geometry { block };
        match self {
            Self::Csv => Box::new(Csv),
            Self::Msr => Box::new(Msr::new(geometry)),
            Self::Fio => Box::new(Fio::new(geometry)),
            Self::Blkparse => Box::new(Blkparse::new(geometry)),
            Self::Spc => Box::new(Spc::new(geometry)),
        }
    }
}

/// Makes requests of lines.
pub(crate) trait Format {
    /// The request of a line; `None` when the line has none (a comment, a heading).
    fn request(&mut self, line: &str, number: u64) -> Result<Option<Request>, Fault>;
}

/// A trace that is read as it is needed.
pub struct Trace {
    name: String,
    input: Box<dyn BufRead>,
    format: Box<dyn Format>,
    line: Vec<u8>,
    number: u64,
    next: Option<Request>,
    ended: bool,
    last: Ns,
    skip_bad: bool,
    skipped: u64,
    taken: u64,
}

impl Trace {
    /// Opens a file, which may be compressed with gzip. `block` is the size of a logical block, for
    /// formats that count bytes or sectors.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path, kind: Kind, block: u32) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        let unreadable = |source| TraceError::Unreadable {
            file: path.display().to_string(),
            source,
        };
        let mut file = BufReader::with_capacity(1 << 18, File::open(path).map_err(unreadable)?);
        let zipped = file
            .fill_buf()
            .map_err(unreadable)?
            .starts_with(&[0x1F, 0x8B]);
        let input: Box<dyn BufRead> = if zipped {
            Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self::new(name, input, kind, block))
    }

    /// Reads from anywhere; `name` is what errors call it.
    #[must_use]
    pub fn new(name: String, input: Box<dyn BufRead>, kind: Kind, block: u32) -> Self {
        Self {
            name,
            input,
            format: kind.format(block),
            line: Vec::new(),
            number: 0,
            next: None,
            ended: false,
            last: Ns::ZERO,
            skip_bad: false,
            skipped: 0,
            taken: 0,
        }
    }

    /// Skips bad lines, and counts them.
    #[must_use]
    pub fn skip_bad(mut self, skip: bool) -> Self {
        self.skip_bad = skip;
        self
    }

    /// Bad lines that were skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Requests that were taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Reads the next line without its end. `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.input).take(MAX_LINE as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        let read = read.map_err(|source| TraceError::Unreadable {
            file: self.name.clone(),
            source,
        })?;
        if self.line.len() > MAX_LINE {
            let message = format!("the line is longer than {MAX_LINE} bytes");
            // What follows is not at the start of a line any more: this can't be skipped.
            return Err(self.error(Fault::new(MAX_LINE, message)));
        }
        while matches!(self.line.last(), Some(b'\n' | b'\r')) {
            self.line.pop();
        }
        Ok(read > 0)
    }

    fn error(&self, fault: Fault) -> TraceError {
        // The place is known in bytes, people count characters.
        let before = &self.line[..fault.at.min(self.line.len())];
        TraceError::Line {
            file: self.name.clone(),
            line: self.number,
            column: 1 + String::from_utf8_lossy(before).chars().count(),
            message: fault.message,
        }
    }

    fn request(&mut self) -> Result<Option<Request>, Fault> {
        let line = std::str::from_utf8(&self.line)
            .map_err(|error| Fault::new(error.valid_up_to(), "this is not UTF-8 text"))?;
        let Some(request) = self.format.request(line, self.number)? else {
            return Ok(None);
        };
        if request.at < self.last {
            let message = format!(
                "time goes back, from {} to {} ns",
                self.last.0, request.at.0
            );
            return Err(Fault::new(0, message));
        }
        self.last = request.at;
        Ok(Some(request))
    }
}

impl Load for Trace {
    fn peek(&mut self) -> Result<Option<Ns>, LoadError> {
        while self.next.is_none() && !self.ended {
            if !self.read_line()? {
                self.ended = true;
                break;
            }
            match self.request() {
                Ok(request) => self.next = request,
                Err(_) if self.skip_bad => self.skipped += 1,
                Err(fault) => return Err(self.error(fault).into()),
            }
        }
        Ok(self.next.map(|request| request.at))
    }

    fn take(&mut self) -> Option<Request> {
        let request = self.next.take();
        self.taken += u64::from(request.is_some());
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_report::Op;
    use std::io::Cursor;

    /// All requests of a trace of another kind, on blocks of 4 KiB.
    fn other(kind: Kind, text: &str) -> Result<Vec<(u64, Op, u64, u32)>, String> {
        let input = Box::new(Cursor::new(text.to_owned()));
        let mut trace = Trace::new("t".into(), input, kind, 4096);
        let requests = all(&mut trace).map_err(|error| error.to_string())?;
        let shown = |it: &Request| (it.at.0, it.op, it.slba, it.nlb);
        Ok(requests.iter().map(shown).collect())
    }

    #[test]
    fn msr_counts_bytes_and_ticks() {
        let text = "128166372003061629,usr,0,Write,8192,4096,41286\n\
                    128166372003061630,usr,0,Read,4095,2,55\n";
        let expected = vec![(0, Op::Write, 2, 1), (100, Op::Read, 0, 2)];
        assert_eq!(other(Kind::Msr, text), Ok(expected));
        let refused = other(Kind::Msr, "1,usr,0,Trim,0,1,0").unwrap_err();
        assert_eq!(
            refused,
            "t:1:9: \"Trim\" is no type; allowed: Read or Write"
        );
    }

    #[test]
    fn spc_counts_sectors_and_seconds() {
        let text = "0,16,4096,R,0.000001\n1,0,8192,w,1.5\n";
        let expected = vec![(1_000, Op::Read, 2, 1), (1_500_000_000, Op::Write, 0, 2)];
        assert_eq!(other(Kind::Spc, text), Ok(expected));
        let refused = other(Kind::Spc, "0,16,4096,R,1e3").unwrap_err();
        assert_eq!(refused, "t:1:13: \"1e3\" is no time in seconds");
    }

    #[test]
    fn blkparse_gives_what_was_issued() {
        let text = "  8,0    3        1     0.000000000   697  Q   W 223490 + 8 [kjournald]\n  \
                    8,0    3        2     0.000001500   697  D   WS 16 + 8 [kjournald]\n  \
                    8,0    3        3     0.000002000   697  D   D 8 + 24 [x]\n  \
                    8,0    3        4     0.000002000   697  D  FN [x]\n  \
                    8,0    3        5     0.100000000     0  C   W 16 + 8 [0]\n\
                    CPU0 (8,0):\n Reads Queued: 0\n";
        let expected = vec![
            (1_500, Op::Write, 2, 1),
            (2_000, Op::Trim, 1, 3),
            (2_000, Op::Flush, 0, 0),
        ];
        assert_eq!(other(Kind::Blkparse, text), Ok(expected));
        let refused = other(Kind::Blkparse, "hello 1 2 3").unwrap_err();
        assert!(refused.contains("is no device number"), "{refused}");
    }

    #[test]
    fn fio_logs_have_times_of_their_version() {
        let two = "fio version 2 iolog\n/dev/a add\n/dev/a open\n/dev/a read 0 4096\n\
                   /dev/a wait 250 0\n/dev/a write 4096 8192\n/dev/a close\n";
        let expected = vec![(0, Op::Read, 0, 1), (250_000, Op::Write, 1, 2)];
        assert_eq!(other(Kind::Fio, two), Ok(expected));
        let three = "fio version 3 iolog\n0 /dev/a add\n2 /dev/a trim 0 4096\n3 /dev/a sync\n";
        let expected = vec![(2_000_000, Op::Trim, 0, 1), (3_000_000, Op::Flush, 0, 0)];
        assert_eq!(other(Kind::Fio, three), Ok(expected));
        let refused = other(Kind::Fio, "0 /dev/a read 0 1").unwrap_err();
        assert!(refused.starts_with("t:1:1: the first line is"), "{refused}");
    }

    fn trace(text: &str) -> Trace {
        Trace::new(
            "t.csv".into(),
            Box::new(Cursor::new(text.to_owned())),
            Kind::Csv,
            512,
        )
    }

    fn all(trace: &mut Trace) -> Result<Vec<Request>, LoadError> {
        let mut requests = Vec::new();
        while trace.peek()?.is_some() {
            requests.extend(trace.take());
        }
        Ok(requests)
    }

    #[test]
    fn lines_become_requests() {
        let text = "time_ns,op,slba,nlb\r\n1,W,0,256\n\n# a comment\n1,R,8,1\n9,T,0,70000\n9,F,0,0";
        let requests = all(&mut trace(text)).unwrap();
        let shown: Vec<_> = requests
            .iter()
            .map(|it| (it.at.0, it.op, it.slba, it.nlb))
            .collect();
        let expected = [
            (1, Op::Write, 0, 256),
            (1, Op::Read, 8, 1),
            (9, Op::Trim, 0, 70_000),
            (9, Op::Flush, 0, 0),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_bad_line_is_told_with_its_place() {
        for (text, message) in [
            (
                "1,W,0,256\n2,X,0,1",
                "t.csv:2:3: \"X\" is no operation; allowed: R, W, T or F",
            ),
            ("1,W,0", "t.csv:1:6: nlb is missing"),
            (
                "1,W,0,1,2",
                "t.csv:1:9: there is more than time_ns, op, slba and nlb",
            ),
            ("1,W,-1,1", "t.csv:1:5: slba: \"-1\" is no whole number"),
            (
                "1,W,0,65537",
                "t.csv:1:7: nlb: 65537 blocks are more than a command can have (65536)",
            ),
            (
                "1,R,0,0",
                "t.csv:1:7: nlb: a request has at least one block",
            ),
            (
                "5,R,0,1\n4,R,0,1",
                "t.csv:2:1: time goes back, from 5 to 4 ns",
            ),
            (
                "1,R,0,18446744073709551616",
                "t.csv:1:7: nlb: \"18446744073709551616\" is too large",
            ),
            (
                "time,op\n",
                "t.csv:1:1: time_ns: \"time\" is no whole number",
            ),
        ] {
            assert_eq!(all(&mut trace(text)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn bad_lines_are_skipped_and_counted_if_asked_for() {
        let mut trace = trace("1,W,0,1\nnonsense\n3,R,0,0\n3,R,0,1\n2,R,0,1").skip_bad(true);
        assert_eq!(all(&mut trace).unwrap().len(), 2);
        assert_eq!((trace.skipped(), trace.taken()), (3, 2));
    }

    #[test]
    fn what_is_no_text_and_endless_lines_are_refused() {
        let bytes = Trace::new(
            "t".into(),
            Box::new(Cursor::new(b"1,W\xFF,0,1")),
            Kind::Csv,
            512,
        );
        let error = all(&mut { bytes }).unwrap_err().to_string();
        assert_eq!(error, "t:1:4: this is not UTF-8 text");
        let long = "1".repeat(MAX_LINE + 1);
        let error = all(&mut trace(&long).skip_bad(true))
            .unwrap_err()
            .to_string();
        assert!(error.contains("longer than 65536 bytes"), "{error}");
    }

    #[test]
    fn a_compressed_trace_is_read_and_a_broken_one_is_refused() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.gz");
        let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
        zip.write_all(b"1,W,0,1\n2,R,0,1\n").unwrap();
        let zipped = zip.finish().unwrap();
        std::fs::write(&path, &zipped).unwrap();
        let mut trace = Trace::open(&path, Kind::Csv, 512).unwrap();
        assert_eq!(all(&mut trace).unwrap().len(), 2);
        std::fs::write(&path, &zipped[..zipped.len() - 6]).unwrap();
        let mut trace = Trace::open(&path, Kind::Csv, 512).unwrap();
        assert!(all(&mut trace).is_err());
    }
}
