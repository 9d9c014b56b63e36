//! What a drive says about its namespaces.

use crate::Error;
use nvme_spec::Csi;
use nvme_spec::identify::{
    IdentifyNamespace, IdentifyNamespaceCp, IdentifyNamespaceIndependent, IdentifyNamespaceSlm,
    NamespaceIdDescriptor, NamespaceIdType,
};
use zerocopy::FromBytes;

/// What namespaces of all kinds have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// UUID, if the namespace has one.
    pub uuid: Option<[u8; 16]>,
    /// Whether the drive says that it is ready; it need not say.
    pub ready: Option<bool>,
    /// Reachability group, if the drive reports reachability.
    pub group: Option<u32>,
}

/// Blocks of flash: a namespace of the NVM Command Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NvmNamespace {
    /// Namespace Identifier.
    pub nsid: u32,
    /// What all have.
    pub about: About,
    /// Size in logical blocks.
    pub blocks: u64,
    /// Bytes of a logical block, without metadata.
    pub block: u64,
    /// Bytes of metadata of a logical block.
    pub metadata: u16,
    /// The most logical blocks of one source range of a copy; 65,536 if the drive has no limit.
    pub max_copy_range: u64,
}

impl NvmNamespace {
    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.blocks * self.block
    }

    pub(crate) fn parse(nsid: u32, about: About, id: &IdentifyNamespace) -> Result<Self, Error> {
        let format = id.lbaf[usize::from(id.flbas.index()) % id.lbaf.len()];
        let lbads = format.lbads();
        if !(9..=30).contains(&lbads) {
            return Err(impossible(
                nsid,
                format!("logical blocks of 2^{lbads} bytes"),
            ));
        }
        let block = 1 << lbads;
        if id.nsze > u64::MAX / block {
            return Err(impossible(nsid, format!("{} logical blocks", id.nsze)));
        }
        Ok(Self {
            nsid,
            about,
            blocks: id.nsze,
            block,
            metadata: format.ms(),
            max_copy_range: match id.mssrl {
                0 => 1 << 16,
                limit => limit.into(),
            },
        })
    }
}

/// Bytes of device memory: a namespace of the SLM Command Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNamespace {
    /// Namespace Identifier.
    pub nsid: u32,
    /// What all have.
    pub about: About,
    /// Size in bytes.
    pub size: u64,
    /// What addresses and lengths are multiples of, in bytes; at least 4.
    pub granularity: u64,
    /// The most bytes of one Memory Copy, if there is a limit.
    pub max_copy: Option<u64>,
    /// The most source ranges of one Memory Copy.
    pub max_copy_ranges: usize,
}

impl MemoryNamespace {
    pub(crate) fn parse(nsid: u32, about: About, id: &IdentifyNamespaceSlm) -> Result<Self, Error> {
        if id.gran > 30 {
            return Err(impossible(
                nsid,
                format!("a granularity of 2^{} bytes", id.gran),
            ));
        }
        Ok(Self {
            nsid,
            about,
            size: id.nsze,
            granularity: 1 << id.gran.max(2),
            max_copy: (id.mcl != 0).then_some(id.mcl),
            max_copy_ranges: usize::from(id.msrc_z) + 1,
        })
    }
}

/// Compute units: a namespace of the CP Command Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComputeNamespace {
    /// Namespace Identifier.
    pub nsid: u32,
    /// What all have.
    pub about: About,
    /// The most programs that are active at once, if there is a limit.
    pub max_active: Option<u16>,
    /// The most memory range sets.
    pub max_range_sets: u16,
    /// The most ranges of a set or of an execution.
    pub max_ranges: u8,
    /// What addresses and lengths of ranges are multiples of, in bytes.
    pub range_granularity: u64,
    /// The most bytes of all downloaded programs together.
    pub max_program_bytes: u64,
    /// What the size of a program and of its parts is a multiple of, in bytes.
    pub load_granularity: u32,
}

impl ComputeNamespace {
    pub(crate) fn parse(nsid: u32, about: About, id: &IdentifyNamespaceCp) -> Result<Self, Error> {
        if id.mrsg > 31 {
            return Err(impossible(nsid, format!("ranges of 2^{} bytes", id.mrsg)));
        }
        if id.lpg > 30 {
            return Err(impossible(
                nsid,
                format!("a load granularity of 2^{} bytes", id.lpg),
            ));
        }
        Ok(Self {
            nsid,
            about,
            max_active: (id.maxact != 0).then_some(id.maxact),
            max_range_sets: id.maxmemrs,
            max_ranges: id.maxmemr,
            range_granularity: 1 << id.mrsg,
            max_program_bytes: id.maxpb.saturating_mul(1 << 20),
            load_granularity: 1 << id.lpg,
        })
    }
}

fn impossible(nsid: u32, what: String) -> Error {
    Error::protocol(format!("namespace {nsid} has {what}"))
}

