//! A job's ranges in linear memory.
//!
//! A program may reach the bytes of its ranges and no others, but memory is mapped in whole pages.
//! So the pages that a range fills are mapped. A page that it fills only in part, at its beginning
//! or its end, is one of the instance's own: the range's bytes in it are copied there before the
//! run, and those that the program changed are copied back after it. A range keeps its offset in a
//! page; what lies between ranges is memory that belongs to nobody.

use crate::linear;
use crate::state::State;
use core::ffi::c_void;
use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Segment, Window, abi};
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::param::page_size;
use std::sync::Arc;
use wasmtime::{AsContext, Memory, StoreContextMut};

/// Linear memory grows in pages of this many bytes.
const WASM_PAGE: u64 = 64 << 10;

/// A range of the job.
#[derive(Clone, Debug)]
pub struct Range {
    /// Where it is in linear memory.
    pub address: u64,
    /// The device memory that it is a part of.
    pub memory: Arc<Mapping>,
    /// First byte within that.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// A part of a range that is a copy.
#[derive(Debug)]
pub struct Edge {
    /// Number of the range.
    range: usize,
    /// First byte within the range.
    begin: u64,
    /// What it holds, as far as the device memory knows.
    known: Vec<u8>,
}

/// Puts the arguments and the ranges into new pages of `memory`; the address of the arguments, or
/// why that can't be.
pub fn place(
    store: &mut StoreContextMut<'_, State>,
    memory: Memory,
    window: &Window,
    args: &Args<'_>,
) -> Result<u32, String> {
    let page = page_size() as u64;
    let segments = window.segments();
    let start = memory.data_size(&*store) as u64;
    let header = abi::RANGES + segments.len() * abi::RANGE_BYTES;
    let too_large = || "the ranges don't fit into 4 GiB of linear memory".to_string();

    let mut end = start + header as u64 + args.data.len() as u64;
    let mut ranges = Vec::with_capacity(segments.len());
    for segment in segments {
        let Segment { memory, offset, .. } = segment;
        let file = file_offset(memory, *offset)?;
        let address = end.next_multiple_of(page) + file % page;
        let len = memory.len().saturating_sub(*offset).min(segment.len);
        end = address.saturating_add(len);
        if end > 1 << 32 {
            return Err(too_large());
        }
        ranges.push(Range {
            address,
            memory: Arc::clone(memory),
            offset: *offset,
            len,
        });
    }
    let pages = (end - start).div_ceil(WASM_PAGE);
    store.data_mut().limiter.grant(pages * WASM_PAGE);
    memory
        .grow(&mut *store, pages)
        .map_err(|_| format!("linear memory can't grow by {pages} pages for the ranges"))?;
    let places: Vec<_> = ranges.iter().map(|r| (r.address, r.len)).collect();
    let encoded = abi::encode(start, &places, args.parameters, args.data);
    linear::write(&*store, memory, start, &encoded).ok_or_else(too_large)?;

    let mut edges = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        // Offsets within the range, of the pages that it fills.
        let begin = range.address.next_multiple_of(page) - range.address;
        let full = (range.address + range.len) / page * page;
        let full = full.saturating_sub(range.address);
        let parts = if begin < full {
            map(&*store, memory, range, begin, full - begin)?;
            [(0, begin), (full, range.len)]
        } else {
            [(0, range.len), (0, 0)]
        };
        for (begin, end) in parts {
            if begin < end {
                edges.push(Edge {
                    range: index,
                    begin,
                    known: vec![0; (end - begin) as usize],
                });
            }
        }
    }
    let state = store.data_mut();
    state.memory = Some(memory);
    state.ranges = ranges;
    state.edges = edges;
    refresh(store, 0, u64::MAX).ok_or_else(too_large)?;
    u32::try_from(start).map_err(|_| too_large())
}

/// Where in its file a byte of a memory is.
fn file_offset(memory: &Mapping, offset: u64) -> Result<u64, String> {
    let (_, start) = memory
        .descriptor()
        .ok_or("this memory can't be mapped again")?;
    start
        .checked_add(offset)
        .ok_or_else(|| "a range begins beyond its memory".into())
}

/// Maps `len` bytes of a range, whole pages, from `begin` on.
fn map(
    store: impl AsContext,
    memory: Memory,
    range: &Range,
    begin: u64,
    len: u64,
) -> Result<(), String> {
    let what = "a range can't be mapped";
    let (file, start) = range.memory.descriptor().ok_or(what)?;
    let sharing = match range.memory.is_writable() {
        true => MapFlags::SHARED,
        // All linear memory can be written. What is written here stays with the instance.
        false => MapFlags::PRIVATE,
    };
    let at = linear::find(store, memory, range.address + begin, len as usize).ok_or(what)?;
    // SAFETY: replaces usable pages of this linear memory, which is not running, by others that
    // can be read and written as well, until the memory unmaps them all. Nothing has a reference
    // to them. The file is at least as long as the device memory.
    let mapped = unsafe {
        mmap(
            at.cast::<c_void>(),
            len as usize,
            ProtFlags::READ | ProtFlags::WRITE,
            sharing | MapFlags::FIXED,
            file,
            start + range.offset + begin,
        )
    };
    mapped.map(drop).map_err(|errno| format!("{what}: {errno}"))
}

/// Reads the copied parts anew, as far as they are in `len` bytes from `address` on. `None` if they
/// are not where they should be.
pub fn refresh(store: &mut StoreContextMut<'_, State>, address: u64, len: u64) -> Option<()> {
    let memory = store.data().memory?;
    // The state and the linear memory can't both be borrowed.
    let mut edges = std::mem::take(&mut store.data_mut().edges);
    let mut read = |edge: &mut Edge| {
        let range = &store.data().ranges[edge.range];
        let first = range.address + edge.begin;
        let begin = address.max(first);
        let end = address
            .saturating_add(len)
            .min(first + edge.known.len() as u64);
        if begin < end {
            let part = &mut edge.known[(begin - first) as usize..(end - first) as usize];
            let offset = range.offset + begin - range.address;
            range.memory.read(offset, part).ok()?;
            linear::write(store.as_context(), memory, begin, part)?;
        }
        Some(())
    };
    let done = edges.iter_mut().try_for_each(&mut read);
    store.data_mut().edges = edges;
    done
}

/// Writes what the program changed in the copied parts to the device memory. Only that: others may
/// have written next to it meanwhile.
pub fn write_back(store: &StoreContextMut<'_, State>) {
    let state = store.data();
    let Some(memory) = state.memory else { return };
    for edge in &state.edges {
        let range = &state.ranges[edge.range];
        let mut now = vec![0; edge.known.len()];
        let address = range.address + edge.begin;
        if linear::read(store, memory, address, &mut now).is_none() {
            continue;
        }
        let mut at = 0;
        while at < now.len() {
            let same = |at: &usize| now[*at] == edge.known[*at];
            let begin = (at..now.len()).find(|at| !same(at)).unwrap_or(now.len());
            at = (begin..now.len()).find(same).unwrap_or(now.len());
            let offset = range.offset + edge.begin + begin as u64;
            // Refused where the memory may only be read.
            let _ = range.memory.write(offset, &now[begin..at]);
        }
    }
}
