//! The operator's list as a runtime.

use crate::process::{Piece, Process};
use crate::spawner::Spawner;
use ersatz_engine::Ns;
use ersatz_runtime::{Args, Fault, Fuel, LoadError, Program, Report, Runtime, Segment, Window};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest name of a library, in bytes.
const LONGEST_NAME: usize = 255;

/// A shared library that the operator offers to guests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// What guests call it: 1 to 255 bytes of text without white space at its ends.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The function that is run: `u64 entry(const struct ersatz_args *)`.
    pub entry: String,
}

/// What each job of a native program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Processor time, rounded up to seconds, as the kernel counts it.
    pub cpu: Duration,
    /// Time by the clock on the wall, also for loading the library.
    pub wall: Duration,
    /// Bytes of memory besides the job's ranges and the library itself.
    pub memory: u64,
}

impl Default for Limits {
    /// 10 s of processor time, 60 s in all, 1 GiB.
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(60),
            memory: 1 << 30,
        }
    }
}

/// How a child is started: a program that calls [`run_child`](crate::run_child) with its last two
/// arguments, the library's path and the entry's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// The file.
    pub executable: PathBuf,
    /// What comes before the last two arguments.
    pub arguments: Vec<OsString>,
}

impl Launcher {
    /// The running program itself, with `subcommand`.
    #[must_use]
    pub fn own(subcommand: &str) -> Self {
        Self {
            // Not its path: there may be another program by now.
            executable: "/proc/self/exe".into(),
            arguments: vec![subcommand.into()],
        }
    }
}

/// The operator's list can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Guests could not say this name.
    #[error("{0:?} can't be a native program's name: 1 to 255 bytes, no white space at the ends")]
    Name(String),
    /// Two libraries have the same name.
    #[error("two native programs are named {0:?}")]
    Twice(String),
    /// The thread that starts children, or the path of a library.
    #[error(transparent)]
    Os(#[from] io::Error),
}

/// The runtime for native programs. An image is a name in the operator's list, perhaps with zeros
/// or white space behind it.
#[derive(Debug)]
pub struct Native {
    libraries: Vec<Library>,
    shared: Arc<Shared>,
}

/// What starting a child and running a job takes.
#[derive(Debug)]
struct Shared {
    limits: Limits,
    launcher: Launcher,
    spawner: Spawner,
}

impl Native {
    /// Offers `libraries`. None of them is opened before a guest loads it.
    ///
    /// # Errors
    /// When a name is no good, or the system has no thread for this.
    pub fn new(
        mut libraries: Vec<Library>,
        limits: Limits,
        launcher: Launcher,
    ) -> Result<Self, SetupError> {
        for (index, library) in libraries.iter().enumerate() {
            let name = &library.name;
            if name.trim() != name || name.is_empty() || name.len() > LONGEST_NAME {
                return Err(SetupError::Name(name.clone()));
            }
            if libraries[..index].iter().any(|other| other.name == *name) {
                return Err(SetupError::Twice(name.clone()));
            }
        }
        for library in &mut libraries {
            // Not a name to be searched for in the system's folders.
            library.path = std::path::absolute(&library.path)?;
        }
        let shared = Shared {
            limits,
            launcher,
            spawner: Spawner::new()?,
        };
        Ok(Self {
            libraries,
            shared: Arc::new(shared),
        })
    }

    /// The operator's list.
    #[must_use]
    pub fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// The program of that name, with a child that has its library loaded.
    ///
    /// # Errors
    /// When there is no such name, or the library can't be loaded.
    pub fn program(&self, name: &str) -> Result<Box<dyn Program>, LoadError> {
        let found = self.libraries.iter().find(|library| library.name == name);
        let library = found.ok_or_else(|| {
            let names: Vec<_> = self.libraries.iter().map(|l| l.name.as_str()).collect();
            let names = names.join(", ");
            LoadError(format!(
                "no native program is named {name:?}; there are: {names}"
            ))
        })?;
        let program = Loaded {
            library: library.clone(),
            shared: Arc::clone(&self.shared),
            idle: Mutex::default(),
        };
        let process = program.start().map_err(LoadError)?;
        program.idle().push(process);
        Ok(Box::new(program))
    }
}

