//! Our own job file: TOML with a `[[job]]` for each job.

use super::draft::{Draft, Names};
use super::file::JobFile;
use super::keys::{Kind, TOML_KEYS};
use super::problem::{Place, Problems, Refused};
use super::text::{self, Value};
use super::{Amount, Arrivals, Extent};
use crate::trace::quote;
use core::ops::Range;
use ersatz_drive_file::unit::Unit;
use ersatz_engine::Ns;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most jobs in one file.
const MAX_JOBS: usize = 1_024;

const NAMES: Names = Names {
    rw: "rw",
    read_percent: "read_percent",
    arrivals: "arrivals",
    rate: "rate",
    rate_requests: "rate_iops",
    distribution: "distribution",
    random_map: "random_map",
    think_time: "think_time",
    think_after: "think_after",
};

/// What fio calls some of our keys. Whoever knows fio's names may write them; values and units are
/// ours nevertheless.
pub(super) const FIO_NAMES: [(&str, &str); 9] = [
    ("bs", "block_size"),
    ("rwmixread", "read_percent"),
    ("rate_process", "arrivals"),
    ("thinktime", "think_time"),
    ("thinktime_blocks", "think_after"),
    ("number_ios", "requests"),
    ("random_distribution", "distribution"),
    ("numjobs", "jobs"),
    ("startdelay", "start_delay"),
];

/// Our name of a key of fio's.
fn of_fio(name: &str) -> Option<&'static str> {
    let found = FIO_NAMES.iter().find(|(fio, _)| *fio == name);
    found.map(|(_, ours)| *ours)
}

/// Tells where bytes of the text are.
struct Text<'t> {
    name: &'t str,
    text: &'t str,
}

impl Text<'_> {
    fn place(&self, at: Range<usize>) -> Place {
        let at = (0..=at.start.min(self.text.len()))
            .rev()
            .find(|&at| self.text.is_char_boundary(at));
        let before = &self.text[..at.unwrap_or(0)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.name.to_owned(),
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
        }
    }
}

/// Reads and checks `text`.
pub(super) fn parse(name: &str, text: &str) -> Result<JobFile, Refused> {
    let text = Text { name, text };
    let mut problems = Problems::default();
    let (mut jobs, mut seed) = (Vec::new(), None);
    match DeTable::parse(text.text) {
        Err(error) => {
            let place = text.place(error.span().unwrap_or(0..0));
            problems.push(&place, "", error.message(), "");
        }
        Ok(root) => {
            for key in root.get_ref().keys() {
                if key.get_ref() != "job" && key.get_ref() != "seed" {
                    let message = format!("{} is no key of a job file", quote(key.get_ref()));
                    problems.push(&text.place(key.span()), "", message, "seed, [[job]]");
                }
            }
            if let Some(value) = root.get_ref().get("seed") {
                let kind = Kind::Number(Unit::Count, 0, u64::MAX);
                match number(value.get_ref(), &kind) {
                    Ok(number) => seed = Some(number),
                    Err(message) => {
                        let place = text.place(value.span());
                        problems.push(&place, "seed", message, kind.to_string());
                    }
                }
            }
            let tables = root
                .get_ref()
                .get("job")
                .map(|value| (value, tables(value)));
            match tables {
                Some((_, Some(tables))) if tables.len() <= MAX_JOBS => {
                    for (number, (table, span)) in tables.into_iter().enumerate() {
                        let place = text.place(span);
                        let mut reader = Reader {
                            text: &text,
                            table,
                            place: &place,
                            problems: &mut problems,
                        };
                        jobs.push(reader.job(number + 1));
                    }
                }
                Some((value, _)) => {
                    let message = format!("is no row of 1 to {MAX_JOBS} tables");
                    problems.push(&text.place(value.span()), "job", message, "[[job]]");
                }
                None => problems.push(&text.place(0..0), "job", "there is none", "[[job]]"),
            }
        }
    }
    problems.finish(JobFile {
        jobs,
        seed,
        ignored: Vec::new(),
    })
}

fn tables<'t>(value: &'t Spanned<DeValue<'t>>) -> Option<Vec<(&'t DeTable<'t>, Range<usize>)>> {
    let array = value.get_ref().as_array()?;
    let tables = array
        .iter()
        .map(|value| Some((value.get_ref().as_table()?, value.span())));
    let tables: Vec<_> = tables.collect::<Option<_>>()?;
    (!tables.is_empty()).then_some(tables)
}

/// Takes the values out of one job.
struct Reader<'t, 'p> {
    text: &'p Text<'t>,
    table: &'p DeTable<'p>,
    place: &'p Place,
    problems: &'p mut Problems,
}

