//! Every subcommand of `ersatz csd` on the socket of `ersatz serve`.

mod common;

use common::{Drive, SMALL, example};

fn drive() -> Drive {
    Drive::serve(SMALL, &[])
}

/// Loads and activates count_lines in slot 0.
fn with_program() -> Drive {
    let drive = drive();
    drive
        .csd(&["load", &example("programs/count_lines.o")])
        .ok();
    drive.csd(&["activate", "0"]).ok();
    drive
}

#[test]
fn list_shows_what_the_drive_has() {
    let drive = drive();
    let list = drive.csd(&["list"]).ok();
    for words in [
        "SMALL",
        "flash",
        "memory",
        "compute",
        "0 of 4 slots used",
        "types: ebpf",
    ] {
        assert!(list.contains(words), "{words}: {list}");
    }
    let list = drive.json(&["list"]);
    let namespaces = list["drives"][0]["namespaces"]
        .as_array()
        .expect("namespaces");
    let kinds: Vec<_> = namespaces.iter().map(|ns| &ns["kind"]).collect();
    assert_eq!(kinds, ["nvm", "memory", "compute"]);
    assert_eq!(namespaces[1]["bytes"], 1 << 20);
    assert_eq!(namespaces[2]["slots"], 4);
    assert_eq!(namespaces[0]["uuid"].as_str().map(str::len), Some(36));
}

#[test]
fn a_program_goes_through_its_life() {
    let drive = drive();
    assert!(
        drive
            .csd(&["programs"])
            .ok()
            .contains("None of the 4 program slots")
    );
    let object = example("programs/count_lines.o");
    let loaded = drive.json(&["load", &object, "--slot", "2", "--puid", "0xBEEF"]);
    assert_eq!(loaded["slot"], 2);
    let programs = drive.csd(&["programs"]).ok();
    assert!(
        programs.contains("0xbeef") && programs.contains("loaded"),
        "{programs}"
    );

    let error = drive.csd(&["exec", "2"]).fails(1);
    assert!(
        error.contains("execute program slot 2: Program Not Activated"),
        "{error}"
    );
    assert_eq!(drive.csd(&["activate", "2"]).ok(), "Activated slot 2.\n");
    assert_eq!(drive.json(&["programs"])["programs"][0]["active"], true);
    let error = drive.csd(&["unload", "2"]).fails(1);
    assert!(
        error.contains("unload program slot 2: Program In Use"),
        "{error}"
    );
    drive.csd(&["deactivate", "2"]).ok();
    drive.csd(&["unload", "2"]).ok();
    let error = drive.csd(&["activate", "2"]).fails(1);
    assert!(error.contains("No Program"), "{error}");
    let error = drive.csd(&["activate", "4"]).fails(1);
    assert!(error.contains("Invalid Program Index"), "{error}");
}

#[test]
fn what_is_written_is_counted_by_the_program() {
    let drive = with_program();
    let text = b"an ERROR\nnone\nERROR ERROR\nlast";
    drive.csd_with(&["write", "4KiB"], text).ok();
    let (range, len) = (
        format!("4KiB:{}", text.len().next_multiple_of(4)),
        text.len().to_string(),
    );
    let exec = [
        "exec", "0", "--range", &range, "--param", &len, "--data", "ERROR",
    ];
    assert_eq!(drive.csd(&exec).ok(), "2 (0x2)\n");
    assert_eq!(drive.json(&exec)["result"], 2);

    let token = drive.folder().join("token");
    std::fs::write(&token, "none").expect("a file");
    let token = format!("@{}", token.display());
    let exec = [
        "exec", "0", "--range", &range, "--param", &len, "--data", &token,
    ];
    assert_eq!(drive.csd(&exec).ok(), "1 (0x1)\n");

    let set = drive.json(&["set-create", "--range", &range])["set"].to_string();
    assert!(drive.csd(&["sets"]).ok().contains(&set));
    let exec = [
        "exec", "0", "--set", &set, "--param", &len, "--data", "ERROR",
    ];
    assert_eq!(drive.csd(&exec).ok(), "2 (0x2)\n");
    drive.csd(&["set-delete", &set]).ok();
    assert_eq!(drive.json(&["sets"])["sets"], serde_json::json!([]));
    let error = drive.csd(&exec).fails(1);
    assert!(error.contains("Invalid Memory Range Set"), "{error}");
}

