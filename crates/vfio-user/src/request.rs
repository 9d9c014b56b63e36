//! From a client's message to a typed request: everything about it that can be checked without
//! knowing the device is checked here, and nothing here does I/O.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::channel::Message;
use crate::wire::{
    Command, DeviceInfoLayout, DmaMapRequest, DmaUnmapRequest, Header, IrqInfoLayout, RegionAccess,
    RegionInfoLayout, SetIrqsRequest, SingleWrite, WriteMulti,
};

/// Most writes in one `REGION_WRITE_MULTI`. QEMU sends up to 200.
const MAX_MULTI_WRITES: u64 = 1024;

/// One thing that a client asks of the device.
#[derive(Debug)]
pub struct Request {
    /// What to answer with, by [`crate::Session::reply`].
    pub token: Token,
    /// What is asked.
    pub kind: RequestKind,
}

/// What is asked, and which [`crate::Reply`] it takes. Indices, offsets and ranges are the
/// client's: what exists on the device is for the device to check.
#[derive(Debug)]
pub enum RequestKind {
    /// What the device is. Takes [`crate::Reply::DeviceInfo`].
    DeviceInfo,
    /// What a region is. Takes [`crate::Reply::RegionInfo`]: one of size 0 for an absent region
    /// below the number of regions, `EINVAL` for an index beyond it.
    RegionInfo {
        /// The region.
        index: u32,
    },
    /// What an interrupt type is. Takes [`crate::Reply::IrqInfo`].
    IrqInfo {
        /// The interrupt type.
        index: u32,
    },
    /// Read from a region. Takes [`crate::Reply::Data`] of `count` bytes.
    RegionRead {
        /// The region.
        region: u32,
        /// The first byte; `offset + count` doesn't overflow.
        offset: u64,
        /// Bytes, at most the negotiated transfer size; may be 0.
        count: usize,
    },
    /// Write to a region. Takes [`crate::Reply::Done`].
    RegionWrite {
        /// The region.
        region: u32,
        /// The first byte; `offset + data.len()` doesn't overflow.
        offset: u64,
        /// The bytes, at most the negotiated transfer size; may be empty.
        data: Vec<u8>,
    },
    /// Client memory becomes reachable. Takes [`crate::Reply::Done`], or `EEXIST` when it overlaps
    /// a range that is mapped already.
    DmaMap(DmaMap),
    /// Client memory goes away. Takes [`crate::Reply::Done`], once nothing refers to the range any
    /// more.
    DmaUnmap(DmaUnmap),
    /// Connect, trigger, mask or unmask interrupts. Takes [`crate::Reply::Done`].
    SetIrqs(SetIrqs),
    /// Reset the device. Takes [`crate::Reply::Done`].
    Reset,
}

/// A range of client memory.
#[derive(Debug)]
pub struct DmaMap {
    /// First DMA address.
    pub address: u64,
    /// Bytes, at least 1; `address + size - 1` doesn't overflow.
    pub size: u64,
    /// The device may read it.
    pub readable: bool,
    /// The device may write it.
    pub writable: bool,
    /// The file to map it from; `None`: reachable by [`crate::Session::dma_read`] and
    /// [`crate::Session::dma_write`] only.
    pub file: Option<DmaFile>,
}

/// Where a range of client memory lies in a file.
#[derive(Debug)]
pub struct DmaFile {
    /// The file, as the client sent it. It may be of any kind and size.
    pub fd: OwnedFd,
    /// The range's beginning in the file, in bytes; `offset + size` doesn't overflow.
    pub offset: u64,
}

/// What to unmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaUnmap {
    /// One range, which must be exactly one that was mapped.
    Range {
        /// First DMA address.
        address: u64,
        /// Bytes.
        size: u64,
    },
    /// Every range.
    All,
}

/// What to do with some interrupts of one type.
#[derive(Debug)]
pub struct SetIrqs {
    /// The interrupt type.
    pub index: u32,
    /// The first interrupt; `start + count` doesn't overflow.
    pub start: u32,
    /// How many interrupts. Only boolean and descriptor data bound it: check it against the type's
    /// count. `start` and `count` of 0 without data disable the whole type.
    pub count: u32,
    /// What to do, or what to do it on.
    pub action: IrqAction,
    /// For which of them, or with what.
    pub data: IrqData,
}

/// The action of [`SetIrqs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqAction {
    /// Mask.
    Mask,
    /// Unmask.
    Unmask,
    /// Trigger.
    Trigger,
}

/// The data of [`SetIrqs`].
#[derive(Debug)]
pub enum IrqData {
    /// Do the action now, on all of them.
    None,
    /// Do the action now, on those whose boolean (one for each) is true.
    Bool(Vec<bool>),
    /// From now on signal these descriptors (one for each) when the action happens.
    EventFds(Vec<OwnedFd>),
    /// Stop signalling descriptors.
    Deassign,
}

/// Who asked what, for the reply. Answer each exactly once: a client waits for it.
#[must_use = "the client waits for the reply"]
#[derive(Debug)]
pub struct Token {
    pub(crate) id: u16,
    pub(crate) command: Command,
    pub(crate) answer: Answer,
}

