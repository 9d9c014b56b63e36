//! The computational path: load, activate, copy, execute, and what goes wrong on it.

use crate::common::raw::{self, Queue};
use crate::common::{
    BLOCKS_4K, COMPUTE, EBPF, FIXED, INACTIVE, INSTRUCTION, MEMORY, Rig, SLM_BYTES, Setup,
    blocks_of, pattern, program,
};
use ersatz_host::command::{self, write};
use ersatz_host::driver::DmaBuffer;
use ersatz_nvme::sets::cp::BUDGET_USED_UP;
use nvme_spec::cp::{
    ActivationSelect, Execute, LoadProgramCdw10, MemoryRangeSetCdw10, MemoryRangeSetCdw11,
    MemoryRangeSetSelect, Occupancy, ProgramActivationCdw10, ProgramDescriptor, ProgramIdType,
    ProgramType,
};
use nvme_spec::log::{CpLogHeader, DownloadableProgramType, MemoryRangeSetEntry};
use nvme_spec::nvm::CopyFormat;
use nvme_spec::queue::SglType;
use nvme_spec::slm::{MemoryCopyCdw12, MemoryRange};
use nvme_spec::{AdminOpcode, Csi, Lid, SglDescriptor, SlmOpcode, Sqe, Status};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

mod misuse;

struct Host {
    rig: Arc<Rig>,
    admin: Queue,
    io: Queue,
    page: DmaBuffer,
}

impl Host {
    fn new() -> Self {
        Self::with(Setup {
            media: Some(FIXED),
            ..Setup::default()
        })
    }

    fn with(setup: Setup) -> Self {
        let rig = Rig::new(setup);
        let mut admin = raw::start(&rig);
        let io = Queue::create(&mut admin, 1, 64, 64);
        let page = rig.buffer(4096);
        Self {
            rig,
            admin,
            io,
            page,
        }
    }

    /// One Load Program command.
    fn load_part(&mut self, pind: u16, image: &[u8], part: std::ops::Range<usize>) -> Status {
        let buffer = self.rig.buffer(part.len().max(1) as u64);
        buffer.write(0, &image[part.clone()]).expect("inside");
        let sqe = Sqe {
            cdw14: part.len() as u32,
            cdw15: part.start as u32,
            ..load(pind, image.len() as u32)
        };
        self.admin.status(sqe.with_prp(buffer.iova(), 0))
    }

    /// Loads an image in chunks of a page.
    fn load(&mut self, pind: u16, image: &[u8]) -> Status {
        let mut status = Status::SUCCESS;
        let mut at = 0;
        while at < image.len() && status.is_success() {
            let end = (at + 4096).min(image.len());
            status = self.load_part(pind, image, at..end);
            at = end;
        }
        status
    }

    fn unload(&mut self, pind: u16) -> Status {
        let cdw10 = LoadProgramCdw10::new().with_pind(pind).with_unload(true);
        self.admin.status(Sqe {
            cdw10: cdw10.into_bits(),
            ..Sqe::new(AdminOpcode::LoadProgram, COMPUTE)
        })
    }

    fn select(&mut self, pind: u16, sel: ActivationSelect) -> Status {
        self.admin.status(activation(pind, sel))
    }

    fn loaded(program_name: &str) -> Self {
        let mut host = Self::new();
        assert_eq!(host.load(0, &program(program_name)), Status::SUCCESS);
        assert_eq!(host.select(0, ActivationSelect::Activate), Status::SUCCESS);
        host
    }

    /// An execution with these ranges and bytes after them.
    fn execute(&mut self, execute: Execute, ranges: &[MemoryRange], data: &[u8]) -> Sqe {
        let bytes = [ranges.as_bytes(), data].concat();
        self.page.write(0, &bytes).expect("inside");
        let execute = Execute {
            numr: ranges.len() as u32,
            dlen: bytes.len() as u32,
            ..execute
        };
        execute.into_sqe(COMPUTE).with_prp(self.page.iova(), 0)
    }

