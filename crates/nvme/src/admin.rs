//! Admin commands (Base, 5).

mod format;
mod identify;
mod log;
mod protection;

use crate::buffer::Buffer;
use crate::controller::Controller;
use crate::error::NvmeError;
use crate::features::Features;
use crate::set::Step;
use crate::subsystem::Subsystem;
use ersatz_engine::Ns;
use ersatz_pcie::Host;
use nvme_spec::admin::{
    AbortCdw10, AbortResult, GetFeaturesCdw10, GetLogPageCdw10, GetLogPageCdw11, GetLogPageCdw14,
    IdentifyCdw10, IdentifyCdw11, SetFeaturesCdw10,
};
use nvme_spec::feature::Select;
use nvme_spec::queue::Psdt;
use nvme_spec::{AdminOpcode, Fid, Lid, NSID_ALL, NSID_NONE, Sqe, Status};

/// Admin commands that every controller here knows; those of command sets are with them.
pub(crate) const COMMANDS: [AdminOpcode; 16] = [
    AdminOpcode::DeleteIoSq,
    AdminOpcode::CreateIoSq,
    AdminOpcode::GetLogPage,
    AdminOpcode::DeleteIoCq,
    AdminOpcode::CreateIoCq,
    AdminOpcode::Identify,
    AdminOpcode::Abort,
    AdminOpcode::SetFeatures,
    AdminOpcode::GetFeatures,
    AdminOpcode::AsyncEventRequest,
    AdminOpcode::DoorbellBufferConfig,
    AdminOpcode::FormatNvm,
    AdminOpcode::LoadProgram,
    AdminOpcode::ProgramActivationManagement,
    AdminOpcode::MemoryRangeSetManagement,
    AdminOpcode::JobGroupManagement,
];

