//! The link between host and drive.

use ersatz_engine::{Ns, Timeline};

/// How long bytes take to cross. Both directions work at the same time; in each, transfers follow
/// one another.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// Bytes per second in each direction; at least 1.
    pub bandwidth: u64,
    /// Propagation in each direction.
    pub latency: Ns,
}

/// The modelled link, or none: then crossing takes no time.
#[derive(Debug, Default)]
pub struct Link {
    config: Option<LinkConfig>,
    to_host: Timeline,
    from_host: Timeline,
}

impl Link {
    /// The link of `config`.
    #[must_use]
    pub fn new(config: Option<LinkConfig>) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// Whether crossing takes time.
    #[must_use]
    pub fn is_modelled(&self) -> bool {
        self.config.is_some()
    }

    /// The host is gone, and with it all that was under way.
    pub fn cut(&mut self, now: Ns) {
        self.to_host.cut(now);
        self.from_host.cut(now);
    }

    /// When `bytes` that leave the drive at `now` have arrived at the host.
    pub fn to_host(&mut self, now: Ns, bytes: u64) -> Ns {
        cross(self.config, &mut self.to_host, now, bytes)
    }

    /// When `bytes` that leave the host at `now` have arrived in the drive.
    pub fn from_host(&mut self, now: Ns, bytes: u64) -> Ns {
        cross(self.config, &mut self.from_host, now, bytes)
    }
}

fn cross(config: Option<LinkConfig>, direction: &mut Timeline, now: Ns, bytes: u64) -> Ns {
    let Some(config) = config else { return now };
    let bandwidth = u128::from(config.bandwidth.max(1));
    let duration = (u128::from(bytes) * 1_000_000_000).div_ceil(bandwidth);
    let duration = Ns(u64::try_from(duration).unwrap_or(u64::MAX));
    direction.book(now, duration).end + config.latency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_queue_per_direction_and_propagate_in_parallel() {
        let latency = Ns(900);
        let mut link = Link::new(Some(LinkConfig {
            bandwidth: 1_000_000_000,
            latency,
        }));
        assert_eq!(link.to_host(Ns(0), 4096), Ns(4996));
        assert_eq!(link.to_host(Ns(0), 4096), Ns(9092));
        assert_eq!(link.from_host(Ns(0), 4096), Ns(4996));
        assert_eq!(Link::default().to_host(Ns(5), 4096), Ns(5));
    }
}
