//! The memory of one run, as [`layout`] places it.

use super::helper::RESULT_WORDS;
use super::layout;
use super::module::Module;
use crate::{Args, Segment, Window, abi};
use ersatz_memory::{Mapping, Plain};
use std::cell::Cell;
use std::sync::atomic::{Ordering, fence};

/// Bytes that only one run sees, zero or given at its start. Cells, because generated code keeps
/// pointers to them while the interpreter uses them as well.
type Own = [Cell<u8>];

/// An integer as it lies in memory.
pub trait Word: Plain {
    /// Reads it from its own bytes.
    fn from_slice(bytes: &[u8]) -> Option<Self>;
    /// As above.
    fn from_cells(cells: &Own) -> Option<Self>;
    /// Writes it to its own bytes.
    fn to_cells(self, cells: &Own) -> Option<()>;
}

macro_rules! word {
    ($($t:ty)*) => {$(
        impl Word for $t {
            #[inline(always)]
            fn from_slice(bytes: &[u8]) -> Option<Self> {
                Some(<$t>::from_le_bytes(bytes.try_into().ok()?))
            }
            #[inline(always)]
            fn from_cells(cells: &Own) -> Option<Self> {
                let cells: &[Cell<u8>; size_of::<$t>()] = cells.try_into().ok()?;
                Some(<$t>::from_le_bytes(cells.each_ref().map(Cell::get)))
            }
            #[inline(always)]
            fn to_cells(self, cells: &Own) -> Option<()> {
                let cells: &[Cell<u8>; size_of::<$t>()] = cells.try_into().ok()?;
                for (cell, byte) in cells.iter().zip(self.to_le_bytes()) {
                    cell.set(byte);
                }
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
    held: Held<'a>,
}

/// Where bytes outside of device memory are.
#[derive(Clone, Copy, Debug)]
enum Held<'a> {
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
    variables: Vec<Cell<u8>>,
    stack: Vec<Cell<u8>>,
}

/// A segment, and where it is in this process.
#[derive(Clone, Copy, Debug)]
pub struct HostSegment {
    /// The program's address of its first byte.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// Where its first byte is while the [`Memory`] lives.
    pub host: *const u8,
    /// Whether it may be written.
    pub writable: bool,
}

/// Bytes of one segment.
#[derive(Clone, Copy, Debug)]
pub enum Bytes<'a> {
    /// In device memory.
    Device {
        /// The memory.
        memory: &'a Mapping,
        /// Where in it they start.
        offset: u64,
        /// How many they are.
        len: u64,
    },
    /// The run's own.
    Own(&'a [Cell<u8>]),
    /// Bytes that nobody changes.
    Constant(&'a [u8]),
}

impl Bytes<'_> {
    /// Copies what is at `at` out. `None` when that is not all inside.
    pub fn read(&self, at: u64, out: &mut [u8]) -> Option<()> {
        let range = at as usize..(at as usize).checked_add(out.len())?;
        match *self {
            Self::Device {
                memory,
                offset,
                len,
            } => {
                (range.end as u64 <= len).then_some(())?;
                memory.read(offset + at, out).ok()
            }
            Self::Own(cells) => {
                for (byte, cell) in out.iter_mut().zip(cells.get(range)?) {
                    *byte = cell.get();
                }
                Some(())
            }
            Self::Constant(bytes) => {
                out.copy_from_slice(bytes.get(range)?);
                Some(())
            }
        }
    }

    /// Copies `bytes` to `at`. `None` when that is not all inside, or may not be written.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Option<()> {
        let range = at as usize..(at as usize).checked_add(bytes.len())?;
        match *self {
            Self::Device {
                memory,
                offset,
                len,
            } => {
                (range.end as u64 <= len).then_some(())?;
                memory.write(offset + at, bytes).ok()
            }
            Self::Own(cells) => {
                for (cell, &byte) in cells.get(range)?.iter().zip(bytes) {
                    cell.set(byte);
                }
                Some(())
            }
            Self::Constant(_) => bytes.is_empty().then_some(()),
        }
    }

    /// Whether they may be written.
    pub fn is_writable(&self) -> bool {
        match self {
            Self::Device { memory, .. } => memory.is_writable(),
            Self::Own(_) => true,
            Self::Constant(bytes) => bytes.is_empty(),
        }
    }
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

/// Where the results area is: the last words of the last range, if it has room for them.
#[must_use]
pub fn results(ranges: &[Range<'_>]) -> Option<u64> {
    let last = ranges.last()?;
    let before = last.len.checked_sub(RESULT_WORDS * 8)?;
    Some(last.place.address + before)
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
        let own = |start: u64, len: usize, held: Held<'a>| Slot {
            start,
            len: len as u64,
            device: None,
            offset: 0,
            held,
        };
        let constant = |start: u64, bytes: &'a [u8]| own(start, bytes.len(), Held::Constant(bytes));
        let mut slots = vec![
            constant(0, &[]),
            constant(layout::CONSTANTS, &module.constants),
            own(layout::VARIABLES, module.variables.len(), Held::Variables),
            own(layout::STACK, stack, Held::Stack),
            constant(layout::ARGUMENTS, arguments),
        ];
        for range in ranges {
            let slot = Slot {
                start: range.place.address,
                len: range.len,
                device: Some(range.memory),
                offset: range.offset,
                held: Held::Constant(&[]),
            };
            slots.extend((0..range.place.slots).map(|_| slot));
        }
        Self {
            slots,
            variables: module.variables.iter().copied().map(Cell::new).collect(),
            stack: vec![Cell::new(0); stack],
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
        let cells = match slot.held {
            Held::Variables => &self.variables,
            Held::Stack => &self.stack,
            Held::Constant(bytes) => {
                return T::from_slice(bytes.get(offset as usize..)?.get(..len)?);
            }
        };
        T::from_cells(cells.get(offset as usize..)?.get(..len)?)
    }

    /// Writes a word, aligned or not; `None` outside of the segments and where they are read-only.
    #[inline(always)]
    pub fn store<T: Word>(&self, address: u64, value: T) -> Option<()> {
        let len = size_of::<T>();
        let (slot, offset) = self.find(address, len as u64)?;
        if let Some(memory) = slot.device {
            return memory.store(slot.offset + offset, value).ok();
        }
        let cells = match slot.held {
            Held::Variables => &self.variables,
            Held::Stack => &self.stack,
            Held::Constant(_) => return None,
        };
        value.to_cells(cells.get(offset as usize..)?.get(..len)?)
    }

    /// The `len` bytes at `address`; `None` where they are not all in one segment. No bytes are
    /// anywhere.
    pub fn bytes(&self, address: u64, len: u64) -> Option<Bytes<'_>> {
        if len == 0 {
            return Some(Bytes::Constant(&[]));
        }
        let (slot, offset) = self.find(address, len)?;
        if let Some(memory) = slot.device {
            let offset = slot.offset + offset;
            return Some(Bytes::Device {
                memory,
                offset,
                len,
            });
        }
        let range = offset as usize..(offset + len) as usize;
        Some(match slot.held {
            Held::Variables => Bytes::Own(self.variables.get(range)?),
            Held::Stack => Bytes::Own(self.stack.get(range)?),
            Held::Constant(bytes) => Bytes::Constant(bytes.get(range)?),
        })
    }

    /// The segment around `address`, for generated code.
    pub fn segment(&self, address: u64) -> Option<HostSegment> {
        let (slot, _) = self.find(address, 1)?;
        let (host, writable) = match (slot.device, slot.held) {
            (Some(memory), _) => {
                let host = memory.as_ptr().wrapping_add(slot.offset as usize);
                (host.cast_const(), memory.is_writable())
            }
            (None, Held::Variables) => (self.variables.as_ptr().cast(), true),
            (None, Held::Stack) => (self.stack.as_ptr().cast(), true),
            (None, Held::Constant(bytes)) => (bytes.as_ptr(), false),
        };
        Some(HostSegment {
            start: slot.start,
            len: slot.len,
            host,
            writable,
        })
    }

    /// Replaces an aligned 32-bit word in one step; its old value.
    pub fn update32(&self, address: u64, with: impl Fn(u32) -> u32) -> Option<u32> {
        let (slot, offset) = self.find(address, 4)?;
        if let Some(memory) = slot.device {
            return memory.update_u32(slot.offset + offset, with).ok();
        }
        let old = self.load(address)?;
        self.store(address, with(old))?;
        Some(old)
    }

    /// Replaces an aligned 64-bit word in one step; its old value.
    pub fn update64(&self, address: u64, with: impl Fn(u64) -> u64) -> Option<u64> {
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
    pub fn store_release<T: Word>(&self, address: u64, value: T) -> Option<()> {
        fence(Ordering::Release);
        self.store(address, value)
    }
}
