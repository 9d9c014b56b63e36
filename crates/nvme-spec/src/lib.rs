//! The wire types of NVM Express: controller registers, queue entries, command dwords, Identify
//! data structures, log pages, features and status codes.
//!
//! Every type has exactly the bytes that the specification gives it (asserted at compile time)
//! and converts to and from bytes with `zerocopy`. Values that the specification reserves stay
//! representable: what comes from the other side of the cable is data, never undefined behaviour.
//!
//! Two layouts of the computational command sets are not public; they were chosen here, and say so:
//! [`identify::IdentifyNamespaceSlm`] and [`log::CpLogHeader`] with its entries.
//!
//! This crate does *not* judge: it does not validate commands, decide which status a mistake
//! earns, or know what a controller supports. It allocates nothing and has no `unsafe` code.
//! NVMe over Fabrics capsules are not here.
//!
//! Conventions:
//! * Names are the abbreviations of the specification, in lower case.
//! * The suffix `_z` marks a *0's-based* value: 0 means one.
//! * Fields that the specification leaves misaligned have the alignment-free integer types of
//!   [`zerocopy::little_endian`]; all others are native integers, which is why this crate refuses
//!   to compile for a big-endian host.
//! * "Base" is the NVM Express Base Specification, "NVM" the NVM Command Set Specification, "SLM"
//!   and "CP" the Subsystem Local Memory and Computational Programs Command Sets. Section and
//!   figure numbers are those of Base 2.2 and NVM 1.2.
//!
//! Read next: [`register`] for what is in BAR 0, [`queue`] for the two queue entries, [`status`]
//! for how a command ends, [`opcode`] for what a command is, then [`admin`], [`feature`] and the
//! module of a command set ([`nvm`], [`slm`], [`cp`]) for what its dwords mean; [`identify`] and
//! [`log`] for what a controller says about itself.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("NVMe is little-endian on the wire and these types are native integers");

#[cfg(test)]
extern crate std;

#[macro_use]
mod macros;

pub mod admin;
pub mod cp;
pub mod feature;
pub mod identify;
pub mod log;
pub mod nvm;
pub mod opcode;
pub mod queue;
pub mod register;
pub mod slm;
pub mod status;
pub mod vendor;

pub use admin::{Cns, Csi, Lid};
pub use feature::Fid;
pub use opcode::{AdminOpcode, CpOpcode, KvOpcode, NvmOpcode, SlmOpcode, ZnsOpcode};
pub use queue::{Cqe, SglDescriptor, Sqe};
pub use status::Status;

/// The NSID that names no namespace.
pub const NSID_NONE: u32 = 0;
/// The NSID that names all namespaces (the *broadcast value*).
pub const NSID_ALL: u32 = 0xFFFF_FFFF;
