//! The picture of a surface: its values as colours over two positions, with iso-lines, the trajectory and solutions,
//! drawn the same to PNG and SVG.

use std::ops::RangeInclusive;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use rayon::prelude::*;

use super::chart::{number, use_own_font};
use super::colour_map::ColourMap;
use super::colouring::Colouring;
use super::contour::contour;
use crate::error::{Error, Result};
use crate::files::whole_file;
use crate::landscape::{Field, Heights, Node, Projected, Quantity, Scale, SurfaceRecord};

/// Pixels that a side of a picture may have.
pub const SIDES: RangeInclusive<u32> = 100..=16_384;

/// Most pixels of a picture.
pub const MOST_PIXELS: u64 = 100_000_000;

/// Most quantities side by side.
pub const MOST_PANELS: usize = 4;

/// Most iso-lines over a range.
pub const MOST_LINES: usize = 100;

/// Plotters' coordinates are whole numbers. An SVG is drawn so many times as large as it says it is, so that its lines
/// do not jump from pixel to pixel.
const SVG_FINENESS: u32 = 4;

/// Rectangles a side that the surface has in an SVG.
const SVG_CELLS: usize = 128;

/// Steps of a colour bar; the first and the last have the colours of the scale's two ends.
const BAR_STEPS: usize = 256;

/// Most dots on a trajectory: of a longer one, every so many-th step has its dot.
const MOST_DOTS: usize = 120;

/// Opacity of the trajectory's step farthest from the plane, where the nearest has 1.
const FAINTEST: f64 = 0.25;

/// Distances from the plane below this share of the plotted extent are not told apart.
const NEAR: f64 = 0.01;

