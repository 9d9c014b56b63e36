//! Log pages (Base, 5.1.12).

use crate::admin::COMMANDS;
use crate::controller::Controller;
use crate::error::NvmeError;
use crate::subsystem::Subsystem;
use ersatz_engine::Ns;
use ersatz_ftl::Media;
use nvme_spec::admin::GetLogPageCdw10;
use nvme_spec::log::{
    CommandEffects, CommandsSupportedAndEffects, CriticalWarning, ErrorInformation,
    FeaturesSupportedAndEffects, FirmwareSlot, LidSupported, ReachabilityAssociation,
    ReachabilityAssociationsHeader, ReachabilityGroup, ReachabilityGroupsHeader, Scope,
    SmartHealth, SupportedLogPages,
};
use nvme_spec::vendor::{DriveStatistics, JobStatistics};
use nvme_spec::{AdminOpcode, Csi, Fid, Lid, NSID_ALL, NSID_NONE, Status};
use zerocopy::{FromZeros, IntoBytes};

/// The composite temperature that the drive reports, in kelvins: it has no sensor.
const TEMPERATURE: u16 = 313;

/// Below so many percent of its spare blocks the drive warns.
const SPARE_THRESHOLD: u8 = 10;

/// Log pages that every controller here has; those of command sets come with their namespaces.
const PAGES: [Lid; 11] = [
    Lid::SupportedLogPages,
    Lid::ErrorInformation,
    Lid::SmartHealth,
    Lid::FirmwareSlot,
    Lid::ChangedAttachedNamespaces,
    Lid::CommandsSupportedAndEffects,
    Lid::FeaturesSupportedAndEffects,
    Lid::NvmeMiCommandsSupportedAndEffects,
    Lid::ReachabilityGroups,
    Lid::ReachabilityAssociations,
    DriveStatistics::LID,
];

/// Log pages of the Computational Programs command set.
const PROGRAM_PAGES: [Lid; 4] = [
    Lid::ProgramList,
    Lid::DownloadableProgramTypes,
    Lid::MemoryRangeSets,
    JobStatistics::LID,
];

impl Controller {
    /// The whole log page that `cdw10` asks for.
    pub(super) fn log(
        &self,
        now: Ns,
        cdw10: GetLogPageCdw10,
        csi: Csi,
        nsid: u32,
        subsystem: &Subsystem,
    ) -> Result<Vec<u8>, NvmeError> {
        let is_program_page = PROGRAM_PAGES.contains(&cdw10.lid());
        if !is_program_page && nsid != NSID_NONE && nsid != NSID_ALL {
            return Err(NvmeError::field("the log page is not kept per namespace"));
        }
        match cdw10.lid() {
            Lid::SupportedLogPages => Ok(supported(subsystem).as_bytes().to_vec()),
            Lid::ErrorInformation => {
                let mut bytes = Vec::new();
                self.errors
                    .entries()
                    .for_each(|entry| bytes.extend_from_slice(entry.as_bytes()));
                bytes.resize(crate::error_log::ENTRIES * size_of::<ErrorInformation>(), 0);
                Ok(bytes)
            }
            Lid::SmartHealth => Ok(self.smart(now, subsystem).as_bytes().to_vec()),
            Lid::FirmwareSlot => {
                let mut slots = FirmwareSlot::default();
                slots.afi = 1;
                slots.frs[0] = nvme_spec::identify::ascii(env!("CARGO_PKG_VERSION"));
                Ok(slots.as_bytes().to_vec())
            }
            Lid::ChangedAttachedNamespaces => Ok(self.events.changed_list()),
            Lid::CommandsSupportedAndEffects => Ok(effects(csi, subsystem).as_bytes().to_vec()),
            Lid::FeaturesSupportedAndEffects => Ok(self.features_supported(subsystem)),
            // There is no management endpoint.
            Lid::NvmeMiCommandsSupportedAndEffects => Ok(vec![0; 4096]),
            Lid::ReachabilityGroups => Ok(groups(subsystem, cdw10.lsp() & 1 != 0)),
            Lid::ReachabilityAssociations => Ok(associations(subsystem, cdw10.lsp() & 1 != 0)),
            DriveStatistics::LID => Ok(self.drive_statistics(now, subsystem).as_bytes().to_vec()),
            lid if is_program_page => {
                let namespace = subsystem.namespace(nsid);
                let namespace = namespace.ok_or(Status::INVALID_NAMESPACE_OR_FORMAT)?;
                namespace.set.log(lid).ok_or_else(|| no_page(lid))
            }
            lid => Err(no_page(lid)),
        }
    }

