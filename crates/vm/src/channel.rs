//! The end of a stream that never ends.
//!
//! A port of the guest stays open after the task has ended, so init writes a mark behind the
//! task's output: a line noise that the task can't know, then the exit status in three digits.

/// Passes on what comes before the mark.
pub(crate) struct UntilMark {
    mark: Vec<u8>,
    /// Bytes that may be the beginning of the mark, or the mark and part of the status.
    held: Vec<u8>,
    status: Option<i32>,
}

const DIGITS: usize = 3;

impl UntilMark {
    pub(crate) fn new(mark: &str) -> Self {
        Self {
            mark: mark.as_bytes().to_vec(),
            held: Vec::new(),
            status: None,
        }
    }

    /// The status behind the mark, once it was seen.
    pub(crate) fn status(&self) -> Option<i32> {
        self.status
    }

    /// Takes what was read, and returns what is surely output. After the mark, everything is
    /// ignored: it comes from processes that outlive the task.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.status.is_some() {
            return Vec::new();
        }
        self.held.extend_from_slice(bytes);
        let found = self
            .held
            .windows(self.mark.len())
            .position(|window| window == self.mark);
        let sure = found.unwrap_or_else(|| self.held.len() - self.partial());
        let output: Vec<u8> = self.held.drain(..sure).collect();
        if found.is_some()
            && let Some(digits) = self.held.get(self.mark.len()..self.mark.len() + DIGITS)
        {
            let number = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok());
            // Digits that aren't some can only come from a guest that forges its own end.
            self.status = Some(number.unwrap_or(-1));
        }
        output
    }

    /// How many bytes at the end may begin a mark.
    fn partial(&self) -> usize {
        let longest = self.held.len().min(self.mark.len() - 1);
        (1..=longest)
            .rev()
            .find(|&length| self.held.ends_with(&self.mark[..length]))
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "aab-mark-";

    #[test]
    fn output_is_exact_however_it_is_cut() {
        let stream = [
            b"\x00a aab-mar aaa\xff".as_slice(),
            MARK.as_bytes(),
            b"042junk",
        ]
        .concat();
        for cut in 1..stream.len() {
            let mut channel = UntilMark::new(MARK);
            let mut output = Vec::new();
            for piece in stream.chunks(cut) {
                output.extend(channel.push(piece));
            }
            assert_eq!(output, b"\x00a aab-mar aaa\xff", "in pieces of {cut}");
            assert_eq!(channel.status(), Some(42), "in pieces of {cut}");
        }
    }

    #[test]
    fn output_is_not_held_back_for_longer_than_it_looks_like_a_mark() {
        let mut channel = UntilMark::new(MARK);
        assert_eq!(channel.push(b"progress: 7 %"), b"progress: 7 %");
        assert_eq!(channel.push(b"xa"), b"x");
        assert_eq!(channel.push(b"b"), b"ab");
        assert_eq!(channel.status(), None);
    }

    #[test]
    fn a_status_that_is_no_number_is_not_taken_for_success() {
        let mut channel = UntilMark::new(MARK);
        channel.push(b"aab-mark-0x0");
        assert_eq!(channel.status(), Some(-1));
    }
}
