//! `[nand]` and `[ftl]` of model "page": the default drive of flash.
//!
//! The defaults are those of [`Config`], which a test holds the keys to.

use crate::reader::Table;
use crate::schema::{self, Absent, Key, Section, Step};
use crate::unit::Unit;
use crate::writer::Writer;
use ersatz_engine::Ns;
use ersatz_ftl::VictimPolicy;
use ersatz_ftl::page::{BufferConfig, Config, GcConfig, Pattern, Precondition};
use ersatz_nand::{Bus, Geometry, PageTimes, ReadPriority, Reliability, Timing};

const fn count(name: &'static str, min: u64, max: u64, default: u64) -> Key {
    Key::number(name, Unit::Count, min, max).or(Absent::Number(default))
}

const fn time(name: &'static str, default: u64) -> Key {
    Key::number(name, Unit::Nanoseconds, 0, 10_000_000_000).or(Absent::Number(default))
}

const fn percent(name: &'static str, max: u64, default: u64) -> Key {
    Key::number(name, Unit::Percent, 0, max).or(Absent::Number(default))
}

const fn part(name: &'static str) -> Key {
    Key::table(name).or(Absent::Otherwise("its defaults"))
}

/// Just below all of it.
const BELOW_ALL: u64 = 9_999;
/// Ten years.
const LONG: u64 = 10 * 365 * 24 * 3_600_000_000_000;

const CHANNELS: Key = count("channels", 1, 65_536, 8).means(
    "Channels: buses between controller and chips. 8 is what most controllers of four lanes have.",
);
const DIES: Key = count("dies_per_channel", 1, 65_536, 4).means("Dies on each channel.");
const PLANES: Key = count("planes", 1, 64, 2)
    .means("Planes of a die, which read, program and erase pages of the same number at once.");
const BLOCKS: Key =
    count("blocks_per_plane", 1, 1 << 24, 132).means("Blocks of a plane, spare ones included.");
const PAGES: Key = count("pages_per_block", 1, 65_536, 256).means("Pages of a block.");
const PAGE: Key = Key::number("page", Unit::Bytes, 512, 1 << 20)
    .step(Step::MultipleOf(512))
    .or(Absent::Number(16 << 10))
    .means("Size of a page without its spare area; it is also what the mapping maps.");
const READ: Key = Key::numbers("read", Unit::Nanoseconds, 0, 10_000_000_000, 8)
    .or(Absent::Numbers(&[50_000, 60_000, 70_000]))
    .means(
        "Array time of a page read; a list has one for each page type, which follow one another in a \
         block (3 for TLC). The default is 60 us in the mean, a round figure for 3D TLC.",
    );
const PROGRAM: Key = Key::numbers("program", Unit::Nanoseconds, 0, 10_000_000_000, 8)
    .or(Absent::Numbers(&[400_000, 660_000, 920_000]))
    .means("Array time of a page program, likewise. The default is 660 us in the mean.");
const ERASE: Key = time("erase", 3_500_000)
    .means("Array time of a block erase. The default is a round figure for 3D TLC.");
const BUS: Key = part("bus").means("What an operation takes of its channel.");
const READ_PRIORITY: Key = Key::choice("read_priority", &["none", "queued", "suspend"])
    .or(Absent::Text("suspend"))
    .means(
        "What a host's read does at a busy die: `\"none\"`: it waits for all before it; `\"queued\"`: \
         for the operation that runs; `\"suspend\"`: it interrupts a program or an erase.",
    );
const SUSPEND: Key = time("suspend", 10_000)
    .means("From the suspend command to a die that reads, with read_priority `\"suspend\"`; a round figure.");
const RESUME: Key =
    time("resume", 5_000).means("From the resume command to the operation going on, likewise.");
const SUSPENSIONS: Key = count("suspensions", 0, u32::MAX as u64, 8)
    .means("How often one operation can be interrupted, likewise; then reads wait for it.");
const CACHE_READ: Key = Key::switch("cache_read", true).means(
    "The array reads the next page while the last one's data is on the bus (ONFI, Read Cache).",
);
const CACHE_PROGRAM: Key = Key::switch("cache_program", true).means(
    "A page's data is on the bus while the array programs the last one (ONFI, Page Cache Program).",
);
const RELIABILITY: Key = part("reliability").means("What wear, age and reads do to a page.");
const SPARE_BLOCKS: Key = count("spare_blocks", 0, 1 << 24, 4)
    .means("Blocks of each plane that replace bad ones and hold no data before.");
