//! The configuration space of a function (PCI Local Bus 3.0 §6, PCI Express Base 5.0 §7).

use crate::Words;

/// Bytes of the configuration space, the extended part included.
const SIZE: usize = 4096;
/// Offsets of the capabilities, in the order of the list.
const POWER: usize = 0x40;
const MSIX: usize = 0x50;
const EXPRESS: usize = 0x60;

/// Offset of the MSI-X Message Control register (the upper half of the capability's first word).
const MSIX_ENABLE: u32 = 1 << 31;
const MSIX_FUNCTION_MASK: u32 = 1 << 30;
/// Device Control: initiate a function-level reset. Always reads 0.
const INITIATE_FLR: u32 = 1 << 15;
const COMMAND_BUS_MASTER: u32 = 1 << 2;
const COMMAND_INTX_DISABLE: u32 = 1 << 10;

/// What the function is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Class code, 24 bits: base class, subclass, programming interface.
    pub class: u32,
    /// Bytes of BAR0, 64-bit memory; a power of two of at least 16.
    pub bar0_size: u64,
    /// Where MSI-X lives in BAR0.
    pub msix: MsiX,
}

/// The MSI-X table and pending bits in BAR0.
#[derive(Clone, Copy, Debug)]
pub struct MsiX {
    /// Vectors, 1–2048.
    pub vectors: u16,
    /// Offset of the table; a multiple of 8.
    pub table: u32,
    /// Offset of the pending bits; a multiple of 8.
    pub pending: u32,
}

/// What a write to the configuration space asks of the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigEffect {
    /// A function-level reset.
    pub reset: bool,
}

/// A type 0 configuration space with power management, MSI-X and PCI Express capabilities.
pub struct ConfigSpace {
    words: Words,
    /// For each word, the bits that a host may change.
    writable: Vec<u32>,
}

