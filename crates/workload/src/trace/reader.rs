//! From a file to requests.

use super::blkparse::Blkparse;
use super::csv::Csv;
use super::detect::detect;
use super::fields::{Blocks, Fault, MAX_LINE};
use super::fio::Iolog;
use super::msr::Msr;
use super::spc::Spc;
use super::{Format, Lines, Options, TraceError};
use crate::request::Request;
use crate::source::{Source, SourceError};
use ersatz_engine::Ns;
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Bytes that are read at once.
const BUFFER: usize = 1 << 18;

/// Bytes from which the format is seen.
const HEAD: u64 = 1 << 16;

/// How a file that is compressed with gzip begins (RFC 1952).
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// A trace that is read as it is needed. It is an iterator of requests, and an open-loop
/// [`Source`]. After an error it is at its end.
pub struct Reader {
    name: String,
    input: Box<dyn BufRead>,
    options: Options,
    format: Option<Format>,
    lines: Box<dyn Lines>,
    line: Vec<u8>,
    number: u64,
    next: Option<Request>,
    ended: bool,
    last: Ns,
    skipped: u64,
    delayed: u64,
    device: Option<String>,
    several_devices: bool,
}

impl Reader {
    /// Opens a file, which may be compressed with gzip.
    ///
    /// # Errors
    /// When it can't be opened, or its format is not known.
    pub fn open(path: &Path, options: Options) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(
                name,
                Box::new(BufReader::with_capacity(BUFFER, file)),
                options,
            ),
            Err(source) => Err(TraceError::Unreadable { file: name, source }),
        }
    }

    /// Reads from anywhere, compressed or not; `name` is what errors call it.
    ///
    /// # Errors
    /// When its beginning can't be read, or its format is not known.
    pub fn new(
        name: String,
        input: Box<dyn BufRead>,
        options: Options,
    ) -> Result<Self, TraceError> {
        let (head, input) = match begin(input) {
            Ok(begun) => begun,
            Err(source) => return Err(TraceError::Unreadable { file: name, source }),
        };
        let format = options.format.or_else(|| detect(&head));
        if format.is_none() && !head.trim_ascii().is_empty() {
            return Err(TraceError::UnknownFormat { file: name });
        }
        let blocks = Blocks::new(options.block);
        let lines: Box<dyn Lines> = match format {
            Some(Format::Csv) | None => Box::new(Csv),
            Some(Format::Msr) => Box::new(Msr::new(blocks)),
            Some(Format::Fio) => Box::new(Iolog::new(blocks)),
            Some(Format::Blkparse) => Box::new(Blkparse::new(blocks, options.action)),
            Some(Format::Spc) => Box::new(Spc(blocks)),
        };
        Ok(Self {
            name,
            input: Box::new(Cursor::new(head).chain(input)),
            options,
            format,
            lines,
            line: Vec::new(),
            number: 0,
            next: None,
            ended: false,
            last: Ns::ZERO,
            skipped: 0,
            delayed: 0,
            device: None,
            several_devices: false,
        })
    }

    /// How it is written; `None` when it is empty.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Bad lines that were skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Requests whose time was before that of the one above them, and was set to that. Our own
    /// format has none: there it is a bad line.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.delayed
    }

    /// Whether the requests so far were meant for more than one device.
    #[must_use]
    pub fn several_devices(&self) -> bool {
        self.several_devices
    }

    /// Reads the next line without its end. `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, TraceError> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.input).take(MAX_LINE as u64 + 1);
        let mut read = limited.read_until(b'\n', &mut self.line);
        if self.line.len() > MAX_LINE && self.line.last() != Some(&b'\n') {
            read = skip_line(&mut self.input).and(read);
        }
        match read {
            Ok(read) => {
                while let Some(b'\n' | b'\r') = self.line.last() {
                    self.line.pop();
                }
                Ok(read > 0)
            }
            Err(source) => Err(TraceError::Unreadable {
                file: self.name.clone(),
                source,
            }),
        }
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
        if self.line.len() > MAX_LINE {
            let message = format!("the line is longer than {MAX_LINE} bytes");
            return Err(Fault::new(MAX_LINE, message));
        }
        let line = core::str::from_utf8(&self.line)
            .map_err(|error| Fault::new(error.valid_up_to(), "this is not UTF-8 text"))?;
        let Some(record) = self.lines.record(line, self.number)? else {
            return Ok(None);
        };
        match (&self.options.device, &self.device) {
            (Some(wanted), _) if wanted != record.device => return Ok(None),
            (None, Some(first)) => self.several_devices |= first != record.device,
            (None, None) => self.device = Some(record.device.to_owned()),
            _ => {}
        }
        if record.at < self.last {
            if self.lines.in_order() {
                let message = format!("time goes back, from {} to {} ns", self.last.0, record.at.0);
                return Err(Fault::new(0, message));
            }
            self.delayed += 1;
        }
        self.last = self.last.max(record.at);
        Ok(Some(Request {
            at: self.last,
            op: record.op,
            slba: record.slba,
            nlb: record.nlb,
            job: 0,
        }))
    }

    fn read_request(&mut self) -> Result<Option<Request>, TraceError> {
        while self.read_line()? {
            match self.request() {
                Ok(None) => {}
                Ok(request) => return Ok(request),
                Err(_) if self.options.skip_bad => self.skipped += 1,
                Err(fault) => return Err(self.error(fault)),
            }
        }
        Ok(None)
    }

    /// Makes sure that the next request is there, if there is one.
    fn advance(&mut self) -> Result<(), TraceError> {
        if self.next.is_none() && !self.ended {
            let read = self.read_request();
            self.ended = !matches!(read, Ok(Some(_)));
            self.next = read?;
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<Request, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(()) => self.next.take().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Source for Reader {
    fn peek(&mut self) -> Result<Option<Ns>, SourceError> {
        self.advance()?;
        Ok(self.next.map(|request| request.at))
    }

    fn take(&mut self) -> Option<Request> {
        self.next.take()
    }

    fn finished(&mut self, _job: u32, _now: Ns) {}
}

/// The first bytes of the text, and what follows them.
fn begin(mut input: Box<dyn BufRead>) -> io::Result<(Vec<u8>, Box<dyn BufRead>)> {
    let mut head = read_head(&mut input, GZIP.len() as u64)?;
    if head == GZIP {
        let zipped = Cursor::new(head).chain(input);
        input = Box::new(BufReader::with_capacity(
            BUFFER,
            MultiGzDecoder::new(zipped),
        ));
        head = Vec::new();
    }
    head.extend(read_head(&mut input, HEAD)?);
    Ok((head, input))
}

fn read_head(input: &mut dyn BufRead, most: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    match input.take(most).read_to_end(&mut head) {
        // What is there is good for something; the error comes again where it belongs.
        Err(error) if head.is_empty() => Err(error),
        _ => Ok(head),
    }
}

/// Drops the rest of a line, whatever its length.
fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let len = buffer.len();
        let end = buffer.iter().position(|&byte| byte == b'\n');
        input.consume(end.map_or(len, |end| end + 1));
        if end.is_some() || len == 0 {
            return Ok(());
        }
    }
}
