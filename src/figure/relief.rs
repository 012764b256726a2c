//! The picture of a surface as a relief. Something else draws the relief itself; here are its title, names, colour bars
//! and footnotes, as on the heat map, over white.

use std::fmt::Debug;
use std::sync::Arc;

use plotters::coord::Shift;
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea};
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::use_own_font;
use super::colouring::Colouring;
use super::heat_map::bar::bar;
use super::heat_map::canvas::{Canvas, Words, measure};
use super::heat_map::caption::Caption;
use super::heat_map::label::{Label, pins};
use super::heat_map::layout::{Frame, Layout};
use super::heat_map::stroke::{Stroke, dot};
use super::heat_map::{HeatMap, check_size};
use crate::error::{Error, Result};
use crate::landscape::{Field, Heights, Quantity, SurfaceRecord};

/// Share of a relief's width that the name of an axis has at most: both stand side by side below it.
const AXIS_ROOM: f64 = 0.5;

/// A relief as it was drawn. Places are in pixels from the left and the top; a whole number is a pixel's middle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Red, green, blue and opacity by rows, the colours multiplied by the opacity: 4·width·height bytes.
    pub pixels: Vec<u8>,
    /// Names of the solutions, and the tops of their pins.
    pub pins: Vec<(String, [f64; 2])>,
    /// Names of the axes, and where they are to stand: left of a place that is left of the middle, otherwise right of it.
    pub axes: Vec<(String, [f64; 2])>,
    /// The last step of a trajectory that is not drawn to its end.
    pub mark: Option<[f64; 2]>,
}

/// What draws a relief.
pub trait Draw: Debug + Send + Sync {
    /// The relief of `heights`, which are of `record`, over nothing; `size` is its width and height in pixels. The
    /// trajectory is drawn up to step `until`, and without it to its end.
    ///
    /// # Errors
    /// [`Error::Request`] for a size it cannot draw, and [`Error::Device`] when drawing fails.
    fn relief(
        &self,
        record: &SurfaceRecord,
        heights: &Arc<Heights>,
        colouring: &Colouring,
        until: Option<usize>,
        size: [u32; 2],
    ) -> Result<Drawn>;
}

/// The picture of a surface as reliefs, one a quantity.
#[derive(Clone, Debug)]
pub struct ReliefPicture<'a> {
    /// What is drawn and in which colours: of the same, this is the heat map.
    pub map: HeatMap<'a>,
    /// What draws it.
    pub draw: &'a dyn Draw,
}

impl ReliefPicture<'_> {
    /// The picture as RGB, row by row, 3·width·height bytes.
    ///
    /// # Errors
    /// As for [`HeatMap::pixels`], and when the reliefs cannot be drawn.
    pub fn pixels(&self, size: (u32, u32)) -> Result<Vec<u8>> {
        check_size(size)?;
        use_own_font()?;
        let fields = self.map.fields()?;
        let caption = Caption::new(&self.map.title, self.map.record);
        let layout = Layout::bare(size, fields.len(), !caption.title.is_empty(), caption.foot.len());
        let across = size.0 as usize;
        let mut pixels = vec![255; 3 * across * size.1 as usize];
        let mut panels = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let frame = layout.frame(index, [(0.0, 1.0); 2], None);
            let (panel, drawn) = self.panel(field, frame, layout.unit)?;
            over_white(&drawn, &mut pixels, across, &frame)?;
            for stroke in &panel.strokes {
                stroke.paint(&mut pixels, across, &frame);
            }
            panels.push(panel);
        }
        let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        write_on(&area, &caption, &panels, size, layout.unit)?;
        // It writes to the pixels until it is gone.
        drop(area);
        Ok(pixels)
    }

    /// One quantity's relief: what is drawn around it, and its pixels.
    fn panel(&self, field: &Field, frame: Frame, unit: f64) -> Result<(Panel, Vec<u8>)> {
        let map = &self.map;
        let heights = Arc::new(field.heights(map.scale));
        let colouring = Colouring::of(&heights, map.map, map.range, map.lines, map.offset);
        let size = [frame.width, frame.height].map(|side| side as u32);
        let drawn = self.draw.relief(map.record, &heights, &colouring, map.until, size)?;
        let place = |[x, y]: [f64; 2]| [frame.left as f64 + x, frame.top as f64 + y];
        let named: Vec<(&str, [f64; 2])> = drawn
            .pins
            .iter()
            .map(|(name, at)| (name.as_str(), place(*at)))
            .filter(|(_, at)| frame.contains(*at))
            .collect();
        let (labels, mut strokes) = pins(&named, &frame, unit)?;
        if let Some(at) = drawn.mark {
            strokes.extend(dot(place(at), 20.0 * unit, 15.0 * unit, 1.0));
        }
        let panel = Panel {
            quantity: field.quantity,
            colouring,
            frame,
            strokes,
            labels,
            axes: drawn.axes.into_iter().map(|(name, at)| (name, place(at))).collect(),
        };
        Ok((panel, drawn.pixels))
    }
}

