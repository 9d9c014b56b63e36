//! Which runs there are: a drive, a workload and a seed each, and what tells them from one another.

use super::figures::Figures;
use super::file::{Choice, Kind, Setting, SweepFile};
use crate::failure::BadFile;
use crate::requests::{self, TraceOptions};
use anyhow::{Context, Result};
use ersatz_drive_file::{DriveFile, Limits};
use ersatz_workload::{JobFile, Workload};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use toml::{Table, Value};
use twox_hash::XxHash3_128;

/// Most runs of a sweep.
pub const MAX_RUNS: usize = 100_000;

/// Most things that are told of a sweep that is refused.
const MAX_PROBLEMS: usize = 16;

/// What tells a run from all others: what goes into it, as a number.
pub type Fingerprint = u128;

/// What is asked of a drive, read as far as it can be without one.
pub enum Asked {
    /// A trace, which is read while it runs.
    Trace(TraceOptions),
    /// Jobs.
    Jobs(JobFile),
}

/// All runs of a sweep.
pub struct Plan {
    /// The sweep file.
    pub file: SweepFile,
    /// What each workload of the file asks for.
    pub asked: Vec<Asked>,
    /// In the order of the result: the last workload's last seed changes fastest, the first
    /// setting slowest.
    pub runs: Vec<Run>,
}

/// One run.
pub struct Run {
    /// What goes into it.
    pub fingerprint: Fingerprint,
    /// Which values: a number for each of the file's axes.
    pub choices: Vec<usize>,
    /// The drive with those values.
    pub drive: Arc<DriveFile>,
    /// Which workload of the file.
    pub workload: usize,
    /// The seed of its jobs; traces have none.
    pub seed: Option<u64>,
}

impl Plan {
    /// Reads the sweep file and all files that it names, and checks all drives before any run.
    pub fn load(path: &Path, figures: &Figures) -> Result<Self> {
        let file = SweepFile::load(path)?;
        // Told in its own words: it can be mended without looking at the sweep.
        DriveFile::load(&file.drive, &Limits::NONE)?;
        let text = std::fs::read_to_string(&file.drive)
            .with_context(|| format!("read {}", file.drive.display()))?;
        let base: Table = toml::from_str(&text).context("the drive file is no TOML")?;
        let (mut asked, mut contents, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
        for workload in &file.workloads {
            contents.push(hash_of(&workload.path)?);
            match &workload.kind {
                Kind::Trace(options) => {
                    asked.push(Asked::Trace(options.clone()));
                    seeds.push(vec![None]);
                }
                Kind::Jobs(of_sweep) => {
                    let jobs = requests::jobs(&workload.path)?;
                    let own = jobs.seed.unwrap_or(requests::SEED);
                    seeds.push(of_sweep.iter().map(|seed| seed.or(Some(own))).collect());
                    asked.push(Asked::Jobs(jobs));
                }
            }
        }
        let per_drive: usize = seeds.iter().map(Vec::len).sum();
        let drives = lens(&file);
        let number = drives
            .iter()
            .try_fold(per_drive, |number, &len| number.checked_mul(len));
        if number.is_none_or(|number| number > MAX_RUNS) {
            let factors: Vec<_> = drives.iter().map(ToString::to_string).collect();
            let message = format!(
                "{} values times {per_drive} workloads and seeds are more than {MAX_RUNS} runs",
                factors.join(" × ")
            );
            return Err(file.refuse(&message).into());
        }
        let plan = Self {
            file,
            asked,
            runs: Vec::new(),
        };
        let mut runs = Vec::new();
        let version = format!(
            "{} {}",
            env!("CARGO_PKG_VERSION"),
            figures.names().join(",")
        );
        for (choices, drive) in drives_of(&plan.file, &base)? {
            let text = drive.to_toml();
            for (workload, seeds) in seeds.iter().enumerate() {
                plan.check(&drive, &choices, workload)?;
                for &seed in seeds {
                    let how = match &plan.asked[workload] {
                        Asked::Trace(options) => format!("{options:?}"),
                        Asked::Jobs(_) => format!("{seed:?}"),
                    };
                    let nsid = format!("{:?}", plan.file.nsid);
                    let content = format!("{:x}", contents[workload]);
                    runs.push(Run {
                        fingerprint: fingerprint(&[&version, &text, &nsid, &how, &content]),
                        choices: choices.clone(),
                        drive: Arc::clone(&drive),
                        workload,
                        seed,
                    });
                }
            }
        }
        Ok(Self { runs, ..plan })
    }

    /// Whether a drive has the namespace that a workload is for, and its jobs fit that.
    fn check(&self, drive: &DriveFile, choices: &[usize], workload: usize) -> Result<(), BadFile> {
        let checked = match (
            ersatz_sim::namespace(drive, self.file.nsid),
            &self.asked[workload],
        ) {
            (Err(error), _) => Err(error.to_string()),
            (Ok(_), Asked::Trace(_)) => Ok(()),
            (Ok((_, target)), Asked::Jobs(jobs)) => Workload::new(jobs, target, 0)
                .map(drop)
                .map_err(|refused| refused.to_string()),
        };
        checked.map_err(|words| {
            let of = &self.file.workloads[workload];
            let chosen = shown(&self.file.chosen(choices));
            self.file.refuse_workload(of, &format!("{words}{chosen}"))
        })
    }

    /// What tells rows from one another: each setting's value, the workload, and the seed.
    pub fn settings_of(&self, run: &Run) -> Vec<String> {
        let chosen = self.file.chosen(&run.choices).into_iter();
        let mut cells: Vec<_> = chosen.map(|(_, choice)| choice.text()).collect();
        cells.push(self.file.workloads[run.workload].name.clone());
        cells.push(run.seed.map_or_else(String::new, |seed| seed.to_string()));
        cells
    }

    /// The names of those.
    pub fn setting_names(&self) -> Vec<String> {
        let keys = self.file.settings();
        let mut names: Vec<_> = keys.map(|setting| setting.key.clone()).collect();
        names.extend(["workload", "seed"].map(str::to_owned));
        names
    }
}

fn fingerprint(parts: &[&str]) -> Fingerprint {
    let mut hash = XxHash3_128::new();
    for part in parts {
        // With the length: where one part ends and the next begins is a part of it, too.
        hash.write(&(part.len() as u64).to_le_bytes());
        hash.write(part.as_bytes());
    }
    hash.finish_128()
}

/// The hash of a file's contents.
fn hash_of(path: &Path) -> Result<u128> {
    let read = || -> io::Result<u128> {
        let mut file = BufReader::new(File::open(path)?);
        let (mut hash, mut buffer) = (XxHash3_128::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hash.finish_128()),
                len => hash.write(&buffer[..len]),
            }
        }
    };
    read().with_context(|| format!("read {}", path.display()))
}

