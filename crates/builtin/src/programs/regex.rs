//! Finds the lines that a regular expression matches.
//!
//! The expression becomes an automaton before the first line is looked at, as in hardware: then each
//! byte of input takes one step, whatever the expression is. One that would need too many states is
//! refused.

use crate::job::{CHUNK, Job, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use regex_automata::dfa::Automaton;
use regex_automata::dfa::dense::{self, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use std::error::Error;

pub(crate) const REGEX: Builtin = Builtin {
    name: "regex",
    id: id(9),
    summary: "finds the lines that a regular expression matches",
    ranges: &[
        "the lines, of up to 1 MiB each",
        "gets a u64, the bytes that follow it, then the lines that match",
    ],
    required: 1,
    parameters: ["bytes in range 0", "bytes of options"],
    options: Some(
        "the expression, 1 to 4096 bytes of UTF-8, in the syntax of Rust's `regex`; it sees one \
         line at a time, without its end, as bytes: what a letter, a digit, a word and upper case \
         are is as in ASCII, unless `(?u)` says otherwise; it has to fit into an automaton of 4 MiB",
    ),
    result: "lines that match",
    cost: rate(5, 4),
    run,
};

/// Longest expression.
const LONGEST: usize = 4096;
/// Longest line.
const LINE: usize = 1 << 20;
/// Most memory for the automaton, and for anything that it is made by way of.
const MEMORY: usize = 4 << 20;

type Dfa = DFA<Vec<u32>>;

fn compile(bytes: &[u8]) -> Result<Dfa, Fault> {
    if !(1..=LONGEST).contains(&bytes.len()) {
        return Err(failed(format!(
            "an expression of {} bytes: 1 to {LONGEST} are possible",
            bytes.len()
        )));
    }
    let text = str::from_utf8(bytes).map_err(|error| failed(format!("the expression: {error}")))?;
    let nfa = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(MEMORY))
        .which_captures(WhichCaptures::None);
    let dfa = dense::Config::new()
        .match_kind(MatchKind::All)
        .accelerate(true)
        .dfa_size_limit(Some(MEMORY))
        .determinize_size_limit(Some(MEMORY));
    dense::Builder::new()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(nfa)
        .configure(dfa)
        .build(text)
        .map_err(|error| failed(format!("the expression: {}", cause(&error))))
}

/// The words of what went wrong at first.
fn cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

fn matches(dfa: &Dfa, line: &[u8]) -> Result<bool, Fault> {
    let found = dfa.try_search_fwd(&Input::new(line).earliest(true));
    Ok(found.map_err(|error| failed(error.to_string()))?.is_some())
}

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let dfa = compile(job.options().rest())?;
    let mut output = job.optional_output(1)?;
    if let Some(output) = &mut output {
        output.put(&[0; 8])?;
    }
    let mut input = job.input()?.reader();
    // The lines that were read, the last of them not to its end.
    let mut buffer = Vec::new();
    let mut matching = 0;
    while input.left() > 0 {
        let begun = buffer.len();
        buffer.resize(begun + CHUNK, 0);
        let len = begun + input.next(&mut buffer[begun..])?;
        buffer.truncate(len);
        let whole = match memchr::memrchr(b'\n', &buffer[begun..]) {
            _ if input.left() == 0 => len,
            Some(end) => begun + end + 1,
            None if len > LINE => {
                return Err(failed(format!("a line of more than {LINE} bytes")));
            }
            None => continue,
        };
        for line in buffer[..whole].split_inclusive(|byte| *byte == b'\n') {
            if matches(&dfa, line.strip_suffix(b"\n").unwrap_or(line))? {
                matching += 1;
                if let Some(output) = &mut output {
                    output.put(line)?;
                }
            }
        }
        buffer.drain(..whole);
    }
    if let Some(mut output) = output {
        let len = output.written() - 8;
        output.rewind();
        output.put(&len.to_le_bytes())?;
    }
    Ok(matching)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, log, reason};
    use regex::bytes::RegexBuilder;

    fn matching(text: &[u8], expression: &str) -> (u64, Vec<u8>) {
        let device = Device::new().with(text).with(&vec![0; text.len() + 8]);
        let parameters = [text.len() as u64, 0];
        let lines = device.result_with(&REGEX, parameters, expression.as_bytes());
        let len = device.words(1)[0] as usize;
        (lines, device.bytes(1)[8..8 + len].to_vec())
    }

    #[test]
    fn lines_are_found_as_the_library_finds_them_in_each() {
        let text = log(100_000);
        for expression in [
            "ERROR",
            r"^2026-\d\d-22T",
            r"host-(1|2)5? nginx\[\d*7\]",
            "(?i)error|warn .*out$",
            "no such line",
            r"\btimed\b|\B2\d+$",
            "[^0-9]{12,}",
            "^$",
        ] {
            let regex = RegexBuilder::new(expression).unicode(false).build();
            let regex = regex.expect("an expression");
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            let expected: Vec<_> = lines
                .filter(|line| regex.is_match(line.trim_ascii_end()))
                .collect();
            let found = (expected.len() as u64, expected.concat());
            assert_eq!(matching(&text, expression), found, "{expression}");
        }
    }

    #[test]
    fn the_last_line_needs_no_end_and_bytes_need_not_be_text() {
        assert_eq!(matching(b"a\nb\na", "a"), (2, b"a\na".to_vec()));
        assert_eq!(
            matching(b"\xff\xfe\n\n", r"(?-u)\xfe$"),
            (1, b"\xff\xfe\n".to_vec())
        );
        assert_eq!(matching(b"\n\n", "^$"), (2, b"\n\n".to_vec()));
        assert_eq!(matching(b"", "^$"), (0, Vec::new()));
        assert_eq!(matching(b"a\nb\n", r"a\nb"), (0, Vec::new()));
    }

    #[test]
    fn lines_may_be_longer_than_a_chunk_but_not_endless() {
        let mut text = vec![b'x'; 3 * CHUNK];
        text.extend(b"end\nshort\n");
        assert_eq!(matching(&text, "end").0, 1);
        assert_eq!(matching(&text, "^short").0, 1);
        let endless = vec![b'x'; LINE + 2 * CHUNK];
        let device = Device::new().with(&endless);
        let told = reason(&device.run(&REGEX, [endless.len() as u64, 0], b"x"));
        assert_eq!(told, "a line of more than 1048576 bytes");
    }

    #[test]
    fn an_expression_can_take_neither_time_nor_memory_without_end() {
        let text = vec![b'a'; 20_000];
        assert_eq!(matching(&text, "(a*)*(a*)*(a*)*b").0, 0);
        let device = Device::new().with(&text);
        let run = |expression: &[u8]| reason(&device.run(&REGEX, [20_000, 0], expression));
        assert!(run(br"(\w{1000}){1000}").contains("exceeded"));
        assert!(run(b"[ab]*a[ab]{200}").contains("exceeded"));
        assert!(run(&[b'('; 4000]).contains("the expression: "));
        assert!(run(&[b'a'; 4097]).contains("an expression of 4097 bytes"));
        assert!(run(b"\xff").contains("utf-8"));
        assert!(run(b"a[").contains("the expression: "));
    }

    #[test]
    fn a_result_that_does_not_fit_is_told() {
        for room in [0, 7, 11] {
            let device = Device::new().with(b"abc\nabc\n").with(&vec![0; room]);
            let told = reason(&device.run(&REGEX, [8, 0], b"b"));
            assert!(told.contains("does not fit into range 1"), "{told}");
        }
    }
}
