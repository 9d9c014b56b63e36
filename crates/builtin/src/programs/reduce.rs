//! One number out of many: their sum, the least or the greatest of them.

use crate::job::{Job, failed};
use crate::number::{Kind, LANES, Number, with_type};
use crate::table::{Builtin, id, rate};
use ersatz_compute::CostModel;
use ersatz_runtime::Fault;

const COST: CostModel = rate(2, 8);
const PARAMETERS: [&str; 2] = ["bytes in range 0, whole numbers", "type of the numbers"];

pub(crate) const SUM: Builtin = Builtin {
    name: "sum",
    id: id(11),
    summary: "adds up numbers: integers modulo 2^64, floating-point ones as doubles, every 16th to \
              one of 16 sums",
    ranges: &["the numbers"],
    required: 1,
    parameters: PARAMETERS,
    options: None,
    result: "the sum, of floating-point numbers as a double; 0 for no numbers",
    cost: COST,
    run: |job| with_type!(Kind::of(job.parameter())?, sum(job)),
};

pub(crate) const MIN: Builtin = Builtin {
    name: "min",
    id: id(12),
    summary: "finds the least of at least one number",
    ranges: &["the numbers"],
    required: 1,
    parameters: PARAMETERS,
    options: None,
    result: "the least, extended to 64 bits, or as a double; NaN if nothing else is there",
    cost: COST,
    run: |job| with_type!(Kind::of(job.parameter())?, least(job)),
};

pub(crate) const MAX: Builtin = Builtin {
    name: "max",
    id: id(13),
    summary: "finds the greatest of at least one number",
    ranges: &["the numbers"],
    required: 1,
    parameters: PARAMETERS,
    options: None,
    result: "the greatest, extended to 64 bits, or as a double; NaN if nothing else is there",
    cost: COST,
    run: |job| with_type!(Kind::of(job.parameter())?, greatest(job)),
};

/// What becomes of `lanes` when each number is put into the one of its place, counted from the
/// front modulo [`LANES`].
fn reduce<T: Number, L: Copy>(
    job: &Job<'_>,
    mut lanes: [L; LANES],
    step: impl Fn(L, T) -> L,
) -> Result<[L; LANES], Fault> {
    let unit = size_of::<T>();
    let input = job.input_of(unit, "numbers")?;
    // All parts but the last are whole groups.
    input.chunks(unit * LANES, |part| {
        T::spread(part, &mut lanes, &step);
        Ok(())
    })?;
    Ok(lanes)
}

fn sum<T: Number>(job: &Job<'_>) -> Result<u64, Fault> {
    let lanes = reduce(job, [T::Sum::default(); LANES], T::add)?;
    Ok(T::total(lanes))
}

fn least<T: Number>(job: &Job<'_>) -> Result<u64, Fault> {
    one(job, T::HIGHEST, T::lesser)
}

fn greatest<T: Number>(job: &Job<'_>) -> Result<u64, Fault> {
    one(job, T::LOWEST, T::greater)
}

