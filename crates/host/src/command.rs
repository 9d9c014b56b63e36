//! Commands that every host sends, as submission queue entries without a data pointer.

use nvme_spec::admin::{
    CreateCqCdw11, CreateQueueCdw10, CreateSqCdw11, DeleteQueueCdw10, GetFeaturesCdw10,
    GetLogPageCdw10, GetLogPageCdw11, GetLogPageCdw14, IdentifyCdw10, IdentifyCdw11,
    SetFeaturesCdw10,
};
use nvme_spec::feature::Select;
use nvme_spec::nvm::RwCdw12;
use nvme_spec::{AdminOpcode, Cns, Csi, Fid, Lid, NvmOpcode, Sqe};

/// The Controller Identifier in Identify that stands for the controller that is asked.
pub const THIS_CONTROLLER: u16 = 0xFFFF;

/// Identify; returns 4096 bytes.
#[must_use]
pub fn identify(cns: Cns, nsid: u32, csi: Csi) -> Sqe {
    let cntid = match cns {
        Cns::IocsCombinations => THIS_CONTROLLER,
        _ => 0,
    };
    Sqe {
        cdw10: IdentifyCdw10::new().with_cns(cns).with_cntid(cntid).into(),
        cdw11: IdentifyCdw11::new().with_csi(csi).into(),
        ..Sqe::new(AdminOpcode::Identify, nsid)
    }
}

/// Get Log Page for `len` bytes (a multiple of 4, not 0) from byte `offset` (a multiple of 4) on.
/// Events that the page explains are kept, so that whoever waits for them is not disturbed.
#[must_use]
pub fn get_log(lid: Lid, nsid: u32, csi: Csi, lsp: u8, offset: u64, len: u32) -> Sqe {
    let numd_z = (len / 4).saturating_sub(1);
    let cdw10 = GetLogPageCdw10::new()
        .with_lid(lid)
        .with_lsp(lsp)
        .with_rae(true)
        .with_numdl_z(numd_z as u16);
    let mut sqe = Sqe {
        cdw10: cdw10.into(),
        cdw11: GetLogPageCdw11::new()
            .with_numdu_z((numd_z >> 16) as u16)
            .into(),
        cdw14: GetLogPageCdw14::new().with_csi(csi).into(),
        ..Sqe::new(AdminOpcode::GetLogPage, nsid)
    };
    sqe.set_cdw12_13(offset);
    sqe
}

/// Get Features; the value is DW0 of the completion.
#[must_use]
pub fn get_features(fid: Fid, sel: Select, nsid: u32) -> Sqe {
    Sqe {
        cdw10: GetFeaturesCdw10::new().with_fid(fid).with_sel(sel).into(),
        ..Sqe::new(AdminOpcode::GetFeatures, nsid)
    }
}

/// Set Features to a value of one dword, until the next reset.
#[must_use]
pub fn set_features(fid: Fid, nsid: u32, value: u32) -> Sqe {
    Sqe {
        cdw10: SetFeaturesCdw10::new().with_fid(fid).into(),
        cdw11: value,
        ..Sqe::new(AdminOpcode::SetFeatures, nsid)
    }
}

/// Create I/O Completion Queue, contiguous at `iova`. `entries` is 2 to 65,536; with an
/// `interrupt`, completions raise that vector.
#[must_use]
pub fn create_cq(qid: u16, entries: u32, iova: u64, interrupt: Option<u16>) -> Sqe {
    let cdw11 = CreateCqCdw11::new()
        .with_pc(true)
        .with_ien(interrupt.is_some())
        .with_iv(interrupt.unwrap_or(0));
    Sqe {
        cdw10: queue_size(qid, entries),
        cdw11: cdw11.into(),
        ..Sqe::new(AdminOpcode::CreateIoCq, 0)
    }
    .with_prp(iova, 0)
}

