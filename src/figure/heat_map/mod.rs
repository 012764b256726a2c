//! The picture of a surface: its values as colours over two positions, with iso-lines, the trajectory and solutions,
//! drawn the same in pixels and as SVG.

pub(super) mod bar;
pub(super) mod canvas;
pub(super) mod caption;
mod iso_line;
pub(super) mod label;
pub(super) mod layout;
mod legend;
mod map;
mod panel;
mod picture;
pub(super) mod stroke;
#[cfg(test)]
pub(super) mod test_surface;
mod ticks;
mod trajectory;

use std::ops::RangeInclusive;
use std::path::Path;

use self::iso_line::iso_lines;
use self::layout::{Frame, widened};
pub use self::map::{MapPicture, WAYS};
use self::panel::Panel;
use self::picture::finer;
use super::colour_map::ColourMap;
use super::colouring::Colouring;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::{Heights, Quantity, Scale, SurfaceRecord};

/// Pixels that a side of a picture may have.
pub const SIDES: RangeInclusive<u32> = 100..=16_384;

/// Most pixels of a picture.
pub const MOST_PIXELS: u64 = 100_000_000;

/// Most quantities side by side.
pub const MOST_PANELS: usize = 4;

/// Most iso-lines over a range.
pub const MOST_LINES: usize = 100;

/// The picture of a surface, one panel a quantity.
#[derive(Clone, Debug)]
pub struct HeatMap<'a> {
    /// What is drawn.
    pub record: &'a SurfaceRecord,
    /// Drawn side by side, 1 to [`MOST_PANELS`].
    pub quantities: Vec<Quantity>,
    /// The colours; without, the usual ones of each quantity.
    pub map: Option<ColourMap>,
    /// Values at the two ends of the colours; without, each quantity's own.
    pub range: Option<(f64, f64)>,
    /// Iso-lines over the range, at most [`MOST_LINES`].
    pub lines: usize,
    /// Share of a spacing, 0..1, by which the iso-lines are shifted up.
    pub offset: f64,
    /// How values become heights.
    pub scale: Scale,
    /// Written above; may be empty.
    pub title: String,
    /// The trajectory's step up to which it is drawn, with a larger dot there; without, all of it.
    pub until: Option<usize>,
}

impl HeatMap<'_> {
    /// Pixels of the picture unless told otherwise: panels as large as a chart's.
    pub fn size(&self) -> (u32, u32) {
        (400 + 800 * self.quantities.len().clamp(1, MOST_PANELS) as u32, 1000)
    }

    /// The picture as RGB, row by row, 3·width·height bytes. The pixel nearest to a node has exactly the colour of the
    /// node's value, where nothing is drawn over it.
    ///
    /// # Errors
    /// [`Error::Request`] for sizes out of bounds ([`SIDES`], [`MOST_PIXELS`]), when nothing of the surface is finite,
    /// or when drawing fails.
    pub fn pixels(&self, size: (u32, u32)) -> Result<Vec<u8>> {
        check_size(size)?;
        self.picture(size)?.pixels()
    }

    /// The picture as SVG text. The surface is drawn as 128 × 128 rectangles.
    ///
    /// # Errors
    /// As for [`Self::pixels`].
    pub fn svg(&self, size: (u32, u32)) -> Result<String> {
        check_size(size)?;
        self.picture(finer(size))?.svg(size)
    }

    /// Writes the picture as SVG, of [`Self::size`] unless another is given.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be written; otherwise as for [`Self::pixels`].
    pub fn write(&self, path: &Path, size: Option<(u32, u32)>) -> Result<()> {
        let size = size.unwrap_or_else(|| self.size());
        whole_file::write(path, self.svg(size)?.as_bytes())
    }
}

/// A surface without axes and words, for a picture that has its own: its colours and iso-lines as RGB, row by row from
/// above, 3·width·height bytes. The axes' ends are the middles of the outermost pixels; where nothing is known,
/// `beneath` is seen.
///
/// # Errors
/// [`Error::Request`] for sizes out of bounds ([`SIDES`], [`MOST_PIXELS`]).
pub fn bare(heights: &Heights, colouring: &Colouring, size: (u32, u32), beneath: [u8; 3]) -> Result<Vec<u8>> {
    check_size(size)?;
    let (width, height) = (size.0 as usize, size.1 as usize);
    let frame = Frame {
        left: 0,
        top: 0,
        width,
        height,
        spans: [heights.first, heights.second].map(widened),
    };
    let panel = Panel {
        quantity: heights.quantity,
        heights: heights.clone(),
        colouring: colouring.clone(),
        frame,
        strokes: iso_lines(heights, colouring, &frame, 1.0),
        labels: Vec::new(),
    };
    let mut pixels = beneath.repeat(width * height);
    panel.paint(&mut pixels, width, 1.0);
    for stroke in &panel.strokes {
        stroke.paint(&mut pixels, width, &frame);
    }
    Ok(pixels)
}

