//! How values become colours, and where iso-lines lie: evenly in height, so that a logarithmic surface has its colours
//! and lines at even ratios.

use super::colour_map::ColourMap;
use crate::landscape::{Height, Heights};

/// Half the width, in heights, of a range that has none: a ratio of 0.5 % on a logarithmic scale, as much of the value
/// on a linear one.
const LITTLE: f64 = 0.005;

/// Half the width of a range that has none around a value near 0.
const SMALLEST_LITTLE: f64 = 1e-6;

/// Colours and iso-lines of a surface.
#[derive(Clone, Debug, PartialEq)]
pub struct Colouring {
    /// The colours.
    pub map: ColourMap,
    /// Values at the map's two ends, the lower first.
    pub range: (f64, f64),
    /// How values become heights; colours are even in height.
    pub height: Height,
    /// Iso-lines over the range, 0 for none.
    pub lines: usize,
    /// Share of a spacing, 0..1, by which the iso-lines are shifted up.
    pub offset: f64,
}

impl Colouring {
    /// The colouring of `heights`. Without a `map`, viridis, and the diverging map for a difference. Without a `range`,
    /// that of the heights; for a difference it always reaches as far below 0 as above. A range without width is
    /// widened a little, and on a logarithmic scale one that reaches 0 starts at the heights' smallest value.
    pub fn of(heights: &Heights, map: Option<ColourMap>, range: Option<(f64, f64)>, lines: usize, offset: f64) -> Self {
        let height = heights.height;
        let difference = heights.quantity.is_difference();
        let (first, last) = range
            .filter(|(first, last)| first.is_finite() && last.is_finite())
            .unwrap_or(heights.range);
        let (mut low, mut high) = (first.min(last), first.max(last));
        if difference {
            high = low.abs().max(high.abs());
            low = -high;
        } else if height.logarithmic && low <= 0.0 {
            low = heights.range.0;
            high = high.max(low);
        }
        if height.of(high) <= height.of(low) {
            let middle = height.of(low);
            let half = if height.logarithmic {
                LITTLE
            } else {
                (LITTLE * middle.abs()).max(SMALLEST_LITTLE)
            };
            (low, high) = (height.value(middle - half), height.value(middle + half));
        }
        let usual = if difference {
            ColourMap::Diverging
        } else {
            ColourMap::default()
        };
        Self {
            map: map.unwrap_or(usual),
            range: (low, high),
            height,
            lines,
            offset,
        }
    }

    /// Heights of the range's two ends.
    fn ends(&self) -> (f64, f64) {
        (self.height.of(self.range.0), self.height.of(self.range.1))
    }

    /// How far along the map a value lies, 0..1 by its height; values outside the range lie at the ends.
    pub fn share(&self, value: f64) -> f64 {
        self.share_of_height(self.height.of(value))
    }

