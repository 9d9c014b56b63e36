//! Which panels there are, and where.

use super::axis::{Scale, fraction, tick, time};
use super::heat::Heat;
use super::panel::{INK, Panel, SMALL, duration_ticks};
use super::scene::{Anchor, Area, Color, Scene, Style};
use crate::distribution::Distribution;
use crate::report::Charts;
use crate::text::{count, percent, prefixed, significant};
use crate::{Op, Summary};
use ersatz_engine::Ns;

const WIDTH: f64 = 1_200.0;
/// Left of a panel, for the words at its ticks.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
const MIDDLE: f64 = 90.0;
const HALF: f64 = (WIDTH - LEFT - MIDDLE - RIGHT) / 2.0;
/// Where the first row's panels begin.
const TOP: f64 = 140.0;
const LATENCY: f64 = 250.0;
const THROUGHPUT: f64 = 190.0;
/// From a row's panels to those of the next.
const GAP: f64 = 82.0;
const BOTTOM: f64 = 42.0;
/// Width of a colour's key with the longest name.
const KEY: f64 = 54.0;

/// About so many requests are in each step of a curve over time, lest it be noise.
const PER_STEP: u64 = 16;
/// The most steps of a curve over time.
const STEPS: usize = 256;

/// The colours of the kinds, in their order, told apart by those who see few colours too.
const COLORS: [Color; Op::COUNT] = [
    Color(0x25_63_eb),
    Color(0xe8_59_0c),
    Color(0x7c_3a_ed),
    Color(0x0d_94_88),
];

/// Draws all of it.
pub fn draw(summary: &Summary, charts: &Charts, title: &str) -> Scene {
    let heat = Heat::new(summary, charts);
    let second = TOP + LATENCY + GAP;
    let third = second + THROUGHPUT + GAP;
    let end = match &heat {
        Some(heat) => third + heat.height(),
        None => second + THROUGHPUT,
    };
    let mut scene = Scene {
        width: WIDTH,
        height: end + BOTTOM,
        title: title.into(),
        shapes: Vec::new(),
    };
    let page = Area {
        x: 0.0,
        y: 0.0,
        w: scene.width,
        h: scene.height,
    };
    scene.area(page, Color(0xff_ff_ff));
    header(&mut scene, summary, title);

    let place = |column: f64, y, h| Area {
        x: LEFT + column * (HALF + MIDDLE),
        y,
        w: HALF,
        h,
    };
    let latencies: Vec<_> = charts
        .tallies
        .iter()
        .map(|tally| &tally.latency)
        .zip(COLORS)
        .filter(|(latency, _)| latency.count() > 0)
        .collect();
    share_within(&mut scene, place(0.0, TOP, LATENCY), &latencies);
    share_beyond(&mut scene, place(1.0, TOP, LATENCY), &latencies);

    let duration = summary.duration_ns as f64;
    let rates = Rates::new(charts, summary.duration_ns);
    let area = place(0.0, second, THROUGHPUT);
    rates.draw(&mut scene, area, "Requests per second", 0, 1.0, duration);
    let area = place(1.0, second, THROUGHPUT);
    rates.draw(
        &mut scene,
        area,
        "Bandwidth in MB/s",
        Op::COUNT,
        1e-6,
        duration,
    );
    if let Some(heat) = heat {
        let area = Area {
            x: LEFT,
            y: third,
            w: WIDTH - LEFT - RIGHT,
            h: heat.height(),
        };
        heat.draw(&mut scene, area, duration);
    }
    scene
}

/// The title, the run in one line, and what the colours mean.
fn header(scene: &mut Scene, summary: &Summary, title: &str) {
    let style = Style {
        size: 22.0,
        color: INK,
        bold: true,
    };
    scene.text((LEFT, 46.0), Anchor::Start, style, title);
    let total = &summary.total;
    let mut facts = vec![
        format!(
            "{} requests in {}",
            count(total.requests),
            Ns(summary.duration_ns)
        ),
        format!("{} IOPS", prefixed(total.iops)),
        format!("{} MB/s", significant(total.bytes_per_second / 1e6)),
    ];
    if summary.flash.counters.host_write_pages > 0 {
        facts.push(format!("write amplification {:.2}", summary.flash.waf));
    }
    if !summary.dies.is_empty() {
        let sum: f64 = summary.dies.iter().map(|die| die.utilisation).sum();
        let mean = percent(sum / summary.dies.len() as f64);
        facts.push(format!("dies busy {mean}"));
    }
    if total.errors > 0 {
        facts.push(format!("{} failed", count(total.errors)));
    }
    let style = Style {
        size: 14.0,
        ..SMALL
    };
    let facts = facts.join("  ·  ").replace(" us", " µs");
    scene.text((LEFT, 72.0), Anchor::Start, style, facts);

    let style = Style {
        color: INK,
        ..style
    };
    let mut x = WIDTH - RIGHT;
    for (op, color) in Op::ALL.into_iter().zip(COLORS).rev() {
        if !summary.operations.contains_key(&op) {
            continue;
        }
        x -= KEY;
        scene.text((x + 18.0, 46.0), Anchor::Start, style, op.name());
        let swatch = Area {
            x,
            y: 35.5,
            w: 11.0,
            h: 11.0,
        };
        scene.area(swatch, color);
        x -= 18.0;
    }
}

type Curves<'a> = [(&'a Distribution, Color)];

/// A scale for all latencies.
fn latency_scale(latencies: &Curves<'_>) -> Scale {
    let ends = |pick: fn(&Distribution) -> Ns| {
        let all = latencies.iter().map(move |(latency, _)| pick(latency).0);
        all.map(|ns| ns.max(1) as f64)
    };
    let least = ends(Distribution::min).fold(f64::INFINITY, f64::min);
    let most = ends(Distribution::max).fold(0.0, f64::max);
    if least > most {
        return Scale::Log(1e3, 1e6);
    }
    // A single value is in the middle of something.
    Scale::Log(least / 1.5, most * 1.5)
}

