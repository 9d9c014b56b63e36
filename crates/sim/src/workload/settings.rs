//! What a job can be told.

use ersatz_drive_file::unit::Unit;
use ersatz_engine::Ns;

/// What a job does, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rw {
    /// Reads, in percent; the rest are writes.
    pub reads: u32,
    /// Deallocations, in place of both.
    pub trims: bool,
    /// At random places, and not one after the other.
    pub random: bool,
}

/// Where random requests go.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Every block is as likely as any other.
    Uniform,
    /// The n-th most popular block is asked for in proportion to n to the power of minus this.
    Zipf(f64),
    /// Self-similar: a share `h` of the requests goes to a share `1 - h` of what is left of the
    /// blocks.
    Pareto(f64),
    /// Shares of the requests, and of the blocks that they go to, in order; in percent.
    Zoned(Vec<(f64, f64)>),
}

/// When requests of a rate arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// At equal distances.
    Linear,
    /// Independently of one another.
    Poisson,
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// What it does.
    pub rw: Rw,
    /// Bytes of a request.
    pub bs: u64,
    /// Requests in the drive at once; without effect where there is a rate.
    pub iodepth: u32,
    /// Requests per second, in an open loop.
    pub rate_iops: Option<u64>,
    /// How they arrive.
    pub rate_process: Process,
    /// Where random requests go.
    pub distribution: Distribution,
    /// First byte of the job's part of the namespace.
    pub offset: u64,
    /// Bytes of its part; `None`: up to the end.
    pub size: Option<u64>,
    /// How many requests there are; `None`: as many as come in `runtime`.
    pub number_ios: Option<u64>,
    /// How long requests arrive; `None`: until there were `number_ios`.
    pub runtime: Option<Ns>,
    /// A pause after every `thinktime_blocks` requests of a closed loop.
    pub thinktime: Ns,
    /// How many requests lie between pauses.
    pub thinktime_blocks: u64,
    /// When the job begins.
    pub startdelay: Ns,
    /// How many jobs like this there are.
    pub numjobs: u32,
}

impl Default for Job {
    /// The defaults are fio's.
    fn default() -> Self {
        Self {
            name: String::new(),
            rw: Rw {
                reads: 100,
                trims: false,
                random: false,
            },
            bs: 4096,
            iodepth: 1,
            rate_iops: None,
            rate_process: Process::Linear,
            distribution: Distribution::Uniform,
            offset: 0,
            size: None,
            number_ios: None,
            runtime: None,
            thinktime: Ns::ZERO,
            thinktime_blocks: 1,
            startdelay: Ns::ZERO,
            numjobs: 1,
        }
    }
}

/// The keys that [`Job::set`] knows.
pub(super) const KEYS: [&str; 16] = [
    "name",
    "rw",
    "bs",
    "iodepth",
    "rwmixread",
    "rate_iops",
    "rate_process",
    "random_distribution",
    "offset",
    "size",
    "number_ios",
    "runtime",
    "thinktime",
    "thinktime_blocks",
    "startdelay",
    "numjobs",
];

impl Job {
    /// Sets one key from its text.
    pub(super) fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        let wrong = |expected: &str| format!("{key} = {text:?}: expected {expected}");
        match key {
            "name" => self.name = text.to_owned(),
            "rw" => {
                // `rwmixread` may come before or after.
                let mix = match self.rw.reads {
                    0 | 100 => 50,
                    mix => mix,
                };
                let (reads, trims, random) = match text {
                    "read" => (100, false, false),
                    "write" => (0, false, false),
                    "rw" | "readwrite" => (mix, false, false),
                    "randread" => (100, false, true),
                    "randwrite" => (0, false, true),
                    "randrw" => (mix, false, true),
                    "trim" => (0, true, false),
                    "randtrim" => (0, true, true),
                    _ => {
                        return Err(wrong(
                            "read, write, rw, randread, randwrite, randrw, trim or randtrim",
                        ));
                    }
                };
                self.rw = Rw {
                    reads,
                    trims,
                    random,
                };
            }
            "rwmixread" => {
                let mix = text.trim_end_matches('%').trim().parse().ok();
                let mix = mix.filter(|mix| *mix <= 100);
                self.rw.reads = mix.ok_or_else(|| wrong("0 to 100 percent"))?;
            }
            "bs" => self.bs = positive(bytes(text).map_err(|why| wrong(&why))?, &wrong)?,
            "offset" => self.offset = bytes(text).map_err(|why| wrong(&why))?,
            "size" => {
                self.size = Some(positive(bytes(text).map_err(|why| wrong(&why))?, &wrong)?);
            }
            "iodepth" => {
                self.iodepth = count(text, 65_535).ok_or_else(|| wrong("1 to 65535"))? as u32
            }
            "numjobs" => {
                self.numjobs = count(text, 1_024).ok_or_else(|| wrong("1 to 1024"))? as u32
            }
            "rate_iops" => {
                let most = 1_000_000_000;
                let rate = count(text, most).ok_or_else(|| wrong("1 to 1000000000"))?;
                self.rate_iops = Some(rate);
            }
            "rate_process" => {
                self.rate_process = match text {
                    "linear" => Process::Linear,
                    "poisson" => Process::Poisson,
                    _ => return Err(wrong("linear or poisson")),
                }
            }
            "random_distribution" => {
                self.distribution = distribution(text).ok_or_else(|| {
                    wrong(
                        "random, zipf:THETA, pareto:H (0 to 1) or zoned:ACCESS/SIZE:… (100 % each)",
                    )
                })?
            }
            "number_ios" => {
                let number = count(text, u64::MAX).ok_or_else(|| wrong("at least 1"))?;
                self.number_ios = Some(number);
            }
            "thinktime_blocks" => {
                let number = count(text, u64::MAX).ok_or_else(|| wrong("at least 1"))?;
                self.thinktime_blocks = number;
            }
            "runtime" => self.runtime = Some(time(text, 1_000_000_000).map_err(|why| wrong(&why))?),
            "startdelay" => {
                self.startdelay = time(text, 1_000_000_000).map_err(|why| wrong(&why))?
            }
            "thinktime" => self.thinktime = time(text, 1_000).map_err(|why| wrong(&why))?,
            _ => {
                return Err(format!(
                    "{key} is no key of a job; allowed: {}",
                    KEYS.join(", ")
                ));
            }
        }
        Ok(())
    }
}

