//! What a client sends to a drive's socket.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ersatz_vfio_user::fuzz::session_bytes(data));
