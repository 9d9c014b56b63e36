//! Zstandard (RFC 8878).

use crate::job::{CHUNK, Job, Output, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use ruzstd::encoding::{CompressionLevel, FrameCompressor};
use std::cell::RefCell;
use std::io::{self, BufReader, Read, Write};

pub(crate) const COMPRESS: Builtin = Builtin {
    name: "zstd-compress",
    id: id(5),
    summary: "compresses bytes into a Zstandard frame, with a checksum of them",
    ranges: &["the bytes", "gets the frame"],
    required: 2,
    parameters: ["bytes in range 0", ""],
    options: None,
    result: "bytes of the frame",
    cost: rate(5, 2),
    run: compress,
};

pub(crate) const DECOMPRESS: Builtin = Builtin {
    name: "zstd-decompress",
    id: id(6),
    summary: "decompresses Zstandard frames, one or several in a row, and checks their checksums; \
              no dictionaries, and windows up to 8 MiB",
    ranges: &["the frames", "gets what they hold"],
    required: 2,
    parameters: ["bytes in range 0", ""],
    options: None,
    result: "bytes that the frames hold",
    cost: rate(5, 4),
    run: decompress,
};

/// What RFC 8878 recommends to support at least; a decoder keeps as many bytes.
const WINDOW: u64 = 8 << 20;

/// The compressor takes errors for impossible. After the first one, the input is at its end for it,
/// and nothing is written any more.
struct Infallible<'a, T> {
    inner: T,
    error: &'a RefCell<Option<io::Error>>,
}

impl<T: Read> Read for Infallible<'_, T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.error.borrow().is_some() {
            return Ok(0);
        }
        Ok(self.inner.read(buf).unwrap_or_else(|error| {
            self.error.replace(Some(error));
            0
        }))
    }
}

impl<T: Write> Write for Infallible<'_, T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.error.borrow().is_none() {
            self.error.replace(self.inner.write_all(buf).err());
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn compress(job: &Job<'_>) -> Result<u64, Fault> {
    let mut output = job.output(1)?;
    let error = RefCell::new(None);
    let mut compressor = FrameCompressor::new(CompressionLevel::Fastest);
    compressor.set_source(Infallible {
        inner: job.input()?.reader(),
        error: &error,
    });
    compressor.set_drain(Infallible {
        inner: &mut output,
        error: &error,
    });
    compressor.compress();
    drop(compressor);
    if output.full() {
        return Err(output.too_small());
    }
    match error.into_inner() {
        Some(error) => Err(failed(error.to_string())),
        None => Ok(output.written()),
    }
}

fn decompress(job: &Job<'_>) -> Result<u64, Fault> {
    let mut output = job.output(1)?;
    let result = unpack(job, &mut output);
    job.charge(output.written());
    result.map(|()| output.written())
}

fn unpack(job: &Job<'_>, output: &mut Output<'_>) -> Result<(), Fault> {
    let mut source = BufReader::with_capacity(CHUNK, job.input()?.reader());
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    let mut part = vec![0; CHUNK];
    let mut frame = 0;
    while !source.buffer().is_empty() || source.get_ref().left() > 0 {
        let before = output.written();
        let fault = |words: &dyn std::fmt::Display| failed(format!("frame {frame}: {words}"));
        match StreamingDecoder::new_with_decoder(&mut source, &mut decoder) {
            Ok(mut stream) => loop {
                let len = stream.read(&mut part).map_err(|error| fault(&error))?;
                if len == 0 {
                    break;
                }
                output.put(&part[..len])?;
            },
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let len = u64::from(length);
                let skipped = io::copy(&mut (&mut source).take(len), &mut io::sink());
                if !skipped.is_ok_and(|skipped| skipped == len) {
                    return Err(fault(&"the input ends within it"));
                }
                continue;
            }
            Err(error) => return Err(fault(&error)),
        }
        let written = output.written() - before;
        if ![0, written].contains(&decoder.content_size()) {
            return Err(fault(&"its size is not what its header says"));
        }
        let expected = decoder.get_checksum_from_data();
        if expected.is_some() && expected != decoder.get_calculated_checksum() {
            return Err(fault(&"its checksum is wrong"));
        }
        frame += 1;
    }
    Ok(())
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

    fn told(frame: &[u8], room: usize) -> String {
        let device = Device::new().with(frame).with(&vec![0; room]);
        reason(&device.run(&DECOMPRESS, [frame.len() as u64, 0], b""))
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for len in [0, 1, 15, 4096, 131_072, 131_073, 300_000] {
            for bytes in [log(len), pseudo_random(len), vec![7; len]] {
                assert_eq!(decompressed(&compressed(&bytes), len + 3), bytes);
            }
        }
        let text = log(300_000);
        assert!(compressed(&text).len() * 3 < text.len());
    }

    #[test]
    fn several_frames_in_a_row_are_one_stream_and_skippable_ones_are_left_out() {
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        let one = compressed(b"one, ");
        let frames = [one, skippable.clone(), compressed(b""), compressed(b"two")].concat();
        assert_eq!(decompressed(&frames, 100), b"one, two");
        assert_eq!(
            told(&skippable[..skippable.len() - 1], 100),
            "frame 0: the input ends within it"
        );
    }

    /// A frame that the `zstd` tool made (`printf 'hello hello hello hello\n' | zstd -19`).
    #[test]
    fn the_frame_of_another_implementation_is_understood() {
        let frame = [
            0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0x6d, 0x00, 0x00, 0x38, 0x68, 0x65, 0x6c, 0x6c,
            0x6f, 0x20, 0x0a, 0x01, 0x00, 0x99, 0x4b, 0x11, 0xa8, 0x7c, 0x2e, 0xa8,
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
        let text = log(300_000);
        let frame = compressed(&text);
        for room in [0, 3, frame.len() - 1] {
            let device = Device::new().with(&text).with(&vec![0; room]);
            let told = reason(&device.run(&COMPRESS, [300_000, 0], b""));
            assert!(told.contains("does not fit into range 1"), "{told}");
        }
        assert!(told(&frame, 299_999).contains("does not fit into range 1"));
    }

    #[test]
    fn a_window_larger_than_the_drive_keeps_is_refused() {
        // A frame header (RFC 8878, 3.1.1.1) with a window of 2^(10 + 14) bytes, then an empty block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 1, 0, 0];
        assert!(told(&frame, 10).contains("window"));
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 1, 0, 0];
        assert_eq!(decompressed(&frame, 10), b"");
    }

    #[test]
    fn a_frame_that_is_cut_or_changed_is_refused() {
        let text = log(2000);
        let frame = compressed(&text);
        for end in 1..frame.len() {
            told(&frame[..end], 4096);
        }
        for at in 0..frame.len() {
            for change in [0x01, 0x10, 0x80] {
                let mut changed = frame.clone();
                changed[at] ^= change;
                let device = Device::new().with(&changed).with(&[0; 4096]);
                let report = device.run(&DECOMPRESS, [frame.len() as u64, 0], b"");
                if report.result.is_ok() {
                    // The size of the window, say, matters to the decoder alone.
                    assert_eq!(device.bytes(1)[..text.len()], text, "byte {at}");
                }
            }
        }
        assert!(told(b"this is no frame", 100).starts_with("frame 0: "));
    }
}
