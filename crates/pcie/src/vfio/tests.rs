//! A port and a client that does what no good client does.

use super::*;
use std::io::Write;
use std::os::unix::net::UnixStream;

/// A function that counts what is written to it.
struct Counter {
    writes: usize,
    doorbells: Arc<Mapping>,
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

    fn write(&mut self, _: Ns, _: Region, _: u64, _: &[u8], _: &mut dyn Host) {
        self.writes += 1;
    }

    fn reset(&mut self, _: Ns, _: Reset) {}

    fn line(&self) -> bool {
        false
    }
}

fn message(command: u16, flags: u32, payload: &[u8]) -> Vec<u8> {
    let mut message = [0u16.to_ne_bytes(), command.to_ne_bytes()].concat();
    for word in [16 + payload.len() as u32, flags, 0] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(payload);
    message
}

#[test]
fn a_client_that_never_stops_asking_does_not_keep_the_thread() {
    const VERSION: u16 = 1;
    const REGION_WRITE: u16 = 10;
    const NO_REPLY: u32 = 1 << 4;
    let (ours, mut theirs) = UnixStream::pair().expect("sockets");
    let doorbells = Mapping::anonymous("doorbells", 4096).expect("memory");
    let mut function = Counter {
        writes: 0,
        doorbells: Arc::new(doorbells),
    };
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
