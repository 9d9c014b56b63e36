//! Execute Program: from the command to its completion.

use super::executor::Work;
use super::jobs::{Job, Price};
use super::programs::Active;
use super::services::DriveServices;
use super::{Cp, ranges};
use crate::error::NvmeError;
use crate::set::{Cx, Step};
use ersatz_compute::{CostModel, GroupId};
use ersatz_engine::Ns;
use ersatz_runtime::{Fault, Program, Segment};
use nvme_spec::Status;
use nvme_spec::cp::{Execute, ExecuteCdw14};
use nvme_spec::slm::MemoryRange;
use std::sync::Arc;

/// Bytes that Execute Program may bring along, range descriptors included (DLEN).
pub const MAX_DATA: u64 = 64 << 10;

/// Jobs that a compute namespace takes at a time: as many as 64 queues of 1024 entries hold. One
/// more is refused, with Insufficient Program Resources.
pub const MAX_JOBS: usize = 1 << 16;
/// Bytes of commands' data and ranges that the jobs whose programs have not yet run may keep in
/// memory: all queues together could hold gigabytes. A job beyond is refused in the same way.
pub const MAX_JOB_BYTES: u64 = 64 << 20;

/// The program faulted: SCT 1h, C0h, vendor specific, because no standard status says so.
pub const PROGRAM_FAULT: Status = Status::new(1, 0xC0);

/// The program used its budget of instructions up: SCT 1h, C1h, vendor specific as well.
pub const BUDGET_USED_UP: Status = Status::new(1, 0xC1);

/// The status of a program that failed. The same program fails again on the same memory, so
/// there is no use in trying again.
fn status_of(fault: &Fault) -> Status {
    match fault {
        Fault::Budget { .. } => BUDGET_USED_UP,
        _ => PROGRAM_FAULT,
    }
}

/// What a job ended with, in the words that its host's programmer needs.
pub(super) fn failure(program: &dyn Program, fault: &Fault) -> NvmeError {
    let reason = match fault.pc().and_then(|pc| program.place(pc)) {
        Some(place) => format!("{fault} ({place})"),
        None => fault.to_string(),
    };
    NvmeError::new(status_of(fault), reason)
}

impl Cp {
    pub(super) fn execute(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let execute = Execute::from_sqe(cx.sqe);
        if ExecuteCdw14::from_bits(cx.sqe.cdw14).rsvd() != 0 {
            return Err(NvmeError::field("bits 31:8 of CDW14 are reserved"));
        }
        self.check(&execute)?;
        if execute.dlen > 0 && cx.link.is_modelled() {
            // All that was checked is checked again then: much may happen until the data is here.
            return Ok(Step::Resume {
                at: cx.link.from_host(cx.now, execute.dlen.into()),
            });
        }
        self.execute_arrived(cx)
    }

    /// The command's data has arrived: the job begins as soon as a unit is free.
    pub(super) fn execute_arrived(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        let execute = Execute::from_sqe(cx.sqe);
        let active = self.check(&execute)?;
        let (class, price) = self.price(&active, &execute);
        let program = Arc::clone(active.program);
        let held = u64::from(execute.dlen) + u64::from(execute.numr) * size_of::<Segment>() as u64;
        self.jobs.check_room(cx.now, held)?;
        let mut data = vec![0; execute.dlen as usize];
        cx.receive(&mut data)?;
        // Not more than DLEN, as `check` has seen.
        let of_program = data.split_off(execute.numr as usize * size_of::<MemoryRange>());
        let window = if execute.rsid == 0 {
            Arc::new(ranges::window(cx, &self.config, &data)?)
        } else {
            Arc::clone(self.sets.get(execute.rsid)?)
        };
        let bytes = window.segments().iter().map(|segment| segment.len).sum();
        let services = DriveServices::new(cx, &self.config.reads, self.jobs.prints());
        let job = Job {
            token: cx.token,
            pind: execute.pind,
            rsid: execute.rsid,
            class,
            group: GroupId(execute.group),
            bytes,
            held,
            price,
            program: Arc::clone(&program),
            services: Arc::new(services),
            outcome: Err(Status::INTERNAL_ERROR.into()),
            copied: 0,
            ran: false,
            abandoned: Arc::default(),
        };
        let work = Work {
            program,
            window,
            parameters: [execute.cparam1, execute.cparam2],
            data: of_program,
            budget: self.config.budget,
            services: Arc::clone(&job.services),
            abandoned: Arc::clone(&job.abandoned),
        };
        self.jobs.start(job, work, &mut cx.flash())
    }

    /// The class of units that a program runs on, and what its job will cost there.
    fn price(&self, active: &Active<'_>, execute: &Execute) -> (usize, Price) {
        let (class, model) = self.config.placement(active.ptype, active.cost);
        let price = Price {
            model,
            speed: self.config.speed(class),
            given: Ns(execute.runtime.into()),
        };
        (class, price)
    }

    /// Checks all that can be told without the command's data.
    fn check(&self, execute: &Execute) -> Result<Active<'_>, NvmeError> {
        let active = self.programs.active(execute.pind, &self.config)?;
        let (_, model) = self.config.placement(active.ptype, active.cost);
        match (model, execute.runtime) {
            (CostModel::Given, 0) => {
                return Err(NvmeError::field(
                    "the command has to say what the job takes",
                ));
            }
            (CostModel::Given, _) | (_, 0) => {}
            (_, _) => {
                return Err(NvmeError::field(
                    "what the job takes is not the command's to say",
                ));
            }
        }
        if !self.jobs.has_group(GroupId(execute.group)) {
            return Err(NvmeError::field(format!(
                "there is no job group {}",
                execute.group
            )));
        }
        if execute.rsid != 0 && execute.numr != 0 {
            return Err(NvmeError::field("a memory range set, and ranges besides"));
        }
        ranges::check_count(execute.numr, &self.config)?;
        let dlen = u64::from(execute.dlen);
        if dlen < u64::from(execute.numr) * size_of::<MemoryRange>() as u64 {
            return Err(NvmeError::field("DLEN is shorter than the ranges"));
        }
        if dlen > MAX_DATA.min(self.config.max_transfer) {
            return Err(NvmeError::field(format!("DLEN is {dlen} bytes")));
        }
        if execute.rsid != 0 {
            self.sets.get(execute.rsid)?;
        }
        Ok(active)
    }
}
