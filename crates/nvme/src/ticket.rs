//! The promise to complete a command exactly once.

/// One command that was taken from a submission queue, and the completion-queue slot that was
/// reserved for it. It must be completed or abandoned; dropping it is a panic, because a host would
/// wait for ever.
#[must_use]
#[derive(Debug)]
pub struct Ticket {
    /// The submission queue.
    pub(crate) sqid: u16,
    /// The completion queue.
    pub(crate) cqid: u16,
    /// The command identifier.
    pub(crate) cid: u16,
}

impl Ticket {
    pub(crate) fn new(sqid: u16, cqid: u16, cid: u16) -> Self {
        Self { sqid, cqid, cid }
    }

    /// Ends the promise: the completion has been posted, or the queue exists no more (its host has
    /// reset the controller).
    pub(crate) fn redeem(self) {
        core::mem::forget(self);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // While another panic unwinds there is nothing to add.
        if !std::thread::panicking() {
            panic!("command {:#06x} of SQ {} was dropped", self.cid, self.sqid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "command 0x0007 of SQ 1 was dropped")]
    fn a_dropped_ticket_is_a_panic() {
        let _ = Some(Ticket::new(1, 1, 7));
    }

    #[test]
    fn a_redeemed_ticket_is_not() {
        Ticket::new(1, 1, 7).redeem();
    }
}
