//! Bringing a controller up: registers, and which command sets it is to have.

use super::queue::QueuePair;
use super::transport::Transport;
use super::wait::{Deadline, Idle};
use crate::Error;
use crate::error::Doing;
use nvme_spec::identify::IocsVector;
use nvme_spec::register::{ACQ, AQA, ASQ, Aqa, CC, CRTO, CSTS, Cap, Cc, CcCss, Crto, Csts, Shn};
use nvme_spec::{Cqe, Csi, Sqe};
use std::cmp::Reverse;
use std::time::Duration;

/// Index of the combination with most of the sets that we have a use for; then with most of all.
pub(super) fn best_combination(vectors: &[IocsVector]) -> Option<u16> {
    let useful = |vector: &IocsVector| {
        let used = [Csi::Nvm, Csi::Slm, Csi::Cp];
        used.into_iter().filter(|&csi| vector.contains(csi)).count()
    };
    vectors
        .iter()
        .take_while(|vector| vector.into_bits() != 0)
        .enumerate()
        // The first among equals: `max_by_key` would take the last.
        .min_by_key(|(_, vector)| Reverse((useful(vector), vector.into_bits().count_ones())))
        .map(|(index, _)| index as u16)
}

/// CC.EN cleared, and CSTS.RDY seen to follow.
pub(super) fn disable(transport: &dyn Transport, cap: Cap) -> Result<(), Error> {
    let cc = Cc::from_bits(transport.read32(CC)?);
    if cc.en() {
        let off = cc.with_en(false).with_shn(Shn::None);
        transport.write32(CC, off.into_bits())?;
    }
    let limit = ready_timeout(transport, cap)?;
    wait_for(transport, limit, |csts| !csts.rdy()).doing(|| "reset the controller".into())
}

pub(super) fn enable(
    transport: &dyn Transport,
    cap: Cap,
    admin: &QueuePair,
    entries: u16,
) -> Result<(), Error> {
    let aqa = Aqa::new().with_asqs_z(entries - 1).with_acqs_z(entries - 1);
    transport.write32(AQA, aqa.into_bits())?;
    transport.write64(ASQ, admin.sq_iova())?;
    transport.write64(ACQ, admin.cq_iova())?;
    let css = if cap.css().noiocss() {
        CcCss::AdminOnly
    } else if cap.css().iocss() {
        CcCss::AllSupported
    } else {
        CcCss::Nvm
    };
    let cc = Cc::new()
        .with_css(css)
        .with_mps(cap.mpsmin())
        .with_iosqes(size_of::<Sqe>().ilog2() as u8)
        .with_iocqes(size_of::<Cqe>().ilog2() as u8);
    transport.write32(CC, cc.into_bits())?;
    transport.write32(CC, cc.with_en(true).into_bits())?;
    let limit = ready_timeout(transport, cap)?;
    let ready = wait_for(transport, limit, |csts| csts.rdy() || csts.cfs());
    ready.doing(|| "enable the controller".into())?;
    if Csts::from_bits(transport.read32(CSTS)?).cfs() {
        let doing = "enable the controller".into();
        return Err(Error::Fatal { doing });
    }
    Ok(())
}

/// How long the controller says that CSTS may take to follow CC.
pub(super) fn ready_timeout(transport: &dyn Transport, cap: Cap) -> Result<Duration, Error> {
    /// An emulated controller may be honest about its modelled time and yet have a slow host.
    const AT_LEAST: Duration = Duration::from_secs(5);
    let mut units = u32::from(cap.to());
    if cap.crwms() {
        let crto = Crto::from_bits(transport.read32(CRTO)?);
        units = units.max(crto.crwmt().into());
    }
    Ok(AT_LEAST.max(units * Duration::from_millis(500)))
}

pub(super) fn wait_for(
    transport: &dyn Transport,
    limit: Duration,
    reached: impl Fn(Csts) -> bool,
) -> Result<(), Error> {
    let mut idle = Idle::new(transport, Deadline::after(limit));
    loop {
        let csts = transport.read32(CSTS)?;
        if csts == u32::MAX {
            return Err(Error::Gone("its registers read as all ones".into()));
        }
        if reached(Csts::from_bits(csts)) {
            return Ok(());
        }
        idle.turn()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn combination(sets: &[u8]) -> IocsVector {
        IocsVector::from_bits(sets.iter().map(|set| 1 << set).sum())
    }

    #[test]
    fn the_combination_with_most_of_what_is_used_wins() {
        let none = combination(&[]);
        let list = [
            combination(&[0, 1, 2]),
            combination(&[0, 3]),
            combination(&[0, 3, 4]),
            combination(&[0, 2, 3, 4]),
            combination(&[0, 2, 3, 4]),
            none,
            combination(&[0, 1, 2, 3, 4]),
        ];
        assert_eq!(
            best_combination(&list),
            Some(3),
            "what follows the end does not count"
        );
        assert_eq!(best_combination(&list[..2]), Some(1));
        assert_eq!(best_combination(&[none]), None);
    }
}
