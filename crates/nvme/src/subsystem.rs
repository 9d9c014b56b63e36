//! The NVM subsystem: what all of a drive's controllers share.

use crate::error::NvmeError;
use crate::link::Link;
use crate::set::{CommandSet, Cx, Finished, Flash, Peers, Token};
use crate::statistics::{HostCounters, Traffic};
use ersatz_engine::Ns;
use ersatz_ftl::{Media, MediaHeap, Outcome};
use ersatz_pcie::Host;
use nvme_spec::log::ReachabilityCharacteristics;
use nvme_spec::{Csi, Sqe};

/// Who the drive says that it is.
#[derive(Clone, Debug)]
pub struct DriveIdentity {
    /// Serial number, at most 20 ASCII characters.
    pub serial: String,
    /// Model number, at most 40 ASCII characters.
    pub model: String,
    /// NVMe Qualified Name of the subsystem, at most 223 bytes.
    pub nqn: String,
}

/// A namespace: an NSID, and a command set that says what its commands mean.
pub struct Namespace {
    /// Its identifier, 1 or more.
    pub nsid: u32,
    /// Its UUID.
    pub uuid: [u8; 16],
    /// What its commands mean.
    pub set: Box<dyn CommandSet>,
}

/// Reachability groups whose namespaces can work with one another (Base, 8.1.21).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// Its identifier.
    pub id: u32,
    /// Its groups, ascending.
    pub groups: Vec<u32>,
    /// What is said of copies between them.
    pub characteristics: ReachabilityCharacteristics,
}

/// Namespaces, media and link of a drive.
pub struct Subsystem {
    /// Who the drive is.
    pub identity: DriveIdentity,
    /// What the namespaces with blocks lie on.
    pub media: Box<dyn Media>,
    /// Bytes moved so far.
    pub traffic: Traffic,
    /// Commands and data so far.
    pub counters: HostCounters,
    /// The link to the host.
    pub link: Link,
    namespaces: Vec<Namespace>,
    heap: MediaHeap,
    finished: Vec<Finished>,
}

impl Subsystem {
    /// A subsystem of these namespaces; they are sorted by NSID.
    #[must_use]
    pub fn new(
        identity: DriveIdentity,
        media: Box<dyn Media>,
        link: Link,
        mut namespaces: Vec<Namespace>,
    ) -> Self {
        namespaces.sort_by_key(|namespace| namespace.nsid);
        Self {
            identity,
            media,
            traffic: Traffic::default(),
            counters: HostCounters::default(),
            link,
            namespaces,
            heap: MediaHeap::new(),
            finished: Vec::new(),
        }
    }

    /// All namespaces, by NSID.
    #[must_use]
    pub fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    /// The namespace `nsid`.
    #[must_use]
    pub fn namespace(&self, nsid: u32) -> Option<&Namespace> {
        self.namespaces
            .iter()
            .find(|namespace| namespace.nsid == nsid)
    }

    /// The same, to be changed.
    pub(crate) fn namespace_mut(&mut self, nsid: u32) -> Option<&mut Namespace> {
        self.namespaces
            .iter_mut()
            .find(|namespace| namespace.nsid == nsid)
    }

    /// The highest NSID that names a namespace; 1 at least.
    #[must_use]
    pub fn max_nsid(&self) -> u32 {
        self.namespaces.last().map_or(1, |namespace| namespace.nsid)
    }

    /// The I/O command sets of the namespaces, as a combination vector (CNS 1Ch).
    #[must_use]
    pub fn combination(&self) -> u64 {
        let bit = |namespace: &Namespace| 1 << (u64::from(namespace.set.csi().into_bits()) & 63);
        self.namespaces
            .iter()
            .map(bit)
            .fold(1 << Csi::Nvm.into_bits(), |all, bit: u64| all | bit)
    }

    /// The earliest time from which a program runs whose end is not known yet.
    #[must_use]
    pub fn programs_run_since(&self) -> Option<Ns> {
        let sets = self.namespaces.iter().map(|namespace| &namespace.set);
        sets.filter_map(|set| set.runs_since()).min()
    }

    /// When the media or a command set wants to be called next.
    #[must_use]
    pub fn next_due(&self) -> Option<Ns> {
        let sets = self.namespaces.iter();
        let sets = sets.filter_map(|namespace| namespace.set.next_due());
        sets.chain(self.media_due()).min()
    }

    /// When the media wants to be called next.
    pub(crate) fn media_due(&self) -> Option<Ns> {
        self.heap.next_due()
    }

    /// Lets the next media event that is due happen.
    pub(crate) fn media_event(&mut self, now: Ns) {
        if let Some((due, event)) = self.heap.pop_due(now) {
            self.media.event(due, event, &mut self.heap);
        }
    }

