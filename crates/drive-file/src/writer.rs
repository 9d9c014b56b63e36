//! Writes settings as TOML; leaves out what has its default.

use crate::schema::{Absent, Key, Kind, write_number};
use toml::Value;

/// The settings of one table, in the order in which they are added.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<String>);

impl Writer {
    /// A number in base units.
    pub(crate) fn number(&mut self, key: &Key, value: u64) {
        let Kind::Number { unit, .. } = key.kind else {
            return;
        };
        if !matches!(key.absent, Absent::Number(default) if default == value) {
            self.0
                .push(format!("{} = {}", key.name, write_number(unit, value)));
        }
    }

    /// A text, or one of several words.
    pub(crate) fn text(&mut self, key: &Key, text: &str) {
        if !matches!(key.absent, Absent::Text(default) if default == text) {
            // `Value` knows how to quote.
            self.0.push(format!("{} = {}", key.name, Value::from(text)));
        }
    }

    /// A table on the same line.
    pub(crate) fn table(&mut self, key: &Key, entries: Self) {
        self.0
            .push(format!("{} = {{ {} }}", key.name, entries.0.join(", ")));
    }

    /// The settings, one on a line.
    pub(crate) fn lines(&self) -> String {
        self.0.iter().flat_map(|line| [line, "\n"]).collect()
    }
}
