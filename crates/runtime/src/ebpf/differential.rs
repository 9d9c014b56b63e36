//! The engines against one another: whatever a program does, it does in both.

use super::Engine;
use super::isa::{
    CALL, CALL_HELPER, CALL_LOCAL, LD_IMM64, R10, Raw, SLOT_BYTES, class, jump, mode, size,
};
use super::layout;
use super::loaded::Loaded;
use super::module::{Function, Functions, Linked, Module};
use super::run::Stack;
use super::verify::verify;
use crate::{Args, Fuel, Program as _, ReadError, Report, Segment, Services, Window, abi};
use ersatz_engine::Ns;
use ersatz_memory::Mapping;
use std::sync::{Arc, Mutex, PoisonError};

/// A drive that remembers what it printed.
#[derive(Default)]
struct Drive(Mutex<Vec<Vec<u8>>>);

/// Blocks of its one namespace, and bytes of each.
const BLOCKS: u64 = 16;
const BLOCK: u64 = 512;

impl Services for Drive {
    fn now(&self) -> Ns {
        Ns(123_456_789)
    }

    fn print(&self, text: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(text.to_vec());
    }

    fn read_blocks(
        &self,
        nsid: u32,
        slba: u64,
        nlb: u64,
        to: &Mapping,
        offset: u64,
        room: u64,
    ) -> Result<u64, ReadError> {
        if nsid != 1 {
            return Err(ReadError::Namespace { nsid });
        }
        if slba.checked_add(nlb).is_none_or(|end| end > BLOCKS) {
            return Err(ReadError::Blocks { nsid, slba, nlb });
        }
        let bytes = nlb * BLOCK;
        if bytes > room {
            return Err(ReadError::Room { bytes, room });
        }
        let filled = to.fill(offset, bytes, slba as u8 + 1);
        filled.map_err(|error| ReadError::Media(error.to_string()))?;
        Ok(bytes)
    }
}

/// The bytes of all memory that `window` shows parts of.
fn contents(window: &Window) -> Vec<Vec<u8>> {
    let all = window.segments().iter().map(|segment| {
        let mut bytes = vec![0; segment.memory.len() as usize];
        let read = segment.memory.read(0, &mut bytes);
        assert!(read.is_ok(), "all of it");
        bytes
    });
    all.collect()
}

/// Runs `module` by each engine, from the same memory on.
///
/// # Panics
/// When they differ in the report, in memory, or in what they ask of the drive; or when the module
/// can't be compiled.
pub fn run(module: &Module, stack: Stack, window: &Window, args: &Args<'_>, budget: u64) -> Report {
    let before = contents(window);
    let [interpreted, compiled] = [Engine::Interpreter, Engine::Eager].map(|engine| {
        for (segment, bytes) in window.segments().iter().zip(&before) {
            let written = segment.memory.write(0, bytes);
            assert!(written.is_ok(), "as it was read");
        }
        let drive = Drive::default();
        let loaded = Loaded::new(module.clone(), stack, engine);
        assert_eq!(loaded.is_compiled(), engine == Engine::Eager);
        let services: &dyn Services = &drive;
        let report = loaded.run(window, &Args { services, ..*args }, Fuel(budget));
        (report, contents(window), drive.0.into_inner())
    });
    assert_eq!(interpreted.0, compiled.0, "{module:?}");
    assert!(interpreted.1 == compiled.1, "memory differs: {module:?}");
    assert_eq!(interpreted.2.ok(), compiled.2.ok(), "{module:?}");
    compiled.0
}

