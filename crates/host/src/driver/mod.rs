//! A user-space NVMe driver.
//!
//! [`Driver::attach`] resets a controller behind a [`Transport`], enables it, chooses the command
//! sets and asks for queues. [`Driver::create_queue_pair`] makes [`QueuePair`]s, which work by
//! themselves from then on, each in whatever thread it is needed. [`Direct`] puts both behind the
//! calls of [`Device`](crate::Device).
//!
//! The controller is not trusted: whatever it writes is checked, and an impossible answer is
//! [`Error::Protocol`]. After an error that leaves commands behind (no answer, a broken protocol)
//! only a reset helps, which is `attach` with the same transport.
//!
//! Not here: interrupts (completions are polled), asynchronous events, several priorities.

mod bring_up;
mod data;
mod direct;
mod doorbell;
mod queue;
mod transport;
mod vfio_user;
mod wait;

pub use data::Data;
pub use direct::Direct;
pub use queue::QueuePair;
pub use transport::{DmaBuffer, Segment, Transport};
pub use vfio_user::{VfioUser, VfioUserOptions};

use crate::error::Doing;
use crate::{Error, Transfer, command};
use bring_up::{best_combination, disable, enable, ready_timeout, wait_for};
use doorbell::Shadow;
use nvme_spec::feature::{IocsProfile, NumberOfQueues, Select};
use nvme_spec::identify::{IDENTIFY_SIZE, IdentifyController, IocsCombinations};
use nvme_spec::register::{CAP, CC, CSTS, Cap, Cc, Csts, Shn, Shst};
use nvme_spec::{AdminOpcode, Cns, Cqe, Csi, Fid, Sqe};
use queue::Layout;
use std::sync::Arc;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// How a controller is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Entries of the Admin queues: 2 to 4096.
    pub admin_entries: u16,
    /// I/O queue pairs to ask for, 1 to 65,535; the controller may grant fewer.
    pub queue_pairs: u16,
    /// The most bytes of one command's data, if the controller allows as much: what room for PRP
    /// lists is kept for, in each slot of each queue. A multiple of 4096.
    pub max_transfer: u64,
    /// Ring I/O doorbells through shadow doorbells from the start, which the controller must have
    /// then: see [`Driver::use_shadow_doorbells`].
    pub shadow_doorbells: bool,
    /// How long an Admin command may take.
    pub admin_timeout: Duration,
}

impl Default for Options {
    /// 32 Admin entries, up to 64 queue pairs, 1 MiB, no shadow doorbells, 60 s.
    fn default() -> Self {
        Self {
            admin_entries: 32,
            queue_pairs: 64,
            max_transfer: 1 << 20,
            shadow_doorbells: false,
            admin_timeout: Duration::from_secs(60),
        }
    }
}

/// How a queue pair is made.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// Entries of each of the two queues: 2 to [`Driver::max_entries`]. One less may be in flight.
    pub entries: u32,
    /// Interrupt vector that completions raise. The driver itself needs none.
    pub interrupt: Option<u16>,
}

impl Default for QueueOptions {
    /// 128 entries, no interrupt.
    fn default() -> Self {
        Self {
            entries: 128,
            interrupt: None,
        }
    }
}

/// A controller that is enabled.
pub struct Driver {
    transport: Arc<dyn Transport>,
    options: Options,
    cap: Cap,
    page: u64,
    admin: QueuePair,
    /// Where data of Admin commands are on their way.
    bounce: DmaBuffer,
    identify: Box<IdentifyController>,
    max_transfer: u64,
    /// Which I/O queue identifiers are in use, from 1 on.
    queues: Vec<bool>,
    shadow: Option<Shadow>,
}

