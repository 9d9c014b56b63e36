use super::*;
use ersatz_compute::{CostModel, Picoseconds, Policy, Speed};
use ersatz_engine::Ns;
use nvme_spec::cp::ProgramType;

const SMALL: &str = r#"
[drive]
serial = "A"

[media]
kind = "null"

[[namespace]]
kind = "nvm"
size = "1 MiB"
"#;

/// Everything but what a test is about.
const COMPUTE: &str = r#"
[drive]
serial = "A"
[[namespace]]
kind = "compute"
units = 1
cost = { instructions = "0.4 ns" }
"#;

fn parse(text: &str) -> Result<DriveFile, Refused> {
    DriveFile::parse("a.toml", text, &Limits::NONE)
}

/// The first line of each refusal.
fn refusals(text: &str) -> Vec<String> {
    refusals_within(text, &Limits::NONE)
}

fn refusals_within(text: &str, limits: &Limits) -> Vec<String> {
    let refused = DriveFile::parse("a.toml", text, limits).expect_err("is refused");
    let problems = refused.problems.iter().map(Problem::to_string);
    problems
        .map(|problem| problem.lines().next().unwrap_or_default().to_owned())
        .collect()
}

#[track_caller]
fn assert_refused(text: &str, expected: &[&str]) {
    assert_eq!(refusals(text), expected);
}

#[test]
fn what_is_not_written_has_its_default() {
    let file = parse(SMALL).unwrap();
    let nvm = Nvm {
        size: 1 << 20,
        block: 4096,
    };
    assert_eq!(
        file,
        DriveFile {
            drive: Drive {
                serial: "A".to_owned(),
                model: DEFAULT_MODEL.to_owned(),
                nqn: file.drive.nqn.clone(),
                link: None,
                queues: 64,
                queue_entries: 1024,
                max_transfer: 1 << 20,
                firmware: None,
                admin_latency: DEFAULT_ADMIN_LATENCY,
                doorbells: Doorbells::Auto,
            },
            media: Media {
                capacity: 1 << 20,
                model: MediaModel::Null
            },
            store: Store::Memory,
            namespaces: vec![Namespace {
                id: 1,
                kind: NamespaceKind::Nvm(nvm)
            }],
        }
    );
    let NamespaceKind::Compute(compute) = parse(COMPUTE).unwrap().namespaces[0].kind.clone() else {
        panic!("is a compute namespace");
    };
    assert_eq!(compute.cost, CostModel::Instructions(Picoseconds(400)));
    assert_eq!(compute.scheduler, DEFAULT_SCHEDULER);
    assert_eq!(compute.budget, DEFAULT_BUDGET);
    assert_eq!(compute.ranges_per_set, DEFAULT_RANGES_PER_SET);
}

#[test]
fn a_default_may_be_written() {
    let mut written = 0;
    for section in schema::SECTIONS {
        for key in section.keys {
            let default = key.default_text();
            let (kind, plain) = match section.heading {
                "drive" => ("drive", SMALL),
                "namespace, kind = \"nvm\"" => ("namespace", SMALL),
                "namespace, kind = \"compute\"" => ("namespace", COMPUTE),
                _ => continue,
            };
            let (schema::Absent::Number(_) | schema::Absent::Text(_)) = key.absent else {
                continue;
            };
            let line = format!("{} = {}\n", key.name, default.trim_matches('`'));
            let text = match kind {
                "drive" => plain.replace("serial", &format!("{line}serial")),
                _ => format!("{plain}{line}"),
            };
            assert_eq!(parse(&text), parse(plain), "{line}");
            written += 1;
        }
    }
    assert!(written > 10);
}

