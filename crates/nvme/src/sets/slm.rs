//! The Subsystem Local Memory Command Set: byte-addressable device memory (SLM).
//!
//! What this namespace does not do: it has no formats, no attributes, and nothing of it survives
//! the drive.

mod copy;

use crate::error::NvmeError;
use crate::set::{CommandSet, Cx, Effect, Form, Page, Step};
use ersatz_engine::{Ns, Timeline};
use ersatz_memory::{MapError, Mapping};
use nvme_spec::identify::IdentifyNamespaceSlm;
use nvme_spec::slm::DWORD;
use nvme_spec::{Csi, SlmOpcode, Status};
use std::sync::Arc;
use zerocopy::IntoBytes;

const EFFECTS: [Effect; 5] = [
    effect(SlmOpcode::Flush, false),
    effect(SlmOpcode::MemoryCopy, true),
    effect(SlmOpcode::MemoryRead, false),
    effect(SlmOpcode::MemoryFill, true),
    effect(SlmOpcode::MemoryWrite, true),
];

const fn effect(opcode: SlmOpcode, changes_data: bool) -> Effect {
    Effect {
        opcode: opcode.into_bits(),
        changes_data,
    }
}

/// What a memory namespace is like.
#[derive(Clone, Debug)]
pub struct SlmConfig {
    /// Bytes.
    pub bytes: u64,
    /// Bytes that one command may transfer (MDTS); `u64::MAX` for no limit. Copies and fills move
    /// no data over the link and have none.
    pub max_transfer: u64,
    /// Bytes per second that all commands together move; at least 1.
    pub bandwidth: u64,
    /// What a command takes besides.
    pub latency: Ns,
    /// NSIDs of the namespaces that it can be copied to from; itself it always reaches.
    pub reaches: Vec<u32>,
}

/// A namespace of device memory.
#[derive(Debug)]
pub struct Slm {
    config: SlmConfig,
    memory: Arc<Mapping>,
    timeline: Timeline,
}

impl Slm {
    /// The namespace of `config`, all zeros.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(config: SlmConfig) -> Result<Self, MapError> {
        let memory = Arc::new(Mapping::anonymous("slm", config.bytes)?);
        Ok(Self {
            config,
            memory,
            timeline: Timeline::default(),
        })
    }

    /// When the memory has moved `bytes` that are there `now`.
    fn book(&mut self, now: Ns, bytes: u64) -> Ns {
        let duration = self.duration(bytes);
        self.timeline.book(now, duration).end
    }

    /// How long the memory takes for so many bytes.
    fn duration(&self, bytes: u64) -> Ns {
        let bandwidth = u128::from(self.config.bandwidth.max(1));
        let transfer = (u128::from(bytes) * 1_000_000_000).div_ceil(bandwidth);
        self.config.latency + Ns(u64::try_from(transfer).unwrap_or(u64::MAX))
    }

    /// Checks a range of bytes against the namespace.
    fn check(&self, start: u64, len: u64) -> Result<(), NvmeError> {
        if !start.is_multiple_of(DWORD) || !len.is_multiple_of(DWORD) {
            return Err(NvmeError::field("memory is addressed in dwords"));
        }
        if start
            .checked_add(len)
            .is_none_or(|end| end > self.config.bytes)
        {
            let reason = format!("{len} bytes from byte {start} on, of {}", self.config.bytes);
            return Err(NvmeError::field(reason));
        }
        Ok(())
    }

    /// First byte and length of Memory Read, Memory Write and Memory Fill.
    fn range(&self, cx: &Cx<'_>) -> Result<(u64, u64), NvmeError> {
        let (start, len) = (cx.sqe.cdw10_11(), u64::from(cx.sqe.cdw12));
        self.check(start, len)?;
        Ok((start, len))
    }

    /// As [`Slm::range`], where the bytes cross the link.
    fn transfer(&self, cx: &Cx<'_>) -> Result<(u64, u64), NvmeError> {
        let (start, len) = self.range(cx)?;
        if len > self.config.max_transfer {
            return Err(NvmeError::field(format!(
                "{len} bytes are more than MDTS allows"
            )));
        }
        Ok((start, len))
    }

    fn read(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let (start, len) = self.transfer(cx)?;
        if len == 0 {
            return Ok(Step::done(0));
        }
        cx.send_from(&self.memory, start, len)?;
        Ok(Step::data(self.book(cx.now, len), len))
    }

    fn write(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let (start, len) = self.transfer(cx)?;
        if len == 0 {
            return Ok(Step::done(0));
        }
        cx.receive_into(&self.memory, start, len)?;
        if cx.link.is_modelled() {
            return Ok(Step::Resume {
                at: cx.link.from_host(cx.now, len),
            });
        }
        Ok(Step::at(self.book(cx.now, len)))
    }

    fn fill(&mut self, cx: &Cx<'_>) -> Result<Step, NvmeError> {
        let (start, len) = self.range(cx)?;
        if len == 0 {
            return Ok(Step::done(0));
        }
        self.memory.clear(start, len)?;
        Ok(Step::at(self.book(cx.now, len)))
    }
}

impl CommandSet for Slm {
    fn csi(&self) -> Csi {
        Csi::Slm
    }

    fn io(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        match SlmOpcode(cx.sqe.opcode) {
            // Device memory is volatile: there is nothing to make durable.
            SlmOpcode::Flush => Ok(Step::done(0)),
            SlmOpcode::MemoryCopy => self.copy(cx),
            SlmOpcode::MemoryRead => self.read(cx),
            SlmOpcode::MemoryFill => self.fill(cx),
            SlmOpcode::MemoryWrite => self.write(cx),
            _ => Err(Status::INVALID_OPCODE.into()),
        }
    }

    /// The data has arrived, over the link or from the media.
    fn resume(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let len = match SlmOpcode(cx.sqe.opcode) {
            SlmOpcode::MemoryCopy => cx.sqe.cdw2_3(),
            _ => cx.sqe.cdw12.into(),
        };
        Ok(Step::at(self.book(cx.now, len)))
    }

    fn disconnect(&mut self, now: Ns) {
        self.timeline.cut(now);
    }

    fn effects(&self) -> &'static [Effect] {
        &EFFECTS
    }

    fn identify(&self, form: Form, out: &mut Page) -> bool {
        if form != Form::Specific {
            return false;
        }
        let mut identity = IdentifyNamespaceSlm::default();
        identity.nsze = self.config.bytes;
        identity.gran = DWORD.ilog2() as u16;
        identity.msrc_z = u8::MAX;
        out.copy_from_slice(identity.as_bytes());
        true
    }

    fn capacity(&self) -> u64 {
        self.config.bytes
    }

    fn memory(&self) -> Option<&Arc<Mapping>> {
        Some(&self.memory)
    }
}

#[cfg(test)]
mod tests;