#[test]
fn memory_reads_back_what_was_written_and_nothing_around_it_changes() {
    let drive = drive();
    drive.csd_with(&["write", "0"], &[0xAA; 64]).ok();
    drive.csd_with(&["write", "13"], b"hello").ok();
    let mut expected = [0xAA; 64];
    expected[13..18].copy_from_slice(b"hello");
    let file = drive.folder().join("out");
    let path = file.to_str().expect("UTF-8");
    drive.csd(&["read", "0", "64", "-o", path]).ok();
    assert_eq!(std::fs::read(&file).expect("a file"), expected);
    drive.csd(&["read", "12", "7", "-o", path]).ok();
    assert_eq!(std::fs::read(&file).expect("a file"), b"\xAAhello\xAA");

    let dump = drive.csd(&["read", "13", "5"]).ok();
    assert!(dump.starts_with("0000000d  68 65 6c 6c 6f"), "{dump}");
    assert_eq!(drive.csd(&["read", "13", "5", "--raw"]).ok(), "hello");
    assert_eq!(drive.json(&["read", "13", "5"])["hex"], "68656c6c6f");
    drive.csd(&["fill", "0", "16"]).ok();
    assert_eq!(
        drive.json(&["read", "12", "4", "--memory", "2"])["hex"],
        "00000000"
    );
}

#[test]
fn copies_stay_inside_the_drive() {
    let drive = drive();
    drive.csd_with(&["write", "0"], &[7; 1024]).ok();
    // Flash that was never written reads as zeros.
    let copied = drive
        .csd(&["copy", "--from-lba", "2", "--blocks", "1", "--to", "512"])
        .ok();
    assert_eq!(copied, "Copied 512 B to memory 2 at byte 512.\n");
    assert_eq!(drive.json(&["read", "508", "8"])["hex"], "0707070700000000");
    drive
        .csd(&["copy", "--from-memory", "2:0:512", "--to", "1KiB"])
        .ok();
    assert_eq!(drive.json(&["read", "1KiB", "4"])["hex"], "07070707");
    let stats = drive.json(&["stats"]);
    assert_eq!(stats["bytes_inside"], 1024);
    assert!(
        drive
            .csd(&["stats"])
            .ok()
            .contains("bytes moved inside the drive")
    );
}

#[test]
fn what_the_drive_has_survives_clients_that_come_and_go() {
    let drive = with_program();
    drive.csd_with(&["write", "0"], b"ERROR\n  ").ok();
    for _ in 0..3 {
        let exec = [
            "exec", "0", "--range", "0:8", "--param", "8", "--data", "ERROR",
        ];
        assert_eq!(drive.csd(&exec).ok(), "1 (0x1)\n");
    }
}