const INK: RGBColor = RGBColor(60, 60, 60);
const FOOT: RGBColor = RGBColor(120, 120, 120);
const LINE: [u8; 3] = [20, 20, 20];
const HATCH: [[u8; 3]; 2] = [[225, 225, 225], [150, 150, 150]];

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

    /// The picture as PNG bytes.
    ///
    /// # Errors
    /// As for [`Self::pixels`].
    pub fn png(&self, size: (u32, u32)) -> Result<Vec<u8>> {
        encode_png(self.pixels(size)?, size)
    }

    /// The picture as RGB, row by row, 3·width·height bytes. The pixel nearest to a node has exactly the colour of the
    /// node's value, where nothing is drawn over it.
    ///
    /// # Errors
    /// [`Error::Request`] for sizes out of bounds ([`SIDES`], [`MOST_PIXELS`]), when nothing of the surface is finite,
    /// or when drawing fails.
    pub fn pixels(&self, size: (u32, u32)) -> Result<Vec<u8>> {
        check_size(size)?;
        let picture = self.picture(size)?;
        let across = size.0 as usize;
        let mut pixels = vec![255; 3 * across * size.1 as usize];
        for panel in &picture.panels {
            panel.paint(&mut pixels, across, picture.unit);
            for stroke in &panel.strokes {
                stroke.paint(&mut pixels, across, &panel.frame);
            }
        }
        picture.write_on(&BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area())?;
        Ok(pixels)
    }

    /// The picture as SVG text. The surface is drawn as 128 × 128 rectangles.
    ///
    /// # Errors
    /// As for [`Self::pixels`].
    pub fn svg(&self, size: (u32, u32)) -> Result<String> {
        check_size(size)?;
        let fine = (size.0 * SVG_FINENESS, size.1 * SVG_FINENESS);
        let picture = self.picture(fine)?;
        let mut text = String::new();
        {
            let area = SVGBackend::with_string(&mut text, fine).into_drawing_area();
            area.fill(&WHITE).map_err(failed)?;
            let canvas = Canvas { area: &area };
            for panel in &picture.panels {
                panel.draw(&canvas, picture.unit)?;
                panel.strokes.iter().try_for_each(|stroke| canvas.stroke(stroke))?;
            }
            picture.write_on(&area)?;
            area.present().map_err(failed)?;
        }
        let extent = |(width, height): (u32, u32)| format!("width=\"{width}\" height=\"{height}\"");
        Ok(text.replacen(&extent(fine), &extent(size), 1))
    }

    /// Writes PNG or SVG, as the file's ending says, of [`Self::size`] unless another is given.
    ///
    /// # Errors
    /// [`Error::File`] for other endings and for files that cannot be written; otherwise as for [`Self::pixels`].
    pub fn write(&self, path: &Path, size: Option<(u32, u32)>) -> Result<()> {
        let size = size.unwrap_or_else(|| self.size());
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("png") => whole_file::write(path, &self.png(size)?),
            Some("svg") => whole_file::write(path, self.svg(size)?.as_bytes()),
            _ => Err(Error::file_reason(path, "a picture's file name ends in .png or .svg")),
        }
    }

    /// All that is drawn, laid out over so many pixels.
    fn picture(&self, size: (u32, u32)) -> Result<Picture<'_>> {
        use_own_font()?;
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
        let spans = [fields[0].first, fields[0].second].map(widened);
        let faint = self.faint(spans);
        let mut foot: Vec<String> = faint
            .map(|most| format!("fainter: farther from the plane, at most {}", number(most)))
            .into_iter()
            .chain([self.record.geometry(), self.record.provenance.footnote()])
            .collect();
        foot.retain(|line| !line.is_empty());
        let layout = Layout::new(size, fields.len(), !self.title.is_empty(), foot.len());
        let panels = fields
            .iter()
            .enumerate()
            .map(|(index, field)| {
                let heights = field.heights(self.scale);
                let colouring = Colouring::of(&heights, self.map, self.range, self.lines, self.offset);
                let frame = layout.frame(index, spans, self.record.lengths);
                let mut strokes = iso_lines(&heights, &colouring, &frame, layout.unit);
                strokes.extend(self.trajectory(&frame, layout.unit, faint));
                let inside: Vec<(&str, [f64; 2])> = self
                    .record
                    .solutions
                    .iter()
                    .map(|solution| (solution.name.as_str(), frame.pixel(solution.position)))
                    .filter(|(_, at)| frame.contains(*at))
                    .collect();
                for (_, at) in &inside {
                    strokes.extend(dot(*at, 22.0 * layout.unit, 15.0 * layout.unit, 1.0));
                }
                Ok(Panel {
                    labels: labels(&inside, &frame, layout.unit)?,
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
            title: &self.title,
            axes: &self.record.axes,
            panels,
            foot,
        })
    }

    /// The largest distance of the trajectory from the plane, where it is worth telling.
    fn faint(&self, spans: [(f64, f64); 2]) -> Option<f64> {
        let distances = self.record.trajectory.iter().map(|step| step.distance);
        let largest = distances.filter(|distance| distance.is_finite()).fold(0.0, f64::max);
        // Without the axes' lengths there is nothing to compare it with.
        let extent = self.record.lengths.map_or(0.0, |lengths| {
            let [first, second] = [0, 1].map(|axis| lengths[axis] * (spans[axis].1 - spans[axis].0).abs());
            first.max(second)
        });
        (largest > NEAR * extent).then_some(largest)
    }

    /// The trajectory's line with a white seam, and its dots.
    fn trajectory(&self, frame: &Frame, unit: f64, faint: Option<f64>) -> Vec<Stroke> {
        let steps = &self.record.trajectory;
        let shown = self
            .until
            .map_or(steps.len(), |until| until.saturating_add(1).min(steps.len()));
        let opacity =
            |step: &Projected| faint.map_or(1.0, |most| 1.0 - (1.0 - FAINTEST) * (step.distance / most).min(1.0));
        let points: Vec<([f64; 2], f64)> = steps[..shown]
            .iter()
            .map(|step| (frame.pixel(step.position), opacity(step)))
            .collect();
        let mut lines: Vec<Stroke> = Vec::new();
        for pair in points.windows(2) {
            let [(from, first), (to, second)] = [pair[0], pair[1]];
            let Some([from, to]) = frame.clip(from, to) else {
                continue;
            };
            let opacity = 0.5 * (first + second);
            match lines.last_mut() {
                // In one stroke, where pieces meet they do not cover each other twice.
                Some(line) if line.opacity == opacity && line.points.last() == Some(&from) => line.points.push(to),
                _ => lines.push(Stroke {
                    points: vec![from, to],
                    width: 3.0 * unit,
                    colour: LINE,
                    opacity,
                }),
            }
        }
        let seam = |line: &Stroke| Stroke {
            width: 6.0 * unit,
            colour: [255; 3],
            opacity: 0.7 * line.opacity,
            ..line.clone()
        };
        let mut strokes: Vec<Stroke> = lines.iter().map(seam).collect();
        strokes.append(&mut lines);
        // By the whole trajectory, so that dots stay where they are while it grows.
        let every = steps.len().div_ceil(MOST_DOTS).max(1);
        let dots = points.iter().step_by(every).filter(|(at, _)| frame.contains(*at));
        strokes.extend(dots.flat_map(|&(at, opacity)| dot(at, 10.0 * unit, 7.0 * unit, opacity)));
        if let (Some(_), Some(&(at, opacity))) = (self.until, points.last())
            && frame.contains(at)
        {
            strokes.extend(dot(at, 20.0 * unit, 15.0 * unit, opacity));
        }
        strokes
    }
}

