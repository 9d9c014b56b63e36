//! Values that are written the same way in our files and in fio's.

use super::{Distribution, Mix, Rw, Zone};
use crate::request::Op;
use crate::trace::quote;
use ersatz_drive_file::unit::Unit;

/// What `rw` may be.
pub(super) const RW: &str = "read, write, trim, randread, randwrite, randtrim, rw, randrw";

/// What a distribution may be.
pub(super) const DISTRIBUTIONS: &str = "uniform, zipf:THETA (above 0, up to 10), \
     pareto:H (above 0, below 1), zoned:ACCESS/SIZE:ACCESS/SIZE:... (percent)";

/// Hundredths of a percent in the whole.
const WHOLE: u32 = 10_000;

/// Most parts of a list of zones or sizes.
const MAX_PARTS: usize = 256;

/// A value, or what is wrong with it.
pub(super) type Value<T> = Result<T, String>;

/// What a job does. Mixed jobs read half of the time, unless they say otherwise.
pub(super) fn rw(text: &str) -> Value<Rw> {
    let (random, kind) = match text.strip_prefix("rand") {
        Some(kind) => (true, kind),
        None => (false, text),
    };
    let mix = match kind {
        "read" => Mix::Only(Op::Read),
        "write" => Mix::Only(Op::Write),
        "trim" => Mix::Only(Op::Trim),
        "rw" => Mix::Mixed { read_percent: 50 },
        "readwrite" if !random => Mix::Mixed { read_percent: 50 },
        _ => return Err(format!("{} is none of them", quote(text))),
    };
    Ok(Rw { random, mix })
}

/// Where random requests go.
pub(super) fn distribution(text: &str) -> Value<Distribution> {
    let (kind, value) = text.split_once(':').unwrap_or((text, ""));
    let real = |low: f64, high: f64| {
        let plain = value
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = value
            .parse::<f64>()
            .ok()
            .filter(|_| plain && value.len() <= 20);
        number
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| format!("{} has no such number", quote(text)))
    };
    match kind {
        "uniform" | "random" if value.is_empty() => Ok(Distribution::Uniform),
        "zipf" => real(1e-6, 10.0).map(|theta| Distribution::Zipf { theta }),
        "pareto" => real(1e-6, 1.0 - 1e-6).map(|h| Distribution::Pareto { h }),
        "zoned" => zones(value).map(Distribution::Zoned),
        _ => Err(format!("{} is none of them", quote(text))),
    }
}

/// `access/size:access/size:...` in percent; parts that are empty share what is left.
fn zones(text: &str) -> Value<Vec<Zone>> {
    if text.contains(',') {
        return Err("zones are the same for all operations here: there may be no comma".to_owned());
    }
    let (mut accesses, mut sizes) = (Vec::new(), Vec::new());
    for part in split(text)? {
        let (access, size) = part.split_once('/').unwrap_or((part, ""));
        accesses.push(percent(access)?);
        sizes.push(percent(size)?);
    }
    let (accesses, sizes) = (share("accesses", &accesses)?, share("sizes", &sizes)?);
    let zones = accesses.into_iter().zip(sizes);
    Ok(zones.map(|(access, size)| Zone { access, size }).collect())
}

/// `size/percent:size/percent:...`, or a size alone; sizes without a percentage share what is left.
pub(super) fn sizes(text: &str, size: impl Fn(&str) -> Value<u64>) -> Value<Vec<(u64, u32)>> {
    let (mut found, mut weights) = (Vec::new(), Vec::new());
    for part in split(text)? {
        let (bytes, weight) = part.split_once('/').unwrap_or((part, ""));
        found.push(size(bytes)?);
        weights.push(percent(weight)?);
    }
    let weights = share("percentages", &weights)?;
    let weighted = found.into_iter().zip(weights);
    Ok(weighted.filter(|(_, weight)| *weight > 0).collect())
}

fn split(text: &str) -> Value<Vec<&str>> {
    let text = text.trim();
    let parts: Vec<_> = text.split(':').map(str::trim).take(MAX_PARTS + 1).collect();
    if parts.len() > MAX_PARTS {
        return Err(format!("there are more than {MAX_PARTS} parts"));
    }
    Ok(parts)
}

/// Hundredths of a percent; `None` when nothing is written.
fn percent(text: &str) -> Value<Option<u32>> {
    let text = text.trim().trim_end_matches('%').trim_end();
    if text.is_empty() {
        return Ok(None);
    }
    let value = Unit::Percent.parse(&format!("{text} %"));
    let value = value.ok().and_then(|value| u32::try_from(value).ok());
    value
        .filter(|value| *value <= WHOLE)
        .map(Some)
        .ok_or_else(|| format!("{} is not a percentage from 0 to 100", quote(text)))
}

/// Gives to each that has none an equal share of what is left of the whole.
fn share(what: &str, parts: &[Option<u32>]) -> Value<Vec<u32>> {
    let sum: u32 = parts.iter().flatten().sum();
    let empty = parts.iter().filter(|part| part.is_none()).count() as u32;
    let shown = Unit::Percent.format(u64::from(sum));
    match WHOLE.checked_sub(sum) {
        None => Err(format!("the {what} sum up to {shown}, more than 100 %")),
        Some(1..) if empty == 0 => Err(format!("the {what} sum up to {shown}, less than 100 %")),
        Some(left) => {
            // What doesn't divide goes to the first ones, a hundredth of a percent each.
            let mut extra = left.checked_rem(empty).unwrap_or(0);
            let each = left.checked_div(empty).unwrap_or(0);
            let parts = parts.iter().map(|part| {
                part.unwrap_or_else(|| {
                    let more = u32::from(extra > 0);
                    extra -= more;
                    each + more
                })
            });
            Ok(parts.collect())
        }
    }
}
