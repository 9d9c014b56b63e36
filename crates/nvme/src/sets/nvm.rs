//! The NVM Command Set: logical blocks (NVM, 3.3).
//!
//! The bytes lie in the drive's store, which all its NVM namespaces share; the media says only when
//! they are there. There is no metadata, no protection information and no Directive; blocks that
//! were never written, or were deallocated, read as zeros.

use crate::error::NvmeError;
use crate::set::{Blocks, CommandSet, Cx, Effect, Form, Page, Step, Token, unreadable};
use crate::unreadable::Unreadable;
use ersatz_engine::Ns;
use ersatz_ftl::{Extent, Fault, Operation, Outcome, Placement};
use ersatz_memory::{Mapping, OutOfBounds};
use nvme_spec::admin::FormatNvmCdw10;
use nvme_spec::feature::WriteProtection;
use nvme_spec::identify::namespace::{Dlfeat, IdentifyNamespace, IdentifyNamespaceNvm};
use nvme_spec::nvm::{DsmCdw10, DsmCdw11, DsmRange, RwCdw12, WriteZeroesCdw12};
use nvme_spec::queue::Fuse;
use nvme_spec::{Csi, NvmOpcode, Status};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

mod copy;
mod format;

pub(crate) use copy::FORMATS as COPY_FORMATS;

const EFFECTS: [Effect; 9] = [
    effect(NvmOpcode::Flush, false),
    effect(NvmOpcode::Write, true),
    effect(NvmOpcode::Read, false),
    effect(NvmOpcode::WriteUncorrectable, true),
    effect(NvmOpcode::Compare, false),
    effect(NvmOpcode::WriteZeroes, true),
    effect(NvmOpcode::DatasetManagement, true),
    effect(NvmOpcode::Verify, false),
    effect(NvmOpcode::Copy, true),
];

const fn effect(opcode: NvmOpcode, changes_data: bool) -> Effect {
    Effect {
        opcode: opcode.into_bits(),
        changes_data,
    }
}

/// Where a namespace is, and how it is divided.
#[derive(Clone, Copy, Debug)]
pub struct NvmConfig {
    /// The namespace's first byte, in the store and in the media's logical space.
    pub start: u64,
    /// Bytes of a block: a power of two, 512 at least.
    pub block: u32,
    /// Blocks.
    pub blocks: u64,
    /// Bytes that one command may transfer (MDTS); `u64::MAX` for no limit.
    pub max_transfer: u64,
}

/// A namespace that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NvmConfigError {
    /// Not a size of blocks.
    #[error("blocks of {0} bytes: a power of two is possible, 512 at least")]
    Block(u32),
    /// It does not lie in the store.
    #[error("the namespace lies outside of the store: {0}")]
    OutOfBounds(#[from] OutOfBounds),
}

/// A namespace of logical blocks.
#[derive(Debug)]
pub struct Nvm {
    blocks: Blocks,
    max_transfer: u64,
    /// The media has said that it takes no writes any more. From then on their data is not put
    /// into the store: what a write that fails for this reason leaves is what was there before.
    read_only: bool,
    /// Where the data of copies goes that is on its way between blocks.
    copies: BTreeMap<Token, Extent>,
    /// Bytes of the namespace, however it is formatted.
    bytes: u64,
    /// The sizes that blocks can have.
    formats: SmallVec<[u32; 3]>,
    /// Until when a Format NVM keeps it busy.
    formatting: Ns,
    protection: WriteProtection,
}

impl Nvm {
    /// The namespace of `config`, with its bytes in `store`.
    ///
    /// # Errors
    /// When the block size is not possible, or the namespace does not lie in the store.
    pub fn new(config: NvmConfig, store: Arc<Mapping>) -> Result<Self, NvmConfigError> {
        let NvmConfig {
            start,
            block,
            blocks,
            max_transfer,
        } = config;
        if block < 512 || !block.is_power_of_two() {
            return Err(NvmConfigError::Block(block));
        }
        let size = store.len();
        let len = blocks.saturating_mul(block.into());
        if start.checked_add(len).is_none_or(|end| end > size) {
            return Err(OutOfBounds {
                offset: start,
                len,
                size,
            }
            .into());
        }
        let blocks = Blocks {
            store,
            start,
            block,
            count: blocks,
            unreadable: Arc::new(Unreadable::default()),
        };
        Ok(Self {
            blocks,
            max_transfer,
            read_only: false,
            copies: BTreeMap::new(),
            bytes: len,
            formats: format::sizes(block),
            formatting: Ns::ZERO,
            protection: WriteProtection::None,
        })
    }