/// Whether a picture of this size may be drawn.
fn check_size((width, height): (u32, u32)) -> Result<()> {
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

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Request(format!("the picture could not be drawn: {error}"))
}

/// What is drawn, laid out in pixels.
struct Picture<'a> {
    unit: f64,
    size: (u32, u32),
    title: &'a str,
    axes: &'a [String; 2],
    panels: Vec<Panel>,
    foot: Vec<String>,
}

impl Picture<'_> {
    /// Everything but the surfaces and the lines on them.
    fn write_on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<()> {
        let (canvas, unit) = (Canvas { area }, self.unit);
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        let title = Words {
            size: 40.0 * unit,
            room: width - 48.0 * unit,
            ..Words::at([0.5 * width, 20.0 * unit], HPos::Center, VPos::Top)
        };
        canvas.text(self.title, title)?;
        for panel in &self.panels {
            panel.axes(&canvas, self.axes, unit)?;
            panel.bar(&canvas, unit)?;
            for label in &panel.labels {
                label.draw(&canvas, unit)?;
            }
        }
        for (index, line) in self.foot.iter().enumerate() {
            let below = (self.foot.len() - index) as f64;
            let words = Words {
                size: 19.0 * unit,
                room: width - 48.0 * unit,
                colour: FOOT,
                ..Words::at(
                    [24.0 * unit, height - (12.0 + 26.0 * below) * unit],
                    HPos::Left,
                    VPos::Top,
                )
            };
            canvas.text(line, words)?;
        }
        Ok(())
    }
}

/// Where panels lie: each has the same room for its frame, and around it fixed room for its words.
struct Layout {
    unit: f64,
    /// From one panel's left edge to the next one's.
    pitch: f64,
    top: f64,
    room: [f64; 2],
}

/// Room to the left of a frame, in units.
const LEFT: f64 = 118.0;
/// Room to its right, for the colour bar.
const RIGHT: f64 = 176.0;

impl Layout {
    fn new((width, height): (u32, u32), panels: usize, titled: bool, foot: usize) -> Self {
        let pitch = f64::from(width) / panels as f64;
        // Words shrink with whichever side is short.
        let unit = (f64::from(height) / 1000.0).min(pitch / 800.0);
        let top = unit * if titled { 120.0 } else { 64.0 };
        let bottom = unit * (106.0 + 26.0 * foot as f64);
        Self {
            unit,
            pitch,
            top,
            room: [pitch - (LEFT + RIGHT) * unit, f64::from(height) - top - bottom],
        }
    }

    /// A panel's frame over two spans of positions. Where the axes have `lengths`, one unit of length is the same on
    /// both, unless one extent is more than three times the other.
    fn frame(&self, index: usize, spans: [(f64, f64); 2], lengths: Option<[f64; 2]>) -> Frame {
        let mut size = self.room;
        if let Some(lengths) = lengths {
            let extents = [0, 1].map(|axis| lengths[axis] * (spans[axis].1 - spans[axis].0).abs());
            if (1.0 / 3.0..=3.0).contains(&(extents[0] / extents[1])) {
                let scale = (size[0] / extents[0]).min(size[1] / extents[1]);
                size = extents.map(|extent| extent * scale);
            }
        }
        let corner = [
            index as f64 * self.pitch + LEFT * self.unit + 0.5 * (self.room[0] - size[0]),
            self.top + 0.5 * (self.room[1] - size[1]),
        ];
        let [left, top] = corner.map(|place| place.round() as usize);
        let [width, height] = size.map(|side| (side.round() as usize).max(2));
        Frame {
            left,
            top,
            width,
            height,
            spans,
        }
    }
}

/// The pixels of a panel that show the surface. A whole coordinate is a pixel's middle; the axes' ends are the middles
/// of the outermost pixels.
#[derive(Clone, Copy, Debug)]
struct Frame {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    /// First and last position of the two axes.
    spans: [(f64, f64); 2],
}

impl Frame {
    /// Where two positions lie, in pixels.
    fn pixel(&self, position: [f64; 2]) -> [f64; 2] {
        let [x, y] = [0, 1].map(|axis| {
            let (start, end) = self.spans[axis];
            (position[axis] - start) / (end - start)
        });
        self.place([x, y])
    }

