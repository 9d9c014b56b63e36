use super::*;
use crate::testing::{Device, log};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn every_name_and_every_identifier_is_there_once() {
    let names: BTreeSet<_> = all().iter().map(|program| program.name).collect();
    let ids: BTreeSet<_> = all().iter().map(|program| program.id).collect();
    assert_eq!(names.len(), all().len());
    assert_eq!(ids.len(), all().len());
    for (i, program) in all().iter().enumerate() {
        assert_eq!(program.id, 0x6572_7361_747a_0001 + i as u64);
        assert!((1..=program.ranges.len()).contains(&program.required));
    }
}

/// A program's section of `docs/builtins.md`, but for its example.
fn section(program: &Builtin) -> String {
    let CostModel::Rate { bandwidth, setup } = program.cost else {
        panic!("{} has no rate", program.name);
    };
    let mut section = format!("## {}\n\n", program.name);
    section += &format!(
        "`{:#x}`: {}.\n\n| | |\n|---|---|\n",
        program.id, program.summary
    );
    for (i, range) in program.ranges.iter().enumerate() {
        let optional = if i < program.required {
            ""
        } else {
            ", optional"
        };
        section += &format!("| range {i}{optional} | {range} |\n");
    }
    for (i, parameter) in program.parameters.iter().enumerate() {
        if !parameter.is_empty() {
            section += &format!("| CPARAM{} | {parameter} |\n", i + 1);
        }
    }
    if let Some(options) = program.options {
        section += &format!("| options | {options} |\n");
    }
    section += &format!("| result | {} |\n", program.result);
    let (setup, bandwidth) = (setup.0 / 1000, bandwidth / 1_000_000_000);
    section + &format!("| time | {setup} µs + bytes ÷ {bandwidth} GB/s |\n")
}

#[test]
fn the_documentation_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/builtins.md");
    let text = std::fs::read_to_string(path).expect("docs/builtins.md");
    for program in all() {
        let section = section(program);
        assert!(
            text.contains(&section),
            "docs/builtins.md lacks:\n{section}"
        );
    }
    // Headings of one word are programs' names.
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    let documented = headings.filter(|heading| !heading.contains(' '));
    assert_eq!(documented.count(), all().len());
}

#[test]
fn a_segment_outside_of_its_memory_is_a_fault() {
    let parameters = [8 << 20, 1];
    for program in all() {
        let device = Device::new().with(&[0; 10]).again(12 << 20, 8 << 20);
        let device = device.again(u64::MAX - 100, 50).again(0, 50);
        let window = device.window();
        for skip in 0..4 {
            let segments = window.segments()[skip..].to_vec();
            let args = Args {
                parameters,
                data: &[1; 40],
                ..Args::default()
            };
            let report = program.run(&Window::new(segments), &args, Fuel(0));
            assert!(report.result.is_err(), "{}", program.name);
        }
    }
}

#[test]
fn memory_that_changes_during_a_job_does_no_harm() {
    const LEN: usize = 40_000;
    let seeds = [
        ("lz4-decompress", "lz4-compress"),
        ("zstd-decompress", "zstd-compress"),
    ];
    for program in all() {
        let mut input = log(LEN);
        if let Some((_, maker)) = seeds.iter().find(|(name, _)| *name == program.name) {
            let maker = all().iter().find(|other| other.name == *maker).expect("it");
            let device = Device::new().with(&input).with(&[0; LEN]);
            let len = device.result(maker, [LEN as u64, 0]) as usize;
            input = device.bytes(1)[..len].to_vec();
        }
        let options: &[u8] = match program.name {
            "filter" => b"\x10\0\0\0\x03\0\0\0\x02\x02\0\0\0\0\0\0ab",
            "knn" => b"\x01\0\0\0\x05\0\0\0abcd",
            "find" | "regex" => b"ERROR",
            name if name.starts_with("aes") => {
                b"\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0abcdef0123456789abcdef0123456789"
            }
            _ => b"",
        };
        let mut device = Device::new().with(&input);
        if program.ranges.len() > 1 {
            device = device.with(&vec![0; 2 * LEN]);
        }
        let parameters = [input.len() as u64, 1];
        let before = device.run(program, parameters, options);
        assert!(before.result.is_ok(), "{}: {before:?}", program.name);
        let window = device.window();
        let first = &window.segments()[0];
        std::thread::scope(|scope| {
            let jobs = scope.spawn(|| {
                for _ in 0..20 {
                    let report = device.run(program, parameters, options);
                    assert!(report.bytes <= 2 * LEN as u64);
                }
            });
            for turn in (0u64..).take_while(|_| !jobs.is_finished()) {
                let at = turn.wrapping_mul(7919) % first.len;
                let written = first.memory.store(first.offset + at, turn as u8);
                written.expect("inside");
            }
        });
        assert!(device.gaps_are_untouched(), "{}", program.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Small numbers, so that some of them make sense.
    #[test]
    fn no_job_does_harm(
        program in prop::sample::select(all()),
        ranges in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..4),
        parameters in prop::array::uniform2(prop_oneof![0u64..120, any::<u64>()]),
        options in prop::collection::vec(prop_oneof![0u8..3, 0u8..20, any::<u8>()], 0..60),
    ) {
        let device = ranges.iter().fold(Device::new(), |device, range| device.with(range));
        let first = device.run(&program, parameters, &options);
        prop_assert!(first.reads.is_empty());
        prop_assert_eq!(first.instructions, 0);
        // What is not an output stays as it is, and so does what lies between ranges.
        if let [input, ..] = &ranges[..] && !(program.name.starts_with("aes") && ranges.len() == 1) {
            prop_assert_eq!(&device.bytes(0), input);
        }
        prop_assert!(device.gaps_are_untouched());
    }
}