const FACTORY_BAD: Key = count("factory_bad_blocks", 0, u32::MAX as u64, 0)
    .means("Blocks that are bad from the beginning, on planes chosen by the seed.");

/// `[nand]`.
pub(crate) const NAND_SECTION: Section = Section {
    heading: "nand",
    keys: &[
        CHANNELS,
        DIES,
        PLANES,
        BLOCKS,
        PAGES,
        PAGE,
        READ,
        PROGRAM,
        ERASE,
        BUS,
        READ_PRIORITY,
        SUSPEND,
        RESUME,
        SUSPENSIONS,
        CACHE_READ,
        CACHE_PROGRAM,
        RELIABILITY,
        SPARE_BLOCKS,
        FACTORY_BAD,
    ],
};

const COMMAND: Key = time("command", 100).means("Time of an operation's command cycles.");
const ADDRESS: Key = time("address", 200).means("Time of its address cycles.");
const BANDWIDTH: Key = Key::number("bandwidth", Unit::BytesPerSecond, 0, 1_000_000_000_000)
    .or(Absent::Number(1_200_000_000))
    .means("Data per second; 0: data takes no time. The default is ONFI 4.1's fastest (NV-DDR3, 1,200 MT/s, 8 bits).");
const STATUS: Key =
    time("status", 100).means("Time of reading the status after a program or an erase.");

/// `nand.bus`.
pub(crate) const BUS_SECTION: Section = Section {
    heading: "nand.bus",
    keys: &[COMMAND, ADDRESS, BANDWIDTH, STATUS],
};

const DECODE: Key = time("decode", 2_000).means("Time of decoding a page (ECC), in every read.");
const RETRY: Key = time("retry", 0).means(
    "Array time of one more step of a read whose bits have drifted; 0: as long as the page's read.",
);
const ERASES_PER_STEP: Key = count("erases_per_step", 0, u32::MAX as u64, 1_000)
    .means("Erases of a block that cost its reads one step; 0: they cost nothing.");
const AGE_PER_STEP: Key = Key::number("age_per_step", Unit::Nanoseconds, 0, LONG)
    .or(Absent::Number(30 * 24 * 3_600_000_000_000))
    .means("Time since a block was filled that costs one step (retention); 0: it costs nothing.");
const READS_PER_STEP: Key = count("reads_per_step", 0, u32::MAX as u64, 100_000).means(
    "Reads of a block since its erase that cost one step (read disturb); 0: they cost nothing.",
);
const STEPS: Key = count("steps", 0, u32::MAX as u64, 8)
    .means("Most steps; a page that would need more can't be read (Unrecovered Read Error).");
const RATED_ERASES: Key = count("rated_erases", 0, u32::MAX as u64, 3_000).means(
    "Erases that a block is rated for: 100 % of Percentage Used in the SMART log. 0: unknown. The \
     default is a round figure for TLC.",
);
const PROGRAM_FAULTS: Key = count("program_faults_ppm", 0, 1_000_000, 0).means(
    "Of a million programs of a block that was erased `rated_erases` times, how many fail; of others \
     in proportion. The pages are programmed elsewhere, and the block is replaced by a spare one when \
     its line is erased.",
);
const ERASE_FAULTS: Key = count("erase_faults_ppm", 0, 1_000_000, 0)
    .means("Of a million erases, how many fail and cost a spare block.");

/// `nand.reliability`.
pub(crate) const RELIABILITY_SECTION: Section = Section {
    heading: "nand.reliability",
    keys: &[
        DECODE,
        RETRY,
        ERASES_PER_STEP,
        AGE_PER_STEP,
        READS_PER_STEP,
        STEPS,
        RATED_ERASES,
        ERASE_FAULTS,
        PROGRAM_FAULTS,
    ],
};

/// `ftl.model`, of all models.
pub(super) const MODEL: Key = Key::choice("model", &["page", "femu"])
    .or(Absent::Text("page"))
    .means(
        "`\"page\"`: the default drive. `\"femu\"`: FEMU's black-box drive, request for request; it \
         has settings of its own.",
    );
