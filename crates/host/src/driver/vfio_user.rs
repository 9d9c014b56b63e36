//! A controller in another process, behind a vfio-user socket.

use super::transport::{DmaBuffer, Transport};
use crate::Error;
use ersatz_memory::{Access, Mapping};
use ersatz_vfio_user::pci::{BAR0_REGION, CONFIG_REGION};
use ersatz_vfio_user::{Client, ClientError, DmaHandler, Errno, MappableArea};
use nvme_spec::register::DOORBELLS;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much of what the server offers is used.
#[derive(Clone, Copy, Debug)]
pub struct VfioUserOptions {
    /// Ring doorbells in shared memory, where the server has them there; else by messages.
    pub map_doorbells: bool,
    /// Let the server map our memory; else it has to send messages for each access.
    pub share_memory: bool,
}

impl Default for VfioUserOptions {
    /// All that makes it fast.
    fn default() -> Self {
        Self {
            map_doorbells: true,
            share_memory: true,
        }
    }
}

/// Calls of [`Transport::poll`] for each look at the socket: a system call in some 10 to 50 µs of
/// spinning.
const LOOK_EVERY: u32 = 4096;

/// How long a register access may take. An emulated drive may be busy with a large copy.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where our memory starts in I/O virtual addresses. Addresses are never used twice.
const FIRST_IOVA: u64 = 1 << 32;

/// The connection to a server.
pub struct VfioUser {
    client: Arc<Mutex<Client>>,
    doorbells: Option<Arc<Mapping>>,
    options: VfioUserOptions,
    next_iova: Mutex<u64>,
    memory: Arc<Mutex<Memory>>,
    polls: AtomicU32,
}

/// What the server may reach by messages, by first address.
#[derive(Default)]
struct Memory(BTreeMap<u64, Arc<Mapping>>);

impl VfioUser {
    /// Connects to the server at `path`.
    ///
    /// # Errors
    /// When there is none, or its device is no NVMe controller.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::connect_with(path, VfioUserOptions::default())
    }

    /// Connects to the server at `path`, and uses only a part of what it offers.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(path: impl AsRef<Path>, options: VfioUserOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let client = Client::connect(path)
            .map_err(|error| failed(&format!("connect to {}", path.display()), error))?;
        Self::new(client, options)
    }

    /// Takes over a connection that has been made.
    ///
    /// # Errors
    /// When the server's device is no NVMe controller.
    pub fn new(mut client: Client, options: VfioUserOptions) -> Result<Self, Error> {
        let bar0 = client
            .region_info(BAR0_REGION)
            .map_err(|error| failed("ask for BAR0", error))?;
        if !bar0.readable || !bar0.writable || bar0.size < DOORBELLS + 8 {
            return Err(Error::Unsupported(
                "the device has no BAR0 with registers of an NVMe controller".into(),
            ));
        }
        client.set_timeout(REPLY_TIMEOUT);
        enable_bus_master(&mut client)?;
        let area = bar0
            .areas
            .iter()
            .find(|area| area.offset <= DOORBELLS && DOORBELLS - area.offset < area.size);
        let doorbells = match area {
            Some(area) if options.map_doorbells => Some(Arc::new(map_doorbells(area)?)),
            _ => None,
        };
        let memory = Arc::<Mutex<Memory>>::default();
        client.set_dma_handler(ByMessage(Arc::clone(&memory)));
        Ok(Self {
            client: Arc::new(Mutex::new(client)),
            doorbells,
            options,
            next_iova: Mutex::new(FIRST_IOVA),
            memory,
            polls: AtomicU32::new(0),
        })
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), Error> {
        lock(&self.client)
            .region_read(BAR0_REGION, offset, buf)
            .map_err(|error| failed(&format!("read register {offset:#x}"), error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let mut client = lock(&self.client);
        let sent = if offset >= DOORBELLS {
            // Nobody has to wait for a doorbell to be heard.
            client.region_write_posted(BAR0_REGION, offset, data)
        } else {
            client.region_write(BAR0_REGION, offset, data)
        };
        sent.map_err(|error| failed(&format!("write register {offset:#x}"), error))
    }
}

impl Transport for VfioUser {
    fn read32(&self, offset: u64) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn read64(&self, offset: u64) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.read(offset, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn write32(&self, offset: u64, value: u32) -> Result<(), Error> {
        self.write(offset, &value.to_le_bytes())
    }

    fn write64(&self, offset: u64, value: u64) -> Result<(), Error> {
        self.write(offset, &value.to_le_bytes())
    }

    fn doorbells(&self) -> Option<Arc<Mapping>> {
        self.doorbells.clone()
    }

    fn allocate(&self, len: u64) -> Result<DmaBuffer, Error> {
        /// So that a buffer starts on a page of any controller, and 64 bits are never used up.
        const ALIGN: u64 = 1 << 16;
        let size = len
            .max(1)
            .checked_next_multiple_of(ALIGN)
            .ok_or_else(|| Error::refused(format!("{len} bytes of memory are not possible")))?;
        let mapping = Arc::new(Mapping::anonymous("ersatz-host", size)?);
        let iova = {
            let mut next = lock(&self.next_iova);
            let iova = *next;
            *next = iova
                .checked_add(size)
                .ok_or_else(|| Error::refused("no addresses are left for memory"))?;
            iova
        };
        lock(&self.memory).0.insert(iova, Arc::clone(&mapping));
        let lease = Lease {
            client: Arc::clone(&self.client),
            memory: Arc::clone(&self.memory),
            iova,
            size,
        };
        let file = match self.options.share_memory {
            true => mapping.descriptor(),
            false => None,
        };
        lock(&self.client)
            .dma_map(iova, size, file)
            .map_err(|error| failed("share memory with the drive", error))?;
        let buffer = DmaBuffer::new(Arc::clone(&mapping), 0, iova, len)?;
        Ok(buffer.with_lease(Arc::new(lease)))
    }

    fn poll(&self) -> Result<(), Error> {
        let polls = self.polls.fetch_add(1, Ordering::Relaxed);
        // Without shared memory each access of the drive is a message that waits for us.
        if self.options.share_memory && !polls.is_multiple_of(LOOK_EVERY) {
            return Ok(());
        }
        lock(&self.client)
            .service()
            .map_err(|error| failed("wait for the drive", error))
    }
}

impl std::fmt::Debug for VfioUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VfioUser")
            .field("options", &self.options)
            .field("doorbells", &self.doorbells)
            .finish_non_exhaustive()
    }
}

