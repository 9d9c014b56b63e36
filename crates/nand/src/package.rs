//! Dies on channels: the phases of an operation, each on its own timeline.

use crate::{Calendar, Die, Geometry, PageTimes, ReadPriority, Recorder, Resource, Work};
use ersatz_engine::{Booking, Ns};

/// The phases of an operation on a channel's bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bus {
    /// Time of the command cycles.
    pub command: Ns,
    /// Time of the address cycles.
    pub address: Ns,
    /// Bytes per second of the data phase; 0: data takes no time.
    pub bandwidth: u64,
    /// Time of reading the status after a program or an erase.
    pub status: Ns,
}

impl Bus {
    /// Time of `bytes` on the bus; exact up to 18 GB.
    #[must_use]
    pub fn transfer(&self, bytes: u64) -> Ns {
        let ns = bytes
            .saturating_mul(1_000_000_000)
            .checked_div(self.bandwidth);
        Ns(ns.unwrap_or(0))
    }
}

/// Times of the chips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Array times.
    pub pages: PageTimes,
    /// Bus times.
    pub bus: Bus,
    /// What a host's read does when the die is busy.
    pub read_priority: ReadPriority,
    /// Cache read: the array reads the next page while the last one's data is on the bus.
    pub cache_read: bool,
    /// Cache program: the next page's data is on the bus while the array programs the last one.
    pub cache_program: bool,
}

/// Who asked for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A host waits for it: it goes first where the chips can do that.
    Host,
    /// Nobody does.
    Background,
}

/// When an operation occupies what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The data has left the controller's memory (program), or arrived there (read).
    pub transferred: Ns,
    /// All is done.
    pub end: Ns,
}

/// All channels and dies. Computes when operations are done; holds no data and knows nothing of
/// what pages are for, so that it serves a translation layer as well as a host that does without.
#[derive(Clone, Debug)]
pub struct Package {
    timing: Timing,
    channels: Vec<Calendar>,
    dies: Vec<Die>,
    interruptions: u32,
    now: Ns,
    /// What was busy when.
    pub recorder: Recorder,
}

impl Package {
    /// Idle chips. `geometry` was [checked](Geometry::check).
    #[must_use]
    pub fn new(geometry: &Geometry, timing: Timing) -> Self {
        let interruptions = match timing.read_priority {
            ReadPriority::Suspend { limit, .. } => limit,
            _ => 0,
        };
        Self {
            timing,
            channels: vec![Calendar::default(); geometry.channels as usize],
            dies: vec![Die::default(); geometry.dies() as usize],
            interruptions,
            now: Ns::ZERO,
            recorder: Recorder::default(),
        }
    }

    /// Nothing will be asked of the chips before `now` any more.
    pub fn forget(&mut self, now: Ns) {
        self.now = now;
    }

    #[inline]
    fn channel(&self, die: u32) -> u32 {
        die % self.channels.len() as u32
    }

    #[inline]
    fn book_bus(&mut self, channel: u32, earliest: Ns, duration: Ns) -> Booking {
        let booking = self.channels[channel as usize].book(earliest, duration);
        let Booking { begin, end } = booking;
        self.recorder
            .push(Resource::Channel(channel), Work::Transfer, begin, end);
        booking
    }

    /// Reads page `page` of one or more planes of `die` at once, with `extra` array time for
    /// retries, and moves `bytes` over the bus.
    pub fn read(
        &mut self,
        now: Ns,
        die: u32,
        page: u32,
        bytes: u64,
        extra: Ns,
        urgency: Urgency,
    ) -> Operation {
        let number = self.channel(die);
        let (channel, array) = (
            &mut self.channels[number as usize],
            &mut self.dies[die as usize],
        );
        // What is over is dropped from the channel here, and from a die only when its backlog grows.
        channel.forget(self.now);
        let priority = match urgency {
            Urgency::Host => self.timing.read_priority,
            Urgency::Background => ReadPriority::None,
        };
        if priority == ReadPriority::None {
            array.forget(self.now);
        }
        let bus = &self.timing.bus;
        let issued = channel.book(now, bus.command + bus.address);
        let sense = self.timing.pages.read(page) + extra;
        let begin = array.read_begin(issued.end, sense, priority);
        let sensed = begin + sense;
        let moved = channel.book(sensed, bus.transfer(bytes));
        let until = if self.timing.cache_read {
            sensed
        } else {
            moved.end
        };
        array.book_read(begin, until, priority);
        if self.recorder.is_on() {
            for transfer in [issued, moved] {
                let channel = Resource::Channel(number);
                self.recorder
                    .push(channel, Work::Transfer, transfer.begin, transfer.end);
            }
            self.recorder
                .push(Resource::Die(die), Work::Read, begin, until);
        }
        Operation {
            transferred: moved.end,
            end: moved.end,
        }
    }

    /// Programs page `page` of one or more planes of `die` at once with `bytes` of data.
    pub fn program(&mut self, now: Ns, die: u32, page: u32, bytes: u64) -> Operation {
        let channel = self.channel(die);
        self.channels[channel as usize].forget(self.now);
        let bus = self.timing.bus;
        let at = die as usize;
        self.dies[at].forget(self.now);
        let phase = bus.command + bus.address + bus.transfer(bytes);
        let array = self.timing.pages.program(page);
        // The register that takes the data is free when the operation before has begun (its data is
        // in the other one), or, with one register only, when it is done.
        let (began, done) = self.dies[at].before(self.dies[at].gap(now + phase, array));
        let free = if self.timing.cache_program {
            began
        } else {
            done
        };
        let moved = self.book_bus(channel, now.max(free), phase);
        let begin = self.dies[at].gap(moved.end, array);
        let programmed = begin + array;
        let from = if self.timing.cache_program {
            begin
        } else {
            moved.begin.max(done)
        };
        self.dies[at].book(from, programmed, self.interruptions);
        self.recorder
            .push(Resource::Die(die), Work::Program, from, programmed);
        let end = self.book_bus(channel, programmed, bus.status).end;
        Operation {
            transferred: moved.end,
            end,
        }
    }

