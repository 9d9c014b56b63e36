//! A small device behind a session, on a thread of its own, for clients to use.
//!
//! Region 0 has 16 KiB: plain memory, but for two "registers". A 64-bit address written at [`COPY`]
//! makes the device read 64 bytes there by DMA, invert them, write them back 64 bytes on, and then
//! count up [`DONE`]. A byte written at [`TRIGGER`] signals that interrupt. The page at 0x1000 is
//! mappable if the device has a file for it.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ersatz_vfio_user::{
    DeviceInfo, DmaError, DmaMap, DmaUnmap, Errno, IrqAction, IrqData, IrqInfo, LinkError,
    Listener, Meanwhile, RegionFile, RegionInfo, Reply, Request, RequestKind, Session, SetIrqs,
    SparseArea, pci,
};
use rustix::event::{PollFd, PollFlags, poll};

pub const COPY: u64 = 0x100;
pub const DONE: u64 = 0x108;
pub const TRIGGER: u64 = 0x110;
const BAR_SIZE: usize = 0x4000;
const MSIX_COUNT: usize = 40;
const AREAS: [SparseArea; 1] = [SparseArea {
    offset: 0x1000,
    size: 0x1000,
}];

/// What the test sees of a device that runs elsewhere.
#[derive(Default)]
pub struct Seen {
    pub resets: AtomicU32,
    pub maps: Mutex<Vec<(u64, u64, bool)>>,
    /// Writes to region 0 while a DMA message was outstanding are seen by the device after it.
    pub writes: Mutex<Vec<(u64, Vec<u8>)>>,
    pub dma_errors: Mutex<Vec<DmaError>>,
}

pub struct Device {
    seen: Arc<Seen>,
    file: Option<File>,
    regs: Registers,
    maps: Vec<DmaMap>,
    irqs: Vec<Option<OwnedFd>>,
}

/// The registers, which are their own snapshot.
struct Registers(RefCell<Vec<u8>>);

impl Registers {
    fn range(
        &self,
        region: u32,
        offset: u64,
        count: usize,
    ) -> Result<std::ops::Range<usize>, Errno> {
        let begin = usize::try_from(offset).map_err(|_| Errno::INVAL)?;
        let end = begin.checked_add(count).ok_or(Errno::INVAL)?;
        if region != pci::BAR0_REGION || end > BAR_SIZE {
            return Err(Errno::INVAL);
        }
        Ok(begin..end)
    }
}

impl Meanwhile for Registers {
    fn read(&self, region: u32, offset: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let range = self.range(region, offset, buf.len())?;
        buf.copy_from_slice(&self.0.borrow()[range]);
        Ok(())
    }
}

impl Device {
    pub fn new(seen: Arc<Seen>, file: Option<File>) -> Self {
        Self {
            seen,
            file,
            regs: Registers(RefCell::new(vec![0; BAR_SIZE])),
            maps: Vec::new(),
            irqs: (0..MSIX_COUNT).map(|_| None).collect(),
        }
    }

    /// Serves one client until it goes.
    pub fn serve(&mut self, session: &mut Session) -> LinkError {
        loop {
            match session.next_request() {
                Ok(Some(request)) => self.handle(session, request),
                Ok(None) => wait(session.as_fd(), session.wants_write()),
                Err(error) => return error,
            }
        }
    }

    fn handle(&mut self, session: &mut Session, Request { token, kind }: Request) {
        let mut buffer = Vec::new();
        let result = match kind {
            RequestKind::DeviceInfo => Ok(Reply::DeviceInfo(DeviceInfo {
                resettable: true,
                num_regions: pci::NUM_REGIONS,
                num_irqs: pci::NUM_IRQS,
            })),
            RequestKind::RegionInfo { index } => self.region_info(index).map(Reply::RegionInfo),
            RequestKind::IrqInfo { index } => Ok(Reply::IrqInfo(if index == pci::MSIX_IRQ {
                IrqInfo {
                    count: MSIX_COUNT as u32,
                    eventfd: true,
                    noresize: true,
                    ..IrqInfo::default()
                }
            } else {
                IrqInfo::default()
            })),
            RequestKind::RegionRead {
                region,
                offset,
                count,
            } => {
                buffer.resize(count, 0);
                self.regs
                    .read(region, offset, &mut buffer)
                    .map(|()| Reply::Data(&buffer))
            }
            RequestKind::RegionWrite {
                region,
                offset,
                data,
            } => self
                .write(session, region, offset, &data)
                .map(|()| Reply::Done),
            RequestKind::DmaMap(map) => self.map(map).map(|()| Reply::Done),
            RequestKind::DmaUnmap(unmap) => self.unmap(unmap).map(|()| Reply::Done),
            RequestKind::SetIrqs(set) => self.set_irqs(set).map(|()| Reply::Done),
            RequestKind::Reset => {
                self.regs.0.borrow_mut().fill(0);
                self.seen.resets.fetch_add(1, Ordering::SeqCst);
                Ok(Reply::Done)
            }
        };
        session.reply(token, result);
    }