    fn create_set(&mut self, ranges: &[MemoryRange]) -> Result<u16, Status> {
        self.page.write(0, ranges.as_bytes()).expect("inside");
        let sqe = Sqe {
            cdw11: MemoryRangeSetCdw11::new()
                .with_numr(ranges.len() as u8)
                .into_bits(),
            ..Sqe::new(AdminOpcode::MemoryRangeSetManagement, COMPUTE)
        };
        let cqe = self.admin.run(sqe.with_prp(self.page.iova(), 0));
        let status = cqe.status().code();
        if status.is_success() {
            Ok(cqe.dw0 as u16)
        } else {
            Err(status)
        }
    }

    fn delete_set(&mut self, rsid: u16) -> Status {
        let cdw10 = MemoryRangeSetCdw10::new()
            .with_sel(MemoryRangeSetSelect::Delete)
            .with_rsid(rsid);
        self.admin.status(Sqe {
            cdw10: cdw10.into_bits(),
            ..Sqe::new(AdminOpcode::MemoryRangeSetManagement, COMPUTE)
        })
    }

    fn log<T: FromBytes>(&mut self, lid: Lid) -> Vec<T> {
        let sqe = command::get_log(lid, COMPUTE, Csi::Cp, 0, 0, 4096);
        self.admin.ok(sqe.with_prp(self.page.iova(), 0));
        let mut bytes = vec![0; 4096];
        self.page.read(0, &mut bytes).expect("inside");
        let (header, entries) = CpLogHeader::read_from_prefix(&bytes).expect("a header");
        let entries = entries.chunks_exact(size_of::<T>());
        entries
            .take(header.num as usize)
            .filter_map(|entry| T::read_from_bytes(entry).ok())
            .collect()
    }

    fn write_memory(&mut self, at: u64, bytes: &[u8]) {
        let buffer = self.rig.buffer(bytes.len() as u64);
        buffer.write(0, bytes).expect("inside");
        let sqe = Sqe::memory(SlmOpcode::MemoryWrite, MEMORY, at, bytes.len() as u32);
        self.io.ok(sqe.with_sgl(block(&buffer)));
    }

    fn read_memory(&mut self, at: u64, len: usize) -> Vec<u8> {
        let buffer = self.rig.buffer(len as u64);
        let sqe = Sqe::memory(SlmOpcode::MemoryRead, MEMORY, at, len as u32);
        self.io.ok(sqe.with_sgl(block(&buffer)));
        let mut bytes = vec![0; len];
        buffer.read(0, &mut bytes).expect("inside");
        bytes
    }
}

fn block(buffer: &DmaBuffer) -> SglDescriptor {
    SglDescriptor::new(SglType::DataBlock, buffer.iova(), buffer.len() as u32)
}

fn load(pind: u16, psize: u32) -> Sqe {
    let cdw10 = LoadProgramCdw10::new()
        .with_pind(pind)
        .with_ptype(EBPF)
        .with_pit(ProgramIdType::Puid);
    let mut sqe = Sqe {
        cdw10: cdw10.into_bits(),
        cdw11: psize,
        ..Sqe::new(AdminOpcode::LoadProgram, COMPUTE)
    };
    sqe.set_cdw12_13(u64::from(pind) + 0x1_0000_0001);
    sqe
}

fn activation(pind: u16, sel: ActivationSelect) -> Sqe {
    let cdw10 = ProgramActivationCdw10::new().with_pind(pind).with_sel(sel);
    Sqe {
        cdw10: cdw10.into_bits(),
        ..Sqe::new(AdminOpcode::ProgramActivationManagement, COMPUTE)
    }
}

/// Text of 64 KiB, and how many of its lines have an ERROR.
fn text() -> (Vec<u8>, u64) {
    let mut lines = Vec::new();
    let mut errors = 0;
    for (i, byte) in pattern(5, 4000).into_iter().enumerate() {
        let kind = if byte < 40 { "ERROR" } else { "info " };
        errors += u64::from(byte < 40);
        let line = format!(
            "{i:05} {kind} {}\n",
            &"lorem ipsum"[..usize::from(byte % 11)]
        );
        if lines.len() + line.len() > 64 << 10 {
            errors -= u64::from(byte < 40);
            break;
        }
        lines.extend_from_slice(line.as_bytes());
    }
    lines.resize(64 << 10, b'\n');
    (lines, errors)
}

