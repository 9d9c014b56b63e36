//! The seam between the controller and a command set.

use crate::buffer::Buffer;
use crate::error::NvmeError;
use crate::link::Link;
use crate::statistics::{HostCounters, Traffic};
use crate::subsystem::Namespace;
use crate::unreadable::Unreadable;
use ersatz_engine::Ns;
use ersatz_ftl::{Extent, Media, MediaHeap, Operation, Outcome, Placement};
use ersatz_memory::Mapping;
use ersatz_pcie::Host;
use nvme_spec::admin::{FormatNvmCdw10, Lid};
use nvme_spec::feature::WriteProtection;
use nvme_spec::{Csi, Sqe};
use std::sync::Arc;

/// Bytes of an Identify data structure.
pub type Page = [u8; 4096];

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The drive's part is done at `at`. Then `to_host` bytes cross the link, and the completion
    /// carries `result` in DW0 (low half) and DW1.
    At {
        /// When, by the model; the past means now.
        at: Ns,
        /// DW0 and DW1 of the completion.
        result: u64,
        /// Bytes that cross the link to the host before the completion.
        to_host: u64,
    },
    /// Nothing more happens until `at`; then [`CommandSet::resume`] is called for the same command.
    Resume {
        /// When, by the model.
        at: Ns,
    },
    /// Something else will finish the command: see [`CommandSet::advance`].
    Parked,
}

impl Step {
    /// Done at `at`, with nothing in the completion and no data to the host.
    #[must_use]
    pub fn at(at: Ns) -> Self {
        Self::At {
            at,
            result: 0,
            to_host: 0,
        }
    }

    /// Done as soon as it was asked, with `result` in the completion.
    #[must_use]
    pub fn done(result: u64) -> Self {
        Self::At {
            at: Ns::ZERO,
            result,
            to_host: 0,
        }
    }

    /// The same, but neither done nor resumed before `earliest`.
    #[must_use]
    pub(crate) fn not_before(mut self, earliest: Ns) -> Self {
        if let Self::At { at, .. } | Self::Resume { at } = &mut self {
            *at = earliest.max(*at);
        }
        self
    }

    /// Done at `at`, after which `bytes` go to the host.
    #[must_use]
    pub fn data(at: Ns, bytes: u64) -> Self {
        Self::At {
            at,
            result: 0,
            to_host: bytes,
        }
    }
}

/// A parked command has an end.
#[derive(Debug)]
pub struct Finished {
    /// Which command: [`Cx::token`] at the time of parking.
    pub token: Token,
    /// When it was done, by the model.
    pub at: Ns,
    /// DW0 and DW1 of the completion, or the failure.
    pub outcome: Result<u64, NvmeError>,
}

/// Names a command in flight. Never used twice in the life of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// The controller that it was given to.
    pub controller: u16,
    /// Its number there.
    pub number: u64,
}

/// The blocks of a namespace, for other namespaces that copy from it inside of the drive.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The bytes of all namespaces.
    pub store: Arc<Mapping>,
    /// Where the namespace's first byte is, in the store and in the media's logical space.
    pub start: u64,
    /// Bytes of a block.
    pub block: u32,
    /// Blocks.
    pub count: u64,
    /// Those that can't be read, as they were when this was asked for.
    pub(crate) unreadable: Arc<Unreadable>,
}

impl Blocks {
    /// The bytes of `nlb` blocks from `slba` on, in the store and in the media; `None` when they
    /// are not all in the namespace.
    #[must_use]
    pub fn extent(&self, slba: u64, nlb: u64) -> Option<Extent> {
        let end = slba.checked_add(nlb)?;
        let block = u64::from(self.block);
        (nlb > 0 && end <= self.count).then(|| Extent {
            start: self.start + slba * block,
            len: nlb * block,
        })
    }

    /// The first block of `at` that a host has marked as unreadable.
    pub(crate) fn unreadable_in(&self, at: Extent) -> Option<u64> {
        let (slba, nlb) = self.blocks_of(at);
        self.unreadable.first_in(slba, nlb)
    }

    /// The first block and the number of blocks of an extent of this namespace.
    pub(crate) fn blocks_of(&self, at: Extent) -> (u64, u64) {
        let block = u64::from(self.block);
        ((at.start - self.start) / block, at.len / block)
    }
}

/// The media would have read, but a host has marked `lba` as unreadable: known at `at`.
pub(crate) fn unreadable(lba: u64, at: Ns) -> NvmeError {
    NvmeError {
        at: Some(at),
        lba: Some(lba),
        ..NvmeError::new(
            nvme_spec::Status::UNRECOVERED_READ_ERROR,
            "a host has made the block unreadable",
        )
    }
}

/// A form of Identify Namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CNS 00h and 11h: Identify Namespace, of command sets that have logical blocks.
    Blocks,
    /// CNS 05h and 1Bh: specific to the I/O command set.
    Specific,
}