const OVER_PROVISIONING: Key = percent("over_provisioning", 1_000_000, 700)
    .means("Pages beyond the logical space, in percent of it. The default is GiB sold as GB.");
const STREAMS: Key = count("streams", 1, 1_024, 1)
    .means("Write frontiers for hosts; a write of a stream beyond goes to the first.");
const BUFFER: Key = part("buffer").means("The write buffer in the controller's memory.");
const GC: Key = part("gc").means("Garbage collection.");
const WEAR_SPREAD: Key = count("wear_spread", 0, u32::MAX as u64, 100)
    .means("Erases that a line may be behind another before it is moved (static wear levelling); 0: never.");
const REFRESH_READS: Key = count("refresh_reads", 0, u32::MAX as u64, 0)
    .means("Reads of a block after which its line is rewritten; 0: never.");
const REFRESH_AGE: Key = Key::number("refresh_age", Unit::Nanoseconds, 0, LONG)
    .or(Absent::Number(0))
    .means("Age at which a line is rewritten when it is read; 0: never.");
const MAPPING_CACHE: Key = Key::number("mapping_cache", Unit::Bytes, 1, 1 << 50)
    .or(Absent::Otherwise("all of it"))
    .means(
        "How much of the mapping (4 bytes per page) is in memory; the rest is read from flash, and \
         what was changed is written there, in blocks like any other.",
    );
const UNMAPPED_READ: Key = time("unmapped_read", 5_000)
    .means("Time of reading a page that was never written. FEMU takes none, and misleads; the default is a round figure for firmware that finds no entry.");
const SEED: Key = count("seed", 0, i64::MAX as u64, 1)
    .means("Seed of what is random: which planes have bad blocks, which erases and programs fail.");
const PRECONDITION: Key = Key::table("precondition")
    .or(Absent::Otherwise("an empty drive"))
    .means("What was written before the drive's first command.");

/// `[ftl]`.
pub(crate) const FTL_SECTION: Section = Section {
    heading: "ftl",
    keys: &[
        MODEL,
        OVER_PROVISIONING,
        STREAMS,
        BUFFER,
        GC,
        WEAR_SPREAD,
        REFRESH_READS,
        REFRESH_AGE,
        MAPPING_CACHE,
        UNMAPPED_READ,
        SEED,
        PRECONDITION,
    ],
};

const BUFFER_PAGES: Key = count("pages", 0, (1 << 30) - 1, 512)
    .means("Pages of the buffer; 0: a write is done when its pages are programmed. 512 of 16 KiB are 8 MiB.");
const BUFFER_TIME: Key =
    time("time", 2_000).means("Time of moving a page into or out of the buffer.");
const VOLATILE: Key = Key::switch("volatile", false).means(
    "Its contents are lost with the power: a flush programs them. Otherwise a flush takes no time.",
);
const DESTAGE_ABOVE: Key = Key::number("destage_above", Unit::Percent, 0, 9_900)
    .step(Step::MultipleOf(100))
    .or(Absent::Number(0))
    .means("Share of the pages that may wait before programming begins; more lets more overwrites become one program.");

/// `ftl.buffer`.
pub(crate) const BUFFER_SECTION: Section = Section {
    heading: "ftl.buffer",
    keys: &[BUFFER_PAGES, BUFFER_TIME, VOLATILE, DESTAGE_ABOVE],
};

const POLICY: Key = Key::choice(
    "policy",
    &["greedy", "cost-benefit", "fifo", "d-choice", "random"],
)
.or(Absent::Text("greedy"))
.means(
    "Which line is collected: with the fewest valid pages, by age and benefit, in turn, with the \
     fewest valid pages of four, or any.",
);
const START: Key = percent("start_below", BELOW_ALL, 50)
    .means("Share of free lines below which lines are collected in the background, and writes begin to pay for it: each page that is written has some moved (at least one line more than `urgent_below`). What is kept free is missing from the over-provisioning; the default is as little as lets writes go on evenly.");
const URGENT: Key = percent("urgent_below", BELOW_ALL, 25)
    .means("Share of free lines at which writes pay all that they cost, and below which they wait; at least one line.");
const BATCH: Key = count("batch", 0, u32::MAX as u64, 0).means(
    "Pages that are moved between two chances for host reads; 0: as many as there are dies.",
);
const IDLE_AFTER: Key = Key::number("idle_after", Unit::Nanoseconds, 1, LONG)
    .or(Absent::Otherwise("never"))
    .means("Collects also when no request came for so long.");
