//! Recordings of FEMU, for every test that compares with them: this crate's, and those of crates
//! above, which name this file with `#[path]`.
//!
//! The recordings are not part of the project. They are looked for where `ERSATZ_GOLDEN` points, else
//! beside the project.

use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The text of a compressed file.
pub fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).expect("recording");
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip");
    text
}

/// What a JSON file says.
pub fn json(path: &Path) -> Value {
    serde_json::from_reader(File::open(path).expect("recording")).expect("JSON")
}

/// FEMU's properties as it takes them.
pub fn properties(case: &Value) -> String {
    let properties = case["properties"].as_object().expect("properties").iter();
    let properties: Vec<String> = properties
        .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
        .collect();
    properties.join(",")
}

/// Lets `compare` look at each case and name what differs. Nothing may. Without recordings there is
/// nothing to compare, which is said aloud.
pub fn compare_all(compare: impl Fn(&Path) -> Vec<String>) {
    let named = std::env::var_os("ERSATZ_GOLDEN").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/ftl");
    let Some(folder) = named.or_else(|| beside.is_dir().then_some(beside)) else {
        announce("NOT TESTED: no recordings; set ERSATZ_GOLDEN to a folder of them");
        return;
    };
    announce(&format!("recordings: {}", folder.display()));
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.join("case.json").is_file())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    let mut failed = 0;
    for case in &cases {
        let wrong = compare(case);
        if !wrong.is_empty() {
            failed += 1;
            let name = case.file_name().expect("name").display();
            println!("{name}: {}", wrong.join("; "));
        }
    }
    assert_eq!(failed, 0, "of {} cases", cases.len());
}

/// Says something past the test harness, which would keep it to itself.
fn announce(words: &str) {
    let _ = writeln!(std::io::stdout(), "{words}");
}