    /// Erases a block of one or more planes of `die` at once.
    pub fn erase(&mut self, now: Ns, die: u32) -> Ns {
        let channel = self.channel(die);
        self.channels[channel as usize].forget(self.now);
        let bus = self.timing.bus;
        let issued = self.book_bus(channel, now, bus.command + bus.address).end;
        let array = self.timing.pages.erase();
        self.dies[die as usize].forget(self.now);
        let begin = self.dies[die as usize].gap(issued, array);
        let erased = begin + array;
        self.dies[die as usize].book(begin, erased, self.interruptions);
        self.recorder
            .push(Resource::Die(die), Work::Erase, begin, erased);
        self.book_bus(channel, erased, bus.status).end
    }

    /// The times that the chips were built with.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// The sum of all work ever booked, by channel.
    pub fn channels_busy(&self) -> impl Iterator<Item = Ns> {
        self.channels.iter().map(Calendar::busy)
    }

    /// The sum of all work ever booked, by die.
    pub fn dies_busy(&self) -> impl Iterator<Item = Ns> {
        self.dies.iter().map(Die::busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two dies on one channel; read 40, program 200, erase 1000; 2 for command and address, 10
    /// for a page of 4096 bytes, 1 for status.
    fn package(change: impl FnOnce(&mut Timing)) -> Package {
        let geometry = Geometry {
            channels: 1,
            dies_per_channel: 2,
            planes: 2,
            blocks: 4,
            pages: 4,
            page_bytes: 4096,
        };
        let mut timing = Timing {
            pages: PageTimes::flat(4, Ns(40), Ns(200), Ns(1000)),
            bus: Bus {
                command: Ns(1),
                address: Ns(1),
                bandwidth: 4096 * 100_000_000,
                status: Ns(1),
            },
            read_priority: ReadPriority::None,
            cache_read: false,
            cache_program: false,
        };
        change(&mut timing);
        Package::new(&geometry, timing)
    }

    fn read(package: &mut Package, die: u32) -> Ns {
        package
            .read(Ns(0), die, 0, 4096, Ns::ZERO, Urgency::Host)
            .end
    }

    #[test]
    fn dies_read_at_the_same_time_and_share_the_bus() {
        let mut package = package(|_| {});
        assert_eq!(read(&mut package, 0), Ns(52));
        // The second command goes between the first one and its data; its data comes after.
        assert_eq!(read(&mut package, 1), Ns(62));
        assert_eq!(package.channels_busy().collect::<Vec<_>>(), [Ns(24)]);
    }

    #[test]
    fn a_recording_shows_every_phase_on_its_resource() {
        let mut package = package(|_| {});
        package.recorder.record(true);
        read(&mut package, 1);
        let spans: Vec<_> = package
            .recorder
            .take()
            .iter()
            .map(|span| (span.resource, span.work, span.begin.0, span.end.0))
            .collect();
        let (channel, die) = (Resource::Channel(0), Resource::Die(1));
        assert_eq!(
            spans,
            [
                (channel, Work::Transfer, 0, 2),
                (channel, Work::Transfer, 42, 52),
                (die, Work::Read, 2, 52),
            ]
        );
        assert!(package.recorder.take().is_empty());
    }

    #[test]
    fn a_cache_read_overlaps_the_next_page_with_the_bus() {
        let mut plain = package(|_| {});
        let mut cached = package(|timing| timing.cache_read = true);
        read(&mut plain, 0);
        read(&mut cached, 0);
        assert_eq!(read(&mut plain, 0), Ns(52 + 40 + 10));
        assert_eq!(read(&mut cached, 0), Ns(42 + 40 + 10));
    }

    #[test]
    fn a_cache_program_overlaps_the_next_pages_data_with_the_array() {
        let mut plain = package(|_| {});
        let mut cached = package(|timing| timing.cache_program = true);
        for package in [&mut plain, &mut cached] {
            let first = package.program(Ns(0), 0, 0, 4096);
            assert_eq!((first.transferred, first.end), (Ns(12), Ns(213)));
        }
        // The status of the first comes before the data of the second.
        assert_eq!(plain.program(Ns(0), 0, 1, 4096).end, Ns(213 + 12 + 200 + 1));
        assert_eq!(cached.program(Ns(0), 0, 1, 4096).end, Ns(213 + 200));
    }

    #[test]
    fn a_multi_plane_program_moves_all_data_and_programs_once() {
        let mut package = package(|_| {});
        assert_eq!(package.program(Ns(0), 0, 0, 2 * 4096).end, Ns(22 + 200 + 1));
    }

    #[test]
    fn a_read_interrupts_an_erase() {
        let priority = ReadPriority::Suspend {
            suspend: Ns(5),
            resume: Ns(3),
            limit: 9,
        };
        let mut package = package(|timing| timing.read_priority = priority);
        assert_eq!(package.erase(Ns(0), 0), Ns(1003));
        let done = package
            .read(Ns(100), 0, 0, 4096, Ns::ZERO, Urgency::Host)
            .end;
        assert_eq!(done, Ns(100 + 2 + 5 + 40 + 10));
        // 900 of 1000 were left, and the register is in use until the data is out.
        assert_eq!(package.dies[0].free_at(), Ns(157 + 3 + 900));
    }
}
