//! A computational storage drive: its flash, its memory and its programs.
//!
//! [`Csd::open`] finds out what a drive has; then [`copy_blocks`](Csd::copy_blocks) or
//! [`copy_file`](Csd::copy_file) bring data into device memory without passing the host,
//! [`load`](Csd::load) and [`activate`](Csd::activate) prepare a program, and
//! [`execute`](Csd::execute) runs it on ranges of that memory.
//!
//! Calls wait for the drive. What can't be right is refused before anything is sent.

mod blocks;
mod groups;
mod log;
mod memory;
mod namespace;
mod program;
mod reachability;
mod split;

pub use groups::{JobLog, Quality};
pub use memory::{FileCopy, LbaRange, MemoryAt};
pub use namespace::{About, ComputeNamespace, MemoryNamespace, NvmNamespace};
pub use program::{Job, Program, RangeSet, Ranges};
pub use reachability::{Association, Reachability};

use crate::driver::{Direct, Options, VfioUser};
use crate::error::Doing;
use crate::passthrough::Passthrough;
use crate::{Device, Error, Transfer, command};
use nvme_spec::identify::{
    IDENTIFY_SIZE, IdentifyController, IdentifyNamespaceIndependent, NamespaceList,
};
use nvme_spec::{Cns, Csi, NSID_NONE, Status};
use std::sync::Arc;
use std::time::Duration;
use zerocopy::FromBytes;

/// How long an Admin command may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an I/O command that moves data to or from the host may take.
const IO_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a copy within the drive may take.
const COPY_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a program may run unless told otherwise.
const EXECUTE_TIMEOUT: Duration = Duration::from_secs(600);

/// What comes before the path of a socket in an address.
const SOCKET: &str = "vfio-user:";

/// A drive, and what it had when it was opened.
pub struct Csd {
    device: Box<dyn Device>,
    serial: String,
    model: String,
    firmware: String,
    reports_reachability: bool,
    nvm: Vec<NvmNamespace>,
    memory: Vec<MemoryNamespace>,
    compute: Vec<ComputeNamespace>,
    execute_timeout: Duration,
}

/// A drive of this machine.
#[derive(Debug)]
pub struct Found {
    /// What [`Csd::open`] takes.
    pub address: String,
    /// The drive, or why it can't be opened.
    pub csd: Result<Csd, Error>,
}

impl Csd {
    /// Opens a drive by its address: `vfio-user:PATH` for a server's socket, or the path of a
    /// device node of Linux, of the drive (`/dev/nvme0`) or of one of its namespaces
    /// (`/dev/ng0n1`, `/dev/nvme0n1`).
    ///
    /// # Errors
    /// When there is no drive, or it may not be opened, or says impossible things.
    pub fn open(address: &str) -> Result<Self, Error> {
        let device: Box<dyn Device> = match address.strip_prefix(SOCKET) {
            Some(path) => {
                let transport = Arc::new(VfioUser::connect(path)?);
                Box::new(Direct::attach(transport, Options::default())?)
            }
            None => Box::new(Passthrough::open(address)?),
        };
        Self::new(device)
    }

    /// The drives that this machine's Linux has, with or without device memory and programs.
    #[must_use]
    pub fn list() -> Vec<Found> {
        let found = |path: std::path::PathBuf| {
            let address = path.display().to_string();
            let csd = Self::open(&address);
            Found { address, csd }
        };
        Passthrough::list().into_iter().map(found).collect()
    }

