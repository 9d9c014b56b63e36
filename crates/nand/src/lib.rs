//! NAND flash: what a chip is made of and how long its operations take.
//!
//! What this crate does not do: it maps nothing and collects no garbage (`ersatz-ftl`), and it holds
//! no data.
//!
//! Read next: [`CellType`] and [`PageTimes`].

mod cell;
pub mod femu;

pub use cell::{CellType, PageTimes};
