//! Looks for bytes among bytes.

use crate::job::{CHUNK, Job, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use memchr::memmem::Finder;

pub(crate) const FIND: Builtin = Builtin {
    name: "find",
    id: id(8),
    summary: "finds each place where a string is, from the front, none over another",
    ranges: &["the bytes", "gets the places, as u64 offsets into range 0"],
    required: 1,
    parameters: ["bytes in range 0", "bytes of options"],
    options: Some("the string, 1 to 4096 bytes"),
    result: "places found",
    cost: rate(2, 8),
    run,
};

/// Longest string.
const LONGEST: usize = 4096;

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let string = job.options().rest();
    if !(1..=LONGEST).contains(&string.len()) {
        return Err(failed(format!(
            "a string of {} bytes: 1 to {LONGEST} are possible",
            string.len()
        )));
    }
    let mut output = job.optional_output(1)?;
    let finder = Finder::new(string);
    let mut input = job.input()?.reader();
    // What was read and may be a part of a match yet, then what was read last.
    let mut buffer = vec![0; LONGEST + CHUNK];
    let mut kept = 0;
    let mut offset = 0;
    let mut found = 0;
    while input.left() > 0 {
        let len = kept + input.next(&mut buffer[kept..][..CHUNK])?;
        let mut done = 0;
        while let Some(at) = finder.find(&buffer[done..len]) {
            if let Some(output) = &mut output {
                output.put(&(offset + (done + at) as u64).to_le_bytes())?;
            }
            found += 1;
            done += at + string.len();
        }
        done = done.max((len + 1).saturating_sub(string.len()));
        buffer.copy_within(done..len, 0);
        kept = len - done;
        offset += done as u64;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, log, reason};
    use proptest::prelude::*;

    fn places(text: &[u8], string: &[u8]) -> Vec<u64> {
        let device = Device::new().with(text).with(&vec![0; text.len() * 8]);
        let found = device.result_with(&FIND, [text.len() as u64, 0], string);
        device.words(1)[..found as usize].to_vec()
    }

    fn naive(text: &[u8], string: &[u8]) -> Vec<u64> {
        let mut places = Vec::new();
        let mut at = 0;
        while at < text.len() {
            if text[at..].starts_with(string) {
                places.push(at as u64);
                at += string.len();
            } else {
                at += 1;
            }
        }
        places
    }

    proptest! {
        #[test]
        fn it_finds_what_a_naive_search_does(
            text in prop::collection::vec(0u8..2, 0..300),
            string in prop::collection::vec(0u8..2, 1..6),
        ) {
            prop_assert_eq!(places(&text, &string), naive(&text, &string));
        }
    }

    #[test]
    fn what_lies_over_the_border_of_two_chunks_is_found() {
        let text = log(200_000);
        for string in [
            &b"ERROR"[..],
            b"\n",
            b"2026-11-22T10:15:00Z host-",
            &text[10..4106],
        ] {
            assert_eq!(places(&text, string), naive(&text, string));
        }
        for at in CHUNK - 5..CHUNK + 2 {
            let mut text = vec![b'.'; 2 * CHUNK];
            text[at..at + 4].copy_from_slice(b"word");
            assert_eq!(places(&text, b"word"), [at as u64]);
        }
        let same = vec![b'a'; 3 * CHUNK];
        assert_eq!(places(&same, b"aaaaa"), naive(&same, b"aaaaa"));
    }

    #[test]
    fn it_counts_without_a_range_for_the_places() {
        let text = log(50_000);
        let device = Device::new().with(&text);
        let count = naive(&text, b"ERROR").len() as u64;
        assert_eq!(device.result_with(&FIND, [50_000, 0], b"ERROR"), count);
        let device = device.with(b"ERROR...");
        assert_eq!(device.result(&FIND, [50_000, 5]), count);
    }

    #[test]
    fn bad_options_are_told() {
        let device = Device::new().with(b"text").with(&[0; 8]);
        let run = |string: &[u8]| reason(&device.run(&FIND, [4, 0], string));
        assert!(run(&[0; 4097]).contains("a string of 4097 bytes"));
        assert!(run(b"").contains("a string of 0 bytes"));
        assert!(run(b"t").contains("does not fit into range 1, which has 8 bytes"));
    }
}
