//! A host whose memory shows every write that should not have been.

use ersatz_memory::{Access, Mapping};
use ersatz_pcie::{DmaEntry, DmaFault, Host, LocalHost};
use nvme_spec::Cqe;
use std::ops::Range;
use std::sync::Arc;
use zerocopy::FromBytes;

const PAGE: u64 = 4096;
const GUARD: u8 = 0x5A;

/// A range of host memory with a page around it on each side that nobody may touch.
pub struct Area {
    pub iova: u64,
    len: u64,
    writable: bool,
    /// The guards and what is between them.
    outer: Mapping,
    /// The same from the first byte of the area on, as the drive maps it.
    inner: Arc<Mapping>,
    /// What the bytes must be while the drive may not write them.
    frozen: Option<Vec<u8>>,
}

impl Area {
    pub fn new(iova: u64, len: u64, writable: bool) -> Option<Self> {
        let outer = Mapping::anonymous("fuzz", len + 2 * PAGE).ok()?;
        let fd = outer.descriptor()?.0.try_clone_to_owned().ok()?;
        let inner = Arc::new(Mapping::file(fd, PAGE, len + PAGE, Access::ReadWrite).ok()?);
        outer.fill(0, PAGE, GUARD).ok()?;
        outer.fill(PAGE + len, PAGE, GUARD).ok()?;
        let frozen = (!writable).then(|| vec![0; len as usize]);
        Some(Self {
            iova,
            len,
            writable,
            outer,
            inner,
            frozen,
        })
    }

    fn entry(&self) -> DmaEntry {
        DmaEntry {
            iova: self.iova,
            size: self.len,
            readable: true,
            writable: self.writable,
            memory: Some(Arc::clone(&self.inner)),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        let read = self.inner.read(0, &mut bytes);
        assert_eq!(read, Ok(()));
        bytes
    }

    /// The host writes its own memory, as far as there is some.
    pub fn poke(&mut self, at: u64, bytes: &[u8]) {
        let Some(room) = self.len.checked_sub(at) else {
            return;
        };
        let bytes = &bytes[..bytes.len().min(room as usize)];
        let written = self.inner.write(at, bytes);
        assert_eq!(written, Ok(()));
        if let Some(frozen) = &mut self.frozen {
            frozen[at as usize..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    pub fn peek(&self, at: u64, buf: &mut [u8]) {
        let read = self.inner.read(at, buf);
        assert_eq!(read, Ok(()));
    }

    pub fn map(&mut self, host: &mut LocalHost) {
        self.check();
        // A second time it is refused, which is right too.
        if host.dma().map(self.entry()).is_ok() && self.writable {
            self.frozen = None;
        }
    }

    pub fn unmap(&mut self, host: &mut LocalHost) {
        if host.dma().unmap(self.iova, self.len).is_ok() {
            self.frozen = Some(self.bytes());
        }
    }

    /// That only what is mapped for writing has been written.
    pub fn check(&self) {
        let mut guards = vec![0; 2 * PAGE as usize];
        let (before, after) = guards.split_at_mut(PAGE as usize);
        let read = [
            self.outer.read(0, before),
            self.outer.read(PAGE + self.len, after),
        ];
        assert_eq!(read, [Ok(()); 2]);
        assert!(
            guards.iter().all(|&byte| byte == GUARD),
            "written beside {:#x}",
            self.iova
        );
        if let Some(frozen) = &self.frozen {
            assert!(
                *frozen == self.bytes(),
                "{:#x} was written without a map",
                self.iova
            );
        }
    }
}

/// The host as the drive sees it: [`LocalHost`], and a note of what was posted.
pub struct Witness {
    pub local: LocalHost,
    /// Completions since they were last looked at.
    pub posted: Vec<Cqe>,
    /// Where the host's own queues are: data that is written there makes nonsense of them.
    pub queues: Range<u64>,
    /// Data was written there.
    pub spoiled: bool,
}

impl Witness {
    fn note(&mut self, iova: u64, len: u64) {
        let end = iova.saturating_add(len);
        self.spoiled |= len > 0 && iova < self.queues.end && end > self.queues.start;
    }
}

impl Host for Witness {
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault> {
        self.local.read(iova, buf)
    }

    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault> {
        self.note(iova, buf.len() as u64);
        self.local.write(iova, buf)
    }

    fn read_into(&mut self, iova: u64, to: &Mapping, at: u64, len: usize) -> Result<(), DmaFault> {
        self.local.read_into(iova, to, at, len)
    }

    fn write_from(
        &mut self,
        iova: u64,
        from: &Mapping,
        at: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        self.note(iova, len as u64);
        self.local.write_from(iova, from, at, len)
    }

    fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> Result<(), DmaFault> {
        self.local.publish(iova, entry)?;
        self.posted.extend(Cqe::read_from_bytes(entry));
        Ok(())
    }

    fn raise(&mut self, vector: u16) {
        self.local.raise(vector);
    }

    fn message_signalled(&self) -> bool {
        self.local.message_signalled()
    }
}
