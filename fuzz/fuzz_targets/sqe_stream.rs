//! What a host does with a controller: registers, queues, commands, its own memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ersatz_nvme::fuzz::commands(data));
