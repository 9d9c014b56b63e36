//! What a package of chips is made of.

/// Channels of dies of planes of blocks of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Channels; at least 1.
    pub channels: u32,
    /// Dies on each channel; at least 1.
    pub dies_per_channel: u32,
    /// Planes of a die, which work at the same time on pages of the same number; at least 1.
    pub planes: u32,
    /// Blocks of a plane; at least 1.
    pub blocks: u32,
    /// Pages of a block; at least 1.
    pub pages: u32,
    /// Bytes of a page without its spare area; at least 512.
    pub page_bytes: u32,
}

/// Why a [`Geometry`] is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// A number is below its minimum.
    #[error("{name} is {value}; it must be at least {least}")]
    TooSmall {
        /// Which number.
        name: &'static str,
        /// Its value.
        value: u32,
        /// Its least value.
        least: u32,
    },
    /// More pages than can be numbered.
    #[error(
        "{channels} channels × {dies} dies × {planes} planes × {blocks} blocks × {pages} pages are \
         more than the {limit} pages that can be numbered",
        channels = .0.channels, dies = .0.dies_per_channel, planes = .0.planes,
        blocks = .0.blocks, pages = .0.pages, limit = Geometry::MAX_PAGES
    )]
    TooLarge(Geometry),
}

impl Geometry {
    /// The most pages of a geometry.
    pub const MAX_PAGES: u32 = (1 << 31) - 1;

    /// Dies of all channels. Die `n` is on channel `n mod channels`.
    #[must_use]
    pub fn dies(&self) -> u32 {
        self.channels * self.dies_per_channel
    }

    /// Pages of all dies.
    #[must_use]
    pub fn total_pages(&self) -> u64 {
        [
            self.channels,
            self.dies_per_channel,
            self.planes,
            self.blocks,
            self.pages,
        ]
        .into_iter()
        .fold(1, |product: u64, factor| {
            product.saturating_mul(factor.into())
        })
    }

    /// Checks all numbers.
    ///
    /// # Errors
    /// The first number that is too small, or the product when it is too large.
    pub fn check(&self) -> Result<(), GeometryError> {
        for (name, value, least) in [
            ("the number of channels", self.channels, 1),
            ("the number of dies per channel", self.dies_per_channel, 1),
            ("the number of planes", self.planes, 1),
            ("the number of blocks per plane", self.blocks, 1),
            ("the number of pages per block", self.pages, 1),
            ("the page's size in bytes", self.page_bytes, 512),
        ] {
            if value < least {
                return Err(GeometryError::TooSmall { name, value, least });
            }
        }
        if self.total_pages() > u64::from(Self::MAX_PAGES) {
            return Err(GeometryError::TooLarge(*self));
        }
        Ok(())
    }
}
