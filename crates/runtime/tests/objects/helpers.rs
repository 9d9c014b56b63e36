//! What the functions of the drive give to a program, and what they do to the drive.

use crate::cases::{Case, case};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Fault, Fuel, Program, ReadError, Report, Segment, Services, Window};
use ersatz_runtime::{BlockRead, abi};
use std::sync::{Arc, Mutex};

pub const CASES: &[Case] = &[case!("examples/programs/helpers.c", 1..=4, helpers)];

const BLOCK: u64 = 512;

/// A drive with one namespace, and what programs printed.
struct Drive {
    blocks: Vec<u8>,
    printed: Mutex<Vec<Vec<u8>>>,
}

impl Services for Drive {
    fn now(&self) -> Ns {
        Ns(123_456_789_012)
    }

    fn print(&self, text: &[u8]) {
        self.printed.lock().expect("printed").push(text.to_vec());
    }

    fn read_blocks(
        &self,
        nsid: u32,
        slba: u64,
        nlb: u64,
        to: &Mapping,
        offset: u64,
        room: u64,
    ) -> Result<u64, ReadError> {
        assert_eq!(nsid, 1);
        let bytes = nlb * BLOCK;
        let blocks = (slba * BLOCK) as usize..(slba * BLOCK + bytes) as usize;
        let found = self.blocks.get(blocks);
        let found = found.ok_or(ReadError::Blocks { nsid, slba, nlb })?;
        if bytes > room {
            return Err(ReadError::Room { bytes, room });
        }
        to.write(offset, found).expect("inside");
        Ok(bytes)
    }
}

/// Runs the program over a range of `room` bytes; what came of it, both ranges, and the prints.
fn run(
    program: &dyn Program,
    blocks: &[u8],
    room: u64,
    token: &[u8],
) -> (Report, Vec<u8>, [u64; 8], Vec<Vec<u8>>) {
    let drive = Drive {
        blocks: blocks.to_vec(),
        printed: Mutex::default(),
    };
    let memory = Arc::new(Mapping::anonymous("device", 64 << 10).expect("memory"));
    let segment = |offset, len| Segment {
        memory: Arc::clone(&memory),
        offset,
        len,
    };
    let window = Window::new(vec![segment(3, room), segment(50_001, 64)]);
    let args = Args {
        parameters: [blocks.len() as u64 / BLOCK, 0],
        data: token,
        services: &drive,
    };
    let report = program.run(&window, &args, Fuel(1 << 20));
    let mut text = vec![0; room as usize];
    memory.read(3, &mut text).expect("inside");
    let mut results = [0; 64];
    memory.read(50_001, &mut results).expect("inside");
    let mut words = results.as_chunks::<8>().0.iter();
    let words = [(); 8].map(|()| u64::from_le_bytes(*words.next().expect("eight")));
    (
        report,
        text,
        words,
        drive.printed.into_inner().expect("printed"),
    )
}

fn helpers(program: &dyn Program) {
    assert_eq!(abi::VERSION, 1);
    let mut blocks = vec![0; 20 * BLOCK as usize];
    blocks[..9].copy_from_slice(b"123456789");
    // Over the end of the pieces that the drive works on.
    let place = 8190;
    blocks[place..place + 5].copy_from_slice(b"token");
    // The one value of CRC-32C that every catalogue of checksums has.
    assert_eq!(crc32(b"123456789"), 0xe306_9283);
    let crc = crc32(&blocks);
    let (report, text, results, printed) = run(program, &blocks, 10_240, b"token");
    assert_eq!(report.result, Ok(place as u64));
    let read = BlockRead {
        nsid: 1,
        slba: 0,
        nlb: 20,
    };
    assert_eq!(report.reads, [read]);
    let less = -1i64 as u64;
    assert_eq!(
        results,
        [10_240, crc.into(), 123_456_789_012, less, 0, 0, 0, 0],
        "\"oken\" is less than \"token\""
    );
    assert_eq!(printed, [b"found it"]);
    assert_eq!(text[..9], *b"token6789");
    assert!(text[9..] == blocks[9..], "nothing else moved");

    // The token moves over itself.
    blocks[..9].copy_from_slice(b"-abababab");
    let (report, text, results, _) = run(program, &blocks, 10_240, b"ababababa");
    assert_eq!(report.result, Ok(u64::MAX));
    assert_eq!(
        (&text[..9], &results[3..]),
        (&b"-abababab"[..], &[0; 5][..])
    );
    let (report, text, results, _) = run(program, &blocks, 10_240, b"abababab");
    assert_eq!(report.result, Ok(1));
    assert_eq!(text[..9], *b"ababababb");
    assert_eq!(results[3..5], [1, 0], "\"b\" is more than \"a\"");

    // No place for the blocks: the program ends there, and nothing is booked.
    let (report, _, results, printed) = run(program, &blocks, 10_239, b"token");
    let error = ReadError::Room {
        bytes: 10_240,
        room: 10_239,
    };
    assert!(matches!(report.result, Err(Fault::Read { error: e, .. }) if e == error));
    assert_eq!((report.reads, results, printed), (vec![], [0; 8], vec![]));
}

/// CRC-32C bit by bit, as the polynomial says.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(!0, byte)
}
