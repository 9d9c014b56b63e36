//! Takes values out of the tables of a file, and notes what is wrong with them.
//!
//! A reader takes all keys of its table first and uses `?` only then, so that one refused value
//! does not hide the next.

use crate::problem::{Problems, Refused};
use crate::schema::{Absent, Form, Key, Kind, Section, Step, write_number};
use crate::unit::{Unit, quote};
use core::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// All words that there are.
pub(crate) const ALL: &str = "all";

/// Bytes of the text.
pub(crate) type Span = Range<usize>;

/// A table of the file.
#[derive(Debug)]
pub(crate) struct Table<'t, 'p> {
    path: String,
    /// `None` for a table that is not in the file: all of it has its defaults.
    entries: Option<&'t DeTable<'t>>,
    span: Span,
    problems: &'p mut Problems<'t>,
}

/// Parses `text` and lets `read` take a value out of it.
pub(crate) fn parse<T>(
    name: &str,
    text: &str,
    read: impl FnOnce(Table<'_, '_>) -> Option<T>,
) -> Result<T, Refused> {
    let root = DeTable::parse(text);
    let mut problems = Problems::new(name, text);
    let value = match &root {
        Ok(root) => {
            // A section that is missing is missed where the file begins.
            let table = Table {
                path: String::new(),
                entries: Some(root.get_ref()),
                span: 0..0,
                problems: &mut problems,
            };
            read(table)
        }
        Err(error) => {
            let at = error.span().unwrap_or(0..0);
            problems.push(at, String::new(), error.message().to_owned(), String::new());
            None
        }
    };
    problems.finish(value)
}

