//! The memory of one run, as [`layout`] places it.

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

/// What a slot of the address space holds.
#[derive(Clone, Copy, Debug)]
struct Slot<'a> {
    /// Address of the segment that the slot is a part of.
    start: u64,
    /// Bytes of the segment.
    len: u64,
    /// The device memory that they are in. Apart from the other cases, and first, because this is
    /// what programs are there for: it takes no second jump by case in the interpreter's loop.
    device: Option<&'a Mapping>,
    /// Where in device memory they start.
    offset: u64,
    /// Where else they are.
    own: Own<'a>,
}

/// Bytes that only this run sees.
#[derive(Clone, Copy, Debug)]
enum Own<'a> {
    /// [`Memory::variables`].
    Variables,
    /// [`Memory::stack`].
    Stack,
    /// Bytes that nobody changes.
    Constant(&'a [u8]),
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
        let own = |start: u64, len: usize, own: Own<'a>| Slot {
            start,
            len: len as u64,
            device: None,
            offset: 0,
            own,
        };
        let constant = |start: u64, bytes: &'a [u8]| own(start, bytes.len(), Own::Constant(bytes));
        let mut slots = vec![
            constant(0, &[]),
            constant(layout::CONSTANTS, &module.constants),
            own(layout::VARIABLES, module.variables.len(), Own::Variables),
            own(layout::STACK, stack, Own::Stack),
            constant(layout::ARGUMENTS, arguments),
        ];
        for range in ranges {
            let slot = Slot {
                start: range.place.address,
                len: range.len,
                device: Some(range.memory),
                offset: range.offset,
                own: Own::Constant(&[]),
            };
            slots.extend((0..range.place.slots).map(|_| slot));
        }
        Self {
            slots,
            variables: module.variables.clone(),
            stack: vec![0; stack],
        }
    }

    /// The slot that `len` bytes at `address` lie in, and their offset in its segment.
    #[inline(always)]
    fn find(&self, address: u64, len: u64) -> Option<(&Slot<'a>, u64)> {
        let slot = self.slots.get((address >> 32) as usize)?;
        let offset = address.wrapping_sub(slot.start);
        (offset < slot.len && len <= slot.len - offset).then_some((slot, offset))
    }

    /// Reads a word, aligned or not; `None` outside of the segments.
    #[inline(always)]
    pub fn load<T: Word>(&self, address: u64) -> Option<T> {
        let len = size_of::<T>();
        let (slot, offset) = self.find(address, len as u64)?;
        if let Some(memory) = slot.device {
            return memory.load(slot.offset + offset).ok();
        }
        let bytes = match slot.own {
            Own::Variables => &self.variables,
            Own::Stack => &self.stack,
            Own::Constant(bytes) => bytes,
        };
        T::from_slice(bytes.get(offset as usize..)?.get(..len)?)
    }

    /// Writes a word, aligned or not; `None` outside of the segments and where they are read-only.
    #[inline(always)]
    pub fn store<T: Word>(&mut self, address: u64, value: T) -> Option<()> {
        let len = size_of::<T>();
        let (slot, offset) = self.find(address, len as u64)?;
        if let Some(memory) = slot.device {
            return memory.store(slot.offset + offset, value).ok();
        }
        let bytes = match slot.own {
            Own::Variables => &mut self.variables,
            Own::Stack => &mut self.stack,
            Own::Constant(_) => return None,
        };
        value.to_slice(bytes.get_mut(offset as usize..)?.get_mut(..len)?)
    }

    /// Replaces an aligned 32-bit word in one step; its old value.
    pub fn update32(&mut self, address: u64, with: impl Fn(u32) -> u32) -> Option<u32> {
        let (slot, offset) = self.find(address, 4)?;
        if let Some(memory) = slot.device {
            return memory.update_u32(slot.offset + offset, with).ok();
        }
        let old = self.load(address)?;
        self.store(address, with(old))?;
        Some(old)
    }

    /// Replaces an aligned 64-bit word in one step; its old value.
    pub fn update64(&mut self, address: u64, with: impl Fn(u64) -> u64) -> Option<u64> {
        let (slot, offset) = self.find(address, 8)?;
        if let Some(memory) = slot.device {
            return memory.update_u64(slot.offset + offset, with).ok();
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
