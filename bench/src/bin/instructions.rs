//! Instructions per command inside of the drive, counted by valgrind's callgrind.
//!
//! The program runs itself under callgrind twice, with different numbers of commands; the
//! difference, divided, is what one command costs from doorbell to completion, all start-up left
//! out. It is the same on every run and every machine with the same compiler.

use anyhow::{Context, Result, bail};
use clap::Parser;
use ersatz_drive::Drive;
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_pcie::{Function, Host, LocalHost, Region};
use nvme_spec::admin::{CreateCqCdw11, CreateQueueCdw10, CreateSqCdw11};
use nvme_spec::register::{self, Aqa, Cc, CcCss};
use nvme_spec::{AdminOpcode, NvmOpcode, Sqe};
use std::process::Command;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Count instructions per command inside of the drive, with null media.
#[derive(Parser)]
struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Run this many commands, and nothing else.
    #[arg(long, hide = true)]
    commands: Option<u32>,
    /// Bytes per command.
    #[arg(long, hide = true, default_value_t = 512)]
    bytes: u32,
    /// Commands in flight.
    #[arg(long, hide = true, default_value_t = 32)]
    depth: u32,
    /// Write instead of read.
    #[arg(long, hide = true)]
    write: bool,
}

const MEMORY: u64 = 16 << 20;
/// Where what lies in host memory.
const ASQ: u64 = 0x1000;
const ACQ: u64 = 0x2000;
const SQ: u64 = 0x1_0000;
const CQ: u64 = 0x2_0000;
const DATA: u64 = 0x10_0000;
/// Longer than any admin command takes.
const ADMIN: Ns = Ns::from_ms(10);
/// Entries of the I/O queues.
const ENTRIES: u32 = 256;

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(commands) = args.commands {
        return run(commands, args.bytes, args.depth, args.write);
    }
    let mut figures = Vec::new();
    for (bytes, depth, write) in [
        (512, 1, false),
        (512, 32, false),
        (512, 32, true),
        (4096, 32, false),
        (4096, 32, true),
    ] {
        figures.push((bytes, depth, write, per_command(bytes, depth, write)?));
    }
    if args.json {
        let figures: Vec<_> = figures
            .iter()
            .map(|(bytes, depth, write, count)| {
                let op = if *write { "write" } else { "read" };
                serde_json::json!({ "op": op, "bytes": bytes, "depth": depth, "instructions": count })
            })
            .collect();
        println!("{}", serde_json::json!({ "figures": figures }));
        return Ok(());
    }
    println!(
        "{:>7} {:>6} {:>6} {:>24}",
        "op", "bytes", "depth", "instructions per command"
    );
    for (bytes, depth, write, count) in figures {
        let op = if write { "write" } else { "read" };
        println!("{op:>7} {bytes:>6} {depth:>6} {count:>24.1}");
    }
    Ok(())
}

fn per_command(bytes: u32, depth: u32, write: bool) -> Result<f64> {
    const FEW: u32 = 1024;
    const MANY: u32 = 11_264;
    let few = callgrind(FEW, bytes, depth, write)?;
    let many = callgrind(MANY, bytes, depth, write)?;
    Ok((many - few) as f64 / f64::from(MANY - FEW))
}

fn callgrind(commands: u32, bytes: u32, depth: u32, write: bool) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--commands", &commands.to_string()])
        .args(["--bytes", &bytes.to_string(), "--depth", &depth.to_string()]);
    if write {
        valgrind.arg("--write");
    }
    let output = valgrind
        .output()
        .context("valgrind is needed to count instructions")?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind failed:\n{words}");
    }
    let line = words.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.rsplit(' ').next());
    count
        .and_then(|count| count.parse().ok())
        .context("valgrind printed no count")
}

/// A host that lives in the same process and does next to nothing itself.
struct Bench {
    drive: Drive,
    host: LocalHost,
    memory: Arc<Mapping>,
    now: Ns,
}

