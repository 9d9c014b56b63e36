//! Data pointers: PRPs and SGLs for what a command transfers (Base, 4.3).

use super::transport::Segment;
use crate::Error;
use nvme_spec::queue::{SglDescriptor, SglType};
use zerocopy::IntoBytes;

/// Where the data of a command are.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// The data pointer goes out as it is in the command: zero for none, or the caller's own.
    AsIs,
    /// Described by PRPs. All segments but the first must start on a page of the controller, and
    /// all but the last must end on one; the first must start on a multiple of 4.
    Prp(&'a [Segment]),
    /// Described by SGL data blocks, of any alignment that the controller supports.
    Sgl(&'a [Segment]),
}

/// Bytes that a list of PRPs for `max_transfer` bytes takes, aligned or not, in a controller with
/// pages of `page` bytes. A list of one page or less is a power of two, so that a row of them never
/// has one across a page.
pub(crate) fn list_len(max_transfer: u64, page: u64) -> u64 {
    // One more page for data that start in the middle of one, one less for PRP1.
    let entries = max_transfer.div_ceil(page).max(1);
    let bytes = entries * 8;
    if bytes <= page {
        bytes.next_power_of_two().max(64)
    } else {
        // In each page but the last, one entry points to the next.
        entries.div_ceil(page / 8 - 1) * page
    }
}

/// Describes `segments` by PRPs, and returns PRP1 and PRP2. Entries of a list are handed to `put`
/// with their offset in `list`.
pub(crate) fn prps(
    segments: &[Segment],
    page: u64,
    list: Segment,
    mut put: impl FnMut(u64, u64) -> Result<(), Error>,
) -> Result<[u64; 2], Error> {
    let total = count_pages(segments, page)?;
    let mut pages = segments.iter().flat_map(move |segment| {
        let first = segment.iova;
        let rest = (first / page + 1) * page;
        let end = first + segment.len;
        std::iter::once(first).chain((rest..end).step_by(page as usize))
    });
    let first = pages.next().unwrap_or(0);
    if total <= 2 {
        return Ok([first, pages.next().unwrap_or(0)]);
    }
    let mut at = 0;
    let mut left = total - 1;
    for entry in pages {
        let ends_page = (list.iova + at + 8).is_multiple_of(page);
        if ends_page && left > 1 {
            fits(at, 8, list.len)?;
            put(at, list.iova + at + 8)?;
            at += 8;
        }
        fits(at, 8, list.len)?;
        put(at, entry)?;
        at += 8;
        left -= 1;
    }
    Ok([first, list.iova])
}

/// Pages that the segments touch.
fn count_pages(segments: &[Segment], page: u64) -> Result<u64, Error> {
    let mut total: u64 = 0;
    for (i, segment) in segments.iter().enumerate() {
        let Segment { iova, len } = *segment;
        let end = iova
            .checked_add(len)
            // Room to round up.
            .filter(|end| len > 0 && end.checked_add(page).is_some())
            .ok_or_else(|| Error::refused(format!("no data are at {iova:#x} + {len:#x}")))?;
        let starts = i == 0 && iova.is_multiple_of(4) || iova.is_multiple_of(page);
        let ends = i + 1 == segments.len() || end.is_multiple_of(page);
        if !starts || !ends {
            return Err(Error::refused(format!(
                "PRPs can't describe segment {i}, {iova:#x} to {end:#x}: pages are {page:#x} bytes"
            )));
        }
        total += end.div_ceil(page) - iova / page;
    }
    Ok(total)
}

/// Describes `segments` by an SGL; descriptors of a list are handed to `put` with their offset in
/// `list`.
pub(crate) fn sgl(
    segments: &[Segment],
    list: Segment,
    mut put: impl FnMut(u64, &[u8]) -> Result<(), Error>,
) -> Result<SglDescriptor, Error> {
    let block = |segment: &Segment| {
        let len = u32::try_from(segment.len).map_err(|_| {
            Error::refused(format!(
                "{} bytes do not fit an SGL descriptor",
                segment.len
            ))
        })?;
        Ok(SglDescriptor::new(SglType::DataBlock, segment.iova, len))
    };
    match segments {
        [] => Ok(SglDescriptor::default()),
        [one] => block(one),
        many => {
            let mut at = 0;
            for segment in many {
                fits(at, 16, list.len)?;
                put(at, block(segment)?.as_bytes())?;
                at += 16;
            }
            Ok(SglDescriptor::new(
                SglType::LastSegment,
                list.iova,
                at as u32,
            ))
        }
    }
}

fn fits(at: u64, len: u64, list: u64) -> Result<(), Error> {
    if at + len > list {
        return Err(Error::refused(format!(
            "the data need more than the {list} bytes that the queue has for a command's list"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const PAGE: u64 = 4096;

    fn segment(iova: u64, len: u64) -> Segment {
        Segment { iova, len }
    }

    /// PRP1, PRP2, and all pages that a controller would find by following them.
    fn walk(segments: &[Segment], list: Segment) -> Result<([u64; 2], Vec<u64>), Error> {
        let mut memory = BTreeMap::new();
        let prp = prps(segments, PAGE, list, |at, entry| {
            memory.insert(list.iova + at, entry);
            Ok(())
        })?;
        let len: u64 = segments.iter().map(|s| s.len).sum();
        let mut left = (prp[0] % PAGE + len).div_ceil(PAGE).max(1);
        let mut found = vec![prp[0]];
        left -= 1;
        if left == 1 {
            found.push(prp[1]);
        } else if left > 1 {
            let mut at = prp[1];
            while left > 0 {
                let entry = memory.remove(&at).expect("an entry");
                if at % PAGE == PAGE - 8 && left > 1 {
                    assert_eq!(entry % PAGE, 0, "a list continues at a page's start");
                    at = entry;
                } else {
                    found.push(entry);
                    left -= 1;
                    at += 8;
                }
            }
        }
        assert!(memory.is_empty(), "entries that nobody reads: {memory:x?}");
        Ok((prp, found))
    }

    #[test]
    fn one_and_two_pages_need_no_list() {
        let list = segment(0, 0);
        assert_eq!(
            walk(&[segment(0x1000, 512)], list).expect("ok").0,
            [0x1000, 0]
        );
        assert_eq!(
            walk(&[segment(0x1E00, 512)], list).expect("ok").0,
            [0x1E00, 0]
        );
        assert_eq!(
            walk(&[segment(0x1E00, 516)], list).expect("ok").0,
            [0x1E00, 0x2000]
        );
        assert_eq!(
            walk(&[segment(0x1000, 8192)], list).expect("ok").0,
            [0x1000, 0x2000]
        );
        assert_eq!(prps(&[], PAGE, list, |_, _| Ok(())).expect("ok"), [0, 0]);
    }

    #[test]
    fn a_list_names_each_page_once_whatever_the_length() {
        for pages in [3, 4, 511, 512, 513, 514, 1023, 1024, 1025, 1536, 2000] {
            for offset in [0, 4, 2048] {
                let data = segment(0x10_0000 + offset, pages * PAGE);
                let list = segment(0x9000_0000, list_len(pages * PAGE, PAGE));
                let (prp, found) = walk(&[data], list).expect("fits");
                assert_eq!(prp, [0x10_0000 + offset, 0x9000_0000]);
                let last = pages + u64::from(offset > 0);
                let expected = (1..last).map(|i| 0x10_0000 + i * PAGE);
                assert!(
                    found[1..].iter().copied().eq(expected),
                    "{pages} at {offset}"
                );
            }
        }
    }

    #[test]
    fn a_short_list_may_lie_anywhere_in_a_page() {
        let list = segment(0x9000_0800, list_len(256 * PAGE, PAGE));
        assert_eq!(list.len, 2048);
        let (prp, found) = walk(&[segment(0x10_0004, 256 * PAGE)], list).expect("fits");
        assert_eq!((prp[1], found.len()), (0x9000_0800, 257));
    }

    #[test]
    fn segments_meet_at_pages() {
        let list = segment(0x9000_0000, 4096);
        let scattered = [
            segment(0x1800, 0x800),
            segment(0x8000, 0x2000),
            segment(0x4000, 12),
        ];
        let (_, found) = walk(&scattered, list).expect("fits");
        assert_eq!(found, [0x1800, 0x8000, 0x9000, 0x4000]);
        for bad in [
            [segment(0x1000, 0x800), segment(0x2000, 0x1000)],
            [segment(0x1000, 0x1000), segment(0x2004, 0x1000)],
            [segment(0x1002, 0xFFE), segment(0x2000, 0x1000)],
            [segment(0x1000, 0), segment(0x2000, 0x1000)],
            [segment(u64::MAX - 0xFFF, 0x1000), segment(0x2000, 0x1000)],
        ] {
            assert!(prps(&bad, PAGE, list, |_, _| Ok(())).is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn data_that_need_a_longer_list_are_refused() {
        let list = segment(0x9000_0000, 64);
        assert!(walk(&[segment(0x1000, 9 * PAGE)], list).is_ok());
        assert!(prps(&[segment(0x1000, 10 * PAGE)], PAGE, list, |_, _| Ok(())).is_err());
        let many = [segment(0x1000, 4); 5];
        assert!(sgl(&many, list, |_, _| Ok(())).is_err());
    }

    #[test]
    fn one_block_is_in_the_command_and_more_are_in_a_last_segment() {
        let list = segment(0x9000_0000, 64);
        let one = sgl(&[segment(0x1003, 5)], list, |_, _| panic!("no list")).expect("ok");
        assert_eq!(one, SglDescriptor::new(SglType::DataBlock, 0x1003, 5));
        let mut put = Vec::new();
        let two = sgl(&[segment(1, 2), segment(3, 4)], list, |at, bytes| {
            put.push((at, bytes.to_vec()));
            Ok(())
        });
        let last = SglDescriptor::new(SglType::LastSegment, 0x9000_0000, 32);
        assert_eq!(two.expect("ok"), last);
        let second = SglDescriptor::new(SglType::DataBlock, 3, 4);
        assert_eq!((put.len(), &put[1]), (2, &(16, second.as_bytes().to_vec())));
        assert!(sgl(&[segment(0, 1 << 32)], list, |_, _| Ok(())).is_err());
    }
}