    fn features_supported(&self, subsystem: &Subsystem) -> Vec<u8> {
        let mut log = FeaturesSupportedAndEffects::default();
        for (fid, entry) in (0..).map(Fid).zip(&mut log.fids) {
            let has = self.has_feature(fid, subsystem);
            *entry = has
                .then(|| self.features.effects(fid))
                .flatten()
                .unwrap_or_default();
        }
        log.as_bytes().to_vec()
    }

    fn smart(&self, now: Ns, subsystem: &Subsystem) -> SmartHealth {
        /// Bytes of a data unit: thousand times 512.
        const UNIT: u128 = 512_000;
        let (media, host) = (subsystem.media.counters(), &subsystem.counters);
        let mut smart = SmartHealth::default();
        smart.cw = CriticalWarning::new()
            .with_ascbt(media.available_spare < SPARE_THRESHOLD)
            .with_amro(media.read_only);
        smart.ctemp = TEMPERATURE.into();
        smart.avsp = media.available_spare;
        smart.avspt = SPARE_THRESHOLD;
        smart.pused = media.percentage_used;
        smart.dur = u128::from(host.bytes_read).div_ceil(UNIT).into();
        smart.duw = u128::from(host.bytes_written).div_ceil(UNIT).into();
        smart.hrc = u128::from(host.reads).into();
        smart.hwc = u128::from(host.writes).into();
        smart.cbt = u128::from(self.busy(now).0 / 60_000_000_000).into();
        smart.pwrc = 1.into();
        smart.poh = u128::from(now.0 / 3_600_000_000_000).into();
        smart.mdie = u128::from(media.media_errors).into();
        smart.neile = u128::from(self.errors.count()).into();
        smart
    }

    /// Log page C0h.
    #[must_use]
    pub fn drive_statistics(&self, now: Ns, subsystem: &Subsystem) -> DriveStatistics {
        let late = &self.lateness().histogram;
        let mut log = DriveStatistics::new_zeroed();
        log.version = DriveStatistics::VERSION;
        log.now_ns = now.0;
        log.busy_ns = self.busy(now).0;
        log.bytes_to_host = subsystem.traffic.to_host;
        log.bytes_from_host = subsystem.traffic.from_host;
        log.bytes_inside = subsystem.traffic.inside;
        log.completed = self.completed();
        log.late_p50_ns = late.quantile(0.5).0;
        log.late_p99_ns = late.quantile(0.99).0;
        log.late_max_ns = late.max().0;
        add_flash(&mut log, &*subsystem.media);
        log
    }
}

/// What the flash did; of a media without flash, nothing.
fn add_flash(log: &mut DriveStatistics, media: &dyn Media) {
    let counters = media.counters();
    if counters.page_bytes == 0 {
        return;
    }
    log.page_bytes = counters.page_bytes;
    log.host_pages = counters.host_write_pages;
    log.moved_pages = counters.gc_write_pages;
    log.erases = counters.erases;
    log.gc_rounds_foreground = counters.gc_rounds_foreground;
    log.gc_rounds_background = counters.gc_rounds_background;
    log.free_lines = counters.free_lines;
    log.waf_milli = counters.waf_milli();
    log.available_spare = counters.available_spare;
    let wear = media.wear();
    log.wear_min = wear.iter().copied().min().unwrap_or(0);
    log.wear_max = wear.iter().copied().max().unwrap_or(0);
    let sum: u64 = wear.iter().copied().map(u64::from).sum();
    let mean = sum.saturating_mul(1000).checked_div(wear.len() as u64);
    log.wear_mean_milli = mean.unwrap_or(0);
}

