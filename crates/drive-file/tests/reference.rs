//! The reference and the examples say what the code does.

use ersatz_drive_file::schema::SECTIONS;
use ersatz_drive_file::{DriveFile, Limits};
use std::fs;
use std::path::{Path, PathBuf};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

#[test]
fn the_reference_has_the_table_of_every_section() {
    let text = fs::read_to_string(project("docs/drive-file.md")).expect("is there");
    for section in SECTIONS {
        let heading = format!("\n## {}\n", section.heading);
        let start = text
            .find(&heading)
            .unwrap_or_else(|| panic!("no heading{heading}"));
        let body = &text[start + heading.len()..];
        let body = &body[..body.find("\n## ").unwrap_or(body.len())];
        let table = section.table();
        assert!(
            body.contains(&table),
            "under{heading}the table must be:\n{table}"
        );
    }
    assert_eq!(
        text.matches("\n## ").count(),
        SECTIONS.len(),
        "a heading has no section"
    );
}

#[test]
fn every_key_says_what_it_means() {
    for section in SECTIONS {
        for key in section.keys {
            assert!(
                key.meaning.ends_with('.'),
                "{}: {}",
                section.heading,
                key.name
            );
        }
    }
}

#[test]
fn every_example_is_a_drive_and_survives_being_written() {
    let mut examples = 0;
    for entry in fs::read_dir(project("examples/drives")).expect("is there") {
        let path = entry.expect("is readable").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let file = DriveFile::load(&path, &Limits::NONE).unwrap_or_else(|error| panic!("{error}"));
        let again = DriveFile::parse("again", &file.to_toml(), &Limits::NONE);
        assert_eq!(again, Ok(file), "{}", path.display());
        examples += 1;
    }
    assert!(examples >= 2);
}
