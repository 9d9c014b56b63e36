//! Blocks of flash, as any host reads and writes them.

use super::{Csd, IO_TIMEOUT, NvmNamespace};
use crate::error::Doing;
use crate::{Error, Transfer, command};
use nvme_spec::{NvmOpcode, Sqe};

/// Logical blocks that one command can name.
const BLOCKS_AT_ONCE: u64 = 1 << 16;

impl Csd {
    /// Reads logical blocks from `slba` on: as many as fill `buf`, a multiple of their size.
    ///
    /// # Errors
    /// When the range is not in the namespace, or the drive refuses.
    pub fn read_blocks(&mut self, nsid: u32, slba: u64, buf: &mut [u8]) -> Result<(), Error> {
        let len = buf.len();
        self.move_blocks(command::read, nsid, slba, Transfer::Read(buf))
            .doing(|| format!("read {len} bytes of namespace {nsid} from block {slba} on"))
    }

    /// Writes logical blocks from `slba` on: as many as `data` are, a multiple of their size.
    ///
    /// # Errors
    /// When the range is not in the namespace, or the drive refuses.
    pub fn write_blocks(&mut self, nsid: u32, slba: u64, data: &[u8]) -> Result<(), Error> {
        let len = data.len();
        self.move_blocks(command::write, nsid, slba, Transfer::Write(data))
            .doing(|| format!("write {len} bytes of namespace {nsid} from block {slba} on"))
    }

    fn move_blocks(
        &mut self,
        command: fn(u32, u64, u32) -> Sqe,
        nsid: u32,
        slba: u64,
        data: Transfer<'_>,
    ) -> Result<(), Error> {
        let nvm = self.nvm_namespace(nsid)?;
        let (len, block) = (data.len() as u64, nvm.block);
        if nvm.metadata != 0 {
            return Err(Error::Unsupported(format!(
                "blocks of namespace {nsid} have metadata, which this does not transfer"
            )));
        }
        if !len.is_multiple_of(block) {
            return Err(Error::refused(format!(
                "{len} bytes are no whole blocks of {block} bytes"
            )));
        }
        nvm.check(slba, len / block)?;
        let blocks = (self.device.max_transfer() as u64 / block).min(BLOCKS_AT_ONCE);
        if blocks == 0 {
            return Err(Error::Unsupported(format!(
                "a block of {block} bytes does not fit one command"
            )));
        }
        let mut command = |offset: usize, len: usize| {
            let at = slba + offset as u64 / block;
            command(nsid, at, (len as u64 / block) as u32)
        };
        let piece = (blocks * block) as usize;
        self.device.pieces(data, piece, &mut command, IO_TIMEOUT)
    }

    /// Makes sure that what was written to a namespace stays after a power loss.
    ///
    /// # Errors
    /// When the drive refuses.
    pub fn flush(&mut self, nsid: u32) -> Result<(), Error> {
        let sqe = Sqe::new(NvmOpcode::Flush, nsid);
        self.device
            .io(&sqe, Transfer::None, IO_TIMEOUT)
            .doing(|| format!("flush namespace {nsid}"))?;
        Ok(())
    }
}

impl NvmNamespace {
    /// Refuses blocks that there are none of.
    pub(super) fn check(&self, slba: u64, blocks: u64) -> Result<(), Error> {
        match self.blocks.checked_sub(slba) {
            Some(rest) if blocks <= rest => Ok(()),
            _ => Err(Error::refused(format!(
                "{blocks} blocks from {slba} on reach beyond the {} of namespace {}",
                self.blocks, self.nsid
            ))),
        }
    }
}
