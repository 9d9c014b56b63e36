//! How a text is divided among compute units, and among loads of device memory.

/// A part of the text that is in device memory at a time.
#[derive(Debug, PartialEq, Eq)]
pub struct Load {
    /// First block of flash.
    pub slba: u64,
    /// Blocks of flash.
    pub blocks: u64,
    /// Jobs on it, one per compute unit.
    pub jobs: Vec<Job>,
}

/// Whole lines for one execution of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    /// Where its range begins in device memory: a multiple of the memory's granularity, so perhaps
    /// a few bytes before its first line.
    pub byte: u64,
    /// Bytes of text from there on.
    pub text: u64,
}

/// What device memory holds at a time is less than all of it by this much, because parts are cut at
/// the end of lines and copied in whole blocks.
pub const SLACK: u64 = 64 << 10;

/// Where a text of `len` bytes is cut: `parts + 1` places in order, of which the first and the last
/// are its ends and each other one is the beginning of a line. `line_start` finds the first line
/// that begins after a place.
pub fn cuts<E>(
    len: u64,
    parts: u64,
    mut line_start: impl FnMut(u64) -> Result<u64, E>,
) -> Result<Vec<u64>, E> {
    let mut cuts = vec![0];
    for part in 1..parts {
        let even = (u128::from(len) * u128::from(part) / u128::from(parts)) as u64;
        let start = line_start(even)?;
        cuts.push(start.min(len).max(cuts[cuts.len() - 1]));
    }
    cuts.push(len);
    Ok(cuts)
}

/// Groups the parts between `cuts` in loads of `units` parts each. A load is whole blocks of `block`
/// bytes, a job begins at a multiple of `granularity`.
pub fn loads(cuts: &[u64], units: usize, block: u64, granularity: u64) -> Vec<Load> {
    let parts: Vec<_> = cuts.windows(2).map(|cut| (cut[0], cut[1])).collect();
    let load = |parts: &[(u64, u64)]| {
        let slba = parts[0].0 / block;
        let end = parts[parts.len() - 1].1;
        let job = |&(start, end): &(u64, u64)| {
            let start = start - slba * block;
            let byte = start - start % granularity;
            Job {
                byte,
                text: end - slba * block - byte,
            }
        };
        let not_empty = parts.iter().filter(|(start, end)| start < end);
        let jobs = not_empty.map(job).collect();
        Load {
            slba,
            blocks: end.div_ceil(block) - slba,
            jobs,
        }
    };
    parts.chunks(units).map(load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::on_host::LineCounter;

    /// Lines of all lengths, some with the token at their very beginning or end.
    fn text() -> Vec<u8> {
        let line = |i: usize| match i % 5 {
            0 => format!("ERROR{}\n", "x".repeat(i % 31)),
            1 => format!("{}ERROR\n", "y".repeat(i % 17)),
            2 => "\n".to_owned(),
            _ => format!("{}\n", "ERR".repeat(i % 7)),
        };
        (0..2000).map(line).collect::<String>().into_bytes()
    }

    fn count(text: &[u8]) -> u64 {
        let mut counter = LineCounter::new(b"ERROR");
        counter.feed(text);
        counter.finish()
    }

    #[test]
    fn parts_together_have_each_line_once() {
        let text = text();
        let len = text.len() as u64;
        for (units, loads_wanted, block) in [(1, 1, 512), (4, 1, 4096), (3, 5, 512), (4, 40, 512)] {
            let line_start = |place: u64| {
                let rest = &text[place as usize..];
                let newline = rest.iter().position(|&byte| byte == b'\n');
                Ok::<_, ()>(newline.map_or(len, |at| place + at as u64 + 1))
            };
            let cuts = cuts(len, units * loads_wanted, line_start).expect("it can't fail");
            let mut sum = 0;
            for load in loads(&cuts, units as usize, block, 4) {
                let start = (load.slba * block) as usize;
                let memory = &text[start..text.len().min(start + (load.blocks * block) as usize)];
                for job in load.jobs {
                    assert!(job.byte.is_multiple_of(4));
                    sum += count(&memory[job.byte as usize..(job.byte + job.text) as usize]);
                }
            }
            assert_eq!(sum, count(&text), "{units} units, {loads_wanted} loads");
        }
    }

    #[test]
    fn a_text_without_lines_is_one_part() {
        let cuts = cuts(1000, 4, |_| Ok::<_, ()>(1000)).expect("it can't fail");
        let loads = loads(&cuts, 4, 512, 4);
        assert_eq!(
            loads,
            [Load {
                slba: 0,
                blocks: 2,
                jobs: vec![Job {
                    byte: 0,
                    text: 1000
                }]
            }]
        );
    }
}
