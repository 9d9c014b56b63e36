//! A job as a built-in program sees it.
//!
//! Memory is read into a buffer and used from there, and written from a buffer: the host may change
//! it at any time.

use crate::options::Options;
use crate::table::Builtin;
use ersatz_memory::OutOfBounds;
use ersatz_runtime::{Args, Fault, Segment, Window};
use std::cell::Cell;
use std::io;
use std::sync::Arc;

/// Bytes that are looked at at once: they fit into a core's first cache.
pub(crate) const CHUNK: usize = 16 << 10;

/// Most bytes of options.
const MOST_OPTIONS: u64 = 64 << 10;

/// A run that failed because of `reason`.
pub(crate) fn failed(reason: impl Into<String>) -> Fault {
    Fault::Failed {
        reason: reason.into(),
    }
}

fn outside(error: OutOfBounds) -> Fault {
    failed(error.to_string())
}

/// The ranges that are not there for the options, and the options.
fn options_of<'a>(
    ranges: &'a [Segment],
    args: &Args<'_>,
) -> Result<(&'a [Segment], Vec<u8>), Fault> {
    let in_data = args.data.len() as u64;
    let len = if in_data > 0 {
        in_data
    } else {
        args.parameters[1]
    };
    if len > MOST_OPTIONS {
        return Err(failed(format!(
            "{len} bytes of options: {MOST_OPTIONS} are the most"
        )));
    }
    if in_data > 0 {
        return Ok((ranges, args.data.to_vec()));
    }
    let Some((last, others)) = ranges.split_last() else {
        return Err(failed(
            "no options: they are in neither a data buffer nor a range",
        ));
    };
    if len > last.len {
        return Err(failed(format!(
            "CPARAM2 says {len} bytes of options, and the last range has {}",
            last.len
        )));
    }
    let mut options = vec![0; len as usize];
    let read = last.memory.read(last.offset, &mut options);
    read.map_err(outside)?;
    Ok((others, options))
}

/// What a program is to do, and how much it has done.
pub(crate) struct Job<'a> {
    ranges: &'a [Segment],
    options: Vec<u8>,
    parameters: [u64; 2],
    bytes: Cell<u64>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        program: &Builtin,
        memory: &'a Window,
        args: &Args<'_>,
    ) -> Result<Self, Fault> {
        let (ranges, options) = if program.options.is_some() {
            options_of(memory.segments(), args)?
        } else {
            (memory.segments(), Vec::new())
        };
        if ranges.len() < program.required {
            let missing = program.ranges[ranges.len()];
            return Err(failed(format!(
                "range {} is missing: {missing}",
                ranges.len()
            )));
        }
        if ranges.len() > program.ranges.len() {
            return Err(failed(format!(
                "{} ranges, and the program takes {}",
                ranges.len(),
                program.ranges.len()
            )));
        }
        Ok(Self {
            ranges,
            options,
            parameters: args.parameters,
            bytes: Cell::new(0),
        })
    }

    /// CPARAM2, for programs without options.
    pub(crate) fn parameter(&self) -> u64 {
        self.parameters[1]
    }

    /// The options, from their first byte on.
    pub(crate) fn options(&self) -> Options<'_> {
        Options::new(&self.options)
    }

    /// How many ranges there are, without the one of the options.
    pub(crate) fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Bytes that the rate applies to, up to now.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Counts `bytes` instead of what was read up to now.
    pub(crate) fn charge(&self, bytes: u64) {
        self.bytes.set(bytes);
    }

    /// Range 0, as many bytes of it as CPARAM1 says.
    pub(crate) fn input(&self) -> Result<Input<'_>, Fault> {
        let len = self.parameters[0];
        let segment = &self.ranges[0];
        if len > segment.len {
            return Err(failed(format!(
                "CPARAM1 says {len} bytes, and range 0 has {}",
                segment.len
            )));
        }
        Ok(Input {
            segment,
            len,
            bytes: &self.bytes,
        })
    }

    /// As [`input`](Self::input), for elements of `unit` bytes, none of which may be cut.
    pub(crate) fn input_of(&self, unit: usize, what: &str) -> Result<Input<'_>, Fault> {
        let input = self.input()?;
        if !input.len.is_multiple_of(unit as u64) {
            return Err(failed(format!(
                "CPARAM1 says {} bytes, which are not whole {what} of {unit} bytes",
                input.len
            )));
        }
        Ok(input)
    }

    /// Range `index`, to be written from its beginning on. It may not overlap a range that is read.
    pub(crate) fn output(&self, index: usize) -> Result<Output<'_>, Fault> {
        let output = self.output_anywhere(index);
        let others = self.ranges.iter().enumerate();
        for (other, range) in others.filter(|(other, _)| *other != index) {
            if overlap(range, output.segment) {
                return Err(failed(format!("ranges {other} and {index} overlap")));
            }
        }
        Ok(output)
    }

    /// As [`output`](Self::output), over the input or not.
    pub(crate) fn output_anywhere(&self, index: usize) -> Output<'_> {
        Output {
            segment: &self.ranges[index],
            index,
            written: 0,
            full: false,
        }
    }

    /// The range of results that a job may leave out.
    pub(crate) fn optional_output(&self, index: usize) -> Result<Option<Output<'_>>, Fault> {
        let given = index < self.ranges.len();
        given.then(|| self.output(index)).transpose()
    }
}

