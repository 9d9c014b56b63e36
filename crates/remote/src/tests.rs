//! A drive's programs, and a runner on this machine.

use super::*;
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use ersatz_runtime::{
    Args, Ebpf, Fault, Fuel, LoadError, Program, ReadError, Report, Runtime, Segment, Services,
    Window,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn key(byte: u8) -> Key {
    Key::new([byte; Key::MIN]).expect("long enough")
}

/// A runner that serves until the end of the test.
fn runner(runtime: impl Runtime + 'static, limits: Limits) -> SocketAddr {
    let runner = Runner::bind("127.0.0.1:0", key(1), Box::new(runtime), limits).expect("bound");
    let address = runner.address().expect("an address");
    std::thread::spawn(move || runner.run());
    address
}

fn config(address: SocketAddr) -> RemoteConfig {
    RemoteConfig {
        address: address.to_string(),
        key: key(1),
        timeout: Duration::from_secs(20),
        retries: 0,
    }
}

fn memory(bytes: &[u8]) -> Arc<Mapping> {
    let memory = Mapping::anonymous("device", 1 << 20).expect("memory");
    memory.write(0, bytes).expect("room");
    Arc::new(memory)
}

fn window(memory: &Arc<Mapping>, ranges: &[(u64, u64)]) -> Window {
    let segment = |&(offset, len)| Segment {
        memory: Arc::clone(memory),
        offset,
        len,
    };
    Window::new(ranges.iter().map(segment).collect())
}

const BUDGET: Fuel = Fuel(1 << 30);

/// Programs whose image is what they do.
struct Toy;

struct ToyProgram(Vec<u8>);

impl Runtime for Toy {
    fn load(&self, image: &[u8], entry: &str) -> Result<Box<dyn Program>, LoadError> {
        if image == b"rubbish" || entry == "nowhere" {
            return Err(LoadError("it is rubbish".to_owned()));
        }
        Ok(Box::new(ToyProgram(image.to_vec())))
    }
}

impl Program for ToyProgram {
    fn run(&self, memory: &Window, args: &Args<'_>, budget: Fuel) -> Report {
        match &self.0[..] {
            // Turns each range's first and last byte over.
            b"edges" => {
                for segment in memory.segments() {
                    for at in [segment.offset, segment.offset + segment.len - 1] {
                        let byte: u8 = segment.memory.load(at).expect("there");
                        segment.memory.store(at, !byte).expect("there");
                    }
                }
                args.services.print(b"edges are turned");
                Report {
                    instructions: budget.0,
                    ..Report::of(Ok(args.parameters[0] + args.services.now().0))
                }
            }
            b"access" => Report::of(Err(Fault::Access {
                pc: 3,
                address: 0xBAD,
                len: 8,
            })),
            _ => {
                let none = Mapping::anonymous("none", 4096).expect("memory");
                let read = args.services.read_blocks(1, 0, 1, &none, 0, 4096);
                Report::of(Err(Fault::Read {
                    pc: 1,
                    error: read.expect_err("no drive here"),
                }))
            }
        }
    }

    fn place(&self, pc: usize) -> Option<String> {
        Some(format!("line {pc}"))
    }
}

/// A drive that remembers what was printed.
#[derive(Default)]
struct Log(Mutex<Vec<Vec<u8>>>);

impl Services for Log {
    fn now(&self) -> Ns {
        Ns(1000)
    }

    fn print(&self, text: &[u8]) {
        self.0.lock().expect("unpoisoned").push(text.to_vec());
    }

    fn read_blocks(
        &self,
        nsid: u32,
        _: u64,
        _: u64,
        _: &Mapping,
        _: u64,
        _: u64,
    ) -> Result<u64, ReadError> {
        Err(ReadError::Namespace { nsid })
    }
}

#[test]
fn a_device_program_does_on_a_runner_what_it_does_in_the_drive() {
    let root = env!("CARGO_MANIFEST_DIR");
    let object = |name| std::fs::read(format!("{root}/../../examples/programs/{name}.o"));
    let image = object("vadd").expect("an example");
    let remote = Remote::new(
        config(runner(Ebpf::default(), Limits::default())),
        Arc::new(Ebpf::default()),
    );
    let numbers: Vec<u8> = (0..3 * 40_000u32).flat_map(u32::to_le_bytes).collect();
    let ranges = [(0, 160_000), (160_000, 160_000), (320_000, 160_000)];
    let run = |program: &dyn Program| {
        let memory = memory(&numbers);
        let args = Args {
            parameters: [40_000, 4],
            ..Args::default()
        };
        let report = program.run(&window(&memory, &ranges), &args, BUDGET);
        let mut after = vec![0; 480_000];
        memory.read(0, &mut after).expect("there");
        (report.result, report.instructions, after)
    };
    let here = Ebpf::default().load(&image, "").expect("it loads");
    let there = remote.load(&image, "").expect("it loads");
    let expected = run(&*here);
    assert!(expected.0.is_ok() && expected.2 != numbers);
    assert_eq!(run(&*there), expected);
    assert_eq!(run(&*there), expected, "over the same connection");
}

#[test]
fn only_what_the_program_changed_is_changed() {
    let remote = Remote::new(config(runner(Toy, Limits::default())), Arc::new(Toy));
    let program = remote.load(b"edges", "").expect("it loads");
    let memory = memory(&[]);
    let log = Log::default();
    let args = Args {
        parameters: [7, 0],
        services: &log,
        ..Args::default()
    };
    // Pages in the middle stay; the ranges touch one another.
    let ranges = [(100, 50_000), (50_100, 1), (50_101, 8192)];
    let report = program.run(&window(&memory, &ranges), &args, Fuel(5));
    assert_eq!(report.result, Ok(1007));
    assert_eq!(report.instructions, 5);
    assert!(report.measured.is_some());
    let lines = log.0.into_inner().expect("unpoisoned");
    assert_eq!(lines, [b"edges are turned"]);
    let mut after = vec![0; 1 << 20];
    memory.read(0, &mut after).expect("there");
    let changed: Vec<_> = (0..after.len()).filter(|&at| after[at] != 0).collect();
    // A range of one byte is turned over twice.
    assert_eq!(changed, [100, 50_099, 50_101, 58_292]);
}

#[test]
fn faults_keep_their_place() {
    let remote = Remote::new(config(runner(Toy, Limits::default())), Arc::new(Toy));
    let run = |image: &[u8]| {
        let program = remote.load(image, "").expect("it loads");
        let report = program.run(&Window::default(), &Args::default(), BUDGET);
        assert_eq!(program.place(3).as_deref(), Some("line 3"));
        report.result.expect_err("it faults")
    };
    let (pc, address, len) = (3, 0xBAD, 8);
    assert_eq!(run(b"access"), Fault::Access { pc, address, len });
    let no_blocks = run(b"read");
    assert!(
        no_blocks.to_string().contains("has no blocks"),
        "{no_blocks}"
    );
}

#[test]
fn images_are_refused_without_a_runner_and_for_the_same_reason() {
    let nobody = config(SocketAddr::from(([127, 0, 0, 1], 9)));
    let remote = Remote::new(nobody, Arc::new(Toy));
    for (image, entry) in [(&b"rubbish"[..], ""), (b"edges", "nowhere")] {
        let error = remote.load(image, entry).err().expect("it is refused");
        assert_eq!(error.to_string(), "it is rubbish");
    }
}

#[test]
fn a_runner_that_is_away_is_an_error_that_says_so() {
    let away = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = away.local_addr().expect("an address");
    drop(away);
    let retries = 2;
    let remote = Remote::new(
        RemoteConfig {
            retries,
            ..config(address)
        },
        Arc::new(Toy),
    );
    let program = remote.load(b"edges", "").expect("it loads");
    let report = program.run(&Window::default(), &Args::default(), BUDGET);
    let reason = report.result.expect_err("nobody runs it").to_string();
    assert!(reason.contains(&address.to_string()), "{reason}");
    assert!(reason.contains("3 tries"), "{reason}");
}

#[test]
fn a_connection_that_is_open_goes_on_when_the_runner_listens_no_longer() {
    let first = Runner::bind("127.0.0.1:0", key(1), Box::new(Toy), Limits::default());
    let first = first.expect("bound");
    let address = first.address().expect("an address");
    let stop = first.stopper().expect("a stopper");
    let serving = std::thread::spawn(move || first.run());
    let remote = Remote::new(config(address), Arc::new(Toy));
    let program = remote.load(b"edges", "").expect("it loads");
    let memory = memory(&[]);
    let window = window(&memory, &[(0, 10)]);
    let run = || program.run(&window, &Args::default(), BUDGET).result;
    assert_eq!(run(), Ok(0));
    stop();
    serving.join().expect("it ends").expect("well");
    // The connection still serves; a new one finds nobody.
    assert_eq!(run(), Ok(0));
}

#[test]
fn a_runner_and_a_drive_with_different_keys_have_nothing_to_do_with_each_other() {
    let remote = Remote::new(
        RemoteConfig {
            key: key(2),
            ..config(runner(Toy, Limits::default()))
        },
        Arc::new(Toy),
    );
    let program = remote.load(b"edges", "").expect("it loads");
    let report = program.run(&Window::default(), &Args::default(), BUDGET);
    let reason = report.result.expect_err("a stranger").to_string();
    assert!(reason.contains("another key"), "{reason}");
    assert!(Key::new([0; Key::MIN - 1]).is_none(), "too short");
}

#[test]
fn a_runner_that_can_not_prove_the_key_gets_no_job() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let impostor = std::thread::spawn(move || {
        let (mut drive, _) = listener.accept().expect("the drive");
        drive.write_all(b"ERSATZR\x01").expect("sent");
        drive.write_all(&[7; 32]).expect("sent");
        let mut proof = [0; 64];
        drive.read_exact(&mut proof).expect("its proof");
        // What it heard is no proof of its own.
        drive.write_all(&proof[32..]).expect("sent");
        let mut rest = Vec::new();
        drive.read_to_end(&mut rest).expect("closed");
        rest
    });
    let remote = Remote::new(config(address), Arc::new(Toy));
    let program = remote.load(b"edges", "").expect("it loads");
    let report = program.run(&Window::default(), &Args::default(), BUDGET);
    assert!(report.result.is_err());
    assert_eq!(impostor.join().expect("it ends"), b"");
}

