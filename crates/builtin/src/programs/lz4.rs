//! LZ4 in its frame format, which the `lz4` tool reads and writes.

use crate::job::{CHUNK, Job, Output, Reader, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{BufReader, Read, Write};

pub(crate) const COMPRESS: Builtin = Builtin {
    name: "lz4-compress",
    id: id(3),
    summary: "compresses bytes into an LZ4 frame, with a checksum of them",
    ranges: &["the bytes", "gets the frame"],
    required: 2,
    parameters: ["bytes in range 0", ""],
    options: None,
    result: "bytes of the frame",
    cost: rate(5, 4),
    run: compress,
};

pub(crate) const DECOMPRESS: Builtin = Builtin {
    name: "lz4-decompress",
    id: id(4),
    summary: "decompresses LZ4 frames, one or several in a row, and checks their checksums",
    ranges: &["the frames", "gets what they hold"],
    required: 2,
    parameters: ["bytes in range 0", ""],
    options: None,
    result: "bytes that the frames hold",
    cost: rate(5, 8),
    run: decompress,
};

fn compress(job: &Job<'_>) -> Result<u64, Fault> {
    let mut output = job.output(1)?;
    let input = job.input()?;
    let frame = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Linked)
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(frame, &mut output);
    let all = input.chunks(1, |part| {
        let written = encoder.write_all(part);
        written.map_err(|error| failed(error.to_string()))
    });
    let end = all.and_then(|()| {
        let end = encoder.try_finish();
        end.map_err(|error| failed(error.to_string()))
    });
    if output.full() {
        return Err(output.too_small());
    }
    end?;
    Ok(output.written())
}

fn decompress(job: &Job<'_>) -> Result<u64, Fault> {
    let mut output = job.output(1)?;
    let result = unpack(job, &mut output);
    job.charge(output.written());
    result.map(|()| output.written())
}

fn unpack(job: &Job<'_>, output: &mut Output<'_>) -> Result<(), Fault> {
    let input = job.input()?.reader();
    let mut decoder = FrameDecoder::new(BufReader::with_capacity(CHUNK, input));
    let mut part = vec![0; CHUNK];
    let mut frame = 0;
    while more(decoder.get_ref()) {
        loop {
            let len = decoder.read(&mut part);
            let len = len.map_err(|error| failed(format!("frame {frame}: {error}")))?;
            if len == 0 {
                break;
            }
            output.put(&part[..len])?;
        }
        // The decoder takes the end of its input for the end of the frame.
        if decoder.get_ref().get_ref().starved() {
            return Err(failed(format!("frame {frame}: the input ends within it")));
        }
        frame += 1;
    }
    Ok(())
}

fn more(source: &BufReader<Reader<'_>>) -> bool {
    !source.buffer().is_empty() || source.get_ref().left() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, log, pseudo_random, reason};

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let room = vec![0; bytes.len() + 1000];
        let device = Device::new().with(bytes).with(&room);
        let len = device.result(&COMPRESS, [bytes.len() as u64, 0]);
        device.bytes(1)[..len as usize].to_vec()
    }

    fn decompressed(frame: &[u8], room: usize) -> Vec<u8> {
        let device = Device::new().with(frame).with(&vec![0xee; room]);
        let len = device.result(&DECOMPRESS, [frame.len() as u64, 0]) as usize;
        let bytes = device.bytes(1);
        assert!(bytes[len..].iter().all(|byte| *byte == 0xee));
        bytes[..len].to_vec()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for len in [0, 1, 15, 4096, 65_536, 65_537, 300_000] {
            for bytes in [log(len), pseudo_random(len), vec![7; len]] {
                assert_eq!(decompressed(&compressed(&bytes), len + 3), bytes);
            }
        }
        let text = log(300_000);
        assert!(compressed(&text).len() * 2 < text.len());
    }

    #[test]
    fn several_frames_in_a_row_are_one_stream() {
        let frames = [compressed(b"one, "), compressed(b""), compressed(b"two")].concat();
        assert_eq!(decompressed(&frames, 100), b"one, two");
    }

    /// A frame that the `lz4` tool made (`printf 'hello hello hello hello\n' | lz4`).
    #[test]
    fn the_frame_of_another_implementation_is_understood() {
        let frame = [
            0x04, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7, 0x0f, 0x00, 0x00, 0x00, 0x69, 0x68, 0x65,
            0x6c, 0x6c, 0x6f, 0x20, 0x06, 0x00, 0x50, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x00, 0x00,
            0x00, 0x00, 0xe2, 0xff, 0x03, 0x42,
        ];
        assert_eq!(decompressed(&frame, 24), b"hello hello hello hello\n");
    }

    #[test]
    fn the_time_follows_the_uncompressed_bytes() {
        let text = log(100_000);
        let frame = compressed(&text);
        let device = Device::new().with(&text).with(&text);
        assert_eq!(device.run(&COMPRESS, [100_000, 0], b"").bytes, 100_000);
        let device = Device::new().with(&frame).with(&text);
        let report = device.run(&DECOMPRESS, [frame.len() as u64, 0], b"");
        assert_eq!(report.bytes, 100_000);
    }

    #[test]
    fn a_result_that_does_not_fit_is_told() {
        let text = log(100_000);
        let frame = compressed(&text);
        for room in [0, 3, frame.len() - 1] {
            let device = Device::new().with(&text).with(&vec![0; room]);
            let told = reason(&device.run(&COMPRESS, [100_000, 0], b""));
            assert!(told.contains("does not fit into range 1"), "{told}");
        }
        let device = Device::new().with(&frame).with(&[0; 99_999]);
        let told = reason(&device.run(&DECOMPRESS, [frame.len() as u64, 0], b""));
        assert!(told.contains("does not fit into range 1"), "{told}");
    }

    #[test]
    fn a_frame_that_is_cut_or_changed_is_refused() {
        let text = log(2000);
        let frame = compressed(&text);
        let run = |frame: &[u8]| {
            let device = Device::new().with(frame).with(&[0; 4096]);
            device.run(&DECOMPRESS, [frame.len() as u64, 0], b"")
        };
        for end in 1..frame.len() {
            reason(&run(&frame[..end]));
        }
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 0x10;
            assert!(run(&changed).result.is_err(), "byte {at}");
        }
        assert!(reason(&run(b"this is no frame")).starts_with("frame 0: "));
    }
}
