//! Data: to device memory, from it, and inside of the drive.

use super::hexdump;
use super::place::{Place, Range};
use super::{nvm, said};
use crate::output::{self, Answer};
use crate::quantity::{bytes, number, number32};
use anyhow::{Context, Result, bail, ensure};
use clap::ArgGroup;
use ersatz_host::Csd;
use ersatz_host::csd::{LbaRange, MemoryAt, MemoryNamespace};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Copy to device memory, inside of the drive: blocks of flash, a file's blocks, or memory.
#[derive(clap::Args)]
#[command(
    group = ArgGroup::new("from").required(true).args(["from_lba", "file", "from_memory"]),
    after_help = "\
Examples:
  ersatz csd copy --from-lba 0 --blocks 64K --to 0
  ersatz csd copy --file /mnt/data.bin --to 16MiB
  ersatz csd copy --from-memory 0:1MiB --to 32MiB

A file has to lie on a file system of the drive itself, mounted here. Its last block is copied whole."
)]
pub struct Copy {
    /// First logical block to copy.
    #[arg(long, value_name = "SLBA", value_parser = number, requires = "blocks")]
    from_lba: Option<u64>,
    /// How many logical blocks.
    #[arg(long, value_name = "N", value_parser = number, requires = "from_lba")]
    blocks: Option<u64>,
    /// Flash namespace; need not be given if there is only one.
    #[arg(long, value_name = "NSID", value_parser = number32, requires = "from_lba")]
    nvm: Option<u32>,
    /// File to copy.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Range of device memory to copy.
    #[arg(long, value_name = "[NSID:]ADDR:LEN")]
    from_memory: Option<Range>,
    /// Byte of device memory to copy to.
    #[arg(long, value_name = "ADDR", value_parser = number)]
    to: u64,
    /// Memory namespace to copy to; need not be given if there is only one.
    #[arg(long, value_name = "NSID", value_parser = number32)]
    memory: Option<u32>,
}

pub fn copy(csd: &mut Csd, args: &Copy) -> Result<Answer> {
    let to = MemoryAt {
        nsid: super::memory(csd, args.memory)?,
        byte: args.to,
    };
    let mut json = json!({ "memory": to.nsid, "to": to.byte });
    let copied = if let Some(path) = &args.file {
        let copy = csd.copy_file(to, path)?;
        json["file_bytes"] = copy.bytes.into();
        copy.written
    } else if let Some(range) = &args.from_memory {
        csd.copy_memory(to, range.at(csd)?, range.len())?;
        range.len()
    } else {
        let (slba, blocks) = (args.from_lba.unwrap_or(0), args.blocks.unwrap_or(0));
        csd.copy_blocks(
            to,
            &[LbaRange {
                nsid: nvm(csd, args.nvm)?,
                slba,
                blocks,
            }],
        )?
    };
    json["bytes"] = copied.into();
    said(format!("Copied {} to {to}.", bytes(copied)), json)
}

/// Write a file or standard input to device memory.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  ersatz csd write 0 input.bin\n  \
                        printf ERROR | ersatz csd write 4KiB\n\n\
                        Bytes that share a unit of the memory with what is written keep their value.")]
pub struct Write {
    #[command(flatten)]
    to: Place,
    /// File to write; - for standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
}

pub fn write(csd: &mut Csd, args: &Write) -> Result<Answer> {
    let to = args.to.resolve(csd)?;
    let ns = namespace(csd, to)?;
    let room = ns.size.saturating_sub(to.byte);
    let data = read_input(&args.file, room)?;
    write_bytes(csd, ns.granularity, to, &data)?;
    let json = json!({ "memory": to.nsid, "to": to.byte, "bytes": data.len() });
    said(format!("Wrote {} to {to}.", bytes(data.len() as u64)), json)
}

/// All of a file, which may not be more than `room` bytes: an endless one is not read to its end.
fn read_input(path: &Path, room: u64) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let limit = room.saturating_add(1);
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut data)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut data))
    };
    read.with_context(|| format!("read {}", path.display()))?;
    ensure!(
        data.len() as u64 <= room,
        "{} has more bytes than the {room} of device memory from there on",
        path.display()
    );
    Ok(data)
}

/// Writes bytes that need not be whole units of `unit` bytes: what else is in the first and the
/// last unit is read and written back.
fn write_bytes(csd: &mut Csd, unit: u64, to: MemoryAt, data: &[u8]) -> Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let (start, span) = units(unit, to.byte, data.len() as u64);
    let head = (to.byte - start) as usize;
    if head == 0 && span == data.len() as u64 {
        return Ok(csd.write_memory(to, data)?);
    }
    let mut buf = vec![0; span as usize];
    let last = buf.len() - unit as usize;
    csd.read_memory(MemoryAt { byte: start, ..to }, &mut buf[..unit as usize])?;
    csd.read_memory(
        MemoryAt {
            byte: start + last as u64,
            ..to
        },
        &mut buf[last..],
    )?;
    buf[head..head + data.len()].copy_from_slice(data);
    Ok(csd.write_memory(MemoryAt { byte: start, ..to }, &buf)?)
}

