//! The picture of a loss over two numbers with ways over it, each in its own colour, and named places.

use std::path::Path;

use super::caption::Caption;
use super::encode_png;
use super::iso_line::iso_lines;
use super::label::{Label, pins};
use super::layout::{Frame, Layout, widened};
use super::legend::Legend;
use super::panel::Panel;
use super::picture::{Picture, finer};
use super::stroke::{LINE, Stroke};
use crate::error::{Error, Result};
use crate::experiment::outcome::Map;
use crate::figure::chart::use_own_font;
use crate::figure::colouring::Colouring;
use crate::files::whole_file;

/// Colours of ways, in their order: those of a chart's curves, but light, as valleys are dark.
pub const WAYS: [[u8; 3]; 6] = [
    [86, 180, 233],
    [240, 146, 60],
    [46, 190, 140],
    [216, 140, 200],
    [240, 228, 66],
    [225, 225, 225],
];

/// Pixels of the picture.
const SIZE: (u32, u32) = (1200, 1000);
/// Width of a way, and of the dark seam that it is seen by on any colour, in units.
const WIDTHS: [f64; 2] = [2.6, 5.4];
/// Diameters of the dot at a way's end, likewise.
const ENDS: [f64; 2] = [11.0, 15.0];
/// Opacity of the seam.
const SEAM: f64 = 0.7;

/// The picture of a map.
#[derive(Clone, Copy, Debug)]
pub struct MapPicture<'a> {
    /// Written above; may be empty.
    pub title: &'a str,
    /// What is drawn.
    pub map: &'a Map,
    /// Iso-lines.
    pub lines: usize,
}

impl<'a> MapPicture<'a> {
    /// Writes PNG or SVG, as the file's ending says.
    ///
    /// # Errors
    /// [`Error::File`] for other endings and for files that cannot be written; when no value is finite, or drawing
    /// fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("png") => {
                let pixels = self.picture(SIZE)?.pixels()?;
                whole_file::write(path, &encode_png(pixels, SIZE)?)
            }
            Some("svg") => {
                let text = self.picture(finer(SIZE))?.svg(SIZE)?;
                whole_file::write(path, text.as_bytes())
            }
            _ => Err(Error::file_reason(path, "a figure's file name ends in .png or .svg")),
        }
    }

    fn picture(self, size: (u32, u32)) -> Result<Picture<'a>> {
        use_own_font()?;
        let map = self.map;
        let field = map.field().filter(|field| field.range().is_some());
        let field = field.ok_or_else(|| {
            Error::Request("there is nothing to draw: no value of the map is finite, or some are missing".to_owned())
        })?;
        let caption = Caption {
            title: self.title,
            foot: vec![map.footnote.clone()],
        };
        let layout = Layout::new(size, 1, !caption.title.is_empty(), caption.foot.len());
        let unit = layout.unit;
        // A step along one axis is as long as one along the other.
        let frame = layout.frame(0, [field.first, field.second].map(widened), Some([1.0; 2]));
        let heights = field.heights(map.scale);
        let colouring = Colouring::of(&heights, None, None, self.lines, 0.0);
        let ways: Vec<Vec<[f64; 2]>> = map.ways.iter().map(|way| pixels(&way.points, &frame)).collect();
        let coloured = || ways.iter().zip(WAYS.iter().copied().cycle());
        let places: Vec<(&str, [f64; 2])> = map
            .places
            .iter()
            .map(|(name, position)| (name.as_str(), frame.pixel(*position)))
            .filter(|(_, at)| frame.contains(*at))
            .collect();
        let (labels, drawn) = pins(&places, &frame, unit)?;
        let mut strokes = iso_lines(&heights, &colouring, &frame, unit);
        strokes.extend(coloured().flat_map(|(way, colour)| line(way, &frame, colour, unit)));
        strokes.extend(drawn);
        // Ends last: several can lie at one place.
        strokes.extend(coloured().flat_map(|(way, colour)| end(way, &frame, colour, unit)));
        let names = map.ways.iter().map(|way| way.label.clone());
        let entries = names.zip(WAYS.iter().copied().cycle()).collect();
        let boxes: Vec<[f64; 4]> = labels.iter().map(Label::edges).collect();
        let legend = Legend::new(entries, &frame, (&ways.concat(), &boxes), unit)?;
        Ok(Picture {
            unit,
            size,
            caption,
            axes: &map.axes,
            panels: vec![Panel {
                quantity: field.quantity,
                heights,
                colouring,
                frame,
                strokes,
                labels,
            }],
            legend,
        })
    }
}

fn pixels(points: &[[f64; 2]], frame: &Frame) -> Vec<[f64; 2]> {
    points.iter().map(|&point| frame.pixel(point)).collect()
}

/// A dark stroke and a coloured one on it, by the latter's width and the former's.
fn on_seam(points: &[[f64; 2]], [width, seam]: [f64; 2], colour: [u8; 3]) -> [Stroke; 2] {
    [(seam, LINE, SEAM), (width, colour, 1.0)].map(|(width, colour, opacity)| Stroke {
        points: points.to_vec(),
        width,
        colour,
        opacity,
    })
}