#[test]
fn a_refusal_shows_the_line_and_marks_the_place() {
    let refused = parse(&SMALL.replace("1 MiB", "1 mib")).unwrap_err();
    let expected = "\
a.toml:10:8: namespace[1].size: \"1 mib\" has an unknown unit; did you mean MiB?; \
allowed: a size from \"512 B\" to \"1 PiB\"
   |
10 | size = \"1 mib\"
   |        ^^^^^^^";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = r#"
[drive]
seral = "A"
queues = 65
link = { bandwidth = 3.2, latency = "900 ns", lanes = 4 }
[[namespace]]
kind = "nvm"
size = 4096
[[namespace]]
kind = "mem"
[flash]
"#;
    assert_refused(
        text,
        &[
            "a.toml:2:1: drive.serial: is missing; allowed: 1 to 20 printable ASCII characters, no space at either end",
            "a.toml:3:1: drive.seral: is no key of a [drive]; did you mean serial?; allowed: serial, model, nqn, link, firmware, queues, queue_entries, max_transfer, admin_latency, doorbells",
            "a.toml:4:10: drive.queues: 65 is too large; allowed: a whole number from 1 to 64",
            "a.toml:5:22: drive.link.bandwidth: a number must have a unit (B/s, kB/s, KiB/s, MB/s, MiB/s, GB/s, GiB/s, TB/s), in quotes; allowed: a rate from \"1 MB/s\" to \"1 TB/s\"",
            "a.toml:5:47: drive.link.lanes: is no key of a link; allowed: bandwidth, latency",
            "a.toml:8:8: namespace[1].size: a number must have a unit (B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB), in quotes; allowed: a size from \"512 B\" to \"1 PiB\"",
            "a.toml:10:8: namespace[2].kind: \"mem\" is none of them; allowed: \"nvm\" or \"memory\" or \"compute\"",
            "a.toml:11:2: flash: is no key of a drive file; allowed: drive, media, nand, ftl, store, namespace",
        ],
    );
}

#[test]
fn an_empty_file_misses_what_is_required() {
    assert_refused(
        "",
        &[
            "a.toml:1:1: drive: is missing; allowed: a table",
            "a.toml:1:1: namespace: is missing; allowed: one [[table]] for each",
        ],
    );
}

#[test]
fn what_is_not_toml_is_refused_where_it_breaks() {
    let refusals = refusals("[drive]\nserial = \"A\nmodel = 1\n");
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].starts_with("a.toml:2:"), "{refusals:?}");
    let twice = "[drive]\nserial = \"A\"\nserial = \"B\"\n";
    let refused = parse(twice).unwrap_err();
    assert_eq!(refused.problems[0].line, 3, "{refused}");
}

