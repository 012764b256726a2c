//! A drawing area of either kind of file, with the shapes and words that a picture has besides its surface.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::stroke::Stroke;
use crate::error::{Error, Result};

const INK: RGBColor = RGBColor(60, 60, 60);

/// Where words stand and how they look.
pub(in crate::figure) struct Words {
    pub(in crate::figure) at: [f64; 2],
    pub(in crate::figure) anchor: (HPos, VPos),
    pub(in crate::figure) size: f64,
    /// Words longer than this shrink.
    pub(in crate::figure) room: f64,
    pub(in crate::figure) colour: RGBColor,
    pub(in crate::figure) turn: FontTransform,
}

impl Words {
    pub(in crate::figure) fn at(at: [f64; 2], across: HPos, up: VPos) -> Self {
        Self {
            at,
            anchor: (across, up),
            size: 0.0,
            room: f64::INFINITY,
            colour: INK,
            turn: FontTransform::None,
        }
    }
}

/// A drawing area with the shapes used here.
pub(in crate::figure) struct Canvas<'a, B: DrawingBackend> {
    pub(in crate::figure) area: &'a DrawingArea<B, Shift>,
}

impl<B: DrawingBackend> Canvas<'_, B> {
    /// Fills a rectangle given by its left, top, right and bottom edge.
    pub(in crate::figure) fn rectangle(&self, [left, top, right, bottom]: [f64; 4], colour: RGBAColor) -> Result<()> {
        let corners = [whole([left, top]), whole([right, bottom])];
        self.area
            .draw(&Rectangle::new(corners, colour.filled()))
            .map_err(failed)
    }

    pub(in crate::figure) fn stroke(&self, stroke: &Stroke) -> Result<()> {
        let [r, g, b] = stroke.colour;
        let colour = RGBAColor(r, g, b, stroke.opacity);
        if let [only] = stroke.points[..] {
            let radius = (0.5 * stroke.width).round().max(1.0) as i32;
            return self
                .area
                .draw(&Circle::new(whole(only), radius, colour.filled()))
                .map_err(failed);
        }
        let points: Vec<(i32, i32)> = stroke.points.iter().copied().map(whole).collect();
        let style = colour.stroke_width(stroke.width.round().max(1.0) as u32);
        self.area.draw(&PathElement::new(points, style)).map_err(failed)
    }

    pub(in crate::figure) fn text(&self, text: &str, words: Words) -> Result<()> {
        let [width, _] = measure(text, words.size)?;
        let size = words.size * (words.room / width.max(1.0)).min(1.0);
        let style = ("sans-serif", size.max(1.0))
            .into_font()
            .transform(words.turn)
            .color(&words.colour)
            .pos(Pos::new(words.anchor.0, words.anchor.1));
        self.area
            .draw(&Text::new(text.to_owned(), whole(words.at), style))
            .map_err(failed)
    }
}

/// Width and height of a text in the built-in font.
pub(in crate::figure) fn measure(text: &str, size: f64) -> Result<[f64; 2]> {
    let (width, height) = ("sans-serif", size).into_font().box_size(text).map_err(failed)?;
    Ok([f64::from(width), f64::from(height)])
}

fn whole([x, y]: [f64; 2]) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

pub(in crate::figure) fn solid([r, g, b]: [u8; 3]) -> RGBAColor {
    RGBAColor(r, g, b, 1.0)
}

pub(in crate::figure) fn failed(error: impl std::fmt::Display) -> Error {
    Error::Request(format!("the picture could not be drawn: {error}"))
}
