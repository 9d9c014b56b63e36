//! Controller properties (Base, 3.1.4): what a host reads and writes at the start of BAR0.

use ersatz_pcie::Words;
use nvme_spec::register::{self, Aqa, Cap, CapCss, Cc, Csts, Shst, Version};

/// Offset of the doorbells in BAR0; one page of them.
pub const DOORBELLS: u64 = register::DOORBELLS;
/// Bytes of the doorbells.
pub const DOORBELLS_SIZE: u64 = 0x1000;
/// Offset of the MSI-X table in BAR0.
pub const MSIX_TABLE: u64 = 0x2000;
/// Offset of the MSI-X pending bits in BAR0.
pub const MSIX_PENDING: u64 = 0x3000;
/// Bytes of BAR0.
pub const BAR0_SIZE: u64 = 0x4000;

/// The registers. A host reads them at any time; only the controller writes.
#[derive(Debug)]
pub struct Registers(Words);

impl Registers {
    /// The registers after power-on, for I/O queues of at most `entries` (2–65536) entries.
    #[must_use]
    pub fn new(entries: u32) -> Self {
        let words = Words::new(BAR0_SIZE as usize);
        let cap = Cap::new()
            .with_mqes_z((entries - 1) as u16)
            .with_cqr(true)
            .with_to(20)
            .with_css(CapCss::new().with_ncss(true).with_iocss(true))
            .with_mpsmax(4)
            .with_crwms(true);
        words.set64(register::CAP as usize, cap.into_bits());
        words.set(register::VS as usize, Version::V2_1.into_bits());
        // Controller Ready With Media Timeout: as CAP.TO.
        words.set(register::CRTO as usize, 20);
        Self(words)
    }

    /// The words, for reading by a host.
    #[must_use]
    pub fn words(&self) -> &Words {
        &self.0
    }

    /// Controller Capabilities.
    #[must_use]
    pub fn cap(&self) -> Cap {
        Cap::from_bits(self.0.get64(register::CAP as usize))
    }

    /// Controller Configuration.
    #[must_use]
    pub fn cc(&self) -> Cc {
        Cc::from_bits(self.0.get(register::CC as usize))
    }

    /// Sets Controller Configuration.
    pub fn set_cc(&self, cc: Cc) {
        self.0.set(register::CC as usize, cc.into_bits());
    }

    /// Controller Status.
    #[must_use]
    pub fn csts(&self) -> Csts {
        Csts::from_bits(self.0.get(register::CSTS as usize))
    }

    /// Sets Controller Status.
    pub fn set_csts(&self, csts: Csts) {
        self.0.set(register::CSTS as usize, csts.into_bits());
    }

    /// Admin Queue Attributes.
    #[must_use]
    pub fn aqa(&self) -> Aqa {
        Aqa::from_bits(self.0.get(register::AQA as usize))
    }

    /// Admin Submission Queue Base Address.
    #[must_use]
    pub fn asq(&self) -> u64 {
        self.0.get64(register::ASQ as usize)
    }

    /// Admin Completion Queue Base Address.
    #[must_use]
    pub fn acq(&self) -> u64 {
        self.0.get64(register::ACQ as usize)
    }

    /// Interrupts that the host has masked (pins only).
    #[must_use]
    pub fn mask(&self) -> u32 {
        self.0.get(register::INTMS as usize)
    }

    /// Sets the masked interrupts. INTMS and INTMC read the same.
    pub fn set_mask(&self, mask: u32) {
        self.0.set(register::INTMS as usize, mask);
        self.0.set(register::INTMC as usize, mask);
    }

    /// Sets the register at `offset` to what the host wrote.
    pub fn store(&self, offset: u64, value: u32) {
        self.0.set(offset as usize, value);
    }

    /// Whether commands are processed: ready, no fatal error, no shutdown.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let csts = self.csts();
        csts.rdy() && !csts.cfs() && csts.shst() == Shst::Normal
    }

    /// Forgets what the host wrote. The admin queue's registers survive a controller reset
    /// (`all` false) and nothing else.
    pub fn reset(&self, all: bool) {
        self.set_cc(Cc::new());
        self.set_csts(Csts::new());
        self.set_mask(0);
        if all {
            for offset in [register::AQA, register::ASQ, register::ACQ] {
                self.store(offset, 0);
                if offset != register::AQA {
                    self.store(offset + 4, 0);
                }
            }
        }
    }
}
