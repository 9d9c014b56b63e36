//! Counting on the host: everything crosses the link.

use super::{Counted, Host, Progress, TOKEN};
use anyhow::Result;
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use std::time::{Duration, Instant};

/// Reads the log at queue depth and counts as it comes.
#[allow(clippy::disallowed_methods)] // Real time is what is asked for.
pub fn count(host: &mut Host, size: u64, progress: &Progress) -> Result<Counted> {
    let bar = progress.bytes("Reading everything to the host", size);
    let (mut counter, mut processor) = (LineCounter::new(TOKEN), Duration::ZERO);
    host.stream.read(&host.nvm, size, |piece| {
        let start = Instant::now();
        counter.feed(piece);
        processor += start.elapsed();
        bar.inc(piece.len() as u64);
    })?;
    bar.finish_and_clear();
    Ok(Counted {
        lines: counter.finish(),
        copied: Duration::ZERO,
        processor,
    })
}

/// Counts the lines of a text that contain a token, with the processor's vector instructions.
pub struct LineCounter<'t> {
    token: Finder<'t>,
    lines: u64,
    /// The beginning of a line whose end has not come yet.
    carry: Vec<u8>,
}

impl<'t> LineCounter<'t> {
    /// No lines so far.
    pub fn new(token: &'t [u8]) -> Self {
        Self {
            token: Finder::new(token),
            lines: 0,
            carry: Vec::new(),
        }
    }

    /// Counts the next bytes of the text, which may end anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let Some(end) = memrchr(b'\n', bytes).map(|at| at + 1) else {
            return self.carry.extend_from_slice(bytes);
        };
        let (mut whole, rest) = bytes.split_at(end);
        if !self.carry.is_empty() {
            let end = memchr(b'\n', whole).map_or(whole.len(), |at| at + 1);
            self.carry.extend_from_slice(&whole[..end]);
            self.lines += u64::from(self.token.find(&self.carry).is_some());
            self.carry.clear();
            whole = &whole[end..];
        }
        while let Some(found) = self.token.find(whole) {
            self.lines += 1;
            let end = memchr(b'\n', &whole[found..]).map_or(whole.len(), |at| found + at + 1);
            whole = &whole[end..];
        }
        self.carry.extend_from_slice(rest);
    }

    /// All lines, the last of which need not have an end.
    pub fn finish(self) -> u64 {
        self.lines + u64::from(self.token.find(&self.carry).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_once_wherever_the_text_is_cut() {
        let text = "a\nERROR ERROR\n\nbERROR\nERR\nOR ERR\nxERRORx\nlast ERROR";
        let expected = text.lines().filter(|line| line.contains("ERROR")).count() as u64;
        for piece in 1..text.len() {
            let mut counter = LineCounter::new(b"ERROR");
            text.as_bytes()
                .chunks(piece)
                .for_each(|chunk| counter.feed(chunk));
            assert_eq!(counter.finish(), expected, "pieces of {piece}");
        }
    }
}
