//! A client that others wrote (the `vfio_user` crate, Cloud Hypervisor's) against our server.

mod common;

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{COPY, Device, Seen, TRIGGER, serve_one};
use ersatz_vfio_user::{LinkError, Listener, pci};
use rustix::event::{EventfdFlags, eventfd};
use vfio_user::Client;

#[test]
fn cloud_hypervisors_client_uses_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cntrl");
    let listener = Listener::bind(&path).unwrap();
    let seen = Arc::new(Seen::default());
    let doorbells = tempfile::tempfile().unwrap();
    let server = serve_one(listener, Device::new(Arc::clone(&seen), Some(doorbells)));

    // Connecting asks for the version, the device and every region, twice for those with
    // capabilities.
    let mut client = Client::new(&path).unwrap();
    let bar = client.region(pci::BAR0_REGION).unwrap();
    assert_eq!((bar.size, bar.flags), (0x4000, 0xf));
    assert_eq!(bar.sparse_areas.len(), 1);
    assert_eq!(bar.sparse_areas[0].offset, 0x1000);
    assert_eq!(bar.file_offset.as_ref().unwrap().start(), 0x10000);
    assert_eq!(client.region(pci::ROM_REGION).unwrap().size, 0);

    client.region_write(0, 0x14, &[1, 2, 3, 4]).unwrap();
    let mut buf = [0; 4];
    client.region_read(0, 0x14, &mut buf).unwrap();
    assert_eq!(buf, [1, 2, 3, 4]);

    let memory = tempfile::tempfile().unwrap();
    memory.set_len(0x2000).unwrap();
    memory.write_all_at(&[0xaa; 64], 0x1000).unwrap();
    client
        .dma_map(0x1000, 0x10_0000, 0x1000, memory.as_raw_fd())
        .unwrap();
    assert_eq!(*seen.maps.lock().unwrap(), [(0x10_0000, 0x1000, true)]);
    client
        .region_write(0, COPY, &0x10_0000u64.to_ne_bytes())
        .unwrap();
    let mut bytes = [0; 64];
    memory.read_exact_at(&mut bytes, 0x1040).unwrap();
    assert_eq!(bytes, [0x55; 64]);
    client.dma_unmap(0x10_0000, 0x1000).unwrap();
    assert!(seen.maps.lock().unwrap().is_empty());

    let irq = client.get_irq_info(pci::MSIX_IRQ).unwrap();
    assert_eq!((irq.count, irq.flags), (40, 0b1001));
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    // Data: eventfd; action: trigger.
    client
        .set_irqs(pci::MSIX_IRQ, 0x24, 3, 1, &[event.as_raw_fd()])
        .unwrap();
    client.region_write(0, TRIGGER, &[3]).unwrap();
    let mut count = [0; 8];
    rustix::io::read(&event, &mut count).unwrap();
    assert_eq!(u64::from_ne_bytes(count), 1);

    client.reset().unwrap();
    assert_eq!(seen.resets.load(Ordering::SeqCst), 1);
    client.region_read(0, 0x14, &mut buf).unwrap();
    assert_eq!(buf, [0; 4]);

    client.shutdown().unwrap();
    assert_eq!(server.join().unwrap(), LinkError::Closed);
}
