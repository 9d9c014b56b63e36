//! The ioctls of Linux that this crate uses, as safe functions.

use crate::Transfer;
use core::ffi::c_void;
use nvme_spec::{Sqe, Status};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// `struct nvme_passthru_cmd64` of `<linux/nvme_ioctl.h>`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct PassthroughCommand {
    opcode: u8,
    flags: u8,
    rsvd1: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    addr: u64,
    metadata_len: u32,
    data_len: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    rsvd2: u32,
    result: u64,
}

/// `struct fiemap` of `<linux/fiemap.h>`, without its extents.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct FiemapHeader {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

/// `struct fiemap_extent`: where a part of a file lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct FiemapExtent {
    /// First byte in the file.
    pub(crate) logical: u64,
    /// First byte on the file system's device.
    pub(crate) physical: u64,
    /// Bytes.
    pub(crate) length: u64,
    reserved64: [u64; 2],
    /// `FIEMAP_EXTENT_*`.
    pub(crate) flags: u32,
    reserved: [u32; 3],
}

/// Extents that are asked for at once.
const EXTENTS: usize = 128;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Fiemap {
    header: FiemapHeader,
    extents: [FiemapExtent; EXTENTS],
}

/// `struct fsxattr` of `<linux/fs.h>`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Fsxattr {
    xflags: u32,
    extsize: u32,
    nextents: u32,
    projid: u32,
    cowextsize: u32,
    pad: [u8; 8],
}

const _: () = assert!(size_of::<PassthroughCommand>() == 80);
const _: () = assert!(size_of::<FiemapHeader>() == 32);
const _: () = assert!(size_of::<FiemapExtent>() == 56);
const _: () = assert!(size_of::<Fsxattr>() == 28);

const NVME_IOCTL_ID: Opcode = opcode::none(b'N', 0x40);
const NVME_IOCTL_ADMIN64_CMD: Opcode = opcode::read_write::<PassthroughCommand>(b'N', 0x47);
const NVME_IOCTL_IO64_CMD: Opcode = opcode::read_write::<PassthroughCommand>(b'N', 0x48);
const FS_IOC_FIEMAP: Opcode = opcode::read_write::<FiemapHeader>(b'f', 11);
const FS_IOC_FSGETXATTR: Opcode = opcode::read::<Fsxattr>(b'X', 31);

/// A call whose argument is a `T` that the kernel reads and writes, and whose return value counts.
struct Call<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: `argument` is a structure of the layout and size that the opcode stands for (the
// constants above, used only by the functions below), and it lives for the length of the call.
// `output_from_ptr` does not touch the pointer.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.argument).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<IoctlOutput> {
        Ok(out)
    }
}

/// Which of a device node's queues a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Admin,
    Io,
}

