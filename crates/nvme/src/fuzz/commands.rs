//! Commands out of arbitrary bytes, most of them nearly right.

use super::{COMPUTE, DATA, Input, LOOSE, MEMORY, NVM, READ_ONLY};
use nvme_spec::cp::{ExecuteCdw2, LoadProgramCdw10, ProgramType};
use nvme_spec::nvm::CopyRange2;
use nvme_spec::queue::SglType;
use nvme_spec::slm::{CopyRange4, MemoryRange};
use nvme_spec::{AdminOpcode, CpOpcode, NvmOpcode, SglDescriptor, SlmOpcode, Sqe};
use zerocopy::{FromBytes, IntoBytes};

/// An object that can be loaded and executed.
pub const PROGRAM: &[u8] = include_bytes!("../../../../examples/programs/vadd.o");

/// Where things are in the data area, for commands that need some.
const PRP_LIST: u64 = 0;
const SGL: u64 = 0x1000;
const DEALLOCATE: u64 = 0x2000;
const COPY_BLOCKS: u64 = 0x2400;
const COPY_BYTES: u64 = 0x2800;
const RANGES: u64 = 0x3000;
const IMAGE: u64 = 0x1_0000;

/// What lies in the data area before the first action: lists and descriptors that are right.
pub fn furniture() -> Vec<(u64, Vec<u8>)> {
    let prps: Vec<u8> = (0..512u64)
        .flat_map(|i| (DATA + 0x2_0000 + i % 16 * 4096).to_le_bytes())
        .collect();
    let sgl = [
        SglDescriptor::new(SglType::DataBlock, DATA + 0x2_0004, 1000),
        SglDescriptor::new(SglType::BitBucket, 0, 100),
        SglDescriptor::new(SglType::LastSegment, DATA + SGL + 64, 16),
        SglDescriptor::default(),
        SglDescriptor::new(SglType::DataBlock, DATA + 0x2_8000, 1 << 16),
    ];
    // Attributes, blocks, first block.
    let deallocate = [0u64, 8 | 1 << 32, 0, 100 | 8 << 32]
        .map(u64::to_le_bytes)
        .concat();
    let mut blocks = CopyRange2::default();
    (blocks.snsid, blocks.slba, blocks.nlb_z) = (NVM, 4, 7);
    let bytes = CopyRange4::new(MEMORY, 0, 4096);
    let ranges = [0, 0x4000, 0x8000].map(|at| MemoryRange::new(MEMORY, at, 4096));
    vec![
        (PRP_LIST, prps),
        (SGL, sgl.as_bytes().to_vec()),
        (DEALLOCATE, deallocate),
        (COPY_BLOCKS, blocks.as_bytes().to_vec()),
        (COPY_BYTES, bytes.as_bytes().to_vec()),
        (RANGES, ranges.as_bytes().to_vec()),
        (IMAGE, PROGRAM.to_vec()),
    ]
}

/// A command for the admin queue or an I/O queue.
pub fn command(input: &mut Input<'_>, admin: bool, last_cid: u16) -> Sqe {
    let kind = input.byte();
    let mut sqe = if kind == 0xFF {
        Sqe::read_from_bytes(&input.array::<64>()).unwrap_or_default()
    } else if admin {
        admin_command(kind, input, last_cid)
    } else {
        io_command(kind, input)
    };
    for _ in 0..input.byte() % 4 {
        let (at, value) = (input.byte() % 64, input.byte());
        sqe.as_mut_bytes()[usize::from(at)] ^= value;
    }
    sqe
}

fn admin_command(kind: u8, input: &mut Input<'_>, last_cid: u16) -> Sqe {
    let sqe = |opcode: AdminOpcode, nsid| Sqe::new(opcode, nsid);
    let page = DATA + 0x2_0000;
    match kind % 10 {
        0 => Sqe {
            cdw10: input.byte().into(),
            cdw11: u32::from(input.byte() % 8) << 24,
            ..sqe(AdminOpcode::Identify, u32::from(input.byte() % 6))
        }
        .with_prp(page, 0),
        1 => Sqe {
            cdw10: u32::from(input.byte()) | u32::from(input.u16()) << 16,
            cdw12: input.u16().into(),
            ..sqe(AdminOpcode::GetLogPage, u32::from(input.byte() % 6))
        }
        .with_prp(page, DATA + PRP_LIST),
        2 | 3 => Sqe {
            cdw10: u32::from(input.byte()) | u32::from(input.byte()) << 8,
            cdw11: input.u32(),
            ..sqe(
                [AdminOpcode::SetFeatures, AdminOpcode::GetFeatures][usize::from(kind % 2)],
                0,
            )
        }
        .with_prp(page, 0),
        4 => Sqe {
            cdw10: u32::from(input.byte() % 5)
                | u32::from(last_cid.wrapping_sub(input.byte().into())) << 16,
            ..sqe(AdminOpcode::Abort, 0)
        },
        5 => sqe(AdminOpcode::AsyncEventRequest, 0),
        6 | 7 => {
            // The whole image, or two halves.
            let half = PROGRAM.len() as u32 / 8 * 4;
            let (from, len) = match input.byte() % 4 {
                0 | 1 => (0, PROGRAM.len() as u32),
                2 => (0, half),
                _ => (half, PROGRAM.len() as u32 - half),
            };
            let cdw10 = LoadProgramCdw10::new()
                .with_pind(u16::from(input.byte() % 3))
                .with_ptype(ProgramType::VendorFirst)
                .with_unload(kind & 0x40 != 0);
            Sqe {
                cdw10: cdw10.into_bits(),
                cdw11: PROGRAM.len() as u32,
                cdw14: len,
                cdw15: from,
                ..sqe(AdminOpcode::LoadProgram, COMPUTE)
            }
            .with_prp(DATA + IMAGE + u64::from(from), DATA + IMAGE + 4096)
        }
        8 => Sqe {
            cdw10: u32::from(input.byte() % 3) | u32::from(kind & 0x10) << 12,
            ..sqe(AdminOpcode::ProgramActivationManagement, COMPUTE)
        },
        _ => Sqe {
            cdw10: u32::from(kind & 0x10 != 0) | u32::from(input.byte() % 4) << 16,
            cdw11: u32::from(input.byte() % 5),
            ..sqe(AdminOpcode::MemoryRangeSetManagement, COMPUTE)
        }
        .with_prp(DATA + RANGES, 0),
    }
}