impl Reader<'_, '_> {
    fn job(&mut self, number: usize) -> super::Job {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if let Some(ours) = of_fio(name) {
                if self.table.contains_key(ours) {
                    let message = format!("is {ours}, which is there already");
                    let place = self.text.place(key.span());
                    self.problems.push(&place, name, message, "");
                }
            } else if !TOML_KEYS.iter().any(|known| known.name == name) {
                let allowed: Vec<_> = TOML_KEYS.iter().map(|key| key.name).collect();
                let message = format!("{} is no key of a job", quote(name));
                let place = self.text.place(key.span());
                self.problems.push(&place, "", message, allowed.join(", "));
            }
        }
        let rw = self.parsed("rw", text::rw);
        if rw.is_none() && self.table.get("rw").is_none() {
            self.problems.push(self.place, "rw", "is missing", text::RW);
        }
        let bytes = self.number("bytes").map(Amount::Bytes);
        let draft = Draft {
            rw,
            read_percent: self.small("read_percent"),
            sizes: self.parsed("block_size", |text| text::sizes(text, block_size)),
            iodepth: self.small("iodepth"),
            rate_requests: self.number("rate_iops"),
            rate_bytes: self.number("rate"),
            arrivals: self.parsed("arrivals", arrivals),
            think_time: self.time("think_time").unwrap_or_default(),
            think_after: self.small("think_after"),
            offset: self.parsed("offset", extent),
            offset_increment: self.parsed("offset_increment", extent),
            size: self.parsed("size", extent),
            amount: bytes.or(self.number("loops").map(Amount::Region)),
            requests: self.number("requests"),
            runtime: self.time("runtime"),
            distribution: self.parsed("distribution", text::distribution),
            random_map: self.switch("random_map"),
            seed: self.number("seed"),
            clones: self.small("jobs"),
            start_delay: self.time("start_delay").unwrap_or_default(),
            stonewall: self.switch("stonewall").unwrap_or(false),
            flush_every: self.small("flush_every").unwrap_or(0),
        };
        let name = self.parsed("name", name);
        let name = name.unwrap_or_else(|| format!("job{number}"));
        draft.finish(name, self.place, &NAMES, self.problems)
    }

    /// The value of `key` as `read` takes it; `None` when it is absent or refused.
    fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>, &Kind) -> Value<T>,
    ) -> Option<T> {
        let theirs = FIO_NAMES.iter().find(|(_, ours)| *ours == key);
        let names = [Some(key), theirs.map(|(theirs, _)| *theirs)];
        let mut found = names.into_iter().flatten();
        let (name, value) = found.find_map(|name| Some((name, self.table.get(name)?)))?;
        let kind = TOML_KEYS.iter().find(|known| known.name == key)?.kind;
        match read(value.get_ref(), &kind) {
            Ok(value) => Some(value),
            Err(message) => {
                let place = self.text.place(value.span());
                self.problems.push(&place, name, message, kind.to_string());
                None
            }
        }
    }

    fn number(&mut self, key: &'static str) -> Option<u64> {
        self.take(key, number)
    }

    /// A number whose range ends before 2^32.
    fn small(&mut self, key: &'static str) -> Option<u32> {
        self.take(key, |value, kind| {
            u32::try_from(number(value, kind)?).map_err(|_| "is too large".to_owned())
        })
    }

    fn time(&mut self, key: &'static str) -> Option<Ns> {
        self.number(key).map(Ns)
    }

    fn switch(&mut self, key: &'static str) -> Option<bool> {
        self.take(key, |value, _| {
            value.as_bool().ok_or_else(|| wrong_type(value))
        })
    }

    fn parsed<T>(&mut self, key: &'static str, read: impl FnOnce(&str) -> Value<T>) -> Option<T> {
        self.take(key, |value, _| {
            read(value.as_str().ok_or_else(|| wrong_type(value))?)
        })
    }
}

fn wrong_type(value: &DeValue<'_>) -> String {
    format!("this kind of value ({}) is not allowed", value.type_str())
}

fn number(value: &DeValue<'_>, kind: &Kind) -> Value<u64> {
    let &Kind::Number(unit, min, max) = kind else {
        return Err(wrong_type(value));
    };
    let (value, shown) = match (unit, value) {
        (Unit::Count, DeValue::Integer(integer)) => {
            let digits = integer.as_str();
            let value = u64::from_str_radix(digits, integer.radix());
            (
                value.map_err(|_| format!("{} is out of range", quote(digits)))?,
                quote(digits),
            )
        }
        (Unit::Count, _) => return Err(wrong_type(value)),
        (_, DeValue::String(text)) => (unit.parse(text)?, quote(text)),
        (_, DeValue::Integer(_) | DeValue::Float(_)) => {
            let units = unit.names();
            return Err(format!("a number must have a unit ({units}), in quotes"));
        }
        _ => return Err(wrong_type(value)),
    };
    match value {
        _ if value < min => Err(format!("{shown} is too small")),
        _ if value > max => Err(format!("{shown} is too large")),
        _ => Ok(value),
    }
}

fn name(text: &str) -> Value<String> {
    let printable = !text.chars().any(char::is_control);
    if text.is_empty() || text.chars().count() > 64 || !printable {
        return Err(format!("{} is no name", quote(text)));
    }
    Ok(text.to_owned())
}

fn block_size(text: &str) -> Value<u64> {
    match Unit::Bytes.parse(text)? {
        0 => Err(format!("{} is too small", quote(text))),
        bytes => Ok(bytes),
    }
}

fn extent(text: &str) -> Value<Extent> {
    if !text.trim_end().ends_with('%') {
        return Unit::Bytes.parse(text).map(Extent::Bytes);
    }
    match Unit::Percent.parse(text)? {
        part @ 0..=10_000 => Ok(Extent::Percent(part)),
        _ => Err(format!("{} is more than all of it", quote(text))),
    }
}

fn arrivals(text: &str) -> Value<Arrivals> {
    match text {
        "fixed" | "linear" => Ok(Arrivals::Fixed),
        "poisson" => Ok(Arrivals::Poisson),
        _ => Err(format!("{} is none of them", quote(text))),
    }
}
