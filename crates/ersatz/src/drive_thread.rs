//! A drive that is served on a thread of this process.

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use ersatz_drive::freeze::Freezer;
use ersatz_drive::serve::{Server, Waker};
use ersatz_drive::{Drive, Execution};
use ersatz_drive_file::DriveFile;
use ersatz_pcie::vfio;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::failure::explain_build;
use crate::statistics::Statistics;

/// How doorbells are offered to clients.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Doorbells {
    /// By messages, or as memory to clients that insist.
    Auto,
    /// As memory, which the drive polls: fastest, but an idle drive is never quite idle.
    Mapped,
    /// By messages only.
    Messages,
}

/// The thread named `drive`, which listens at a socket.
pub struct DriveThread {
    waker: Waker,
    thread: JoinHandle<Result<Statistics>>,
}

impl DriveThread {
    /// Builds the drive, binds the socket, and serves from then on. `freezer` stops the guest while
    /// programs take longer here than by their model.
    pub fn start(
        file: &DriveFile,
        socket: &Path,
        doorbells: Option<Doorbells>,
        freezer: Option<&Freezer>,
    ) -> Result<Self> {
        let waker = Waker::new().context("start the drive")?;
        let programs = waker.clone();
        let wake = Arc::new(move || programs.wake());
        let drive = Drive::build(file, &Execution::Threads { wake }).map_err(explain_build)?;
        let mut server = Server::bind(drive, socket, waker.clone())
            .with_context(|| format!("listen at {}", socket.display()))?;
        if let Some(doorbells) = doorbells {
            server.set_doorbells(match doorbells {
                Doorbells::Auto => vfio::Doorbells::Auto,
                Doorbells::Mapped => vfio::Doorbells::Mapped,
                Doorbells::Messages => vfio::Doorbells::Messages,
            });
        }
        if let Some(freezer) = freezer {
            server.freeze_with(freezer.handle(waker.clone()));
        }
        let serve = move || {
            server.run().context("serve the drive")?;
            Ok(Statistics::of(server.drive()))
        };
        let thread = thread::Builder::new().name("drive".into()).spawn(serve);
        Ok(Self {
            waker,
            thread: thread.context("start the drive")?,
        })
    }

    /// Ends it from elsewhere.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until it has ended.
    pub fn join(self) -> Result<Statistics> {
        self.thread
            .join()
            .map_err(|_| anyhow!("the drive's thread panicked"))?
    }

    /// Ends it.
    pub fn stop(self) -> Result<Statistics> {
        self.waker.stop();
        self.join()
    }
}
