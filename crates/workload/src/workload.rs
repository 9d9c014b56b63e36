//! Jobs as they run: a source that knows what is in flight.

use crate::generate::{Addresses, Clockwork, Sizes};
use crate::job::{Amount, Extent, Job, JobFile, MAX_CLONES, Mix, Problems, Refused};
use crate::request::{Op, Request};
use crate::source::{Source, SourceError};
use ersatz_engine::{Heap, Ns, Rng};

/// Requests of one job within one nanosecond after which time must be standing still.
const STANDSTILL: u64 = 1 << 20;

/// Most logical blocks of a namespace: all numbers up to here are exact in floating point.
const MAX_BLOCKS: u64 = 1 << 52;

/// The namespace that jobs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Bytes of a logical block.
    pub block: u32,
    /// Logical blocks of the namespace.
    pub blocks: u64,
}

/// A synthetic workload while it runs. Jobs, and clones of a job, are numbered from 0 in the order
/// of the file.
#[derive(Debug)]
pub struct Workload {
    runners: Vec<Runner>,
    /// When which job may issue its next request: one entry at most for each job.
    ready: ReadyHeap,
    /// First job of the next group: those that a stonewall keeps waiting.
    next_group: usize,
    /// Jobs of the groups so far that are not over.
    running: usize,
    standstill: Option<SourceError>,
}

/// [`Heap`] with a `Debug`.
struct ReadyHeap(Heap<usize>);

impl core::fmt::Debug for ReadyHeap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadyHeap")
            .field("len", &self.0.len())
            .finish()
    }
}

/// What a job does next.
enum Plan {
    /// It issues a request then.
    At(Ns),
    /// It waits for a completion.
    Wait,
    /// It has done everything, and all of it is done.
    Over,
}

/// One job, or one clone of it.
#[derive(Debug)]
struct Runner {
    name: String,
    rng: Rng,
    mix: Mix,
    sizes: Sizes,
    addresses: Addresses,
    first: u64,
    block: u64,
    depth: Option<u32>,
    pace: Option<(crate::job::Rate, crate::job::Arrivals)>,
    clockwork: Option<Clockwork>,
    think_time: Ns,
    think_after: u32,
    flush_every: u32,
    start_delay: Ns,
    runtime: Option<Ns>,
    stonewall: bool,
    /// Whether only time ends it.
    endless: bool,
    requests_left: u64,
    bytes_left: u64,

    end: Ns,
    /// Not before this time: the start of the job, or the end of its thinking.
    earliest: Ns,
    in_flight: u32,
    since_think: u32,
    since_flush: u32,
    queued: bool,
    over: bool,
    last: Ns,
    at_once: u64,
}

impl Workload {
    /// The jobs of `file` on `target`.
    ///
    /// # Errors
    /// Jobs that don't fit the namespace: sizes that are no multiples of its blocks, regions that
    /// are outside of it or too small; and more than [`MAX_CLONES`] clones.
    pub fn new(file: &JobFile, target: Target, seed: u64) -> Result<Self, Refused> {
        let mut problems = Problems::default();
        let target = Target {
            block: target.block.max(1),
            blocks: target.blocks.min(MAX_BLOCKS),
        };
        let mut seeds = Rng::new(seed);
        let mut runners = Vec::new();
        let mut clones = 0u32;
        for job in &file.jobs {
            clones = clones.saturating_add(job.clones);
            if clones > MAX_CLONES {
                let message = format!("all jobs together have more than {MAX_CLONES} clones");
                problems.push(&job.place, "", message, "");
                break;
            }
            // Drawn in any case: a seed of one job doesn't change the others.
            let drawn = seeds.next_u64();
            let seed = job.seed.unwrap_or(drawn);
            for clone in 0..job.clones {
                match Runner::new(job, clone, target, seed) {
                    Ok(runner) => runners.push(runner),
                    Err((key, message)) => {
                        let key = format!("{}: {key}", job.name);
                        problems.push(&job.place, &key, message, "");
                        break;
                    }
                }
            }
        }
        let mut workload = problems.finish(Self {
            runners,
            ready: ReadyHeap(Heap::new()),
            next_group: 0,
            running: 0,
            standstill: None,
        })?;
        workload.start_groups(Ns::ZERO);
        Ok(workload)
    }

