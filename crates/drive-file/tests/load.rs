//! Files: what can't be read, what is no drive file, and what paths in it mean.

use ersatz_drive_file::{DriveFile, DriveFileError, Limits, MAX_FILE_SIZE, Store};
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
