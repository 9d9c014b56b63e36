//! What goes to standard output: a table for people, or JSON for programs.

use anyhow::Result;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::Value;
use std::io::Write;

/// The answer to a command, in both forms.
pub struct Answer {
    /// For people: lines without a line break at the end; may be empty.
    pub text: String,
    /// For programs.
    pub json: Value,
}

impl Answer {
    /// An answer of text and JSON.
    pub fn new(text: impl ToString, json: Value) -> Self {
        Self {
            text: text.to_string(),
            json,
        }
    }

    /// Adds another answer: below, and in JSON as `key`.
    pub fn append(&mut self, key: &str, other: Self) {
        self.text += &format!("\n{}", other.text);
        self.json[key] = other.json;
    }

    /// Prints it in one of its forms.
    pub fn print(&self, json: bool) -> Result<()> {
        if json {
            line(&self.json)
        } else {
            line(&self.text)
        }
    }
}

/// Prints a line, at once: whoever reads it may wait for it.
pub fn line(text: impl ToString) -> Result<()> {
    let text = text.to_string();
    if text.is_empty() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// A line below the headings and none else.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// An empty table. Columns whose name starts with `>` are aligned to the right.
pub fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(columns.iter().map(|name| name.trim_start_matches('>')));
    for (i, name) in columns.iter().enumerate() {
        if let (true, Some(column)) = (name.starts_with('>'), table.column_mut(i)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
