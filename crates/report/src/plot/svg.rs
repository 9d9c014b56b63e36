//! Scenes as SVG 1.1.

use super::scene::{Anchor, Color, Point, Scene, Shape};
use core::fmt::{self, Display, Write};

/// The fonts that look most alike, the one that pictures of points have first.
const FONTS: &str = "'Noto Sans','Open Sans','Segoe UI','Helvetica Neue',Arial,sans-serif";

/// Writes `scene` down.
pub fn render(scene: &Scene) -> String {
    let mut svg = String::new();
    let (w, h) = (Length(scene.width), Length(scene.height));
    let title = Escaped(&scene.title);
    // Writing to a string can't fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {w} {h}\" font-family=\"{FONTS}\" role=\"img\">\n<title>{title}</title>\n"
    );
    for shape in &scene.shapes {
        let _ = write_shape(&mut svg, shape);
    }
    svg.push_str("</svg>\n");
    svg
}

fn write_shape(svg: &mut String, shape: &Shape) -> fmt::Result {
    match shape {
        Shape::Areas(areas, color) => {
            write!(svg, "<path fill=\"{color}\" d=\"")?;
            for area in areas {
                let (x, y) = (Length(area.x), Length(area.y));
                let (w, h) = (Length(area.w), Length(area.h));
                write!(svg, "M{x} {y}h{w}v{h}H{x}z")?;
            }
            writeln!(svg, "\"/>")
        }
        Shape::Line {
            points,
            color,
            width,
        } => {
            let width = Length(*width);
            write!(
                svg,
                "<path fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
                 stroke-linejoin=\"round\" d=\""
            )?;
            write_path(svg, points)?;
            writeln!(svg, "\"/>")
        }
        Shape::Shade {
            points,
            color,
            opacity,
        } => {
            let opacity = Length(*opacity);
            write!(
                svg,
                "<path fill=\"{color}\" fill-opacity=\"{opacity}\" d=\""
            )?;
            write_path(svg, points)?;
            writeln!(svg, "z\"/>")
        }
        Shape::Text {
            at: (x, y),
            anchor,
            style,
            words,
        } => {
            let (x, y, size) = (Length(*x), Length(*y), Length(style.size));
            let color = style.color;
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let weight = if style.bold {
                " font-weight=\"bold\""
            } else {
                ""
            };
            writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{color}\" \
                 text-anchor=\"{anchor}\"{weight}>{}</text>",
                Escaped(words)
            )
        }
    }
}

fn write_path(svg: &mut String, points: &[Point]) -> fmt::Result {
    for (i, &(x, y)) in points.iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        write!(svg, "{command}{} {}", Length(x), Length(y))?;
    }
    Ok(())
}

impl Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

/// A length to a hundredth, as short as it can be.
struct Length(f64);

impl Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if text == "-0" { "0" } else { text })
    }
}

/// Words in XML. Characters that XML can't hold are left out.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '\u{FFFE}' | '\u{FFFF}' => {}
                c if c.is_control() => {}
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        assert_eq!(Length(12.0).to_string(), "12");
        assert_eq!(Length(0.126).to_string(), "0.13");
        assert_eq!(Length(-0.001).to_string(), "0");
        assert_eq!(Length(100.5).to_string(), "100.5");
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(Escaped("a<b>&\u{0}c").to_string(), "a&lt;b&gt;&amp;c");
    }
}