    /// When all that the media has accepted is non-volatile.
    pub(crate) fn flush(&mut self, now: Ns) -> Outcome {
        self.media.flush(now, &mut self.heap)
    }

    /// Lets command sets finish what they have parked.
    pub(crate) fn advance(&mut self, now: Ns) {
        let mut flash = Flash {
            now,
            traffic: &mut self.traffic,
            media: &mut *self.media,
            heap: &mut self.heap,
        };
        for namespace in &mut self.namespaces {
            namespace.set.advance(&mut flash, &mut self.finished);
        }
    }

    /// The reachability group of a namespace: each is in one of its own, of the same number.
    #[must_use]
    pub fn group(&self, namespace: &Namespace) -> u32 {
        namespace.nsid
    }

    /// Which namespaces can work with which: blocks and memory copy among themselves, programs
    /// reach memory.
    #[must_use]
    pub fn associations(&self) -> Vec<Association> {
        let groups = |wanted: [Csi; 2]| -> Vec<u32> {
            let namespaces = self.namespaces.iter();
            let wanted = namespaces.filter(|namespace| wanted.contains(&namespace.set.csi()));
            wanted.map(|namespace| self.group(namespace)).collect()
        };
        let has = |csi| {
            self.namespaces
                .iter()
                .any(|namespace| namespace.set.csi() == csi)
        };
        let mut associations = Vec::new();
        for (csi, characteristics) in [
            (Csi::Nvm, ReachabilityCharacteristics::FastCopy),
            (Csi::Cp, ReachabilityCharacteristics::Reachable),
        ] {
            if has(csi) && has(Csi::Slm) {
                let id = associations.len() as u32 + 1;
                let groups = groups([csi, Csi::Slm]);
                associations.push(Association {
                    id,
                    groups,
                    characteristics,
                });
            }
        }
        associations
    }

    /// Takes the parked commands of a controller that have been finished.
    pub(crate) fn take_finished(&mut self, controller: u16) -> Option<Finished> {
        let at = self
            .finished
            .iter()
            .position(|done| done.token.controller == controller)?;
        Some(self.finished.remove(at))
    }

    /// The host is gone: the next one does not wait for what this one has asked.
    pub(crate) fn disconnect(&mut self, now: Ns) {
        self.link.cut(now);
        for namespace in &mut self.namespaces {
            namespace.set.disconnect(now);
        }
    }

    /// Tells all command sets that a command will never be completed.
    pub(crate) fn abandon(&mut self, token: Token) {
        for namespace in &mut self.namespaces {
            namespace.set.abandon(token);
        }
        self.finished.retain(|done| done.token != token);
    }

    /// Why a command that names a namespace that is not there fails: it is inactive, or it can't
    /// be (Base, 3.2.1.4).
    pub(crate) fn absent(&self, nsid: u32) -> NvmeError {
        if (1..=self.max_nsid()).contains(&nsid) {
            return NvmeError::field(format!("namespace {nsid} is inactive"));
        }
        nvme_spec::Status::INVALID_NAMESPACE_OR_FORMAT.into()
    }

    /// Calls `act` with the namespace that the command names and all that it may use.
    pub(crate) fn with_namespace<T>(
        &mut self,
        call: Call<'_>,
        act: impl FnOnce(&mut dyn CommandSet, &mut Cx<'_>) -> T,
    ) -> Result<T, NvmeError> {
        let nsid = call.sqe.nsid;
        let index = self
            .namespaces
            .iter()
            .position(|namespace| namespace.nsid == nsid);
        let index = index.ok_or_else(|| self.absent(nsid))?;
        let (below, rest) = self.namespaces.split_at_mut(index);
        let Some((own, above)) = rest.split_first_mut() else {
            return Err(nvme_spec::Status::INTERNAL_ERROR.into());
        };
        let mut cx = Cx {
            now: call.now,
            sqe: call.sqe,
            token: call.token,
            nsid,
            peers: Peers { below, above },
            link: &mut self.link,
            media: &mut *self.media,
            heap: &mut self.heap,
            traffic: &mut self.traffic,
            counters: &mut self.counters,
            host: call.host,
            page: call.page,
            write_through: call.write_through,
            copy_formats: call.copy_formats,
        };
        Ok(act(&mut *own.set, &mut cx))
    }
}

/// A command on its way to its namespace.
pub(crate) struct Call<'a> {
    pub now: Ns,
    pub sqe: &'a Sqe,
    pub token: Token,
    pub page: u64,
    /// The host has disabled the volatile write cache.
    pub write_through: bool,
    /// Copy descriptor formats that the host has enabled.
    pub copy_formats: u16,
    pub host: &'a mut dyn Host,
}
