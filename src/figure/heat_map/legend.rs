//! Names of ways with their colours, in that corner of a frame that hides least.

use plotters::prelude::{DrawingBackend, RGBAColor, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{Canvas, Words, measure, solid};
use super::layout::Frame;
use super::stroke::LINE;
use crate::error::Result;

/// Size of the words, and height of an entry, in units.
const TEXT: f64 = 22.0;
const ROW: f64 = 32.0;
/// Width and height of an entry's piece of line.
const PIECE: [f64; 2] = [36.0, 5.0];
/// Room around the entries, between a piece of line and its name, and around the box.
const INSIDE: f64 = 12.0;
const BETWEEN: f64 = 12.0;
const OUTSIDE: f64 = 14.0;
/// Opacity of the box.
const OPACITY: f64 = 0.75;
/// The words, light as the ways are.
const WORDS: RGBColor = RGBColor(240, 240, 240);

/// A box with a row a way.
pub(super) struct Legend {
    entries: Vec<(String, [u8; 3])>,
    /// Left, top, right and bottom edge in pixels.
    edges: [f64; 4],
}

impl Legend {
    /// Of ways with their colours, where some points are drawn and some boxes stand; none of no ways.
    ///
    /// # Errors
    /// When the words cannot be measured.
    pub(super) fn new(
        entries: Vec<(String, [u8; 3])>,
        frame: &Frame,
        (points, boxes): (&[[f64; 2]], &[[f64; 4]]),
        unit: f64,
    ) -> Result<Option<Self>> {
        if entries.is_empty() {
            return Ok(None);
        }
        let mut widest = 0.0_f64;
        for (name, _) in &entries {
            widest = widest.max(measure(name, TEXT * unit)?[0]);
        }
        let width = widest + (2.0 * INSIDE + PIECE[0] + BETWEEN) * unit;
        let height = (2.0 * INSIDE + ROW * entries.len() as f64) * unit;
        let [left, top, right, bottom] = frame.edges();
        let outside = OUTSIDE * unit;
        let (west, north) = (left + outside, top + outside);
        let (east, south) = (right - outside - width, bottom - outside - height);
        let corners = [[west, north], [east, north], [west, south], [east, south]];
        let corners = corners.map(|[x, y]| [x, y, x + width, y + height]);
        let least = corners.into_iter().min_by_key(|edges| hidden(edges, points, boxes));
        Ok(least.map(|edges| Self { entries, edges }))
    }

    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
        let [red, green, blue] = LINE;
        canvas.rectangle(self.edges, RGBAColor(red, green, blue, OPACITY))?;
        let [left, top, right, _] = self.edges;
        for (index, (name, colour)) in self.entries.iter().enumerate() {
            let middle = top + (INSIDE + ROW * (index as f64 + 0.5)) * unit;
            let start = left + INSIDE * unit;
            let [end, half] = [start + PIECE[0] * unit, (0.5 * PIECE[1] * unit).max(1.0)];
            canvas.rectangle([start, middle - half, end, middle + half], solid(*colour))?;
            let from = end + BETWEEN * unit;
            let words = Words {
                size: TEXT * unit,
                room: right - INSIDE * unit - from,
                colour: WORDS,
                ..Words::at([from, middle], HPos::Left, VPos::Center)
            };
            canvas.text(name, words)?;
        }
        Ok(())
    }
}

/// What a box hides: a point each, and of a box that it covers more than of all points.
fn hidden(edges: &[f64; 4], points: &[[f64; 2]], boxes: &[[f64; 4]]) -> usize {
    let covers = |[left, top, right, bottom]: [f64; 4]| {
        edges[0] <= right && left <= edges[2] && edges[1] <= bottom && top <= edges[3]
    };
    let covered = points.iter().filter(|&&[x, y]| covers([x, y, x, y])).count();
    let boxes = boxes.iter().filter(|&&other| covers(other)).count();
    covered + boxes * (points.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::chart::use_own_font;
    use crate::figure::heat_map::layout::Layout;
    use crate::figure::heat_map::test_surface::SIZE;

    #[test]
    fn it_stands_in_the_corner_where_it_hides_least() {
        use_own_font().unwrap();
        let layout = Layout::new(SIZE, 1, false, 0);
        let frame = layout.frame(0, [(-1.0, 1.0); 2], None);
        let edges = |points: &[[f64; 2]], boxes: &[[f64; 4]]| {
            let points: Vec<[f64; 2]> = points.iter().map(|&point| frame.pixel(point)).collect();
            let entries = ["one", "the other"].map(|name| (name.to_owned(), [0; 3])).to_vec();
            let legend = Legend::new(entries, &frame, (&points, boxes), layout.unit).unwrap();
            legend.unwrap().edges
        };
        let [left, top, right, bottom] = frame.edges();
        let middle = [0.5 * (left + right), 0.5 * (top + bottom)];
        // Whether it is on the left and at the top; it is in the frame in any case.
        let is_at = |[x0, y0, x1, y1]: [f64; 4], is_left: bool, is_top: bool| {
            assert!(left < x0 && x1 < right && top < y0 && y1 < bottom);
            (x1 < middle[0]) == is_left && (y1 < middle[1]) == is_top
        };
        assert!(is_at(edges(&[], &[]), true, true));
        assert!(is_at(edges(&[[-0.9, 0.9]], &[]), false, true));
        assert!(is_at(edges(&[[-0.9, 0.9], [0.9, 0.9]], &[]), true, false));
        // A name is hidden later than any number of points.
        let names = [[left, top, middle[0], top + 30.0]];
        let crowd = [[0.9, 0.9], [0.9, 0.9], [-0.9, -0.9], [0.9, -0.9], [0.9, -0.9]];
        assert!(is_at(edges(&crowd, &names), true, false));
        let nothing = Legend::new(Vec::new(), &frame, (&[], &[]), layout.unit);
        assert!(nothing.unwrap().is_none());
    }
}
