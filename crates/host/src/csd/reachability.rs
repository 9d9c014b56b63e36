//! Which namespaces can reach which: for copies, and for programs and their memory.

use super::log::LogReader;
use crate::{Device, Error};
use nvme_spec::log::{
    ReachabilityAssociation, ReachabilityAssociationsHeader, ReachabilityCharacteristics,
    ReachabilityGroup, ReachabilityGroupsHeader,
};
use nvme_spec::{Csi, Lid};
use std::collections::{BTreeMap, BTreeSet};

/// Groups of namespaces, and associations of groups (logs 1Ah and 1Bh).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachability {
    /// NSIDs of each group, by its identifier.
    pub groups: BTreeMap<u32, BTreeSet<u32>>,
    /// Associations, by identifier.
    pub associations: BTreeMap<u32, Association>,
}

/// Groups that reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// Identifiers of the groups.
    pub groups: BTreeSet<u32>,
    /// What is said about copies between them.
    pub characteristics: ReachabilityCharacteristics,
}

impl Reachability {
    /// Whether two namespaces reach each other. Each reaches itself; others, even in the same
    /// group, only if an association says so: one with both their groups, or one with their
    /// common group alone.
    #[must_use]
    pub fn reaches(&self, a: u32, b: u32) -> bool {
        a == b || self.between(a, b).next().is_some()
    }

    /// Whether the drive says that copies between two namespaces are fast.
    #[must_use]
    pub fn fast_copy(&self, a: u32, b: u32) -> bool {
        self.between(a, b)
            .any(|found| found.characteristics == ReachabilityCharacteristics::FastCopy)
    }

    fn between(&self, a: u32, b: u32) -> impl Iterator<Item = &Association> {
        let groups = (self.group(a), self.group(b));
        self.associations
            .values()
            .filter(move |found| match groups {
                (Some(a), Some(b)) if a == b => found.groups.iter().eq([&a]),
                (Some(a), Some(b)) => found.groups.contains(&a) && found.groups.contains(&b),
                _ => false,
            })
    }

    fn group(&self, nsid: u32) -> Option<u32> {
        let mut groups = self.groups.iter();
        groups
            .find(|(_, members)| members.contains(&nsid))
            .map(|(&id, _)| id)
    }

    /// Reads both logs, again if they change meanwhile.
    pub(super) fn read(device: &mut dyn Device) -> Result<Self, Error> {
        const TRIES: usize = 4;
        for _ in 0..TRIES {
            let before = changes(device)?;
            let this = Self {
                groups: groups(device)?,
                associations: associations(device)?,
            };
            if changes(device)? == before {
                return Ok(this);
            }
        }
        Err(Error::protocol("the reachability logs change all the time"))
    }
}

/// Change counts of both logs.
fn changes(device: &mut dyn Device) -> Result<(u64, u64), Error> {
    let groups: ReachabilityGroupsHeader = log(device, Lid::ReachabilityGroups).read()?;
    let mut log = log(device, Lid::ReachabilityAssociations);
    let associations: ReachabilityAssociationsHeader = log.read()?;
    Ok((groups.chngc, associations.chngc))
}

fn groups(device: &mut dyn Device) -> Result<BTreeMap<u32, BTreeSet<u32>>, Error> {
    let mut log = log(device, Lid::ReachabilityGroups);
    let header: ReachabilityGroupsHeader = log.read()?;
    let group = |_| {
        let group: ReachabilityGroup = log.read()?;
        Ok((group.rgid, ids(&mut log, group.nnid)?))
    };
    (0..header.nrgd).map(group).collect()
}

fn associations(device: &mut dyn Device) -> Result<BTreeMap<u32, Association>, Error> {
    let mut log = log(device, Lid::ReachabilityAssociations);
    let header: ReachabilityAssociationsHeader = log.read()?;
    let association = |_| {
        let found: ReachabilityAssociation = log.read()?;
        let association = Association {
            groups: ids(&mut log, found.nrid)?,
            characteristics: found.rac,
        };
        Ok((found.rasid, association))
    };
    (0..header.nrad).map(association).collect()
}

fn log(device: &mut dyn Device, lid: Lid) -> LogReader<'_> {
    LogReader::new(device, lid, 0, Csi::Nvm)
}

/// A list of identifiers. However many it claims to have, the log's length is limited.
fn ids(log: &mut LogReader<'_>, count: u32) -> Result<BTreeSet<u32>, Error> {
    (0..count).map(|_| log.read()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reachability(groups: &[(u32, &[u32])], associations: &[(u32, &[u32])]) -> Reachability {
        let set = |ids: &[u32]| ids.iter().copied().collect();
        let association = |groups: &[u32]| Association {
            groups: set(groups),
            characteristics: ReachabilityCharacteristics::FastCopy,
        };
        Reachability {
            groups: groups.iter().map(|(id, ids)| (*id, set(ids))).collect(),
            associations: associations
                .iter()
                .map(|(id, ids)| (*id, association(ids)))
                .collect(),
        }
    }

    #[test]
    fn groups_reach_each_other_through_an_association_of_both() {
        let found = reachability(
            &[(1, &[1]), (2, &[2, 3]), (9, &[4])],
            &[(1, &[1, 2]), (2, &[9])],
        );
        assert!(found.reaches(1, 2) && found.reaches(3, 1) && found.fast_copy(1, 3));
        assert!(!found.reaches(1, 4));
        assert!(!found.reaches(1, 77), "a namespace of no group");
    }

    #[test]
    fn members_of_a_group_reach_each_other_only_if_it_is_associated_with_itself() {
        let apart = reachability(&[(1, &[1, 2]), (2, &[3])], &[(1, &[1, 2])]);
        assert!(!apart.reaches(1, 2));
        assert!(apart.reaches(1, 1));
        let together = reachability(&[(1, &[1, 2])], &[(1, &[1])]);
        assert!(together.reaches(1, 2));
    }
}
