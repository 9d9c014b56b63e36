//! Get Log Page.

use crate::common::{BLOCKS_4K, BLOCKS_512, COMPUTE, MEMORY, Rig, Setup};
use ersatz_host::Transfer;
use ersatz_host::command;
use ersatz_host::driver::{Data, Driver};
use nvme_spec::feature::{FeatureCapabilities, Select};
use nvme_spec::log::{
    CommandsSupportedAndEffects, CriticalWarning, ErrorInformation, FeaturesSupportedAndEffects,
    FirmwareSlot, ReachabilityAssociation, ReachabilityGroup, SmartHealth, SupportedLogPages,
};
use nvme_spec::vendor::DriveStatistics;
use nvme_spec::{AdminOpcode, Csi, Fid, Lid, NSID_ALL, NvmOpcode, SlmOpcode, Sqe, Status};
use std::sync::Arc;
use zerocopy::FromBytes;

fn attach() -> (Arc<Rig>, Driver) {
    let rig = Rig::new(Setup::default());
    let driver = rig.driver();
    (rig, driver)
}

fn get(driver: &mut Driver, sqe: Sqe, len: usize) -> Result<Vec<u8>, Status> {
    let mut bytes = vec![0; len];
    match driver.admin_data(sqe, Transfer::Read(&mut bytes)) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.status().expect("a status").code()),
    }
}

fn log(driver: &mut Driver, lid: Lid, len: usize) -> Vec<u8> {
    let sqe = command::get_log(lid, 0, Csi::Nvm, 0, 0, len as u32);
    get(driver, sqe, len).unwrap_or_else(|status| panic!("{lid:?}: {status}"))
}

fn of<T: FromBytes>(bytes: &[u8]) -> T {
    match T::read_from_prefix(bytes) {
        Ok((log, _)) => log,
        Err(_) => panic!("{} bytes are too short", bytes.len()),
    }
}

#[test]
fn every_log_page_that_is_said_to_be_supported_is_there_and_no_other() {
    let (_rig, mut driver) = attach();
    let supported: SupportedLogPages = of(&log(&mut driver, Lid::SupportedLogPages, 1024));
    for lid in 0..=0xFF {
        let nsid = if matches!(lid, 0x82..=0x84 | 0xC1) {
            COMPUTE
        } else {
            0
        };
        let sqe = command::get_log(Lid(lid), nsid, Csi::Nvm, 0, 0, 16);
        let found = get(&mut driver, sqe, 16);
        if supported.lids[usize::from(lid)].lsupp() {
            assert!(found.is_ok(), "{lid:#x}");
        } else {
            assert_eq!(found, Err(Status::INVALID_LOG_PAGE), "{lid:#x}");
        }
    }
    for lid in [
        0, 1, 2, 3, 4, 5, 0x12, 0x13, 0x1A, 0x1B, 0x82, 0x83, 0x84, 0xC1,
    ] {
        assert!(supported.lids[lid].lsupp(), "{lid:#x}");
    }
}

#[test]
fn the_error_log_has_the_last_failures_newest_first() {
    let (_rig, mut driver) = attach();
    for opcode in [0xC0u8, 0xC1, 0xC2] {
        let cqe = driver
            .admin(Sqe::new(opcode, 9), Data::AsIs)
            .expect("answered");
        assert_eq!(cqe.status().code(), Status::INVALID_OPCODE);
        assert!(cqe.status().more() && cqe.status().dnr());
    }
    let bytes = log(&mut driver, Lid::ErrorInformation, 64 * 64);
    let entries: Vec<ErrorInformation> = bytes.chunks_exact(64).map(of).collect();
    let told: Vec<_> = entries[..3]
        .iter()
        .map(|e| (e.ec, e.opc, e.ns, e.sqid))
        .collect();
    assert_eq!(told, [(3, 0xC2, 9, 0), (2, 0xC1, 9, 0), (1, 0xC0, 9, 0)]);
    assert_eq!(entries[0].status().code(), Status::INVALID_OPCODE);
    assert_eq!(entries[3], ErrorInformation::default());
    let smart: SmartHealth = of(&log(&mut driver, Lid::SmartHealth, 512));
    assert_eq!(u128::from(smart.neile), 3);
}

#[test]
fn the_error_log_keeps_as_many_as_it_says() {
    let (_rig, mut driver) = attach();
    let kept = usize::from(driver.identify().elpe_z) + 1;
    for _ in 0..kept + 5 {
        driver
            .admin(Sqe::new(0xC0u8, 0), Data::AsIs)
            .expect("answered");
    }
    let bytes = log(&mut driver, Lid::ErrorInformation, kept * 64);
    let oldest: ErrorInformation = of(&bytes[(kept - 1) * 64..]);
    assert_eq!(oldest.ec, 6);
}

