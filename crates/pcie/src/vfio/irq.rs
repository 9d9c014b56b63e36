//! Interrupts of a vfio-user client: eventfds that it passed, masks that it set.

use ersatz_vfio_user::{Errno, IrqAction, IrqData, IrqInfo, SetIrqs, pci};
use rustix::fs::{FileType, OFlags};
use std::os::fd::OwnedFd;

/// One interrupt.
#[derive(Debug, Default)]
struct Vector {
    eventfd: Option<OwnedFd>,
    masked: bool,
    /// Raised while masked.
    pending: bool,
}

impl Vector {
    fn raise(&mut self) {
        if self.masked {
            self.pending = true;
        } else {
            self.signal();
        }
    }

    /// Adds one to the eventfd. A full counter means that the client has been told already.
    fn signal(&mut self) {
        self.pending = false;
        if let Some(fd) = &self.eventfd {
            let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
        }
    }

    fn unmask(&mut self) {
        self.masked = false;
        if self.pending {
            self.signal();
        }
    }

    /// Takes an eventfd. Nothing else: a file could make the drive wait whatever its flags say, or
    /// fill a disk.
    fn assign(&mut self, fd: OwnedFd) -> Result<(), Errno> {
        // What has no type has no inode of its own, as eventfds have none.
        let mode = rustix::fs::fstat(&fd)?.st_mode;
        if FileType::from_raw_mode(mode) != FileType::Unknown {
            return Err(Errno::INVAL);
        }
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        if !flags.contains(OFlags::NONBLOCK) {
            rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        }
        self.eventfd = Some(fd);
        if self.pending && !self.masked {
            self.signal();
        }
        Ok(())
    }
}

/// All interrupts of a function.
#[derive(Debug)]
pub(super) struct Irqs {
    intx: Vector,
    msix: Vec<Vector>,
}

impl Irqs {
    pub(super) fn new(vectors: u16) -> Self {
        Self {
            intx: Vector::default(),
            msix: (0..vectors).map(|_| Vector::default()).collect(),
        }
    }

    pub(super) fn info(&self, index: u32) -> IrqInfo {
        match index {
            pci::INTX_IRQ => {
                let (eventfd, maskable, automasked) = (true, true, true);
                IrqInfo {
                    count: 1,
                    eventfd,
                    maskable,
                    automasked,
                    noresize: false,
                }
            }
            pci::MSIX_IRQ => {
                let count = self.msix.len() as u32;
                IrqInfo {
                    count,
                    eventfd: true,
                    noresize: true,
                    ..IrqInfo::default()
                }
            }
            // No MSI, and nothing to report of errors or of requests to release the device.
            _ => IrqInfo::default(),
        }
    }

    pub(super) fn message_signalled(&self) -> bool {
        self.msix.iter().any(|vector| vector.eventfd.is_some())
    }

    pub(super) fn raise(&mut self, vector: u16) {
        if self.message_signalled() {
            if let Some(vector) = self.msix.get_mut(usize::from(vector)) {
                vector.raise();
            }
        } else if !self.intx.masked {
            // The line stays asserted; it is not told again before the client has unmasked it.
            self.intx.signal();
            self.intx.masked = self.intx.eventfd.is_some();
        }
    }

    /// Does what the client asked; to be followed by [`Irqs::assert`].
    pub(super) fn set(&mut self, set: SetIrqs) -> Result<(), Errno> {
        let vectors = match set.index {
            pci::INTX_IRQ => std::slice::from_mut(&mut self.intx),
            pci::MSIX_IRQ => &mut self.msix[..],
            _ => return Err(Errno::INVAL),
        };
        let start = set.start as usize;
        let end = start
            .checked_add(set.count as usize)
            .filter(|&end| end <= vectors.len());
        let end = end.ok_or(Errno::INVAL)?;
        if set.count == 0 && set.action == IrqAction::Trigger && matches!(set.data, IrqData::None) {
            // Disables the whole index.
            vectors
                .iter_mut()
                .for_each(|vector| *vector = Vector::default());
            return Ok(());
        }
        let range = &mut vectors[start..end];
        match (set.action, set.data) {
            (IrqAction::Trigger, IrqData::EventFds(fds)) => {
                if fds.len() != range.len() {
                    return Err(Errno::INVAL);
                }
                for (vector, fd) in range.iter_mut().zip(fds) {
                    vector.assign(fd)?;
                }
            }
            (IrqAction::Trigger, IrqData::Deassign) => {
                range.iter_mut().for_each(|vector| vector.eventfd = None);
            }
            (action, IrqData::None) => range.iter_mut().for_each(|vector| act(action, vector)),
            (action, IrqData::Bool(chosen)) => {
                let chosen = range.iter_mut().zip(chosen).filter(|(_, chosen)| *chosen);
                chosen.for_each(|(vector, _)| act(action, vector));
            }
            // Masks by eventfd are for hosts that unmask in the kernel.
            _ => return Err(Errno::OPNOTSUPP),
        }
        Ok(())
    }

