//! Our client against our server, over a socket on the file system.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use common::{COPY, DONE, Device, Seen, TRIGGER, serve_one};
use ersatz_vfio_user::{
    Client, ClientError, DmaError, DmaHandler, Errno, IrqAction, IrqSet, LinkError, Listener, pci,
};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use tempfile::TempDir;

struct Setup {
    client: Client,
    seen: Arc<Seen>,
    server: JoinHandle<LinkError>,
    _dir: TempDir,
}

fn setup_with(file: Option<std::fs::File>) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cntrl");
    let listener = Listener::bind(&path).unwrap();
    let seen = Arc::new(Seen::default());
    let server = serve_one(listener, Device::new(Arc::clone(&seen), file));
    Setup {
        client: Client::connect(&path).unwrap(),
        seen,
        server,
        _dir: dir,
    }
}

fn setup() -> Setup {
    setup_with(None)
}

/// Client memory from address 0x1000 on, that only messages reach.
#[derive(Clone)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn range(&self, address: u64, count: usize) -> Result<std::ops::Range<usize>, Errno> {
        let begin = address.checked_sub(0x1000).ok_or(Errno::FAULT)? as usize;
        let end = begin.checked_add(count).ok_or(Errno::FAULT)?;
        if end > self.0.lock().unwrap().len() {
            return Err(Errno::FAULT);
        }
        Ok(begin..end)
    }
}

impl DmaHandler for Memory {
    fn read(&mut self, address: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let range = self.range(address, buf.len())?;
        buf.copy_from_slice(&self.0.lock().unwrap()[range]);
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        let range = self.range(address, data.len())?;
        self.0.lock().unwrap()[range].copy_from_slice(data);
        Ok(())
    }
}

fn done(client: &mut Client) -> u8 {
    let mut byte = [0];
    client.region_read(0, DONE, &mut byte).unwrap();
    byte[0]
}

#[test]
fn a_device_describes_itself() {
    let file = tempfile::tempfile().unwrap();
    let mut setup = setup_with(Some(file));
    let client = &mut setup.client;
    let info = client.device_info().unwrap();
    assert_eq!((info.num_regions, info.num_irqs), (9, 5));
    assert!(info.resettable);
    let bar = client.region_info(0).unwrap();
    assert_eq!((bar.size, bar.readable, bar.writable), (0x4000, true, true));
    assert_eq!(bar.areas.len(), 1);
    let area = &bar.areas[0];
    assert_eq!(
        (area.offset, area.size, area.file_offset),
        (0x1000, 0x1000, 0x11000)
    );
    let absent = client.region_info(5).unwrap();
    assert_eq!((absent.size, absent.areas.len()), (0, 0));
    assert!(matches!(
        client.region_info(9),
        Err(ClientError::Refused(Errno::INVAL))
    ));
    assert_eq!(client.irq_info(pci::MSIX_IRQ).unwrap().count, 40);
    assert_eq!(client.irq_info(pci::INTX_IRQ).unwrap().count, 0);
    let version = client.server_version();
    assert_eq!(version.capabilities.as_ref().unwrap().max_msg_fds, 16);
    drop(setup.client);
    assert_eq!(setup.server.join().unwrap(), LinkError::Closed);
}

#[test]
fn registers_are_written_and_read() {
    let mut setup = setup();
    let client = &mut setup.client;
    client.region_write(0, 0x14, &[1, 2, 3, 4]).unwrap();
    for i in 0..200u32 {
        client
            .region_write_posted(0, 0x20, &i.to_ne_bytes())
            .unwrap();
    }
    let mut buf = [0; 16];
    client.region_read(0, 0x14, &mut buf).unwrap();
    assert_eq!(buf[..4], [1, 2, 3, 4]);
    assert_eq!(buf[12..], 199u32.to_ne_bytes());
    let beyond = client.region_read(0, 0x3ffd, &mut [0; 4]);
    assert!(matches!(beyond, Err(ClientError::Refused(Errno::INVAL))));
    let huge = client.region_read(0, 0, &mut vec![0; (1 << 20) + 1]);
    assert!(matches!(huge, Err(ClientError::TooLarge)));
    client.reset().unwrap();
    assert_eq!(setup.seen.resets.load(Ordering::SeqCst), 1);
    client.region_read(0, 0x14, &mut buf).unwrap();
    assert_eq!(buf, [0; 16]);
}