impl Runtime for Native {
    /// `entry` is the operator's to choose: a guest may leave it out or say the same.
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError> {
        let name = std::str::from_utf8(image)
            .map(|text| text.trim_end_matches('\0').trim())
            .ok()
            .filter(|name| name.len() <= LONGEST_NAME)
            .ok_or_else(|| LoadError("a native program's image is its name, as text".into()))?;
        let mut libraries = self.libraries.iter();
        if let Some(library) = libraries.find(|library| library.name == name)
            && !entry.is_empty()
            && entry != library.entry
        {
            let given = &library.entry;
            return Err(LoadError(format!(
                "the entry of {name:?} is {given:?}, and can't be chosen"
            )));
        }
        self.program(name)
    }
}

/// A listed library with the children that have it loaded.
struct Loaded {
    library: Library,
    shared: Arc<Shared>,
    /// Children that wait for a job: as many as there ever were jobs at the same time, at most.
    idle: Mutex<Vec<Process>>,
}

impl Loaded {
    fn idle(&self) -> MutexGuard<'_, Vec<Process>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> Result<Process, String> {
        let shared = &self.shared;
        let Library { path, entry, .. } = &self.library;
        Process::start(
            &shared.spawner,
            &shared.launcher,
            path,
            entry,
            &shared.limits,
        )
        .map_err(|reason| format!("{}: {reason}", path.display()))
    }

    /// A child that is alive.
    fn take(&self) -> Result<Process, String> {
        // Not in the condition of a `while let`: the lock would be held inside.
        loop {
            let Some(mut process) = self.idle().pop() else {
                return self.start();
            };
            if process.is_alive() {
                return Ok(process);
            }
        }
    }

    fn attempt(&self, memory: &Window, args: &Args<'_>) -> Result<Report, String> {
        let pieces: Result<Vec<_>, _> = memory.segments().iter().map(piece).collect();
        let pieces = pieces?;
        let mut process = self.take()?;
        match process.run(&pieces, args, &self.shared.limits) {
            Ok(reply) => {
                self.idle().push(process);
                let result = match reply.errno {
                    0 => Ok(reply.value),
                    errno => {
                        let error = io::Error::from_raw_os_error(errno as i32);
                        let reason = format!("the memory ranges can't be mapped: {error}");
                        Err(Fault::Failed { reason })
                    }
                };
                Ok(Report {
                    measured: Some(Ns(reply.cpu)),
                    ..Report::of(result)
                })
            }
            Err((trouble, took)) => Ok(Report {
                measured: Some(Ns(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))),
                ..Report::failed(process.end(trouble, &self.shared.limits))
            }),
        }
    }
}

impl Program for Loaded {
    /// Sets no bound by `budget`: a process counts no instructions, and has [`Limits`] instead.
    /// The processor time of a run whose process ended with it is not known: it is reported as the
    /// time by the clock that it took.
    fn run(&self, memory: &Window, args: &Args<'_>, _budget: Fuel) -> Report {
        self.attempt(memory, args).unwrap_or_else(Report::failed)
    }
}

/// The part of a file that a range is. One that reaches beyond the end of its memory is cut there.
fn piece(segment: &Segment) -> Result<Piece<'_>, String> {
    let memory = &segment.memory;
    let descriptor = memory.descriptor();
    let (file, start) =
        descriptor.ok_or("this memory can't be shared with another process".to_string())?;
    let room = memory.len().saturating_sub(segment.offset);
    Ok(Piece {
        file,
        offset: start + segment.offset,
        len: segment.len.min(room),
        writable: memory.is_writable(),
    })
}
