//! Helper functions: what a program can ask the drive to do for it. `docs/programs.md` is their
//! reference for programmers.
//!
//! A helper takes r1–r5 and gives r0, as a function of the program's own would. It checks all its
//! arguments before it does anything, and costs its call and one instruction for each eight bytes
//! (begun ones not counted) that it works on. A budget that has less left than that is used up.

use super::memory::Bytes;
use super::run::Run;
use crate::{BlockRead, ReadError};
use memchr::memmem;

/// Most bytes of one print.
pub const MAX_PRINT: u64 = 1024;
/// Longest byte string that can be looked for.
pub const MAX_NEEDLE: u64 = 4096;
/// Words of a results area.
pub const RESULT_WORDS: u64 = 8;
/// Most reads of a run that don't continue the one before: each is kept until the run's end.
const MAX_READS: usize = 1 << 16;
/// Bytes that are worked on at a time. Device memory is never borrowed, only copied.
const CHUNK: usize = 8192;

/// What the numbers of helpers begin after. Linux's helpers have smaller ones, so that a program for
/// a kernel is refused, instead of getting what it did not ask for.
const FIRST: i32 = 1000;

/// What r0 is when nothing was found.
pub const NOT_FOUND: u64 = u64::MAX;

/// The helpers. A call names them with these numbers, plus [`FIRST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Helper {
    /// `print(text, len)`: a line in the drive's log.
    Print = 1,
    /// `time()`: modelled nanoseconds at which the job arrived.
    Time = 2,
    /// `copy(to, from, len)`: the ranges may overlap.
    Copy = 3,
    /// `compare(a, b, len)`: -1, 0 or 1, as unsigned bytes compare.
    Compare = 4,
    /// `find(in, len, what, what_len)`: where it is first, or [`NOT_FOUND`].
    Find = 5,
    /// `crc32c(data, len, crc)`: continues `crc`, 0 at first.
    Crc32c = 6,
    /// `read_blocks(nsid, slba, nlb, to, room)`: bytes that were read.
    ReadBlocks = 7,
    /// `result(index, value)`: sets a word of the results area.
    Result = 8,
}

impl Helper {
    /// The helper of that number.
    #[must_use]
    pub fn of(number: i32) -> Option<Self> {
        use Helper::*;
        let all = [Print, Time, Copy, Compare, Find, Crc32c, ReadBlocks, Result];
        all.into_iter()
            .find(|&helper| FIRST + helper as i32 == number)
    }
}

/// Why a helper did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Bytes that the program may not use so: address and length.
    Access(u64, u64),
    /// An argument that is out of range.
    Argument(&'static str),
    /// Blocks that can't be read.
    Read(ReadError),
    /// The budget does not suffice.
    Budget,
}

/// Runs a helper with `args`, r1–r5, and takes what it costs besides its call from `budget`.
///
/// # Errors
/// With [`Refusal::Budget`] when the budget does not suffice; it is then used up.
pub fn call(
    helper: Helper,
    args: [u64; 5],
    run: &Run<'_>,
    budget: &mut u64,
) -> Result<u64, Refusal> {
    let [a, b, c, d, e] = args;
    match helper {
        Helper::Print => {
            let text = readable(run, a, b)?;
            if b > MAX_PRINT {
                return Err(Refusal::Argument("print of more than 1024 bytes"));
            }
            charge(b, budget)?;
            let mut copy = vec![0; b as usize];
            text.read(0, &mut copy).ok_or(Refusal::Access(a, b))?;
            run.services.print(&copy);
            Ok(0)
        }
        Helper::Time => Ok(run.services.now().0),
        Helper::Copy => {
            let (to, from) = (writable(run, a, c)?, readable(run, b, c)?);
            charge(c, budget)?;
            copy(to, from, c, a > b).ok_or(Refusal::Access(a, c))?;
            Ok(0)
        }
        Helper::Compare => {
            let (left, right) = (readable(run, a, c)?, readable(run, b, c)?);
            charge(c, budget)?;
            compare(left, right, c).ok_or(Refusal::Access(a, c))
        }
        Helper::Find => {
            let (text, what) = (readable(run, a, b)?, readable(run, c, d)?);
            if d > MAX_NEEDLE {
                return Err(Refusal::Argument("find of more than 4096 bytes"));
            }
            charge(b.saturating_add(d), budget)?;
            find(text, b, what, d).ok_or(Refusal::Access(a, b))
        }
        Helper::Crc32c => {
            let data = readable(run, a, b)?;
            charge(b, budget)?;
            let crc = |crc, bytes: &[u8]| crc32c::crc32c_append(crc, bytes);
            let crc = fold(data, b, c as u32, crc).ok_or(Refusal::Access(a, b))?;
            Ok(crc.into())
        }
        Helper::ReadBlocks => read_blocks(run, [a, b, c, d, e], budget),
        Helper::Result => {
            if a >= RESULT_WORDS {
                return Err(Refusal::Argument("there are eight words of results"));
            }
            let area = run.results.ok_or(Refusal::Argument(
                "the last range has no room for a results area",
            ))?;
            let at = area + a * 8;
            run.memory.store(at, b).ok_or(Refusal::Access(at, 8))?;
            Ok(0)
        }
    }
}

