//! What is asked of a drive, and when: as data, with no drive in it.
//!
//! A [`Request`] is one command in logical blocks of a namespace. A [`Source`] says which of them
//! may be issued at which time, and is told when one of them is done; so a simulator runs open
//! loops, whose requests come however late the drive is, and closed loops, which wait for it, the
//! same way. There are two sources: a trace, which somebody has recorded
//! ([`trace::Reader`], in five formats), and a [`Workload`], which is made up as it goes along,
//! after the description in a [`JobFile`] (our TOML or fio's job file).
//!
//! What this crate does not do: it has no queues and no data, measures nothing, and does not know
//! whether a namespace has the blocks that a trace asks for; a drive refuses what it doesn't have.
//!
//! The same file, namespace and seed give the same requests, as long as the completions that the
//! source is told of are the same. Logarithms and powers come from the crate `libm`, so this holds
//! across machines too.
//!
//! Read next: `docs/workloads.md` for all formats and keys, `source.rs` for the contract with a
//! simulator, `trace/reader.rs` for how a line becomes a request, `workload.rs` for the state of a
//! running job, `generate/` for where it goes and when.

mod generate;
mod job;
mod request;
mod source;
pub mod trace;
mod workload;

pub use job::{
    Amount, Arrivals, Distribution, Extent, Ignored, Job, JobFile, JobFileError, Key, MAX_CLONES,
    MAX_FILE_SIZE, Mix, Place, Problem, Rate, Refused, Rw, TOML_KEYS, Zone, key_table,
};
pub use request::{Op, Request};
pub use source::{ClosedLoop, Source, SourceError};
pub use workload::{Target, Workload};
