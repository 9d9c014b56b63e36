//! fio's job file: `[sections]` of `key=value` (fio's manual, "Job file format").

use super::draft::{Draft, Names};
use super::file::{Ignored, JobFile};
use super::fio_value::{
    bytes, extent, one, plain, size, size_range, size_split, small, some_bytes, switch, time,
};
use super::problem::{Place, Problems, Refused};
use super::text::{self, Value};
use super::{Amount, Arrivals, Job, MAX_DEPTH, Mix};
use crate::trace::quote;

/// Most jobs in one file.
const MAX_JOBS: usize = 1_024;

const MICROSECOND: u64 = 1_000;
const SECOND: u64 = 1_000_000_000;

const NAMES: Names = Names {
    rw: "rw",
    read_percent: "rwmixread",
    arrivals: "rate_process",
    rate: "rate",
    rate_requests: "rate_iops",
    distribution: "random_distribution",
    random_map: "norandommap",
    think_time: "thinktime",
    think_after: "thinktime_blocks",
};

/// The keys that act, without fio's other names for them.
const ACTING: &str = "rw, rwmixread, rwmixwrite, bs, bsrange, bssplit, iodepth, rate, rate_iops, \
     rate_process, thinktime, thinktime_blocks, offset, offset_increment, size, io_size, \
     number_ios, runtime, time_based, loops, random_distribution, norandommap, randseed, numjobs, \
     startdelay, stonewall, fsync, fdatasync";

/// Keys that say how fio reaches a drive, holds its data or prints results: nothing that a
/// simulated drive could notice.
const IGNORED: [&str; 72] = [
    "allow_mounted_write",
    "allrandrepeat",
    "buffer_compress_percentage",
    "buffer_pattern",
    "buffered",
    "bwavgtime",
    "clat_percentiles",
    "clocksource",
    "cpumask",
    "cpus_allowed",
    "cpus_allowed_policy",
    "create_fsync",
    "create_on_open",
    "create_serialize",
    "dedupe_percentage",
    "description",
    "direct",
    "directory",
    "disable_bw",
    "disable_bw_measurement",
    "disable_clat",
    "disable_lat",
    "disable_slat",
    "disk_util",
    "fallocate",
    "file_service_type",
    "filename",
    "filename_format",
    "filesize",
    "fixedbufs",
    "gtod_cpu",
    "gtod_reduce",
    "group_reporting",
    "hipri",
    "hugepage-size",
    "invalidate",
    "ioengine",
    "iomem",
    "iomem_align",
    "iopsavgtime",
    "lat_percentiles",
    "lockmem",
    "log_avg_msec",
    "log_hist_msec",
    "log_max_value",
    "log_offset",
    "mem",
    "mem_align",
    "name",
    "new_group",
    "nice",
    "nonvectored",
    "numa_cpu_nodes",
    "numa_mem_policy",
    "per_job_logs",
    "percentile_list",
    "prio",
    "prioclass",
    "random_generator",
    "randrepeat",
    "refill_buffers",
    "registerfiles",
    "scramble_buffers",
    "slat_percentiles",
    "sqthread_poll",
    "sqthread_poll_cpu",
    "thread",
    "unified_rw_reporting",
    "write_bw_log",
    "write_iops_log",
    "write_lat_log",
    "zero_buffers",
];

/// A job, or what holds for all jobs after it.
#[derive(Clone, Default)]
struct Section {
    draft: Draft,
    time_based: bool,
    loops: Option<u64>,
    io_size: Option<u64>,
}

struct Parser<'t> {
    file: &'t str,
    problems: Problems,
    ignored: Vec<Ignored>,
    global: Section,
    jobs: Vec<Job>,
}

/// Where settings go.
enum Open {
    Nowhere,
    Global,
    Job {
        name: String,
        place: Place,
        section: Box<Section>,
    },
}

