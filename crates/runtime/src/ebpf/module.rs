//! A program between loading and running: what the loader makes and the engines share.

use super::isa::{Insn, Raw};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// What an object file holds, laid out and relocated, but not yet checked.
#[derive(Clone, Debug)]
pub struct Linked {
    /// All code, section after section.
    pub code: Vec<Raw>,
    /// How the code divides into functions.
    pub functions: Functions,
    /// Where the program starts.
    pub entry: usize,
    /// What lies at [`layout::CONSTANTS`](super::layout::CONSTANTS).
    pub constants: Vec<u8>,
    /// What lies at [`layout::VARIABLES`](super::layout::VARIABLES) when a run starts.
    pub variables: Vec<u8>,
}

/// A checked program, which an engine can run without looking at its code again: every register
/// number, jump and call is good, and no function runs past its end.
#[derive(Clone, Debug)]
pub struct Module {
    /// One entry per instruction slot, so that indices are the numbers that disassemblers show.
    pub code: Vec<Insn>,
    /// How the code divides into functions.
    pub functions: Functions,
    /// Where the program starts.
    pub entry: usize,
    /// What lies at [`layout::CONSTANTS`](super::layout::CONSTANTS).
    pub constants: Vec<u8>,
    /// What lies at [`layout::VARIABLES`](super::layout::VARIABLES) when a run starts.
    pub variables: Vec<u8>,
}

/// A function's name and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol, or empty where the object has none.
    pub name: String,
    /// The section that it comes from.
    pub section: Arc<str>,
    /// Number of its first instruction in the program.
    pub start: usize,
    /// Number of its first instruction in its section.
    pub first: usize,
}

/// The functions of a program, which follow one another without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    sorted: Vec<Function>,
    end: usize,
}

impl Functions {
    /// The functions of a program of `end` instructions. Where several start at the same place
    /// the first one counts.
    #[must_use]
    pub fn new(mut functions: Vec<Function>, end: usize) -> Self {
        functions.sort_by_key(|f| f.start);
        functions.dedup_by_key(|f| f.start);
        Self {
            sorted: functions,
            end,
        }
    }

    /// Each function with the instructions that belong to it.
    pub fn iter(&self) -> impl Iterator<Item = (&Function, Range<usize>)> {
        let ends = self.sorted.iter().skip(1).map(|f| f.start);
        let ends = ends.chain(std::iter::once(self.end));
        self.sorted
            .iter()
            .zip(ends)
            .map(|(function, end)| (function, function.start..end))
    }

    /// Whether a function starts at instruction `pc`.
    #[must_use]
    pub fn starts_at(&self, pc: usize) -> bool {
        self.sorted.binary_search_by_key(&pc, |f| f.start).is_ok()
    }

    /// The function that instruction `pc` belongs to.
    #[must_use]
    pub fn containing(&self, pc: usize) -> Option<&Function> {
        let after = self.sorted.partition_point(|f| f.start <= pc);
        self.sorted[..after].last().filter(|_| pc < self.end)
    }

    /// Instruction `pc` in words, with the number that a disassembly of its section shows.
    #[must_use]
    pub fn place(&self, pc: usize) -> Option<String> {
        let function = self.containing(pc)?;
        let mut words = String::new();
        if !function.name.is_empty() {
            let _ = write!(words, "function `{}`, ", function.name);
        }
        let number = function.first + (pc - function.start);
        let _ = write!(
            words,
            "section `{}`, instruction {number}",
            function.section
        );
        Some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, start: usize, first: usize) -> Function {
        Function {
            name: name.into(),
            section: "text".into(),
            start,
            first,
        }
    }

    #[test]
    fn an_instruction_is_named_by_function_and_place_in_its_section() {
        let functions = Functions::new(
            vec![
                function("b", 7, 0),
                function("a", 0, 3),
                function("c", 7, 0),
            ],
            9,
        );
        let place = |pc| functions.place(pc);
        assert_eq!(
            place(6).as_deref(),
            Some("function `a`, section `text`, instruction 9")
        );
        assert_eq!(
            place(8).as_deref(),
            Some("function `b`, section `text`, instruction 1")
        );
        assert_eq!(place(9), None);
        assert!(functions.starts_at(7) && !functions.starts_at(8));
        let ranges: Vec<_> = functions.iter().map(|(_, range)| range).collect();
        assert_eq!(ranges, [0..7, 7..9]);
    }
}
