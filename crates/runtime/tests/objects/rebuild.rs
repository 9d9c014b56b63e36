//! Compiles the sources and checks that the results behave as the objects in the repository do.

use crate::cases::Case;
use crate::{cases, samples, workspace};
use ersatz_runtime::{Ebpf, Engine, Runtime};
use ersatz_vm::packages::{self, Prefix};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// clang with the bpf target, and the versions of the instruction set that it knows.
struct Compiler {
    clang: Clang,
    cpus: Vec<u32>,
}

/// How clang is started.
enum Clang {
    /// By its name or path.
    Installed(String),
    /// From the distribution's packages, fetched into Ersatz's cache.
    Fetched(Prefix),
}

impl Clang {
    /// From the distribution's packages.
    fn fetch() -> Result<Self, String> {
        let cache = ersatz_vm::default_dir().ok_or("no folder for the cache: set ERSATZ_CACHE")?;
        let prefix = packages::fetch(&cache, &["clang-19"], &mut ());
        prefix.map(Self::Fetched).map_err(|error| error.to_string())
    }

    fn name(&self) -> String {
        match self {
            Self::Installed(name) => name.clone(),
            Self::Fetched(_) => "the distribution's clang-19".to_owned(),
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Installed(name) => Command::new(name),
            Self::Fetched(prefix) => {
                let mut command = prefix.command("usr/bin/clang-19");
                // It would look for its own headers beside the loader that starts it.
                let resources = prefix.root.join("usr/lib/llvm-19/lib/clang/19");
                command.arg("-resource-dir").arg(resources);
                command
            }
        }
    }

    fn knows(&self, cpu: u32, folder: &Path) -> bool {
        let cpu = format!("-mcpu=v{cpu}");
        self.compile(&[&cpu], &folder.join("probe.c"), &folder.join("probe.o"))
            .is_ok()
    }

    /// What clang says, if it does not compile.
    fn compile(&self, flags: &[&str], source: &Path, object: &Path) -> Result<(), String> {
        let output = self
            .command()
            .args([
                "-target",
                "bpf",
                "-O2",
                "-ffreestanding",
                "-Wall",
                "-Wextra",
                "-Werror",
            ])
            .args(flags)
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(object)
            .output()
            .map_err(|e| format!("{}: {e}", self.name()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Compiler {
    /// The one that all tests use: to fetch it once is enough.
    fn get() -> &'static Self {
        static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
            Compiler::find(&folder).unwrap_or_else(|why| {
                panic!(
                    "no clang with the bpf target here, and none to fetch: install one, or name it \
                     in ERSATZ_CLANG\n{why}"
                )
            })
        });
        &COMPILER
    }

    /// `ERSATZ_CLANG`, or what the machine has, or the distribution's.
    fn find(folder: &Path) -> Result<Self, String> {
        std::fs::write(folder.join("probe.c"), "int main(void) { return 0; }\n").expect("write");
        let installed = match std::env::var("ERSATZ_CLANG") {
            Ok(clang) if clang == "fetch" => Vec::new(),
            Ok(clang) => vec![clang],
            Err(_) => std::iter::once("clang".into())
                .chain((14..30).rev().map(|version| format!("clang-{version}")))
                .collect(),
        };
        let mut installed = installed.into_iter().map(Clang::Installed);
        let clang = match installed.find(|clang| clang.knows(2, folder)) {
            Some(clang) => clang,
            None => Clang::fetch()?,
        };
        let cpus = (1..=4).filter(|&cpu| clang.knows(cpu, folder)).collect();
        Ok(Self { clang, cpus })
    }
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
        compiler
            .clang
            .compile(flags, &case.source(), &object)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        let image = std::fs::read(&object).expect("what clang wrote");
        let program = Ebpf::default()
            .with_engine(Engine::Eager)
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
    let compiler = Compiler::get();
    assert!(workspace().join("examples/programs/ersatz.h").exists());
    let built: usize = cases().map(|case| check(case, compiler, &folder)).sum();
    announce(&format!(
        "{built} device programs compiled with {} for versions {:?} of the instruction set",
        compiler.clang.name(),
        compiler.cpus
    ));
    assert!(built >= cases().count());
}

/// What a program for CEMU looks like, with a header of its own beside it.
const FOR_CEMU: &str = r#"
#include "cemu_def.h"

long long vadd(struct cemu_args *args) {
    int numr = args->numr;
    long long size = args->cparam1;
    int *in = ((int **)args->mr_addr)[1];
    int *out = ((int **)args->mr_addr)[0];

    assert(numr == 2);
    for (int i = 0; i < size; i++)
        out[i] = in[i * 2] + in[i * 2 + 1];
    return size;
}
"#;
const HEADER_OF_CEMU: &str = r#"
#ifndef CEMU_DEF_H
#define CEMU_DEF_H
#error "the other header comes first"
#endif
"#;

/// And one for FEMU, of which FEMU would make a shared library.
const FOR_FEMU: &str = r#"
#include "femu-csd-kernel.h"
typedef __INT64_TYPE__ int64_t;

int64_t csd_vadd(struct femu_csd_args *args)
{
    int *out = args->mr_addr[0];
    int *in = args->mr_addr[1];

    if (args->numr < 2)
        *(volatile int *)0 = 0;
    for (long long i = 0; i < args->cparam1; i++)
        out[i] = in[i * 2] + in[i * 2 + 1];
    return args->cparam1;
}
"#;
const HEADER_OF_FEMU: &str = r#"
#ifndef FEMU_CSD_KERNEL_H
#define FEMU_CSD_KERNEL_H
#error "the other header comes first"
#endif
"#;

/// Compiles `source`, which includes `name`, with the header of the examples that has this name.
fn port(name: &str, own: &str, source: &str, define: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("folder");
    let (path, object) = (folder.join("vadd.c"), folder.join("vadd.o"));
    std::fs::write(&path, source).expect("write");
    std::fs::write(folder.join(name), own).expect("write");
    let header = workspace().join("examples/programs").join(name);
    let header = header.to_str().expect("a path in UTF-8");
    let compiler = Compiler::get();
    let cpus = compiler.cpus.iter().map(|cpu| format!("-mcpu=v{cpu}"));
    for cpu in cpus {
        let flags = [&cpu, define, "-include", header];
        let compiled = compiler.clang.compile(&flags, &path, &object);
        compiled.unwrap_or_else(|words| panic!("{words}"));
        let image = std::fs::read(&object).expect("what clang wrote");
        let program = Ebpf::default().load(&image, "").expect("a program");
        samples::vadd_cemu(&*program);
    }
}

#[test]
fn programs_for_cemu_and_femu_compile_as_they_are() {
    port(
        "cemu_def.h",
        HEADER_OF_CEMU,
        FOR_CEMU,
        "-DCEMU_PROGRAM=vadd",
    );
    port(
        "femu-csd-kernel.h",
        HEADER_OF_FEMU,
        FOR_FEMU,
        "-DFEMU_PROGRAM=csd_vadd",
    );
}
