//! Lays an object's sections out as one program and resolves what they refer to.
//!
//! Code sections follow one another in one array of instructions. Sections of constants and of
//! variables are placed in their segments (see [`layout`]), whose addresses are known beforehand,
//! so that relocation is finished here, once for all runs.

use super::Limits;
use super::elf::{Kind, Object, Relocation, Section, Symbol, readable};
use super::isa::{CALL, CALL_LOCAL, LD_IMM64, Raw, SLOT_BYTES};
use super::layout;
use super::module::{Function, Functions, Linked};
use object::elf::{STT_FUNC, STT_SECTION};

/// Relocation types of eBPF.
mod reloc {
    /// The immediate of a 64-bit load: an address of data.
    pub const R_BPF_64_64: u32 = 1;
    /// A 64-bit word of data: an address of data.
    pub const R_BPF_64_ABS64: u32 = 2;
    /// The immediate of a call: a function.
    pub const R_BPF_64_32: u32 = 10;
}

/// The object can't become a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The message says it.
pub enum LinkError {
    #[error("the object has no code")]
    NoCode,
    #[error("section `{section}`: {bytes} bytes are not a whole number of instructions")]
    CodeSize { section: String, bytes: u64 },
    #[error("the object has more than {limit} instructions")]
    TooManyInstructions { limit: usize },
    #[error("the object has more than {limit} bytes of data")]
    TooMuchData { limit: usize },
    #[error("section `{section}`: an alignment of {align} bytes is not possible")]
    Alignment { section: String, align: u64 },
    #[error("function `{symbol}` is not at an instruction of section `{section}`")]
    Function { symbol: String, section: String },
    #[error("section `{section}`, instruction {number}: {what}")]
    Instruction {
        section: String,
        number: u64,
        what: String,
    },
    #[error("section `{section}`, byte {offset}: {what}")]
    Data {
        section: String,
        offset: u64,
        what: String,
    },
    #[error("the object has no function `{0}`")]
    NoEntry(String),
    #[error("several functions could be the program: {0}; name one")]
    AmbiguousEntry(String),
    #[error("the object has no global function to start with")]
    NoGlobalFunction,
}

/// Makes a program of an object, to start at the function `entry`, or where that is empty at
/// 1. the one global function outside of `.text`, which is where a named section (`SEC("…")`) puts it;
/// 2. else the global function `main`;
/// 3. else the only global function.
///
/// # Errors
/// With the section and the place in it that is wrong.
pub fn link(object: &Object<'_>, entry: &str, limits: &Limits) -> Result<Linked, LinkError> {
    let mut linker = Linker::place(object, limits)?;
    for (index, section) in object.sections.iter().enumerate() {
        for relocation in section.relocations() {
            match section.kind {
                Kind::Code => linker.relocate_code(index, section, &relocation)?,
                _ => linker.relocate_data(index, section, &relocation)?,
            }
        }
    }
    linker.check_direct_calls()?;
    let entry = linker.entry(entry)?;
    let functions = linker.functions()?;
    Ok(Linked {
        code: linker.code,
        functions,
        entry,
        constants: linker.constants,
        variables: linker.variables,
    })
}

struct Linker<'a> {
    object: &'a Object<'a>,
    code: Vec<Raw>,
    /// Whether an instruction's call was relocated: then it may lead to another section.
    relocated: Vec<bool>,
    constants: Vec<u8>,
    variables: Vec<u8>,
    /// By section: where it starts, as an index into `code`, `constants` or `variables`.
    starts: Vec<usize>,
}

impl<'a> Linker<'a> {
    fn place(object: &'a Object<'a>, limits: &Limits) -> Result<Self, LinkError> {
        let mut linker = Self {
            object,
            code: Vec::new(),
            relocated: Vec::new(),
            constants: Vec::new(),
            variables: Vec::new(),
            starts: vec![0; object.sections.len()],
        };
        for (index, section) in object.sections.iter().enumerate() {
            linker.starts[index] = match section.kind {
                Kind::Code => linker.place_code(section, limits.instructions)?,
                Kind::Constants | Kind::Variables => linker.place_data(section, limits.data)?,
                Kind::Ignored => 0,
            };
        }
        if linker.code.is_empty() {
            return Err(LinkError::NoCode);
        }
        linker.relocated = vec![false; linker.code.len()];
        Ok(linker)
    }