/// What a reply consists of besides what the device says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// None is wanted, or it is sent already.
    Silent,
    /// A header.
    Header,
    DeviceInfo,
    RegionInfo {
        index: u32,
        argsz: u32,
    },
    IrqInfo {
        index: u32,
    },
    /// The request's fixed part, then data of its `count`.
    Read(RegionAccess),
    /// The request's fixed part.
    Write(RegionAccess),
    /// One of several writes, not the last: its error is remembered for the last one's reply.
    WriteMultiPart,
    /// The last of several writes.
    WriteMultiLast(WriteMulti),
    /// The request's fixed part.
    Unmap(DmaUnmapRequest),
}

impl Request {
    /// Bytes and descriptors that it holds.
    pub(crate) fn weight(&self) -> (usize, usize) {
        match &self.kind {
            RequestKind::RegionWrite { data, .. } => (data.len(), 0),
            RequestKind::DmaMap(map) => (0, usize::from(map.file.is_some())),
            RequestKind::SetIrqs(set) => match &set.data {
                IrqData::Bool(values) => (values.len(), 0),
                IrqData::EventFds(fds) => (0, fds.len()),
                IrqData::None | IrqData::Deassign => (0, 0),
            },
            _ => (0, 0),
        }
    }
}

/// Decodes a command other than `VERSION` and appends what it asks to `queue`.
///
/// # Errors
/// The errno to refuse the command with; `queue` is then as before.
pub(crate) fn decode(
    message: Message,
    max_xfer: u32,
    queue: &mut VecDeque<Request>,
) -> Result<(), Errno> {
    let Message {
        header,
        payload,
        fds,
    } = message;
    let mut ask = |answer, kind| {
        queue.push_back(Request {
            token: Token {
                id: header.id,
                command: header.command,
                answer: if header.flags & Header::NO_REPLY != 0 {
                    Answer::Silent
                } else {
                    answer
                },
            },
            kind,
        });
    };
    match header.command {
        Command::DEVICE_GET_INFO => {
            let raw = DeviceInfoLayout::decode(&payload).ok_or(Errno::INVAL)?;
            check(raw.argsz as usize >= DeviceInfoLayout::SIZE)?;
            ask(Answer::DeviceInfo, RequestKind::DeviceInfo);
        }
        Command::DEVICE_GET_REGION_INFO => {
            let raw = RegionInfoLayout::decode(&payload).ok_or(Errno::INVAL)?;
            check(raw.argsz as usize >= RegionInfoLayout::SIZE)?;
            let answer = Answer::RegionInfo {
                index: raw.index,
                argsz: raw.argsz,
            };
            ask(answer, RequestKind::RegionInfo { index: raw.index });
        }
        Command::DEVICE_GET_IRQ_INFO => {
            let raw = IrqInfoLayout::decode(&payload).ok_or(Errno::INVAL)?;
            check(raw.argsz as usize >= IrqInfoLayout::SIZE)?;
            let answer = Answer::IrqInfo { index: raw.index };
            ask(answer, RequestKind::IrqInfo { index: raw.index });
        }
        Command::REGION_READ => {
            let raw = region_access(&payload, max_xfer)?;
            let kind = RequestKind::RegionRead {
                region: raw.region,
                offset: raw.offset,
                count: raw.count as usize,
            };
            ask(Answer::Read(raw), kind);
        }
        Command::REGION_WRITE => {
            let raw = region_access(&payload, max_xfer)?;
            let data = &payload[RegionAccess::SIZE..];
            check(data.len() == raw.count as usize)?;
            let kind = RequestKind::RegionWrite {
                region: raw.region,
                offset: raw.offset,
                data: data.to_vec(),
            };
            ask(Answer::Write(raw), kind);
        }
        Command::REGION_WRITE_MULTI => {
            let writes = single_writes(&payload)?;
            let all = WriteMulti {
                wr_cnt: writes.len() as u64,
            };
            let last = writes.len() - 1;
            for (i, kind) in writes.into_iter().enumerate() {
                let answer = if i == last {
                    Answer::WriteMultiLast(all)
                } else {
                    Answer::WriteMultiPart
                };
                ask(answer, kind);
            }
        }
        Command::DMA_MAP => {
            let map = dma_map(&payload, fds)?;
            ask(Answer::Header, RequestKind::DmaMap(map));
        }
        Command::DMA_UNMAP => {
            let raw = DmaUnmapRequest::decode(&payload).ok_or(Errno::INVAL)?;
            let unmap = dma_unmap(&raw)?;
            ask(Answer::Unmap(raw), RequestKind::DmaUnmap(unmap));
        }
        Command::DEVICE_SET_IRQS => {
            let set = set_irqs(&payload, fds)?;
            ask(Answer::Header, RequestKind::SetIrqs(set));
        }
        Command::DEVICE_RESET => ask(Answer::Header, RequestKind::Reset),
        Command::VERSION => return Err(Errno::INVAL),
        other if other.name().is_some() => return Err(Errno::OPNOTSUPP),
        _ => return Err(Errno::NOSYS),
    }
    Ok(())
}

