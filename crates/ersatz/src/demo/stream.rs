//! Many commands at a time: reading, writing, and whatever has data of its own.

use anyhow::{Context, Result, bail};
use ersatz_host::command;
use ersatz_host::csd::NvmNamespace;
use ersatz_host::driver::{Data, DmaBuffer, Driver, QueueOptions, QueuePair, Segment};
use nvme_spec::Sqe;

/// Commands in flight at most.
pub const DEPTH: u64 = 32;
/// Bytes of a read or a write, if the drive transfers as much at once.
const PIECE: u64 = 128 << 10;

/// A queue pair with a buffer for each command that may be in flight.
pub struct Stream {
    queue: QueuePair,
    buffer: DmaBuffer,
    /// Bytes of each buffer.
    piece: u64,
    /// Buffers whose command has completed.
    done: [bool; DEPTH as usize],
    /// The buffer of a command, by its identifier.
    slot_of: Vec<usize>,
}

impl Stream {
    /// Makes the queue pair and shares memory with the drive.
    pub fn new(driver: &mut Driver) -> Result<Self> {
        let piece = PIECE.min(driver.max_transfer());
        let entries = DEPTH as u32 + 1;
        let queue = driver.create_queue_pair(QueueOptions {
            entries,
            interrupt: None,
        })?;
        let buffer = driver.allocate(DEPTH * piece)?;
        let slot_of = vec![0; queue.capacity()];
        Ok(Self {
            queue,
            buffer,
            piece,
            done: [true; DEPTH as usize],
            slot_of,
        })
    }

    /// Writes `len` bytes from block 0 on, and zeros to the last block's end. `fill` makes one
    /// piece after the other.
    pub fn write(
        &mut self,
        nvm: &NvmNamespace,
        len: u64,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Result<()> {
        let mut piece = Vec::new();
        for number in 0..len.div_ceil(self.piece) {
            let (slba, bytes, blocks) = self.place(nvm, len, number);
            piece.resize(bytes as usize, 0);
            fill(&mut piece);
            piece.resize((u64::from(blocks) * nvm.block) as usize, 0);
            let slot = (number % DEPTH) as usize;
            self.wait_for(slot)?;
            self.submit(slot, command::write(nvm.nsid, slba, blocks), &piece)?;
        }
        self.drain()
    }

    /// Reads `len` bytes from block 0 on. `take` gets one piece after the other, in order.
    pub fn read(
        &mut self,
        nvm: &NvmNamespace,
        len: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<()> {
        let pieces = len.div_ceil(self.piece);
        for number in 0..pieces.min(DEPTH) {
            self.submit_read(nvm, len, number)?;
        }
        let mut copy = Vec::new();
        for number in 0..pieces {
            let slot = (number % DEPTH) as usize;
            self.wait_for(slot)?;
            let (_, bytes, _) = self.place(nvm, len, number);
            copy.resize(bytes as usize, 0);
            self.buffer.read(slot as u64 * self.piece, &mut copy)?;
            if number + DEPTH < pieces {
                // Before the data are looked at, so that the drive never waits for us.
                self.submit_read(nvm, len, number + DEPTH)?;
            }
            take(&copy);
        }
        Ok(())
    }

    fn submit_read(&mut self, nvm: &NvmNamespace, len: u64, number: u64) -> Result<()> {
        let (slba, _, blocks) = self.place(nvm, len, number);
        let sqe = command::read(nvm.nsid, slba, blocks);
        self.send(
            (number % DEPTH) as usize,
            sqe,
            u64::from(blocks) * nvm.block,
        )
    }

    /// First block, bytes and blocks of a piece of `len` bytes.
    fn place(&self, nvm: &NvmNamespace, len: u64, number: u64) -> (u64, u64, u32) {
        let start = number * self.piece;
        let bytes = self.piece.min(len - start);
        (start / nvm.block, bytes, bytes.div_ceil(nvm.block) as u32)
    }

    /// Sends a command with data of its own from the buffer `slot`, which no other command uses;
    /// [`next`](Self::next) tells of its end.
    pub fn submit(&mut self, slot: usize, sqe: Sqe, data: &[u8]) -> Result<()> {
        self.buffer.write(slot as u64 * self.piece, data)?;
        self.send(slot, sqe, data.len() as u64)
    }

    fn send(&mut self, slot: usize, sqe: Sqe, len: u64) -> Result<()> {
        let segment = Segment {
            iova: self.buffer.iova() + slot as u64 * self.piece,
            len,
        };
        let cid = self.queue.submit(sqe, Data::Prp(&[segment]))?;
        self.slot_of[usize::from(cid)] = slot;
        self.done[slot] = false;
        Ok(())
    }

    fn wait_for(&mut self, slot: usize) -> Result<()> {
        while !self.done[slot] {
            self.next()?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<()> {
        while self.done.contains(&false) {
            self.next()?;
        }
        Ok(())
    }

    /// Waits for the next completion of all, and returns its DW0-1.
    pub fn next(&mut self) -> Result<u64> {
        /// Turns after which the drive may be waiting for the processor that we spin on.
        const SPIN: u32 = 4096;
        for turn in 0u32.. {
            let Some(cqe) = self.queue.poll()? else {
                if turn < SPIN {
                    std::hint::spin_loop()
                } else {
                    std::thread::yield_now()
                }
                continue;
            };
            let slot = self.slot_of.get(usize::from(cqe.cid));
            let slot = *slot.context("a completion of no command")?;
            self.done[slot] = true;
            if !cqe.status().is_success() {
                bail!("a command failed: {}", cqe.status());
            }
            return Ok(cqe.dw0_1());
        }
        bail!("the drive does not answer")
    }
}
