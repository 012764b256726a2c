//! All that is drawn, laid out over a picture's pixels: the panels, and the words above and below them.

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, Words};
use super::iso_line::iso_lines;
use super::label::{MARKER, labels};
use super::layout::{Layout, widened};
use super::panel::Panel;
use super::stroke::dot;
use super::{HeatMap, MOST_LINES, MOST_PANELS};
use crate::error::{Error, Result};
use crate::figure::chart::{number, use_own_font};
use crate::figure::colouring::Colouring;
use crate::landscape::Field;

const FOOT: RGBColor = RGBColor(120, 120, 120);

/// What is drawn, laid out in pixels.
pub(super) struct Picture<'a> {
    pub(super) unit: f64,
    size: (u32, u32),
    title: &'a str,
    axes: &'a [String; 2],
    pub(super) panels: Vec<Panel>,
    foot: Vec<String>,
}

impl Picture<'_> {
    /// Everything but the surfaces and the lines on them.
    pub(super) fn write_on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let (canvas, unit) = (Canvas { area }, self.unit);
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let title = Words {
            size: 40.0 * unit,
            room: width - 48.0 * unit,
            ..Words::at([0.5 * width, 20.0 * unit], HPos::Center, VPos::Top)
        };
        canvas.text(self.title, title)?;
        for panel in &self.panels {
            panel.axes(&canvas, self.axes, unit)?;
            panel.bar(&canvas, unit)?;
            for label in &panel.labels {
                label.draw(&canvas, unit)?;
            }
        }
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

impl HeatMap<'_> {
    /// All that is drawn, laid out over so many pixels.
    pub(super) fn picture(&self, size: (u32, u32)) -> Result<Picture<'_>> {
        use_own_font()?;
        if !(1..=MOST_PANELS).contains(&self.quantities.len()) || self.lines > MOST_LINES {
            return Err(Error::Request(format!(
                "a picture shows 1 to {MOST_PANELS} quantities with at most {MOST_LINES} iso-lines"
            )));
        }
        let fields: Vec<Field> = self.quantities.iter().map(|&q| self.record.grid.field(q)).collect();
        if fields.iter().all(|field| field.range().is_none()) {
            return Err(Error::Request(
                "there is nothing to draw yet: no point of the surface has a finite loss".to_owned(),
            ));
        }
        let spans = [fields[0].first, fields[0].second].map(widened);
        let faint = self.faint(spans);
        let mut foot: Vec<String> = faint
            .map(|most| format!("fainter: farther from the plane, at most {}", number(most)))
            .into_iter()
            .chain([self.record.geometry(), self.record.provenance.footnote()])
            .collect();
        foot.retain(|line| !line.is_empty());
        let layout = Layout::new(size, fields.len(), !self.title.is_empty(), foot.len());
        let panels = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let heights = field.heights(self.scale);
                let colouring = Colouring::of(&heights, self.map, self.range, self.lines, self.offset);
                let frame = layout.frame(index, spans, self.record.lengths);
                let mut strokes = iso_lines(&heights, &colouring, &frame, layout.unit);
                strokes.extend(self.trajectory(&frame, layout.unit, faint));
                let inside: Vec<(&str, [f64; 2])> = self
                    .record
                    .solutions
                    .iter()
                    .map(|solution| (solution.name.as_str(), frame.pixel(solution.position)))
                    .filter(|(_, at)| frame.contains(*at))
                    .collect();
                let labels = labels(&inside, &frame, layout.unit)?;
                strokes.extend(labels.iter().flat_map(|label| label.leader(layout.unit)));
                for (_, at) in &inside {
                    strokes.extend(dot(*at, 2.0 * MARKER * layout.unit, 15.0 * layout.unit, 1.0));
                }
                Ok(Panel {
                    labels,
                    quantity: field.quantity,
                    heights,
                    colouring,
                    frame,
                    strokes,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Picture {
            unit: layout.unit,
            size,
            title: &self.title,
            axes: &self.record.axes,
            panels,
            foot,
        })
    }
}
