//! The keys of our own job file as data: refusals and the table of `docs/workloads.md` come from
//! here.

use super::MAX_DEPTH;
use super::text::{DISTRIBUTIONS, RW};
use core::fmt;
use ersatz_drive_file::unit::Unit;

/// One setting of a job.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What may be written.
    pub(super) kind: Kind,
    /// What holds when it is not written.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// What may be written as a value. Displayed, it is what a refusal says after "allowed".
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A whole number, or text with a unit.
    Number(Unit, u64, u64),
    /// Bytes, or percent of the namespace.
    Extent,
    /// Text in a form that these words tell.
    Text(&'static str),
    /// `true` or `false`.
    Switch,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Number(Unit::Count, min, u64::MAX) => {
                write!(f, "a whole number of at least {min}")
            }
            Self::Number(Unit::Count, min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Number(unit, min, u64::MAX) => {
                write!(f, "at least \"{}\"", unit.format(min))
            }
            Self::Number(unit, min, max) => {
                write!(f, "\"{}\" to \"{}\"", unit.format(min), unit.format(max))
            }
            Self::Extent => {
                f.write_str("a size (\"1 GiB\") or a share of the namespace (\"25 %\")")
            }
            Self::Text(form) => f.write_str(form),
            Self::Switch => f.write_str("true, false"),
        }
    }
}

const fn key(name: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key {
        name,
        kind,
        default,
        meaning,
    }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Number(Unit::Count, min, max)
}

const TIME: Kind = Kind::Number(Unit::Nanoseconds, 0, u64::MAX);
const SOME_TIME: Kind = Kind::Number(Unit::Nanoseconds, 1, u64::MAX);
const SOME_BYTES: Kind = Kind::Number(Unit::Bytes, 1, u64::MAX);

/// The keys of a `[[job]]`.
pub const TOML_KEYS: [Key; 24] = [
    key(
        "name",
        Kind::Text("1 to 64 characters"),
        "`job1`, `job2`, ...",
        "What reports call it.",
    ),
    key(
        "rw",
        Kind::Text(RW),
        "required",
        "What it does, in order or (`rand...`) by lot.",
    ),
    key(
        "read_percent",
        count(0, 100),
        "50",
        "Share of reads, where it reads and writes.",
    ),
    key(
        "block_size",
        Kind::Text("a size (\"4 KiB\"), or sizes with percentages (\"4 KiB/60:16 KiB/40\")"),
        "\"4 KiB\"",
        "Size of its requests, a multiple of the logical block.",
    ),
    key(
        "iodepth",
        count(1, MAX_DEPTH),
        "1; any number where there is a rate",
        "Most requests that are in flight. A request that arrives and finds no place waits, and its latency counts from its arrival.",
    ),
    key(
        "rate_iops",
        count(1, 1_000_000_000),
        "none: a closed loop",
        "Requests that arrive per second, however late the drive is: an open loop.",
    ),
    key(
        "rate",
        Kind::Number(Unit::BytesPerSecond, 1, u64::MAX),
        "none: a closed loop",
        "The same in bytes.",
    ),
    key(
        "arrivals",
        Kind::Text("fixed, poisson"),
        "fixed",
        "Even gaps, or exponentially distributed ones. The first request comes at once.",
    ),
    key(
        "think_time",
        TIME,
        "0 ns",
        "How long it waits after its requests are done, before it issues more.",
    ),
    key(
        "think_after",
        count(1, 1_000_000_000),
        "1",
        "Requests between two times of thinking. All of them are done before it thinks.",
    ),
    key("offset", Kind::Extent, "0 B", "Where its region begins."),
    key(
        "offset_increment",
        Kind::Extent,
        "0 B",
        "How much further on the region of each next clone begins.",
    ),
    key(
        "size",
        Kind::Extent,
        "all that follows `offset`",
        "How large its region is.",
    ),
    key(
        "requests",
        count(1, u64::MAX),
        "any number",
        "It ends after so many, flushes not counted.",
    ),
    key("bytes", SOME_BYTES, "any number", "It ends after so many."),
    key(
        "runtime",
        SOME_TIME,
        "any time",
        "It ends after so long. Whichever of the limits is reached first ends it.",
    ),
    key(
        "distribution",
        Kind::Text(DISTRIBUTIONS),
        "uniform",
        "Where random requests go.",
    ),
    key(
        "random_map",
        Kind::Switch,
        "false",
        "Whether uniform random requests come to each place once before any place again.",
    ),
    key(
        "seed",
        count(0, u64::MAX),
        "follows from that of the run",
        "A seed of its own.",
    ),
    key(
        "jobs",
        count(1, 1_024),
        "1",
        "How many of it run side by side, each for itself.",
    ),
    key(
        "start_delay",
        TIME,
        "0 ns",
        "How long it waits before it starts.",
    ),
    key(
        "stonewall",
        Kind::Switch,
        "false",
        "Whether it, and all jobs after it, wait for the end of all jobs before it.",
    ),
    key(
        "flush_every",
        count(0, 1_000_000_000),
        "0: never",
        "A flush after so many of its writes.",
    ),
    key(
        "loops",
        count(1, 1_000_000_000),
        "1, where no other limit is set",
        "It ends after so many times its region's bytes.",
    ),
];

/// The keys as a table in Markdown.
#[must_use]
pub fn key_table() -> String {
    let mut text = String::from("| key | allowed | default | meaning |\n|---|---|---|---|\n");
    for Key {
        name,
        kind,
        default,
        meaning,
    } in TOML_KEYS
    {
        text += &format!("| `{name}` | {kind} | {default} | {meaning} |\n");
    }
    text
}