const IDLE_UNTIL: Key = percent("idle_until", BELOW_ALL, 300)
    .means("Share of free lines that collection in idle time ends with.");

/// `ftl.gc`.
pub(crate) const GC_SECTION: Section = Section {
    heading: "ftl.gc",
    keys: &[POLICY, START, URGENT, BATCH, IDLE_AFTER, IDLE_UNTIL],
};

const FILL: Key =
    percent("fill", 10_000, 10_000).means("How much of the logical space was written, in order.");
const OVERWRITE: Key = Key::number("overwrite", Unit::Factor, 0, 100_000)
    .or(Absent::Number(200))
    .means("How often as much was overwritten after that.");
const PATTERN: Key = Key::choice("pattern", &["random", "sequential"])
    .or(Absent::Text("random"))
    .means("In which order.");
const AGEING_SEED: Key = count("seed", 0, i64::MAX as u64, 1).means("Seed of a random order.");

/// `ftl.precondition`.
pub(crate) const PRECONDITION_SECTION: Section = Section {
    heading: "ftl.precondition",
    keys: &[FILL, OVERWRITE, PATTERN, AGEING_SEED],
};

/// A page-mapped drive of flash.
#[derive(Clone, Debug, PartialEq)]
pub struct PageDrive {
    /// All but what was written before.
    pub config: Config,
    /// What was written before the first command.
    pub precondition: Option<Precondition>,
    /// Array times by page type, of which `config` has those of each page of a block.
    read: Vec<Ns>,
    program: Vec<Ns>,
}

impl PageDrive {
    /// A drive of `config` with these array times by page type in place of its own. Both lists have
    /// at least one.
    #[must_use]
    pub fn new(mut config: Config, read: Vec<Ns>, program: Vec<Ns>, erase: Ns) -> Self {
        let types = read.len().max(program.len()).max(1) as u32;
        let pages = config.geometry.pages;
        config.timing.pages =
            PageTimes::by_type(pages, |page| page % types, &read, &program, erase);
        Self {
            config,
            precondition: None,
            read,
            program,
        }
    }

    /// Takes the model out of both tables.
    pub(super) fn read(root: &mut Table<'_, '_>) -> Option<Self> {
        let mut drive = Self::new(Config::default(), vec![Ns::ZERO], vec![Ns::ZERO], Ns::ZERO);
        let nand = drive.read_nand(root);
        let ftl = drive.read_ftl(root);
        nand.and(ftl)?;
        let Self {
            config,
            precondition,
            read,
            program,
        } = drive;
        let erase = config.timing.pages.erase();
        Some(Self {
            precondition,
            ..Self::new(config, read, program, erase)
        })
    }

    fn read_nand(&mut self, root: &mut Table<'_, '_>) -> Option<()> {
        let mut table = root.section(&schema::NAND)?;
        let channels = table.number(&CHANNELS);
        let dies_per_channel = table.number(&DIES);
        let planes = table.number(&PLANES);
        let blocks = table.number(&BLOCKS);
        let pages = table.number(&PAGES);
        let page_bytes = table.number(&PAGE);
        let times = |values: Vec<u64>| values.into_iter().map(Ns).collect();
        let read = table.numbers(&READ).map(times);
        let program = table.numbers(&PROGRAM).map(times);
        let erase = table.number(&ERASE).map(Ns);
        let bus = table.section(&BUS).and_then(read_bus);
        let priority = read_priority(&mut table);
        let cache_read = table.switch(&CACHE_READ);
        let cache_program = table.switch(&CACHE_PROGRAM);
        let reliability = table.section(&RELIABILITY).and_then(read_reliability);
        let spare_blocks = table.number(&SPARE_BLOCKS);
        let factory_bad_blocks = table.number(&FACTORY_BAD);
        table.finish("[nand]", &[&NAND_SECTION]);
        self.read = read?;
        self.program = program?;
        self.config = Config {
            geometry: Geometry {
                channels: channels?,
                dies_per_channel: dies_per_channel?,
                planes: planes?,
                blocks: blocks?,
                pages: pages?,
                page_bytes: page_bytes?,
            },
            timing: Timing {
                pages: PageTimes::flat(0, Ns::ZERO, Ns::ZERO, erase?),
                bus: bus?,
                read_priority: priority?,
                cache_read: cache_read?,
                cache_program: cache_program?,
            },
            reliability: reliability?,
            spare_blocks: spare_blocks?,
            factory_bad_blocks: factory_bad_blocks?,
            ..self.config.clone()
        };
        Some(())
    }