fn one<T: Number>(job: &Job<'_>, start: T, of_two: impl Fn(T, T) -> T) -> Result<u64, Fault> {
    if job.input()?.len() == 0 {
        return Err(failed(
            "of no numbers at all, none is the least or the greatest",
        ));
    }
    let lanes = reduce(job, [start; LANES], &of_two)?;
    Ok(lanes.into_iter().fold(start, of_two).widen())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, pseudo_random, reason};

    fn reduced(program: &Builtin, kind: u64, bytes: &[u8]) -> u64 {
        let device = Device::new().with(bytes);
        device.result(program, [bytes.len() as u64, kind])
    }

    macro_rules! check_integers {
        ($($kind:literal $type:ty),*) => {$(
            for count in [0, 1, 15, 16, 17, 50_001] {
                let bytes = pseudo_random(count * size_of::<$type>());
                let numbers: Vec<$type> = bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|bytes| <$type>::from_le_bytes(*bytes))
                    .collect();
                let sum = numbers.iter().fold(0u64, |sum, n| sum.wrapping_add(*n as u64));
                assert_eq!(reduced(&SUM, $kind, &bytes), sum);
                if let (Some(min), Some(max)) = (numbers.iter().min(), numbers.iter().max()) {
                    assert_eq!(reduced(&MIN, $kind, &bytes), *min as u64);
                    assert_eq!(reduced(&MAX, $kind, &bytes), *max as u64);
                }
            }
        )*};
    }

    #[test]
    fn integers_are_what_a_loop_makes_of_them() {
        check_integers!(1 u8, 2 u16, 3 u32, 4 u64, 5 i8, 6 i16, 7 i32, 8 i64);
    }

    fn doubles(numbers: &[f64]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn floats(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    #[test]
    fn whole_numbers_in_floating_point_have_exact_sums() {
        let noise = pseudo_random(70_001);
        let numbers: Vec<f64> = noise.iter().map(|byte| f64::from(*byte) - 77.0).collect();
        let narrow: Vec<f32> = numbers.iter().map(|n| *n as f32).collect();
        let sum: f64 = numbers.iter().sum();
        for (kind, bytes) in [(9, floats(&narrow)), (10, doubles(&numbers))] {
            assert_eq!(f64::from_bits(reduced(&SUM, kind, &bytes)), sum);
            assert_eq!(f64::from_bits(reduced(&MIN, kind, &bytes)), -77.0);
            assert_eq!(f64::from_bits(reduced(&MAX, kind, &bytes)), 178.0);
        }
    }

    #[test]
    fn the_order_of_floating_point_additions_is_the_documented_one() {
        let noise = pseudo_random(10_000);
        let numbers: Vec<f64> = noise.iter().map(|byte| f64::from(*byte) / 3.0).collect();
        let mut lanes = [0.0; 16];
        for (i, number) in numbers.iter().enumerate() {
            lanes[i % 16] += number;
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
        }
        assert_eq!(reduced(&SUM, 10, &doubles(&numbers)), lanes[0].to_bits());
    }

    #[test]
    fn zeros_have_one_sign_and_what_is_not_a_number_one_value() {
        let nan = 0x7ff8_0000_0000_0000;
        assert_eq!(reduced(&MIN, 10, &doubles(&[-0.0, 0.0])), 0);
        assert_eq!(reduced(&SUM, 9, &floats(&[-0.0])), 0);
        assert_eq!(reduced(&SUM, 10, &doubles(&[1.0, -f64::NAN])), nan);
        assert_eq!(
            reduced(&SUM, 9, &floats(&[f32::INFINITY, f32::NEG_INFINITY])),
            nan
        );
        assert_eq!(reduced(&MAX, 10, &doubles(&[-f64::NAN; 20])), nan);
        let max = reduced(&MAX, 9, &floats(&[f32::NAN, -3.5, f32::NAN]));
        assert_eq!(f64::from_bits(max), -3.5);
        let min = reduced(&MIN, 9, &floats(&[f32::NAN, f32::NEG_INFINITY]));
        assert_eq!(f64::from_bits(min), f64::NEG_INFINITY);
    }

    #[test]
    fn bad_parameters_are_told() {
        let device = Device::new().with(&[0; 12]);
        let run = |program, parameters| reason(&device.run(program, parameters, b""));
        assert_eq!(run(&SUM, [12, 0]), "0 is not the code of a type");
        assert!(run(&MAX, [12, u64::MAX]).contains("not the code of a type"));
        assert!(run(&SUM, [12, 4]).contains("12 bytes, which are not whole numbers of 8 bytes"));
        assert!(run(&MIN, [16, 4]).contains("range 0 has 12"));
        assert!(run(&MIN, [0, 4]).contains("of no numbers at all"));
    }
}
