//! Program slots: Load Program and Program Activation Management.

use super::jobs::Jobs;
use super::{CostModel, CpConfig, DeviceProgram, LPG};
use crate::error::NvmeError;
use crate::set::{Cx, Step};
use ersatz_engine::Ns;
use ersatz_runtime::Program;
use nvme_spec::Status;
use nvme_spec::cp::{
    ActivationSelect, LoadProgramCdw10, Occupancy, ProgramActivationCdw10, ProgramDescriptor,
    ProgramIdType, ProgramState, ProgramType,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The slots that are not empty, by program index.
#[derive(Debug)]
pub(super) struct Programs(BTreeMap<u16, Slot>);

#[derive(Debug)]
struct Slot {
    header: Header,
    state: State,
}

enum State {
    /// The image's bytes so far.
    Loading(Vec<u8>),
    Loaded {
        program: Arc<dyn Program>,
        active: bool,
    },
    /// A program of the device's own.
    Fixed {
        program: DeviceProgram,
        active: bool,
    },
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loading(image) => write!(f, "Loading({} bytes)", image.len()),
            Self::Loaded { active, .. } => write!(f, "Loaded {{ active: {active} }}"),
            Self::Fixed { active, .. } => write!(f, "Fixed {{ active: {active} }}"),
        }
    }
}

/// What all Load Program commands of a program say alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    ptype: ProgramType,
    pit: ProgramIdType,
    pid: u64,
    psize: u64,
}

/// One Load Program command that loads.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    pind: u16,
    header: Header,
    numb: u64,
    loff: u64,
}

/// A program that may be executed.
pub(super) struct Active<'a> {
    pub(super) ptype: ProgramType,
    pub(super) program: &'a Arc<dyn Program>,
    /// What it says itself of its cost.
    pub(super) cost: Option<CostModel>,
}

impl Programs {
    pub(super) fn new(config: &CpConfig) -> Self {
        let slot = |program: &DeviceProgram| Slot {
            header: Header {
                ptype: ProgramType::DeviceDefined,
                pit: ProgramIdType::Puid,
                pid: program.puid,
                psize: 0,
            },
            state: State::Fixed {
                program: program.clone(),
                active: false,
            },
        };
        let slots = (0..config.slots).rev();
        let programs = config.device_programs.iter().map(slot);
        Self(slots.zip(programs).collect())
    }

    pub(super) fn load(
        &mut self,
        cx: &mut Cx<'_>,
        config: &CpConfig,
        jobs: &Jobs,
    ) -> Result<Step, NvmeError> {
        let cdw10 = LoadProgramCdw10::from_bits(cx.sqe.cdw10);
        let pind = in_range(cdw10.pind(), config)?;
        if self.0.get(&pind).is_some_and(Slot::is_fixed) {
            let reason = format!("slot {pind} has a program of the drive's own");
            return Err(NvmeError::new(
                Status::PROGRAM_INDEX_NOT_DOWNLOADABLE,
                reason,
            ));
        }
        if cdw10.unload() {
            return self.unload(pind, cx.now, jobs);
        }
        let chunk = Chunk {
            pind,
            header: Header {
                ptype: cdw10.ptype(),
                pit: cdw10.pit(),
                pid: cx.sqe.cdw12_13(),
                psize: cx.sqe.cdw11.into(),
            },
            numb: cx.sqe.cdw14.into(),
            loff: cx.sqe.cdw15.into(),
        };
        chunk.check(config)?;
        self.check_place(&chunk, config)?;
        self.add(cx, &chunk, config)
    }

