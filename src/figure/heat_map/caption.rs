//! The words above and below a picture's panels: its title, and how the surface was made.

use plotters::prelude::{DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, Words};
use crate::error::Result;
use crate::figure::chart::number;
use crate::landscape::SurfaceRecord;

const FOOT: RGBColor = RGBColor(120, 120, 120);

/// Title and footnotes.
pub(in crate::figure) struct Caption<'a> {
    /// Written above; may be empty.
    pub(in crate::figure) title: &'a str,
    /// Lines at the foot.
    pub(in crate::figure) foot: Vec<String>,
}

impl<'a> Caption<'a> {
    /// The title given, and what a record says of itself.
    pub(in crate::figure) fn new(title: &'a str, record: &SurfaceRecord) -> Self {
        let mut foot: Vec<String> = record
            .fading()
            .map(|most| format!("fainter: farther from the plane, at most {}", number(most)))
            .into_iter()
            .chain([record.geometry(), record.provenance.footnote()])
            .collect();
        foot.retain(|line| !line.is_empty());
        Self { title, foot }
    }

    /// Writes both on a picture of some pixels.
    pub(in crate::figure) fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        size: (u32, u32),
        unit: f64,
    ) -> Result<()> {
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        let title = Words {
            size: 40.0 * unit,
            room: width - 48.0 * unit,
            ..Words::at([0.5 * width, 20.0 * unit], HPos::Center, VPos::Top)
        };
        canvas.text(self.title, title)?;
        for (index, line) in self.foot.iter().enumerate() {
            let below = (self.foot.len() - index) as f64;
            let words = Words {
                size: 19.0 * unit,
                room: width - 48.0 * unit,
                colour: FOOT,
                ..Words::at(
                    [24.0 * unit, height - (12.0 + 26.0 * below) * unit],
                    HPos::Left,
                    VPos::Top,
                )
            };
            canvas.text(line, words)?;
        }
        Ok(())
    }
}