    fn place_code(&mut self, section: &Section<'_>, limit: usize) -> Result<usize, LinkError> {
        let (slots, rest) = section.bytes.as_chunks::<SLOT_BYTES>();
        if !rest.is_empty() {
            return Err(LinkError::CodeSize {
                section: section.name.to_string(),
                bytes: section.size,
            });
        }
        let start = self.code.len();
        if slots.len() > limit.saturating_sub(start) {
            return Err(LinkError::TooManyInstructions { limit });
        }
        self.code
            .extend(slots.iter().map(|&slot| Raw::from_bytes(slot)));
        Ok(start)
    }

    fn place_data(&mut self, section: &Section<'_>, limit: usize) -> Result<usize, LinkError> {
        let align = section.align.max(1);
        if !align.is_power_of_two() || align > layout::PAGE {
            return Err(LinkError::Alignment {
                section: section.name.to_string(),
                align,
            });
        }
        let total = self.constants.len() + self.variables.len();
        let bytes = match section.kind {
            Kind::Constants => &mut self.constants,
            _ => &mut self.variables,
        };
        let start = bytes.len().next_multiple_of(align as usize);
        let gap = start - bytes.len();
        let room = limit.saturating_sub(total).saturating_sub(gap);
        let size = usize::try_from(section.size)
            .ok()
            .filter(|&size| size <= room)
            .ok_or(LinkError::TooMuchData { limit })?;
        bytes.resize(start, 0);
        bytes.extend_from_slice(section.bytes);
        bytes.resize(start + size, 0);
        Ok(start)
    }

    fn relocate_code(
        &mut self,
        index: usize,
        section: &Section<'_>,
        relocation: &Relocation,
    ) -> Result<(), LinkError> {
        let fail = |what: String| LinkError::Instruction {
            section: section.name.to_string(),
            number: relocation.offset / SLOT_BYTES as u64,
            what,
        };
        let slots = section.bytes.len() / SLOT_BYTES;
        let number = usize::try_from(relocation.offset)
            .ok()
            .filter(|offset| offset.is_multiple_of(SLOT_BYTES))
            .map(|offset| offset / SLOT_BYTES)
            .filter(|&number| number < slots)
            .ok_or_else(|| fail("a relocation outside of the code".into()))?;
        let pc = self.starts[index] + number;
        let opcode = self.code[pc].opcode;
        match relocation.kind {
            reloc::R_BPF_64_64 if opcode == LD_IMM64 && number + 1 < slots => {
                let (low, high) = (self.code[pc].imm, self.code[pc + 1].imm);
                let addend = u64::from(low as u32) | u64::from(high as u32) << 32;
                let address = self.address(relocation, addend).map_err(fail)?;
                self.code[pc].imm = address as i32;
                self.code[pc + 1].imm = (address >> 32) as i32;
                Ok(())
            }
            reloc::R_BPF_64_32 if opcode == CALL => {
                let imm = i64::from(self.code[pc].imm);
                let target = self.callee(relocation, imm).map_err(fail)?;
                let distance = target as i64 - (pc as i64 + 1);
                let call = &mut self.code[pc];
                call.src = CALL_LOCAL;
                call.imm = i32::try_from(distance).map_err(|e| fail(e.to_string()))?;
                self.relocated[pc] = true;
                Ok(())
            }
            kind => Err(fail(format!(
                "relocation type {kind} does not fit the instruction"
            ))),
        }
    }

