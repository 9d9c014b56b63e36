//! How often each value occurs.

use crate::job::{Job, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;

pub(crate) const HISTOGRAM: Builtin = Builtin {
    name: "histogram",
    id: id(14),
    summary: "counts how often each value of one or two bytes occurs",
    ranges: &[
        "the values",
        "gets a u64 for each possible value: 256 or 65536 counts",
    ],
    required: 2,
    parameters: ["bytes in range 0, whole values", "bytes of a value: 1 or 2"],
    options: None,
    result: "values counted",
    cost: rate(2, 8),
    run,
};

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let mut output = job.output(1)?;
    let width = match job.parameter() {
        1 => 1,
        2 => 2,
        other => {
            return Err(failed(format!(
                "values of {other} bytes: 1 and 2 are possible"
            )));
        }
    };
    let input = job.input_of(width, "values")?;
    let values = input.len() / width as u64;
    let counts = if width == 1 {
        // Four tables: to count the same value twice in a row takes longer in one.
        let mut counts = [[0u64; 256]; 4];
        input.chunks(4, |part| {
            let (groups, rest) = part.as_chunks::<4>();
            for group in groups {
                for (table, value) in counts.iter_mut().zip(group) {
                    table[usize::from(*value)] += 1;
                }
            }
            for value in rest {
                counts[0][usize::from(*value)] += 1;
            }
            Ok(())
        })?;
        let [a, b, c, d] = counts;
        (0..256).map(|i| a[i] + b[i] + c[i] + d[i]).collect()
    } else {
        let mut counts = vec![0u64; 1 << 16];
        input.chunks(2, |part| {
            for value in part.as_chunks::<2>().0 {
                counts[usize::from(u16::from_le_bytes(*value))] += 1;
            }
            Ok(())
        })?;
        counts
    };
    let bytes: Vec<u8> = counts
        .iter()
        .flat_map(|count| count.to_le_bytes())
        .collect();
    output.put(&bytes)?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, log, reason};

    #[test]
    fn the_counts_are_those_of_a_loop() {
        for len in [0, 1, 2, 3, 100_002] {
            let text = log(len);
            let device = Device::new().with(&text).with(&[0xee; 2048]);
            assert_eq!(device.result(&HISTOGRAM, [len as u64, 1]), len as u64);
            let mut expected = vec![0; 256];
            text.iter()
                .for_each(|byte| expected[usize::from(*byte)] += 1);
            assert_eq!(device.words(1), expected);
        }
        let text = log(100_002);
        let device = Device::new().with(&text).with(&vec![0xee; 8 << 16]);
        assert_eq!(device.result(&HISTOGRAM, [100_002, 2]), 50_001);
        let mut expected = vec![0; 1 << 16];
        for pair in text.chunks(2) {
            expected[usize::from(pair[0]) + 256 * usize::from(pair[1])] += 1;
        }
        assert_eq!(device.words(1), expected);
    }

    #[test]
    fn bad_parameters_are_told() {
        let device = Device::new().with(&[0; 13]).with(&[0; 2047]);
        let run = |parameters| reason(&device.run(&HISTOGRAM, parameters, b""));
        assert!(run([13, 0]).contains("values of 0 bytes"));
        assert!(run([13, 4]).contains("values of 4 bytes"));
        assert!(run([13, 2]).contains("not whole values of 2 bytes"));
        assert!(run([13, 1]).contains("does not fit into range 1, which has 2047 bytes"));
    }
}
