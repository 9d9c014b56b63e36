//! The drive's side: programs whose jobs go to a runner.

use crate::handshake::{Key, introduce};
use crate::wire::{self, Change, ProgramId, Request, Response, WireError};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_runtime::{Args, Fuel, LoadError, Program, Report, Runtime, Segment, Window};
use sha2::{Digest, Sha256};
use std::io::{self, BufReader, BufWriter, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that are kept for the next job.
const MAX_IDLE: usize = 16;

/// Where a runner is, and how long it is waited for.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// Its address, `host:port`.
    pub address: String,
    /// The key that it shares.
    pub key: Key,
    /// How long a connection, and each step of a conversation, may take; a job as well.
    pub timeout: Duration,
    /// How often a job is tried again when the runner can't be reached, or is lost. A job changes
    /// nothing before its end, so that trying it twice does no harm.
    pub retries: u32,
}

/// A runtime whose programs run on a runner. Images are checked here, so that a program is refused
/// for the same reasons, runner or not.
pub struct Remote {
    local: Arc<dyn Runtime>,
    link: Arc<Link>,
}

impl Remote {
    /// Programs that `local` can load run on the runner of `config`.
    #[must_use]
    pub fn new(config: RemoteConfig, local: Arc<dyn Runtime>) -> Self {
        let idle = Mutex::default();
        Self {
            local,
            link: Arc::new(Link { config, idle }),
        }
    }
}

impl Runtime for Remote {
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError> {
        let local = self.local.load(image, entry)?;
        let mut hash = Sha256::new();
        hash.update((entry.len() as u64).to_le_bytes());
        hash.update(entry);
        hash.update(image);
        Ok(Box::new(RemoteProgram {
            local,
            id: hash.finalize().into(),
            entry: entry.to_owned(),
            image: image.to_vec(),
            link: Arc::clone(&self.link),
        }))
    }
}

/// The way to a runner.
struct Link {
    config: RemoteConfig,
    idle: Mutex<Vec<Peer>>,
}

/// A runner that knows us.
struct Peer {
    from: BufReader<TcpStream>,
    to: BufWriter<TcpStream>,
    /// Bytes of ranges that it takes for one job.
    memory: u64,
}

impl Link {
    fn connect(&self) -> Result<Peer, WireError> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.config.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.config.timeout) {
                Ok(mut stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(self.config.timeout))?;
                    stream.set_write_timeout(Some(self.config.timeout))?;
                    introduce(&self.config.key, &mut stream)?;
                    let mut from = BufReader::new(stream.try_clone()?);
                    let to = BufWriter::new(stream);
                    let Response::Welcome { memory } = wire::receive(&mut from)? else {
                        return Err(WireError::Protocol("no welcome"));
                    };
                    return Ok(Peer { from, to, memory });
                }
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    fn take_idle(&self) -> Option<Peer> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn keep(&self, peer: Peer) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(peer);
        }
    }
}

struct RemoteProgram {
    /// Tells where faults are.
    local: Box<dyn Program>,
    id: ProgramId,
    entry: String,
    image: Vec<u8>,
    link: Arc<Link>,
}

impl Program for RemoteProgram {
    fn run(&self, memory: &Window, args: &Args<'_>, budget: Fuel) -> Report {
        if let Some((a, b)) = overlap(memory.segments()) {
            return Report::failed(format!(
                "ranges {a} and {b} overlap: a runner would work on copies that part"
            ));
        }
        // A connection that waited for its next job may have been closed meanwhile: that is no
        // try.
        while let Some(mut peer) = self.link.take_idle() {
            if let Ok(report) = self.run_on(&mut peer, memory, args, budget) {
                self.link.keep(peer);
                return report;
            }
        }
        let mut tries = 0;
        loop {
            let run = self.link.connect().and_then(|mut peer| {
                let report = self.run_on(&mut peer, memory, args, budget)?;
                self.link.keep(peer);
                Ok(report)
            });
            let address = &self.link.config.address;
            match run {
                Ok(report) => return report,
                Err(WireError::Io(error)) if tries < self.link.config.retries => {
                    tries += 1;
                    tracing::warn!("the runner at {address} is tried again: {error}");
                }
                Err(error) => {
                    let tries = tries + 1;
                    return Report::failed(format!(
                        "the runner at {address} can't be used ({tries} tries): {error}"
                    ));
                }
            }
        }
    }

    fn place(&self, pc: usize) -> Option<String> {
        self.local.place(pc)
    }
}