/// Makes a program of `data`, most of which can be run, and runs it by each engine.
///
/// # Panics
/// As [`run`], and when it leaves its ranges or its budget.
pub fn program(data: &[u8]) {
    let Some((&[low, high, first, second], data)) = data.split_first_chunk() else {
        return;
    };
    let budget = u64::from(u16::from_le_bytes([low, high])) >> 2;
    let Ok(module) = verify(linked(data)) else {
        return;
    };
    let memory = Mapping::anonymous("differential", 8192);
    let memory = Arc::new(memory.unwrap_or_else(|error| panic!("8 KiB: {error}")));
    let filled = memory.fill(0, 8192, 0x5A);
    assert!(filled.is_ok(), "all of it");
    let segment = |offset: u64, len: u8| Segment {
        memory: Arc::clone(&memory),
        offset,
        len: 64 + u64::from(len) * 8,
    };
    let window = Window::new(vec![segment(100, first), segment(4196, second)]);
    let args = Args {
        parameters: [1, 64],
        data: b"differential",
        ..Args::default()
    };
    let stack = Stack {
        frames: 4,
        frame: 64,
    };
    let report = run(&module, stack, &window, &args, budget);
    assert!(report.instructions <= budget);
    let bytes = contents(&window).swap_remove(0);
    let inside = |at: &usize| {
        let within =
            |start: usize, len: u8| (start..start + 64 + usize::from(len) * 8).contains(at);
        within(100, first) || within(4196, second)
    };
    let outside = (0..bytes.len()).filter(|at| !inside(at));
    assert!(outside.into_iter().all(|at| bytes[at] == 0x5A));
}

/// Slots of what each program begins with.
const PROLOGUE: usize = 6;

/// A program that begins with pointers to everything in r6–r9.
fn linked(data: &[u8]) -> Linked {
    let load = |dst, offset: usize| Raw {
        opcode: class::LDX | mode::MEM | size::DW,
        dst,
        src: 1,
        offset: offset as i16,
        imm: 0,
    };
    let mut code = vec![
        load(6, abi::RANGES),
        load(7, abi::RANGES + abi::RANGE_BYTES),
    ];
    code.extend(wide(8, layout::VARIABLES));
    code.extend(wide(9, layout::CONSTANTS));
    debug_assert_eq!(code.len(), PROLOGUE);
    let mut starts = vec![0];
    for slot in data.as_chunks::<SLOT_BYTES>().0.iter().take(200) {
        let slot = Raw::from_bytes(*slot);
        let slot = Raw {
            dst: slot.dst % 11,
            src: slot.src % 11,
            ..slot
        };
        if slot.class() != class::LD {
            code.push(likely(slot));
            continue;
        }
        // There is but one instruction of this class: the others stand for what is rarer.
        match slot.opcode >> 4 {
            0..4 => {
                let segment = u64::from(slot.imm as u32 >> 29);
                let base = segment * layout::SLOT;
                code.extend(wide(
                    slot.dst % 10,
                    base + u64::from(slot.imm as u32 & 0xff),
                ));
            }
            4..7 => code.push(call(CALL_HELPER, 1001 + (slot.imm & 7))),
            7..12 => code.push(call(CALL_LOCAL, slot.imm)),
            _ => {
                code.push(exit());
                starts.push(code.len());
            }
        }
    }
    code.push(exit());
    aim(&mut code, &starts);
    let function = |&start: &usize| Function {
        name: String::new(),
        section: "fuzz".into(),
        start,
        first: start,
    };
    Linked {
        functions: Functions::new(starts.iter().map(function).collect(), code.len()),
        code,
        entry: 0,
        constants: b"some constants".to_vec(),
        variables: (0..100).collect(),
    }
}

/// Leads jumps to instructions of their function, and calls to functions.
fn aim(code: &mut [Raw], starts: &[usize]) {
    for index in 0..code.len() {
        let slot = code[index];
        let function = starts.partition_point(|&start| start <= index) - 1;
        let end = starts.get(function + 1).copied().unwrap_or(code.len());
        let jumps = matches!(slot.class(), class::JMP | class::JMP32);
        let near = |to: usize| to as i64 - index as i64 - 1;
        if slot.is_local_call() {
            let to = starts[slot.imm as u32 as usize % starts.len()];
            code[index].imm = near(to) as i32;
        } else if jumps && slot.opcode != CALL && slot != exit() {
            let start = starts[function].max(if function == 0 { PROLOGUE } else { 0 });
            let to = start + usize::from(slot.offset as u16) % (end - start);
            let to = to - usize::from(code[to.max(1) - 1].opcode == LD_IMM64);
            if slot.opcode == class::JMP32 | jump::JA {
                code[index].imm = near(to) as i32;
            } else {
                code[index].offset = near(to) as i16;
            }
        }
    }
}

