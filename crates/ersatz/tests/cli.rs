//! Words and exit statuses of the command line.

mod common;

use common::{Drive, SMALL, ersatz, example, run};
use std::os::unix::net::UnixListener;

/// Writes a drive file to a folder of its own.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("drive.toml");
    std::fs::write(&path, text).expect("a drive file");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn each_subcommand_explains_itself_with_examples() {
    for subcommand in [
        &["serve"][..],
        &["demo"],
        &["vm"],
        &["csd"],
        &["completions"],
        &["runner"],
        &["csd", "list"],
        &["csd", "programs"],
        &["csd", "load"],
        &["csd", "activate"],
        &["csd", "deactivate"],
        &["csd", "unload"],
        &["csd", "copy"],
        &["csd", "write"],
        &["csd", "read"],
        &["csd", "fill"],
        &["csd", "exec"],
        &["csd", "sets"],
        &["csd", "set-create"],
        &["csd", "set-delete"],
        &["csd", "stats"],
        &["simulate"],
    ] {
        let help = run(&[subcommand, &["--help"]].concat()).ok();
        assert!(help.contains("Example"), "{subcommand:?}: {help}");
        let example = format!("  ersatz {}", subcommand.join(" "));
        assert!(help.contains(&example), "{subcommand:?}: {help}");
    }
    assert!(run(&["--help"]).ok().contains("Exit status:"));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    assert!(run(&["frob"]).fails(2).contains("unrecognized subcommand"));
    assert!(run(&["serve", "x.toml"]).fails(2).contains("--socket"));
    assert!(run(&["vm"]).fails(2).contains("DRIVE.toml"));
    assert!(
        run(&["demo", "--size", "lots"])
            .fails(2)
            .contains("is not a number such as")
    );
}

#[test]
fn flash_that_can_not_work_is_the_drive_file_s_mistake() {
    let text = "[drive]\nserial = \"A\"\n[nand]\nblocks_per_plane = 3\n[ftl]\nmodel = \"femu\"\n\
                [[namespace]]\nkind = \"nvm\"\nsize = \"1 MiB\"\n";
    let (folder, path) = file(text);
    let socket = folder.path().join("s");
    let served = run(&["serve", &path, "--socket", socket.to_str().expect("UTF-8")]).fails(2);
    assert!(served.contains("75 % and 95 % of 3 lines"), "{served}");
    let trace = folder.path().join("trace.csv");
    std::fs::write(&trace, "0,R,0,1\n").expect("written");
    let trace = trace.to_str().expect("UTF-8");
    let simulated = run(&["simulate", &path, "--trace", trace]).fails(2);
    assert_eq!(served, simulated);
}

#[test]
fn a_drive_file_that_is_refused_says_where_and_starts_nothing() {
    for (wrong, right, words) in [
        ("sizes = \"1 MiB\"", "size = \"1 MiB\"", "sizes"),
        ("size = \"1\"", "size = \"1 MiB\"", "size"),
        ("size = \"0 B\"", "size = \"1 MiB\"", "allowed"),
        ("size = \"1 PiB\"", "size = \"1 MiB\"", "memory"),
    ] {
        let (folder, path) = file(&SMALL.replacen(right, wrong, 1));
        let socket = folder.path().join("drive.sock");
        let error = run(&["serve", &path, "--socket", socket.to_str().expect("UTF-8")]).fails(2);
        assert!(error.starts_with(&path), "{error}");
        assert!(error.contains(words), "{wrong}: {error}");
        assert!(!socket.exists());
        let error = run(&["vm", &path, "--", "true"]).fails(2);
        assert!(error.starts_with(&path), "{error}");
        let error = run(&["demo", "--drive", &path]).fails(2);
        assert!(error.starts_with(&path), "{error}");
    }
    let error = run(&["serve", "/nonexistent.toml", "--socket", "/nonexistent/s"]).fails(2);
    assert!(error.contains("/nonexistent.toml"), "{error}");
}

