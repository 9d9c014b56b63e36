//! Format NVM: all data of a namespace is forgotten, and its blocks may get another size.

use super::Nvm;
use crate::error::NvmeError;
use crate::set::{Cx, Step};
use crate::unreadable::Unreadable;
use ersatz_ftl::Extent;
use nvme_spec::Status;
use nvme_spec::admin::FormatNvmCdw10;
use nvme_spec::identify::IdentifyNamespace;
use nvme_spec::identify::namespace::{Flbas, LbaFormat};
use smallvec::SmallVec;
use std::sync::Arc;

/// Bytes of a block that each namespace can be formatted to; their places are the formats' numbers.
const SIZES: [u32; 2] = [512, 4096];
/// The last Secure Erase Settings: none, user data, cryptographic.
const MAX_SES: u8 = 2;

/// The sizes that blocks of a namespace can have that was made with blocks of `block` bytes.
pub(super) fn sizes(block: u32) -> SmallVec<[u32; 3]> {
    let mut sizes = SmallVec::from_slice(&SIZES);
    if !sizes.contains(&block) {
        sizes.push(block);
    }
    sizes
}

impl Nvm {
    pub(super) fn describe_formats(&self, identity: &mut IdentifyNamespace) {
        // At most three, and the block size is a power of two in 32 bits.
        identity.nlbaf_z = self.formats.len() as u8 - 1;
        for (format, size) in identity.lbaf.iter_mut().zip(&self.formats) {
            *format = LbaFormat::new().with_lbads(size.trailing_zeros() as u8);
        }
        let index = self.formats.iter().position(|&s| s == self.blocks.block);
        identity.flbas = Flbas::new().with_low(index.unwrap_or(0) as u8);
    }

    /// The size of blocks that a Format NVM asks for.
    pub(super) fn new_size(&self, cdw10: FormatNvmCdw10) -> Result<u32, NvmeError> {
        if cdw10.ses() > MAX_SES {
            return Err(NvmeError::field("SES is reserved"));
        }
        let size = self.formats.get(usize::from(cdw10.lbaf())).copied();
        let size = size.filter(|&size| u64::from(size) <= self.bytes && cdw10.pi() == 0);
        size.ok_or_else(|| {
            let reason = format!("format {}, protection {}", cdw10.lbaf(), cdw10.pi());
            NvmeError::new(Status::INVALID_FORMAT, reason)
        })
    }

    /// The media deallocates all blocks, so that nothing of what was there can be read; a secure
    /// erase can do no more.
    pub(super) fn format_all(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let size = self.new_size(FormatNvmCdw10::from_bits(cx.sqe.cdw10))?;
        let all = Extent {
            start: self.blocks.start,
            len: self.bytes,
        };
        let trimmed = cx.media_trim(all);
        let trimmed = self.judge(trimmed)?;
        let durable = cx.media_flush();
        let done = self.judge(durable)?.max(trimmed);
        self.blocks.store.clear(all.start, all.len)?;
        self.blocks.unreadable = Arc::new(Unreadable::default());
        self.blocks.block = size;
        self.blocks.count = self.bytes / u64::from(size);
        self.formatting = done;
        Ok(Step::at(done))
    }
}
