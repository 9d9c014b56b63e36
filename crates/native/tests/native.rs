//! Native programs, good and bad, in children of this test.

use ersatz_memory::{Access, Mapping};
use ersatz_native::{Launcher, Library, Limits, Native, SetupError};
use ersatz_runtime::{Args, Fuel, Program, Report, Runtime, Segment, Window};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;

/// The compiled `programs/library.rs`.
static LIBRARY: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("library.so");
    let status = Command::new("rustc")
        .args(["--edition=2024", "--crate-type=cdylib", "-O", "-o"])
        .args([
            library.as_path(),
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/library.rs"),
        ])
        .status()
        .expect("a Rust toolchain");
    assert!(status.success());
    (folder, library)
});

/// So long that no test gets there, however busy the machine is.
const PATIENT: Limits = Limits {
    cpu: Duration::from_secs(300),
    wall: Duration::from_secs(600),
    memory: 64 << 20,
};

fn launcher() -> Launcher {
    Launcher {
        executable: env!("CARGO_BIN_EXE_ersatz-native-child").into(),
        arguments: Vec::new(),
    }
}

fn library(name: &str, path: &Path, entry: &str) -> Library {
    Library {
        name: name.into(),
        path: path.into(),
        entry: entry.into(),
    }
}

fn native(limits: Limits) -> Native {
    let entries = ["sum", "fill", "number", "busy", "misbehave", "missing"];
    let mut libraries = entries
        .map(|entry| library(entry, &LIBRARY.1, entry))
        .to_vec();
    libraries.push(library("absent", Path::new("/nowhere/absent.so"), "sum"));
    Native::new(libraries, limits, launcher()).expect("a list")
}

fn program(name: &str) -> Box<dyn Program> {
    native(PATIENT)
        .load(name.as_bytes(), "")
        .expect("a program")
}

fn with(parameters: [u64; 2]) -> Args<'static> {
    Args {
        parameters,
        ..Args::default()
    }
}

fn run(program: &dyn Program, first: u64) -> Report {
    program.run(&Window::default(), &with([first, 0]), Fuel(0))
}

/// What the error log will say about a job that `misbehave` fails.
fn reason(program: &dyn Program, what: u64) -> String {
    let report = run(program, what);
    let fault = report.result.expect_err("a failed job");
    assert_eq!((fault.pc(), fault.address()), (None, None));
    fault.to_string()
}

fn device(len: u64) -> Arc<Mapping> {
    Arc::new(Mapping::anonymous("device", len).expect("memory"))
}

fn segment(memory: &Arc<Mapping>, offset: u64, len: u64) -> Segment {
    Segment {
        memory: Arc::clone(memory),
        offset,
        len,
    }
}

#[test]
fn a_program_gets_parameters_data_and_ranges_and_its_time_is_measured() {
    let memory = device(1 << 20);
    memory.write(4000, &[1; 200]).expect("inside");
    let window = Window::new(vec![
        segment(&memory, 4090, 10),
        segment(&memory, 0, 0),
        segment(&memory, 4199, 100),
    ]);
    let data = vec![2; 100_001];
    let args = Args {
        data: &data,
        ..with([3, 5])
    };
    let report = program("sum").run(&window, &args, Fuel(0));
    assert_eq!(report.result, Ok(1_000_000_000 + 15 + 200_002 + 10 + 1));
    assert!(report.measured.is_some_and(|cpu| cpu.0 > 0));
    assert_eq!(report.instructions, 0);
}

#[test]
fn what_a_program_writes_is_in_its_ranges_and_nowhere_else() {
    let memory = device(1 << 20);
    let window = Window::new(vec![segment(&memory, 100, 8000), segment(&memory, 9000, 5)]);
    let report = program("fill").run(&window, &with([0; 2]), Fuel(0));
    assert_eq!(report.result, Ok(0));
    let mut bytes = vec![0; 1 << 20];
    memory.read(0, &mut bytes).expect("inside");
    let expected = |at| match at {
        100..8100 => 1,
        9000..9005 => 2,
        _ => 0,
    };
    assert!((0..bytes.len()).all(|at| bytes[at] == expected(at)));
}

