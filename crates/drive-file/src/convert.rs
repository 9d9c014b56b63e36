//! A FEMU command line as a drive file.

use crate::{
    Compute, DEFAULT_ADMIN_LATENCY, DEFAULT_AGEING, DEFAULT_BUDGET, DEFAULT_CONTEXT_SWITCH,
    DEFAULT_DOORBELLS, DEFAULT_MAX_ACTIVATED, DEFAULT_MAX_PROGRAM, DEFAULT_MAX_PROGRAMS_TOTAL,
    DEFAULT_MEMORY_BANDWIDTH, DEFAULT_MEMORY_LATENCY, DEFAULT_MEMORY_RANGE_SETS, DEFAULT_MODEL,
    DEFAULT_RANGES_PER_SET, DEFAULT_SCHEDULER, DEFAULT_SLOTS, DEFAULT_THREADS, DEFAULT_TIME_SLICE,
    Drive, DriveFile, Limits, Link, Media, MediaModel, Memory, Namespace, NamespaceKind, Nvm,
    Refused, Store, UnitClass,
};
use ersatz_compute::{CostModel, Picoseconds};
use ersatz_engine::Ns;
use ersatz_ftl::femu::{Mode, Properties, PropertyError, Use};

/// Largest transfer of a drive file.
const MOST_TRANSFER: u64 = 32 << 20;
const DEFAULT_SERIAL: &str = "FEMU";
/// Price of an instruction: 2.5 GHz and one instruction per cycle, as in `examples/drives/csd.toml`.
const INSTRUCTION: Picoseconds = Picoseconds(400);

/// Properties that must have their defaults, and what a drive file has instead.
const FIXED: [(&str, &str); 15] = [
    (
        "namespaces",
        "FEMU gives each namespace a flash of its own; a drive file has one",
    ),
    ("stride", "doorbells are 4 bytes apart"),
    ("cmbsz", "there is no controller memory buffer"),
    ("cmbloc", "there is no controller memory buffer"),
    ("cqr", "queues are contiguous"),
    ("intc", "interrupts are not coalesced"),
    ("intc_thresh", "interrupts are not coalesced"),
    ("intc_time", "interrupts are not coalesced"),
    ("temperature", "the drive says its own"),
    ("mpsmin", "the drive says its own"),
    ("vid", "the drive has its own IDs"),
    ("did", "the drive has its own IDs"),
    ("oacs", "the drive says what it can do"),
    ("fw_cpu_ns", "the firmware takes no time for I/O commands"),
    (
        "csf_runtime_scale",
        "programs take the time of their instructions, not of this machine",
    ),
];
/// Texts that must not be given.
const NO_TEXT: [(&str, &str); 3] = [
    ("namespace_sizes", "give devsz_mb for the one namespace"),
    ("namespace_modes", "give femu_mode for the one namespace"),
    ("csd_program_dir", "programs are loaded by the host"),
];
/// Controller properties that a host can see and that change no time: the drive has its own.
const OWN: [&str; 7] = ["aerl", "acl", "elpe", "vwc", "mpsmax", "oncs", "sgl"];
/// Properties that FEMU itself keeps for CEMU's sake only.
const CEMU_ONLY: [&str; 3] = ["nr_thread", "time_slice", "context_switch_time"];

/// Why FEMU's properties can't be taken over.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConvertError {
    /// A property by itself.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// A property that a drive file has no words for.
    #[error("{name}={value}: {reason}")]
    Inexpressible {
        /// The property.
        name: &'static str,
        /// Its value.
        value: String,
        /// What there is instead.
        reason: String,
    },
    /// A value beyond what a drive file allows.
    #[error("a drive file does not allow what the properties ask for:\n{0}")]
    Refused(#[from] Refused),
}

/// A drive like FEMU's.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The drive.
    pub file: DriveFile,
    /// What whoever compares it with FEMU should know: a sentence each.
    pub notes: Vec<String>,
}

impl Converted {
    /// The drive file, with the notes as its first lines.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let notes = self.notes.iter().flat_map(|note| ["# ", note, "\n"]);
        let notes: String = notes.collect();
        format!(
            "{notes}{}{}",
            if notes.is_empty() { "" } else { "\n" },
            self.file.to_toml()
        )
    }
}

