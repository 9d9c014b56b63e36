//! The vfio-user transport against a server that has registers, doorbells in shared memory and
//! one trick: it adds one to the number at the address that is written to ASQ.

use ersatz_host::Error;
use ersatz_host::driver::{Transport, VfioUser, VfioUserOptions};
use ersatz_memory::{Access, Mapping};
use ersatz_vfio_user::pci::{BAR0_REGION, CONFIG_REGION, NUM_IRQS, NUM_REGIONS};
use ersatz_vfio_user::{
    Client, DeviceInfo, DmaMap, DmaUnmap, Errno, IrqInfo, LinkError, Meanwhile, RegionFile,
    RegionInfo, Reply, Request, RequestKind, Session, SparseArea,
};
use nvme_spec::register::{ASQ, DOORBELLS};
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};

const PAGE: u64 = 4096;

/// What is left of a server when its client has gone.
struct Ended {
    doorbells: Arc<Mapping>,
    command: [u8; 2],
    posted: Vec<(u64, Vec<u8>)>,
    maps: usize,
    most_maps: usize,
}

struct Server {
    session: Session,
    registers: Vec<u8>,
    /// Mapped, or to be reached by messages.
    maps: BTreeMap<u64, Option<Mapping>>,
    ended: Ended,
}

struct NoView;

impl Meanwhile for NoView {
    fn read(&self, _: u32, _: u64, buf: &mut [u8]) -> Result<(), Errno> {
        buf.fill(0);
        Ok(())
    }
}