/// Create I/O Submission Queue, contiguous at `iova`, whose completions go to `cqid`.
#[must_use]
pub fn create_sq(qid: u16, entries: u32, iova: u64, cqid: u16) -> Sqe {
    Sqe {
        cdw10: queue_size(qid, entries),
        cdw11: CreateSqCdw11::new().with_pc(true).with_cqid(cqid).into(),
        ..Sqe::new(AdminOpcode::CreateIoSq, 0)
    }
    .with_prp(iova, 0)
}

fn queue_size(qid: u16, entries: u32) -> u32 {
    CreateQueueCdw10::new()
        .with_qid(qid)
        .with_qsize_z(entries.saturating_sub(1) as u16)
        .into()
}

/// Delete I/O Submission Queue.
#[must_use]
pub fn delete_sq(qid: u16) -> Sqe {
    Sqe {
        cdw10: DeleteQueueCdw10::new().with_qid(qid).into(),
        ..Sqe::new(AdminOpcode::DeleteIoSq, 0)
    }
}

/// Delete I/O Completion Queue.
#[must_use]
pub fn delete_cq(qid: u16) -> Sqe {
    Sqe {
        cdw10: DeleteQueueCdw10::new().with_qid(qid).into(),
        ..Sqe::new(AdminOpcode::DeleteIoCq, 0)
    }
}

/// Read of `blocks` (1 to 65,536) logical blocks from `slba` on.
#[must_use]
pub fn read(nsid: u32, slba: u64, blocks: u32) -> Sqe {
    blocks_command(NvmOpcode::Read, nsid, slba, blocks)
}

/// Write of `blocks` (1 to 65,536) logical blocks from `slba` on.
#[must_use]
pub fn write(nsid: u32, slba: u64, blocks: u32) -> Sqe {
    blocks_command(NvmOpcode::Write, nsid, slba, blocks)
}

fn blocks_command(opcode: NvmOpcode, nsid: u32, slba: u64, blocks: u32) -> Sqe {
    let nlb_z = blocks.saturating_sub(1) as u16;
    let mut sqe = Sqe {
        cdw12: RwCdw12::new().with_nlb_z(nlb_z).into(),
        ..Sqe::new(opcode, nsid)
    };
    sqe.set_cdw10_11(slba);
    sqe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identify_names_the_command_set_and_this_controller_where_it_is_needed() {
        let sqe = identify(Cns::IocsNamespace, 3, Csi::Cp);
        assert_eq!(
            (sqe.opcode, sqe.nsid, sqe.cdw10, sqe.cdw11),
            (6, 3, 5, 4 << 24)
        );
        assert_eq!(
            identify(Cns::IocsCombinations, 0, Csi::Nvm).cdw10,
            0xFFFF_001C
        );
    }

    #[test]
    fn a_log_longer_than_256_kib_uses_both_halves_of_the_count() {
        let sqe = get_log(Lid::ProgramList, 4, Csi::Cp, 0, 1 << 33, 1 << 20);
        assert_eq!(sqe.cdw10, 0xFFFF_8082);
        assert_eq!(sqe.cdw11, 3);
        assert_eq!((sqe.cdw12, sqe.cdw13, sqe.cdw14), (0, 2, 4 << 24));
    }

    #[test]
    fn sizes_are_sent_less_one() {
        assert_eq!(create_cq(2, 65_536, 0x1000, Some(7)).cdw10, 0xFFFF_0002);
        assert_eq!(create_cq(2, 2, 0x1000, Some(7)).cdw11, 0x0007_0003);
        assert_eq!(create_cq(2, 2, 0x1000, None).cdw11, 1);
        assert_eq!(create_sq(2, 64, 0x2000, 1).cdw11, 0x0001_0001);
        assert_eq!(read(1, 1 << 32, 65_536).cdw12, 0xFFFF);
        assert_eq!(write(1, 1 << 32, 1).cdw11, 1);
    }
}
