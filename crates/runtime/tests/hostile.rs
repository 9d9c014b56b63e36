//! Images that nobody should have sent.

use ersatz_memory::Mapping;
use ersatz_runtime::{
    Args, Ebpf, Engine, Fuel, Limits, LoadError, Program, Runtime, Segment, Window,
};
use object::LittleEndian;
use object::elf::{FileHeader64, Rel64, SectionHeader64};
use object::read::elf::{FileHeader as _, SectionHeader as _};
use std::path::Path;
use std::sync::Arc;

/// Every object of the repository, with its name.
fn objects() -> Vec<(String, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/programs", "../../examples/programs"];
    let files = folders.map(|folder| std::fs::read_dir(here.join(folder)).expect("folder"));
    let mut objects: Vec<_> = files
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "o"))
        .map(|path| {
            let name = path.file_stem().expect("name").to_string_lossy();
            (name.into_owned(), std::fs::read(&path).expect("object"))
        })
        .collect();
    objects.sort();
    objects
}

fn object(name: &str) -> Vec<u8> {
    let mut objects = objects().into_iter();
    let found = objects.find(|(other, _)| other == name);
    found.expect("an object of that name").1
}

fn load(image: &[u8]) -> Result<Box<dyn Program>, LoadError> {
    // What generated code does is tested elsewhere; compiling each damaged image would take minutes.
    let ebpf = Ebpf::default().with_engine(Engine::Interpreter);
    ebpf.load(image, "")
}

#[track_caller]
fn refused(image: &[u8], words: &str) {
    match load(image) {
        Ok(_) => panic!("loaded, instead of refused with {words:?}"),
        Err(error) => assert!(error.0.contains(words), "{error}"),
    }
}

/// A job's memory, to be used again and again.
fn window() -> Window {
    let memory = Arc::new(Mapping::anonymous("hostile", 8192).expect("map"));
    let segment = |offset| Segment {
        memory: Arc::clone(&memory),
        offset,
        len: 3000,
    };
    Window::new(vec![segment(1), segment(4000)])
}

/// Loads, and runs what can be loaded.
fn survive(image: &[u8], window: &Window) {
    let Ok(program) = load(image) else { return };
    let args = Args {
        parameters: [100, 4],
        data: b"ERROR",
        ..Args::default()
    };
    let report = program.run(window, &args, Fuel(2000));
    assert!(report.instructions <= 2000);
    if let Err(fault) = report.result {
        assert!(
            fault.pc().is_some_and(|pc| program.place(pc).is_some()),
            "{fault}"
        );
    }
}

#[test]
fn an_image_that_ends_anywhere_does_no_harm() {
    let window = window();
    for (_, image) in objects() {
        for end in 0..image.len() {
            survive(&image[..end], &window);
        }
    }
}

#[test]
fn an_image_with_any_byte_changed_does_no_harm() {
    let window = window();
    for (_, image) in objects() {
        for at in 0..image.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = image.clone();
                changed[at] ^= change;
                survive(&changed, &window);
            }
        }
    }
}

#[test]
fn files_for_somebody_else_are_told_apart() {
    let good = object("sum");
    let changed = |at: usize, value: u8| {
        let mut image = good.clone();
        image[at] = value;
        image
    };
    load(&good).map(drop).expect("it is good");
    refused(b"", "not an ELF file");
    refused(b"#!/bin/sh", "not an ELF file");
    refused(&good[..5], "ends within its header");
    refused(&good[..40], "damaged");
    refused(&good[..good.len() - 1], "damaged");
    refused(&changed(4, 1), "64-bit little-endian");
    refused(&changed(5, 2), "64-bit little-endian");
    refused(&changed(18, 62), "machine 62");
    refused(&changed(16, 2), "ELF type 2");
}

#[test]
fn what_does_not_exist_here_is_named() {
    refused(
        &object("undefined"),
        "section `ersatz`, instruction 1: refers to `missing`, which the object does not define",
    );
    refused(&object("helper"), "calls helper function 5");
    refused(&object("pointer"), "takes the address of function");
}

#[test]
fn the_program_is_the_marked_function_or_the_one_that_is_named() {
    let image = object("two");
    refused(
        &image,
        "several functions could be the program: first, second",
    );
    let run = |entry: &str| {
        let program = Ebpf::default().load(&image, entry)?;
        let args = Args {
            parameters: [40, 0],
            data: &[],
            ..Args::default()
        };
        let report = program.run(&Window::default(), &args, Fuel(100));
        Ok::<_, LoadError>(report.result.expect("no fault"))
    };
    assert_eq!(run("first"), Ok(41));
    assert_eq!(run("second"), Ok(42));
    let error = run("third").expect_err("there is none");
    assert_eq!(error.0, "the object has no function `third`");
    // A function in .text that is global too is no candidate beside a marked one.
    load(&object("calls")).map(drop).expect("up_to is not it");
    // A name goes to the drive's log.
    let error = run(&"\n\x1b[31m".repeat(1000)).expect_err("there is none");
    assert!(error.0.len() < 200 && !error.0.contains(['\n', '\x1b']));
}