impl Controller {
    /// Executes an admin command.
    pub(crate) fn admin(
        &mut self,
        now: Ns,
        number: u64,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> Result<Step, NvmeError> {
        if sqe.flags.psdt() != Psdt::Prp {
            return Err(NvmeError::field("admin commands use PRPs over PCIe"));
        }
        let done = |()| Step::done(0);
        match AdminOpcode(sqe.opcode) {
            AdminOpcode::DeleteIoSq => self.delete_sq(now, sqe, subsystem, host).map(done),
            AdminOpcode::CreateIoSq => self.create_sq(sqe).map(done),
            AdminOpcode::DeleteIoCq => self.delete_cq(sqe).map(done),
            AdminOpcode::CreateIoCq => self.create_cq(sqe).map(done),
            AdminOpcode::GetLogPage => self.get_log_page(now, sqe, subsystem, host).map(done),
            AdminOpcode::Identify => self.identify_command(sqe, subsystem, host).map(done),
            AdminOpcode::Abort => Ok(self.abort_command(now, sqe, subsystem, host)),
            AdminOpcode::SetFeatures => self.set_features(now, sqe, subsystem, host),
            AdminOpcode::GetFeatures => self.get_features(now, sqe, subsystem, host),
            AdminOpcode::DoorbellBufferConfig => {
                self.configure_shadow(sqe.prp1, sqe.prp2, host).map(done)
            }
            AdminOpcode::FormatNvm => self.format_nvm(now, number, sqe, subsystem, host),
            AdminOpcode::LoadProgram
            | AdminOpcode::ProgramActivationManagement
            | AdminOpcode::MemoryRangeSetManagement
            | AdminOpcode::JobGroupManagement => {
                self.on_namespace(now, number, sqe, subsystem, host, |set, cx| set.admin(cx))
            }
            opcode => Err(NvmeError::new(
                Status::INVALID_OPCODE,
                format!("admin opcode {opcode:?}"),
            )),
        }
    }

    /// Copies `bytes` to the data buffer of an admin command.
    fn send(&self, sqe: &Sqe, bytes: &[u8], host: &mut dyn Host) -> Result<(), NvmeError> {
        let buffer = Buffer::of(sqe, bytes.len() as u64, self.page(), host)?;
        Ok(buffer.write(host, bytes)?)
    }

    fn identify_command(
        &mut self,
        sqe: &Sqe,
        subsystem: &Subsystem,
        host: &mut dyn Host,
    ) -> Result<(), NvmeError> {
        let cdw10 = IdentifyCdw10::from_bits(sqe.cdw10);
        let cdw11 = IdentifyCdw11::from_bits(sqe.cdw11);
        let page = self.identify(cdw10, cdw11, sqe.nsid, subsystem)?;
        self.send(sqe, &page, host)
    }

    fn get_log_page(
        &mut self,
        now: Ns,
        sqe: &Sqe,
        subsystem: &Subsystem,
        host: &mut dyn Host,
    ) -> Result<(), NvmeError> {
        let cdw10 = GetLogPageCdw10::from_bits(sqe.cdw10);
        let cdw11 = GetLogPageCdw11::from_bits(sqe.cdw11);
        let cdw14 = GetLogPageCdw14::from_bits(sqe.cdw14);
        let dwords = u64::from(cdw10.numdl_z()) | u64::from(cdw11.numdu_z()) << 16;
        let (len, offset) = ((dwords + 1) * 4, sqe.cdw12_13());
        if len > self.config.max_transfer {
            return Err(NvmeError::field(format!(
                "{len} bytes are more than MDTS allows"
            )));
        }
        if cdw14.ot() || !offset.is_multiple_of(4) {
            return Err(NvmeError::field(
                "log page offsets are bytes, in whole dwords",
            ));
        }
        let log = self.log(now, cdw10, cdw14.csi(), sqe.nsid, subsystem)?;
        if offset > log.len() as u64 {
            return Err(NvmeError::field("the offset is beyond the log page"));
        }
        // What is asked for beyond the end of the page reads as zeros.
        let mut bytes = vec![0; len as usize];
        let rest = &log[offset as usize..];
        let n = rest.len().min(bytes.len());
        bytes[..n].copy_from_slice(&rest[..n]);
        self.send(sqe, &bytes, host)?;
        if !cdw10.rae() {
            self.events.read(cdw10.lid());
        }
        if cdw10.lid() == Lid::ChangedAttachedNamespaces {
            self.events.forget_changed();
        }
        Ok(())
    }

    fn abort_command(
        &mut self,
        now: Ns,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> Step {
        let cdw10 = AbortCdw10::from_bits(sqe.cdw10);
        let found = self.abort(now, cdw10.sqid(), cdw10.cid(), subsystem, host);
        Step::done(AbortResult::new().with_ianp(!found).into_bits().into())
    }

    fn set_features(
        &mut self,
        now: Ns,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> Result<Step, NvmeError> {
        let cdw10 = SetFeaturesCdw10::from_bits(sqe.cdw10);
        if cdw10.fid() == Fid::NamespaceWriteProtection {
            return protection::set(now, sqe.nsid, cdw10.sv(), sqe.cdw11, subsystem);
        }
        self.check_feature(cdw10.fid(), sqe.nsid, subsystem)?;
        let mut data = vec![0; Features::data_len(cdw10.fid(), sqe.cdw11)];
        Buffer::of(sqe, data.len() as u64, self.page(), host)?.read(host, &mut data)?;
        let queues = self.has_io_queues();
        let result = self
            .features
            .set(now, cdw10.fid(), cdw10.sv(), sqe.cdw11, &data, queues)?;
        let at = if cdw10.fid() == Fid::VolatileWriteCache && self.features.write_through() {
            subsystem.flush(now)?
        } else {
            now
        };
        Ok(Step::At {
            at,
            result: result.into(),
            to_host: 0,
        })
    }

    fn get_features(
        &mut self,
        now: Ns,
        sqe: &Sqe,
        subsystem: &Subsystem,
        host: &mut dyn Host,
    ) -> Result<Step, NvmeError> {
        let cdw10 = GetFeaturesCdw10::from_bits(sqe.cdw10);
        let (fid, select) = (cdw10.fid(), cdw10.sel());
        if fid == Fid::NamespaceWriteProtection && select != Select::Supported {
            let value = protection::get(sqe.nsid, select, subsystem)?;
            return Ok(Step::done(value.into()));
        }
        self.check_feature(cdw10.fid(), sqe.nsid, subsystem)?;
        let mut data = vec![0; Features::data_len(cdw10.fid(), sqe.cdw11)];
        let result = self
            .features
            .get(now, cdw10.fid(), cdw10.sel(), sqe.cdw11, &mut data)?;
        // Only the value itself has data; what is supported is told in the completion alone.
        if select != Select::Supported {
            self.send(sqe, &data, host)?;
        }
        Ok(Step::done(result.into()))
    }

    /// Whether a feature that this program knows is there: one depends on the media.
    fn has_feature(&self, fid: Fid, subsystem: &Subsystem) -> bool {
        fid != Fid::VolatileWriteCache || subsystem.media.volatile_cache()
    }

    /// Whether this drive has the feature, for what `nsid` names.
    fn check_feature(&self, fid: Fid, nsid: u32, subsystem: &Subsystem) -> Result<(), NvmeError> {
        if !self.has_feature(fid, subsystem) {
            return Err(NvmeError::field("there is no volatile write cache"));
        }
        if matches!(fid, Fid::ErrorRecovery | Fid::NamespaceWriteProtection) {
            // They belong to a namespace.
            if nsid != NSID_ALL && subsystem.namespace(nsid).is_none() {
                return Err(subsystem.absent(nsid));
            }
            return Ok(());
        }
        if nsid != NSID_NONE && nsid != NSID_ALL {
            let known = subsystem.namespace(nsid).is_some();
            return Err(if known {
                Status::FEATURE_NOT_NAMESPACE_SPECIFIC.into()
            } else {
                subsystem.absent(nsid)
            });
        }
        Ok(())
    }
}
