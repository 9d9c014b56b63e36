//! Bits per cell, and what they do to the time of a page.

use ersatz_engine::Ns;

/// How many bits a cell stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CellType {
    /// One bit.
    Slc,
    /// Two bits.
    Mlc,
    /// Three bits.
    Tlc,
    /// Four bits.
    Qlc,
}

impl CellType {
    /// Bits per cell, which is also the number of page types.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Slc => 1,
            Self::Mlc => 2,
            Self::Tlc => 3,
            Self::Qlc => 4,
        }
    }

    /// The cell type of so many bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            1 => Some(Self::Slc),
            2 => Some(Self::Mlc),
            3 => Some(Self::Tlc),
            4 => Some(Self::Qlc),
            _ => None,
        }
    }
}

/// The times of every page of a block by its index, and of the block's erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageTimes {
    read: Vec<Ns>,
    program: Vec<Ns>,
    erase: Ns,
}

impl PageTimes {
    /// All `pages` of a block take the same times.
    #[must_use]
    pub fn flat(pages: u32, read: Ns, program: Ns, erase: Ns) -> Self {
        Self {
            read: vec![read; pages as usize],
            program: vec![program; pages as usize],
            erase,
        }
    }

    /// Times by page type: `kind` gives the type of a page index, which selects from `read` and
    /// `program`; a type beyond the end of a slice takes the slice's last time. Both slices have
    /// at least one time.
    #[must_use]
    pub fn by_type(
        pages: u32,
        kind: impl Fn(u32) -> u32,
        read: &[Ns],
        program: &[Ns],
        erase: Ns,
    ) -> Self {
        let pick = |times: &[Ns], page| {
            let last = times.len().saturating_sub(1);
            times
                .get((kind(page) as usize).min(last))
                .copied()
                .unwrap_or_default()
        };
        Self {
            read: (0..pages).map(|page| pick(read, page)).collect(),
            program: (0..pages).map(|page| pick(program, page)).collect(),
            erase,
        }
    }

    /// Array time of a read of page `index`; `index` is below the number of pages.
    #[inline]
    #[must_use]
    pub fn read(&self, index: u32) -> Ns {
        self.read[index as usize]
    }

    /// Array time of a program of page `index`; `index` is below the number of pages.
    #[inline]
    #[must_use]
    pub fn program(&self, index: u32) -> Ns {
        self.program[index as usize]
    }

    /// Array time of an erase.
    #[inline]
    #[must_use]
    pub fn erase(&self) -> Ns {
        self.erase
    }
}
