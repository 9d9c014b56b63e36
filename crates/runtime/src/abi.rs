//! What a program is given: the layout of `struct ersatz_args` in `examples/programs/ersatz.h`.
//!
//! Little-endian, and the same for every runtime. A program of a later version of this ABI finds
//! what it knows at the same place; fields are only ever added.

/// Version of this ABI, the first field of the structure.
pub const VERSION: u32 = 1;
/// Offset of `u32 abi`.
pub const ABI: usize = 0;
/// Offset of `u32 range_count`.
pub const RANGE_COUNT: usize = 4;
/// Offset of `u64 params[2]`.
pub const PARAMS: usize = 8;
/// Offset of `const void *data`.
pub const DATA: usize = 24;
/// Offset of `u64 data_len`, in bytes.
pub const DATA_LEN: usize = 32;
/// Offset of `struct ersatz_range ranges[]`.
pub const RANGES: usize = 40;
/// Bytes of `struct ersatz_range { void *data; u64 len; }`.
pub const RANGE_BYTES: usize = 16;

/// The bytes that a program finds at `address`, the address that its entry gets: the structure,
/// and then the data buffer. `ranges` are the memory ranges' addresses and bytes.
#[must_use]
pub fn encode(address: u64, ranges: &[(u64, u64)], parameters: [u64; 2], data: &[u8]) -> Vec<u8> {
    let header = RANGES + ranges.len() * RANGE_BYTES;
    let mut out = Vec::with_capacity(header + data.len());
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(ranges.len() as u32).to_le_bytes());
    let words = [
        parameters[0],
        parameters[1],
        address + header as u64,
        data.len() as u64,
    ];
    let ranges = ranges.iter().flat_map(|&(start, len)| [start, len]);
    for word in words.into_iter().chain(ranges) {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_where_its_offset_says() {
        let bytes = encode(0x1000, &[(1, 2), (3, 4)], [5, 6], b"data");
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8"));
        assert_eq!(u32_at(ABI), VERSION);
        assert_eq!(u32_at(RANGE_COUNT), 2);
        assert_eq!((u64_at(PARAMS), u64_at(PARAMS + 8)), (5, 6));
        assert_eq!((u64_at(RANGES), u64_at(RANGES + 8)), (1, 2));
        let second = RANGES + RANGE_BYTES;
        assert_eq!((u64_at(second), u64_at(second + 8)), (3, 4));
        assert_eq!(u64_at(DATA_LEN), 4);
        let data = (u64_at(DATA) - 0x1000) as usize;
        assert_eq!(&bytes[data..], b"data");
    }
}