impl Bench {
    fn register(&mut self, offset: u64, value: u64, bytes: usize) {
        let data = &value.to_le_bytes()[..bytes];
        self.drive
            .front()
            .write(self.now, Region::Bar0, offset, data, &mut self.host);
    }

    fn poll(&mut self) {
        self.now += Ns(100);
        self.drive.poll(self.now, &mut self.host);
    }

    /// Puts an admin command into slot `slot` of the admin queue and lets it be executed.
    fn admin(&mut self, slot: u64, sqe: &Sqe) -> Result<()> {
        self.memory.write(ASQ + slot * 64, sqe.as_bytes())?;
        self.register(register::DOORBELLS, slot + 1, 4);
        self.poll();
        self.now += ADMIN;
        self.poll();
        let status = self.memory.load::<u16>(ACQ + slot * 16 + 14)? >> 1;
        if status != 0 {
            bail!("an admin command failed with status {status:#x}");
        }
        Ok(())
    }

    fn start() -> Result<Self> {
        let memory = Arc::new(Mapping::anonymous("host", MEMORY)?);
        let (host, drive) = (
            LocalHost::new(0, Arc::clone(&memory)),
            ersatz_bench::null_drive()?,
        );
        let mut bench = Self {
            drive,
            host,
            memory,
            now: Ns::ZERO,
        };
        let aqa = Aqa::new().with_asqs_z(15).with_acqs_z(15).into_bits();
        bench.register(register::AQA, aqa.into(), 4);
        bench.register(register::ASQ, ASQ, 8);
        bench.register(register::ACQ, ACQ, 8);
        let cc = Cc::new().with_en(true).with_css(CcCss::AllSupported);
        bench.register(
            register::CC,
            cc.with_iosqes(6).with_iocqes(4).into_bits().into(),
            4,
        );
        let cdw10 = CreateQueueCdw10::new()
            .with_qid(1)
            .with_qsize_z(ENTRIES as u16 - 1);
        let mut create = Sqe::new(AdminOpcode::CreateIoCq, 0).with_prp(CQ, 0);
        create.cdw10 = cdw10.into_bits();
        create.cdw11 = CreateCqCdw11::new().with_pc(true).into_bits();
        bench.admin(0, &create)?;
        let mut create = Sqe::new(AdminOpcode::CreateIoSq, 0).with_prp(SQ, 0);
        create.cdw10 = cdw10.into_bits();
        create.cdw11 = CreateSqCdw11::new().with_pc(true).with_cqid(1).into_bits();
        bench.admin(1, &create)?;
        Ok(bench)
    }
}

fn run(commands: u32, bytes: u32, depth: u32, write: bool) -> Result<()> {
    let mut bench = Bench::start()?;
    let (front, blocks) = (bench.drive.front().bar0(), bytes / 512);
    let doorbells = front.shared.1;
    let before = bench.drive.controller.completed();
    let opcode = if write {
        NvmOpcode::Write
    } else {
        NvmOpcode::Read
    };
    let mut sqe = Sqe {
        cdw12: blocks - 1,
        ..Sqe::new(opcode, 1).with_prp(DATA, 0)
    };
    let (mut tail, mut head, mut sent, mut done) = (0u32, 0u32, 0u32, 0u32);
    while done < commands {
        while sent < commands && sent - done < depth {
            sqe.cid = sent as u16;
            sqe.cdw10 = (sent * 7919) % 100_000;
            bench
                .memory
                .write(SQ + u64::from(tail) * 64, sqe.as_bytes())?;
            tail = (tail + 1) % ENTRIES;
            sent += 1;
        }
        doorbells.store_release(8, tail)?;
        // One sweep takes a burst of each queue, which may be less than all.
        while bench.drive.controller.completed() < before + u64::from(sent) {
            bench.poll();
        }
        // The host's part is kept as small as it can be: all that was sent is done.
        head = (head + (sent - done)) % ENTRIES;
        done = sent;
        doorbells.store_release(12, head)?;
    }
    let mut first = [0; 4];
    bench.host.read(DATA, &mut first)?;
    Ok(())
}
