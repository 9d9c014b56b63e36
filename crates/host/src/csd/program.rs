//! Programs: loading, activating and executing them, and the memory that they work on.

use super::log::LogReader;
use super::memory::check_memory;
use super::split::parts;
use super::{ADMIN_TIMEOUT, ComputeNamespace, Csd, MemoryAt};
use crate::error::Doing;
use crate::{Error, Transfer};
use nvme_spec::cp::{
    ActivationSelect, Execute, LoadProgramCdw10, MemoryRangeSetCdw10, MemoryRangeSetCdw11,
    MemoryRangeSetSelect, Occupancy, ProgramActivationCdw10, ProgramDescriptor, ProgramIdType,
    ProgramType,
};
use nvme_spec::log::{CpLogHeader, DownloadableProgramType, MemoryRangeSetEntry};
use nvme_spec::slm::MemoryRange;
use nvme_spec::{AdminOpcode, Csi, Lid, Sqe};
use zerocopy::{FromBytes, IntoBytes};

/// A program in a slot of a compute namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program Index: the slot.
    pub pind: u16,
    /// What kind of program it is.
    pub ptype: ProgramType,
    /// Its Program Unique Identifier, if it has one.
    pub puid: Option<u64>,
    /// Whether the device brought it along, so that it can't be unloaded.
    pub built_in: bool,
    /// Whether it can be executed.
    pub active: bool,
}

/// A memory range set of a compute namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeSet {
    /// Memory Range Set Identifier.
    pub rsid: u16,
    /// How many ranges it has.
    pub ranges: u8,
}

/// The memory that an execution works on.
#[derive(Clone, Copy, Debug)]
pub enum Ranges<'a> {
    /// These, in this order; there may be none.
    Inline(&'a [MemoryRange]),
    /// Those of a set that was created before.
    Set(u16),
}

impl Default for Ranges<'_> {
    fn default() -> Self {
        Self::Inline(&[])
    }
}

/// An execution of a program.
#[derive(Clone, Copy, Debug, Default)]
pub struct Job<'a> {
    /// Program Index: the slot of an active program.
    pub pind: u16,
    /// The memory that it works on.
    pub ranges: Ranges<'a>,
    /// Command Parameters 1 and 2.
    pub params: [u64; 2],
    /// Bytes for the program, which come with the command.
    pub data: &'a [u8],
    /// Its job group, Ersatz's own; 0 for none.
    pub group: u8,
    /// What it takes, in ns, where the drive's cost model is that the command says so; else 0.
    pub runtime: u32,
}

impl Csd {
    /// What is in each program slot, from 0 on.
    ///
    /// # Errors
    /// When the drive refuses.
    pub fn slots(&mut self, nsid: u32) -> Result<Vec<ProgramDescriptor>, Error> {
        self.compute_namespace(nsid)?;
        // Program indices have 16 bits.
        self.cp_log(Lid::ProgramList, nsid, 1 << 16)
    }

    /// The programs that a compute namespace has.
    ///
    /// # Errors
    /// When the drive refuses.
    pub fn programs(&mut self, nsid: u32) -> Result<Vec<Program>, Error> {
        let slots = self.slots(nsid)?;
        let slots = (0..).zip(slots);
        Ok(slots
            .filter_map(|(pind, slot)| program(pind, &slot))
            .collect())
    }

    /// The first program slot that is empty.
    ///
    /// # Errors
    /// When there is none, or the drive refuses.
    pub fn free_slot(&mut self, nsid: u32) -> Result<u16, Error> {
        let slots = self.slots(nsid)?;
        let empty = |slot: &ProgramDescriptor| slot.state.peocc() == Occupancy::Empty;
        match slots.iter().position(empty) {
            Some(pind) => Ok(pind as u16),
            None => Err(Error::refused(format!(
                "all {} program slots of namespace {nsid} are taken",
                slots.len()
            ))),
        }
    }

    /// The types of programs that can be loaded.
    ///
    /// # Errors
    /// When the drive refuses.
    pub fn program_types(&mut self, nsid: u32) -> Result<Vec<ProgramType>, Error> {
        self.compute_namespace(nsid)?;
        let entries: Vec<DownloadableProgramType> =
            self.cp_log(Lid::DownloadableProgramTypes, nsid, 256)?;
        Ok(entries.iter().map(|entry| entry.ptype).collect())
    }

    /// The memory range sets that a compute namespace has.
    ///
    /// # Errors
    /// When the drive refuses.
    pub fn range_sets(&mut self, nsid: u32) -> Result<Vec<RangeSet>, Error> {
        self.compute_namespace(nsid)?;
        let entries: Vec<MemoryRangeSetEntry> = self.cp_log(Lid::MemoryRangeSets, nsid, 1 << 16)?;
        let set = |entry: &MemoryRangeSetEntry| RangeSet {
            rsid: entry.rsid,
            ranges: entry.numr,
        };
        Ok(entries.iter().map(set).collect())
    }