impl Server {
    fn run(mut self) -> Ended {
        loop {
            match self.session.next_request() {
                Ok(Some(request)) => self.serve(request),
                Ok(None) => {
                    let mut fds = [PollFd::new(&self.session, PollFlags::IN)];
                    poll(&mut fds, None).expect("poll");
                }
                Err(LinkError::Closed) => {
                    self.ended.maps = self.maps.len();
                    return self.ended;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn serve(&mut self, Request { token, kind }: Request) {
        let mut data = Vec::new();
        let area = [SparseArea {
            offset: DOORBELLS,
            size: PAGE,
        }];
        let (file, start) = self.ended.doorbells.descriptor().expect("memfd");
        let file = file.try_clone_to_owned().expect("dup");
        let reply = match kind {
            RequestKind::DeviceInfo => Ok(Reply::DeviceInfo(DeviceInfo {
                resettable: true,
                num_regions: NUM_REGIONS,
                num_irqs: NUM_IRQS,
            })),
            RequestKind::IrqInfo { .. } => Ok(Reply::IrqInfo(IrqInfo::default())),
            RequestKind::RegionInfo { index: BAR0_REGION } => Ok(Reply::RegionInfo(RegionInfo {
                size: 2 * PAGE,
                readable: true,
                writable: true,
                file: Some(RegionFile {
                    fd: file.as_fd(),
                    offset: start,
                    areas: &area,
                }),
            })),
            RequestKind::RegionInfo { .. } => Ok(Reply::RegionInfo(RegionInfo::default())),
            RequestKind::RegionRead {
                region,
                offset,
                count,
            } => {
                data.resize(count, 0);
                if region == BAR0_REGION {
                    let at = offset as usize;
                    data.copy_from_slice(&self.registers[at..at + count]);
                }
                Ok(Reply::Data(&data))
            }
            RequestKind::RegionWrite {
                region,
                offset,
                data,
            } => self.write(region, offset, data).map(|()| Reply::Done),
            RequestKind::DmaMap(map) => {
                self.map(map);
                Ok(Reply::Done)
            }
            RequestKind::DmaUnmap(DmaUnmap::Range { address, .. }) => {
                match self.maps.remove(&address) {
                    Some(_) => Ok(Reply::Done),
                    None => Err(Errno::NOENT),
                }
            }
            _ => Ok(Reply::Done),
        };
        self.session.reply(token, reply);
    }

    fn write(&mut self, region: u32, offset: u64, data: Vec<u8>) -> Result<(), Errno> {
        match (region, offset) {
            (CONFIG_REGION, 4) => self.ended.command = data[..].try_into().expect("two bytes"),
            (BAR0_REGION, ASQ) => {
                let address = u64::from_le_bytes(data[..].try_into().expect("eight bytes"));
                self.add_one(address)?;
            }
            (BAR0_REGION, DOORBELLS..) => self.ended.posted.push((offset, data)),
            (BAR0_REGION, _) => {
                let at = offset as usize;
                self.registers[at..at + data.len()].copy_from_slice(&data);
            }
            _ => return Err(Errno::INVAL),
        }
        Ok(())
    }

    fn map(&mut self, map: DmaMap) {
        let mapping = map.file.map(|file| {
            Mapping::file(file.fd, file.offset, map.size, Access::ReadWrite).expect("map")
        });
        self.maps.insert(map.address, mapping);
        self.ended.most_maps = self.ended.most_maps.max(self.maps.len());
    }

    fn add_one(&mut self, address: u64) -> Result<(), Errno> {
        let found = self.maps.range(..=address).next_back();
        let (start, mapping) = found.ok_or(Errno::FAULT)?;
        match mapping {
            Some(mapping) => {
                let value: u64 = mapping.load(address - start).expect("inside");
                mapping.store(address - start, value + 1).expect("inside");
            }
            None => {
                let mut bytes = [0; 8];
                let session = &mut self.session;
                session
                    .dma_read(address, &mut bytes, &mut NoView)
                    .expect("served");
                let value = u64::from_le_bytes(bytes) + 1;
                let bytes = value.to_le_bytes();
                session
                    .dma_write(address, &bytes, &mut NoView)
                    .expect("served");
            }
        }
        Ok(())
    }
}

fn start(options: VfioUserOptions) -> (VfioUser, JoinHandle<Ended>) {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let server = spawn(move || {
        // A file as large as BAR0, of which only the doorbells' area is offered.
        let file = Mapping::anonymous("bar0", 2 * PAGE).expect("memory");
        let (fd, _) = file.descriptor().expect("memfd");
        let fd = fd.try_clone_to_owned().expect("dup");
        let server = Server {
            session: Session::new(theirs).expect("session"),
            registers: vec![0; 2 * PAGE as usize],
            maps: BTreeMap::new(),
            ended: Ended {
                doorbells: Arc::new(
                    Mapping::file(fd, 0, 2 * PAGE, Access::ReadWrite).expect("map"),
                ),
                command: [0; 2],
                posted: Vec::new(),
                maps: 0,
                most_maps: 0,
            },
        };
        server.run()
    });
    let client = Client::new(ours).expect("negotiated");
    let transport = VfioUser::new(client, options).expect("a controller");
    (transport, server)
}

#[test]
fn registers_are_read_and_written_and_the_bus_is_ours() {
    let (transport, server) = start(VfioUserOptions::default());
    transport.write32(0x14, 0x46_0001).expect("written");
    transport.write64(0x30, 1 << 40).expect("written");
    assert_eq!(transport.read32(0x14).expect("read"), 0x46_0001);
    assert_eq!(transport.read64(0x30).expect("read"), 1 << 40);
    drop(transport);
    assert_eq!(server.join().expect("ended").command, [6, 0]);
}

#[test]
fn mapped_doorbells_need_no_message_and_others_are_posted() {
    let (transport, server) = start(VfioUserOptions::default());
    let doorbells = transport.doorbells().expect("offered");
    doorbells.store_release(8, 5).expect("inside");
    drop(transport);
    let ended = server.join().expect("ended");
    assert_eq!(ended.doorbells.load::<u32>(DOORBELLS + 8), Ok(5));
    assert!(ended.posted.is_empty());

    let (transport, server) = start(VfioUserOptions {
        map_doorbells: false,
        ..VfioUserOptions::default()
    });
    assert!(transport.doorbells().is_none());
    transport.write32(DOORBELLS + 8, 6).expect("posted");
    assert_eq!(transport.read32(0).expect("after it"), 0);
    drop(transport);
    let posted = server.join().expect("ended").posted;
    assert_eq!(posted, [(DOORBELLS + 8, vec![6, 0, 0, 0])]);
}

#[test]
fn memory_is_reached_in_place_or_by_messages_and_given_back() {
    for share_memory in [true, false] {
        let (transport, server) = start(VfioUserOptions {
            share_memory,
            ..VfioUserOptions::default()
        });
        let first = transport.allocate(100).expect("memory");
        let second = transport.allocate(1 << 20).expect("memory");
        assert_eq!((first.len(), first.iova() % PAGE), (100, 0));
        assert!(second.iova() >= first.iova() + 100);
        for buffer in [&first, &second] {
            buffer.store(16, 41u64).expect("inside");
            transport.write64(ASQ, buffer.iova() + 16).expect("done");
            assert_eq!(buffer.load::<u64>(16), Ok(42), "shared: {share_memory}");
        }
        let slice = first.slice(0, 8).expect("inside");
        drop((first, second));
        transport
            .write64(ASQ, slice.iova())
            .expect("a slice keeps its buffer");
        drop(slice);
        drop(transport);
        let ended = server.join().expect("ended");
        assert_eq!(
            (ended.most_maps, ended.maps),
            (2, 0),
            "shared: {share_memory}"
        );
    }
}

#[test]
fn a_server_that_dies_ends_waiting() {
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let server = spawn(move || {
        let mut session = Session::new(theirs).expect("session");
        // Serves until the client has what it asks when it connects, then dies.
        loop {
            match session.next_request().expect("alive") {
                Some(Request { token, kind }) => {
                    let info = RegionInfo {
                        size: 2 * PAGE,
                        readable: true,
                        writable: true,
                        file: None,
                    };
                    match kind {
                        RequestKind::RegionInfo { .. } => {
                            session.reply(token, Ok(Reply::RegionInfo(info)));
                        }
                        RequestKind::RegionRead { count, .. } => {
                            session.reply(token, Ok(Reply::Data(&[0; 8][..count])));
                        }
                        _ => {
                            session.reply(token, Ok(Reply::Done));
                            return;
                        }
                    }
                }
                None => {
                    let mut fds = [PollFd::new(&session, PollFlags::IN)];
                    poll(&mut fds, None).expect("poll");
                }
            }
        }
    });
    let client = Client::new(ours).expect("negotiated");
    let transport = VfioUser::new(client, VfioUserOptions::default()).expect("a controller");
    server.join().expect("ended");
    let error = (0..100_000).find_map(|_| transport.poll().err());
    assert!(matches!(error, Some(Error::Gone(_))), "{error:?}");
    assert!(matches!(transport.read32(0), Err(Error::Gone(_))));
}
