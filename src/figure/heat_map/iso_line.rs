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

/// The iso-lines of a surface, each level in the colour that stands out from its own.
pub(super) fn iso_lines(heights: &Heights, colouring: &Colouring, frame: &Frame, unit: f64) -> Vec<Stroke> {
    // Pieces of about three pixels.
    let apart = [(frame.width, heights.columns), (frame.height, heights.rows)]
        .map(|(pixels, nodes)| pixels as f64 / nodes.saturating_sub(1).max(1) as f64);
    let finer = (apart[0].max(apart[1]) / (3.0 * unit)).ceil().clamp(1.0, 64.0) as usize;
    let mut strokes = Vec::new();
    for level in colouring.levels() {
        let (colour, opacity) = standing_out(colouring.map.at(colouring.share(level)));
        strokes.extend(contour(heights, level, finer).into_iter().map(|line| Stroke {
            points: line.into_iter().map(|position| frame.pixel(position)).collect(),
            width: 1.6 * unit,
            colour,
            opacity,
        }));
    }
    strokes
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
    use crate::figure::heat_map::panel::Panel;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, pixel, record};

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
