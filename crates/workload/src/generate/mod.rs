//! Where the requests of a job go, how large they are and when they come: everything that is drawn
//! by lot.

mod address;
mod arrivals;
mod permutation;
mod sizes;
mod zipf;

pub(crate) use address::Addresses;
pub(crate) use arrivals::Clockwork;
pub(crate) use sizes::Sizes;
