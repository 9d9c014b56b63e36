//! The library, and the call into it.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::error::Error;
use std::path::Path;

type Function = unsafe extern "C" fn(*const u64) -> u64;

/// A function of a library that stays loaded until the process ends.
pub struct Entry(Function);

impl Entry {
    /// Loads the library at `path` and looks up `name`.
    ///
    /// # Errors
    /// With the words of the dynamic linker.
    pub fn load(path: &Path, name: &str) -> Result<Self, String> {
        // All symbols at once: later, no file can be read.
        // SAFETY: runs the library's constructors, which the operator trusts.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
        let library = library.map_err(words)?;
        // SAFETY: the operator says that the name is a function's of this type. If it is not, this
        // process, which has nothing to lose, does what it does.
        let function = unsafe { library.get::<Function>(name) }.map(|symbol| *symbol);
        let function = function.map_err(words)?;
        // Unloading would take the function away.
        std::mem::forget(library);
        Ok(Self(function))
    }

    /// Calls it with a pointer to `args`.
    pub fn call(&self, args: &[u64]) -> u64 {
        // SAFETY: as in `load`; `args` are a `struct ersatz_args` that lives until after the call.
        unsafe { (self.0)(args.as_ptr()) }
    }
}

/// The dynamic linker's words are behind those of the crate.
fn words(error: libloading::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
