//! Where the bytes of a file lie on the drive that holds it.
//!
//! Asked of the file system (FIEMAP), for those that tell addresses of one block device: ext2 to
//! ext4 and XFS. The answer holds until somebody changes the file: whoever copies by it makes sure
//! that nobody does. On ext4 mounted with `data=journal` the newest data may still be in the
//! journal, which FIEMAP does not tell.

mod extent;

pub use extent::{Extent, Piece, Place, pieces};

use crate::{Error, ioctl};
use rustix::fs::{major, minor};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A file on a disk or on a partition of one.
#[derive(Debug)]
pub struct FileMap {
    /// Bytes of the file.
    pub size: u64,
    /// The disk's directory in sysfs.
    pub disk: PathBuf,
    /// The disk's namespace.
    pub nsid: u32,
    /// Bytes of the disk before the file system.
    pub start: u64,
    /// What the file system says.
    pub extents: Vec<Extent>,
}

impl FileMap {
    /// Writes what is only in memory, and finds out where the file lies.
    ///
    /// # Errors
    /// When it is not a regular file, its file system does not tell, or that is not on a disk of
    /// an NVMe namespace.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let failed = |what: &str, error: io::Error| Error::os(format!("{what} {name}"), error);
        // Before it is opened: opening a pipe would wait for a writer.
        let metadata = fs::metadata(path).map_err(|error| failed("look at", error))?;
        if !metadata.is_file() {
            return Err(Error::refused(format!("{name} is not a regular file")));
        }
        let file = File::open(path).map_err(|error| failed("open", error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| failed("look at", error.into()))?;
        check_file_system(path, &file)?;
        let device = format!("{}:{}", major(stat.st_dev), minor(stat.st_dev));
        let disk = Disk::of(&Path::new("/sys/dev/block").join(device)).ok_or_else(|| {
            Error::refused(format!(
                "{name} is not on a disk or partition of an NVMe drive"
            ))
        })?;
        let extents = extents(&file).map_err(|error| failed("find the blocks of", error))?;
        Ok(Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            disk: disk.dir,
            nsid: disk.nsid,
            start: disk.start,
            extents,
        })
    }
}

/// Only file systems whose extents are addresses of the one device that the file is on.
fn check_file_system(path: &Path, file: &File) -> Result<(), Error> {
    const EXT: u32 = 0xEF53;
    const XFS: u32 = 0x5846_5342;
    let name = path.display();
    let statfs = rustix::fs::fstatfs(file)
        .map_err(|errno| Error::os(format!("look at the file system of {name}"), errno))?;
    match statfs.f_type as u32 {
        EXT => Ok(()),
        XFS => match ioctl::is_realtime(file) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::refused(format!(
                "{name} is on the realtime device of its XFS"
            ))),
            Err(error) => Err(Error::os(format!("look at {name}"), error)),
        },
        other => Err(Error::refused(format!(
            "the file system of {name} (type {other:#x}) does not tell where files lie; ext4 and \
             XFS do"
        ))),
    }
}

fn extents(file: &File) -> io::Result<Vec<Extent>> {
    const FIEMAP_EXTENT_LAST: u32 = 1;
    let mut all = Vec::new();
    let mut start = 0;
    loop {
        let part = ioctl::fiemap(file, start)?;
        all.extend(part.iter().map(|extent| Extent {
            logical: extent.logical,
            physical: extent.physical,
            length: extent.length,
            flags: extent.flags,
        }));
        let Some(last) = part.last() else { break };
        let end = last.logical.saturating_add(last.length);
        // A file that grows while we ask must not keep us here for ever.
        if last.flags & FIEMAP_EXTENT_LAST != 0 || end <= start {
            break;
        }
        start = end;
    }
    Ok(all)
}

/// A disk, and where on it a partition starts.
struct Disk {
    dir: PathBuf,
    nsid: u32,
    start: u64,
}

impl Disk {
    /// From the directory of a block device in sysfs, which may be that of a partition.
    fn of(device: &Path) -> Option<Self> {
        /// Of the numbers in sysfs, whatever the disk has.
        const SECTOR: u64 = 512;
        let dir = fs::canonicalize(device).ok()?;
        let (dir, start) = if dir.join("partition").exists() {
            let sectors: u64 = number(&dir.join("start"))?;
            (dir.parent()?.to_owned(), sectors.checked_mul(SECTOR)?)
        } else {
            (dir, 0)
        };
        let nsid = number(&dir.join("nsid"))?;
        Some(Self {
            nsid: u32::try_from(nsid).ok()?,
            dir,
            start,
        })
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysfs() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("directory");
        let disk = dir.path().join("nvme0n1");
        fs::create_dir_all(disk.join("nvme0n1p2")).expect("create");
        fs::write(disk.join("nsid"), "3\n").expect("write");
        fs::write(disk.join("nvme0n1p2/partition"), "2\n").expect("write");
        fs::write(disk.join("nvme0n1p2/start"), "2048\n").expect("write");
        fs::create_dir(dir.path().join("sda")).expect("create");
        dir
    }

    #[test]
    fn a_partition_is_its_disk_with_an_offset() {
        let dir = sysfs();
        let disk = Disk::of(&dir.path().join("nvme0n1")).expect("a disk");
        assert_eq!((disk.nsid, disk.start), (3, 0));
        let partition = Disk::of(&dir.path().join("nvme0n1/nvme0n1p2")).expect("a partition");
        assert_eq!((partition.nsid, partition.start), (3, 1 << 20));
        assert_eq!(partition.dir, disk.dir);
    }

    #[test]
    fn a_disk_without_a_namespace_is_none_of_ours() {
        let dir = sysfs();
        assert!(Disk::of(&dir.path().join("sda")).is_none());
        assert!(Disk::of(&dir.path().join("missing")).is_none());
    }

    #[test]
    fn what_is_not_a_file_on_a_drive_is_refused_with_its_name() {
        let dir = sysfs();
        let error = FileMap::of(dir.path()).expect_err("a directory");
        assert!(error.to_string().contains("not a regular file"), "{error}");
        let error = FileMap::of(Path::new("/proc/self/status")).expect_err("no disk");
        assert!(error.to_string().contains("/proc/self/status"), "{error}");
        assert!(FileMap::of(&dir.path().join("missing")).is_err());
    }
}