/// The other namespaces of the subsystem, as one command sees them.
pub struct Peers<'a> {
    /// Those with a lower NSID.
    pub(crate) below: &'a mut [Namespace],
    /// Those with a higher NSID.
    pub(crate) above: &'a mut [Namespace],
}

impl Peers<'_> {
    /// The namespace `nsid`, unless it is the command's own.
    #[must_use]
    pub fn get(&self, nsid: u32) -> Option<&Namespace> {
        self.below
            .iter()
            .chain(self.above.iter())
            .find(|namespace| namespace.nsid == nsid)
    }

    /// The highest NSID among them; 0 when there are none.
    #[must_use]
    pub fn max_nsid(&self) -> u32 {
        let last = self.above.last().or(self.below.last());
        last.map_or(0, |namespace| namespace.nsid)
    }
}

/// All that a command may use while it is executed.
pub struct Cx<'a> {
    /// The time.
    pub now: Ns,
    /// The command: a copy that the host can't change.
    pub sqe: &'a Sqe,
    /// Names the command, should it be parked.
    pub token: Token,
    /// The namespace's own NSID.
    pub nsid: u32,
    /// The other namespaces.
    pub peers: Peers<'a>,
    /// The link between host and drive.
    pub link: &'a mut Link,
    pub(crate) media: &'a mut dyn Media,
    pub(crate) heap: &'a mut MediaHeap,
    pub(crate) traffic: &'a mut Traffic,
    pub(crate) counters: &'a mut HostCounters,
    pub(crate) host: &'a mut dyn Host,
    pub(crate) page: u64,
    pub(crate) write_through: bool,
    /// Copy descriptor formats that the host has enabled: bit *n* for format *n*.
    pub(crate) copy_formats: u16,
}

impl Cx<'_> {
    /// Copies the first `bytes.len()` bytes of the command's data from the host.
    ///
    /// # Errors
    /// When the data pointer is malformed or points outside of the host's memory.
    pub fn receive(&mut self, bytes: &mut [u8]) -> Result<(), NvmeError> {
        let buffer = Buffer::of(self.sqe, bytes.len() as u64, self.page, self.host)?;
        buffer.read(self.host, bytes)?;
        self.traffic.from_host += bytes.len() as u64;
        Ok(())
    }

    /// Copies the first `len` bytes of the command's data from the host to `offset` in `to`. The
    /// caller has checked that they fit there.
    ///
    /// # Errors
    /// As [`Cx::receive`].
    pub fn receive_into(&mut self, to: &Mapping, offset: u64, len: u64) -> Result<(), NvmeError> {
        let buffer = Buffer::of(self.sqe, len, self.page, self.host)?;
        buffer.read_into(self.host, to, offset)?;
        self.traffic.from_host += len;
        Ok(())
    }

    /// Copies `bytes` to the command's data buffer.
    ///
    /// # Errors
    /// As [`Cx::receive`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), NvmeError> {
        let buffer = Buffer::of(self.sqe, bytes.len() as u64, self.page, self.host)?;
        buffer.write(self.host, bytes)?;
        self.traffic.to_host += bytes.len() as u64;
        Ok(())
    }

    /// Copies `len` bytes at `offset` in `from` to the command's data buffer. The caller has checked
    /// that they are there.
    ///
    /// # Errors
    /// As [`Cx::receive`].
    pub fn send_from(&mut self, from: &Mapping, offset: u64, len: u64) -> Result<(), NvmeError> {
        let buffer = Buffer::of(self.sqe, len, self.page, self.host)?;
        buffer.write_from(self.host, from, offset)?;
        self.traffic.to_host += len;
        Ok(())
    }

    /// Counts bytes that moved inside of the drive.
    pub fn moved_inside(&mut self, bytes: u64) {
        self.traffic.inside += bytes;
    }

    /// The media by itself.
    pub(crate) fn flash(&mut self) -> Flash<'_> {
        Flash {
            now: self.now,
            traffic: self.traffic,
            media: self.media,
            heap: self.heap,
        }
    }

    /// When the media has read `at`.
    ///
    /// # Errors
    /// The media's.
    pub fn media_read(&mut self, at: Extent) -> Outcome {
        self.media.read(self.now, at, self.heap)
    }

    /// When the media has accepted the data of `at`; when it is non-volatile, if the host has disabled
    /// the volatile write cache.
    ///
    /// # Errors
    /// The media's.
    pub fn media_write(&mut self, at: Extent, to: Placement) -> Outcome {
        let accepted = self.media.write(self.now, at, to, self.heap)?;
        if !self.write_through {
            return Ok(accepted);
        }
        Ok(accepted.max(self.media_flush()?))
    }

    /// When the media has deallocated `at`.
    ///
    /// # Errors
    /// The media's.
    pub fn media_trim(&mut self, at: Extent) -> Outcome {
        self.media.trim(self.now, at, self.heap)
    }

    /// When all accepted data is non-volatile.
    ///
    /// # Errors
    /// The media's.
    pub fn media_flush(&mut self) -> Outcome {
        self.media.flush(self.now, self.heap)
    }

    /// Tells the media of a request that was refused; when the refusal is posted comes back.
    pub fn media_refused(&mut self, operation: Operation) -> Ns {
        self.media.refused(self.now, operation, self.heap)
    }
}

