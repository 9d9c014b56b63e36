//! The runner's side: programs of drives that know the key.

use crate::handshake::{Key, recognise};
use crate::wire::{self, Change, Failure, PAGE, ProgramId, Request, Response, WireError};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_runtime::{
    Args, Fuel, NoServices, Program, ReadError, Report, Runtime, Segment, Services, Window,
};
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::io::{self, BufReader, BufWriter, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What strangers and drives may take of a runner.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; one more is closed.
    pub connections: usize,
    /// Programs that are kept ready, over all connections.
    pub programs: usize,
    /// Bytes of a job's ranges together. A runner holds them twice.
    pub memory: u64,
    /// How long a drive may take to prove who it is, or to go on with what it has begun to say.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            programs: 64,
            memory: 1 << 30,
            patience: Duration::from_secs(10),
        }
    }
}

/// Runs programs for drives.
pub struct Runner {
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    key: Key,
    runtime: Box<dyn Runtime>,
    limits: Limits,
    connections: AtomicUsize,
    stopped: AtomicBool,
    /// The one that was loaded last is the last.
    programs: Mutex<VecDeque<(ProgramId, Arc<dyn Program>)>>,
}

/// Counts a connection.
struct Connected(Arc<Shared>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Runner {
    /// Listens at `address` for drives that know `key`, whose programs `runtime` runs.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub fn bind(
        address: impl ToSocketAddrs,
        key: Key,
        runtime: Box<dyn Runtime>,
        limits: Limits,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let shared = Arc::new(Shared {
            key,
            runtime,
            limits,
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            programs: Mutex::default(),
        });
        Ok(Self { listener, shared })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The kernel's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What ends [`Runner::run`]; connections that are open go on to their end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn stopper(&self) -> io::Result<impl Fn() + Send + 'static> {
        let (address, shared) = (self.address()?, Arc::clone(&self.shared));
        Ok(move || {
            shared.stopped.store(true, Ordering::Release);
            // Whether or not anybody accepts it, it wakes the one who waits.
            let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        })
    }

    /// Serves until it is stopped.
    ///
    /// # Errors
    /// When the kernel refuses to accept: not for anything that a client does.
    pub fn run(&self) -> io::Result<()> {
        loop {
            let (stream, peer) = self.listener.accept()?;
            if self.shared.stopped.load(Ordering::Acquire) {
                return Ok(());
            }
            let connected = Connected(Arc::clone(&self.shared));
            let before = self.shared.connections.fetch_add(1, Ordering::AcqRel);
            if before >= self.shared.limits.connections {
                tracing::warn!("{peer} is one connection too many");
                continue;
            }
            let serve = move || match connected.0.serve(&stream) {
                Ok(()) => tracing::info!("{peer} has gone"),
                Err(error) => tracing::warn!("{peer}: {error}"),
            };
            std::thread::Builder::new()
                .name("runner".into())
                .spawn(serve)?;
        }
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> Result<(), WireError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.limits.patience))?;
        stream.set_write_timeout(Some(self.limits.patience))?;
        recognise(&self.key, &mut &*stream)?;
        let (mut from, mut to) = (BufReader::new(stream), BufWriter::new(stream));
        let memory = self.limits.memory;
        wire::send(&mut to, &Response::Welcome { memory })?;
        to.flush()?;
        loop {
            // A drive that we know may be idle for as long as it likes.
            stream.set_read_timeout(None)?;
            let mut first = [0];
            if stream.peek(&mut first)? == 0 {
                return Ok(());
            }
            stream.set_read_timeout(Some(self.limits.patience))?;
            match wire::receive(&mut from)? {
                Request::Load { id, entry, image } => {
                    let response = self.load(id, &entry, &image);
                    wire::send(&mut to, &response)?;
                }
                Request::Run {
                    id,
                    parameters,
                    data,
                    budget,
                    now,
                    ranges,
                } => {
                    let memory = Memory::receive(&mut from, &ranges, self.limits.memory)?;
                    let Some(program) = self.find(&id) else {
                        wire::send(&mut to, &Response::Unknown)?;
                        to.flush()?;
                        continue;
                    };
                    let drive = Drive {
                        now: Ns(now),
                        printed: Mutex::default(),
                    };
                    let args = Args {
                        parameters,
                        data: &data,
                        services: &drive,
                    };
                    memory.run(&*program, &args, Fuel(budget), &drive, &mut to)?;
                }
            }
            to.flush()?;
        }
    }

    fn load(&self, id: ProgramId, entry: &str, image: &[u8]) -> Response {
        match self.runtime.load(image, entry) {
            Ok(program) => {
                let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
                programs.retain(|(other, _)| *other != id);
                if programs.len() >= self.limits.programs {
                    programs.pop_front();
                }
                programs.push_back((id, Arc::from(program)));
                Response::Loaded
            }
            Err(error) => Response::Refused(error.to_string()),
        }
    }

    fn find(&self, id: &ProgramId) -> Option<Arc<dyn Program>> {
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let found = programs.iter().find(|(other, _)| other == id);
        found.map(|(_, program)| Arc::clone(program))
    }
}

