//! The default drive: a page-mapped translation layer on [`ersatz_nand`]'s chips.
//!
//! What FEMU's drive lacks is here, each as one setting of [`Config`]: planes that store data and
//! program together, phases on the channels, suspension of programs and erases, a write buffer
//! (protected against power loss or volatile), partial pages with read-modify-write, deallocation
//! that keeps what it does not cover, over-provisioning, streams with write frontiers of their own,
//! garbage collection page by page that lets host reads go first, also when the drive is idle, wear
//! levelling, bad blocks and spares, programs that fail, read retries by wear, age and read disturb, refresh, a mapping
//! cache whose data waits for its translation and whose pages wear the same blocks, and ageing before the first request.
//!
//! A line is one block of every plane of every die. Physical pages are numbered such that the next
//! one to be written is the next number: first the planes of a die (a unit, programmed at once),
//! then the dies (channel by channel), then the pages of a block.
//!
//! What is not modelled: data (see [`Watch`] for who wants to follow it); what collection changes in
//! translation pages, which it does in memory; programs that fail while the drive is aged; the link and
//! the firmware, which are the controller's.
//!
//! Read next: [`Config`], then `model.rs` (the map, reads), `write.rs` (buffer, units, frontiers),
//! `trim.rs`, `collect.rs` (who is collected, when, and at whose expense).

mod buffer;
mod collect;
mod config;
mod model;
mod precondition;
mod seam;
#[cfg(test)]
mod tests;
mod trim;
mod watch;
mod write;

pub use config::{BufferConfig, Config, ConfigError, GcConfig};
pub use model::PageFtl;
pub use precondition::{Pattern, Precondition};
pub use watch::{Source, Watch};
