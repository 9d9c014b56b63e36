//! The vectors that are nearest to one.

use crate::job::{Job, failed};
use crate::table::{Builtin, id, rate};
use ersatz_runtime::Fault;
use std::collections::BinaryHeap;

pub(crate) const KNN: Builtin = Builtin {
    name: "knn",
    id: id(10),
    summary: "finds the vectors of f32 that are nearest to a query, by Euclidean distance",
    ranges: &[
        "the vectors, one after the other",
        "gets an entry of 16 bytes for each, the nearest first: u64, its number; f32, its \
         distance; 4 zero bytes",
    ],
    required: 2,
    parameters: ["bytes in range 0, whole vectors", "bytes of options"],
    options: Some(
        "byte 0: u32, numbers of a vector (1 to 4096); 4: u32, how many to find (1 to 4096); \
         8: the query, a vector",
    ),
    result: "entries: as many as wanted, or as there are vectors",
    cost: rate(5, 8),
    run,
};

/// Most numbers of a vector, and most vectors to be found.
const MOST: u32 = 4096;

/// Partial sums of a distance. Always as many, so that it does not depend on the machine.
const LANES: usize = 8;

/// Bytes of an entry.
const ENTRY: usize = 16;

fn run(job: &Job<'_>) -> Result<u64, Fault> {
    let mut options = job.options();
    let dimension = options.u32("numbers of a vector")?;
    let wanted = options.u32("how many to find")?;
    for (number, what) in [
        (dimension, "numbers of a vector"),
        (wanted, "vectors to find"),
    ] {
        if !(1..=MOST).contains(&number) {
            return Err(failed(format!("{number} {what}: 1 to {MOST} are possible")));
        }
    }
    let dimension = dimension as usize;
    let query: Vec<f32> = numbers(options.rest_of(dimension * 4, "the query")?).collect();
    let mut output = job.output(1)?;

    let wanted = wanted as usize;
    // The farthest on top. Of equal distances, that with the higher number is farther.
    let mut nearest = BinaryHeap::with_capacity(wanted + 1);
    let mut number = 0u64;
    let input = job.input_of(dimension * 4, "vectors")?;
    input.chunks(dimension * 4, |part| {
        for vector in part.chunks_exact(dimension * 4) {
            let entry = (order(squared_distance(&query, vector)), number);
            if nearest.len() < wanted {
                nearest.push(entry);
            } else if nearest.peek().is_some_and(|farthest| entry < *farthest) {
                nearest.pop();
                nearest.push(entry);
            }
            number += 1;
        }
        Ok(())
    })?;

    let nearest = nearest.into_sorted_vec();
    for (order, number) in &nearest {
        let mut entry = [0; ENTRY];
        entry[..8].copy_from_slice(&number.to_le_bytes());
        entry[8..12].copy_from_slice(&f32::from_bits(*order).sqrt().to_le_bytes());
        output.put(&entry)?;
    }
    Ok(nearest.len() as u64)
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let numbers = bytes.as_chunks().0.iter();
    numbers.map(|bytes| f32::from_le_bytes(*bytes))
}

fn squared_distance(query: &[f32], vector: &[u8]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (groups, rest) = query.as_chunks::<LANES>();
    let (vectors, tail) = vector.as_chunks::<{ 4 * LANES }>();
    for (group, bytes) in groups.iter().zip(vectors) {
        let (bytes, _) = bytes.as_chunks::<4>();
        for i in 0..LANES {
            let difference = group[i] - f32::from_le_bytes(bytes[i]);
            lanes[i] += difference * difference;
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(rest.iter().zip(numbers(tail))) {
        *lane += (a - b) * (a - b);
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// The bits of a number that is not negative: they are in the order of the numbers. Behind all of
/// them comes what is not a number.
fn order(number: f32) -> u32 {
    const NOT_A_NUMBER: u32 = 0x7fc0_0000;
    if number.is_nan() {
        NOT_A_NUMBER
    } else {
        number.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Device, pseudo_random, reason};

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn options(dimension: u32, wanted: u32, query: &[f32]) -> Vec<u8> {
        [
            &dimension.to_le_bytes()[..],
            &wanted.to_le_bytes(),
            &bytes(query),
        ]
        .concat()
    }

    fn nearest(vectors: &[f32], wanted: u32, query: &[f32]) -> Vec<(u64, f32)> {
        let room = vec![0; wanted as usize * ENTRY];
        let device = Device::new().with(&bytes(vectors)).with(&room);
        let options = options(query.len() as u32, wanted, query);
        let found = device.result_with(&KNN, [vectors.len() as u64 * 4, 0], &options);
        let entries = device.words(1);
        let entries = entries.chunks(2).take(found as usize);
        entries
            .map(|entry| (entry[0], f32::from_bits(entry[1] as u32)))
            .collect()
    }

    #[test]
    fn they_are_those_that_a_full_sort_finds() {
        for dimension in [1, 3, 8, 31, 128] {
            let noise = pseudo_random(dimension * 501);
            let numbers: Vec<f32> = noise.iter().map(|byte| f32::from(*byte) - 100.0).collect();
            let (query, vectors) = numbers.split_at(dimension);
            // Whole numbers of this size have exact squares and sums.
            let distance = |vector: &[f32]| -> f32 {
                let squares = vector.iter().zip(query).map(|(a, b)| (a - b) * (a - b));
                squares.sum::<f32>().sqrt()
            };
            let vectors_of = vectors.chunks(dimension).enumerate();
            let mut expected: Vec<(u64, f32)> = vectors_of
                .map(|(i, vector)| (i as u64, distance(vector)))
                .collect();
            expected.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            for wanted in [1, 10, 499, 500, 501] {
                let found = nearest(vectors, wanted as u32, query);
                assert_eq!(found, expected[..wanted.min(500)]);
            }
        }
    }

    #[test]
    fn equal_distances_come_by_number_and_what_is_no_number_last() {
        let vectors = [f32::NAN, 1.0, f32::INFINITY, -1.0, 1.0, -f32::NAN];
        let found = nearest(&vectors, 6, &[0.0]);
        assert_eq!(
            found.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [1, 3, 4, 2, 0, 5]
        );
        assert_eq!(found[0].1, 1.0);
        assert!(found[5].1.is_nan());
        assert_eq!(nearest(&vectors, 2, &[0.0]), [(1, 1.0), (3, 1.0)]);
        assert_eq!(nearest(&[], 2, &[0.0]), []);
    }

    #[test]
    fn bad_options_are_told() {
        let device = Device::new().with(&[0; 64]).with(&[0; 31]);
        let run = |bytes, options: &[u8]| reason(&device.run(&KNN, [bytes, 0], options));
        assert!(run(64, &options(0, 1, &[])).contains("0 numbers of a vector"));
        assert!(run(64, &options(5000, 1, &[])).contains("5000 numbers of a vector"));
        assert!(run(64, &options(1, 0, &[0.0])).contains("0 vectors to find"));
        assert!(
            run(64, &options(2, 1, &[0.0])).contains("the query has 4 bytes, and should have 8")
        );
        assert!(run(60, &options(4, 1, &[0.0; 4])).contains("not whole vectors of 16 bytes"));
        assert!(run(64, &options(1, 2, &[0.0])).contains("does not fit into range 1"));
        assert!(run(64, &[1]).contains("end before byte 4"));
    }
}
