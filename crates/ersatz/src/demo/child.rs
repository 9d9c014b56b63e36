//! The drive, in a process of its own.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdout, Command, Stdio};

/// `ersatz serve` as a child process. Dropping it kills it; and it ends when we do.
pub struct Child {
    process: process::Child,
    output: BufReader<ChildStdout>,
    socket: PathBuf,
}

impl Child {
    /// Starts to serve the drive that `file` describes, and waits until it listens.
    pub fn serve(file: &Path, socket: &Path) -> Result<Self> {
        let own = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(own);
        command.arg("serve").arg(file).arg("--socket").arg(socket);
        command.args(["--doorbells", "mapped", "--json", "--exit-with-parent"]);
        command.arg(process::id().to_string());
        if std::env::var_os("RUST_LOG").is_none() {
            // That we come and go is no news.
            command.env("RUST_LOG", "warn");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().context("start the drive's process")?;
        let output = process
            .stdout
            .take()
            .context("the drive's process has no output")?;
        let (output, socket) = (BufReader::new(output), socket.to_owned());
        let mut this = Self {
            process,
            output,
            socket,
        };
        // A drive that listens says so in a line.
        let mut line = String::new();
        let read = this.output.by_ref().take(1 << 20).read_line(&mut line);
        if read.context("hear of the drive's process")? == 0 {
            let status = this
                .process
                .wait()
                .context("wait for the drive's process")?;
            bail!("the drive did not start ({status})");
        }
        Ok(this)
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it in good order.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.process), Signal::TERM).context("end the drive")?;
        let mut rest = Vec::new();
        self.output
            .read_to_end(&mut rest)
            .context("wait for the drive's end")?;
        let status = self.process.wait().context("wait for the drive's end")?;
        if !status.success() {
            bail!("the drive failed ({status})");
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
