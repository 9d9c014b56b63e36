//! The timelines of all LUNs: all that takes time in FEMU's drive.

use super::config::Geometry;
use ersatz_engine::{Booking, Ns, Timeline};
use ersatz_nand::{Recorder, Resource, Work};

/// Timelines by number of the LUN: first over the channels, then over the LUNs of a channel. To
/// people they are numbered channel by channel.
#[derive(Debug)]
pub struct Luns {
    timelines: Vec<Timeline>,
    channels: u32,
    per_channel: u32,
    pub recorder: Recorder,
}

impl Luns {
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            timelines: vec![Timeline::default(); geometry.luns as usize],
            channels: geometry.channels,
            per_channel: geometry.luns_per_channel,
            recorder: Recorder::default(),
        }
    }

    /// Books work on a LUN and gives its end.
    #[inline]
    pub fn book(&mut self, lun: u32, work: Work, now: Ns, duration: Ns) -> Ns {
        let Booking { begin, end } = self.timelines[lun as usize].book(now, duration);
        if self.recorder.is_on() {
            let die = lun % self.channels * self.per_channel + lun / self.channels;
            self.recorder.push(Resource::Die(die), work, begin, end);
        }
        end
    }

    /// All LUNs, channel by channel.
    pub fn by_channel(&self) -> impl Iterator<Item = &Timeline> {
        let channels = self.channels as usize;
        (0..channels).flat_map(move |channel| self.timelines[channel..].iter().step_by(channels))
    }
}