fn overlap(a: &Segment, b: &Segment) -> bool {
    let end = |range: &Segment| range.offset.saturating_add(range.len);
    Arc::ptr_eq(&a.memory, &b.memory) && a.offset < end(b) && b.offset < end(a)
}

/// Bytes to be read.
pub(crate) struct Input<'a> {
    segment: &'a Segment,
    len: u64,
    bytes: &'a Cell<u64>,
}

impl<'a> Input<'a> {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Copies the bytes from `at` on; they must be there.
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Fault> {
        let from = self.segment.offset.saturating_add(at);
        self.segment.memory.read(from, buf).map_err(outside)?;
        self.bytes.set(self.bytes.get() + buf.len() as u64);
        Ok(())
    }

    /// Calls `each` with one part after the other, all of them whole numbers of `unit` bytes except
    /// maybe the last. A part is a copy that `each` may overwrite.
    pub(crate) fn chunks(
        &self,
        unit: usize,
        mut each: impl FnMut(&mut [u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let most = (CHUNK / unit).max(1) * unit;
        let mut buffer = vec![0; most.min(usize::try_from(self.len).unwrap_or(most))];
        let mut at = 0;
        while at < self.len {
            let part = (self.len - at).min(most as u64);
            let part = &mut buffer[..part as usize];
            self.read(at, part)?;
            at += part.len() as u64;
            each(part)?;
        }
        Ok(())
    }

    /// The bytes as a stream.
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader {
            input: self,
            at: 0,
            starved: false,
        }
    }
}

/// Reads an [`Input`] from front to back. Wants to be asked for many bytes at once.
pub(crate) struct Reader<'a> {
    input: Input<'a>,
    at: u64,
    starved: bool,
}

impl Reader<'_> {
    /// Bytes that were not read yet.
    pub(crate) fn left(&self) -> u64 {
        self.input.len - self.at
    }

    /// Copies what comes next, as much as there is and as `buf` has room for; returns how much.
    pub(crate) fn next(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        let len = self.left().min(buf.len() as u64) as usize;
        self.input.read(self.at, &mut buf[..len])?;
        self.at += len as u64;
        Ok(len)
    }

    /// Whether more bytes were asked for when there were none.
    pub(crate) fn starved(&self) -> bool {
        self.starved
    }
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.starved |= self.left() == 0 && !buf.is_empty();
        self.next(buf).map_err(io::Error::other)
    }
}

/// A range to be written.
pub(crate) struct Output<'a> {
    segment: &'a Segment,
    index: usize,
    written: u64,
    full: bool,
}

impl Output<'_> {
    /// Adds `bytes`, or none of them if there is no room for all.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() as u64 > self.segment.len - self.written {
            self.full = true;
            return Err(self.too_small());
        }
        let at = self.segment.offset.saturating_add(self.written);
        self.segment.memory.write(at, bytes).map_err(outside)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether something did not fit.
    pub(crate) fn full(&self) -> bool {
        self.full
    }

    /// What to say if something did not fit.
    pub(crate) fn too_small(&self) -> Fault {
        failed(format!(
            "the result does not fit into range {}, which has {} bytes",
            self.index, self.segment.len
        ))
    }

    /// Starts again at the range's first byte.
    pub(crate) fn rewind(&mut self) {
        self.written = 0;
    }
}

impl io::Write for Output<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.put(buf).map_err(io::Error::other)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