/// The drive that FEMU would make of `properties`.
///
/// # Errors
/// The first property that can't be expressed.
pub fn from_femu(properties: &Properties) -> Result<Converted, ConvertError> {
    properties.check()?;
    let mode = properties.mode()?;
    refuse_inexpressible(properties)?;
    let mut flash = properties.flash()?;
    let mut notes = notes(properties);
    flash.block_bytes = properties.block_bytes()?;
    let page = u64::from(flash.sectors).saturating_mul(flash.block_bytes.into());
    let capacity = flash.logical_pages().saturating_mul(page);
    let given = properties.namespace_bytes()?;
    let block = u64::from(flash.block_bytes).max(1);
    let size = given.unwrap_or(capacity) / block * block;
    let media = match mode {
        Mode::NoSsd => Media {
            capacity: size,
            model: MediaModel::Null,
        },
        Mode::BlackBox | Mode::Csd if size > capacity => {
            let name = if properties.number("op_pcent") > 0 {
                "op_pcent"
            } else {
                "devsz_mb"
            };
            let arithmetic = format!(
                "the namespace has {size} bytes, but the geometry {} pages × {page} bytes = {capacity}",
                flash.logical_pages()
            );
            return Err(inexpressible(properties, name, arithmetic));
        }
        Mode::BlackBox | Mode::Csd => Media {
            capacity,
            model: MediaModel::Femu(Box::new(flash.clone())),
        },
    };
    let mut namespaces = vec![NamespaceKind::Nvm(Nvm {
        size,
        block: flash.block_bytes,
    })];
    if mode == Mode::Csd {
        notes.push(
            "FEMU charges programs the time that this machine takes for them; here an instruction \
             takes 0.4 ns."
                .to_owned(),
        );
        namespaces.extend(computational(properties)?);
    }
    let namespaces = (1..).zip(namespaces);
    let file = DriveFile {
        drive: drive(properties)?,
        media,
        store: Store::Memory,
        namespaces: namespaces
            .map(|(id, kind)| Namespace { id, kind })
            .collect(),
    };
    // Whatever is out of range is refused by those who know the ranges.
    let file = DriveFile::parse("femu.toml", &file.to_toml(), &Limits::NONE)?;
    Ok(Converted { file, notes })
}

fn inexpressible(
    properties: &Properties,
    name: &'static str,
    reason: impl Into<String>,
) -> ConvertError {
    let text = properties.text(name).map(str::to_owned);
    ConvertError::Inexpressible {
        name,
        value: text.unwrap_or_else(|| properties.number(name).to_string()),
        reason: reason.into(),
    }
}

fn refuse_inexpressible(properties: &Properties) -> Result<(), ConvertError> {
    let defaults = Properties::default();
    for (name, reason) in FIXED {
        if properties.number(name) != defaults.number(name) {
            return Err(inexpressible(properties, name, reason));
        }
    }
    for (name, reason) in NO_TEXT {
        if properties.text(name).is_some_and(|text| !text.is_empty()) {
            return Err(inexpressible(properties, name, reason));
        }
    }
    Ok(())
}