    fn cp_log<T: FromBytes>(&mut self, lid: Lid, nsid: u32, most: u32) -> Result<Vec<T>, Error> {
        let mut log = LogReader::new(&mut *self.device, lid, nsid, Csi::Cp);
        let header: CpLogHeader = log.read()?;
        if header.num > most {
            return Err(Error::protocol(format!(
                "log {:02X}h has {} entries, {most} are possible",
                lid.0, header.num
            )));
        }
        (0..header.num).map(|_| log.read()).collect()
    }

    /// Loads a program into an empty slot, in as many commands as it takes. The image is padded
    /// with zeros to the namespace's load granularity. If a part is refused, what was loaded
    /// before is unloaded again.
    ///
    /// # Errors
    /// When the image is empty or too big, or the drive refuses it.
    pub fn load(
        &mut self,
        nsid: u32,
        pind: u16,
        ptype: ProgramType,
        puid: Option<u64>,
        image: &[u8],
    ) -> Result<(), Error> {
        let compute = self.compute_namespace(nsid)?;
        let unit = u64::from(compute.load_granularity);
        let size = (image.len() as u64).next_multiple_of(unit);
        let psize = u32::try_from(size).map_err(|_| too_big(image, &compute))?;
        if size > compute.max_program_bytes {
            return Err(too_big(image, &compute));
        }
        if image.is_empty() {
            return Err(Error::refused("the program is empty"));
        }
        let step = self.device.max_transfer() as u64 / unit * unit;
        if step == 0 {
            return Err(Error::Unsupported(format!(
                "parts of {unit} bytes, the least that namespace {nsid} takes, do not fit a command"
            )));
        }
        let mut padded = image.to_vec();
        padded.resize(size as usize, 0);
        let cdw10 = LoadProgramCdw10::new()
            .with_pind(pind)
            .with_ptype(ptype)
            .with_pit(match puid {
                Some(_) => ProgramIdType::Puid,
                None => ProgramIdType::None,
            });
        for (loff, numb) in parts(size, step) {
            let mut sqe = Sqe {
                cdw10: cdw10.into(),
                cdw11: psize,
                cdw14: numb as u32,
                cdw15: loff as u32,
                ..Sqe::new(AdminOpcode::LoadProgram, nsid)
            };
            sqe.set_cdw12_13(puid.unwrap_or(0));
            let part = Transfer::Write(&padded[loff as usize..(loff + numb) as usize]);
            let loaded = self.device.admin(&sqe, part, ADMIN_TIMEOUT);
            // Of a first part that is refused nothing is left, but the slot may be another's.
            if loff > 0 && loaded.as_ref().is_err_and(|error| error.status().is_some()) {
                // What counts is the first error.
                let _ = self.unload(nsid, pind);
            }
            loaded
                .doing(|| format!("load {size} bytes into program slot {pind}, from {loff} on"))?;
        }
        Ok(())
    }

    /// Empties a program slot.
    ///
    /// # Errors
    /// When the drive refuses, as for a program that is active or built in.
    pub fn unload(&mut self, nsid: u32, pind: u16) -> Result<(), Error> {
        self.compute_namespace(nsid)?;
        let cdw10 = LoadProgramCdw10::new().with_pind(pind).with_unload(true);
        let sqe = Sqe {
            cdw10: cdw10.into(),
            ..Sqe::new(AdminOpcode::LoadProgram, nsid)
        };
        self.device
            .admin(&sqe, Transfer::None, ADMIN_TIMEOUT)
            .doing(|| format!("unload program slot {pind}"))?;
        Ok(())
    }

    /// Makes a program executable.
    ///
    /// # Errors
    /// When the drive refuses.
    pub fn activate(&mut self, nsid: u32, pind: u16) -> Result<(), Error> {
        self.set_active(nsid, pind, ActivationSelect::Activate)
            .doing(|| format!("activate program slot {pind}"))
    }

    /// The opposite of [`activate`](Self::activate).
    ///
    /// # Errors
    /// When the drive refuses, as for a program that is being executed.
    pub fn deactivate(&mut self, nsid: u32, pind: u16) -> Result<(), Error> {
        self.set_active(nsid, pind, ActivationSelect::Deactivate)
            .doing(|| format!("deactivate program slot {pind}"))
    }

