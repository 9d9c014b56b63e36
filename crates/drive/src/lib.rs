//! A drive file becomes a drive, and a drive serves its clients.
//!
//! [`Drive::build`] makes the parts that a [`DriveFile`](ersatz_drive_file::DriveFile) describes and
//! puts them together; [`serve`] is the edge: the one loop that reads a clock, waits on descriptors
//! and calls the state machine.
//!
//! Read next: [`serve::Server::run`], then `Controller::poll` in `ersatz-nvme`.

mod build;
pub mod freeze;
pub mod serve;
mod store;

pub use build::{BuildError, Drive, Execution, NATIVE_CHILD};
pub use store::StoreError;