impl Driver {
    /// Resets the controller, enables it with all command sets that it has, and asks for queues.
    ///
    /// # Errors
    /// When the controller can't be reached, does not get ready in the time that it says itself,
    /// or lacks what `options` demand.
    pub fn attach(transport: Arc<dyn Transport>, options: Options) -> Result<Self, Error> {
        check_options(&options)?;
        let cap = Cap::from_bits(transport.read64(CAP)?);
        if cap.into_bits() == u64::MAX {
            return Err(Error::Gone("its registers read as all ones".into()));
        }
        disable(&*transport, cap)?;
        let page = 4096 << cap.mpsmin();
        let layout = Layout {
            qid: 0,
            entries: options.admin_entries.into(),
            page,
            dstrd: cap.dstrd(),
            max_transfer: options.max_transfer,
            shadow: None,
        };
        let admin = QueuePair::new(Arc::clone(&transport), layout)?;
        enable(&*transport, cap, &admin, options.admin_entries)?;
        let mut driver = Self {
            cap,
            page,
            admin,
            bounce: transport.allocate(options.max_transfer)?,
            transport,
            identify: Box::default(),
            max_transfer: options.max_transfer,
            options,
            queues: Vec::new(),
            shadow: None,
        };
        driver.set_up()?;
        Ok(driver)
    }

    fn set_up(&mut self) -> Result<(), Error> {
        let mut identify = [0; IDENTIFY_SIZE];
        self.identify_into(Cns::Controller, 0, Csi::Nvm, &mut identify)?;
        self.identify.as_mut_bytes().copy_from_slice(&identify);
        if let mdts @ 1..=30 = self.identify.mdts {
            self.max_transfer = self.max_transfer.min((4096 << self.cap.mpsmin()) << mdts);
        }
        if self.cap.css().iocss() {
            self.choose_command_sets()?;
        }
        if self.cap.css().noiocss() {
            return Ok(());
        }
        let wanted = self.options.queue_pairs - 1;
        let wanted = NumberOfQueues::new().with_nsq_z(wanted).with_ncq_z(wanted);
        let sqe = command::set_features(Fid::NumberOfQueues, 0, wanted.into());
        let granted = self.admin_data(sqe, Transfer::None)?;
        let granted = NumberOfQueues::from_bits(granted.dw0);
        let pairs = u32::from(granted.nsq_z().min(granted.ncq_z())) + 1;
        let pairs = pairs.min(self.options.queue_pairs.into());
        self.queues = vec![false; pairs as usize];
        if self.options.shadow_doorbells {
            self.use_shadow_doorbells()?;
        }
        Ok(())
    }

    /// Enables the combination of command sets with most of NVM, SLM and CP.
    fn choose_command_sets(&mut self) -> Result<(), Error> {
        let mut bytes = [0; IDENTIFY_SIZE];
        self.identify_into(Cns::IocsCombinations, 0, Csi::Nvm, &mut bytes)?;
        let combinations = IocsCombinations::read_from_bytes(&bytes)
            .map_err(|_| Error::protocol("Identify of another size"))?;
        let Some(best) = best_combination(&combinations.iocsc) else {
            return Err(Error::protocol("no combination of command sets"));
        };
        let now = self.admin_data(
            command::get_features(Fid::IocsProfile, Select::Current, 0),
            Transfer::None,
        )?;
        if IocsProfile::from_bits(now.dw0).iocsci() != best {
            let value = IocsProfile::new().with_iocsci(best);
            let sqe = command::set_features(Fid::IocsProfile, 0, value.into());
            self.admin_data(sqe, Transfer::None)
                .doing(|| format!("choose combination {best} of command sets"))?;
        }
        Ok(())
    }

    /// Controller Capabilities, as they were when the driver was attached.
    #[must_use]
    pub fn cap(&self) -> Cap {
        self.cap
    }

    /// Identify Controller, as it was when the driver was attached.
    #[must_use]
    pub fn identify(&self) -> &IdentifyController {
        &self.identify
    }

    /// The most bytes of one command's data.
    #[must_use]
    pub fn max_transfer(&self) -> u64 {
        self.max_transfer
    }

