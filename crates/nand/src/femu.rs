//! FEMU's built-in tables: times by cell type, and which page of a block is of which type.
//!
//! Source: FEMU `hw/femu/nand` and `hw/femu/bbssd`, commit 99ce4fb2b26a. The pairing has quirks that
//! no real chip has (the last 16 pages of a QLC block are all of the fastest type); they are kept,
//! because results are only comparable with them.

use crate::{CellType, PageTimes};
use ersatz_engine::Ns;

/// The tables describe at most so many pages of a block.
pub const TABLE_PAGES: u32 = 512;

/// How many thousandths of the nominal program time a page of each type takes, by pages per cell:
/// row `n - 1` is for `n` pages per cell.
const PROGRAM_SCALE: [&[u64]; 5] = [
    &[1000],
    &[600, 1400],
    &[600, 1000, 1400],
    &[500, 850, 1150, 1500],
    &[400, 750, 1000, 1250, 1600],
];

/// The most pages per cell for which [`scaled`] knows a row.
pub const MAX_CELL_PAGES: u32 = PROGRAM_SCALE.len() as u32;

/// The type of page `index` of a block, 0 being the fastest.
#[must_use]
pub fn page_type(cell: CellType, index: u32) -> u32 {
    match (cell, index) {
        (CellType::Slc, _) | (CellType::Mlc, 0..=5 | 7 | 8) => 0,
        (CellType::Mlc, 6 | 9) => 1,
        (CellType::Mlc, 10..=501) => (index - 10) / 2 % 2,
        (CellType::Mlc, 504 | 505 | 508 | 511) => 1,
        (CellType::Mlc, _) => 0,
        (CellType::Tlc | CellType::Qlc, 0..=5) => 0,
        (CellType::Tlc | CellType::Qlc, 6 | 7) => 1,
        (CellType::Tlc, _) => (index - 8) / 2 % 3,
        (CellType::Qlc, 496..) => 0,
        (CellType::Qlc, _) => (index - 8) / 2 % 4,
    }
}

/// The times of `cell` for blocks of `pages` pages, at most [`TABLE_PAGES`].
#[must_use]
pub fn built_in(cell: CellType, pages: u32) -> PageTimes {
    let (read, program, erase): (&[u64], &[u64], u64) = match cell {
        CellType::Slc => (&[40_000], &[800_000], 2_000_000),
        CellType::Mlc => (&[48_000, 64_000], &[850_000, 2_300_000], 3_000_000),
        CellType::Tlc => (
            &[56_500, 77_500, 106_000],
            &[820_500, 2_225_000, 5_734_000],
            3_000_000,
        ),
        CellType::Qlc => (
            &[59_325, 85_250, 127_200, 169_600],
            &[861_525, 2_447_500, 6_880_800, 9_174_400],
            3_000_000,
        ),
    };
    let ns = |times: &[u64]| times.iter().copied().map(Ns).collect::<Vec<_>>();
    PageTimes::by_type(
        pages,
        |page| page_type(cell, page),
        &ns(read),
        &ns(program),
        Ns(erase),
    )
}

/// Flat times, but for programs that depend on the page's type where `cell_pages` pages share a
/// cell: the type is the page's index modulo `cell_pages`, which is clamped to
/// 1–[`MAX_CELL_PAGES`].
#[must_use]
pub fn scaled(pages: u32, cell_pages: u32, read: Ns, program: Ns, erase: Ns) -> PageTimes {
    let cell_pages = cell_pages.clamp(1, MAX_CELL_PAGES);
    let row = PROGRAM_SCALE[cell_pages as usize - 1];
    let programs: Vec<Ns> = row
        .iter()
        .map(|scale| Ns(program.0.saturating_mul(*scale) / 1000))
        .collect();
    PageTimes::by_type(pages, |page| page % cell_pages, &[read], &programs, erase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairing_follows_the_tables_quirks() {
        let types = |cell, pages: &[u32]| -> Vec<u32> {
            pages.iter().map(|page| page_type(cell, *page)).collect()
        };
        assert_eq!(
            types(
                CellType::Mlc,
                &[5, 6, 7, 9, 10, 12, 14, 501, 502, 504, 508, 511]
            ),
            [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1]
        );
        assert_eq!(
            types(CellType::Tlc, &[5, 7, 8, 10, 12, 14, 511]),
            [0, 1, 0, 1, 2, 0, 2]
        );
        assert_eq!(
            types(CellType::Qlc, &[7, 8, 14, 16, 495, 496, 511]),
            [1, 0, 3, 0, 3, 0, 0]
        );
    }

    #[test]
    fn scaled_programs_truncate_and_leave_reads_alone() {
        let times = scaled(6, 3, Ns(40), Ns(333), Ns(9));
        let programs: Vec<u64> = (0..6).map(|page| times.program(page).0).collect();
        assert_eq!(programs, [199, 333, 466, 199, 333, 466]);
        assert_eq!((times.read(5), times.erase()), (Ns(40), Ns(9)));
    }
}
