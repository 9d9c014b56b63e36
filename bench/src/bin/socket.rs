//! Round trip and IOPS through a real vfio-user socket.
//!
//! The drive runs in a process of its own (this program again, with `--serve`) and spins on its
//! doorbells; this process submits reads and writes with the user-space driver and spins on its
//! completions. Each therefore wants a core of its own.

use anyhow::{Context, Result, bail};
use clap::Parser;
use ersatz_drive::serve::{Server, Waker};
use ersatz_host::command;
use ersatz_host::driver::{
    Data, Driver, Options, QueueOptions, QueuePair, Segment, VfioUser, VfioUserOptions,
};
use ersatz_pcie::vfio::Doorbells;
use nvme_spec::Sqe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measure a drive with null media through a vfio-user socket.
#[derive(Parser)]
struct Args {
    /// Seconds per figure.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Be the drive, at this socket.
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
}

/// Namespace 1 of the drive has 512-byte blocks.
const BLOCK: u32 = 512;

struct Figure {
    write: bool,
    bytes: u32,
    depth: u32,
    iops: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(socket) = &args.serve {
        return serve(socket);
    }
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("drive.sock");
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve")
        .arg(&socket)
        .spawn()?;
    let figures = measure(&socket, &mut child, Duration::from_secs_f64(args.seconds));
    child.kill()?;
    child.wait()?;
    let figures = figures?;
    if args.json {
        print_json(&figures)
    } else {
        print_table(&figures)
    }
    Ok(())
}

fn serve(socket: &Path) -> Result<()> {
    let waker = Waker::new()?;
    let mut server = Server::bind(ersatz_bench::null_drive()?, socket, waker)?;
    server.set_doorbells(Doorbells::Mapped);
    Ok(server.run()?)
}

#[allow(clippy::disallowed_methods)] // A bench reads the clock and waits: it is an edge.
fn measure(socket: &Path, child: &mut Child, limit: Duration) -> Result<Vec<Figure>> {
    let start = Instant::now();
    while !socket.exists() {
        if child.try_wait()?.is_some() || start.elapsed() > Duration::from_secs(10) {
            bail!("the drive did not start");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let options = VfioUserOptions {
        map_doorbells: true,
        ..VfioUserOptions::default()
    };
    let transport = VfioUser::connect_with(socket, options).context("connecting to the drive")?;
    let mut driver = Driver::attach(Arc::new(transport), Options::default())?;
    let mut queue = driver.create_queue_pair(QueueOptions {
        entries: 256,
        ..Default::default()
    })?;
    let mut figures = Vec::new();
    for bytes in [512, 4096] {
        for write in [false, true] {
            for depth in [1, 32, 128] {
                let iops = run(&driver, &mut queue, write, bytes, depth, limit)?;
                figures.push(Figure {
                    write,
                    bytes,
                    depth,
                    iops,
                });
            }
        }
    }
    driver.delete_queue_pair(queue)?;
    driver.shutdown()?;
    Ok(figures)
}

/// Keeps `depth` commands in flight for `limit`, each with a buffer of its own.
#[allow(clippy::disallowed_methods)] // As above.
fn run(
    driver: &Driver,
    queue: &mut QueuePair,
    write: bool,
    bytes: u32,
    depth: u32,
    limit: Duration,
) -> Result<f64> {
    let slots = queue.capacity() as u64;
    let buffer = driver.allocate(slots * u64::from(bytes).max(4096))?;
    let stride = u64::from(bytes).max(4096);
    let segments: Vec<[Segment; 1]> = (0..slots)
        .map(|i| {
            [Segment {
                iova: buffer.iova() + i * stride,
                len: bytes.into(),
            }]
        })
        .collect();
    let (mut lba, blocks) = (0u64, bytes / BLOCK);
    // 256 MiB, so that the processor's caches don't hold all of it.
    let last = (256 << 20) / u64::from(BLOCK);
    let mut next = || -> Sqe {
        lba = (lba + 7919 * u64::from(blocks)) % (last - u64::from(blocks));
        if write {
            command::write(1, lba, blocks)
        } else {
            command::read(1, lba, blocks)
        }
    };
    let mut free: Vec<u16> = (0..slots as u16).collect();
    let mut buffer_of = vec![0u16; slots as usize];
    let mut submit =
        |queue: &mut QueuePair, free: &mut Vec<u16>, buffer_of: &mut [u16]| -> Result<()> {
            let index = free.pop().context("more in flight than buffers")?;
            let cid = queue.push(next(), Data::Prp(&segments[usize::from(index)]))?;
            buffer_of[usize::from(cid)] = index;
            Ok(())
        };
    for _ in 0..depth {
        submit(queue, &mut free, &mut buffer_of)?;
    }
    queue.ring()?;
    let (start, mut done) = (Instant::now(), 0u64);
    loop {
        let mut batch = 0;
        while let Some(cqe) = queue.poll()? {
            if !cqe.status().is_success() {
                bail!("a command failed: {}", cqe.status());
            }
            free.push(buffer_of[usize::from(cqe.cid)]);
            batch += 1;
            if batch == depth {
                break;
            }
        }
        done += u64::from(batch);
        // The clock is read once per so many commands: a read costs as much as a tenth of one.
        if batch > 0 && done % 64 < u64::from(batch) && start.elapsed() >= limit {
            break;
        }
        for _ in 0..batch {
            submit(queue, &mut free, &mut buffer_of)?;
        }
        if batch > 0 {
            queue.ring()?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    while queue.in_flight() > 0 {
        queue.poll()?;
    }
    Ok(done as f64 / seconds)
}

fn print_table(figures: &[Figure]) {
    println!(
        "{:>7} {:>6} {:>6} {:>14} {:>13}",
        "op", "bytes", "depth", "IOPS", "us per turn"
    );
    for Figure {
        write,
        bytes,
        depth,
        iops,
    } in figures
    {
        let op = if *write { "write" } else { "read" };
        let turn = f64::from(*depth) / iops * 1e6;
        println!("{op:>7} {bytes:>6} {depth:>6} {iops:>14.0} {turn:>13.2}");
    }
}

fn print_json(figures: &[Figure]) {
    let figures: Vec<_> = figures
        .iter()
        .map(|f| {
            let op = if f.write { "write" } else { "read" };
            serde_json::json!({ "op": op, "bytes": f.bytes, "depth": f.depth, "iops": f.iops })
        })
        .collect();
    println!("{}", serde_json::json!({ "figures": figures }));
}