/// The namespace identifier behind a node of a namespace.
pub(crate) fn nvme_id(node: impl AsFd) -> io::Result<u32> {
    let call = Call {
        opcode: NVME_IOCTL_ID,
        argument: &mut (),
    };
    // SAFETY: the kernel does not use the argument of this ioctl.
    let id = unsafe { rustix::ioctl::ioctl(node, call) }?;
    u32::try_from(id).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Sends a command through the kernel's driver and returns DW0-1 of its completion, or the status
/// if that is not success. CDW4-5 and the data pointer are the kernel's to fill.
pub(crate) fn nvme_command(
    node: impl AsFd,
    queue: Queue,
    sqe: &Sqe,
    data: &mut Transfer<'_>,
    limit: Duration,
) -> io::Result<Result<u64, Status>> {
    let too_long = || io::Error::from(io::ErrorKind::InvalidInput);
    let data_len = u32::try_from(data.len()).map_err(|_| too_long())?;
    let addr = match data {
        Transfer::None => 0,
        Transfer::Read(buf) => buf.as_mut_ptr().expose_provenance() as u64,
        Transfer::Write(bytes) => bytes.as_ptr().expose_provenance() as u64,
    };
    let mut command = PassthroughCommand {
        opcode: sqe.opcode,
        nsid: sqe.nsid,
        cdw2: sqe.cdw2,
        cdw3: sqe.cdw3,
        addr,
        data_len,
        cdw10: sqe.cdw10,
        cdw11: sqe.cdw11,
        cdw12: sqe.cdw12,
        cdw13: sqe.cdw13,
        cdw14: sqe.cdw14,
        cdw15: sqe.cdw15,
        timeout_ms: u32::try_from(limit.as_millis()).unwrap_or(u32::MAX),
        ..PassthroughCommand::default()
    };
    // The kernel takes the direction from the opcode: a buffer that may only be read must never
    // be given to a command that writes to it.
    let to_host = matches!(
        nvme_spec::opcode::DataTransfer::of(sqe.opcode),
        nvme_spec::opcode::DataTransfer::ControllerToHost
            | nvme_spec::opcode::DataTransfer::Bidirectional
    );
    if to_host && matches!(data, Transfer::Write(_)) {
        return Err(too_long());
    }
    let call = Call {
        opcode: match queue {
            Queue::Admin => NVME_IOCTL_ADMIN64_CMD,
            Queue::Io => NVME_IOCTL_IO64_CMD,
        },
        argument: &mut command,
    };
    // SAFETY: `addr` and `data_len` describe memory that is borrowed until the call returns, for
    // writing (`Read`), or for reading by a command whose opcode moves no data to the host.
    let status = unsafe { rustix::ioctl::ioctl(node, call) }?;
    match u16::try_from(status) {
        Ok(0) => Ok(Ok(command.result)),
        Ok(status) => Ok(Err(Status::from_bits(status))),
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Asks where the bytes of a file from `start` on lie, after what is only in memory has been
/// written. Returns some extents in order; none when there are no more.
pub(crate) fn fiemap(file: impl AsFd, start: u64) -> io::Result<Vec<FiemapExtent>> {
    const FIEMAP_FLAG_SYNC: u32 = 1;
    let mut map = Fiemap {
        header: FiemapHeader {
            start,
            length: u64::MAX - start,
            flags: FIEMAP_FLAG_SYNC,
            extent_count: EXTENTS as u32,
            ..FiemapHeader::default()
        },
        extents: [FiemapExtent::default(); EXTENTS],
    };
    let call = Call {
        opcode: FS_IOC_FIEMAP,
        argument: &mut map,
    };
    // SAFETY: the kernel fills at most `extent_count` extents behind the header, for which
    // `extents` has room; all their bytes are integers.
    unsafe { rustix::ioctl::ioctl(file, call) }?;
    let mapped = (map.header.mapped_extents as usize).min(EXTENTS);
    Ok(map.extents[..mapped].to_vec())
}

/// Whether a file of XFS lies on the file system's realtime device.
pub(crate) fn is_realtime(file: impl AsFd) -> io::Result<bool> {
    const FS_XFLAG_REALTIME: u32 = 1;
    let mut attributes = Fsxattr::default();
    let call = Call {
        opcode: FS_IOC_FSGETXATTR,
        argument: &mut attributes,
    };
    // SAFETY: the kernel fills the structure, whose bytes are all integers.
    unsafe { rustix::ioctl::ioctl(file, call) }?;
    Ok(attributes.xflags & FS_XFLAG_REALTIME != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn opcodes_are_those_of_the_kernel_headers() {
        assert_eq!(NVME_IOCTL_ID, 0x4E40);
        assert_eq!(NVME_IOCTL_ADMIN64_CMD, 0xC050_4E47);
        assert_eq!(NVME_IOCTL_IO64_CMD, 0xC050_4E48);
        assert_eq!(FS_IOC_FIEMAP, 0xC020_660B);
        assert_eq!(FS_IOC_FSGETXATTR, 0x801C_581F);
    }

    #[test]
    fn a_file_is_where_its_file_system_says() {
        let mut file = tempfile::tempfile().expect("file");
        io::Write::write_all(&mut file, &[1; 8192]).expect("write");
        match fiemap(&file, 0) {
            Ok(extents) => {
                let covered: u64 = extents.iter().map(|extent| extent.length).sum();
                assert_eq!(extents[0].logical, 0);
                assert!(covered >= 8192, "{extents:?}");
                assert!(fiemap(&file, 1 << 30).expect("beyond the end").is_empty());
            }
            // Such as tmpfs.
            Err(error) => {
                let unsupported = rustix::io::Errno::OPNOTSUPP.raw_os_error();
                assert_eq!(error.raw_os_error(), Some(unsupported));
            }
        }
    }

    #[test]
    fn a_file_is_no_drive() {
        let file = File::open("/dev/null").expect("open");
        assert!(nvme_id(&file).is_err());
        let sqe = Sqe::new(0x06, 0);
        let mut buf = [0; 4096];
        let mut data = Transfer::Read(&mut buf);
        assert!(nvme_command(&file, Queue::Admin, &sqe, &mut data, Duration::ZERO).is_err());
    }

    #[test]
    fn a_read_only_buffer_is_never_given_to_a_command_that_writes_to_it() {
        let file = File::open("/dev/null").expect("open");
        let sqe = Sqe::new(0x02, 1);
        let mut data = Transfer::Write(&[0; 512]);
        let error = nvme_command(&file, Queue::Io, &sqe, &mut data, Duration::ZERO);
        assert_eq!(
            error.expect_err("refused").kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
