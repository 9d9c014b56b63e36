//! Format NVM (Base, 5.1.10; NVM, 4.1.2).

use crate::controller::Controller;
use crate::error::NvmeError;
use crate::set::Step;
use crate::subsystem::Subsystem;
use ersatz_engine::Ns;
use ersatz_pcie::Host;
use nvme_spec::admin::{AsyncEvent, FormatNvmCdw10};
use nvme_spec::{Csi, NSID_ALL, Sqe, Status};

impl Controller {
    /// Formats one namespace, or all that have blocks. Nothing is changed unless all can be.
    pub(super) fn format_nvm(
        &mut self,
        now: Ns,
        number: u64,
        sqe: &Sqe,
        subsystem: &mut Subsystem,
        host: &mut dyn Host,
    ) -> Result<Step, NvmeError> {
        let cdw10 = FormatNvmCdw10::from_bits(sqe.cdw10);
        let wanted: Vec<u32> = match sqe.nsid {
            NSID_ALL => {
                let all = subsystem.namespaces().iter();
                let blocks = all.filter(|namespace| namespace.set.csi() == Csi::Nvm);
                blocks.map(|namespace| namespace.nsid).collect()
            }
            nsid => vec![nsid],
        };
        for &nsid in &wanted {
            let namespace = subsystem.namespace(nsid);
            let namespace = namespace.ok_or_else(|| subsystem.absent(nsid))?;
            namespace.set.check_format(cdw10)?;
            if self.works_on(nsid) {
                let reason = format!("commands are under way in namespace {nsid}");
                return Err(NvmeError::transient(Status::COMMAND_SEQUENCE_ERROR, reason));
            }
        }
        let mut done = now;
        for nsid in wanted {
            let sqe = Sqe { nsid, ..*sqe };
            let step =
                self.on_namespace(now, number, &sqe, subsystem, host, |set, cx| set.format(cx))?;
            if let Step::At { at, .. } = step {
                done = done.max(at);
            }
            self.events.namespace_changed(nsid);
            self.events.raise(AsyncEvent::ATTACHED_NAMESPACE_CHANGED);
        }
        Ok(Step::at(done))
    }
}
