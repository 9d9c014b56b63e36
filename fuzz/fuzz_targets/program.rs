//! What a host loads as a program.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ersatz_runtime::fuzz::program(data));