#[test]
fn what_is_refused_is_refused_in_words() {
    let drive = with_program();
    let not_a_program = example("programs/count_lines.c");
    let missing = drive.folder().join("missing");
    let missing = missing.to_str().expect("UTF-8");
    for (args, code, words) in [
        (&["load", &not_a_program][..], 1, "Invalid Program Data"),
        (&["load", missing], 1, "No such file"),
        (
            &["load", &not_a_program, "--type", "0xD0"],
            1,
            "Invalid Program Type",
        ),
        (
            &["load", &not_a_program, "--type", "elf"],
            2,
            "nor the number of a type",
        ),
        (&["load", &not_a_program, "--slot", "0"], 1, "load"),
        (&["load", &not_a_program, "--slot", "70000"], 2, "16 bits"),
        (&["activate", "one"], 2, "is not a number"),
        (&["exec", "0", "--range", "0"], 2, "[NSID:]ADDR:LEN"),
        (
            &["exec", "0", "--range", "1:0:4"],
            1,
            "namespace 1 is no memory namespace",
        ),
        (
            &["exec", "0", "--range", "0:2MiB"],
            1,
            "reach beyond its 1048576 bytes",
        ),
        (&["exec", "0", "--range", "0:4GiB"], 1, "less than 4 GiB"),
        (
            &["exec", "0", "--range", "0:8", "--range", "4:8"],
            1,
            "overlaps",
        ),
        (
            &["exec", "0", "--range", "0:8", "--set", "1"],
            2,
            "cannot be used with",
        ),
        (
            &["exec", "0", "--param", "1", "--param", "2", "--param", "3"],
            2,
            "2 parameters",
        ),
        (
            &["exec", "0", "--compute", "2"],
            1,
            "namespace 2 is no compute namespace",
        ),
        (&["set-create"], 2, "--range"),
        (
            &["set-delete", "9"],
            1,
            "delete memory range set 9: Invalid Memory Range Set",
        ),
        (&["copy", "--to", "0"], 2, "--from-lba"),
        (&["copy", "--from-lba", "0", "--to", "0"], 2, "--blocks"),
        (
            &["copy", "--from-lba", "0", "--blocks", "1M", "--to", "0"],
            1,
            "reach beyond the 2048",
        ),
        (
            &["copy", "--from-lba", "0", "--blocks", "1", "--to", "3"],
            1,
            "multiples of 4",
        ),
        (&["copy", "--file", missing, "--to", "0"], 1, missing),
        (&["copy", "--from-memory", "0:8", "--to", "4"], 1, "overlap"),
        (&["write", "0", missing], 1, "No such file"),
        (
            &["write", "1MiB", &not_a_program],
            1,
            "more bytes than the 0 of device memory",
        ),
        (
            &["write", "0", "/dev/zero"],
            1,
            "more bytes than the 1048576",
        ),
        (&["read", "1MiB", "4"], 1, "reach beyond its 1048576 bytes"),
        (
            &["read", "0", "4", "--memory", "3"],
            1,
            "namespace 3 is no memory namespace",
        ),
        (&["fill", "2", "4"], 1, "multiples of 4"),
        (&["frob"], 2, "unrecognized subcommand"),
    ] {
        let error = drive.csd(args).fails(code);
        assert!(error.contains(words), "{args:?}: {error}");
    }
}

#[test]
fn a_file_on_another_drive_can_not_be_copied() {
    let drive = drive();
    let file = example("drives/csd.toml");
    drive.csd(&["copy", "--file", &file, "--to", "0"]).fails(1);
}

#[test]
fn built_in_programs_are_listed_with_their_names_and_run_at_their_rate() {
    let drive = Drive::serve(&format!("{SMALL}builtins = [\"crc32c\", \"sum\"]\n"), &[]);
    let programs = drive.json(&["programs"]);
    let programs = programs["programs"].as_array().expect("programs");
    let listed: Vec<_> = programs
        .iter()
        .map(|program| (program["slot"].as_u64(), program["name"].as_str()))
        .collect();
    assert_eq!(listed, [(Some(2), Some("sum")), (Some(3), Some("crc32c"))]);
    assert!(programs.iter().all(|program| program["built_in"] == true));
    let table = drive.csd(&["programs"]).ok();
    assert!(
        table.contains("crc32c") && table.contains("built in"),
        "{table}"
    );

    // The check value of CRC-32C, and 1 + 2 + 3 as u32.
    drive.csd_with(&["write", "0"], b"123456789\0\0\0").ok();
    drive.csd(&["activate", "3"]).ok();
    let crc = ["exec", "3", "--range", "0:12", "--param", "9"];
    assert_eq!(drive.json(&crc)["result"], 0xE306_9283_u32);
    let numbers = [1_u32, 2, 3].map(u32::to_le_bytes).concat();
    drive.csd_with(&["write", "0"], &numbers).ok();
    drive.csd(&["activate", "2"]).ok();
    let sum = [
        "exec", "2", "--range", "0:12", "--param", "12", "--param", "3",
    ];
    assert_eq!(drive.json(&sum)["result"], 6);

    for args in [
        &["load", &example("programs/sum.o"), "--slot", "3"][..],
        &["unload", "3"],
    ] {
        let error = drive.csd(args).fails(1);
        assert!(error.contains("Program Index Not Downloadable"), "{error}");
    }
    drive.csd(&["deactivate", "3"]).ok();
    let error = drive.csd(&crc).fails(1);
    assert!(error.contains("Program Not Activated"), "{error}");
}
