//! What a picture is made of. Lengths are in points, `y` grows downwards.

/// A colour, `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u32);

impl Color {
    /// Red, green, blue.
    pub fn channels(self) -> [u8; 3] {
        let [_, r, g, b] = self.0.to_be_bytes();
        [r, g, b]
    }
}

/// A point.
pub type Point = (f64, f64);

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Area {
    /// Its right edge.
    pub fn right(&self) -> f64 {
        self.x + self.w
    }

    /// Its lower edge.
    pub fn bottom(&self) -> f64 {
        self.y + self.h
    }
}

/// Which part of words is at their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The left end.
    Start,
    /// The middle.
    Middle,
    /// The right end.
    End,
}

/// How words look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Height of the font.
    pub size: f64,
    /// Colour.
    pub color: Color,
    /// Whether they are bold.
    pub bold: bool,
}

/// Something to draw.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Filled rectangles of one colour.
    Areas(Vec<Area>, Color),
    /// Lines from point to point.
    Line {
        /// At least two.
        points: Vec<Point>,
        /// Colour.
        color: Color,
        /// Width.
        width: f64,
    },
    /// A filled polygon that lets some of what is below show.
    Shade {
        /// At least three.
        points: Vec<Point>,
        /// Colour.
        color: Color,
        /// From 0 to 1.
        opacity: f64,
    },
    /// Words on a base line.
    Text {
        /// Where.
        at: Point,
        /// What is at that place.
        anchor: Anchor,
        /// How.
        style: Style,
        /// The words.
        words: String,
    },
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// What the picture shows, for those who can't see it.
    pub title: String,
    /// The lowest first.
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// Draws a filled rectangle.
    pub fn area(&mut self, area: Area, color: Color) {
        self.shapes.push(Shape::Areas(vec![area], color));
    }

    /// Draws lines from point to point; nothing if there is only one.
    pub fn line(&mut self, points: Vec<Point>, color: Color, width: f64) {
        if points.len() > 1 {
            self.shapes.push(Shape::Line {
                points,
                color,
                width,
            });
        }
    }

    /// Writes words.
    pub fn text(&mut self, at: Point, anchor: Anchor, style: Style, words: impl Into<String>) {
        self.shapes.push(Shape::Text {
            at,
            anchor,
            style,
            words: words.into(),
        });
    }
}
