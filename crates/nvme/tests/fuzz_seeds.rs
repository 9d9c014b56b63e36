//! Replays the seeds of all fuzz targets, and a few thousand inputs that were made of them: the
//! same ones in every run. `fuzz/run` goes on from here.

use ersatz_engine::Rng;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a folder, by name.
fn files(folder: &Path, extension: Option<&str>) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| extension.is_none_or(|wanted| path.extension().is_some_and(|e| e == wanted)))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {folder:?}");
    paths
        .iter()
        .map(|path| fs::read(path).expect("a seed"))
        .collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    files(&root().join("fuzz/seeds").join(target), None)
}

/// A seed, or two, with a few bytes changed, gone, added or repeated.
fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut below = |bound: usize| rng.below(bound as u64) as usize;
    let mut data = seeds[below(seeds.len())].clone();
    if below(3) == 0 {
        let other = &seeds[below(seeds.len())];
        let at = below(data.len() + 1);
        data.splice(at.., other[below(other.len() + 1)..].iter().copied());
    }
    for _ in 0..=below(8) {
        let at = below(data.len() + 1);
        match below(7) {
            0 => data.insert(at, below(256) as u8),
            1 => data.truncate(at.max(1)),
            2 => {
                let piece = data[at..(at + below(24)).min(data.len())].to_vec();
                data.splice(at..at, piece);
            }
            kind => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = match kind {
                        3 => below(256) as u8,
                        4 => *byte ^ 1 << below(8),
                        5 => [0, 1, 0x7F, 0x80, 0xFF][below(5)],
                        _ => byte.wrapping_add(1),
                    };
                }
            }
        }
    }
    data
}

fn replay(seeds: &[Vec<u8>], count: u32, run: fn(&[u8])) {
    seeds.iter().for_each(|seed| run(seed));
    let mut rng = Rng::new(0x5EED);
    for _ in 0..count {
        run(&mutated(seeds, &mut rng));
    }
}

#[test]
fn servers_bear_what_clients_send() {
    replay(
        &seeds("vfio_user_server"),
        3000,
        ersatz_vfio_user::fuzz::session_bytes,
    );
}

#[test]
fn clients_bear_what_servers_send() {
    replay(
        &seeds("vfio_user_client"),
        1000,
        ersatz_vfio_user::fuzz::client_bytes,
    );
}

#[test]
fn controllers_bear_what_hosts_do() {
    replay(&seeds("sqe_stream"), 3000, ersatz_nvme::fuzz::commands);
}

#[test]
fn runtimes_bear_what_hosts_load() {
    let mut seeds = seeds("program");
    seeds.extend(files(&root().join("examples/programs"), Some("o")));
    replay(&seeds, 3000, ersatz_runtime::fuzz::program);
}

#[test]
fn built_in_programs_bear_what_hosts_ask() {
    replay(&seeds("builtin"), 3000, ersatz_builtin::fuzz::job);
}
