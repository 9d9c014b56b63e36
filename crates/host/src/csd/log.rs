//! Reading log pages whose length only their contents tell.

use super::ADMIN_TIMEOUT;
use crate::error::Doing;
use crate::{Device, Error, Transfer, command};
use nvme_spec::{Csi, Lid};
use zerocopy::FromBytes;

/// Read at once: the least that any drive transfers.
const PART: usize = 4096;
/// More than any log of these has.
const LONGEST: u64 = 64 << 20;

/// A log page, read from its start as far as is asked for.
pub(super) struct LogReader<'a> {
    device: &'a mut dyn Device,
    lid: Lid,
    nsid: u32,
    csi: Csi,
    part: [u8; PART],
    /// In `part`.
    at: usize,
    /// Bytes of the log before the end of `part`.
    next: u64,
}

impl<'a> LogReader<'a> {
    pub(super) fn new(device: &'a mut dyn Device, lid: Lid, nsid: u32, csi: Csi) -> Self {
        Self {
            device,
            lid,
            nsid,
            csi,
            part: [0; PART],
            at: PART,
            next: 0,
        }
    }

    /// The next structure, of 80 bytes at most.
    pub(super) fn read<T: FromBytes>(&mut self) -> Result<T, Error> {
        let mut bytes = [0; 80];
        let bytes = &mut bytes[..size_of::<T>()];
        let mut done = 0;
        while done < bytes.len() {
            if self.at == PART {
                self.fetch()?;
            }
            let len = (bytes.len() - done).min(PART - self.at);
            bytes[done..done + len].copy_from_slice(&self.part[self.at..self.at + len]);
            self.at += len;
            done += len;
        }
        T::read_from_bytes(bytes).map_err(|_| Error::protocol("a structure of another size"))
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let (lid, nsid) = (self.lid, self.nsid);
        if self.next >= LONGEST {
            return Err(Error::protocol(format!("log {:02X}h does not end", lid.0)));
        }
        let sqe = command::get_log(lid, nsid, self.csi, 0, self.next, PART as u32);
        self.device
            .admin(&sqe, Transfer::Read(&mut self.part), ADMIN_TIMEOUT)
            .doing(|| format!("read log {:02X}h ({lid:?}), namespace {nsid}", lid.0))?;
        self.at = 0;
        self.next += PART as u64;
        Ok(())
    }
}
