//! Finds the lines that a regular expression matches.

use crate::job::{CHUNK, Job, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use regex::bytes::{Regex, RegexBuilder};

pub(crate) const REGEX: Builtin = Builtin {
    name: "regex",
    id: id(9),
    summary: "finds the lines that a regular expression matches, in time linear in their bytes",
    ranges: &[
        "the lines, of up to 1 MiB each",
        "gets a u64, the bytes that follow it, then the lines that match",
    ],
    required: 1,
    parameters: ["bytes in range 0", "bytes of options"],
    options: Some(
        "the expression, 1 to 4096 bytes of UTF-8, in the syntax of Rust's `regex`; it sees one \
         line at a time, without its end",
    ),
    result: "lines that match",
    rate: rate(5, 4),
    run,
};

/// Longest expression.
const LONGEST: usize = 4096;
/// Longest line.
const LINE: usize = 1 << 20;
/// Most memory for the compiled expression, and for what is made of it while it runs.
const MEMORY: usize = 4 << 20;

fn compile(bytes: &[u8]) -> Result<Regex, Fault> {
    if !(1..=LONGEST).contains(&bytes.len()) {
        return Err(failed(format!(
            "an expression of {} bytes: 1 to {LONGEST} are possible",
            bytes.len()
        )));
    }
    let text = str::from_utf8(bytes).map_err(|error| failed(format!("the expression: {error}")))?;
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(MEMORY).dfa_size_limit(MEMORY);
    let regex = builder.build();
    regex.map_err(|error| failed(format!("the expression: {error}")))
}

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let regex = compile(job.options().rest())?;
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
            if regex.is_match(line.strip_suffix(b"\n").unwrap_or(line)) {
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
            "^$",
        ] {
            let regex = Regex::new(expression).expect("an expression");
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
        assert!(run(br"(\w{1000}){1000}").contains("size limit"));
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