/// A way as far as it lies in the frame.
fn line(way: &[[f64; 2]], frame: &Frame, colour: [u8; 3], unit: f64) -> Vec<Stroke> {
    let mut stretches: Vec<Vec<[f64; 2]>> = Vec::new();
    for pair in way.windows(2) {
        let Some([from, to]) = frame.clip(pair[0], pair[1]) else {
            continue;
        };
        match stretches.last_mut() {
            Some(stretch) if stretch.last() == Some(&from) => stretch.push(to),
            _ => stretches.push(vec![from, to]),
        }
    }
    let widths = WIDTHS.map(|width| width * unit);
    stretches
        .iter()
        .flat_map(|stretch| on_seam(stretch, widths, colour))
        .collect()
}

/// A dot where a way ends, if that is in the frame.
fn end(way: &[[f64; 2]], frame: &Frame, colour: [u8; 3], unit: f64) -> Vec<Stroke> {
    match way.last() {
        Some(&at) if frame.contains(at) => on_seam(&[at], ENDS.map(|width| width * unit), colour).to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::outcome::Way;
    use crate::landscape::Scale;
    use crate::landscape::line::positions;

    /// A bowl with a way straight through it and one that leaves it.
    fn bowl() -> Map {
        let axis = positions(-1.0, 1.0, 17);
        let nodes = axis.iter().flat_map(|b| axis.iter().map(move |a| (a, b)));
        let way = |label: &str, points: &[[f64; 2]]| Way {
            label: label.to_owned(),
            points: points.to_vec(),
        };
        Map {
            axes: ["first", "second"].map(str::to_owned),
            spans: [(-1.0, 1.0); 2],
            columns: 17,
            values: nodes.map(|(a, b)| a * a + b * b).collect(),
            scale: Scale::Linear,
            ways: vec![
                way("through", &[[-0.5, 0.25], [0.5, 0.25]]),
                way("out", &[[0.0, -0.5], [0.0, -3.0], [0.5, -3.0]]),
            ],
            places: vec![("the minimum".to_owned(), [0.0, 0.0])],
            footnote: "made so".to_owned(),
        }
    }

    fn picture(map: &Map) -> MapPicture<'_> {
        MapPicture {
            title: "A bowl",
            map,
            lines: 3,
        }
    }

    #[test]
    fn ways_are_drawn_in_their_colours_as_far_as_they_are_seen() {
        let map = bowl();
        let drawn = picture(&map).picture(SIZE).unwrap();
        let (frame, pixels) = (drawn.panels[0].frame, drawn.pixels().unwrap());
        assert_eq!(frame.width, frame.height);
        let at = |position: [f64; 2]| {
            let [x, y] = frame.pixel(position).map(|place| place.round() as usize);
            let start = 3 * (y * SIZE.0 as usize + x);
            [pixels[start], pixels[start + 1], pixels[start + 2]]
        };
        // More than a pixel wide, a way covers those nearest to it.
        assert_eq!([at([-0.1, 0.25]), at([0.5, 0.25])], [WAYS[0]; 2]);
        assert_eq!(at([0.0, -0.75]), WAYS[1]);
        // Of the second, nothing is outside, nor is there an end.
        let strokes = &drawn.panels[0].strokes;
        let mut points = strokes.iter().flat_map(|stroke| &stroke.points);
        assert!(points.all(|&at| frame.contains(at)));
        let dots = |colour: [u8; 3]| {
            let own = strokes.iter().filter(move |stroke| stroke.colour == colour);
            own.filter(|stroke| stroke.points.len() == 1).count()
        };
        assert_eq!([dots(WAYS[0]), dots(WAYS[1])], [1, 0]);
    }

    #[test]
    fn files_name_the_ways_the_places_and_the_axes() {
        let (folder, map) = (tempfile::tempdir().unwrap(), bowl());
        let write = |name: &str| {
            let path = folder.path().join(name);
            picture(&map).write(&path).map(|()| path)
        };
        let text = std::fs::read_to_string(write("map.svg").unwrap()).unwrap();
        for words in ["A bowl", "through", "the minimum", "first", "made so", "train loss"] {
            assert!(text.contains(words), "{words}");
        }
        assert!(text.contains("width=\"1200\" height=\"1000\""));
        let image = image::open(write("map.png").unwrap()).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), SIZE);
        assert!(write("map.txt").unwrap_err().to_string().contains(".png or .svg"));
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        let told = |map: &Map| picture(map).picture(SIZE).err().unwrap().to_string();
        let lost = Map {
            values: vec![f64::NAN; 17 * 17],
            ..bowl()
        };
        let broken = Map { columns: 100, ..bowl() };
        assert!(told(&lost).contains("nothing to draw") && told(&broken).contains("nothing to draw"));
        // Nothing but the surface.
        let bare = Map {
            ways: Vec::new(),
            places: Vec::new(),
            ..bowl()
        };
        let drawn = picture(&bare).picture(SIZE).unwrap();
        assert!(drawn.legend.is_none() && drawn.pixels().is_ok());
    }
}