impl<'t> Table<'t, '_> {
    fn path_of(&self, key: &str) -> String {
        // A key that nobody knows may be of any length and have any characters.
        let plain = key.len() <= 48 && key.chars().all(|c| c.is_ascii_graphic());
        let key = if plain { key.to_owned() } else { quote(key) };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn find(&self, key: &Key) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries?.get(key.name)
    }

    /// The key as refusals name it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Where the value of `key` is, or the table when there is none.
    pub(crate) fn span(&self, key: &Key) -> Span {
        self.find(key)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Whether `key` is written at all.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.find(key).is_some()
    }

    /// Whether the value of `key` is a list.
    pub(crate) fn is_list(&self, key: &Key) -> bool {
        self.find(key)
            .is_some_and(|value| value.get_ref().as_array().is_some())
    }

    /// Notes that the value of `key`, or its absence, is wrong.
    pub(crate) fn refuse(&mut self, key: &Key, message: String) {
        self.refuse_at(self.span(key), key, message);
    }

    /// Notes that something at `span` is wrong that concerns `key`.
    pub(crate) fn refuse_at(&mut self, span: Span, key: &Key, message: String) {
        let allowed = key.kind.to_string();
        self.problems
            .push(span, self.path_of(key.name), message, allowed);
    }

    /// Notes that the settings of the file, each allowed by itself, do not go together.
    pub(crate) fn refuse_whole(&mut self, span: Span, path: &str, message: String, allowed: &str) {
        self.problems
            .push(span, path.to_owned(), message, allowed.to_owned());
    }

    fn refuse_absent(&mut self, key: &Key) {
        if let Absent::Required = key.absent {
            self.refuse(key, "is missing".to_owned());
        }
    }

    /// A number in base units. `None` when it is refused, or absent without a default number.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, key: &Key) -> Option<T> {
        let value = match (self.find(key), key.absent) {
            (Some(value), _) => number(value.get_ref(), &key.kind),
            (None, Absent::Number(default)) => Ok(default),
            (None, _) => {
                self.refuse_absent(key);
                return None;
            }
        };
        let value =
            value.and_then(|value| T::try_from(value).map_err(|_| format!("{value} is too large")));
        value.map_err(|message| self.refuse(key, message)).ok()
    }

    /// A text. `None` when it is refused, or absent without a default text.
    pub(crate) fn text(&mut self, key: &Key) -> Option<String> {
        let value = match (self.find(key), key.absent) {
            (Some(value), _) => text(value.get_ref(), &key.kind).map(str::to_owned),
            (None, Absent::Text(default)) => Ok(default.to_owned()),
            (None, _) => {
                self.refuse_absent(key);
                return None;
            }
        };
        value.map_err(|message| self.refuse(key, message)).ok()
    }

    /// A table in this one. `None` when it is absent or something else.
    pub(crate) fn table(&mut self, key: &Key) -> Option<Table<'t, '_>> {
        let Some(value) = self.find(key) else {
            self.refuse_absent(key);
            return None;
        };
        let Some(entries) = value.get_ref().as_table() else {
            let kind = value.get_ref().type_str();
            self.refuse(key, format!("is {} {kind}, not a table", article(kind)));
            return None;
        };
        Some(Table {
            path: self.path_of(key.name),
            entries: Some(entries),
            span: value.span(),
            problems: self.problems,
        })
    }

    /// A table in this one, or one without entries where it is absent.
    pub(crate) fn section(&mut self, key: &Key) -> Option<Table<'t, '_>> {
        if self.has(key) {
            return self.table(key);
        }
        Some(Table {
            path: self.path_of(key.name),
            entries: None,
            span: self.span.clone(),
            problems: self.problems,
        })
    }

    /// One number or several, in base units. `None` when one is refused, or all are absent without
    /// default numbers.
    pub(crate) fn numbers(&mut self, key: &Key) -> Option<Vec<u64>> {
        let Some(value) = self.find(key) else {
            self.refuse_absent(key);
            return match key.absent {
                Absent::Numbers(values) => Some(values.to_vec()),
                _ => None,
            };
        };
        let values = numbers(value.get_ref(), &key.kind);
        values.map_err(|message| self.refuse(key, message)).ok()
    }

    /// Whether a switch is on. `None` when its value is none.
    pub(crate) fn switch(&mut self, key: &Key) -> Option<bool> {
        let Some(value) = self.find(key) else {
            self.refuse_absent(key);
            return match key.absent {
                Absent::Switch(on) => Some(on),
                _ => None,
            };
        };
        let on = value.get_ref().as_bool();
        if on.is_none() {
            let kind = value.get_ref().type_str();
            self.refuse(
                key,
                format!("{} {kind} is not true or false", article(kind)),
            );
        }
        on
    }

    /// Some of the words that `key` allows, each once. Empty when it is absent.
    pub(crate) fn words(&mut self, key: &Key) -> Option<Vec<String>> {
        let Some(value) = self.find(key) else {
            self.refuse_absent(key);
            return Some(Vec::new());
        };
        let words = words(value.get_ref(), &key.kind);
        words.map_err(|message| self.refuse(key, message)).ok()
    }

    /// Lets `read` take a value out of each table of the row `key`, at most `max`. The tables are
    /// named by their number from 1. Empty when the row is absent or something else.
    pub(crate) fn tables<T>(
        &mut self,
        key: &Key,
        max: usize,
        mut read: impl FnMut(Table<'t, '_>, u32) -> T,
    ) -> Vec<T> {
        let Some(value) = self.find(key) else {
            self.refuse_absent(key);
            return Vec::new();
        };
        let tables = value.get_ref().as_array().and_then(|array| {
            let entries =
                |value: &'t Spanned<DeValue<'t>>| Some((value.get_ref().as_table()?, value.span()));
            array.iter().map(entries).collect::<Option<Vec<_>>>()
        });
        let Some(tables) = tables.filter(|tables| !tables.is_empty()) else {
            self.refuse(key, format!("is no row of tables; write [[{}]]", key.name));
            return Vec::new();
        };
        if let Some((_, span)) = tables.get(max) {
            self.refuse_at(
                span.clone(),
                key,
                format!("there are more than {max} of them"),
            );
        }
        let path = self.path_of(key.name);
        let numbered = tables.into_iter().zip(1..).take(max);
        numbered
            .map(|((entries, span), number)| {
                let path = format!("{path}[{number}]");
                read(
                    Table {
                        path,
                        entries: Some(entries),
                        span,
                        problems: self.problems,
                    },
                    number,
                )
            })
            .collect()
    }

    /// Refuses each key that is in none of `sections`; a `what` has no other ones.
    pub(crate) fn finish(&mut self, what: &str, sections: &[&Section]) {
        let known = || {
            sections
                .iter()
                .flat_map(|section| section.keys)
                .map(|key| key.name)
        };
        for (key, _) in self.entries.into_iter().flat_map(DeTable::iter) {
            let name: &str = key.get_ref();
            if known().any(|known| known == name) {
                continue;
            }
            let mut message = format!("is no key of a {what}");
            if let Some(nearest) = nearest(name, known()) {
                message += &format!("; did you mean {nearest}?");
            }
            let allowed: Vec<_> = known().collect();
            self.problems
                .push(key.span(), self.path_of(name), message, allowed.join(", "));
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn number(value: &DeValue<'_>, kind: &Kind) -> Result<u64, String> {
    let (unit, min, max, step) = match *kind {
        Kind::Number {
            unit,
            min,
            max,
            step,
        } => (unit, min, max, step),
        Kind::NumberOrTables { min, max } => (Unit::Count, min, max, Step::Any),
        _ => return Err("is not a number".to_owned()),
    };
    let value = match (unit, value) {
        (Unit::Count, DeValue::Integer(integer)) => {
            let digits = integer.as_str();
            let value = u64::from_str_radix(digits, integer.radix());
            value.map_err(|_| format!("{} is out of range", quote(digits)))?
        }
        (Unit::Count, other) => {
            let kind = other.type_str();
            return Err(format!("{} {kind} is not a whole number", article(kind)));
        }
        (_, DeValue::String(text)) => unit.parse(text)?,
        (_, DeValue::Integer(_) | DeValue::Float(_)) => {
            return Err(format!(
                "a number must have a unit ({}), in quotes",
                unit.names()
            ));
        }
        (_, other) => {
            let kind = other.type_str();
            return Err(format!(
                "{} {kind} is not a number with a unit",
                article(kind)
            ));
        }
    };
    let shown = write_number(unit, value);
    match step {
        _ if value < min => Err(format!("{shown} is too small")),
        _ if value > max => Err(format!("{shown} is too large")),
        Step::MultipleOf(of) if !value.is_multiple_of(of) => {
            Err(not_a_multiple(unit, value, of, write_number(unit, of)))
        }
        Step::PowerOfTwo if !value.is_power_of_two() => {
            Err(format!("{shown} is not a power of two"))
        }
        Step::OneOf(values) if !values.contains(&value) => Err(format!("{shown} is none of them")),
        _ => Ok(value),
    }
}

fn numbers(value: &DeValue<'_>, kind: &Kind) -> Result<Vec<u64>, String> {
    let Kind::Numbers {
        unit,
        min,
        max,
        most,
    } = *kind
    else {
        return Err("is not a list".to_owned());
    };
    let each = Kind::Number {
        unit,
        min,
        max,
        step: Step::Any,
    };
    let Some(array) = value.as_array() else {
        return number(value, &each).map(|value| vec![value]);
    };
    if array.is_empty() || array.len() > most {
        return Err(format!("has {} entries", array.len()));
    }
    array
        .iter()
        .map(|value| number(value.get_ref(), &each))
        .collect()
}

fn words(value: &DeValue<'_>, kind: &Kind) -> Result<Vec<String>, String> {
    let Kind::Words(known) = *kind else {
        return Err("is not a list".to_owned());
    };
    if value.as_str() == Some(ALL) {
        return Ok(known.iter().map(|&word| word.to_owned()).collect());
    }
    let Some(array) = value.as_array() else {
        let kind = value.type_str();
        return Err(format!("{} {kind} is not a list", article(kind)));
    };
    let mut words = Vec::new();
    for value in array {
        let word = text(value.get_ref(), &Kind::Choice(known))?.to_owned();
        if words.contains(&word) {
            return Err(format!("{} is there twice", quote(&word)));
        }
        words.push(word);
    }
    Ok(words)
}

/// Tells that `value` is not a whole number of `of`, with the two nearest that are.
pub(crate) fn not_a_multiple(unit: Unit, value: u64, of: u64, shown: String) -> String {
    let below = value - value % of;
    let above = below.saturating_add(of);
    let (value, below, above) = (unit.format(value), unit.format(below), unit.format(above));
    format!("{value} is not a multiple of {shown}; the nearest are \"{below}\" and \"{above}\"")
}

fn text<'v>(value: &'v DeValue<'_>, kind: &Kind) -> Result<&'v str, String> {
    let Some(text) = value.as_str() else {
        let kind = value.type_str();
        return Err(format!("{} {kind} is not a text in quotes", article(kind)));
    };
    match *kind {
        Kind::Choice(words) if !words.contains(&text) => {
            let hint = nearest(text, words.iter().copied());
            let hint = hint.map_or_else(String::new, |word| format!("; did you mean \"{word}\"?"));
            Err(format!("{} is none of them{hint}", quote(text)))
        }
        Kind::Text { .. } if text.is_empty() => Err("is empty".to_owned()),
        Kind::Text { max, .. } if text.chars().count() > max => Err(format!(
            "{} has {} characters",
            quote(text),
            text.chars().count()
        )),
        Kind::Text { form, .. } => match wrong_form(text, form) {
            Some(reason) => Err(format!("{} {reason}", quote(text))),
            None => Ok(text),
        },
        _ => Ok(text),
    }
}

fn wrong_form(text: &str, form: Form) -> Option<&'static str> {
    let printable = |c: char| matches!(c, ' '..='~');
    match form {
        Form::Ascii | Form::Nqn if !text.chars().all(printable) => {
            Some("has other characters than printable ASCII ones")
        }
        Form::Ascii if text.trim_matches(' ') != text => Some("has a space at an end"),
        Form::Nqn if !is_qualified(text) => Some("does not begin with nqn.yyyy-mm. and a name"),
        Form::Path if text.chars().any(char::is_control) => Some("has control characters"),
        _ => None,
    }
}

/// Whether it has the form of NVMe Base Specification, "NVMe Qualified Names".
fn is_qualified(text: &str) -> bool {
    let Some((date, name)) = text
        .strip_prefix("nqn.")
        .and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    let date_form = |(at, c): (usize, char)| {
        if at == 4 {
            c == '-'
        } else {
            c.is_ascii_digit()
        }
    };
    date.len() == 7 && date.chars().enumerate().all(date_form) && !name.is_empty()
}

/// The one of `words` that `text` was probably meant to be.
fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let text = text.to_ascii_lowercase();
    let scored = words.map(|word| (distance(&text, word), word));
    // A third of the letters may be wrong: enough for a slip, too little for another word.
    let close = scored.filter(|(distance, word)| *distance <= word.len().div_ceil(3));
    close
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Insertions, deletions and substitutions that make `b` of `a` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // The text may be as long as the file, the words are short.
    if a.len() > 2 * b.len() {
        return a.len();
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_within_a_third_of_its_letters() {
        let words = ["serial", "queues", "queue_entries"];
        assert_eq!(nearest("seral", words.into_iter()), Some("serial"));
        assert_eq!(nearest("Queue", words.into_iter()), Some("queues"));
        assert_eq!(
            nearest("queue-entries", words.into_iter()),
            Some("queue_entries")
        );
        assert_eq!(nearest("bandwidth", words.into_iter()), None);
    }

    #[test]
    fn distance_counts_single_letter_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
