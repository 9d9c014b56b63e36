//! Archives that the kernel unpacks as its first file system: cpio in the "newc" format
//! (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Written uncompressed: the guest's emulated processor takes longer to decompress than the
//! host to hand it more bytes.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

/// Archives start at multiples of this, so that one can follow another in one file.
const BLOCK: u64 = 512;

const DIRECTORY: u32 = 0o040_000;
const CHARACTER: u32 = 0o020_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// An archive being written. Paths have no leading slash; the folders above a path come first by
/// themselves.
pub(crate) struct Archive<W> {
    out: W,
    offset: u64,
    inode: u32,
    paths: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            offset: 0,
            inode: 0,
            paths: BTreeSet::new(),
        }
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        if self.contains(path) {
            return Ok(());
        }
        self.parents(path)?;
        self.header(path, DIRECTORY | 0o755, 0, (0, 0))
    }

    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.copy(path, permissions, content.len() as u64, content)
    }

    /// A file of `size` bytes from `reader`, which must have them.
    pub(crate) fn copy(
        &mut self,
        path: &str,
        permissions: u32,
        size: u64,
        reader: impl Read,
    ) -> io::Result<()> {
        let size = u32::try_from(size)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "4 GiB or more"))?;
        self.parents(path)?;
        self.header(path, REGULAR | (permissions & 0o7777), size, (0, 0))?;
        let copied = io::copy(&mut reader.take(size.into()), &mut self.out)?;
        self.offset += copied;
        if copied != u64::from(size) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter",
            ));
        }
        self.pad(4)
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.parents(path)?;
        let size = u32::try_from(target.len()).map_err(io::Error::other)?;
        self.header(path, SYMLINK | 0o777, size, (0, 0))?;
        self.write(target.as_bytes())?;
        self.pad(4)
    }

    pub(crate) fn character(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        self.parents(path)?;
        self.header(path, CHARACTER | 0o600, 0, (major, minor))
    }

    /// Ends the archive, so that another may follow.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.header("TRAILER!!!", 0, 0, (0, 0))?;
        self.pad(BLOCK)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.directory(parent),
            None => Ok(()),
        }
    }

    fn header(&mut self, path: &str, mode: u32, size: u32, device: (u32, u32)) -> io::Result<()> {
        self.inode += 1;
        self.paths.insert(path.to_owned());
        // Magic; inode, mode, user, group, links, time, size, device of the file system (2),
        // device of the node (2), length of the name with its zero, checksum.
        let fields = [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            u32::try_from(path.len() + 1).map_err(io::Error::other)?,
            0,
        ];
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08x}"));
        }
        self.write(header.as_bytes())?;
        self.write(path.as_bytes())?;
        self.write(&[0])?;
        self.pad(4)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn pad(&mut self, multiple: u64) -> io::Result<()> {
        let missing = self.offset.next_multiple_of(multiple) - self.offset;
        self.offset += missing;
        io::copy(&mut io::repeat(0).take(missing), &mut self.out).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One entry as a reader sees it.
    #[derive(Debug, PartialEq)]
    struct Entry {
        path: String,
        mode: u32,
        device: (u32, u32),
        content: Vec<u8>,
    }

    /// A reader written from the format's description, to check the writer against.
    fn read(mut bytes: &[u8]) -> Vec<Entry> {
        let whole = bytes.len();
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |index: usize| {
                let text = std::str::from_utf8(&bytes[6 + index * 8..14 + index * 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name) = (field(1), field(6) as usize, field(11) as usize);
            let device = (field(9), field(10));
            let path = String::from_utf8(bytes[110..110 + name - 1].to_vec()).unwrap();
            assert_eq!(bytes[110 + name - 1], 0);
            let start =
                (whole - bytes.len() + 110 + name).next_multiple_of(4) - (whole - bytes.len());
            let content = bytes[start..start + size].to_vec();
            bytes = &bytes[(start + size).next_multiple_of(4)..];
            if path == "TRAILER!!!" {
                assert!(bytes.iter().all(|&byte| byte == 0));
                assert_eq!(whole % 512, 0);
                return entries;
            }
            entries.push(Entry {
                path,
                mode,
                device,
                content,
            });
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let mut archive = Archive::new(Vec::new());
        archive.file("a/b/file", 0o755, b"12345").unwrap();
        archive.symlink("a/link", "b/file").unwrap();
        archive.character("dev/console", 5, 1).unwrap();
        archive.directory("a/b").unwrap();
        archive.file("a/b/empty", 0o644, b"").unwrap();
        let entries = read(&archive.finish().unwrap());
        let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "a",
                "a/b",
                "a/b/file",
                "a/link",
                "dev",
                "dev/console",
                "a/b/empty"
            ],
            "parents come first, and once"
        );
        assert_eq!(
            (entries[2].mode, entries[2].content.as_slice()),
            (0o100_755, &b"12345"[..])
        );
        assert_eq!(
            (entries[3].mode, entries[3].content.as_slice()),
            (0o120_777, &b"b/file"[..])
        );
        assert_eq!((entries[5].mode, entries[5].device), (0o020_600, (5, 1)));
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let mut archive = Archive::new(Vec::new());
        assert!(archive.copy("file", 0o644, 10, &b"short"[..]).is_err());
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_keeps_the_size_of_its_header() {
        let mut archive = Archive::new(Vec::new());
        archive.copy("file", 0o644, 3, &b"longer"[..]).unwrap();
        assert_eq!(read(&archive.finish().unwrap())[0].content, b"lon");
    }
}
