//! Which shared libraries a program needs: the dynamic loader itself says.
//!
//! `ld.so --list` maps a program and its libraries without running any of their code, by the
//! same rules (RUNPATH, cache, library path) that count when the program is started.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A library: the name that programs ask for, and the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Library {
    pub name: String,
    pub path: PathBuf,
}

/// All libraries that `program` needs, directly or not, without the loader.
pub(crate) fn needed(
    loader: &Path,
    library_path: Option<&str>,
    program: &Path,
) -> io::Result<Vec<Library>> {
    let mut command = Command::new(loader);
    if let Some(path) = library_path {
        command.arg("--library-path").arg(path);
    }
    let output = command
        .arg("--list")
        .arg(program)
        .env("LC_ALL", "C")
        .env_remove("LD_PRELOAD")
        .env_remove("LD_LIBRARY_PATH")
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    parse(&String::from_utf8_lossy(&output.stdout)).map_err(io::Error::other)
}

/// Reads lines such as `libz.so.1 => /usr/lib/libz.so.1 (0x00007f…)`. The kernel's vDSO has no
/// file, the loader no arrow.
fn parse(list: &str) -> Result<Vec<Library>, String> {
    let mut libraries = Vec::new();
    for line in list.lines() {
        let Some((name, rest)) = line.trim().split_once(" => ") else {
            continue;
        };
        // The loader, too, is asked for by some libraries, by its path.
        if name.contains('/') {
            continue;
        }
        let path = rest.rsplit_once(" (0x").map_or(rest, |(path, _)| path);
        if path == "not found" {
            return Err(format!("library {name} was not found"));
        }
        if !name.starts_with("ld-linux") {
            libraries.push(Library {
                name: name.to_owned(),
                path: path.into(),
            });
        }
    }
    Ok(libraries)
}

/// The dynamic loader that a 64-bit little-endian ELF program asks for (its PT_INTERP); `None`
/// if it is static.
pub(crate) fn interpreter(program: &Path) -> io::Result<Option<PathBuf>> {
    let file = File::open(program)?;
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "not a 64-bit x86 ELF program");
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).map_err(|_| bad())?;
    // Magic, 64 bits, little endian; machine 62 is x86-64.
    if header[..6] != *b"\x7fELF\x02\x01" || header[18..20] != [62, 0] {
        return Err(bad());
    }
    let table = u64_at(&header, 32);
    let entry_size = u64::from(u16_at(&header, 54));
    for index in 0..u64::from(u16_at(&header, 56)) {
        let mut entry = [0; 56];
        let at = (index * entry_size).checked_add(table).ok_or_else(bad)?;
        file.read_exact_at(&mut entry, at).map_err(|_| bad())?;
        if entry[..4] != [3, 0, 0, 0] {
            continue; // not PT_INTERP
        }
        let (offset, size) = (u64_at(&entry, 8), u64_at(&entry, 32));
        if size > 4096 {
            return Err(bad());
        }
        let mut path = vec![0; usize::try_from(size).map_err(|_| bad())?];
        file.read_exact_at(&mut path, offset).map_err(|_| bad())?;
        let path = path.strip_suffix(b"\0").ok_or_else(bad)?;
        return Ok(Some(PathBuf::from(
            std::str::from_utf8(path).map_err(|_| bad())?,
        )));
    }
    Ok(None)
}

fn u16_at(bytes: &[u8; 64], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_list_is_read() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibz.so.1 => /p/lib/libz.so.1 (0x00007f01)\n\
                    \tlibc.so.6 => /p/lib/libc.so.6 (0x00007f02)\n\
                    \t/lib64/ld-linux-x86-64.so.2 => /p/ld-linux-x86-64.so.2 (0x00007f03)\n";
        let libraries = parse(list).expect("all are found");
        let names: Vec<&str> = libraries
            .iter()
            .map(|library| library.name.as_str())
            .collect();
        assert_eq!(names, ["libz.so.1", "libc.so.6"]);
        assert_eq!(libraries[0].path, Path::new("/p/lib/libz.so.1"));
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibgone.so.3 => not found\n").expect_err("it is missing");
        assert!(error.contains("libgone.so.3"));
    }

    #[test]
    fn this_programs_own_loader_and_libraries_are_found() {
        let program = std::env::current_exe().expect("a test has a program");
        let loader = interpreter(&program)
            .expect("it is ELF")
            .expect("it is dynamic");
        let libraries = needed(&loader, None, &program).expect("the loader lists them");
        assert!(libraries.iter().any(|library| library.name == "libc.so.6"));
        assert!(libraries.iter().all(|library| library.path.is_file()));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("script");
        std::fs::write(&path, "#!/bin/sh\n").expect("written");
        assert!(interpreter(&path).is_err());
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 62;
        elf[32..40].fill(0xff); // program headers at the end of the world
        elf[54] = 56;
        elf[56] = 1;
        std::fs::write(&path, elf).expect("written");
        assert!(interpreter(&path).is_err());
    }
}
