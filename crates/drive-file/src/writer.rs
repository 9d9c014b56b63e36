//! Writes settings as TOML; leaves out what has its default.

use crate::reader::ALL;
use crate::schema::{Absent, Key, Kind, write_number, write_numbers};
use crate::unit::Unit;
use toml::Value;

/// The settings of one table, in the order in which they are added.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<String>);

impl Writer {
    /// A number in base units.
    pub(crate) fn number(&mut self, key: &Key, value: u64) {
        let unit = match key.kind {
            Kind::Number { unit, .. } => unit,
            Kind::NumberOrTables { .. } => Unit::Count,
            _ => return,
        };
        if !matches!(key.absent, Absent::Number(default) if default == value) {
            self.0
                .push(format!("{} = {}", key.name, write_number(unit, value)));
        }
    }

    /// A number that may be missing.
    pub(crate) fn option(&mut self, key: &Key, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// One number or several, in base units.
    pub(crate) fn numbers(&mut self, key: &Key, values: &[u64]) {
        let Kind::Numbers { unit, .. } = key.kind else {
            return;
        };
        if !matches!(key.absent, Absent::Numbers(default) if default == values) {
            self.0
                .push(format!("{} = {}", key.name, write_numbers(unit, values)));
        }
    }

    /// A switch.
    pub(crate) fn switch(&mut self, key: &Key, on: bool) {
        if !matches!(key.absent, Absent::Switch(default) if default == on) {
            self.0.push(format!("{} = {on}", key.name));
        }
    }

    /// A text, or one of several words.
    pub(crate) fn text(&mut self, key: &Key, text: &str) {
        if !matches!(key.absent, Absent::Text(default) if default == text) {
            // `Value` knows how to quote.
            self.0.push(format!("{} = {}", key.name, Value::from(text)));
        }
    }

    /// Some words, or all that there are.
    pub(crate) fn words(&mut self, key: &Key, words: &[String]) {
        let Kind::Words(known) = key.kind else {
            return;
        };
        if words == known {
            self.text(key, ALL);
        } else if !words.is_empty() {
            let words = Value::from(words.to_vec());
            self.0.push(format!("{} = {words}", key.name));
        }
    }

    /// A table on the same line.
    pub(crate) fn table(&mut self, key: &Key, entries: Self) {
        self.0
            .push(format!("{} = {{ {} }}", key.name, entries.0.join(", ")));
    }

    /// Tables in a row, on the same line.
    pub(crate) fn tables(&mut self, key: &Key, tables: Vec<Self>) {
        let tables = tables.into_iter();
        let tables: Vec<_> = tables
            .map(|entries| format!("{{ {} }}", entries.0.join(", ")))
            .collect();
        if !tables.is_empty() {
            self.0
                .push(format!("{} = [{}]", key.name, tables.join(", ")));
        }
    }

    /// A table on the same line, unless all of it has its defaults.
    pub(crate) fn table_unless_empty(&mut self, key: &Key, entries: Self) {
        if !entries.0.is_empty() {
            self.table(key, entries);
        }
    }

    /// The settings, one on a line.
    pub(crate) fn lines(&self) -> String {
        self.0.iter().flat_map(|line| [line, "\n"]).collect()
    }
}