#[test]
fn shared_memory_is_mapped_used_and_unmapped() {
    let mut setup = setup();
    let client = &mut setup.client;
    let memory = std::fs::File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
    memory.set_len(0x3000).unwrap();
    use std::os::unix::fs::FileExt;
    memory.write_all_at(&[0xf0; 64], 0x2000).unwrap();
    client
        .dma_map(0x10_0000, 0x1000, Some((memory.as_fd(), 0x2000)))
        .unwrap();
    let again = client.dma_map(0x10_0800, 0x1000, None);
    assert!(matches!(again, Err(ClientError::Refused(Errno::EXIST))));
    client
        .region_write(0, COPY, &0x10_0000u64.to_ne_bytes())
        .unwrap();
    let mut bytes = [0; 64];
    memory.read_exact_at(&mut bytes, 0x2040).unwrap();
    assert_eq!(bytes, [0x0f; 64]);
    let wrong = client.dma_unmap(0x10_0000, 0x2000);
    assert!(matches!(wrong, Err(ClientError::Refused(Errno::NOENT))));
    client.dma_unmap(0x10_0000, 0x1000).unwrap();
    client.dma_map(0x10_0000, 0x1000, None).unwrap();
    client.dma_map(0x20_0000, 0x1000, None).unwrap();
    client.dma_unmap_all().unwrap();
    assert!(setup.seen.maps.lock().unwrap().is_empty());
}

#[test]
fn memory_is_reached_by_message_while_the_client_waits_for_its_own_access() {
    let mut setup = setup();
    let client = &mut setup.client;
    let memory = Memory(Arc::new(Mutex::new(
        (0..=255).cycle().take(0x1000).collect(),
    )));
    client.set_dma_handler(memory.clone());
    client.dma_map(0x1000, 0x1000, None).unwrap();
    // Synchronous: the DMA messages come before the write's reply.
    client
        .region_write(0, COPY, &0x1000u64.to_ne_bytes())
        .unwrap();
    let expected: Vec<u8> = (0..64).map(|byte: u8| !byte).collect();
    assert_eq!(memory.0.lock().unwrap()[64..128], expected);
    // Posted: the DMA messages cross with reads and writes, which the device must answer meanwhile.
    for round in 0..100u64 {
        let source = 0x1000 + round * 8;
        client
            .region_write_posted(0, COPY, &source.to_ne_bytes())
            .unwrap();
        client.region_write(0, 0x200, &round.to_ne_bytes()).unwrap();
        client.region_read(0, 0x14, &mut [0; 4]).unwrap();
    }
    while done(client) != 101 {}
    assert!(setup.seen.dma_errors.lock().unwrap().is_empty());
    // Every write reached the device, in order.
    let writes = setup.seen.writes.lock().unwrap();
    let rounds = writes.iter().filter(|write| write.0 == 0x200);
    let rounds: Vec<_> = rounds.map(|write| write.1.clone()).collect();
    let expected: Vec<_> = (0..100u64)
        .map(|round| round.to_ne_bytes().to_vec())
        .collect();
    assert_eq!(rounds, expected);
}

#[test]
fn memory_that_the_client_refuses_is_an_error_to_the_device_only() {
    let mut setup = setup();
    let client = &mut setup.client;
    client.dma_map(0x1000, 0x1000, None).unwrap();
    client
        .region_write(0, COPY, &0x1000u64.to_ne_bytes())
        .unwrap();
    assert_eq!(done(client), 1);
    let errors = setup.seen.dma_errors.lock().unwrap();
    assert_eq!(*errors, [DmaError::Refused(Errno::FAULT)]);
}

#[test]
fn interrupts_arrive_through_their_descriptors() {
    let mut setup = setup();
    let client = &mut setup.client;
    let fds: Vec<_> = (0..40)
        .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap())
        .collect();
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let is_set = |i: usize| rustix::io::read(&fds[i], &mut [0; 8]).is_ok();
    // More than a message carries.
    client
        .set_irqs(
            pci::MSIX_IRQ,
            0,
            IrqAction::Trigger,
            IrqSet::EventFds(&borrowed),
        )
        .unwrap();
    client.region_write(0, TRIGGER, &[37]).unwrap();
    assert!(is_set(37) && !is_set(36));
    client
        .set_irqs(
            pci::MSIX_IRQ,
            2,
            IrqAction::Trigger,
            IrqSet::Bool(&[true, false]),
        )
        .unwrap();
    assert!(is_set(2) && !is_set(3));
    client
        .set_irqs(pci::MSIX_IRQ, 0, IrqAction::Trigger, IrqSet::Count(2))
        .unwrap();
    assert!(is_set(0) && is_set(1) && !is_set(2));
    client
        .set_irqs(pci::MSIX_IRQ, 37, IrqAction::Trigger, IrqSet::Deassign(1))
        .unwrap();
    client.region_write(0, TRIGGER, &[37]).unwrap();
    assert!(!is_set(37));
    let beyond = client.set_irqs(pci::MSIX_IRQ, 40, IrqAction::Trigger, IrqSet::Count(1));
    assert!(matches!(beyond, Err(ClientError::Refused(Errno::INVAL))));
}
