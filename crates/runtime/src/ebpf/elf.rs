//! Reads what the loader needs from a relocatable ELF file: sections, symbols, relocations.
//!
//! The `object` crate finds the tables and checks that they lie within the file; this module checks
//! that the file is one for us, and sorts its sections by what becomes of them. What it returns may
//! still be nonsense (see [`link`](super::link)), but is bounded by the size of the file, but for
//! [`Section::size`] of a section without bytes.

use object::LittleEndian;
use object::elf::{
    self, EM_BPF, ET_REL, FileHeader64, Rel64, SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHF_WRITE,
    SHT_NOBITS, SHT_PROGBITS, SHT_REL, SHT_RELA, SHT_SYMTAB,
};
use object::read::elf::{FileHeader, Rel, SectionHeader, SectionTable, Sym, SymbolTable};
use object::read::{SectionIndex, SymbolIndex};
use std::sync::Arc;

/// The file is not an object that could be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The message says it.
pub enum ElfError {
    #[error("not an ELF file")]
    Magic,
    #[error("not a 64-bit little-endian ELF file, as `clang -target bpf` makes it")]
    Class,
    #[error("made for machine {0}, not for eBPF (247)")]
    Machine(u16),
    #[error("not a relocatable object (ELF type {0}): compile with -c, don't link")]
    Type(u16),
    #[error("the ELF file is damaged: {0}")]
    Damaged(String),
    #[error("section `{0}` is compressed")]
    Compressed(Arc<str>),
    #[error("section `{0}` has relocations of a kind that eBPF objects don't have")]
    Relocations(Arc<str>),
}

/// What becomes of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions.
    Code,
    /// Data that programs only read.
    Constants,
    /// Data that programs may write.
    Variables,
    /// Debug information and such: not loaded.
    Ignored,
}

/// A section of the file. A symbol's section is an index into the file's list of them.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    pub name: Arc<str>,
    pub kind: Kind,
    /// What is in the file: `size` bytes, or none where all are zero.
    pub bytes: &'a [u8],
    pub size: u64,
    pub align: u64,
    /// Changes to be made to the bytes, as they are in the file: sections may share a table.
    relocations: &'a [Rel64<LittleEndian>],
}

impl Section<'_> {
    /// Changes to be made to the bytes, at most one for every eight of them.
    pub fn relocations(&self) -> impl Iterator<Item = Relocation> {
        self.relocations.iter().map(|entry| Relocation {
            offset: entry.r_offset(LittleEndian),
            kind: entry.r_type(LittleEndian).0,
            symbol: entry.r_sym(LittleEndian) as usize,
        })
    }
}

/// A change to be made to a section.
#[derive(Clone, Copy, Debug)]
pub struct Relocation {
    /// Where in the section.
    pub offset: u64,
    /// One of the `R_BPF_` numbers.
    pub kind: u32,
    /// Index into [`Object::symbols`].
    pub symbol: usize,
}

/// A named place in a section.
#[derive(Clone, Debug)]
pub struct Symbol<'a> {
    pub name: &'a [u8],
    pub kind: elf::SymbolType,
    pub global: bool,
    /// None where it isn't defined in this file.
    pub section: Option<usize>,
    pub value: u64,
}

/// The contents of a file.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    pub sections: Vec<Section<'a>>,
    pub symbols: Vec<Symbol<'a>>,
}

