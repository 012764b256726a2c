//! All that is drawn, laid out over a picture's pixels: the panels, and the words above and below them.

use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend, WHITE};

use super::bar::bar;
use super::canvas::{Canvas, failed};
use super::caption::Caption;
use super::iso_line::iso_lines;
use super::label::pins;
use super::layout::{Layout, widened};
use super::legend::Legend;
use super::panel::Panel;
use super::{HeatMap, MOST_LINES, MOST_PANELS};
use crate::error::{Error, Result};
use crate::figure::chart::use_own_font;
use crate::figure::colouring::Colouring;
use crate::landscape::Field;

/// Plotters' coordinates are whole numbers. An SVG is drawn so many times as large as it says it is, so that its lines
/// do not jump from pixel to pixel.
const SVG_FINENESS: u32 = 4;

/// The pixels over which an SVG is laid out that says it has others.
pub(super) fn finer((width, height): (u32, u32)) -> (u32, u32) {
    (width * SVG_FINENESS, height * SVG_FINENESS)
}

/// What is drawn, laid out in pixels.
pub(super) struct Picture<'a> {
    pub(super) unit: f64,
    pub(super) size: (u32, u32),
    pub(super) caption: Caption<'a>,
    pub(super) axes: &'a [String; 2],
    pub(super) panels: Vec<Panel>,
    /// Of ways over a single panel.
    pub(super) legend: Option<Legend>,
}

impl Picture<'_> {
    /// It as RGB, row by row.
    pub(super) fn pixels(&self) -> Result<Vec<u8>> {
        let across = self.size.0 as usize;
        let mut pixels = vec![255; 3 * across * self.size.1 as usize];
        for panel in &self.panels {
            panel.paint(&mut pixels, across, self.unit);
            for stroke in &panel.strokes {
                stroke.paint(&mut pixels, across, &panel.frame);
            }
        }
        self.write_on(&BitMapBackend::with_buffer(&mut pixels, self.size).into_drawing_area())?;
        Ok(pixels)
    }

    /// It as SVG text that says it has the pixels of `size`, where it is laid out over those of [`finer`].
    pub(super) fn svg(&self, size: (u32, u32)) -> Result<String> {
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, self.size).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            let canvas = Canvas { area: &area };
            for panel in &self.panels {
                panel.draw(&canvas, self.unit)?;
                panel.strokes.iter().try_for_each(|stroke| canvas.stroke(stroke))?;
            }
            self.write_on(&area)?;
            area.present().map_err(failed)?;
        }
        let extent = |(width, height): (u32, u32)| format!("width=\"{width}\" height=\"{height}\"");
        Ok(text.replacen(&extent(self.size), &extent(size), 1))
    }

    /// Everything but the surfaces and the lines on them.
    fn write_on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let (canvas, unit) = (Canvas { area }, self.unit);
        self.caption.draw(&canvas, self.size, unit)?;
        for panel in &self.panels {
            panel.axes(&canvas, self.axes, unit)?;
            bar(&canvas, &panel.frame, &panel.colouring, panel.quantity, unit)?;
            for label in &panel.labels {
                label.draw(&canvas, unit)?;
            }
        }
        match &self.legend {
            Some(legend) => legend.draw(&canvas, unit),
            None => Ok(()),
        }
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
                let (labels, drawn) = pins(&inside, &frame, layout.unit)?;
                strokes.extend(drawn);
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
            legend: None,
        })
    }
}
