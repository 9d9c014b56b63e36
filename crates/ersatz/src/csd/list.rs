//! What there is: drives, namespaces, programs, range sets.

use super::{compute, has_compute};
use crate::output::{Answer, table};
use crate::quantity::{bytes, number32};
use anyhow::Result;
use comfy_table::Table;
use ersatz_host::Csd;
use ersatz_host::csd::About;
use nvme_spec::cp::ProgramType;
use serde_json::{Value, json};

/// Which compute namespace.
#[derive(clap::Args)]
pub struct Of {
    /// Compute namespace; need not be given if there is only one.
    #[arg(long, value_name = "NSID", value_parser = number32)]
    pub compute: Option<u32>,
}

/// The drives of this machine's Linux that have device memory or programs.
pub fn machine() -> Result<Answer> {
    let mut table = headings();
    let (mut drives, mut notes) = (Vec::new(), Vec::new());
    for found in Csd::list() {
        match found.csd {
            Ok(mut csd) if has_compute(&csd) => {
                drives.push(describe(&found.address, &mut csd, &mut table)?);
            }
            Ok(_) => {}
            Err(error) => {
                notes.push(format!("{}: {error}", found.address));
                drives.push(json!({ "device": found.address, "error": error.to_string() }));
            }
        }
    }
    let mut text = match table.row_count() {
        0 => "No computational storage drive was found.".to_owned(),
        _ => table.to_string(),
    };
    for note in notes {
        text = format!("{text}\n{note}");
    }
    Ok(Answer::new(text, json!({ "drives": drives })))
}

/// One drive.
pub fn drive(address: &str, csd: &mut Csd) -> Result<Answer> {
    let mut table = headings();
    let drive = describe(address, csd, &mut table)?;
    Ok(Answer::new(table, json!({ "drives": [drive] })))
}

fn headings() -> Table {
    table(&["drive", "serial", ">nsid", "kind", ">size", "details"])
}

/// Adds a row for each namespace, by NSID, and returns the same as JSON.
fn describe(address: &str, csd: &mut Csd, table: &mut Table) -> Result<Value> {
    let mut namespaces = Vec::new();
    for ns in csd.nvm() {
        let details = format!("{} blocks of {}", ns.blocks, bytes(ns.block));
        let json = json!({
            "kind": "nvm", "bytes": ns.size(), "blocks": ns.blocks, "block_bytes": ns.block,
        });
        namespaces.push((ns.nsid, ns.about, "flash", bytes(ns.size()), details, json));
    }
    for ns in csd.memory() {
        let details = format!("in units of {}", bytes(ns.granularity));
        let json = json!({ "kind": "memory", "bytes": ns.size, "granularity": ns.granularity });
        namespaces.push((ns.nsid, ns.about, "memory", bytes(ns.size), details, json));
    }
    for ns in csd.compute().to_vec() {
        let slots = csd.slots(ns.nsid)?.len();
        let programs = csd.programs(ns.nsid)?;
        let active = programs.iter().filter(|program| program.active).count();
        let types = csd.program_types(ns.nsid)?;
        let names: Vec<_> = types.iter().map(|&ptype| type_name(ptype)).collect();
        let details = format!(
            "{} of {slots} slots used, {active} active, {} ranges per job, types: {}",
            programs.len(),
            ns.max_ranges,
            names.join(", ")
        );
        let json = json!({
            "kind": "compute",
            "slots": slots,
            "programs": programs.len(),
            "active": active,
            "max_active": ns.max_active,
            "max_range_sets": ns.max_range_sets,
            "max_ranges": ns.max_ranges,
            "max_program_bytes": ns.max_program_bytes,
            "types": names,
        });
        namespaces.push((ns.nsid, ns.about, "compute", String::new(), details, json));
    }
    namespaces.sort_by_key(|(nsid, ..)| *nsid);
    let mut list = Vec::new();
    for (i, (nsid, about, kind, size, details, mut json)) in namespaces.into_iter().enumerate() {
        let (name, serial) = if i == 0 {
            (address, csd.serial())
        } else {
            ("", "")
        };
        table.add_row([name, serial, &nsid.to_string(), kind, &size, &details]);
        json["nsid"] = nsid.into();
        json["uuid"] = uuid(&about).into();
        list.push(json);
    }
    Ok(json!({
        "device": address,
        "serial": csd.serial(),
        "model": csd.model(),
        "firmware": csd.firmware(),
        "namespaces": list,
    }))
}

