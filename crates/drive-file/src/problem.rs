//! What is wrong with a file, where, and what is allowed.

use core::fmt;
use core::ops::Range;

/// As many problems of one file as are told. A file that was not meant to be a drive file has
/// thousands.
pub const MAX_PROBLEMS: usize = 32;

/// Characters of a line that are shown around a problem.
const SHOWN: usize = 120;

/// One thing that is wrong with a drive file. Displayed, it is a line that tools can jump to, and
/// the marked line of the file:
///
/// ```text
/// csd.toml:12:8: namespace[1].size: "2 gib" has an unknown unit; did you mean GiB?; allowed: ...
///    |
/// 12 | size = "2 gib"
///    |        ^^^^^^^
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// Character of the line, from 1.
    pub column: usize,
    /// The setting, from the root of the file: `namespace[1].size`. Empty when the text is not
    /// TOML at all.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What may be written instead; empty when there is nothing to say.
    pub allowed: String,
    excerpt: String,
    indent: usize,
    marked: usize,
}

impl Problem {
    fn new(file: &str, text: &str, at: Range<usize>, [key, message, allowed]: [String; 3]) -> Self {
        let start = floor_char_boundary(text, at.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let before = &text[line_start..start];
        let after = text[start..]
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r');
        let marked = floor_char_boundary(after, at.end.saturating_sub(start).min(after.len()));

        let cut = before.chars().count().saturating_sub(SHOWN / 2);
        let before_shown: String = before.chars().skip(cut).map(printable).collect();
        let indent = before_shown.chars().count();
        let room = SHOWN - indent;
        let after_shown: String = after.chars().take(room).map(printable).collect();
        Self {
            file: file.to_owned(),
            line: 1 + text[..line_start].matches('\n').count(),
            column: 1 + before.chars().count(),
            key,
            message,
            allowed,
            excerpt: before_shown + &after_shown,
            indent,
            marked: after[..marked].chars().count().clamp(1, room),
        }
    }
}

/// The text comes from a file and is shown on a terminal: it must not steer it.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            key,
            message,
            allowed,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(message)?;
        if !allowed.is_empty() {
            write!(f, "; allowed: {allowed}")?;
        }
        let gutter = line.to_string().len();
        writeln!(f, "\n{:gutter$} |", "")?;
        writeln!(f, "{line} | {}", self.excerpt)?;
        write!(
            f,
            "{:gutter$} | {:indent$}{:^<marked$}",
            "",
            "",
            "",
            indent = self.indent,
            marked = self.marked
        )
    }
}

/// A drive file was refused: everything that is wrong with it, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// At least one, at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many more there are.
    pub untold: usize,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        if self.untold > 0 {
            write!(f, "\n\nand {} more", self.untold)?;
        }
        Ok(())
    }
}

/// Collects what is wrong while a file is read.
#[derive(Debug)]
pub(crate) struct Problems<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Problem>,
    untold: usize,
}

impl<'t> Problems<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
            untold: 0,
        }
    }

    /// Notes that the bytes `at` are wrong.
    pub(crate) fn push(&mut self, at: Range<usize>, key: String, message: String, allowed: String) {
        if self.found.len() == MAX_PROBLEMS {
            self.untold += 1;
            return;
        }
        self.found.push(Problem::new(
            self.file,
            self.text,
            at,
            [key, message, allowed],
        ));
    }

    /// `value`, when nothing was found; a reader that has no value has noted why.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Refused> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                self.found
                    .sort_by_key(|problem| (problem.line, problem.column));
                Err(Refused {
                    problems: self.found,
                    untold: self.untold,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str, at: Range<usize>) -> Problem {
        let words = ["serial", "is wrong", "something else"].map(str::to_owned);
        Problem::new("a.toml", text, at, words)
    }

    #[test]
    fn the_place_is_counted_in_characters_and_marked() {
        let text = "[drive]\r\nserial = \"\u{e9}\" # x\r\n";
        let at = text.find('"').unwrap();
        let shown = problem(text, at..at + 4).to_string();
        let expected = "a.toml:2:10: serial: is wrong; allowed: something else\n  |\n\
                        2 | serial = \"\u{e9}\" # x\n  |          ^^^";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_long_line_is_shown_around_the_place_and_steers_no_terminal() {
        let text = format!("{}\u{1b}[2J{}", "a".repeat(100_000), "b".repeat(100_000));
        let shown = problem(&text, 100_000..100_001).to_string();
        assert!(shown.len() < 4 * SHOWN, "{}", shown.len());
        assert!(shown.contains("aa\u{fffd}[2Jbb"));
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn no_place_is_outside_of_the_text() {
        for at in [0..0, 1..99, 99..100, usize::MAX - 1..usize::MAX] {
            for text in ["", "\n", "\u{e9}", "a\nb"] {
                let problem = problem(text, at.clone());
                assert!(problem.to_string().ends_with('^'));
                assert!(problem.line >= 1 && problem.column >= 1);
            }
        }
    }

    #[test]
    fn after_many_problems_they_are_only_counted() {
        let mut problems = Problems::new("a.toml", "x");
        for _ in 0..MAX_PROBLEMS + 3 {
            problems.push(0..1, String::new(), "is wrong".to_owned(), String::new());
        }
        let refused = problems.finish::<()>(None).unwrap_err();
        assert_eq!(refused.problems.len(), MAX_PROBLEMS);
        assert!(refused.to_string().ends_with("and 3 more"));
    }
}
