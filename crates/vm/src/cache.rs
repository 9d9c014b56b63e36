//! The cache on disk: entries that are whole or absent.
//!
//! An entry is a folder. It is made in a scratch folder on the same file system, gets a manifest
//! of its files' sizes, and is renamed into place; so a reader sees all of it or nothing, and an
//! interrupted maker leaves only scratch, which the next one removes. Makers exclude each other
//! by a lock on a file; readers take no lock.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use tempfile::TempDir;

use crate::error::PrepareError;
use crate::progress::Progress;

/// Sizes of an entry's files: one `<bytes> <path>` per line.
const MANIFEST: &str = ".manifest";

/// The user's cache of Ersatz: `$ERSATZ_CACHE`, else `$XDG_CACHE_HOME/ersatz`, else
/// `$HOME/.cache/ersatz`; `None` if none of them is set.
pub fn default_dir() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("ERSATZ_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("ersatz")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/ersatz")))
}

/// A cache folder.
pub(crate) struct Cache {
    root: PathBuf,
}

/// The right to make entries; released on drop.
pub(crate) struct Writer<'a> {
    cache: &'a Cache,
    _lock: File,
}

impl Cache {
    /// Opens the cache, and creates its folder if it isn't there. The path is made absolute,
    /// because programs in it are run from elsewhere.
    pub(crate) fn open(root: &Path) -> Result<Self, PrepareError> {
        let root = std::path::absolute(root).map_err(PrepareError::at(root))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&root)
            .map_err(PrepareError::at(&root))?;
        Ok(Self { root })
    }

    pub(crate) fn path(&self, entry: &str) -> PathBuf {
        self.root.join(entry)
    }

    /// The entry's folder if it is there and each of its files has the size that it was made with.
    pub(crate) fn find(&self, entry: &str) -> Option<PathBuf> {
        let dir = self.path(entry);
        let manifest = fs::read_to_string(dir.join(MANIFEST)).ok()?;
        manifest
            .lines()
            .all(|line| {
                line.split_once(' ').is_some_and(|(size, path)| {
                    fs::symlink_metadata(dir.join(path))
                        .is_ok_and(|file| Ok(file.len()) == size.parse())
                })
            })
            .then_some(dir)
    }

    /// Waits until no other process makes entries.
    pub(crate) fn lock(&self, progress: &mut dyn Progress) -> Result<Writer<'_>, PrepareError> {
        let path = self.path("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(PrepareError::at(&path))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            progress.step("waiting for another process that fills the cache");
            rustix::fs::flock(&file, FlockOperation::LockExclusive)
                .map_err(|errno| PrepareError::at(&path)(errno.into()))?;
        }
        // Nobody else holds the lock: scratch folders are left-overs of makers that were killed.
        // A program that such a maker had started may still be writing; its folder goes next time.
        let scratch = self.path("scratch");
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir_all(&scratch).map_err(PrepareError::at(&scratch))?;
        Ok(Writer {
            cache: self,
            _lock: file,
        })
    }
}

impl Writer<'_> {
    /// An empty folder that is removed on drop unless [published](Self::publish).
    pub(crate) fn scratch(&self) -> Result<TempDir, PrepareError> {
        let parent = self.cache.path("scratch");
        tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&parent)
            .map_err(PrepareError::at(&parent))
    }

    /// Makes `scratch` the entry, in one step; what was there before (a broken one) goes.
    pub(crate) fn publish(&self, scratch: TempDir, entry: &str) -> Result<PathBuf, PrepareError> {
        let mut manifest = Vec::new();
        seal(scratch.path(), Path::new(""), &mut manifest)?;
        let path = scratch.path().join(MANIFEST);
        File::create(&path)
            .and_then(|mut file| file.write_all(&manifest))
            .map_err(PrepareError::at(&path))?;

        let dir = self.cache.path(entry);
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(PrepareError::at(parent))?;
        }
        if dir.exists() {
            let aside = self.scratch()?;
            fs::rename(&dir, aside.path().join("old")).map_err(PrepareError::at(&dir))?;
        }
        fs::rename(scratch.keep(), &dir).map_err(PrepareError::at(&dir))?;
        Ok(dir)
    }
}

/// Lists the regular files below `root/below`, and takes set-user-id and set-group-id away from
/// them: nothing in the cache is meant to run as somebody else.
fn seal(root: &Path, below: &Path, manifest: &mut Vec<u8>) -> Result<(), PrepareError> {
    let dir = root.join(below);
    let mut entries = fs::read_dir(&dir)
        .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
        .map_err(PrepareError::at(&dir))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let relative = below.join(entry.file_name());
        let metadata = entry.metadata().map_err(PrepareError::at(&path))?;
        if metadata.is_dir() {
            seal(root, &relative, manifest)?;
        } else if metadata.is_file() {
            let mode = metadata.mode();
            if mode & 0o6000 != 0 {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o1777))
                    .map_err(PrepareError::at(&path))?;
            }
            // A name that is not UTF-8 or has a line break can't be listed; nothing needs one.
            if let Some(name) = relative.to_str().filter(|name| !name.contains('\n')) {
                manifest.extend_from_slice(format!("{} {name}\n", metadata.len()).as_bytes());
            }
        }
    }
    Ok(())
}

/// A name for an entry that changes with any of its inputs (64-bit FNV-1a: the inputs are ours,
/// nobody searches for collisions).
pub(crate) fn key(inputs: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for input in inputs {
        // The zero byte keeps ["ab", "c"] apart from ["a", "bc"].
        for byte in input.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(root: &Path) -> PathBuf {
        let cache = Cache::open(root).unwrap();
        let writer = cache.lock(&mut ()).unwrap();
        let scratch = writer.scratch().unwrap();
        fs::create_dir(scratch.path().join("bin")).unwrap();
        fs::write(scratch.path().join("bin/tool"), "four").unwrap();
        fs::set_permissions(
            scratch.path().join("bin/tool"),
            fs::Permissions::from_mode(0o4755),
        )
        .unwrap();
        writer.publish(scratch, "sets/a").unwrap()
    }

    #[test]
    fn a_published_entry_is_found_and_runs_as_nobody_else() {
        let root = tempfile::tempdir().unwrap();
        let dir = published(root.path());
        let cache = Cache::open(root.path()).unwrap();
        assert_eq!(cache.find("sets/a"), Some(dir.clone()));
        assert_eq!(
            dir.join("bin/tool").metadata().unwrap().mode() & 0o7777,
            0o755
        );
        assert_eq!(cache.find("sets/b"), None);
    }

    #[test]
    fn an_entry_with_a_cut_or_lost_file_is_not_found_and_can_be_made_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = published(root.path());
        let cache = Cache::open(root.path()).unwrap();
        fs::write(dir.join("bin/tool"), "fo").unwrap();
        assert_eq!(cache.find("sets/a"), None);
        fs::remove_file(dir.join("bin/tool")).unwrap();
        assert_eq!(cache.find("sets/a"), None);
        published(root.path());
        assert_eq!(cache.find("sets/a"), Some(dir));
    }

    #[test]
    fn scratch_of_a_killed_maker_is_removed_by_the_next() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("scratch/left-over/deep")).unwrap();
        let cache = Cache::open(root.path()).unwrap();
        let _writer = cache.lock(&mut ()).unwrap();
        assert_eq!(
            fs::read_dir(root.path().join("scratch")).unwrap().count(),
            0
        );
    }

    #[test]
    fn keys_depend_on_every_input_and_on_where_it_ends() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab"]), key(&["ab"]));
    }
}
