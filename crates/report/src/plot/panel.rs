//! A frame with axes, in which curves are drawn.

use super::axis::{Scale, Unit, tick};
use super::scene::{Anchor, Area, Color, Point, Scene, Shape, Style};

/// Words.
pub const INK: Color = Color(0x11_18_27);
/// Less important words.
pub const GREY: Color = Color(0x6b_72_80);
const BASE: Color = Color(0x9c_a3_af);
const GRID: Color = Color(0xe5_e7_eb);

/// The most points that a curve may have on a unit of length.
const DENSITY: f64 = 0.4;

/// Small words.
pub const SMALL: Style = Style {
    size: 12.0,
    color: GREY,
    bold: false,
};
/// A panel's heading.
pub const HEADING: Style = Style {
    size: 14.0,
    color: INK,
    bold: true,
};

/// A frame with a scale for each direction.
pub struct Panel {
    /// The frame, without words.
    pub area: Area,
    /// From left to right.
    pub x: Scale,
    /// From bottom to top.
    pub y: Scale,
}

/// Ticks and their words.
pub type Ticks = Vec<(f64, String)>;

impl Panel {
    /// Where a pair of values is.
    pub fn point(&self, x: f64, y: f64) -> Point {
        (
            self.area.x + self.area.w * self.x.place(x),
            self.area.bottom() - self.area.h * self.y.place(y),
        )
    }

    /// Draws heading, grid and words.
    pub fn frame(&self, scene: &mut Scene, heading: &str, note: &str, x: &Ticks, y: &Ticks) {
        let area = self.area;
        heading_of(scene, area, heading, note);
        for (value, words) in y {
            let at = self.point(0.0, *value).1;
            scene.line(vec![(area.x, at), (area.right(), at)], GRID, 1.0);
            scene.text((area.x - 8.0, at + 4.0), Anchor::End, SMALL, words);
        }
        for (value, words) in x {
            let at = self.point(*value, 0.0).0;
            scene.line(vec![(at, area.y), (at, area.bottom())], GRID, 1.0);
            scene.text((at, area.bottom() + 18.0), Anchor::Middle, SMALL, words);
        }
        let base = vec![(area.x, area.bottom()), (area.right(), area.bottom())];
        scene.line(base, BASE, 1.0);
    }

    /// Draws a line through `points`, without those that are too near to each other to be seen.
    pub fn curve(&self, scene: &mut Scene, points: impl IntoIterator<Item = Point>, color: Color) {
        let mut line: Vec<Point> = Vec::new();
        let mut skipped = None;
        for (x, y) in points {
            let at = self.point(x, y);
            let is_near = line.last().is_some_and(|last| {
                (at.0 - last.0).abs() < DENSITY && (at.1 - last.1).abs() < DENSITY
            });
            if is_near {
                skipped = Some(at);
            } else {
                // A corner must not be cut by what was skipped before it.
                line.extend(skipped.take());
                line.push(at);
            }
        }
        line.extend(skipped);
        scene.line(line, color, 1.8);
    }

    /// Draws a line through `points` and shades what is below it.
    pub fn hill(&self, scene: &mut Scene, points: &[Point], color: Color) {
        let mut outline: Vec<Point> = points.iter().map(|&(x, y)| self.point(x, y)).collect();
        if let (Some(first), Some(last)) = (outline.first().copied(), outline.last().copied()) {
            let bottom = self.area.bottom();
            outline.extend([(last.0, bottom), (first.0, bottom)]);
            scene.shapes.push(Shape::Shade {
                points: outline,
                color,
                opacity: 0.10,
            });
        }
        self.curve(scene, points.iter().copied(), color);
    }

    /// Says that there is nothing to draw.
    pub fn empty(&self, scene: &mut Scene, words: &str) {
        let at = (
            self.area.x + self.area.w / 2.0,
            self.area.y + self.area.h / 2.0,
        );
        scene.text(at, Anchor::Middle, SMALL, words);
    }
}

/// Writes a heading above `area`, and a note at its right end.
pub fn heading_of(scene: &mut Scene, area: Area, heading: &str, note: &str) {
    let y = area.y - 14.0;
    scene.text((area.x, y), Anchor::Start, HEADING, heading);
    scene.text((area.right(), y), Anchor::End, SMALL, note);
}

/// Ticks of a scale from 0 to a duration in ns.
pub fn duration_ticks(scale: Scale, count: f64) -> Ticks {
    let ticks = scale.ticks(count);
    // All in the unit of the last.
    let unit = Unit::of(ticks.last().copied().unwrap_or(0.0));
    let words = ticks.into_iter().map(|ns| {
        let words = if ns == 0.0 {
            "0".into()
        } else {
            format!("{} {}", tick(ns / unit.ns), unit.name)
        };
        (ns, words)
    });
    words.collect()
}