#[test]
fn a_socket_that_is_taken_is_left_alone() {
    let (folder, path) = file(SMALL);
    let socket = folder.path().join("drive.sock");
    let _other = UnixListener::bind(&socket).expect("a socket");
    let error = run(&["serve", &path, "--socket", socket.to_str().expect("UTF-8")]).fails(1);
    assert!(
        error.contains("listen at") && error.contains("in use"),
        "{error}"
    );
    assert!(socket.exists());
}

#[test]
fn an_interrupted_drive_says_what_it_did_and_removes_its_socket() {
    let drive = Drive::serve(SMALL, &[]);
    assert!(drive.first_line.contains("SMALL"), "{}", drive.first_line);
    assert!(
        drive.first_line.contains("1 MiB of memory"),
        "{}",
        drive.first_line
    );
    drive.csd(&["list"]).ok();
    let socket = drive.socket();
    let (code, rest) = drive.interrupt();
    assert_eq!(code, Some(0));
    assert!(
        rest.contains("commands completed") && rest.contains("lateness"),
        "{rest}"
    );
    assert!(!socket.exists());
}

#[test]
fn json_output_of_a_drive_is_two_lines() {
    let drive = Drive::serve(SMALL, &["--json", "--doorbells", "messages"]);
    let first: serde_json::Value = serde_json::from_str(&drive.first_line).expect("JSON");
    assert_eq!(first["serial"], "SMALL");
    drive.csd(&["list"]).ok();
    let (code, rest) = drive.interrupt();
    let last: serde_json::Value = serde_json::from_str(&rest).expect("JSON");
    assert_eq!(code, Some(0));
    assert!(last["completed"].as_u64() > Some(0), "{last}");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    for device in [
        "vfio-user:/nonexistent/socket",
        "/dev/nonexistent",
        "/dev/null",
    ] {
        let error = run(&["csd", "--device", device, "list"]).fails(1);
        let path = device.trim_start_matches("vfio-user:");
        assert!(error.contains(path), "{error}");
        // Each cause is told once.
        assert_eq!(error.matches("os error").count().max(1), 1, "{error}");
    }
}

#[test]
fn a_drive_that_does_not_answer_may_have_another_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("drive.sock");
    // Connections are accepted by the kernel, and that is all.
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let device = format!("vfio-user:{}", socket.display());
    let error = run(&["csd", "--device", &device, "list"]).fails(1);
    assert!(
        error.contains("did not answer") && error.contains("one at a time"),
        "{error}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut command = ersatz(&["completions", "bash"]);
    command.stdout(std::process::Stdio::piped());
    let bash = command.output().expect("it starts");
    assert!(String::from_utf8_lossy(&bash.stdout).contains("set-create"));

    let drive = Drive::serve(SMALL, &[]);
    let device = format!("vfio-user:{}", drive.socket().display());
    let mut command = ersatz(&["csd", "--device", &device, "read", "0", "1MiB"]);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn examples_of_drives_are_accepted() {
    let folder = std::fs::read_dir(example("drives")).expect("examples");
    for path in folder.map(|entry| entry.expect("an entry").path()) {
        // It is loaded before the socket is bound, which fails here.
        let path = path.to_str().expect("UTF-8").to_owned();
        let run = run(&["serve", &path, "--socket", "/nonexistent/s"]);
        if run.code == Some(2) && run.stderr.contains("more memory than this machine has") {
            // Right on a machine of this size; crates/drive tests that it is a drive.
            continue;
        }
        let error = run.fails(1);
        assert!(
            error.contains("listen at /nonexistent/s"),
            "{path}: {error}"
        );
    }
}

#[test]
fn a_runner_says_where_it_is_and_wants_a_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    let path = key.to_str().expect("UTF-8");
    let listen = ["runner", "--listen", "127.0.0.1:0", "--key-file", path];
    assert!(run(&listen).fails(1).contains("read "));
    std::fs::write(&key, "short\n").expect("written");
    assert!(
        run(&listen)
            .fails(2)
            .contains("key:1: a key of 5 characters")
    );
}
