//! Identify (Base, 5.1.13).

use crate::controller::Controller;
use crate::error::NvmeError;
use crate::error_log::ENTRIES;
use crate::events::MAX_REQUESTS;
use crate::set::{CommandSet, Form, Page};
use crate::sets::COPY_FORMATS;
use crate::subsystem::{Namespace, Subsystem};
use nvme_spec::admin::{IdentifyCdw10, IdentifyCdw11};
use nvme_spec::feature::WriteProtection;
use nvme_spec::identify::capability::{
    ControllerType, Crcap, Ctratt, Fna, Frmw, Fuses, Lpa, Oacs, Oaes, Oncs, QueueEntrySize, Sgls,
    Vwc,
};
use nvme_spec::identify::{
    IdentifyController, IdentifyNamespace, IdentifyNamespaceIndependent, IocsCombinations,
    IocsVector, NamespaceIdDescriptor, NamespaceIdType, ascii, namespace::Nstat,
};
use nvme_spec::register::{CcCss, Version};
use nvme_spec::{Cns, Csi, NSID_ALL, NvmOpcode, Status};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// Composite temperatures from which the drive warns, and from which it would stop, in kelvins.
const WARNING_TEMPERATURE: u16 = 343;
const CRITICAL_TEMPERATURE: u16 = 353;

impl Controller {
    /// The data structure that `cdw10` and `cdw11` ask for.
    pub(super) fn identify(
        &self,
        cdw10: IdentifyCdw10,
        cdw11: IdentifyCdw11,
        nsid: u32,
        subsystem: &Subsystem,
    ) -> Result<Page, NvmeError> {
        let csi = cdw11.csi();
        match cdw10.cns() {
            Cns::Namespace | Cns::AllocatedNamespace => self.blocks(nsid, subsystem),
            Cns::Controller => Ok(page(&self.identify_controller(subsystem))),
            Cns::ActiveNamespaces | Cns::AllocatedNamespaces => {
                self.list(nsid, subsystem, |_| true)
            }
            Cns::IocsActiveNamespaces | Cns::IocsAllocatedNamespaces => {
                check_csi(csi, subsystem)?;
                self.list(nsid, subsystem, |namespace| namespace.set.csi() == csi)
            }
            Cns::NamespaceIdDescriptors => Ok(descriptors(self.active(nsid, subsystem)?)),
            Cns::IocsNamespace | Cns::IocsAllocatedNamespace => self.specific(nsid, csi, subsystem),
            Cns::IocsController => {
                check_csi(csi, subsystem)?;
                // Of NVM: no limits beyond MDTS. Of SLM and CP, no public source has a layout.
                Ok([0; 4096])
            }
            Cns::IndependentNamespace | Cns::IndependentAllocatedNamespace => {
                let namespace = self.active_or_none(nsid, subsystem)?;
                let Some(namespace) = namespace else {
                    return Ok([0; 4096]);
                };
                let mut independent = IdentifyNamespaceIndependent::default();
                independent.nstat = Nstat::new().with_nrdy(true);
                let protection = namespace.set.write_protection();
                let protected = protection.is_some_and(|state| state != WriteProtection::None);
                independent.nsattr = u8::from(protected);
                independent.rgrpid = subsystem.group(namespace);
                Ok(page(&independent))
            }
            Cns::NamespaceControllers => {
                self.active(nsid, subsystem)?;
                Ok(self.controllers(cdw10.cntid()))
            }
            Cns::SubsystemControllers => Ok(self.controllers(cdw10.cntid())),
            Cns::PrimaryControllerCapabilities => {
                // No virtualisation resources: the controller's identifier is all there is.
                let mut out = [0; 4096];
                out[..2].copy_from_slice(&self.config.id.to_le_bytes());
                Ok(out)
            }
            Cns::SecondaryControllers => Ok([0; 4096]),
            Cns::IocsCombinations => {
                let mut combinations = IocsCombinations::new_zeroed();
                combinations.iocsc[0] = IocsVector::from_bits(subsystem.combination());
                Ok(page(&combinations))
            }
            cns => Err(NvmeError::field(format!("CNS {cns:?} is not supported"))),
        }
    }

