//! What a device tells of itself: its regions and interrupt types.

use std::os::fd::BorrowedFd;

use crate::wire::{
    CapabilityHeader, DeviceInfoLayout, IrqInfoLayout, RegionInfoLayout, SparseMmap, SparseMmapArea,
};

/// The answer to `DEVICE_GET_INFO`. The protocol knows only PCI devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Whether `DEVICE_RESET` is supported.
    pub resettable: bool,
    /// Regions, absent ones included; for PCI at least [`crate::pci::NUM_REGIONS`].
    pub num_regions: u32,
    /// Interrupt types, absent ones included; for PCI at least [`crate::pci::NUM_IRQS`].
    pub num_irqs: u32,
}

impl DeviceInfo {
    pub(crate) fn to_wire(self) -> DeviceInfoLayout {
        let reset = flag(self.resettable, DeviceInfoLayout::RESET);
        DeviceInfoLayout {
            argsz: DeviceInfoLayout::SIZE as u32,
            flags: DeviceInfoLayout::PCI | reset,
            num_regions: self.num_regions,
            num_irqs: self.num_irqs,
        }
    }

    pub(crate) fn from_wire(raw: &DeviceInfoLayout) -> Self {
        Self {
            resettable: raw.flags & DeviceInfoLayout::RESET != 0,
            num_regions: raw.num_regions,
            num_irqs: raw.num_irqs,
        }
    }
}

/// The answer to `DEVICE_GET_IRQ_INFO`. The default is an absent interrupt type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IrqInfo {
    /// How many interrupts there are of the type.
    pub count: u32,
    /// Signalled by eventfd.
    pub eventfd: bool,
    /// Can be masked and unmasked by `DEVICE_SET_IRQS`.
    pub maskable: bool,
    /// Masks itself when triggered.
    pub automasked: bool,
    /// Set up as a whole: no interrupt can be added without disabling all.
    pub noresize: bool,
}

impl IrqInfo {
    pub(crate) fn to_wire(self, index: u32) -> IrqInfoLayout {
        IrqInfoLayout {
            argsz: IrqInfoLayout::SIZE as u32,
            flags: flag(self.eventfd, IrqInfoLayout::EVENTFD)
                | flag(self.maskable, IrqInfoLayout::MASKABLE)
                | flag(self.automasked, IrqInfoLayout::AUTOMASKED)
                | flag(self.noresize, IrqInfoLayout::NORESIZE),
            index,
            count: self.count,
        }
    }

    pub(crate) fn from_wire(raw: &IrqInfoLayout) -> Self {
        let has = |flag| raw.flags & flag != 0;
        Self {
            count: raw.count,
            eventfd: has(IrqInfoLayout::EVENTFD),
            maskable: has(IrqInfoLayout::MASKABLE),
            automasked: has(IrqInfoLayout::AUTOMASKED),
            noresize: has(IrqInfoLayout::NORESIZE),
        }
    }
}

/// The answer to `DEVICE_GET_REGION_INFO`. The default is an absent region: size 0 and no error,
/// which is how clients that ask for every index expect it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionInfo<'a> {
    /// Bytes; 0 when the region is absent.
    pub size: u64,
    /// The client may read.
    pub readable: bool,
    /// The client may write.
    pub writable: bool,
    /// What the client may map, if anything. Messages reach every byte all the same.
    pub file: Option<RegionFile<'a>>,
}

/// The file behind a region that clients may map.
#[derive(Clone, Copy, Debug)]
pub struct RegionFile<'a> {
    /// The file.
    pub fd: BorrowedFd<'a>,
    /// Where the region's byte 0 would be in the file.
    pub offset: u64,
    /// The mappable areas; empty when the whole region is mappable.
    ///
    /// The descriptor is sent once for each area, as libvfio-user's servers do and SPDK's client
    /// expects (at most 8). QEMU takes a single one: offer it one area. Areas beyond the number of
    /// descriptors that the client takes are left out.
    pub areas: &'a [SparseArea],
}

/// A mappable area of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseArea {
    /// Its first byte, from the region's beginning; a multiple of the page size.
    pub offset: u64,
    /// Its bytes; a multiple of the page size.
    pub size: u64,
}

