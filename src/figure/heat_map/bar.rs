//! The colour bar beside a panel.

use plotters::prelude::{DrawingBackend, FontTransform};
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, Words, solid};
use super::layout::{Frame, RIGHT};
use super::ticks::level_ticks;
use crate::error::Result;
use crate::figure::colouring::Colouring;
use crate::landscape::Quantity;

/// Steps of a colour bar; the first and the last have the colours of the scale's two ends.
const STEPS: usize = 256;

/// Draws the colours to the right of a panel's frame and as high as it, with ticks and the quantity's name.
pub(in crate::figure) fn bar<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    frame: &Frame,
    colouring: &Colouring,
    quantity: Quantity,
    unit: f64,
) -> Result<()> {
    let [_, top, edge, bottom] = frame.edges();
    let (left, right) = (edge + 22.0 * unit, edge + 48.0 * unit);
    let steps = STEPS.min(frame.height);
    // From above: each step covers all below it, so that no seam shows.
    for step in (0..steps).rev() {
        let end = |step: usize| bottom - (bottom - top) * step as f64 / steps as f64;
        let colour = colouring.map.at(step as f64 / (steps - 1) as f64);
        canvas.rectangle([left, end(step + 1), right, bottom], solid(colour))?;
    }
    let thick = (1.5 * unit).round().max(1.0);
    for (value, name) in level_ticks(colouring) {
        let [_, y] = frame.place([0.0, colouring.share(value)]);
        let y0 = (y + 0.5 - 0.5 * thick).round();
        canvas.rectangle([right, y0, right + 7.0 * unit, y0 + thick], solid([150; 3]))?;
        let words = Words {
            size: 22.0 * unit,
            room: 82.0 * unit,
            ..Words::at([right + 12.0 * unit, y], HPos::Left, VPos::Center)
        };
        canvas.text(&name, words)?;
    }
    let words = Words {
        size: 24.0 * unit,
        room: bottom - top,
        turn: FontTransform::Rotate90,
        ..Words::at(
            [edge + (RIGHT - 6.0) * unit, 0.5 * (top + bottom)],
            HPos::Center,
            VPos::Top,
        )
    };
    canvas.text(quantity.name(), words)
}
