//! Compiles the sources and checks that the results behave as the objects in the repository do.

use crate::cases::{CASES, Case};
use crate::workspace;
use ersatz_runtime::{Ebpf, Runtime};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// clang with the bpf target, and the versions of the instruction set that it knows.
struct Compiler {
    clang: String,
    cpus: Vec<u32>,
}

impl Compiler {
    /// `ERSATZ_CLANG`, or what the machine has.
    fn find(folder: &Path) -> Option<Self> {
        let named = std::env::var("ERSATZ_CLANG").ok();
        let candidates: Vec<_> = match named {
            Some(clang) => vec![clang],
            None => std::iter::once("clang".into())
                .chain((14..30).rev().map(|version| format!("clang-{version}")))
                .collect(),
        };
        let probe = folder.join("probe.c");
        std::fs::write(&probe, "int main(void) { return 0; }\n").expect("write");
        let builds = |clang: &str, cpu| {
            let cpu = format!("-mcpu=v{cpu}");
            compile(clang, &[&cpu], &probe, &folder.join("probe.o")).is_ok()
        };
        let clang = candidates.into_iter().find(|clang| builds(clang, 2))?;
        let cpus = (1..=4).filter(|&cpu| builds(&clang, cpu)).collect();
        Some(Self { clang, cpus })
    }
}

/// What clang says, if it does not compile.
fn compile(clang: &str, flags: &[&str], source: &Path, object: &Path) -> Result<(), String> {
    let output = Command::new(clang)
        .args(["-target", "bpf", "-O2", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|e| format!("{clang}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Says something past the test harness, which would keep it to itself.
fn announce(words: &str) {
    let _ = writeln!(std::io::stdout(), "{words}");
}

fn check(case: &Case, compiler: &Compiler, folder: &Path) -> usize {
    let cpus = compiler.cpus.iter().filter(|cpu| case.cpus.contains(cpu));
    let variants = cpus.flat_map(|&cpu| [(cpu, false), (cpu, true)]);
    let mut built = 0;
    for (cpu, debug) in variants {
        let name = case.source.replace('/', "-");
        let object = folder.join(format!("{name}-v{cpu}{}.o", if debug { "-g" } else { "" }));
        let cpu = format!("-mcpu=v{cpu}");
        let flags: &[&str] = if debug { &[&cpu, "-g"] } else { &[&cpu] };
        let what = format!("{} with {flags:?}", case.source);
        compile(&compiler.clang, flags, &case.source(), &object)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let image = std::fs::read(&object).expect("what clang wrote");
        let program = Ebpf::default()
            .load(&image, "")
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        println!("{what}");
        (case.check)(&*program);
        built += 1;
    }
    built
}

#[test]
fn objects_built_anew_do_the_same() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let Some(compiler) = Compiler::find(&folder) else {
        announce(
            "NOT TESTED: device programs were not compiled anew, since no clang with the bpf \
             target was found. Install one or name it in ERSATZ_CLANG.",
        );
        return;
    };
    assert!(workspace().join("examples/programs/ersatz.h").exists());
    let built: usize = CASES
        .iter()
        .map(|case| check(case, &compiler, &folder))
        .sum();
    announce(&format!(
        "{built} device programs compiled with {} for versions {:?} of the instruction set",
        compiler.clang, compiler.cpus
    ));
    assert!(built >= CASES.len());
}