/// A drive, and the number of each value that it has.
type Chosen = (Vec<usize>, Arc<DriveFile>);

/// The drive of each combination of values.
fn drives_of(file: &SweepFile, base: &Table) -> Result<Vec<Chosen>, BadFile> {
    let mut paths = Vec::new();
    for setting in file.settings() {
        let steps = steps(&setting.key).map_err(|why| refuse_first(file, setting, &why))?;
        paths.push(steps);
    }
    let lens = lens(file);
    let mut choices = vec![0; lens.len()];
    let (mut drives, mut problems) = (Vec::new(), BTreeSet::new());
    loop {
        match drive_of(file, base, &paths, &choices) {
            Ok(drive) => drives.push((choices.clone(), Arc::new(drive))),
            Err(words) => problems.extend(words),
        }
        if problems.len() >= MAX_PROBLEMS || !advance(&mut choices, &lens) {
            break;
        }
    }
    if problems.is_empty() {
        return Ok(drives);
    }
    let words: Vec<String> = problems
        .into_iter()
        .take(MAX_PROBLEMS)
        .map(|it| it.1)
        .collect();
    Err(BadFile(words.join("\n")))
}

/// How many values each axis has.
fn lens(file: &SweepFile) -> Vec<usize> {
    let axes = file.axes.iter();
    axes.map(|axis| axis.first().map_or(0, |setting| setting.values.len()))
        .collect()
}

/// Counts on, the last digit fastest; `false` after the last number.
fn advance(digits: &mut [usize], bases: &[usize]) -> bool {
    for (digit, &base) in digits.iter_mut().zip(bases).rev() {
        *digit += 1;
        if *digit < base {
            return true;
        }
        *digit = 0;
    }
    false
}