/// Reads and checks `text`.
pub(super) fn parse(file: &str, text: &str) -> Result<JobFile, Refused> {
    let mut parser = Parser {
        file,
        problems: Problems::default(),
        ignored: Vec::new(),
        global: Section::default(),
        jobs: Vec::new(),
    };
    let mut open = Open::Nowhere;
    for (number, raw) in text.lines().enumerate() {
        let line = raw.trim();
        let place = Place {
            file: file.to_owned(),
            line: number + 1,
            column: 1 + raw.chars().take_while(|c| c.is_whitespace()).count(),
        };
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        match line.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((name, rest))) if is_comment(rest) => {
                parser.close(open);
                open = parser.open(name.trim(), place);
            }
            Some(_) => {
                let message = format!("{} is no [section]", quote(line));
                parser.problems.push(&place, "", message, "");
            }
            None => parser.setting(&mut open, line, &place),
        }
    }
    parser.close(open);
    if parser.jobs.is_empty() {
        let place = Place {
            file: file.to_owned(),
            line: 1,
            column: 1,
        };
        parser
            .problems
            .push(&place, "", "there is no job", "a [section]");
    }
    parser.problems.finish(JobFile {
        jobs: parser.jobs,
        seed: None,
        ignored: parser.ignored,
    })
}

fn is_comment(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with([';', '#'])
}

impl Parser<'_> {
    fn open(&mut self, name: &str, place: Place) -> Open {
        match name {
            "global" => return Open::Global,
            "" => self.problems.push(&place, "", "a job must have a name", ""),
            _ => {}
        }
        Open::Job {
            name: name.chars().filter(|c| !c.is_control()).take(64).collect(),
            place,
            section: Box::new(self.global.clone()),
        }
    }

    fn close(&mut self, open: Open) {
        let Open::Job {
            name,
            place,
            section,
        } = open
        else {
            return;
        };
        if self.jobs.len() == MAX_JOBS {
            let message = format!("there are more than {MAX_JOBS} jobs");
            self.problems.push(&place, "", message, "");
            return;
        }
        let job = section.finish(name, &place, &mut self.problems);
        self.jobs.push(job);
    }

    fn setting(&mut self, open: &mut Open, line: &str, place: &Place) {
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key.trim(), value.trim()),
            None => (line, ""),
        };
        let section = match open {
            Open::Global => &mut self.global,
            Open::Job { section, .. } => section,
            Open::Nowhere => {
                let message = format!("{} is in no [section]", quote(key));
                self.problems.push(place, "", message, "");
                return;
            }
        };
        if IGNORED.contains(&key) {
            self.ignored.push(Ignored {
                place: Place {
                    file: self.file.to_owned(),
                    ..*place
                },
                key: key.to_owned(),
            });
            return;
        }
        match section.set(key, value) {
            Some(Ok(())) => {}
            Some(Err(message)) => self.problems.push(place, key, message, allowed(key)),
            None => {
                let message = format!("{} is not known, or can't be simulated", quote(key));
                let allowed = format!("{ACTING}; without effect: {}", IGNORED.join(", "));
                self.problems.push(place, "", message, allowed);
            }
        }
    }
}

/// What may be written, where the refusal has not said it.
fn allowed(key: &str) -> &'static str {
    match key {
        "rw" | "readwrite" => text::RW,
        "random_distribution" => text::DISTRIBUTIONS,
        "rate_process" => "linear, poisson",
        _ => "",
    }
}

