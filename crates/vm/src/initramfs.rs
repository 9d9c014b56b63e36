//! The guest's file system: tools from the packages (made once), and what one run adds.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::MemfdFlags;

use crate::cache;
use crate::cpio::Archive;
use crate::error::{PrepareError, RunError};
use crate::guest::{Guest, Task};
use crate::libraries;
use crate::packages::Prefix;

/// Packages that [`build`] takes from, and the kernel with what unpacks it.
pub(crate) const PACKAGES: [&str; 7] = [
    "linux-image-cloud-amd64",
    "zstd",
    "busybox-static",
    "nvme-cli",
    "e2fsprogs",
    "util-linux",
    "fio",
];

const PROGRAMS: [&str; 18] = [
    "usr/bin/fio",
    "usr/bin/findmnt",
    "usr/bin/lsblk",
    "usr/sbin/badblocks",
    "usr/sbin/blkdiscard",
    "usr/sbin/blkid",
    "usr/sbin/debugfs",
    "usr/sbin/dumpe2fs",
    "usr/sbin/e2fsck",
    "usr/sbin/e2image",
    "usr/sbin/filefrag",
    "usr/sbin/fsfreeze",
    "usr/sbin/fstrim",
    "usr/sbin/mke2fs",
    "usr/sbin/nvme",
    "usr/sbin/resize2fs",
    "usr/sbin/tune2fs",
    "usr/sbin/wipefs",
];

const LINKS: [(&str, &str); 11] = [
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("etc/mtab", "/proc/mounts"),
    ("usr/sbin/mkfs.ext2", "mke2fs"),
    ("usr/sbin/mkfs.ext3", "mke2fs"),
    ("usr/sbin/mkfs.ext4", "mke2fs"),
    ("usr/sbin/fsck.ext2", "e2fsck"),
    ("usr/sbin/fsck.ext3", "e2fsck"),
    ("usr/sbin/fsck.ext4", "e2fsck"),
];

/// Libraries go where Debian's loader looks without being told.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

const INIT: &str = include_str!("init.sh");

/// Where the `ersatz` binary, its loader and its libraries are in the guest.
const HOST_FOLDER: &str = "ersatz/host";

/// A name for what [`build`] makes. The number changes when it makes something else of the same
/// lists.
pub(crate) fn key() -> String {
    let links = LINKS.map(|(path, _)| path);
    cache::key(&[&["1"], &PACKAGES[..], &PROGRAMS[..], &links[..]].concat())
}

/// Writes the part that all runs share to `target`.
pub(crate) fn build(packages: &Prefix, target: &Path) -> Result<(), PrepareError> {
    let file = File::create(target).map_err(PrepareError::at(target))?;
    let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, file));
    base(packages, &mut archive)?;
    archive.finish().map(drop).map_err(PrepareError::at(target))
}

fn base(packages: &Prefix, archive: &mut Archive<impl Write>) -> Result<(), PrepareError> {
    let written = PrepareError::at(Path::new("initramfs"));
    let mut skeleton = || -> io::Result<()> {
        for folder in [
            "dev", "proc", "sys", "tmp", "mnt", "root", "run", "usr/bin", "usr/sbin",
        ] {
            archive.directory(folder)?;
        }
        for (path, target) in LINKS {
            archive.symlink(path, target)?;
        }
        // The kernel opens the console for init before init can mount anything on /dev.
        archive.character("dev/console", 5, 1)?;
        archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
        archive.file("etc/group", 0o644, b"root:x:0:\n")
    };
    skeleton().map_err(written)?;

    let loader = packages.loader();
    let path = packages.library_path();
    // Ceph's private libraries, which fio is linked with, are found by an absolute RUNPATH.
    let path = format!("{0}:{0}/ceph", path.display());
    add(archive, "usr/lib64/ld-linux-x86-64.so.2", &loader)?;
    add(
        archive,
        "usr/bin/busybox",
        &packages.root.join("usr/bin/busybox"),
    )?;
    add(
        archive,
        "etc/mke2fs.conf",
        &packages.root.join("etc/mke2fs.conf"),
    )?;
    for program in PROGRAMS {
        let file = packages.root.join(program);
        add(archive, program, &file)?;
        let needed = libraries::needed(&loader, Some(&path), &file).map_err(|source| {
            PrepareError::Missing {
                what: format!("library for {program}: {source}"),
            }
        })?;
        for library in needed {
            add(
                archive,
                &format!("{LIBRARIES}/{}", library.name),
                &library.path,
            )?;
        }
    }

    // Last, because the real tools come before busybox's.
    let busybox = packages.root.join("usr/bin/busybox");
    let output = Command::new(&busybox)
        .arg("--list")
        .output()
        .map_err(PrepareError::at(&busybox))?;
    for applet in String::from_utf8_lossy(&output.stdout).lines() {
        let paths = [format!("usr/bin/{applet}"), format!("usr/sbin/{applet}")];
        if !paths.iter().any(|path| archive.contains(path)) {
            archive
                .symlink(&paths[0], "/usr/bin/busybox")
                .map_err(PrepareError::at(&busybox))?;
        }
    }
    Ok(())
}

