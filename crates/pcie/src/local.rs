//! A host in the same process.

use crate::dma::{DmaEntry, DmaMap, Reach};
use crate::{DmaFault, Host};
use ersatz_memory::Mapping;
use std::sync::Arc;

/// A host whose memory is one mapping and whose interrupts are counted: for tests, fuzzing and
/// simulation.
#[derive(Debug)]
pub struct LocalHost {
    dma: DmaMap,
    raised: Vec<u64>,
    /// Whether the host uses message-signalled interrupts.
    pub messages: bool,
}

impl LocalHost {
    /// A host with `memory` at the I/O virtual address `iova`.
    #[must_use]
    pub fn new(iova: u64, memory: Arc<Mapping>) -> Self {
        let (readable, writable) = (true, true);
        let mut dma = DmaMap::new();
        let entry = DmaEntry {
            iova,
            size: memory.len(),
            readable,
            writable,
            memory: Some(memory),
        };
        // The first entry of an empty map can only be refused for its range.
        let mapped = dma.map(entry);
        debug_assert!(mapped.is_ok(), "{mapped:?}");
        Self {
            dma,
            raised: Vec::new(),
            messages: true,
        }
    }

    /// The host's DMA map, to map and unmap more.
    pub fn dma(&mut self) -> &mut DmaMap {
        &mut self.dma
    }

    /// How often `vector` was raised.
    #[must_use]
    pub fn raised(&self, vector: u16) -> u64 {
        self.raised.get(usize::from(vector)).copied().unwrap_or(0)
    }
}

impl Host for LocalHost {
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        let len = buf.len();
        let walked = self.dma.walk(iova, len, false, |reach, _, done, n| {
            let Reach::Memory(memory, offset) = reach else {
                return None;
            };
            memory.read(offset, &mut buf[done..done + n]).ok()
        });
        walked.ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }

    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault> {
        let walked = self.dma.walk(iova, buf.len(), true, |reach, _, done, n| {
            let Reach::Memory(memory, offset) = reach else {
                return None;
            };
            memory.write(offset, &buf[done..done + n]).ok()
        });
        walked.ok_or(DmaFault {
            iova,
            len: buf.len() as u64,
        })
    }

    fn read_into(&mut self, iova: u64, to: &Mapping, at: u64, len: usize) -> Result<(), DmaFault> {
        let walked = self.dma.walk(iova, len, false, |reach, _, done, n| {
            let Reach::Memory(memory, offset) = reach else {
                return None;
            };
            memory.copy_to(offset, to, at + done as u64, n).ok()
        });
        walked.ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }

    fn write_from(
        &mut self,
        iova: u64,
        from: &Mapping,
        at: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        let walked = self.dma.walk(iova, len, true, |reach, _, done, n| {
            let Reach::Memory(memory, offset) = reach else {
                return None;
            };
            from.copy_to(at + done as u64, memory, offset, n).ok()
        });
        walked.ok_or(DmaFault {
            iova,
            len: len as u64,
        })
    }

    fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> Result<(), DmaFault> {
        if self.dma.publish(iova, entry) {
            return Ok(());
        }
        self.write(iova, &entry[..12])?;
        self.write(iova.wrapping_add(12), &entry[12..])
    }

    fn raise(&mut self, vector: u16) {
        let vector = usize::from(vector);
        if self.raised.len() <= vector {
            self.raised.resize(vector + 1, 0);
        }
        self.raised[vector] += 1;
    }

    fn message_signalled(&self) -> bool {
        self.messages
    }
}
