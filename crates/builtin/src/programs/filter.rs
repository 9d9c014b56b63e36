//! Picks records of a fixed size by one of their fields: the scan of a database.

use crate::job::{Job, failed};
use crate::number::{Kind, Number, with_type};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use std::cmp::Ordering;

pub(crate) const FILTER: Builtin = Builtin {
    name: "filter",
    id: id(7),
    summary: "copies the records of which a field compares with a constant as wanted",
    ranges: &["the records", "gets those that match"],
    required: 2,
    parameters: ["bytes in range 0, whole records", "bytes of options"],
    options: Some(
        "byte 0: u32, bytes of a record (up to 65536); 4: u32, where the field begins in it; \
         8: u8, type of the field, 0 for bytes that compare as text does; 9: u8, comparison; \
         10: 6 zero bytes; 16: the constant, as long as the field",
    ),
    result: "records that match",
    cost: rate(2, 8),
    run,
};

/// Longest record.
const LONGEST: u32 = 64 << 10;

/// Comparison of a field with the constant, by its code.
#[derive(Clone, Copy)]
enum Wanted {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Wanted {
    fn of(code: u8) -> Result<Self, Fault> {
        Ok(match code {
            0 => Self::Equal,
            1 => Self::Unequal,
            2 => Self::Less,
            3 => Self::LessOrEqual,
            4 => Self::Greater,
            5 => Self::GreaterOrEqual,
            _ => return Err(failed(format!("{code} is not the code of a comparison"))),
        })
    }