    /// How many jobs there are, each clone counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runners.len()
    }

    /// Whether there is no job.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runners.is_empty()
    }

    /// The name of a job: that of the file, and a number when it has clones. Empty when there is no
    /// such job.
    #[must_use]
    pub fn name(&self, job: u32) -> &str {
        self.runners
            .get(job as usize)
            .map_or("", |runner| &runner.name)
    }

    /// Starts the next group, and those behind it as long as nothing of them runs.
    fn start_groups(&mut self, now: Ns) {
        while self.running == 0 && self.next_group < self.runners.len() {
            let group = self.next_group;
            let after = self.runners.get(group + 1..).unwrap_or_default();
            let len = after.iter().position(|runner| runner.stonewall);
            self.next_group = len.map_or(self.runners.len(), |len| group + 1 + len);
            self.running = self.next_group - group;
            for job in group..self.next_group {
                self.runners[job].start(now);
                self.settle(job, now);
            }
        }
    }

    /// Puts a job where it belongs after anything has changed.
    fn settle(&mut self, job: usize, now: Ns) {
        let runner = &mut self.runners[job];
        if runner.queued || runner.over {
            return;
        }
        match runner.plan(now) {
            Plan::At(at) => {
                runner.queued = true;
                self.ready.0.push(at, job);
            }
            Plan::Wait => {}
            Plan::Over => {
                runner.over = true;
                self.running -= 1;
            }
        }
    }
}

impl Source for Workload {
    fn peek(&mut self) -> Result<Option<Ns>, SourceError> {
        match self.standstill.take() {
            Some(error) => {
                self.ready = ReadyHeap(Heap::new());
                Err(error)
            }
            None => Ok(self.ready.0.next_due()),
        }
    }

    fn take(&mut self) -> Option<Request> {
        let (at, job) = self.ready.0.pop_due(Ns::MAX)?;
        let runner = &mut self.runners[job];
        let mut request = runner.issue(at);
        request.job = job as u32;
        if runner.endless && runner.at_once > STANDSTILL {
            self.standstill = Some(SourceError::Standstill {
                job: runner.name.clone(),
                requests: runner.at_once,
            });
        }
        self.settle(job, at);
        Some(request)
    }

    fn finished(&mut self, job: u32, now: Ns) {
        let job = job as usize;
        let Some(runner) = self.runners.get_mut(job) else {
            return;
        };
        runner.in_flight = runner.in_flight.saturating_sub(1);
        self.settle(job, now);
        if self.running == 0 {
            self.start_groups(now);
        }
    }
}

impl Runner {
    /// A clone of `job`, or the key that is wrong and why.
    fn new(
        job: &Job,
        clone: u32,
        target: Target,
        seed: u64,
    ) -> Result<Self, (&'static str, String)> {
        let block = u64::from(target.block);
        let bytes = target.blocks.saturating_mul(block);
        let in_blocks = |key, extent: Extent| match (extent, extent.of(bytes)) {
            (Extent::Bytes(bytes), _) if !bytes.is_multiple_of(block) => Err((
                key,
                format!("{bytes} bytes are not a multiple of the logical block, {block} bytes"),
            )),
            (_, bytes) => Ok(bytes / block),
        };
        let increment = in_blocks("offset_increment", job.offset_increment)?;
        let offset = in_blocks("offset", job.offset)?
            .saturating_add(increment.saturating_mul(u64::from(clone)));
        let rest = target.blocks.saturating_sub(offset);
        let region = job.size.map_or(Ok(rest), |size| in_blocks("size", size))?;
        if region == 0 || region > rest {
            let message = format!(
                "{region} logical blocks from block {offset} on are not within the {} of the namespace",
                target.blocks
            );
            return Err(("size", message));
        }
        let mut sizes = Vec::new();
        for &(bytes, weight) in &job.sizes {
            let nlb = in_blocks("block size", Extent::Bytes(bytes))?;
            let most = match job.rw.mix {
                Mix::Only(op) => op.max_blocks(),
                Mix::Mixed { .. } => Op::Read.max_blocks(),
            };
            match u32::try_from(nlb) {
                Ok(nlb) if u64::from(nlb) <= most.min(region) => sizes.push((nlb, weight)),
                _ => {
                    let message = format!(
                        "{nlb} logical blocks are more than a command ({most}) or the region \
                         ({region}) has"
                    );
                    return Err(("block size", message));
                }
            }
        }
        let slot = sizes.iter().map(|&(nlb, _)| nlb).min().unwrap_or(1);
        // What is popular is the same for all clones of a job; what each draws is its own.
        let mut places = Rng::new(seed);
        let mut seeds = Rng::new(seed.rotate_left(32) ^ u64::from(clone));
        let addresses = if job.rw.random {
            let each_once = job.random_map;
            let mut own = Rng::new(seeds.next_u64());
            let rng = if each_once { &mut own } else { &mut places };
            Addresses::random(region, slot, &job.distribution, each_once, rng).ok_or_else(|| {
                let message = format!("a zone has none of the region's {region} logical blocks");
                ("distribution", message)
            })?
        } else {
            Addresses::sequential(region)
        };
        let bytes_left = match job.amount {
            Amount::Region(times) => region.saturating_mul(block).saturating_mul(times),
            Amount::Bytes(bytes) => bytes,
            Amount::Endless => u64::MAX,
        };
        Ok(Self {
            name: match clone {
                _ if job.clones == 1 => job.name.clone(),
                clone => format!("{}.{}", job.name, clone + 1),
            },
            rng: Rng::new(seeds.next_u64()),
            mix: job.rw.mix,
            sizes: Sizes::new(sizes),
            addresses,
            first: offset,
            block,
            depth: job.iodepth,
            pace: job.rate.map(|rate| (rate, job.arrivals)),
            clockwork: None,
            think_time: job.think_time,
            think_after: job.think_after,
            flush_every: job.flush_every,
            start_delay: job.start_delay,
            runtime: job.runtime,
            stonewall: job.stonewall && clone == 0,
            endless: job.amount == Amount::Endless && job.requests.is_none(),
            requests_left: job.requests.unwrap_or(u64::MAX),
            bytes_left,
            end: Ns::MAX,
            earliest: Ns::ZERO,
            in_flight: 0,
            since_think: 0,
            since_flush: 0,
            queued: false,
            over: false,
            last: Ns::ZERO,
            at_once: 0,
        })
    }