#[test]
fn smart_counts_what_hosts_read_and_write() {
    let (rig, mut driver) = attach();
    let mut io = driver
        .create_queue_pair(Default::default())
        .expect("queues");
    let buffer = rig.buffer(512 << 10);
    let limit = std::time::Duration::from_secs(60);
    for (sqe, times) in [
        (command::write(BLOCKS_512, 0, 1024), 3),
        (command::read(BLOCKS_512, 0, 1024), 1),
    ] {
        for _ in 0..times {
            io.run(sqe, Data::Prp(&[buffer.segment()]), limit)
                .expect("done");
        }
    }
    for nsid in [0, NSID_ALL] {
        let sqe = command::get_log(Lid::SmartHealth, nsid, Csi::Nvm, 0, 0, 512);
        let smart: SmartHealth = of(&get(&mut driver, sqe, 512).expect("a log"));
        assert_eq!((u128::from(smart.hwc), u128::from(smart.hrc)), (3, 1));
        // Units of 512,000 bytes, rounded up.
        assert_eq!((u128::from(smart.duw), u128::from(smart.dur)), (4, 2));
        assert_eq!((smart.cw, smart.avsp), (CriticalWarning::new(), 100));
    }
    let sqe = command::get_log(Lid::SmartHealth, BLOCKS_512, Csi::Nvm, 0, 0, 512);
    assert_eq!(
        get(&mut driver, sqe, 512),
        Err(Status::INVALID_FIELD),
        "not per namespace"
    );
}

#[test]
fn firmware_and_changed_namespaces_are_plain() {
    let (_rig, mut driver) = attach();
    let slots: FirmwareSlot = of(&log(&mut driver, Lid::FirmwareSlot, 512));
    assert_eq!(slots.afi, 1);
    assert_eq!(slots.frs[0], driver.identify().fr);
    assert_eq!(
        log(&mut driver, Lid::ChangedAttachedNamespaces, 4096),
        [0; 4096]
    );
}

#[test]
fn the_commands_of_each_command_set_are_listed_with_what_they_change() {
    let (_rig, mut driver) = attach();
    let mut ask = |csi| -> CommandsSupportedAndEffects {
        let sqe = command::get_log(Lid::CommandsSupportedAndEffects, 0, csi, 0, 0, 4096);
        of(&get(&mut driver, sqe, 4096).expect("a log"))
    };
    let nvm = ask(Csi::Nvm);
    assert!(nvm.acs[usize::from(AdminOpcode::Identify.0)].csupp());
    assert!(nvm.acs[usize::from(AdminOpcode::LoadProgram.0)].csupp());
    let format = nvm.acs[usize::from(AdminOpcode::FormatNvm.0)];
    assert!(format.csupp() && format.lbcc() && format.ncc() && format.cse() == 1);
    assert!(!nvm.acs[usize::from(AdminOpcode::Sanitize.0)].csupp());
    let write = nvm.iocs[usize::from(NvmOpcode::Write.0)];
    let read = nvm.iocs[usize::from(NvmOpcode::Read.0)];
    assert!(write.csupp() && write.lbcc() && read.csupp() && !read.lbcc());
    for opcode in [NvmOpcode::Copy, NvmOpcode::WriteUncorrectable] {
        let effects = nvm.iocs[usize::from(opcode.0)];
        assert!(effects.csupp() && effects.lbcc(), "{opcode:?}");
    }
    assert!(!nvm.iocs[usize::from(NvmOpcode::Cancel.0)].csupp());
    // All that is supported says what it acts on.
    assert!(write.csp().namespace() && !write.csp().controller());
    for effects in nvm.acs.iter().chain(&nvm.iocs) {
        assert_eq!(effects.csp().into_bits() != 0, effects.csupp());
    }
    assert!(
        nvm.acs[usize::from(AdminOpcode::Identify.0)]
            .csp()
            .controller()
    );
    assert!(
        nvm.acs[usize::from(AdminOpcode::LoadProgram.0)]
            .csp()
            .namespace()
    );
    assert!(ask(Csi::Slm).iocs[usize::from(SlmOpcode::MemoryFill.0)].csupp());
    assert!(!ask(Csi::Cp).iocs[2].csupp());
}