/// What is drawn around one relief.
struct Panel {
    quantity: Quantity,
    colouring: Colouring,
    frame: Frame,
    strokes: Vec<Stroke>,
    labels: Vec<Label>,
    axes: Vec<(String, [f64; 2])>,
}

impl Panel {
    /// The names and the colour bar.
    fn write_on<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
        let [left, top, right, bottom] = self.frame.edges();
        let above = Words {
            size: 28.0 * unit,
            ..Words::at([0.5 * (left + right), top - 14.0 * unit], HPos::Center, VPos::Bottom)
        };
        canvas.text(self.quantity.name(), above)?;
        let (size, room) = (24.0 * unit, AXIS_ROOM * (right - left));
        for (name, place) in &self.axes {
            let [width, height] = measure(name, size)?;
            let half = 0.5 * width.min(room);
            // Beside its place and away from the middle, so that it does not lie over the surface.
            let aside = if place[0] < 0.5 * (left + right) { -half } else { half };
            let at = [
                (place[0] + aside).min(right - half).max(left + half),
                place[1].min(bottom - height).max(top),
            ];
            let words = Words {
                size,
                room,
                ..Words::at(at, HPos::Center, VPos::Top)
            };
            canvas.text(name, words)?;
        }
        bar(canvas, &self.frame, &self.colouring, self.quantity, unit)?;
        self.labels.iter().try_for_each(|label| label.draw(canvas, unit))
    }
}

/// Everything but the reliefs and the lines over them.
fn write_on<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    caption: &Caption<'_>,
    panels: &[Panel],
    size: (u32, u32),
    unit: f64,
) -> Result<()> {
    let canvas = Canvas { area };
    caption.draw(&canvas, size, unit)?;
    panels.iter().try_for_each(|panel| panel.write_on(&canvas, unit))
}

