//! The user's terminal while a guest's shell has it.

use std::io::IsTerminal as _;

use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios};

/// Puts the terminal back on drop. QEMU does so itself when it ends in peace, but a guest that
/// hangs is killed.
pub(crate) struct Terminal {
    modes: Termios,
    flags: OFlags,
}

impl Terminal {
    /// `None` if standard input or output is not a terminal.
    pub(crate) fn save() -> Option<Self> {
        let input = std::io::stdin();
        if !input.is_terminal() || !std::io::stdout().is_terminal() {
            return None;
        }
        let modes = rustix::termios::tcgetattr(&input).ok()?;
        let flags = rustix::fs::fcntl_getfl(&input).ok()?;
        Some(Self { modes, flags })
    }

    /// Rows and columns.
    pub(crate) fn size(&self) -> (u16, u16) {
        rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| (size.ws_row, size.ws_col))
            .filter(|&(rows, columns)| rows > 0 && columns > 0)
            .unwrap_or((24, 80))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let input = std::io::stdin();
        // A terminal that is gone needs no modes.
        let _ = rustix::termios::tcsetattr(&input, OptionalActions::Now, &self.modes);
        let _ = rustix::fs::fcntl_setfl(&input, self.flags);
    }
}
