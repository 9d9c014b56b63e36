//! A client can pass the descriptor of memory that it has mapped *privately* itself (QEMU's
//! `memory-backend-memfd` with `share=off`): then its guest writes into copies of the pages, the
//! drive into the file, and data never meets. Nothing fails; it is only wrong.

use rustix::fs::{Stat, fstat, major, minor};
use rustix::net::sockopt::socket_peercred;
use rustix::process::Pid;
use std::os::fd::AsFd;

/// The process at the other end of a socket, where that is known.
pub(super) struct Peer(Option<Pid>);

impl Peer {
    pub(super) fn of(socket: impl AsFd) -> Self {
        Self(socket_peercred(socket).ok().map(|peer| peer.pid))
    }

    /// Whether the process has mapped `file`, and only privately. Where its mappings can't be read,
    /// it is given the benefit of the doubt.
    pub(super) fn has_mapped_privately(&self, file: impl AsFd) -> bool {
        let (Some(pid), Ok(stat)) = (self.0, fstat(file)) else {
            return false;
        };
        let path = format!("/proc/{}/maps", pid.as_raw_nonzero());
        std::fs::read_to_string(path).is_ok_and(|maps| is_mapped_privately(&maps, &stat))
    }
}

/// Looks through a process's mappings, as the kernel writes them (proc_pid_maps(5)).
fn is_mapped_privately(maps: &str, stat: &Stat) -> bool {
    let device = format!("{:02x}:{:02x}", major(stat.st_dev), minor(stat.st_dev));
    let inode = stat.st_ino.to_string();
    let mut modes = maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (mode, _offset) = (fields.next()?, fields.next()?);
        (fields.next()? == device && fields.next()? == inode).then_some(mode)
    });
    let Some(first) = modes.next() else {
        return false;
    };
    first.ends_with('p') && modes.all(|mode| mode.ends_with('p'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_memory::Mapping;

    #[test]
    fn memory_that_is_mapped_privately_only_is_noticed() {
        let memory = Mapping::anonymous("private", 4096).expect("map");
        let (fd, _) = memory.descriptor().expect("memfd");
        let stat = fstat(fd).expect("stat");
        let (device, inode) = (
            format!("{:02x}:{:02x}", major(stat.st_dev), minor(stat.st_dev)),
            stat.st_ino,
        );
        let line = |mode| format!("7f00-7f01 {mode} 00000000 {device} {inode}   /memfd:ram\n");
        assert!(is_mapped_privately(&line("rw-p"), &stat));
        assert!(!is_mapped_privately(&line("rw-s"), &stat));
        assert!(!is_mapped_privately(&(line("rw-p") + &line("rw-s")), &stat));
        assert!(!is_mapped_privately(
            "7f00-7f01 rw-p 00000000 00:00 0\n\n7f00\n",
            &stat
        ));
    }

    #[test]
    fn memory_that_this_process_shares_is_not() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("pair");
        let memory = Mapping::anonymous("shared", 4096).expect("map");
        let (fd, _) = memory.descriptor().expect("memfd");
        assert!(!Peer::of(ours).has_mapped_privately(fd));
    }
}