fn check(sound: bool) -> Result<(), Errno> {
    if sound { Ok(()) } else { Err(Errno::INVAL) }
}

fn region_access(payload: &[u8], max_xfer: u32) -> Result<RegionAccess, Errno> {
    let raw = RegionAccess::decode(payload).ok_or(Errno::INVAL)?;
    if raw.count > max_xfer {
        return Err(Errno::TOOBIG);
    }
    check(raw.offset.checked_add(u64::from(raw.count)).is_some())?;
    Ok(raw)
}

/// The writes of a `REGION_WRITE_MULTI`, at least one. QEMU's message is as long as for its
/// greatest number of writes, however many are used.
fn single_writes(payload: &[u8]) -> Result<Vec<RequestKind>, Errno> {
    let multi = WriteMulti::decode(payload).ok_or(Errno::INVAL)?;
    if multi.wr_cnt > MAX_MULTI_WRITES {
        return Err(Errno::TOOBIG);
    }
    check(multi.wr_cnt > 0)?;
    let size = multi.wr_cnt as usize * SingleWrite::SIZE;
    let writes = payload[WriteMulti::SIZE..]
        .get(..size)
        .ok_or(Errno::INVAL)?;
    writes
        .chunks_exact(SingleWrite::SIZE)
        .map(|bytes| {
            let raw = SingleWrite::decode(bytes).ok_or(Errno::INVAL)?;
            let data = raw.data.to_ne_bytes();
            let data = data.get(..raw.count as usize).ok_or(Errno::INVAL)?;
            check(raw.offset.checked_add(u64::from(raw.count)).is_some())?;
            Ok(RequestKind::RegionWrite {
                region: raw.region,
                offset: raw.offset,
                data: data.to_vec(),
            })
        })
        .collect()
}

fn dma_map(payload: &[u8], fds: Vec<OwnedFd>) -> Result<DmaMap, Errno> {
    let raw = DmaMapRequest::decode(payload).ok_or(Errno::INVAL)?;
    check(raw.argsz as usize >= DmaMapRequest::SIZE)?;
    check(raw.flags & !(DmaMapRequest::READABLE | DmaMapRequest::WRITABLE) == 0)?;
    check(raw.size > 0 && raw.address.checked_add(raw.size - 1).is_some())?;
    let file = fds.into_iter().next().map(|fd| DmaFile {
        fd,
        offset: raw.offset,
    });
    check(file.is_none() || raw.offset.checked_add(raw.size).is_some())?;
    Ok(DmaMap {
        address: raw.address,
        size: raw.size,
        readable: raw.flags & DmaMapRequest::READABLE != 0,
        writable: raw.flags & DmaMapRequest::WRITABLE != 0,
        file,
    })
}

fn dma_unmap(raw: &DmaUnmapRequest) -> Result<DmaUnmap, Errno> {
    check(raw.argsz as usize >= DmaUnmapRequest::SIZE)?;
    match raw.flags {
        0 => Ok(DmaUnmap::Range {
            address: raw.address,
            size: raw.size,
        }),
        DmaUnmapRequest::ALL if raw.address == 0 && raw.size == 0 => Ok(DmaUnmap::All),
        DmaUnmapRequest::ALL => Err(Errno::INVAL),
        _ => Err(Errno::OPNOTSUPP),
    }
}

fn set_irqs(payload: &[u8], fds: Vec<OwnedFd>) -> Result<SetIrqs, Errno> {
    const DATA: u32 =
        SetIrqsRequest::DATA_NONE | SetIrqsRequest::DATA_BOOL | SetIrqsRequest::DATA_EVENTFD;
    let raw = SetIrqsRequest::decode(payload).ok_or(Errno::INVAL)?;
    check(raw.argsz as usize >= SetIrqsRequest::SIZE)?;
    check(raw.start.checked_add(raw.count).is_some())?;
    let action = match raw.flags & !DATA {
        SetIrqsRequest::ACTION_MASK => IrqAction::Mask,
        SetIrqsRequest::ACTION_UNMASK => IrqAction::Unmask,
        SetIrqsRequest::ACTION_TRIGGER => IrqAction::Trigger,
        _ => return Err(Errno::INVAL),
    };
    let data = match raw.flags & DATA {
        SetIrqsRequest::DATA_NONE => IrqData::None,
        SetIrqsRequest::DATA_BOOL => {
            let values = payload[SetIrqsRequest::SIZE..].get(..raw.count as usize);
            let values = values.ok_or(Errno::INVAL)?;
            IrqData::Bool(values.iter().map(|&value| value != 0).collect())
        }
        SetIrqsRequest::DATA_EVENTFD if fds.is_empty() => IrqData::Deassign,
        SetIrqsRequest::DATA_EVENTFD => {
            check(fds.len() == raw.count as usize)?;
            IrqData::EventFds(fds)
        }
        _ => return Err(Errno::INVAL),
    };
    Ok(SetIrqs {
        index: raw.index,
        start: raw.start,
        count: raw.count,
        action,
        data,
    })
}