#[test]
fn every_feature_is_listed_with_its_scope_and_no_other() {
    for volatile in [false, true] {
        let rig = Rig::new(Setup {
            volatile,
            ..Setup::default()
        });
        let mut driver = rig.driver();
        assert!(driver.identify().lpa.mlps());
        let features: FeaturesSupportedAndEffects =
            of(&log(&mut driver, Lid::FeaturesSupportedAndEffects, 1024));
        for (fid, effects) in (0..=255).map(Fid).zip(features.fids) {
            let per_namespace = effects.fsp().namespace();
            let nsid = if per_namespace { BLOCKS_512 } else { 0 };
            let sqe = command::get_features(fid, Select::Supported, nsid);
            let cqe = driver.admin(sqe, Data::AsIs).expect("answered");
            assert_eq!(cqe.status().is_success(), effects.fsupp(), "{fid:?}");
            if effects.fsupp() {
                let supported = FeatureCapabilities::from_bits(cqe.dw0);
                assert_eq!(supported.namespace_specific(), per_namespace, "{fid:?}");
                assert!(per_namespace || effects.fsp().controller());
            }
        }
        let cache = features.fids[usize::from(Fid::VolatileWriteCache.0)];
        assert_eq!(cache.fsupp(), volatile);
        let none = log(&mut driver, Lid::NvmeMiCommandsSupportedAndEffects, 4096);
        assert_eq!(none, [0; 4096]);
    }
}

#[test]
fn reachability_says_which_namespaces_work_together() {
    let (_rig, mut driver) = attach();
    let groups = log(&mut driver, Lid::ReachabilityGroups, 16 + 4 * 36);
    assert_eq!(groups[8], 4);
    let second: ReachabilityGroup = of(&groups[16 + 36..]);
    assert_eq!((second.rgid, second.nnid), (MEMORY, 1));
    let associations = log(&mut driver, Lid::ReachabilityAssociations, 256);
    assert_eq!(
        associations[8], 2,
        "blocks with memory, programs with memory"
    );
    let first: ReachabilityAssociation = of(&associations[16..]);
    assert_eq!(first.nrid, 3);
    // Without the lists.
    let sqe = command::get_log(Lid::ReachabilityGroups, 0, Csi::Nvm, 1, 0, 16 + 4 * 32);
    let groups = get(&mut driver, sqe, 16 + 4 * 32).expect("a log");
    let second: ReachabilityGroup = of(&groups[16 + 32..]);
    assert_eq!((second.rgid, second.nnid), (MEMORY, 0));
}

#[test]
fn the_drive_s_own_log_counts_bytes_by_way() {
    let (rig, mut driver) = attach();
    let mut io = driver
        .create_queue_pair(Default::default())
        .expect("queues");
    let buffer = rig.buffer(4096);
    let limit = std::time::Duration::from_secs(60);
    io.run(
        command::write(BLOCKS_512, 0, 8),
        Data::Prp(&[buffer.segment()]),
        limit,
    )
    .expect("done");
    let statistics: DriveStatistics = of(&log(&mut driver, DriveStatistics::LID, 512));
    assert_eq!(
        (statistics.bytes_from_host, statistics.bytes_to_host),
        (4096, 0)
    );
    assert_eq!(statistics.version, DriveStatistics::VERSION);
}

#[test]
fn the_drive_s_own_log_tells_what_flash_did_and_leaves_it_out_where_there_is_none() {
    let (_rig, mut driver) = attach();
    let none: DriveStatistics = of(&log(&mut driver, DriveStatistics::LID, 512));
    assert_eq!((none.page_bytes, none.waf_milli), (0, 0));
    let rig = Rig::new(Setup {
        volatile: true,
        ..Setup::default()
    });
    let mut driver = rig.driver();
    let mut io = driver
        .create_queue_pair(Default::default())
        .expect("queues");
    let buffer = rig.buffer(8192);
    let limit = std::time::Duration::from_secs(60);
    let write = command::write(BLOCKS_4K, 0, 2);
    io.run(write, Data::Prp(&[buffer.segment()]), limit)
        .expect("done");
    let flash: DriveStatistics = of(&log(&mut driver, DriveStatistics::LID, 512));
    assert_eq!((flash.page_bytes, flash.host_pages), (4096, 2));
    assert_eq!((flash.moved_pages, flash.waf_milli), (0, 1000));
    assert_eq!((flash.available_spare, flash.erases), (100, 0));
    assert!((150..=160).contains(&flash.free_lines), "{flash:?}");
}

