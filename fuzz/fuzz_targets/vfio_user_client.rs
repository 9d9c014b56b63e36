//! What a server sends to a client.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ersatz_vfio_user::fuzz::client_bytes(data));