    fn read_ftl(&mut self, root: &mut Table<'_, '_>) -> Option<()> {
        let mut table = root.section(&schema::FTL)?;
        let over_provisioning = table.number(&OVER_PROVISIONING).map(share);
        let streams = table.number(&STREAMS);
        let buffer = table.section(&BUFFER).and_then(read_buffer);
        let gc = table.section(&GC).and_then(read_gc);
        let unless_0 = |value: u32| (value > 0).then_some(value);
        let wear_spread = table.number(&WEAR_SPREAD).map(unless_0);
        let refresh_reads = table.number(&REFRESH_READS).map(unless_0);
        let refresh_age = table.number(&REFRESH_AGE);
        let mapping_cache = table
            .has(&MAPPING_CACHE)
            .then(|| table.number(&MAPPING_CACHE));
        let unmapped_read = table.number(&UNMAPPED_READ).map(Ns);
        let seed = table.number(&SEED);
        let precondition = table
            .has(&PRECONDITION)
            .then(|| table.table(&PRECONDITION).and_then(read_precondition));
        table.finish("[ftl]", &[&FTL_SECTION]);
        self.precondition = match precondition {
            Some(found) => Some(found?),
            None => None,
        };
        self.config = Config {
            over_provisioning: over_provisioning?,
            streams: streams?,
            buffer: buffer?,
            gc: gc?,
            wear_spread: wear_spread?,
            refresh_reads: refresh_reads?,
            refresh_age: Some(Ns(refresh_age?)).filter(|age| *age > Ns::ZERO),
            mapping_cache: match mapping_cache {
                Some(found) => Some(found?),
                None => None,
            },
            unmapped_read: unmapped_read?,
            seed: seed?,
            ..self.config.clone()
        };
        Some(())
    }

    /// Bytes of logical space, and how they come about. The arithmetic is the model's.
    pub(super) fn capacity(&self) -> (u64, String) {
        let Geometry {
            channels,
            dies_per_channel,
            planes,
            blocks,
            pages,
            page_bytes,
        } = self.config.geometry;
        let spare = self.config.spare_blocks;
        let lines = u64::from(blocks.saturating_sub(spare));
        let physical = [channels, dies_per_channel, planes, pages]
            .iter()
            .fold(lines, |product, factor| {
                product.saturating_mul((*factor).into())
            });
        let over = self.config.over_provisioning;
        let logical = (physical as f64 / (1.0 + over / 100.0)) as u64;
        let bytes = logical.saturating_mul(page_bytes.into());
        let arithmetic = format!(
            "{channels} channels × {dies_per_channel} dies × {planes} planes × ({blocks} - {spare}) \
             blocks × {pages} pages of {} ÷ (100 % + {over} %) = {}, which",
            Unit::Bytes.format(page_bytes.into()),
            Unit::Bytes.format(bytes)
        );
        (bytes, arithmetic)
    }

    pub(super) fn write(&self) -> Vec<(&'static str, Writer)> {
        vec![("[nand]", self.write_nand()), ("[ftl]", self.write_ftl())]
    }

