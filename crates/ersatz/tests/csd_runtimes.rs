//! Programs of all kinds on the socket of `ersatz serve`, and where they run.

mod common;

use common::{Drive, SMALL, example};
use std::path::Path;
use std::process::Command;

const SUM: &str = "
#[repr(C)]
pub struct Args { abi: u32, range_count: u32, params: [u64; 2], data: *const u8, data_len: u64, first: *const u8, len: u64 }
#[unsafe(no_mangle)]
pub extern \"C\" fn sum(args: &Args) -> u64 {
    let bytes = unsafe { std::slice::from_raw_parts(args.first, args.len as usize) };
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}
#[unsafe(no_mangle)]
pub extern \"C\" fn crash(_args: &Args) -> u64 { std::process::abort() }
";

/// Makes a shared library.
fn library(folder: &Path) -> String {
    let (source, library) = (folder.join("sum.rs"), folder.join("sum.so"));
    std::fs::write(&source, SUM).expect("a file");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "--crate-type=cdylib", "-O", "-o"]);
    let status = rustc.args([&library, &source]).status();
    assert!(status.expect("a Rust toolchain").success());
    library.display().to_string()
}

#[test]
fn native_programs_run_and_their_crashes_are_failed_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = library(folder.path());
    let drive = Drive::serve(
        &format!(
            "{SMALL}native = [{{ name = \"add up\", path = \"{path}\", entry = \"sum\" }}, \
             {{ name = \"crash\", path = \"{path}\", entry = \"crash\" }}]\n"
        ),
        &[],
    );
    let list = drive.csd(&["list"]).ok();
    assert!(list.contains("types: ebpf, native"), "{list}");
    let load = |name: &str, code| {
        let file = folder.path().join("name");
        std::fs::write(&file, name).expect("a file");
        let file = file.to_str().expect("UTF-8");
        let run = drive.csd(&["load", file, "--type", "native"]);
        assert_eq!(run.code, Some(code), "{run:?}");
        run.stderr
    };
    load("add up\n", 0);
    load("crash", 0);
    let error = load(&path, 1);
    assert!(error.contains("Invalid Program Data"), "{error}");
    drive.csd(&["activate", "0"]).ok();
    drive.csd(&["activate", "1"]).ok();
    drive.csd_with(&["write", "0"], &[1, 2, 3, 4]).ok();
    let sum = ["exec", "0", "--range", "0:4"];
    assert_eq!(drive.json(&sum)["result"], 10);
    drive.csd(&["exec", "1"]).fails(1);
    assert_eq!(drive.json(&sum)["result"], 10);
}

#[test]
fn phantoms_and_bitstreams_take_their_time_and_do_nothing() {
    let drive = Drive::serve(
        &format!(
            "{SMALL}types = [{{ type = 0xC4, cost = {{ given = true }} }}, \
             {{ type = 0xC5, cost = {{ rate = \"1 MB/s\" }} }}]\n"
        ),
        &[],
    );
    let anything = example("drives/csd.toml");
    for (slot, ptype) in [("0", "phantom"), ("1", "bitstream")] {
        drive.csd(&["load", &anything, "--type", ptype]).ok();
        drive.csd(&["activate", slot]).ok();
    }
    let phantom = drive.json(&["exec", "0", "--runtime", "5ms"]);
    assert_eq!(phantom["result"], 0);
    assert!(phantom["took_ns"].as_u64() >= Some(5_000_000), "{phantom}");
    // 4000 bytes at 1 byte a microsecond.
    let bitstream = drive.json(&["exec", "1", "--range", "0:4000"]);
    assert_eq!(bitstream["result"], 0);
    assert!(
        bitstream["took_ns"].as_u64() >= Some(4_000_000),
        "{bitstream}"
    );
    let error = drive.csd(&["exec", "0"]).fails(1);
    assert!(error.contains("Invalid Field"), "{error}");
    drive.csd(&["exec", "1", "--runtime", "5ms"]).fails(1);
    drive.csd(&["exec", "0", "--runtime", "5 s"]).fails(2);
}

#[test]
fn programs_run_on_a_runner() {
    let key = "0123456789abcdef";
    let runner = Runner::start(key);
    let drive = Drive::serve(
        &format!(
            "{SMALL}remote = {{ address = \"{}\", key = \"{key}\", retries = 0 }}\n",
            runner.address
        ),
        &[],
    );
    drive
        .csd(&["load", &example("programs/count_lines.o")])
        .ok();
    drive.csd(&["activate", "0"]).ok();
    drive.csd_with(&["write", "0"], b"ERROR\n  ").ok();
    let exec = [
        "exec", "0", "--range", "0:8", "--param", "8", "--data", "ERROR",
    ];
    assert_eq!(drive.json(&exec)["result"], 1);
    drop(runner);
    drive.csd(&exec).fails(1);
}

#[test]
fn job_groups_are_made_and_jobs_are_listed_under_them() {
    let drive = Drive::serve(&format!("{SMALL}builtins = [\"sum\"]\n"), &[]);
    drive.csd(&["activate", "3"]).ok();
    let create = ["group-create", "--priority", "9", "--deadline", "1s"];
    assert_eq!(drive.json(&create)["group"], 1);
    drive
        .csd(&["group-set", "1", "--priority", "2", "--bandwidth", "1GB/s"])
        .ok();
    let exec = [
        "exec", "3", "--group", "1", "--range", "0:8", "--param", "8", "--param", "4",
    ];
    assert_eq!(drive.json(&exec)["result"], 0);
    let groups = drive.json(&["groups"]);
    let group = &groups["groups"][1];
    assert_eq!(
        (&group["group"], &group["priority"]),
        (&1.into(), &2.into())
    );
    assert_eq!(group["bandwidth"], 1_000_000_000);
    assert_eq!((&group["done"], &group["bytes"]), (&1.into(), &8.into()));
    let jobs = drive.json(&["jobs"]);
    assert_eq!(
        (&jobs["done"], &jobs["classes"][0]["class"]),
        (&1.into(), &"unit".into())
    );
    let job = &jobs["jobs"][0];
    assert_eq!((&job["slot"], &job["group"]), (&3.into(), &1.into()));
    // 2 us, and 8 bytes at 8 GB/s.
    assert_eq!(job["running_ns"], 2001);
    assert!(drive.csd(&["groups"]).ok().contains("1 GB/s"));
    assert!(drive.csd(&["jobs"]).ok().contains("1 jobs are done"));
    drive.csd(&["group-delete", "1"]).ok();
    drive.csd(&exec).fails(1);
    drive.csd(&["group-create", "--priority", "10"]).fails(2);
}

/// `ersatz runner`.
struct Runner {
    process: std::process::Child,
    address: String,
}

impl Runner {
    fn start(key: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, key).expect("a file");
        let mut command = common::ersatz(&["runner", "--listen", "127.0.0.1:0", "--json"]);
        command.arg("--key-file").arg(&file);
        command.stdout(std::process::Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        // It prints its address as JSON, and goes on.
        let output = process.stdout.take().expect("its output");
        let mut values = serde_json::Deserializer::from_reader(output).into_iter();
        let value: serde_json::Value = values.next().expect("a value").expect("JSON");
        let address = value["address"].as_str().expect("an address").to_owned();
        Self { process, address }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
