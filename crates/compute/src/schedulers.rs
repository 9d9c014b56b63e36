//! The schedulers, one file each.

mod deadline;
mod fair;
mod fifo;
mod grouped_fifo;
mod grouped_round_robin;
mod priority;
mod round_robin;
mod turns;

pub(crate) use deadline::DeadlineFirst;
pub(crate) use fair::FairShare;
pub(crate) use fifo::Fifo;
pub(crate) use grouped_fifo::GroupedFifo;
pub(crate) use grouped_round_robin::GroupedRoundRobin;
pub(crate) use priority::Priority;
pub(crate) use round_robin::RoundRobin;