    /// Where shares of the two axes lie, in pixels.
    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.left as f64 + x * (self.width - 1) as f64,
            self.top as f64 + (1.0 - y) * (self.height - 1) as f64,
        ]
    }

    /// Left, top, right and bottom edge; the pixels end before the latter two.
    fn edges(&self) -> [f64; 4] {
        [self.left, self.top, self.left + self.width, self.top + self.height].map(|edge| edge as f64)
    }

    /// The lowest and highest coordinate of a pixel's middle along an axis.
    fn bounds(&self, axis: usize) -> (f64, f64) {
        let edges = self.edges();
        (edges[axis], edges[axis + 2] - 1.0)
    }

    fn contains(&self, at: [f64; 2]) -> bool {
        (0..2).all(|axis| {
            let (low, high) = self.bounds(axis);
            (low - 0.5..=high + 0.5).contains(&at[axis])
        })
    }

    /// The part of a straight line that lies inside, if any (Liang and Barsky).
    fn clip(&self, from: [f64; 2], to: [f64; 2]) -> Option<[[f64; 2]; 2]> {
        let (mut start, mut end) = (0.0f64, 1.0f64);
        for (axis, (from, to)) in from.into_iter().zip(to).enumerate() {
            let ((low, high), step) = (self.bounds(axis), to - from);
            if !step.is_finite() || (step == 0.0 && !(low..=high).contains(&from)) {
                return None;
            }
            if step != 0.0 {
                let ends = [(low - from) / step, (high - from) / step];
                start = start.max(ends[0].min(ends[1]));
                end = end.min(ends[0].max(ends[1]));
            }
        }
        let at = |share: f64| [0, 1].map(|axis| from[axis] + share * (to[axis] - from[axis]));
        // Whole ends stay what they are to the bit, so that the next piece is seen to go on from there.
        (start < end).then(|| [at(start), if end == 1.0 { to } else { at(end) }])
    }
}

/// One quantity's part of a picture.
struct Panel {
    quantity: Quantity,
    heights: Heights,
    colouring: Colouring,
    frame: Frame,
    strokes: Vec<Stroke>,
    labels: Vec<Label>,
}

impl Panel {
    /// Fills the frame's pixels of an RGB picture that is `across` pixels wide.
    fn paint(&self, pixels: &mut [u8], across: usize, unit: f64) {
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
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
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
    fn axes<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, names: &[String; 2], unit: f64) -> Result<()> {
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

    /// The colour bar with its ticks and name.
    fn bar<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
        let [_, top, edge, bottom] = self.frame.edges();
        let (left, right) = (edge + 22.0 * unit, edge + 48.0 * unit);
        let steps = BAR_STEPS.min(self.frame.height);
        // From above: each step covers all below it, so that no seam shows.
        for step in (0..steps).rev() {
            let end = |step: usize| bottom - (bottom - top) * step as f64 / steps as f64;
            let colour = self.colouring.map.at(step as f64 / (steps - 1) as f64);
            canvas.rectangle([left, end(step + 1), right, bottom], solid(colour))?;
        }
        let thick = (1.5 * unit).round().max(1.0);
        for (value, name) in level_ticks(&self.colouring) {
            let [_, y] = self.frame.place([0.0, self.colouring.share(value)]);
            let y0 = (y + 0.5 - 0.5 * thick).round();
            canvas.rectangle([right, y0, right + 7.0 * unit, y0 + thick], solid([150; 3]))?;
            let words = Words {
                size: 22.0 * unit,
                room: 82.0 * unit,
                ..Words::at([right + 12.0 * unit, y], HPos::Left, VPos::Center)
            };
            canvas.text(&name, words)?;
        }
        let words = Words {
            size: 24.0 * unit,
            room: bottom - top,
            turn: FontTransform::Rotate90,
            ..Words::at(
                [edge + (RIGHT - 6.0) * unit, 0.5 * (top + bottom)],
                HPos::Center,
                VPos::Top,
            )
        };
        canvas.text(self.quantity.name(), words)
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

/// A line with round ends, or a dot where it has a single point; in pixels.
#[derive(Clone, Debug)]
struct Stroke {
    points: Vec<[f64; 2]>,
    width: f64,
    colour: [u8; 3],
    opacity: f64,
}

impl Stroke {
    /// Blends the stroke into an RGB picture that is `across` pixels wide, inside the frame. Where it crosses itself it
    /// does not cover itself twice.
    fn paint(&self, pixels: &mut [u8], across: usize, frame: &Frame) {
        let reach = 0.5 * self.width.max(1.0) + 0.5;
        // The pixels within reach of some points: first and one past the last.
        let within = |points: &[[f64; 2]], axis: usize| {
            let (low, high) = frame.bounds(axis);
            let places = points.iter().map(|point| point[axis]);
            let first = places.clone().fold(f64::INFINITY, f64::min) - reach;
            let last = places.fold(f64::NEG_INFINITY, f64::max) + reach;
            (first.ceil().max(low) as usize, last.floor().min(high) as usize + 1)
        };
        let ((left, right), (top, bottom)) = (within(&self.points, 0), within(&self.points, 1));
        if self.points.is_empty() || left >= right || top >= bottom {
            return;
        }
        let mut coverage = vec![0.0f64; (right - left) * (bottom - top)];
        let single = self.points.len() == 1;
        for piece in self.points.windows(if single { 1 } else { 2 }) {
            let ((x0, x1), (y0, y1)) = (within(piece, 0), within(piece, 1));
            for (x, y) in (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y))) {
                let covered = reach - distance([x as f64, y as f64], piece[0], piece[piece.len() - 1]);
                let pixel = &mut coverage[(y - top) * (right - left) + x - left];
                *pixel = pixel.max(covered.clamp(0.0, 1.0));
            }
        }
        for (y, line) in (top..bottom).zip(coverage.chunks_exact(right - left)) {
            let start = 3 * (y * across + left);
            for (pixel, covered) in pixels[start..].chunks_exact_mut(3).zip(line) {
                for (channel, colour) in pixel.iter_mut().zip(self.colour) {
                    let (below, above) = (f64::from(*channel), f64::from(colour));
                    *channel = (below + covered * self.opacity * (above - below)).round() as u8;
                }
            }
        }
    }
}