    /// The most entries of an I/O queue.
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        u32::from(self.cap.mqes_z()) + 1
    }

    /// I/O queue pairs that the controller granted.
    #[must_use]
    pub fn queue_pairs(&self) -> usize {
        self.queues.len()
    }

    /// Bytes of a memory page of the controller.
    #[must_use]
    pub fn page(&self) -> u64 {
        self.page
    }

    /// The way to the controller, for registers and what else a test may do.
    #[must_use]
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// The Admin queues, for commands that are not waited for.
    pub fn admin_queue(&mut self) -> &mut QueuePair {
        &mut self.admin
    }

    /// Memory for data; see [`Transport::allocate`].
    ///
    /// # Errors
    /// When there is none.
    pub fn allocate(&self, len: u64) -> Result<DmaBuffer, Error> {
        self.transport.allocate(len)
    }

    /// Sends an Admin command as it is, waits, and returns its completion with whatever status.
    ///
    /// # Errors
    /// When there is no completion in time, or a wrong one.
    pub fn admin(&mut self, sqe: Sqe, data: Data<'_>) -> Result<Cqe, Error> {
        let limit = self.options.admin_timeout;
        let result = self.admin.run(sqe, data, limit);
        self.explain(result)
            .doing(|| format!("Admin command {:02X}h", sqe.opcode))
    }

    /// Sends an Admin command with data of this process and returns its completion.
    ///
    /// # Errors
    /// When the command fails, there are more data than [`max_transfer`](Self::max_transfer), or
    /// as [`admin`](Self::admin).
    pub fn admin_data(&mut self, sqe: Sqe, mut data: Transfer<'_>) -> Result<Cqe, Error> {
        let len = data.len() as u64;
        if len > self.max_transfer {
            return Err(Error::refused(format!(
                "{len} bytes in one command, {} are possible",
                self.max_transfer
            )));
        }
        let segment = [Segment {
            len,
            ..self.bounce.segment()
        }];
        if let Transfer::Write(data) = &data {
            self.bounce.write(0, data)?;
        }
        let prp = match len {
            0 => Data::AsIs,
            _ => Data::Prp(&segment),
        };
        let cqe = self.admin(sqe, prp)?;
        succeeded(&sqe, &cqe)?;
        if let Transfer::Read(buf) = &mut data {
            self.bounce.read(0, buf)?;
        }
        Ok(cqe)
    }

    /// Identify.
    ///
    /// # Errors
    /// As [`admin_data`](Self::admin_data).
    pub fn identify_into(
        &mut self,
        cns: Cns,
        nsid: u32,
        csi: Csi,
        buf: &mut [u8; IDENTIFY_SIZE],
    ) -> Result<(), Error> {
        let sqe = command::identify(cns, nsid, csi);
        self.admin_data(sqe, Transfer::Read(buf))
            .doing(|| format!("Identify {cns:?}, namespace {nsid}"))?;
        Ok(())
    }

    /// Rings the doorbells of queue pairs that are created from now on through shadow doorbells:
    /// a controller that is at work sees them without being told. Where doorbells are messages
    /// ([`Transport::doorbells`] has none) this is many times faster.
    ///
    /// # Errors
    /// When the controller has no shadow doorbells.
    pub fn use_shadow_doorbells(&mut self) -> Result<(), Error> {
        if !self.identify.oacs.dbcs() {
            let why = "the controller has no shadow doorbells (Doorbell Buffer Config)";
            return Err(Error::Unsupported(why.into()));
        }
        // One page each, however many queues there are (Base, 5.2.5).
        let values = self.transport.allocate(self.page)?;
        let events = self.transport.allocate(self.page)?;
        let sqe =
            Sqe::new(AdminOpcode::DoorbellBufferConfig, 0).with_prp(values.iova(), events.iova());
        let cqe = self.admin(sqe, Data::AsIs)?;
        succeeded(&sqe, &cqe)?;
        self.shadow = Some(Shadow { values, events });
        Ok(())
    }

    /// Makes a submission queue and a completion queue.
    ///
    /// # Errors
    /// When no more are granted, the number of entries is out of range, or the controller refuses.
    pub fn create_queue_pair(&mut self, options: QueueOptions) -> Result<QueuePair, Error> {
        let QueueOptions { entries, interrupt } = options;
        let max = self.max_entries();
        if !(2..=max).contains(&entries) {
            return Err(Error::refused(format!(
                "a queue has 2 to {max} entries, not {entries}"
            )));
        }
        let free = self.queues.iter().position(|used| !used);
        let index = free.ok_or_else(|| {
            let granted = self.queues.len();
            Error::refused(format!("all {granted} I/O queue pairs are in use"))
        })?;
        let qid = index as u16 + 1;
        let layout = Layout {
            qid,
            entries,
            page: self.page,
            dstrd: self.cap.dstrd(),
            max_transfer: self.max_transfer,
            shadow: self.shadow_of(qid),
        };
        let pair = QueuePair::new(Arc::clone(&self.transport), layout)?;
        let cq = command::create_cq(qid, entries, pair.cq_iova(), interrupt);
        self.admin_data(cq, Transfer::None)
            .doing(|| format!("create completion queue {qid} with {entries} entries"))?;
        let sq = command::create_sq(qid, entries, pair.sq_iova(), qid);
        let created = self
            .admin_data(sq, Transfer::None)
            .doing(|| format!("create submission queue {qid} with {entries} entries"));
        if let Err(error) = created {
            if error.status().is_some() {
                self.admin_data(command::delete_cq(qid), Transfer::None)?;
            }
            return Err(error);
        }
        self.queues[index] = true;
        Ok(pair)
    }

    /// Deletes both queues; commands in flight are aborted by the controller.
    ///
    /// # Errors
    /// When the controller refuses; the identifier stays in use then.
    pub fn delete_queue_pair(&mut self, pair: QueuePair) -> Result<(), Error> {
        let qid = pair.qid();
        self.admin_data(command::delete_sq(qid), Transfer::None)
            .doing(|| format!("delete submission queue {qid}"))?;
        self.admin_data(command::delete_cq(qid), Transfer::None)
            .doing(|| format!("delete completion queue {qid}"))?;
        if let Some(used) = self.queues.get_mut(usize::from(qid).wrapping_sub(1)) {
            *used = false;
        }
        Ok(())
    }

    /// Tells the controller to get ready for power off, and waits for it.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn shutdown(&mut self) -> Result<(), Error> {
        let transport = &*self.transport;
        let cc = Cc::from_bits(transport.read32(CC)?);
        transport.write32(CC, cc.with_shn(Shn::Normal).into_bits())?;
        wait_for(transport, ready_timeout(transport, self.cap)?, |csts| {
            csts.shst() == Shst::Complete
        })
        .doing(|| "shut down".into())
    }

    /// The shadows of a queue pair's doorbells, if they are within the page that there is.
    fn shadow_of(&self, qid: u16) -> Option<Shadow> {
        let end = (2 * u64::from(qid) + 2) * (4 << self.cap.dstrd());
        self.shadow.clone().filter(|_| end <= self.page)
    }

    /// A controller that does not answer may say why in its status register.
    fn explain<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Timeout { doing, .. }) = &result {
            let csts = Csts::from_bits(self.transport.read32(CSTS)?);
            if csts.cfs() {
                let doing = doing.clone();
                return Err(Error::Fatal { doing });
            }
        }
        result
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("cap", &self.cap)
            .field("queues", &self.queues)
            .finish_non_exhaustive()
    }
}