impl RegionInfo<'_> {
    /// Appends the reply's payload to `out`, in at most `argsz` bytes, which must hold the fixed
    /// part. Returns how many descriptors go with it: none when the capabilities did not fit, since
    /// the client is going to ask again.
    pub(crate) fn encode(
        &self,
        index: u32,
        argsz: u32,
        max_fds: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let areas = self
            .file
            .map_or(&[][..], |f| &f.areas[..f.areas.len().min(max_fds)]);
        let caps_size = if areas.is_empty() {
            0
        } else {
            CapabilityHeader::SIZE + SparseMmap::SIZE + areas.len() * SparseMmapArea::SIZE
        };
        let full = RegionInfoLayout::SIZE + caps_size;
        let fixed = RegionInfoLayout {
            argsz: full as u32,
            flags: flag(self.readable, RegionInfoLayout::READ)
                | flag(self.writable, RegionInfoLayout::WRITE)
                | flag(self.file.is_some(), RegionInfoLayout::MMAP)
                | flag(caps_size > 0, RegionInfoLayout::CAPS),
            index,
            // Also when they don't fit: QEMU refuses a region with CAPS whose offset is 0, even
            // though it means to ask again.
            cap_offset: flag(caps_size > 0, RegionInfoLayout::SIZE as u32),
            size: self.size,
            offset: self.file.map_or(0, |f| f.offset),
        };
        out.extend_from_slice(&fixed.encode());
        if (argsz as usize) < full {
            return 0;
        }
        if areas.is_empty() {
            return usize::from(self.file.is_some());
        }
        let header = CapabilityHeader {
            id: CapabilityHeader::SPARSE_MMAP,
            version: 1,
            next: 0,
        };
        let sparse = SparseMmap {
            nr_areas: areas.len() as u32,
            reserved: 0,
        };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(&sparse.encode());
        for area in areas {
            let area = SparseMmapArea {
                offset: area.offset,
                size: area.size,
            };
            out.extend_from_slice(&area.encode());
        }
        areas.len()
    }
}

/// A region info reply, taken apart by the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ParsedRegion {
    pub fixed: RegionInfoLayout,
    /// The areas of the sparse mmap capability, each within the region; `None` without that
    /// capability.
    pub areas: Option<Vec<SparseArea>>,
}

/// Reads a region info reply. `None`: it contradicts itself.
pub(crate) fn parse_region(payload: &[u8]) -> Option<ParsedRegion> {
    let fixed = RegionInfoLayout::decode(payload)?;
    let mut areas = None;
    let mut next = if fixed.flags & RegionInfoLayout::CAPS != 0 {
        fixed.cap_offset as usize
    } else {
        0
    };
    let mut least = RegionInfoLayout::SIZE;
    while next != 0 {
        // Capabilities go forward, so that a chain ends.
        if next < least {
            return None;
        }
        least = next + CapabilityHeader::SIZE;
        let capability = payload.get(next..)?;
        let header = CapabilityHeader::decode(capability)?;
        if header.id == CapabilityHeader::SPARSE_MMAP {
            areas = Some(parse_areas(
                &capability[CapabilityHeader::SIZE..],
                fixed.size,
            )?);
        }
        next = header.next as usize;
    }
    Some(ParsedRegion { fixed, areas })
}

fn parse_areas(bytes: &[u8], region_size: u64) -> Option<Vec<SparseArea>> {
    let sparse = SparseMmap::decode(bytes)?;
    let size = (sparse.nr_areas as usize).checked_mul(SparseMmapArea::SIZE)?;
    bytes
        .get(SparseMmap::SIZE..)?
        .get(..size)?
        .chunks_exact(SparseMmapArea::SIZE)
        .map(|bytes| {
            let area = SparseMmapArea::decode(bytes)?;
            let end = area.offset.checked_add(area.size)?;
            (end <= region_size).then_some(SparseArea {
                offset: area.offset,
                size: area.size,
            })
        })
        .collect()
}

