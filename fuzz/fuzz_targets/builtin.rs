//! What a host asks of the built-in programs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ersatz_builtin::fuzz::job(data));