fn check_options(options: &Options) -> Result<(), Error> {
    let wrong = |what: &str| Err(Error::refused(what));
    if !(2..=4096).contains(&options.admin_entries) {
        return wrong("Admin queues have 2 to 4096 entries");
    }
    if options.queue_pairs == 0 {
        return wrong("at least one I/O queue pair is needed");
    }
    if options.max_transfer == 0 || !options.max_transfer.is_multiple_of(4096) {
        return wrong("the largest transfer must be a multiple of 4096 bytes");
    }
    if options.max_transfer > 1 << 30 {
        return wrong("the largest transfer must be 1 GiB or less");
    }
    Ok(())
}

/// An error for a completion that does not say success.
pub(crate) fn succeeded(sqe: &Sqe, cqe: &Cqe) -> Result<(), Error> {
    if cqe.status().is_success() {
        return Ok(());
    }
    Err(Error::Status {
        doing: format!("command {:02X}h, namespace {}", sqe.opcode, sqe.nsid),
        status: cqe.status(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused_before_anything_is_touched() {
        for options in [
            Options {
                admin_entries: 1,
                ..Options::default()
            },
            Options {
                admin_entries: 4097,
                ..Options::default()
            },
            Options {
                queue_pairs: 0,
                ..Options::default()
            },
            Options {
                max_transfer: 0,
                ..Options::default()
            },
            Options {
                max_transfer: 5000,
                ..Options::default()
            },
        ] {
            assert!(check_options(&options).is_err(), "{options:?}");
        }
        assert!(check_options(&Options::default()).is_ok());
    }
}
