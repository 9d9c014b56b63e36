//! Sets of Debian packages in the cache, runnable in place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{self, Apt};
use crate::cache::{self, Cache, Writer};
use crate::error::PrepareError;
use crate::progress::Progress;

/// Where amd64 packages keep their libraries, below the prefix.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Parts of packages that nobody reads here.
const USELESS: [&str; 6] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/zoneinfo",
];

/// A folder with extracted packages, whose programs run with their own libraries, whatever the
/// machine's are.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// What is `/` to the packages.
    pub root: PathBuf,
}

/// Fetches Debian packages, with everything that they depend on, into `cache`, unless they are
/// there.
///
/// # Errors
/// Without apt, a Debian archive among the machine's sources, a network, or space; see
/// [`PrepareError`].
pub fn fetch(
    cache: &Path,
    packages: &[&str],
    progress: &mut dyn Progress,
) -> Result<Prefix, PrepareError> {
    let cache = Cache::open(cache)?;
    let entry = entry(packages);
    if let Some(root) = cache.find(&entry) {
        return Ok(Prefix { root });
    }
    let writer = cache.lock(progress)?;
    // Whoever held the lock before may have made it.
    if let Some(root) = cache.find(&entry) {
        return Ok(Prefix { root });
    }
    Fetcher::new(&writer).publish(packages, progress)
}

/// The name of a set of packages in the cache.
pub(crate) fn entry(packages: &[&str]) -> String {
    let first = packages
        .first()
        .and_then(|name| name.split('/').next())
        .unwrap_or_default();
    format!("packages/{first}-{}", cache::key(packages))
}

/// Makes sets of packages; fetches the package lists once, when first needed.
pub(crate) struct Fetcher<'a> {
    writer: &'a Writer<'a>,
    apt: Option<Apt>,
}

impl<'a> Fetcher<'a> {
    pub(crate) fn new(writer: &'a Writer<'a>) -> Self {
        Self { writer, apt: None }
    }

    /// Puts a set of packages into the cache.
    pub(crate) fn publish(
        &mut self,
        packages: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<Prefix, PrepareError> {
        let scratch = self.extract(packages, progress)?;
        let root = self.writer.publish(scratch, &entry(packages))?;
        Ok(Prefix { root })
    }

    /// Extracts a set of packages into a folder that goes when dropped.
    pub(crate) fn extract(
        &mut self,
        packages: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<tempfile::TempDir, PrepareError> {
        let apt = match self.apt.take() {
            Some(apt) => apt,
            None => Apt::open(self.writer.scratch()?, progress)?,
        };
        let apt = self.apt.insert(apt);
        let names = packages.join(", ");
        progress.step(&format!("downloading {names}"));
        let archives = self.writer.scratch()?;
        let files = apt.download(packages, archives.path(), progress)?;

        progress.step(&format!("extracting {names}"));
        let root = self.writer.scratch()?;
        for (done, file) in files.iter().enumerate() {
            apt::extract(file, root.path())?;
            // Below 100 as long as `done` is below the number of files.
            progress.percent(u8::try_from(done * 100 / files.len()).unwrap_or(100));
        }
        for path in USELESS.map(|below| root.path().join(below)) {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(PrepareError::at(&path))?;
            }
        }
        Ok(root)
    }
}

impl Prefix {
    /// A command that runs `program` (such as `usr/bin/clang-19`) with the prefix's loader and
    /// libraries. The program's `/proc/self/exe` is the loader: one that finds its data by its
    /// own path has to be told (`clang -resource-dir …`, `qemu -L …`).
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.loader());
        command
            .arg("--library-path")
            .arg(self.library_path())
            .arg(self.root.join(program))
            .env_remove("LD_PRELOAD")
            .env_remove("LD_LIBRARY_PATH");
        command
    }

    /// The dynamic loader of the packages' own C library.
    pub(crate) fn loader(&self) -> PathBuf {
        self.root.join(LIBRARIES).join("ld-linux-x86-64.so.2")
    }

    /// Where the loader finds the packages' libraries.
    pub(crate) fn library_path(&self) -> PathBuf {
        self.root.join(LIBRARIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_named_after_the_first_package_and_differ_by_set() {
        assert!(entry(&["qemu-system-x86"]).starts_with("packages/qemu-system-x86-"));
        assert_ne!(entry(&["a", "b"]), entry(&["a", "c"]));
    }
}