/// The drive with these values, or all that is wrong with it, by the place in the sweep file.
fn drive_of(
    file: &SweepFile,
    base: &Table,
    paths: &[Vec<Step<'_>>],
    choices: &[usize],
) -> Result<DriveFile, Vec<(usize, String)>> {
    let mut table = base.clone();
    let chosen = file.chosen(choices);
    let told = |setting: &Setting, choice: &Choice, why: &str| {
        let words = file.refuse_choice(setting, choice, why).0;
        vec![(choice.place(), words)]
    };
    for ((setting, choice), path) in chosen.iter().zip(paths) {
        set(&mut table, path, choice.value.clone()).map_err(|why| told(setting, choice, &why))?;
    }
    let text = toml::to_string(&table).map_err(|why| vec![(0, file.refuse(&why.to_string()).0)])?;
    let name = file.drive.display().to_string();
    DriveFile::parse(&name, &text, &Limits::NONE).map_err(|refused| {
        let problems = refused.problems.iter().map(|problem| {
            let allowed = match problem.allowed.as_str() {
                "" => String::new(),
                allowed => format!("; allowed: {allowed}"),
            };
            let own = chosen
                .iter()
                .find(|(setting, _)| belongs(&problem.key, &setting.key));
            let words = match own {
                Some((setting, _)) if setting.key == problem.key => {
                    format!("{}{allowed}", problem.message)
                }
                _ => format!("{}: {}{allowed}", problem.key, problem.message),
            };
            match own {
                Some((setting, choice)) => (
                    choice.place(),
                    file.refuse_choice(setting, choice, &words).0,
                ),
                // Nothing that was set, but it doesn't fit what was.
                None => (0, file.refuse(&format!("{words}{}", shown(&chosen))).0),
            }
        });
        problems.collect()
    })
}

/// ` (with x = 1, y = 2)`; nothing when nothing was set.
fn shown(chosen: &[(&Setting, &Choice)]) -> String {
    if chosen.is_empty() {
        return String::new();
    }
    let words = chosen
        .iter()
        .map(|(setting, choice)| format!("{} = {}", setting.key, choice.value));
    format!(" (with {})", words.collect::<Vec<_>>().join(", "))
}

/// Whether a problem of `key` is one of the setting `of`: the same, or within it.
fn belongs(key: &str, of: &str) -> bool {
    key.strip_prefix(of)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn refuse_first(file: &SweepFile, setting: &Setting, why: &str) -> BadFile {
    // A list has at least one value.
    file.refuse_choice(setting, &setting.values[0], why)
}

/// A step from a table to a value in it.
#[derive(Debug, PartialEq, Eq)]
enum Step<'k> {
    Key(&'k str),
    /// Of a list, from 1.
    Number(usize),
}

/// The steps of a dotted key such as `namespace[1].size`.
fn steps(key: &str) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    for part in key.split('.') {
        let (name, mut numbers) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return Err("there is a name missing in this key".into());
        }
        steps.push(Step::Key(name));
        while let Some(rest) = numbers.strip_prefix('[') {
            let (number, rest) = rest.split_once(']').unwrap_or((rest, "?"));
            match number.parse() {
                Ok(number @ 1..) => steps.push(Step::Number(number)),
                _ => return Err("expected a number from 1 on in brackets".into()),
            }
            numbers = rest;
        }
        if !numbers.is_empty() {
            return Err("expected a dot or an end behind brackets".into());
        }
    }
    Ok(steps)
}

/// Sets a value; tables on the way that are not there are made.
fn set(table: &mut Table, path: &[Step<'_>], value: Value) -> Result<(), String> {
    let Some((Step::Key(last), tables)) = path.split_last().and_then(|(last, rest)| match last {
        Step::Key(_) => Some((last, rest)),
        Step::Number(_) => None,
    }) else {
        return Err("expected the name of a key at the end".into());
    };
    let mut steps = tables.iter().peekable();
    let mut at = table;
    while let Some(step) = steps.next() {
        let Step::Key(name) = step else {
            return Err("expected the name of a key before brackets".into());
        };
        let missing = || Value::Table(Table::new());
        let mut next = match steps.peek() {
            Some(Step::Number(_)) => at.get_mut(*name).ok_or(format!("there is no {name}"))?,
            _ => at.entry(*name).or_insert_with(missing),
        };
        while let Some(Step::Number(number)) = steps.next_if(|it| matches!(it, Step::Number(_))) {
            let Value::Array(list) = next else {
                return Err(format!("{name} is no list in the drive file"));
            };
            let len = list.len();
            next = list.get_mut(number - 1).ok_or(format!(
                "the drive file has {len} of {name}, numbered from 1"
            ))?;
        }
        let Value::Table(table) = next else {
            return Err(format!("{name} is no table in the drive file"));
        };
        at = table;
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_key_leads_into_tables_and_lists() {
        let mut table: Table = toml::from_str("[[namespace]]\nid = 1\n[ftl]\nx = 1").unwrap();
        for (key, value) in [
            ("ftl.gc.policy", "fifo"),
            ("namespace[1].size", "1 GiB"),
            ("ftl.x", "y"),
        ] {
            set(
                &mut table,
                &steps(key).unwrap(),
                Value::String(value.into()),
            )
            .unwrap();
        }
        assert_eq!(table["ftl"]["gc"]["policy"].as_str(), Some("fifo"));
        assert_eq!(table["namespace"][0]["size"].as_str(), Some("1 GiB"));
        for (key, message) in [
            ("namespace[2].size", "the drive file has 1 of namespace"),
            ("namespace.size", "namespace is no table"),
            ("ftl.x.y", "x is no table"),
            ("ftl[1].y", "ftl is no list"),
            ("none[1].y", "there is no none"),
            ("namespace[1]", "expected the name of a key at the end"),
        ] {
            let refused = set(&mut table, &steps(key).unwrap(), Value::Integer(1)).unwrap_err();
            assert!(refused.starts_with(message), "{key}: {refused}");
        }
        for key in ["", "a..b", "a[0]", "a[x]", "a[1", "a[1]b", "[1]"] {
            assert!(steps(key).is_err(), "{key}");
        }
    }

    #[test]
    fn the_last_digit_counts_fastest() {
        let (mut digits, bases) = (vec![0, 0], [2, 2]);
        let mut seen = vec![digits.clone()];
        while advance(&mut digits, &bases) {
            seen.push(digits.clone());
        }
        assert_eq!(seen, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert!(!advance(&mut [], &[]));
    }
}
