//! A stock Linux guest in a stock QEMU, with nothing patched, uses the drive.
//!
//! QEMU, kernel and tools come from the distribution's packages where the machine has none: the
//! first run fetches them. Without virtualisation hardware a boot takes a few seconds.

mod common;

use common::{Run, ersatz};
use std::sync::{Mutex, PoisonError};

/// One guest at a time: each wants all processors.
static GUEST: Mutex<()> = Mutex::new(());

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Runs a script in a guest that has the example drive.
fn guest(options: &[&str], script: &str) -> Run {
    guest_with(&format!("{ROOT}/examples/drives/csd.toml"), options, script)
}

/// Runs a script in a guest that has the drive of a drive file.
fn guest_with(drive: &str, options: &[&str], script: &str) -> Run {
    let _one = GUEST.lock().unwrap_or_else(PoisonError::into_inner);
    let root = ROOT;
    let program = |name| format!("{root}/examples/programs/{name}.o");
    let mut command = ersatz(&["vm", drive, "--timeout", "300"]);
    for name in ["count_lines", "filter_lines", "sum"] {
        command.args(["--file", &program(name)]);
    }
    let script = format!("set -e\n{script}");
    command.args(options).args(["--", "sh", "-c", &script]);
    Run::of(command.output().expect("it starts"))
}

/// The lines between `== name` and the next `==` of a guest's output.
fn section<'a>(output: &'a str, name: &str) -> Vec<&'a str> {
    let mut lines = output
        .lines()
        .skip_while(|line| *line != format!("== {name}"));
    assert!(lines.next().is_some(), "no section {name} in:\n{output}");
    lines.take_while(|line| !line.starts_with("== ")).collect()
}

#[track_caller]
fn has(lines: &[&str], words: &[&str]) {
    let found = lines
        .iter()
        .any(|line| words.iter().all(|word| line.contains(word)));
    assert!(found, "no line with {words:?} in:\n{}", lines.join("\n"));
}

#[test]
fn stock_tools_read_and_reset_the_drive() {
    let output = guest(
        &[],
        r#"
        echo == nodes; ls /dev/ng0n* /dev/nvme0n*
        echo == list; nvme list
        echo == id-ctrl; nvme id-ctrl /dev/nvme0
        echo == id-ns; nvme id-ns /dev/nvme0n1
        echo == ns-descs; nvme ns-descs /dev/nvme0 -n 2; nvme ns-descs /dev/nvme0 -n 3
        echo == smart; nvme smart-log /dev/nvme0
        echo == errors; nvme error-log /dev/nvme0
        echo == effects; nvme effects-log /dev/nvme0 --csi=0
        echo == firmware; nvme fw-log /dev/nvme0
        echo == features
        for fid in 0x01 0x02 0x04 0x05 0x07 0x08 0x09 0x0a 0x0b 0x0e 0x16 0x19 0x80 0x81; do
            nvme get-feature /dev/nvme0 -f $fid
        done
        for select in 1 2 3; do nvme get-feature /dev/nvme0 -f 0x0b -s $select; done
        echo == reset
        dd if=/dev/urandom of=/tmp/data bs=4k count=64 2>/dev/null
        dd if=/tmp/data of=/dev/nvme0n1 bs=4k oflag=direct 2>/dev/null
        nvme reset /dev/nvme0
        cmp -n 262144 /tmp/data /dev/nvme0n1
        echo 1 >/sys/class/nvme/nvme0/device/reset
        until [ "$(cat /sys/class/nvme/nvme0/state)" = live ]; do usleep 10000; done
        echo 3 >/proc/sys/vm/drop_caches
        dd if=/dev/nvme0n1 of=/tmp/back bs=4k count=64 iflag=direct 2>/dev/null
        cmp /tmp/data /tmp/back && echo same
        echo == kernel; dmesg | grep -iE 'nvme.*(error|timeout|abort|I/O)' || echo clean
        "#,
    )
    .ok();
    let at = |name| section(&output, name);
    assert_eq!(
        at("nodes"),
        ["/dev/ng0n1", "/dev/ng0n2", "/dev/ng0n3", "/dev/nvme0n1"]
    );
    has(
        &at("list"),
        &["/dev/nvme0n1", "ERSATZ01", "2.15  GB", "4 KiB"],
    );
    has(
        &at("id-ctrl"),
        &["mn", "Ersatz Computational Storage Drive"],
    );
    has(&at("id-ctrl"), &["ver", "0x20100"]);
    has(&at("id-ns"), &["nsze", "0x80000"]);
    has(&at("ns-descs"), &["csi", "3"]);
    has(&at("ns-descs"), &["csi", "4"]);
    has(&at("smart"), &["temperature", "313"]);
    has(&at("smart"), &["available_spare", "100%"]);
    has(&at("errors"), &["Error Log Entries", "entries:64"]);
    has(&at("effects"), &["ACS", "6", "Identify"]);
    has(&at("firmware"), &["afi", "0x1"]);
    has(&at("features"), &["0x07", "Number of Queues", "0x003f003f"]);
    assert_eq!(at("reset"), ["same"]);
    assert_eq!(at("kernel"), ["clean"]);
}

