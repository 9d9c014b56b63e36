//! Where a command's data is in host memory: PRPs (Base, 4.3.1) and SGLs (Base, 4.3.2).

use crate::error::NvmeError;
use ersatz_memory::Mapping;
use ersatz_pcie::{DmaFault, Host};
use nvme_spec::opcode::DataTransfer;
use nvme_spec::queue::{Psdt, SglType};
use nvme_spec::{SglDescriptor, Sqe, Status};
use smallvec::SmallVec;
use zerocopy::FromBytes;

/// Pages of PRP list, or segments of SGL, that one command may chain. A list that has more could
/// only be one that points back at itself.
const MAX_CHAIN: usize = 1024;

/// SGL descriptors that one command may have, over all segments: more than a transfer of any size
/// needs, and few enough that empty ones can't keep the drive busy.
const MAX_DESCRIPTORS: u64 = 64 << 10;

/// A contiguous piece of host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// I/O virtual address of the first byte; `None` where the host doesn't want the data (an SGL
    /// bit bucket, only in transfers to the host).
    pub iova: Option<u64>,
    /// Bytes.
    pub len: u64,
}

/// A command's data buffer: its pieces in order. A copy of what the host's lists said at one
/// moment; the lists are not looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer(SmallVec<[Segment; 4]>);

impl Buffer {
    /// Resolves the data pointer of `sqe` for a transfer of `len` bytes. `page` is the memory page
    /// size that the host set.
    ///
    /// # Errors
    /// With the status that the specification has for each malformation.
    pub fn of(sqe: &Sqe, len: u64, page: u64, host: &mut dyn Host) -> Result<Self, NvmeError> {
        if len == 0 {
            return Ok(Self::default());
        }
        match sqe.flags.psdt() {
            Psdt::Prp => Self::from_prps(sqe.prp1, sqe.prp2, len, page, host),
            Psdt::Sgl | Psdt::SglMetadataSgl => {
                let from_host = DataTransfer::of(sqe.opcode) == DataTransfer::HostToController;
                Self::from_sgl(sqe.sgl1(), len, from_host, host)
            }
            _ => Err(NvmeError::field("PSDT is reserved")),
        }
    }

    fn push(&mut self, iova: Option<u64>, len: u64) {
        if let (Some(last), Some(iova)) = (self.0.last_mut(), iova)
            && last
                .iova
                .is_some_and(|start| start.checked_add(last.len) == Some(iova))
        {
            last.len += len;
            return;
        }
        self.0.push(Segment { iova, len });
    }

    fn from_prps(
        prp1: u64,
        prp2: u64,
        len: u64,
        page: u64,
        host: &mut dyn Host,
    ) -> Result<Self, NvmeError> {
        let offset = prp1 & (page - 1);
        if !offset.is_multiple_of(4) {
            return Err(NvmeError::new(
                Status::PRP_OFFSET_INVALID,
                "PRP1 is not dword-aligned",
            ));
        }
        let mut buffer = Self::default();
        let first = len.min(page - offset);
        buffer.push(Some(prp1), first);
        let rest = len - first;
        if rest == 0 {
            return Ok(buffer);
        }
        if rest <= page {
            buffer.push(Some(page_aligned(prp2, page)?), rest);
            return Ok(buffer);
        }
        buffer.prp_list(prp2, rest, page, host)?;
        Ok(buffer)
    }

    /// Follows a PRP list. Its first page may start anywhere (on a qword); the last entry of a page
    /// points to the next one when more entries are needed than fit.
    fn prp_list(
        &mut self,
        mut list: u64,
        mut rest: u64,
        page: u64,
        host: &mut dyn Host,
    ) -> Result<(), NvmeError> {
        if !list.is_multiple_of(8) {
            return Err(NvmeError::new(
                Status::PRP_OFFSET_INVALID,
                "PRP list off qword alignment",
            ));
        }
        let mut entries = [0; 4096];
        for _ in 0..MAX_CHAIN {
            let room = (page - (list & (page - 1))) / 8;
            let wanted = rest.div_ceil(page);
            // Where the rest of the list's page is too short, its last entry is a pointer.
            let (data, chained) = if wanted > room {
                (room - 1, true)
            } else {
                (wanted, false)
            };
            let mut left = data + u64::from(chained);
            while left > 0 {
                let part = left.min(512);
                let bytes = &mut entries[..part as usize * 8];
                host.read(list, bytes)?;
                left -= part;
                list = list.wrapping_add(part * 8);
                let pointer = if chained && left == 0 { 8 } else { 0 };
                let (pages, next) = bytes.split_at(bytes.len() - pointer);
                for entry in pages.chunks_exact(8) {
                    let entry = page_aligned(qword(entry), page)?;
                    let len = rest.min(page);
                    self.push(Some(entry), len);
                    rest -= len;
                }
                if pointer > 0 {
                    list = page_aligned(qword(next), page)?;
                }
            }
            if !chained {
                return Ok(());
            }
        }
        Err(NvmeError::new(
            Status::PRP_OFFSET_INVALID,
            "the PRP list has no end",
        ))
    }

