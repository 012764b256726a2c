//! Iso-lines on a surface, light on dark colours and dark on light ones, and about as plain to see on either.

use super::layout::Frame;
use super::stroke::{LINE, Stroke, blend};
use crate::figure::colouring::Colouring;
use crate::figure::contour::contour;
use crate::figure::gltf_file::linear;
use crate::landscape::Heights;

/// Contrast of a line to the colour beneath it: what the W3C's Web Content Accessibility Guidelines 2.1 (1.4.11) ask of
/// lines that are to be seen. White or dark, whichever is farther off, reaches 4 over any colour.
const CONTRAST: f64 = 3.0;

/// Halvings after which an opacity is as fine as a channel's 256 steps.
const HALVINGS: usize = 10;

/// Length of a line's pieces in points, about.
const PIECE: f64 = 3.0;

/// Most pieces between two nodes.
const MOST_PIECES: f64 = 64.0;

/// Samples a pixel along each side of the frame beyond which nothing more is seen.
const PER_PIXEL: usize = 2;

/// Most samples in all, so that a large picture of a large grid takes seconds and not minutes.
const MOST_SAMPLES: f64 = (1 << 22) as f64;

/// The iso-lines of a surface, each level in the colour that stands out from its own.
pub(super) fn iso_lines(heights: &Heights, colouring: &Colouring, frame: &Frame, unit: f64) -> Vec<Stroke> {
    let intervals = intervals([heights.columns, heights.rows], [frame.width, frame.height], unit);
    let mut strokes = Vec::new();
    for level in colouring.levels() {
        let (colour, opacity) = standing_out(colouring.map.at(colouring.share(level)));
        strokes.extend(contour(heights, level, intervals).into_iter().map(|line| Stroke {
            points: line.into_iter().map(|position| frame.pixel(position)).collect(),
            width: 1.6 * unit,
            colour,
            opacity,
        }));
    }
    strokes
}

/// Intervals along each axis at whose ends a grid of so many `nodes` is sampled for a frame of so many `pixels`. They
/// cut what lies between two nodes into whole pieces, unless nodes lie closer than can be seen.
fn intervals(nodes: [usize; 2], pixels: [usize; 2], unit: f64) -> [usize; 2] {
    let counts = [0, 1].map(|axis: usize| {
        let between = nodes[axis].saturating_sub(1).max(1);
        let apart = pixels[axis] as f64 / between as f64;
        let pieces = (apart / (PIECE * unit)).ceil().clamp(1.0, MOST_PIECES) as usize;
        (between * pieces).min(PER_PIXEL * pixels[axis])
    });
    let samples = counts[0] as f64 * counts[1] as f64;
    let less = (MOST_SAMPLES / samples).sqrt().min(1.0);
    counts.map(|count| ((count as f64 * less) as usize).max(1))
}

/// Colour and opacity with which a line has [`CONTRAST`] to the colour beneath it. The opacity goes on smoothly where
/// white gives way to dark, since there both are equally far off.
fn standing_out(beneath: [u8; 3]) -> ([u8; 3], f64) {
    let white = [255; 3];
    let is_dark = contrast(white, beneath) > contrast(LINE, beneath);
    let colour = if is_dark { white } else { LINE };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let opacity = 0.5 * (low + high);
        let drawn = [0, 1, 2].map(|channel: usize| blend(beneath[channel], colour[channel], opacity));
        if contrast(drawn, beneath) < CONTRAST {
            low = opacity;
        } else {
            high = opacity;
        }
    }
    (colour, high)
}

