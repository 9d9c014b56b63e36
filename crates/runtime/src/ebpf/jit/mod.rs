//! The compiler: programs as machine code, by way of Cranelift.
//!
//! A program has to come to the same result, count and fault as in the interpreter, and it may
//! touch nothing but its own. So generated code checks the bounds of each access that could go
//! wrong ([`access`] finds those that can't, and those that share a check), pays for each block of
//! instructions before it runs it, and hands over to the interpreter whenever something is
//! not as it should be ([`context::finish`]). Nothing relies on signals or guard pages.
//!
//! What is not compiled: programs of more than [`MAX_INSTRUCTIONS`], and those whose functions need
//! too much of the thread's own stack. Atomic accesses and helpers are done by calls.
//! There are no measures against speculative reads: who must not learn what is elsewhere in the
//! drive's process should not load programs into it.
//!
//! Read next: [`flow`], [`access`], [`translate`].

mod access;
#[allow(unsafe_code)] // Called by generated code, with a pointer to the context.
mod context;
mod flow;
#[allow(unsafe_code)] // Calls generated code, and frees it.
mod native;
mod translate;

pub use native::Native;

/// A program of more instructions is interpreted: compiling may hold a run up.
pub const MAX_INSTRUCTIONS: usize = 16 << 10;

/// Bytes of the thread's stack that all nested functions together may need.
const MAX_STACK: usize = 256 << 10;