    /// The blocks from `slba` on. A media may want to know of a request that is refused here, and
    /// may take its time for that.
    fn locate(
        &self,
        cx: &mut Cx<'_>,
        operation: Operation,
        slba: u64,
        nlb: u64,
    ) -> Result<Extent, NvmeError> {
        self.blocks.extent(slba, nlb).ok_or_else(|| {
            let reason = format!("{nlb} blocks from LBA {slba} on, of {}", self.blocks.count);
            NvmeError {
                at: Some(cx.media_refused(operation)),
                ..NvmeError::new(Status::LBA_OUT_OF_RANGE, reason)
            }
        })
    }

    /// The blocks of Read, Write and Compare, whose data crosses the link.
    fn transfer(&self, cx: &mut Cx<'_>, operation: Operation) -> Result<Extent, NvmeError> {
        let nlb = u64::from(RwCdw12::from_bits(cx.sqe.cdw12).nlb_z()) + 1;
        if nlb * u64::from(self.blocks.block) > self.max_transfer {
            return Err(NvmeError::field(format!(
                "{nlb} blocks are more than MDTS allows"
            )));
        }
        self.addressed(cx, operation)
    }

    /// The blocks of a command with the fields of Read.
    fn addressed(&self, cx: &mut Cx<'_>, operation: Operation) -> Result<Extent, NvmeError> {
        let cdw12 = RwCdw12::from_bits(cx.sqe.cdw12);
        check_extensions(cdw12.cetype())?;
        let nlb = u64::from(cdw12.nlb_z()) + 1;
        self.locate(cx, operation, cx.sqe.cdw10_11(), nlb)
    }

    fn read(&self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let at = self.transfer(cx, Operation::Read)?;
        self.check_readable(cx, at)?;
        cx.send_from(&self.blocks.store, at.start, at.len)?;
        cx.counters.reads += 1;
        cx.counters.bytes_read += at.len;
        Ok(Step::data(cx.media_read(at)?, at.len))
    }

    fn write(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        if RwCdw12::from_bits(cx.sqe.cdw12).dtype() != 0 {
            return Err(NvmeError::field("Directives are not supported"));
        }
        let at = self.transfer(cx, Operation::Write)?;
        if !self.read_only {
            cx.receive_into(&self.blocks.store, at.start, at.len)?;
            self.made_readable(at);
        }
        cx.counters.writes += 1;
        cx.counters.bytes_written += at.len;
        // After a comparison, the media has to end its read first.
        if cx.link.is_modelled() || cx.sqe.flags.fuse() == Fuse::Second {
            return Ok(Step::Resume {
                at: cx.link.from_host(cx.now, at.len),
            });
        }
        self.program(cx, at)
    }

    /// The data of a write has arrived.
    fn program(&mut self, cx: &mut Cx<'_>, at: Extent) -> Result<Step, NvmeError> {
        let accepted = cx.media_write(at, Placement::default());
        let mut done = self.judge(accepted)?;
        if RwCdw12::from_bits(cx.sqe.cdw12).fua() {
            let durable = cx.media_flush();
            done = done.max(self.judge(durable)?);
        }
        Ok(Step::at(done))
    }

    /// Remembers what a failed write says about the ones to come.
    fn judge(&mut self, outcome: Outcome) -> Result<Ns, NvmeError> {
        outcome.map_err(|error| {
            self.read_only |= matches!(error.fault, Fault::OutOfBlocks | Fault::ReadOnly);
            error.into()
        })
    }

    fn compare(&self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let at = self.transfer(cx, Operation::Read)?;
        if cx.link.is_modelled() {
            return Ok(Step::Resume {
                at: cx.link.from_host(cx.now, at.len),
            });
        }
        self.compare_arrived(cx, at)
    }