/// Ratio of two colours' luminances as the same guidelines define it, from 1 to 21.
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let [one, other] = [one, other].map(|colour| {
        let [red, green, blue] = colour.map(|channel| f64::from(linear(channel)));
        0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
    });
    one.max(other) / one.min(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::colour_map::ColourMap;
    use crate::figure::heat_map::HeatMap;
    use crate::figure::heat_map::layout::Layout;
    use crate::figure::heat_map::panel::Panel;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, pixel, record};
    use crate::landscape::{Field, Known, Scale};

    #[test]
    fn iso_lines_lie_where_the_formula_says() {
        let record = record(33, |a, b| a * a + 4.0 * b * b);
        let map = HeatMap {
            lines: 1,
            ..heat_map(&record)
        };
        let picture = map.picture(SIZE).unwrap();
        let Panel { frame, strokes, .. } = &picture.panels[0];
        assert!(!strokes.is_empty());
        for &[x, y] in strokes.iter().flat_map(|stroke| &stroke.points) {
            let a = 2.0 * (x - frame.left as f64) / (frame.width - 1) as f64 - 1.0;
            let b = 1.0 - 2.0 * (y - frame.top as f64) / (frame.height - 1) as f64;
            assert!((a * a + 4.0 * b * b - 2.5).abs() < 2e-3, "{a}, {b}");
        }
    }

    #[test]
    fn samples_are_as_fine_as_the_frame_shows_along_each_axis() {
        // Ten pixels from node to node: pieces of two and a half.
        assert_eq!(intervals([33, 33], [320, 320], 1.0), [128, 128]);
        assert_eq!(intervals([33, 9], [320, 320], 1.0), [128, 112]);
        // Two samples a pixel where nodes lie closer, and no more than so many in all.
        assert_eq!(intervals([5, 2000], [400, 300], 1.0), [136, 600]);
        assert_eq!(intervals([5, 20_000], [400, 300], 1.0), [136, 600]);
        let [across, up] = intervals([20_000; 2], [8000; 2], 8.0).map(|count| count as f64);
        assert!(
            (0.99 * MOST_SAMPLES..=MOST_SAMPLES).contains(&(across * up)),
            "{across}, {up}"
        );
        assert_eq!(intervals([1, 2], [2, 2], 0.1), [4, 4]);
    }

    #[test]
    fn lines_of_a_long_grid_have_as_many_points_as_can_be_seen() {
        let (columns, rows) = (5, 2000);
        let share = |index: usize, count: usize| index as f64 / (count - 1) as f64;
        let field = Field {
            first: (0.0, 1.0),
            second: (0.0, 1.0),
            columns,
            rows,
            values: (0..columns * rows)
                .map(|index| share(index % columns, columns) + share(index / columns, rows))
                .collect(),
            known: vec![Known::Measured; columns * rows],
            ..Field::default()
        };
        let heights = field.heights(Scale::Linear);
        let frame = Layout::new(SIZE, 1, false, 0).frame(0, [field.first, field.second], None);
        let strokes = iso_lines(&heights, &Colouring::of(&heights, None, None, 3, 0.0), &frame, 1.0);
        assert_eq!(strokes.len(), 3);
        for (stroke, level) in strokes.iter().zip([0.5, 1.0, 1.5]) {
            // One point at most at each row and column of samples.
            assert!(stroke.points.len() < 2 * (frame.width + frame.height) + 3);
            for &[x, y] in &stroke.points {
                let a = (x - frame.left as f64) / (frame.width - 1) as f64;
                let b = 1.0 - (y - frame.top as f64) / (frame.height - 1) as f64;
                assert!((a + b - level).abs() < 1e-4, "{a}, {b}");
            }
        }
    }

    #[test]
    fn lines_are_light_below_and_dark_above_the_middle_of_viridis() {
        let record = record(33, |a, b| a * a + 4.0 * b * b);
        let map = HeatMap {
            lines: 3,
            ..heat_map(&record)
        };
        let picture = map.picture(SIZE).unwrap();
        let frame = &picture.panels[0].frame;
        let [with, without] = [map.clone(), heat_map(&record)].map(|map| map.pixels(SIZE).unwrap());
        for (level, is_light) in [(1.25f64, true), (3.75, false)] {
            // At (0, b) the line runs level and covers half of the nearest pixel at least.
            let at = frame.pixel([0.0, (level / 4.0).sqrt()]);
            let (with, without) = (pixel(&with, at), pixel(&without, at));
            let lighter = (0..3).all(|channel| with[channel] > without[channel] + 10);
            let darker = (0..3).all(|channel| with[channel] + 10 < without[channel]);
            assert_eq!((lighter, darker), (is_light, !is_light), "{with:?} over {without:?}");
            assert!(contrast(with, without) > 1.4, "{with:?} over {without:?}");
        }
    }

    #[test]
    fn contrast_is_even_over_every_map_and_changes_without_a_jump() {
        // Black on white, and #767676, the lightest grey that has the 4.5 on white which words need.
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 1e-4);
        assert!((contrast([255; 3], [118; 3]) - 4.54).abs() < 0.005);
        for map in ColourMap::ALL {
            let mut before: Option<f64> = None;
            for place in 0..=320 {
                let beneath = map.at(f64::from(place) / 320.0);
                let (colour, opacity) = standing_out(beneath);
                let drawn = [0, 1, 2].map(|channel: usize| blend(beneath[channel], colour[channel], opacity));
                let found = contrast(drawn, beneath);
                assert!((3.0..3.1).contains(&found), "{found} over {beneath:?} of {map:?}");
                let step = before.map_or(0.0, |before| (opacity - before).abs());
                assert!(step < 0.04, "a step of {step} at {beneath:?} of {map:?}");
                before = Some(opacity);
            }
        }
        let [dark, light] = [0.0, 1.0].map(|share| standing_out(ColourMap::Viridis.at(share)).0);
        assert_eq!([dark, light], [[255; 3], LINE]);
    }
}
