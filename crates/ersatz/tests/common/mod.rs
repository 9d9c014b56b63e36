//! The `ersatz` binary as a user runs it.
#![allow(dead_code)] // Each test program uses a part of it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A drive of a few MiB that takes no modelled time.
pub const SMALL: &str = r#"
[drive]
serial = "SMALL"
[media]
kind = "null"
[[namespace]]
kind = "nvm"
size = "1 MiB"
block = "512 B"
[[namespace]]
kind = "memory"
size = "1 MiB"
[[namespace]]
kind = "compute"
units = 1
slots = 4
max_activated = 2
cost = { instructions = "0.4 ns" }
"#;

/// A command of the binary.
pub fn ersatz(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ersatz"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("RUST_LOG");
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Run {
    Run::of(ersatz(args).output().expect("it starts"))
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Its standard output, if it went well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Its standard error, if it failed with this exit status.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self.stderr
    }
}

/// `ersatz serve` in a folder of its own.
pub struct Drive {
    process: Child,
    output: BufReader<ChildStdout>,
    pub first_line: String,
    folder: tempfile::TempDir,
}

impl Drive {
    /// Serves what `file` describes, and waits until it listens.
    pub fn serve(file: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("drive.toml");
        std::fs::write(&path, file).expect("a drive file");
        let mut command = ersatz(&["serve"]);
        command
            .arg(&path)
            .arg("--socket")
            .arg(folder.path().join("drive.sock"))
            .args(args);
        command
            .arg("--exit-with-parent")
            .arg(std::process::id().to_string());
        command.env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut first_line = String::new();
        output.read_line(&mut first_line).expect("its first line");
        Self {
            process,
            output,
            first_line,
            folder,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("drive.sock")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `ersatz csd` on it.
    pub fn csd(&self, args: &[&str]) -> Run {
        self.csd_with(args, b"")
    }

    /// The same, with this standard input.
    pub fn csd_with(&self, args: &[&str], input: &[u8]) -> Run {
        let device = format!("vfio-user:{}", self.socket().display());
        csd_at(&device, args, input)
    }

    /// The same with `--json`, read.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let text = self.csd(&[args, &["--json"]].concat()).ok();
        serde_json::from_str(&text).expect("JSON")
    }

    /// Interrupts it; its exit status and the rest of its output come back.
    pub fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a signal");
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.output, &mut rest).expect("its output");
        (self.process.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file of the repository.
pub fn example(name: &str) -> String {
    format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs `ersatz csd` on a device, with this standard input.
pub fn csd_at(device: &str, args: &[&str], input: &[u8]) -> Run {
    let mut command = ersatz(&["csd", "--device", device]);
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // One that does not read its input may have ended.
    let _ = child.stdin.take().expect("its input").write_all(input);
    Run::of(child.wait_with_output().expect("it ends"))
}