/// From a point to the nearest one of a straight line.
fn distance(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let (px, py) = (point[0] - from[0], point[1] - from[1]);
    let squared = dx * dx + dy * dy;
    let share = if squared > 0.0 {
        ((px * dx + py * dy) / squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - share * dx).hypot(py - share * dy)
}

/// A dark dot in a white one, by their diameters.
fn dot(at: [f64; 2], seam: f64, inside: f64, opacity: f64) -> [Stroke; 2] {
    [(seam, [255; 3]), (inside, LINE)].map(|(width, colour)| Stroke {
        points: vec![at],
        width,
        colour,
        opacity,
    })
}

/// The iso-lines of a surface: white, and dark on the light colours of the diverging map.
fn iso_lines(heights: &Heights, colouring: &Colouring, frame: &Frame, unit: f64) -> Vec<Stroke> {
    // Pieces of about three pixels.
    let apart = [(frame.width, heights.columns), (frame.height, heights.rows)]
        .map(|(pixels, nodes)| pixels as f64 / nodes.saturating_sub(1).max(1) as f64);
    let finer = (apart[0].max(apart[1]) / (3.0 * unit)).ceil().clamp(1.0, 64.0) as usize;
    let mut strokes = Vec::new();
    for level in colouring.levels() {
        let is_light = colouring
            .colour(level)
            .is_some_and(|colour| colour.map(u32::from).iter().sum::<u32>() > 380);
        let dark = colouring.map == ColourMap::Diverging && is_light;
        strokes.extend(contour(heights, level, finer).into_iter().map(|line| Stroke {
            points: line.into_iter().map(|position| frame.pixel(position)).collect(),
            width: 1.6 * unit,
            colour: if dark { LINE } else { [255; 3] },
            opacity: 0.6,
        }));
    }
    strokes
}

/// A solution's name in a box: left, top, right and bottom edge in pixels.
struct Label {
    name: String,
    place: [f64; 4],
}

impl Label {
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, unit: f64) -> Result<()> {
        let [left, top, right, bottom] = self.place;
        let thin = unit.round().max(1.0);
        canvas.rectangle([left - thin, top - thin, right + thin, bottom + thin], solid([150; 3]))?;
        canvas.rectangle(self.place, solid([255; 3]))?;
        let words = Words {
            size: 22.0 * unit,
            room: right - left - 12.0 * unit,
            ..Words::at([left + 7.0 * unit, 0.5 * (top + bottom)], HPos::Left, VPos::Center)
        };
        canvas.text(&self.name, words)
    }
}

