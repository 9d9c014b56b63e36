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
    /// The slot that the program starts at.
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
    /// One entry per instruction, so that the distance of two of them is a count.
    pub code: Vec<Insn>,
    /// By instruction, the slot that it starts at: 64-bit immediates take two. Slots are what
    /// disassemblers count in, and so do [`functions`](Self::functions) and faults.
    pub slots: Vec<u32>,
    /// How the code divides into functions.
    pub functions: Functions,
    /// The instruction that the program starts with.
    pub entry: usize,
    /// What lies at [`layout::CONSTANTS`](super::layout::CONSTANTS).
    pub constants: Vec<u8>,
    /// What lies at [`layout::VARIABLES`](super::layout::VARIABLES) when a run starts.
    pub variables: Vec<u8>,
}

impl Module {
    /// The slot of an instruction.
    #[must_use]
    pub fn slot(&self, index: usize) -> usize {
        self.slots.get(index).map_or(index, |&slot| slot as usize)
    }
}

/// A function's name and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its symbol, or empty where the object has none.
    pub name: String,
    /// The section that it comes from.
    pub section: Arc<str>,
    /// Its first slot in the program.
    pub start: usize,
    /// Its first slot in its section.
    pub first: usize,
}

/// The functions of a program, which follow one another without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions {
    sorted: Vec<Function>,
    end: usize,
}

impl Functions {
    /// The functions of a program of `end` slots. Where several start at the same place
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

    /// Each function with the slots that belong to it.
    pub fn iter(&self) -> impl Iterator<Item = (&Function, Range<usize>)> {
        let ends = self.sorted.iter().skip(1).map(|f| f.start);
        let ends = ends.chain(std::iter::once(self.end));
        self.sorted
            .iter()
            .zip(ends)
            .map(|(function, end)| (function, function.start..end))
    }

    /// Whether a function starts at slot `slot`.
    #[must_use]
    pub fn starts_at(&self, slot: usize) -> bool {
        self.sorted.binary_search_by_key(&slot, |f| f.start).is_ok()
    }

    /// The function that slot `slot` belongs to.
    #[must_use]
    pub fn containing(&self, slot: usize) -> Option<&Function> {
        let after = self.sorted.partition_point(|f| f.start <= slot);
        self.sorted[..after].last().filter(|_| slot < self.end)
    }

    /// Slot `slot` in words, with the number that a disassembly of its section shows.
    #[must_use]
    pub fn place(&self, slot: usize) -> Option<String> {
        let function = self.containing(slot)?;
        let mut words = String::new();
        if !function.name.is_empty() {
            let _ = write!(words, "function `{}`, ", function.name);
        }
        let number = function.first + (slot - function.start);
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
        let place = |slot| functions.place(slot);
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
