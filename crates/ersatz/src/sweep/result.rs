//! The table of a sweep, as a file and as JSON.

use super::columns;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// A row for each run.
pub struct Rows {
    /// The columns.
    pub names: Vec<String>,
    /// As many of them, at the beginning, say what was run. The last one says what went wrong, the
    /// others are numbers.
    pub settings: usize,
    /// As many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Rows {
    /// Writes them to `path`, as Parquet if its name ends in `.parquet`, else as CSV (RFC 4180):
    /// the old file is there until the new one is complete.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let is_parquet = path.extension().is_some_and(|end| end == "parquet");
        let encoded = if is_parquet {
            columns::encode(self)
        } else {
            self.csv()
        };
        let written = encoded.and_then(|bytes| Ok(fs::write(&part, bytes)?));
        let renamed = written.and_then(|()| Ok(fs::rename(&part, path)?));
        renamed.with_context(|| format!("can't write {}", path.display()))
    }

    fn csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.names)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        Ok(writer.into_inner()?)
    }

    /// The cell of a row in the column `name`.
    pub fn cell<'r>(&self, row: &'r [String], name: &str) -> &'r str {
        let at = self
            .names
            .iter()
            .skip(self.settings)
            .position(|column| column == name);
        at.and_then(|at| row.get(self.settings + at))
            .map_or("", String::as_str)
    }

    /// A list of objects: settings are texts, figures numbers, and what is empty is null.
    pub fn json(&self) -> Value {
        let of_row = |row: &Vec<String>| {
            let cells = self.names.iter().zip(row).enumerate();
            let cells = cells.map(|(at, (name, cell))| {
                let is_text = at < self.settings || at + 1 == self.names.len();
                let value = match cell.as_str() {
                    "" => Value::Null,
                    text if is_text => text.into(),
                    number => serde_json::from_str(number).unwrap_or_else(|_| number.into()),
                };
                (name.clone(), value)
            });
            Value::Object(cells.collect::<Map<_, _>>())
        };
        self.rows.iter().map(of_row).collect()
    }
}