/// A name from a file in a form that is fit for a log: short and without control characters.
#[must_use]
pub fn readable(name: &[u8]) -> String {
    const LONGEST: usize = 64;
    let text = String::from_utf8_lossy(&name[..name.len().min(4 * LONGEST)]);
    let text: String = text.escape_debug().take(LONGEST + 1).collect();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

type Header = FileHeader64<LittleEndian>;

/// Reads an object file.
///
/// # Errors
/// When it is none, or none for eBPF.
pub fn read(image: &[u8]) -> Result<Object<'_>, ElfError> {
    let endian = LittleEndian;
    check_identity(image)?;
    let header = Header::parse(image).map_err(damaged)?;
    let machine = header.e_machine(endian);
    if machine != EM_BPF {
        return Err(ElfError::Machine(machine.0));
    }
    if header.e_type(endian) != ET_REL {
        return Err(ElfError::Type(header.e_type(endian).0));
    }
    let table = header.sections(endian, image).map_err(damaged)?;
    let symbols = table.symbols(endian, image, SHT_SYMTAB).map_err(damaged)?;

    let strings = header.shstrndx(endian, image).map_err(damaged)?;
    let strings = string_table(&table, SectionIndex(strings as usize), image)?;
    let mut sections = Vec::with_capacity(table.len());
    for header in table.iter() {
        let name: Arc<str> = readable(name_at(strings, header.sh_name(endian))).into();
        let flags = header.sh_flags(endian);
        let kind = match header.sh_type(endian) {
            // Unwinding information is marked as loaded, but nobody unwinds here.
            _ if &*name == ".eh_frame" => Kind::Ignored,
            SHT_PROGBITS | SHT_NOBITS if !flags.contains(SHF_ALLOC) => Kind::Ignored,
            SHT_PROGBITS if flags.contains(SHF_EXECINSTR) => Kind::Code,
            SHT_PROGBITS | SHT_NOBITS if flags.contains(SHF_WRITE) => Kind::Variables,
            SHT_PROGBITS | SHT_NOBITS => Kind::Constants,
            _ => Kind::Ignored,
        };
        if kind != Kind::Ignored && flags.contains(SHF_COMPRESSED) {
            return Err(ElfError::Compressed(name));
        }
        let bytes = match kind {
            Kind::Ignored => &[][..],
            _ => header.data(endian, image).map_err(damaged)?,
        };
        sections.push(Section {
            name,
            kind,
            bytes,
            size: header.sh_size(endian),
            align: header.sh_addralign(endian),
            relocations: &[],
        });
    }

    for header in table.iter() {
        let kind = header.sh_type(endian);
        if kind != SHT_REL && kind != SHT_RELA {
            continue;
        }
        let target = header.info_link(endian).0;
        let Some(section) = sections.get_mut(target) else {
            return Err(damaged("relocations of a section that is not there"));
        };
        if section.kind == Kind::Ignored {
            continue;
        }
        let rel = header.rel(endian, image).map_err(damaged)?;
        let Some((entries, link)) = rel else {
            return Err(ElfError::Relocations(section.name.clone()));
        };
        // At most one per instruction, so that many small tables can't make much work.
        let room = section.bytes.len() / 8;
        let fits = section.relocations.is_empty() && entries.len() <= room;
        if !fits || link != symbols.section() {
            return Err(ElfError::Relocations(section.name.clone()));
        }
        section.relocations = entries;
    }

    let strings = string_table(&table, symbols.string_section(), image)?;
    let symbols = symbols
        .enumerate()
        .map(|(index, symbol)| read_symbol(&symbols, strings, index, symbol))
        .collect::<Result<_, _>>()?;
    Ok(Object { sections, symbols })
}

/// Says what is wrong where a file is meant for somebody else.
fn check_identity(image: &[u8]) -> Result<(), ElfError> {
    if !image.starts_with(&elf::ELFMAG) {
        return Err(ElfError::Magic);
    }
    let class = image
        .get(4..6)
        .ok_or_else(|| damaged("it ends within its header"))?;
    if class != [elf::ELFCLASS64.0, elf::ELFDATA2LSB.0] {
        return Err(ElfError::Class);
    }
    Ok(())
}

/// The bytes of a string table; none where a file has none.
fn string_table<'a>(
    table: &SectionTable<'a, Header>,
    index: SectionIndex,
    image: &'a [u8],
) -> Result<&'a [u8], ElfError> {
    if index.0 == 0 {
        return Ok(&[]);
    }
    let section = table.section(index).map_err(damaged)?;
    section.data(LittleEndian, image).map_err(damaged)
}

/// The name at `offset`, cut where it is longer than any real one: many symbols may share one name
/// that fills the file, and looking for its end each time would take long.
fn name_at(strings: &[u8], offset: u32) -> &[u8] {
    const LONGEST: usize = 256;
    let name = strings.get(offset as usize..).unwrap_or_default();
    let name = &name[..name.len().min(LONGEST)];
    let end = name.iter().position(|&byte| byte == 0);
    &name[..end.unwrap_or(name.len())]
}

fn read_symbol<'a>(
    table: &SymbolTable<'a, Header>,
    strings: &'a [u8],
    index: SymbolIndex,
    symbol: &'a elf::Sym64<LittleEndian>,
) -> Result<Symbol<'a>, ElfError> {
    let endian = LittleEndian;
    let section = table
        .symbol_section(endian, symbol, index)
        .map_err(damaged)?;
    Ok(Symbol {
        name: name_at(strings, symbol.st_name(endian)),
        kind: symbol.st_type(),
        global: !symbol.is_local(),
        section: section.map(|index| index.0).filter(|&index| index != 0),
        value: symbol.st_value(endian),
    })
}

fn damaged(what: impl ToString) -> ElfError {
    ElfError::Damaged(what.to_string())
}
