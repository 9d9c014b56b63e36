//! The memory of one run, as [`layout`](super::layout) places it.

use super::layout;
use super::module::Module;
use crate::{Args, Segment, Window, abi};
use ersatz_memory::{Mapping, Plain};
use std::sync::atomic::{Ordering, fence};

/// An integer as it lies in memory.
pub trait Word: Plain {
    /// Reads it from its own bytes.
    fn from_slice(bytes: &[u8]) -> Option<Self>;
    /// Writes it to its own bytes.
    fn to_slice(self, bytes: &mut [u8]) -> Option<()>;
}

macro_rules! word {
    ($($t:ty)*) => {$(
        impl Word for $t {
            #[inline(always)]
            fn from_slice(bytes: &[u8]) -> Option<Self> {
                Some(<$t>::from_le_bytes(bytes.try_into().ok()?))
            }
            #[inline(always)]
            fn to_slice(self, bytes: &mut [u8]) -> Option<()> {
                *<&mut [u8; size_of::<$t>()]>::try_from(bytes).ok()? = self.to_le_bytes();
                Some(())
            }
        }
    )*};
}
word!(u8 u16 u32 u64);

/// Where the bytes of a segment are.
#[derive(Clone, Copy, Debug)]
enum Backing<'a> {
    /// In device memory, from an offset on.
    Device(&'a Mapping, u64),
    /// In [`Memory::variables`].
    Variables,
    /// In [`Memory::stack`].
    Stack,
    /// Bytes that nobody changes.
    Constant(&'a [u8]),
}

/// What a slot of the address space holds.
#[derive(Clone, Copy, Debug)]
struct Slot<'a> {
    /// Address of the segment that the slot is a part of.
    start: u64,
    /// Bytes of the segment.
    len: u64,
    backing: Backing<'a>,
}

/// The memory of one run.
#[derive(Debug)]
pub struct Memory<'a> {
    slots: Vec<Slot<'a>>,
    variables: Vec<u8>,
    stack: Vec<u8>,
}

/// A memory range of the job, placed.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    place: layout::Place,
    memory: &'a Mapping,
    offset: u64,
    len: u64,
}

/// The memory ranges of a job. One that reaches beyond the end of its memory is cut there.
#[must_use]
pub fn ranges(window: &Window) -> Vec<Range<'_>> {
    let segments = window.segments();
    let within = |s: &Segment| s.memory.len().saturating_sub(s.offset).min(s.len);
    layout::ranges(segments.iter().map(|s| (s.offset, within(s))))
        .zip(segments)
        .map(|(place, segment)| Range {
            place,
            memory: &segment.memory,
            offset: segment.offset,
            len: within(segment),
        })
        .collect()
}

/// What the program finds at [`layout::ARGUMENTS`].
#[must_use]
pub fn arguments(ranges: &[Range<'_>], args: &Args<'_>) -> Vec<u8> {
    let ranges: Vec<_> = ranges.iter().map(|r| (r.place.address, r.len)).collect();
    abi::encode(layout::ARGUMENTS, &ranges, args.parameters, args.data)
}

impl<'a> Memory<'a> {
    /// The memory of a run of `module` over `ranges`, with what [`arguments`] made and a stack of
    /// `stack` bytes.
    #[must_use]
    pub fn new(
        module: &'a Module,
        ranges: &[Range<'a>],
        arguments: &'a [u8],
        stack: usize,
    ) -> Self {
        let constants = &module.constants;
        let slot = |start: u64, len: usize, backing: Backing<'a>| Slot {
            start,
            len: len as u64,
            backing,
        };
        let mut slots = vec![
            slot(0, 0, Backing::Constant(&[])),
            slot(
                layout::CONSTANTS,
                constants.len(),
                Backing::Constant(constants),
            ),
            slot(
                layout::VARIABLES,
                module.variables.len(),
                Backing::Variables,
            ),
            slot(layout::STACK, stack, Backing::Stack),
            slot(
                layout::ARGUMENTS,
                arguments.len(),
                Backing::Constant(arguments),
            ),
        ];
        for range in ranges {
            let slot = Slot {
                start: range.place.address,
                len: range.len,
                backing: Backing::Device(range.memory, range.offset),
            };
            slots.extend((0..range.place.slots).map(|_| slot));
        }
        Self {
            slots,
            variables: module.variables.clone(),
            stack: vec![0; stack],
        }
    }

    /// The segment that `len` bytes at `address` lie in, and their offset in it.
    #[inline(always)]
    fn find(&self, address: u64, len: u64) -> Option<(Backing<'a>, u64)> {
        let slot = self.slots.get((address >> 32) as usize)?;
        let offset = address.wrapping_sub(slot.start);
        (offset < slot.len && len <= slot.len - offset).then_some((slot.backing, offset))
    }

    /// Reads a word, aligned or not; `None` outside of the segments.
    #[inline(always)]
    pub fn load<T: Word>(&self, address: u64) -> Option<T> {
        let len = size_of::<T>();
        let (backing, offset) = self.find(address, len as u64)?;
        let bytes = match backing {
            Backing::Device(memory, start) => return memory.load(start + offset).ok(),
            Backing::Variables => &self.variables,
            Backing::Stack => &self.stack,
            Backing::Constant(bytes) => bytes,
        };
        T::from_slice(bytes.get(offset as usize..)?.get(..len)?)
    }

    /// Writes a word, aligned or not; `None` outside of the segments and where they are read-only.
    #[inline(always)]
    pub fn store<T: Word>(&mut self, address: u64, value: T) -> Option<()> {
        let len = size_of::<T>();
        let (backing, offset) = self.find(address, len as u64)?;
        let bytes = match backing {
            Backing::Device(memory, start) => return memory.store(start + offset, value).ok(),
            Backing::Variables => &mut self.variables,
            Backing::Stack => &mut self.stack,
            Backing::Constant(_) => return None,
        };
        value.to_slice(bytes.get_mut(offset as usize..)?.get_mut(..len)?)
    }

    /// Replaces an aligned 32-bit word in one step; its old value.
    pub fn update32(&mut self, address: u64, with: impl Fn(u32) -> u32) -> Option<u32> {
        if let (Backing::Device(memory, start), offset) = self.find(address, 4)? {
            return memory.update_u32(start + offset, with).ok();
        }
        let old = self.load(address)?;
        self.store(address, with(old))?;
        Some(old)
    }

    /// Replaces an aligned 64-bit word in one step; its old value.
    pub fn update64(&mut self, address: u64, with: impl Fn(u64) -> u64) -> Option<u64> {
        if let (Backing::Device(memory, start), offset) = self.find(address, 8)? {
            return memory.update_u64(start + offset, with).ok();
        }
        let old = self.load(address)?;
        self.store(address, with(old))?;
        Some(old)
    }

    /// Reads an aligned word; what is accessed later is accessed after it.
    pub fn load_acquire<T: Word>(&self, address: u64) -> Option<T> {
        let value = self.load(address);
        fence(Ordering::Acquire);
        value
    }

    /// Writes an aligned word; what was accessed earlier was accessed before it.
    pub fn store_release<T: Word>(&mut self, address: u64, value: T) -> Option<()> {
        fence(Ordering::Release);
        self.store(address, value)
    }
}
