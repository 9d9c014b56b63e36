//! What a run has with it.

use crate::place::{Edge, Range};
use ersatz_runtime::{BlockRead, Services};
use wasmtime::{AsContextMut, Engine, Memory, ResourceLimiter, Store, StoreContextMut};

/// The data of a run's store.
pub struct State {
    /// The drive, lent: see [`with_store`].
    services: &'static dyn Services,
    pub limiter: Limiter,
    /// Linear memory, once the ranges are there.
    pub memory: Option<Memory>,
    pub ranges: Vec<Range>,
    pub edges: Vec<Edge>,
    pub reads: Vec<BlockRead>,
}

/// Calls `run` with a store that is gone when this returns. `services` is used for longer than the
/// compiler knows, because wasmtime wants data without lifetimes.
pub fn with_store<R>(
    engine: &Engine,
    services: &dyn Services,
    limiter: Limiter,
    run: impl FnOnce(StoreContextMut<'_, State>) -> R,
) -> R {
    // SAFETY: the same type but for the lifetime. The reference is in a state that only this
    // function makes, in a store that it drops; `run` can't take either out of a context, and
    // `State::services` gives no more than a loan from the state.
    let services = unsafe {
        std::mem::transmute::<&dyn Services, &'static (dyn Services + 'static)>(services)
    };
    let state = State {
        services,
        limiter,
        memory: None,
        ranges: Vec::new(),
        edges: Vec::new(),
        reads: Vec::new(),
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    run(store.as_context_mut())
}

impl State {
    /// The drive.
    pub fn services(&self) -> &dyn Services {
        self.services
    }
}

/// Keeps an instance to its limits.
pub struct Limiter {
    /// Bytes that linear memory may have.
    memory: u64,
    /// Elements that its tables may have together.
    elements: usize,
}

impl Limiter {
    pub fn new(memory: u64, elements: usize) -> Self {
        Self { memory, elements }
    }

    /// Allows `bytes` more of linear memory.
    pub fn grant(&mut self, bytes: u64) {
        self.memory = self.memory.saturating_add(bytes);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired as u64 <= self.memory)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let left = self.elements.checked_sub(more);
        self.elements = left.unwrap_or(self.elements);
        Ok(left.is_some())
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        16
    }
}
