//! A child process, and nothing else: what the tests have started. `ersatz` does the same in a
//! hidden subcommand.

use std::env::args_os;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut last = args_os().skip(1);
    let (Some(library), Some(entry)) = (last.next(), last.next()) else {
        eprintln!("usage: ersatz-native-child LIBRARY ENTRY");
        return ExitCode::from(2);
    };
    ersatz_native::run_child(Path::new(&library), &entry.to_string_lossy())
}
