//! FEMU's black-box drive, exactly: the same latency of every request, the same counters.
//!
//! For results that carry over from FEMU (`MoatLab/FEMU`, `hw/femu/bbssd`, commit 99ce4fb2b26a, without
//! FDP). What FEMU gets wrong is kept, because a difference of one nanosecond in a timeline grows:
//! no bus time on the channels, only the first plane stores data, whole pages are written and
//! dropped for parts of them, garbage collection runs within the request that triggers it. The one
//! exception is a drive that runs out of free lines: FEMU aborts, this one fails the write and
//! becomes read-only.
//!
//! Read next: [`Config`], then `model.rs` (a request from page range to finish time), the crate's
//! `lines.rs` (which line is collected, and why the heap is spelled out), then the parts that few
//! drives have: `dftl.rs`, `logs.rs`, `cache.rs`. [`Properties`] reads FEMU's own command line.

mod cache;
mod config;
mod dftl;
mod logs;
mod luns;
mod model;
mod properties;
mod seam;
mod state;

pub use crate::victim::VictimPolicy;
pub use cache::Eviction;
pub use config::{Config, ConfigError, Mapping, PageTypes, ReadCacheConfig};
pub use model::Femu;
pub use properties::{Mode, Properties, PropertyError, Use};
pub use state::State;