    /// `order` is that of field and constant, if they have one.
    fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order.is_some_and(Ordering::is_eq),
            Self::Unequal => order.is_none_or(Ordering::is_ne),
            Self::Less => order.is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order.is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let mut options = job.options();
    let record = options.u32("bytes of a record")?;
    let field = options.u32("where the field begins")?;
    let code = options.u8("type of the field")?;
    let wanted = Wanted::of(options.u8("comparison")?)?;
    options.reserved::<6>()?;
    if !(1..=LONGEST).contains(&record) {
        return Err(failed(format!(
            "records of {record} bytes: 1 to {LONGEST} are possible"
        )));
    }
    let constant = options.rest();
    if u64::from(field) + constant.len() as u64 > record.into() || constant.is_empty() {
        return Err(failed(format!(
            "a field of {} bytes at byte {field} is not within a record of {record} bytes",
            constant.len()
        )));
    }
    let record = record as usize;
    let field = field as usize..field as usize + constant.len();
    if code == 0 {
        return scan(job, record, |bytes| {
            wanted.holds(Some(bytes[field.clone()].cmp(constant)))
        });
    }
    let kind = Kind::of(code.into())?;
    let constant = options.rest_of(kind.bytes(), "the constant")?;
    with_type!(
        kind,
        scan_numbers(job, record, field.start, constant, wanted)
    )
}

fn scan_numbers<T: Number>(
    job: &Job<'_>,
    record: usize,
    field: usize,
    constant: &[u8],
    wanted: Wanted,
) -> Result<u64, Fault> {
    let constant = T::read(constant);
    scan(job, record, |bytes| {
        wanted.holds(T::read(&bytes[field..]).partial_cmp(&constant))
    })
}

/// Copies the records for which `matches` holds.
fn scan(
    job: &Job<'_>,
    record: usize,
    mut matches: impl FnMut(&[u8]) -> bool,
) -> Result<u64, Fault> {
    let mut output = job.output(1)?;
    job.input_of(record, "records")?.chunks(record, |part| {
        for bytes in part.chunks_exact(record).filter(|bytes| matches(bytes)) {
            output.put(bytes)?;
        }
        Ok(())
    })?;
    Ok(output.written() / record as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, pseudo_random, reason};

    fn options(record: u32, field: u32, kind: u8, wanted: u8, constant: &[u8]) -> Vec<u8> {
        let (record, field) = (record.to_le_bytes(), field.to_le_bytes());
        [
            &record[..],
            &field,
            &[kind, wanted, 0, 0, 0, 0, 0, 0],
            constant,
        ]
        .concat()
    }

    fn filtered(records: &[u8], options: &[u8]) -> Vec<u8> {
        let room = vec![0xee; records.len() + 1];
        let device = Device::new().with(records).with(&room);
        let parameters = [records.len() as u64, 0];
        let matching = device.result_with(&FILTER, parameters, options) as usize;
        let size = u32::from_le_bytes(options[..4].try_into().expect("4 bytes")) as usize;
        let bytes = device.bytes(1);
        assert!(bytes[matching * size..].iter().all(|byte| *byte == 0xee));
        bytes[..matching * size].to_vec()
    }

    /// Records of 13 bytes with a number of type `T` at byte 3, filtered in all ways.
    fn check<T: PartialOrd + Copy, const N: usize>(
        kind: u8,
        from: fn([u8; N]) -> T,
        to: fn(T) -> [u8; N],
    ) {
        let records = pseudo_random(13 * 5000);
        let field = |record: &[u8]| from(record[3..3 + N].try_into().expect("N bytes"));
        let constant = field(&records[13 * 77..]);
        let holds: [fn(&T, &T) -> bool; 6] = [T::eq, T::ne, T::lt, T::le, T::gt, T::ge];
        for (code, holds) in holds.into_iter().enumerate() {
            let all = records.chunks(13);
            let expected: Vec<u8> = all
                .filter(|record| holds(&field(record), &constant))
                .collect::<Vec<_>>()
                .concat();
            let options = options(13, 3, kind, code as u8, &to(constant));
            assert_eq!(filtered(&records, &options), expected, "{kind} {code}");
        }
    }

    #[test]
    fn every_type_compares_as_rust_does() {
        check(1, u8::from_le_bytes, u8::to_le_bytes);
        check(2, u16::from_le_bytes, u16::to_le_bytes);
        check(3, u32::from_le_bytes, u32::to_le_bytes);
        check(4, u64::from_le_bytes, u64::to_le_bytes);
        check(5, i8::from_le_bytes, i8::to_le_bytes);
        check(6, i16::from_le_bytes, i16::to_le_bytes);
        check(7, i32::from_le_bytes, i32::to_le_bytes);
        check(8, i64::from_le_bytes, i64::to_le_bytes);
        check(9, f32::from_le_bytes, f32::to_le_bytes);
        check(10, f64::from_le_bytes, f64::to_le_bytes);
        check::<[u8; 5], 5>(0, |bytes| bytes, |bytes| bytes);
    }

    #[test]
    fn what_is_not_a_number_is_unequal_to_all() {
        let records: Vec<u8> = [1.0, f32::NAN, 2.0]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        let kept = |wanted, constant: f32| {
            filtered(&records, &options(4, 0, 9, wanted, &constant.to_le_bytes())).len() / 4
        };
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|wanted| kept(wanted, 1.0)),
            [1, 2, 0, 1, 1, 2]
        );
        let nothing = [0, 1, 2, 3, 4, 5].map(|wanted| kept(wanted, f32::NAN));
        assert_eq!(nothing, [0, 3, 0, 0, 0, 0]);
    }

    #[test]
    fn names_are_found_in_a_table() {
        let table = b"anna   0031bernd  0047carla  0044bernd  0012";
        let kept = filtered(table, &options(11, 0, 0, 0, b"bernd "));
        assert_eq!(kept, b"bernd  0047bernd  0012");
        let kept = filtered(table, &options(11, 7, 0, 5, b"0044"));
        assert_eq!(kept, b"bernd  0047carla  0044");
    }

    #[test]
    fn options_may_come_in_the_last_range() {
        let options = options(1, 0, 1, 4, b"b");
        let device = Device::new()
            .with(b"abcd")
            .with(&[0; 4])
            .with(&[&options[..], b"..."].concat());
        assert_eq!(device.result(&FILTER, [4, options.len() as u64]), 2);
        assert_eq!(device.bytes(1), b"cd\0\0");
        let told = reason(&device.run(&FILTER, [4, 21], b""));
        assert_eq!(
            told,
            "CPARAM2 says 21 bytes of options, and the last range has 20"
        );
    }

    #[test]
    fn bad_options_are_told() {
        let device = Device::new().with(&[7; 90]).with(&[0; 100]);
        let run = |bytes, options: &[u8]| reason(&device.run(&FILTER, [bytes, 0], options));
        let cases = [
            (90, options(0, 0, 1, 0, &[0]), "records of 0 bytes"),
            (90, options(65_537, 0, 1, 0, &[0]), "records of 65537 bytes"),
            (90, options(9, 8, 2, 0, &[0; 2]), "not within a record"),
            (
                90,
                options(9, u32::MAX, 2, 0, &[0; 2]),
                "not within a record",
            ),
            (90, options(9, 0, 2, 0, &[]), "not within a record"),
            (
                90,
                options(9, 0, 2, 0, &[0; 3]),
                "the constant has 3 bytes, and should have 2",
            ),
            (
                90,
                options(9, 0, 11, 0, &[0]),
                "11 is not the code of a type",
            ),
            (
                90,
                options(9, 0, 1, 6, &[0]),
                "6 is not the code of a comparison",
            ),
            (
                89,
                options(9, 0, 1, 0, &[7]),
                "not whole records of 9 bytes",
            ),
            (91, options(9, 0, 1, 0, &[7]), "range 0 has 90"),
            (90, vec![1; 7], "end before byte 8: where the field begins"),
            (90, vec![0; 65_537], "65537 bytes of options"),
        ];
        for (bytes, options, words) in cases {
            let told = run(bytes, &options);
            assert!(told.contains(words), "{told}");
        }
        let mut reserved = options(9, 0, 1, 0, &[7]);
        reserved[15] = 1;
        assert!(run(90, &reserved).contains("bytes 10 to 15 of the options are reserved"));
        let small = Device::new().with(&[7; 90]).with(&[0; 89]);
        let told = reason(&small.run(&FILTER, [90, 0], &options(9, 0, 1, 0, &[7])));
        assert!(told.contains("does not fit"), "{told}");
        let no_options = reason(&Device::new().run(&FILTER, [0, 0], b""));
        assert!(no_options.contains("neither a data buffer nor a range"));
    }
}