    /// The data to compare with has arrived.
    fn compare_arrived(&self, cx: &mut Cx<'_>, at: Extent) -> Result<Step, NvmeError> {
        self.check_readable(cx, at)?;
        // At most as much as MDTS or the 16 bits of NLB allow.
        let mut bytes = vec![0; at.len as usize];
        cx.receive(&mut bytes)?;
        let equal = self.blocks.store.equals(at.start, &bytes)?;
        cx.counters.reads += 1;
        cx.counters.bytes_read += at.len;
        let done = cx.media_read(at)?;
        if equal {
            return Ok(Step::at(done));
        }
        Err(NvmeError {
            at: Some(done),
            ..Status::COMPARE_FAILURE.into()
        })
    }

    fn verify(&self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let at = self.addressed(cx, Operation::Read)?;
        self.check_readable(cx, at)?;
        cx.counters.bytes_read += at.len;
        Ok(Step::at(cx.media_read(at)?))
    }

    /// A read of blocks that a host has made unreadable takes the media's time and fails.
    fn check_readable(&self, cx: &mut Cx<'_>, at: Extent) -> Result<(), NvmeError> {
        let Some(lba) = self.blocks.unreadable_in(at) else {
            return Ok(());
        };
        let known = cx.media_read(at)?;
        Err(unreadable(lba, known))
    }

    /// New data lies in `at`.
    fn made_readable(&mut self, at: Extent) {
        if !self.blocks.unreadable.is_empty() {
            let (slba, nlb) = self.blocks.blocks_of(at);
            Arc::make_mut(&mut self.blocks.unreadable).clear(slba, nlb);
        }
    }

    fn write_uncorrectable(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let (slba, cdw12) = (cx.sqe.cdw10_11(), RwCdw12::from_bits(cx.sqe.cdw12));
        let nlb = u64::from(cdw12.nlb_z()) + 1;
        let at = self.locate(cx, Operation::Write, slba, nlb)?;
        let accepted = cx.media_write(at, Placement::default());
        let done = self.judge(accepted)?;
        let marked = Arc::make_mut(&mut self.blocks.unreadable).mark(slba, nlb);
        marked.map_err(|full| NvmeError {
            at: Some(done),
            ..NvmeError::new(Status::WRITE_FAULT, full.to_string())
        })?;
        Ok(Step::at(done))
    }

    fn write_zeroes(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let cdw12 = WriteZeroesCdw12::from_bits(cx.sqe.cdw12);
        check_extensions(cdw12.cetype())?;
        if cdw12.nsz() {
            return Err(NvmeError::field(
                "zeroing a namespace as a whole is not supported",
            ));
        }
        let nlb = u64::from(cdw12.nlb_z()) + 1;
        let at = self.locate(cx, Operation::Write, cx.sqe.cdw10_11(), nlb)?;
        let outcome = if cdw12.deac() {
            cx.media_trim(at)
        } else {
            cx.media_write(at, Placement::default())
        };
        let mut done = self.judge(outcome)?;
        self.blocks.store.clear(at.start, at.len)?;
        self.made_readable(at);
        if cdw12.fua() {
            let durable = cx.media_flush();
            done = done.max(self.judge(durable)?);
        }
        Ok(Step::at(done))
    }

    fn dataset_management(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        if !DsmCdw11::from_bits(cx.sqe.cdw11).ad() {
            // Attributes are hints, and this drive takes none.
            return Ok(Step::done(0));
        }
        let count = usize::from(DsmCdw10::from_bits(cx.sqe.cdw10).nr_z()) + 1;
        let mut bytes = [0; 256 * size_of::<DsmRange>()];
        let bytes = &mut bytes[..count * size_of::<DsmRange>()];
        cx.receive(bytes)?;
        let mut extents = SmallVec::<[Extent; 16]>::new();
        for range in bytes.chunks_exact(size_of::<DsmRange>()) {
            let Ok(range) = DsmRange::read_from_bytes(range) else {
                continue;
            };
            if range.nlb > 0 {
                extents.push(self.locate(cx, Operation::Trim, range.slba, range.nlb.into())?);
            }
        }
        let mut done = cx.now;
        for at in extents {
            let trimmed = cx.media_trim(at);
            done = done.max(self.judge(trimmed)?);
            self.blocks.store.clear(at.start, at.len)?;
            self.made_readable(at);
        }
        Ok(Step::at(done))
    }

