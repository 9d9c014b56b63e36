//! Workload files: TOML with `[[job]]` tables, or fio's job files.

use super::{Job, WorkloadError};
use toml::de::{DeTable, DeValue};

/// Most jobs of a file.
const MAX_JOBS: usize = 1_024;

/// Reads the jobs of a file; `name` is what errors call it. A file whose first section is `[[job]]`
/// (or that has a `seed` before it) is TOML, any other one is fio's. The seed of the file, if it has
/// one, comes first.
///
/// # Errors
/// The first line that can't be used.
pub fn parse(name: &str, text: &str) -> Result<(Option<u64>, Vec<Job>), WorkloadError> {
    let is_toml = text.lines().any(|line| line.trim().starts_with("[["));
    let (seed, jobs) = if is_toml {
        parse_toml(text)
    } else {
        parse_fio(text)
    }
    .map_err(|(line, message)| error(name, line, message))?;
    for (line, job) in &jobs {
        if job.number_ios.is_none() && job.runtime.is_none() {
            let message = format!(
                "job {:?} has neither number_ios nor runtime: it has no end",
                job.name
            );
            return Err(error(name, *line, message));
        }
    }
    if jobs.is_empty() || jobs.len() > MAX_JOBS {
        let message = format!("there are {} jobs; allowed: 1 to {MAX_JOBS}", jobs.len());
        return Err(error(name, 1, message));
    }
    Ok((seed, jobs.into_iter().map(|(_, job)| job).collect()))
}

fn error(file: &str, line: usize, message: String) -> WorkloadError {
    WorkloadError {
        file: file.to_owned(),
        line,
        message,
    }
}

type Jobs = Vec<(usize, Job)>;
type Wrong = (usize, String);

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn parse_toml(text: &str) -> Result<(Option<u64>, Jobs), Wrong> {
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (line_of(text, at), error.message().to_owned())
    })?;
    let (mut seed, mut jobs) = (None, Vec::new());
    for (key, value) in root.get_ref().iter() {
        let line = line_of(text, value.span().start);
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("seed", value) => {
                let number = plain(value).and_then(|text| text.parse().ok());
                seed = Some(number.ok_or((line, "seed: expected a whole number".to_owned()))?);
            }
            ("job", DeValue::Array(tables)) => {
                for table in tables.iter() {
                    let line = line_of(text, table.span().start);
                    let entries = table.get_ref().as_table();
                    let entries = entries.ok_or((line, "a job is a table".to_owned()))?;
                    let mut job = Job {
                        name: format!("job{}", jobs.len() + 1),
                        ..Job::default()
                    };
                    for (key, value) in entries.iter() {
                        let line = line_of(text, value.span().start);
                        let plain = plain(value.get_ref());
                        let plain = plain.ok_or((
                            line,
                            format!("{}: expected a number or a text", key.get_ref()),
                        ))?;
                        job.set(key.get_ref(), &plain).map_err(|why| (line, why))?;
                    }
                    jobs.push((line, job));
                }
            }
            (key, _) => return Err((line, format!("{key}: expected seed or [[job]]"))),
        }
    }
    Ok((seed, jobs))
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str().to_owned()),
        _ => None,
    }
}

/// Keys of fio's that say how it does its work on a real machine, which means nothing here.
const WITHOUT_MEANING: [&str; 9] = [
    "ioengine",
    "direct",
    "filename",
    "group_reporting",
    "time_based",
    "thread",
    "randrepeat",
    "norandommap",
    "invalidate",
];

fn parse_fio(text: &str) -> Result<(Option<u64>, Jobs), Wrong> {
    let (mut seed, mut global, mut jobs) = (None, Job::default(), Jobs::new());
    let mut in_global = true;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let name = section
                .strip_suffix(']')
                .ok_or((number, "a section without ]".to_owned()))?;
            in_global = name == "global";
            if !in_global {
                let job = Job {
                    name: name.to_owned(),
                    ..global.clone()
                };
                jobs.push((number, job));
            }
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, "1"));
        let (key, value) = (key.trim(), value.trim());
        match key {
            "randseed" => {
                let value = value.parse();
                seed = Some(
                    value.map_err(|_| (number, "randseed: expected a whole number".to_owned()))?,
                );
            }
            key if WITHOUT_MEANING.contains(&key) => {}
            _ => {
                let key = match key {
                    "readwrite" => "rw",
                    "blocksize" => "bs",
                    key => key,
                };
                let job = if in_global {
                    &mut global
                } else {
                    match jobs.last_mut() {
                        Some((_, job)) => job,
                        None => &mut global,
                    }
                };
                job.set(key, value).map_err(|why| (number, why))?;
            }
        }
    }
    Ok((seed, jobs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ersatz_engine::Ns;

    #[test]
    fn toml_and_fio_say_the_same() {
        let toml = "seed = 7\n[[job]]\nname = \"a\"\nrw = \"randread\"\nbs = \"4 KiB\"\niodepth = 8\nruntime = \"2 s\"\n\
                    [[job]]\nname = \"b\"\nrw = \"write\"\nbs = \"128 KiB\"\niodepth = 8\nruntime = \"2 s\"";
        let fio = "# two jobs\n[global]\nioengine=io_uring\ndirect=1\ntime_based\niodepth=8\nruntime=2\nrandseed=7\n\
                   [a]\nrw=randread\nbs=4k\n[b]\nrw=write\nblocksize=128k\n";
        assert_eq!(parse("a", toml), parse("a", fio));
        let (seed, jobs) = parse("a", fio).unwrap();
        assert_eq!((seed, jobs.len()), (Some(7), 2));
        assert_eq!(jobs[1].runtime, Some(Ns::from_secs(2)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, message) in [
            (
                "[[job]]\nrw = \"read\"\n",
                "w:1: job \"job1\" has neither number_ios nor runtime",
            ),
            (
                "[[job]]\nrw = \"raed\"\n",
                "w:2: rw = \"raed\": expected read",
            ),
            (
                "[[job]]\nbs = 4.5\n",
                "w:2: bs: expected a number or a text",
            ),
            (
                "sed = 1\n[[job]]\nrw = \"read\"",
                "w:1: sed: expected seed or [[job]]",
            ),
            ("[[job]]\nrw = \n", "w:2: "),
            ("[a]\nrw=read\nverify=md5", "w:3: verify is no key of a job"),
            ("[a\n", "w:1: a section without ]"),
            ("", "w:1: there are 0 jobs"),
        ] {
            let refused = parse("w", text).unwrap_err().to_string();
            assert!(refused.starts_with(message), "{refused}");
        }
    }
}