#[test]
fn a_file_system_and_verified_random_writes_survive() {
    let output = guest(
        &[],
        r#"
        echo == ext4
        mkfs.ext4 -q /dev/nvme0n1
        mkdir -p /mnt
        mount /dev/nvme0n1 /mnt
        dd if=/dev/urandom of=/mnt/file bs=1M count=24 2>/dev/null
        sha256sum /mnt/file >/tmp/sum
        umount /mnt
        e2fsck -f -n /dev/nvme0n1 >/tmp/check 2>&1
        echo 3 >/proc/sys/vm/drop_caches
        mount /dev/nvme0n1 /mnt
        sha256sum -c /tmp/sum
        umount /mnt
        echo == fio
        fio --name=verify --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=32m --iodepth=32 \
            --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 >/tmp/fio
        grep -c 'err= 0' /tmp/fio
        echo == discard
        blkdiscard /dev/nvme0n1
        head -c 64M /dev/nvme0n1 | tr -d '\000' | wc -c
        echo == kernel; dmesg | grep -iE 'nvme.*(error|timeout|abort|I/O)' || echo clean
        "#,
    )
    .ok();
    assert_eq!(section(&output, "ext4"), ["/mnt/file: OK"]);
    assert_eq!(section(&output, "fio"), ["1"]);
    assert_eq!(
        section(&output, "discard"),
        ["0"],
        "bytes that are not zero"
    );
    assert_eq!(section(&output, "kernel"), ["clean"]);
}

#[test]
fn programs_run_on_files_that_lie_in_the_drive() {
    let output = guest(
        &[],
        r#"
        mkfs.ext4 -q /dev/nvme0n1
        mkdir -p /mnt
        mount /dev/nvme0n1 /mnt
        i=0
        while [ $i -lt 2000 ]; do
            echo "2026-11-22T10:15:30Z host-$((i % 7)) web[$i]: INFO served page $i"
            [ $((i % 10)) != 0 ] || echo "2026-11-22T10:15:30Z host-$i web[$i]: ERROR no page $i"
            i=$((i + 1))
        done >/mnt/log
        sync
        size=$(stat -c %s /mnt/log)
        room=$(((size + 3) / 4 * 4))
        echo == list; ersatz csd list
        echo == load
        ersatz csd load /root/count_lines.o --slot 1
        ersatz csd load /root/filter_lines.o --slot 2
        ersatz csd activate 1
        ersatz csd activate 2
        ersatz csd programs
        echo == copy; ersatz csd copy --file /mnt/log --to 0
        printf 'ERROR\0\0\0' | ersatz csd write 64MiB
        echo == count
        ersatz csd exec 1 --range 0:$room --range 64MiB:8 --param $size --param 5 --json
        grep -c ERROR /mnt/log
        echo == filter
        ersatz csd fill 128MiB 1MiB
        ersatz csd exec 2 --range 0:$room --range 128MiB:1MiB --range 64MiB:8 \
            --param $size --param 5 --json >/tmp/filtered
        grep ERROR /mnt/log >/tmp/expected
        ersatz csd read 128MiB $((($(stat -c %s /tmp/expected) + 3) / 4 * 4)) -o /tmp/got
        cmp -n $(stat -c %s /tmp/expected) /tmp/expected /tmp/got && echo same
        echo == stats; ersatz csd stats
        echo == in-use; ersatz csd unload 1 2>&1 || true
        echo == unload
        ersatz csd deactivate 1
        ersatz csd unload 1
        ersatz csd exec 1 --range 0:4096 2>&1 || true
        "#,
    )
    .ok();
    let at = |name| section(&output, name);
    has(&at("list"), &["memory", "512 MiB"]);
    let count = at("count");
    has(&count, &["200"]);
    assert_eq!(count.last(), Some(&"200"), "what grep counts");
    assert_eq!(at("filter").last(), Some(&"same"));
    has(&at("in-use"), &["Program In Use"]);
    has(&at("unload"), &["No Program"]);
}