fn uuid(about: &About) -> Option<String> {
    let digits = super::hexdump::digits(&about.uuid?);
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    Some(parts.join("-"))
}

/// The types of programs that have names.
pub const TYPE_NAMES: [(&str, ProgramType); 4] = [
    ("ebpf", ProgramType::EBPF),
    ("native", ProgramType::NATIVE),
    ("phantom", ProgramType::PHANTOM),
    ("bitstream", ProgramType::BITSTREAM),
];

/// Its name, or the number of a type without one.
pub fn type_name(ptype: ProgramType) -> String {
    let known = TYPE_NAMES.iter().find(|(_, known)| *known == ptype);
    match (known, ptype) {
        (Some((name, _)), _) => (*name).into(),
        (None, ProgramType::DeviceDefined) => "device".into(),
        (None, ProgramType(number)) => format!("{number:#04x}"),
    }
}

/// What a built-in program of this identifier is called.
fn builtin_name(id: u64) -> Option<&'static str> {
    let mut builtins = ersatz_builtin::all().iter();
    let builtin = builtins.find(|builtin| builtin.id == id)?;
    Some(builtin.name)
}

/// What is in the slots of a compute namespace.
pub fn programs(csd: &mut Csd, of: &Of) -> Result<Answer> {
    let nsid = compute(csd, of.compute)?;
    let (slots, programs) = (csd.slots(nsid)?.len(), csd.programs(nsid)?);
    let mut table = table(&[">slot", "type", "name", "identifier", "state"]);
    let mut list = Vec::new();
    for program in &programs {
        let ptype = type_name(program.ptype);
        let state = match (program.built_in, program.active) {
            (true, true) => "built in, active",
            (true, false) => "built in",
            (false, true) => "active",
            (false, false) => "loaded",
        };
        let puid = program.puid.map(|puid| format!("{puid:#x}"));
        let puid = puid.as_deref().unwrap_or("none");
        // Whoever loads a program can give it any identifier.
        let builtin = program.puid.filter(|_| program.built_in);
        let name = builtin.and_then(builtin_name);
        let pind = program.pind.to_string();
        table.add_row([&pind, &ptype, name.unwrap_or_default(), puid, state]);
        list.push(json!({
            "slot": program.pind,
            "type": ptype,
            "name": name,
            "puid": program.puid,
            "built_in": program.built_in,
            "active": program.active,
        }));
    }
    let text = match programs.len() {
        0 => format!("None of the {slots} program slots of namespace {nsid} is used."),
        used => format!("{table}\n{used} of {slots} slots of namespace {nsid} are used."),
    };
    Ok(Answer::new(
        text,
        json!({ "compute": nsid, "slots": slots, "programs": list }),
    ))
}

/// The memory range sets of a compute namespace.
pub fn sets(csd: &mut Csd, of: &Of) -> Result<Answer> {
    let nsid = compute(csd, of.compute)?;
    let sets = csd.range_sets(nsid)?;
    let mut table = table(&[">set", ">ranges"]);
    let mut list = Vec::new();
    for set in &sets {
        table.add_row([set.rsid.to_string(), set.ranges.to_string()]);
        list.push(json!({ "set": set.rsid, "ranges": set.ranges }));
    }
    let text = match sets.is_empty() {
        true => format!("Namespace {nsid} has no memory range sets."),
        false => table.to_string(),
    };
    Ok(Answer::new(text, json!({ "compute": nsid, "sets": list })))
}
