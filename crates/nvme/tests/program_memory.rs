//! Programs that come and go leave nothing behind. In a process of its own, so that its memory is
//! that of this test alone.

#[path = "common/mod.rs"]
#[allow(dead_code)] // The other tests need the rest of it.
mod common;

use common::raw::{self, Queue};
use common::{COMPUTE, EBPF, MEMORY, Rig, Setup, program};
use nvme_spec::cp::{ActivationSelect, Execute, LoadProgramCdw10, ProgramActivationCdw10};
use nvme_spec::slm::MemoryRange;
use nvme_spec::{AdminOpcode, Sqe, Status};
use zerocopy::IntoBytes;

/// Cycles until all that is kept on purpose is there, such as the list of the last jobs.
const BEFORE: u32 = 2_000;
/// Cycles that are measured: a leak of 11 bytes in each would be found.
const CYCLES: u32 = 100_000;
/// Bytes that memory may grow by, for the sake of the allocator.
const SLACK: u64 = 1 << 20;

/// Memory of this process that is resident, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map(|pages: u64| pages * 4096).expect("a number")
}

#[test]
fn loading_executing_and_unloading_again_and_again_keeps_memory_flat() {
    let rig = Rig::new(Setup::default());
    let mut admin = raw::start(&rig);
    let mut io = Queue::create(&mut admin, 1, 64, 64);
    let image = program("sum");
    assert!(image.len() <= 4096, "one page");
    let (code, ranges) = (rig.buffer(4096), rig.buffer(4096));
    code.write(0, &image).expect("inside");
    let range = MemoryRange::new(MEMORY, 0, 64);
    ranges.write(0, range.as_bytes()).expect("inside");
    let len = image.len() as u32;
    let load = |cdw10: LoadProgramCdw10| Sqe {
        cdw10: cdw10.into_bits(),
        cdw11: len,
        cdw14: len,
        ..Sqe::new(AdminOpcode::LoadProgram, COMPUTE)
    };
    let loading = load(LoadProgramCdw10::new().with_ptype(EBPF)).with_prp(code.iova(), 0);
    let unloading = load(LoadProgramCdw10::new().with_unload(true));
    let select = |sel| Sqe {
        cdw10: ProgramActivationCdw10::new().with_sel(sel).into_bits(),
        ..Sqe::new(AdminOpcode::ProgramActivationManagement, COMPUTE)
    };
    let execute = Execute {
        numr: 1,
        dlen: size_of::<MemoryRange>() as u32,
        ..Execute::default()
    };
    let execute = execute.into_sqe(COMPUTE).with_prp(ranges.iova(), 0);
    let mut cycle = || {
        assert_eq!(admin.status(loading), Status::SUCCESS);
        let activated = admin.status(select(ActivationSelect::Activate));
        assert_eq!(activated, Status::SUCCESS);
        assert_eq!(io.status(execute), Status::SUCCESS);
        let deactivated = admin.status(select(ActivationSelect::Deactivate));
        assert_eq!(deactivated, Status::SUCCESS);
        assert_eq!(admin.status(unloading), Status::SUCCESS);
    };
    (0..BEFORE).for_each(|_| cycle());
    let before = resident();
    (0..CYCLES).for_each(|_| cycle());
    let after = resident();
    assert!(after <= before + SLACK, "{before} bytes became {after}");
}