fn no_page(lid: Lid) -> NvmeError {
    NvmeError::new(Status::INVALID_LOG_PAGE, format!("log page {lid:?}"))
}

fn supported(subsystem: &Subsystem) -> SupportedLogPages {
    let mut pages = SupportedLogPages::default();
    let programs = subsystem
        .namespaces()
        .iter()
        .any(|ns| ns.set.csi() == Csi::Cp);
    let more = if programs { &PROGRAM_PAGES[..] } else { &[] };
    for lid in PAGES.iter().chain(more) {
        pages.lids[usize::from(lid.0)] = LidSupported::new().with_lsupp(true);
    }
    pages
}

fn effects(csi: Csi, subsystem: &Subsystem) -> CommandsSupportedAndEffects {
    let mut log = CommandsSupportedAndEffects::default();
    for opcode in COMMANDS {
        let per_namespace = is_of_namespace(opcode);
        log.acs[usize::from(opcode.0)] = CommandEffects::new().with_csupp(true).with_csp(
            Scope::new()
                .with_namespace(per_namespace)
                .with_controller(!per_namespace),
        );
    }
    let format = &mut log.acs[usize::from(AdminOpcode::FormatNvm.0)];
    // While it is executed, no other command may be.
    *format = format.with_lbcc(true).with_ncc(true).with_cse(1);
    let sets = subsystem
        .namespaces()
        .iter()
        .map(|namespace| &namespace.set);
    for effect in sets
        .filter(|set| set.csi() == csi)
        .flat_map(|set| set.effects())
    {
        log.iocs[usize::from(effect.opcode)] = CommandEffects::new()
            .with_csupp(true)
            .with_lbcc(effect.changes_data)
            .with_csp(Scope::new().with_namespace(true));
    }
    log
}

/// Whether an admin command acts on a namespace, and not on the controller.
fn is_of_namespace(opcode: AdminOpcode) -> bool {
    matches!(
        opcode,
        AdminOpcode::FormatNvm
            | AdminOpcode::LoadProgram
            | AdminOpcode::ProgramActivationManagement
            | AdminOpcode::MemoryRangeSetManagement
            | AdminOpcode::JobGroupManagement
    )
}

/// Each namespace is in a group of its own.
fn groups(subsystem: &Subsystem, groups_only: bool) -> Vec<u8> {
    let mut header = ReachabilityGroupsHeader::default();
    header.nrgd = subsystem.namespaces().len() as u16;
    let mut bytes = header.as_bytes().to_vec();
    for namespace in subsystem.namespaces() {
        let mut group = ReachabilityGroup::default();
        group.rgid = subsystem.group(namespace);
        group.nnid = if groups_only { 0 } else { 1 };
        bytes.extend_from_slice(group.as_bytes());
        if !groups_only {
            bytes.extend_from_slice(&namespace.nsid.to_le_bytes());
        }
    }
    bytes
}

fn associations(subsystem: &Subsystem, associations_only: bool) -> Vec<u8> {
    let associations = subsystem.associations();
    let mut header = ReachabilityAssociationsHeader::default();
    header.nrad = associations.len() as u16;
    let mut bytes = header.as_bytes().to_vec();
    for association in associations {
        let mut descriptor = ReachabilityAssociation::default();
        descriptor.rasid = association.id;
        descriptor.nrid = if associations_only {
            0
        } else {
            association.groups.len() as u32
        };
        descriptor.rac = association.characteristics;
        bytes.extend_from_slice(descriptor.as_bytes());
        if !associations_only {
            for group in association.groups {
                bytes.extend_from_slice(&group.to_le_bytes());
            }
        }
    }
    bytes
}
