//! What generated code and the rest of the runtime share while a program runs.

use crate::Fault;
use crate::ebpf::interpret;
use crate::ebpf::isa::R10;
use crate::ebpf::layout;
use crate::ebpf::run::{Ended, Registers, Run, State};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The budget that is left after a fault, as generated code sees it.
pub const FAILED: i64 = -1;

/// The segment that a bounds check found its bytes in the last time: it mostly is the one of the
/// next time as well.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Cache {
    /// Address of the segment.
    pub start: u64,
    /// Offsets in it below this one leave room for all bytes of the check. 0 before the first.
    pub limit: u64,
    /// Where the segment is in this process.
    pub host: u64,
}

/// What a bounds check is for.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Bytes from the first to the last that is accessed.
    pub extent: u64,
    /// Whether some are written.
    pub write: bool,
}

/// What generated code gets a pointer to. It knows the public fields.
#[repr(C)]
pub struct Context<'a> {
    /// Registers on their way to the interpreter and back.
    pub registers: Registers,
    /// One for each site.
    pub caches: *mut Cache,
    /// Where segments are that every run has.
    pub variables: *const u8,
    pub constants: *const u8,
    pub stack: *const u8,
    /// What [`find`] found.
    pub found: *const u8,
    sites: &'a [Site],
    run: &'a Run<'a>,
    /// How the run failed, if it did.
    failed: Option<Ended>,
    /// A panic on its way through generated code, which could not be unwound.
    panic: Option<Box<dyn Any + Send>>,
}

impl<'a> Context<'a> {
    /// For `run`, with a cache for each of `sites`.
    pub fn new(run: &'a Run<'a>, sites: &'a [Site], caches: &mut [Cache]) -> Self {
        debug_assert_eq!(sites.len(), caches.len());
        let place = |start| {
            let segment = run.memory.segment(start);
            segment.map_or(std::ptr::null(), |segment| segment.host)
        };
        Self {
            registers: Registers::default(),
            caches: caches.as_mut_ptr(),
            variables: place(layout::VARIABLES),
            constants: place(layout::CONSTANTS),
            stack: place(layout::STACK),
            found: std::ptr::null(),
            sites,
            run,
            failed: None,
            panic: None,
        }
    }

    /// How the run ended, of which generated code says that so much of the budget is left.
    pub fn ended(self, left: i64) -> Ended {
        if let Some(panic) = self.panic {
            std::panic::resume_unwind(panic);
        }
        match (u64::try_from(left), self.failed) {
            (Ok(left), _) => Ended {
                result: Ok(self.registers[0]),
                left,
            },
            (Err(_), Some(failed)) => failed,
            (Err(_), None) => Ended {
                result: Err(Fault::Failed {
                    reason: "generated code failed without a reason".into(),
                }),
                left: 0,
            },
        }
    }

    fn state(&self, next: u64, fuel: i64) -> State {
        let stack = self.run.stack;
        let above =
            (layout::STACK + stack.bytes() as u64).wrapping_sub(self.registers[R10 as usize]);
        State {
            registers: self.registers,
            next: next as usize,
            nested: above.checked_div(stack.frame as u64).unwrap_or(0) as usize,
            budget: u64::try_from(fuel).unwrap_or(0),
        }
    }

    /// What `work` leaves of the budget, with a panic put aside.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<u64, Ended>) -> i64 {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            // Less than it was, which was an i64.
            Ok(Ok(left)) => left as i64,
            Ok(Err(ended)) => {
                self.failed = Some(ended);
                FAILED
            }
            Err(panic) => {
                self.panic = Some(panic);
                FAILED
            }
        }
    }
}

/// Where the bytes of the check `site` are, the first of which is at `address`; null if they are
/// not all in one segment, or may not be used so. Fills the site's cache.
///
/// # Safety
/// `context` is the one that generated code was given.
pub unsafe extern "C" fn find(context: *mut Context<'_>, site: u64, address: u64) -> *const u8 {
    // SAFETY: the context lives while generated code runs, which touches it only outside of this
    // call; no other thread knows it.
    let context = unsafe { &mut *context };
    let index = site as usize;
    let (Some(site), Some(segment)) = (
        context.sites.get(index),
        context.run.memory.segment(address),
    ) else {
        return std::ptr::null();
    };
    let offset = address - segment.start;
    let limit = (segment.len + 1).saturating_sub(site.extent);
    if offset >= limit || (site.write && !segment.writable) {
        return std::ptr::null();
    }
    let cache = Cache {
        start: segment.start,
        limit,
        host: segment.host as u64,
    };
    // SAFETY: there is a cache for each site, and the caller knows only such.
    unsafe { context.caches.add(index).write(cache) };
    segment.host.wrapping_add(offset as usize)
}

/// Has the interpreter do the instruction `next`, which was paid for. The budget that is left then
/// comes back, or [`FAILED`].
///
/// # Safety
/// As [`find`].
pub unsafe extern "C" fn step(context: *mut Context<'_>, next: u64, fuel: i64) -> i64 {
    // SAFETY: as in `find`.
    let context = unsafe { &mut *context };
    context.guarded(|context| {
        let mut state = context.state(next, fuel);
        let done = interpret::step(context.run, &mut state);
        context.registers = state.registers;
        match done {
            Ok(()) => Ok(state.budget),
            Err(fault) => Err(Ended {
                result: Err(fault),
                left: state.budget,
            }),
        }
    })
}

/// Has the interpreter run the current function to its end, from `next` on. r0 is then in the
/// context, and the budget that is left comes back, or [`FAILED`].
///
/// # Safety
/// As [`find`].
pub unsafe extern "C" fn finish(context: *mut Context<'_>, next: u64, fuel: i64) -> i64 {
    // SAFETY: as in `find`.
    let context = unsafe { &mut *context };
    context.guarded(|context| {
        let ended = interpret::run(context.run, &context.state(next, fuel));
        match ended.result {
            Ok(value) => {
                context.registers[0] = value;
                Ok(ended.left)
            }
            Err(_) => Err(ended),
        }
    })
}
