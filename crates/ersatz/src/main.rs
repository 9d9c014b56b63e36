//! The `ersatz` command.

fn main() {}
