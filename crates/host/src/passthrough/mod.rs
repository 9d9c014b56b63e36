//! A drive that Linux's own driver has, by its passthrough ioctls.
//!
//! Memory and compute namespaces have no block device; each has a generic character device
//! `/dev/ngXnY` though, of kernel 6.0 or later, which passes commands through.
//!
//! The kernel fills in CDW4-5 and the data pointer itself. Execute Program has its DLEN in CDW4, so
//! that data can't come with it on this way: see [`Device::sends_cdw4_5`].

mod sysfs;

use crate::ioctl::{self, Queue};
use crate::{Device, Error, Transfer, command};
use nvme_spec::identify::{IDENTIFY_SIZE, IdentifyController};
use nvme_spec::{Cns, Csi, Sqe};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;
use sysfs::Controller;
use zerocopy::FromBytes;

/// The most bytes that are sent with one command. The kernel passes on the pages of a buffer as
/// they lie in memory, and takes at most 127 pieces; MDTS may be less.
const MAX_TRANSFER: usize = 256 << 10;

/// Device nodes of a controller and its namespaces.
#[derive(Debug)]
pub struct Passthrough {
    controller: Controller,
    /// For Admin commands.
    node: File,
    /// For I/O commands, by NSID.
    namespaces: BTreeMap<u32, File>,
    max_transfer: usize,
}

impl Passthrough {
    /// Opens the drive that a device node belongs to: a controller's such as `/dev/nvme0`, or a
    /// namespace's such as `/dev/ng0n1` or `/dev/nvme0n1`. All namespaces of the drive that have a
    /// node which may be opened can be used then.
    ///
    /// # Errors
    /// When the node is not one of an NVMe drive, or may not be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let controller = sysfs::controller_of(path)?;
        let own = Path::new("/dev").join(&controller.name);
        // Who may open a namespace only can send Admin commands through that.
        let node = open(&own).or_else(|error| if own == path { Err(error) } else { open(path) })?;
        Self::new(controller, node)
    }

    fn new(controller: Controller, node: File) -> Result<Self, Error> {
        let mut namespaces = BTreeMap::new();
        for path in sysfs::generic_nodes(&controller) {
            let Ok(file) = open(&path) else { continue };
            let nsid = ioctl::nvme_id(&file).map_err(|error| {
                Error::os(format!("ask {} for its NSID", path.display()), error)
            })?;
            namespaces.insert(nsid, file);
        }
        let mut this = Self {
            controller,
            node,
            namespaces,
            max_transfer: MAX_TRANSFER,
        };
        this.max_transfer = this.max_transfer.min(this.mdts()?);
        Ok(this)
    }

    /// The controllers of the machine, as paths of their nodes.
    #[must_use]
    pub fn list() -> Vec<PathBuf> {
        let names = sysfs::controllers().into_iter();
        names
            .filter(|name| sysfs::controller_named(name).is_some())
            .map(|name| Path::new("/dev").join(name))
            .collect()
    }

    /// The controller's limit, for the smallest pages that it may have.
    fn mdts(&mut self) -> Result<usize, Error> {
        let mut buf = [0; IDENTIFY_SIZE];
        let sqe = command::identify(Cns::Controller, 0, Csi::Nvm);
        self.admin(&sqe, Transfer::Read(&mut buf), Duration::from_secs(60))?;
        let identify = IdentifyController::read_from_bytes(&buf)
            .map_err(|_| Error::protocol("Identify of another size"))?;
        Ok(match identify.mdts {
            mdts @ 1..=16 => 4096 << mdts,
            _ => usize::MAX,
        })
    }
}

impl Device for Passthrough {
    fn admin(&mut self, sqe: &Sqe, data: Transfer<'_>, limit: Duration) -> Result<u64, Error> {
        send(&self.node, Queue::Admin, sqe, data, limit)
    }

    fn io(&mut self, sqe: &Sqe, data: Transfer<'_>, limit: Duration) -> Result<u64, Error> {
        if sqe.mptr != 0 {
            let why = "CDW4-5 do not reach the drive: Linux's passthrough has no place for them";
            return Err(Error::Unsupported(why.into()));
        }
        let Some(node) = self.namespaces.get(&sqe.nsid) else {
            let (nsid, name) = (sqe.nsid, &self.controller.name);
            return Err(Error::refused(format!(
                "{name} has no node /dev/ng* for namespace {nsid} that may be opened"
            )));
        };
        send(node, Queue::Io, sqe, data, limit)
    }

    fn max_transfer(&self) -> usize {
        self.max_transfer
    }

    fn sends_cdw4_5(&self) -> bool {
        false
    }

    fn has_disk(&self, sysfs: &Path) -> bool {
        sysfs::is_in(sysfs, &self.controller)
    }
}

fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| Error::os(format!("open {}", path.display()), error))
}

fn send(
    node: &File,
    queue: Queue,
    sqe: &Sqe,
    mut data: Transfer<'_>,
    limit: Duration,
) -> Result<u64, Error> {
    let doing = || format!("command {:02X}h, namespace {}", sqe.opcode, sqe.nsid);
    match ioctl::nvme_command(node, queue, sqe, &mut data, limit) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(status)) => Err(Error::Status {
            doing: doing(),
            status,
        }),
        Err(error) => Err(Error::os(doing(), error)),
    }
}