#[test]
fn hundreds_of_ranges_of_several_memories_are_mapped_where_they_belong() {
    let memories = [device(1 << 20), device(1 << 20)];
    let place = |index: u64| (&memories[index as usize % 2], index / 2 * 4099);
    let segments = (0..200).map(|index| {
        let (memory, offset) = place(index);
        segment(memory, offset, 10)
    });
    let window = Window::new(segments.collect());
    let report = program("fill").run(&window, &with([0; 2]), Fuel(0));
    assert_eq!(report.result, Ok(0));
    for index in 0..200 {
        let (memory, offset) = place(index);
        assert_eq!(memory.equals(offset, &[index as u8 + 1; 10]), Ok(true));
        assert_eq!(memory.equals(offset + 10, &[0]), Ok(true));
    }
}

#[test]
fn a_range_keeps_its_offset_in_a_page() {
    let memory = device(1 << 16);
    let window = Window::new(vec![segment(&memory, 4096 + 24, 8)]);
    let report = program("misbehave").run(&window, &with([17, 0]), Fuel(0));
    assert_eq!(report.result, Ok(24));
}

#[test]
fn a_range_beyond_its_memory_is_cut_there() {
    let memory = device(4096);
    memory.fill(0, 4096, 1).expect("inside");
    let window = Window::new(vec![
        segment(&memory, 4090, u64::MAX),
        segment(&memory, 1 << 40, 10),
    ]);
    let report = program("sum").run(&window, &with([0; 2]), Fuel(0));
    assert_eq!(report.result, Ok(1_000_000_006));
}

#[test]
fn memory_that_may_only_be_read_is_not_written() {
    let memory = device(4096);
    let (file, _) = memory.descriptor().expect("a file");
    let file = file.try_clone_to_owned().expect("another");
    let reader = Mapping::file(file, 0, 4096, Access::Read).expect("memory");
    let window = Window::new(vec![segment(&Arc::new(reader), 0, 4096)]);
    let report = program("fill").run(&window, &with([0; 2]), Fuel(0));
    let fault = report.result.expect_err("a failed job");
    assert_eq!(fault.to_string(), "SIGSEGV");
    assert_eq!(memory.equals(0, &[0; 4096]), Ok(true));
}

#[test]
fn memory_without_a_descriptor_fails_the_job_and_not_the_child() {
    let memory = device(4096);
    let (file, _) = memory.descriptor().expect("a file");
    let foreign = Mapping::foreign(file, 0, 4096, Access::ReadWrite).expect("memory");
    let window = Window::new(vec![segment(&Arc::new(foreign), 0, 4096)]);
    let program = program("number");
    let report = program.run(&window, &with([0; 2]), Fuel(0));
    assert!(report.result.is_err());
    assert_eq!(run(&*program, 0).result, Ok(0));
}

#[test]
fn a_thousand_jobs_run_in_one_child() {
    let program = program("number");
    for job in 0..1000 {
        assert_eq!(run(&*program, 0).result, Ok(job));
    }
}

#[test]
fn jobs_at_the_same_time_have_children_of_their_own() {
    let program = program("busy");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(run(&*program, 100_000).result.is_ok());
                }
            });
        }
    });
}

#[test]
fn more_work_takes_more_processor_time() {
    let program = program("busy");
    let time = |rounds| run(&*program, rounds).measured.expect("measured");
    time(1);
    assert!(time(10_000_000) > time(1000));
}

#[test]
fn a_crash_an_exit_and_forbidden_system_calls_fail_the_job_and_the_next_one_works() {
    let program = program("misbehave");
    let system_call = "SIGSYS: a system call that programs may not make";
    let meddled = "the program meddled with its connection to the drive";
    for (what, words) in [
        (1, "SIGSEGV"),
        (2, "SIGABRT"),
        (3, "the program ended its process with status 3"),
        (6, system_call),
        (7, system_call),
        (8, system_call),
        (9, "SIGABRT"),
        (10, "SIGABRT"),
        (11, "SIGSEGV"),
        (12, meddled),
        (13, meddled),
        (14, meddled),
        (16, system_call),
    ] {
        assert_eq!(reason(&*program, what), words, "{what}");
        assert_eq!(run(&*program, 1000).result, Ok(1000), "after {what}");
    }
    // No descriptor is open there, and none can be opened.
    assert_eq!(run(&*program, 5).result, Ok(0));
    assert_eq!(run(&*program, 15).result, Ok(u64::MAX));
}

#[test]
fn an_endless_loop_is_ended_by_the_clock_on_the_wall() {
    let limits = Limits {
        wall: Duration::from_secs(2),
        ..PATIENT
    };
    let program = native(limits).load(b"misbehave", "").expect("a program");
    let report = run(&*program, 4);
    let fault = report.result.expect_err("a failed job");
    assert_eq!(fault.to_string(), "no result within 2s");
    assert!(report.measured.is_some_and(|took| took.0 >= 2_000_000_000));
}