    /// Finds out what a drive has.
    ///
    /// # Errors
    /// When it refuses to say, or says impossible things.
    pub fn new(device: Box<dyn Device>) -> Result<Self, Error> {
        let mut this = Self {
            device,
            serial: String::new(),
            model: String::new(),
            firmware: String::new(),
            reports_reachability: false,
            nvm: Vec::new(),
            memory: Vec::new(),
            compute: Vec::new(),
            execute_timeout: EXECUTE_TIMEOUT,
        };
        let controller: IdentifyController = this.identify(Cns::Controller, NSID_NONE, Csi::Nvm)?;
        this.serial = text(&controller.sn);
        this.model = text(&controller.mn);
        this.firmware = text(&controller.fr);
        this.reports_reachability = controller.crcap.rrsup();
        for nsid in this.active(Csi::Nvm)? {
            let about = this.about(nsid, Csi::Nvm)?;
            let id = this.identify(Cns::Namespace, nsid, Csi::Nvm)?;
            this.nvm.push(NvmNamespace::parse(nsid, about, &id)?);
        }
        for nsid in this.active(Csi::Slm)? {
            let about = this.about(nsid, Csi::Slm)?;
            let id = this.identify(Cns::IocsNamespace, nsid, Csi::Slm)?;
            this.memory.push(MemoryNamespace::parse(nsid, about, &id)?);
        }
        for nsid in this.active(Csi::Cp)? {
            let about = this.about(nsid, Csi::Cp)?;
            let id = this.identify(Cns::IocsNamespace, nsid, Csi::Cp)?;
            this.compute
                .push(ComputeNamespace::parse(nsid, about, &id)?);
        }
        Ok(this)
    }

    /// Serial number.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Model number.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Firmware revision.
    #[must_use]
    pub fn firmware(&self) -> &str {
        &self.firmware
    }

    /// The flash namespaces.
    #[must_use]
    pub fn nvm(&self) -> &[NvmNamespace] {
        &self.nvm
    }

    /// The memory namespaces.
    #[must_use]
    pub fn memory(&self) -> &[MemoryNamespace] {
        &self.memory
    }

    /// The compute namespaces.
    #[must_use]
    pub fn compute(&self) -> &[ComputeNamespace] {
        &self.compute
    }

    /// How long a program may run: 10 minutes unless set.
    pub fn set_execute_timeout(&mut self, limit: Duration) {
        self.execute_timeout = limit;
    }

    /// The way to the drive, for commands that have no call here.
    pub fn device(&mut self) -> &mut dyn Device {
        &mut *self.device
    }

    /// Which namespaces reach which, if the drive reports that.
    ///
    /// # Errors
    /// When the drive refuses, or says impossible things.
    pub fn reachability(&mut self) -> Result<Option<Reachability>, Error> {
        if !self.reports_reachability {
            return Ok(None);
        }
        Reachability::read(&mut *self.device).map(Some)
    }

    fn nvm_namespace(&self, nsid: u32) -> Result<NvmNamespace, Error> {
        find(&self.nvm, nsid, |ns| ns.nsid, "flash")
    }

    fn memory_namespace(&self, nsid: u32) -> Result<MemoryNamespace, Error> {
        find(&self.memory, nsid, |ns| ns.nsid, "memory")
    }

    fn compute_namespace(&self, nsid: u32) -> Result<ComputeNamespace, Error> {
        find(&self.compute, nsid, |ns| ns.nsid, "compute")
    }

    fn identify<T: FromBytes>(&mut self, cns: Cns, nsid: u32, csi: Csi) -> Result<T, Error> {
        let mut buf = [0; IDENTIFY_SIZE];
        let sqe = command::identify(cns, nsid, csi);
        self.device
            .admin(&sqe, Transfer::Read(&mut buf), ADMIN_TIMEOUT)
            .doing(|| format!("Identify {cns:?}, namespace {nsid}"))?;
        T::read_from_bytes(&buf).map_err(|_| Error::protocol("Identify of another size"))
    }

    /// Active namespaces of a command set; none if the drive does not know it.
    fn active(&mut self, csi: Csi) -> Result<Vec<u32>, Error> {
        match self.active_by(Cns::IocsActiveNamespaces, csi) {
            Err(error) if is_unknown(&error) => match csi {
                // A drive from before there were several.
                Csi::Nvm => self.active_by(Cns::ActiveNamespaces, csi),
                _ => Ok(Vec::new()),
            },
            other => other,
        }
    }