    fn set_active(&mut self, nsid: u32, pind: u16, sel: ActivationSelect) -> Result<(), Error> {
        self.compute_namespace(nsid)?;
        let cdw10 = ProgramActivationCdw10::new().with_pind(pind).with_sel(sel);
        let sqe = Sqe {
            cdw10: cdw10.into(),
            ..Sqe::new(AdminOpcode::ProgramActivationManagement, nsid)
        };
        self.device.admin(&sqe, Transfer::None, ADMIN_TIMEOUT)?;
        Ok(())
    }

    /// Creates a memory range set and returns its identifier.
    ///
    /// # Errors
    /// When the ranges can't be those of a set, or the drive refuses.
    pub fn create_range_set(&mut self, nsid: u32, ranges: &[MemoryRange]) -> Result<u16, Error> {
        self.check_ranges(nsid, ranges)?;
        if ranges.is_empty() {
            return Err(Error::refused("a memory range set has at least one range"));
        }
        let cdw10 = MemoryRangeSetCdw10::new().with_sel(MemoryRangeSetSelect::Create);
        let sqe = Sqe {
            cdw10: cdw10.into(),
            cdw11: MemoryRangeSetCdw11::new()
                .with_numr(ranges.len() as u8)
                .into(),
            ..Sqe::new(AdminOpcode::MemoryRangeSetManagement, nsid)
        };
        let created = self
            .device
            .admin(&sqe, Transfer::Write(ranges.as_bytes()), ADMIN_TIMEOUT)
            .doing(|| format!("create a set of {} memory ranges", ranges.len()))?;
        match created as u16 {
            0 => Err(Error::protocol("a memory range set with identifier 0")),
            rsid => Ok(rsid),
        }
    }

    /// Deletes a memory range set.
    ///
    /// # Errors
    /// When the drive refuses, as for a set that is in use.
    pub fn delete_range_set(&mut self, nsid: u32, rsid: u16) -> Result<(), Error> {
        self.compute_namespace(nsid)?;
        let cdw10 = MemoryRangeSetCdw10::new()
            .with_sel(MemoryRangeSetSelect::Delete)
            .with_rsid(rsid);
        let sqe = Sqe {
            cdw10: cdw10.into(),
            ..Sqe::new(AdminOpcode::MemoryRangeSetManagement, nsid)
        };
        self.device
            .admin(&sqe, Transfer::None, ADMIN_TIMEOUT)
            .doing(|| format!("delete memory range set {rsid}"))?;
        Ok(())
    }

    /// Executes an active program, waits for its end, and returns its value.
    ///
    /// Where CDW4 does not reach the drive (see [`Device::sends_cdw4_5`]), ranges are made a set
    /// for the time of the execution, and `data` are not possible: put them into device memory.
    ///
    /// # Errors
    /// When the ranges or data are not possible, the program fails, or the drive refuses.
    ///
    /// [`Device::sends_cdw4_5`]: crate::Device::sends_cdw4_5
    pub fn execute(&mut self, nsid: u32, job: &Job<'_>) -> Result<u64, Error> {
        match job.ranges {
            Ranges::Inline(ranges) => self.check_ranges(nsid, ranges)?,
            Ranges::Set(0) => return Err(Error::refused("no memory range set has identifier 0")),
            Ranges::Set(_) => {
                self.compute_namespace(nsid)?;
            }
        }
        if self.device.sends_cdw4_5() {
            return self.send_execute(nsid, job);
        }
        if !job.data.is_empty() {
            return Err(Error::Unsupported(
                "data can't come with Execute Program through Linux's passthrough, which does not \
                 send their length (DLEN in CDW4): put them into device memory"
                    .into(),
            ));
        }
        match job.ranges {
            Ranges::Inline(ranges @ [_, ..]) => {
                let rsid = self.create_range_set(nsid, ranges)?;
                let ranges = Ranges::Set(rsid);
                let result = self.send_execute(nsid, &Job { ranges, ..*job });
                let deleted = self.delete_range_set(nsid, rsid);
                let value = result?;
                deleted.map(|()| value)
            }
            _ => self.send_execute(nsid, job),
        }
    }

    fn send_execute(&mut self, nsid: u32, job: &Job<'_>) -> Result<u64, Error> {
        let (ranges, rsid) = match job.ranges {
            Ranges::Inline(ranges) => (ranges, 0),
            Ranges::Set(rsid) => (&[][..], rsid),
        };
        let data = [ranges.as_bytes(), job.data].concat();
        let max = self.device.max_transfer();
        if data.len() > max {
            return Err(Error::refused(format!(
                "{} bytes of ranges and data, {max} fit one command",
                data.len()
            )));
        }
        let sqe = Execute {
            pind: job.pind,
            rsid,
            numr: ranges.len() as u32,
            dlen: data.len() as u32,
            cparam1: job.params[0],
            cparam2: job.params[1],
            group: job.group,
            runtime: job.runtime,
        }
        .into_sqe(nsid);
        let data = match data.is_empty() {
            true => Transfer::None,
            false => Transfer::Write(&data),
        };
        self.device
            .io(&sqe, data, self.execute_timeout)
            .doing(|| format!("execute program slot {}", job.pind))
    }