/// Whether a picture of this size may be drawn.
///
/// # Errors
/// [`Error::Request`] for sides out of [`SIDES`], and for more than [`MOST_PIXELS`].
pub fn check_size((width, height): (u32, u32)) -> Result<()> {
    let fits = SIDES.contains(&width) && SIDES.contains(&height);
    if fits && u64::from(width) * u64::from(height) <= MOST_PIXELS {
        return Ok(());
    }
    Err(Error::Request(format!(
        "a picture of {width} × {height} pixels cannot be drawn: each side has {} to {} pixels, and all together are \
         at most {} million",
        SIDES.start(),
        SIDES.end(),
        MOST_PIXELS / 1_000_000
    )))
}

/// RGB pixels as PNG bytes.
///
/// # Errors
/// [`Error::Request`] when there are fewer than the size says, or they cannot be encoded.
pub(super) fn encode_png(pixels: Vec<u8>, (width, height): (u32, u32)) -> Result<Vec<u8>> {
    let image = image::RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| Error::Request("the picture has fewer pixels than its size says".to_owned()))?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| Error::Request(format!("the picture could not be encoded: {error}")))?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::heat_map::test_surface::{SIZE, heat_map, record};

    #[test]
    fn what_cannot_be_drawn_is_refused_in_words() {
        let record = record(3, |_, _| f64::NAN);
        let map = heat_map(&record);
        let says = |result: Result<Vec<u8>>, words: &str| {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        };
        says(map.pixels(SIZE), "nothing to draw yet");
        says(map.pixels((50, 400)), "100 to 16384 pixels");
        says(map.pixels((16_000, 16_000)), "at most 100 million");
        let none = HeatMap {
            quantities: Vec::new(),
            ..map.clone()
        };
        says(none.pixels(SIZE), "1 to 4 quantities");
    }

    #[test]
    fn a_bare_surface_reaches_from_corner_to_corner_and_leaves_out_what_is_not_known() {
        let mut field = record(9, |a, b| 3.0 + 2.0 * a + b).grid.field(Quantity::TrainLoss);
        field.known[4 * 9 + 4] = crate::landscape::Known::Missing;
        let heights = field.heights(Scale::Linear);
        let colouring = Colouring::of(&heights, None, None, 0, 0.0);
        let beneath = [255, 0, 255];
        // Pixels that fall on nodes.
        let (width, height) = (161, 121);
        let pixels = bare(&heights, &colouring, (width, height), beneath).unwrap();
        assert_eq!(pixels.len(), 3 * 161 * 121);
        let pixel = |x: u32, y: u32| {
            let start = 3 * (y * width + x) as usize;
            [pixels[start], pixels[start + 1], pixels[start + 2]]
        };
        for (x, y, value) in [(0, 0, 2.0), (160, 0, 6.0), (0, 120, 0.0), (160, 120, 4.0)] {
            assert_eq!(Some(pixel(x, y)), colouring.colour(value), "at {x}, {y}");
        }
        assert_eq!(pixel(80, 60), beneath);
        let lined = Colouring { lines: 1, ..colouring };
        assert_ne!(bare(&heights, &lined, (width, height), beneath).unwrap(), pixels);
        assert!(bare(&heights, &lined, (20, 20), beneath).is_err());
    }

    #[test]
    fn every_panel_is_written_under_the_size_asked() {
        let record = record(5, |a, b| 3.0 + a * b);
        let map = HeatMap {
            quantities: vec![Quantity::TrainLoss, Quantity::TestLoss, Quantity::LossDifference],
            ..heat_map(&record)
        };
        let svg = map.svg(map.size()).unwrap();
        assert!(svg.contains("width=\"2800\" height=\"1000\"") && svg.trim_end().ends_with("</svg>"));
        for name in [
            "A valley",
            "train loss",
            "test loss",
            "train − test loss",
            "logistic · two-gaussians",
        ] {
            assert!(svg.contains(name), "{name}");
        }
        assert_eq!(map.pixels((400, 300)).unwrap().len(), 3 * 400 * 300);
    }
}