#[test]
fn a_drive_warns_when_few_of_its_spare_blocks_are_left() {
    let rig = Rig::new(Setup {
        failing: true,
        ..Setup::default()
    });
    let mut driver = rig.driver();
    let mut io = driver
        .create_queue_pair(Default::default())
        .expect("queues");
    let buffer = rig.buffer(1 << 20);
    let limit = std::time::Duration::from_secs(60);
    let mut last = 100;
    for number in 0..2000 {
        let write = command::write(BLOCKS_4K, number % 16 * 256, 256);
        io.run(write, Data::Prp(&[buffer.segment()]), limit)
            .expect("done");
        let smart: SmartHealth = of(&log(&mut driver, Lid::SmartHealth, 512));
        assert!(smart.avsp <= last);
        last = smart.avsp;
        assert_eq!(smart.cw.ascbt(), smart.avsp < smart.avspt);
        if smart.cw.ascbt() {
            assert_eq!(smart.cw, CriticalWarning::new().with_ascbt(true));
            assert!(u128::from(smart.mdie) >= 15, "each was an error");
            return;
        }
    }
    panic!("{last} % left");
}

#[test]
fn a_log_can_be_read_in_pieces_and_what_is_beyond_its_end_is_zero_or_refused() {
    let (_rig, mut driver) = attach();
    let whole = log(&mut driver, Lid::CommandsSupportedAndEffects, 4096);
    for (offset, len) in [
        (0, 4),
        (4, 8),
        (1000, 2000),
        (4092, 4),
        (4092, 400),
        (4096, 16),
    ] {
        let lid = Lid::CommandsSupportedAndEffects;
        let sqe = command::get_log(lid, 0, Csi::Nvm, 0, offset, len);
        let piece = get(&mut driver, sqe, len as usize).expect("a piece");
        let mut expected = whole[offset as usize..].to_vec();
        expected.resize(len as usize, 0);
        assert_eq!(piece, expected[..len as usize], "{len} bytes at {offset}");
    }
    for offset in [4100, 1 << 40, !3, 2] {
        let sqe = command::get_log(Lid::FirmwareSlot, 0, Csi::Nvm, 0, offset, 4);
        assert_eq!(
            get(&mut driver, sqe, 4),
            Err(Status::INVALID_FIELD),
            "{offset}"
        );
    }
    let mut by_index = command::get_log(Lid::FirmwareSlot, 0, Csi::Nvm, 0, 0, 4);
    by_index.cdw14 |= 1 << 23;
    assert_eq!(get(&mut driver, by_index, 4), Err(Status::INVALID_FIELD));
}

#[test]
fn a_log_of_more_bytes_than_one_command_transfers_is_refused() {
    let (_rig, mut driver) = attach();
    let sqe = command::get_log(Lid::ErrorInformation, 0, Csi::Nvm, 0, 0, (1 << 20) + 4);
    assert_eq!(get(&mut driver, sqe, 4), Err(Status::INVALID_FIELD));
    let sqe = Sqe {
        cdw10: 0xFFFF_0001,
        cdw11: 0xFFFF,
        ..sqe
    };
    assert_eq!(get(&mut driver, sqe, 4), Err(Status::INVALID_FIELD));
}

#[test]
fn logs_of_the_controller_are_refused_for_a_namespace() {
    let (_rig, mut driver) = attach();
    for lid in [Lid::SmartHealth, Lid::ErrorInformation, Lid::FirmwareSlot] {
        let of = |nsid| command::get_log(lid, nsid, Csi::Nvm, 0, 0, 512);
        assert!(get(&mut driver, of(NSID_ALL), 512).is_ok(), "{lid:?}");
        assert_eq!(
            get(&mut driver, of(MEMORY), 512),
            Err(Status::INVALID_FIELD),
            "{lid:?}"
        );
    }
}

#[test]
fn logs_of_programs_belong_to_compute_namespaces() {
    let (_rig, mut driver) = attach();
    for lid in [
        Lid::ProgramList,
        Lid::DownloadableProgramTypes,
        Lid::MemoryRangeSets,
    ] {
        let mut ask = |nsid| {
            get(
                &mut driver,
                command::get_log(lid, nsid, Csi::Cp, 0, 0, 16),
                16,
            )
            .map(|_| ())
        };
        assert_eq!(ask(COMPUTE), Ok(()));
        assert_eq!(ask(MEMORY), Err(Status::INVALID_LOG_PAGE));
        assert!(ask(0).is_err() && ask(NSID_ALL).is_err() && ask(5000).is_err());
    }
}