/// Boxes for names beside their points: inside the frame, and clear of points and of each other where there is room.
fn labels(named: &[(&str, [f64; 2])], frame: &Frame, unit: f64) -> Result<Vec<Label>> {
    let [left, top, right, bottom] = frame.edges();
    let (dot, gap, thin) = (11.0 * unit, 14.0 * unit, unit.round().max(1.0));
    let mut taken: Vec<[f64; 4]> = named
        .iter()
        .map(|(_, [x, y])| [x - dot, y - dot, x + dot, y + dot])
        .collect();
    let mut labels = Vec::new();
    for (name, [x, y]) in named {
        let [width, height] = measure(name, 22.0 * unit)?;
        let (width, height) = (
            (width + 14.0 * unit).min(right - left - 2.0 * thin),
            height + 12.0 * unit,
        );
        let corners = [
            [x + gap, y - gap - height],
            [x - gap - width, y - gap - height],
            [x + gap, y + gap],
            [x - gap - width, y + gap],
        ];
        let places = corners.map(|[x, y]| {
            let x = x.min(right - thin - width).max(left + thin);
            let y = y.min(bottom - thin - height).max(top + thin);
            [x, y, x + width, y + height]
        });
        let is_free = |place: &[f64; 4]| {
            let apart = |other: &[f64; 4]| (0..2).any(|a| place[a] > other[a + 2] || place[a + 2] < other[a]);
            taken.iter().all(apart)
        };
        let place = places.into_iter().find(is_free).unwrap_or(places[0]);
        taken.push(place);
        labels.push(Label {
            name: (*name).to_owned(),
            place,
        });
    }
    Ok(labels)
}

/// Where words stand and how they look.
struct Words {
    at: [f64; 2],
    anchor: (HPos, VPos),
    size: f64,
    /// Words longer than this shrink.
    room: f64,
    colour: RGBColor,
    turn: FontTransform,
}

impl Words {
    fn at(at: [f64; 2], across: HPos, up: VPos) -> Self {
        Self {
            at,
            anchor: (across, up),
            size: 0.0,
            room: f64::INFINITY,
            colour: INK,
            turn: FontTransform::None,
        }
    }
}

/// A drawing area with the shapes used here.
struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
}

impl<B: DrawingBackend> Canvas<'_, B> {
    /// Fills a rectangle given by its left, top, right and bottom edge.
    fn rectangle(&self, [left, top, right, bottom]: [f64; 4], colour: RGBAColor) -> Result<()> {
        let corners = [whole([left, top]), whole([right, bottom])];
        self.area
            .draw(&Rectangle::new(corners, colour.filled()))
            .map_err(failed)
    }

    fn stroke(&self, stroke: &Stroke) -> Result<()> {
        let [r, g, b] = stroke.colour;
        let colour = RGBAColor(r, g, b, stroke.opacity);
        if let [only] = stroke.points[..] {
            let radius = (0.5 * stroke.width).round().max(1.0) as i32;
            return self
                .area
                .draw(&Circle::new(whole(only), radius, colour.filled()))
                .map_err(failed);
        }
        let points: Vec<(i32, i32)> = stroke.points.iter().copied().map(whole).collect();
        let style = colour.stroke_width(stroke.width.round().max(1.0) as u32);
        self.area.draw(&PathElement::new(points, style)).map_err(failed)
    }

    fn text(&self, text: &str, words: Words) -> Result<()> {
        let [width, _] = measure(text, words.size)?;
        let size = words.size * (words.room / width.max(1.0)).min(1.0);
        let style = ("sans-serif", size.max(1.0))
            .into_font()
            .transform(words.turn)
            .color(&words.colour)
            .pos(Pos::new(words.anchor.0, words.anchor.1));
        self.area
            .draw(&Text::new(text.to_owned(), whole(words.at), style))
            .map_err(failed)
    }
}

/// Width and height of a text in the built-in font.
fn measure(text: &str, size: f64) -> Result<[f64; 2]> {
    let (width, height) = ("sans-serif", size).into_font().box_size(text).map_err(failed)?;
    Ok([f64::from(width), f64::from(height)])
}

fn whole([x, y]: [f64; 2]) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

fn solid([r, g, b]: [u8; 3]) -> RGBAColor {
    RGBAColor(r, g, b, 1.0)
}

/// An axis of one position, drawn as wide as one unit.
fn widened((start, end): (f64, f64)) -> (f64, f64) {
    if start == end {
        (start - 0.5, end + 0.5)
    } else {
        (start, end)
    }
}

/// Round numbers between two, `count` or fewer, as they are written: all with as many digits.
fn ticks((start, end): (f64, f64), count: usize) -> Vec<(f64, String)> {
    let (low, high) = (start.min(end), start.max(end));
    let rough = (high - low) / count as f64;
    if !rough.is_normal() {
        return Vec::new();
    }
    let power = rough.log10().floor() as i32;
    let ten = 10.0f64.powi(power);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * ten >= rough);
    let step = factor.unwrap_or(10.0) * ten;
    let digits = (-power - i32::from(factor.is_none())).max(0) as usize;
    let first = (low / step - 1e-9).ceil();
    (0..=count)
        // What rounding puts beside 0 is 0, and −0 is, too.
        .map(|index| (first + index as f64) * step + 0.0)
        .take_while(|value| *value <= high + 1e-9 * step)
        .map(|value| {
            let plain = digits <= 5 && value.abs() < 1e5;
            (
                value,
                if plain {
                    format!("{value:.digits$}")
                } else {
                    number(value)
                },
            )
        })
        .collect()
}

