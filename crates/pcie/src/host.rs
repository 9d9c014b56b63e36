//! What a drive may ask of its host.

use ersatz_memory::Mapping;

/// An address that the host has not made reachable, or not for this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host has not mapped {len} bytes at {iova:#x} for this access")]
pub struct DmaFault {
    /// I/O virtual address of the first byte.
    pub iova: u64,
    /// Bytes of the access.
    pub len: u64,
}

/// The host's memory and interrupts, as the drive sees them.
///
/// The host may change its memory at any time: who needs a value twice keeps the copy. A call may
/// wait for the host (where its memory is reached by messages only), but never longer than a few
/// seconds, and fails after that.
pub trait Host {
    /// Copies from host memory.
    ///
    /// # Errors
    /// When a part of the range is not mapped; `buf` may be partly written then.
    fn read(&mut self, iova: u64, buf: &mut [u8]) -> Result<(), DmaFault>;

    /// Copies to host memory.
    ///
    /// # Errors
    /// When a part of the range is not mapped; the rest may have been written then.
    fn write(&mut self, iova: u64, buf: &[u8]) -> Result<(), DmaFault>;

    /// Copies from host memory into the drive's memory.
    ///
    /// # Errors
    /// As [`Host::read`]. The caller has checked the range in `to`; one outside of it is a fault too.
    fn read_into(
        &mut self,
        iova: u64,
        to: &Mapping,
        offset: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        bounce(iova, len, |iova, at, buf| {
            self.read(iova, buf)?;
            to.write(offset + at, buf).map_err(|_| DmaFault {
                iova,
                len: buf.len() as u64,
            })
        })
    }

    /// Copies from the drive's memory to host memory.
    ///
    /// # Errors
    /// As [`Host::write`]. The caller has checked the range in `from`; one outside of it is a fault
    /// too.
    fn write_from(
        &mut self,
        iova: u64,
        from: &Mapping,
        offset: u64,
        len: usize,
    ) -> Result<(), DmaFault> {
        bounce(iova, len, |iova, at, buf| {
            from.read(offset + at, buf).map_err(|_| DmaFault {
                iova,
                len: buf.len() as u64,
            })?;
            self.write(iova, buf)
        })
    }

    /// Copies a completion queue entry to host memory such that its last four bytes, where the
    /// phase tag is, become visible after the rest.
    ///
    /// # Errors
    /// As [`Host::write`].
    fn publish(&mut self, iova: u64, entry: &[u8; 16]) -> Result<(), DmaFault>;

    /// Raises interrupt `vector`.
    fn raise(&mut self, vector: u16);

    /// Whether interrupts are messages (MSI, MSI-X). If not, the INTx line's level is what
    /// [`crate::Function::line`] says, and interrupt masks of the device itself apply.
    fn message_signalled(&self) -> bool;
}

/// Walks `len` bytes from `iova` on through a small buffer.
fn bounce(
    iova: u64,
    len: usize,
    mut step: impl FnMut(u64, u64, &mut [u8]) -> Result<(), DmaFault>,
) -> Result<(), DmaFault> {
    let mut buf = [0; 4096];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(buf.len());
        step(
            iova.wrapping_add(done as u64),
            done as u64,
            &mut buf[..part],
        )?;
        done += part;
    }
    Ok(())
}