    fn active_by(&mut self, cns: Cns, csi: Csi) -> Result<Vec<u32>, Error> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let list: NamespaceList = self.identify(cns, after, csi)?;
            let count = all.len();
            for nsid in list.nsid.into_iter().take_while(|&nsid| nsid != 0) {
                // This also ends the loop: there are only so many numbers.
                if nsid <= after {
                    return Err(Error::protocol("a list of namespaces that is not in order"));
                }
                all.push(nsid);
                after = nsid;
            }
            if all.len() - count < list.nsid.len() {
                return Ok(all);
            }
        }
    }

    fn about(&mut self, nsid: u32, csi: Csi) -> Result<About, Error> {
        let list: Result<[u8; IDENTIFY_SIZE], _> =
            self.identify(Cns::NamespaceIdDescriptors, nsid, csi);
        let (uuid, found) = match list {
            Ok(list) => namespace::parse_descriptors(&list),
            Err(error) if is_unknown(&error) => (None, None),
            Err(error) => return Err(error),
        };
        if found.is_some_and(|found| found != csi) {
            return Err(Error::protocol(format!(
                "namespace {nsid} is of {csi:?} in one place and of {found:?} in another"
            )));
        }
        let independent = self.identify(Cns::IndependentNamespace, nsid, csi);
        let independent: Option<IdentifyNamespaceIndependent> = match independent {
            Ok(independent) => Some(independent),
            Err(error) if is_unknown(&error) => None,
            Err(error) => return Err(error),
        };
        Ok(About::new(uuid, independent.as_ref()))
    }
}

impl std::fmt::Debug for Csd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csd")
            .field("serial", &self.serial)
            .field("nvm", &self.nvm)
            .field("memory", &self.memory)
            .field("compute", &self.compute)
            .finish_non_exhaustive()
    }
}

/// Whether a drive does not know what it was asked for.
fn is_unknown(error: &Error) -> bool {
    matches!(
        error.status().map(Status::code),
        Some(
            Status::INVALID_FIELD
                | Status::INVALID_IOCS
                | Status::IOCS_NOT_SUPPORTED
                | Status::IOCS_NOT_ENABLED
        )
    )
}

fn find<T: Copy>(all: &[T], nsid: u32, id: fn(&T) -> u32, kind: &str) -> Result<T, Error> {
    let found = all.iter().find(|ns| id(ns) == nsid).copied();
    found.ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|ns| id(ns).to_string()).collect();
        Error::refused(match known.as_slice() {
            [] => format!("the drive has no {kind} namespace"),
            known => format!(
                "namespace {nsid} is no {kind} namespace of the drive; it has {}",
                known.join(", ")
            ),
        })
    })
}

/// A text field of the drive: padded with spaces, and perhaps not what it should be.
fn text(field: &[u8]) -> String {
    let printable = |&byte: &u8| match byte {
        0x20..=0x7E => char::from(byte),
        _ => ' ',
    };
    let text: String = field.iter().map(printable).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_drive_can_be_printed() {
        assert_eq!(text(b"ERSATZ01    "), "ERSATZ01");
        assert_eq!(text(b"\x1b[2J\xffabc \0"), "[2J abc");
    }

    #[test]
    fn a_wrong_namespace_is_refused_with_those_that_there_are() {
        let message = |all: &[u32], nsid| {
            find(all, nsid, |&nsid| nsid, "memory").map_err(|error| error.to_string())
        };
        assert_eq!(message(&[2, 5], 5), Ok(5));
        assert_eq!(
            message(&[2, 5], 1).expect_err("no memory"),
            "namespace 1 is no memory namespace of the drive; it has 2, 5"
        );
        assert_eq!(
            message(&[], 1).expect_err("no memory"),
            "the drive has no memory namespace"
        );
    }

    #[test]
    fn an_address_that_leads_nowhere_says_which() {
        let error = Csd::open("vfio-user:/nonexistent/socket").expect_err("no server");
        assert!(error.to_string().contains("/nonexistent/socket"), "{error}");
        let error = Csd::open("/dev/nonexistent").expect_err("no node");
        assert!(error.to_string().contains("/dev/nonexistent"), "{error}");
        let error = Csd::open("/dev/null").expect_err("no drive");
        assert!(error.to_string().contains("/dev/null"), "{error}");
    }
}
