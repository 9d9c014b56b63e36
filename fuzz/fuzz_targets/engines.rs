//! The compiler and the interpreter against one another, over programs that can be run.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ersatz_runtime::fuzz::engines(data));