fn latency_ticks(scale: Scale) -> Vec<(f64, String)> {
    let ticks = scale.ticks(0.0).into_iter();
    ticks.map(|ns| (ns, time(ns))).collect()
}

/// The cumulative distribution: which share of the requests took at most so long.
fn share_within(scene: &mut Scene, area: Area, latencies: &Curves<'_>) {
    let panel = Panel {
        area,
        x: latency_scale(latencies),
        y: Scale::Linear(1.0),
    };
    let shares = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| (share, format!("{} %", share * 100.0)));
    panel.frame(
        scene,
        "Latency",
        "share of requests that took at most so long",
        &latency_ticks(panel.x),
        &shares.into(),
    );
    for (latency, color) in latencies {
        let all = latency.count() as f64;
        let mut below = 0.0;
        let steps = latency.cumulative().flat_map(|(latency, count)| {
            let from = below;
            below = count as f64 / all;
            [(latency.0 as f64, from), (latency.0 as f64, below)]
        });
        panel.curve(scene, steps, *color);
    }
    if latencies.is_empty() {
        panel.empty(scene, "no request succeeded");
    }
}

/// The tail: which share of the requests took longer.
fn share_beyond(scene: &mut Scene, area: Area, latencies: &Curves<'_>) {
    let most = latencies.iter().map(|(latency, _)| latency.count()).max();
    let panel = Panel {
        area,
        x: latency_scale(latencies),
        // The last request's share, and at least the 99.9th percentile.
        y: Scale::Log((1.0 / most.unwrap_or(1) as f64).min(1e-3), 1.0),
    };
    let shares = panel.y.ticks(0.0).into_iter();
    let shares = shares.map(|share| (share, fraction(share))).collect();
    panel.frame(
        scene,
        "Latency, the tail",
        "share of requests that took longer",
        &latency_ticks(panel.x),
        &shares,
    );
    for (latency, color) in latencies {
        let all = latency.count() as f64;
        let mut above = 1.0;
        let steps = latency.cumulative().flat_map(|(latency, count)| {
            let from = above;
            above = 1.0 - count as f64 / all;
            [(latency.0 as f64, from), (latency.0 as f64, above)]
        });
        panel.curve(scene, steps, *color);
    }
    if latencies.is_empty() {
        panel.empty(scene, "no request succeeded");
    }
}

/// Sums per second, over time.
struct Rates {
    /// When each step begins, and how long it takes, in ns.
    steps: Vec<(f64, f64)>,
    sums: Vec<[u64; 2 * Op::COUNT]>,
}

impl Rates {
    fn new(charts: &Charts, duration: u64) -> Self {
        let requests: u64 = charts
            .tallies
            .iter()
            .map(|tally| tally.latency.count())
            .sum();
        let steps = (requests / PER_STEP).clamp(2, STEPS as u64);
        let mut series = charts.throughput.clone();
        series.coarsen(Ns(duration / steps), STEPS);
        let width = series.width().0;
        let mut sums = series.buckets().to_vec();
        // What is left behind the last whole step belongs to it: a short one would be noise.
        let len = (duration / width).max(1) as usize;
        sums.resize(sums.len().max(len), [0; 2 * Op::COUNT]);
        for rest in sums.split_off(len) {
            for (sum, more) in sums[len - 1].iter_mut().zip(rest) {
                *sum = sum.saturating_add(more);
            }
        }
        let steps = (0..len as u64).map(|i| {
            let (begin, is_last) = (i * width, i + 1 == len as u64);
            let length = if is_last { duration - begin } else { width };
            (begin as f64, length.max(1) as f64)
        });
        Self {
            steps: steps.collect(),
            sums,
        }
    }

    /// Draws the sums from number `first` on, each multiplied by `factor`.
    fn draw(
        &self,
        scene: &mut Scene,
        area: Area,
        heading: &str,
        first: usize,
        factor: f64,
        duration: f64,
    ) {
        let curves: Vec<_> = Op::ALL
            .into_iter()
            .zip(COLORS)
            // Bytes that are trimmed are not moved.
            .filter(|(op, _)| first == 0 || op.moves_data())
            .map(|(op, color)| (self.per_second(first + op as usize, factor), color))
            .filter(|(rates, _)| rates.iter().any(|&rate| rate > 0.0))
            .collect();
        let most = curves.iter().flat_map(|(rates, _)| rates).copied();
        let panel = Panel {
            area,
            x: Scale::Linear(duration.max(1.0)),
            y: Scale::linear(most.fold(0.0, f64::max)),
        };
        let ticks = panel.y.ticks(5.0).into_iter();
        let ticks = ticks.map(|rate| (rate, tick(rate))).collect();
        let note = format!("steps of {}", time(self.steps[0].1));
        panel.frame(scene, heading, &note, &duration_ticks(panel.x, 6.0), &ticks);
        for (rates, color) in &curves {
            let steps = self.steps.iter().zip(rates);
            let points: Vec<_> = steps
                .flat_map(|(&(begin, length), &rate)| [(begin, rate), (begin + length, rate)])
                .collect();
            panel.hill(scene, &points, *color);
        }
        if curves.is_empty() {
            panel.empty(scene, "none");
        }
    }

    fn per_second(&self, which: usize, factor: f64) -> Vec<f64> {
        let sums = self.sums.iter().zip(&self.steps);
        sums.map(|(sums, (_, length))| sums[which] as f64 * factor * 1e9 / length)
            .collect()
    }
}
