//! `[nand]` and `[ftl]` of model "femu": FEMU's black-box drive, with its rules and its defaults.
//!
//! The defaults are those of FEMU's own properties (`hw/femu/femu.c`), whose names the meanings give.

use super::page::MODEL;
use crate::namespace::{Found, NamespaceKind};
use crate::reader::Table;
use crate::schema::{self, Absent, Key, Section, Step};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_engine::Ns;
use ersatz_ftl::VictimPolicy;
use ersatz_ftl::femu::{Config, Eviction, Mapping, PageTypes, ReadCacheConfig};
use ersatz_nand::CellType;

/// FEMU keeps its numbers in 31 bits.
const MOST: u64 = i32::MAX as u64;
const MIB: u64 = 1 << 20;

const fn count(name: &'static str, default: u64) -> Key {
    Key::number(name, Unit::Count, 1, MOST).or(Absent::Number(default))
}

const fn time(name: &'static str, default: u64) -> Key {
    Key::number(name, Unit::Nanoseconds, 0, MOST).or(Absent::Number(default))
}

const CHANNELS: Key = count("channels", 8).means("Channels (`nchs`).");
const DIES: Key = count("dies_per_channel", 8).means("LUNs of a channel (`luns_per_ch`).");
const PLANES: Key = count("planes", 1).means(
    "Planes of a LUN (`pls_per_lun`). Only the first one stores data; the others enlarge the \
     logical space and what garbage collection thinks there is, as in FEMU.",
);
const BLOCKS: Key =
    count("blocks_per_plane", 256).means("Blocks of a plane (`blks_per_pl`): the number of lines.");
const PAGES: Key = count("pages_per_block", 256).means("Pages of a block (`pgs_per_blk`).");
const SECTORS: Key = count("sectors_per_page", 8).means(
    "Sectors of a page (`secs_per_pg`). FEMU takes a logical block for a sector whatever its size: \
     a page covers so many blocks of the namespace.",
);
const SECTOR: Key = Key::number("sector", Unit::Bytes, 1, MOST)
    .or(Absent::Number(512))
    .means("Size of a sector (`secsz`), which only decides how many pages a cache has room for.");
const READ: Key = time("read", 40_000).means("Time of a page read (`pg_rd_lat`).");
const PROGRAM: Key = time("program", 200_000).means("Time of a page program (`pg_wr_lat`).");
const ERASE: Key = time("erase", 2_000_000).means("Time of a block erase (`blk_er_lat`).");
const CELL: Key = Key::choice("cell", &["flat", "scaled", "slc", "mlc", "tlc", "qlc"])
    .or(Absent::Text("flat"))
    .means(
        "`\"flat\"`: all pages take the times above. `\"scaled\"`: programs take theirs by page type \
         (`pgtype_lat`). The others: FEMU's built-in tables replace all times (`nand_cell_type`).",
    );
const CELL_PAGES: Key = Key::number("cell_pages", Unit::Count, 1, 5)
    .or(Absent::Number(3))
    .means("Pages of a cell, with cell `\"scaled\"` (`cell_pages`).");

/// `[nand]` with a model "femu".
pub(crate) const NAND_SECTION: Section = Section {
    heading: "nand, ftl.model = \"femu\"",
    keys: &[
        CHANNELS, DIES, PLANES, BLOCKS, PAGES, SECTORS, SECTOR, READ, PROGRAM, ERASE, CELL,
        CELL_PAGES,
    ],
};

const MAPPING: Key = Key::choice("mapping", &["page", "dftl", "hybrid", "fast"])
    .or(Absent::Text("page"))
    .means(
        "`\"page\"`: the whole table is in memory. `\"dftl\"`: a cache of it. `\"hybrid\"`: one log \
         block per data block (BAST). `\"fast\"`: shared log blocks (FAST).",
    );