    fn check_ranges(&self, nsid: u32, ranges: &[MemoryRange]) -> Result<(), Error> {
        let compute = self.compute_namespace(nsid)?;
        check_ranges(&compute, ranges)?;
        for range in ranges {
            let memory = self.memory_namespace(range.mnsid)?;
            let at = MemoryAt {
                nsid: range.mnsid,
                byte: range.sb,
            };
            check_memory(&memory, at, range.length.into())?;
        }
        Ok(())
    }
}

fn program(pind: u16, slot: &ProgramDescriptor) -> Option<Program> {
    let occupancy = slot.state.peocc();
    (occupancy != Occupancy::Empty).then(|| Program {
        pind,
        ptype: slot.ptype,
        puid: (slot.state.pit() == ProgramIdType::Puid).then_some(slot.pid),
        built_in: occupancy == Occupancy::DeviceDefined,
        active: slot.state.act(),
    })
}

fn too_big(image: &[u8], compute: &ComputeNamespace) -> Error {
    Error::refused(format!(
        "a program of {} bytes is more than the {} that namespace {} has room for",
        image.len(),
        compute.max_program_bytes,
        compute.nsid
    ))
}

/// Refuses ranges that no compute namespace of this kind would take.
fn check_ranges(compute: &ComputeNamespace, ranges: &[MemoryRange]) -> Result<(), Error> {
    let (nsid, max, unit) = (compute.nsid, compute.max_ranges, compute.range_granularity);
    if ranges.len() > max.into() {
        return Err(Error::refused(format!(
            "{} memory ranges, namespace {nsid} takes {max}",
            ranges.len()
        )));
    }
    for (i, range) in ranges.iter().enumerate() {
        let length = u64::from(range.length);
        if !range.sb.is_multiple_of(unit) || !length.is_multiple_of(unit) || length == 0 {
            return Err(Error::refused(format!(
                "memory range {i}, {length} bytes from {} on: place and length must be multiples \
                 of {unit}, and the length not 0",
                range.sb
            )));
        }
        let overlaps = |other: &&MemoryRange| {
            let (a, b) = (range, *other);
            a.mnsid == b.mnsid
                && a.sb.saturating_sub(b.sb) < b.length.into()
                && b.sb.saturating_sub(a.sb) < length
        };
        if let Some(other) = ranges[..i].iter().find(overlaps) {
            return Err(Error::refused(format!(
                "memory range {i} overlaps that from {} on",
                other.sb
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvme_spec::cp::ProgramState;

    #[test]
    fn a_slot_is_a_program_unless_it_is_empty() {
        let mut slot = ProgramDescriptor::default();
        assert_eq!(program(3, &slot), None);
        slot.state = ProgramState::new()
            .with_peocc(Occupancy::Downloaded)
            .with_act(true);
        slot.ptype = ProgramType(0xC1);
        slot.pid = 9;
        let found = program(3, &slot).expect("occupied");
        assert_eq!(
            (found.pind, found.ptype, found.puid),
            (3, ProgramType(0xC1), None)
        );
        assert!(found.active && !found.built_in);
        slot.state = slot.state.with_pit(ProgramIdType::Puid);
        assert_eq!(program(3, &slot).expect("occupied").puid, Some(9));
    }

    #[test]
    fn ranges_are_counted_aligned_and_apart() {
        let compute = ComputeNamespace {
            nsid: 3,
            about: Default::default(),
            max_active: None,
            max_range_sets: 8,
            max_ranges: 2,
            range_granularity: 16,
            max_program_bytes: 1 << 20,
            load_granularity: 1,
        };
        let range = MemoryRange::new;
        assert!(check_ranges(&compute, &[]).is_ok());
        assert!(check_ranges(&compute, &[range(2, 0, 32), range(2, 32, 16)]).is_ok());
        assert!(check_ranges(&compute, &[range(2, 0, 32), range(4, 0, 32)]).is_ok());
        for bad in [
            &[range(2, 0, 16); 3][..],
            &[range(2, 8, 16)],
            &[range(2, 16, 8)],
            &[range(2, 16, 0)],
            &[range(2, 16, 32), range(2, 32, 16)],
            &[range(2, 32, 16), range(2, 16, 32)],
            &[range(2, 16, 16), range(2, 16, 16)],
        ] {
            assert!(check_ranges(&compute, bad).is_err(), "{bad:?}");
        }
    }
}
