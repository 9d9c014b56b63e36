//! Real objects: those in the repository, and the same built anew.
//!
//! The objects lie beside their C sources, here and in `examples/programs`, so that neither the
//! tests nor a user needs a compiler. [`rebuild`] compiles them again, in all variants that a user
//! may choose, where a clang with the bpf target is found.

mod cases;
mod helpers;
mod rebuild;
mod samples;

use cases::Case;
use ersatz_runtime::{Ebpf, Engine, Program, Runtime};
use std::path::PathBuf;

/// Every case.
fn cases() -> impl Iterator<Item = &'static Case> {
    let all = [cases::CASES, samples::CASES, helpers::CASES];
    all.into_iter().flatten()
}

/// The object of a case as it is in the repository.
fn checked_in(case: &Case, engine: Engine) -> Box<dyn Program> {
    let path = case.source().with_extension("o");
    let image = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Ebpf::default()
        .with_engine(engine)
        .load(&image, "")
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_objects_in_the_repository_do_what_they_say() {
    for case in cases() {
        for engine in [Engine::Eager, Engine::Interpreter] {
            println!("{} by {engine:?}", case.source);
            (case.check)(&*checked_in(case, engine));
        }
    }
}

#[test]
fn every_source_has_its_object_and_every_example_a_case() {
    for folder in ["examples/programs", "crates/runtime/tests/programs"] {
        for entry in std::fs::read_dir(workspace().join(folder)).expect("folder") {
            let path = entry.expect("entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if !name.ends_with(".c") {
                continue;
            }
            assert!(path.with_extension("o").exists(), "{name} has no object");
            let source = format!("{folder}/{name}");
            let covered = cases().any(|case| case.source == source);
            assert!(
                covered || !folder.starts_with("examples"),
                "{name} has no case"
            );
        }
    }
}
