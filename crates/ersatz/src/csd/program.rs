//! Programs: loading, activating, executing, and the sets of ranges that they work on.

use super::list::TYPE_NAMES;
use super::place::{Range, resolve};
use super::{compute, said};
use crate::output::Answer;
use crate::quantity::{bytes, number, number16, number32};
use anyhow::{Context, Result};
use ersatz_drive_file::unit::Unit;
use ersatz_engine::{Clock as _, RealClock};
use ersatz_host::Csd;
use ersatz_host::csd::{Job, Ranges};
use nvme_spec::cp::ProgramType;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Load a program into a slot.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ersatz csd load examples/programs/count_lines.o
  ersatz csd load filter.o --slot 3 --puid 0xBEEF
  echo checksum > name && ersatz csd load name --type native

An object is what `clang -target bpf -O2 -c` makes; examples/programs/ersatz.h says what a program
is given. Why a drive refuses one is in the drive's own log.")]
pub struct Load {
    /// The program's object file.
    object: PathBuf,
    /// Slot; else the first that is empty.
    #[arg(long, value_name = "N", value_parser = number16)]
    slot: Option<u16>,
    /// Type of the program: ebpf, native (the file has the name of one that the drive offers),
    /// phantom or bitstream (any file), or the number of another type.
    #[arg(long = "type", value_name = "TYPE", default_value = "ebpf", value_parser = program_type)]
    ptype: ProgramType,
    /// Program Unique Identifier that the slot is to show.
    #[arg(long, value_name = "X", value_parser = number)]
    puid: Option<u64>,
    #[command(flatten)]
    on: On,
}

/// Which compute namespace.
#[derive(clap::Args)]
struct On {
    /// Compute namespace; need not be given if there is only one.
    #[arg(long, value_name = "NSID", value_parser = number32)]
    compute: Option<u32>,
}

fn program_type(text: &str) -> Result<ProgramType, String> {
    if let Some((_, ptype)) = TYPE_NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(*ptype);
    }
    let known = || {
        let names = TYPE_NAMES.map(|(name, _)| name).join(", ");
        format!("{text:?} is neither of {names} nor the number of a type, 0 to 255")
    };
    let value = number(text).map_err(|_| known())?;
    u8::try_from(value).map(ProgramType).map_err(|_| known())
}

pub fn load(csd: &mut Csd, args: &Load) -> Result<Answer> {
    let path = args.object.display();
    let image = std::fs::read(&args.object).with_context(|| format!("read {path}"))?;
    let nsid = compute(csd, args.on.compute)?;
    let slot = match args.slot {
        Some(slot) => slot,
        None => csd.free_slot(nsid)?,
    };
    csd.load(nsid, slot, args.ptype, args.puid, &image)
        .with_context(|| path.to_string())?;
    let size = bytes(image.len() as u64);
    let json = json!({ "compute": nsid, "slot": slot, "bytes": image.len() });
    said(format!("Loaded {path} ({size}) into slot {slot}."), json)
}

/// A slot of a compute namespace.
#[derive(clap::Args)]
pub struct Slot {
    /// Program slot.
    #[arg(value_name = "SLOT", value_parser = number16)]
    slot: u16,
    #[command(flatten)]
    on: On,
}

pub fn activate(csd: &mut Csd, args: &Slot) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    csd.activate(nsid, args.slot)?;
    done("Activated", nsid, args.slot)
}

pub fn deactivate(csd: &mut Csd, args: &Slot) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    csd.deactivate(nsid, args.slot)?;
    done("Deactivated", nsid, args.slot)
}

pub fn unload(csd: &mut Csd, args: &Slot) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    csd.unload(nsid, args.slot)?;
    done("Unloaded", nsid, args.slot)
}

fn done(verb: &str, nsid: u32, slot: u16) -> Result<Answer> {
    said(
        format!("{verb} slot {slot}."),
        json!({ "compute": nsid, "slot": slot }),
    )
}

/// Execute an active program and print its result.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ersatz csd exec 0 --range 0:64MiB --param 67108864 --data ERROR
  ersatz csd exec 0 --range 2:0:1MiB --range 2:1MiB:1MiB --param 1000
  ersatz csd exec 0 --set 1 --json
  ersatz csd exec 3 --group 2 --runtime 5ms

