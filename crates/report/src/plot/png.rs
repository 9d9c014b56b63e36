//! Scenes as PNG, with a font of our own: machines that simulate often have none.

use super::scene::{Anchor, Color, Point, Scene, Shape, Style};
use std::io;
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// Points per unit of length: screens have that many now.
const SCALE: f32 = 2.0;

/// Writes `scene` down.
pub fn render(scene: &Scene) -> io::Result<Vec<u8>> {
    let size = |length: f64| (length * f64::from(SCALE)).ceil() as u32;
    let mut canvas = Canvas {
        pixels: Pixmap::new(size(scene.width), size(scene.height))
            .ok_or_else(|| io::Error::other("the picture is too large"))?,
        regular: Face::parse(notosans::REGULAR_TTF, 0).map_err(io::Error::other)?,
        bold: Face::parse(notosans::BOLD_TTF, 0).map_err(io::Error::other)?,
    };
    for shape in &scene.shapes {
        canvas.draw(shape);
    }
    canvas.pixels.encode_png().map_err(io::Error::other)
}

struct Canvas<'a> {
    pixels: Pixmap,
    regular: Face<'a>,
    bold: Face<'a>,
}

impl Canvas<'_> {
    fn draw(&mut self, shape: &Shape) {
        match shape {
            Shape::Areas(areas, color) => {
                for area in areas {
                    let (x, y) = (area.x as f32, area.y as f32);
                    let (w, h) = (area.w as f32, area.h as f32);
                    if let Some(rect) = Rect::from_xywh(x, y, w, h) {
                        self.pixels
                            .fill_rect(rect, &paint(*color, 1.0), scale(), None);
                    }
                }
            }
            Shape::Line {
                points,
                color,
                width,
            } => {
                let stroke = Stroke {
                    width: *width as f32,
                    line_cap: LineCap::Butt,
                    line_join: LineJoin::Round,
                    ..Stroke::default()
                };
                if let Some(path) = path(points, false) {
                    self.pixels
                        .stroke_path(&path, &paint(*color, 1.0), &stroke, scale(), None);
                }
            }
            Shape::Shade {
                points,
                color,
                opacity,
            } => {
                if let Some(path) = path(points, true) {
                    self.fill(&path, &paint(*color, *opacity));
                }
            }
            Shape::Text {
                at,
                anchor,
                style,
                words,
            } => {
                if let Some(path) = self.outline(*at, *anchor, *style, words) {
                    self.fill(&path, &paint(style.color, 1.0));
                }
            }
        }
    }

    fn fill(&mut self, path: &Path, paint: &Paint<'_>) {
        self.pixels
            .fill_path(path, paint, FillRule::Winding, scale(), None);
    }

    fn outline(&self, at: Point, anchor: Anchor, style: Style, words: &str) -> Option<Path> {
        let face = if style.bold {
            &self.bold
        } else {
            &self.regular
        };
        let scale = style.size as f32 / f32::from(face.units_per_em());
        // Glyph 0 is the box that stands for what the font does not have.
        let glyphs = || {
            words
                .chars()
                .map(|c| face.glyph_index(c).unwrap_or(GlyphId(0)))
        };
        let advance = |glyph| scale * f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
        let length: f32 = glyphs().map(advance).sum();
        let mut pen = Pen {
            path: PathBuilder::new(),
            x: at.0 as f32
                - match anchor {
                    Anchor::Start => 0.0,
                    Anchor::Middle => length / 2.0,
                    Anchor::End => length,
                },
            y: at.1 as f32,
            scale,
        };
        for glyph in glyphs() {
            face.outline_glyph(glyph, &mut pen);
            pen.x += advance(glyph);
        }
        pen.path.finish()
    }
}

fn scale() -> Transform {
    Transform::from_scale(SCALE, SCALE)
}

fn paint(color: Color, opacity: f64) -> Paint<'static> {
    let [r, g, b] = color.channels();
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, (opacity * 255.0).round() as u8);
    paint
}

fn path(points: &[Point], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        let (x, y) = (x as f32, y as f32);
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// Draws glyphs, the `y` of which grows upwards.
struct Pen {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