const MAPPING_CACHE: Key = Key::number("mapping_cache", Unit::Bytes, MIB, (u32::MAX as u64) << 20)
    .step(Step::MultipleOf(MIB))
    .or(Absent::Number(4 * MIB))
    .means("Memory for translation pages, with mapping `\"dftl\"` (`mapping_cache_mb`).");
const READ_CACHE: Key = Key::number("read_cache", Unit::Bytes, 0, (u32::MAX as u64) << 20)
    .step(Step::MultipleOf(MIB))
    .or(Absent::Number(0))
    .means("Memory for pages that were read (`read_cache_mb`); 0 is none.");
const READ_CACHE_EVICTION: Key =
    Key::choice("read_cache_eviction", &["clock", "random", "lru", "arc"])
        .or(Absent::Text("clock"))
        .means("Which page leaves the full read cache (`cache_evict`).");
const TRIM: Key = time("trim", 0).means("Time of deallocating a range (`trim_lat_ns`).");
const READ_FAULTS: Key = Key::number("read_faults_ppm", Unit::Count, 0, u32::MAX as u64)
    .or(Absent::Number(0))
    .means("Of a million read commands, how many fail, evenly spread (`err_read_unc_ppm`).");
const WRITE_FAULTS: Key = Key::number("write_faults_ppm", Unit::Count, 0, u32::MAX as u64)
    .or(Absent::Number(0))
    .means("Of a million write commands, how many fail, evenly spread (`err_write_fail_ppm`).");
const GC: Key = Key::table("gc")
    .or(Absent::Otherwise("its defaults"))
    .means("Garbage collection.");

/// `[ftl]` of model "femu".
pub(crate) const FTL_SECTION: Section = Section {
    heading: "ftl, model = \"femu\"",
    keys: &[
        MODEL,
        MAPPING,
        MAPPING_CACHE,
        READ_CACHE,
        READ_CACHE_EVICTION,
        TRIM,
        READ_FAULTS,
        WRITE_FAULTS,
        GC,
    ],
};

const POLICY: Key = Key::choice(
    "policy",
    &["greedy", "cost-benefit", "fifo", "d-choice", "random"],
)
.or(Absent::Text("greedy"))
.means("Which line is collected (`gc_policy`).");
const START: Key = used("start_above", 7_500).means(
    "Share of lines in use from which on one is collected after each request (`gc_thres_pcent`).",
);
const URGENT: Key = used("urgent_above", 9_500)
    .means("Share of lines in use from which on writes wait (`gc_thres_pcent_high`).");

const fn used(name: &'static str, default: u64) -> Key {
    Key::number(name, Unit::Percent, 0, 10_000)
        .step(Step::MultipleOf(100))
        .or(Absent::Number(default))
}

/// `gc` of a model "femu".
pub(crate) const GC_SECTION: Section = Section {
    heading: "ftl.gc, model = \"femu\"",
    keys: &[POLICY, START, URGENT],
};

/// Takes the model out of both tables.
pub(super) fn read(root: &mut Table<'_, '_>, namespaces: &[Found]) -> Option<Config> {
    let nand = read_nand(root);
    let ftl = read_ftl(root, nand.clone().unwrap_or_default());
    let block_bytes = block_of(root, namespaces);
    nand?;
    Some(Config {
        block_bytes: block_bytes?,
        ..ftl?
    })
}

/// The block of all NVM namespaces.
fn block_of(root: &mut Table<'_, '_>, namespaces: &[Found]) -> Option<u32> {
    let nvm = |found: &Found| match &found.namespace.as_ref()?.kind {
        NamespaceKind::Nvm(nvm) => Some(nvm.block),
        _ => None,
    };
    let mut blocks = namespaces.iter().filter_map(nvm);
    let Some(block) = blocks.next() else {
        return Some(512);
    };
    if let Some(other) = blocks.find(|other| *other != block) {
        let size = |bytes: u32| Unit::Bytes.format(bytes.into());
        let message = format!(
            "takes a logical block for a sector, but NVM namespaces have blocks of {} and of {}",
            size(block),
            size(other)
        );
        let span = root.span(&schema::FTL);
        root.refuse_whole(span, schema::FTL.name, message, "blocks of one size");
        return None;
    }
    Some(block)
}

