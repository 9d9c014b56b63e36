//! NAND flash: what chips are made of and how long their operations take.
//!
//! A [`Package`] has channels (a bus each) and dies (an array each), and computes when the phases of
//! a read, a program or an erase are done: command and address, array, data, status.
//!
//! What this crate does not do: it maps nothing and collects no garbage (`ersatz-ftl`), holds no
//! data, reads no clock, and does not know a block's state: wear and age are given to it.
//!
//! Read next: [`Geometry`], [`PageTimes`] and [`CellType`], then [`Package`] over [`Die`] (who goes
//! first) and [`Calendar`] (a bus whose gaps can be used), then [`Reliability`]. [`femu`] has FEMU's
//! tables.

mod calendar;
mod cell;
mod die;
pub mod femu;
mod geometry;
mod package;
mod reliability;
mod span;

pub use calendar::Calendar;
pub use cell::{CellType, PageTimes};
pub use die::{Die, ReadPriority};
pub use geometry::{Geometry, GeometryError};
pub use package::{Bus, Operation, Package, Timing, Urgency};
pub use reliability::Reliability;
pub use span::{Recorder, Resource, Span, Work};
