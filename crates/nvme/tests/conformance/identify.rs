//! Identify: every structure, and what is refused.

use crate::common::raw::{self, Queue, cc};
use crate::common::{
    BLOCKS_4K, BLOCKS_512, COMPUTE, FIXED, INACTIVE, MEMORY, NVM_BYTES, Rig, SLM_BYTES, Setup,
};
use ersatz_ftl::FixedConfig;
use ersatz_host::command;
use nvme_spec::identify::{
    IdentifyController, IdentifyNamespace, IdentifyNamespaceCp, IdentifyNamespaceIndependent,
    IdentifyNamespaceSlm, IocsCombinations,
};
use nvme_spec::register::CcCss;
use nvme_spec::{Cns, Csi, NSID_ALL, NSID_NONE, NvmOpcode, Status};
use std::sync::Arc;
use zerocopy::FromBytes;

struct Host {
    rig: Arc<Rig>,
    admin: Queue,
}

impl Host {
    fn new() -> Self {
        Self::with(Setup::default())
    }

    fn with(setup: Setup) -> Self {
        let rig = Rig::new(setup);
        let admin = raw::start(&rig);
        Self { rig, admin }
    }

    fn ask(&mut self, cns: Cns, nsid: u32, csi: Csi) -> Result<[u8; 4096], Status> {
        let page = self.rig.buffer(4096);
        let sqe = command::identify(cns, nsid, csi).with_prp(page.iova(), 0);
        match self.admin.status(sqe) {
            Status::SUCCESS => {
                let mut bytes = [0; 4096];
                page.read(0, &mut bytes).expect("inside");
                Ok(bytes)
            }
            status => Err(status),
        }
    }

