//! The drive's processors, which I/O commands pass through before anything else happens to them.

use ersatz_engine::{Ns, Timeline};

/// Processors that execute the firmware: each has one I/O command at a time, and a command that
/// arrives goes to the one that is free first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirmwareConfig {
    /// Processors, at least 1.
    pub cores: u16,
    /// What a command takes of its processor.
    pub per_command: Ns,
}

/// When each processor is free.
#[derive(Debug)]
pub(super) struct Cores {
    per_command: Ns,
    timelines: Vec<Timeline>,
}

impl Cores {
    pub(super) fn new(config: FirmwareConfig) -> Self {
        Self {
            per_command: config.per_command,
            timelines: vec![Timeline::default(); config.cores.max(1).into()],
        }
    }

    /// The host is gone, and with it all commands.
    pub(super) fn cut(&mut self, now: Ns) {
        self.timelines.iter_mut().for_each(|core| core.cut(now));
    }

    /// When a command that arrives at `now` has been read.
    pub(super) fn read(&mut self, now: Ns) -> Ns {
        let core = self.timelines.iter_mut().min_by_key(|core| core.free_at());
        core.map_or(now, |core| core.book(now, self.per_command).end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_go_to_the_processor_that_is_free_first_and_wait_for_it() {
        let mut cores = Cores::new(FirmwareConfig {
            cores: 2,
            per_command: Ns(10),
        });
        let read = [0, 3, 4, 40].map(|now| cores.read(Ns(now)));
        assert_eq!(read, [Ns(10), Ns(13), Ns(20), Ns(50)]);
    }
}