    fn is_protected(&self) -> bool {
        self.protection != WriteProtection::None
    }

    fn describe(&self) -> IdentifyNamespace {
        let count = self.blocks.count;
        let mut identity = IdentifyNamespace::default();
        identity.nsze = count;
        identity.ncap = count;
        identity.nuse = count;
        identity.dlfeat = Dlfeat::new().with_read(1).with_wzd(true);
        identity.nsattr = u8::from(self.is_protected());
        let limits = copy::Limits::of(self.blocks.block);
        identity.mssrl = limits.mssrl;
        identity.mcl = limits.mcl;
        identity.msrc_z = limits.msrc_z;
        identity.nvmcap = u128::from(self.bytes).into();
        self.describe_formats(&mut identity);
        identity
    }
}

/// Whether a command writes, in some way.
fn changes_data(opcode: u8) -> bool {
    EFFECTS
        .iter()
        .any(|effect| effect.opcode == opcode && effect.changes_data)
}

/// Refuses command extensions. What a command says of protection information (PRACT, PRCHK) is
/// ignored: the namespace has none (NVM, 5.3.1).
fn check_extensions(cetype: u8) -> Result<(), NvmeError> {
    if cetype != 0 {
        return Err(NvmeError::field("command extensions are not supported"));
    }
    Ok(())
}

impl CommandSet for Nvm {
    fn csi(&self) -> Csi {
        Csi::Nvm
    }

    fn io(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        if cx.now < self.formatting {
            return Err(NvmeError::transient(Status::FORMAT_IN_PROGRESS, ""));
        }
        if self.is_protected() && changes_data(cx.sqe.opcode) {
            return Err(Status::NAMESPACE_WRITE_PROTECTED.into());
        }
        match NvmOpcode(cx.sqe.opcode) {
            NvmOpcode::Flush => {
                let durable = cx.media_flush();
                Ok(Step::at(self.judge(durable)?))
            }
            NvmOpcode::Write => self.write(cx),
            NvmOpcode::Read => self.read(cx),
            NvmOpcode::Compare => self.compare(cx),
            NvmOpcode::WriteZeroes => self.write_zeroes(cx),
            NvmOpcode::DatasetManagement => self.dataset_management(cx),
            NvmOpcode::Verify => self.verify(cx),
            NvmOpcode::WriteUncorrectable => self.write_uncorrectable(cx),
            NvmOpcode::Copy => self.copy(cx),
            _ => Err(Status::INVALID_OPCODE.into()),
        }
    }

    fn resume(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        match NvmOpcode(cx.sqe.opcode) {
            NvmOpcode::Write => {
                let at = self.transfer(cx, Operation::Write)?;
                self.program(cx, at)
            }
            NvmOpcode::Compare => {
                let at = self.transfer(cx, Operation::Read)?;
                self.compare_arrived(cx, at)
            }
            NvmOpcode::Copy => self.copy_arrived(cx),
            _ => Ok(Step::at(cx.now)),
        }
    }

    fn write_protection(&self) -> Option<WriteProtection> {
        Some(self.protection)
    }

    fn protect(&mut self, state: WriteProtection) {
        self.protection = state;
    }

    fn effects(&self) -> &'static [Effect] {
        &EFFECTS
    }

    fn identify(&self, form: Form, out: &mut Page) -> bool {
        match form {
            Form::Blocks => out.copy_from_slice(self.describe().as_bytes()),
            Form::Specific => out.copy_from_slice(IdentifyNamespaceNvm::default().as_bytes()),
        }
        true
    }

    fn capacity(&self) -> u64 {
        self.bytes
    }

    fn check_format(&self, cdw10: FormatNvmCdw10) -> Result<(), NvmeError> {
        if self.is_protected() {
            return Err(Status::NAMESPACE_WRITE_PROTECTED.into());
        }
        self.new_size(cdw10).map(|_| ())
    }

    fn format(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        self.format_all(cx)
    }

    fn blocks(&self) -> Option<Blocks> {
        Some(self.blocks.clone())
    }

    fn abandon(&mut self, token: Token) {
        self.copies.remove(&token);
    }
}

#[cfg(test)]
mod tests;
