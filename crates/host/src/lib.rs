//! The other side of the cable.
pub mod command;
pub mod driver;
mod device;
mod error;

pub use device::{Device, Transfer};
pub use error::Error;
