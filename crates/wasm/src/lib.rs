//! WebAssembly programs, on wasmtime.
//!
//! [`Wasm`] is a [`Runtime`](ersatz_runtime::Runtime) for modules that any compiler makes (Rust, C,
//! C++, Zig). A run gets a fresh instance. Its linear memory is grown once by as much as the
//! structure of [`ersatz_runtime::abi`] and the job's ranges take; their pages are then mapped
//! there, so that nothing is copied but the pages that a range fills only in part (`place` tells
//! why). The budget is wasmtime's fuel, one for each instruction; the same module, memory and
//! arguments take the same fuel in each run.
//!
//! What this crate does not do: no WASI, no threads, no components, and none of the text format.
//!
//! Where to read next: `runtime` for the limits and a run from its beginning to its end, `place`
//! for how ranges come to be in linear memory, `linear` for that memory, `helpers` for what a
//! program may call.
//! `docs/wasm.md` is the reference for programmers.

mod fault;
mod helpers;
#[allow(unsafe_code)] // Reserves memory, and copies to and from it.
mod linear;
#[allow(unsafe_code)] // Maps ranges into linear memory.
mod place;
mod runtime;
#[allow(unsafe_code)] // Lends a reference to a store.
mod state;
#[cfg(test)]
mod tests;

pub use runtime::{Limits, Wasm};
