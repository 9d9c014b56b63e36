//! The sweep file: a drive, what is changed in it, and what is asked of it.

use crate::failure::BadFile;
use crate::requests::{Blkparse, Format, TraceOptions};
use anyhow::{Context, Result};
use core::ops::Range;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Most settings, workloads and seeds, each.
const MAX_ENTRIES: usize = 1_024;

/// A sweep file that was read.
pub struct SweepFile {
    name: String,
    text: String,
    /// The drive file that all runs begin with.
    pub drive: PathBuf,
    /// The namespace that requests go to.
    pub nsid: Option<u32>,
    /// What is changed, in the order of the file. The settings of one entry have as many values
    /// each, and take them together.
    pub axes: Vec<Vec<Setting>>,
    /// What is asked, in the order of the file.
    pub workloads: Vec<Workload>,
}

/// A key of the drive file, and the values that it takes in turn.
pub struct Setting {
    /// Dotted, as the sweep file has it: `ftl.gc.policy`, `namespace[1].size`.
    pub key: String,
    /// At least one.
    pub values: Vec<Choice>,
}

/// One value of a setting.
pub struct Choice {
    /// What the drive file gets.
    pub value: Value,
    at: Range<usize>,
}

impl Choice {
    /// Where it is in the file, in bytes.
    pub fn place(&self) -> usize {
        self.at.start
    }

