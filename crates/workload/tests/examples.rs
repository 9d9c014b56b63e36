//! What the documentation shows is what the code does.

use ersatz_workload::{JobFile, Source, Target, Workload, key_table, trace};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_documentation_has_the_keys_as_they_are() {
    let text = std::fs::read_to_string(root().join("docs/workloads.md")).unwrap();
    let table = key_table();
    assert!(
        text.contains(&table),
        "docs/workloads.md must have this table:\n{table}"
    );
}

#[test]
fn every_example_runs() {
    let target = Target {
        block: 512,
        blocks: 1 << 21,
    };
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("examples/workloads")).unwrap() {
        let path = entry.unwrap().path();
        seen += 1;
        if path.extension().is_some_and(|extension| extension == "csv") {
            let reader = trace::Reader::open(&path, trace::Options::new(512)).unwrap();
            let requests: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
            assert_eq!(requests.len(), 6);
            continue;
        }
        let file = JobFile::load(&path).unwrap();
        let mut workload = Workload::new(&file, target, 1).unwrap();
        assert!(workload.peek().unwrap().is_some(), "{}", path.display());
        assert!(workload.take().is_some());
    }
    assert_eq!(seen, 5);
}