#[test]
fn an_endless_loop_is_ended_by_the_kernel_when_its_processor_time_is_over() {
    let limits = Limits {
        cpu: Duration::from_secs(1),
        ..PATIENT
    };
    let program = native(limits).load(b"misbehave", "").expect("a program");
    let words = "SIGXCPU: more than 1s of processor time";
    assert_eq!(reason(&*program, 4), words);
    assert_eq!(run(&*program, 1000).result, Ok(1000));
}

#[test]
fn a_child_that_was_killed_while_it_waited_is_replaced() {
    let program = program("misbehave");
    let pid = run(&*program, 0).result.expect("its number");
    let child = Pid::from_raw(pid as i32).expect("a process");
    kill_process(child, Signal::KILL).expect("it runs");
    // It is gone when its descriptors are: wait for that, not for a time.
    while std::fs::read_link(format!("/proc/{pid}/exe")).is_ok() {
        std::thread::yield_now();
    }
    let next = run(&*program, 0).result.expect("its number");
    assert_ne!(next, pid);
}

#[test]
fn a_child_that_is_killed_during_a_job_fails_it() {
    let program = program("misbehave");
    let pid = run(&*program, 0).result.expect("its number");
    let child = Pid::from_raw(pid as i32).expect("a process");
    std::thread::scope(|scope| {
        let job = scope.spawn(|| reason(&*program, 4));
        // Until it loops: it has had more processor time than loading takes.
        while ticks(pid) < 20 {
            std::thread::yield_now();
        }
        kill_process(child, Signal::KILL).expect("it runs");
        assert_eq!(job.join().expect("no panic"), "SIGKILL");
    });
    assert_eq!(run(&*program, 1000).result, Ok(1000));
}

/// Hundredths of a second of processor time of a process.
fn ticks(pid: u64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let user = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.split(' ').nth(11));
    user.and_then(|ticks| ticks.parse().ok()).expect("a number")
}

#[test]
fn no_child_outlives_its_program() {
    let program = program("misbehave");
    let pid = run(&*program, 0).result.expect("its number");
    drop(program);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn children_outlive_the_thread_that_ran_their_first_job() {
    let program = program("misbehave");
    let pid = || run(&*program, 0).result.expect("its number");
    let first = std::thread::scope(|scope| scope.spawn(pid).join().expect("no panic"));
    assert_eq!(pid(), first);
}

#[test]
fn a_guest_says_names_of_the_list_only() {
    let native = native(PATIENT);
    let error = |image: &[u8], entry| match native.load(image, entry) {
        Ok(_) => panic!("{image:?} was loaded"),
        Err(error) => error.to_string(),
    };
    let path = LIBRARY.1.to_str().expect("text");
    assert!(error(path.as_bytes(), "").contains("no native program is named"));
    assert!(error(b"", "").contains("no native program is named \"\"; there are: sum, fill"));
    assert!(error(&[0xFF; 10], "").contains("is its name, as text"));
    assert!(error(&[b'a'; 5000], "").contains("is its name, as text"));
    assert!(error(b"sum", "fill").contains("can't be chosen"));
    assert!(error(b"missing", "").contains("undefined symbol"));
    assert!(error(b"absent", "").contains("No such file"));
    for image in [b"sum".as_slice(), b"sum\n", b"sum\0\0\0"] {
        assert!(native.load(image, "sum").is_ok());
    }
}

#[test]
fn a_list_with_names_that_guests_could_not_say_is_refused() {
    let new = |names: &[&str]| {
        let libraries = names.iter().map(|name| library(name, Path::new("x"), "x"));
        Native::new(libraries.collect(), PATIENT, launcher())
    };
    for name in ["", " a", "a\n", &"a".repeat(256)] {
        assert!(matches!(new(&[name]), Err(SetupError::Name(_))));
    }
    assert!(matches!(new(&["a", "b", "a"]), Err(SetupError::Twice(_))));
}

#[test]
fn what_starts_no_child_is_an_error_of_loading() {
    let executables = [
        ("/nowhere/child", "No such file"),
        ("/bin/true", "status 0"),
    ];
    for (executable, words) in executables {
        let launcher = Launcher {
            executable: executable.into(),
            arguments: Vec::new(),
        };
        let libraries = vec![library("sum", &LIBRARY.1, "sum")];
        let native = Native::new(libraries, PATIENT, launcher).expect("a list");
        let error = native.program("sum").err().expect("no program").to_string();
        assert!(error.contains(words), "{error}");
    }
}
