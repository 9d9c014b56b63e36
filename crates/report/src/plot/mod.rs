//! Pictures of a run.
//!
//! [`figure`] lays panels out on a [`Scene`](scene::Scene) of rectangles, lines and words; [`svg`]
//! and [`png`] write a scene. [`axis`] knows scales and ticks.

mod axis;
mod figure;
mod heat;
mod panel;
mod png;
mod scene;
mod svg;

use crate::file::OutputFile;
use crate::report::Charts;
use crate::{ReportError, Summary};
use std::path::Path;

/// A format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotFormat {
    /// Lines and words, sharp at any size.
    Svg,
    /// Points, two for each unit of length.
    Png,
}

impl PlotFormat {
    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// The name ends in neither `.svg` nor `.png`.
    pub fn of(path: &Path) -> Result<Self, ReportError> {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or("");
        match end.to_ascii_lowercase().as_str() {
            "svg" => Ok(Self::Svg),
            "png" => Ok(Self::Png),
            _ => Err(ReportError::PlotFormat(path.into())),
        }
    }
}

/// Draws and writes.
pub fn write(
    summary: &Summary,
    charts: &Charts,
    format: PlotFormat,
    path: &Path,
    title: &str,
) -> Result<(), ReportError> {
    let scene = figure::draw(summary, charts, title);
    let bytes = match format {
        PlotFormat::Svg => svg::render(&scene).into_bytes(),
        PlotFormat::Png => png::render(&scene).map_err(|source| ReportError::Write {
            path: path.into(),
            source,
        })?,
    };
    OutputFile::write_all(path, &bytes)
}