Data can't be sent through Linux's passthrough; put them into device memory there.")]
pub struct Exec {
    /// Program slot.
    #[arg(value_name = "SLOT", value_parser = number16)]
    slot: u16,
    /// Range of device memory for the program; repeat for more, in order.
    #[arg(long = "range", value_name = "[NSID:]ADDR:LEN", conflicts_with = "set")]
    ranges: Vec<Range>,
    /// Memory range set for the program.
    #[arg(long, value_name = "RSID", value_parser = number16)]
    set: Option<u16>,
    /// Parameter of the program; repeat for the second.
    #[arg(long = "param", value_name = "N", value_parser = number)]
    params: Vec<u64>,
    /// Data for the program: text, or @ and the path of a file.
    #[arg(long, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// Job group; else the one for all that have none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    group: u8,
    /// What the job takes, such as 5ms, for a program whose cost is given by the command.
    #[arg(long, value_name = "TIME", value_parser = runtime)]
    runtime: Option<u32>,
    /// Seconds to wait for the program's end.
    #[arg(long, value_name = "S", default_value_t = 600)]
    timeout: u64,
    #[command(flatten)]
    on: On,
}

fn runtime(text: &str) -> Result<u32, String> {
    let ns = Unit::Nanoseconds.parse(text)?;
    match u32::try_from(ns) {
        Ok(0) => Err("a job takes some time".into()),
        Ok(ns) => Ok(ns),
        Err(_) => Err("a command can't give more than 4.29 s".into()),
    }
}

pub fn exec(csd: &mut Csd, args: &Exec) -> Result<Answer> {
    let params = match args.params[..] {
        [] => [0, 0],
        [first] => [first, 0],
        [first, second] => [first, second],
        _ => {
            let why = format!(
                "a program has 2 parameters, {} were given",
                args.params.len()
            );
            return Err(crate::failure::Usage(why).into());
        }
    };
    let data = match args
        .data
        .as_deref()
        .map(|data| (data, data.strip_prefix('@')))
    {
        None => Vec::new(),
        Some((_, Some(path))) => std::fs::read(path).with_context(|| format!("read {path}"))?,
        Some((text, None)) => text.as_bytes().to_vec(),
    };
    let nsid = compute(csd, args.on.compute)?;
    let inline = resolve(csd, &args.ranges)?;
    let ranges = match args.set {
        Some(rsid) => Ranges::Set(rsid),
        None => Ranges::Inline(&inline),
    };
    csd.set_execute_timeout(Duration::from_secs(args.timeout));
    let job = Job {
        pind: args.slot,
        ranges,
        params,
        data: &data,
        group: args.group,
        runtime: args.runtime.unwrap_or(0),
    };
    let clock = RealClock::new();
    let result = csd.execute(nsid, &job)?;
    let took = clock.now();
    let json = json!({
        "compute": nsid,
        "slot": args.slot,
        "result": result,
        "took_ns": took.0,
    });
    said(format!("{result} ({result:#x})"), json)
}

/// Create a memory range set, and print its identifier.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ersatz csd set-create --range 0:64MiB --range 64MiB:2KiB")]
pub struct SetCreate {
    /// Range of device memory; repeat for more, in order.
    #[arg(long = "range", value_name = "[NSID:]ADDR:LEN", required = true)]
    ranges: Vec<Range>,
    #[command(flatten)]
    on: On,
}

pub fn create_set(csd: &mut Csd, args: &SetCreate) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    let ranges = resolve(csd, &args.ranges)?;
    let rsid = csd.create_range_set(nsid, &ranges)?;
    let json = json!({ "compute": nsid, "set": rsid, "ranges": ranges.len() });
    said(format!("Created memory range set {rsid}."), json)
}

/// Delete a memory range set.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ersatz csd set-delete 1")]
pub struct SetDelete {
    /// Memory range set.
    #[arg(value_name = "RSID", value_parser = number16)]
    set: u16,
    #[command(flatten)]
    on: On,
}

pub fn delete_set(csd: &mut Csd, args: &SetDelete) -> Result<Answer> {
    let nsid = compute(csd, args.on.compute)?;
    csd.delete_range_set(nsid, args.set)?;
    let json = json!({ "compute": nsid, "set": args.set });
    said(format!("Deleted memory range set {}.", args.set), json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_or_numbers() {
        assert_eq!(program_type("ebpf"), Ok(ProgramType::EBPF));
        assert_eq!(program_type("0xC2"), Ok(ProgramType(0xC2)));
        assert_eq!(program_type("phantom"), Ok(ProgramType::PHANTOM));
        assert!(program_type("elf").is_err());
        assert!(program_type("256").is_err());
    }
}