impl Section {
    /// Takes a setting; `None` when there is none of that name.
    fn set(&mut self, key: &str, value: &str) -> Option<Value<()>> {
        let draft = &mut self.draft;
        Some(match key {
            "rw" | "readwrite" => text::rw(value).map(|rw| draft.rw = Some(rw)),
            "rwmixread" => percent(value).map(|read| draft.read_percent = Some(read)),
            "rwmixwrite" => percent(value).map(|write| draft.read_percent = Some(100 - write)),
            "bs" | "blocksize" => size(value).map(|sizes| draft.sizes = Some(sizes)),
            "bsrange" | "blocksize_range" => {
                size_range(value).map(|sizes| draft.sizes = Some(sizes))
            }
            "bssplit" => size_split(value).map(|sizes| draft.sizes = Some(sizes)),
            "iodepth" => depth(value).map(|depth| draft.iodepth = Some(depth)),
            "rate" => one(value)
                .and_then(some_bytes)
                .map(|rate| draft.rate_bytes = Some(rate)),
            "rate_iops" => one(value)
                .and_then(small)
                .map(|rate| draft.rate_requests = Some(u64::from(rate))),
            "rate_process" => process(value).map(|process| draft.arrivals = Some(process)),
            "thinktime" => time(value, MICROSECOND).map(|time| draft.think_time = time),
            "thinktime_blocks" => small(value).map(|count| draft.think_after = Some(count)),
            "offset" => extent(value).map(|offset| draft.offset = Some(offset)),
            "offset_increment" => extent(value).map(|by| draft.offset_increment = Some(by)),
            "size" => extent(value).map(|size| draft.size = Some(size)),
            "io_size" | "io_limit" => some_bytes(value).map(|size| self.io_size = Some(size)),
            "number_ios" => some_bytes(value).map(|count| draft.requests = Some(count)),
            "runtime" | "timeout" => {
                time(value, SECOND).map(|time| draft.runtime = Some(time).filter(|time| time.0 > 0))
            }
            "time_based" => switch(value).map(|on| self.time_based = on),
            "loops" => small(value).map(|loops| self.loops = Some(u64::from(loops))),
            "random_distribution" => {
                text::distribution(value).map(|it| draft.distribution = Some(it))
            }
            "norandommap" => switch(value).map(|none| draft.random_map = Some(!none)),
            "randseed" => plain(value).map(|seed| draft.seed = Some(seed)),
            "numjobs" => small(value).map(|clones| draft.clones = Some(clones)),
            "startdelay" | "start_delay" => time(value, SECOND).map(|it| draft.start_delay = it),
            "stonewall" | "wait_for_previous" => switch(value).map(|on| draft.stonewall = on),
            "fsync" | "fdatasync" => bytes(value)
                .and_then(|it| u32::try_from(it).map_err(|_| "is too large".to_owned()))
                .map(|every| draft.flush_every = every),
            _ => return None,
        })
    }

    fn finish(self, name: String, place: &Place, problems: &mut Problems) -> Job {
        let Self {
            mut draft,
            time_based,
            loops,
            io_size,
        } = self;
        let random = draft.rw.is_some_and(|rw| rw.random);
        let mixed = draft
            .rw
            .is_some_and(|rw| matches!(rw.mix, Mix::Mixed { .. }));
        if !mixed {
            // In a [global] section it is often for some of the jobs only.
            draft.read_percent = None;
        }
        if mixed && (draft.rate_bytes.is_some() || draft.rate_requests.is_some()) {
            let message = "fio applies it to reads and writes separately; write a job for each";
            problems.push(place, "rate", message, "");
        }
        if !random {
            draft.distribution = None;
            draft.random_map = None;
        } else if draft
            .distribution
            .as_ref()
            .is_none_or(|it| *it == super::Distribution::Uniform)
        {
            draft.random_map = Some(draft.random_map.unwrap_or(true));
        } else {
            draft.random_map = None;
        }
        if draft.think_time.0 == 0 {
            draft.think_after = None;
        }
        // fio's jobs have a depth even where they have a rate.
        draft.iodepth = Some(draft.iodepth.unwrap_or(1));
        let endless = time_based && draft.runtime.is_some();
        draft.amount = Some(match io_size {
            _ if endless => Amount::Endless,
            Some(bytes) => Amount::Bytes(bytes.saturating_mul(loops.unwrap_or(1))),
            None => Amount::Region(loops.unwrap_or(1)),
        });
        draft.finish(name, place, &NAMES, problems)
    }
}

fn percent(text: &str) -> Value<u32> {
    match plain(text)? {
        percent @ 0..=100 => Ok(percent as u32),
        _ => Err(format!("{} is more than 100", quote(text))),
    }
}

fn depth(text: &str) -> Value<u32> {
    let depth = small(text)?;
    if u64::from(depth) > MAX_DEPTH {
        return Err(format!("{} is more than {MAX_DEPTH}", quote(text)));
    }
    Ok(depth)
}

fn process(text: &str) -> Value<Arrivals> {
    match text {
        "linear" => Ok(Arrivals::Fixed),
        "poisson" => Ok(Arrivals::Poisson),
        _ => Err(format!("{} is none of them", quote(text))),
    }
}