#[test]
fn a_value_of_another_type_is_refused() {
    let refuse = |from: &str, to: &str| refusals(&SMALL.replace(from, to)).remove(0);
    for (from, to, expected) in [
        (
            "\"A\"",
            "5",
            "a.toml:3:10: drive.serial: an integer is not a text in quotes; ",
        ),
        (
            "\"null\"",
            "[]",
            "a.toml:6:8: media.kind: an array is not a text in quotes; ",
        ),
        (
            "\"1 MiB\"",
            "true",
            "a.toml:10:8: namespace[1].size: a boolean is not a number with a unit; ",
        ),
        (
            "serial",
            "queues = \"4\"\nserial",
            "a.toml:3:10: drive.queues: a string is not a whole number; ",
        ),
        (
            "serial",
            "queues = -1\nserial",
            "a.toml:3:10: drive.queues: \"-1\" is out of range; ",
        ),
        (
            "serial",
            "link = 3\nserial",
            "a.toml:3:8: drive.link: is an integer, not a table; ",
        ),
        (
            "[[namespace]]",
            "[namespace]",
            "a.toml:8:1: namespace: is no row of tables; write [[namespace]]; ",
        ),
        (
            "[drive]",
            "drive = 1\n[media2]",
            "a.toml:2:9: drive: is an integer, not a table; ",
        ),
    ] {
        let refusal = refuse(from, to);
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn integers_may_be_written_in_any_way_of_toml() {
    let text = SMALL.replace("serial", "queues = 0x10\nqueue_entries = 4_096\nserial");
    let drive = parse(&text).unwrap().drive;
    assert_eq!((drive.queues, drive.queue_entries), (16, 4096));
}

#[test]
fn zero_absurd_and_odd_sizes_are_refused() {
    let refuse = |size: &str| refusals(&SMALL.replace("1 MiB", size)).remove(0);
    for (size, message) in [
        ("0 B", "\"0 B\" is too small"),
        ("2 PiB", "\"2 PiB\" is too large"),
        ("99999999 PiB", "\"99999999 PiB\" is too large"),
        (
            "1 GB",
            "1 GB is not a multiple of the block, \"4 KiB\"; the nearest are \"976560 KiB\" and \"976564 KiB\"",
        ),
    ] {
        let expected = format!(
            "a.toml:10:8: namespace[1].size: {message}; allowed: a size from \"512 B\" to \"1 PiB\""
        );
        assert_eq!(refuse(size), expected);
    }
    let memory = COMPUTE.replace(
        "[[",
        "[[namespace]]\nkind = \"memory\"\nsize = \"5 KiB\"\n[[",
    );
    assert_refused(
        &memory,
        &[
            "a.toml:6:8: namespace[1].size: 5 KiB is not a multiple of \"4 KiB\"; the nearest are \"4 KiB\" and \"8 KiB\"; \
         allowed: a size from \"4 KiB\" to \"16 TiB\", a multiple of \"4 KiB\"",
        ],
    );
    let transfer = SMALL.replace("serial", "max_transfer = \"12 KiB\"\nserial");
    assert_refused(
        &transfer,
        &[
            "a.toml:3:16: drive.max_transfer: \"12 KiB\" is not a power of two; allowed: a size from \"4 KiB\" to \"32 MiB\", a power of two",
        ],
    );
    let block = format!("{SMALL}block = \"3 KiB\"");
    assert_refused(
        &block,
        &[
            "a.toml:11:9: namespace[1].block: \"3 KiB\" is none of them; allowed: \"512 B\" or \"1 KiB\" or \"2 KiB\" or \"4 KiB\" or \"8 KiB\"",
        ],
    );
}

#[test]
fn the_memory_of_the_machine_is_the_limit_and_the_sum_is_shown() {
    let text = format!(
        "{SMALL}[[namespace]]\nkind = \"memory\"\nsize = \"3 MiB\"\n{}",
        &COMPUTE[COMPUTE.find("[[").unwrap()..]
    );
    assert!(DriveFile::parse("a.toml", &text, &Limits { memory: 68 << 20 }).is_ok());
    let less = Limits {
        memory: (68 << 20) - 1,
    };
    assert_eq!(
        refusals_within(&text, &less),
        [
            "a.toml:14:1: namespace[3]: the drive needs more memory than this machine has: \
         NVM namespaces 1 MiB + memory namespaces 3 MiB + programs 64 MiB = 68 MiB > 67 MiB; \
         allowed: less, or NVM namespaces in a [store] with a file",
        ]
    );
    let in_file = format!("[store]\nfile = \"a.img\"\n{text}");
    assert!(DriveFile::parse("a.toml", &in_file, &Limits { memory: 67 << 20 }).is_ok());
}

#[test]
fn a_media_must_hold_its_namespaces_and_may_hold_more() {
    let with =
        |capacity: &str| SMALL.replace("\"null\"", &format!("\"null\"\ncapacity = \"{capacity}\""));
    assert_eq!(parse(&with("3 MiB")).unwrap().media.capacity, 3 << 20);
    let two = format!(
        "{}[[namespace]]\nkind = \"nvm\"\nsize = \"2 MiB\"\n",
        with("2 MiB")
    );
    assert_refused(
        &two,
        &[
            "a.toml:7:12: media.capacity: 2 MiB are too small for the NVM namespaces: 1 MiB + 2 MiB = 3 MiB, 1 MiB too little; \
         allowed: a size from \"512 B\" to \"1024 PiB\"",
        ],
    );
    let none = SMALL.replace("[media]\nkind = \"null\"\n", "");
    assert_refused(
        &none,
        &["a.toml:1:1: media: is missing, but namespace[1] lies on it; allowed: a table"],
    );
    assert_eq!(
        parse(COMPUTE).unwrap().media,
        Media {
            capacity: 0,
            model: MediaModel::Null
        }
    );
}

#[test]
fn a_fixed_media_needs_its_times_and_a_null_media_has_none() {
    assert_eq!(refusals(&SMALL.replace("null", "fixed")).len(), 4);
    let fixed = "\"fixed\"\ndies = 64\npage = \"4 KiB\"\nread = \"40 us\"\nprogram = \"0.2 ms\"";
    let text = SMALL.replace("\"null\"", fixed);
    let expected = Fixed {
        dies: 64,
        page: 4096,
        read: Ns(40_000),
        program: Ns(200_000),
    };
    assert_eq!(
        parse(&text).unwrap().media.model,
        MediaModel::Fixed(expected)
    );
    assert_refused(
        &SMALL.replace("\"null\"", "\"null\"\nread = \"1 us\""),
        &[
            "a.toml:7:1: media.read: is no key of a [media] of kind \"null\"; allowed: kind, capacity",
        ],
    );
    assert_refused(
        &text.replace("40 us", "0 us"),
        &[
            "a.toml:9:8: media.read: \"0 ns\" is too small; allowed: a time from \"1 ns\" to \"10 s\"",
        ],
    );
}

#[test]
fn namespace_ids_are_places_or_given_and_never_taken_twice() {
    let nvm = "[[namespace]]\nkind = \"nvm\"\nsize = \"1 MiB\"\n";
    let file = parse(&format!("{SMALL}id = 7\n{nvm}{nvm}")).unwrap();
    let ids: Vec<_> = file
        .namespaces
        .iter()
        .map(|namespace| namespace.id)
        .collect();
    assert_eq!(ids, [7, 2, 3]);
    assert_refused(
        &format!("{SMALL}id = 2\n{nvm}"),
        &[
            "a.toml:12:1: namespace[2].id: 2 is the id of namespace[1] already; allowed: a whole number from 1 to 1024",
        ],
    );
    assert_refused(
        &format!("{SMALL}id = 0\n"),
        &["a.toml:11:6: namespace[1].id: 0 is too small; allowed: a whole number from 1 to 1024"],
    );
    let many = nvm.repeat(MAX_NAMESPACES as usize);
    assert_refused(
        &format!("{SMALL}{many}"),
        &[
            "a.toml:3080:1: namespace: there are more than 1024 of them; allowed: one [[table]] for each",
        ],
    );
}

#[test]
fn texts_keep_to_the_characters_and_lengths_of_nvme() {
    let refuse = |line: &str| refusals(&SMALL.replace("serial = \"A\"", line)).remove(0);
    for (line, message) in [
        ("serial = \"\"", "drive.serial: is empty; "),
        (
            "serial = \"012345678901234567890\"",
            "drive.serial: \"012345678901234567890\" has 21 characters; ",
        ),
        (
            "serial = \"\u{e9}\"",
            "drive.serial: \"\u{e9}\" has other characters than printable ASCII ones; ",
        ),
        (
            "serial = \"A \"",
            "drive.serial: \"A \" has a space at an end; ",
        ),
        (
            "serial = \"A\"\nnqn = \"nqn.14-08.org:x\"",
            "drive.nqn: \"nqn.14-08.org:x\" does not begin with nqn.yyyy-mm. and a name; ",
        ),
        (
            "serial = \"A\"\nnqn = \"nqn.2014-08.\"",
            "drive.nqn: \"nqn.2014-08.\" does not begin with nqn.yyyy-mm. and a name; ",
        ),
        (
            "serial = \"A\"\ndoorbells = \"message\"",
            "drive.doorbells: \"message\" is none of them; did you mean \"messages\"?; ",
        ),
    ] {
        let refusal = refuse(line);
        assert!(refusal.contains(message), "{refusal}");
    }
    let own = SMALL.replace("[media]", "nqn = \"nqn.2019-10.com.example:a\"\n[media]");
    assert_eq!(parse(&own).unwrap().drive.nqn, "nqn.2019-10.com.example:a");
}

#[test]
fn the_store_is_memory_or_a_file() {
    let store = |keys: &str| parse(&format!("{SMALL}[store]\n{keys}")).map(|file| file.store);
    assert_eq!(store(""), Ok(Store::Memory));
    assert_eq!(store("kind = \"memory\""), Ok(Store::Memory));
    assert_eq!(store("file = \"a.img\""), Ok(Store::File("a.img".into())));
    assert_eq!(
        store("kind = \"file\"\nfile = \"a.img\""),
        Ok(Store::File("a.img".into()))
    );
    for (keys, message) in [
        (
            "kind = \"file\"",
            "store.file: is missing, but kind is \"file\"",
        ),
        (
            "kind = \"memory\"\nfile = \"a\"",
            "store.file: is given, but kind is \"memory\"",
        ),
        (
            "file = \"a\\u0000b\"",
            "store.file: \"a\\0b\" has control characters",
        ),
        ("kind = \"disk\"", "store.kind: \"disk\" is none of them"),
    ] {
        let refused = store(keys).unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn limits_of_a_compute_namespace_fit_together() {
    assert_refused(
        &format!("{COMPUTE}slots = 4\nmax_program = \"2 MiB\"\nmax_programs_total = \"1 MiB\"\n"),
        &[
            "a.toml:4:1: namespace[1].max_activated: 16 programs can't be activated in 4 slots; allowed: a whole number from 1 to 65535",
            "a.toml:9:15: namespace[1].max_program: one program of 2 MiB does not fit into 1 MiB for all; allowed: a size from \"4 KiB\" to \"1 GiB\"",
        ],
    );
    assert_refused(
        &COMPUTE.replace("0.4 ns", "0.0004 ns"),
        &[
            "a.toml:7:25: namespace[1].cost.instructions: \"0.0004 ns\" is finer than 1 ps; allowed: a time from \"0 ps\" to \"1 ms\"",
        ],
    );
}

#[test]
fn built_in_programs_are_named_each_once_in_the_slots_that_there_are() {
    let builtins = |keys: &str| {
        let file = parse(&format!("{COMPUTE}{keys}\n"))?;
        assert_eq!(parse(&file.to_toml()).as_ref(), Ok(&file), "{keys}");
        let NamespaceKind::Compute(compute) = &file.namespaces[0].kind else {
            panic!("is a compute namespace");
        };
        Ok::<_, Refused>(compute.builtins.clone())
    };
    assert_eq!(builtins(""), Ok(vec![]));
    assert_eq!(builtins("builtins = []"), Ok(vec![]));
    let two = Ok(vec!["sum".to_owned(), "crc32c".to_owned()]);
    assert_eq!(builtins("builtins = [\"sum\", \"crc32c\"]"), two);
    assert_eq!(builtins("builtins = \"all\"").map(|all| all.len()), Ok(16));
    for (keys, message) in [
        (
            "builtins = [\"summ\"]",
            "\"summ\" is none of them; did you mean \"sum\"?",
        ),
        ("builtins = [\"sum\", \"sum\"]", "\"sum\" is there twice"),
        ("builtins = \"sum\"", "a string is not a list"),
        ("builtins = [7]", "an integer is not a text in quotes"),
        (
            "slots = 15\nmax_activated = 1\nbuiltins = \"all\"",
            "16 programs need more than 15 slots",
        ),
    ] {
        let refused = builtins(keys).unwrap_err().to_string();
        assert!(refused.contains(message), "{keys}: {refused}");
    }
}

/// The compute namespace with these keys besides.
fn compute_with(keys: &str) -> Result<Compute, String> {
    let file = parse(&format!("{COMPUTE}{keys}\n")).map_err(|refused| refused.to_string())?;
    match &file.namespaces[0].kind {
        NamespaceKind::Compute(compute) => Ok(compute.clone()),
        other => panic!("{other:?} is no compute namespace"),
    }
}

#[test]
fn programs_that_count_no_instructions_need_another_cost() {
    let types = |ptype: &str, cost: &str| {
        compute_with(&format!(
            "types = [{{ type = {ptype}, cost = {{ {cost} }} }}]"
        ))
    };
    let (instructions, measured) = ("instructions = \"1 ns\"", "measured = \"3 x\"");
    let (rate, given) = ("rate = \"1 GB/s\"", "given = true");
    for (ptype, allowed, refused) in [
        ("0xC3", &[measured, rate, given][..], &[instructions][..]),
        ("0xC4", &[rate, given], &[instructions, measured]),
        ("0xC5", &[rate], &[instructions, measured, given]),
    ] {
        for cost in allowed {
            assert!(types(ptype, cost).is_ok(), "{ptype}: {cost}");
        }
        for cost in refused {
            let refused = types(ptype, cost).unwrap_err();
            let message = format!("programs of type {ptype} need a cost that is");
            assert!(refused.contains(&message), "{refused}");
        }
    }
    assert!(compute_with("types = [{ type = 0xC4 }]").is_err());
}

#[test]
fn programs_that_run_elsewhere_cost_what_they_took_there() {
    let remote = "remote = { address = \"board:4420\", key = \"0123456789abcdef\" }";
    let instructions = CostModel::Instructions(Picoseconds(400));
    let measured = CostModel::Measured(1000);
    let here = compute_with("").unwrap();
    assert_eq!(here.cost_of(ProgramType::EBPF), instructions);
    assert_eq!(here.cost_of(ProgramType::NATIVE), measured);
    let there = compute_with(remote).unwrap();
    assert_eq!(there.cost_of(ProgramType::EBPF), measured);
    let own = "types = [{ type = 0xC1, cost = { instructions = \"1 ns\" } }]";
    let own = compute_with(&format!("{remote}\n{own}")).unwrap();
    let nanosecond = CostModel::Instructions(Picoseconds(1000));
    assert_eq!(own.cost_of(ProgramType::EBPF), nanosecond);
}

#[test]
fn a_runner_has_a_port_and_a_key_that_nobody_guesses_or_prints() {
    let key = "0123456789abcdef";
    let remote = |address: &str, key: &str| {
        compute_with(&format!(
            "remote = {{ address = \"{address}\", key = \"{key}\" }}"
        ))
    };
    let compute = remote("[::1]:4420", key).unwrap();
    assert!(!format!("{compute:?}").contains(key));
    let found = compute.remote.unwrap();
    assert_eq!((found.timeout, found.retries), (Ns::from_secs(60), 1));
    for address in ["board", "board:", "board:0", "board:http"] {
        let refused = remote(address, key).unwrap_err();
        assert!(refused.contains("has no port at its end"), "{refused}");
    }
    let refused = remote("board:1", "short").unwrap_err();
    assert!(
        refused.contains("has 5 characters, fewer than 16"),
        "{refused}"
    );
}

#[test]
fn native_programs_have_names_of_their_own() {
    let one = "{ name = \"a\", path = \"a.so\", entry = \"run\" }";
    let compute = compute_with(&format!("native = [{one}]")).unwrap();
    let program = NativeProgram {
        name: "a".into(),
        path: "a.so".into(),
        entry: "run".into(),
    };
    assert_eq!(compute.native, [program]);
    let refused = compute_with(&format!("native = [{one}, {one}]")).unwrap_err();
    assert!(
        refused.contains("two programs are named \"a\""),
        "{refused}"
    );
}

#[test]
fn classes_of_units_types_of_programs_and_costs() {
    let text = COMPUTE.replace(
        "units = 1",
        "units = [{ class = \"arm-a53\", count = 4, speed = \"0.5 x\" }, \
         { class = \"fpga\", count = 1, cost = { rate = \"3 GB/s\", setup = \"5 us\" } }]\n\
         types = [{ type = 0xC1, class = \"fpga\", cost = { given = true } }]\n\
         scheduler = \"fair-share\"\ntime_slice = \"1 ms\"",
    );
    let file = parse(&text).unwrap();
    let NamespaceKind::Compute(compute) = &file.namespaces[0].kind else {
        panic!("is a compute namespace");
    };
    let rate = CostModel::Rate {
        bandwidth: 3_000_000_000,
        setup: Ns(5_000),
    };
    let arm = UnitClass {
        class: "arm-a53".into(),
        speed: Speed(500),
        ..UnitClass::plain(4)
    };
    let fpga = UnitClass {
        class: "fpga".into(),
        cost: Some(rate),
        ..UnitClass::plain(1)
    };
    assert_eq!(compute.units, [arm, fpga]);
    assert_eq!(compute.unit_count(), 5);
    let placement = Placement {
        ptype: 0xC1,
        class: 1,
        cost: Some(CostModel::Given),
    };
    assert_eq!(compute.types, [placement]);
    assert_eq!(compute.scheduler, Policy::FairShare);
    assert_eq!(compute.time_slice, Ns::from_ms(1));
}

#[test]
fn what_is_wrong_with_units_types_and_costs_is_told() {
    let class = "{ class = \"a\", count = 1 }";
    for (from, to, message) in [
        ("units = 1", "units = 0", "units: 0 is too small"),
        ("units = 1", "units = []", "units: is no row of tables"),
        (
            "units = 1",
            &format!("units = [{class}, {class}]"),
            "there are two classes \"a\"",
        ),
        (
            "units = 1",
            "units = [{ class = \"a\", count = 1, speed = \"0 x\" }]",
            "units[1].speed: \"0 x\" is too small",
        ),
        (
            "units = 1",
            "units = 1\ntypes = [{ type = 1, class = \"b\" }]",
            "types[1].class: there is no class \"b\"",
        ),
        (
            "units = 1",
            "units = 1\ntypes = [{ type = 1 }, { type = 1 }]",
            "type 1 is there twice",
        ),
        (
            "instructions =",
            "given = true, instructions =",
            "cost: has 2 models",
        ),
        ("instructions = \"0.4 ns\"", "", "cost: has 0 models"),
        (
            "instructions =",
            "setup = \"1 us\", instructions =",
            "cost.setup: without a rate",
        ),
        (
            "units = 1",
            "units = 1\nscheduler = \"lifo\"",
            "did you mean \"fifo\"?",
        ),
        (
            "units = 1",
            "units = 1\ntime_slice = \"1 ns\"",
            "time_slice: \"1 ns\" is too small",
        ),
    ] {
        let refused = parse(&COMPUTE.replace(from, to)).expect_err(to).to_string();
        assert!(refused.contains(message), "{to}: {refused}");
    }
}

#[test]
fn thousands_of_problems_and_endless_keys_are_told_briefly() {
    let keys: String = (0..10_000).map(|n| format!("k{n} = 1\n")).collect();
    let refused = parse(&keys).unwrap_err();
    assert_eq!(refused.problems.len(), MAX_PROBLEMS);
    assert_eq!(refused.untold, 10_002 - MAX_PROBLEMS);
    let endless = format!("{} = 1", "k".repeat(100_000));
    assert!(parse(&endless).unwrap_err().to_string().len() < 2_000);
}

#[test]
fn nesting_without_end_is_refused() {
    const DEPTH: usize = 200_000;
    for text in [
        format!("a = {}", "[".repeat(DEPTH)),
        format!("a = {}", "{a=".repeat(DEPTH)),
        format!("[{}a]", "a.".repeat(DEPTH)),
        format!("{}a = 1", "a.".repeat(DEPTH)),
        format!("[[{}a]]", "a.".repeat(DEPTH)),
        "[[a]]\n[a.a]\n".repeat(1_000),
    ] {
        assert!(parse(&text).is_err());
    }
}

/// The flash of a drive file with one namespace of 1 MiB.
fn flash(tables: &str) -> String {
    format!(
        "{}{tables}",
        SMALL.replace("[media]\nkind = \"null\"\n", "")
    )
}

#[test]
fn flash_has_the_defaults_of_its_model() {
    for tables in [
        "[nand]",
        "[ftl]",
        "[nand]\n[ftl]",
        "[ftl]\nmodel = \"page\"",
    ] {
        let MediaModel::Page(page) = parse(&flash(tables)).unwrap().media.model else {
            panic!("is no page-mapped drive");
        };
        assert_eq!(page.config, ersatz_ftl::page::Config::default());
        assert_eq!(page.precondition, None);
    }
    let file = parse(&flash("[ftl]\nmodel = \"femu\"")).unwrap();
    let MediaModel::Femu(femu) = file.media.model else {
        panic!("is no FEMU drive");
    };
    let expected = ersatz_ftl::femu::Config {
        block_bytes: 4096,
        ..Default::default()
    };
    assert_eq!(*femu, expected);
    assert_eq!(
        file.media.capacity,
        128 << 30,
        "64 dies of 65,536 pages of 8 blocks of 4 KiB"
    );
}

#[test]
fn flash_defaults_may_be_written() {
    let mut written = 0;
    for section in schema::SECTIONS {
        for key in section.keys {
            let table = match section.heading {
                "nand" | "nand.bus" | "nand.reliability" | "ftl" | "ftl.buffer" | "ftl.gc" => {
                    section.heading.to_owned()
                }
                _ => continue,
            };
            if !matches!(
                key.absent,
                schema::Absent::Number(_)
                    | schema::Absent::Numbers(_)
                    | schema::Absent::Switch(_)
                    | schema::Absent::Text(_)
            ) {
                continue;
            }
            let default = key.default_text();
            let line = format!("[{table}]\n{} = {}\n", key.name, default.trim_matches('`'));
            assert_eq!(parse(&flash(&line)), parse(&flash("[nand]")), "{line}");
            written += 1;
        }
    }
    assert!(written > 40);
}

#[test]
fn flash_that_is_too_small_is_refused_with_the_arithmetic() {
    let small = "[nand]\nchannels = 1\ndies_per_channel = 1\nplanes = 1\nblocks_per_plane = 12\n\
                 spare_blocks = 2\npages_per_block = 4\npage = \"4 KiB\"\n";
    let at = "a.toml:9:1: nand: 1 channels × 1 dies × 1 planes × ";
    let names = "are too small for the NVM namespaces: 1 MiB = 1 MiB";
    let way_out = "allowed: a larger geometry, or smaller namespaces";
    assert_refused(
        &flash(small),
        &[&format!(
            "{at}(12 - 2) blocks × 4 pages of 4 KiB ÷ (100 % + 7 %) = 148 KiB, which {names}, \
             876 KiB too little; {way_out}"
        )],
    );
    let femu = "[nand]\nchannels = 1\ndies_per_channel = 1\nblocks_per_plane = 6\npages_per_block = 4\n\
                [ftl]\nmodel = \"femu\"";
    assert_refused(
        &flash(femu),
        &[&format!(
            "{at}6 blocks × 4 pages × 8 blocks of 4 KiB = 768 KiB, which {names}, 256 KiB too \
             little; {way_out}"
        )],
    );
}

#[test]
fn settings_of_another_model_and_without_effect_are_refused() {
    let refuse = |tables: &str| refusals(&flash(tables)).remove(0);
    for (tables, message) in [
        (
            "[ftl]\nmodel = \"femu\"\nstreams = 2",
            "ftl.streams: is no key of a [ftl] of model \"femu\"",
        ),
        (
            "[nand]\nsector = \"512 B\"",
            "nand.sector: is no key of a [nand]",
        ),
        (
            "[ftl]\nmodel = \"femu\"\nmapping_cache = \"1 MiB\"",
            "ftl.mapping_cache: is given, but mapping is \"page\"",
        ),
        (
            "[ftl]\nmodel = \"femu\"\n[nand]\ncell_pages = 2",
            "nand.cell_pages: is given, but cell is \"flat\"",
        ),
        (
            "[nand]\nread_priority = \"none\"\nsuspend = \"1 us\"",
            "nand.suspend: is given, but read_priority is \"none\"",
        ),
        ("[nand]\nread = []", "nand.read: has 0 entries"),
        (
            "[nand]\ncache_read = 1",
            "nand.cache_read: an integer is not true or false",
        ),
        (
            "[ftl]\nprecondition = { overwrite = \"2\" }",
            "ftl.precondition.overwrite: \"2\" has no unit (x)",
        ),
        (
            "[nand]\n[media]\nkind = \"null\"",
            "media: is given beside nand or ftl",
        ),
    ] {
        let refused = refuse(tables);
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn femu_refuses_namespaces_of_different_blocks() {
    let text = flash(
        "block = \"512 B\"\n[[namespace]]\nkind = \"nvm\"\nsize = \"1 MiB\"\n[ftl]\nmodel = \"femu\"",
    );
    let refused = refusals(&text).remove(0);
    assert!(
        refused.contains("NVM namespaces have blocks of 512 B and of 4 KiB"),
        "{refused}"
    );
}

#[test]
fn ageing_is_read_in_its_units() {
    let text = flash(
        "[ftl]\nprecondition = { fill = \"80 %\", overwrite = \"2x\", pattern = \"random\" }",
    );
    let MediaModel::Page(page) = parse(&text).unwrap().media.model else {
        panic!("is no page-mapped drive");
    };
    let before = page.precondition.unwrap();
    assert_eq!((before.fill, before.overwrite), (0.8, 2.0));
}
