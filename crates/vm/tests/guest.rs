//! Real guests: prepared from the machine's package mirror, booted in QEMU with QEMU's own NVMe
//! controller in place of a drive of ours.
//!
//! Nothing is skipped: on a machine that can't prepare a guest, these tests fail and say why.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use ersatz_vm::{
    Captured, Environment, Guest, GuestFile, MemoryBackend, Progress, RunError, Task, default_dir,
};

struct Print;

impl Progress for Print {
    fn step(&mut self, what: &str) {
        eprintln!("{what} …");
    }
}

fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let cache = default_dir().expect("a folder for the cache");
        match Environment::prepare(&cache, &mut Print) {
            Ok(environment) => environment,
            Err(error) => panic!("no guest can be prepared here: {error}"),
        }
    })
}

/// A guest that runs a script, with a limit that a loaded machine keeps.
fn script(text: &str) -> Guest {
    Guest {
        task: Task::Script(text.to_owned()),
        timeout: Some(Duration::from_secs(180)),
        ..Guest::default()
    }
}

/// Status, standard output and standard error of a guest that ends as it should.
fn run(guest: &Guest) -> (i32, String, String) {
    let mut output = Captured::default();
    match guest.run(environment(), &mut output) {
        Ok(status) => (
            status.0,
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn output_and_status_are_exactly_the_tasks() {
    let guest = script(
        "head -c 3000000 /dev/zero | tr '\\000' '\\377'\n\
         printf 'no newline\\0at the end'\n\
         echo to stderr >&2; echo by path >/dev/stderr\n\
         sleep 1000 &\n\
         exit 42\n",
    );
    let mut output = Captured::default();
    let status = guest
        .run(environment(), &mut output)
        .expect("the guest runs");
    assert_eq!(status.0, 42);
    let (bulk, end) = output.stdout.split_at(3_000_000);
    assert!(bulk.iter().all(|&byte| byte == 0xff));
    assert_eq!(end, b"no newline\0at the end");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "to stderr\nby path\n"
    );
    assert!(String::from_utf8_lossy(&output.log).contains("Linux version"));
}

#[test]
fn words_of_a_command_and_files_of_the_host_arrive_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let tool = folder.path().join("tool");
    fs::write(
        &tool,
        "#!/bin/sh\nprintf '%s|' \"$@\"; ersatz --list | grep -c ': test$'\n",
    )
    .expect("written");
    let guest = Guest {
        task: Task::Command(
            ["/opt/tool", "two words", "it's", "$HOME", ""]
                .map(str::to_owned)
                .to_vec(),
        ),
        // This test's own program, linked with the host's libraries, stands for `ersatz`.
        ersatz: Some(std::env::current_exe().expect("a test has a program")),
        files: vec![GuestFile {
            host: tool,
            guest: "/opt/tool".to_owned(),
            mode: 0o755,
        }],
        memory_backend: MemoryBackend::Plain,
        timeout: Some(Duration::from_secs(180)),
        ..Guest::default()
    };
    let (status, stdout, stderr) = run(&guest);
    let (words, tests) = stdout.rsplit_once('|').expect("the tool's output");
    assert_eq!(words, "two words|it's|$HOME|", "{stderr}");
    assert!(
        tests.trim().parse::<u32>().is_ok_and(|tests| tests >= 5),
        "{stdout}{stderr}"
    );
    assert_eq!(status, 0);

    let missing = Guest {
        task: Task::Command(vec!["nothing-of-that-name".to_owned()]),
        ..guest
    };
    assert_eq!(run(&missing).0, 127);
}

#[test]
fn the_guests_tools_work_on_an_nvme_drive() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    fs::File::create(&disk)
        .and_then(|file| file.set_len(64 << 20))
        .expect("a disk");
    let mut guest = script(
        "set -e\n\
         nvme list\n\
         blkdiscard /dev/nvme0n1\n\
         mkfs.ext4 -q /dev/nvme0n1\n\
         mount /dev/nvme0n1 /mnt\n\
         fio --name=verify --filename=/mnt/file --size=8M --rw=randwrite --bs=4k --iodepth=32 \
             --ioengine=libaio --direct=1 --verify=crc32c --minimal >/tmp/fio\n\
         umount /mnt\n\
         e2fsck -fn /dev/nvme0n1\n\
         cat /sys/class/nvme/nvme0/serial\n\
         lsblk -no NAME /dev/nvme0n1\n",
    );
    guest.qemu_args = vec![
        "-drive".into(),
        format!("if=none,id=disk,format=raw,file={}", disk.display()).into(),
        "-device".into(),
        "nvme,drive=disk,serial=SERIAL7".into(),
    ];
    let (status, stdout, stderr) = run(&guest);
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("/dev/nvme0n1") && stdout.contains("/dev/ng0n1"),
        "{stdout}"
    );
    assert!(stdout.trim_end().ends_with("SERIAL7\nnvme0n1") || stdout.contains("SERIAL7 "));
}

#[test]
fn a_drive_that_is_not_there_is_an_error_in_qemus_words() {
    let guest = Guest {
        sockets: vec!["/nonexistent/drive.sock".into()],
        ..script("true")
    };
    match guest.run(environment(), &mut Captured::default()) {
        Err(RunError::Ended { stderr, .. }) => assert!(stderr.contains("drive.sock"), "{stderr}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_guest_that_hangs_is_killed_and_its_log_shown() {
    let mut guest = script("echo the last words >/dev/kmsg; sleep 100000");
    guest.timeout = Some(Duration::from_secs(20));
    match guest.run(environment(), &mut Captured::default()) {
        Err(RunError::TimedOut { log, .. }) => assert!(
            log.contains("Linux version") || log.contains("the last words"),
            "{log}"
        ),
        other => panic!("{other:?}"),
    }
}