    fn from_sgl(
        descriptor: SglDescriptor,
        len: u64,
        from_host: bool,
        host: &mut dyn Host,
    ) -> Result<Self, NvmeError> {
        let mut buffer = Self::default();
        let mut rest = len;
        let mut next = buffer.descriptor(descriptor, true, from_host, &mut rest)?;
        let mut descriptors = 0;
        let mut entries = [0; 4096];
        for _ in 0..MAX_CHAIN {
            let Some((mut at, mut bytes, last)) = next.take() else {
                if rest > 0 {
                    return Err(NvmeError::new(
                        Status::DATA_SGL_LENGTH_INVALID,
                        format!("the SGL describes {rest} of {len} bytes too few"),
                    ));
                }
                return Ok(buffer);
            };
            descriptors += bytes / 16;
            if descriptors > MAX_DESCRIPTORS {
                let reason = format!("more than {MAX_DESCRIPTORS} SGL descriptors");
                return Err(NvmeError::new(Status::INVALID_SGL_COUNT, reason));
            }
            while bytes > 0 {
                let part = bytes.min(4096) as usize;
                host.read(at, &mut entries[..part])?;
                at = at.wrapping_add(part as u64);
                bytes -= part as u64;
                for (i, entry) in entries[..part].chunks_exact(16).enumerate() {
                    let is_last_entry = bytes == 0 && (i + 1) * 16 == part;
                    let entry = SglDescriptor::read_from_bytes(entry)
                        .map_err(|_| NvmeError::from(Status::INVALID_SGL_SEGMENT))?;
                    let further = buffer.descriptor(entry, is_last_entry, from_host, &mut rest)?;
                    if further.is_some() && last {
                        let reason = "a last segment that is followed by another";
                        return Err(NvmeError::new(Status::INVALID_SGL_SEGMENT, reason));
                    }
                    next = further;
                }
            }
        }
        Err(NvmeError::new(
            Status::INVALID_SGL_COUNT,
            "the SGL has no end",
        ))
    }

    /// Takes one descriptor. A segment's address, bytes and whether it is the last come back.
    #[allow(clippy::type_complexity)] // Three values that are taken apart at once.
    fn descriptor(
        &mut self,
        descriptor: SglDescriptor,
        may_chain: bool,
        from_host: bool,
        rest: &mut u64,
    ) -> Result<Option<(u64, u64, bool)>, NvmeError> {
        let length = u64::from(descriptor.length);
        if descriptor.id.subtype() != 0 {
            return Err(NvmeError::new(Status::SGL_TYPE_INVALID, "SGL subtype"));
        }
        match descriptor.id.kind() {
            // To the controller, a bit bucket has nothing to give: it is passed over.
            SglType::BitBucket if from_host => Ok(None),
            kind @ (SglType::DataBlock | SglType::BitBucket) => {
                let iova = (kind == SglType::DataBlock).then_some(descriptor.address);
                // More than the transfer needs is allowed; the surplus is not touched.
                let len = length.min(*rest);
                if len > 0 {
                    self.push(iova, len);
                    *rest -= len;
                }
                Ok(None)
            }
            kind @ (SglType::Segment | SglType::LastSegment) => {
                if !may_chain || length == 0 || !length.is_multiple_of(16) {
                    let reason = "an SGL segment's length or place";
                    return Err(NvmeError::new(Status::INVALID_SGL_SEGMENT, reason));
                }
                Ok(Some((
                    descriptor.address,
                    length,
                    kind == SglType::LastSegment,
                )))
            }
            kind => {
                let reason = format!("SGL descriptor type {kind:?}");
                Err(NvmeError::new(Status::SGL_TYPE_INVALID, reason))
            }
        }
    }

    /// The pieces.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Copies the buffer's first bytes from the host.
    ///
    /// # Errors
    /// When a part of it is not mapped.
    pub fn read(&self, host: &mut dyn Host, mut bytes: &mut [u8]) -> Result<(), DmaFault> {
        for segment in &self.0 {
            let n = bytes.len().min(segment.len as usize);
            let (part, rest) = bytes.split_at_mut(n);
            if let Some(iova) = segment.iova {
                host.read(iova, part)?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Copies bytes to the host.
    ///
    /// # Errors
    /// When a part of the buffer is not mapped.
    pub fn write(&self, host: &mut dyn Host, mut bytes: &[u8]) -> Result<(), DmaFault> {
        for segment in &self.0 {
            let (part, rest) = bytes.split_at(bytes.len().min(segment.len as usize));
            if let Some(iova) = segment.iova {
                host.write(iova, part)?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Copies the whole buffer from the host to `offset` in the drive's memory.
    ///
    /// # Errors
    /// When a part of it is not mapped.
    pub fn read_into(
        &self,
        host: &mut dyn Host,
        to: &Mapping,
        mut offset: u64,
    ) -> Result<(), DmaFault> {
        for segment in &self.0 {
            if let Some(iova) = segment.iova {
                host.read_into(iova, to, offset, segment.len as usize)?;
            }
            offset += segment.len;
        }
        Ok(())
    }

    /// Copies from `offset` in the drive's memory to the whole buffer.
    ///
    /// # Errors
    /// When a part of it is not mapped.
    pub fn write_from(
        &self,
        host: &mut dyn Host,
        from: &Mapping,
        mut offset: u64,
    ) -> Result<(), DmaFault> {
        for segment in &self.0 {
            if let Some(iova) = segment.iova {
                host.write_from(iova, from, offset, segment.len as usize)?;
            }
            offset += segment.len;
        }
        Ok(())
    }
}

fn page_aligned(prp: u64, page: u64) -> Result<u64, NvmeError> {
    if prp & (page - 1) == 0 {
        return Ok(prp);
    }
    Err(NvmeError::new(
        Status::PRP_OFFSET_INVALID,
        format!("PRP entry {prp:#x} has an offset"),
    ))
}

fn qword(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests;