    /// The active namespace `nsid`: with CC.CSS for NVM only, the others are not there.
    fn active<'a>(&self, nsid: u32, subsystem: &'a Subsystem) -> Result<&'a Namespace, NvmeError> {
        let namespace = subsystem
            .namespace(nsid)
            .filter(|namespace| self.sees(namespace));
        namespace.ok_or_else(|| Status::INVALID_NAMESPACE_OR_FORMAT.into())
    }

    /// The active namespace `nsid`; `None` for an identifier that is valid, but names none: of that
    /// a host reads zeros. Firmware looks at every identifier up to NN.
    fn active_or_none<'a>(
        &self,
        nsid: u32,
        subsystem: &'a Subsystem,
    ) -> Result<Option<&'a Namespace>, NvmeError> {
        if nsid == 0 || nsid > subsystem.max_nsid() {
            return Err(Status::INVALID_NAMESPACE_OR_FORMAT.into());
        }
        Ok(self.active(nsid, subsystem).ok())
    }

    fn sees(&self, namespace: &Namespace) -> bool {
        self.registers.cc().css() == CcCss::AllSupported || namespace.set.csi() == Csi::Nvm
    }

    /// CNS 00h and 11h. The broadcast NSID is refused, as without namespace management it must be.
    fn blocks(&self, nsid: u32, subsystem: &Subsystem) -> Result<Page, NvmeError> {
        let mut out = [0; 4096];
        let Some(namespace) = self.active_or_none(nsid, subsystem)? else {
            return Ok(out);
        };
        if !namespace.set.identify(Form::Blocks, &mut out) {
            // A namespace without blocks reads as one of no size: stock tools show it as that, and
            // would take an error for a broken drive.
            return Ok(out);
        }
        if let Ok(identify) = IdentifyNamespace::mut_from_bytes(&mut out) {
            identify.nguid = namespace.uuid;
        }
        Ok(out)
    }

    fn specific(&self, nsid: u32, csi: Csi, subsystem: &Subsystem) -> Result<Page, NvmeError> {
        check_csi(csi, subsystem)?;
        let mut out = [0; 4096];
        let Some(namespace) = self.active_or_none(nsid, subsystem)? else {
            return Ok(out);
        };
        if namespace.set.csi() != csi || !namespace.set.identify(Form::Specific, &mut out) {
            let reason = format!("namespace {nsid} is not of command set {csi:?}");
            return Err(NvmeError::new(Status::INVALID_IOCS, reason));
        }
        Ok(out)
    }

    /// NSIDs above `after`, ascending.
    fn list(
        &self,
        after: u32,
        subsystem: &Subsystem,
        wanted: impl Fn(&Namespace) -> bool,
    ) -> Result<Page, NvmeError> {
        if after >= NSID_ALL - 1 {
            return Err(Status::INVALID_NAMESPACE_OR_FORMAT.into());
        }
        let mut out = [0; 4096];
        let namespaces = subsystem.namespaces().iter();
        let listed = namespaces.filter(|ns| ns.nsid > after && self.sees(ns) && wanted(ns));
        for (slot, namespace) in out.chunks_exact_mut(4).zip(listed) {
            slot.copy_from_slice(&namespace.nsid.to_le_bytes());
        }
        Ok(out)
    }

    /// The list of controllers from `first` on: this one.
    fn controllers(&self, first: u16) -> Page {
        let mut out = [0; 4096];
        if self.config.id >= first {
            out[..2].copy_from_slice(&1u16.to_le_bytes());
            out[2..4].copy_from_slice(&self.config.id.to_le_bytes());
        }
        out
    }

    fn identify_controller(&self, subsystem: &Subsystem) -> IdentifyController {
        let has = |opcode: NvmOpcode| {
            let mut sets = subsystem
                .namespaces()
                .iter()
                .map(|namespace| &namespace.set);
            sets.any(|set| {
                set.csi() == Csi::Nvm && set.effects().iter().any(|e| e.opcode == opcode.0)
            })
        };
        let blocks = subsystem
            .namespaces()
            .iter()
            .filter(|ns| ns.set.csi() == Csi::Nvm);
        let allocated: u128 = blocks.map(|ns| u128::from(ns.set.capacity())).sum();
        let capacity = u128::from(subsystem.media.capacity()).max(allocated);
        let mut id = IdentifyController::default();
        id.vid = crate::PCI_VENDOR;
        id.ssvid = crate::PCI_VENDOR;
        id.sn = ascii(&subsystem.identity.serial);
        id.mn = ascii(&subsystem.identity.model);
        id.fr = ascii(env!("CARGO_PKG_VERSION"));
        id.mdts = (self.config.max_transfer / 4096).max(1).ilog2() as u8;
        id.cntlid = self.config.id;
        id.ver = Version::V2_1;
        id.oaes = Oaes::new().with_nsan(true).with_rgcns(true);
        id.ctratt = Ctratt::new().with_hids(true);
        id.cntrltype = ControllerType::Io;
        id.crcap = Crcap::new().with_rrsup(true).with_rgidc(true);
        id.oacs = Oacs::new().with_dbcs(true).with_fnvms(true);
        id.acl_z = 3;
        id.aerl_z = MAX_REQUESTS as u8 - 1;
        id.frmw = Frmw::new().with_ffsro(true).with_nofs(1);
        id.lpa = Lpa::new().with_cses(true).with_lpeds(true).with_mlps(true);
        id.elpe_z = ENTRIES as u8 - 1;
        id.wctemp = WARNING_TEMPERATURE;
        id.cctemp = CRITICAL_TEMPERATURE;
        id.tnvmcap = capacity.into();
        id.unvmcap = (capacity - allocated).into();
        id.sqes = QueueEntrySize::new().with_min(6).with_max(6);
        id.cqes = QueueEntrySize::new().with_min(4).with_max(4);
        id.nn = subsystem.max_nsid();
        id.oncs = Oncs::new()
            .with_nvmcmps(has(NvmOpcode::Compare))
            .with_nvmdsms(has(NvmOpcode::DatasetManagement))
            .with_nvmwzs(has(NvmOpcode::WriteZeroes))
            .with_nvmvfys(has(NvmOpcode::Verify))
            .with_nvmwus(has(NvmOpcode::WriteUncorrectable))
            .with_nvmcpys(has(NvmOpcode::Copy))
            .with_nvmafc(has(NvmOpcode::Copy))
            .with_ssfs(true)
            .with_tss(true);
        // One namespace or, with the broadcast NSID, all.
        id.fna = Fna::new().with_cryes(true);
        // Write protection, and that until the power cycle.
        id.nwpc = 0b11;
        if has(NvmOpcode::Copy) {
            id.cdfs = COPY_FORMATS;
        }
        // Whatever one command transfers.
        let blocks = |set: &dyn CommandSet| set.blocks().map(|blocks| u64::from(blocks.block));
        let sets = subsystem.namespaces().iter();
        let largest = sets.filter_map(|namespace| blocks(&*namespace.set)).max();
        if let Some(largest) = largest {
            id.fuses = Fuses::new().with_fcws(true);
            let unit = (self.config.max_transfer / largest).clamp(1, 1 << 16) - 1;
            id.acwu_z = u16::try_from(unit).unwrap_or(u16::MAX);
        }
        // A broadcast Flush is not supported.
        id.vwc = Vwc::new()
            .with_present(subsystem.media.volatile_cache())
            .with_fb(2);
        id.sgls = Sgls::new().with_sgls(1).with_sbb(true).with_llds(true);
        let nqn = subsystem.identity.nqn.as_bytes();
        let n = nqn.len().min(id.subnqn.len() - 1);
        id.subnqn[..n].copy_from_slice(&nqn[..n]);
        // 25 W, in units of 0.01 W.
        id.psd[0].mp = 2500;
        id
    }
}