fn io_command(kind: u8, input: &mut Input<'_>) -> Sqe {
    match kind % 8 {
        0..3 => {
            let opcodes = [
                NvmOpcode::Read,
                NvmOpcode::Write,
                NvmOpcode::Compare,
                NvmOpcode::WriteZeroes,
                NvmOpcode::Verify,
                NvmOpcode::Flush,
            ];
            let opcode = opcodes[usize::from(input.byte()) % opcodes.len()];
            let sqe = Sqe {
                cdw10: input.u16().into(),
                cdw12: u32::from(input.byte()) | u32::from(kind & 0x40) << 24,
                ..Sqe::new(opcode, NVM)
            };
            place(sqe, input)
        }
        3 => Sqe {
            cdw10: u32::from(input.byte() % 3),
            cdw11: 4,
            ..Sqe::new(NvmOpcode::DatasetManagement, NVM)
        }
        .with_prp(DATA + DEALLOCATE, 0),
        4 => {
            let opcodes = [
                SlmOpcode::MemoryRead,
                SlmOpcode::MemoryWrite,
                SlmOpcode::MemoryFill,
            ];
            let opcode = opcodes[usize::from(input.byte()) % opcodes.len()];
            let (at, len) = (u64::from(input.u16()) * 4, u32::from(input.u16()) * 4);
            place(Sqe::memory(opcode, MEMORY, at, len), input)
        }
        5 => {
            let blocks = kind & 0x40 != 0;
            let (list, format) = if blocks {
                (COPY_BLOCKS, 2)
            } else {
                (COPY_BYTES, 4)
            };
            let mut sqe = Sqe {
                cdw12: format << 8,
                ..Sqe::new(SlmOpcode::MemoryCopy, MEMORY)
            };
            sqe.set_cdw2_3(4096);
            sqe.set_cdw10_11(u64::from(input.u16()) * 4);
            sqe.with_prp(DATA + list, 0)
        }
        _ => {
            let numr = input.byte() % 4;
            let rsid = if numr == 0 {
                u16::from(input.byte() % 3)
            } else {
                0
            };
            let cdw2 = ExecuteCdw2::new()
                .with_pind(u16::from(input.byte() % 3))
                .with_rsid(rsid);
            Sqe {
                cdw2: cdw2.into_bits(),
                cdw3: numr.into(),
                mptr: u64::from(numr) * 32 + u64::from(input.byte()),
                cdw10: input.u16().into(),
                ..Sqe::new(CpOpcode::ExecuteProgram, COMPUTE)
            }
            .with_prp(DATA + RANGES, 0)
        }
    }
}

/// Gives the command a data pointer of some kind.
fn place(sqe: Sqe, input: &mut Input<'_>) -> Sqe {
    let kind = input.byte();
    let offset = u64::from(kind >> 4) * 4;
    let first = DATA + 0x3_0000 + offset;
    match kind % 8 {
        0 | 1 => sqe.with_prp(first, DATA + PRP_LIST),
        2 => sqe.with_prp(first, DATA + PRP_LIST + 4096 - 32),
        3 => sqe.with_prp(LOOSE + offset, LOOSE + 4096),
        4 => sqe.with_prp(READ_ONLY + offset, DATA + PRP_LIST),
        5 => sqe.with_sgl(block(first, 1 << 16)),
        6 => sqe.with_sgl(SglDescriptor::new(SglType::Segment, DATA + SGL, 48)),
        _ => sqe.with_sgl(block(LOOSE + 0xFF00 + offset, 1 << 16)),
    }
}

fn block(iova: u64, len: u32) -> SglDescriptor {
    SglDescriptor::new(SglType::DataBlock, iova, len)
}