    fn relocate_data(
        &mut self,
        index: usize,
        section: &Section<'_>,
        relocation: &Relocation,
    ) -> Result<(), LinkError> {
        let fail = |what: String| LinkError::Data {
            section: section.name.to_string(),
            offset: relocation.offset,
            what,
        };
        if relocation.kind != reloc::R_BPF_64_ABS64 {
            return Err(fail(format!(
                "relocation type {} does not fit data",
                relocation.kind
            )));
        }
        let outside = || fail("a relocation outside of the section".into());
        let offset = usize::try_from(relocation.offset).map_err(|_| outside())?;
        let word = section.bytes.get(offset..).and_then(<[u8]>::first_chunk);
        let addend = u64::from_le_bytes(*word.ok_or_else(outside)?);
        let address = self.address(relocation, addend).map_err(fail)?;
        let bytes = match section.kind {
            Kind::Constants => &mut self.constants,
            _ => &mut self.variables,
        };
        let at = self.starts[index] + offset;
        bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
        Ok(())
    }

    /// The symbol that a relocation refers to and the section that it is in.
    fn symbol(
        &self,
        relocation: &Relocation,
    ) -> Result<(&'a Symbol<'a>, usize, &'a Section<'a>), String> {
        let symbols = &self.object.symbols;
        let symbol = symbols
            .get(relocation.symbol)
            .ok_or("a relocation to a symbol that is not there")?;
        let found = symbol
            .section
            .and_then(|index| Some((index, self.object.sections.get(index)?)));
        let (index, section) = found.ok_or_else(|| {
            format!(
                "refers to `{}`, which the object does not define",
                readable(symbol.name)
            )
        })?;
        Ok((symbol, index, section))
    }

    /// The address that a relocation asks for.
    fn address(&self, relocation: &Relocation, addend: u64) -> Result<u64, String> {
        let (symbol, index, section) = self.symbol(relocation)?;
        let segment = match section.kind {
            Kind::Constants => layout::CONSTANTS,
            Kind::Variables => layout::VARIABLES,
            Kind::Code => {
                return Err(format!(
                    "takes the address of function `{}`: indirect calls don't exist here",
                    readable(symbol.name)
                ));
            }
            Kind::Ignored => {
                return Err(format!(
                    "refers to section `{}`, which is not loaded",
                    section.name
                ));
            }
        };
        // Compilers point beyond the end of an object now and then (and never use it): the address
        // is not checked here but when it is used.
        let start = segment + self.starts[index] as u64;
        Ok(start.wrapping_add(symbol.value).wrapping_add(addend))
    }

    /// The instruction that a call relocation asks for. The immediate of a call counts from the
    /// instruction after it, so that -1 is the symbol itself.
    fn callee(&self, relocation: &Relocation, imm: i64) -> Result<usize, String> {
        let (symbol, index, section) = self.symbol(relocation)?;
        let name = || match symbol.kind {
            STT_SECTION => section.name.to_string(),
            _ => readable(symbol.name),
        };
        let slots = section.bytes.len() / SLOT_BYTES;
        i64::try_from(symbol.value / SLOT_BYTES as u64)
            .ok()
            .filter(|_| section.kind == Kind::Code && symbol.value.is_multiple_of(8))
            .map(|number| number.saturating_add(imm + 1))
            .and_then(|number| usize::try_from(number).ok())
            .filter(|&number| number < slots)
            .map(|number| self.starts[index] + number)
            .ok_or_else(|| format!("calls `{}`, which is not a function here", name()))
    }

    /// A call without a relocation leads to its own section, or nowhere.
    fn check_direct_calls(&self) -> Result<(), LinkError> {
        for (index, section) in self.code_sections() {
            let start = self.starts[index];
            let end = start + section.bytes.len() / SLOT_BYTES;
            for pc in (start..end).filter(|&pc| self.code[pc].is_local_call()) {
                let to = call_target(pc, self.code[pc]);
                if !self.relocated[pc] && !to.is_some_and(|to| (start..end).contains(&to)) {
                    return Err(LinkError::Instruction {
                        section: section.name.to_string(),
                        number: (pc - start) as u64,
                        what: "calls outside of its section".into(),
                    });
                }
            }
        }
        Ok(())
    }

