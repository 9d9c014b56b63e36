//! How busy the dies were, over time.

use super::axis::Scale;
use super::panel::{Panel, SMALL, duration_ticks, heading_of};
use super::scene::{Anchor, Area, Color, Scene, Shape};
use crate::Summary;
use crate::report::Charts;
use crate::series::Series;
use ersatz_engine::Ns;

/// The most rows; with more dies, several share one.
const ROWS: usize = 128;
/// The most columns.
const COLUMNS: usize = 200;
/// How many colours there are.
const LEVELS: usize = 40;

/// Colours from idle to busy, each darker than the one before.
const RAMP: [[f64; 3]; 7] = [
    [243.0, 244.0, 246.0],
    [254.0, 231.0, 178.0],
    [252.0, 180.0, 94.0],
    [238.0, 110.0, 64.0],
    [194.0, 42.0, 76.0],
    [112.0, 22.0, 88.0],
    [42.0, 12.0, 58.0],
];

/// Rows of columns of the fraction in which something was busy.
pub struct Heat {
    dies: usize,
    per_row: usize,
    rows: Vec<Vec<f64>>,
    /// A column's width in ns; none if there is a single one for all of the time.
    width: Option<Ns>,
}

impl Heat {
    /// Nothing if the media has no dies.
    pub fn new(summary: &Summary, charts: &Charts) -> Option<Self> {
        let dies = summary.dies.len().max(charts.dies.len());
        if dies == 0 {
            return None;
        }
        let (of_dies, width) = if charts.dies.is_empty() {
            let totals = summary.dies.iter().map(|die| vec![die.utilisation]);
            (totals.collect(), None)
        } else {
            let (of_dies, width) = over_time(&charts.dies, summary.duration_ns);
            (of_dies, Some(width))
        };
        let per_row = dies.div_ceil(ROWS);
        Some(Self {
            dies,
            per_row,
            rows: of_dies.chunks(per_row).map(mean).collect(),
            width,
        })
    }

    fn row_height(&self) -> f64 {
        (260.0 / self.rows.len() as f64).clamp(2.0, 18.0)
    }

    /// How high a panel should be.
    pub fn height(&self) -> f64 {
        self.row_height() * self.rows.len() as f64
    }

    /// Draws it into `area` for a run of `duration` ns.
    pub fn draw(&self, scene: &mut Scene, area: Area, duration: f64) {
        let duration = duration.max(1.0);
        let panel = Panel {
            area,
            x: Scale::Linear(duration),
            y: Scale::Linear(1.0),
        };
        let heading = match self.width {
            Some(_) => "How busy the dies were",
            None => "How busy the dies were, all of the time together",
        };
        heading_of(scene, area, heading, "");
        legend(scene, area);
        scene.area(area, color(0));
        self.cells(scene, &panel, duration);
        for die in Scale::Linear(self.dies as f64).ticks(5.0) {
            if die.fract() == 0.0 && (die as usize) < self.dies {
                let row = die as usize / self.per_row;
                let y = area.y + (row as f64 + 0.5) * self.row_height();
                let words = format!("die {die}");
                scene.text((area.x - 8.0, y + 4.0), Anchor::End, SMALL, words);
            }
        }
        for (ns, words) in duration_ticks(panel.x, 12.0) {
            let x = panel.point(ns, 0.0).0;
            scene.text((x, area.bottom() + 18.0), Anchor::Middle, SMALL, words);
        }
    }

    /// Draws cells of the same colour as one shape, and neighbours in a row as one cell.
    fn cells(&self, scene: &mut Scene, panel: &Panel, duration: f64) {
        let mut of_level = vec![Vec::new(); LEVELS];
        let width = self.width.map_or(duration, |width| width.0 as f64);
        // With room for it, a line between rows.
        let line = if self.row_height() >= 6.0 { 1.0 } else { 0.0 };
        for (i, row) in self.rows.iter().enumerate() {
            let y = panel.area.y + i as f64 * self.row_height();
            let mut from = 0;
            for cells in row.chunk_by(|a, b| level(*a) == level(*b)) {
                let (begin, end) = (from as f64 * width, (from + cells.len()) as f64 * width);
                let (x, right) = (panel.point(begin, 0.0).0, panel.point(end, 0.0).0);
                from += cells.len();
                of_level[level(cells[0])].push(Area {
                    x,
                    y,
                    w: right - x,
                    h: self.row_height() - line,
                });
            }
        }
        // Idle is the background.
        for (level, cells) in of_level.into_iter().enumerate().skip(1) {
            if !cells.is_empty() {
                scene.shapes.push(Shape::Areas(cells, color(level)));
            }
        }
    }
}

/// The busy fraction of each die in columns of equal width, up to the run's end.
fn over_time(dies: &[Series<1>], duration: u64) -> (Vec<Vec<f64>>, Ns) {
    let widest = dies.iter().map(Series::width).max().unwrap_or(Ns(1));
    let mut width = widest.0;
    while duration.div_ceil(width) > COLUMNS as u64 {
        width *= 2;
    }
    let columns = duration.div_ceil(width).max(1);
    let rows = dies.iter().map(|die| {
        let mut die = die.clone();
        die.coarsen(Ns(width), usize::MAX);
        let busy = |column: u64| {
            let sum = die.buckets().get(column as usize).map_or(0, |sums| sums[0]);
            // The run may end within the last column.
            let length = width.min(duration.saturating_sub(column * width)).max(1);
            (sum as f64 / length as f64).min(1.0)
        };
        (0..columns).map(busy).collect()
    });
    (rows.collect(), Ns(width))
}

/// The mean of rows of equal length.
fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let columns = 0..rows.first().map_or(0, Vec::len);
    columns
        .map(|column| rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64)
        .collect()
}

fn level(busy: f64) -> usize {
    (busy * (LEVELS - 1) as f64).round() as usize
}

fn color(level: usize) -> Color {
    let place = level as f64 / (LEVELS - 1) as f64 * (RAMP.len() - 1) as f64;
    let from = (place as usize).min(RAMP.len() - 2);
    let part = place - from as f64;
    let channel = |i: usize| {
        let (a, b) = (RAMP[from][i], RAMP[from + 1][i]);
        (a + (b - a) * part).round() as u32
    };
    Color(channel(0) << 16 | channel(1) << 8 | channel(2))
}

/// What the colours mean, right above `area`.
fn legend(scene: &mut Scene, area: Area) {
    let (width, y) = (160.0, area.y - 24.0);
    scene.text((area.right(), y + 10.0), Anchor::End, SMALL, "100 % busy");
    let left = area.right() - 84.0 - width;
    for level in 0..LEVELS {
        let w = width / LEVELS as f64;
        let step = Area {
            x: left + level as f64 * w,
            y,
            w,
            h: 10.0,
        };
        scene.area(step, color(level));
    }
    scene.text((left - 8.0, y + 10.0), Anchor::End, SMALL, "idle");
}
