//! A port and a client that does what no good client does.

use super::*;
use crate::{Bar0, Words};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

const VERSION: u16 = 1;
const DMA_MAP: u16 = 2;
const SET_IRQS: u16 = 8;
const REGION_WRITE: u16 = 10;
const DMA_READ: u16 = 11;

/// A function that counts what is written to it. A write to the configuration space makes it read
/// the host's memory.
struct Counter {
    writes: usize,
    doorbells: Arc<Mapping>,
    fetched: Vec<Result<[u8; 8], DmaFault>>,
}

impl Counter {
    fn new() -> Self {
        let doorbells = Mapping::anonymous("doorbells", 4096).expect("memory");
        Self {
            writes: 0,
            doorbells: Arc::new(doorbells),
            fetched: Vec::new(),
        }
    }
}

impl Function for Counter {
    fn bar0(&self) -> Bar0 {
        Bar0 {
            size: 0x2000,
            registers: Words::new(0x2000),
            shared: (0x1000, Arc::clone(&self.doorbells)),
        }
    }

    fn config(&self) -> Words {
        Words::new(4096)
    }

    fn vectors(&self) -> u16 {
        1
    }

    fn write(&mut self, _: Ns, region: Region, _: u64, _: &[u8], host: &mut dyn Host) {
        self.writes += 1;
        if region == Region::Config {
            let mut bytes = [0; 8];
            self.fetched
                .push(host.read(0x1000, &mut bytes).map(|()| bytes));
        }
    }

    fn reset(&mut self, _: Ns, _: Reset) {}

    fn line(&self) -> bool {
        true
    }
}

fn message(command: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = [0u16, command].map(u16::to_ne_bytes).concat();
    for word in [16 + payload.len() as u32, flags, 0] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(payload);
    message
}

#[test]
fn a_client_that_never_stops_asking_does_not_keep_the_thread() {
    const NO_REPLY: u32 = 1 << 4;
    let (ours, mut theirs) = UnixStream::pair().expect("sockets");
    let mut function = Counter::new();
    let session = Session::new(ours).expect("session");
    let mut port = Port::new(session, &function, Doorbells::Messages);
    theirs
        .write_all(&message(VERSION, 0, &[0; 4]))
        .expect("room");
    // Offset, region, count, data.
    let mut write = 0x1000u64.to_ne_bytes().to_vec();
    for word in [0u32, 4, 1] {
        write.extend_from_slice(&word.to_ne_bytes());
    }
    let asked = MAX_REQUESTS + 10;
    for _ in 0..asked {
        let bytes = message(REGION_WRITE, NO_REPLY, &write);
        theirs.write_all(&bytes).expect("room");
    }
    assert_eq!(port.service(Ns::ZERO, &mut function), Ok(true));
    assert_eq!(function.writes, MAX_REQUESTS, "for now");
    assert_eq!(port.service(Ns::ZERO, &mut function), Ok(true));
    assert_eq!(function.writes, asked);
    assert_eq!(port.service(Ns::ZERO, &mut function), Ok(false));
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The command, flags and payload of the next message.
fn next(from: &mut UnixStream) -> (u16, u32, Vec<u8>) {
    let mut header = [0; 16];
    from.read_exact(&mut header).expect("a message");
    let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four"));
    let mut payload = vec![0; word(4) as usize - header.len()];
    from.read_exact(&mut payload).expect("its payload");
    (
        word(0).to_ne_bytes()[2..]
            .try_into()
            .map_or(0, u16::from_ne_bytes),
        word(8),
        payload,
    )
}

/// As a virtual machine monitor that holds one lock for all that it does: until its own request is
/// answered it doesn't answer the drive's.
#[test]
fn memory_and_interrupts_are_set_up_while_the_drive_waits_for_the_client() {
    const CONFIG: u32 = 7;
    const REPLY: u32 = 1;
    let (ours, mut theirs) = UnixStream::pair().expect("sockets");
    let mut function = Counter::new();
    let session = Session::new(ours).expect("session");
    let mut port = Port::new(session, &function, Doorbells::Messages);
    let client = std::thread::spawn(move || {
        let send = |theirs: &mut UnixStream, command, payload: &[u8]| {
            theirs
                .write_all(&message(command, 0, payload))
                .expect("room");
        };
        send(&mut theirs, VERSION, &[0; 4]);
        assert_eq!(next(&mut theirs).0, VERSION);
        // argsz, flags (readable, writable), offset, address, size.
        let map = |address: u32| words(&[32, 3, 0, 0, address, 0, 0x1000, 0]);
        send(&mut theirs, DMA_MAP, &map(0x1000));
        assert_eq!(next(&mut theirs).0, DMA_MAP);
        // A config write, which makes the drive read memory: answered when the drive asks.
        send(
            &mut theirs,
            REGION_WRITE,
            &words(&[4, 0, CONFIG, 1, 0])[..17],
        );
        let (command, _, access) = next(&mut theirs);
        assert_eq!(command, DMA_READ);
        // argsz, flags (no data, unmask), index (INTx), start, count.
        send(&mut theirs, SET_IRQS, &words(&[20, 0x11, 0, 0, 1]));
        assert_eq!(next(&mut theirs), (SET_IRQS, REPLY, Vec::new()));
        send(&mut theirs, DMA_MAP, &map(0x2000));
        assert_eq!(next(&mut theirs).0, DMA_MAP);
        let reply = [&access[..], &[7; 8]].concat();
        theirs
            .write_all(&message(DMA_READ, REPLY, &reply))
            .expect("room");
        assert_eq!(next(&mut theirs).0, REGION_WRITE);
        theirs
    });
    while function.fetched.is_empty() {
        port.service(Ns::ZERO, &mut function)
            .expect("a good client");
    }
    assert_eq!(function.fetched, [Ok([7; 8])]);
    assert_eq!(port.maps(), 2);
    client.join().expect("the client");
}