    /// Whether the chunk may come now.
    fn check_place(&self, chunk: &Chunk, config: &CpConfig) -> Result<(), NvmeError> {
        let slot = self.0.get(&chunk.pind);
        let expected = match slot {
            Some(Slot {
                state: State::Loaded { .. } | State::Fixed { .. },
                ..
            }) => {
                let reason = format!("slot {} holds a program", chunk.pind);
                return Err(NvmeError::new(Status::PROGRAM_IN_USE, reason));
            }
            // Starting anew is how a host abandons a load that it, or another one, didn't finish.
            _ if chunk.loff == 0 => return self.check_total(chunk, config),
            Some(Slot {
                header,
                state: State::Loading(image),
            }) => {
                if *header != chunk.header {
                    let reason = "size, type or identifier differ from those at offset 0";
                    return Err(NvmeError::new(Status::INVALID_PROGRAM_DATA, reason));
                }
                image.len() as u64
            }
            None => 0,
        };
        if chunk.loff != expected {
            let reason = format!("offset {}, but {expected} bytes are there", chunk.loff);
            return Err(NvmeError::new(Status::INVALID_PROGRAM_DATA, reason));
        }
        Ok(())
    }

    /// Whether there is room for one more program. Its whole size is reserved with its first chunk.
    fn check_total(&self, chunk: &Chunk, config: &CpConfig) -> Result<(), NvmeError> {
        let others = self.0.iter().filter(|(pind, _)| **pind != chunk.pind);
        let reserved: u64 = others.map(|(_, slot)| slot.header.psize).sum();
        if reserved + chunk.header.psize > config.max_programs_total {
            let reason = format!("{} bytes more than {reserved}", chunk.header.psize);
            return Err(NvmeError::new(
                Status::MAXIMUM_PROGRAM_BYTES_EXCEEDED,
                reason,
            ));
        }
        Ok(())
    }

    /// Takes a chunk's bytes. With the last one the image becomes a program, or the slot is empty
    /// again.
    fn add(
        &mut self,
        cx: &mut Cx<'_>,
        chunk: &Chunk,
        config: &CpConfig,
    ) -> Result<Step, NvmeError> {
        // Bounded by the size of the largest program.
        let mut bytes = vec![0; chunk.numb as usize];
        cx.receive(&mut bytes)?;
        let arrived = cx.link.from_host(cx.now, chunk.numb);
        let mut image = match self.0.remove(&chunk.pind) {
            Some(Slot {
                state: State::Loading(image),
                ..
            }) if chunk.loff > 0 => image,
            _ => Vec::new(),
        };
        image.append(&mut bytes);
        let state = if (image.len() as u64) < chunk.header.psize {
            State::Loading(image)
        } else {
            let program = config
                .runtime(chunk.header.ptype)
                .ok_or_else(invalid_type)?;
            let program = program.load(&image, "").map_err(|error| NvmeError {
                at: Some(arrived),
                ..NvmeError::new(Status::INVALID_PROGRAM_DATA, error.to_string())
            })?;
            State::Loaded {
                program: Arc::from(program),
                active: false,
            }
        };
        self.0.insert(
            chunk.pind,
            Slot {
                header: chunk.header,
                state,
            },
        );
        Ok(Step::at(arrived))
    }

    fn unload(&mut self, pind: u16, now: Ns, jobs: &Jobs) -> Result<Step, NvmeError> {
        match &self.0.get(&pind).ok_or(Status::NO_PROGRAM)?.state {
            State::Loaded { active: true, .. } | State::Fixed { .. } => {
                return Err(NvmeError::new(Status::PROGRAM_IN_USE, "it is activated"));
            }
            State::Loaded { .. } if jobs.run_program(now, pind) => {
                return Err(NvmeError::transient(
                    Status::PROGRAM_IN_USE,
                    "it is running",
                ));
            }
            State::Loaded { .. } | State::Loading(_) => {}
        }
        self.0.remove(&pind);
        Ok(Step::done(0))
    }

    pub(super) fn manage_activation(
        &mut self,
        cx: &Cx<'_>,
        config: &CpConfig,
        jobs: &Jobs,
    ) -> Result<Step, NvmeError> {
        let cdw10 = ProgramActivationCdw10::from_bits(cx.sqe.cdw10);
        let pind = in_range(cdw10.pind(), config)?;
        let activate = match cdw10.sel() {
            ActivationSelect::Activate => true,
            ActivationSelect::Deactivate => false,
            _ => return Err(NvmeError::field("SEL is reserved")),
        };
        let activated = self.0.values().filter(|slot| slot.is_active()).count();
        let (State::Loaded { active, .. } | State::Fixed { active, .. }) =
            &mut self.0.get_mut(&pind).ok_or(Status::NO_PROGRAM)?.state
        else {
            let reason = "the program is not loaded completely";
            return Err(NvmeError::new(Status::INVALID_PROGRAM_DATA, reason));
        };
        if *active == activate {
            return Ok(Step::done(0));
        }
        if activate && config.max_activated > 0 && activated >= config.max_activated.into() {
            return Err(Status::MAXIMUM_PROGRAMS_ACTIVATED.into());
        }
        if !activate && jobs.run_program(cx.now, pind) {
            return Err(NvmeError::transient(
                Status::PROGRAM_IN_USE,
                "it is running",
            ));
        }
        *active = activate;
        Ok(Step::done(0))
    }

