//! The same as the programs in `examples/programs`, step by step, in Rust.
//!
//! None uses vector instructions, since eBPF has none to compile: what is written goes through
//! relaxed atomics, plain loads and stores that the compiler may not join. What is read for a search
//! is looked at in words of eight bytes, as in `find.h`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the functions work on.
pub struct Data<'a> {
    text: &'a [u8],
    token: &'a [u8],
    left: Vec<AtomicU32>,
    right: Vec<AtomicU32>,
    sums: Vec<AtomicU32>,
    words: Vec<AtomicU64>,
    counts: Vec<AtomicU64>,
}

impl<'a> Data<'a> {
    pub fn new(text: &'a [u8], token: &'a [u8]) -> Self {
        let numbers = || (0..text.len() as u32).map(AtomicU32::new).collect();
        let words = text.as_chunks().0.iter();
        Self {
            text,
            token,
            left: numbers(),
            right: numbers(),
            sums: numbers(),
            words: words
                .map(|&word| AtomicU64::new(u64::from_le_bytes(word)))
                .collect(),
            counts: (0..256).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

#[inline(never)]
pub fn vadd(data: &Data<'_>) -> u64 {
    let (left, right) = (data.left.as_chunks::<4>().0, data.right.as_chunks::<4>().0);
    let sums = data.sums.as_chunks::<4>().0;
    for ((a, b), sum) in left.iter().zip(right).zip(sums) {
        for ((a, b), sum) in a.iter().zip(b).zip(sum) {
            sum.store(a.load(Relaxed).wrapping_add(b.load(Relaxed)), Relaxed);
        }
    }
    (left.len().min(right.len()).min(sums.len()) * 4) as u64
}

#[inline(never)]
pub fn histogram(data: &Data<'_>) -> u64 {
    let mut counts = [0u64; 256];
    for word in &data.words {
        let word = word.load(Relaxed);
        for lane in 0..8 {
            counts[(word >> (lane * 8) & 0xff) as usize] += 1;
        }
    }
    for (to, count) in data.counts.iter().zip(counts) {
        to.store(count, Relaxed);
    }
    data.words.len() as u64 * 8
}

#[inline(never)]
pub fn count_lines(data: &Data<'_>) -> u64 {
    let pivot = pivot(data.token);
    let mut text = data.text;
    let mut lines = 0;
    loop {
        let Some(at) = find_token(text, data.token, pivot) else {
            return lines;
        };
        lines += 1;
        text = &text[at..];
        text = &text[find_byte(text, b'\n')..];
    }
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The byte of the token that is rarest in text.
fn pivot(token: &[u8]) -> usize {
    let common = b" etaoinsrhldcumpfgwyb0123456789.:-/vkxjqz";
    let rank = |byte: u8| common.iter().position(|&other| other == byte);
    let ranked = token.iter().map(|&byte| rank(byte).unwrap_or(common.len()));
    let mut best = (0, 0);
    for (index, rank) in ranked.enumerate() {
        if rank > best.0 {
            best = (rank, index);
        }
    }
    best.1
}

fn find_token(text: &[u8], token: &[u8], pivot: usize) -> Option<usize> {
    let behind = token.len() - pivot;
    let mut at = pivot;
    loop {
        at += find_byte(text.get(at..)?, token[pivot]);
        if text.len() - at < behind {
            return None;
        }
        let start = at - pivot;
        let mut same = text[start..].iter().zip(token).map(|(a, b)| a == b);
        if same.all(|same| same) {
            return Some(start);
        }
        at += 1;
    }
}

/// Where the first `byte` is, or the end.
#[inline(always)]
fn find_byte(text: &[u8], byte: u8) -> usize {
    let pattern = u64::from(byte) * LOW_BITS;
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes) ^ pattern;
    let mut at = 0;
    for four in text.as_chunks::<32>().0 {
        let marks = four.as_chunks::<8>().0.iter().fold(0, |marks, bytes| {
            let word = word(bytes);
            marks | (word.wrapping_sub(LOW_BITS) & !word)
        });
        if marks & HIGH_BITS != 0 {
            break;
        }
        at += 32;
    }
    for bytes in text[at..].as_chunks::<8>().0 {
        let word = word(bytes);
        let marks = word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS;
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text[at..].iter().position(|&other| other == byte);
    rest.map_or(text.len(), |rest| at + rest)
}