fn read_nand(root: &mut Table<'_, '_>) -> Option<Config> {
    let mut table = root.section(&schema::NAND)?;
    let channels = table.number(&CHANNELS);
    let luns_per_channel = table.number(&DIES);
    let planes = table.number(&PLANES);
    let blocks = table.number(&BLOCKS);
    let pages = table.number(&PAGES);
    let sectors = table.number(&SECTORS);
    let sector_bytes = table.number(&SECTOR);
    let read = table.number(&READ).map(Ns);
    let program = table.number(&PROGRAM).map(Ns);
    let erase = table.number(&ERASE).map(Ns);
    let cell = table.text(&CELL);
    let cell_pages = table.number(&CELL_PAGES);
    table.finish("[nand] with a model \"femu\"", &[&NAND_SECTION]);
    let cell = cell?;
    if cell != "scaled" && table.has(&CELL_PAGES) {
        table.refuse(&CELL_PAGES, format!("is given, but cell is \"{cell}\""));
    }
    let page_types = match cell.as_str() {
        "scaled" => PageTypes::Scaled {
            cell_pages: cell_pages?,
        },
        "slc" => PageTypes::Cell(CellType::Slc),
        "mlc" => PageTypes::Cell(CellType::Mlc),
        "tlc" => PageTypes::Cell(CellType::Tlc),
        "qlc" => PageTypes::Cell(CellType::Qlc),
        _ => PageTypes::Flat,
    };
    Some(Config {
        channels: channels?,
        luns_per_channel: luns_per_channel?,
        planes: planes?,
        blocks: blocks?,
        pages: pages?,
        sectors: sectors?,
        sector_bytes: sector_bytes?,
        read: read?,
        program: program?,
        erase: erase?,
        page_types,
        ..Config::default()
    })
}

fn mebibytes(bytes: u64) -> u32 {
    u32::try_from(bytes / MIB).unwrap_or(u32::MAX)
}

fn read_ftl(root: &mut Table<'_, '_>, nand: Config) -> Option<Config> {
    let mut table = root.section(&schema::FTL)?;
    let mapping = table.text(&MAPPING);
    let mapping_cache = table.number(&MAPPING_CACHE).map(mebibytes);
    let read_cache = table.number(&READ_CACHE).map(mebibytes);
    let eviction = table.text(&READ_CACHE_EVICTION);
    let trim = table.number(&TRIM).map(Ns);
    let read_faults_ppm = table.number(&READ_FAULTS);
    let write_faults_ppm = table.number(&WRITE_FAULTS);
    let gc = table.section(&GC).and_then(|mut gc| {
        gc.finish("gc of model \"femu\"", &[&GC_SECTION]);
        let policy = gc.text(&POLICY);
        let start = gc.number::<u32>(&START);
        let urgent = gc.number::<u32>(&URGENT);
        Some((policy?, start? / 100, urgent? / 100))
    });
    table.finish("[ftl] of model \"femu\"", &[&FTL_SECTION]);
    let (mapping, cache_mib) = (mapping?, mapping_cache?);
    if mapping != "dftl" && table.has(&MAPPING_CACHE) {
        let message = format!("is given, but mapping is \"{mapping}\"");
        table.refuse(&MAPPING_CACHE, message);
    }
    let (eviction, mib) = (eviction?, read_cache?);
    if mib == 0 && table.has(&READ_CACHE_EVICTION) {
        let message = "is given, but there is no read_cache".to_owned();
        table.refuse(&READ_CACHE_EVICTION, message);
    }
    let (policy, gc_percent, gc_percent_high) = gc?;
    Some(Config {
        gc_percent,
        gc_percent_high,
        victim: VictimPolicy::from_name(&policy).unwrap_or_default(),
        mapping: match mapping.as_str() {
            "dftl" => Mapping::Dftl { cache_mib },
            "hybrid" => Mapping::Hybrid,
            "fast" => Mapping::Fast,
            _ => Mapping::Page,
        },
        read_cache: (mib > 0).then(|| ReadCacheConfig {
            mib,
            eviction: Eviction::from_name(&eviction).unwrap_or_default(),
        }),
        trim: trim?,
        read_faults_ppm: read_faults_ppm?,
        write_faults_ppm: write_faults_ppm?,
        ..nand
    })
}

