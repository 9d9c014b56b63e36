//! Asynchronous events (Base, 5.1.2).

use crate::features::Features;
use nvme_spec::Lid;
use nvme_spec::admin::{AsyncEvent, AsyncEventType};
use std::collections::BTreeSet;

/// Requests that a host may have outstanding (AERL plus one).
pub const MAX_REQUESTS: usize = 4;

/// Requests that wait for an event, and events that wait for a request.
#[derive(Default)]
pub struct Events {
    /// Command identifiers. The admin queue is the only one that takes requests.
    requests: Vec<u16>,
    /// At most one of each kind: a second one would tell nothing new.
    pending: Vec<AsyncEvent>,
    /// Types that were reported and whose log page the host has not read yet.
    masked: Vec<(AsyncEventType, Lid)>,
    /// Namespaces that have changed since the host last read which.
    changed: BTreeSet<u32>,
}

impl Events {
    /// A host's request for the next event; `false` when it is one too many.
    #[must_use]
    pub fn request(&mut self, cid: u16) -> bool {
        let room = self.requests.len() < MAX_REQUESTS;
        if room {
            self.requests.push(cid);
        }
        room
    }

    /// Something happened. `false` when the same event already waits to be told.
    pub fn raise(&mut self, event: AsyncEvent) -> bool {
        if self.pending.contains(&event) {
            return false;
        }
        self.pending.push(event);
        true
    }

    /// Whether there may be something to deliver.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.pending.is_empty() && !self.requests.is_empty()
    }

    /// Takes a request and the event that completes it. Notices that the host has not enabled are
    /// forgotten.
    pub fn deliver(&mut self, features: &Features) -> Option<(u16, u32)> {
        self.pending.retain(|event| features.wants(*event));
        let free = |event: &AsyncEvent| !self.masked.iter().any(|(aet, _)| *aet == event.aet());
        let at = self.pending.iter().position(free)?;
        if self.requests.is_empty() {
            return None;
        }
        let event = self.pending.remove(at);
        self.masked.push((event.aet(), event.lid()));
        Some((self.requests.remove(0), event.into_bits()))
    }

    /// What Identify says of a namespace has changed.
    pub fn namespace_changed(&mut self, nsid: u32) {
        self.changed.insert(nsid);
    }

    /// The Changed Attached Namespace List: NSIDs, ascending.
    #[must_use]
    pub fn changed_list(&self) -> Vec<u8> {
        /// Identifiers that the page has room for.
        const ROOM: usize = 1024;
        let mut bytes: Vec<u8> = match self.changed.len() {
            0..=ROOM => self.changed.iter().flat_map(|n| n.to_le_bytes()).collect(),
            _ => u32::MAX.to_le_bytes().into(),
        };
        bytes.resize(ROOM * size_of::<u32>(), 0);
        bytes
    }

    /// The host has read the list.
    pub fn forget_changed(&mut self) {
        self.changed.clear();
    }

    /// The host has read a log page: what it explains may be told again.
    pub fn read(&mut self, lid: Lid) {
        self.masked.retain(|(_, masked)| *masked != lid);
    }

    /// Takes the request `cid`, to abort it; `false` when there is none.
    #[must_use]
    pub fn withdraw(&mut self, cid: u16) -> bool {
        let at = self.requests.iter().position(|&request| request == cid);
        at.map(|at| self.requests.remove(at)).is_some()
    }

    /// Forgets requests and events.
    pub fn reset(&mut self) {
        self.requests.clear();
        self.pending.clear();
        self.masked.clear();
        self.changed.clear();
    }
}