    fn code_sections(&self) -> impl Iterator<Item = (usize, &'a Section<'a>)> + use<'a> {
        let sections = self.object.sections.iter().enumerate();
        sections.filter(|(_, section)| section.kind == Kind::Code)
    }

    /// The functions that symbols name, and where each starts in `code`.
    fn named(&self) -> Result<Vec<(usize, &'a Symbol<'a>, &'a Section<'a>)>, LinkError> {
        let mut found = Vec::new();
        for symbol in &self.object.symbols {
            let section = symbol
                .section
                .and_then(|index| Some((index, self.object.sections.get(index)?)));
            let Some((index, section)) = section.filter(|(_, s)| s.kind == Kind::Code) else {
                continue;
            };
            if symbol.kind != STT_FUNC {
                continue;
            }
            let inside = symbol.value < section.bytes.len() as u64;
            if !inside || !symbol.value.is_multiple_of(SLOT_BYTES as u64) {
                return Err(LinkError::Function {
                    symbol: readable(symbol.name),
                    section: section.name.to_string(),
                });
            }
            let start = self.starts[index] + symbol.value as usize / SLOT_BYTES;
            found.push((start, symbol, section));
        }
        Ok(found)
    }

    /// Divides the code into functions. Each symbol starts one; so does a section, and each target
    /// of a call, for an object that was stripped.
    fn functions(&self) -> Result<Functions, LinkError> {
        let mut functions = Vec::new();
        for (start, symbol, section) in self.named()? {
            functions.push(Function {
                name: readable(symbol.name),
                section: section.name.clone(),
                start,
                first: symbol.value as usize / SLOT_BYTES,
            });
        }
        let mut sections = Vec::new();
        for (index, section) in self.code_sections() {
            if !section.bytes.is_empty() {
                sections.push((self.starts[index], section));
            }
        }
        let calls = self.code.iter().enumerate();
        let targets = calls
            .filter(|(_, raw)| raw.is_local_call())
            .filter_map(|(pc, raw)| call_target(pc, *raw));
        for start in sections.iter().map(|(start, _)| *start).chain(targets) {
            let after = sections.partition_point(|(s, _)| *s <= start);
            let Some((first, section)) = sections[..after].last() else {
                continue;
            };
            functions.push(Function {
                name: String::new(),
                section: section.name.clone(),
                start,
                first: start - first,
            });
        }
        Ok(Functions::new(functions, self.code.len()))
    }

    fn entry(&self, name: &str) -> Result<usize, LinkError> {
        let named = self.named()?;
        if !name.is_empty() {
            let found = named.iter().find(|(_, s, _)| s.name == name.as_bytes());
            let found = found.map(|(start, ..)| *start);
            return found.ok_or_else(|| LinkError::NoEntry(readable(name.as_bytes())));
        }
        let global: Vec<_> = named.iter().filter(|(_, s, _)| s.global).collect();
        let in_text = |section: &str| section == ".text" || section.starts_with(".text.");
        let marked: Vec<_> = global
            .iter()
            .copied()
            .filter(|(_, _, section)| !in_text(&section.name))
            .collect();
        let main = global.iter().find(|(_, s, _)| s.name == b"main");
        let candidates = if marked.is_empty() { &global } else { &marked };
        match (candidates.as_slice(), main) {
            ([(start, ..)], _) => Ok(*start),
            ([], _) => Err(LinkError::NoGlobalFunction),
            (_, Some((start, ..))) if marked.is_empty() => Ok(*start),
            (several, _) => {
                const SHOWN: usize = 8;
                let names = several.iter().take(SHOWN);
                let mut names: Vec<_> = names.map(|(_, s, _)| readable(s.name)).collect();
                if several.len() > SHOWN {
                    names.push("…".into());
                }
                Err(LinkError::AmbiguousEntry(names.join(", ")))
            }
        }
    }
}

fn call_target(pc: usize, raw: Raw) -> Option<usize> {
    usize::try_from(pc as i64 + 1 + i64::from(raw.imm)).ok()
}
