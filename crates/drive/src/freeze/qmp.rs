//! QEMU's control protocol, as far as stopping a guest needs it: lines of JSON over a socket
//! (QEMU's `docs/interop/qmp-spec.rst`).

use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long QEMU may take to greet: it does so at once, unless somebody else talks to it.
const GREETING: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A line that is longer isn't QEMU's.
const MAX_LINE: usize = 1 << 20;

/// Why QEMU can't be told anything.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The socket.
    #[error("QMP: {0}")]
    Io(#[from] io::Error),
    /// QEMU refused a command.
    #[error("QMP: QEMU refused `{0}`: {1}")]
    Refused(&'static str, String),
    /// What came is no QMP.
    #[error("QMP: not what QEMU would say: {0}")]
    Protocol(String),
}

/// What QEMU tells of the guest's clock by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The guest stands.
    Stop,
    /// The guest runs.
    Resume,
}

/// A connection that has been negotiated.
#[derive(Debug)]
pub struct Qmp {
    socket: UnixStream,
    /// What has come and is not yet a whole line.
    partial: Vec<u8>,
}

impl Qmp {
    /// Connects to the socket that QEMU listens at.
    ///
    /// # Errors
    /// See [`QmpError`]. A socket that somebody else talks to accepts and says nothing: that is a
    /// timeout.
    pub fn connect(path: &Path) -> Result<Self, QmpError> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(GREETING))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        let mut qmp = Self {
            socket,
            partial: Vec::new(),
        };
        let greeting = qmp.line()?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Protocol(greeting.to_string()));
        }
        qmp.socket.set_read_timeout(Some(TIMEOUT))?;
        qmp.command("qmp_capabilities", &mut |_| ())?;
        Ok(qmp)
    }

    /// Runs a command without arguments to its end. `event` hears what comes before that.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub fn command(
        &mut self,
        name: &'static str,
        event: &mut dyn FnMut(Event),
    ) -> Result<(), QmpError> {
        let mut line = json!({ "execute": name }).to_string();
        line.push('\n');
        self.socket.write_all(line.as_bytes())?;
        loop {
            let value = self.line()?;
            if value.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = value.get("error") {
                let description = error.get("desc").and_then(Value::as_str);
                let description = description.map_or_else(|| error.to_string(), str::to_owned);
                return Err(QmpError::Refused(name, description));
            }
            if let Some(happened) = event_of(&value) {
                event(happened);
            }
        }
    }

    /// Takes what has come without waiting for more.
    ///
    /// # Errors
    /// When QEMU is gone, or talks rubbish.
    pub fn events(&mut self, event: &mut dyn FnMut(Event)) -> Result<(), QmpError> {
        self.socket.set_nonblocking(true)?;
        let taken = loop {
            match self.line() {
                Ok(value) => event_of(&value).into_iter().for_each(&mut *event),
                Err(QmpError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        self.socket.set_nonblocking(false)?;
        taken
    }

    /// Whether something has come that has not been taken: the socket doesn't tell of it any more.
    #[must_use]
    pub fn has_untaken(&self) -> bool {
        self.partial.contains(&b'\n')
    }

    /// The next line.
    fn line(&mut self) -> Result<Value, QmpError> {
        loop {
            if let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.partial.drain(..=end).collect();
                let value = serde_json::from_slice(&line);
                return value.map_err(|error| QmpError::Protocol(error.to_string()));
            }
            if self.partial.len() > MAX_LINE {
                return Err(QmpError::Protocol("a line without an end".to_owned()));
            }
            let mut buf = [0; 4096];
            match self.socket.read(&mut buf)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                read => self.partial.extend_from_slice(&buf[..read]),
            }
        }
    }
}

impl AsFd for Qmp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn event_of(value: &Value) -> Option<Event> {
    match value.get("event")?.as_str()? {
        "STOP" => Some(Event::Stop),
        "RESUME" => Some(Event::Resume),
        _ => None,
    }
}