#[test]
fn data_in_flash_is_copied_to_memory_and_worked_on_there() {
    let mut host = Host::loaded("count_lines");
    let (text, errors) = text();
    let buffer = host.rig.buffer(64 << 10);
    buffer.write(0, &text).expect("inside");
    let list = host.rig.buffer(4096);
    (0..15u64).for_each(|i| {
        list.store(i * 8, buffer.iova() + (i + 1) * 4096)
            .expect("inside")
    });
    host.io
        .ok(write(BLOCKS_4K, 100, 16).with_prp(buffer.iova(), list.iova()));
    // Two extents, in the wrong order on flash and in the right one in memory.
    let extents = [(100, 8), (108, 8)].map(|(slba, blocks)| blocks_of(BLOCKS_4K, slba, blocks));
    list.write(0, extents.as_bytes()).expect("inside");
    let cdw12 = MemoryCopyCdw12::new()
        .with_nr_z(1)
        .with_cdf(CopyFormat::NamespaceLba16);
    host.io
        .ok(Sqe::memory_copy(MEMORY, 8192, 64 << 10, cdw12).with_prp(list.iova(), 0));
    assert!(host.read_memory(8192, 64 << 10) == text);
    let ranges = [MemoryRange::new(MEMORY, 8192, 64 << 10)];
    let arguments = Execute {
        cparam1: 64 << 10,
        ..Execute::default()
    };
    let sqe = host.execute(arguments, &ranges, b"ERROR");
    assert_eq!(host.io.ok(sqe), errors);
    // The program comes from nowhere but the drive: flash holds what it held.
    let sqe = host.execute(
        Execute {
            cparam1: 0,
            ..arguments
        },
        &ranges,
        b"ERROR",
    );
    assert_eq!(host.io.ok(sqe), 0);
}

#[test]
fn a_program_works_on_several_ranges_inline_or_by_set() {
    let mut host = Host::loaded("vadd");
    let numbers = |start: u32| -> Vec<u8> {
        (0..1000)
            .flat_map(|i| (start.wrapping_add(i * 7)).to_le_bytes())
            .collect()
    };
    host.write_memory(0, &numbers(5));
    host.write_memory(8192, &numbers(u32::MAX - 100));
    let ranges = [0, 8192, 16_384].map(|at| MemoryRange::new(MEMORY, at, 4000));
    let arguments = Execute {
        cparam1: 1000,
        ..Execute::default()
    };
    let sqe = host.execute(arguments, &ranges, &[]);
    assert_eq!(host.io.ok(sqe), 1000);
    let expected: Vec<u8> = (0..1000u32)
        .flat_map(|i| (i * 14).wrapping_sub(96).to_le_bytes())
        .collect();
    assert_eq!(host.read_memory(16_384, 4000), expected);
    host.write_memory(16_384, &[0; 4000]);
    let rsid = host.create_set(&ranges).expect("a set");
    let sqe = host.execute(
        Execute {
            rsid,
            cparam1: 500,
            ..Execute::default()
        },
        &[],
        &[],
    );
    assert_eq!(host.io.ok(sqe), 500);
    assert_eq!(host.read_memory(16_384, 2000), expected[..2000]);
    assert_eq!(host.delete_set(rsid), Status::SUCCESS);
    assert_eq!(host.io.status(sqe), Status::INVALID_MEMORY_RANGE_SET_ID);
}

#[test]
fn the_result_has_64_bits() {
    let mut host = Host::loaded("sum");
    let values = [0x1234_5678_9ABC_DEF0u64, 0x1111_1111_1111_1111];
    host.write_memory(64, values.as_bytes());
    let ranges = [MemoryRange::new(MEMORY, 64, 16)];
    let arguments = Execute {
        cparam1: 2,
        cparam2: 8,
        ..Execute::default()
    };
    let sqe = host.execute(arguments, &ranges, &[]);
    assert_eq!(host.io.ok(sqe), values[0] + values[1]);
}

#[test]
fn a_program_takes_its_instructions_times_their_price_every_time() {
    let mut host = Host::loaded("sum");
    let mut time = |count: u64| {
        let ranges = [MemoryRange::new(MEMORY, 0, 65_536)];
        let arguments = Execute {
            cparam1: count,
            cparam2: 8,
            ..Execute::default()
        };
        let sqe = host.execute(arguments, &ranges, &[]);
        let start = host.rig.lock().now;
        host.io.ok(sqe);
        host.rig.lock().now - start
    };
    let (some, more, most) = (time(1024), time(2048), time(4096));
    assert_eq!(
        INSTRUCTION.cost(1).0,
        1,
        "so that nanoseconds are instructions"
    );
    assert!(more > some);
    assert_eq!((most - more).0, 2 * (more - some).0, "linear in the work");
    assert_eq!(time(1024), some);
}