    fn share_of_height(&self, height: f64) -> f64 {
        let (low, high) = self.ends();
        ((height - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// The colour of a value in sRGB; none for NaN and infinity.
    pub fn colour(&self, value: f64) -> Option<[u8; 3]> {
        value.is_finite().then(|| self.map.at(self.share(value)))
    }

    /// The colour of a finite height in sRGB.
    pub fn colour_of_height(&self, height: f64) -> [u8; 3] {
        self.map.at(self.share_of_height(height))
    }

    /// Distance between neighbouring iso-lines, in heights: `lines` of them cut the range into `lines + 1` parts.
    pub fn spacing(&self) -> f64 {
        let (low, high) = self.ends();
        (high - low) / (self.lines as f64 + 1.0)
    }

    /// Values of the iso-lines, ascending, inside the range and never at its ends. The lines of an offset of 1 would be
    /// those of 0 again.
    pub fn levels(&self) -> Vec<f64> {
        if self.lines == 0 {
            return Vec::new();
        }
        let (low, _) = self.ends();
        let spacing = self.spacing();
        let offset = self.offset.rem_euclid(1.0);
        // What rounding puts beside an end is at the end.
        let inside = 1e-9..(self.lines as f64 + 1.0 - 1e-9);
        (0..=self.lines)
            .map(|line| line as f64 + offset)
            .filter(|place| inside.contains(place))
            .map(|place| self.height.value(low + place * spacing))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Field, Known, Quantity, Scale};

    fn heights(quantity: Quantity, scale: Scale, values: &[f64]) -> Heights {
        let field = Field {
            quantity,
            first: (0.0, 1.0),
            second: (0.0, 0.0),
            columns: values.len(),
            rows: 1,
            values: values.to_vec(),
            known: vec![Known::Measured; values.len()],
        };
        field.heights(scale)
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() < 1e-9 * b.abs().max(1.0),
                "{found:?}, expected {expected:?}"
            );
        }
    }

    #[test]
    fn lines_of_a_linear_scale_are_evenly_spaced() {
        let heights = heights(Quantity::TrainLoss, Scale::Linear, &[2.0, 10.0]);
        let colouring = Colouring::of(&heights, None, None, 3, 0.0);
        assert_eq!((colouring.map, colouring.range), (ColourMap::Viridis, (2.0, 10.0)));
        assert_eq!(colouring.spacing(), 2.0);
        assert_close(&colouring.levels(), &[4.0, 6.0, 8.0]);
        let shifted = Colouring {
            offset: 0.25,
            ..colouring
        };
        assert_close(&shifted.levels(), &[2.5, 4.5, 6.5, 8.5]);
        assert_eq!(
            [0.0, 2.0, 4.0, 10.0, 99.0].map(|v| shifted.share(v)),
            [0.0, 0.0, 0.25, 1.0, 1.0]
        );
        assert!(Colouring { lines: 0, ..shifted }.levels().is_empty());
    }

    #[test]
    fn lines_of_a_logarithmic_scale_have_even_ratios() {
        let heights = heights(Quantity::TrainLoss, Scale::Logarithmic, &[0.01, 100.0]);
        let colouring = Colouring::of(&heights, Some(ColourMap::Cividis), None, 3, 0.0);
        assert_close(&colouring.levels(), &[0.1, 1.0, 10.0]);
        assert_close(&[colouring.share(1.0)], &[0.5]);
        let half = Colouring {
            offset: 0.5,
            ..colouring
        };
        assert_close(
            &half.levels(),
            &[0.1f64.sqrt() / 10.0, 0.1f64.sqrt(), 10.0f64.sqrt(), 1000.0f64.sqrt()],
        );
        let ends = [0.01, 100.0].map(|value| half.colour(value));
        let table = ColourMap::Cividis.colours();
        assert_eq!(ends, [Some(table[0]), Some(table[table.len() - 1])]);
        assert_eq!(half.colour(f64::NAN), None);
        assert_eq!(half.colour(f64::INFINITY), None);
    }

    #[test]
    fn the_range_of_a_difference_is_symmetric_and_0_has_the_middle_colour() {
        let heights = heights(Quantity::LossDifference, Scale::Automatic, &[-0.5, 3.0]);
        let colouring = Colouring::of(&heights, None, None, 0, 0.0);
        assert_eq!((colouring.map, colouring.range), (ColourMap::Diverging, (-3.0, 3.0)));
        assert_eq!(colouring.colour(0.0), Some(ColourMap::Diverging.at(0.5)));
        let given = Colouring::of(&heights, None, Some((-4.0, 1.0)), 0, 0.0);
        assert_eq!(given.range, (-4.0, 4.0));
    }

    #[test]
    fn ranges_that_cannot_be_drawn_are_mended() {
        let flat = heights(Quantity::TestLoss, Scale::Linear, &[2.0, 2.0]);
        let colouring = Colouring::of(&flat, None, None, 1, 0.0);
        assert_close(&[colouring.share(2.0)], &[0.5]);
        assert_close(&colouring.levels(), &[2.0]);
        let zero = heights(Quantity::LossDifference, Scale::Linear, &[0.0, 0.0]);
        assert_close(&[Colouring::of(&zero, None, None, 0, 0.0).share(0.0)], &[0.5]);
        let steep = heights(Quantity::TestLoss, Scale::Logarithmic, &[0.5, 80.0]);
        assert_eq!(
            Colouring::of(&steep, None, Some((-1.0, 10.0)), 0, 0.0).range,
            (0.5, 10.0)
        );
        assert_eq!(
            Colouring::of(&steep, None, Some((10.0, 1.0)), 0, 0.0).range,
            (1.0, 10.0)
        );
        let same = Colouring::of(&steep, None, Some((3.0, 3.0)), 0, 0.0);
        assert_close(&[same.share(3.0)], &[0.5]);
    }
}