    fn write_nand(&self) -> Writer {
        let Config {
            geometry,
            timing,
            reliability,
            ..
        } = &self.config;
        let mut nand = Writer::default();
        nand.number(&CHANNELS, geometry.channels.into());
        nand.number(&DIES, geometry.dies_per_channel.into());
        nand.number(&PLANES, geometry.planes.into());
        nand.number(&BLOCKS, geometry.blocks.into());
        nand.number(&PAGES, geometry.pages.into());
        nand.number(&PAGE, geometry.page_bytes.into());
        let times = |times: &[Ns]| times.iter().map(|time| time.0).collect::<Vec<_>>();
        nand.numbers(&READ, &times(&self.read));
        nand.numbers(&PROGRAM, &times(&self.program));
        nand.number(&ERASE, timing.pages.erase().0);
        let mut bus = Writer::default();
        bus.number(&COMMAND, timing.bus.command.0);
        bus.number(&ADDRESS, timing.bus.address.0);
        bus.number(&BANDWIDTH, timing.bus.bandwidth);
        bus.number(&STATUS, timing.bus.status.0);
        nand.table_unless_empty(&BUS, bus);
        match timing.read_priority {
            ReadPriority::None => nand.text(&READ_PRIORITY, "none"),
            ReadPriority::Queued => nand.text(&READ_PRIORITY, "queued"),
            ReadPriority::Suspend {
                suspend,
                resume,
                limit,
            } => {
                nand.number(&SUSPEND, suspend.0);
                nand.number(&RESUME, resume.0);
                nand.number(&SUSPENSIONS, limit.into());
            }
        }
        nand.switch(&CACHE_READ, timing.cache_read);
        nand.switch(&CACHE_PROGRAM, timing.cache_program);
        let mut worn = Writer::default();
        worn.number(&DECODE, reliability.decode.0);
        worn.number(&RETRY, reliability.retry.0);
        worn.number(&ERASES_PER_STEP, reliability.erases_per_step.into());
        worn.number(&AGE_PER_STEP, reliability.age_per_step.0);
        worn.number(&READS_PER_STEP, reliability.reads_per_step.into());
        worn.number(&STEPS, reliability.steps.into());
        worn.number(&RATED_ERASES, reliability.rated_erases.into());
        worn.number(&ERASE_FAULTS, reliability.erase_faults_ppm.into());
        worn.number(&PROGRAM_FAULTS, reliability.program_faults_ppm.into());
        nand.table_unless_empty(&RELIABILITY, worn);
        nand.number(&SPARE_BLOCKS, self.config.spare_blocks.into());
        nand.number(&FACTORY_BAD, self.config.factory_bad_blocks.into());
        nand
    }

    fn write_ftl(&self) -> Writer {
        let config = &self.config;
        let mut ftl = Writer::default();
        ftl.text(&MODEL, "page");
        ftl.number(&OVER_PROVISIONING, hundredths(config.over_provisioning));
        ftl.number(&STREAMS, config.streams.into());
        let mut buffer = Writer::default();
        buffer.number(&BUFFER_PAGES, config.buffer.pages.into());
        buffer.number(&BUFFER_TIME, config.buffer.time.0);
        buffer.switch(&VOLATILE, config.buffer.volatile);
        buffer.number(&DESTAGE_ABOVE, u64::from(config.buffer.destage_above) * 100);
        ftl.table_unless_empty(&BUFFER, buffer);
        let mut gc = Writer::default();
        gc.text(&POLICY, config.gc.policy.name());
        gc.number(&START, hundredths(config.gc.start_below));
        gc.number(&URGENT, hundredths(config.gc.urgent_below));
        gc.number(&BATCH, config.gc.batch.into());
        gc.option(&IDLE_AFTER, config.gc.idle_after.map(|time| time.0));
        gc.number(&IDLE_UNTIL, hundredths(config.gc.idle_until));
        ftl.table_unless_empty(&GC, gc);
        ftl.number(&WEAR_SPREAD, config.wear_spread.unwrap_or(0).into());
        ftl.number(&REFRESH_READS, config.refresh_reads.unwrap_or(0).into());
        ftl.number(&REFRESH_AGE, config.refresh_age.unwrap_or(Ns::ZERO).0);
        ftl.option(&MAPPING_CACHE, config.mapping_cache);
        ftl.number(&UNMAPPED_READ, config.unmapped_read.0);
        ftl.number(&SEED, config.seed);
        if let Some(before) = self.precondition {
            let mut ageing = Writer::default();
            ageing.number(&FILL, hundredths(before.fill * 100.0));
            ageing.number(&OVERWRITE, hundredths(before.overwrite));
            ageing.text(
                &PATTERN,
                match before.pattern {
                    Pattern::Random => "random",
                    Pattern::Sequential => "sequential",
                },
            );
            ageing.number(&AGEING_SEED, before.seed);
            ftl.table(&PRECONDITION, ageing);
        }
        ftl
    }
}

/// Hundredths of a percent (or of a factor) in percent (or times).
fn share(hundredths: u32) -> f64 {
    f64::from(hundredths) / 100.0
}

fn hundredths(share: f64) -> u64 {
    (share * 100.0).round() as u64
}

