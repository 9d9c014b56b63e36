//! Namespace Write Protection Config (Base, 5.1.25): a feature whose values are with
//! the namespaces.

use crate::error::NvmeError;
use crate::set::Step;
use crate::subsystem::Subsystem;
use ersatz_engine::Ns;
use nvme_spec::Status;
use nvme_spec::feature::{NamespaceWriteProtection, Select, WriteProtection};

/// The state of a namespace that can be protected.
fn state(nsid: u32, subsystem: &Subsystem) -> Result<WriteProtection, NvmeError> {
    let namespace = subsystem.namespace(nsid);
    let namespace = namespace.ok_or_else(|| subsystem.absent(nsid))?;
    let state = namespace.set.write_protection();
    state.ok_or_else(|| NvmeError::field(format!("namespace {nsid} can't be write protected")))
}

/// The dword of Get Features. The default is no protection, and nothing is saved.
pub(super) fn get(nsid: u32, select: Select, subsystem: &Subsystem) -> Result<u32, NvmeError> {
    let current = state(nsid, subsystem)?;
    let value = match select {
        Select::Current => current,
        Select::Default | Select::Saved => WriteProtection::None,
        _ => return Err(NvmeError::field("SEL is reserved")),
    };
    Ok(NamespaceWriteProtection::new().with_wps(value).into_bits())
}

/// Set Features. What was accepted before is non-volatile when the namespace is protected.
pub(super) fn set(
    now: Ns,
    nsid: u32,
    save: bool,
    cdw11: u32,
    subsystem: &mut Subsystem,
) -> Result<Step, NvmeError> {
    let current = state(nsid, subsystem)?;
    if save {
        return Err(Status::FEATURE_NOT_SAVEABLE.into());
    }
    let wanted = NamespaceWriteProtection::from_bits(cdw11).wps();
    if wanted.0 > WriteProtection::UntilPowerCycle.0 {
        return Err(NvmeError::field(format!("write protection {wanted:?}")));
    }
    if current == WriteProtection::UntilPowerCycle {
        return Err(Status::FEATURE_NOT_CHANGEABLE.into());
    }
    let at = match wanted {
        WriteProtection::None => now,
        _ => subsystem.flush(now)?,
    };
    if let Some(namespace) = subsystem.namespace_mut(nsid) {
        namespace.set.protect(wanted);
    }
    Ok(Step::at(at))
}