#[test]
fn rubbish_ends_a_connection_and_not_the_runner() {
    let address = runner(Toy, Limits::default());
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 256], &[]] {
        let mut stranger = TcpStream::connect(address).expect("it listens");
        stranger.write_all(rubbish).expect("sent");
        // The runner may have closed already.
        let _ = stranger.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        // A greeting and a challenge, and nothing else.
        let _ = stranger.read_to_end(&mut rest);
        assert!(rest.len() <= 40, "{rest:?}");
    }
    let remote = Remote::new(config(address), Arc::new(Toy));
    let program = remote.load(b"edges", "").expect("it loads");
    let memory = memory(&[]);
    let window = window(&memory, &[(0, 10)]);
    let report = program.run(&window, &Args::default(), BUDGET);
    assert_eq!(report.result, Ok(0));
}

#[test]
fn jobs_that_a_runner_can_not_take_say_why() {
    let limits = Limits {
        memory: 4096,
        ..Limits::default()
    };
    let remote = Remote::new(config(runner(Toy, limits)), Arc::new(Toy));
    let program = remote.load(b"edges", "").expect("it loads");
    let memory = memory(&[]);
    let run = |ranges: &[(u64, u64)]| {
        let report = program.run(&window(&memory, ranges), &Args::default(), BUDGET);
        report.result.map_err(|fault| fault.to_string())
    };
    assert_eq!(run(&[(0, 4096)]), Ok(0));
    let large = run(&[(0, 4096), (4096, 1)]).expect_err("too large");
    assert!(large.contains("4097 bytes"), "{large}");
    let twice = run(&[(0, 10), (20, 5), (9, 2)]).expect_err("they overlap");
    assert!(twice.contains("ranges 0 and 2 overlap"), "{twice}");
}