    fn list(&mut self, cns: Cns, after: u32, csi: Csi) -> Vec<u32> {
        let bytes = self.ask(cns, after, csi).expect("a list");
        let nsids = bytes
            .chunks_exact(4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        nsids.take_while(|&nsid| nsid != 0).collect()
    }
}

#[test]
fn the_controller_says_what_it_is() {
    let mut host = Host::new();
    let bytes = host.ask(Cns::Controller, 0, Csi::Nvm).expect("identify");
    let id = IdentifyController::read_from_bytes(&bytes).expect("4096 bytes");
    assert_eq!(&id.sn, b"TEST                ");
    assert!(id.subnqn.starts_with(b"nqn.2014-08.org.nvmexpress:uuid:"));
    assert_eq!(id.mdts, 8, "1 MiB in pages of 4 KiB");
    assert_eq!((id.sqes.min(), id.sqes.max()), (6, 6));
    assert_eq!((id.cqes.min(), id.cqes.max()), (4, 4));
    assert_eq!(u128::from(id.tnvmcap), u128::from(2 * NVM_BYTES));
    assert_eq!(u128::from(id.unvmcap), 0);
    assert!(id.nn >= BLOCKS_4K);
    assert!(id.oacs.dbcs());
    assert!(id.oncs.nvmdsms() && id.oncs.nvmwzs() && id.oncs.nvmcmps());
}

#[test]
fn what_namespaces_leave_of_the_media_is_unallocated() {
    let mut host = Host::with(Setup {
        media: Some(FixedConfig {
            capacity: 3 * NVM_BYTES,
            ..FIXED
        }),
        ..Setup::default()
    });
    let bytes = host.ask(Cns::Controller, 0, Csi::Nvm).expect("identify");
    let id = IdentifyController::read_from_bytes(&bytes).expect("4096 bytes");
    assert_eq!(u128::from(id.tnvmcap), u128::from(3 * NVM_BYTES));
    assert_eq!(u128::from(id.unvmcap), u128::from(NVM_BYTES));
}

#[test]
fn namespaces_are_listed_in_order_after_the_one_that_is_given() {
    let mut host = Host::new();
    let all = [BLOCKS_512, MEMORY, COMPUTE, BLOCKS_4K];
    for cns in [Cns::ActiveNamespaces, Cns::AllocatedNamespaces] {
        assert_eq!(host.list(cns, 0, Csi::Nvm), all);
        assert_eq!(host.list(cns, MEMORY, Csi::Nvm), [COMPUTE, BLOCKS_4K]);
        assert_eq!(host.list(cns, COMPUTE + 1, Csi::Nvm), [BLOCKS_4K]);
        assert!(host.list(cns, 0xFFFF_FFFD, Csi::Nvm).is_empty());
        for after in [0xFFFF_FFFE, NSID_ALL] {
            assert_eq!(
                host.ask(cns, after, Csi::Nvm),
                Err(Status::INVALID_NAMESPACE_OR_FORMAT)
            );
        }
    }
}

#[test]
fn namespaces_are_listed_by_command_set() {
    let mut host = Host::new();
    for cns in [Cns::IocsActiveNamespaces, Cns::IocsAllocatedNamespaces] {
        assert_eq!(host.list(cns, 0, Csi::Nvm), [BLOCKS_512, BLOCKS_4K]);
        assert_eq!(host.list(cns, 0, Csi::Slm), [MEMORY]);
        assert_eq!(host.list(cns, 0, Csi::Cp), [COMPUTE]);
        assert!(host.list(cns, COMPUTE, Csi::Cp).is_empty());
        assert_eq!(host.ask(cns, 0, Csi::Zns), Err(Status::INVALID_IOCS));
        assert_eq!(host.ask(cns, 0, Csi(0xFF)), Err(Status::INVALID_IOCS));
    }
}

#[test]
fn a_namespace_of_blocks_says_how_many_and_how_large() {
    let mut host = Host::new();
    for (nsid, lbads) in [(BLOCKS_512, 9), (BLOCKS_4K, 12)] {
        for cns in [Cns::Namespace, Cns::AllocatedNamespace] {
            let bytes = host.ask(cns, nsid, Csi::Nvm).expect("identify");
            let id = IdentifyNamespace::read_from_bytes(&bytes).expect("4096 bytes");
            assert_eq!(id.nsze, NVM_BYTES >> lbads);
            assert_eq!((id.ncap, id.nuse), (id.nsze, id.nsze));
            assert_eq!(id.lbaf[usize::from(id.flbas.index())].lbads(), lbads);
            assert_eq!(id.nguid, [nsid as u8; 16]);
        }
    }
    // Memory and programs have no such structure.
    for nsid in [MEMORY, COMPUTE] {
        assert_eq!(host.ask(Cns::Namespace, nsid, Csi::Nvm), Ok([0; 4096]));
    }
}

#[test]
fn memory_and_compute_namespaces_describe_themselves_to_who_names_their_command_set() {
    let mut host = Host::new();
    for cns in [Cns::IocsNamespace, Cns::IocsAllocatedNamespace] {
        let bytes = host.ask(cns, MEMORY, Csi::Slm).expect("identify");
        let slm = IdentifyNamespaceSlm::read_from_bytes(&bytes).expect("4096 bytes");
        assert_eq!(slm.nsze, SLM_BYTES);
        let bytes = host.ask(cns, COMPUTE, Csi::Cp).expect("identify");
        let cp = IdentifyNamespaceCp::read_from_bytes(&bytes).expect("4096 bytes");
        assert_eq!((cp.maxact, cp.maxmemrs, cp.maxmemr, cp.maxpb), (2, 2, 4, 1));
        assert!(host.ask(cns, BLOCKS_512, Csi::Nvm).is_ok());
        assert_eq!(host.ask(cns, MEMORY, Csi::Cp), Err(Status::INVALID_IOCS));
        assert_eq!(
            host.ask(cns, BLOCKS_512, Csi::Slm),
            Err(Status::INVALID_IOCS)
        );
        assert_eq!(host.ask(cns, MEMORY, Csi::Zns), Err(Status::INVALID_IOCS));
    }
}

#[test]
fn what_all_command_sets_share_is_there_for_every_namespace() {
    let mut host = Host::new();
    for nsid in [BLOCKS_512, MEMORY, COMPUTE, BLOCKS_4K] {
        let bytes = host
            .ask(Cns::IndependentNamespace, nsid, Csi::Nvm)
            .expect("identify");
        let id = IdentifyNamespaceIndependent::read_from_bytes(&bytes).expect("4096 bytes");
        assert!(id.nstat.nrdy());
        assert_eq!(id.rgrpid, nsid);
    }
}

#[test]
fn descriptors_give_each_namespace_its_identifiers_and_command_set() {
    let mut host = Host::new();
    for (nsid, csi) in [(BLOCKS_512, 0), (MEMORY, 3), (COMPUTE, 4)] {
        let bytes = host
            .ask(Cns::NamespaceIdDescriptors, nsid, Csi::Nvm)
            .expect("identify");
        let (mut at, mut found) = (0, Vec::new());
        while bytes[at] != 0 {
            let len = usize::from(bytes[at + 1]);
            found.push((bytes[at], bytes[at + 4..at + 4 + len].to_vec()));
            at += 4 + len;
        }
        let uuid = vec![nsid as u8; 16];
        assert!(found.contains(&(3, uuid)), "UUID");
        assert!(found.contains(&(4, vec![csi])), "command set");
    }
}

#[test]
fn the_one_combination_of_command_sets_has_all_of_them() {
    let mut host = Host::new();
    let bytes = host
        .ask(Cns::IocsCombinations, 0, Csi::Nvm)
        .expect("identify");
    let combinations = IocsCombinations::read_from_bytes(&bytes).expect("4096 bytes");
    assert_eq!(combinations.iocsc[0].into_bits(), 1 | 1 << 3 | 1 << 4);
    assert_eq!(combinations.iocsc[1].into_bits(), 0);
}

#[test]
fn the_controllers_are_this_one() {
    let mut host = Host::new();
    let list = host
        .ask(Cns::SubsystemControllers, 0, Csi::Nvm)
        .expect("identify");
    assert_eq!(list[..4], [1, 0, 0, 0]);
    let list = host
        .ask(Cns::NamespaceControllers, MEMORY, Csi::Nvm)
        .expect("identify");
    assert_eq!(list[..4], [1, 0, 0, 0]);
    assert!(
        host.ask(Cns::PrimaryControllerCapabilities, 0, Csi::Nvm)
            .is_ok()
    );
    assert_eq!(
        host.ask(Cns::SecondaryControllers, 0, Csi::Nvm),
        Ok([0; 4096])
    );
    for csi in [Csi::Nvm, Csi::Slm, Csi::Cp] {
        assert!(host.ask(Cns::IocsController, 0, csi).is_ok());
    }
    assert_eq!(
        host.ask(Cns::IocsController, 0, Csi::Kv),
        Err(Status::INVALID_IOCS)
    );
}

#[test]
fn an_inactive_namespace_is_all_zeros_and_an_invalid_one_is_refused() {
    let mut host = Host::new();
    let structures = [
        (Cns::Namespace, Csi::Nvm),
        (Cns::IocsNamespace, Csi::Nvm),
        (Cns::IndependentNamespace, Csi::Nvm),
        (Cns::AllocatedNamespace, Csi::Nvm),
    ];
    for (cns, csi) in structures {
        assert_eq!(host.ask(cns, INACTIVE, csi), Ok([0; 4096]), "{cns:?}");
        for nsid in [NSID_NONE, 1025, 0xFFFF_FFFE, NSID_ALL] {
            let refused = Err(Status::INVALID_NAMESPACE_OR_FORMAT);
            assert_eq!(host.ask(cns, nsid, csi), refused, "{cns:?}, {nsid}");
        }
    }
    for nsid in [NSID_NONE, INACTIVE, 1025, NSID_ALL] {
        let refused = Err(Status::INVALID_NAMESPACE_OR_FORMAT);
        assert_eq!(
            host.ask(Cns::NamespaceIdDescriptors, nsid, Csi::Nvm),
            refused,
            "{nsid}"
        );
    }
}

#[test]
fn structures_that_the_drive_has_not_are_refused() {
    let mut host = Host::new();
    for cns in [
        Cns::Domains,
        Cns::EnduranceGroups,
        Cns::Ports,
        Cns(0x77),
        Cns(0xFF),
    ] {
        assert_eq!(
            host.ask(cns, 0, Csi::Nvm),
            Err(Status::INVALID_FIELD),
            "{cns:?}"
        );
    }
}

#[test]
fn with_nvm_chosen_alone_memory_and_compute_namespaces_are_hidden() {
    let mut host = Host::new();
    raw::write_cc(&host.rig, cc().with_en(false));
    host.admin = raw::enable(&host.rig, cc().with_css(CcCss::Nvm), 32, 32);
    assert_eq!(
        host.list(Cns::ActiveNamespaces, 0, Csi::Nvm),
        [BLOCKS_512, BLOCKS_4K]
    );
    assert_eq!(host.ask(Cns::Namespace, MEMORY, Csi::Nvm), Ok([0; 4096]));
    let descriptors = host.ask(Cns::NamespaceIdDescriptors, COMPUTE, Csi::Nvm);
    assert_eq!(descriptors, Err(Status::INVALID_NAMESPACE_OR_FORMAT));
    let mut io = Queue::create(&mut host.admin, 1, 16, 16);
    let flush = |nsid| nvme_spec::Sqe::new(NvmOpcode::Flush, nsid);
    assert_eq!(io.status(flush(BLOCKS_512)), Status::SUCCESS);
    assert_eq!(io.status(flush(MEMORY)), Status::INVALID_FIELD);
    assert_eq!(io.status(flush(COMPUTE)), Status::INVALID_FIELD);
}