/// Round values for a colour bar: powers of ten and what lies between them on a logarithmic scale.
fn level_ticks(colouring: &Colouring) -> Vec<(f64, String)> {
    let (low, high) = colouring.range;
    if !colouring.height.logarithmic || high < 10.0 * low {
        return ticks(colouring.range, 7);
    }
    let decades = (high / low).log10();
    let between: &[f64] = if decades < 3.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let every = (decades / 8.0).ceil() as usize;
    (low.log10().floor() as i32..=high.log10().ceil() as i32)
        .step_by(every.max(1))
        .flat_map(|power| between.iter().map(move |factor| factor * 10.0f64.powi(power)))
        .filter(|value| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(value))
        .map(|value| (value, number(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::{Grid, Known};
    use crate::objective::{Measurement, Quality};

    /// A record over the square from −1 to 1 with the train loss given.
    fn record(nodes: usize, loss: impl Fn(f64, f64) -> f64) -> SurfaceRecord {
        let positions: Vec<f64> = (0..nodes).map(|i| -1.0 + 2.0 * i as f64 / (nodes - 1) as f64).collect();
        let mut grid = Grid::new(positions.clone(), positions);
        for index in 0..grid.values.len() {
            let [a, b] = grid.position(index);
            let train = Quality {
                loss: loss(a, b),
                accuracy: 0.5,
            };
            grid.values[index] = Some(Measurement { train, test: train });
        }
        let provenance = serde_json::json!({
            "model": "logistic", "data": "two-gaussians", "run": null, "origin": "SWA", "line": "uniform",
            "batch_norm": "running", "batch_size": 8, "train_images": 8, "test_images": 8, "seed": 1,
            "device": "cpu", "version": "0"
        });
        SurfaceRecord {
            label: String::new(),
            axes: ["first".to_owned(), "second".to_owned()],
            provenance: serde_json::from_value(provenance).unwrap(),
            angle: None,
            lengths: Some([1.0, 1.0]),
            explained: None,
            trajectory: Vec::new(),
            solutions: Vec::new(),
            grid,
        }
    }

    fn heat_map(record: &SurfaceRecord) -> HeatMap<'_> {
        HeatMap {
            record,
            quantities: vec![Quantity::TrainLoss],
            map: None,
            range: None,
            lines: 0,
            offset: 0.0,
            scale: Scale::Linear,
            title: "A valley".to_owned(),
            until: None,
        }
    }

    fn seen(name: &str, position: [f64; 2], distance: f64) -> Projected {
        Projected {
            name: name.to_owned(),
            position,
            distance,
            own: None,
        }
    }

    const SIZE: (u32, u32) = (640, 480);

    fn pixel(pixels: &[u8], [x, y]: [f64; 2]) -> [u8; 3] {
        let start = 3 * (y.round() as usize * SIZE.0 as usize + x.round() as usize);
        [pixels[start], pixels[start + 1], pixels[start + 2]]
    }

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
        // At (0, b): the line is lighter than what it covers.
        let at = frame.pixel([0.0, (2.5f64 / 4.0).sqrt()]);
        let [with, without] = [map.clone(), heat_map(&record)].map(|map| pixel(&map.pixels(SIZE).unwrap(), at));
        assert!(
            (0..3).all(|channel| with[channel] > without[channel] + 10),
            "{with:?}, {without:?}"
        );
    }

    #[test]
    fn the_trajectory_grows_and_fades_with_its_distance() {
        let mut record = record(5, |a, b| a + b);
        let step = |k: f64| seen("", [0.2 * k - 0.4, 0.1 * k], 0.1 * k);
        record.trajectory = [0.0, 1.0, 2.0, 3.0].map(step).to_vec();
        let svg = |record: &SurfaceRecord, until| {
            let map = HeatMap {
                until,
                ..heat_map(record)
            };
            map.svg(SIZE).unwrap()
        };
        let all = svg(&record, None);
        assert_eq!(all.matches("<circle").count(), 8);
        assert_eq!(svg(&record, Some(1)).matches("<circle").count(), 6);
        assert!(all.contains("fainter: farther from the plane, at most 0.3"));
        assert_eq!(all.matches("opacity=\"0.25\"").count(), 2);
        for step in &mut record.trajectory {
            step.distance *= 0.01;
        }
        let near = svg(&record, None);
        assert!(!near.contains("fainter") && !near.contains("opacity=\"0.25\""));
    }

    #[test]
    fn a_line_that_leaves_the_panel_is_cut_at_its_edge() {
        let frame = Layout::new(SIZE, 1, false, 0).frame(0, [(-1.0, 1.0); 2], None);
        let [from, to] = frame.clip(frame.pixel([0.0, 0.0]), frame.pixel([2.0, 1.0])).unwrap();
        let edge = frame.pixel([1.0, 0.5]);
        assert_eq!(from, frame.pixel([0.0, 0.0]));
        assert!((to[0] - edge[0]).abs() < 1e-9 && (to[1] - edge[1]).abs() < 1e-9);
        assert_eq!(frame.clip(frame.pixel([2.0, 0.0]), frame.pixel([2.0, 1.0])), None);
        assert_eq!(frame.clip(frame.pixel([0.0, 0.0]), [f64::NAN, 0.0]), None);
    }

    #[test]
    fn names_of_solutions_stay_inside_and_apart() {
        let mut record = record(5, |a, b| a + b);
        record.solutions = vec![
            seen("a solution in the corner", [1.0, 1.0], 0.0),
            seen("SWA", [0.0, 0.0], 0.0),
            seen("SGD", [0.01, 0.0], 0.0),
            seen("outside", [3.0, 0.0], 0.0),
        ];
        let map = heat_map(&record);
        let picture = map.picture(SIZE).unwrap();
        let Panel { frame, labels, .. } = &picture.panels[0];
        assert_eq!(labels.len(), 3);
        let edges = frame.edges();
        for (index, label) in labels.iter().enumerate() {
            let place = label.place;
            assert!(
                (0..2).all(|a| place[a] >= edges[a] && place[a + 2] <= edges[a + 2]),
                "{place:?}"
            );
            for other in &labels[index + 1..] {
                let apart = (0..2).any(|a| place[a] > other.place[a + 2] || place[a + 2] < other.place[a]);
                assert!(apart, "{place:?} and {:?}", other.place);
            }
        }
        assert!(map.svg(SIZE).unwrap().contains("SWA"));
    }

    #[test]
    fn one_unit_of_length_is_the_same_on_both_axes_unless_they_differ_too_much() {
        let layout = Layout::new((1200, 1000), 1, true, 1);
        let frame = |first, second| layout.frame(0, [(-1.0, 1.0), (0.0, 2.0)], Some([first, second]));
        let (square, wide, filled) = (frame(1.0, 1.0), frame(5.0, 2.0), frame(5.0, 1.0));
        assert_eq!(square.width, square.height);
        assert!((wide.width as f64 / wide.height as f64 - 2.5).abs() < 0.02);
        assert_eq!(
            [filled.width, filled.height].map(|side| side as f64),
            layout.room.map(f64::round)
        );
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

    #[test]
    fn what_cannot_be_drawn_is_refused_in_words() {
        let record = record(3, |_, _| f64::NAN);
        let map = heat_map(&record);
        let says = |result: Result<Vec<u8>>, words: &str| {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        };
        says(map.png(SIZE), "nothing to draw yet");
        says(map.png((50, 400)), "100 to 16384 pixels");
        says(map.png((16_000, 16_000)), "at most 100 million");
        let none = HeatMap {
            quantities: Vec::new(),
            ..map.clone()
        };
        says(none.png(SIZE), "1 to 4 quantities");
        assert!(map.write(Path::new("surface.pdf"), None).is_err());
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
        let png = image::load_from_memory(&map.png((400, 300)).unwrap()).unwrap();
        assert_eq!((png.width(), png.height()), (400, 300));
    }

    #[test]
    fn ticks_are_round_numbers() {
        let names = |ticks: Vec<(f64, String)>| ticks.into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(ticks((1.0, -1.0), 5)), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(names(ticks((0.0, 30.0), 4)), ["0", "10", "20", "30"]);
        assert_eq!(names(ticks((2.301, 2.306), 3)), ["2.302", "2.304", "2.306"]);
        let record = record(5, |a, _| 10.0f64.powf(2.0 * a));
        let map = HeatMap {
            scale: Scale::Logarithmic,
            ..heat_map(&record)
        };
        let picture = map.picture(SIZE).unwrap();
        assert_eq!(
            names(level_ticks(&picture.panels[0].colouring)),
            ["0.01", "0.1", "1", "10", "100"]
        );
    }
}
