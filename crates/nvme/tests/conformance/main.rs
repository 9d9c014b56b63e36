//! What a host may count on, as the specification has it: the real driver against the real
//! controller, and raw registers and queue entries where a driver would not go.

#[path = "../common/mod.rs"]
mod common;

mod abort;
mod blocks;
mod csd;
mod data;
mod events;
mod features;
mod format;
mod fused;
mod identify;
mod interrupts;
mod io;
mod lifecycle;
mod logs;
mod protection;
mod queues;
mod reset;
mod shadow;
mod time;
