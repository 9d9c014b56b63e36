//! How a run failed.

use ersatz_runtime::{Fault, ReadError};
use wasmtime::{Error, FrameInfo, Trap, WasmBacktrace};

/// Why a helper did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{1} bytes at {0:#x} are outside of what the program may use")]
    Access(u64, u64),
    #[error("{0}")]
    Argument(&'static str),
    #[error(transparent)]
    Read(ReadError),
    #[error("the budget is used up")]
    Budget,
}

/// What `error`, with which a run of a module ended, means.
pub fn of(error: &Error) -> Fault {
    // A function that has no stack left to begin with has no place; its caller has.
    let pc = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|trace| trace.frames().iter().find_map(FrameInfo::module_offset));
    let trap = error.downcast_ref::<Trap>().copied();
    let refusal = error.downcast_ref::<Refusal>();
    if let (Some(Trap::OutOfFuel), _) | (_, Some(Refusal::Budget)) = (trap, refusal) {
        return Fault::Budget { pc };
    }
    let Some(pc) = pc else {
        let reason = trap.map_or_else(|| format!("{error:#}"), |trap| trap.to_string());
        return Fault::Failed { reason };
    };
    if let Some(refusal) = refusal {
        return match refusal {
            &Refusal::Access(address, len) => Fault::Access { pc, address, len },
            &Refusal::Argument(what) => Fault::Instruction { pc, what },
            Refusal::Read(error) => Fault::Read {
                pc,
                error: error.clone(),
            },
            Refusal::Budget => Fault::Budget { pc: Some(pc) },
        };
    }
    let what = match trap {
        Some(Trap::StackOverflow) => "the stack is used up",
        Some(Trap::MemoryOutOfBounds) => "an access outside of linear memory",
        Some(Trap::TableOutOfBounds) => "an access outside of a table",
        Some(Trap::IndirectCallToNull) => "a call through an empty table element",
        Some(Trap::BadSignature) => "an indirect call of another type of function",
        Some(Trap::IntegerOverflow) => "an integer overflow",
        Some(Trap::IntegerDivisionByZero) => "a division by zero",
        Some(Trap::BadConversionToInteger) => "a number that no integer can hold",
        Some(Trap::UnreachableCodeReached) => "`unreachable`: the program gave up",
        _ => "a trap",
    };
    Fault::Instruction { pc, what }
}
