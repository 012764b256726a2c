//! One quantity's part of a picture: the surface in colours and its axes.

use plotters::prelude::{DrawingBackend, FontTransform};
use plotters::style::text_anchor::{HPos, VPos};
use rayon::prelude::*;

use super::canvas::{Canvas, Words, solid};
use super::label::Label;
use super::layout::Frame;
use super::stroke::Stroke;
use super::ticks::ticks;
use crate::error::Result;
use crate::figure::colouring::Colouring;
use crate::landscape::{Heights, Node, Quantity};

/// Rectangles a side that the surface has in an SVG.
const SVG_CELLS: usize = 128;

const HATCH: [[u8; 3]; 2] = [[225, 225, 225], [150, 150, 150]];

/// One quantity's part of a picture.
pub(super) struct Panel {
    pub(super) quantity: Quantity,
    pub(super) heights: Heights,
    pub(super) colouring: Colouring,
    pub(super) frame: Frame,
    pub(super) strokes: Vec<Stroke>,
    pub(super) labels: Vec<Label>,
}

impl Panel {
    /// Fills the frame's pixels of an RGB picture that is `across` pixels wide.
    pub(super) fn paint(&self, pixels: &mut [u8], across: usize, unit: f64) {
        let Frame {
            left,
            top,
            width,
            height,
            ..
        } = self.frame;
        let period = ((12.0 * unit).round() as usize).max(6);
        let lines = pixels.par_chunks_exact_mut(3 * across).skip(top).take(height);
        lines.enumerate().for_each(|(j, line)| {
            let y = node_at(height - 1 - j, height, self.heights.rows);
            for (i, pixel) in line[3 * left..3 * (left + width)].chunks_exact_mut(3).enumerate() {
                let x = node_at(i, width, self.heights.columns);
                let colour = match self.heights.nearest(x, y) {
                    None | Some(Node::Missing) => continue,
                    Some(Node::NotFinite) => HATCH[usize::from((i + j) % period < period / 3)],
                    Some(Node::Interpolated | Node::Measured) => self.colouring.colour_of_height(self.heights.at(x, y)),
                };
                pixel.copy_from_slice(&colour);
            }
        });
    }

    /// Fills the frame with rectangles.
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
        let [left, top, right, bottom] = self.frame.edges();
        let cells = |nodes: usize| if nodes < 2 { 1 } else { SVG_CELLS };
        let (across, down) = (cells(self.heights.columns), cells(self.heights.rows));
        let node = |cell: usize, cells: usize, nodes: usize| {
            (cell as f64 + 0.5) / cells as f64 * nodes.saturating_sub(1) as f64
        };
        for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
            let (x, y) = (
                node(column, across, self.heights.columns),
                node(row, down, self.heights.rows),
            );
            let known = self.heights.nearest(x, y);
            let colour = match known {
                None | Some(Node::Missing) => continue,
                Some(Node::NotFinite) => HATCH[0],
                Some(Node::Interpolated | Node::Measured) => self.colouring.colour_of_height(self.heights.at(x, y)),
            };
            let [x0, x1] = [column, column + 1].map(|cell| left + (right - left) * cell as f64 / across as f64);
            let [y0, y1] = [row, row + 1].map(|cell| bottom - (bottom - top) * cell as f64 / down as f64);
            // One unit over the neighbours, so that no seam shows.
            canvas.rectangle([x0, y1, (x1 + 1.0).min(right), (y0 + 1.0).min(bottom)], solid(colour))?;
            if known == Some(Node::NotFinite) {
                // The diagonals of neighbouring rectangles go on in each other.
                canvas.stroke(&Stroke {
                    points: vec![[x0, y0], [x1, y1]],
                    width: 1.5 * unit,
                    colour: HATCH[1],
                    opacity: 1.0,
                })?;
            }
        }
        Ok(())
    }

    /// The frame's border, ticks and names.
    pub(super) fn axes<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, names: &[String; 2], unit: f64) -> Result<()> {
        let [left, top, right, bottom] = self.frame.edges();
        let (across, up) = (0.5 * (left + right), 0.5 * (top + bottom));
        let thick = (1.5 * unit).round().max(1.0);
        let grey = solid([150; 3]);
        let border = [
            [left - thick, top - thick, right + thick, top],
            [left - thick, bottom, right + thick, bottom + thick],
            [left - thick, top, left, bottom],
            [right, top, right + thick, bottom],
        ];
        border.into_iter().try_for_each(|strip| canvas.rectangle(strip, grey))?;
        let count = |pixels: f64, each: f64| (pixels / (each * unit)).clamp(2.0, 8.0) as usize;
        let [first, second] = self.frame.spans;
        for (position, name) in ticks(first, count(right - left, 110.0)) {
            let [x, _] = self.frame.pixel([position, second.0]);
            let x0 = (x + 0.5 - 0.5 * thick).round();
            canvas.rectangle([x0, bottom, x0 + thick, bottom + 8.0 * unit], grey)?;
            let words = Words {
                size: 24.0 * unit,
                ..Words::at([x, bottom + 13.0 * unit], HPos::Center, VPos::Top)
            };
            canvas.text(&name, words)?;
        }
        for (position, name) in ticks(second, count(bottom - top, 80.0)) {
            let [_, y] = self.frame.pixel([first.0, position]);
            let y0 = (y + 0.5 - 0.5 * thick).round();
            canvas.rectangle([left - 8.0 * unit, y0, left, y0 + thick], grey)?;
            let words = Words {
                size: 24.0 * unit,
                room: 68.0 * unit,
                ..Words::at([left - 13.0 * unit, y], HPos::Right, VPos::Center)
            };
            canvas.text(&name, words)?;
        }
        let below = Words {
            room: right - left + 200.0 * unit,
            ..Words::at([across, bottom + 48.0 * unit], HPos::Center, VPos::Top)
        };
        let beside = Words {
            room: bottom - top + 60.0 * unit,
            turn: FontTransform::Rotate270,
            ..Words::at([left - 114.0 * unit, up], HPos::Center, VPos::Top)
        };
        let above = Words::at([across, top - 14.0 * unit], HPos::Center, VPos::Bottom);
        let words = [
            (names[0].as_str(), below),
            (names[1].as_str(), beside),
            (self.quantity.name(), above),
        ];
        words.into_iter().try_for_each(|(name, place)| {
            let size = 28.0 * unit;
            canvas.text(name, Words { size, ..place })
        })
    }
}