/// The media, for work that no command waits for with a [`Cx`].
pub struct Flash<'a> {
    /// The time.
    pub now: Ns,
    pub(crate) traffic: &'a mut Traffic,
    pub(crate) media: &'a mut dyn Media,
    pub(crate) heap: &'a mut MediaHeap,
}

impl Flash<'_> {
    /// When the media has read `at`.
    ///
    /// # Errors
    /// The media's.
    pub fn read(&mut self, at: Extent) -> Outcome {
        self.media.read(self.now, at, self.heap)
    }

    /// Counts bytes that moved inside of the drive.
    pub fn moved_inside(&mut self, bytes: u64) {
        self.traffic.inside += bytes;
    }
}

/// What a command does to the drive, for the Commands Supported and Effects log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The opcode.
    pub opcode: u8,
    /// It may change the contents of the namespace (LBCC).
    pub changes_data: bool,
}

/// A command set: what the commands of a namespace mean.
///
/// The controller guarantees that the command's NSID is this namespace's, that its opcode has not
/// been judged yet, and that `now` never decreases. An implementation must check all fields before
/// it changes anything, must not block, must not panic for any command, and keeps no reference
/// to host memory beyond the call.
pub trait CommandSet: Send {
    /// Which command set it is.
    fn csi(&self) -> Csi;

    /// Executes a command from an I/O queue.
    ///
    /// # Errors
    /// With the status that the host gets.
    fn io(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError>;

    /// Goes on with a command for which [`Step::Resume`] was returned.
    ///
    /// # Errors
    /// With the status that the host gets.
    fn resume(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        Ok(Step::at(cx.now))
    }

    /// Executes an admin command that belongs to the command set (Load Program and the like).
    ///
    /// # Errors
    /// With the status that the host gets.
    fn admin(&mut self, _cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        Err(NvmeError::new(
            nvme_spec::Status::INVALID_OPCODE,
            "not a command of this namespace",
        ))
    }

    /// Whether [`format`](Self::format) could do what Format NVM asks for.
    ///
    /// # Errors
    /// With the status that the host gets; where the command set has no formats, always.
    fn check_format(&self, _cdw10: FormatNvmCdw10) -> Result<(), NvmeError> {
        Err(NvmeError::new(
            nvme_spec::Status::INVALID_NAMESPACE_OR_FORMAT,
            "the namespace has no format",
        ))
    }

    /// Executes Format NVM, which has been checked, for this namespace. No command is under way here.
    ///
    /// # Errors
    /// With the status that the host gets.
    fn format(&mut self, cx: &mut Cx<'_>) -> Result<Step, NvmeError> {
        self.check_format(FormatNvmCdw10::from_bits(cx.sqe.cdw10))?;
        Ok(Step::at(cx.now))
    }

    /// Whether the namespace is write protected; `None` when that can't be set.
    fn write_protection(&self) -> Option<WriteProtection> {
        None
    }

    /// Sets the write protection of a namespace that has one.
    fn protect(&mut self, _state: WriteProtection) {}

    /// I/O opcodes that [`CommandSet::io`] knows.
    fn effects(&self) -> &'static [Effect];

    /// Fills a form of Identify Namespace; `false` when the command set has no such form.
    fn identify(&self, form: Form, out: &mut Page) -> bool;

    /// Bytes of a log page that belongs to the command set; `None` when it has no such page.
    fn log(&self, _lid: Lid) -> Option<Vec<u8>> {
        None
    }

    /// Bytes that the namespace holds.
    fn capacity(&self) -> u64;

    /// Its logical blocks, if it has some.
    fn blocks(&self) -> Option<Blocks> {
        None
    }

    /// Its byte-addressable memory, if it has some.
    fn memory(&self) -> Option<&Arc<Mapping>> {
        None
    }

    /// Finishes parked commands whose end has become known. Called often: must cost next to
    /// nothing when there is nothing to do.
    fn advance(&mut self, _flash: &mut Flash<'_>, _finished: &mut Vec<Finished>) {}

    /// When [`CommandSet::advance`] has something to do, unless something else happens before.
    fn next_due(&self) -> Option<Ns> {
        None
    }

    /// The earliest time from which a program runs whose end is not known yet: nothing that it
    /// delays can be said to be due. `None` while there is none.
    fn runs_since(&self) -> Option<Ns> {
        None
    }

    /// A parked command was aborted, or its controller was reset: it must not be finished any more.
    fn abandon(&mut self, _token: Token) {}

    /// The host is gone: nobody waits any more for what is booked beyond `now`.
    fn disconnect(&mut self, _now: Ns) {}
}
