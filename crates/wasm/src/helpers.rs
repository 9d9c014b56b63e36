//! What a program may call: the functions of module "ersatz", as eBPF's helpers of the same names.
//!
//! A helper checks all its arguments before it does anything, and costs its call and an instruction
//! for each eight bytes (begun ones not counted) that it works on.

use crate::fault::Refusal;
use crate::linear;
use crate::place::refresh;
use crate::state::State;
use ersatz_runtime::BlockRead;
use wasmtime::{AsContextMut, Caller, Linker, Result};

/// Module of the imports.
pub const MODULE: &str = "ersatz";
/// Most bytes of one print.
const MAX_PRINT: u32 = 1024;
/// Most reads of a run that don't continue the one before: each is kept until the run's end.
const MAX_READS: usize = 1 << 16;

/// Lets programs import the helpers.
///
/// # Errors
/// Never: the names differ.
pub fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(MODULE, "print", print)?;
    linker.func_wrap(MODULE, "time", time)?;
    linker.func_wrap(MODULE, "read_blocks", read_blocks)?;
    Ok(())
}

/// `print(text, len)`: a line in the drive's log.
fn print(mut caller: Caller<'_, State>, text: u32, len: u32) -> Result<()> {
    if len > MAX_PRINT {
        return Err(Refusal::Argument("print of more than 1024 bytes").into());
    }
    let memory = caller.data().memory.ok_or(EARLY)?;
    let mut bytes = vec![0; len as usize];
    linear::read(&caller, memory, text.into(), &mut bytes)
        .ok_or(Refusal::Access(text.into(), len.into()))?;
    charge(&mut caller, len.into())?;
    caller.data().services().print(&bytes);
    Ok(())
}

/// `time()`: modelled nanoseconds at which the job arrived.
fn time(caller: Caller<'_, State>) -> u64 {
    caller.data().services().now().0
}

/// `read_blocks(nsid, slba, nlb, to, room)`: bytes that were read to `to`, in a memory range.
fn read_blocks(
    mut caller: Caller<'_, State>,
    nsid: u32,
    slba: u64,
    nlb: u64,
    to: u32,
    room: u32,
) -> Result<u64> {
    let state = caller.data_mut();
    if state.memory.is_none() {
        return Err(EARLY.into());
    }
    let (to, room) = (u64::from(to), u64::from(room));
    let inside = state.ranges.iter().find(|range| {
        let at = to.wrapping_sub(range.address);
        at <= range.len && room <= range.len - at && range.memory.is_writable()
    });
    let range = inside.ok_or(Refusal::Access(to, room))?;
    let continues = state.reads.last().is_some_and(|last| {
        (last.nsid, last.slba.checked_add(last.nlb)) == (nsid, Some(slba))
            && last.nlb.checked_add(nlb).is_some()
    });
    if !continues && state.reads.len() >= MAX_READS {
        let what = "more than 65536 reads that don't continue one another";
        return Err(Refusal::Argument(what).into());
    }
    let offset = range.offset + (to - range.address);
    let bytes = state
        .services()
        .read_blocks(nsid, slba, nlb, &range.memory, offset, room)
        .map_err(Refusal::Read)?;
    match state.reads.last_mut() {
        Some(last) if continues => last.nlb += nlb,
        _ => state.reads.push(BlockRead { nsid, slba, nlb }),
    }
    refresh(&mut caller.as_context_mut(), to, bytes).ok_or(Refusal::Access(to, bytes))?;
    // Only the drive knows how many bytes a block has. What was read is booked in any case.
    charge(&mut caller, bytes)?;
    Ok(bytes)
}

/// What a helper says that a module's start function calls.
const EARLY: Refusal = Refusal::Argument("a helper before the program's entry was called");

/// Takes the fuel for work on `bytes`.
fn charge(caller: &mut Caller<'_, State>, bytes: u64) -> Result<()> {
    let left = caller.get_fuel()?.checked_sub(bytes / 8);
    caller.set_fuel(left.unwrap_or(0))?;
    left.map(drop).ok_or_else(|| Refusal::Budget.into())
}
