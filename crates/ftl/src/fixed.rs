//! Fixed times per page, on one timeline per die.

use crate::media::{Extent, Media, MediaHeap, Outcome, Placement};
use ersatz_engine::{Ns, Timeline};
use ersatz_nand::Resource;

/// What a [`Fixed`] media is made of.
#[derive(Clone, Copy, Debug)]
pub struct FixedConfig {
    /// Bytes of logical space.
    pub capacity: u64,
    /// Dies that work at the same time; at least 1.
    pub dies: u32,
    /// Bytes of a page; at least 1.
    pub page: u64,
    /// Time of a page read on its die.
    pub read: Ns,
    /// Time of a page program on its die.
    pub program: Ns,
}

/// Page `n` of the logical space lies on die `n mod dies`, for ever: no mapping, no garbage
/// collection, no wear. A page that is partly covered costs as much as a whole one. Trim and flush
/// take no time.
#[derive(Debug)]
pub struct Fixed {
    config: FixedConfig,
    dies: Vec<Timeline>,
}

impl Fixed {
    /// The media of `config`.
    #[must_use]
    pub fn new(config: FixedConfig) -> Self {
        Self {
            config,
            dies: vec![Timeline::default(); config.dies.max(1) as usize],
        }
    }

    fn book(&mut self, now: Ns, at: Extent, duration: Ns) -> Ns {
        let page = self.config.page.max(1);
        let pages = at.start / page..=(at.start + at.len - 1) / page;
        let dies = self.dies.len() as u64;
        pages.fold(now, |end, page| {
            end.max(self.dies[(page % dies) as usize].book(now, duration).end)
        })
    }
}

impl Media for Fixed {
    fn capacity(&self) -> u64 {
        self.config.capacity
    }

    fn read(&mut self, now: Ns, at: Extent, _heap: &mut MediaHeap) -> Outcome {
        Ok(self.book(now, at, self.config.read))
    }

    fn write(&mut self, now: Ns, at: Extent, _to: Placement, _heap: &mut MediaHeap) -> Outcome {
        Ok(self.book(now, at, self.config.program))
    }

    fn trim(&mut self, now: Ns, _at: Extent, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }

    fn flush(&mut self, now: Ns, _heap: &mut MediaHeap) -> Outcome {
        Ok(now)
    }

    fn busy(&self) -> Vec<(Resource, Ns)> {
        let dies = self.dies.iter().zip(0..);
        dies.map(|(die, number)| (Resource::Die(number), die.busy()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media() -> Fixed {
        let (read, program) = (Ns(40), Ns(200));
        Fixed::new(FixedConfig {
            capacity: 1 << 20,
            dies: 2,
            page: 4096,
            read,
            program,
        })
    }

    #[test]
    fn pages_on_different_dies_are_read_at_the_same_time_and_on_the_same_die_in_turn() {
        let (mut media, mut heap) = (media(), MediaHeap::new());
        let pages = |n: u64| Extent {
            start: 0,
            len: n * 4096,
        };
        assert_eq!(media.read(Ns(0), pages(2), &mut heap), Ok(Ns(40)));
        assert_eq!(media.read(Ns(0), pages(3), &mut heap), Ok(Ns(120)));
    }

    #[test]
    fn a_byte_of_a_page_costs_a_page() {
        let (mut media, mut heap) = (media(), MediaHeap::new());
        let across = Extent {
            start: 4095,
            len: 2,
        };
        assert_eq!(
            media.write(Ns(7), across, Placement::default(), &mut heap),
            Ok(Ns(207))
        );
    }
}