fn readable<'a>(run: &'a Run<'_>, address: u64, len: u64) -> Result<Bytes<'a>, Refusal> {
    let bytes = run.memory.bytes(address, len);
    bytes.ok_or(Refusal::Access(address, len))
}

fn writable<'a>(run: &'a Run<'_>, address: u64, len: u64) -> Result<Bytes<'a>, Refusal> {
    let bytes = run.memory.bytes(address, len).filter(Bytes::is_writable);
    bytes.ok_or(Refusal::Access(address, len))
}

fn charge(bytes: u64, budget: &mut u64) -> Result<(), Refusal> {
    match budget.checked_sub(bytes / 8) {
        Some(left) => {
            *budget = left;
            Ok(())
        }
        None => {
            *budget = 0;
            Err(Refusal::Budget)
        }
    }
}

/// The chunks of `len` bytes: where each begins, and how long it is.
fn chunks(len: u64) -> impl DoubleEndedIterator<Item = (u64, usize)> {
    (0..len.div_ceil(CHUNK as u64)).map(move |number| {
        let at = number * CHUNK as u64;
        (at, (len - at).min(CHUNK as u64) as usize)
    })
}

/// `down` where the place that is written has the higher address: what is still to be read is
/// then not written over.
fn copy(to: Bytes<'_>, from: Bytes<'_>, len: u64, down: bool) -> Option<()> {
    if let (
        Bytes::Device { memory, offset, .. },
        Bytes::Device {
            memory: source,
            offset: start,
            ..
        },
    ) = (to, from)
    {
        return source.copy_to(start, memory, offset, len as usize).ok();
    }
    let mut buffer = [0; CHUNK];
    let mut chunk = |(at, len): (u64, usize)| {
        let buffer = &mut buffer[..len];
        from.read(at, buffer)?;
        to.write(at, buffer)
    };
    match down {
        true => chunks(len).rev().try_for_each(&mut chunk),
        false => chunks(len).try_for_each(&mut chunk),
    }
}

fn compare(left: Bytes<'_>, right: Bytes<'_>, len: u64) -> Option<u64> {
    let mut buffers = [[0; CHUNK]; 2];
    for (at, len) in chunks(len) {
        let [a, b] = &mut buffers;
        left.read(at, &mut a[..len])?;
        right.read(at, &mut b[..len])?;
        let order = a[..len].cmp(&b[..len]);
        if order.is_ne() {
            return Some(order as i64 as u64);
        }
    }
    Some(0)
}

fn fold<T>(data: Bytes<'_>, len: u64, start: T, with: impl Fn(T, &[u8]) -> T) -> Option<T> {
    let mut buffer = [0; CHUNK];
    chunks(len).try_fold(start, |state, (at, len)| {
        data.read(at, &mut buffer[..len])?;
        Some(with(state, &buffer[..len]))
    })
}

fn find(text: Bytes<'_>, len: u64, what: Bytes<'_>, what_len: u64) -> Option<u64> {
    const _: () = assert!(MAX_NEEDLE as usize <= CHUNK);
    let mut needle = vec![0; what_len as usize];
    what.read(0, &mut needle)?;
    let finder = memmem::Finder::new(&needle);
    // What may be the beginning of a match is kept in front of the next chunk.
    let keep = needle.len().saturating_sub(1);
    let mut buffer = vec![0; keep + CHUNK];
    let mut kept = 0;
    for (at, len) in chunks(len) {
        text.read(at, &mut buffer[kept..kept + len])?;
        let end = kept + len;
        if let Some(found) = finder.find(&buffer[..end]) {
            return Some(at + found as u64 - kept as u64);
        }
        let start = end.saturating_sub(keep);
        buffer.copy_within(start..end, 0);
        kept = end - start;
    }
    // No bytes are found in no bytes.
    Some(if needle.is_empty() { 0 } else { NOT_FOUND })
}

fn read_blocks(run: &Run<'_>, args: [u64; 5], budget: &mut u64) -> Result<u64, Refusal> {
    let [nsid, slba, nlb, to, room] = args;
    let nsid = u32::try_from(nsid).map_err(|_| Refusal::Argument("NSID has 32 bits"))?;
    let Bytes::Device {
        memory,
        offset,
        len,
    } = writable(run, to, room)?
    else {
        return Err(Refusal::Access(to, room));
    };
    let mut reads = run.reads.borrow_mut();
    let continues = reads.last().copied().filter(|last| {
        (last.nsid, last.slba.checked_add(last.nlb)) == (nsid, Some(slba))
            && last.nlb.checked_add(nlb).is_some()
    });
    if continues.is_none() && reads.len() >= MAX_READS {
        return Err(Refusal::Argument(
            "more than 65536 reads that don't continue one another",
        ));
    }
    let bytes = run
        .services
        .read_blocks(nsid, slba, nlb, memory, offset, len)
        .map_err(Refusal::Read)?;
    match (continues, reads.last_mut()) {
        (Some(_), Some(last)) => last.nlb += nlb,
        _ => reads.push(BlockRead { nsid, slba, nlb }),
    }
    // Only the drive knows how many bytes a block has. What was read is booked in any case.
    charge(bytes, budget)?;
    Ok(bytes)
}