#[test]
fn a_guest_whose_memory_can_not_be_mapped_is_served_by_messages() {
    let output = guest(
        &["--guest-memory", "messages"],
        r#"
        disk=$(ls /dev/nvme0n*)
        mkfs.ext4 -q $disk
        mkdir -p /mnt
        mount $disk /mnt
        dd if=/dev/urandom of=/mnt/file bs=64k count=16 2>/dev/null
        sha256sum /mnt/file >/tmp/sum
        umount /mnt
        mount $disk /mnt
        sha256sum -c /tmp/sum
        "#,
    )
    .ok();
    assert!(output.contains("/mnt/file: OK"), "{output}");
}

/// What the model says takes 5 and 11 ms takes far longer here. With the guest's clock standing still
/// meanwhile, the guest sees the model's time.
#[test]
fn a_frozen_guest_sees_a_programs_modelled_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let drive = folder.path().join("drive.toml");
    let config = "
        drive = { serial = 'FREEZE01' }
        media = { kind = 'null' }
        [[namespace]]\nkind = 'nvm'\nsize = '64 MiB'
        [[namespace]]\nkind = 'memory'\nsize = '512 MiB'
        [[namespace]]\nkind = 'compute'\nunits = 1\ncost = { instructions = '35 ps' }";
    std::fs::write(&drive, config).expect("written");
    let script = r#"
        ersatz csd load /root/sum.o --slot 0
        ersatz csd activate 0
        ersatz csd fill 0 512MiB
        for i in 1 2 3 4 5; do
            ersatz csd exec 0 --range 0:512MiB --param 67108864 --param 8 --json
            ersatz csd exec 0 --range 0:512MiB --param 134217728 --param 4 --json
        done
    "#;
    let took = |options: &[&str]| -> (Vec<u64>, String) {
        let drive = drive.to_str().expect("UTF-8");
        let run = guest_with(drive, options, script);
        let stderr = run.stderr.clone();
        let output = run.ok();
        let took = output.lines().filter_map(|line| {
            let (_, rest) = line.split_once("\"took_ns\":")?;
            rest.trim_end_matches('}').parse().ok()
        });
        (took.collect(), stderr)
    };
    let (running, _) = took(&[]);
    let (frozen, stderr) = took(&["--freeze", "--verbose"]);
    assert_eq!((running.len(), frozen.len()), (10, 10));
    assert!(stderr.contains("The guest stood still "), "{stderr}");
    assert!(!stderr.contains("could not be stopped"), "{stderr}");
    eprintln!("running guest: {running:?}, frozen guest: {frozen:?}");
    // Medians: a guest on a busy machine may lose time of its own.
    let median = |mut times: Vec<u64>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    assert!(median(frozen) < median(running) / 2);
}

#[test]
fn the_commands_output_and_status_are_the_guests() {
    let run = guest(&[], "echo out; echo err >&2; exit 7");
    assert_eq!(run.code, Some(7));
    assert_eq!(run.stdout, "out\n");
    assert!(run.stderr.contains("err\n"), "{}", run.stderr);
}
