//! Where things are in the 64-bit address space that a program sees.
//!
//! The space is cut into slots of 4 GiB, so that the upper half of an address says which segment
//! it belongs to, without a search. A segment begins at the start of a slot and takes as many as
//! it needs; the rest of its last slot is a gap of at least one page.
//!
//! | slot | segment | access |
//! |---|---|---|
//! | 0 | nothing: null, and what is near it | – |
//! | 1 | constants of the image (`.rodata*`) | read |
//! | 2 | variables of the image (`.data`, `.bss`), fresh in each run | read, write |
//! | 3 | the stack, zero at the start of each run | read, write |
//! | 4 | `struct ersatz_args`, then the data buffer | read |
//! | 5… | the memory ranges, in order | read, write |
//!
//! A range's address is congruent to its place in device memory modulo the page size: what is
//! aligned here is aligned there, and an engine that wants the whole space as one piece of its own
//! address space can map the device memory's pages to it.
//!
//! Every access lies within one segment, to the byte. All engines use this module, so that a
//! program sees the same addresses, and faults at the same ones, whatever runs it.

/// Bytes of a slot.
pub const SLOT: u64 = 1 << 32;
/// Start of the image's constants.
pub const CONSTANTS: u64 = SLOT;
/// Start of the image's variables.
pub const VARIABLES: u64 = 2 * SLOT;
/// Start of the stack.
pub const STACK: u64 = 3 * SLOT;
/// Start of the arguments.
pub const ARGUMENTS: u64 = 4 * SLOT;
/// First slot of the memory ranges.
pub const FIRST_RANGE: u64 = 5;
/// The smallest gap after a segment, and the unit that mappings are made of.
pub const PAGE: u64 = 4096;

/// Where one memory range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Address of its first byte.
    pub address: u64,
    /// Slots that it takes, from the one that `address` lies in.
    pub slots: u64,
}

/// The places of memory ranges, given each one's offset in its device memory and its bytes.
pub fn ranges(ranges: impl IntoIterator<Item = (u64, u64)>) -> impl Iterator<Item = Place> {
    ranges.into_iter().scan(FIRST_RANGE, |slot, (offset, len)| {
        let within = offset % PAGE;
        let slots = len.saturating_add(within + PAGE).div_ceil(SLOT);
        let address = slot.checked_mul(SLOT)? + within;
        *slot += slots;
        Some(Place { address, slots })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_one_another_with_a_gap() {
        let places: Vec<_> = ranges([
            (0x12345, 0),
            (0x1000, SLOT),
            (0xfff, SLOT - 2 * PAGE),
            (8, 1),
        ])
        .collect();
        let place = |slot: u64, within: u64, slots: u64| Place {
            address: slot * SLOT + within,
            slots,
        };
        assert_eq!(
            places,
            [
                place(5, 0x345, 1),
                place(6, 0, 2),
                place(8, 0xfff, 1),
                place(9, 8, 1),
            ]
        );
    }

    #[test]
    fn there_are_never_more_addresses_than_64_bits_hold() {
        assert!(ranges([(1, u64::MAX); 4]).count() < 4);
    }
}