/// Memory Space Enable and Bus Master Enable of the PCI command register: without the one the
/// registers, without the other our memory would be out of reach.
fn enable_bus_master(client: &mut Client) -> Result<(), Error> {
    const COMMAND: u64 = 4;
    const MEMORY_SPACE: u16 = 1 << 1;
    const BUS_MASTER: u16 = 1 << 2;
    let mut bytes = [0; 2];
    let what = "enable the PCI function";
    client
        .region_read(CONFIG_REGION, COMMAND, &mut bytes)
        .map_err(|error| failed(what, error))?;
    let command = u16::from_le_bytes(bytes) | MEMORY_SPACE | BUS_MASTER;
    client
        .region_write(CONFIG_REGION, COMMAND, &command.to_le_bytes())
        .map_err(|error| failed(what, error))
}

/// The part of a mappable area of BAR0 that starts with the first doorbell.
fn map_doorbells(area: &MappableArea) -> Result<Mapping, Error> {
    let skip = DOORBELLS - area.offset;
    let offset = area
        .file_offset
        .checked_add(skip)
        .ok_or_else(|| Error::protocol("doorbells beyond the end of any file"))?;
    let file = area
        .file
        .try_clone()
        .map_err(|error| Error::os("map the doorbells", error))?;
    Ok(Mapping::file(
        file,
        offset,
        area.size - skip,
        Access::ReadWrite,
    )?)
}

/// Takes memory back from the server when the last buffer in it is dropped.
struct Lease {
    client: Arc<Mutex<Client>>,
    memory: Arc<Mutex<Memory>>,
    iova: u64,
    size: u64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // If the connection is gone, so is the server's mapping.
        let _ = lock(&self.client).dma_unmap(self.iova, self.size);
        lock(&self.memory).0.remove(&self.iova);
    }
}

/// Serves the server's accesses to memory that it could not map.
struct ByMessage(Arc<Mutex<Memory>>);

impl ByMessage {
    fn find(&self, address: u64) -> Result<(Arc<Mapping>, u64), Errno> {
        let memory = lock(&self.0);
        let (start, mapping) = memory.0.range(..=address).next_back().ok_or(Errno::FAULT)?;
        Ok((Arc::clone(mapping), address - start))
    }
}

impl DmaHandler for ByMessage {
    fn read(&mut self, address: u64, buf: &mut [u8]) -> Result<(), Errno> {
        let (mapping, at) = self.find(address)?;
        mapping.read(at, buf).map_err(|_| Errno::FAULT)
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        let (mapping, at) = self.find(address)?;
        mapping.write(at, data).map_err(|_| Errno::FAULT)
    }
}

/// What the locks protect is consistent at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(doing: &str, error: ClientError) -> Error {
    match error {
        ClientError::Connect(source) => Error::os(doing, source),
        ClientError::Refused(errno) => Error::os(doing, errno),
        ClientError::TooLarge => Error::refused(format!("{doing}: {error}")),
        ClientError::Link(link) => Error::Gone(link.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_only_memory_that_was_shared() {
        let memory = Arc::<Mutex<Memory>>::default();
        let mapping = Arc::new(Mapping::anonymous("test", 4096).expect("map"));
        lock(&memory).0.insert(0x1_0000, Arc::clone(&mapping));
        let mut handler = ByMessage(memory);
        handler.write(0x1_0010, b"abc").expect("inside");
        let mut copy = [0; 3];
        handler.read(0x1_0010, &mut copy).expect("inside");
        assert_eq!(&copy, b"abc");
        assert_eq!(handler.read(0xFFFF, &mut copy), Err(Errno::FAULT));
        assert_eq!(handler.write(0x1_0FFE, b"abc"), Err(Errno::FAULT));
        assert_eq!(handler.read(u64::MAX, &mut copy), Err(Errno::FAULT));
    }
}