/// Bytes of logical space, and how they come about.
pub(super) fn capacity(config: &Config) -> (u64, String) {
    let page = u64::from(config.sectors).saturating_mul(config.block_bytes.into());
    let bytes = config.logical_pages().saturating_mul(page);
    let Config {
        channels,
        luns_per_channel,
        planes,
        blocks,
        pages,
        sectors,
        ..
    } = config;
    let arithmetic = format!(
        "{channels} channels × {luns_per_channel} dies × {planes} planes × {blocks} blocks × {pages} \
         pages × {sectors} blocks of {} = {}, which",
        Unit::Bytes.format(config.block_bytes.into()),
        Unit::Bytes.format(bytes)
    );
    (bytes, arithmetic)
}

pub(super) fn write(config: &Config) -> Vec<(&'static str, Writer)> {
    let mut nand = Writer::default();
    nand.number(&CHANNELS, config.channels.into());
    nand.number(&DIES, config.luns_per_channel.into());
    nand.number(&PLANES, config.planes.into());
    nand.number(&BLOCKS, config.blocks.into());
    nand.number(&PAGES, config.pages.into());
    nand.number(&SECTORS, config.sectors.into());
    nand.number(&SECTOR, config.sector_bytes.into());
    nand.number(&READ, config.read.0);
    nand.number(&PROGRAM, config.program.0);
    nand.number(&ERASE, config.erase.0);
    match config.page_types {
        PageTypes::Flat => {}
        PageTypes::Scaled { cell_pages } => {
            nand.text(&CELL, "scaled");
            nand.number(&CELL_PAGES, cell_pages.into());
        }
        PageTypes::Cell(cell) => nand.text(&CELL, cell_name(cell)),
    }
    let mut ftl = Writer::default();
    ftl.text(&MODEL, "femu");
    match config.mapping {
        Mapping::Page => {}
        Mapping::Dftl { cache_mib } => {
            ftl.text(&MAPPING, "dftl");
            // 0 is FEMU's way to say 4.
            let mib = if cache_mib == 0 { 4 } else { cache_mib };
            ftl.number(&MAPPING_CACHE, u64::from(mib) << 20);
        }
        Mapping::Hybrid => ftl.text(&MAPPING, "hybrid"),
        Mapping::Fast => ftl.text(&MAPPING, "fast"),
    }
    if let Some(cache) = config.read_cache {
        ftl.number(&READ_CACHE, u64::from(cache.mib) << 20);
        ftl.text(&READ_CACHE_EVICTION, cache.eviction.name());
    }
    ftl.number(&TRIM, config.trim.0);
    ftl.number(&READ_FAULTS, config.read_faults_ppm.into());
    ftl.number(&WRITE_FAULTS, config.write_faults_ppm.into());
    let mut gc = Writer::default();
    gc.text(&POLICY, config.victim.name());
    gc.number(&START, u64::from(config.gc_percent) * 100);
    gc.number(&URGENT, u64::from(config.gc_percent_high) * 100);
    ftl.table_unless_empty(&GC, gc);
    vec![("[nand]", nand), ("[ftl]", ftl)]
}

fn cell_name(cell: CellType) -> &'static str {
    match cell {
        CellType::Slc => "slc",
        CellType::Mlc => "mlc",
        CellType::Tlc => "tlc",
        CellType::Qlc => "qlc",
    }
}