/// Whether any namespace is of the command set; NVM always is supported.
fn check_csi(csi: Csi, subsystem: &Subsystem) -> Result<(), NvmeError> {
    if IocsVector::from_bits(subsystem.combination()).contains(csi) {
        return Ok(());
    }
    Err(NvmeError::new(
        Status::INVALID_IOCS,
        format!("command set {csi:?}"),
    ))
}

/// CNS 03h: UUID, NGUID and command set of a namespace.
fn descriptors(namespace: &Namespace) -> Page {
    let (uuid, csi) = (&namespace.uuid, [namespace.set.csi().into_bits()]);
    let values: [(_, &[u8]); 3] = [
        (NamespaceIdType::Uuid, uuid),
        (NamespaceIdType::Nguid, uuid),
        (NamespaceIdType::Csi, &csi),
    ];
    let mut bytes = Vec::new();
    for (kind, value) in values {
        bytes.extend_from_slice(NamespaceIdDescriptor::new(kind).as_bytes());
        bytes.extend_from_slice(value);
    }
    let mut out = [0; 4096];
    out[..bytes.len()].copy_from_slice(&bytes);
    out
}

fn page<T: IntoBytes + zerocopy::Immutable>(structure: &T) -> Page {
    let (bytes, mut out) = (structure.as_bytes(), [0; 4096]);
    let n = bytes.len().min(out.len());
    out[..n].copy_from_slice(&bytes[..n]);
    out
}