    fn region_info(&self, index: u32) -> Result<RegionInfo<'_>, Errno> {
        match index {
            pci::BAR0_REGION => Ok(RegionInfo {
                size: BAR_SIZE as u64,
                readable: true,
                writable: true,
                file: self.file.as_ref().map(|file| RegionFile {
                    fd: file.as_fd(),
                    offset: 0x10000,
                    areas: &AREAS,
                }),
            }),
            1..pci::NUM_REGIONS => Ok(RegionInfo::default()),
            _ => Err(Errno::INVAL),
        }
    }

    fn write(
        &mut self,
        session: &mut Session,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        let range = self.regs.range(region, offset, data.len())?;
        self.regs.0.borrow_mut()[range].copy_from_slice(data);
        self.seen
            .writes
            .lock()
            .unwrap()
            .push((offset, data.to_vec()));
        match (offset, data) {
            (COPY, data) => {
                let address = u64::from_ne_bytes(data.try_into().map_err(|_| Errno::INVAL)?);
                if let Err(error) = self.copy(session, address) {
                    self.seen.dma_errors.lock().unwrap().push(error);
                }
                let mut regs = self.regs.0.borrow_mut();
                regs[DONE as usize] = regs[DONE as usize].wrapping_add(1);
            }
            (TRIGGER, &[vector]) => {
                if let Some(Some(fd)) = self.irqs.get(usize::from(vector)) {
                    rustix::io::write(fd, &1u64.to_ne_bytes())?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn copy(&mut self, session: &mut Session, address: u64) -> Result<(), DmaError> {
        let mut bytes = [0; 64];
        let find = |at: u64| {
            self.maps
                .iter()
                .find(|map| at >= map.address && at - map.address <= map.size - 64)
        };
        let target = address.wrapping_add(64);
        let (Some(from), Some(to)) = (find(address), find(target)) else {
            return Err(DmaError::Refused(Errno::FAULT));
        };
        // A file is read and written, not mapped: tests have no use for unsafe code.
        match &from.file {
            Some(file) => file_of(&file.fd)
                .read_exact_at(&mut bytes, file.offset + (address - from.address))
                .unwrap(),
            None => session.dma_read(address, &mut bytes, &mut self.regs)?,
        }
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        match &to.file {
            Some(file) => file_of(&file.fd)
                .write_all_at(&bytes, file.offset + (target - to.address))
                .unwrap(),
            None => session.dma_write(target, &bytes, &mut self.regs)?,
        }
        Ok(())
    }

    fn map(&mut self, map: DmaMap) -> Result<(), Errno> {
        let last = |m: &DmaMap| m.address + (m.size - 1);
        if self
            .maps
            .iter()
            .any(|m| m.address <= last(&map) && map.address <= last(m))
        {
            return Err(Errno::EXIST);
        }
        let seen = (map.address, map.size, map.file.is_some());
        self.seen.maps.lock().unwrap().push(seen);
        self.maps.push(map);
        Ok(())
    }

    fn unmap(&mut self, unmap: DmaUnmap) -> Result<(), Errno> {
        let before = self.maps.len();
        self.maps.retain(|map| match unmap {
            DmaUnmap::All => false,
            DmaUnmap::Range { address, size } => (map.address, map.size) != (address, size),
        });
        let left: Vec<_> = self.maps.iter().map(|m| m.address).collect();
        self.seen
            .maps
            .lock()
            .unwrap()
            .retain(|map| left.contains(&map.0));
        if unmap != DmaUnmap::All && self.maps.len() == before {
            return Err(Errno::NOENT);
        }
        Ok(())
    }

    fn set_irqs(&mut self, set: SetIrqs) -> Result<(), Errno> {
        let range = set.start as usize..set.start as usize + set.count as usize;
        let slots = self.irqs.get_mut(range).ok_or(Errno::INVAL)?;
        if set.index != pci::MSIX_IRQ || set.action != IrqAction::Trigger {
            return Err(Errno::INVAL);
        }
        match set.data {
            IrqData::EventFds(fds) => {
                for (slot, fd) in slots.iter_mut().zip(fds) {
                    *slot = Some(fd);
                }
            }
            IrqData::Deassign => slots.fill_with(|| None),
            IrqData::None => {
                for fd in slots.iter().flatten() {
                    rustix::io::write(fd, &1u64.to_ne_bytes())?;
                }
            }
            IrqData::Bool(values) => {
                for (fd, value) in slots.iter().zip(values) {
                    if let (Some(fd), true) = (fd, value) {
                        rustix::io::write(fd, &1u64.to_ne_bytes())?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn file_of(fd: &OwnedFd) -> File {
    File::from(fd.try_clone().unwrap())
}

fn wait(fd: BorrowedFd<'_>, for_output: bool) {
    let flags = if for_output {
        PollFlags::OUT
    } else {
        PollFlags::IN
    };
    poll(&mut [PollFd::new(&fd, flags)], None).unwrap();
}

/// Serves one client on `listener`, on a thread that ends with why the client's session did.
pub fn serve_one(listener: Listener, mut device: Device) -> JoinHandle<LinkError> {
    std::thread::spawn(move || {
        wait(listener.as_fd(), false);
        let mut session = listener.accept().unwrap().expect("a client");
        device.serve(&mut session)
    })
}
