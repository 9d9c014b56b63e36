//! What guests are made of, found or fetched.

use std::path::{Path, PathBuf};

use crate::cache::Cache;
use crate::error::PrepareError;
use crate::packages::{self, Fetcher, Prefix};
use crate::progress::Progress;
use crate::qemu::{self, Qemu, Version};
use crate::{initramfs, kernel, kvm};

/// QEMU, a kernel and a first file system: all that a [`Guest`](crate::Guest) needs besides its
/// drives.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(crate) qemu: Qemu,
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    pub(crate) kvm: bool,
}

impl Environment {
    /// Finds or makes everything in the folder `cache` ([`default_dir`](crate::default_dir) is
    /// the user's). Takes milliseconds when everything is there, and half a minute and 150 MB of
    /// downloads when nothing is. Several processes may prepare at once: one works, the others
    /// wait. One that is interrupted leaves nothing half-made, and what has been damaged since is
    /// made again. Packages are never upgraded: remove the folder to get newer ones.
    ///
    /// # Errors
    /// On machines that are no x86-64 Debian, or without a network or space; see
    /// [`PrepareError`].
    pub fn prepare(cache: &Path, progress: &mut dyn Progress) -> Result<Self, PrepareError> {
        if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
            return Err(PrepareError::Machine {
                arch: std::env::consts::ARCH,
            });
        }
        let cache = Cache::open(cache)?;
        let own = Qemu::of_machine();
        let entries = Entries {
            qemu: packages::entry(&qemu::PACKAGES),
            needs_qemu: own.is_none(),
            guest: format!("guest/{}", initramfs::key()),
        };
        if !entries.are_in(&cache) {
            entries.make(&cache, progress)?;
        }
        let qemu = match own {
            Some(qemu) => qemu,
            None => Qemu::of_packages(Prefix {
                root: cache.path(&entries.qemu),
            })?,
        };
        let guest = cache.path(&entries.guest);
        let mut environment = Self {
            qemu,
            kernel: guest.join(KERNEL),
            initramfs: guest.join(INITRAMFS),
            kvm: false,
        };
        environment.kvm = kvm::works(&environment, &cache, progress);
        Ok(environment)
    }

    /// The release of the QEMU that was found or fetched.
    pub fn qemu_version(&self) -> Version {
        self.qemu.version
    }

    /// Whether guests run on hardware virtualisation (found out by booting one), or on an
    /// emulated processor.
    pub fn has_kvm(&self) -> bool {
        self.kvm
    }
}

const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs.cpio";

/// Names of the entries in the cache that are needed.
struct Entries {
    qemu: String,
    /// Not when the machine's own will do.
    needs_qemu: bool,
    guest: String,
}

impl Entries {
    fn are_in(&self, cache: &Cache) -> bool {
        let qemu = !self.needs_qemu || cache.find(&self.qemu).is_some();
        qemu && cache.find(&self.guest).is_some()
    }

    fn make(&self, cache: &Cache, progress: &mut dyn Progress) -> Result<(), PrepareError> {
        let writer = cache.lock(progress)?;
        let mut fetcher = Fetcher::new(&writer);
        // Each is looked for again: whoever held the lock before may have made it.
        if self.needs_qemu && cache.find(&self.qemu).is_none() {
            fetcher.publish(&qemu::PACKAGES, progress)?;
        }
        if cache.find(&self.guest).is_none() {
            let extracted = fetcher.extract(&initramfs::PACKAGES, progress)?;
            progress.step("making the guest's kernel and first file system");
            let prefix = Prefix {
                root: extracted.path().to_owned(),
            };
            let scratch = writer.scratch()?;
            kernel::unpack(&prefix, &scratch.path().join(KERNEL))?;
            initramfs::build(&prefix, &scratch.path().join(INITRAMFS))?;
            writer.publish(scratch, &self.guest)?;
        }
        Ok(())
    }
}