/// First byte and length of the whole units that `len` bytes from `byte` on lie in.
fn units(unit: u64, byte: u64, len: u64) -> (u64, u64) {
    let start = byte - byte % unit;
    (start, (byte - start + len).next_multiple_of(unit))
}

fn namespace(csd: &Csd, at: MemoryAt) -> Result<MemoryNamespace> {
    let found = csd.memory().iter().find(|ns| ns.nsid == at.nsid);
    match found {
        Some(ns) => Ok(*ns),
        None => bail!("namespace {} is no memory namespace of the drive", at.nsid),
    }
}

/// Read device memory: as a hex dump, or raw.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ersatz csd read 0 256\n  ersatz csd read 0 1MiB -o out.bin\n  \
                        ersatz csd read 16MiB 4KiB --raw | sha256sum"
)]
pub struct Read {
    #[command(flatten)]
    from: Place,
    /// Bytes to read.
    #[arg(value_name = "LEN", value_parser = number)]
    len: u64,
    /// Write the bytes as they are to a file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the bytes as they are to standard output.
    #[arg(long, conflicts_with = "output")]
    raw: bool,
}

/// Bytes that are read at once.
const CHUNK: u64 = 8 << 20;

pub fn read(csd: &mut Csd, args: &Read, json: bool) -> Result<()> {
    let from = args.from.resolve(csd)?;
    let ns = namespace(csd, from)?;
    let room = ns.size.saturating_sub(from.byte);
    ensure!(
        args.len <= room,
        "{} bytes of {from} reach beyond its {} bytes",
        args.len,
        ns.size
    );
    if let Some(path) = &args.output {
        let mut file = File::create(path).with_context(|| format!("write {}", path.display()))?;
        each_chunk(csd, ns.granularity, from, args.len, |_, bytes| {
            file.write_all(bytes)
                .with_context(|| format!("write {}", path.display()))
        })?;
        let text = format!("Wrote {} to {}.", bytes(args.len), path.display());
        let json_form = json!({ "memory": from.nsid, "from": from.byte, "bytes": args.len });
        return Answer::new(text, json_form).print(json);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.raw {
        each_chunk(csd, ns.granularity, from, args.len, |_, bytes| {
            Ok(out.write_all(bytes)?)
        })?;
    } else if json {
        let mut digits = String::new();
        each_chunk(csd, ns.granularity, from, args.len, |_, bytes| {
            digits.push_str(&hexdump::digits(bytes));
            Ok(())
        })?;
        let answer = json!({ "memory": from.nsid, "from": from.byte, "hex": digits });
        drop(out);
        return output::line(answer);
    } else {
        each_chunk(csd, ns.granularity, from, args.len, |at, bytes| {
            Ok(hexdump::write(&mut out, at, bytes)?)
        })?;
    }
    Ok(out.flush()?)
}

/// Calls `take` with the bytes of one part after the other, and where they start.
fn each_chunk(
    csd: &mut Csd,
    unit: u64,
    from: MemoryAt,
    len: u64,
    mut take: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut buf = Vec::new();
    let mut done = 0;
    while done < len {
        let byte = from.byte + done;
        let part = CHUNK.min(len - done);
        let (start, span) = units(unit, byte, part);
        buf.resize(span as usize, 0);
        csd.read_memory(
            MemoryAt {
                byte: start,
                ..from
            },
            &mut buf,
        )?;
        let head = (byte - start) as usize;
        take(byte, &buf[head..head + part as usize])?;
        done += part;
    }
    Ok(())
}

/// Set device memory to zero.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ersatz csd fill 0 64MiB")]
pub struct Fill {
    #[command(flatten)]
    at: Place,
    /// Bytes to set.
    #[arg(value_name = "LEN", value_parser = number)]
    len: u64,
}

pub fn fill(csd: &mut Csd, args: &Fill) -> Result<Answer> {
    let at = args.at.resolve(csd)?;
    csd.fill_memory(at, args.len)?;
    let json = json!({ "memory": at.nsid, "to": at.byte, "bytes": args.len });
    said(format!("Set {} of {at} to zero.", bytes(args.len)), json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_in_whole_units() {
        assert_eq!(units(4, 0, 4), (0, 4));
        assert_eq!(units(4, 3, 1), (0, 4));
        assert_eq!(units(4, 3, 2), (0, 8));
        assert_eq!(units(4, 6, 1), (4, 4));
    }
}