fn read_bus(mut table: Table<'_, '_>) -> Option<Bus> {
    let command = table.number(&COMMAND).map(Ns);
    let address = table.number(&ADDRESS).map(Ns);
    let bandwidth = table.number(&BANDWIDTH);
    let status = table.number(&STATUS).map(Ns);
    table.finish("bus", &[&BUS_SECTION]);
    Some(Bus {
        command: command?,
        address: address?,
        bandwidth: bandwidth?,
        status: status?,
    })
}

fn read_priority(table: &mut Table<'_, '_>) -> Option<ReadPriority> {
    let priority = table.text(&READ_PRIORITY);
    let suspend = table.number(&SUSPEND).map(Ns);
    let resume = table.number(&RESUME).map(Ns);
    let limit = table.number(&SUSPENSIONS);
    let priority = priority?;
    if priority != "suspend" {
        for key in [&SUSPEND, &RESUME, &SUSPENSIONS] {
            if table.has(key) {
                table.refuse(
                    key,
                    format!("is given, but read_priority is \"{priority}\""),
                );
            }
        }
    }
    Some(match priority.as_str() {
        "none" => ReadPriority::None,
        "queued" => ReadPriority::Queued,
        _ => ReadPriority::Suspend {
            suspend: suspend?,
            resume: resume?,
            limit: limit?,
        },
    })
}

fn read_reliability(mut table: Table<'_, '_>) -> Option<Reliability> {
    let decode = table.number(&DECODE).map(Ns);
    let retry = table.number(&RETRY).map(Ns);
    let erases_per_step = table.number(&ERASES_PER_STEP);
    let age_per_step = table.number(&AGE_PER_STEP).map(Ns);
    let reads_per_step = table.number(&READS_PER_STEP);
    let steps = table.number(&STEPS);
    let rated_erases = table.number(&RATED_ERASES);
    let erase_faults_ppm = table.number(&ERASE_FAULTS);
    let program_faults_ppm = table.number(&PROGRAM_FAULTS);
    table.finish("reliability", &[&RELIABILITY_SECTION]);
    Some(Reliability {
        decode: decode?,
        retry: retry?,
        erases_per_step: erases_per_step?,
        age_per_step: age_per_step?,
        reads_per_step: reads_per_step?,
        steps: steps?,
        rated_erases: rated_erases?,
        erase_faults_ppm: erase_faults_ppm?,
        program_faults_ppm: program_faults_ppm?,
    })
}

fn read_buffer(mut table: Table<'_, '_>) -> Option<BufferConfig> {
    let pages = table.number(&BUFFER_PAGES);
    let time = table.number(&BUFFER_TIME).map(Ns);
    let volatile = table.switch(&VOLATILE);
    let destage_above = table.number::<u32>(&DESTAGE_ABOVE);
    table.finish("buffer", &[&BUFFER_SECTION]);
    Some(BufferConfig {
        pages: pages?,
        time: time?,
        volatile: volatile?,
        destage_above: destage_above? / 100,
    })
}

fn read_gc(mut table: Table<'_, '_>) -> Option<GcConfig> {
    let policy = table.text(&POLICY);
    let start_below = table.number(&START).map(share);
    let urgent_below = table.number(&URGENT).map(share);
    let batch = table.number(&BATCH);
    let idle_after = table.number(&IDLE_AFTER).map(Ns);
    let idle_until = table.number(&IDLE_UNTIL).map(share);
    table.finish("gc", &[&GC_SECTION]);
    Some(GcConfig {
        policy: VictimPolicy::from_name(&policy?).unwrap_or_default(),
        start_below: start_below?,
        urgent_below: urgent_below?,
        batch: batch?,
        idle_after,
        idle_until: idle_until?,
    })
}

fn read_precondition(mut table: Table<'_, '_>) -> Option<Precondition> {
    let fill = table.number(&FILL).map(share);
    let overwrite = table.number(&OVERWRITE).map(share);
    let pattern = table.text(&PATTERN);
    let seed = table.number(&AGEING_SEED);
    table.finish("precondition", &[&PRECONDITION_SECTION]);
    Some(Precondition {
        fill: fill? / 100.0,
        overwrite: overwrite?,
        pattern: match pattern?.as_str() {
            "sequential" => Pattern::Sequential,
            _ => Pattern::Random,
        },
        seed: seed?,
    })
}