    fn start(&mut self, now: Ns) {
        self.earliest = now + self.start_delay;
        self.end = self.runtime.map_or(Ns::MAX, |time| self.earliest + time);
        self.clockwork = self
            .pace
            .map(|(rate, arrivals)| Clockwork::new(rate, arrivals, self.earliest));
    }

    fn owes_flush(&self) -> bool {
        self.flush_every > 0 && self.since_flush >= self.flush_every
    }

    fn thinks_next(&self) -> bool {
        self.think_time > Ns::ZERO && self.since_think >= self.think_after
    }

    fn plan(&mut self, now: Ns) -> Plan {
        let idle = self.in_flight == 0;
        let stop = if idle { Plan::Over } else { Plan::Wait };
        let nothing_left = self.requests_left == 0 || self.bytes_left == 0;
        if nothing_left && !self.owes_flush() {
            return stop;
        }
        if self.depth.is_some_and(|depth| self.in_flight >= depth) {
            return Plan::Wait;
        }
        if self.thinks_next() {
            if !idle {
                return Plan::Wait;
            }
            self.since_think = 0;
            self.earliest = now + self.think_time;
        }
        let arrival = match &self.clockwork {
            Some(clockwork) if !self.owes_flush() => clockwork.next(),
            _ => Ns::ZERO,
        };
        let at = now.max(self.earliest).max(arrival);
        if at >= self.end {
            self.requests_left = 0;
            self.since_flush = 0;
            return stop;
        }
        Plan::At(at)
    }

    /// The next request, at `at`.
    fn issue(&mut self, at: Ns) -> Request {
        self.queued = false;
        self.in_flight += 1;
        self.at_once = if at > self.last { 0 } else { self.at_once + 1 };
        self.last = at;
        let mut request = Request {
            at,
            op: Op::Flush,
            slba: 0,
            nlb: 0,
            job: 0,
        };
        if self.owes_flush() {
            self.since_flush = 0;
            return request;
        }
        let op = match self.mix {
            Mix::Only(op) => op,
            Mix::Mixed { read_percent } if self.rng.below(100) < u64::from(read_percent) => {
                Op::Read
            }
            Mix::Mixed { .. } => Op::Write,
        };
        let nlb = self.sizes.draw(&mut self.rng);
        let bytes = u64::from(nlb) * self.block;
        if let Some(clockwork) = &mut self.clockwork {
            request.at = clockwork.next().min(at);
            clockwork.advance(bytes, &mut self.rng);
        }
        request.op = op;
        request.nlb = nlb;
        request.slba = self.first + self.addresses.next(op as usize, nlb, &mut self.rng);
        self.requests_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.since_think = self.since_think.saturating_add(1);
        if op == Op::Write {
            self.since_flush = self.since_flush.saturating_add(1);
        }
        request
    }
}

#[cfg(test)]
mod tests;
