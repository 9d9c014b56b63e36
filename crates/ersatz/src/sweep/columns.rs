//! The table of a sweep as Parquet: each column has a type.

use super::result::Rows;
use anyhow::Result;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use std::sync::Arc;

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Unsigned, 64 bits.
    Whole,
    Float,
}

impl Kind {
    /// Settings and errors are texts; the seed and the figures are numbers, which are whole if all
    /// of the column are.
    fn of(rows: &Rows, column: usize) -> Self {
        let is_seed = column + 1 == rows.settings;
        if column + 1 == rows.names.len() || (column < rows.settings && !is_seed) {
            return Self::Text;
        }
        let mut cells = cells(rows, column).flatten();
        if cells.all(|cell| cell.parse::<u64>().is_ok()) {
            Self::Whole
        } else {
            Self::Float
        }
    }

    fn schema(self, name: &str) -> Result<Type> {
        let (physical, logical) = match self {
            Self::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Self::Whole => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Self::Float => (Physical::DOUBLE, None),
        };
        let column = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(column.build()?)
    }

    fn write(self, rows: &Rows, column: usize, out: &mut SerializedColumnWriter<'_>) -> Result<()> {
        let cells = cells(rows, column);
        match self {
            Self::Text => write::<ByteArrayType>(out, cells, |text| Ok(ByteArray::from(text))),
            // The same 64 bits, which the logical type says are unsigned.
            Self::Whole => {
                write::<Int64Type>(out, cells, |text| Ok(text.parse::<u64>()?.cast_signed()))
            }
            Self::Float => write::<DoubleType>(out, cells, |text| Ok(text.parse()?)),
        }
    }
}

/// The table as a file of one row group, without compression. The same table gives the same bytes.
pub fn encode(rows: &Rows) -> Result<Vec<u8>> {
    let kinds: Vec<_> = (0..rows.names.len())
        .map(|column| Kind::of(rows, column))
        .collect();
    let fields = rows.names.iter().zip(&kinds);
    let fields: Result<Vec<_>> = fields
        .map(|(name, kind)| Ok(Arc::new(kind.schema(name)?)))
        .collect();
    let schema = Type::group_type_builder("sweep").with_fields(fields?);
    let properties = WriterProperties::builder()
        .set_created_by(concat!("ersatz ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut file =
        SerializedFileWriter::new(Vec::new(), Arc::new(schema.build()?), Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for (column, kind) in kinds.into_iter().enumerate() {
        if let Some(mut out) = group.next_column()? {
            kind.write(rows, column, &mut out)?;
            out.close()?;
        }
    }
    group.close()?;
    Ok(file.into_inner()?)
}

/// The cells of a column; `None` where it is empty.
fn cells(rows: &Rows, column: usize) -> impl Iterator<Item = Option<&str>> {
    let cells = rows.rows.iter().map(move |row| row.get(column));
    cells.map(|cell| cell.map(String::as_str).filter(|cell| !cell.is_empty()))
}

fn write<'r, T: DataType>(
    out: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = Option<&'r str>>,
    value: impl Fn(&'r str) -> Result<T::T>,
) -> Result<()> {
    let (mut values, mut is_there) = (Vec::new(), Vec::new());
    for cell in cells {
        is_there.push(cell.is_some().into());
        if let Some(cell) = cell {
            values.push(value(cell)?);
        }
    }
    out.typed::<T>()
        .write_batch(&values, Some(&is_there), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    fn table() -> Rows {
        let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
        Rows {
            names: row(["ftl.gc.policy", "workload", "seed", "bytes", "waf", "error"]),
            settings: 3,
            rows: vec![
                row(["greedy", "7", "18446744073709551615", "4096", "1.0", ""]),
                row(["fifo", "7", "", "", "2.5", "can't work"]),
            ],
        }
    }

    #[test]
    fn a_reader_finds_the_cells_with_their_types_and_nothing_where_they_are_empty() {
        let bytes = encode(&table()).expect("encoded");
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a Parquet file");
        let rows = reader.get_row_iter(None).expect("rows");
        let rows: Vec<Vec<Field>> = rows
            .map(|row| row.expect("a row").into_columns())
            .map(|columns| columns.into_iter().map(|(_, field)| field).collect())
            .collect();
        let text = |text: &str| Field::Str(text.to_owned());
        assert_eq!(
            rows,
            [
                vec![
                    text("greedy"),
                    text("7"),
                    Field::ULong(u64::MAX),
                    Field::ULong(4096),
                    Field::Double(1.0),
                    Field::Null
                ],
                vec![
                    text("fifo"),
                    text("7"),
                    Field::Null,
                    Field::Null,
                    Field::Double(2.5),
                    text("can't work")
                ],
            ]
        );
        let schema = reader.metadata().file_metadata().schema_descr();
        let names = schema
            .columns()
            .iter()
            .map(|column| column.name().to_owned());
        assert_eq!(names.collect::<Vec<_>>(), table().names);
    }

    #[test]
    fn the_same_table_gives_the_same_bytes() {
        assert_eq!(encode(&table()).ok(), encode(&table()).ok());
        assert!(encode(&table()).is_ok());
    }
}