/// Adds a host's file, once.
fn add(archive: &mut Archive<impl Write>, path: &str, file: &Path) -> Result<(), PrepareError> {
    if archive.contains(path) {
        return Ok(());
    }
    copy(archive, path, file, None).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PrepareError::Missing {
            what: path.to_owned(),
        },
        _ => PrepareError::at(file)(source),
    })
}

fn copy(
    archive: &mut Archive<impl Write>,
    path: &str,
    file: &Path,
    mode: Option<u32>,
) -> io::Result<()> {
    let opened = File::open(file)?;
    let metadata = opened.metadata()?;
    archive.copy(
        path,
        mode.unwrap_or(metadata.mode() & 0o755),
        metadata.len(),
        opened,
    )
}

/// The whole initramfs of one run, in memory: the shared part, then what `guest` asks for.
/// `end` marks the end of the task's output, `size` is the terminal's (rows, columns).
pub(crate) fn compose(
    base: &Path,
    guest: &Guest,
    end: &str,
    size: (u16, u16),
) -> Result<File, RunError> {
    let mut memory = rustix::fs::memfd_create("initramfs", MemfdFlags::CLOEXEC)
        .map(File::from)
        .map_err(|errno| RunError::io("can't make the initramfs")(errno.into()))?;
    let mut source =
        File::open(base).map_err(RunError::io(format!("can't open {}", base.display())))?;
    io::copy(&mut source, &mut memory)
        .map_err(RunError::io("can't copy the initramfs into memory"))?;

    let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, &memory));
    let failed = |source| RunError::io("can't add to the initramfs")(source);
    archive
        .file("init", 0o755, INIT.as_bytes())
        .map_err(failed)?;
    let (kind, script) = match &guest.task {
        Task::Shell => ("shell", String::new()),
        Task::Command(words) => ("command", command_line(words)),
        Task::Script(text) => ("command", text.clone()),
    };
    archive
        .file("ersatz/task", 0o755, script.as_bytes())
        .map_err(failed)?;
    let settings = format!(
        "TASK={kind}\nEND={end}\nROWS={}\nCOLUMNS={}\nTERM={}\n",
        size.0,
        size.1,
        quote(&std::env::var("TERM").unwrap_or_else(|_| "linux".to_owned())),
    );
    archive
        .file("ersatz/settings", 0o644, settings.as_bytes())
        .map_err(failed)?;
    if let Some(binary) = &guest.ersatz {
        add_host_program(&mut archive, binary)?;
    }
    for file in &guest.files {
        let path = inside(&file.guest)?;
        copy(&mut archive, path, &file.host, Some(file.mode)).map_err(RunError::io(format!(
            "can't put {} into the guest",
            file.host.display()
        )))?;
    }
    archive.finish().map_err(failed)?;
    Ok(memory)
}

/// A path of the guest as an archive names it.
fn inside(path: &str) -> Result<&str, RunError> {
    path.strip_prefix('/')
        .filter(|path| path.split('/').all(|part| !matches!(part, "" | "." | "..")))
        .ok_or_else(|| RunError::GuestPath {
            path: path.to_owned(),
        })
}

/// Makes a program of the host run in the guest as `ersatz`: with the host's own loader and
/// libraries, because the guest's C library may be older or newer than what it was linked with.
fn add_host_program(archive: &mut Archive<impl Write>, binary: &Path) -> Result<(), RunError> {
    let bad = |source: io::Error| RunError::Binary {
        path: binary.to_owned(),
        reason: source.to_string(),
    };
    let Some(loader) = libraries::interpreter(binary).map_err(bad)? else {
        return copy(archive, "usr/bin/ersatz", binary, Some(0o755)).map_err(bad);
    };
    copy(
        archive,
        &format!("{HOST_FOLDER}/loader"),
        &loader,
        Some(0o755),
    )
    .map_err(bad)?;
    copy(
        archive,
        &format!("{HOST_FOLDER}/ersatz"),
        binary,
        Some(0o755),
    )
    .map_err(bad)?;
    for library in libraries::needed(&loader, None, binary).map_err(bad)? {
        let path = format!("{HOST_FOLDER}/{}", library.name);
        copy(archive, &path, &library.path, Some(0o755)).map_err(bad)?;
    }
    let wrapper = format!(
        "#!/bin/sh\n\
         exec /{HOST_FOLDER}/loader --library-path /{HOST_FOLDER} /{HOST_FOLDER}/ersatz \"$@\"\n"
    );
    archive
        .file("usr/bin/ersatz", 0o755, wrapper.as_bytes())
        .map_err(bad)
}

fn command_line(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("exec {}\n", quoted.join(" "))
}

/// A word that a shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_the_words_that_were_given() {
        let words = [
            "printf",
            "%s|",
            "two words",
            "it's",
            "$HOME",
            "",
            "a\nb",
            "*",
        ];
        let script = command_line(&words.map(str::to_owned));
        let output = Command::new("sh")
            .arg("-c")
            .arg(script)
            .output()
            .expect("a shell");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "two words|it's|$HOME||a\nb|*|"
        );
    }

    #[test]
    fn paths_of_the_guest_are_absolute_and_stay_inside() {
        assert_eq!(inside("/root/file").ok(), Some("root/file"));
        for path in ["root/file", "/", "/a/../b", "//a", "/a/", ""] {
            assert!(inside(path).is_err(), "{path}");
        }
    }
}
