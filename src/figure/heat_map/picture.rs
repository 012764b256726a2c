//! All that is drawn, laid out over a picture's pixels: the panels, and the words above and below them.

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingBackend};

use super::bar::bar;
use super::canvas::Canvas;
use super::caption::Caption;
use super::iso_line::iso_lines;
use super::label::{MARKER, labels};
use super::layout::{Layout, widened};
use super::panel::Panel;
use super::stroke::dot;
use super::{HeatMap, MOST_LINES, MOST_PANELS};
use crate::error::{Error, Result};
use crate::figure::chart::use_own_font;
use crate::figure::colouring::Colouring;
use crate::landscape::Field;

/// What is drawn, laid out in pixels.
pub(super) struct Picture<'a> {
    pub(super) unit: f64,
    size: (u32, u32),
    caption: Caption<'a>,
    axes: &'a [String; 2],
    pub(super) panels: Vec<Panel>,
}

impl Picture<'_> {
    /// Everything but the surfaces and the lines on them.
    pub(super) fn write_on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let (canvas, unit) = (Canvas { area }, self.unit);
        self.caption.draw(&canvas, self.size, unit)?;
        for panel in &self.panels {
            panel.axes(&canvas, self.axes, unit)?;
            bar(&canvas, &panel.frame, &panel.colouring, panel.quantity, unit)?;
            for label in &panel.labels {
                label.draw(&canvas, unit)?;
            }
        }
        Ok(())
    }
}

impl HeatMap<'_> {
    /// The values of the quantities, from left to right.
    ///
    /// # Errors
    /// [`Error::Request`] for too many or no quantities, too many iso-lines, or when no value is finite.
    pub(in crate::figure) fn fields(&self) -> Result<Vec<Field>> {
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
        Ok(fields)
    }

    /// All that is drawn, laid out over so many pixels.
    pub(super) fn picture(&self, size: (u32, u32)) -> Result<Picture<'_>> {
        use_own_font()?;
        let fields = self.fields()?;
        let spans = [fields[0].first, fields[0].second].map(widened);
        let caption = Caption::new(&self.title, self.record);
        let layout = Layout::new(size, fields.len(), !caption.title.is_empty(), caption.foot.len());
        let panels = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let heights = field.heights(self.scale);
                let colouring = Colouring::of(&heights, self.map, self.range, self.lines, self.offset);
                let frame = layout.frame(index, spans, self.record.lengths);
                let mut strokes = iso_lines(&heights, &colouring, &frame, layout.unit);
                strokes.extend(self.trajectory(&frame, layout.unit));
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
            caption,
            axes: &self.record.axes,
            panels,
        })
    }
}
