//! `ersatz runner`: the other machine.

use crate::failure::Usage;
use crate::interrupt;
use crate::output::Answer;
use crate::quantity::bytes;
use anyhow::{Context, Result};
use ersatz_remote::{Key, Limits, Runner};
use ersatz_runtime::{Ebpf, Engine};
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  head -c 24 /dev/urandom | base64 > key
  ersatz runner --listen 0.0.0.0:4420 --key-file key
  ersatz runner --listen [::1]:4420 --key-file key --memory 4096

The drive file names it in a compute namespace: remote = { address = \"board:4420\", key = \"…\" }.";

/// Run the programs of drives that serve on other machines.
///
/// A drive whose compute namespace names this runner sends its jobs here; their time is this
/// machine's. Both sides prove that they know the key. What they say afterwards is neither encrypted nor
/// signed: use a network that you trust.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Address and port to listen at.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: String,
    /// File with the key, which is in the drive file too: its first line, 16 characters or more.
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Memory of a job's ranges, in MiB; the runner needs twice as much.
    #[arg(long, value_name = "MiB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    memory: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let path = args.key_file.display();
    let text = std::fs::read_to_string(&args.key_file).with_context(|| format!("read {path}"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    let key = Key::new(line).ok_or_else(|| {
        let (has, min) = (line.len(), Key::MIN);
        Usage(format!(
            "{path}:1: a key of {has} characters; allowed: {min} or more"
        ))
    })?;
    let limits = Limits {
        memory: args.memory << 20,
        ..Limits::default()
    };
    // The time of a run is its result here: the first one is to be as fast as all others.
    let runtime = Box::new(Ebpf::default().with_engine(Engine::Eager));
    let runner = Runner::bind(&args.listen, key, runtime, limits)
        .with_context(|| format!("listen at {}", args.listen))?;
    let stop = runner.stopper()?;
    interrupt::on_first(stop)?;
    let address = runner.address()?.to_string();
    let text = format!(
        "Running programs for drives at {address}, with up to {} for a job",
        bytes(limits.memory)
    );
    let json = json!({ "address": address, "memory": limits.memory });
    Answer::new(text, json).print(args.json)?;
    runner.run().context("accept drives")
}
