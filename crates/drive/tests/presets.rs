//! Every example is a drive that can be built, and an aged one is aged before its first command.

use ersatz_drive::{Drive, Execution};
use ersatz_drive_file::{DriveFile, Limits};
use ersatz_engine::Ns;
use ersatz_ftl::{Extent, MediaHeap};
use std::fs;
use std::path::{Path, PathBuf};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/drives")
}

fn build(file: &DriveFile) -> Drive {
    Drive::build(file, &Execution::Inline).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_example_can_be_built() {
    let mut serials = Vec::new();
    for entry in fs::read_dir(examples()).expect("is there") {
        let path = entry.expect("is readable").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let file = DriveFile::load(&path, &Limits::NONE).unwrap_or_else(|error| panic!("{error}"));
        let drive = build(&file);
        assert!(
            drive.subsystem.media.capacity() >= file.nvm_bytes(),
            "{}",
            path.display()
        );
        assert!(!drive.subsystem.media.counters().read_only);
        serials.push(file.drive.serial);
    }
    for wanted in [
        "FEMU-BLACK-BOX",
        "CEMU-CSD",
        "VOLT",
        "NVMEVIRT-970-PRO",
        "NVMEVIRT-OPTANE",
        "TLC-PCIE4",
        "QLC",
    ] {
        assert!(serials.iter().any(|serial| serial == wanted), "{wanted}");
    }
}

const SMALL: &str = r#"
[drive]
serial = "A"
[nand]
channels = 1
dies_per_channel = 2
planes = 1
blocks_per_plane = 64
spare_blocks = 0
pages_per_block = 32
page = "4 KiB"
read = "60 us"
[ftl]
unmapped_read = "7 us"
buffer = { pages = 0 }
PRECONDITION
[[namespace]]
kind = "nvm"
size = "8 MiB"
"#;

fn small(precondition: &str) -> Drive {
    let text = SMALL.replace("PRECONDITION", precondition);
    let file = DriveFile::parse("small.toml", &text, &Limits::NONE);
    build(&file.unwrap_or_else(|refused| panic!("{refused}")))
}

/// When a read of a page at `start` that begins at 0 is done.
fn read(drive: &mut Drive, start: u64) -> Ns {
    let at = Extent { start, len: 4096 };
    let media = &mut drive.subsystem.media;
    media
        .read(Ns::ZERO, at, &mut MediaHeap::new())
        .expect("readable")
}

#[test]
fn a_page_that_was_never_written_takes_the_time_that_the_file_says() {
    assert_eq!(read(&mut small(""), 0), Ns::from_us(7));
}

#[test]
fn an_aged_drive_reads_from_flash_and_has_counted_nothing() {
    let mut drive =
        small("precondition = { fill = \"50 %\", overwrite = \"3x\", pattern = \"random\" }");
    let counters = drive.subsystem.media.counters();
    assert_eq!((counters.host_write_pages, counters.gc_write_pages), (0, 0));
    assert!(read(&mut drive, 0) > Ns::from_us(60));
    let last = drive.subsystem.media.capacity() - 4096;
    assert_eq!(read(&mut drive, last), Ns::from_us(7), "half is filled");
    let empty = small("");
    let free = |drive: &Drive| drive.subsystem.media.counters().free_lines;
    assert!(free(&drive) < free(&empty) / 2, "lines are in use");
}

#[test]
fn ageing_makes_the_same_drive_each_time() {
    let aged = || {
        let drive = small("precondition = { overwrite = \"1.5x\" }");
        let media = &drive.subsystem.media;
        (media.counters(), media.wear())
    };
    assert_eq!(aged(), aged());
}