fn positive(value: u64, wrong: &dyn Fn(&str) -> String) -> Result<u64, String> {
    if value == 0 {
        return Err(wrong("more than nothing"));
    }
    Ok(value)
}

fn count(text: &str, most: u64) -> Option<u64> {
    let text = text.replace('_', "");
    text.parse().ok().filter(|count| (1..=most).contains(count))
}

/// A size: `"4 KiB"` as in drive files, or `4k`, `1m`, `4096` as in fio's.
fn bytes(text: &str) -> Result<u64, String> {
    let split = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[split.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Unit::Bytes.parse(text),
    };
    let number = split.trim().parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a size such as 4k or 4 KiB".to_owned())
}

/// A time: `"10 us"` as in drive files, or a plain number of `unit` nanoseconds as in fio's.
fn time(text: &str, unit: u64) -> Result<Ns, String> {
    match text.trim().parse::<u64>() {
        Ok(number) => number
            .checked_mul(unit)
            .map(Ns)
            .ok_or_else(|| "a shorter time".to_owned()),
        Err(_) => Unit::Nanoseconds.parse(text).map(Ns),
    }
}

fn distribution(text: &str) -> Option<Distribution> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match kind {
        "random" | "uniform" => Some(Distribution::Uniform),
        "zipf" => {
            let theta = number(rest).filter(|theta| (0.0..=100.0).contains(theta))?;
            Some(Distribution::Zipf(theta))
        }
        "pareto" => {
            let h = number(rest).filter(|h| 0.0 < *h && *h < 1.0)?;
            Some(Distribution::Pareto(h))
        }
        "zoned" => {
            let zone = |text: &str| {
                let (access, size) = text.split_once('/')?;
                Some((number(access)?, number(size)?))
            };
            let zones: Vec<_> = rest.split(':').map(zone).collect::<Option<_>>()?;
            let whole = |pick: fn(&(f64, f64)) -> f64| {
                let sum: f64 = zones.iter().map(pick).sum();
                (sum - 100.0).abs() < 1e-6 && zones.iter().all(|zone| pick(zone) >= 0.0)
            };
            let fits = zones.len() <= 256 && whole(|zone| zone.0) && whole(|zone| zone.1);
            fits.then_some(Distribution::Zoned(zones))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, text: &str) -> Result<Job, String> {
        let mut job = Job::default();
        job.set(key, text).map(|()| job)
    }

    #[test]
    fn sizes_and_times_are_read_in_both_manners() {
        for text in ["4k", "4K", "4096", "4 KiB", "4096 B"] {
            assert_eq!(set("bs", text).unwrap().bs, 4096, "{text}");
        }
        assert_eq!(set("runtime", "2").unwrap().runtime, Some(Ns::from_secs(2)));
        assert_eq!(set("thinktime", "7").unwrap().thinktime, Ns::from_us(7));
        assert_eq!(set("thinktime", "3 ms").unwrap().thinktime, Ns::from_ms(3));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_expected() {
        for (key, text, message) in [
            ("rw", "seq", "rw = \"seq\": expected read, write, rw"),
            ("bs", "0", "bs = \"0\": expected more than nothing"),
            ("bs", "4 kib", "did you mean KiB?"),
            ("iodepth", "0", "expected 1 to 65535"),
            ("rwmixread", "101", "expected 0 to 100 percent"),
            (
                "random_distribution",
                "zoned:50/50",
                "expected random, zipf:THETA",
            ),
            (
                "random_distribution",
                "zipf:nan",
                "expected random, zipf:THETA",
            ),
            (
                "verify",
                "md5",
                "verify is no key of a job; allowed: name, rw",
            ),
        ] {
            let refused = set(key, text).unwrap_err();
            assert!(refused.contains(message), "{refused}");
        }
    }

    #[test]
    fn the_mix_may_come_before_or_after() {
        let mut job = Job::default();
        job.set("rwmixread", "70").unwrap();
        job.set("rw", "randrw").unwrap();
        assert_eq!(job.rw.reads, 70);
        let mut job = set("rw", "randrw").unwrap();
        assert_eq!(job.rw.reads, 50);
        job.set("rwmixread", "70").unwrap();
        assert_eq!(job.rw.reads, 70);
    }
}