fn notes(properties: &Properties) -> Vec<String> {
    let given = |wanted: &dyn Fn(&str, Use) -> bool| {
        let names = properties
            .given()
            .filter(|(name, used)| wanted(name, *used));
        let names: Vec<_> = names.map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let mut notes = Vec::new();
    let without_effect = |name: &str, used| used == Use::NoEffect || CEMU_ONLY.contains(&name);
    if let Some(names) = given(&without_effect) {
        notes.push(format!("Without effect in FEMU, and not here: {names}."));
    }
    if let Some(names) = given(&|name, _| OWN.contains(&name)) {
        notes.push(format!(
            "The drive has its own, and no time follows from it: {names}."
        ));
    }
    if properties.number("pcie_bandwidth_mbps") > 0 {
        notes.push(
            "FEMU lets data of writes cross the link after the flash's work; here it crosses before."
                .to_owned(),
        );
    }
    notes
}

fn drive(properties: &Properties) -> Result<Drive, ConvertError> {
    let (bandwidth, delay) = (
        properties.number("pcie_bandwidth_mbps"),
        properties.number("pcie_prop_delay_ns"),
    );
    if bandwidth == 0 && delay > 0 {
        let reason = "a link has a bandwidth: give pcie_bandwidth_mbps too";
        return Err(inexpressible(properties, "pcie_prop_delay_ns", reason));
    }
    let max_transfer = match properties.number("mdts") {
        // Traces were taken without this limit: where nobody asks for it, it is in nobody's way.
        _ if !properties.is_given("mdts") => MOST_TRANSFER,
        0 => MOST_TRANSFER,
        mdts @ 1..=13 => 4096 << mdts,
        _ => {
            let reason = "a command transfers at most 32 MiB (mdts=13)";
            return Err(inexpressible(properties, "mdts", reason));
        }
    };
    let most = |name, most: u64, reason| match properties.number(name) {
        number if (1..=most).contains(&number) => Ok(number),
        _ => Err(inexpressible(properties, name, reason)),
    };
    let queues = most("queues", 64, "a drive has 1 to 64 queues")?;
    let entries = most("entries", 65_535, "a queue has 2 to 65536 entries")?;
    let serial = properties
        .text("serial")
        .filter(|serial| !serial.is_empty());
    let serial = serial.unwrap_or(DEFAULT_SERIAL).to_owned();
    let nqn = crate::drive::nqn_of(&serial);
    Ok(Drive {
        serial,
        model: DEFAULT_MODEL.to_owned(),
        nqn,
        link: (bandwidth > 0).then_some(Link {
            bandwidth: bandwidth.saturating_mul(1_000_000),
            latency: Ns(delay),
        }),
        queues: queues as u16,
        queue_entries: entries as u32 + 1,
        max_transfer,
        firmware: None,
        admin_latency: DEFAULT_ADMIN_LATENCY,
        doorbells: DEFAULT_DOORBELLS,
    })
}

/// Device memory and compute units.
fn computational(properties: &Properties) -> Result<[NamespaceKind; 2], ConvertError> {
    let mib = properties.number("fdm_size");
    if mib == 0 {
        let reason = "device memory in MiB; a CSD needs some";
        return Err(inexpressible(properties, "fdm_size", reason));
    }
    let memory = Memory {
        size: mib.saturating_mul(1 << 20),
        bandwidth: DEFAULT_MEMORY_BANDWIDTH,
        latency: DEFAULT_MEMORY_LATENCY,
    };
    let compute = Compute {
        units: vec![UnitClass::plain(properties.number("nr_cu") as u16)],
        cost: CostModel::Instructions(INSTRUCTION),
        types: Vec::new(),
        scheduler: DEFAULT_SCHEDULER,
        time_slice: DEFAULT_TIME_SLICE,
        context_switch: DEFAULT_CONTEXT_SWITCH,
        ageing: DEFAULT_AGEING,
        slots: DEFAULT_SLOTS,
        max_activated: DEFAULT_MAX_ACTIVATED,
        memory_range_sets: DEFAULT_MEMORY_RANGE_SETS,
        ranges_per_set: DEFAULT_RANGES_PER_SET,
        max_program: DEFAULT_MAX_PROGRAM,
        max_programs_total: DEFAULT_MAX_PROGRAMS_TOTAL,
        budget: DEFAULT_BUDGET,
        builtins: Vec::new(),
        native: Vec::new(),
        remote: None,
        threads: DEFAULT_THREADS,
    };
    Ok([
        NamespaceKind::Memory(memory),
        NamespaceKind::Compute(compute),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(text: &str) -> Result<Converted, ConvertError> {
        from_femu(&Properties::parse(text)?)
    }

    fn nvm(converted: &Converted) -> Nvm {
        match converted.file.namespaces[0].kind.clone() {
            NamespaceKind::Nvm(nvm) => nvm,
            _ => panic!("the first namespace has blocks"),
        }
    }

    #[test]
    fn the_namespace_has_all_logical_pages_or_what_is_asked_for() {
        let all = convert("nchs=2,luns_per_ch=2,blks_per_pl=32,pgs_per_blk=32").unwrap();
        let expected = Nvm {
            size: 2 * 2 * 32 * 32 * 4096,
            block: 512,
        };
        assert_eq!(nvm(&all), expected);
        assert_eq!(nvm(&convert("devsz_mb=1024").unwrap()).size, 1 << 30);
        assert_eq!(nvm(&convert("lba_index=3").unwrap()).block, 4096);
        // A page covers as many blocks as it has sectors, whatever their size.
        let big = convert("secsz=4096,secs_per_pg=4").unwrap();
        assert_eq!(nvm(&big).size, 8 * 8 * 256 * 256 * 4 * 512);
    }

    #[test]
    fn what_is_written_is_read_as_the_same_drive() {
        for text in [
            "",
            "nchs=3,mapping=dftl,read_cache_mb=2,cache_evict=arc,gc_policy=fifo,trim_lat_ns=7",
            "femu_mode=2,devsz_mb=64",
            "femu_mode=4,fdm_size=16,nr_cu=2,time_slice=1,ch_xfer_lat=9,vwc=1",
            "pcie_bandwidth_mbps=1000,pcie_prop_delay_ns=900,mdts=5,queues=64",
        ] {
            let converted = convert(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let again = DriveFile::parse("a.toml", &converted.to_toml(), &Limits::NONE);
            assert_eq!(again, Ok(converted.file), "{text}");
        }
        let csd = convert("femu_mode=4,fdm_size=16,ch_xfer_lat=9,vwc=1")
            .unwrap()
            .to_toml();
        assert!(csd.starts_with("# Without effect in FEMU, and not here: ch_xfer_lat.\n"));
        assert!(csd.contains("size = \"16 MiB\""), "{csd}");
    }

    #[test]
    fn what_cannot_be_expressed_is_named_with_the_reason() {
        for (text, message) in [
            ("namespaces=2", "namespaces=2: FEMU gives each namespace"),
            ("fw_cpu_ns=9", "fw_cpu_ns=9: "),
            (
                "pcie_prop_delay_ns=9",
                "pcie_prop_delay_ns=9: a link has a bandwidth",
            ),
            ("mdts=14", "mdts=14: a command transfers at most 32 MiB"),
            (
                "devsz_mb=20000",
                "devsz_mb=20000: the namespace has 20971520000 bytes, but",
            ),
            (
                "csd_program_dir=/x",
                "csd_program_dir=/x: programs are loaded by the host",
            ),
            ("femu_mode=4", "fdm_size=0: device memory"),
            ("pe_suspend=1", "pe_suspend=1: this can't be expressed"),
            ("queues=65", "queues=65: a drive has 1 to 64 queues"),
            ("nchs=0", "nand.channels: 0 is too small"),
            (
                "lba_index=5,nlbaf=6",
                "namespace[1].block: \"16 KiB\" is too large",
            ),
        ] {
            let error = convert(text).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