/// The UUID and the command set in a list of identification descriptors (CNS 03h).
pub(crate) fn parse_descriptors(mut list: &[u8]) -> (Option<[u8; 16]>, Option<Csi>) {
    let (mut uuid, mut csi) = (None, None);
    while let Ok((header, rest)) = NamespaceIdDescriptor::read_from_prefix(list) {
        let Some((value, rest)) = rest.split_at_checked(header.nidl.into()) else {
            break;
        };
        match (header.nidt, value) {
            (_, []) => break,
            (NamespaceIdType::Uuid, value) => uuid = value.try_into().ok(),
            (NamespaceIdType::Csi, [value]) => csi = Some(Csi(*value)),
            _ => {}
        }
        list = rest;
    }
    (uuid, csi)
}

impl About {
    pub(crate) fn new(
        uuid: Option<[u8; 16]>,
        independent: Option<&IdentifyNamespaceIndependent>,
    ) -> Self {
        Self {
            uuid,
            ready: independent.map(|id| id.nstat.nrdy()),
            group: independent.map(|id| id.rgrpid).filter(|&group| group != 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvme_spec::identify::LbaFormat;
    use zerocopy::IntoBytes;

    fn with<T: Default>(set: impl FnOnce(&mut T)) -> T {
        let mut value = T::default();
        set(&mut value);
        value
    }

    fn nvm(nsze: u64, format: LbaFormat) -> Result<NvmNamespace, Error> {
        let id = with(|id: &mut IdentifyNamespace| {
            id.nsze = nsze;
            id.flbas = id.flbas.with_low(1).with_high(2);
            id.lbaf[0x21] = format;
        });
        NvmNamespace::parse(1, About::default(), &id)
    }

    fn memory(set: impl FnOnce(&mut IdentifyNamespaceSlm)) -> Result<MemoryNamespace, Error> {
        MemoryNamespace::parse(2, About::default(), &with(set))
    }

    fn compute(set: impl FnOnce(&mut IdentifyNamespaceCp)) -> Result<ComputeNamespace, Error> {
        ComputeNamespace::parse(3, About::default(), &with(set))
    }

    #[test]
    fn the_format_in_use_gives_the_size() {
        let nvm = nvm(1000, LbaFormat::new().with_lbads(12).with_ms(8)).expect("possible");
        assert_eq!((nvm.block, nvm.size(), nvm.metadata), (4096, 4_096_000, 8));
        assert_eq!(nvm.max_copy_range, 65_536);
    }

    #[test]
    fn impossible_numbers_are_refused_and_not_computed_with() {
        for lbads in [0, 8, 31, 64, 255] {
            assert!(nvm(1, LbaFormat::new().with_lbads(lbads)).is_err());
        }
        assert!(nvm(u64::MAX, LbaFormat::new().with_lbads(9)).is_err());
        assert!(memory(|id| id.gran = 64).is_err());
        for (mrsg, lpg) in [(64, 0), (0, 64), (u16::MAX, 255)] {
            let found = compute(|id| {
                (id.mrsg, id.lpg) = (mrsg, lpg);
                id.maxpb = u64::MAX;
            });
            assert!(found.is_err());
        }
    }

    #[test]
    fn zero_means_no_limit_where_it_does() {
        let cp = compute(|id| {
            (id.mrsg, id.lpg, id.maxpb) = (2, 12, 1024);
        });
        let cp = cp.expect("possible");
        assert_eq!((cp.max_active, cp.range_granularity), (None, 4));
        assert_eq!((cp.load_granularity, cp.max_program_bytes), (4096, 1 << 30));
        let slm = memory(|id| {
            (id.nsze, id.msrc_z) = (1 << 30, 127);
        });
        let slm = slm.expect("possible");
        assert_eq!(
            (slm.granularity, slm.max_copy, slm.max_copy_ranges),
            (4, None, 128)
        );
    }

    #[test]
    fn descriptors_are_found_in_any_order_and_a_cut_list_ends() {
        let uuid: [u8; 16] = core::array::from_fn(|i| i as u8);
        let mut list = Vec::new();
        list.extend(NamespaceIdDescriptor::new(NamespaceIdType::Csi).as_bytes());
        list.push(Csi::Slm.0);
        list.extend([9, 2, 0, 0, 7, 7]);
        list.extend(NamespaceIdDescriptor::new(NamespaceIdType::Uuid).as_bytes());
        list.extend(uuid);
        list.extend([0; 8]);
        assert_eq!(parse_descriptors(&list), (Some(uuid), Some(Csi::Slm)));
        assert_eq!(parse_descriptors(&list[..20]), (None, Some(Csi::Slm)));
        assert_eq!(
            parse_descriptors(&[4, 0, 0, 0, 4, 1, 0, 0, 1]),
            (None, None)
        );
        assert_eq!(parse_descriptors(&[4, 255, 0, 0, 1]), (None, None));
    }
}