/// The node coordinate that a pixel shows, counted from the axis's first end. The pixel nearest to a node shows the
/// node itself: it is off by half a pixel at most, and then colours are exact where values are.
fn node_at(pixel: usize, pixels: usize, nodes: usize) -> f64 {
    let step = nodes.saturating_sub(1) as f64 / (pixels - 1) as f64;
    let (place, node) = (pixel as f64 * step, (pixel as f64 * step).round());
    // Halfway between two pixels, both show it.
    if (place - node).abs() <= 0.5 * step + 1e-9 {
        node
    } else {
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::colour_map::ColourMap;
    use crate::figure::heat_map::HeatMap;
    use crate::figure::heat_map::layout::Layout;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, pixel, record};
    use crate::landscape::{Field, Known, Scale};

    #[test]
    fn pixels_at_nodes_have_the_colours_of_their_values() {
        for (scale, most) in [(Scale::Linear, 0), (Scale::Logarithmic, 1)] {
            // Exact in single precision, from 1 to 6.
            let record = record(9, |a, b| 1.0 + a * a + 4.0 * b * b);
            let map = HeatMap {
                scale,
                ..heat_map(&record)
            };
            let pixels = map.pixels(SIZE).unwrap();
            let picture = map.picture(SIZE).unwrap();
            let panel = &picture.panels[0];
            let mut ends = Vec::new();
            for index in 0..record.grid.values.len() {
                let position = record.grid.position(index);
                let value = 1.0 + position[0].powi(2) + 4.0 * position[1].powi(2);
                let expected = panel.colouring.colour(value).unwrap();
                let found = pixel(&pixels, panel.frame.pixel(position));
                let off = (0..3).map(|channel| found[channel].abs_diff(expected[channel])).max();
                assert!(off <= Some(most), "{found:?}, not {expected:?}, at {position:?}");
                if value == 1.0 || value == 6.0 {
                    ends.push(found);
                }
            }
            let table = ColourMap::Viridis.colours();
            let (dark, light) = (table[0], table[table.len() - 1]);
            assert_eq!(ends, [light, light, dark, light, light]);
            // The colour bar ends with the same two.
            let [_, top, right, bottom] = panel.frame.edges();
            let bar = right + 30.0 * picture.unit;
            assert_eq!([top, bottom - 1.0].map(|y| pixel(&pixels, [bar, y])), [light, dark]);
        }
    }

    #[test]
    fn what_is_not_finite_is_hatched_and_what_is_missing_left_out() {
        let mut field = Field {
            first: (0.0, 4.0),
            second: (0.0, 4.0),
            columns: 5,
            rows: 5,
            values: (0..25).map(f64::from).collect(),
            known: vec![Known::Measured; 25],
            ..Field::default()
        };
        field.values[12] = f64::NAN;
        field.known[0] = Known::Missing;
        let heights = field.heights(Scale::Linear);
        let panel = Panel {
            quantity: Quantity::TrainLoss,
            colouring: Colouring::of(&heights, None, None, 0, 0.0),
            heights,
            frame: Layout::new(SIZE, 1, false, 0).frame(0, [field.first, field.second], None),
            strokes: Vec::new(),
            labels: Vec::new(),
        };
        let mut pixels = vec![255; 3 * SIZE.0 as usize * SIZE.1 as usize];
        panel.paint(&mut pixels, SIZE.0 as usize, 0.48);
        let at = |a, b| pixel(&pixels, panel.frame.pixel([a, b]));
        let hatch: Vec<[u8; 3]> = (0..40).map(|i| at(1.7 + 0.015 * f64::from(i), 2.0)).collect();
        assert!(HATCH.iter().all(|colour| hatch.contains(colour)), "{hatch:?}");
        assert!(hatch.iter().all(|colour| HATCH.contains(colour)), "{hatch:?}");
        assert_eq!(at(0.0, 0.0), [255; 3]);
        assert_eq!(at(0.4, 0.4), [255; 3]);
        assert_eq!(Some(at(3.0, 0.0)), panel.colouring.colour(3.0));
        let record = record(5, |a, _| if a == 0.0 { f64::INFINITY } else { a });
        assert!(heat_map(&record).svg(SIZE).unwrap().contains("#E1E1E1"));
    }

    #[test]
    fn a_grid_of_one_row_is_drawn() {
        let mut record = record(5, |a, _| a);
        record.grid.second = vec![0.0];
        record.grid.values.truncate(5);
        let map = heat_map(&record);
        let picture = map.picture(SIZE).unwrap();
        let pixels = map.pixels(SIZE).unwrap();
        let panel = &picture.panels[0];
        for b in [-0.5, 0.1, 0.5] {
            let found = pixel(&pixels, panel.frame.pixel([0.5, b]));
            assert_eq!(Some(found), panel.colouring.colour(0.5));
        }
        assert!(map.svg(SIZE).is_ok());
    }
}
