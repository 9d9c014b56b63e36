//! The PCIe front: what a host's accesses to registers and configuration space do.

use crate::controller::Controller;
use crate::registers::{DOORBELLS, MSIX_TABLE};
use crate::subsystem::Subsystem;
use ersatz_engine::Ns;
use ersatz_pcie::{Bar0, Function, Host, Region, Reset, Words};
use nvme_spec::register::{self, Cc, CcCss, Csts, Shn, Shst};
use std::sync::Arc;

/// A controller with the subsystem that it belongs to: what a host holds the other end of.
pub struct Front<'a> {
    /// The controller.
    pub controller: &'a mut Controller,
    /// Its subsystem.
    pub subsystem: &'a mut Subsystem,
}

impl Function for Front<'_> {
    fn bar0(&self) -> Bar0 {
        let shared = (DOORBELLS, Arc::clone(&self.controller.doorbells));
        let registers = self.controller.registers.words().clone();
        Bar0 {
            size: crate::registers::BAR0_SIZE,
            registers,
            shared,
        }
    }

    fn config(&self) -> Words {
        self.controller.space.words().clone()
    }

    fn vectors(&self) -> u16 {
        self.controller.config.vectors()
    }

    fn write(&mut self, now: Ns, region: Region, offset: u64, data: &[u8], host: &mut dyn Host) {
        match region {
            Region::Config => {
                if self.controller.space.write(offset, data).reset {
                    self.reset(now, Reset::Function);
                }
            }
            Region::Bar0 => self.write_bar0(offset, data, host),
        }
    }

    fn reset(&mut self, now: Ns, kind: Reset) {
        tracing::debug!(?kind, "the function is reset");
        self.controller.reset(self.subsystem);
        self.controller.registers.reset(true);
        self.controller.space.reset();
        if kind == Reset::Disconnect {
            self.controller.renew_doorbells();
            self.controller.disconnect(now);
            self.subsystem.disconnect(now);
        }
    }

    fn line(&self) -> bool {
        self.controller.line()
    }
}

impl Front<'_> {
    fn write_bar0(&mut self, offset: u64, data: &[u8], host: &mut dyn Host) {
        // Registers are written by dword or qword; what else a host tries has no meaning.
        let dword = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |value, &byte| value << 8 | u32::from(byte))
        };
        if !offset.is_multiple_of(4) || !matches!(data.len(), 4 | 8) {
            tracing::debug!(
                offset,
                len = data.len(),
                "write of an odd size or alignment ignored"
            );
            return;
        }
        for (i, bytes) in data.chunks_exact(4).enumerate() {
            let (at, value) = (offset + i as u64 * 4, dword(bytes));
            match at {
                DOORBELLS..MSIX_TABLE => {
                    self.controller.ring((at - DOORBELLS) as u32 / 4, value);
                }
                MSIX_TABLE.. => self.controller.registers.store(at, value),
                _ => self.write_register(at, value, host),
            }
        }
    }

    fn write_register(&mut self, offset: u64, value: u32, host: &mut dyn Host) {
        let registers = &self.controller.registers;
        match offset {
            register::INTMS => registers.set_mask(registers.mask() | value),
            register::INTMC => {
                registers.set_mask(registers.mask() & !value);
                if self.controller.line() {
                    host.raise(0);
                }
            }
            register::CC => self.write_cc(Cc::from_bits(value)),
            // The admin queue can't move while it is in use.
            register::AQA if !registers.cc().en() => registers.store(offset, value & 0x0FFF_0FFF),
            register::ASQ | register::ACQ if !registers.cc().en() => {
                registers.store(offset, value & !0xFFF);
            }
            at if (at == register::ASQ + 4 || at == register::ACQ + 4) && !registers.cc().en() => {
                registers.store(offset, value);
            }
            _ => tracing::debug!(offset, value, "write to a read-only register ignored"),
        }
    }

    fn write_cc(&mut self, cc: Cc) {
        let old = self.controller.registers.cc();
        if old.en() && !cc.en() {
            self.controller.reset(self.subsystem);
            self.controller.registers.reset(false);
            // What the host wrote beside EN stays.
            self.controller.registers.set_cc(cc);
            return;
        }
        self.controller.registers.set_cc(cc);
        if !old.en() && cc.en() {
            self.enable(cc);
        }
        if cc.shn() != Shn::None && old.shn() != cc.shn() {
            // No more commands are taken. Nothing is lost: all that was accepted is in the store.
            let csts = self.controller.registers.csts();
            let csts = csts.with_shst(Shst::Occurring);
            self.controller.registers.set_csts(csts);
            self.controller.finish_shutdown();
        } else if cc.shn() == Shn::None {
            let csts = self.controller.registers.csts();
            self.controller
                .registers
                .set_csts(csts.with_shst(Shst::Normal));
        }
    }

    fn enable(&mut self, cc: Cc) {
        let registers = &self.controller.registers;
        let (aqa, cap) = (registers.aqa(), registers.cap());
        let reason = if cc.mps() > cap.mpsmax() {
            Some("CC.MPS is beyond CAP.MPSMAX")
        } else if cc.ams() != 0 {
            Some("CC.AMS names an arbitration that CAP.AMS does not have")
        } else if !matches!(cc.css(), CcCss::Nvm | CcCss::AllSupported) {
            Some("CC.CSS names command sets that CAP.CSS does not have")
        } else if aqa.asqs_z() == 0 || aqa.acqs_z() == 0 {
            Some("AQA gives the admin queues fewer than two entries")
        } else {
            None
        };
        if let Some(reason) = reason {
            self.controller.fatal(reason);
            return;
        }
        let (asq, acq) = (registers.asq(), registers.acq());
        let sizes = (u32::from(aqa.asqs_z()) + 1, u32::from(aqa.acqs_z()) + 1);
        self.controller.start((asq, sizes.0), (acq, sizes.1));
        self.controller
            .registers
            .set_csts(Csts::new().with_rdy(true));
        tracing::debug!(css = ?cc.css(), "the controller is enabled");
    }
}
