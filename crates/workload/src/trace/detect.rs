//! Sees from the first lines how a trace is written.

use super::fields::Fields;
use super::{Format, blkparse, csv, fio};

/// As many lines are looked at: the first few of a real file may be bad.
const LOOKED_AT: usize = 16;

/// The format of the first line that has one.
pub(super) fn detect(head: &[u8]) -> Option<Format> {
    let head = String::from_utf8_lossy(head);
    let lines = head.lines().filter(|line| !line.trim().is_empty());
    lines.take(LOOKED_AT).find_map(of_line)
}

fn of_line(line: &str) -> Option<Format> {
    let line = line.trim();
    if fio::HEADING.contains(&line) {
        return Some(Format::Fio);
    }
    if line == csv::HEADING {
        return Some(Format::Csv);
    }
    if line.starts_with("Timestamp,Hostname,") {
        return Some(Format::Msr);
    }
    let mut words = Fields::between_spaces(line);
    let first = words.next("")?.text;
    let time = words.by_ref().nth(2);
    if blkparse::is_device(first) && time.is_some_and(|time| time.contains('.')) {
        return Some(Format::Blkparse);
    }
    let parts: Vec<_> = Fields::between_commas(line).take(8).collect();
    let number = |at: usize| {
        let text: &&str = &parts[at];
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is = |at: usize, words: &[&str]| words.iter().any(|it| parts[at].eq_ignore_ascii_case(it));
    match parts.len() {
        4 if number(0) && is(1, &["R", "W", "T", "F"]) => Some(Format::Csv),
        6.. if number(0) && is(3, &["Read", "Write"]) => Some(Format::Msr),
        5.. if number(0) && number(1) && is(3, &["R", "W"]) => Some(Format::Spc),
        _ => None,
    }
}

impl<'l> Iterator for Fields<'l> {
    type Item = &'l str;

    fn next(&mut self) -> Option<&'l str> {
        Fields::next(self, "").map(|field| field.text)
    }
}
