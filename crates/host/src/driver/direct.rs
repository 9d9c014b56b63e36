//! A drive that is reached through the user-space driver, as a [`Device`].

use super::wait::{Deadline, Idle};
use super::{
    Data, DmaBuffer, Driver, Options, QueueOptions, QueuePair, Segment, Transport, succeeded,
};
use crate::{Device, Error, Transfer};
use nvme_spec::{Cqe, Sqe};
use std::sync::Arc;
use std::time::Duration;

/// Commands of [`Device::pieces`] that are in flight at once: enough for a drive to have all its
/// channels busy.
const IN_FLIGHT: usize = 16;

/// A driver with one queue pair, which copies data through buffers of its own.
#[derive(Debug)]
pub struct Direct {
    driver: Driver,
    io: QueuePair,
    /// [`IN_FLIGHT`] times the largest transfer.
    bounce: DmaBuffer,
    /// After an error that left commands behind nothing can be done: buffers may be written yet.
    broken: bool,
}

/// A command in flight.
#[derive(Clone, Copy)]
struct Piece {
    cid: u16,
    at: usize,
    len: usize,
}

impl Direct {
    /// Resets the controller, enables it, and makes a queue pair. Doorbells that are not in memory
    /// get shadows where the controller has them.
    ///
    /// # Errors
    /// As [`Driver::attach`] and [`Driver::create_queue_pair`].
    pub fn attach(transport: Arc<dyn Transport>, options: Options) -> Result<Self, Error> {
        let shadow = options.shadow_doorbells;
        let mut driver = Driver::attach(Arc::clone(&transport), options)?;
        if !shadow && transport.doorbells().is_none() && driver.identify().oacs.dbcs() {
            driver.use_shadow_doorbells()?;
        }
        let entries = (IN_FLIGHT as u32 + 1).clamp(2, driver.max_entries());
        let io = driver.create_queue_pair(QueueOptions {
            entries,
            interrupt: None,
        })?;
        let bounce = driver.allocate(driver.max_transfer() * IN_FLIGHT as u64)?;
        Ok(Self {
            driver,
            io,
            bounce,
            broken: false,
        })
    }

    /// The driver, for what [`Device`] does not offer.
    pub fn driver(&mut self) -> &mut Driver {
        &mut self.driver
    }

    fn guard<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.broken {
            let why = "an earlier command got no answer; attach again to reset the controller";
            return Err(Error::Gone(why.into()));
        }
        let result = work(self);
        if let Err(error) = &result {
            self.broken = error.leaves_commands_behind() || self.io.in_flight() > 0;
        }
        result
    }

    /// Sends a command for a piece of `data` with the buffer of `slot`.
    fn send(
        &mut self,
        slot: usize,
        sqe: Sqe,
        data: &Transfer<'_>,
        at: usize,
        len: usize,
    ) -> Result<Piece, Error> {
        let start = slot as u64 * self.driver.max_transfer();
        if let Transfer::Write(bytes) = data {
            self.bounce.write(start, &bytes[at..at + len])?;
        }
        let segment = [Segment {
            iova: self.bounce.iova() + start,
            len: len as u64,
        }];
        let prp = match len {
            0 => Data::AsIs,
            _ => Data::Prp(&segment),
        };
        let cid = self.io.submit(sqe, prp)?;
        Ok(Piece { cid, at, len })
    }

    /// Copies what the drive wrote to where it belongs.
    fn receive(&self, slot: usize, piece: Piece, data: &mut Transfer<'_>) -> Result<(), Error> {
        if let Transfer::Read(buf) = data {
            let start = slot as u64 * self.driver.max_transfer();
            let Piece { at, len, .. } = piece;
            self.bounce.read(start, &mut buf[at..at + len])?;
        }
        Ok(())
    }

    fn wait(&mut self, limit: Duration) -> Result<Cqe, Error> {
        if let Some(cqe) = self.io.poll()? {
            return Ok(cqe);
        }
        let transport = Arc::clone(self.driver.transport());
        let mut idle = Idle::new(&*transport, Deadline::after(limit));
        loop {
            if let Some(cqe) = self.io.poll()? {
                return Ok(cqe);
            }
            let turn = idle.turn();
            self.driver.explain(turn)?;
        }
    }

    fn run_pieces(
        &mut self,
        mut data: Transfer<'_>,
        piece: usize,
        command: &mut dyn FnMut(usize, usize) -> Sqe,
        limit: Duration,
    ) -> Result<(), Error> {
        let total = data.len();
        let mut next = 0;
        let mut failed = None;
        let mut in_flight: [Option<(Piece, Sqe)>; IN_FLIGHT] = [None; IN_FLIGHT];
        let usable = IN_FLIGHT.min(self.io.capacity());
        loop {
            while next < total && failed.is_none() {
                let free = in_flight[..usable].iter().position(Option::is_none);
                let Some(slot) = free else { break };
                let len = piece.min(total - next);
                let sqe = command(next, len);
                in_flight[slot] = Some((self.send(slot, sqe, &data, next, len)?, sqe));
                next += len;
            }
            if in_flight.iter().all(Option::is_none) {
                return failed.map_or(Ok(()), Err);
            }
            let cqe = self.wait(limit)?;
            let done = in_flight
                .iter()
                .position(|entry| entry.is_some_and(|(piece, _)| piece.cid == cqe.cid));
            let done = done.and_then(|slot| Some((slot, in_flight[slot].take()?)));
            let Some((slot, (piece, sqe))) = done else {
                return Err(Error::protocol(format!(
                    "an unexpected completion, {cqe:?}"
                )));
            };
            match succeeded(&sqe, &cqe) {
                Ok(()) => self.receive(slot, piece, &mut data)?,
                // The others have to come back before their buffers can be used again.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
    }
}

impl Device for Direct {
    fn admin(&mut self, sqe: &Sqe, data: Transfer<'_>, _limit: Duration) -> Result<u64, Error> {
        self.guard(|this| Ok(this.driver.admin_data(*sqe, data)?.dw0_1()))
    }

    fn io(&mut self, sqe: &Sqe, mut data: Transfer<'_>, limit: Duration) -> Result<u64, Error> {
        let (len, max) = (data.len(), self.max_transfer());
        if len > max {
            return Err(Error::refused(format!(
                "{len} bytes in one command, {max} are possible"
            )));
        }
        self.guard(|this| {
            let piece = this.send(0, *sqe, &data, 0, len)?;
            let cqe = this.wait(limit)?;
            succeeded(sqe, &cqe)?;
            this.receive(0, piece, &mut data)?;
            Ok(cqe.dw0_1())
        })
    }

    fn max_transfer(&self) -> usize {
        self.driver.max_transfer() as usize
    }

    fn pieces(
        &mut self,
        data: Transfer<'_>,
        piece: usize,
        command: &mut dyn FnMut(usize, usize) -> Sqe,
        limit: Duration,
    ) -> Result<(), Error> {
        if piece == 0 || piece > self.max_transfer() {
            let max = self.max_transfer();
            return Err(Error::refused(format!(
                "pieces of {piece} bytes, 1 to {max} are possible"
            )));
        }
        self.guard(|this| this.run_pieces(data, piece, command, limit))
    }
}

impl Drop for Direct {
    /// An orderly shutdown, so that the drive does not count an unsafe one.
    fn drop(&mut self) {
        if !self.broken {
            // Nobody is left to be told of a failure.
            let _ = self.driver.shutdown();
        }
    }
}