impl RemoteProgram {
    fn run_on(
        &self,
        peer: &mut Peer,
        memory: &Window,
        args: &Args<'_>,
        budget: Fuel,
    ) -> Result<Report, WireError> {
        let wanted = bytes(memory);
        if wanted > peer.memory {
            return Ok(Report::failed(format!(
                "the ranges have {wanted} bytes, and the runner takes {} for one job",
                peer.memory
            )));
        }
        match self.ask(peer, memory, args, budget)? {
            Response::Unknown => {}
            response => return self.done(peer, response, memory, args),
        }
        let load = Request::Load {
            id: self.id,
            entry: self.entry.clone(),
            image: self.image.clone(),
        };
        wire::send(&mut peer.to, &load)?;
        peer.to.flush()?;
        match wire::receive(&mut peer.from)? {
            Response::Loaded => {}
            Response::Refused(reason) => {
                return Ok(Report::failed(format!(
                    "the runner refuses the program: {reason}"
                )));
            }
            _ => return Err(WireError::Protocol("an answer to something else")),
        }
        let response = self.ask(peer, memory, args, budget)?;
        self.done(peer, response, memory, args)
    }

    fn ask(
        &self,
        peer: &mut Peer,
        memory: &Window,
        args: &Args<'_>,
        budget: Fuel,
    ) -> Result<Response, WireError> {
        let segments = memory.segments();
        let run = Request::Run {
            id: self.id,
            parameters: args.parameters,
            data: args.data.to_vec(),
            budget: budget.0,
            now: args.services.now().0,
            ranges: segments.iter().map(|segment| segment.len).collect(),
        };
        wire::send(&mut peer.to, &run)?;
        for Segment {
            memory,
            offset,
            len,
        } in segments
        {
            wire::send_memory(&mut peer.to, memory, *offset, *len)?;
        }
        peer.to.flush()?;
        wire::receive(&mut peer.from)
    }

    /// Puts what came of the run where it belongs. All of it is checked before anything is.
    fn done(
        &self,
        peer: &mut Peer,
        response: Response,
        memory: &Window,
        args: &Args<'_>,
    ) -> Result<Report, WireError> {
        let Response::Ran {
            result,
            instructions,
            measured,
            printed,
            changes,
        } = response
        else {
            return Err(WireError::Protocol("an answer to something else"));
        };
        let places = changes
            .iter()
            .map(|change| place(memory, change))
            .collect::<Option<Vec<_>>>();
        let places = places.ok_or(WireError::Protocol("changes outside of the ranges"))?;
        // A runner that is lost half-way must leave the job as it was: it is going to be tried again.
        let total = changes
            .iter()
            .fold(0u64, |sum, change| sum.saturating_add(change.len));
        if total > bytes(memory) {
            return Err(WireError::Protocol("more changes than memory"));
        }
        if total > 0 {
            let lost = |_| WireError::Protocol("memory that is not there");
            let kept = Mapping::anonymous("changes", total);
            let kept = kept.map_err(|_| WireError::Protocol("no memory for the changes"))?;
            wire::receive_memory(&mut peer.from, &kept, 0, total)?;
            let mut from = 0;
            for (segment, change) in places.into_iter().zip(&changes) {
                let to = segment.offset + change.offset;
                let copied = kept.copy_to(from, &segment.memory, to, change.len as usize);
                copied.map_err(lost)?;
                from += change.len;
            }
        }
        printed.iter().for_each(|line| args.services.print(line));
        Ok(Report {
            instructions,
            measured: Some(Ns(measured)),
            ..Report::of(result.map_err(Into::into))
        })
    }
}

fn bytes(memory: &Window) -> u64 {
    let segments = memory.segments().iter();
    segments.fold(0, |sum, segment| sum.saturating_add(segment.len))
}

fn place<'a>(memory: &'a Window, change: &Change) -> Option<&'a Segment> {
    let segment = memory.segments().get(change.range as usize)?;
    let end = change.offset.checked_add(change.len)?;
    (end <= segment.len).then_some(segment)
}

/// Two ranges that share bytes.
fn overlap(segments: &[Segment]) -> Option<(usize, usize)> {
    let mut sorted: Vec<_> = segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| segment.len > 0)
        .map(|(index, segment)| {
            (
                Arc::as_ptr(&segment.memory),
                segment.offset,
                segment.len,
                index,
            )
        })
        .collect();
    sorted.sort_unstable();
    let pairs = sorted.windows(2).filter_map(|pair| match pair {
        [(a, start, len, first), (b, next, _, second)] if a == b && next - start < *len => {
            Some((*first.min(second), *first.max(second)))
        }
        _ => None,
    });
    pairs.min()
}