/// A job's ranges: as they came, and as the program leaves them.
struct Memory {
    before: Option<Mapping>,
    after: Option<Arc<Mapping>>,
    ranges: Vec<u64>,
}

impl Memory {
    fn receive(from: &mut impl io::Read, ranges: &[u64], limit: u64) -> Result<Self, WireError> {
        let total = ranges
            .iter()
            .try_fold(0u64, |sum, len| sum.checked_add(*len));
        let total = total.filter(|&total| total <= limit);
        let total = total.ok_or(WireError::Protocol("more memory than this runner gives"))?;
        let map = |name| Mapping::anonymous(name, total);
        let no_memory = |_| WireError::Protocol("no memory for the job");
        let (mut before, mut after) = (None, None);
        if total > 0 {
            let (first, second) = (map("before"), map("after"));
            let (first, second) = (first.map_err(no_memory)?, second.map_err(no_memory)?);
            wire::receive_memory(from, &first, 0, total)?;
            // Both are as long.
            let copied = first.copy_to(0, &second, 0, total as usize);
            copied.map_err(|_| WireError::Protocol("memory that is not there"))?;
            (before, after) = (Some(first), Some(Arc::new(second)));
        }
        Ok(Self {
            before,
            after,
            ranges: ranges.to_vec(),
        })
    }

    fn run(
        &self,
        program: &dyn Program,
        args: &Args<'_>,
        budget: Fuel,
        drive: &Drive,
        to: &mut impl Write,
    ) -> Result<(), WireError> {
        let begin = processor_time();
        let Report {
            result,
            instructions,
            measured,
            ..
        } = program.run(&self.window(), args, budget);
        let measured = measured.unwrap_or_else(|| processor_time() - begin);
        let changes = self.changes()?;
        let printed = drive.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let response = Response::Ran {
            result: result.map_err(Failure::from),
            instructions,
            measured: measured.0,
            printed: printed.clone(),
            changes: changes.iter().map(|(_, change)| *change).collect(),
        };
        wire::send(to, &response)?;
        if let Some(after) = &self.after {
            for (start, change) in changes {
                wire::send_memory(to, after, start, change.len)?;
            }
        }
        Ok(())
    }

    fn window(&self) -> Window {
        let mut start = 0;
        let segments = self.after.iter().flat_map(|after| {
            self.ranges.iter().map(move |&len| {
                let offset = start;
                start += len;
                Segment {
                    memory: Arc::clone(after),
                    offset,
                    len,
                }
            })
        });
        Window::new(segments.collect())
    }

    /// What differs, with its place in our memory: page by page, neighbours together.
    fn changes(&self) -> Result<Vec<(u64, Change)>, WireError> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return Ok(Vec::new());
        };
        let lost = |_| WireError::Protocol("memory that is not there");
        let mut changes: Vec<(u64, Change)> = Vec::new();
        let (mut page, mut start) = (vec![0; PAGE as usize], 0);
        for (range, &len) in (0..).zip(&self.ranges) {
            let mut offset = 0;
            while offset < len {
                let part = PAGE.min(len - offset);
                let page = &mut page[..part as usize];
                after.read(start + offset, page).map_err(lost)?;
                if !before.equals(start + offset, page).map_err(lost)? {
                    match changes.last_mut() {
                        Some((_, last))
                            if last.range == range && last.offset + last.len == offset =>
                        {
                            last.len += part;
                        }
                        _ => changes.push((
                            start + offset,
                            Change {
                                range,
                                offset,
                                len: part,
                            },
                        )),
                    }
                }
                offset += part;
            }
            start += len;
        }
        Ok(changes)
    }
}

/// The most that a program's output may be; more is dropped.
const MAX_PRINTED: usize = 64 << 10;

/// What a program on a runner has of its drive.
struct Drive {
    now: Ns,
    printed: Mutex<Vec<Vec<u8>>>,
}

impl Services for Drive {
    fn now(&self) -> Ns {
        self.now
    }

    fn print(&self, text: &[u8]) {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = printed.iter().map(|line| line.len() + 1).sum();
        if held + text.len() < MAX_PRINTED {
            printed.push(text.to_vec());
        }
    }

    fn read_blocks(
        &self,
        nsid: u32,
        slba: u64,
        nlb: u64,
        to: &Mapping,
        offset: u64,
        room: u64,
    ) -> Result<u64, ReadError> {
        NoServices.read_blocks(nsid, slba, nlb, to, offset, room)
    }
}

/// Processor time of this thread.
fn processor_time() -> Ns {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec);
    Ns(u64::try_from(seconds).unwrap_or(0) * 1_000_000_000
        + u64::try_from(nanoseconds).unwrap_or(0))
}