/// `slot` with such fields that it is probably valid.
fn likely(slot: Raw) -> Raw {
    let register = slot.opcode & 8 != 0;
    // Mostly near where r6–r10 point to: a program that faults at once shows little.
    let base = match slot.offset.to_be_bytes()[0] {
        0..16 => slot.src,
        other => [6, 7, 8, 10][usize::from(other) % 4],
    };
    let near = match i16::from(slot.offset as i8) {
        offset if base == R10 => offset & 63 | -64,
        offset => offset & 127,
    };
    match slot.class() {
        class::LDX => Raw {
            opcode: match slot.opcode & 0x38 {
                0x20..0x38 => class::LDX | mode::MEMSX | slot.opcode & 0x18,
                _ => class::LDX | mode::MEM | slot.opcode & 0x18,
            },
            dst: slot.dst % 6,
            src: base,
            offset: near,
            imm: 0,
        },
        class::ST => Raw {
            opcode: class::ST | mode::MEM | slot.opcode & 0x18,
            dst: base,
            src: 0,
            offset: near,
            ..slot
        },
        class::STX if slot.opcode >= 0xa0 => Raw {
            opcode: class::STX | mode::ATOMIC | if register { size::DW } else { size::W },
            dst: base,
            src: slot.src % 6,
            offset: near & !3,
            imm: [
                0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100, 0x110,
            ][slot.imm as u32 as usize % 12],
        },
        class::STX => Raw {
            opcode: class::STX | mode::MEM | slot.opcode & 0x18,
            dst: base,
            offset: near,
            imm: 0,
            ..slot
        },
        class::JMP | class::JMP32 => {
            let ja = slot.opcode & 0xf0 == jump::JA;
            let code = match slot.opcode & 0xf0 {
                jump::CALL | jump::EXIT | 0xe0.. => jump::JNE,
                code => code,
            };
            Raw {
                opcode: slot.class() | code | if ja { 0 } else { slot.opcode & 8 },
                dst: if ja { 0 } else { slot.dst },
                src: if ja || !register { 0 } else { slot.src },
                imm: if ja || register { 0 } else { slot.imm },
                offset: slot.offset,
            }
        }
        _ => arithmetic(slot, register),
    }
}

fn arithmetic(slot: Raw, register: bool) -> Raw {
    use super::isa::alu;
    let code = (slot.opcode >> 4).min(13) << 4;
    let wide = slot.class() == class::ALU64;
    let plain = Raw {
        opcode: slot.class() | code | slot.opcode & 8,
        dst: slot.dst % 6,
        src: if register { slot.src } else { 0 },
        offset: 0,
        imm: if register { 0 } else { slot.imm },
    };
    match code {
        // The registers that point somewhere stay near there.
        alu::ADD if wide && !register => Raw {
            dst: slot.dst % R10,
            imm: slot.imm % 16,
            ..plain
        },
        alu::END => Raw {
            opcode: slot.class() | code | if wide { 0 } else { slot.opcode & 8 },
            src: 0,
            imm: 16 << (slot.imm as u32 % 3),
            ..plain
        },
        alu::NEG => Raw {
            opcode: slot.class() | code,
            src: 0,
            imm: 0,
            ..plain
        },
        alu::DIV | alu::MOD => Raw {
            offset: slot.offset & 1,
            ..plain
        },
        alu::MOV if register => Raw {
            offset: [0, 0, 8, 16][usize::from(slot.offset as u16 & 3)],
            ..plain
        },
        _ => plain,
    }
}

fn wide(dst: u8, value: u64) -> [Raw; 2] {
    let half = |opcode, dst, imm| Raw {
        opcode,
        dst,
        src: 0,
        offset: 0,
        imm,
    };
    [
        half(LD_IMM64, dst, value as i32),
        half(0, 0, (value >> 32) as i32),
    ]
}

fn call(src: u8, imm: i32) -> Raw {
    Raw {
        opcode: CALL,
        dst: 0,
        src,
        offset: 0,
        imm,
    }
}

fn exit() -> Raw {
    Raw {
        opcode: class::JMP | jump::EXIT,
        dst: 0,
        src: 0,
        offset: 0,
        imm: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn a_program_does_the_same_in_both_engines(
            head in any::<[u8; 4]>(),
            slots in prop::collection::vec(any::<[u8; SLOT_BYTES]>(), 0..60),
        ) {
            let data = [&head[..], slots.as_flattened()].concat();
            program(&data);
        }
    }
}