    /// Tells a client that listens to INTx what the level of the function's line is.
    pub(super) fn assert(&mut self, line: bool) {
        if line && !self.intx.masked && self.intx.eventfd.is_some() {
            self.intx.signal();
            self.intx.masked = true;
        }
    }
}

fn act(action: IrqAction, vector: &mut Vector) {
    match action {
        IrqAction::Trigger => vector.raise(),
        IrqAction::Mask => vector.masked = true,
        IrqAction::Unmask => vector.unmask(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::EventfdFlags;

    fn eventfd() -> (OwnedFd, OwnedFd) {
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).expect("eventfd");
        (fd.try_clone().expect("dup"), fd)
    }

    fn count(fd: &OwnedFd) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::read(fd, &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
    }

    fn set(index: u32, start: u32, count: u32, action: IrqAction, data: IrqData) -> SetIrqs {
        SetIrqs {
            index,
            start,
            count,
            action,
            data,
        }
    }

    #[test]
    fn a_masked_vector_is_told_when_it_is_unmasked() {
        let (mut irqs, (theirs, ours)) = (Irqs::new(4), eventfd());
        let fds = IrqData::EventFds(vec![ours]);
        irqs.set(set(pci::MSIX_IRQ, 2, 1, IrqAction::Trigger, fds))
            .expect("assigned");
        let mask = |action| set(pci::MSIX_IRQ, 2, 1, action, IrqData::None);
        irqs.set(mask(IrqAction::Mask)).expect("masked");
        irqs.raise(2);
        irqs.raise(2);
        assert_eq!(count(&theirs), 0);
        irqs.set(mask(IrqAction::Unmask)).expect("unmasked");
        assert_eq!(count(&theirs), 1);
    }

    #[test]
    fn what_could_block_or_fill_up_is_not_taken_for_an_eventfd() {
        let file = rustix::fs::memfd_create("file", rustix::fs::MemfdFlags::CLOEXEC).expect("fd");
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("pair");
        for fd in [file, socket.into()] {
            let mut irqs = Irqs::new(1);
            let fds = IrqData::EventFds(vec![fd]);
            let assigned = irqs.set(set(pci::MSIX_IRQ, 0, 1, IrqAction::Trigger, fds));
            assert_eq!(assigned, Err(Errno::INVAL));
            assert!(!irqs.message_signalled());
        }
    }

    #[test]
    fn intx_is_told_once_until_unmasked_and_again_while_the_line_is_asserted() {
        let (mut irqs, (theirs, ours)) = (Irqs::new(4), eventfd());
        let fds = IrqData::EventFds(vec![ours]);
        irqs.set(set(pci::INTX_IRQ, 0, 1, IrqAction::Trigger, fds))
            .expect("assigned");
        irqs.raise(3);
        irqs.raise(3);
        assert_eq!(count(&theirs), 1);
        let unmask = || set(pci::INTX_IRQ, 0, 1, IrqAction::Unmask, IrqData::None);
        irqs.set(unmask()).expect("unmasked");
        irqs.assert(true);
        assert_eq!(count(&theirs), 1, "still asserted");
        irqs.set(unmask()).expect("unmasked");
        irqs.assert(false);
        assert_eq!(count(&theirs), 0);
    }

    #[test]
    fn ranges_outside_and_unknown_indexes_are_refused() {
        let mut irqs = Irqs::new(4);
        let none = || IrqData::None;
        let outside = set(pci::MSIX_IRQ, 3, 2, IrqAction::Mask, none());
        assert_eq!(irqs.set(outside), Err(Errno::INVAL));
        let unknown = set(pci::REQ_IRQ, 0, 1, IrqAction::Mask, none());
        assert_eq!(irqs.set(unknown), Err(Errno::INVAL));
        irqs.raise(4);
    }
}