/// Where the section header `name` is in the file, and the section's bytes.
fn section(image: &[u8], name: &str) -> (usize, usize) {
    let header = FileHeader64::<LittleEndian>::parse(image).expect("ELF");
    let sections = header.sections(LittleEndian, image).expect("sections");
    let (index, found) = sections
        .section_by_name(LittleEndian, name.as_bytes())
        .expect("a section of that name");
    let table = header.e_shoff.get(LittleEndian) as usize;
    let header = table + index.0 * size_of::<SectionHeader64<LittleEndian>>();
    (
        header,
        found.file_range(LittleEndian).map_or(0, |r| r.0 as usize),
    )
}

fn patch(image: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    image[at..at + bytes.len()].copy_from_slice(bytes);
    image
}

#[test]
fn relocations_lead_from_somewhere_to_somewhere() {
    const OFFSET: usize = 0;
    const TYPE: usize = 8;
    const SYMBOL: usize = 12;
    assert_eq!(size_of::<Rel64<LittleEndian>>(), 16);
    let calls = object("calls");
    let (_, first) = section(&calls, ".relersatz");
    let offset = |value: u64| patch(&calls, first + OFFSET, &value.to_le_bytes());
    refused(
        &offset(80),
        "instruction 10: a relocation outside of the code",
    );
    refused(&offset(17), "a relocation outside of the code");
    refused(&offset(u64::MAX), "a relocation outside of the code");
    refused(
        &offset(0),
        "instruction 0: relocation type 10 does not fit the instruction",
    );
    let kind = |value: u32| patch(&calls, first + TYPE, &value.to_le_bytes());
    refused(&kind(1), "relocation type 1 does not fit");
    refused(&kind(99), "relocation type 99 does not fit");
    let symbol = |value: u32| patch(&calls, first + SYMBOL, &value.to_le_bytes());
    refused(&symbol(999), "a symbol that is not there");
    refused(&symbol(0), "does not define");

    let data = object("data");
    let (_, first) = section(&data, ".rel.data");
    let offset = |value: u64| patch(&data, first + OFFSET, &value.to_le_bytes());
    refused(&offset(u64::MAX), "section `.data`");
    refused(&offset(1 << 20), "a relocation outside of the section");
    let kind = patch(&data, first + TYPE, &[10]);
    refused(&kind, "relocation type 10 does not fit data");
}

#[test]
fn a_jump_outside_is_refused_with_its_place() {
    let endless = object("endless");
    let (_, start) = section(&endless, "ersatz");
    let slots = endless[start..].chunks(8).position(|slot| slot[0] == 0x05);
    let number = slots.expect("a jump");
    let image = patch(&endless, start + number * 8 + 2, &[0xff, 0x7f]);
    refused(
        &image,
        &format!("function `endless`, section `ersatz`, instruction {number}: jump"),
    );
}

#[test]
fn programs_are_not_larger_than_the_limits() {
    let image = object("data");
    let with = |limits| Ebpf::new(limits).load(&image, "").map(drop);
    let limits = Limits::default();
    let few = Limits {
        instructions: 10,
        ..limits
    };
    let error = with(few).expect_err("too long");
    assert_eq!(error.0, "the object has more than 10 instructions");
    let little = Limits { data: 64, ..limits };
    let error = with(little).expect_err("too much data");
    assert_eq!(error.0, "the object has more than 64 bytes of data");

    // A size that needs no bytes in the file.
    const SIZE: usize = 32;
    const ALIGN: usize = 48;
    let (header, _) = section(&image, ".bss");
    refused(
        &patch(&image, header + SIZE, &(1u64 << 40).to_le_bytes()),
        "more than 1048576 bytes of data",
    );
    for align in [3, 1 << 20, u64::MAX] {
        refused(
            &patch(&image, header + ALIGN, &align.to_le_bytes()),
            &format!("section `.bss`: an alignment of {align} bytes"),
        );
    }
    let image = object("sum");
    let (header, _) = section(&image, "ersatz");
    refused(
        &patch(&image, header + SIZE, &17u64.to_le_bytes()),
        "section `ersatz`: 17 bytes are not a whole number of instructions",
    );
}

#[test]
fn functions_without_symbols_are_found_by_their_calls() {
    const ENTRY: usize = 24;
    const INFO: usize = 4;
    const LOCAL_FUNCTION: u8 = 2;
    let mut image = object("calls");
    let (header, start) = section(&image, ".symtab");
    let size = u64::from_le_bytes(image[header + 32..header + 40].try_into().expect("8 bytes"));
    let mut changed = 0;
    for at in (start..start + size as usize).step_by(ENTRY) {
        if image[at + INFO] == LOCAL_FUNCTION {
            image[at + INFO] = 0;
            changed += 1;
        }
    }
    assert_eq!(changed, 2, "`five` and `digits`");
    let program = load(&image).expect("calls lead to where they did");
    let args = Args {
        parameters: [3, 2],
        data: &[],
        ..Args::default()
    };
    let report = program.run(&Window::default(), &args, Fuel(1000));
    assert_eq!(report.result, Ok(6 + 2 * 12345 + 2));
}
