//! Files: what can't be read, what is no drive file, and what paths in it mean.

use ersatz_drive_file::{DriveFile, DriveFileError, Limits, MAX_FILE_SIZE, NamespaceKind, Store};
use std::fs;
use std::path::Path;

const TEXT: &str = "[drive]\nserial = \"A\"\n[store]\nfile = \"a.img\"\n\
                    [[namespace]]\nkind = \"memory\"\nsize = \"1 MiB\"\n";

fn load(path: &Path) -> Result<DriveFile, DriveFileError> {
    DriveFile::load(path, &Limits::NONE)
}

#[test]
fn a_store_is_in_the_folder_of_its_drive_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, TEXT).unwrap();
    assert_eq!(
        load(&path).unwrap().store,
        Store::File(folder.path().join("a.img"))
    );
    fs::write(&path, TEXT.replace("a.img", "/data/a.img")).unwrap();
    assert_eq!(
        load(&path).unwrap().store,
        Store::File("/data/a.img".into())
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("no/such/drive.toml")).unwrap_err();
    assert!(matches!(error, DriveFileError::Unreadable { .. }));
    assert!(error.to_string().starts_with("no/such/drive.toml: "));
}

#[test]
fn what_is_too_large_is_refused_without_being_read() {
    assert!(matches!(
        load(Path::new("/dev/zero")),
        Err(DriveFileError::TooLarge { .. })
    ));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let padded = format!(
        "{TEXT}#{}",
        "x".repeat(MAX_FILE_SIZE as usize - TEXT.len() - 1)
    );
    fs::write(&path, &padded).unwrap();
    assert!(load(&path).is_ok());
    fs::write(&path, format!("{padded}x")).unwrap();
    assert!(matches!(load(&path), Err(DriveFileError::TooLarge { .. })));
}

#[test]
fn what_is_not_text_is_refused_where_it_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, b"[drive]\nserial = \"\xff\"\n").unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.contains("a.toml:2:11: is not UTF-8 text"), "{error}");
}

#[test]
fn this_machine_has_memory() {
    assert!(Limits::of_this_machine().memory > 1 << 20);
}

#[test]
fn libraries_of_native_programs_are_looked_for_with_their_functions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    // A library that is there for certain: this program uses it.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|at| &line[at..]));
    let libc = paths.find(|path| path.contains("/libc.so")).unwrap();
    fs::copy(libc, folder.path().join("c.so")).unwrap();
    fs::write(folder.path().join("text.so"), "no library").unwrap();
    let native = |library: &str, entry: &str| {
        let native =
            format!("native = [{{ name = \"n\", path = \"{library}\", entry = \"{entry}\" }}]");
        let text = format!(
            "[drive]\nserial = \"A\"\n[[namespace]]\nkind = \"compute\"\nunits = 1\n\
             cost = {{ instructions = \"1 ns\" }}\n{native}\n"
        );
        fs::write(&path, text).unwrap();
        load(&path).map_err(|error| error.to_string())
    };
    let file = native("c.so", "memcpy").unwrap();
    let NamespaceKind::Compute(compute) = &file.namespaces[0].kind else {
        panic!("is a compute namespace");
    };
    assert_eq!(compute.native[0].path, folder.path().join("c.so"));
    for (library, entry, key, message) in [
        ("c.so", "no_such", "entry", "has no function \"no_such\""),
        ("missing.so", "memcpy", "path", "No such file"),
        ("text.so", "memcpy", "path", "is no shared library"),
        (".", "memcpy", "path", "is no file"),
    ] {
        let refused = native(library, entry).unwrap_err();
        let first = refused.lines().next().unwrap_or_default();
        let place = "a.toml:7:";
        let key = format!("namespace[1].native[1].{key}: ");
        assert!(
            first.contains(place) && first.contains(&key) && first.contains(message),
            "{refused}"
        );
    }
}