fn flag(set: bool, bits: u32) -> u32 {
    if set { bits } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    const AREAS: [SparseArea; 2] = [
        SparseArea {
            offset: 0x1000,
            size: 0x1000,
        },
        SparseArea {
            offset: 0x3000,
            size: 0x1000,
        },
    ];

    fn encoded(areas: &[SparseArea], argsz: u32, max_fds: usize) -> (Vec<u8>, usize) {
        let file = tempfile::tempfile().unwrap();
        let region = RegionInfo {
            size: 0x4000,
            readable: true,
            writable: true,
            file: Some(RegionFile {
                fd: file.as_fd(),
                offset: 0x10000,
                areas,
            }),
        };
        let mut out = Vec::new();
        let fds = region.encode(0, argsz, max_fds, &mut out);
        (out, fds)
    }

    #[test]
    fn sparse_areas_survive_a_round_trip_with_a_descriptor_each() {
        let (bytes, fds) = encoded(&AREAS, 4096, 16);
        assert_eq!((bytes.len(), fds), (32 + 16 + 2 * 16, 2));
        let parsed = parse_region(&bytes).unwrap();
        assert_eq!(parsed.fixed.flags, 0xf);
        assert_eq!(parsed.fixed.offset, 0x10000);
        assert_eq!(parsed.fixed.argsz, 80);
        assert_eq!(parsed.areas.as_deref(), Some(&AREAS[..]));
    }

    #[test]
    fn a_small_argsz_gets_the_fixed_part_the_size_needed_and_no_descriptor() {
        let (bytes, fds) = encoded(&AREAS, 79, 16);
        assert_eq!((bytes.len(), fds), (32, 0));
        let fixed = RegionInfoLayout::decode(&bytes).unwrap();
        assert_eq!((fixed.argsz, fixed.cap_offset), (80, 32));
    }

    #[test]
    fn areas_that_the_client_has_no_room_for_are_left_out() {
        let (bytes, fds) = encoded(&AREAS, 4096, 1);
        assert_eq!(fds, 1);
        assert_eq!(parse_region(&bytes).unwrap().areas.unwrap(), AREAS[..1]);
    }

    #[test]
    fn a_region_that_is_mappable_as_a_whole_has_no_capability() {
        let (bytes, fds) = encoded(&[], 32, 16);
        assert_eq!((bytes.len(), fds), (32, 1));
        let parsed = parse_region(&bytes).unwrap();
        assert_eq!((parsed.fixed.flags, parsed.areas), (0x7, None));
    }

    #[test]
    fn an_absent_region_is_all_zeros_but_for_argsz_and_index() {
        let mut out = Vec::new();
        assert_eq!(RegionInfo::default().encode(5, 4064, 1, &mut out), 0);
        let expected = RegionInfoLayout {
            argsz: 32,
            index: 5,
            ..Default::default()
        };
        assert_eq!(out, expected.encode());
    }

    #[test]
    fn a_region_info_that_contradicts_itself_is_refused() {
        let (good, _) = encoded(&AREAS, 4096, 16);
        let with = |at: usize, value: u32| {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            parse_region(&bytes)
        };
        assert_eq!(with(12, 4096), None, "capability outside");
        assert_eq!(with(12, 8), None, "capability inside the fixed part");
        assert_eq!(with(36, 32), None, "chain that loops");
        assert_eq!(with(40, 3), None, "more areas than bytes");
        assert_eq!(with(40, u32::MAX), None, "far more areas than bytes");
        assert_eq!(with(52, 1), None, "area outside the region");
        assert_eq!(parse_region(&good[..20]), None, "short");
    }

    #[test]
    fn flags_of_devices_and_interrupts_survive_a_round_trip() {
        let device = DeviceInfo {
            resettable: true,
            num_regions: 9,
            num_irqs: 5,
        };
        assert_eq!(DeviceInfo::from_wire(&device.to_wire()), device);
        assert_eq!(device.to_wire().flags, 3);
        let irq = IrqInfo {
            count: 8,
            eventfd: true,
            noresize: true,
            ..IrqInfo::default()
        };
        assert_eq!(IrqInfo::from_wire(&irq.to_wire(2)), irq);
        assert_eq!(irq.to_wire(2).flags, 0b1001);
    }
}