impl ConfigSpace {
    /// The configuration space of `identity`, as after power-on.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            words: Words::new(SIZE),
            writable: vec![0; SIZE / 4],
        };
        space.header(identity);
        space.capabilities(identity.msix);
        space
    }

    fn define(&mut self, offset: usize, value: u32, writable: u32) {
        self.words.set(offset, value);
        self.writable[offset / 4] = writable;
    }

    fn header(&mut self, identity: Identity) {
        let id = u32::from(identity.vendor) | u32::from(identity.device) << 16;
        self.define(0x00, id, 0);
        // Command: memory space, bus master, parity, SERR, INTx disable. Status: capability list.
        self.define(0x04, 1 << 20, 0x0546);
        self.define(0x08, identity.class << 8, 0);
        self.define(0x0C, 0, 0x0000_00FF);
        let address_bits = !(identity.bar0_size - 1);
        self.define(0x10, 0b100, address_bits as u32 & !0xF); // 64-bit, not prefetchable
        self.define(0x14, 0, (address_bits >> 32) as u32);
        self.define(0x2C, id, 0);
        self.define(0x34, POWER as u32, 0);
        // Interrupt pin INTA; the line is a scratch byte for the host.
        self.define(0x3C, 0x0100, 0x0000_00FF);
    }

    fn capabilities(&mut self, msix: MsiX) {
        // Power management, version 3. No_Soft_Reset: leaving D3hot keeps all state.
        self.define(POWER, 0x0003_0001 | (MSIX as u32) << 8, 0);
        self.define(POWER + 4, 1 << 3, 0b11);
        let control = u32::from(msix.vectors - 1) << 16;
        let writable = MSIX_ENABLE | MSIX_FUNCTION_MASK;
        self.define(MSIX, 0x11 | (EXPRESS as u32) << 8 | control, writable);
        self.define(MSIX + 4, msix.table, 0);
        self.define(MSIX + 8, msix.pending, 0);
        // PCI Express endpoint, capability version 2.
        self.define(EXPRESS, 0x0002_0010, 0);
        // Device capabilities: 256-byte payload, role-based errors, function-level reset.
        self.define(EXPRESS + 0x04, 1 << 28 | 1 << 15 | 1, 0);
        self.define(EXPRESS + 0x08, 0x2810, 0x0000_7FFF);
        // Link: 16 GT/s, x4; the status says that it was trained to that.
        self.define(EXPRESS + 0x0C, 0x0000_0044, 0);
        self.define(EXPRESS + 0x10, 0x0044_0000, 0x0000_0043);
        self.define(EXPRESS + 0x24, 1 << 4, 0); // completion timeout disable is supported
        self.define(EXPRESS + 0x28, 0, 0x0000_0410);
        self.define(EXPRESS + 0x2C, 0x0000_001E, 0);
        self.define(EXPRESS + 0x30, 0x0000_0004, 0x0000_000F);
    }

    /// The registers, for reading.
    #[must_use]
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// The host writes `data` at `offset`: read-only bits stay as they are.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> ConfigEffect {
        let mut effect = ConfigEffect::default();
        let Ok(start) = usize::try_from(offset) else {
            return effect;
        };
        for (i, &byte) in data.iter().enumerate() {
            let at = start.saturating_add(i);
            let Some(&writable) = self.writable.get(at / 4) else {
                break;
            };
            let shift = at % 4 * 8;
            let value = u32::from(byte) << shift;
            if at / 4 == (EXPRESS + 0x08) / 4 && value & INITIATE_FLR != 0 {
                effect.reset = true;
            }
            let mask = writable & 0xFF << shift;
            let old = self.words.get(at);
            self.words.set(at, old & !mask | value & mask);
        }
        effect
    }

    /// Forgets what the host wrote. A function-level reset keeps nothing either: the host saves
    /// and restores its registers around it.
    pub fn reset(&mut self) {
        for (i, &writable) in self.writable.iter().enumerate() {
            self.words.set(i * 4, self.words.get(i * 4) & !writable);
        }
        self.words.set(EXPRESS + 0x08, 0x2810);
        self.words.set(EXPRESS + 0x30, 0x0000_0004);
    }

    /// Whether the function may reach host memory.
    #[must_use]
    pub fn bus_master(&self) -> bool {
        self.words.get(0x04) & COMMAND_BUS_MASTER != 0
    }

    /// Whether the function may assert its INTx line.
    #[must_use]
    pub fn intx_enabled(&self) -> bool {
        self.words.get(0x04) & COMMAND_INTX_DISABLE == 0
    }

    /// Whether the host has enabled MSI-X.
    #[must_use]
    pub fn msix_enabled(&self) -> bool {
        self.words.get(MSIX) & MSIX_ENABLE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> ConfigSpace {
        let msix = MsiX {
            vectors: 65,
            table: 0x2000,
            pending: 0x3000,
        };
        ConfigSpace::new(Identity {
            vendor: 0x1234,
            device: 0xE5A7,
            class: 0x01_08_02,
            bar0_size: 0x4000,
            msix,
        })
    }

    #[test]
    fn a_host_that_sizes_bar0_reads_its_size() {
        let mut space = space();
        space.write(0x10, &[0xFF; 8]);
        let size = !(space.words().get64(0x10) & !0xF) + 1;
        assert_eq!(size, 0x4000);
        assert_eq!(space.words().get(0x10) & 0xF, 0b100, "64-bit memory");
    }

    #[test]
    fn the_capability_list_ends_and_holds_power_msix_and_express() {
        let space = space();
        let (mut at, mut found) = (space.words().get(0x34) as usize, Vec::new());
        while at != 0 && found.len() < 10 {
            found.push(space.words().get(at) as u8);
            at = (space.words().get(at) >> 8 & 0xFF) as usize;
        }
        assert_eq!(found, [0x01, 0x11, 0x10]);
    }

    #[test]
    fn read_only_bits_survive_any_write_and_a_reset_forgets_the_rest() {
        let mut space = space();
        let before: Vec<u32> = (0..SIZE / 4).map(|i| space.words().get(i * 4)).collect();
        space.write(0, &[0xFF; SIZE]);
        assert_eq!(space.words().get(0), before[0]);
        assert!(space.bus_master() && space.msix_enabled() && !space.intx_enabled());
        space.reset();
        let after: Vec<u32> = (0..SIZE / 4).map(|i| space.words().get(i * 4)).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn initiate_flr_asks_for_a_reset_and_reads_as_zero() {
        let mut space = space();
        let at = (EXPRESS + 0x08) as u64;
        assert!(space.write(at, &[0x10, 0xA8]).reset);
        assert!(!space.write(at, &[0x10, 0x28]).reset);
        assert_eq!(space.words().get(EXPRESS + 0x08) & INITIATE_FLR, 0);
        assert!(
            !space.write(0xFFF, &[0xFF; 8]).reset,
            "a write across the end is cut"
        );
    }
}