    /// The program to execute.
    pub(super) fn active(&self, pind: u16, config: &CpConfig) -> Result<Active<'_>, NvmeError> {
        let pind = in_range(pind, config)?;
        let slot = self.0.get(&pind).ok_or(Status::NO_PROGRAM)?;
        let (program, cost) = match &slot.state {
            State::Loaded {
                program,
                active: true,
            } => (program, None),
            State::Fixed {
                program,
                active: true,
            } => (&program.program, Some(program.cost)),
            _ => return Err(Status::PROGRAM_NOT_ACTIVATED.into()),
        };
        Ok(Active {
            ptype: slot.header.ptype,
            program,
            cost,
        })
    }

    /// All slots, by program index.
    pub(super) fn list(&self, slots: u16) -> Vec<ProgramDescriptor> {
        let descriptor = |pind| self.0.get(&pind).map(Slot::descriptor).unwrap_or_default();
        (0..slots).map(descriptor).collect()
    }
}

impl Slot {
    fn is_active(&self) -> bool {
        matches!(
            self.state,
            State::Loaded { active: true, .. } | State::Fixed { active: true, .. }
        )
    }

    fn is_fixed(&self) -> bool {
        matches!(self.state, State::Fixed { .. })
    }

    /// A slot counts as occupied when its program is complete.
    fn descriptor(&self) -> ProgramDescriptor {
        let mut descriptor = ProgramDescriptor::default();
        let (occupancy, active) = match self.state {
            State::Loading(_) => return descriptor,
            State::Loaded { active, .. } => (Occupancy::Downloaded, active),
            State::Fixed { active, .. } => (Occupancy::DeviceDefined, active),
        };
        descriptor.state = ProgramState::new()
            .with_peocc(occupancy)
            .with_act(active)
            .with_pit(self.header.pit);
        descriptor.ptype = self.header.ptype;
        descriptor.pid = self.header.pid;
        descriptor
    }
}

impl Chunk {
    /// Checks what doesn't depend on the slot.
    fn check(&self, config: &CpConfig) -> Result<(), NvmeError> {
        let psize = self.header.psize;
        if config.runtime(self.header.ptype).is_none() {
            return Err(invalid_type());
        }
        if !matches!(self.header.pit, ProgramIdType::None | ProgramIdType::Puid) {
            return Err(NvmeError::field("PIT is reserved"));
        }
        if psize == 0 || !psize.is_multiple_of(1 << LPG) {
            let reason = format!("a program of {psize} bytes");
            return Err(NvmeError::new(Status::INVALID_PROGRAM_DATA, reason));
        }
        if psize > config.max_program || self.loff + self.numb > psize {
            let reason = format!("{} bytes at {} of {psize}", self.numb, self.loff);
            return Err(NvmeError::new(Status::PROGRAM_TOO_BIG, reason));
        }
        if self.numb == 0 || self.numb > config.max_transfer {
            return Err(NvmeError::field(format!("a chunk of {} bytes", self.numb)));
        }
        Ok(())
    }
}

fn in_range(pind: u16, config: &CpConfig) -> Result<u16, NvmeError> {
    if pind < config.slots {
        return Ok(pind);
    }
    let reason = format!("{pind}, but there are {} slots", config.slots);
    Err(NvmeError::new(Status::INVALID_PROGRAM_INDEX, reason))
}

fn invalid_type() -> NvmeError {
    Status::INVALID_PROGRAM_TYPE.into()
}