    /// The value as rows have it: texts without their quotes.
    pub fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// A trace, or a file of jobs.
pub struct Workload {
    /// As rows call it.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    at: Range<usize>,
}

/// What a workload is.
pub enum Kind {
    /// A trace, and how it is read.
    Trace(TraceOptions),
    /// Jobs, with a run for each of these seeds; `None` is that of the file.
    Jobs(Vec<Option<u64>>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    drive: PathBuf,
    nsid: Option<u32>,
    #[serde(default)]
    settings: Table,
    #[serde(default)]
    together: Vec<Table>,
    workload: Vec<Spanned<RawWorkload>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorkload {
    name: Option<String>,
    file: Option<PathBuf>,
    seed: Option<Seeds>,
    trace: Option<PathBuf>,
    format: Option<Format>,
    device: Option<String>,
    #[serde(default)]
    blkparse: Blkparse,
    #[serde(default)]
    skip_bad: bool,
    depth: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a whole number, or a list of them")]
enum Seeds {
    One(u64),
    Several(Vec<u64>),
}

impl SweepFile {
    /// Reads the file at `path`. Other files that it names are in its folder, unless their paths
    /// are absolute.
    pub fn load(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("read {name}"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse(name, text, folder)?)
    }

    fn parse(name: String, text: String, folder: &Path) -> Result<Self, BadFile> {
        let mut file = Self {
            name,
            text,
            drive: PathBuf::new(),
            nsid: None,
            axes: Vec::new(),
            workloads: Vec::new(),
        };
        let wrong = |error: toml::de::Error| {
            file.refusal(error.span().unwrap_or(0..0), error.message().trim())
        };
        let raw: Raw = toml::from_str(&file.text).map_err(wrong)?;
        let root = DeTable::parse(&file.text).map_err(wrong)?;
        let axes = file.axes(root.get_ref(), &raw.settings, &raw.together)?;
        let mut workloads: Vec<Workload> = Vec::new();
        for entry in raw.workload {
            let at = entry.span();
            let workload = entry.into_inner().read(folder, at.clone());
            let workload = workload.map_err(|message| file.refusal(at.clone(), &message))?;
            if workloads.iter().any(|other| other.name == workload.name) {
                let message = format!("two workloads are called {:?}; give a name", workload.name);
                return Err(file.refusal(at, &message));
            }
            workloads.push(workload);
        }
        let most = axes.len().max(workloads.len());
        if workloads.is_empty() || most > MAX_ENTRIES {
            let message =
                format!("there have to be 1 to {MAX_ENTRIES} workloads and as many settings");
            return Err(file.refusal(0..0, &message));
        }
        file.drive = folder.join(raw.drive);
        file.nsid = raw.nsid;
        file.axes = axes;
        file.workloads = workloads;
        Ok(file)
    }

    /// What is changed, with the tables of the file that say where.
    fn axes(
        &self,
        root: &DeTable<'_>,
        settings: &Table,
        together: &[Table],
    ) -> Result<Vec<Vec<Setting>>, BadFile> {
        let mut axes: Vec<Vec<(Range<usize>, Setting)>> = Vec::new();
        if let Some(DeValue::Table(spans)) = root.get("settings").map(Spanned::get_ref) {
            let mut each = Vec::new();
            self.collect("", spans, settings, &mut each)?;
            axes.extend(each.into_iter().map(|setting| vec![setting]));
        }
        if let Some(DeValue::Array(spans)) = root.get("together").map(Spanned::get_ref) {
            for (spans, values) in spans.iter().zip(together) {
                let mut axis = Vec::new();
                if let DeValue::Table(spans) = spans.get_ref() {
                    self.collect("", spans, values, &mut axis)?;
                }
                axis.sort_by_key(|(at, _)| at.start);
                let lens: BTreeSet<_> = axis.iter().map(|(_, it)| it.values.len()).collect();
                if lens.len() != 1 {
                    let message = "expected settings with equally many values each";
                    return Err(self.refusal(spans.span(), message));
                }
                axes.push(axis);
            }
        }
        // Tables are sorted by name; people have an order in mind.
        axes.sort_by_key(|axis| axis.first().map(|(at, _)| at.start));
        let mut seen = BTreeSet::new();
        for (at, setting) in axes.iter().flatten() {
            if !seen.insert(setting.key.as_str()) {
                let message = format!("{} is there twice", setting.key);
                return Err(self.refusal(at.clone(), &message));
            }
        }
        let plain = |axis: Vec<(_, _)>| axis.into_iter().map(|(_, setting)| setting).collect();
        Ok(axes.into_iter().map(plain).collect())
    }

    /// The settings of all axes.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.axes.iter().flatten()
    }

    /// Each setting with the value that is chosen: one number for each axis.
    pub fn chosen(&self, choices: &[usize]) -> Vec<(&Setting, &Choice)> {
        let axes = self.axes.iter().zip(choices);
        axes.flat_map(|(axis, &choice)| axis.iter().map(move |it| (it, &it.values[choice])))
            .collect()
    }

    /// Collects the lists below `path`, with the places of their keys.
    fn collect(
        &self,
        path: &str,
        spans: &DeTable<'_>,
        values: &Table,
        into: &mut Vec<(Range<usize>, Setting)>,
    ) -> Result<(), BadFile> {
        for (key, spanned) in spans {
            let name: &str = key.get_ref();
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{name}");
            match (spanned.get_ref(), values.get(name)) {
                (DeValue::Table(spans), Some(Value::Table(values))) => {
                    self.collect(&path, spans, values, into)?;
                }
                (DeValue::Array(spans), Some(Value::Array(values))) if !values.is_empty() => {
                    let choices = spans.iter().zip(values).map(|(spanned, value)| Choice {
                        value: value.clone(),
                        at: spanned.span(),
                    });
                    let values = choices.collect();
                    into.push((key.span(), Setting { key: path, values }));
                }
                _ => {
                    let message =
                        format!("{path}: expected a list of at least one value, in brackets");
                    return Err(self.refusal(spanned.span(), &message));
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a value of a setting.
    pub fn refuse_choice(&self, setting: &Setting, choice: &Choice, message: &str) -> BadFile {
        let message = format!("{} = {}: {message}", setting.key, choice.value);
        self.refusal(choice.at.clone(), &message)
    }

    /// What is wrong with a workload.
    pub fn refuse_workload(&self, workload: &Workload, message: &str) -> BadFile {
        let message = format!("{}: {message}", workload.name);
        self.refusal(workload.at.clone(), &message)
    }

    /// What is wrong with the sweep as a whole.
    pub fn refuse(&self, message: &str) -> BadFile {
        self.refusal(0..0, message)
    }

    fn refusal(&self, at: Range<usize>, message: &str) -> BadFile {
        let before = self.text.get(..at.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before[line_start..].chars().count();
        BadFile(format!("{}:{line}:{column}: {message}", self.name))
    }
}

impl RawWorkload {
    fn read(self, folder: &Path, at: Range<usize>) -> Result<Workload, String> {
        let options = TraceOptions {
            format: self.format,
            device: self.device,
            blkparse: self.blkparse,
            skip_bad: self.skip_bad,
            depth: self.depth.map(NonZeroU32::get),
        };
        let (path, kind) = match (self.file, self.trace) {
            (Some(path), None) if options == TraceOptions::default() => {
                (path, Kind::Jobs(seeds(self.seed)?))
            }
            (Some(_), None) => {
                let keys = "format, device, blkparse, skip_bad and depth";
                return Err(format!("{keys} are only for traces"));
            }
            (None, Some(path)) if self.seed.is_none() => (path, Kind::Trace(options)),
            (None, Some(_)) => {
                return Err("seed is only for jobs: a trace has nothing random".into());
            }
            _ => return Err("a workload has either a file of jobs or a trace".into()),
        };
        Ok(Workload {
            name: self.name.unwrap_or_else(|| path.display().to_string()),
            path: folder.join(path),
            kind,
            at,
        })
    }
}

fn seeds(seeds: Option<Seeds>) -> Result<Vec<Option<u64>>, String> {
    let seeds = match seeds {
        None => return Ok(vec![None]),
        Some(Seeds::One(seed)) => vec![seed],
        Some(Seeds::Several(seeds)) => seeds,
    };
    let distinct: BTreeSet<_> = seeds.iter().collect();
    if seeds.is_empty() || seeds.len() > MAX_ENTRIES || distinct.len() < seeds.len() {
        let allowed = format!("1 to {MAX_ENTRIES} numbers, none of them twice");
        return Err(format!("seed: expected {allowed}"));
    }
    Ok(seeds.into_iter().map(Some).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SweepFile, String> {
        SweepFile::parse("s.toml".into(), text.into(), Path::new("/in")).map_err(|error| error.0)
    }

    const WORKLOAD: &str = "\n[[workload]]\nfile = \"jobs.toml\"\nseed = [3, 4]\n";

    #[test]
    fn settings_keep_the_order_of_the_file_and_may_be_nested() {
        let text = "drive = \"d.toml\"\n[settings]\nnand.channels = [1, 2]\n\
                    \"namespace[1].size\" = [\"1 GiB\"]\n[settings.ftl.gc]\npolicy = [\"fifo\"]\n";
        let file = parse(&format!("{text}{WORKLOAD}")).unwrap();
        let keys: Vec<_> = file.settings().map(|it| it.key.as_str()).collect();
        assert_eq!(
            keys,
            ["nand.channels", "namespace[1].size", "ftl.gc.policy"]
        );
        let texts: Vec<_> = file.axes[0][0].values.iter().map(Choice::text).collect();
        assert_eq!(texts, ["1", "2"]);
        assert_eq!(file.axes[2][0].values[0].text(), "fifo");
        assert_eq!(file.drive, Path::new("/in/d.toml"));
        assert_eq!(file.workloads[0].name, "jobs.toml");
        let Kind::Jobs(seeds) = &file.workloads[0].kind else {
            panic!("jobs");
        };
        assert_eq!(seeds, &[Some(3), Some(4)]);
    }

    #[test]
    fn settings_can_change_together() {
        let text = "drive = \"d\"\n[[together]]\nftl.b = [1, 2]\nftl.a = [3, 4]\n\
                    [settings]\nnand.x = [5]\n";
        let file = parse(&format!("{text}{WORKLOAD}")).unwrap();
        let shown = |choices: &[usize]| {
            let chosen = file.chosen(choices).into_iter();
            let shown = chosen.map(|(setting, choice)| format!("{}={}", setting.key, choice.value));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(shown(&[0, 0]), ["ftl.b=1", "ftl.a=3", "nand.x=5"]);
        assert_eq!(shown(&[1, 0]), ["ftl.b=2", "ftl.a=4", "nand.x=5"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_what_is_allowed() {
        for (text, message) in [
            ("driv = \"d\"", "s.toml:1:1: unknown field `driv`, expected"),
            ("drive = ", "s.toml:1:9: "),
            (
                "drive = \"d\"\n[settings]\nftl.model = \"page\"",
                "s.toml:3:13: ftl.model: expected a list of at least one value",
            ),
            (
                "drive = \"d\"\n[settings]\nftl.model = []",
                "s.toml:3:13: ftl.model: expected a list",
            ),
            (
                "drive = \"d\"\n[[together]]\na.b = [1]\na.c = [1, 2]",
                "s.toml:2:1: expected settings with equally many values each",
            ),
            (
                "drive = \"d\"\n[settings]\na.b = [1]\n\"a.b\" = [2]",
                "s.toml:4:1: a.b is there twice",
            ),
            (
                "drive = \"d\"\n[[workload]]\nfile = \"jobs.toml\"",
                "s.toml:4:1: two workloads are called \"jobs.toml\"; give a name",
            ),
            (
                "drive = \"d\"\n[[workload]]\nname = \"x\"",
                "s.toml:2:1: a workload has either",
            ),
            (
                "drive = \"d\"\n[[workload]]\ntrace = \"x\"\nseed = 1",
                "s.toml:2:1: seed is only for jobs",
            ),
            (
                "drive = \"d\"\n[[workload]]\nfile = \"x\"\nskip_bad = true",
                "s.toml:2:1: format, device, blkparse, skip_bad and depth are only for traces",
            ),
            (
                "drive = \"d\"\n[[workload]]\nfile = \"x\"\nseed = [1, 1]",
                "s.toml:2:1: seed: expected 1 to 1024 numbers, none of them twice",
            ),
            (
                "drive = \"d\"\n[[workload]]\ntrace = \"x\"\nformat = \"xls\"",
                "s.toml:4:10: unknown variant `xls`, expected one of `csv`",
            ),
        ] {
            let refused = parse(&format!("{text}{WORKLOAD}")).err().expect("refused");
            assert!(refused.starts_with(message), "{refused}\nis not\n{message}");
        }
        let refused = parse("drive = \"d\"\nworkload = []").err();
        assert!(refused.is_some_and(|it| it.contains("1 to 1024 workloads")));
    }
}