/// Puts a relief into the frame of an RGB picture that is `across` pixels wide, over white.
fn over_white(drawn: &[u8], pixels: &mut [u8], across: usize, frame: &Frame) -> Result<()> {
    if drawn.len() != 4 * frame.width * frame.height {
        return Err(Error::Request(
            "the relief was drawn with another size than it was asked for".to_owned(),
        ));
    }
    for (row, line) in drawn.chunks_exact(4 * frame.width).enumerate() {
        let start = 3 * ((frame.top + row) * across + frame.left);
        let below = pixels[start..start + 3 * frame.width].chunks_exact_mut(3);
        for (pixel, above) in below.zip(line.chunks_exact(4)) {
            let white = 255 - above[3];
            for (channel, colour) in pixel.iter_mut().zip(above) {
                *channel = colour.saturating_add(white);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, pixel, record};

    /// Fills the relief with one colour and puts its names at its middle.
    #[derive(Debug)]
    struct Flat {
        colour: [u8; 4],
        named: bool,
    }

    impl Draw for Flat {
        fn relief(
            &self,
            record: &SurfaceRecord,
            _: &Arc<Heights>,
            _: &Colouring,
            until: Option<usize>,
            size: [u32; 2],
        ) -> Result<Drawn> {
            let middle = size.map(|side| 0.5 * f64::from(side));
            let names = record.axes.iter().filter(|_| self.named);
            let names: Vec<(String, [f64; 2])> = names.map(|name| (name.clone(), middle)).collect();
            Ok(Drawn {
                pixels: self.colour.repeat((size[0] * size[1]) as usize),
                pins: names.clone(),
                axes: names,
                mark: until.map(|_| [0.25 * middle[0], middle[1]]),
            })
        }
    }

    const BARE: Flat = Flat {
        colour: [10, 20, 30, 255],
        named: false,
    };

    /// Of a picture with a title and one line at its foot.
    fn frame() -> Frame {
        Layout::bare(SIZE, 1, true, 1).frame(0, [(0.0, 1.0); 2], None)
    }

    #[test]
    fn the_relief_lies_over_white_in_its_frame() {
        let record = record(5, |a, b| 2.0 + a * b);
        let half = Flat {
            colour: [10, 20, 30, 128],
            ..BARE
        };
        let [left, top, right, bottom] = frame().edges();
        for (draw, expected) in [(&BARE, [10, 20, 30]), (&half, [137, 147, 157])] {
            let picture = ReliefPicture {
                map: heat_map(&record),
                draw,
            };
            let pixels = picture.pixels(SIZE).unwrap();
            assert_eq!(pixels.len(), 3 * 640 * 480);
            for at in [[left, top], [right - 1.0, bottom - 1.0], [0.5 * (left + right), top]] {
                assert_eq!(pixel(&pixels, at), expected);
            }
            assert_eq!(pixel(&pixels, [left - 1.0, bottom - 1.0]), [255; 3]);
        }
    }

    #[test]
    fn words_pins_and_the_last_step_are_drawn() {
        let record = record(5, |a, b| 2.0 + a * b);
        let pixels = |draw: &Flat, map: HeatMap| ReliefPicture { map, draw }.pixels(SIZE).unwrap();
        // How many pixels in some rows differ.
        let differ = |one: &[u8], other: &[u8], rows: std::ops::Range<usize>| {
            let row = 3 * SIZE.0 as usize;
            let part = row * rows.start..row * rows.end;
            let pairs = one[part.clone()].chunks_exact(3).zip(other[part].chunks_exact(3));
            pairs.filter(|(one, other)| one != other).count()
        };
        let bare = pixels(&BARE, heat_map(&record));
        let [_, top, _, bottom] = frame().edges().map(|edge| edge as usize);
        let white = vec![255; bare.len()];
        // The title and the quantity's name above the frame, the footnote below it.
        assert!(differ(&bare, &white, 0..top - 30) > 50);
        assert!(differ(&bare, &white, top - 30..top) > 20);
        assert!(differ(&bare, &white, bottom + 10..480) > 50);
        let named = Flat { named: true, ..BARE };
        assert!(differ(&pixels(&named, heat_map(&record)), &bare, top..bottom) > 300);
        let walking = HeatMap {
            until: Some(0),
            ..heat_map(&record)
        };
        let marked = differ(&pixels(&BARE, walking), &bare, top..bottom);
        assert!((20..200).contains(&marked), "{marked}");
    }

    #[test]
    fn panels_stand_side_by_side_in_any_size() {
        let record = record(5, |a, b| 2.0 + a * b);
        let named = Flat { named: true, ..BARE };
        for (count, size) in [(1, (400, 300)), (2, (2000, 1000)), (4, (100, 100)), (4, (1200, 300))] {
            let map = HeatMap {
                quantities: Quantity::ALL[..count].to_vec(),
                ..heat_map(&record)
            };
            let picture = ReliefPicture { map, draw: &named };
            let pixels = picture.pixels(size).unwrap();
            assert_eq!(pixels.len(), 3 * size.0 as usize * size.1 as usize);
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_in_words() {
        let record = record(3, |a, _| a);
        let says = |map: HeatMap, size, words: &str| {
            let picture = ReliefPicture { map, draw: &BARE };
            let message = picture.pixels(size).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        };
        says(heat_map(&record), (50, 400), "100 to 16384 pixels");
        says(heat_map(&record), (16_000, 16_000), "at most 100 million");
        let none = HeatMap {
            quantities: Vec::new(),
            ..heat_map(&record)
        };
        says(none, SIZE, "1 to 4 quantities");
        assert!(over_white(&[0; 8], &mut [255; 6], 2, &frame()).is_err());
    }
}