#[test]
fn the_logs_tell_of_programs_types_and_sets() {
    let mut host = Host::new();
    let types: Vec<DownloadableProgramType> = host.log(Lid::DownloadableProgramTypes);
    assert_eq!(
        types.iter().map(|entry| entry.ptype).collect::<Vec<_>>(),
        [EBPF]
    );
    assert!(
        host.log::<MemoryRangeSetEntry>(Lid::MemoryRangeSets)
            .is_empty()
    );
    assert_eq!(host.log::<ProgramDescriptor>(Lid::ProgramList).len(), 4);
    host.load(2, &program("vadd"));
    host.load(3, &program("sum"));
    host.select(3, ActivationSelect::Activate);
    let slots: Vec<ProgramDescriptor> = host.log(Lid::ProgramList);
    let told: Vec<_> = slots
        .iter()
        .map(|slot| (slot.state.peocc(), slot.state.act(), slot.pid))
        .collect();
    let empty = (Occupancy::Empty, false, 0);
    let loaded = (Occupancy::Downloaded, false, 0x1_0000_0003);
    let active = (Occupancy::Downloaded, true, 0x1_0000_0004);
    assert_eq!(told, [empty, empty, loaded, active]);
    let rsid = host
        .create_set(&[MemoryRange::new(MEMORY, 0, 4)])
        .expect("a set");
    let sets: Vec<MemoryRangeSetEntry> = host.log(Lid::MemoryRangeSets);
    assert_eq!((sets.len(), sets[0].rsid, sets[0].numr), (1, rsid, 1));
}

#[test]
fn a_program_is_loaded_in_order_and_as_a_whole() {
    let mut host = Host::new();
    let image = program("vadd");
    let (size, wrong) = (image.len(), Status::INVALID_PROGRAM_DATA);
    assert_eq!(
        host.load_part(0, &image, 8..16),
        wrong,
        "not the first part"
    );
    assert_eq!(host.load_part(0, &image, 0..100), Status::SUCCESS);
    assert_eq!(host.load_part(0, &image, 200..300), wrong, "a gap");
    assert_eq!(host.load_part(0, &image, 50..150), wrong, "again");
    assert_eq!(
        host.select(0, ActivationSelect::Activate),
        wrong,
        "not yet complete"
    );
    assert_eq!(host.load_part(0, &image, 100..size), Status::SUCCESS);
    assert_eq!(host.select(0, ActivationSelect::Activate), Status::SUCCESS);
    assert_eq!(
        host.load_part(0, &image, 0..size),
        Status::PROGRAM_IN_USE,
        "it is occupied"
    );
    // A load that was given up is begun anew, or unloaded.
    assert_eq!(host.load_part(1, &image, 0..100), Status::SUCCESS);
    assert_eq!(host.load_part(1, &image, 0..size), Status::SUCCESS);
    assert_eq!(host.load_part(2, &image, 0..100), Status::SUCCESS);
    assert_eq!(host.unload(2), Status::SUCCESS);
}

#[test]
fn a_program_sees_its_ranges_and_no_byte_around_them() {
    let mut host = Host::loaded("vadd");
    host.write_memory(0, &[0xEE; 64]);
    let ranges =
        [(0u64, 16u32), (20, 16), (40, 16)].map(|(at, len)| MemoryRange::new(MEMORY, at, len));
    // More elements are asked for than there are.
    let sqe = host.execute(
        Execute {
            cparam1: 1 << 40,
            ..Execute::default()
        },
        &ranges,
        &[],
    );
    assert_eq!(host.io.ok(sqe), 4);
    let mut expected = vec![0xEE; 64];
    for sum in expected[40..56].chunks_mut(4) {
        sum.copy_from_slice(&0xEEEE_EEEEu32.wrapping_mul(2).to_le_bytes());
    }
    assert_eq!(host.read_memory(0, 64), expected);
}
